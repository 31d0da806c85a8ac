//! The desk's part in publications.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Desk, Turn, log_refused};
use crate::handle::Publication;
use crate::handle::publication::PublicationBox;
use crate::{Account, AgentError, PublicationEvent, PublicationKey, PublicationWish};

/// Who hears of which publication.
#[derive(Debug, Default)]
pub(super) struct Publications {
    all: HashMap<PublicationKey, Arc<PublicationBox>>,
}

impl Drop for Publications {
    /// The shard has ended: whoever waits for a last word gets one.
    fn drop(&mut self) {
        for publication in self.all.values() {
            publication.stop();
        }
    }
}

impl Desk {
    pub(super) fn publish(
        &mut self,
        turn: &mut Turn<'_>,
        account: &Arc<Account>,
        wish: PublicationWish,
        begun: oneshot::Sender<Result<Publication, AgentError>>,
    ) {
        let publication = if self.closing {
            Err(AgentError::Gone)
        } else {
            turn.agent.publish(turn.now, turn.transactions, account, wish)
        };
        let handle = publication.and_then(|key| {
            let publication = PublicationBox::new(key);
            self.publications.all.insert(key, Arc::clone(&publication));
            let line = self.line.upgrade().ok_or(AgentError::Gone)?;
            Ok(Publication::new(publication, line))
        });
        // A publication that nobody waits for is dropped here, which removes it.
        let _ = begun.send(handle);
    }

    pub(super) fn publication_moved(&mut self, key: PublicationKey, event: PublicationEvent) {
        if self.publications.all.get(&key).is_some_and(|known| known.post(event)) {
            self.publications.all.remove(&key);
        }
    }

    /// The handle of a publication is gone.
    pub(super) fn drop_publication(&mut self, turn: &mut Turn<'_>, key: PublicationKey) {
        self.publications.all.remove(&key);
        turn.unpublish(key);
    }

    /// Removes them all.
    pub(super) fn close_publications(&self, turn: &mut Turn<'_>) {
        for key in self.publications.all.keys() {
            turn.unpublish(*key);
        }
    }
}

impl Turn<'_> {
    pub(super) fn unpublish(&mut self, key: PublicationKey) {
        log_refused(self.agent.unpublish(self.now, self.transactions, key));
    }
}
