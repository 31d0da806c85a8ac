//! Which server transaction a request belongs to: RFC 3261 §17.2.3.
//!
//! A [`MatchKey`] is what of a request decides that, in one allocation. Its *head* is hashed; the method
//! is not in it, since an ACK and a CANCEL look for the transaction of another method under the same
//! head.

use core::hash::Hasher;

use sip_message::{Message, Method, Request, Uri, Via};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::branch::without_cookie;

/// The identity of a server transaction but for its method.
#[derive(Debug)]
pub(crate) struct MatchKey {
    /// The head, and for an RFC 2543 client the To tag, a zero, the Request-URI.
    bytes: Box<[u8]>,
    head: u32,
}

/// The same, made of a request that came, to look for its transaction.
#[derive(Debug)]
pub(crate) struct Probe {
    bytes: SmallVec<[u8; 128]>,
    head: usize,
}

impl Probe {
    /// Of a request and its topmost Via.
    pub(crate) fn new(request: &Request, via: &Via<'_>) -> Self {
        let headers = request.headers();
        let mut bytes = SmallVec::new();
        match headers.branch().filter(|branch| without_cookie(branch).is_some()) {
            // RFC 3261 §17.2.3: "the branch parameter in the request is equal to the one in the top Via
            // header field of the request that created the transaction, and"
            // RFC 3261 §17.2.3: "the sent-by value in the top Via of the request is equal to the one in the
            // request that created the transaction, and"
            Some(branch) => {
                bytes.extend_from_slice(branch.as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(via.sent_by().as_bytes());
                bytes.make_ascii_lowercase();
                let head = bytes.len();
                Self { bytes, head }
            }
            // RFC 3261 §17.2.3: "If the branch parameter in the top Via header field is not present, or does
            // not contain the magic cookie, the following procedures are used."
            // RFC 3261 §17.2.3: "The INVITE request matches a transaction if the Request-URI, To tag, From
            // tag, Call-ID, CSeq, and top Via header field match those of the INVITE request which created
            // the transaction."
            None => {
                // Validation refuses a request without these.
                let cseq = headers.cseq().map_or(0, |cseq| cseq.number);
                bytes.push(0);
                bytes.extend_from_slice(headers.call_id().unwrap_or_default().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(headers.from_tag().unwrap_or_default().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(&cseq.to_be_bytes());
                write_via(via, &mut bytes);
                let head = bytes.len();
                bytes.extend_from_slice(headers.to_tag().unwrap_or_default().as_bytes());
                bytes.push(0);
                bytes.extend_from_slice(request.uri_bytes());
                Self { bytes, head }
            }
        }
    }

    /// Whether the request comes from a client that makes no branches: RFC 2543.
    pub(crate) fn is_rfc2543(&self) -> bool {
        self.bytes.first() == Some(&0)
    }

    pub(crate) fn hash(&self, seed: [u64; 2]) -> u64 {
        hash(seed, self.head())
    }

    pub(crate) fn to_key(&self) -> MatchKey {
        MatchKey { bytes: self.bytes.as_slice().into(), head: self.head as u32 }
    }

    fn head(&self) -> &[u8] {
        self.bytes.get(..self.head).unwrap_or_default()
    }

    fn tail(&self) -> (&[u8], &[u8]) {
        split_tail(self.bytes.get(self.head..).unwrap_or_default())
    }
}

impl MatchKey {
    pub(crate) fn hash(&self, seed: [u64; 2]) -> u64 {
        hash(seed, self.head())
    }

    /// Whether a request of the transaction's own method is this one again.
    pub(crate) fn is_repeated_by(&self, probe: &Probe) -> bool {
        self.head() == probe.head()
            && (!probe.is_rfc2543() || {
                let ((tag, uri), (other_tag, other_uri)) = (self.tail(), probe.tail());
                tag == other_tag && is_same_uri(uri, other_uri)
            })
    }

    /// Whether an ACK belongs to this INVITE, whose last response is at hand.
    pub(crate) fn is_acknowledged_by(&self, probe: &Probe, response: &[u8]) -> bool {
        self.head() == probe.head()
            && (!probe.is_rfc2543() || {
                // RFC 3261 §17.2.3: "The ACK request matches a transaction if the Request-URI, From tag, Call-ID,
                // CSeq number (not the method), and top Via header field match those of the INVITE request which
                // created the transaction, and the To tag of the ACK matches the To tag of the response sent by
                // the server transaction."
                let ((_, uri), (tag, other_uri)) = (self.tail(), probe.tail());
                is_same_uri(uri, other_uri) && to_tag_is(response, tag)
            })
    }

    /// The same, where the response is not kept: the user of an accepted INVITE sees every ACK.
    pub(crate) fn is_acknowledged_by_any_tag(&self, probe: &Probe) -> bool {
        self.head() == probe.head()
            && (!probe.is_rfc2543() || is_same_uri(self.tail().1, probe.tail().1))
    }

    fn head(&self) -> &[u8] {
        self.bytes.get(..self.head as usize).unwrap_or_default()
    }

    fn tail(&self) -> (&[u8], &[u8]) {
        split_tail(self.bytes.get(self.head as usize..).unwrap_or_default())
    }
}

/// Whether a transaction that was created by `created` is the one that a request of `method` belongs
/// to, their keys being equal.
///
/// RFC 3261 §17.2.3: "the method of the request matches the one that created the transaction, except
/// for ACK, where the method of the request that created the transaction is INVITE."
pub(crate) fn is_method_of(method: &Method, created: &Method) -> bool {
    match method {
        Method::Ack => *created == Method::Invite,
        method => method == created,
    }
}

fn hash(seed: [u64; 2], head: &[u8]) -> u64 {
    // A peer chooses all of it: the hash is keyed, so that nobody can aim at one bucket.
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    hasher.write(head);
    hasher.finish()
}

/// The top Via as RFC 3261 §20.42 compares it: protocol, sent-by and parameters, without what we added.
fn write_via(via: &Via<'_>, out: &mut SmallVec<[u8; 128]>) {
    let lower = |text: &str, out: &mut SmallVec<[u8; 128]>| {
        out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        out.push(0);
    };
    out.push(0);
    lower(via.transport_str(), out);
    lower(via.sent_by(), out);
    let params = via.params().filter(|param| !param.is("received") && !param.is("rport"));
    let mut params: SmallVec<[_; 8]> =
        params.map(|param| (param.name().to_ascii_lowercase(), param.raw_value())).collect();
    params.sort_unstable();
    for (name, value) in params {
        lower(&name, out);
        out.extend(value.unwrap_or_default().iter().map(|byte| byte.to_ascii_lowercase()));
        out.push(0);
    }
}

fn split_tail(tail: &[u8]) -> (&[u8], &[u8]) {
    let zero = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
    (tail.get(..zero).unwrap_or_default(), tail.get(zero.saturating_add(1)..).unwrap_or_default())
}

fn is_same_uri(one: &[u8], other: &[u8]) -> bool {
    one == other
        || match (Uri::parse(one), Uri::parse(other)) {
            (Ok(one), Ok(other)) => one.is_equivalent(&other),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
}

fn to_tag_is(response: &[u8], tag: &[u8]) -> bool {
    let message = Message::parse(bytes::Bytes::copy_from_slice(response), &Default::default());
    match message {
        Ok(Message::Response(response)) => {
            response.headers().to_tag().unwrap_or_default().as_bytes() == tag
        }
        Ok(Message::Request(_)) | Err(_) => false,
    }
}
