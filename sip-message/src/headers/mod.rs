//! The typed header fields, one file each or one for each kind.

mod accept;
mod accept_encoding;
mod accept_language;
mod address;
mod answer_mode;
mod auth;
mod authentication_info;
mod bracketed;
mod call_id;
mod caller_preferences;
mod contact;
mod contact_params;
mod content_disposition;
mod content_type;
mod cseq;
mod date;
mod dialog_reference;
mod diversion;
mod entity_tag;
mod event;
mod feature;
mod feature_caps;
mod geolocation;
mod history_info;
mod identity;
mod in_reply_to;
mod info;
mod info_package;
mod mime_version;
mod numbers;
mod option_tags;
mod p_associated_uri;
mod p_called_party_id;
mod p_charging;
mod p_early_media;
mod p_identity;
mod p_network;
mod p_served_user;
mod privacy;
mod rack;
mod reason;
mod refer_events_at;
mod refer_sub;
mod referred_by;
mod request_disposition;
mod resource_priority;
mod retry_after;
mod rule;
mod security_agreement;
mod session_expires;
mod session_id;
mod subscription_state;
mod text;
mod timestamp;
mod token;
mod user_to_user;
mod via;
mod via_params;
mod warning;
mod word;
mod word_list;

pub use accept::{Accept, MediaRange};
pub use accept_encoding::AcceptEncoding;
pub use accept_language::AcceptLanguage;
pub use address::{From, Path, RecordRoute, ReferTo, ReplyTo, Route, ServiceRoute, To};
pub use answer_mode::{AnswerMode, PrivAnswerMode};
pub use auth::{
    AuthParam, AuthParams, Authorization, Challenge, Credentials, DigestChallenge, DigestResponse,
    ProxyAuthenticate, ProxyAuthorization, WwwAuthenticate,
};
pub use authentication_info::{AuthenticationInfo, DigestInfo};
pub use call_id::CallId;
pub use caller_preferences::{AcceptContact, RejectContact};
pub use contact::{Contact, QValue};
pub use content_disposition::ContentDisposition;
pub use content_type::ContentType;
pub use cseq::CSeq;
pub use date::{Date, Weekday};
pub use dialog_reference::{Join, Replaces, TargetDialog};
pub use diversion::Diversion;
pub use entity_tag::{SipEtag, SipIfMatch, SuppressIfMatch};
pub use event::{AllowEvents, Event};
pub use feature::{Feature, FeatureKind, FeatureValue};
pub use feature_caps::FeatureCaps;
pub use geolocation::{Geolocation, GeolocationError, GeolocationRouting};
pub use history_info::{HistoryIndex, HistoryInfo};
pub use identity::Identity;
pub use in_reply_to::InReplyTo;
pub use info::{AlertInfo, CallInfo, ErrorInfo};
pub use info_package::{InfoPackage, RecvInfo};
pub use mime_version::MimeVersion;
pub use numbers::{ContentLength, Expires, FlowTimer, MaxBreadth, MaxForwards, MinExpires};
pub use option_tags::{
    Allow, ContentEncoding, ContentLanguage, ProxyRequire, Require, Supported, Tokens, Unsupported,
};
pub use p_associated_uri::PAssociatedUri;
pub use p_called_party_id::PCalledPartyId;
pub use p_charging::{PChargingFunctionAddresses, PChargingVector};
pub use p_early_media::PEarlyMedia;
pub use p_identity::{PAssertedIdentity, PPreferredIdentity};
pub use p_network::{PAccessNetworkInfo, PPrivateNetworkIndication, PVisitedNetworkId};
pub use p_served_user::{PServedUser, SessionCase};
pub use privacy::Privacy;
pub use rack::{RAck, RSeq};
pub use reason::{IsupLocation, Reason};
pub use refer_events_at::ReferEventsAt;
pub use refer_sub::ReferSub;
pub use referred_by::ReferredBy;
pub use request_disposition::{Directive, RequestDisposition};
pub use resource_priority::{AcceptResourcePriority, ResourcePriority};
pub use retry_after::RetryAfter;
pub use security_agreement::{SecurityClient, SecurityServer, SecurityVerify};
pub use session_expires::{MinSe, Refresher, SessionExpires};
pub use session_id::SessionId;
pub use subscription_state::SubscriptionState;
pub use text::{Organization, Server, Subject, UserAgent};
pub use timestamp::Timestamp;
pub use token::Priority;
pub use user_to_user::UserToUser;
pub use via::Via;
pub use via_params::OcSeq;
pub use warning::Warning;
pub use word_list::{Element, Elements};

use core::fmt::{self, Write as _};

use bytes::BytesMut;

use crate::scan::{Cursor, Fault};
use crate::{HeaderError, HeaderErrorKind, HeaderName};

/// Reads a field that holds one value: `read` gets the text without the white space around it and
/// must leave nothing over.
fn single<'a, T>(
    header: HeaderName<'static>,
    field: &'a [u8],
    read: impl FnOnce(&'a [u8], &mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<(T, Option<usize>), HeaderError> {
    let error = |Fault { kind, at }| HeaderError::new(header, kind, at);
    crate::scan::folds_only(field).map_err(error)?;
    let (text, lead) = crate::scan::trim(field);
    let parse = || {
        let mut cursor = Cursor::new(text)?;
        let value = read(text, &mut cursor)?;
        cursor.skip_lws();
        if cursor.is_end() { Ok(value) } else { Err(cursor.fault(HeaderErrorKind::Trailing)) }
    };
    match parse() {
        Ok(value) => Ok((value, None)),
        Err(Fault { kind, at }) => Err(error(Fault { kind, at: at.saturating_add(lead) })),
    }
}

/// The first value of a field, and where the next one begins: `read` gets the text without the white
/// space before it, and leaves the cursor at the end of the value. Unless the field is a `list`, no
/// second value may follow.
fn first_of<'a, T>(
    header: HeaderName<'static>,
    list: bool,
    field: &'a [u8],
    read: impl FnOnce(&'a [u8], &mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<(T, Option<usize>), HeaderError> {
    only_if_list(header, list, crate::scan::first_value(field, read))
}

/// A value that was read from a field of which the next one begins where it says: unless the field
/// is a `list`, none may.
#[inline(always)]
fn only_if_list<T>(
    header: HeaderName<'static>,
    list: bool,
    found: Result<(T, Option<usize>), Fault>,
) -> Result<(T, Option<usize>), HeaderError> {
    let found = match found {
        // Not 0: a comma stands before the next value.
        Ok((_, Some(next))) if !list => {
            Err(Fault { kind: HeaderErrorKind::Trailing, at: next.saturating_sub(1) })
        }
        found => found,
    };
    found.map_err(|fault| HeaderError::from_fault(header, fault))
}

/// Writes what `value` displays.
fn write_display(value: &impl fmt::Display, out: &mut BytesMut) {
    // Writing to a BytesMut fails only at 2^64 bytes.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests;
