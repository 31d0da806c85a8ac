//! The user agent core (RFC 3261 §8, §10, §11, §13 to §15), sans-IO: what stands between the transactions and
//! the application.
//!
//! | file               | what                                                                    |
//! | ------------------ | ----------------------------------------------------------------------- |
//! | `call.rs`          | one call: its states, how each is left, the one way it ends               |
//! | `outgoing.rs`      | placing a call: early dialogs, forks, ACK and re-ACK, CANCEL               |
//! | `incoming.rs`      | taking a call: ring, accept, reject, the repeated 2xx, CANCEL              |
//! | `offer.rs`         | the ACK that waits for the application's answer to an offer in a 2xx       |
//! | `prack.rs`         | provisional responses that are sent reliably, both ways                   |
//! | `early_end.rs`     | 199: the early dialog is over before the INVITE is (RFC 6228)               |
//! | `preconditions.rs` | the option tag of offers that have some (RFC 3312)                        |
//! | `update.rs`        | UPDATE, both ways, and the answers to offers in it and in PRACK            |
//! | `modify.rs`        | modifying a session by re-INVITE and UPDATE, both ways, and glare         |
//! | `retry.rs`         | what a refusal of our INVITE leads to                                     |
//! | `session_timer.rs` | refreshing sessions, and ending those that are not (RFC 4028)          |
//! | `reason.rs`        | why a call is hung up, both ways (RFC 3326)                               |
//! | `session_id.rs`    | to which session messages belong (RFC 7989)                             |
//! | `connected.rs`     | whose a call is by now, at either end (RFC 4916)                        |
//! | `gruu.rs`          | Contacts that lead to this device from anywhere (RFC 5627)              |
//! | `history.rs`       | where a request has been before (RFC 7044)                              |
//! | `snapshot.rs`      | calls that outlive a restart                                              |
//! | `bye.rs`           | BYE, both ways                                                           |
//! | `requests.rs`      | requests of the application that want an answer                           |
//! | `sender.rs`        | who sent a request, for the application to decide by                      |
//! | `replies.rs`       | requests of the peer that the application answers                         |
//! | `messages.rs`      | MESSAGE and INFO: what may be sent when, and the packages of INFO          |
//! | `refer.rs`         | REFER, sent: the peer is asked to call someone else                        |
//! | `refer_out.rs`     | REFER, sent outside of any dialog                                          |
//! | `referral.rs`      | REFER, received: followed, and reported about                              |
//! | `replaces.rs`      | calls that take the place of another, or join it                           |
//! | `refusals.rs`      | what every request goes through first, and what is answered by itself      |
//! | `authentication.rs` | whom the agent serves: settings, and where users are looked up            |
//! | `admission.rs`     | challenges for what comes in, requests that wait for a lookup, proofs     |
//! | `registrations.rs` | the registration machine wired up                                        |
//! | `flows.rs`         | the flows of registrations: keep-alives, and what follows when one fails   |
//! | `subscriptions.rs` | what the application is told of: subscriptions of ours                    |
//! | `notifications.rs` | what it tells: subscriptions of peers                                     |
//! | `publications.rs`  | what it publishes: states that another server keeps and tells              |
//! | `asker.rs`         | the request of a machine that is out, and its credentials                 |
//! | `bindings.rs`      | asking a registrar where an account is registered                         |
//! | `usages.rs`        | what a dialog is used for, and when it ends                              |
//! | `kept_calls.rs`    | keep-alives over the flows of calls, and the agreement to those of peers    |
//! | `public.rs`        | the addresses at which others see us, as responses tell                  |
//! | `relocation.rs`    | what follows when the networks of this machine have changed              |
//! | `compose.rs`       | what messages have in common                                             |
//! | `way_back.rs`      | the connections that alone lead to the peers of some calls                |

mod admission;
mod asker;
mod authentication;
mod bindings;
mod bye;
mod call;
mod compose;
mod config;
mod connected;
mod early_end;
mod error;
mod events;
mod flows;
mod gruu;
mod history;
mod incoming;
mod kept_calls;
mod key;
mod messages;
mod modify;
mod notifications;
mod offer;
mod outgoing;
mod prack;
mod preconditions;
mod public;
mod publications;
mod reason;
mod refer;
mod refer_out;
mod referral;
mod refusals;
mod registrations;
mod relocation;
mod replaces;
mod replies;
mod requests;
mod retry;
mod sender;
mod session_id;
mod session_timer;
mod snapshot;
mod subscriptions;
mod table;
mod update;
mod usages;
mod way_back;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip_dialog::{DialogKey, Dialogs, MergedKey, MergedRequests};
use sip_message::{Request, Response, Via};
use sip_transaction::{ClientKey, Event, Key, KeyMap, ServerKey, TransactionUser, Transactions};
use sip_transport::{Flow, TransportError};

pub use authentication::ServerAuthentication;
pub use config::{AgentConfig, Reliability};
pub use error::{AgentError, CallState};
pub use events::{AgentEvent, CallUpdate, EarlyId, EndReason, ReferUpdate, RequestFailure};
pub use key::{
    BridgeKey, CallKey, NotifierKey, PublicationKey, ReferKey, RegistrationKey, RequestKey,
    SubscriptionKey,
};
pub use notifications::{Grant, NotifierUpdate};
pub use publications::PublicationWish;
pub use replaces::Related;
pub use sender::Sender;
pub use session_id::SessionIds;
pub use subscriptions::{SubscriptionUpdate, SubscriptionWish};

pub use snapshot::CallSnapshot;

pub(crate) use self::history::known as known_history;
pub(crate) use self::key::Slab;
pub(crate) use self::offer::{declined, describes_session};
pub(crate) use self::outgoing::confirm;
#[cfg(feature = "tokio")]
pub(crate) use self::prack::lists;
#[cfg(feature = "sdp")]
pub(crate) use self::preconditions::are_mandatory;

use self::admission::{Admitted, Guard, Held};
use self::call::Call;
use self::compose::Capabilities;
use self::gruu::Gruus;
use self::kept_calls::KeptCalls;
use self::key::RawKey;
use self::messages::MessagesOut;
use self::notifications::Notifiers;
use self::public::PublicAddresses;
use self::publications::Publications;
use self::refer::Refer;
use self::registrations::Registering;
use self::replies::Owed;
use self::requests::Asked;
use self::session_id::SessionUuids;
use self::subscriptions::Subscriptions;
use self::table::TimerKind;
use self::usages::{Usage, Usages};
use self::way_back::WaysBack;
use crate::Account;
use crate::registration::Input as RegistrationInput;

/// The user agent core of one shard: all its calls, registrations and requests.
///
/// It is a [`TransactionUser`]: an [`Endpoint`](sip_transaction::Endpoint) feeds it, commands are given through
/// [`Endpoint::with`](sip_transaction::Endpoint::with), and what happens comes out as [`AgentEvent`]s. It does by
/// itself all that RFC 3261 asks of a user agent between the two: ACKs and their repeats, repeated 2xx, forked
/// calls, CANCEL races, glare, authentication, and the answers to what cannot be served. Nothing waits for
/// the application for ever: each wait has a timer.
pub struct Agent {
    config: AgentConfig,
    capabilities: Capabilities,
    /// Whose secrets answer challenges within calls that came in.
    account: Option<Arc<Account>>,
    calls: Slab<Call>,
    /// Why the application hung up, until the calls are over: few, if any.
    reasons: KeyMap<CallKey, Box<str>>,
    /// How many of them are not over.
    active_calls: usize,
    dialogs: Dialogs<Usages>,
    /// The client transactions that something waits for.
    clients: KeyMap<ClientKey, ClientUse>,
    /// The server transactions that something is noted about, until they are over.
    servers: KeyMap<ServerKey, Served>,
    requests: Slab<Asked>,
    owed: Slab<Owed>,
    refers: Slab<Refer>,
    refers_out: refer_out::Unanswered,
    messages_out: MessagesOut,
    registrations: Slab<Registering>,
    subscriptions: Subscriptions,
    notifiers: Notifiers,
    publications: Publications,
    /// From when the times of the machines are counted.
    started: Option<Instant>,
    merged: MergedRequests,
    uuids: SessionUuids,
    gruus: Gruus,
    ways_back: WaysBack,
    kept_calls: KeptCalls,
    public: PublicAddresses,
    /// Calls wait to be told of a change of networks until a registration knows where we are seen now.
    relocating: bool,
    /// Who may ask for something.
    guard: Option<Box<Guard>>,
    /// The requests of which that is being looked up.
    held: Slab<Held>,
    events: VecDeque<AgentEvent>,
}

/// A request that came in, with what its response belongs to.
pub(crate) struct Received {
    server: ServerKey,
    request: Request,
    /// What it came over.
    flow: Flow,
}

/// What a client transaction is for.
#[derive(Clone, Copy)]
enum ClientUse {
    Invite(CallKey),
    Modification(CallKey),
    Bye {
        call: CallKey,
        dialog: DialogKey,
        challenges: u8,
    },
    Request(RequestKey),
    Register(RegistrationKey),
    /// For a subscription of ours, or of a peer.
    Event(Usage),
    Publish(PublicationKey),
}

/// What is noted about a server transaction.
struct Served {
    merged: Option<MergedKey>,
    usage: ServerUse,
    /// Who sent the request, if that was to be proven.
    sender: Option<Box<Admitted>>,
}

/// What a server transaction waits for.
#[derive(Clone, Copy)]
enum ServerUse {
    /// For the answer to a call.
    Invite(CallKey),
    /// For its end only: the call is over, but a PRACK may still come.
    Ended(CallKey),
    /// For the answer to a request that modifies the session, or the ACK to its refusal.
    Modification(CallKey),
    /// For the application's reply.
    Owed(RawKey),
    /// For the application's word on a REFER.
    Referral(ReferKey),
    /// For a lookup of its sender.
    Held(RawKey),
    /// For nothing: only its end.
    Answered,
}

/// How much there is of everything that comes and goes: all zero when nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// Calls, those included that are over but wait for the end of a transaction: up to 64*T1, in which the
    /// other side may still repeat itself.
    pub calls: usize,
    /// Those of them that are not over. When this is 0, and nothing is unfinished in the transactions
    /// ([`Transactions::unfinished`]), nobody misses us if we go.
    pub active_calls: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Requests of the application without an answer.
    pub requests: usize,
    /// Requests of peers without the application's reply, not counting INVITEs.
    pub owed_replies: usize,
    /// REFERs of either side whose outcome is open, or has yet to be told.
    pub references: usize,
    /// Requests of peers whose senders are being looked up.
    pub lookups: usize,
    /// Registrations.
    pub registrations: usize,
    /// Subscriptions of ours, those that wait for their next try included.
    pub subscriptions: usize,
    /// Subscriptions of peers.
    pub notifiers: usize,
    /// States that are published.
    pub publications: usize,
    /// Transactions that the agent has something noted about.
    pub transactions: usize,
}

impl Agent {
    /// An agent with these settings. `seed` keys the hashes of what peers choose: take it from a source that
    /// they cannot know, or the same as that of the endpoint.
    pub fn new(config: AgentConfig, seed: [u64; 2]) -> Self {
        // At most so many dialogs for each call by forking, and one as a rule.
        let told = config.max_subscriptions.saturating_add(config.max_notifiers);
        let dialogs = config.max_calls.saturating_mul(2).saturating_add(told);
        Self {
            capabilities: Capabilities::new(&config),
            config,
            account: None,
            calls: Slab::new(),
            reasons: KeyMap::default(),
            active_calls: 0,
            dialogs: Dialogs::new(seed, dialogs),
            clients: KeyMap::default(),
            servers: KeyMap::default(),
            requests: Slab::new(),
            owed: Slab::new(),
            refers: Slab::new(),
            refers_out: refer_out::Unanswered::default(),
            messages_out: MessagesOut::default(),
            registrations: Slab::new(),
            subscriptions: Subscriptions::new(),
            notifiers: Notifiers::new(),
            publications: Publications::default(),
            started: None,
            merged: MergedRequests::new(seed),
            uuids: SessionUuids::new(seed),
            gruus: Gruus::default(),
            ways_back: WaysBack::default(),
            kept_calls: KeptCalls::default(),
            public: PublicAddresses::default(),
            relocating: false,
            guard: None,
            held: Slab::new(),
            events: VecDeque::new(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// Sets whose credentials answer challenges within calls that come in from now on.
    pub fn set_account(&mut self, account: Option<Arc<Account>>) {
        self.account = account;
    }

    /// How much lives now.
    pub fn live(&self) -> Live {
        Live {
            calls: self.calls.len(),
            active_calls: self.active_calls,
            dialogs: self.dialogs.len(),
            requests: self.requests.len(),
            owed_replies: self.owed.len(),
            references: self.refers.len(),
            lookups: self.held.len(),
            registrations: self.registrations.len(),
            subscriptions: self.subscriptions.len(),
            notifiers: self.notifiers.len(),
            publications: self.publications.len(),
            transactions: self.clients.len() + self.servers.len(),
        }
    }

    /// How many calls, requests, replies, registrations, subscriptions and publications are under way, for which a peer or the application
    /// waits. When it is zero, what [`live`](Self::live) still counts only absorbs and answers what is
    /// repeated, and an endpoint that is to end may end. Looks at every call.
    pub fn under_way(&self) -> usize {
        let calls = self.calls.values().filter(|call| !matches!(call.phase, call::Phase::Over));
        let byes = self.clients.values().filter(|usage| matches!(usage, ClientUse::Bye { .. }));
        let answers = self.owed.len() + self.held.len();
        let told = self.subscriptions.len() + self.notifiers.len() + self.publications.len();
        let others = self.requests.len() + answers + self.registrations.len() + told;
        calls.count() + byes.count() + others
    }

    /// The time as the machines count it that know no clock.
    fn since_start(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.started.get_or_insert(now))
    }

    /// Remembers that the peer of a call that we place was heard over this flow, where that matters.
    fn note_way_back(&mut self, client: ClientKey, flow: Flow) {
        if let Some(connection) = self.ways_back.note(flow)
            && let Some(ClientUse::Invite(call)) = self.clients.get(&client)
            && let Some(call) = self.calls.get_mut(*call)
        {
            call.flow = Some(connection);
        }
    }

    fn client_event(
        &mut self,
        now: Instant,
        tx: &mut Transactions,
        client: ClientKey,
        outcome: Outcome,
    ) {
        let Some(usage) = self.clients.get(&client).copied() else { return };
        match usage {
            ClientUse::Invite(call) => match outcome {
                Outcome::Response(response, _) => {
                    self.invite_response(now, tx, client, call, response);
                }
                Outcome::Timeout => {
                    self.invite_failed(now, tx, client, call, EndReason::TimedOut);
                }
                Outcome::TransportError(error) => {
                    let reason = EndReason::TransportError(error);
                    self.invite_failed(now, tx, client, call, reason);
                }
                Outcome::Terminated => self.invite_terminated(now, tx, client, call),
            },
            ClientUse::Modification(call) => {
                let response = match outcome {
                    Outcome::Response(response, _) => Ok(response),
                    Outcome::Timeout => Err(RequestFailure::TimedOut),
                    Outcome::TransportError(error) => Err(RequestFailure::TransportError(error)),
                    Outcome::Terminated => {
                        return self.modification_terminated(now, tx, client, call);
                    }
                };
                self.modification_response(now, tx, client, call, response);
            }
            ClientUse::Bye { call, dialog, challenges } => {
                let response = match &outcome {
                    Outcome::Response(response, _) if response.status().is_provisional() => return,
                    Outcome::Response(response, _) => Some(response),
                    Outcome::Timeout | Outcome::TransportError(_) | Outcome::Terminated => None,
                };
                self.bye_answered(now, tx, client, (call, dialog, challenges), response);
            }
            ClientUse::Request(request) => {
                let result = match outcome {
                    Outcome::Response(response, _) if response.status().is_provisional() => return,
                    Outcome::Response(response, _) => Ok(response),
                    Outcome::Timeout | Outcome::Terminated => Err(RequestFailure::TimedOut),
                    Outcome::TransportError(error) => Err(RequestFailure::TransportError(error)),
                };
                self.request_answered(now, tx, client, request, result);
            }
            ClientUse::Register(registration) => {
                let input = match &outcome {
                    Outcome::Response(response, _) if response.status().is_provisional() => return,
                    Outcome::Response(response, _) => RegistrationInput::Response(response),
                    Outcome::Timeout | Outcome::Terminated => RegistrationInput::Timeout,
                    Outcome::TransportError(error) => RegistrationInput::TransportError(*error),
                };
                self.register_answered(now, tx, client, registration, input, outcome.flow());
            }
            ClientUse::Event(usage) => {
                if let Outcome::Response(response, _) = &outcome
                    && response.status().is_provisional()
                {
                    return;
                }
                match usage {
                    Usage::Subscription(key) => {
                        self.subscribe_answered(now, tx, client, key, &outcome);
                    }
                    Usage::Notifier(key) => self.notify_answered(now, tx, client, key, &outcome),
                    Usage::Call(_) | Usage::Refer(_) => {} // They have uses of their own.
                }
            }
            ClientUse::Publish(key) => {
                self.publish_answered(now, tx, client, key, &outcome);
            }
        }
    }

    fn server_terminated(&mut self, now: Instant, tx: &mut Transactions, server: ServerKey) {
        let Some(served) = self.servers.remove(&server) else { return };
        if let Some(merged) = served.merged {
            self.merged.leave(merged);
        }
        match served.usage {
            ServerUse::Invite(call) => self.invite_server_lost(now, tx, call),
            ServerUse::Ended(call) => self.call_left(call),
            ServerUse::Modification(call) => self.refusal_over(call, server),
            ServerUse::Owed(owed) => self.settle(tx, owed),
            ServerUse::Referral(refer) => self.referral_lost(tx, refer),
            ServerUse::Held(held) => self.held_lost(tx, held),
            ServerUse::Answered => {}
        }
    }

    fn timer(&mut self, now: Instant, tx: &mut Transactions, token: u64) {
        let Some((kind, key)) = TimerKind::of_token(token) else { return };
        match kind {
            TimerKind::Invited => self.invited_timer(now, tx, key.into()),
            TimerKind::Accepted => self.accepted_timer(now, tx, key.into()),
            TimerKind::Calling => self.ringing_limit(now, tx, key.into()),
            TimerKind::PlaceAgain => self.place_again(now, tx, key.into()),
            TimerKind::OurModification => self.our_modification_timer(now, tx, key.into()),
            TimerKind::TheirModification => self.their_modification_timer(now, tx, key.into()),
            TimerKind::Reliable => self.reliable_timer(now, tx, key.into()),
            TimerKind::Answer => self.answer_timer(now, tx, key.into()),
            TimerKind::Owed => self.owed_timer(now, tx, key),
            TimerKind::Refer => self.refer_timer(now, tx, key.into()),
            TimerKind::Held => self.held_timer(now, tx, key),
            TimerKind::Registration => self.registration_timer(now, tx, key.into()),
            TimerKind::Subscription => self.subscription_timer(now, tx, key),
            TimerKind::Notifier => self.notifier_timer(now, tx, key),
            TimerKind::KeepAlive => self.keep_alive_timer(now, tx, key.into()),
            TimerKind::CallFlow => self.call_flow_timer(now, tx, key),
            TimerKind::Session => self.session_timer(now, tx, key.into()),
            TimerKind::Publication => self.publication_timer(now, tx, key.into()),
        }
    }
}

/// What a client transaction has to say.
enum Outcome {
    Response(Response, Flow),
    Timeout,
    TransportError(TransportError),
    Terminated,
}

impl Outcome {
    /// Where it came from.
    fn flow(&self) -> Option<Flow> {
        match self {
            Self::Response(_, flow) => Some(*flow),
            Self::Timeout | Self::TransportError(_) | Self::Terminated => None,
        }
    }
}

impl TransactionUser for Agent {
    type Event = AgentEvent;

    fn handle(&mut self, now: Instant, event: Event, tx: &mut Transactions) {
        self.gruus.tick(now);
        match event {
            Event::Request { key, request, flow } => {
                self.request_received(now, tx, Received { server: key, request, flow });
            }
            // RFC 3261 §8.2.2.3: "Note that Require and Proxy-Require MUST NOT be used in a SIP
            // CANCEL request, or in an ACK request sent for a non-2xx
            // response.  These header fields MUST be ignored if they are present
            // in these requests."
            Event::Ack { request, .. } => self.ack_received(now, tx, request),
            Event::Cancelled { key, request } => self.cancelled(now, tx, key, &request),
            // RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the UAC
            // SHOULD discard the message."
            Event::Response { response, .. }
                if response.headers().get_all::<Via<'_>>().nth(1).is_some() => {}
            Event::Response { key, response, flow } => {
                self.note_way_back(key, flow);
                self.note_keep(now, tx, key, &response, flow);
                self.note_public(tx, key, &response, flow);
                self.hear_session(&response);
                self.client_event(now, tx, key, Outcome::Response(response, flow));
            }
            Event::Timeout { key } => self.client_event(now, tx, key, Outcome::Timeout),
            Event::TransportError { key: Key::Client(key), error } => {
                self.client_event(now, tx, key, Outcome::TransportError(error));
            }
            Event::TransportError { key: Key::Server(key), .. } => {
                if let Some(ServerUse::Invite(call)) = self.servers.get(&key).map(|s| s.usage) {
                    self.invite_server_lost(now, tx, call);
                }
            }
            Event::Terminated { key: Key::Client(key) } => {
                self.client_event(now, tx, key, Outcome::Terminated);
            }
            Event::Terminated { key: Key::Server(key) } => self.server_terminated(now, tx, key),
            Event::Timer { token } => self.timer(now, tx, token),
            Event::Confirmed { key } => {
                if let Some(ServerUse::Modification(call)) = self.servers.get(&key).map(|s| s.usage)
                {
                    self.refusal_over(call, key);
                }
            }
            // The refusals that it speaks of are behind us, and its end is told by `Terminated`.
            Event::NoAck { .. } => {}
            Event::Pong { flow } => self.ponged(now, tx, flow),
            Event::Binding { flow, id, mapped } => self.bound(now, tx, flow, id, mapped),
            Event::Rebound { lost } => self.rebound(now, tx, lost),
            // Calls outlive connections: the next request opens another, if it can.
            Event::Closed { flow, .. } => {
                self.ways_back.closed(flow);
                self.public.closed(flow);
                self.flow_closed(now, tx, flow);
            }
            // An event that a later version of the layer below has and this does not know.
            _ => {}
        }
    }

    fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }
}
