//! What a failed request within a dialog means for the usage it belongs to, and for the others (RFC 5057).

use sip_message::StatusCode;

/// What a final response to a request within a dialog ends (RFC 5057 §5.1).
///
/// A time-out of the client transaction ends the usage and nothing else:
/// RFC 5057 §5.2: "a transaction timeout should affect only the usage in
/// which the transaction occurred."
///
/// ```
/// use sip_dialog::Effect;
/// use sip_message::StatusCode;
/// assert_eq!(Effect::of(StatusCode::BAD_EVENT), Effect::Usage);
/// assert!(Effect::of(StatusCode::GONE) > Effect::Usage);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Nothing: it concerns the request alone, or is no failure.
    Transaction,
    /// The usage that the request belongs to, if the request is integral to it (an INFO is not to a call).
    Usage,
    /// The dialog with all its usages.
    Dialog,
}

impl Effect {
    /// What a final response with this status ends. 3xx, which nobody understands there, ends nothing.
    pub fn of(status: StatusCode) -> Effect {
        // RFC 5057 §5.1: "Destroys Usage  The error destroys the usage, but not the dialog.
        // Any other usages sharing this dialog are not affected."
        // RFC 5057 §5.1: "Destroys Dialog  The error destroys the dialog and all usages sharing
        // it."
        match status.as_u16() {
            405 | 480 | 481 | 489 | 501 => Effect::Usage,
            404 | 410 | 416 | 482..=485 | 502 | 604 => Effect::Dialog,
            _ => Effect::Transaction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 5057 §5.1, table 1
    #[test]
    fn table_1() {
        let effect = |code| Effect::of(StatusCode::new(code).unwrap());
        for code in [
            400, 401, 402, 403, 406, 407, 408, 412, 413, 414, 415, 417, 420, 421, 422, 423, 428,
            429, 436, 437, 438, 486, 487, 488, 491, 493, 494, 500, 503, 504, 505, 513, 580, 600,
            603, 606, 499, 599, 699, 200, 302,
        ] {
            assert_eq!(effect(code), Effect::Transaction, "{code}");
        }
        for code in [405, 480, 481, 489, 501] {
            assert_eq!(effect(code), Effect::Usage, "{code}");
        }
        for code in [404, 410, 416, 482, 483, 484, 485, 502, 604] {
            assert_eq!(effect(code), Effect::Dialog, "{code}");
        }
    }
}
