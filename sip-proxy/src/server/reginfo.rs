//! What one subscriber to a registration has been told, and what is to be told next (RFC 3680 §5, RFC 5628).

use std::sync::Arc;
use std::time::Duration;

use sip_events::{BoundContact, RegInfo, WatchedRegistration};
use sip_message::QValue;

use crate::edge::public_gruu;
use crate::{Aor, Binding};

/// The bindings of an address-of-record as the store had them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) bindings: Arc<[Binding]>,
    /// Of those, the ones that are reached by a connection of a node that has lost its lease.
    pub(super) stranded: Vec<bool>,
}

impl Known {
    /// What can be reached.
    fn bound(&self, now: Duration) -> impl Iterator<Item = &Binding> {
        let bindings = self.bindings.iter().enumerate();
        bindings.filter(move |(at, it)| it.until() > now && !self.is_stranded(*at)).map(|it| it.1)
    }

    fn is_stranded(&self, at: usize) -> bool {
        self.stranded.get(at).copied().unwrap_or(false)
    }

    fn has_stranded(&self, binding: &Binding) -> bool {
        let same = |of: &Binding| is_same(of, binding);
        self.bindings.iter().enumerate().any(|(at, of)| same(of) && self.is_stranded(at))
    }

    /// When the next of them ends.
    pub(super) fn next_end(&self, now: Duration) -> Option<Duration> {
        self.bound(now).map(Binding::until).min()
    }
}

/// What one subscriber has been told of one address-of-record.
#[derive(Debug)]
pub(super) struct Told {
    aor: Aor,
    /// As the document names it.
    uri: String,
    rows: Vec<Row>,
    /// Whether the registrar assigns GRUUs.
    has_gruus: bool,
    next_id: u32,
    version: u32,
    /// The next document names everything.
    full: bool,
}

#[derive(Debug)]
struct Row {
    id: u32,
    binding: Binding,
    /// What happened to it last.
    event: &'static str,
    /// Its flow was seen to end.
    is_lost: bool,
}

impl Told {
    /// Nothing yet.
    pub(super) fn new(aor: &Aor, has_gruus: bool) -> Self {
        let uri = aor.uri(false).map_or_else(String::new, |uri| uri.to_string());
        Self {
            aor: aor.clone(),
            uri,
            rows: Vec::new(),
            has_gruus,
            next_id: 0,
            version: 0,
            full: true,
        }
    }

    /// The next document is to name everything: what was told may not have arrived, or it was asked for.
    pub(super) fn tell_all(&mut self) {
        self.full = true;
    }

    /// The flow of this token is gone: the bindings over it were not taken away by who made them.
    pub(super) fn flow_closed(&mut self, token: &str) {
        for row in &mut self.rows {
            row.is_lost |=
                row.binding.path().first().is_some_and(|first| first.user() == Some(token));
        }
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_current(&self, known: &Known, now: Duration) -> bool {
        let mut bound = 0_usize;
        let all_told = known.bound(now).all(|binding| {
            bound = bound.saturating_add(1);
            self.rows.iter().any(|row| row.binding == *binding)
        });
        all_told && bound == self.rows.len()
    }

    /// The next document, which is the last one or the one after.
    pub(super) fn next(&mut self, known: &Known, now: Duration) -> RegInfo {
        let full = std::mem::replace(&mut self.full, false);
        let before = std::mem::take(&mut self.rows);
        let had_some = !before.is_empty();
        let mut contacts = Vec::new();
        for row in &before {
            if !known.bound(now).any(|binding| is_same(binding, &row.binding)) {
                contacts.push(BoundContact {
                    active: false,
                    event: row.end(known, now).to_owned(),
                    ..self.contact(row, now)
                });
            }
        }
        for binding in known.bound(now) {
            let old = before.iter().find(|row| is_same(&row.binding, binding));
            let (id, event) = match old {
                Some(row) if row.binding == *binding && !full => {
                    self.rows.push(Row { binding: binding.clone(), ..*row });
                    continue;
                }
                // RFC 3680 §5.1: "If the event attribute has a value of shortened, the "expires"
                // attribute MUST be present."
                Some(row) if binding.until() < row.binding.until() => (row.id, "shortened"),
                Some(row) if row.binding != *binding => (row.id, "refreshed"),
                Some(row) => (row.id, row.event),
                None => (self.new_id(), "registered"),
            };
            let row = Row { id, binding: binding.clone(), event, is_lost: false };
            contacts.push(BoundContact {
                active: true,
                event: event.to_owned(),
                expires: Some(seconds(binding.until().saturating_sub(now))),
                ..self.contact(&row, now)
            });
            self.rows.push(row);
        }
        // RFC 3680 §4.7.1: "As long as there is at least one contact bound to the address-of-
        // record, the state machine remains in the active state.  When the last
        // contact expires or is removed, the registration transitions to
        // terminated."
        let state = match (self.rows.is_empty(), had_some) {
            (false, _) => "active",
            (true, true) => "terminated",
            (true, false) => "init",
        };
        let version = self.version;
        // RFC 3680 §5.1: "Versions
        // start at 0, and increment by one for each new document
        // sent to a subscriber."
        self.version = version.wrapping_add(1);
        RegInfo {
            version,
            full,
            registrations: vec![WatchedRegistration {
                aor: self.uri.clone(),
                // One registration a subscription.
                id: "r0".to_owned(),
                state: state.to_owned(),
                contacts,
            }],
        }
    }

    // RFC 3680 §5.1: "if the URI for
    // two contacts differ (based on the URI comparison rules in
    // RFC 3261 [1]), the id attributes for those contacts MUST
    // differ."
    fn new_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    /// What does not depend on what happened to it.
    fn contact(&self, row: &Row, now: Duration) -> BoundContact {
        let Row { id, binding, .. } = row;
        let contact = binding.contact();
        let is_secure = contact.uri().is_some_and(|uri| uri.is_secure());
        // RFC 5628 §5: "A notifier for the registration event package [2] SHOULD include the
        // <pub-gruu> element when a contact has an instance ID and a public
        // GRUU is associated with the combination of the AOR and the instance
        // ID."
        let instance = binding.instance().filter(|_| self.has_gruus);
        let gruu = instance.and_then(|instance| public_gruu(&self.aor, instance, is_secure));
        // RFC 3680 §5.1: "The "unknown-param" element is used to convey contact header field
        // parameters that are not specified in RFC 3261."
        let is_known = |name: &str| {
            ["q", "expires", "pub-gruu", "temp-gruu"].iter().any(|of| of.eq_ignore_ascii_case(name))
        };
        let params = contact.params().filter(|param| !is_known(param.name())).map(|param| {
            let value = param.raw_value().unwrap_or_default();
            (param.name().to_owned(), String::from_utf8_lossy(value).into_owned())
        });
        BoundContact {
            id: format!("c{id}"),
            uri: contact.uri().map_or_else(String::new, |uri| uri.to_string()),
            display_name: contact
                .as_name_addr()
                .and_then(|address| address.display_name())
                .map(|name| name.into_owned()),
            q: contact.q().filter(|q| *q != QValue::ONE).map(|q| q.to_string()),
            call_id: Some(binding.call_id().to_owned()),
            cseq: Some(binding.cseq()),
            params: params.collect(),
            pub_gruu: gruu.map(|uri| uri.to_string()),
            expires: (binding.until() > now).then(|| seconds(binding.until().saturating_sub(now))),
            ..BoundContact::default()
        }
    }
}

impl Row {
    /// What ended it.
    fn end(&self, known: &Known, now: Duration) -> &'static str {
        if self.binding.until() <= now {
            "expired"
        } else if self.is_lost || known.has_stranded(&self.binding) {
            // RFC 3680 §4.7.1: "This occurs when the administrator has removed the contact as a valid
            // binding, but still wishes the client to attempt to re-register the
            // contact."
            "deactivated"
        } else {
            "unregistered"
        }
    }
}

/// Whether two are of one contact: by its flow, if it has one, and its URI.
fn is_same(a: &Binding, b: &Binding) -> bool {
    let flows = match (a.flow(), b.flow()) {
        (None, None) => true,
        (Some((a, of_a)), Some((b, of_b))) => of_a == of_b && a.eq_ignore_ascii_case(b),
        (Some(_), None) | (None, Some(_)) => false,
    };
    flows
        && match (a.contact().uri(), b.contact().uri()) {
            (Some(a), Some(b)) => a.is_equivalent(&b),
            _ => false,
        }
}

/// What is left of a second is one.
fn seconds(time: Duration) -> u32 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
