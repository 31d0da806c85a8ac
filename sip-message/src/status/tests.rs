use super::{NAMED, StatusCode};
use alloc::string::ToString;

#[test]
fn only_100_to_699_are_status_codes() {
    for code in [0, 1, 99, 700, 999, u16::MAX] {
        assert_eq!(StatusCode::new(code), None, "{code}");
    }
    for code in 100..=699 {
        assert_eq!(StatusCode::new(code).unwrap().as_u16(), code);
    }
}

#[test]
fn each_code_is_in_exactly_one_class() {
    for code in 100..=699 {
        let status = StatusCode::new(code).unwrap();
        let classes = [
            status.is_provisional(),
            status.is_success(),
            status.is_redirection(),
            status.is_client_error(),
            status.is_server_error(),
            status.is_global_failure(),
        ];
        let expected = usize::from(code / 100 - 1);
        assert_eq!(classes.iter().position(|&class| class), Some(expected), "{code}");
        assert_eq!(classes.iter().filter(|&&class| class).count(), 1, "{code}");
        assert_eq!(status.is_final(), code >= 200, "{code}");
        assert_eq!(status.class().as_u16(), code / 100 * 100, "{code}");
    }
}

#[test]
fn named_codes_print_their_phrase() {
    for &(status, code, reason) in NAMED {
        assert_eq!(status.as_u16(), code);
        assert!(!reason.is_empty(), "{code}");
        assert_eq!(status.to_string(), alloc::format!("{code} {reason}"));
    }
    assert_eq!(StatusCode::new(299).unwrap().to_string(), "299");
}
