//! Whether a certificate leads to a root that we trust, and is of the domain asked for.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::identity::Identities;
use super::setup::ClientCertificates;
use super::{Alert, TlsError};

/// Checks the certificates of servers and of clients.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) roots: RootCertStore,
    pub(super) subjects: Vec<DistinguishedName>,
    pub(super) revoked: Vec<CertRevocationList<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) clients: ClientCertificates,
}

/// id-kp-sipDomain (RFC 5924): 1.3.6.1.5.5.7.3.20
const SIP_DOMAIN: KeyUsage =
    KeyUsage::required_if_present(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x14]);

impl Verifier {
    // RFC 5922 §7.1: "Implementations (both clients and server) MUST determine the validity of a
    // certificate by following the procedures described in RFC 5280"
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(certificate_error)?;
        let revoked: Vec<_> = self.revoked.iter().collect();
        let verify = |usage| {
            // Of an issuer without a list here nothing is known to be revoked.
            let revocation = RevocationOptionsBuilder::new(&revoked)
                .map(|options| options.with_status_policy(UnknownStatusPolicy::Allow).build())
                .ok();
            certificate
                .verify_for_usage(
                    self.algorithms.all,
                    &self.roots.roots,
                    intermediates,
                    now,
                    usage,
                    revocation,
                    None,
                )
                .map(drop)
        };
        // RFC 5922 §7.1: "implementations MUST check for restrictions on certificate usage declared by any
        // extendedKeyUsage extensions in the certificate."
        match verify(usage) {
            Err(webpki::Error::RequiredEkuNotFoundContext(_)) => verify(SIP_DOMAIN),
            result => result,
        }
        .map_err(certificate_error)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::server_auth())?;
        // RFC 5922 §7.3: "Then, the client MUST compare the original domain portion of the SIP AUS used as
        // input to the RFC 3263 [8] server location procedures to the SIP domain identities obtained from
        // the certificate."
        // RFC 5922 §7.3: "If the server is not authenticated, the client MUST close the connection
        // immediately."
        Identities::of(end_entity).prove(&server_name.to_str()).map_err(refusal)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.clients != ClientCertificates::NotAsked
    }

    // RFC 5922 §7.4: "Whether or not to close a connection if the client does not present a certificate
    // is a matter of local policy"
    fn client_auth_mandatory(&self) -> bool {
        self.clients == ClientCertificates::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    // RFC 5922 §7.4: "When authenticating the client, the server MUST obtain the set of SIP domain
    // identities from the client certificate as described in Section 7.1."
    // That is done when the connection is open; what they may do is the application's to say.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// In the words of rustls, which choose the alert that the far end gets.
fn certificate_error(error: webpki::Error) -> Error {
    use webpki::Error as Pki;
    let error = match error {
        Pki::CertExpired { .. } => CertificateError::Expired,
        Pki::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Pki::CertRevoked => CertificateError::Revoked,
        // Of an issuer that only bears the name of one that we trust.
        Pki::UnknownIssuer | Pki::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        Pki::RequiredEkuNotFoundContext(_) | Pki::CaUsedAsEndEntity => {
            CertificateError::InvalidPurpose
        }
        _ => CertificateError::BadEncoding,
    };
    Error::InvalidCertificate(error)
}

fn refusal(error: TlsError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

impl From<&Error> for TlsError {
    fn from(error: &Error) -> Self {
        use CertificateError as Certificate;
        match error {
            Error::InvalidCertificate(error) => match error {
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                Certificate::Revoked => Self::Revoked,
                Certificate::UnknownIssuer => Self::Untrusted,
                Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
                    Self::WrongPurpose
                }
                Certificate::Other(OtherError(other)) => {
                    other.downcast_ref().copied().unwrap_or(Self::BadCertificate)
                }
                _ => Self::BadCertificate,
            },
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::AlertReceived(alert) => Self::Alert(Alert(u8::from(*alert))),
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            _ => Self::Protocol,
        }
    }
}
