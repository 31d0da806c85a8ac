//! The session identifier of a dialog (RFC 7989): a UUID for each of its two ends, that outlives transfers and
//! passes back-to-back user agents.
//!
//! What is here is the rules of one end: which pair a message of ours holds, and when what the peer says of itself
//! counts. Where our own UUID comes from is the user agent's business.

use sip_message::{Headers, SessionId};

/// The session identifier as one end of a dialog keeps it (RFC 7989 §6, §8, §11).
///
/// ```
/// use sip_dialog::SessionIdentifier;
///
/// let ours = SessionIdentifier::new(0xab30317f_1a784dc4_8ff824d0_d3715d86);
/// assert_eq!(
///     ours.to_header().to_string(),
///     "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionIdentifier {
    local: u128,
    /// [`SessionId::NIL`] until the peer has said it.
    remote: u128,
    form: Form,
}

/// How it is written in this dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Both UUIDs.
    Pair,
    /// One for both ends, for a peer from before the RFC that knows no other.
    Single,
    /// The pair as it was sent first, for a peer from before the RFC that gives back what it got.
    Mirrored,
}

impl SessionIdentifier {
    /// That of an end that has heard nothing of its peer, as the first request says it.
    // RFC 7989 §6: "The nil UUID value MUST be used if
    // the peer device's UUID is not known."
    pub fn new(local: u128) -> Self {
        Self { local, remote: SessionId::NIL, form: Form::Pair }
    }

    /// That of an end that was asked by the request with these header fields, and would be called `local`.
    pub fn asked(local: u128, request: &Headers) -> Self {
        match heard(request) {
            // RFC 7989 §11: "If a SIP request has no "remote-uuid" value, this comes from a
            // pre-standard implementation, and not a standard one.  In this
            // case, one UUID is used to identify this dialog, even if the
            // responder is a standard implementor of this specification."
            Some((peer, None)) => Self { local: peer, remote: SessionId::NIL, form: Form::Single },
            Some((peer, Some(_))) => Self { local, remote: peer, form: Form::Pair },
            None => Self::new(local),
        }
    }

    /// What a request of ours with these header fields says; `None` if that is nothing.
    pub fn sent(request: &Headers) -> Option<Self> {
        request.get::<SessionId<'_>>().ok().flatten().map(|own| Self::said(&own))
    }

    /// That of an end that says this.
    pub(crate) fn said(own: &SessionId<'_>) -> Self {
        match own.remote() {
            Some(remote) => Self { local: own.local(), remote, form: Form::Pair },
            None => Self { local: own.local(), remote: SessionId::NIL, form: Form::Single },
        }
    }

    /// A response came, of whatever status.
    // RFC 7989 §8: "When an endpoint or intermediary receives a response containing a
    // new UUID from a peer, the endpoint or intermediary MUST accept the
    // new UUID as the peer's UUID and include this new UUID as the
    // "remote" parameter for any subsequent messages."
    pub fn hear_response(&mut self, response: &Headers) {
        // RFC 7989 §6: "If an endpoint receives a message that does not contain a Session-ID
        // header field, that message must have no effect on what the endpoint
        // believes is the UUID value of the remote endpoint."
        let Some((peer, told)) = heard(response) else { return };
        if peer != self.local {
            self.remote = peer;
            self.form = Form::Pair;
        } else if self.remote == SessionId::NIL {
            self.form = match told {
                // RFC 7989 §11: "If a SIP response only contains the "local-uuid" that was sent
                // originally, this comes from a pre-standard implementation and MUST
                // NOT be discarded for removing the nil "remote-uuid".  In this
                // case, all future transactions within this dialog MUST contain only
                // the UUID received in the first SIP response."
                None => Form::Single,
                // RFC 7989 §11: "If a SIP response arrives that has the same value of Session-ID
                // UUIDs in the same order as was sent, this comes from a pre-
                // standard implementation and MUST NOT be discarded even though the
                // "remote-uuid" may be nil.  In this case, any new transaction
                // within this dialog MUST preserve the order of the two UUIDs within
                // all Session-ID header fields, including the ACK, until this dialog
                // is terminated."
                Some(_) => Form::Mirrored,
            };
        }
    }

    /// A request of the peer in the dialog was answered by a 2xx or 3xx, or it is an ACK to a 2xx.
    // RFC 7989 §6: "An endpoint MUST assume that the UUID value of the peer endpoint may
    // change at any time due to service interactions."
    // RFC 7989 §8: "When an endpoint or intermediary receives an ACK for a successful
    // (2xx) or redirection (3xx) response with a new UUID value, it MUST
    // accept the peer's new UUID value and include this new UUID as the
    // "remote" parameter for any subsequent messages."
    // RFC 7989 §8: "the endpoint or intermediary MUST accept the peer's UUID
    // and include this new UUID as the "remote" parameter for any
    // subsequent messages"
    pub fn hear_request(&mut self, request: &Headers) {
        let Some((peer, told)) = heard(request) else { return };
        if peer != self.local && (self.form == Form::Pair || told.is_some()) {
            self.remote = peer;
            self.form = Form::Pair;
        }
    }

    /// What a request of ours says.
    pub fn to_header(&self) -> SessionId<'static> {
        match self.form {
            Form::Pair => SessionId::new(self.local, self.remote),
            Form::Mirrored => SessionId::new(self.local, SessionId::NIL),
            Form::Single => SessionId::single(self.local),
        }
    }

    /// What a response of ours to a request with these header fields says.
    // RFC 7989 §8: "When an endpoint or intermediary receives a mid-dialog request
    // containing a new UUID from a peer, all responses to that request
    // MUST contain the new UUID value as the "remote" parameter"
    pub fn answer(&self, request: &Headers) -> SessionId<'static> {
        match (self.form, heard(request)) {
            (Form::Pair, Some((peer, _))) => SessionId::new(self.local, peer),
            (Form::Pair | Form::Single | Form::Mirrored, _) => self.to_header(),
        }
    }

    /// Our own UUID.
    pub fn local(&self) -> u128 {
        self.local
    }

    /// The peer's UUID, if it is known.
    pub fn remote(&self) -> Option<u128> {
        (self.remote != SessionId::NIL).then_some(self.remote)
    }

    /// The same with another UUID of our own, for an end that has one from elsewhere: that of the conference, or
    /// of the call that this one takes the place of.
    #[must_use]
    pub fn named(self, local: u128) -> Self {
        match self.form {
            Form::Pair => Self { local, ..self },
            Form::Single | Form::Mirrored => self,
        }
    }
}

/// The UUID of the sender and what it believes ours to be, where the first can be read and is not nil.
// RFC 7989 §6: "An endpoint that receives a Session-ID header field MUST take note of
// any non-nil "local-uuid" value that it receives and assume that is
// the UUID of the peer endpoint within that communication session."
fn heard(headers: &Headers) -> Option<(u128, Option<u128>)> {
    // RFC 7989 §6: "this response comes from a misbehaving
    // implementation, and its Session-ID header field MUST be discarded."
    let said = headers.get::<SessionId<'_>>().ok().flatten()?;
    (said.local() != SessionId::NIL).then(|| (said.local(), said.remote()))
}

#[cfg(test)]
mod tests;
