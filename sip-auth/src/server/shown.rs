//! The parameters of credentials, read once.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use sip_message::AuthParam;

use super::{MAX_TEXT, Refusal, User};
use crate::aka::from_base64;
use crate::digest::Digest;
use crate::{Algorithm, Hash, Qop};

const NAMES: [&str; 12] = [
    "username",
    "username*",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "cnonce",
    "qop",
    "nc",
    "userhash",
    "auts",
];

/// The parameters that matter, each the first of its name.
pub(super) struct Shown<'a> {
    params: [Option<AuthParam<'a>>; NAMES.len()],
    twice: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn of(credentials: &'a sip_message::Credentials<'_>) -> Self {
        let mut shown = Self { params: [None; NAMES.len()], twice: false };
        for param in credentials.params() {
            let place = shown.params.iter_mut().zip(NAMES).find(|(_, name)| param.is(name));
            if let Some((place, _)) = place {
                shown.twice |= place.is_some();
                place.get_or_insert(param);
            }
        }
        shown
    }

    fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        let (param, _) = self.params.iter().zip(NAMES).find(|(_, known)| *known == name)?;
        param.map(|param| param.value())
    }

    pub(super) fn realm(&self) -> Option<Cow<'a, str>> {
        self.param("realm")
    }

    pub(super) fn nonce(&self) -> Option<Cow<'a, str>> {
        self.param("nonce")
    }

    /// `None` for one that is not known.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::of_param(self.param("algorithm").as_deref()).ok()
    }

    /// RFC 7616 §3.4: "If a parameter or its value is improper, or required parameters are
    /// missing, the proper response is a 4xx error code."
    pub(super) fn no_parameter_twice(&self) -> Result<(), Refusal> {
        if self.twice { Err(Refusal::Malformed("a parameter twice")) } else { Ok(()) }
    }

    pub(super) fn user(&self, hash_offered: bool) -> Result<User, Refusal> {
        let hidden = match self.param("userhash") {
            None => false,
            Some(flag) if flag.eq_ignore_ascii_case("false") => false,
            Some(flag) if flag.eq_ignore_ascii_case("true") && hash_offered => true,
            Some(_) => return Err(Refusal::Malformed("userhash")),
        };
        match (self.param("username"), self.param("username*")) {
            (Some(hash), None) if hidden => Ok(User::Hash(text(hash, "username")?.to_lowercase())),
            (Some(name), None) => Ok(User::Name(text(name, "username")?.into_owned())),
            (None, Some(encoded)) if !hidden => decoded(&text(encoded, "username*")?)
                .map(User::Name)
                .ok_or(Refusal::Malformed("username*")),
            // RFC 7616 §3.4: "Sending both username and username* in the same header
            // option MUST be treated as an error."
            (Some(_), Some(_)) => Err(Refusal::Malformed("both username and username*")),
            (None, Some(_)) => Err(Refusal::Malformed("userhash")),
            (None, None) => Err(Refusal::Malformed("no username")),
        }
    }

    pub(super) fn uri(&self) -> Result<Cow<'a, str>, Refusal> {
        text(self.param("uri").ok_or(Refusal::Malformed("no uri"))?, "uri")
    }

    pub(super) fn qop(&self) -> Result<Option<Qop>, Refusal> {
        let name = self.param("qop");
        name.map(|name| Qop::named(&name).ok_or(Refusal::Malformed("qop"))).transpose()
    }

    pub(super) fn cnonce(&self) -> Result<Cow<'a, str>, Refusal> {
        let cnonce = text(self.param("cnonce").ok_or(Refusal::Malformed("no cnonce"))?, "cnonce")?;
        // It goes back in Authentication-Info.
        if cnonce.chars().any(char::is_control) {
            return Err(Refusal::Malformed("cnonce"));
        }
        Ok(cnonce)
    }

    pub(super) fn nonce_count(&self) -> Result<u32, Refusal> {
        let text = self.param("nc").ok_or(Refusal::Malformed("no nc"))?;
        // RFC 7616 §3.5: "the nc value MUST be exactly 8 hexadecimal
        // digits."
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u32::from_str_radix(&text, 16) {
            // The first request has 1.
            Ok(nc) if digits && nc > 0 => Ok(nc),
            _ => Err(Refusal::Malformed("nc")),
        }
    }

    /// What a SIM says that is out of step (RFC 3310 §3.4).
    pub(super) fn auts(&self) -> Result<Option<[u8; 14]>, Refusal> {
        let Some(auts) = self.param("auts") else { return Ok(None) };
        let bytes = from_base64(&auts).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Some).ok_or(Refusal::Malformed("auts"))
    }

    pub(super) fn response(&self, hash: Hash) -> Result<Digest, Refusal> {
        let response = self.param("response").ok_or(Refusal::Malformed("no response"))?;
        Digest::from_hex(hash, &response).ok_or(Refusal::Malformed("response"))
    }
}

fn text<'a>(text: Cow<'a, str>, name: &'static str) -> Result<Cow<'a, str>, Refusal> {
    if text.len() > MAX_TEXT { Err(Refusal::Malformed(name)) } else { Ok(text) }
}

/// The text of `UTF-8''per%20cent` (RFC 5987 §3.2), whatever language it names.
fn decoded(encoded: &str) -> Option<String> {
    let mut parts = encoded.splitn(3, '\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return None;
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from((high << 4) | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
