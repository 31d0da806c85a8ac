//! The test messages of RFC 4475 and RFC 5118, byte for byte. Tests of other crates include this too.

pub(crate) mod invalid;
pub(crate) mod ipv6;
pub(crate) mod semantics;
pub(crate) mod valid;

/// A message and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vector {
    /// The RFC's own short name for it.
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    /// What the `parse` example prints of it, behind its name: what every element owes.
    pub(crate) verdict: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// RFC 4475: 49, in its order.
pub(crate) const RFC_4475: &[Vector] = &[
    valid::WSINV,
    valid::INTMETH,
    valid::ESC01,
    valid::ESCNULL,
    valid::ESC02,
    valid::LWSDISP,
    valid::LONGREQ,
    valid::DBLREQ,
    valid::SEMIURI,
    valid::TRANSPORTS,
    valid::MPART01,
    valid::UNREASON,
    valid::NOREASON,
    invalid::BADINV01,
    invalid::CLERR,
    invalid::NCL,
    invalid::SCALAR02,
    invalid::SCALARLG,
    invalid::QUOTBAL,
    invalid::LTGTRURI,
    invalid::LWSRURI,
    invalid::LWSSTART,
    invalid::TRWS,
    invalid::ESCRURI,
    invalid::BADDATE,
    invalid::REGBADCT,
    invalid::BADASPEC,
    invalid::BADDN,
    invalid::BADVERS,
    invalid::MISMATCH01,
    invalid::MISMATCH02,
    invalid::BIGCODE,
    semantics::BADBRANCH,
    semantics::INSUF,
    semantics::UNKSCM,
    semantics::NOVELSC,
    semantics::UNKSM2,
    semantics::BEXT01,
    semantics::INVUT,
    semantics::REGAUT01,
    semantics::MULTI01,
    semantics::MCL01,
    semantics::BCAST,
    semantics::ZEROMF,
    semantics::CPARAM01,
    semantics::CPARAM02,
    semantics::REGESCRT,
    semantics::SDP01,
    semantics::INV2543,
];

/// RFC 5118: 12, in its order.
pub(crate) const RFC_5118: &[Vector] = &[
    ipv6::IPV6_GOOD,
    ipv6::IPV6_BAD,
    ipv6::PORT_AMBIGUOUS,
    ipv6::PORT_UNAMBIGUOUS,
    ipv6::VIA_RECEIVED_PARAM_WITH_DELIM,
    ipv6::VIA_RECEIVED_PARAM_NO_DELIM,
    ipv6::IPV6_IN_SDP,
    ipv6::MULT_IP_IN_HEADER,
    ipv6::MULT_IP_IN_SDP,
    ipv6::IPV4_MAPPED_IPV6,
    ipv6::IPV6_BUG_ABNF_3_COLONS,
    ipv6::IPV6_CORRECT_ABNF_2_COLONS,
];
