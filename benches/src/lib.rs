//! Benchmarks: parsing, cost per call, memory.
//!
//! Six messages of typical shapes, and what it takes to read them at two levels:
//!
//! - *framing*: the start line and all header fields are known, the body is delimited;
//! - *routing*: also Request-URI or status, top Via, From and To with tags, Call-ID, CSeq,
//!   Max-Forwards, Content-Length and every Contact, Route and Record-Route, typed.
#![forbid(unsafe_code)]

pub mod negotiated;
pub mod ours;
#[cfg(feature = "peers")]
#[path = "../peers/mod.rs"]
pub mod peers;

/// The benchmark messages by name, CRLF and with exact Content-Length.
pub const MESSAGES: [(&str, &[u8]); 6] = [
    ("options", include_bytes!("../messages/a_options.sip")),
    ("register", include_bytes!("../messages/b_register.sip")),
    ("invite", include_bytes!("../messages/c_invite.sip")),
    ("200-ok", include_bytes!("../messages/d_200ok.sip")),
    ("ims-invite", include_bytes!("../messages/e_ims_invite.sip")),
    ("notify", include_bytes!("../messages/f_notify.sip")),
];
