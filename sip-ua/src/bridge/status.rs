//! What the end of one leg is called on the other.

use sip_message::{Reason, StatusCode};

use crate::{EndReason, HeaderPass};

/// What the caller is told of a called leg that came to nothing: the status, and header fields.
pub(super) fn refusal(
    reason: &EndReason,
    pass: &HeaderPass,
) -> (StatusCode, Vec<(String, String)>) {
    match reason {
        EndReason::Rejected(response) => {
            (of_refusal(response.status()), pass.of(response.headers(), false))
        }
        EndReason::Redirected(contacts) => {
            let headers = contacts.iter().map(|uri| ("Contact".to_owned(), format!("<{uri}>")));
            (StatusCode::MOVED_TEMPORARILY, headers.collect())
        }
        _ => (of_end(reason), Vec::new()),
    }
}

/// The status of another response than a refusal that the caller understands.
fn of_refusal(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        // The challenge was for us, and the caller has no secret of ours.
        401 | 407 | 494 => StatusCode::FORBIDDEN,
        // Nobody but the caller cancels its INVITE, and it has not.
        487 => StatusCode::TEMPORARILY_UNAVAILABLE,
        // The address is one that we have made.
        416 => StatusCode::NOT_FOUND,
        // What only the agent at this end of the leg can mend, and has tried to: extensions, intervals, hops.
        400 | 405 | 420 | 421 | 422 | 423 | 439 | 481 | 482 | 491 | 493 => {
            StatusCode::SERVER_INTERNAL_ERROR
        }
        // RFC 3261 §16.7: "If the only
        // response that was received is a 503, the proxy SHOULD generate
        // a 500 response and forward that upstream."
        503 => StatusCode::SERVER_INTERNAL_ERROR,
        _ => status,
    }
}

fn of_end(reason: &EndReason) -> StatusCode {
    match reason {
        EndReason::TimedOut => StatusCode::REQUEST_TIMEOUT,
        EndReason::Rejected(_) | EndReason::Redirected(_) => of_refusal(reason.as_status()),
        EndReason::Local
        | EndReason::Remote
        | EndReason::Cancelled
        | EndReason::CancelledByPeer
        | EndReason::Replaced => StatusCode::TEMPORARILY_UNAVAILABLE,
        EndReason::NoAck
        | EndReason::NoPrack
        | EndReason::PeerLost
        | EndReason::Expired
        | EndReason::TransportError(_)
        | EndReason::Failed => StatusCode::SERVER_INTERNAL_ERROR,
    }
}

/// What the peer that asked for a change is told of its refusal by the other one, or of a request that crossed.
pub(super) fn within_dialog(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        401 | 407 => StatusCode::FORBIDDEN,
        // They end the dialog that they are sent in, and it is another one that they were said of.
        404 | 408 | 410 | 416 | 480..=482 | 484 | 485 | 489 | 502 | 604 => {
            StatusCode::SERVER_INTERNAL_ERROR
        }
        422 | 503 => StatusCode::SERVER_INTERNAL_ERROR,
        // We have cancelled it: it took too long.
        487 => StatusCode::SERVER_TIMEOUT,
        // It never had the form of a success, or is no final one.
        ..300 => StatusCode::SERVER_INTERNAL_ERROR,
        _ => status,
    }
}

/// Why a leg is hung up, where the peer of the other one has not said (RFC 3326).
pub(super) fn reasons(reason: &EndReason) -> Vec<Reason<'static>> {
    let said = reason.reasons();
    if !said.is_empty() {
        return said;
    }
    match reason {
        // An end like any other.
        EndReason::Local
        | EndReason::Remote
        | EndReason::Cancelled
        | EndReason::CancelledByPeer
        | EndReason::Replaced => Vec::new(),
        _ => vec![Reason::sip(reason.as_status())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_becomes() {
        for (from, to) in [
            (302, 302),
            (401, 403),
            (404, 404),
            (407, 403),
            (408, 408),
            (420, 500),
            (480, 480),
            (486, 486),
            (487, 480),
            (488, 488),
            (500, 500),
            (503, 500),
            (504, 504),
            (600, 600),
            (603, 603),
            (606, 606),
        ] {
            let status = |number| StatusCode::new(number).unwrap();
            assert_eq!(of_refusal(status(from)), status(to), "{from}");
        }
    }

    /// Whatever is said of a request in one dialog, the other one lives on.
    #[test]
    fn no_status_ends_the_dialog_that_it_is_not_about() {
        for number in 100..=699 {
            let told = within_dialog(StatusCode::new(number).unwrap());
            assert!(told.is_final() && !told.is_success(), "{number}: {told}");
            assert!(!sip_dialog::ends_dialog(told), "{number}: {told}");
        }
        assert_eq!(within_dialog(StatusCode::REQUEST_PENDING), StatusCode::REQUEST_PENDING);
        assert_eq!(within_dialog(StatusCode::NOT_ACCEPTABLE_HERE), StatusCode::NOT_ACCEPTABLE_HERE);
    }
}
