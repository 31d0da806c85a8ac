//! Who the far end of a TLS connection proved to be.

use bytes::Bytes;

/// Who the far end of a TLS connection proved to be, by a certificate that leads to a root we trust.
///
/// What it may do is the application's to decide (RFC 5922 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    domains: Box<[Box<str>]>,
    certificate: Bytes,
}

impl Peer {
    /// A far end of these domains, in lower case, with this certificate.
    pub fn new(domains: impl IntoIterator<Item = Box<str>>, certificate: Bytes) -> Self {
        Self { domains: domains.into_iter().collect(), certificate }
    }

    /// Who a certificate is of that was verified.
    #[cfg(feature = "tls")]
    pub(crate) fn of(certificate: &[u8]) -> Self {
        let domains = super::identity::Identities::of(certificate).into_domains();
        Self::new(domains, Bytes::copy_from_slice(certificate))
    }

    /// The SIP domains that it is authenticated for (RFC 5922 §7.1), in lower case; there may be none.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(|domain| &**domain)
    }

    /// Whether it is authenticated for the domain.
    pub fn is_of(&self, domain: &str) -> bool {
        // RFC 5922 §7.2: "Implementations MUST compare the values as DNS names, which means that the
        // comparison is case insensitive as specified by RFC 4343"
        self.domains().any(|own| own.eq_ignore_ascii_case(domain))
    }

    /// Its certificate, in DER.
    pub const fn certificate(&self) -> &Bytes {
        &self.certificate
    }
}
