//! Which requests are too large for UDP (RFC 3261 §18.1.1).

/// Bytes that a request must stay below the path MTU, so that its response may be larger.
const MARGIN: usize = 200;

/// The most bytes a request over UDP may have while the path MTU is not known.
const UNKNOWN_MTU_LIMIT: usize = 1300;

/// The most bytes of a message in one IPv4 datagram: 65,535 less the IP and UDP headers.
pub const MAX_DATAGRAM: usize = 65_507;

/// Whether a request of `len` bytes must go over a transport with congestion control, such as TCP.
/// Responses never change their transport.
///
/// `path_mtu` is what is known of the path, in bytes.
pub const fn requires_congestion_control(len: usize, path_mtu: Option<usize>) -> bool {
    // RFC 3261 §18.1.1: "If a request is within 200 bytes of the path MTU, or if it is larger
    // than 1300 bytes and the path MTU is unknown, the request MUST be sent using an RFC 2914 [43]
    // congestion controlled transport protocol, such as TCP."
    // RFC 3261 §18: "It has arisen out of the need to handle larger messages, which MUST use TCP, as
    // discussed below."
    match path_mtu {
        Some(path_mtu) => len.saturating_add(MARGIN) >= path_mtu,
        None => len > UNKNOWN_MTU_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_without_a_known_mtu_is_1300() {
        assert!(!requires_congestion_control(1300, None));
        assert!(requires_congestion_control(1301, None));
    }

    #[test]
    fn within_200_bytes_of_a_known_mtu_is_too_large() {
        assert!(!requires_congestion_control(1299, Some(1500)));
        assert!(requires_congestion_control(1300, Some(1500)));
        assert!(!requires_congestion_control(8799, Some(9000)));
        assert!(requires_congestion_control(usize::MAX, Some(9000)));
    }
}
