use super::*;

#[test]
fn names_that_no_quoted_string_holds() {
    assert_eq!(decoded("UTF-8''J%C3%A4s%C3%B8n%20Doe").unwrap(), "J\u{e4}s\u{f8}n Doe");
    assert_eq!(decoded("utf-8'en'a'b").unwrap(), "a'b");
    assert_eq!(decoded("UTF-8''").unwrap(), "");
    for bad in [
        "",
        "UTF-8",
        "UTF-8'",
        "ISO-8859-1''a",
        "UTF-8''%",
        "UTF-8''%a",
        "UTF-8''%zz",
        "UTF-8''%ff",
    ] {
        assert_eq!(decoded(bad), None, "{bad}");
    }
}
