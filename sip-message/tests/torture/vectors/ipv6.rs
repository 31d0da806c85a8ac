//! RFC 5118 §4, with CRLF and the right Content-Length, which the archive of its appendix A lacks.

use super::Vector;

/// Valid SIP Message with an IPv6 Reference.
pub(crate) const IPV6_GOOD: Vector = Vector {
    name: "ipv6-good",
    section: "RFC 5118 §4.1",
    verdict: "ok\trequest REGISTER",
    bytes: b"\
        REGISTER sip:[2001:db8::10] SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Max-Forwards: 70\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
        CSeq: 98176 REGISTER\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// Invalid SIP Message with an IPv6 Reference.
pub(crate) const IPV6_BAD: Vector = Vector {
    name: "ipv6-bad",
    section: "RFC 5118 §4.2",
    verdict: "reject\t400\t400 Bad Request: byte 18: Request-URI: not a port (RFC 3261 §7.1)",
    bytes: b"\
        REGISTER sip:2001:db8::10 SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Max-Forwards: 70\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
        CSeq: 98176 REGISTER\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// Port Ambiguous in a SIP URI.
pub(crate) const PORT_AMBIGUOUS: Vector = Vector {
    name: "port-ambiguous",
    section: "RFC 5118 §4.3",
    verdict: "ok\trequest REGISTER",
    bytes: b"\
        REGISTER sip:[2001:db8::10:5070] SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
        Max-Forwards: 70\r\n\
        CSeq: 98176 REGISTER\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// Port Unambiguous in a SIP URI.
pub(crate) const PORT_UNAMBIGUOUS: Vector = Vector {
    name: "port-unambiguous",
    section: "RFC 5118 §4.4",
    verdict: "ok\trequest REGISTER",
    bytes: b"\
        REGISTER sip:[2001:db8::10]:5070 SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>\r\n\
        Max-Forwards: 70\r\n\
        CSeq: 98176 REGISTER\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// IPv6 Reference Delimiters in Via Header, with them.
pub(crate) const VIA_RECEIVED_PARAM_WITH_DELIM: Vector = Vector {
    name: "via-received-param-with-delim",
    section: "RFC 5118 §4.5",
    verdict: "ok\trequest BYE",
    bytes: b"\
        BYE sip:[2001:db8::10] SIP/2.0\r\n\
        To: sip:user@example.com;tag=bd76ya\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Max-Forwards: 70\r\n\
        CSeq: 321 BYE\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// IPv6 Reference Delimiters in Via Header, without them.
pub(crate) const VIA_RECEIVED_PARAM_NO_DELIM: Vector = Vector {
    name: "via-received-param-no-delim",
    section: "RFC 5118 §4.5",
    verdict: "ok\trequest OPTIONS",
    bytes: b"\
        OPTIONS sip:[2001:db8::10] SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3\r\n\
        Call-ID: SSG95523997077@hlau_4100\r\n\
        Max-Forwards: 70\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>\r\n\
        CSeq: 921 OPTIONS\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// SIP Request with IPv6 Addresses in Session Description Protocol (SDP) Body.
pub(crate) const IPV6_IN_SDP: Vector = Vector {
    name: "ipv6-in-sdp",
    section: "RFC 5118 §4.6",
    verdict: "ok\trequest INVITE",
    bytes: b"\
        INVITE sip:user@[2001:db8::10] SIP/2.0\r\n\
        To: sip:user@[2001:db8::10]\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::20]>\r\n\
        CSeq: 8612 INVITE\r\n\
        Max-Forwards: 70\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 251\r\n\
        \r\n\
        v=0\r\n\
        o=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\n\
        s=Live video feed for today's meeting\r\n\
        c=IN IP6 2001:db8::20\r\n\
        t=3338481189 3370017201\r\n\
        m=audio 6000 RTP/AVP 2\r\n\
        a=rtpmap:2 G726-32/8000\r\n\
        m=video 6024 RTP/AVP 107\r\n\
        a=rtpmap:107 H263-1998/90000\r\n",
};

/// Multiple IP Addresses in SIP Headers.
pub(crate) const MULT_IP_IN_HEADER: Vector = Vector {
    name: "mult-ip-in-header",
    section: "RFC 5118 §4.7",
    verdict: "ok\trequest BYE",
    bytes: b"\
        BYE sip:user@host.example.net SIP/2.0\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144\r\n\
        Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200\r\n\
        Call-ID: 997077@lau_4100\r\n\
        Max-Forwards: 70\r\n\
        CSeq: 89187 BYE\r\n\
        To: sip:user@example.net;tag=9817--94\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// Multiple IP Addresses in SDP.
pub(crate) const MULT_IP_IN_SDP: Vector = Vector {
    name: "mult-ip-in-sdp",
    section: "RFC 5118 §4.8",
    verdict: "ok\trequest INVITE",
    bytes: b"\
        INVITE sip:user@[2001:db8::10] SIP/2.0\r\n\
        To: sip:user@[2001:db8::10]\r\n\
        From: sip:user@example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>\r\n\
        Max-Forwards: 70\r\n\
        CSeq: 8912 INVITE\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 189\r\n\
        \r\n\
        v=0\r\n\
        o=bob 280744730 28977631 IN IP4 host.example.com\r\n\
        s=\r\n\
        t=0 0\r\n\
        m=audio 22334 RTP/AVP 0\r\n\
        c=IN IP4 192.0.2.1\r\n\
        m=video 6024 RTP/AVP 107\r\n\
        c=IN IP6 2001:db8::1\r\n\
        a=rtpmap:107 H263-1998/90000\r\n",
};

/// IPv4-Mapped IPv6 Addresses.
pub(crate) const IPV4_MAPPED_IPV6: Vector = Vector {
    name: "ipv4-mapped-ipv6",
    section: "RFC 5118 §4.9",
    verdict: "ok\trequest INVITE",
    bytes: b"\
        INVITE sip:user@example.com SIP/2.0\r\n\
        To: sip:user@example.com\r\n\
        From: sip:user@east.example.com;tag=81x2\r\n\
        Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\r\n\
        Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111\r\n\
        Call-ID: SSG9559905523997077@hlau_4100\r\n\
        Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>\r\n\
        CSeq: 612 INVITE\r\n\
        Max-Forwards: 70\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 245\r\n\
        \r\n\
        v=0\r\n\
        o=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2\r\n\
        s=Call me soon, please!\r\n\
        c=IN IP6 ::ffff:192.0.2.2\r\n\
        t=3338481189 3370017201\r\n\
        m=audio 6000 RTP/AVP 2\r\n\
        a=rtpmap:2 G726-32/8000\r\n\
        m=video 6024 RTP/AVP 107\r\n\
        a=rtpmap:107 H263-1998/90000\r\n",
};

/// IPv6 Reference Bug in RFC 3261 ABNF, with the extra colon.
pub(crate) const IPV6_BUG_ABNF_3_COLONS: Vector = Vector {
    name: "ipv6-bug-abnf-3-colons",
    section: "RFC 5118 §4.10",
    verdict: "ok\trequest OPTIONS",
    bytes: b"\
        OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0\r\n\
        To: sip:user@[2001:db8:::192.0.2.1]\r\n\
        From: sip:user@example.com;tag=810x2\r\n\
        Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\n\
        Call-ID: G9559905523997077@hlau_4100\r\n\
        CSeq: 689 OPTIONS\r\n\
        Max-Forwards: 70\r\n\
        Content-Length: 0\r\n\
        \r\n",
};

/// IPv6 Reference Bug in RFC 3261 ABNF, without it.
pub(crate) const IPV6_CORRECT_ABNF_2_COLONS: Vector = Vector {
    name: "ipv6-correct-abnf-2-colons",
    section: "RFC 5118 §4.10",
    verdict: "ok\trequest OPTIONS",
    bytes: b"\
        OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0\r\n\
        To: sip:user@[2001:db8::192.0.2.1]\r\n\
        From: sip:user@example.com;tag=810x2\r\n\
        Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\r\n\
        Call-ID: G9559905523997077@hlau_4100\r\n\
        CSeq: 689 OPTIONS\r\n\
        Max-Forwards: 70\r\n\
        Content-Length: 0\r\n\
        \r\n",
};
