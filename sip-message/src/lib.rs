//! SIP messages: URIs, header fields, requests and responses; parse, build and print (RFC 3261 §7, §19, §20, §25)
#![forbid(unsafe_code)]
