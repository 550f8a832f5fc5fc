//! Ends transactions whose time is up: by ordinary `cancel` operations, so that they take their wallet's line like everything else.
//!
//! What is due stands in PostgreSQL, so a restart forgets nothing. Every instance looks; one that finds something due claims it for a
//! while, so that two do not work on the same. A claim that its instance did not live to use ends by itself; and if two submit the same
//! all the same, the second finds it finished.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Processor;
use crate::ledger::{Cause, Operation, Request, TransactionId};
use crate::settings::{Expiry, ms};
use crate::store::{Store, expiries};

/// Looks for what is due until it is told to stop.
pub async fn sweep(store: Store, processor: Processor, settings: Expiry, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(ms(settings.poll_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ending = Ending::default();
    loop {
        tokio::select! {
            // An error means that whoever could ask is gone.
            _ = stop.wait_for(|stop| *stop) => return,
            () = ending.one_ended() => {}
            _ = ticks.tick() => {}
        }
        // As long as there is more, without waiting. A wallet that others have locked keeps what is due of it, and nothing else.
        while !processor.is_closed() && processor.database_is_up() {
            let room = settings.batch_max.saturating_sub(ending.count());
            match expiries::claim(store.read_pool(), ms(settings.claim_ms), room).await {
                Ok(due) if due.is_empty() => break,
                Ok(due) => due.into_iter().for_each(|due| ending.begin(&processor, due)),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(error = cause, "what has expired cannot be asked for; it is asked again");
                    break;
                }
            }
        }
    }
}

/// What this instance is ending now. What it could not end is claimed again, by whoever is there.
#[derive(Clone, Default)]
struct Ending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    ids: Mutex<HashSet<TransactionId>>,
    ended: Notify,
}

impl Ending {
    fn count(&self) -> u32 {
        u32::try_from(self.ids().len()).unwrap_or(u32::MAX)
    }

    /// Submits the end of a transaction, unless it is under way since an earlier claim.
    fn begin(&self, processor: &Processor, due: expiries::Due) {
        if !self.ids().insert(due.id) {
            return;
        }
        let ending = self.clone();
        processor.submit_with(operation(due), move |_| {
            ending.ids().remove(&due.id);
            ending.0.ended.notify_one();
        });
    }

    async fn one_ended(&self) {
        self.0.ended.notified().await;
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<TransactionId>> {
        self.0.ids.lock().expect("nothing panics while it holds this lock")
    }
}

fn operation(due: expiries::Due) -> Operation {
    let request =
        Request::Cancel { wallet: due.wallet, original: due.id, cause: Cause::Expired { due: due.expires_at } };
    Operation { id: TransactionId(Uuid::now_v7()), idempotency_key: None, request }
}
