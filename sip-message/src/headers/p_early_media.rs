use super::option_tags::{IN_ANY_CASE, token_list_header};

token_list_header!(PEarlyMedia, IN_ANY_CASE,
/// P-Early-Media: whether and which way early media may flow (RFC 5009 §8).
///
/// In a request, `supported` says that its sender understands the header field. In a response, the
/// directions stand for the media lines of the session in their order: `sendrecv`, `sendonly`,
/// `recvonly` or `inactive`; `gated` says that an element already gates the media. Others may come.
///
/// ```
/// use sip_message::{Header, PEarlyMedia};
/// let early = PEarlyMedia::parse(b"sendonly, inactive, gated")?;
/// assert!(early.contains("gated") && !early.contains("supported"));
/// assert_eq!(early.iter().next(), Some("sendonly"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);
