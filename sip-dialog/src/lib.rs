//! SIP dialogs and sessions, sans-IO: route sets, CSeq rules, target refresh, re-INVITE glare (RFC 3261 §12-§15)
#![forbid(unsafe_code)]
