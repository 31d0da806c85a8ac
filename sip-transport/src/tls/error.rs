//! Why a TLS connection did not come about.

use core::fmt;

/// Why a TLS connection did not come about, or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The time of the far end's certificate, or of one that it leads to, is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not come yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It is of other domains than the one that was asked for.
    #[error("the certificate is of another domain than the one asked for")]
    WrongDomain,
    /// The domain that was asked for would fit only a wildcard in it, which SIP does not know (RFC 5922
    /// §7.2).
    #[error("the certificate names the domain by a wildcard only, which is no name for SIP")]
    Wildcard,
    /// A name in it has a NUL.
    #[error("a name in the certificate holds a NUL")]
    NulInName,
    /// It names no SIP domain at all.
    #[error("the certificate names no SIP domain")]
    NoIdentity,
    /// It does not lead to a root that we trust.
    #[error("the certificate does not lead to a trusted root")]
    Untrusted,
    /// It was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// It is for another use.
    #[error("the certificate is not for this use")]
    WrongPurpose,
    /// It cannot be read or its signature is wrong.
    #[error("the certificate is malformed")]
    BadCertificate,
    /// The far end has shown no certificate, and must.
    #[error("the far end has shown no certificate")]
    NoCertificate,
    /// The far end refuses us.
    #[error("the far end refuses: {0}")]
    Alert(Alert),
    /// What the far end says is not TLS.
    #[error("the far end does not speak TLS")]
    NotTls,
    /// The far end knows no version or cipher that we do.
    #[error("no version or cipher of TLS in common")]
    NothingInCommon,
    /// The far end closed the connection amid the handshake.
    #[error("the far end closed the connection amid the handshake")]
    ClosedInHandshake,
    /// What was asked for is neither a domain name nor an address.
    #[error("the name asked for is neither a domain nor an address")]
    BadName,
    /// We have no certificate to show, and a server must.
    #[error("there is no certificate of ours")]
    NoCertificateOfOurs,
    /// The far end breaks the protocol.
    #[error("the far end breaks the rules of TLS")]
    Protocol,
}

/// The number of an alert (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert(pub u8);

impl Alert {
    /// The far end wants a certificate of ours, and got none.
    pub const CERTIFICATE_REQUIRED: Self = Self(116);
    /// Our certificate was revoked.
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    /// Our certificate has expired.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// Our certificate leads to no root that the far end trusts.
    pub const UNKNOWN_CA: Self = Self(48);

    const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => return None,
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}
