//! Instant messages (RFC 3428) and INFO with its packages (RFC 6086).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use sip_message::{HeaderName, Headers, InfoPackage, Method, RecvInfo, Request, StatusCode};
use sip_transaction::{ServerKey, Transactions};

use super::Agent;
use crate::{AgentError, Body, CallKey, RequestKey};

/// What the Via that is yet to come may take of a MESSAGE's size.
const VIA_ROOM: usize = 100;

/// The addresses and calls to which a MESSAGE is on its way.
#[derive(Default)]
pub(crate) struct MessagesOut(HashSet<To>);

/// Where a MESSAGE goes, of which one at a time may be on its way.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum To {
    Uri(Arc<str>),
    Call(CallKey),
}

impl MessagesOut {
    pub(super) fn answered(&mut self, to: Option<To>) {
        if let Some(to) = to {
            self.0.remove(&to);
        }
    }
}

/// The INFO packages of a call's peer, as its last Recv-Info says.
pub(crate) type Packages = Box<Vec<String>>;

impl Agent {
    /// Whether a request of the application may go where it is to, as far as it is a MESSAGE; notes that it is
    /// on its way then, until the answer gives back what this gives.
    pub(super) fn message_out(
        &mut self,
        request: &Request,
        call: Option<CallKey>,
    ) -> Result<Option<To>, AgentError> {
        if *request.method() != Method::Message {
            return Ok(None);
        }
        // RFC 3428 §8: "The size of MESSAGE requests outside of a media session MUST NOT
        // exceed 1300 bytes, unless the UAC has positive knowledge that the
        // message will not traverse a congestion-unsafe link at any hop"
        let size = request.to_bytes().len().saturating_add(VIA_ROOM);
        if call.is_none() && size > self.config.max_message {
            return Err(AgentError::TooLarge { size, limit: self.config.max_message });
        }
        // RFC 3428 §8: "A UAC MUST NOT initiate a new out-of-dialog MESSAGE transaction to a
        // given URI if there is a previous out-of-dialog transaction pending
        // for the same URI.  Similarly, A UAC SHOULD NOT initiate overlapping
        // MESSAGE transactions inside a dialog"
        let to = match call {
            Some(call) => To::Call(call),
            None => To::Uri(String::from_utf8_lossy(request.uri_bytes()).into()),
        };
        if !self.messages_out.0.insert(to.clone()) {
            return Err(AgentError::MessagePending);
        }
        Ok(Some(to))
    }

    /// The body of a reply to this request: what the application gave, where there may be one.
    pub(super) fn body_of_reply<'a>(
        request: &Request,
        status: StatusCode,
        body: Option<&'a Body>,
    ) -> Option<&'a Body> {
        // RFC 3428 §7: "A 2xx response to a MESSAGE request MUST NOT contain a body."
        body.filter(|_| !(*request.method() == Method::Message && status.is_success()))
    }

    /// Sends an INFO of this package in a call (RFC 6086). The answer comes as
    /// [`AgentEvent::Response`](crate::AgentEvent::Response).
    ///
    /// An INFO without a package, as devices sent them before there were any, goes by
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// [`AgentError::Package`] if the peer has not said that it wants this package; and as for
    /// [`send`](Self::send).
    pub fn info(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        call: CallKey,
        package: &str,
        body: Option<&Body>,
    ) -> Result<RequestKey, AgentError> {
        // RFC 6086 §4.2.1: "MUST NOT send an INFO request for an Info Package inside an invite
        // dialog usage if the remote UA has not indicated willingness to
        // receive that Info Package within that dialog."
        if !self.wants_package(call, package) {
            return Err(AgentError::Package);
        }
        // RFC 6086 §4.2.1: "it
        // MUST include an Info-Package header field that indicates which Info
        // Package is associated with the request."
        let mut headers = vec![("Info-Package".to_owned(), package.to_owned())];
        if body.is_some() {
            headers.push(("Content-Disposition".to_owned(), "Info-Package".to_owned()));
        }
        self.send(now, tx, call, Method::Info, body, &headers)
    }

    /// Whether the peer of a call has said that it wants INFOs of this package.
    pub fn wants_package(&self, call: CallKey, package: &str) -> bool {
        let packages = self.calls.get(call).and_then(|call| call.packages.as_ref());
        packages.is_some_and(|packages| packages.iter().any(|known| known == package))
    }

    /// The value of Recv-Info in what we send; none if the agent knows no packages at all.
    pub(super) fn recv_info(&self) -> Option<String> {
        self.config.info_packages.as_ref().map(|packages| packages.join(", "))
    }

    /// Takes in what the peer of a call says of the packages that it wants.
    pub(super) fn note_packages(&mut self, call: CallKey, headers: &Headers) {
        if !headers.contains(HeaderName::RecvInfo) {
            return;
        }
        let lines = headers.get_all::<RecvInfo<'_>>().filter_map(Result::ok);
        let named: Vec<String> = lines
            .flat_map(|line| {
                let names = line.elements().map(|element| element.token().to_owned());
                names.collect::<Vec<_>>()
            })
            .take(MAX_PACKAGES)
            .collect();
        if let Some(call) = self.calls.get_mut(call) {
            call.packages = (!named.is_empty()).then(|| Box::new(named));
        }
    }

    /// Answers an INFO of a package that we do not want. False if it may pass.
    pub(super) fn refuse_package(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        server: ServerKey,
        request: &Request,
    ) -> bool {
        let (Method::Info, Some(ours)) = (request.method(), &self.config.info_packages) else {
            return false;
        };
        if !request.headers().contains(HeaderName::InfoPackage) {
            return false;
        }
        let named = request.get::<InfoPackage<'_>>();
        if let Ok(Some(package)) = &named
            && ours.iter().any(|known| known == package.name())
        {
            return false;
        }
        let status = match named {
            Ok(_) => StatusCode::BAD_INFO_PACKAGE,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        // RFC 6086 §4.2.2: "the UA MUST send a
        // 469 (Bad Info Package) response (see Section 11.6), which contains a
        // Recv-Info header field with Info Packages for which the UA is willing
        // to receive INFO requests."
        let value = self.recv_info().unwrap_or_default();
        let builder =
            self.response(request, status, "").raw(HeaderName::RecvInfo, value.as_bytes());
        self.respond(now, tx, server, request, builder);
        true
    }
}

/// How many packages of a peer are remembered.
const MAX_PACKAGES: usize = 32;
