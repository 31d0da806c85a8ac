//! The option tag of preconditions (RFC 3312 §11), said where a session description has some.
//!
//! What they are, and when they are met, is the application's: `Preconditions` of `sip-sdp` does it. The agent says by
//! the tag that they are there, and takes requests that insist on it where
//! [`AgentConfig::supported`](crate::AgentConfig::supported) lists it.

use sip_message::HeaderName;

use super::Agent;
use crate::Body;

/// The option tag.
pub(crate) const TAG: &str = "precondition";

impl Agent {
    /// The field that an offer needs beside what every request says.
    pub(crate) fn precondition_field(&self, body: &Body) -> Option<HeaderName<'static>> {
        match strongest(&body.bytes)? {
            // RFC 3312 §11: "An offerer MUST include this tag in the
            // Require header field if the offer contains one or more "mandatory"
            // strength-tags."
            Strongest::Mandatory => Some(HeaderName::Require),
            // RFC 3312 §11: "If all the strength-tags in the description are
            // "optional" or "none", the offerer MUST include this tag in either a
            // Supported header field or in a Require header field."
            Strongest::Other => {
                let listed = self.config.option_tags().any(|tag| tag == TAG);
                (!listed).then_some(HeaderName::Supported)
            }
        }
    }
}

/// Whether a description insists on preconditions.
pub(crate) fn are_mandatory(description: &[u8]) -> bool {
    strongest(description) == Some(Strongest::Mandatory)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strongest {
    Mandatory,
    Other,
}

/// The strongest of the preconditions of a description; `None` if it has none.
fn strongest(description: &[u8]) -> Option<Strongest> {
    let lines = description.split(|byte| *byte == b'\n');
    let mut desired = lines.filter_map(|line| line.strip_prefix(b"a=des:")).peekable();
    desired.peek()?;
    let is_mandatory = |line: &[u8]| line.split(|byte| *byte == b' ').nth(1) == Some(b"mandatory");
    Some(if desired.any(is_mandatory) { Strongest::Mandatory } else { Strongest::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_descriptions_have_preconditions() {
        for (description, expected) in [
            ("v=0\r\nm=audio 1 RTP/AVP 0\r\n", None),
            ("m=audio 1 RTP/AVP 0\r\na=des:qos none e2e sendrecv\r\n", Some(Strongest::Other)),
            (
                "a=des:qos optional e2e send\r\na=des:qos mandatory e2e recv",
                Some(Strongest::Mandatory),
            ),
            ("a=des:mandatory\r\n", Some(Strongest::Other)),
            ("s=a=des:qos mandatory e2e send\r\n", None),
        ] {
            assert_eq!(strongest(description.as_bytes()), expected, "{description}");
        }
    }
}
