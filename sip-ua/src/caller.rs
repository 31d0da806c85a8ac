//! Who calls, and what else an INVITE says of how it came here.

use sip_message::{
    Diversion, From, Header, HistoryInfo, NameAddr, PAssertedIdentity, Privacy, Request,
};

/// What an INVITE, or another request outside of a dialog, says of its sender, and what of it may be shown.
///
/// Of the many header fields that go along with a call (Alert-Info, Answer-Mode, Call-Info, User-to-User …),
/// [`get`](Self::get) and [`all`](Self::all) read each by its type.
///
/// ```
/// # use sip_ua::Caller;
/// use sip_message::{AnswerMode, UserToUser};
///
/// fn shown(caller: &Caller<'_>) -> String {
///     let auto = caller.get::<AnswerMode>().is_some_and(|mode| mode.is_auto());
///     let data = caller.get::<UserToUser>().and_then(|data| data.decoded());
///     match caller.identity() {
///         Some(who) => format!("{} calls, auto {auto}, {data:?}", who.uri()),
///         None => "somebody calls".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    request: &'a Request,
    trusted: bool,
}

impl<'a> Caller<'a> {
    /// The caller of a request. `trusted` says whether the element that it came from belongs to our trust domain:
    /// [`Sender::is_trusted`](crate::Sender::is_trusted).
    pub fn new(request: &'a Request, trusted: bool) -> Self {
        Self { request, trusted }
    }

    /// Who it is, to be shown: who the network says it is where that can be trusted, else who From says; nobody if
    /// the caller is [anonymous](Self::is_anonymous).
    pub fn identity(&self) -> Option<NameAddr<'a>> {
        if self.is_anonymous() {
            return None;
        }
        let asserted = self.asserted().next().map(PAssertedIdentity::into_name_addr);
        asserted.or_else(|| self.from())
    }

    /// Who From says it is: anybody may write anything there.
    pub fn from(&self) -> Option<NameAddr<'a>> {
        self.get::<From<'a>>().map(From::into_name_addr)
    }

    /// Who the network says it is (RFC 3325), if the request comes from where that can be trusted: one SIP address, or
    /// one telephone number, or both.
    // RFC 3325 §8: "If a User Agent Server receives a message from a previous
    // element that it does not trust, it MUST NOT use the P-Asserted-
    // Identity header field in any way."
    pub fn asserted(&self) -> impl Iterator<Item = PAssertedIdentity<'a>> + use<'a> {
        self.all::<PAssertedIdentity<'a>>().filter({
            let trusted = self.trusted;
            move |_| trusted
        })
    }

    /// Whether the caller does not want to be known: by Privacy (`user`, `id` or `header`, RFC 3323 and 3325), or by a
    /// From that names nobody.
    pub fn is_anonymous(&self) -> bool {
        let asked = self.privacy().is_some_and(|privacy| {
            !privacy.is_none()
                && ["user", "id", "header"].iter().any(|value| privacy.contains(value))
        });
        // RFC 3323 §4.1.1.3: "the hostname value 'anonymous.invalid' SHOULD be
        // used for anonymous URIs"
        let nobody = || {
            self.from().is_some_and(|from| {
                from.uri()
                    .host()
                    .is_some_and(|host| host.to_string().eq_ignore_ascii_case("anonymous.invalid"))
            })
        };
        asked || (self.asserted().next().is_none() && nobody())
    }

    /// What the caller wants hidden (RFC 3323).
    pub fn privacy(&self) -> Option<Privacy<'a>> {
        self.get()
    }

    /// Where the request was sent before it came here (RFC 7044), in order; those that are private are left out.
    pub fn history(&self) -> impl Iterator<Item = HistoryInfo<'a>> + use<'a> {
        let is_private = |entry: &HistoryInfo<'a>| {
            entry.privacy().is_some_and(|privacy| privacy.contains("history"))
        };
        self.all::<HistoryInfo<'a>>().filter(move |entry| !is_private(entry))
    }

    /// Who diverted the call to here (RFC 5806), the last first.
    pub fn diversions(&self) -> impl Iterator<Item = Diversion<'a>> + use<'a> {
        self.all()
    }

    /// The first header field of this type, if it can be read.
    pub fn get<H: Header<'a>>(&self) -> Option<H> {
        self.request.headers().get::<H>().ok().flatten()
    }

    /// All values of this type that can be read.
    pub fn all<H: Header<'a>>(&self) -> impl Iterator<Item = H> + use<'a, H> {
        self.request.headers().get_all::<H>().flatten()
    }
}
