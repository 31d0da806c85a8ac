//! The headers that point at another dialog: Replaces, Join and Target-Dialog.

use alloc::vec::Vec;

use super::call_id;
use super::rule::Rule;
use super::word::word_header;
use crate::params::write_param;
use crate::scan::{self, Fault, TOKEN};
use crate::{Header, HeaderError, HeaderErrorKind};

// RFC 3891 §6.1: "A Replaces header field MUST contain exactly one to-tag and exactly one from-tag"
word_header!(Replaces, false, call_id::take,
&[
    Rule::token("to-tag").required(),
    Rule::token("from-tag").required(),
    Rule::flag("early-only"),
],
/// Replaces: the dialog that this INVITE takes the place of (RFC 3891 §6.1).
///
/// ```
/// use sip_message::{Header, Replaces};
/// let replaces = Replaces::parse(b"12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only")?;
/// assert_eq!((replaces.to_tag(), replaces.from_tag()), ("12345", "54321"));
/// assert!(replaces.is_early_only());
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl Replaces<'_> {
    /// Whether the dialog is to be replaced only while it is early.
    pub fn is_early_only(&self) -> bool {
        self.param("early-only").is_some()
    }
}

// RFC 3911 §7.1: "A Join header MUST contain exactly one to-tag and exactly one from-tag"
word_header!(Join, false, call_id::take,
&[Rule::token("to-tag").required(), Rule::token("from-tag").required()],
/// Join: the dialog that this INVITE is to be joined with (RFC 3911 §7.1).
///
/// ```
/// use sip_message::{Header, Join};
/// let join = Join::parse(b"87134@192.0.2.23;to-tag=24796;from-tag=0")?;
/// assert!(join.matches("87134@192.0.2.23", Some("24796"), None));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

/// What Replaces and Join share.
macro_rules! by_tags {
    ($name:ident) => {
        impl $name<'_> {
            /// The dialog of this Call-ID and these tags, as the receiver of the request sees
            /// them: `to_tag` its own, `from_tag` the other side's.
            ///
            /// # Errors
            /// The Call-ID must be visible ASCII without `;` and `,`, the tags tokens.
            pub fn new(
                call_id: &str,
                to_tag: &str,
                from_tag: &str,
            ) -> Result<$name<'static>, HeaderError> {
                let text = reference(call_id, [("to-tag", to_tag), ("from-tag", from_tag)]);
                Self::from_vec(text.map_err(|f| HeaderError::from_fault($name::NAME, f))?)
            }

            /// The dialog's Call-ID.
            pub fn call_id(&self) -> &str {
                self.word()
            }

            /// The tag of the side that receives this.
            pub fn to_tag(&self) -> &str {
                self.param("to-tag").and_then(|tag| tag.raw_value()).map_or("", scan::ascii)
            }

            /// The tag of the other side.
            pub fn from_tag(&self) -> &str {
                self.param("from-tag").and_then(|tag| tag.raw_value()).map_or("", scan::ascii)
            }

            /// Whether the receiver's dialog with this Call-ID and these tags is meant; `None` is
            /// the tag of a peer of RFC 2543, which had none.
            pub fn matches(
                &self,
                call_id: &str,
                local_tag: Option<&str>,
                remote_tag: Option<&str>,
            ) -> bool {
                // RFC 3891 §3: "the to-tag parameter is compared to the local tag, and the from-tag
                // parameter is compared to the remote tag"
                self.call_id() == call_id
                    && same_tag(self.to_tag(), local_tag)
                    && same_tag(self.from_tag(), remote_tag)
            }
        }
    };
}

by_tags!(Replaces);
by_tags!(Join);

word_header!(TargetDialog, false, call_id::take,
&[Rule::token("local-tag"), Rule::token("remote-tag")],
/// Target-Dialog: a dialog whose knowledge shows that the sender may ask for this (RFC 4538 §7).
///
/// ```
/// use sip_message::{Header, TargetDialog};
/// let target = TargetDialog::parse(b"fa77as7dad8-sd98ajzz@host.example.com\r\n \
///     ;local-tag=kkaz-\r\n ;remote-tag=6544")?;
/// assert!(target.matches("fa77as7dad8-sd98ajzz@host.example.com", "kkaz-", "6544"));
/// # Ok::<(), sip_message::HeaderError>(())
/// ```
);

impl TargetDialog<'_> {
    /// The dialog of this Call-ID and these tags, as the receiver of the request sees them.
    ///
    /// # Errors
    /// The Call-ID must be visible ASCII without `;` and `,`, the tags tokens.
    pub fn new(
        call_id: &str,
        local_tag: &str,
        remote_tag: &str,
    ) -> Result<TargetDialog<'static>, HeaderError> {
        let text = reference(call_id, [("local-tag", local_tag), ("remote-tag", remote_tag)]);
        Self::from_vec(text.map_err(|fault| HeaderError::from_fault(Self::NAME, fault))?)
    }

    /// The dialog's Call-ID.
    pub fn call_id(&self) -> &str {
        self.word()
    }

    /// The tag of the side that receives this.
    pub fn local_tag(&self) -> Option<&str> {
        self.param("local-tag")?.raw_value().map(scan::ascii)
    }

    /// The tag of the other side.
    pub fn remote_tag(&self) -> Option<&str> {
        self.param("remote-tag")?.raw_value().map(scan::ascii)
    }

    /// Whether the receiver's dialog with this Call-ID and these tags is meant.
    // RFC 4538 §4: "if they don't contain both a "remote-tag" and "local-tag" parameter, the header
    // field MUST be ignored"
    pub fn matches(&self, call_id: &str, local_tag: &str, remote_tag: &str) -> bool {
        self.call_id() == call_id
            && self.local_tag() == Some(local_tag)
            && self.remote_tag() == Some(remote_tag)
    }
}

/// `call-id;name=tag;name=tag`
fn reference(call_id: &str, tags: [(&str, &str); 2]) -> Result<Vec<u8>, Fault> {
    call_id::check(call_id)?;
    let mut text = call_id.as_bytes().to_vec();
    for (name, tag) in tags {
        text.push(b';');
        if !scan::all(tag.as_bytes(), TOKEN) {
            return Err(Fault { kind: HeaderErrorKind::Token, at: text.len() });
        }
        write_param(&mut text, name, Some(tag))?;
    }
    Ok(text)
}

// RFC 3891 §6.1: "For compatibility with dialogs initiated by RFC 2543 [9] compliant UAs, a tag of
// zero matches both tags of zero and null."
fn same_tag(given: &str, of_dialog: Option<&str>) -> bool {
    given == of_dialog.unwrap_or("0")
}
