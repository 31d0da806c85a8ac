//! The state of one dialog (RFC 3261 §12).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use sip_message::{
    Contact, From, Header as _, HeaderError, HeaderName, Method, NameAddr, Request, RequestBuilder,
    Response, StatusCode, To, Transport, Uri,
};

use crate::routes::RouteSet;
use crate::snapshot::{DialogSnapshot, SnapshotError};
use crate::{DialogError, Rejection, SessionIdentifier};

/// What Max-Forwards says in the requests that a dialog builds (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The largest CSeq number that may be sent.
///
/// RFC 3261 §8.1.1.5: "The
/// sequence number value MUST be expressible as a 32-bit unsigned
/// integer and MUST be less than 2**31."
const LAST_CSEQ: u32 = (1 << 31) - 1;

/// The identifiers of a dialog, as one of its two ends sees them (RFC 3261 §12).
///
/// A null tag, of a peer from before RFC 3261, is the empty string: a tag that is there is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DialogId<'a> {
    /// The Call-ID.
    pub call_id: &'a str,
    /// Our own tag.
    pub local_tag: &'a str,
    /// The peer's tag.
    pub remote_tag: &'a str,
}

impl<'a> DialogId<'a> {
    /// The dialog that an incoming request belongs to; `None` if it has no To tag or no Call-ID.
    pub fn of_request(request: &'a Request) -> Option<DialogId<'a>> {
        let headers = request.headers();
        Some(DialogId {
            call_id: headers.call_id()?,
            local_tag: headers.to_tag()?,
            remote_tag: headers.from_tag().unwrap_or(""),
        })
    }

    /// The dialog that a response to a request of ours belongs to; `None` if it has no Call-ID.
    pub fn of_response(response: &'a Response) -> Option<DialogId<'a>> {
        let headers = response.headers();
        Some(DialogId {
            call_id: headers.call_id()?,
            local_tag: headers.from_tag().unwrap_or(""),
            remote_tag: headers.to_tag().unwrap_or(""),
        })
    }
}

/// Which role this end played in the request that made the dialog. The UAC owns the Call-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We sent the request.
    Uac,
    /// We received it.
    Uas,
}

/// How far a dialog has come (RFC 3261 §12). One that has ended is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// One dialog: what is needed to send requests to the peer and to judge those it sends.
///
/// It keeps small copies of what it needs and never the messages themselves: some 350 bytes in all for a
/// dialog without a route set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    identity: Identity,
    /// The URI of the peer's Contact.
    remote_target: Uri<'static>,
    /// `None` is the empty route set.
    routes: Option<Box<RouteSet>>,
    /// `None` until the first request is sent.
    local_cseq: Option<u32>,
    /// `None` until the first request is received.
    remote_cseq: Option<u32>,
    role: Role,
    state: State,
    secure: bool,
    /// What Session-ID says, where it is said.
    session_id: Option<Box<SessionIdentifier>>,
}

impl Dialog {
    /// The dialog that a response to `request` makes at the UAC (RFC 3261 §12.1.2): early for 101 to 199,
    /// confirmed for 2xx. `request` is the request as it was sent last, over `transport`.
    ///
    /// A peer that puts no (valid) Contact into its response is reached at the Request-URI.
    ///
    /// # Errors
    /// [`DialogError::NoDialog`] if the status makes no dialog, [`DialogError::NoTag`] for a provisional
    /// response without a To tag, and what is missing or malformed in either message.
    pub fn uac(
        request: &Request,
        response: &Response,
        transport: Transport,
    ) -> Result<Dialog, DialogError> {
        let state = match response.status() {
            StatusCode::TRYING => return Err(DialogError::NoDialog),
            status if status.is_provisional() => State::Early,
            status if status.is_success() => State::Confirmed,
            _ => return Err(DialogError::NoDialog),
        };
        let headers = request.headers();
        // RFC 3261 §12.1.2: "A UAC MUST be prepared to receive a response without a tag in the To
        // field, in which case the tag is considered to have a value of null."
        // A provisional response without one makes no dialog (RFC 3261 §13.2.2.1).
        let remote_tag = match (response.headers().to_tag(), state) {
            (Some(tag), _) => tag,
            (None, State::Confirmed) => "",
            (None, State::Early) => return Err(DialogError::NoTag),
        };
        // RFC 3261 §12.1.2: "The call identifier component of the
        // dialog ID MUST be set to the value of the Call-ID in the request.
        // The local tag component of the dialog ID MUST be set to the tag in
        // the From field in the request, and the remote tag component of the
        // dialog ID MUST be set to the tag in the To field of the response."
        let id = DialogId {
            call_id: headers.call_id().ok_or(DialogError::Missing(HeaderName::CallId))?,
            local_tag: headers.from_tag().unwrap_or(""),
            remote_tag,
        };
        // RFC 3261 §12.1.2: "The remote URI MUST be set to the URI in the To field, and the local
        // URI MUST be set to the URI in the From field."
        let from = request.get::<From>()?.ok_or(DialogError::Missing(HeaderName::From))?;
        let to = request.get::<To>()?.ok_or(DialogError::Missing(HeaderName::To))?;
        let request_uri = request.uri()?;

        Ok(Dialog {
            identity: Identity::new(id, &from, &to),
            // RFC 3261 §12.1.2: "The remote target MUST be set to the URI
            // from the Contact header field of the response."
            remote_target: match target(response.get::<Contact>()) {
                Some(target) => target,
                None => request_uri.to_static(),
            },
            // RFC 3261 §12.1.2: "The route set MUST be set to the list of URIs in the Record-Route
            // header field from the response, taken in reverse order and preserving
            // all URI parameters.  If no Record-Route header field is present in
            // the response, the route set MUST be set to the empty set."
            routes: RouteSet::reversed(response.headers())?,
            // RFC 3261 §12.1.2: "The local sequence number MUST be set to the value of the sequence
            // number in the CSeq header field of the request.  The remote sequence
            // number MUST be empty (it is established when the remote UA sends a
            // request within the dialog)."
            local_cseq: Some(headers.cseq().ok_or(DialogError::Missing(HeaderName::CSeq))?.number),
            remote_cseq: None,
            role: Role::Uac,
            state,
            // RFC 3261 §12.1.2: "If the request was sent over TLS, and the Request-URI contained a
            // SIPS URI, the "secure" flag is set to TRUE."
            secure: transport.is_secure() && request_uri.is_secure(),
            session_id: SessionIdentifier::sent(headers).map(|mut session_id| {
                session_id.hear_response(response.headers());
                Box::new(session_id)
            }),
        })
    }

    /// The dialog that we make at the UAS by answering `request`, which came over `transport`, with a 101 to
    /// 199 or a 2xx whose To tag is `local_tag` (RFC 3261 §12.1.1). It is early until [`Dialog::accepted`].
    ///
    /// # Errors
    /// What is missing or malformed in the request; [`DialogError::rejection`] is the answer owed.
    pub fn uas(
        request: &Request,
        local_tag: &str,
        transport: Transport,
    ) -> Result<Dialog, DialogError> {
        let headers = request.headers();
        // RFC 3261 §12.1.1: "The call identifier component of the dialog ID
        // MUST be set to the value of the Call-ID in the request.  The local
        // tag component of the dialog ID MUST be set to the tag in the To field
        // in the response to the request (which always includes a tag), and the
        // remote tag component of the dialog ID MUST be set to the tag from the
        // From field in the request.  A UAS MUST be prepared to receive a
        // request without a tag in the From field, in which case the tag is
        // considered to have a value of null."
        let id = DialogId {
            call_id: headers.call_id().ok_or(DialogError::Missing(HeaderName::CallId))?,
            local_tag,
            remote_tag: headers.from_tag().unwrap_or(""),
        };
        // RFC 3261 §12.1.1: "The remote URI MUST be set to the URI in the From field, and the
        // local URI MUST be set to the URI in the To field."
        let from = request.get::<From>()?.ok_or(DialogError::Missing(HeaderName::From))?;
        let to = request.get::<To>()?.ok_or(DialogError::Missing(HeaderName::To))?;

        Ok(Dialog {
            identity: Identity::new(id, &to, &from),
            remote_target: target_of_caller(request, &from)
                .ok_or(DialogError::Missing(HeaderName::Contact))?,
            // RFC 3261 §12.1.1: "The route set MUST be set to the list of URIs in the Record-Route
            // header field from the request, taken in order and preserving all URI
            // parameters.  If no Record-Route header field is present in the
            // request, the route set MUST be set to the empty set."
            routes: RouteSet::in_order(headers)?,
            // RFC 3261 §12.1.1: "The remote sequence number MUST be set to the value of the sequence
            // number in the CSeq header field of the request.  The local sequence
            // number MUST be empty."
            local_cseq: None,
            remote_cseq: Some(headers.cseq().ok_or(DialogError::Missing(HeaderName::CSeq))?.number),
            role: Role::Uas,
            state: State::Early,
            // RFC 3261 §12.1.1: "If the request arrived over TLS, and the Request-URI contained a SIPS
            // URI, the "secure" flag is set to TRUE."
            secure: transport.is_secure() && request.uri()?.is_secure(),
            session_id: None,
        })
    }

    /// The dialog that a NOTIFY makes at the subscriber (RFC 6665 §4.4.1). `cseq` is the number of the SUBSCRIBE
    /// of ours that it answers; the NOTIFY came over `transport`.
    ///
    /// # Errors
    /// What is missing or malformed in the NOTIFY; [`DialogError::rejection`] is the answer owed.
    pub fn subscribed(
        notify: &Request,
        cseq: u32,
        transport: Transport,
    ) -> Result<Dialog, DialogError> {
        let local_tag = notify.headers().to_tag().ok_or(DialogError::NoTag)?;
        // RFC 6665 §4.4.1: "Because the dialog usage is established by the NOTIFY request, the
        // route set at the subscriber is taken from the NOTIFY request itself,
        // as opposed to the route set present in the 200-class response to the
        // SUBSCRIBE request."
        Ok(Dialog {
            local_cseq: Some(cseq),
            role: Role::Uac,
            state: State::Confirmed,
            ..Dialog::uas(notify, local_tag, transport)?
        })
    }

    // What we send.

    /// A request within the dialog, with the next CSeq number (RFC 3261 §12.2.1.1): Request-URI, Route,
    /// Max-Forwards, From, To, Call-ID and CSeq are there. The caller adds Contact to a target refresh request
    /// (a SIPS URI if [`Dialog::is_secure`]), the body and the rest; the transaction layer adds Via.
    ///
    /// # Errors
    /// [`DialogError::NoOwnCSeq`] for ACK ([`Dialog::ack`] makes it) and CANCEL (the transaction layer does);
    /// [`DialogError::CSeqExhausted`] after CSeq 2^31 - 1.
    pub fn request(&mut self, method: Method) -> Result<RequestBuilder, DialogError> {
        if matches!(method, Method::Ack | Method::Cancel) {
            return Err(DialogError::NoOwnCSeq);
        }
        let number = self.next_cseq()?;
        Ok(self.build(method, number))
    }

    /// The next CSeq number, which is thereby used up: for a request that is sent again with credentials,
    /// say (RFC 3261 §22.2), under a new number.
    ///
    /// # Errors
    /// [`DialogError::CSeqExhausted`] after 2^31 - 1.
    pub fn next_cseq(&mut self) -> Result<u32, DialogError> {
        // RFC 3261 §12.2.1.1: "Therefore, if
        // the local sequence number is not empty, the value of the local
        // sequence number MUST be incremented by one, and this value MUST be
        // placed into the CSeq header field.  If the local sequence number is
        // empty, an initial value MUST be chosen using the guidelines of
        // Section 8.1.1.5."
        let next = match self.local_cseq {
            Some(last) if last >= LAST_CSEQ => return Err(DialogError::CSeqExhausted),
            Some(last) => last + 1,
            None => 1,
        };
        self.local_cseq = Some(next);
        Ok(next)
    }

    /// The ACK to the 2xx of the INVITE with this CSeq number. An INVITE that carried credentials wants
    /// [`Dialog::ack_to`].
    pub fn ack(&self, cseq: u32) -> RequestBuilder {
        // RFC 3261 §13.2.2.4: "The sequence number of the CSeq header field MUST be
        // the same as the INVITE being acknowledged, but the CSeq method MUST
        // be ACK."
        self.build(Method::Ack, cseq)
    }

    /// The ACK to the 2xx of `invite`, with the credentials that `invite` carried.
    pub fn ack_to(&self, invite: &Request) -> RequestBuilder {
        let cseq = invite.headers().cseq().map_or(0, |cseq| cseq.number);
        let mut ack = self.ack(cseq);
        // RFC 3261 §13.2.2.4: "The ACK MUST contain the same credentials as the INVITE."
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in invite.headers().raw_all(name) {
                ack = ack.raw(name, value);
            }
        }
        ack
    }

    fn build(&self, method: Method, cseq: u32) -> RequestBuilder {
        let mut text = String::new();
        let mut builder = match &self.routes {
            // RFC 3261 §12.2.1.1: "If the route set is empty, the UAC MUST place the remote target URI
            // into the Request-URI.  The UAC MUST NOT add a Route header field to
            // the request."
            None => Request::builder(method.clone(), &self.remote_target),
            // RFC 3261 §12.2.1.1: "If the route set is not empty, and the first URI in the route set
            // contains the lr parameter (see Section 19.1.1), the UAC MUST place
            // the remote target URI into the Request-URI and MUST include a Route
            // header field containing the route set values in order, including all
            // parameters."
            Some(routes) if routes.is_loose() => {
                Request::builder(method.clone(), &self.remote_target)
                    .raw(HeaderName::Route, routes.as_str().as_bytes())
            }
            // RFC 3261 §12.2.1.1: "If the route set is not empty, and its first URI does not contain the
            // lr parameter, the UAC MUST place the first URI from the route set
            // into the Request-URI, stripping any parameters that are not allowed
            // in a Request-URI.  The UAC MUST add a Route header field containing
            // the remainder of the route set values in order, including all
            // parameters.  The UAC MUST then place the remote target URI into the
            // Route header field as the last value."
            Some(routes) => {
                text.push_str(routes.rest());
                if !text.is_empty() {
                    text.push(',');
                }
                let _ = write!(text, "<{}>", self.remote_target);
                Request::builder(method.clone(), &routes.first().to_request_uri())
                    .raw(HeaderName::Route, text.as_bytes())
            }
        };
        let id = self.id();
        text.clear();
        let _ = write!(text, "{MAX_FORWARDS}");
        builder = builder.raw(HeaderName::MaxForwards, text.as_bytes());
        // RFC 3261 §12.2.1.1: "The URI in the To field of the request MUST be set to the remote URI
        // from the dialog state.  The tag in the To header field of the request
        // MUST be set to the remote tag of the dialog ID.  The From URI of the
        // request MUST be set to the local URI from the dialog state.  The tag
        // in the From header field of the request MUST be set to the local tag
        // of the dialog ID.  If the value of the remote or local tags is null,
        // the tag parameter MUST be omitted from the To or From header fields,
        // respectively."
        for (name, party, tag) in [
            (HeaderName::From, self.local_party(), id.local_tag),
            (HeaderName::To, self.remote_party(), id.remote_tag),
        ] {
            text.clear();
            text.push_str(party);
            if !tag.is_empty() {
                text.push_str(";tag=");
                text.push_str(tag);
            }
            builder = builder.raw(name, text.as_bytes());
        }
        // RFC 3261 §12.2.1.1: "The Call-ID of the request MUST be set to the Call-ID of the dialog."
        // RFC 3261 §8.1.1.4: "It MUST be the same for all requests and
        // responses sent by either UA in a dialog."
        builder = builder.raw(HeaderName::CallId, id.call_id.as_bytes());
        // RFC 3261 §12.2.1.1: "The method field in the CSeq header field value
        // MUST match the method of the request."
        text.clear();
        let _ = write!(text, "{cseq} {}", method.as_str());
        builder = builder.raw(HeaderName::CSeq, text.as_bytes());
        // RFC 7989 §6: "endpoints (non-intermediaries)
        // MUST include a Session-ID header field value in all SIP messages
        // transmitted as a part of a communication session."
        match &self.session_id {
            Some(session_id) => builder.header(&session_id.to_header()),
            None => builder,
        }
    }

    /// Where a request within the dialog is sent next: the first route, or the remote target
    /// (RFC 3261 §8.1.2).
    pub fn next_hop(&self) -> &Uri<'static> {
        match &self.routes {
            Some(routes) => routes.first(),
            None => &self.remote_target,
        }
    }

    // What we receive.

    /// A request arrived in the dialog: judges and notes its CSeq number (RFC 3261 §12.2.2). ACK and CANCEL
    /// have none of their own and always pass.
    ///
    /// The remote target changes only when the request is accepted: [`Dialog::accepted`].
    ///
    /// # Errors
    /// The answer owed: 500 when it is out of order, 400 without CSeq. Nothing is changed then.
    pub fn receive(&mut self, request: &Request) -> Result<(), Rejection> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let Some(cseq) = request.headers().cseq() else {
            return Err(Rejection::new(StatusCode::BAD_REQUEST));
        };
        // RFC 3261 §12.2.2: "If the remote sequence number was not empty, but the sequence number
        // of the request is lower than the remote sequence number, the request
        // is out of order and MUST be rejected with a 500 (Server Internal
        // Error) response."
        // An equal number is refused too: the repeats of a request stop at its transaction, and of requests
        // RFC 3261 §12.2.1.1: "Requests within a dialog MUST contain strictly monotonically
        // increasing and contiguous CSeq sequence numbers"
        if self.remote_cseq.is_some_and(|last| cseq.number <= last) {
            return Err(Rejection::new(StatusCode::SERVER_INTERNAL_ERROR));
        }
        // RFC 3261 §12.2.2: "If the remote sequence number is empty, it MUST be set to the value
        // of the sequence number in the CSeq header field value in the request."
        // RFC 3261 §12.2.2: "It is possible for the
        // CSeq sequence number to be higher than the remote sequence number by
        // more than one.  This is not an error condition"
        // RFC 3261 §12.2.2: "The UAS MUST then set
        // the remote sequence number to the value of the sequence number in the
        // CSeq header field value in the request."
        self.remote_cseq = Some(cseq.number);
        Ok(())
    }

    /// We answered `request`, which came in the dialog or made it, with a 2xx: an INVITE confirms an early
    /// dialog, and a target refresh request moves the remote target.
    pub fn accepted(&mut self, request: &Request) {
        // RFC 3261 §12.2.2: "If
        // a particular request is accepted by the UAS, all the state changes
        // associated with it are performed.  If the request is rejected, none
        // of the state changes are performed."
        if makes_dialog(request.method()) {
            let before = core::mem::replace(&mut self.state, State::Confirmed);
            if before == State::Early && self.role == Role::Uas {
                // It is the request that made the dialog, or one that came before: its Contact is known
                // already, and what has refreshed the target since is newer.
                return;
            }
        }
        self.heard_from(request);
        // RFC 3261 §12.2.2: "When a UAS receives a target refresh request, it MUST replace the
        // dialog's remote target URI with the URI from the Contact header field
        // in that request, if present."
        if is_target_refresh(request.method())
            && let Some(target) = target(request.get::<Contact>())
        {
            self.remote_target = target;
        }
    }

    /// A 2xx came to the request that made the dialog (RFC 3261 §13.2.2.4): it is confirmed, and the route set
    /// is computed anew. For a dialog that is confirmed already this is [`Dialog::refresh`].
    ///
    /// # Errors
    /// [`DialogError::NoDialog`] for a response that is no 2xx; nothing is changed then.
    /// [`DialogError::Header`] for a malformed Record-Route: the dialog is confirmed all the same, for the ACK is
    /// owed, and keeps the route set of the provisional response.
    pub fn confirm(&mut self, response: &Response) -> Result<(), DialogError> {
        if !response.status().is_success() {
            return Err(DialogError::NoDialog);
        }
        if self.state == State::Early && self.role == Role::Uac {
            // RFC 3261 §13.2.2.4: "If the dialog identifier in the 2xx response matches the dialog
            // identifier of an existing dialog, the dialog MUST be transitioned to
            // the "confirmed" state, and the route set for the dialog MUST be
            // recomputed based on the 2xx response using the procedures of Section
            // 12.2.1.2."
            self.state = State::Confirmed;
            self.refresh(response);
            self.routes = RouteSet::reversed(response.headers())?;
            return Ok(());
        }
        self.refresh(response);
        Ok(())
    }

    /// A final response came to a request of ours in the dialog: a 2xx to a target refresh request moves the
    /// remote target (RFC 3261 §12.2.1.2).
    pub fn refresh(&mut self, response: &Response) {
        let Some(cseq) = response.headers().cseq() else { return };
        // RFC 3261 §12.2.1.2: "When a UAC receives a 2xx response to a target refresh request, it
        // MUST replace the dialog's remote target URI with the URI from the
        // Contact header field in that response, if present."
        if response.status().is_success()
            && is_target_refresh(&cseq.method())
            && let Some(target) = target(response.get::<Contact>())
        {
            self.remote_target = target;
        }
    }

    /// A response to a request of ours in the dialog, of whatever status, says who the peer is (RFC 7989 §8).
    pub fn heard(&mut self, response: &Response) {
        if let Some(session_id) = &mut self.session_id {
            session_id.hear_response(response.headers());
        }
    }

    /// A request in the dialog that was answered by a 2xx, or the ACK to one of ours, says who the peer is
    /// (RFC 7989 §8). [`Dialog::accepted`] does this too.
    pub fn heard_from(&mut self, request: &Request) {
        if let Some(session_id) = &mut self.session_id {
            session_id.hear_request(request.headers());
        }
    }

    /// A request in the dialog that was answered by a 2xx says whose the other end is now (RFC 4916): To of our requests
    /// names them from here on. Whether it is somebody else than before.
    pub fn renamed_by(&mut self, request: &Request) -> bool {
        // RFC 4916 §4.4.2: "If a UA receives a mid-dialog request from the peer UA in which the
        // From header field URI differs from that received in the previous
        // request on that dialog or that sent in the To header field of the
        // original INVITE request and if the UA sends a 2xx response, the UA
        // MUST update the remote URI for this dialog"
        let Ok(Some(from)) = request.get::<From>() else { return false };
        let known = self.identity.remote_party();
        if from.address_bytes() == known.as_bytes() {
            return false;
        }
        // A name that is left out, as many do in a dialog, is no other person.
        let is_same =
            To::parse(known.as_bytes()).is_ok_and(|to| to.uri().is_equivalent(&from.uri()));
        if !is_same {
            self.identity = self.identity.with_remote(&from);
        }
        !is_same
    }

    /// From of our requests in the dialog names this from now on (RFC 4916 §4.4.1). The tags, by which a dialog is known,
    /// stay.
    // RFC 4916 §4.4.1: "the UA MUST be prepared to receive the revised URI in the To
    // header field of subsequent mid-dialog requests and MUST also continue
    // to be prepared to receive the old URI at least until a request
    // containing the revised URI in the To header field has been received."
    // Neither is looked at.
    pub fn rename(&mut self, local: &NameAddr<'_>) {
        self.identity = self.identity.with_local(local);
    }

    /// From now on what is sent in the dialog says what session it belongs to (RFC 7989). A dialog whose first
    /// request was ours and said so has it from there.
    pub fn identify(&mut self, session_id: SessionIdentifier) {
        self.session_id = Some(Box::new(session_id));
    }

    // What is known.

    /// The session identifier, where there is one.
    pub fn session_id(&self) -> Option<&SessionIdentifier> {
        self.session_id.as_deref()
    }

    /// The identifiers.
    pub fn id(&self) -> DialogId<'_> {
        self.identity.id()
    }

    /// Early or confirmed.
    pub fn state(&self) -> State {
        self.state
    }

    /// Which role we had in the request that made the dialog.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the dialog was made over TLS with a SIPS Request-URI.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The dialog that a snapshot was taken of, for a program that was started anew. Its CSeq numbers go on well
    /// above those of the snapshot, for requests that were sent since.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is not what [`Dialog::snapshot`] made.
    pub fn restored(snapshot: &DialogSnapshot) -> Result<Dialog, SnapshotError> {
        let parts = [
            &snapshot.call_id,
            &snapshot.local_tag,
            &snapshot.remote_tag,
            &snapshot.local_party,
            &snapshot.remote_party,
        ];
        let mut text = String::new();
        let mut ends = [0; 4];
        for (place, part) in parts.into_iter().enumerate() {
            text.push_str(part);
            if let Some(end) = ends.get_mut(place) {
                *end = u32::try_from(text.len()).map_err(|_| SnapshotError)?;
            }
        }
        let routes = match &snapshot.routes {
            Some((first, text)) => {
                Some(Box::new(RouteSet::restored(DialogSnapshot::uri(first)?, text.as_str())))
            }
            None => None,
        };
        Ok(Dialog {
            identity: Identity { text: text.into_boxed_str(), ends },
            remote_target: DialogSnapshot::uri(&snapshot.remote_target)?,
            routes,
            local_cseq: snapshot.cseq_after()?,
            remote_cseq: snapshot.remote_cseq,
            role: snapshot.role(),
            state: State::Confirmed,
            secure: snapshot.is_secure,
            session_id: snapshot.session_id().map(Box::new),
        })
    }

    pub(crate) fn route_texts(&self) -> Option<(String, String)> {
        let routes = self.routes.as_ref()?;
        Some((routes.first().as_str().into(), routes.as_str().into()))
    }

    pub(crate) fn cseqs(&self) -> (Option<u32>, Option<u32>) {
        (self.local_cseq, self.remote_cseq)
    }

    /// Our own name and address, as From of our requests says: a display name if there is one and the URI in
    /// angle brackets, no parameters.
    pub fn local_party(&self) -> &str {
        self.identity.local_party()
    }

    /// The peer's name and address, as To of our requests says.
    pub fn remote_party(&self) -> &str {
        self.identity.remote_party()
    }

    /// Where the peer wants to be reached: the URI of its Contact.
    pub fn remote_target(&self) -> &Uri<'static> {
        &self.remote_target
    }

    /// The route set, first hop first, as the value of a Route header field; empty for none.
    pub fn route_set(&self) -> &str {
        self.routes.as_deref().map_or("", RouteSet::as_str)
    }

    /// The CSeq number of our last request; `None` before the first.
    pub fn local_cseq(&self) -> Option<u32> {
        self.local_cseq
    }

    /// Takes back the numbers of the requests that were made since [`local_cseq`](Self::local_cseq) was `before`: none
    /// of them was sent, and the next request has the first of these numbers.
    // RFC 3261 §12.2.1.1: "Requests within a dialog MUST contain strictly monotonically
    // increasing and contiguous CSeq sequence numbers (increasing-by-one)
    // in each direction"
    pub fn rewind(&mut self, before: Option<u32>) {
        self.local_cseq = self.local_cseq.min(before);
    }

    /// The CSeq number of the peer's last request; `None` before the first.
    pub fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// The bytes that the dialog holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.identity.text.len()
            + self.remote_target.as_str().len()
            + self.routes.as_ref().map_or(0, |routes| size_of::<RouteSet>() + routes.heap_bytes())
            + self.session_id.as_ref().map_or(0, |_| size_of::<SessionIdentifier>())
    }
}

/// Where the sender of a request that makes a dialog is reached.
fn target_of_caller(request: &Request, from: &From<'_>) -> Option<Uri<'static>> {
    // A caller that knows no tags is one of RFC 2543, where Contact was optional:
    // RFC 2543 §4.2.4: "If the INVITE request contained a Contact header, the callee SHOULD
    // send a BYE request to that address rather than the From address."
    if from.tag().is_none() && !request.headers().contains(HeaderName::Contact) {
        let uri = from.uri();
        return uri.is_sip().then(|| uri.to_request_uri());
    }
    // RFC 3261 §12.1.1: "The remote target MUST be set to the URI
    // from the Contact header field of the request."
    target(request.get::<Contact>())
}

/// The URI of the first Contact, if it is one that a dialog can use. Others are as good as none.
fn target(contact: Result<Option<Contact<'_>>, HeaderError>) -> Option<Uri<'static>> {
    let contact = contact.ok()??;
    // RFC 3261 §12.1.1: "The URI provided in the Contact header field MUST be a SIP
    // or SIPS URI."
    let uri = contact.uri()?;
    uri.is_sip().then(|| uri.to_request_uri())
}

/// Whether a 2xx to a request with this method confirms a dialog.
fn makes_dialog(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer)
}

/// Whether a request within a dialog with this method moves the remote target.
fn is_target_refresh(method: &Method) -> bool {
    // RFC 5057 §5.4: "The currently defined target
    // refresh requests are INVITE, UPDATE, SUBSCRIBE, NOTIFY, and REFER"
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}

/// The strings of a dialog that never change, in one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    /// Call-ID, local tag, remote tag, local party, remote party.
    text: Box<str>,
    /// Where each but the last ends.
    ends: [u32; 4],
}

impl Identity {
    fn new(id: DialogId<'_>, local: &NameAddr<'_>, remote: &NameAddr<'_>) -> Identity {
        let mut text = String::with_capacity(
            id.call_id.len()
                + id.local_tag.len()
                + id.remote_tag.len()
                + local.as_bytes().len()
                + remote.as_bytes().len()
                + 4, // Brackets that are not there yet.
        );
        let mut ends = [0; 4];
        let [call_id_end, local_tag_end, remote_tag_end, local_end] = &mut ends;
        // A message is far below 4 GiB.
        text.push_str(id.call_id);
        *call_id_end = text.len() as u32;
        text.push_str(id.local_tag);
        *local_tag_end = text.len() as u32;
        text.push_str(id.remote_tag);
        *remote_tag_end = text.len() as u32;
        write_party(&mut text, local);
        *local_end = text.len() as u32;
        write_party(&mut text, remote);
        Identity { text: text.into_boxed_str(), ends }
    }

    fn with_remote(&self, remote: &NameAddr<'_>) -> Identity {
        let mut text = String::from(self.part(0, self.ends[3]));
        write_party(&mut text, remote);
        Identity { text: text.into_boxed_str(), ends: self.ends }
    }

    fn with_local(&self, local: &NameAddr<'_>) -> Identity {
        let [call_id, local_tag, remote_tag, _] = self.ends;
        let mut text = String::from(self.part(0, remote_tag));
        write_party(&mut text, local);
        let end = text.len() as u32; // A name and an address are far below 4 GiB.
        text.push_str(self.remote_party());
        Identity { text: text.into_boxed_str(), ends: [call_id, local_tag, remote_tag, end] }
    }

    fn part(&self, from: u32, to: u32) -> &str {
        self.text.get(from as usize..to as usize).unwrap_or("")
    }

    fn id(&self) -> DialogId<'_> {
        let [call_id, local_tag, remote_tag, _] = self.ends;
        DialogId {
            call_id: self.part(0, call_id),
            local_tag: self.part(call_id, local_tag),
            remote_tag: self.part(local_tag, remote_tag),
        }
    }

    fn local_party(&self) -> &str {
        let [_, _, remote_tag, local] = self.ends;
        self.part(remote_tag, local)
    }

    fn remote_party(&self) -> &str {
        let [_, _, _, local] = self.ends;
        self.text.get(local as usize..).unwrap_or("")
    }
}

/// Display name and URI of From or To, without parameters and in one line.
fn write_party(out: &mut String, address: &NameAddr<'_>) {
    // As it came, as a rule.
    if let Ok(text) = core::str::from_utf8(address.address_bytes())
        && text.ends_with('>')
        && !text.contains(['\r', '\n'])
    {
        out.push_str(text);
        return;
    }
    let uri = address.uri();
    // Only a folded line has line breaks in it, and they stand for a space.
    let one_line = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(name) = address.display_name()
        && let name = if name.contains(['\r', '\n']) { one_line(&name).into() } else { name }
        && let Ok(named) = NameAddr::new(&uri).with_display_name(&name)
        && let Ok(text) = core::str::from_utf8(named.as_bytes())
    {
        out.push_str(text);
        return;
    }
    out.push('<');
    out.push_str(uri.as_str());
    out.push('>');
}

#[cfg(test)]
mod tests;
