//! The datagrams: sending them, and what comes of them through the gate.

use bytes::Bytes;
use sip_message::Transport;

use super::udp::Datagram;
use super::{Listener, Sockets, now};
use crate::{Flow, Input, ListenerId, Target, TransportError};

impl Sockets {
    pub(super) fn send_datagram(&mut self, target: Target, payload: Bytes, token: u64) {
        let id = target
            .listener
            .or_else(|| self.locals.select(target.transport, &target.remote).map(|local| local.id));
        let limit = self.config.udp_queue_bytes;
        let listener = id.and_then(|id| self.listeners.get_mut(usize::from(id.index())));
        let result = match listener {
            Some(Listener::Udp(udp)) => {
                let Target { remote, ttl, .. } = target;
                let sent = udp.send(Datagram { remote, payload, ttl, token }, limit);
                if udp.has_queued()
                    && let Some(id) = id
                {
                    self.sources.mark(usize::from(id.index()));
                }
                sent
            }
            _ => Err((TransportError::NoListener, payload)),
        };
        if let Err((error, payload)) = result {
            self.fail(target, token, error, payload);
        }
    }

    /// Takes a batch of datagrams from a listener; whether there were any.
    pub(super) fn poll_datagrams(
        &mut self,
        index: usize,
        listener: ListenerId,
        inputs: &mut Vec<Input>,
    ) -> bool {
        let Some(Listener::Udp(udp)) = self.listeners.get_mut(index) else { return false };
        let batch = self.config.receive_batch.max(1);
        let failed = &mut self.arisen;
        let failed = |Datagram { remote, token, payload, .. }, error| {
            if token != 0 {
                let target = Target::new(Transport::Udp, remote).with_listener(listener);
                failed.push(Input::SendFailed { token, target, error, payload });
            }
        };
        let limit = self.config.message_limits.message_bytes;
        let (admission, stats) = (&mut self.admission, &mut self.stats);
        let local = self.locals.get(listener).map(|local| local.addr);
        let take = |remote, bytes: &[u8]| {
            let Some(local) = local else { return };
            if let Err(refused) = admission.admit(now, Transport::Udp, local, remote) {
                return stats.refused(refused);
            }
            // What is too large is dropped, and so is an empty datagram or a bare line
            // end, which some send to keep a NAT binding.
            if bytes.len() > limit || bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                tracing::debug!(%remote, len = bytes.len(), "datagram dropped");
                stats.dropped_too_large += u64::from(bytes.len() > limit);
                return;
            }
            let transport = Transport::Udp;
            let flow = Flow { transport, listener, connection: None, remote };
            let payload = Bytes::copy_from_slice(bytes);
            inputs.push(Input::Datagram { flow, payload });
        };
        let received = self.sources.poll(index, |cx| {
            udp.flush(cx, failed);
            udp.poll_recv(cx, &mut self.buffer, batch, take)
        });
        received.is_ready()
    }
}
