//! The response context (RFC 3261 §16.7): the branches of one forwarded request, and what of their answers goes back.
//!
//! Each branch:
//!
//! ```text
//!             1xx                    final, time-out, transport error
//!   Calling -------> Proceeding ---------------------------------------> Completed
//!      |                                                                     ^
//!      +---------------------------------------------------------------------+
//! ```
//!
//! What all of them come to:
//!
//! ```text
//!           a 2xx: relayed, the rest cancelled
//!   Open ---------------------------------------> Answered   (an INVITE: every further 2xx is relayed as well)
//!    |  all branches completed, no target left: the best response
//!    +------------------------------------------> Answered
//! ```

use std::collections::VecDeque;

use sip_message::{HeaderName, Response, StatusCode};
use smallvec::SmallVec;

/// One of the places where a request was forwarded to, counted from 0 in the order of forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(pub u16);

/// What came of a branch.
#[derive(Debug)]
pub enum Input {
    /// A response, without the Via of the proxy.
    Response(Response),
    /// No final response in time.
    Timeout,
    /// The request could not be sent.
    Unreachable,
    /// The request was not sent, since its next hop asked for fewer (RFC 7339).
    Throttled,
    /// It counts as if the branch had been answered with this status.
    Failed(StatusCode),
    /// Timer C of the branch fired, or the limit that its target has.
    TimerC,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action<T> {
    /// Forward the request to this target, with so much Max-Breadth (RFC 5393 §5.3.3). A failure to do so is
    /// told as [`Input::Unreachable`].
    Forward {
        /// The name of the new branch.
        branch: BranchId,
        /// Where to.
        target: T,
        /// The value of Max-Breadth.
        breadth: u32,
    },
    /// Pass this response to the server transaction.
    Relay(Response),
    /// Answer the request with this status: no branch had a response that could be relayed.
    Reply(StatusCode),
    /// Cancel the client transaction of the branch, of an INVITE: now, or when a provisional response has come.
    Cancel(BranchId),
    /// Tell the caller by 199 that this early dialog ended (RFC 6228 §6).
    Terminated {
        /// The tag of its callee.
        tag: Box<str>,
        /// The response that ended it.
        status: StatusCode,
    },
    /// Start Timer C of the branch anew.
    RestartTimerC(BranchId),
}

/// The response context of one request whose targets are `T`, sans-IO (RFC 3261 §16.6, §16.7).
///
/// It holds neither the request nor a transaction: whoever owns it carries out its [`Action`]s.
#[derive(Debug)]
pub struct ResponseContext<T> {
    is_invite: bool,
    /// The targets that were not tried, in groups: those of a group are tried at the same time.
    left: VecDeque<Vec<T>>,
    branches: SmallVec<[Branch; 1]>,
    best: Option<Best>,
    is_answered: bool,
    /// The caller gave up, or a final response leaves nothing to look for: no new branches.
    is_stopped: bool,
    /// How many branches may be open at a time.
    breadth: u32,
    /// The early dialogs whose end is told, by their branches and tags; none if nobody wants to know.
    early: Option<Vec<(BranchId, Box<str>)>>,
}

#[derive(Clone, Copy, Debug)]
struct Branch {
    state: State,
    /// Its part of the breadth of the context, until it is completed.
    breadth: u32,
    is_cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
}

/// The best of the final responses so far.
#[derive(Debug)]
enum Best {
    Received(Response),
    /// RFC 3261 §16.6 and §16.9 have a failed branch count as if it had answered this.
    Failed(StatusCode),
    /// The next hop asked for fewer requests.
    Throttled,
}

impl Best {
    fn status(&self) -> StatusCode {
        match self {
            Self::Received(response) => response.status(),
            Self::Failed(status) => *status,
            Self::Throttled => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Stands for the branch of an early dialog that is over.
const ENDED: BranchId = BranchId(u16::MAX);

/// How many early dialogs of one request are remembered: who makes more hears of the end of these.
const MAX_EARLY_DIALOGS: usize = 100;

/// How many branches one request may have in all; what is beyond is not tried.
const MAX_BRANCHES: usize = u16::MAX as usize - 1;

impl<T> ResponseContext<T> {
    /// The context of an INVITE, or of another request, that came with so much Max-Breadth. The groups of
    /// targets are tried one after the other, those within a group at the same time as far as the breadth
    /// allows.
    pub fn new(is_invite: bool, groups: impl IntoIterator<Item = Vec<T>>, breadth: u32) -> Self {
        Self {
            is_invite,
            left: groups.into_iter().filter(|group| !group.is_empty()).collect(),
            branches: SmallVec::new(),
            best: None,
            is_answered: false,
            is_stopped: false,
            breadth,
            early: None,
        }
    }

    /// Has the end of early dialogs told by [`Action::Terminated`].
    pub fn watch_early_dialogs(&mut self, watch: bool) {
        self.early = watch.then(Vec::new);
    }

    /// Whether new targets would be tried: nothing is decided, and nobody gave up.
    pub fn may_branch(&self) -> bool {
        !self.is_stopped && !self.is_answered
    }

    /// A branch was answered by a redirection, of which these contacts are tried next, one group after the other;
    /// and what is left of it.
    pub fn redirected(
        &mut self,
        branch: BranchId,
        targets: Vec<Vec<T>>,
        rest: Option<Response>,
        actions: &mut Vec<Action<T>>,
    ) {
        let Some(at) = self.branches.get_mut(usize::from(branch.0)) else { return };
        if at.state == State::Completed {
            return;
        }
        at.state = State::Completed;
        let status = rest.as_ref().map_or(StatusCode::MOVED_TEMPORARILY, Response::status);
        if let Some(rest) = rest {
            self.consider(Best::Received(rest));
        }
        if self.may_branch() {
            for group in targets.into_iter().rev().filter(|group| !group.is_empty()) {
                self.left.push_front(group);
            }
        }
        self.end_early_dialogs(branch, status, actions);
        // The others may ring for long: whoever is called does not wait for them.
        if self.free_breadth() > 0
            && self.may_branch()
            && let Some(mut group) = self.left.pop_front()
        {
            return self.forward(&mut group, actions);
        }
        self.proceed(actions);
    }

    /// Sets the targets of a context that was made without any: before [`start`](Self::start).
    pub fn set_targets(&mut self, groups: impl IntoIterator<Item = Vec<T>>) {
        self.left = groups.into_iter().filter(|group| !group.is_empty()).collect();
    }

    /// Whether the request is an INVITE.
    pub fn is_invite(&self) -> bool {
        self.is_invite
    }

    /// Forwards to the first group. Without any target the request is answered 480.
    pub fn start(&mut self, actions: &mut Vec<Action<T>>) {
        // RFC 3261 §16.5: "If the target set remains empty after applying all of the above, the
        // proxy MUST return an error response, which SHOULD be the 480
        // (Temporarily Unavailable) response."
        if self.left.is_empty() {
            self.best = Some(Best::Failed(StatusCode::TEMPORARILY_UNAVAILABLE));
        }
        self.proceed(actions);
    }

    /// Something came of a branch.
    pub fn handle(&mut self, branch: BranchId, input: Input, actions: &mut Vec<Action<T>>) {
        let Some(at) = self.branches.get_mut(usize::from(branch.0)) else { return };
        let kind = match &input {
            Input::Response(response) if response.status() == StatusCode::TRYING => Kind::Trying,
            Input::Response(response) if response.status().is_provisional() => Kind::Provisional,
            Input::Response(response) if response.status().is_success() => Kind::Success,
            Input::Response(_) => Kind::Refusal,
            Input::Timeout => Kind::Timeout,
            Input::Unreachable => Kind::Unreachable,
            Input::Throttled => Kind::Throttled,
            Input::Failed(_) => Kind::Failed,
            Input::TimerC => Kind::TimerC,
        };
        match (at.state, kind) {
            // RFC 3261 §16.7: "In particular, a stateful proxy MUST NOT forward
            // any 100 (Trying) response."
            (State::Calling | State::Proceeding, Kind::Trying) => at.state = State::Proceeding,
            (State::Calling | State::Proceeding, Kind::Provisional) => {
                at.state = State::Proceeding;
                // RFC 3261 §16.7: "For an INVITE transaction, if the response is a provisional
                // response with status codes 101 to 199 inclusive (i.e., anything
                // but 100), the proxy MUST reset timer C for that client
                // transaction."
                if self.is_invite {
                    actions.push(Action::RestartTimerC(branch));
                }
                // RFC 3261 §16.7: "Until a final response has been sent on the server transaction,
                // the following responses MUST be forwarded immediately:"
                if !self.is_answered {
                    self.note_early_dialog(branch, &input);
                    relay(input, actions);
                }
            }
            (State::Calling | State::Proceeding, Kind::Success) => {
                at.state = State::Completed;
                if self.is_invite || !self.is_answered {
                    relay(input, actions);
                }
                self.is_answered = true;
                // RFC 3261 §16.7: "If the forwarded response was a final response, the proxy MUST
                // generate a CANCEL request for all pending client transactions
                // associated with this response context."
                self.stop(actions);
            }
            // RFC 3261 §16.7: "After a final response has been sent on the server transaction,
            // the following responses MUST be forwarded immediately:"
            (State::Completed, Kind::Success) if self.is_invite => relay(input, actions),
            (State::Calling | State::Proceeding, Kind::Refusal) => {
                at.state = State::Completed;
                if let Input::Response(response) = input {
                    let status = response.status();
                    self.refused(response, actions);
                    self.end_early_dialogs(branch, status, actions);
                }
                self.proceed(actions);
            }
            // RFC 3261 §16.6: "The proxy does not need to place anything in
            // the response context, but otherwise acts as if this element of
            // the target set returned a 408 (Request Timeout) final response."
            (State::Calling | State::Proceeding, Kind::Timeout) => {
                at.state = State::Completed;
                self.consider(Best::Failed(StatusCode::REQUEST_TIMEOUT));
                self.proceed(actions);
            }
            // RFC 3261 §16.9: "If the transport layer notifies a proxy of an error when it tries to
            // forward a request (see Section 18.4), the proxy MUST behave as if the
            // forwarded request received a 503 (Service Unavailable) response."
            (State::Calling | State::Proceeding, Kind::Unreachable) => {
                at.state = State::Completed;
                self.consider(Best::Failed(StatusCode::SERVICE_UNAVAILABLE));
                self.proceed(actions);
            }
            (State::Calling | State::Proceeding, Kind::Failed) => {
                at.state = State::Completed;
                if let Input::Failed(status) = input {
                    self.consider(Best::Failed(status));
                    self.end_early_dialogs(branch, status, actions);
                }
                self.proceed(actions);
            }
            (State::Calling | State::Proceeding, Kind::Throttled) => {
                at.state = State::Completed;
                self.consider(Best::Throttled);
                self.proceed(actions);
            }
            // RFC 3261 §16.8: "If the
            // client transaction has received a provisional response, the proxy
            // MUST generate a CANCEL request matching that transaction."
            (State::Proceeding, Kind::TimerC) => cancel(at, branch, actions),
            // RFC 3261 §16.8: "If the
            // client transaction has not received a provisional response, the proxy
            // MUST behave as if the transaction received a 408 (Request Timeout)
            // response."
            // Should it say something after all, it is cancelled.
            (State::Calling, Kind::TimerC) => {
                cancel(at, branch, actions);
                at.state = State::Completed;
                self.consider(Best::Failed(StatusCode::REQUEST_TIMEOUT));
                self.proceed(actions);
            }
            // Repeats, and what comes when the branch is decided.
            (
                State::Completed,
                Kind::Trying
                | Kind::Provisional
                | Kind::Success
                | Kind::Refusal
                | Kind::Timeout
                | Kind::Unreachable
                | Kind::Throttled
                | Kind::Failed
                | Kind::TimerC,
            ) => {}
        }
    }

    /// The caller gave up: CANCEL for the request came.
    pub fn cancelled(&mut self, actions: &mut Vec<Action<T>>) {
        // RFC 3261 §16.10: "A proxy MUST cancel any
        // pending client transactions associated with a response context when
        // it receives a matching CANCEL request."
        self.stop(actions);
    }

    /// Whether a final response was passed to the server transaction.
    pub fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// No new branches, and those that are open are cancelled.
    fn stop(&mut self, actions: &mut Vec<Action<T>>) {
        self.is_stopped = true;
        self.left.clear();
        for (branch, number) in self.branches.iter_mut().zip(0..) {
            // A CANCEL of anything but an INVITE achieves nothing (RFC 3261 §9.1).
            if self.is_invite && branch.state != State::Completed {
                cancel(branch, BranchId(number), actions);
            }
        }
    }

    /// How much of the breadth no open branch has.
    fn free_breadth(&self) -> u32 {
        let open = self.branches.iter().filter(|branch| branch.state != State::Completed);
        open.fold(self.breadth, |free, branch| free.saturating_sub(branch.breadth))
    }

    /// RFC 6228 §6: "A forking proxy that supports the generation of 199 responses MUST
    /// keep track of early dialogs, in order to determine whether to
    /// generate a 199 response when the proxy receives a non-2xx final
    /// response."
    fn note_early_dialog(&mut self, branch: BranchId, input: &Input) {
        let (Some(early), Input::Response(response)) = (&mut self.early, input) else { return };
        let Some(tag) = response.headers().to_tag() else { return };
        let known = early.iter_mut().find(|(_, known)| **known == *tag);
        // RFC 6228 §6: "The forking proxy has not already received and forwarded a 199
        // response for the early dialog."
        // One that ended so is remembered by a branch that none is.
        let branch = match response.status() {
            StatusCode::EARLY_DIALOG_TERMINATED => ENDED,
            _ => branch,
        };
        if let Some((known, _)) = known {
            if branch == ENDED {
                *known = ENDED;
            }
        } else if early.len() < MAX_EARLY_DIALOGS {
            early.push((branch, tag.into()));
        }
    }

    /// A branch was refused: its early dialogs are over, which the caller hears if the refusal is kept back.
    fn end_early_dialogs(
        &mut self,
        branch: BranchId,
        status: StatusCode,
        actions: &mut Vec<Action<T>>,
    ) {
        let is_open = self.branches.iter().any(|branch| branch.state != State::Completed);
        let is_kept_back = is_open || (self.may_branch() && !self.left.is_empty());
        if self.is_answered || !is_kept_back {
            return;
        }
        let Some(early) = &mut self.early else { return };
        for (of, tag) in early.iter_mut().filter(|(of, _)| *of == branch) {
            *of = ENDED;
            actions.push(Action::Terminated { tag: tag.clone(), status });
        }
    }

    /// A final response that is no 2xx.
    fn refused(&mut self, response: Response, actions: &mut Vec<Action<T>>) {
        // RFC 3261 §16.7: "If a 6xx response is received, it is not immediately forwarded,
        // but the stateful proxy SHOULD cancel all client pending
        // transactions as described in Section 10, and it MUST NOT create
        // any new branches in this context."
        if class(response.status()) == 6 {
            self.stop(actions);
        }
        self.consider(Best::Received(response));
    }

    /// Keeps the better of the best so far and another.
    fn consider(&mut self, other: Best) {
        if self.is_answered {
            return;
        }
        let Some(best) = &mut self.best else {
            self.best = Some(other);
            return;
        };
        // RFC 3261 §16.7: "If the selected response is a 401 (Unauthorized) or 407 (Proxy
        // Authentication Required), the proxy MUST collect any WWW-
        // Authenticate and Proxy-Authenticate header field values from
        // all other 401 (Unauthorized) and 407 (Proxy Authentication
        // Required) responses received so far in this response context
        // and add them to this response without modification before
        // forwarding."
        if let (Best::Received(best), Best::Received(other)) = (&mut *best, &other)
            && is_challenge(best.status())
            && is_challenge(other.status())
        {
            return add_challenges(best, other);
        }
        // RFC 3261 §16.7 leaves it to the proxy to gather the contacts of redirections.
        if let (Best::Received(best), Best::Received(other)) = (&mut *best, &other)
            && best.status().is_redirection()
            && other.status().is_redirection()
        {
            return add_contacts(best, other);
        }
        if rank(other.status()) < rank(best.status()) {
            *best = other;
        }
    }

    /// The next group when all branches are completed, or the best response when there is none.
    fn proceed(&mut self, actions: &mut Vec<Action<T>>) {
        if self.branches.iter().any(|branch| branch.state != State::Completed) {
            return;
        }
        if !self.is_stopped
            && self.branches.len() < MAX_BRANCHES
            && let Some(mut group) = self.left.pop_front()
        {
            return self.forward(&mut group, actions);
        }
        if core::mem::replace(&mut self.is_answered, true) {
            return;
        }
        // RFC 3261 §16.7: "If there are no final responses in the context, the proxy MUST
        // send a 408 (Request Timeout) response to the server
        // transaction."
        let best = self.best.take().unwrap_or(Best::Failed(StatusCode::REQUEST_TIMEOUT));
        actions.push(match best {
            // RFC 7339 §5.10: "In many
            // cases, however, it will need to reject these requests with a "503
            // (Service Unavailable)" response without the Retry-After header."
            Best::Throttled => Action::Reply(StatusCode::SERVICE_UNAVAILABLE),
            // RFC 3261 §16.7: "If the only
            // response that was received is a 503, the proxy SHOULD generate
            // a 500 response and forward that upstream."
            best if best.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Action::Reply(StatusCode::SERVER_INTERNAL_ERROR)
            }
            Best::Received(response) => Action::Relay(response),
            Best::Failed(status) => Action::Reply(status),
        });
    }

    /// Forwards to as many of the group as the breadth allows; the others are the next group.
    fn forward(&mut self, group: &mut Vec<T>, actions: &mut Vec<Action<T>>) {
        // RFC 5393 §5.3.3: "SIP proxies MUST NOT allow the Outgoing Max-Breadth to exceed the
        // Incoming Max-Breadth in a given response context."
        let free = self.free_breadth();
        let breadth = usize::try_from(free).unwrap_or(usize::MAX).max(1);
        let room = MAX_BRANCHES.saturating_sub(self.branches.len());
        let rest = group.split_off(group.len().min(breadth).min(room));
        if !rest.is_empty() {
            self.left.push_front(rest);
        }
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX).max(1);
        let (share, mut extra) = (free / count, free % count);
        for target in group.drain(..) {
            let Ok(number) = u16::try_from(self.branches.len()) else { return };
            let breadth = share.saturating_add(extra.min(1));
            self.branches.push(Branch { state: State::Calling, breadth, is_cancelled: false });
            extra = extra.saturating_sub(1);
            actions.push(Action::Forward { branch: BranchId(number), target, breadth });
        }
    }
}

/// What matters of an [`Input`] for the state of a branch.
#[derive(Clone, Copy)]
enum Kind {
    Trying,
    Provisional,
    Success,
    Refusal,
    Timeout,
    Unreachable,
    Throttled,
    Failed,
    TimerC,
}

fn relay<T>(input: Input, actions: &mut Vec<Action<T>>) {
    if let Input::Response(response) = input {
        actions.push(Action::Relay(response));
    }
}

/// RFC 3261 §16.7: "A pending client transaction is one that has
/// received a provisional response, but no final response (it is
/// in the proceeding state) and has not had an associated CANCEL
/// generated for it."
/// One that has no provisional response yet is cancelled as soon as it has.
fn cancel<T>(branch: &mut Branch, number: BranchId, actions: &mut Vec<Action<T>>) {
    if !core::mem::replace(&mut branch.is_cancelled, true) {
        actions.push(Action::Cancel(number));
    }
}

fn is_challenge(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
}

fn add_challenges(best: &mut Response, other: &Response) {
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
        for challenge in other.headers().raw_all(name) {
            // A fold in what a peer wrote cannot be written again as it is; the others can.
            let _ = best.headers_mut().push_raw(name, challenge);
        }
    }
}

fn add_contacts(best: &mut Response, other: &Response) {
    for contact in other.headers().raw_all(HeaderName::Contact) {
        if !best.headers().raw_all(HeaderName::Contact).any(|known| known == contact) {
            let _ = best.headers_mut().push_raw(HeaderName::Contact, contact);
        }
    }
}

fn class(status: StatusCode) -> u16 {
    status.as_u16() / 100
}

/// The smaller, the better.
///
/// RFC 3261 §16.7: "It MUST choose from the 6xx
/// class responses if any exist in the context.  If no 6xx class
/// responses are present, the proxy SHOULD choose from the lowest
/// response class stored in the response context."
fn rank(status: StatusCode) -> (u16, u8) {
    let class = match class(status) {
        6 => 0,
        class => class,
    };
    let within = match status {
        // RFC 3261 §16.7: "The proxy SHOULD
        // give preference to responses that provide information affecting
        // resubmission of this request, such as 401, 407, 415, 420, and
        // 484 if the 4xx class is chosen."
        StatusCode::UNAUTHORIZED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::BAD_EXTENSION
        | StatusCode::ADDRESS_INCOMPLETE => 0,
        // What says least: nobody answered, or it was the proxy itself that gave up.
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::REQUEST_TERMINATED
        | StatusCode::SERVICE_UNAVAILABLE => 2,
        _ => 1,
    };
    (class, within)
}

#[cfg(test)]
mod tests;
