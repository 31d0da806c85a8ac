//! The origin of the session descriptions that one leg gets from several: it is to see one session that goes on
//! (RFC 3264 §8, RFC 3725 §4.4).

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use crate::Body;

/// Who a leg believes to describe its session.
#[derive(Default)]
pub(super) struct Origin {
    known: Option<Known>,
}

struct Known {
    /// User name and session id.
    session: Box<str>,
    version: u64,
    /// Network, type and address.
    place: Box<str>,
    last: u64,
}

impl Origin {
    /// A description that goes to the leg, as it is to see it.
    // RFC 3725 §4.4: "The only change that is needed is to modify the
    // origin lines, so that the origin line in offer2' is valid based on
    // the value in offer1 (validity requires that the version increments by
    // one, and that the other parameters remain unchanged)."
    pub(super) fn kept(&mut self, body: Body) -> Body {
        let Some((start, end, session, version, place)) = parts(&body.bytes) else { return body };
        let last = hash(&body.bytes);
        let Some(known) = &mut self.known else {
            let (session, place) = (session.into(), place.into());
            self.known = Some(Known { session, version, place, last });
            return body;
        };
        if last != known.last {
            known.version = known.version.wrapping_add(1);
            known.last = last;
        }
        let line = format!("{} {} {}", known.session, known.version, known.place);
        let (head, tail) = (body.bytes.get(..start), body.bytes.get(end..));
        let pieces = [head.unwrap_or_default(), line.as_bytes(), tail.unwrap_or_default()];
        Body { bytes: Bytes::from(pieces.concat()), content_type: body.content_type }
    }
}

/// Where the value of the `o=` line begins and ends, and what it says.
fn parts(description: &[u8]) -> Option<(usize, usize, &str, u64, &str)> {
    let text = core::str::from_utf8(description).ok()?;
    let start = text.find("\no=")?.checked_add(3)?;
    let rest = text.get(start..)?;
    let line = rest.lines().next()?;
    let end = start.checked_add(line.len())?;
    let mut spaces = line.match_indices(' ').map(|(at, _)| at);
    let (_, second, third) = (spaces.next()?, spaces.next()?, spaces.next()?);
    let version = line.get(second.checked_add(1)?..third)?.parse().ok()?;
    Some((start, end, line.get(..second)?, version, line.get(third.checked_add(1)?..)?))
}

fn hash(description: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(description);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_sees_one_session_that_goes_on() {
        let mut origin = Origin::default();
        let mut seen = |text: &str| {
            let body = origin.kept(Body::sdp(text.to_owned()));
            String::from_utf8(body.bytes.to_vec()).unwrap()
        };
        assert_eq!(
            seen("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"),
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
        );
        let bob = "v=0\r\no=bob 77 5 IN IP4 192.0.2.4\r\ns=bob\r\n";
        assert_eq!(seen(bob), "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=bob\r\n");
        assert_eq!(seen(bob), "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=bob\r\n", "unchanged");
        assert_eq!(
            seen("v=0\r\no=bob 77 6 IN IP4 192.0.2.4\r\ns=x\r\n"),
            "v=0\r\no=- 1 3 IN IP4 0.0.0.0\r\ns=x\r\n"
        );
        for odd in ["", "v=0\r\n", "v=0\r\no=\r\n", "v=0\r\no=a b c d\r\n"] {
            assert_eq!(seen(odd), odd);
        }
    }
}
