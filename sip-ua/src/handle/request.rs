//! Requests outside of calls, both ways, and those of the peer within a call.

use std::sync::Arc;

use sip_message::{Method, Request, Response, StatusCode, Uri};
use sip_transaction::ServerKey;

use super::call::fields;
use super::command::{Command, Fields, Line, Release, RequestParts, Wait};
use super::{RequestError, Stopped};
use crate::{Account, Body, Sender};

/// A request of a peer that waits for a reply: MESSAGE, INFO and the other methods of
/// [`AgentConfig::methods`](crate::AgentConfig::methods).
///
/// **Dropping it refuses** by 480: nobody here took it. A reply that comes later than
/// [`AgentConfig::reply_guard`](crate::AgentConfig::reply_guard) is too late and has no effect.
#[derive(Debug)]
pub struct IncomingRequest {
    key: ServerKey,
    request: Arc<Request>,
    sender: Sender,
    /// Taken when it has its reply.
    line: Option<Arc<Line>>,
}

impl IncomingRequest {
    pub(super) fn new(
        key: ServerKey,
        request: Arc<Request>,
        sender: Sender,
        line: Arc<Line>,
    ) -> Self {
        Self { key, request, sender, line: Some(line) }
    }

    pub(super) fn key(&self) -> ServerKey {
        self.key
    }

    /// It is answered in another way.
    pub(super) fn take_line(&mut self) -> Option<Arc<Line>> {
        self.line.take()
    }

    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Who sent it, whatever it says: from where, and who proved to be there.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        self.request.body()
    }

    /// Replies by this final status.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn reply(mut self, status: StatusCode) -> Result<(), Stopped> {
        if let Some(wait) = self.answer(status, None, Vec::new())? {
            wait.await?;
        }
        self.line = None;
        Ok(())
    }

    /// Replies by this final status with a body and more header fields.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the user agent has shut down.
    pub async fn reply_with(
        mut self,
        status: StatusCode,
        body: Option<Body>,
        headers: &[(&str, &str)],
    ) -> Result<(), Stopped> {
        if let Some(wait) = self.answer(status, body, fields(headers))? {
            wait.await?;
        }
        self.line = None;
        Ok(())
    }

    /// Orders the reply. The caller takes `line` when that is done and not before: a future that is dropped
    /// while it waits for room refuses, as a drop does.
    fn answer(
        &self,
        status: StatusCode,
        body: Option<Body>,
        headers: Fields,
    ) -> Result<Option<Wait>, Stopped> {
        let Some(line) = &self.line else { return Ok(None) };
        line.send(Command::Reply { request: self.key, status, body, headers })
    }
}

impl Drop for IncomingRequest {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.release(Release::Request(self.key));
        }
    }
}

/// A request about to be sent outside of any call: see [`UserAgent::request`](crate::UserAgent::request).
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct RequestBuilder {
    line: Arc<Line>,
    account: Arc<Account>,
    to: Box<Uri<'static>>,
    parts: Box<RequestParts>,
}

impl RequestBuilder {
    pub(super) fn new(
        line: Arc<Line>,
        account: Arc<Account>,
        method: Method,
        to: Uri<'static>,
    ) -> Self {
        let parts = RequestParts { method, body: None, headers: Vec::new() };
        Self { line, account, to: Box::new(to), parts: Box::new(parts) }
    }

    /// Its body.
    pub fn body(mut self, body: Body) -> Self {
        self.parts.body = Some(body);
        self
    }

    /// One more header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.headers.push((name.into(), value.into()));
        self
    }

    /// The account that sends it, if it is not the user agent's own.
    pub fn account(mut self, account: &Arc<Account>) -> Self {
        self.account = Arc::clone(account);
        self
    }

    /// Sends it and waits for its final response, whatever its status. A 401 or 407 is answered with the
    /// account's credentials first.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why no response came.
    pub async fn send(self) -> Result<Response, RequestError> {
        let Self { line, account, to, parts: request } = self;
        let answer = line.ask(|answer| Command::Request { account, to, request, answer }).await?;
        Ok(answer?)
    }
}
