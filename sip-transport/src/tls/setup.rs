//! What TLS is set up with: certificates, roots, revocation lists; and their reload.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, KeyLogFile, RootCertStore, ServerConfig};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::identity::Identities;
use super::verify::Verifier;

/// What TLS is set up with, for all connections of an endpoint; [`Config::tls`](crate::Config::tls)
/// takes it.
///
/// The same certificate may serve several endpoints; clones share one set-up, which
/// [`reload`](Self::reload) replaces.
///
/// ```no_run
/// use sip_transport::tls::{Certificate, Tls};
///
/// let own = Certificate::from_pem(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
/// let tls = Tls::builder().certificate(own).roots_pem(&std::fs::read("ca.pem")?)?.build()?;
/// let config = sip_transport::Config::default().tls(Some(tls));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    current: Arc<RwLock<Current>>,
}

#[derive(Clone)]
struct Current {
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Nothing of ours to show, and the platform's roots.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// Replaces the whole set-up. Connections that are open stay; those opened from now on, and
    /// handshakes that begin from now on, know only the new one, and no session of before is resumed.
    ///
    /// # Errors
    ///
    /// As for [`TlsBuilder::build`]; the set-up stays as it was then.
    pub fn reload(&self, builder: TlsBuilder) -> Result<(), TlsConfigError> {
        let current = builder.build_current()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// Whether there is a certificate of ours, so that connections can be accepted.
    pub fn can_serve(&self) -> bool {
        self.server().is_some()
    }

    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).server.clone()
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).client)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("can_serve", &self.can_serve()).finish_non_exhaustive()
    }
}

/// A certificate of ours with its key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// From PEM: the certificate, followed by those that it leads to; and its private key (PKCS #8,
    /// PKCS #1 or SEC 1).
    ///
    /// # Errors
    ///
    /// If either holds none, if the key is of a kind that is not known, or is not that of the
    /// certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsConfigError::NoKey)?;
        let key = CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|error| TlsConfigError::Key(error.to_string().into()))?;
        Ok(Self { key: Arc::new(key) })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive() // not the key
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsConfigError::NoCertificate),
    }
}

/// Whether a server asks those who connect for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// It does not.
    #[default]
    NotAsked,
    /// Who shows one must show a valid one.
    Optional,
    /// Who shows none is not let in.
    Required,
}

/// Builds a [`Tls`].
#[derive(Clone, Debug, Default)]
pub struct TlsBuilder {
    certificates: Vec<Certificate>,
    client_certificate: Option<Certificate>,
    /// None for the platform's.
    roots: Option<Vec<CertificateDer<'static>>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    clients: ClientCertificates,
    key_log: bool,
}

impl TlsBuilder {
    /// Shows that certificate. With several, a client gets the first that is of the domain it asks for
    /// (SNI), else the first of all. Without one no connection can be accepted.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificates.push(certificate);
        self
    }

    /// Shows that certificate on connections that we open, to who asks for one; else the first of
    /// [`certificate`](Self::certificate) is shown there too.
    #[must_use]
    pub fn client_certificate(mut self, certificate: Certificate) -> Self {
        self.client_certificate = Some(certificate);
        self
    }

    /// Trusts these roots, in PEM, and those given before, but not the platform's.
    ///
    /// # Errors
    ///
    /// If it holds no certificate.
    pub fn roots_pem(mut self, pem: &[u8]) -> Result<Self, TlsConfigError> {
        let roots = certificates(pem)?;
        self.roots.get_or_insert_default().extend(roots);
        Ok(self)
    }

    /// Refuses what these lists (CRLs, in PEM) of certificate issuers revoke, anywhere in a chain. Nothing
    /// is known to be revoked of an issuer without a list; a list counts also after its `nextUpdate`.
    ///
    /// # Errors
    ///
    /// If it holds no list.
    pub fn revoked_pem(mut self, pem: &[u8]) -> Result<Self, TlsConfigError> {
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
        match lists {
            Ok(lists) if !lists.is_empty() => self.revoked.extend(lists),
            _ => return Err(TlsConfigError::RevocationList),
        }
        Ok(self)
    }

    /// Whether those who connect are asked for a certificate; they are not, unless this says so.
    #[must_use]
    pub const fn client_certificates(mut self, clients: ClientCertificates) -> Self {
        self.clients = clients;
        self
    }

    /// Writes the keys of all connections to the file that the environment names by `SSLKEYLOGFILE`, so
    /// that Wireshark can read them: for debugging alone. Not done unless this says so.
    #[must_use]
    pub const fn key_log(mut self, key_log: bool) -> Self {
        self.key_log = key_log;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// If a root or a revocation list cannot be read.
    pub fn build(self) -> Result<Tls, TlsConfigError> {
        Ok(Tls { current: Arc::new(RwLock::new(self.build_current()?)) })
    }

    fn build_current(self) -> Result<Current, TlsConfigError> {
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(self.verifier(&provider)?);
        let invalid = |error: rustls::Error| TlsConfigError::Rejected(error.to_string().into());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        let shown = self.client_certificate.as_ref().or(self.certificates.first());
        let mut client = match shown {
            Some(Certificate { key }) => {
                let key = SingleCertAndKey::from(CertifiedKey::clone(key));
                client.with_client_cert_resolver(Arc::new(key))
            }
            None => client.with_no_client_auth(),
        };
        let server = if self.certificates.is_empty() {
            None
        } else {
            let mut server = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(invalid)?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(ByDomain::new(&self.certificates)));
            // Sessions are kept by the clients, so that they cost nothing here.
            server.ticketer = Ticketer::new().map_err(invalid)?;
            server.send_tls13_tickets = 1;
            Some(server)
        };
        let server = server.map(|mut server| {
            if self.key_log {
                server.key_log = Arc::new(KeyLogFile::new());
            }
            Arc::new(server)
        });
        if self.key_log {
            client.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(Current { server, client: Arc::new(client) })
    }

    fn verifier(&self, provider: &CryptoProvider) -> Result<Verifier, TlsConfigError> {
        let mut roots = RootCertStore::empty();
        match &self.roots {
            Some(given) => {
                for root in given {
                    roots.add(root.clone()).map_err(|_| TlsConfigError::Root)?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    tracing::warn!("the platform has no roots: no certificate will be trusted");
                }
            }
        }
        let revoked: Result<Vec<_>, _> =
            self.revoked.iter().map(|list| OwnedCertRevocationList::from_der(list)).collect();
        let revoked = revoked.map_err(|_| TlsConfigError::RevocationList)?;
        // The platform's roots are a hundred names, which no client needs to choose its certificate.
        let subjects = if self.roots.is_some() { roots.subjects() } else { Vec::new() };
        Ok(Verifier {
            subjects,
            roots,
            revoked: revoked.into_iter().map(CertRevocationList::from).collect(),
            algorithms: provider.signature_verification_algorithms,
            clients: self.clients,
        })
    }
}

/// Chooses by the domain that the client asks for.
struct ByDomain {
    certificates: Vec<(Identities, Arc<CertifiedKey>)>,
}

impl ByDomain {
    fn new(certificates: &[Certificate]) -> Self {
        let certificates = certificates
            .iter()
            .map(|Certificate { key }| {
                let own = key.cert.first().map(|own| Identities::of(own));
                (own.unwrap_or_default(), Arc::clone(key))
            })
            .collect();
        Self { certificates }
    }
}

impl ResolvesServerCert for ByDomain {
    // RFC 5922 §7.8: "the client SHOULD use that extension to request a certificate corresponding to the
    // specific domain (from the SIP AUS) with which the client is seeking to establish a connection."
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_asked_for = |own: &Identities| {
            hello.server_name().is_some_and(|asked_for| own.prove(asked_for).is_ok())
        };
        self.certificates
            .iter()
            .find(|(own, _)| is_asked_for(own))
            .or(self.certificates.first())
            .map(|(_, key)| Arc::clone(key))
    }
}

impl fmt::Debug for ByDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.certificates.iter().map(|(own, _)| own)).finish()
    }
}

/// Why TLS cannot be set up so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// There is no certificate in the PEM.
    #[error("there is no certificate in the PEM")]
    NoCertificate,
    /// There is no private key in the PEM.
    #[error("there is no private key in the PEM")]
    NoKey,
    /// The key is of an unknown kind, or not that of the certificate.
    #[error("the private key cannot be used: {0}")]
    Key(Box<str>),
    /// A root is no certificate of an issuer.
    #[error("a root certificate cannot be read")]
    Root,
    /// A revocation list cannot be read.
    #[error("a certificate revocation list cannot be read")]
    RevocationList,
    /// The TLS library refuses the set-up.
    #[error("TLS cannot be set up: {0}")]
    Rejected(Box<str>),
}
