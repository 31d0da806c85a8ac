//! The connections of stream transports: who has one to whom, and the order that each keeps.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Instant;

use sip_message::Transport;
use sip_transport::{ConnectionId, Destination, Flow, ListenerId};

use crate::{NatId, NodeId};

/// All connections of a network. Each has two ends; an end is a node's own number for it.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    ends: HashMap<(NodeId, ConnectionId), End>,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct End {
    transport: Transport,
    listener: ListenerId,
    /// Our address and the far end's, as this end sees them.
    local: SocketAddr,
    remote: SocketAddr,
    peer: (NodeId, ConnectionId),
    /// The NAT box on its way.
    inside: Option<Inside>,
    /// When the last message sent from this end arrives: none sent later arrives before it.
    last_arrival: Option<Instant>,
}

/// The NAT box on the way of a connection, and the ends as it sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside {
    pub(crate) nat: NatId,
    pub(crate) address: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// The way of one message over a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) near: NodeId,
    pub(crate) far: NodeId,
    pub(crate) sending: (NodeId, ConnectionId),
    /// The flow as the far end sees it.
    pub(crate) flow: Flow,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) inside: Option<Inside>,
}

impl Streams {
    /// The open connection over which a node reaches a destination.
    pub(crate) fn find(&self, node: NodeId, destination: &Destination) -> Option<Way> {
        self.way(node, self.end(node, destination)?)
    }

    /// The number of that connection, also of one that the far end does not know any more.
    fn end(&self, node: NodeId, destination: &Destination) -> Option<ConnectionId> {
        let (named, target) = match destination {
            Destination::Flow(flow) => (flow.connection, None),
            Destination::Target(target) => (target.connection, Some(target)),
        };
        let named = named.filter(|id| self.ends.contains_key(&(node, *id)));
        named.or_else(|| {
            let target = target.filter(|target| !target.is_only_way)?;
            // The lowest number, so that equal runs choose alike whatever the map's order.
            self.ends
                .iter()
                .filter(|((owner, _), end)| {
                    *owner == node
                        && end.transport == target.transport
                        && end.remote == target.remote
                })
                .map(|((_, id), _)| *id)
                .min()
        })
    }

    /// Forgets an end whose connection is gone, while the far end is told nothing; the flow that ended.
    pub(crate) fn lose(&mut self, (node, id): (NodeId, ConnectionId)) -> Option<Flow> {
        self.ends.remove(&(node, id)).map(|end| end.flow(id))
    }

    /// Forgets all ends of a node, in a fixed order, while the far ends are told nothing; the flows that
    /// ended.
    pub(crate) fn lose_all(&mut self, node: NodeId) -> Vec<Flow> {
        let of_node = self.ends.keys().filter(|(owner, _)| *owner == node);
        let mut lost: Vec<(NodeId, ConnectionId)> = of_node.copied().collect();
        lost.sort_unstable();
        lost.into_iter().filter_map(|end| self.lose(end)).collect()
    }

    /// Forgets the connection over which a destination would be reached, if the far end does not know it
    /// any more; the flow that ended.
    pub(crate) fn take_lost(&mut self, node: NodeId, destination: &Destination) -> Option<Flow> {
        let id = self.end(node, destination)?;
        self.lose((node, id))
    }

    /// Opens a connection between two ends, each a node, its listener and its address; `source` is the
    /// near end's address as the far end sees it.
    pub(crate) fn open(
        &mut self,
        transport: Transport,
        (node, listener, local): (NodeId, ListenerId, SocketAddr),
        (peer, far_listener, remote): (NodeId, ListenerId, SocketAddr),
        source: SocketAddr,
        inside: Option<Inside>,
    ) -> Way {
        let near = (node, self.next());
        let far = (peer, self.next());
        let end = |listener, local, remote, peer| End {
            transport,
            listener,
            local,
            remote,
            peer,
            inside,
            last_arrival: None,
        };
        self.ends.insert(near, end(listener, local, remote, far));
        self.ends.insert(far, end(far_listener, remote, source, near));
        Way {
            near: node,
            far: peer,
            sending: near,
            flow: Flow {
                transport,
                listener: far_listener,
                connection: Some(far.1),
                remote: source,
            },
            from: local,
            to: remote,
            inside,
        }
    }

    /// The time at which a message that would arrive at `at` does: not before those sent earlier.
    pub(crate) fn in_order(&mut self, sending: (NodeId, ConnectionId), at: Instant) -> Instant {
        let Some(end) = self.ends.get_mut(&sending) else { return at };
        let at = end.last_arrival.map_or(at, |last| last.max(at));
        end.last_arrival = Some(at);
        at
    }

    /// Closes a node's connection; who is to be told, with the flow as they know it.
    pub(crate) fn close(&mut self, node: NodeId, id: ConnectionId) -> Vec<(NodeId, Flow)> {
        let Some(end) = self.ends.remove(&(node, id)) else { return Vec::new() };
        let far = self.ends.remove(&end.peer);
        let told = far.map(|far| (end.peer.0, far.flow(end.peer.1)));
        told.into_iter().chain([(node, end.flow(id))]).collect()
    }

    /// Breaks every connection between two nodes; who is to be told, in a fixed order.
    pub(crate) fn break_between(&mut self, one: NodeId, other: NodeId) -> Vec<(NodeId, Flow)> {
        let mut broken: Vec<(NodeId, ConnectionId)> = self
            .ends
            .iter()
            .filter(|((owner, _), end)| *owner == one && end.peer.0 == other)
            .map(|(key, _)| *key)
            .collect();
        broken.sort_unstable();
        broken.into_iter().flat_map(|(node, id)| self.close(node, id)).collect()
    }

    fn way(&self, node: NodeId, id: ConnectionId) -> Option<Way> {
        let end = self.ends.get(&(node, id))?;
        let far = self.ends.get(&end.peer)?;
        Some(Way {
            near: node,
            far: end.peer.0,
            sending: (node, id),
            flow: far.flow(end.peer.1),
            from: end.local,
            to: end.remote,
            inside: end.inside,
        })
    }

    fn next(&mut self) -> ConnectionId {
        self.last = self.last.wrapping_add(1);
        ConnectionId::new(NonZeroU32::new(self.last).unwrap_or(NonZeroU32::MIN))
    }
}

impl End {
    fn flow(&self, id: ConnectionId) -> Flow {
        Flow {
            transport: self.transport,
            listener: self.listener,
            connection: Some(id),
            remote: self.remote,
        }
    }
}
