//! The history of a request (RFC 7044): where it was sent before, and what came of that.
//!
//! As UAC: [`OutgoingCall::with_history`](crate::OutgoingCall::with_history) begins one, and each further address of a
//! redirection goes on with it. As UAS: where `histinfo` is in
//! [`AgentConfig::supported`](crate::AgentConfig::supported) responses say what is known.
//! [`Caller::history`](crate::Caller::history) reads it.

use std::borrow::Cow;

use sip_message::{
    HeaderName, Headers, HistoryIndex, HistoryInfo, Privacy, Reason, Request, Response,
    ResponseBuilder, StatusCode, Supported, Uri,
};

use super::Agent;
use super::reason::reasons;
use crate::ExtraHeaders;

/// How many entries are handed on at most; a history that is longer is not gone on with.
const MAX_ENTRIES: usize = 64;

impl Agent {
    /// Says in a response to what begins something where the request has been.
    // RFC 7044 §9.4: "When sending a response other than a 100, a SIP entity MUST include
    // all the cached hi-entries in the response, subject to the privacy
    // consideration in Section 10.1.2, and with the following exception: If
    // the received request contained no hi-entries and there is no
    // "histinfo" option tag in the Supported header field, the SIP entity
    // MUST NOT include History-Info in the response."
    pub(super) fn answer_history(
        &self,
        mut builder: ResponseBuilder,
        request: &Request,
        status: StatusCode,
    ) -> ResponseBuilder {
        let headers = request.headers();
        if headers.to_tag().is_some() || status == StatusCode::TRYING || !self.supports("histinfo")
        {
            return builder;
        }
        let lists = || headers.get_all::<Supported<'_>>().flatten().any(|s| s.contains("histinfo"));
        if !headers.contains(HeaderName::HistoryInfo) && !lists() {
            return builder;
        }
        for entry in known(request) {
            builder = builder.header(&entry);
        }
        builder
    }
}

/// The history as it is known here of a request that came.
// RFC 7044 §9.1: "When receiving a request, a SIP entity MUST keep a copy of the
// hi-entries from the incoming request."
// RFC 7044 §9.1: "The hi-entries MUST be added to the cache in the order
// in which they were received in the request."
// RFC 7044 §9.1: "If the Request-URI of the incoming request does not match the hi
// -targeted-to-uri in the last hi-entry (i.e., the previous SIP entity
// that sent the request did not include a History-Info header field),
// the SIP entity MUST add an hi-entry to the end of the cache, on
// behalf of the previous SIP entity."
pub(crate) fn known(request: &Request) -> Vec<HistoryInfo<'static>> {
    let mut entries = entries(request.headers());
    let Ok(uri) = request.uri() else { return entries };
    let same = |entry: &HistoryInfo<'_>| {
        entry.uri().without_headers().is_ok_and(|target| target.is_equivalent(&uri))
    };
    if !entries.last().is_some_and(same) && entries.len() < MAX_ENTRIES {
        // RFC 7044 §10.3: "In the case that a SIP entity (intermediary or UAS) adds a first
        // hi-entry on behalf of the previous hop, the hi-index MUST be set to
        // 1."
        // RFC 7044 §10.3: "If the request clearly has a gap in the hi-entry
        // (i.e., the last hi-entry and Request-URI differ), the entity
        // adding an hi-entry MUST add a single index with a value of "0""
        let index = match entries.last() {
            None => Some(HistoryIndex::FIRST),
            Some(last) => last.index().map(|index| index.child(0)),
        };
        // RFC 7044 §9.1: "The SIP entity MUST set the hi-targeted-to-uri to the value of the
        // Request-URI in the incoming request."
        // RFC 7044 §9.1: "The SIP entity MUST NOT include an "rc", "mp", or "np" header
        // field parameter."
        entries.extend(index.and_then(|index| HistoryInfo::new(&uri, &index).ok()));
    }
    entries
}

/// Those that can be read.
fn entries(headers: &Headers) -> Vec<HistoryInfo<'static>> {
    let all = headers.get_all::<HistoryInfo<'_>>().flatten();
    all.filter(|entry| entry.index().is_some())
        .map(HistoryInfo::into_owned)
        .take(MAX_ENTRIES)
        .collect()
}

/// How a Contact of a redirection says that its address was found: `rc` or `mp`, and from which entry.
// RFC 7044 §10.4: "In
// the latter case, the specific header field parameter in the Contact
// header field becomes the header field parameter that is used in the
// hi-entry when the request is retargeted."
pub(super) fn found_by(contact: &sip_message::Contact<'_>) -> Option<(&'static str, String)> {
    ["rc", "mp"].into_iter().find_map(|name| {
        let value = contact.param(name)?.value()?.into_owned();
        HistoryIndex::parse(&value).is_some().then_some((name, value))
    })
}

/// What History-Info says in an INVITE that goes to `target` after this response, or after none in time; `None` where
/// the INVITE before said nothing.
pub(super) fn after(
    invite: &Request,
    response: Option<&Response>,
    target: &Uri<'_>,
    found_by: Option<&(&'static str, String)>,
) -> Option<String> {
    let mut entries = entries(invite.headers());
    let mut sent = entries.pop()?;
    let index = sent.index()?.into_owned();
    // RFC 7044 §10.2: "If a request has timed out (instead of being explicitly rejected),
    // the SIP entity MUST update the cache as if the request received a SIP
    // error response code of 408 "Request Timeout"."
    let status = response.map_or(StatusCode::REQUEST_TIMEOUT, Response::status);
    let told = response.map(|response| reasons(response.headers())).unwrap_or_default();
    // RFC 7044 §10.2: "if the response contains any Reason header
    // fields (see [RFC3326]), then the SIP entity MUST also include the
    // Reason header fields in the "headers" component of the
    // hi-targeted-to-uri in the last hi-entry added to the cache."
    for reason in core::iter::once(Reason::sip(status)).chain(told) {
        sent = sent.with_reason(&reason).unwrap_or(sent);
    }
    // RFC 7044 §9.3: "The SIP entity MUST add the hi-entry that was added to the request
    // that received the non-100 response or timed out to the cache, if
    // it was not already cached."
    entries.push(sent);
    // RFC 7044 §9.3: "The SIP entity MUST also add to the cache any hi-entries received
    // in the response that are not already in the cache."
    for entry in response.map(|response| self::entries(response.headers())).unwrap_or_default() {
        if entries.len() < MAX_ENTRIES && !entries.iter().any(|old| old.index() == entry.index()) {
            entries.push(entry);
        }
    }
    // RFC 7044 §9.3: "the hi-entries MUST be added to the cache in ascending
    // order as indicated by the values in the hi-index parameters of the
    // hi-entries."
    entries.sort_by_key(|entry| entry.index().map(HistoryIndex::into_owned));
    let next = next_to(&index, &entries)?;
    let mut entry = HistoryInfo::new(&target.without_headers().ok()?, &next).ok()?;
    if let Some((name, from)) = found_by {
        entry = entry.with_param(name, Some(from)).unwrap_or(entry);
    }
    // RFC 7044 §9.2: "The SIP entity MUST include an hi-index for the hi-entry
    // as described in Section 10.3."
    entries.push(entry);
    Some(entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// The index beside this one that is not taken yet.
// RFC 7044 §10.3: "That is, the rightmost value
// of the hi-index MUST be incremented (i.e., a new branch is
// created)."
fn next_to(
    index: &HistoryIndex<'_>,
    entries: &[HistoryInfo<'static>],
) -> Option<HistoryIndex<'static>> {
    let parent = index.parent();
    let beside = entries.iter().filter_map(HistoryInfo::index).filter(|i| i.parent() == parent);
    let last = beside.filter_map(|index| index.numbers().last()).max()?;
    let number = last.checked_add(1)?;
    match parent {
        Some(parent) => Some(parent.child(number)),
        None => HistoryIndex::parse(&number.to_string()).map(HistoryIndex::into_owned),
    }
}

/// What Privacy says in a request with these header fields, where this is asked for.
// RFC 7044 §10.1.1: "If the UAC is including any priv-values other than "header" in the
// Privacy header field, then the UAC MUST also include a priv-value
// of "history" in the Privacy header field in the request."
pub(super) fn privacy<'p>(asked: &'p str, headers: &ExtraHeaders) -> Cow<'p, str> {
    let says = |(name, _): &(String, String)| name.eq_ignore_ascii_case("History-Info");
    let covers = |privacy: Privacy<'_>| {
        ["header", "history", "none"].iter().any(|value| privacy.contains(value))
    };
    let is_covered = sip_message::Header::parse(asked.as_bytes()).is_ok_and(covers);
    if is_covered || !headers.iter().any(says) {
        return Cow::Borrowed(asked);
    }
    Cow::Owned(format!("{asked};history"))
}
