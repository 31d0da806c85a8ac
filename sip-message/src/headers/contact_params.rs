//! Contact parameters of extensions: outbound (RFC 5626), GRUU (RFC 5627), capabilities (RFC 3840).

use alloc::borrow::Cow;
use alloc::format;

use super::feature;
use crate::scan;
use crate::{Contact, Feature, HeaderError, HeaderErrorKind, Uri};

impl Contact<'_> {
    /// `reg-id`: which of its flows the user agent registers; `None` also if it is not from 1 to
    /// 2^31 - 1 (RFC 5626 §10).
    pub fn reg_id(&self) -> Option<u32> {
        let id = scan::whole_number(self.param("reg-id")?.raw_value()?)?;
        is_reg_id(id).then_some(id)
    }

    /// With this `reg-id`.
    ///
    /// # Errors
    /// It must be from 1 to 2^31 - 1; `*` takes no parameters.
    pub fn with_reg_id(&self, id: u32) -> Result<Contact<'static>, HeaderError> {
        self.edited(|address| {
            if !is_reg_id(id) {
                return Err(HeaderErrorKind::Number);
            }
            address.with_param("reg-id", Some(&format!("{id}")))
        })
    }

    /// `+sip.instance` without its angle brackets: the URN that names the device for all time
    /// (RFC 5626 §4.1).
    pub fn instance(&self) -> Option<Cow<'_, str>> {
        self.feature("+sip.instance")?.string()
    }

    /// With this `+sip.instance`, such as `urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
    ///
    /// # Errors
    /// It must be a URI; `*` takes no parameters.
    pub fn with_instance(&self, urn: &str) -> Result<Contact<'static>, HeaderError> {
        self.edited(|address| {
            let uri = Uri::parse(urn.as_bytes()).map_err(|e| HeaderErrorKind::Uri(e.kind()))?;
            address.with_quoted_param("+sip.instance", &format!("<{uri}>"))
        })
    }

    /// `pub-gruu`: the public GRUU that the registrar gave this contact; `None` also if it is no SIP
    /// URI (RFC 5627 §7).
    pub fn pub_gruu(&self) -> Option<Uri<'_>> {
        self.sip_uri("pub-gruu")
    }

    /// `temp-gruu`: the newest temporary GRUU that the registrar gave this contact; `None` also if it
    /// is no SIP URI (RFC 5627 §7).
    pub fn temp_gruu(&self) -> Option<Uri<'_>> {
        self.sip_uri("temp-gruu")
    }

    // RFC 5627 §7: "The quoted strings for temp-gruu and pub-gruu MUST contain a SIP URI."
    fn sip_uri(&self, name: &str) -> Option<Uri<'_>> {
        let uri = match self.param(name)?.value()? {
            Cow::Borrowed(text) => Uri::parse(text.as_bytes()).ok(),
            Cow::Owned(text) => text.parse().ok(),
        };
        uri.filter(Uri::is_sip)
    }

    /// With this `pub-gruu`.
    ///
    /// # Errors
    /// The URI must be `sip` or `sips`; `*` takes no parameters.
    pub fn with_pub_gruu(&self, uri: &Uri<'_>) -> Result<Contact<'static>, HeaderError> {
        self.with_sip_uri("pub-gruu", uri)
    }

    /// With this `temp-gruu`.
    ///
    /// # Errors
    /// The URI must be `sip` or `sips`; `*` takes no parameters.
    pub fn with_temp_gruu(&self, uri: &Uri<'_>) -> Result<Contact<'static>, HeaderError> {
        self.with_sip_uri("temp-gruu", uri)
    }

    fn with_sip_uri(&self, name: &str, uri: &Uri<'_>) -> Result<Contact<'static>, HeaderError> {
        self.edited(|address| {
            if !uri.is_sip() {
                return Err(HeaderErrorKind::Parameter);
            }
            address.with_quoted_param(name, uri.as_str())
        })
    }

    /// The feature parameter of that name, such as `audio` or `+sip.instance`.
    pub fn feature(&self, name: &str) -> Option<Feature<'_>> {
        self.params().features().find(|feature| feature.is(name))
    }

    /// With this feature parameter, its values in quotes and parted by commas; without values, as
    /// booleans are written.
    ///
    /// ```
    /// use sip_message::{Contact, Uri};
    /// let contact = Contact::new(&"sip:a@b".parse()?)
    ///     .with_feature("audio", &[])?
    ///     .with_feature("methods", &["INVITE", "BYE"])?
    ///     .with_feature("mobility", &["fixed"])?;
    /// assert_eq!(contact.to_string(), r#"<sip:a@b>;audio;methods="INVITE,BYE";mobility="fixed""#);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The name must be a base tag of RFC 3840 §9 or begin with `+` and a letter; each value must be a
    /// token or a number such as `#>=5`, with or without a `!` before it; `*` takes no parameters.
    pub fn with_feature(
        &self,
        name: &str,
        values: &[&str],
    ) -> Result<Contact<'static>, HeaderError> {
        self.edited(|address| match feature::list(name, values)? {
            Some(list) => address.with_quoted_param(name, &list),
            None => address.with_param(name, None),
        })
    }
}

// RFC 5626 §10: "The value of the reg-id MUST NOT be 0 and MUST be less than 2^31."
fn is_reg_id(id: u32) -> bool {
    (1..1 << 31).contains(&id)
}
