//! Which security mechanism a user agent and its next hop use (RFC 3329).

use alloc::borrow::Cow;

use super::QValue;
use super::rule::Rule;
use super::word::{token, word_header};
use crate::{HeaderError, params};

const RULES: &[Rule] = &[
    Rule::new("q", |value| value.and_then(QValue::parse).is_some()),
    Rule::token("d-alg"),
    Rule::token("d-qop"),
    Rule::new("d-ver", |value| match value {
        Some([b'"', digits @ .., b'"']) => {
            digits.len() == 32 && digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        _ => false,
    }),
];

/// What all three headers have.
macro_rules! mechanism {
    ($name:ident) => {
        impl $name<'_> {
            /// This mechanism: `tls`, `digest`, `ipsec-ike`, `ipsec-man`, `ipsec-3gpp` or another.
            ///
            /// # Errors
            /// It must be a token.
            pub fn new(mechanism: &str) -> Result<$name<'static>, HeaderError> {
                Self::from_word(mechanism)
            }

            /// With this preference.
            pub fn with_q(&self, q: QValue) -> Result<$name<'static>, HeaderError> {
                self.with_param("q", Some(&alloc::format!("{q}")))
            }

            /// With this `d-ver`: 32 lower-case hexadecimal digits.
            ///
            /// # Errors
            /// It must be that.
            pub fn with_digest_verify(&self, digest: &str) -> Result<$name<'static>, HeaderError> {
                let text = params::with_quoted_param(&self.text, self.params, "d-ver", digest);
                Self::from_vec(text.map_err(|fault| {
                    HeaderError::from_fault(<$name<'_> as crate::Header>::NAME, fault)
                })?)
            }

            /// The mechanism as it is written.
            pub fn mechanism(&self) -> &str {
                self.word()
            }

            /// Whether this is the mechanism, without regard to case.
            pub fn is(&self, mechanism: &str) -> bool {
                self.word().eq_ignore_ascii_case(mechanism)
            }

            /// How much it is preferred, if that is said.
            pub fn q(&self) -> Option<QValue> {
                self.param("q")?.raw_value().and_then(QValue::parse)
            }

            /// `d-alg`: the algorithm of the digest.
            pub fn digest_algorithm(&self) -> Option<Cow<'_, str>> {
                self.param("d-alg")?.value()
            }

            /// `d-qop`: the quality of protection of the digest.
            pub fn digest_qop(&self) -> Option<Cow<'_, str>> {
                self.param("d-qop")?.value()
            }

            /// `d-ver`: the digest over what the server offered.
            pub fn digest_verify(&self) -> Option<Cow<'_, str>> {
                self.param("d-ver")?.value()
            }
        }
    };
}

word_header!(SecurityClient, true, token, RULES,
/// One Security-Client value: a mechanism that the client supports (RFC 3329 §2.2).
///
/// ```
/// use sip_message::{Header, SecurityClient};
/// let offer = SecurityClient::parse(b"ipsec-3gpp; alg=hmac-sha-1-96; spi-c=3929102; port-c=3333")?;
/// assert!(offer.is("ipsec-3gpp") && offer.param("spi-c").is_some());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

mechanism!(SecurityClient);

word_header!(SecurityServer, true, token, RULES,
/// One Security-Server value: a mechanism that the server supports (RFC 3329 §2.2).
///
/// ```
/// use sip_message::{QValue, SecurityServer};
/// let offer = SecurityServer::new("tls")?.with_q(QValue::new(200).expect("at most 1000"))?;
/// assert_eq!(offer.to_string(), "tls;q=0.2");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

mechanism!(SecurityServer);

word_header!(SecurityVerify, true, token, RULES,
/// One Security-Verify value: what the client saw of the server's Security-Server (RFC 3329 §2.2).
///
/// ```
/// use sip_message::{Header, SecurityServer, SecurityVerify};
/// let offered = SecurityServer::parse(b"ipsec-ike;q=0.1")?;
/// assert_eq!(SecurityVerify::from(offered).to_string(), "ipsec-ike;q=0.1");
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

mechanism!(SecurityVerify);

impl<'a> From<SecurityServer<'a>> for SecurityVerify<'a> {
    // RFC 3329 §2.3.1: "These requests MUST contain a Security-Verify header field that mirrors the
    // server's list received previously in the Security-Server header field."
    fn from(SecurityServer { text, word, params }: SecurityServer<'a>) -> Self {
        Self { text, word, params }
    }
}
