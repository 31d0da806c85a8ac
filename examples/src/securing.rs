//! `--cert`, `--ca` and the like: TLS.

use std::error::Error;

use clap::Args;
use sip_ua::UserAgentBuilder;

/// How TLS is spoken. Without the feature `tls` it is not.
#[derive(Args, Clone, Debug)]
pub struct Securing {
    /// Our certificate for TLS, in PEM, followed by those that it leads to; `tls:` listeners need one
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<std::path::PathBuf>,
    /// Its private key, in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<std::path::PathBuf>,
    /// The roots to trust, in PEM; by default the system's
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
    /// The certificate to show where we connect; by default that of --cert
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<std::path::PathBuf>,
    /// Its private key
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<std::path::PathBuf>,
    /// Let nobody connect who shows no valid certificate
    #[cfg(feature = "tls")]
    #[arg(long, requires = "cert")]
    require_client_cert: bool,
    /// Write the keys of TLS to the file that SSLKEYLOGFILE names, for Wireshark
    #[cfg(feature = "tls")]
    #[arg(long)]
    key_log: bool,
}

impl Securing {
    /// Lets the user agent speak TLS by what the command line says.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or holds something else.
    pub fn apply(&self, builder: UserAgentBuilder) -> Result<UserAgentBuilder, Box<dyn Error>> {
        #[cfg(feature = "tls")]
        return Ok(match self.tls()? {
            Some(tls) => builder.tls(tls),
            None => builder,
        });
        #[cfg(not(feature = "tls"))]
        Ok(builder)
    }

    /// The same for sockets alone.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn transport(&self) -> Result<sip_transport::Config, Box<dyn Error>> {
        let config = sip_transport::Config::default();
        #[cfg(feature = "tls")]
        let config = config.tls(self.tls()?);
        Ok(config)
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Option<sip_transport::tls::Tls>, Box<dyn Error>> {
        use sip_transport::tls::{Certificate, ClientCertificates, Tls};
        // With nothing said there is no need to read the system's roots.
        if self.cert.is_none() && self.client_cert.is_none() && self.ca.is_none() {
            return Ok(None);
        }
        let read = |file: &std::path::Path| {
            std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
        };
        let mut tls = Tls::builder().key_log(self.key_log);
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.certificate(Certificate::from_pem(&read(cert)?, &read(key)?)?);
        }
        if let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) {
            tls = tls.client_certificate(Certificate::from_pem(&read(cert)?, &read(key)?)?);
        }
        if let Some(ca) = &self.ca {
            tls = tls.roots_pem(&read(ca)?)?;
        }
        if self.require_client_cert {
            tls = tls.client_certificates(ClientCertificates::Required);
        }
        Ok(Some(tls.build()?))
    }
}
