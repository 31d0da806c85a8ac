//! Requests that arrive: what is checked before anything is done with them (RFC 3261 §8.2), and the answers
//! that need nobody's opinion.

use std::time::Instant;

use sip_dialog::{DialogKey, Found, Rejection};
use sip_message::{Accept, HeaderName, Method, Request, Response, ResponseBuilder, StatusCode};
use sip_transaction::{ServerKey, Transactions};

use super::call::Phase;
use super::compose::is_own;
use super::{Agent, Received, Served, ServerUse};
use crate::Reliability;

/// Why a request is refused by RFC 3261 §8.2, and what the response must hold besides.
enum Unfit {
    /// §8.2.1: 405, with Allow.
    Method,
    /// §21.5.2: 501, with Allow.
    UnknownMethod,
    /// §8.2.2.1: 416.
    Scheme,
    /// §8.2.2.3: 420, with Unsupported.
    Extension(String),
    /// §8.2.3: 415, with Accept.
    MediaType,
    /// §8.2.3: 415, with Accept-Encoding.
    Encoding,
    /// §21.4.7: 406.
    NoAcceptableAnswer,
    /// RFC 4028 §9: 422, with Min-SE.
    Interval(u32),
}

impl Agent {
    /// A request other than ACK and CANCEL.
    pub(crate) fn request_received(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        received: Received,
    ) {
        let Received { server, request, .. } = &received;
        let server = *server;
        // RFC 3261 §8.2: "UASs SHOULD process the requests in the order of the steps that
        // follow in this section"
        // RFC 3261 §8.2.1: "Once a request is authenticated (or authentication is skipped), the
        // UAS MUST inspect the method of the request."
        // RFC 3261 §8.2.2: "If a UAS does not understand a header field in a
        // request (that is, the header field is not defined in this
        // specification or in any supported extension), the server MUST ignore
        // that header field and continue processing the message."
        // What is refused on the way leaves no trace but its transaction:
        // RFC 3261 §8.2: "If a request is accepted,
        // all state changes associated with it MUST be performed.  If it is
        // rejected, all state changes MUST NOT be performed."
        if let Err(unfit) = self.check_method(request).and_then(|()| check_scheme(request)) {
            return self.refuse_unfit(now, tx, server, request, unfit);
        }
        match self.merged.enter(request) {
            Ok(None) => {}
            Ok(Some(merged)) => self.served(server).merged = Some(merged),
            Err(rejection) => return self.refuse(now, tx, server, request, rejection),
        }
        // RFC 3261 §8.2 has this first. A request that a fork sent here twice is refused as such before: its
        // credentials were used by the first of the two. And who is told 405 or 416 learns nothing.
        if let Some(received) = self.admit(now, tx, received) {
            self.admitted(now, tx, received);
        }
    }

    /// A request whose sender may ask for something.
    pub(super) fn admitted(&mut self, now: Instant, tx: &mut Transactions, received: Received) {
        let Received { server, request, .. } = &received;
        let server = *server;
        let checked = self.check_extensions(request).and_then(|()| self.check_body(request));
        let checked = checked.and_then(|()| check_accept(request));
        if let Err(unfit) = checked.and_then(|()| self.check_interval(request)) {
            return self.refuse_unfit(now, tx, server, request, unfit);
        }
        if let Err(rejection) = self.check_pointers(request) {
            return self.refuse(now, tx, server, request, rejection);
        }
        match self.dialogs.find(request) {
            Found::Dialog(dialog) => self.mid_dialog(now, tx, dialog, received),
            // The first NOTIFY makes the dialog of a subscription, or of a REFER outside of any.
            Found::NoSuchDialog
                if *request.method() == Method::Notify
                    && self.refer_reported(now, tx, &received) => {}
            Found::NoSuchDialog if *request.method() == Method::Notify => {
                self.notified(now, tx, None, received);
            }
            Found::NoSuchDialog => {
                self.refuse(now, tx, server, request, Rejection::no_such_dialog());
            }
            Found::Outside => match request.method() {
                Method::Invite => self.invitation(now, tx, received),
                // RFC 3261 §15.1.2: "If the BYE does not
                // match an existing dialog, the UAS core SHOULD generate a 481
                // (Call/Transaction Does Not Exist) response and pass that to the
                // server transaction."
                // PRACK and UPDATE belong to a dialog likewise (RFC 3262 §4, RFC 3311 §5.1).
                Method::Bye | Method::Prack | Method::Update => {
                    self.refuse(now, tx, server, request, Rejection::no_such_dialog());
                }
                Method::Refer => self.referred(now, tx, None, None, received),
                Method::Options if self.config.answer_options => {
                    self.answer_options(now, tx, server, request);
                }
                Method::Subscribe => self.subscription_requested(now, tx, received),
                Method::Notify => {
                    self.refuse(now, tx, server, request, Rejection::no_such_dialog());
                }
                _ => self.ask_application(now, tx, None, received),
            },
        }
    }

    /// A request in a dialog that we know (RFC 3261 §12.2.2).
    fn mid_dialog(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        key: DialogKey,
        received: Received,
    ) {
        let Received { server, request, .. } = &received;
        let server = *server;
        let Some((dialog, usages)) = self.dialogs.get_mut(key) else { return };
        let call = usages.call();
        // RFC 3261 §15.1.2: "A UAS core receiving a BYE request for an existing dialog MUST follow
        // the procedures of Section 12.2.2 to process the request."
        if let Err(rejection) = dialog.receive(request) {
            return self.refuse(now, tx, server, request, rejection);
        }
        self.note_session(key, request);
        if self.refer_usage(now, tx, key, &received) {
            return;
        }
        match request.method() {
            Method::Notify => return self.notified(now, tx, Some(key), received),
            Method::Subscribe => return self.resubscribed(now, tx, key, received),
            _ => {}
        }
        // RFC 5057 §5.3: "A dialog can have at most one invite usage, so any INVITE,
        // UPDATE, PRACK, ACK, CANCEL, BYE, or INFO requests belong to it."
        let Some(call) = call else {
            return self.refuse(now, tx, server, request, Rejection::no_such_dialog());
        };
        if *request.method() == Method::Bye {
            return self.bye_received(now, tx, call, key, &received);
        }
        // After the final response to the INVITE too.
        if *request.method() == Method::Prack {
            return self.prack_received(now, tx, call, key, received);
        }
        // A call that is over here is over for the peer as well, as it will learn by our BYE; and so is the
        // dialog with a callee that another one was preferred to.
        let over = self.calls.get(call).is_none_or(|call| match call.phase {
            Phase::Over => true,
            Phase::Established | Phase::Accepted(_) => call.dialog != Some(key),
            Phase::Calling | Phase::Cancelling | Phase::Invited(_) => false,
        });
        if over {
            return self.refuse(now, tx, server, request, Rejection::no_such_dialog());
        }
        if self.refuse_package(now, tx, server, request) {
            return;
        }
        match request.method() {
            Method::Invite => self.reinvited(now, tx, call, key, received),
            Method::Update => self.update_received(now, tx, call, key, received),
            Method::Refer => self.referred(now, tx, Some(key), Some(call), received),
            Method::Options if self.config.answer_options => {
                self.answer_options(now, tx, server, request);
            }
            _ => self.ask_application(now, tx, Some(call), received),
        }
    }

    // RFC 3261 §8.2.1: "If the UAS recognizes
    // but does not support the method of a request, it MUST generate a 405
    // (Method Not Allowed) response."
    // RFC 3261 §21.5.2: "This
    // is the appropriate response when a UAS does not recognize the request
    // method and is not capable of supporting it for any user."
    fn check_method(&self, request: &Request) -> Result<(), Unfit> {
        let method = request.method();
        let notifies = *method == Method::Subscribe && !self.config.event_packages.is_empty();
        let prack = *method == Method::Prack && self.config.reliable != Reliability::Never;
        let own = is_own(method) || prack || *method == Method::Update;
        if notifies || own || self.config.methods.contains(method) {
            Ok(())
        } else if matches!(method, Method::Other(_)) {
            Err(Unfit::UnknownMethod)
        } else {
            Err(Unfit::Method)
        }
    }

    // RFC 3261 §8.2.2.3: "If a UAS does not understand an option-tag listed in a
    // Require header field, it MUST respond by generating a response with
    // status code 420 (Bad Extension).  The UAS MUST add an Unsupported
    // header field, and list in it those options it does not understand
    // amongst those in the Require header field of the request."
    fn check_extensions(&self, request: &Request) -> Result<(), Unfit> {
        let mut unknown = String::new();
        for value in request.headers().raw_all(HeaderName::Require) {
            let required = String::from_utf8_lossy(value);
            // What is no token cannot be sent back, folded lines above all.
            let tags = required.split(',').map(|tag| tag.trim_matches(|c| !is_token(c)));
            for tag in tags.filter(|tag| !tag.is_empty()) {
                // RFC 3262 §3: "If the UAS is unwilling to do so, it MUST reject the initial
                // request with a 420 (Bad Extension) and include an Unsupported header
                // field containing the option tag 100rel."
                let known = match tag {
                    "100rel" => self.config.reliable != Reliability::Never,
                    "199" => true,
                    _ => self.config.option_tags().any(|known| known.eq_ignore_ascii_case(tag)),
                };
                if !known {
                    if !unknown.is_empty() {
                        unknown.push_str(", ");
                    }
                    unknown.extend(tag.chars().filter(|c| is_token(*c)));
                }
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(Unfit::Extension(unknown)) }
    }

    // RFC 3261 §8.2.3: "If there are any bodies whose type (indicated by the
    // Content-Type), language (indicated by the Content-Language) or
    // encoding (indicated by the Content-Encoding) are not understood, and
    // that body part is not optional (as indicated by the Content-
    // Disposition header field), the UAS MUST reject the request with a 415
    // (Unsupported Media Type) response."
    // Languages are the application's to understand.
    fn check_body(&self, request: &Request) -> Result<(), Unfit> {
        // What a NOTIFY may hold is for its subscription to say.
        if request.body().is_empty() || is_optional(request) || *request.method() == Method::Notify
        {
            return Ok(());
        }
        let encoding = request.headers().raw(HeaderName::ContentEncoding);
        if encoding.is_some_and(|encoding| !encoding.trim_ascii().eq_ignore_ascii_case(b"identity"))
        {
            return Err(Unfit::Encoding);
        }
        let Some(kind) = request.headers().raw(HeaderName::ContentType) else {
            // RFC 3261 §20.15: "The Content-Type header field MUST be present if the body is not empty."
            // Nobody can tell what this is.
            return Err(Unfit::MediaType);
        };
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let accepted = |range: &String| in_media_range(kind, range.as_bytes());
        if self.config.accept.iter().any(accepted) { Ok(()) } else { Err(Unfit::MediaType) }
    }

    fn check_interval(&self, request: &Request) -> Result<(), Unfit> {
        match self.interval_too_small(request) {
            Some(least) => Err(Unfit::Interval(least)),
            None => Ok(()),
        }
    }

    fn refuse_unfit(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
        unfit: Unfit,
    ) {
        let tag = tx.local_tag(server);
        let builder = match unfit {
            // RFC 3261 §8.2.1: "The UAS MUST also add an Allow
            // header field to the 405 (Method Not Allowed) response.  The Allow
            // header field MUST list the set of methods supported by the UAS
            // generating the message."
            Unfit::Method => self
                .response(request, StatusCode::METHOD_NOT_ALLOWED, &tag)
                .raw(HeaderName::Allow, self.capabilities.allow.as_bytes()),
            // RFC 4475 §3.1.1.2: "Endpoints will generate a 501 listing the methods they
            // understand in an Allow header field."
            Unfit::UnknownMethod => self
                .response(request, StatusCode::NOT_IMPLEMENTED, &tag)
                .raw(HeaderName::Allow, self.capabilities.allow.as_bytes()),
            Unfit::Scheme => self.response(request, StatusCode::UNSUPPORTED_URI_SCHEME, &tag),
            Unfit::Extension(tags) => self
                .response(request, StatusCode::BAD_EXTENSION, &tag)
                .raw(HeaderName::Unsupported, tags.as_bytes()),
            // RFC 3261 §8.2.3: "The response MUST contain an
            // Accept header field listing the types of all bodies it understands,
            // in the event the request contained bodies of types not supported by
            // the UAS."
            Unfit::MediaType => self
                .response(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, &tag)
                .raw(HeaderName::Accept, self.capabilities.accept.as_bytes()),
            // RFC 3261 §8.2.3: "If the request contained content encodings not understood
            // by the UAS, the response MUST contain an Accept-Encoding header field
            // listing the encodings understood by the UAS."
            Unfit::Encoding => self
                .response(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, &tag)
                .raw(HeaderName::AcceptEncoding, b"identity"),
            // RFC 4475 §3.3.15: "with a Warning/399 indicating that a response cannot be
            // formulated in the formats offered in the Accept header field"
            Unfit::NoAcceptableAnswer => self
                .response(request, StatusCode::NOT_ACCEPTABLE, &tag)
                .raw(HeaderName::Warning, b"399 ua \"Sessions are answered in application/sdp\""),
            // RFC 4028 §6: "The 422 response MUST contain a Min-SE
            // header field with the minimum timer for that server."
            Unfit::Interval(least) => self
                .response(request, StatusCode::SESSION_INTERVAL_TOO_SMALL, &tag)
                .raw(HeaderName::MinSe, least.to_string().as_bytes()),
        };
        self.respond(now, tx, server, request, builder);
    }

    /// Refuses a request by a status, and Retry-After where it has one.
    pub(crate) fn refuse(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
        rejection: Rejection,
    ) {
        let tag = tx.local_tag(server);
        let mut builder = self.response(request, rejection.status, &tag);
        if let Some(seconds) = rejection.retry_after {
            builder = builder.raw(HeaderName::RetryAfter, seconds.to_string().as_bytes());
        }
        self.respond(now, tx, server, request, builder);
    }

    /// 503 with Retry-After: there is no room.
    pub(crate) fn refuse_for_now(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
    ) {
        let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE)
            .with_retry_after(self.config.retry_after);
        self.refuse(now, tx, server, request, rejection);
    }

    /// Answers a request with no more than a status.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
        status: StatusCode,
    ) {
        // RFC 3261 §8.2.6.2: "If a request contained a To tag in the request, the To header field
        // in the response MUST equal that of the request."
        // RFC 3261 §8.2.6.2: "However, if the To
        // header field in the request did not contain a tag, the URI in the To
        // header field in the response MUST equal the URI in the To header
        // field; additionally, the UAS MUST add a tag to the To header field in
        // the response"
        let tag = match request.headers().to_tag() {
            Some(_) => String::new(),
            None => tx.local_tag(server),
        };
        let builder = self.response(request, status, &tag);
        self.respond(now, tx, server, request, builder);
    }

    /// RFC 3261 §11.2: what we can do.
    fn answer_options(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
    ) {
        // RFC 3261 §11.2: "The response to an OPTIONS is constructed using the standard rules
        // for a SIP response as discussed in Section 8.2.6.  The response code
        // chosen MUST be the same that would have been chosen had the request
        // been an INVITE."
        let outside = request.headers().to_tag().is_none();
        if outside && self.calls.len() >= self.config.max_calls {
            return self.refuse_for_now(now, tx, server, request);
        }
        let tag = tx.local_tag(server);
        // RFC 3261 §11.2: "Allow, Accept, Accept-Encoding, Accept-Language, and Supported header
        // fields SHOULD be present in a 200 (OK) response to an OPTIONS
        // request."
        let mut builder = self
            .response(request, StatusCode::OK, &tag)
            .raw(HeaderName::Allow, self.capabilities.allow.as_bytes())
            .raw(HeaderName::Accept, self.capabilities.accept.as_bytes())
            .raw(HeaderName::AcceptEncoding, b"identity")
            .raw(HeaderName::AcceptLanguage, b"*");
        let supported = self.capabilities.of_invite(self.config.reliable);
        builder = builder.raw(HeaderName::Supported, supported.as_bytes());
        if let Some(events) = &self.capabilities.allow_events {
            builder = builder.raw(HeaderName::AllowEvents, events.as_bytes());
        }
        self.respond(now, tx, server, request, builder);
    }

    /// Sends a response; if it cannot be built, a bare 500, for a server transaction lives until it is answered.
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
        builder: ResponseBuilder,
    ) {
        let bare = || {
            Response::to_request(request, StatusCode::SERVER_INTERNAL_ERROR)
                .to_tag(&tx.local_tag(server))
                .build()
        };
        if let Ok(response) = builder.build().or_else(|_| bare()) {
            // A transaction that is gone needs no answer.
            let _ = tx.respond(now, server, self.proven(server, response));
        }
    }

    /// The note on a server transaction, made if there is none. It goes when the transaction does.
    pub(super) fn served(&mut self, server: ServerKey) -> &mut Served {
        self.servers.entry(server).or_insert(Served {
            merged: None,
            usage: ServerUse::Answered,
            sender: None,
        })
    }
}

// RFC 3261 §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS,
// it SHOULD reject the request with a 416 (Unsupported URI Scheme)
// response."
fn check_scheme(request: &Request) -> Result<(), Unfit> {
    match request.uri() {
        Ok(uri) if uri.is_sip() => Ok(()),
        _ => Err(Unfit::Scheme),
    }
}

/// Whether an INVITE can be answered in what its sender understands.
// RFC 3261 §21.4.7: "The resource identified by the request is only capable of generating
// response entities that have content characteristics not acceptable
// according to the Accept header field sent in the request."
// RFC 3261 §20.1: "if no Accept header
// field is present, the server SHOULD assume a default value of
// application/sdp"
fn check_accept(request: &Request) -> Result<(), Unfit> {
    if *request.method() != Method::Invite || !request.headers().contains(HeaderName::Accept) {
        return Ok(());
    }
    let mut lines = request.get_all::<Accept>();
    // RFC 3261 §8.2.2: "A UAS SHOULD ignore any malformed
    // header fields that are not necessary for processing requests."
    let fits = lines.any(|line| line.map_or(true, |accept| accept.accepts("application", "sdp")));
    if fits { Ok(()) } else { Err(Unfit::NoAcceptableAnswer) }
}

/// Whether a character may stand in a `token` (RFC 3261 §25.1).
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(character)
}

/// Whether the body may be left unread.
fn is_optional(request: &Request) -> bool {
    // RFC 3261 §20.11: "The handling parameter, handling-param, describes how the UAS should
    // react if it receives a message body whose content type or disposition
    // type it does not understand."
    request.headers().raw(HeaderName::ContentDisposition).is_some_and(|disposition| {
        disposition.split(|byte| *byte == b';').skip(1).any(|param| {
            let mut parts = param.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
            let is = |part: Option<&[u8]>, text: &[u8]| {
                part.is_some_and(|part| part.eq_ignore_ascii_case(text))
            };
            is(parts.next(), b"handling") && is(parts.next(), b"optional")
        })
    })
}

/// Whether a media type is within `type/subtype`, `type/*` or `*/*`.
fn in_media_range(kind: &[u8], range: &[u8]) -> bool {
    match range.strip_suffix(b"*") {
        Some(b"*/") => true,
        Some(prefix) => {
            kind.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        }
        None => kind.eq_ignore_ascii_case(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ranges() {
        for (kind, range, fits) in [
            ("application/sdp", "application/sdp", true),
            ("Application/SDP", "application/sdp", true),
            ("application/sdp2", "application/sdp", false),
            ("text/html", "text/*", true),
            ("text", "text/*", false),
            ("image/png", "text/*", false),
            ("image/png", "*/*", true),
        ] {
            assert_eq!(in_media_range(kind.as_bytes(), range.as_bytes()), fits, "{kind} {range}");
        }
    }
}
