//! The edge: who opened a connection, or a hole in a NAT box, is reached by it and by no other way (RFC 5626 §5 and §7,
//! RFC 3327, RFC 5627).
//!
//! ```text
//!            REGISTER                        Path: <sip:TOKEN@edge;lr;ob>
//!   phone -------------> edge (this node) ----------------------------> registrar, here or elsewhere
//!            INVITE                          Route: <sip:TOKEN@edge;lr;ob>
//!   phone <------------- edge (this node) <---------------------------- proxy of the phone's domain
//!            over that flow, or 430
//! ```
//!
//! | | |
//! | --- | --- |
//! | [`Edge`] | what a [`Proxy`](crate::Proxy) is given so that it is one ([`Proxy::with_edge`](crate::Proxy::with_edge)) |
//! | [`FlowTokens`] | flows as texts that only the cluster can make and read |
//! | [`Gruus`] | public and temporary GRUUs, without a table |
//!
//! Nothing is kept for a token: the node that made it reads the flow back from it, after a restart as well. Which
//! connections are open that a binding names is all that an edge remembers.

mod gruu;
mod seal;
mod targets;
mod token;
mod vouch;

use std::collections::HashMap;

use sip_message::{Contact, Host, Method, Path, Request, Supported, To, Transport, Uri, Via};
use sip_transaction::{NextHop, Transactions};
use sip_transport::{ConnectionId, Flow, Locals};
use smallvec::SmallVec;

pub(crate) use gruu::public as public_gruu;
pub use gruu::{Addressed, Gruus};
pub use seal::{EdgeKey, EdgeKeys, ShortKey};
pub(crate) use targets::targets;
pub use token::{BadNodeName, FlowToken, FlowTokens, Forged};

use crate::Aor;
use crate::route::own_uri;

/// What makes a [`Proxy`](crate::Proxy) an edge. Plain values with setters, and the connections that bindings name.
#[derive(Clone, Debug)]
pub struct Edge {
    tokens: FlowTokens,
    nat: bool,
    path: PathPolicy,
    nodes: HashMap<Box<str>, Uri<'static>>,
    /// The open connections over which REGISTERs came, with the addresses-of-record that they were for.
    open: HashMap<ConnectionId, SmallVec<[Aor; 1]>>,
}

/// When an edge puts itself into the Path of a REGISTER that it forwards, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathPolicy {
    /// When its flow is needed: of a user agent that asks for outbound, or that nothing else reaches. Not if the
    /// user agent does not support Path, since a registrar is to refuse that (RFC 3327 §5.3).
    #[default]
    WhenNeeded,
    /// The same, and who would need it without supporting Path is told so by 421 (RFC 3327 §5.2).
    Require,
    /// The same, but for user agents that do not support Path as well: for a registrar that takes it from anyone.
    ForAnyone,
    /// For every user agent that supports Path, needed or not, and wherever the REGISTER comes from.
    Always,
}

/// How many addresses-of-record are remembered of one connection. The bindings of more that it has are found to be
/// gone by the 430 of the next request to them.
const MAX_AORS: usize = 64;

/// How the routing information of a request says that it is to be sent.
pub(crate) enum Leads {
    /// As anything else.
    On,
    /// Over this flow.
    By(NextHop),
    /// To the node that has its flow, which reads it there.
    To(NextHop),
}

/// Why a request that holds a flow token is not forwarded (RFC 5626 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFlow {
    Forged,
    Failed,
}

/// What a user agent needs of the edge that it registers through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// To be reached over its flow.
    Flow,
    /// The same as outbound has it.
    Outbound,
}

impl Edge {
    /// An edge that makes these tokens.
    pub fn new(tokens: FlowTokens) -> Self {
        Self {
            tokens,
            nat: true,
            path: PathPolicy::default(),
            nodes: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// Sets whether user agents that know nothing of outbound are reached over their flow as well if nothing else
    /// reaches them: those with a Contact at another address than they send from, as behind a NAT box, and those that came
    /// by TLS or WebSocket without a certificate. Default true.
    #[must_use]
    pub fn nat(mut self, helps: bool) -> Self {
        self.nat = helps;
        self
    }

    /// Sets when the edge puts itself into the Path of what it forwards.
    #[must_use]
    pub fn path_policy(mut self, policy: PathPolicy) -> Self {
        self.path = policy;
        self
    }

    /// Where the node of that name is reached that shares the keys: what holds a token of its is sent there. Without
    /// it, 430 is answered, so that another flow is tried.
    #[must_use]
    pub fn node(mut self, name: &str, uri: Uri<'static>) -> Self {
        self.nodes.insert(name.into(), uri);
        self
    }

    /// The tokens.
    pub fn tokens(&self) -> &FlowTokens {
        &self.tokens
    }

    /// Changes the keys: the tokens of one that is no longer known are answered 403 from now on.
    pub fn set_keys(&mut self, keys: EdgeKeys) {
        self.tokens.set_keys(keys);
    }

    /// For a registrar on this node: what a REGISTER that came by this flow gets as the first element of its path
    /// ([`Register::over`](crate::Register::over)), if its bindings are to be reached over that flow.
    // RFC 5626 §6: "If the UAC has a direct flow with the registrar, the registrar MUST
    // store enough information to uniquely identify the network flow over
    // which the request arrived."
    pub fn path(
        &mut self,
        register: &Request,
        flow: &Flow,
        tx: &Transactions,
    ) -> Option<Uri<'static>> {
        let needs = self.needs(register, flow, tx);
        if needs == Needs::Nothing {
            return None;
        }
        self.remember(register, flow);
        self.uri(register, flow, tx.locals(), needs)
    }

    /// Puts this edge into the Path of a REGISTER that is forwarded (RFC 3327 §5.2); an error if it is answered 421.
    pub(crate) fn add_path(
        &mut self,
        copy: &mut Request,
        flow: &Flow,
        tx: &Transactions,
    ) -> Result<(), PathRequired> {
        let needs = self.needs(copy, flow, tx);
        if needs == Needs::Nothing && self.path != PathPolicy::Always {
            return Ok(());
        }
        // RFC 3327 §5.2: "Intermediate proxies SHOULD NOT add a Path header field to a request
        // unless the UA has indicated support for this extension with a
        // Supported header field value."
        let knows_path =
            copy.get_all::<Supported<'_>>().flatten().any(|tags| tags.contains("path"));
        if !knows_path {
            match self.path {
                PathPolicy::ForAnyone => {}
                // RFC 3327 §5.2: "If the UA has not indicated support for the extension and
                // the proxy requires support for it in the registrar, the proxy SHOULD"
                // RFC 3327 §5.2: "reject the request with a 421 response indicating a requirement for
                // the extension."
                PathPolicy::Require => return Err(PathRequired),
                PathPolicy::WhenNeeded | PathPolicy::Always => return Ok(()),
            }
        }
        self.remember(copy, flow);
        if let Some(uri) = self.uri(copy, flow, tx.locals(), needs) {
            // RFC 3327 §5.2: "the proxy inserts a URI for that proxy as the topmost value in the
            // Path header field (or inserts a new topmost Path header) before
            // proxying that request."
            copy.headers_mut().push_front(&Path::new(&uri));
        }
        Ok(())
    }

    /// Whether in-dialog requests to whoever sent this one have to come back over the flow.
    // RFC 5626 §5.3.2: "the edge proxy can use the presence of the "ob" URI parameter in the
    // UAC's Contact URI (or topmost Route header field) to determine if the
    // edge proxy needs to assist in mid-dialog request routing."
    pub(crate) fn assists(&self, request: &Request, flow: &Flow, tx: &Transactions) -> bool {
        self.needs(request, flow, tx) != Needs::Nothing
    }

    /// What a token in a Route of ours says about a request that came by this flow.
    pub(crate) fn read(
        &self,
        uri: &Uri<'_>,
        flow: &Flow,
        locals: &Locals,
    ) -> Result<Leads, NoFlow> {
        let Some(user) = uri.user() else { return Ok(Leads::On) };
        // RFC 5626 §5.3.1: "If
        // the flow token has been tampered with, the proxy SHOULD send a 403
        // (Forbidden) response.  If the flow no longer exists, the proxy SHOULD
        // send a 430 (Flow Failed) response to the request."
        match self.tokens.read(user).map_err(|Forged| NoFlow::Forged)? {
            None => Ok(Leads::On),
            // RFC 5626 §5.3: "If the flow in the flow token identified by the topmost Route header
            // field value matches the source IP address and port of the request,
            // the request is an "outgoing" request; otherwise, it is an "incoming"
            // request."
            Some(FlowToken::Here(of)) if of == *flow => Ok(Leads::On),
            // The listeners may be others than those before a restart.
            Some(FlowToken::Here(of)) => match locals.get(of.listener) {
                Some(local) if local.transport == of.transport => Ok(Leads::By(NextHop::Over(of))),
                Some(_) | None => Err(NoFlow::Failed),
            },
            Some(FlowToken::Gone) => Err(NoFlow::Failed),
            Some(FlowToken::At(node)) => match self.nodes.get(&node) {
                Some(uri) => Ok(Leads::To(NextHop::Uri(uri.clone()))),
                None => Err(NoFlow::Failed),
            },
        }
    }

    /// Whether a user part is meant to be a flow token.
    pub(crate) fn is_token(user: &str) -> bool {
        FlowTokens::is_one(user)
    }

    /// A connection is closed: the addresses-of-record that were bound over it.
    pub(crate) fn closed(&mut self, flow: &Flow) -> impl Iterator<Item = Aor> {
        let aors = flow.connection.and_then(|connection| self.open.remove(&connection));
        aors.unwrap_or_default().into_iter()
    }

    /// Whether a binding over this flow may still be reached: its connection was not seen to end.
    fn is_open(&self, flow: &Flow) -> bool {
        flow.connection.is_none_or(|connection| self.open.contains_key(&connection))
    }

    fn remember(&mut self, register: &Request, flow: &Flow) {
        let Some(connection) = flow.connection else { return };
        let to = register.headers().get::<To<'_>>().ok().flatten();
        let aors = self.open.entry(connection).or_default();
        if let Some(aor) = to.and_then(|to| Aor::of(&to.uri()))
            && aors.len() < MAX_AORS
            && !aors.contains(&aor)
        {
            aors.push(aor);
        }
    }

    fn needs(&self, request: &Request, flow: &Flow, tx: &Transactions) -> Needs {
        // RFC 5626 §5.1: "The edge proxy can determine
        // if it is the first hop by examining the Via header field."
        if request.get_all::<Via<'_>>().nth(1).is_some() {
            return Needs::Nothing;
        }
        let is_register = *request.method() == Method::Register;
        let mut is_elsewhere = false;
        for contact in request.get_all::<Contact<'_>>().flatten() {
            // RFC 5626 §5.1: "When an edge proxy receives a registration request with a "reg-id"
            // header field parameter in the Contact header field, it needs to
            // determine if it (the edge proxy) will have to be visited for any
            // subsequent requests"
            let Some(uri) = contact.uri() else { continue };
            if is_register && contact.reg_id().is_some() || !is_register && uri.ob() {
                return Needs::Outbound;
            }
            is_elsewhere |= leads_elsewhere(&uri, flow);
        }
        let takes_no_connections = flow.transport.is_websocket()
            || flow.transport == Transport::Tls && tx.peer(flow).is_none();
        if self.nat && (is_elsewhere || takes_no_connections) {
            Needs::Flow
        } else {
            Needs::Nothing
        }
    }

    /// This edge as an element of a path.
    // RFC 5626 §5.1: "if the edge proxy is the first SIP node
    // after the UAC, the edge proxy either MUST store a "flow token"
    // (containing information about the flow from the previous hop) in its
    // Path URI or reject the request."
    // RFC 5626 §5.1: "In addition, the first node MUST include an
    // "ob" URI parameter in its Path header field value.  If the edge proxy
    // is not the first SIP node after the UAC it MUST NOT place an "ob" URI
    // parameter in a Path header field value."
    fn uri(
        &self,
        request: &Request,
        flow: &Flow,
        locals: &Locals,
        needs: Needs,
    ) -> Option<Uri<'static>> {
        let is_secure = request.uri().is_ok_and(|uri| uri.is_secure());
        let came_by = locals.get(flow.listener);
        // Others reach this node by what others speak: not by WebSocket, and for sips by TLS.
        let fits = |transport: Transport| match transport {
            Transport::Tls => true,
            Transport::Udp | Transport::Tcp => !is_secure,
            _ => false,
        };
        let listener = came_by
            .filter(|local| fits(local.transport))
            .or_else(|| locals.iter().find(|local| local.listens && fits(local.transport)))
            .or(came_by)?;
        let token = match needs {
            Needs::Nothing => None,
            Needs::Flow | Needs::Outbound => Some(self.tokens.make(flow)),
        };
        let uri = own_uri(listener, is_secure, token.as_deref())?;
        if needs == Needs::Outbound { uri.with_param("ob", None).ok() } else { Some(uri) }
    }
}

/// The user agent does not support Path, and would not be reached without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathRequired;

/// Whether a Contact is no place at which whoever sends by this flow can be reached.
fn leads_elsewhere(contact: &Uri<'_>, flow: &Flow) -> bool {
    let ip = match contact.host() {
        Some(Host::V4(ip)) => ip.into(),
        Some(Host::V6(ip)) => core::net::IpAddr::V6(ip).to_canonical(),
        // RFC 2606 §2: what leads nowhere, as browsers write that do not know their address (RFC 7118 §5.1).
        Some(Host::Name(name)) => return name.to_ascii_lowercase().ends_with(".invalid"),
        None => return false,
    };
    // Of its own address it knows its own port: another program there may be the one that is called.
    ip != flow.remote.ip().to_canonical()
}
