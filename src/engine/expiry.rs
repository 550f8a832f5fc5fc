//! Ends transactions whose time is up: by ordinary `cancel` operations, so that they take their wallet's line like everything else.
//!
//! What is due stands in PostgreSQL, so a restart forgets nothing. Every instance looks; one that finds something due claims it for a
//! while, so that two do not work on the same. A claim that its instance did not live to use ends by itself; and if two submit the same
//! all the same, the second finds it finished.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use uuid::Uuid;

use super::Processor;
use crate::ledger::{Cause, Operation, Request, TransactionId};
use crate::settings::{Expiry, ms};
use crate::store::{Store, expiries};

/// Looks for what is due until it is told to stop.
pub async fn sweep(store: Store, processor: Processor, settings: Expiry, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(ms(settings.poll_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let claim = Duration::from_millis(settings.claim_ms);
    loop {
        tokio::select! {
            // An error means that whoever could ask is gone.
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        // As long as there is more, without waiting.
        while !processor.is_closed() && processor.database_is_up() {
            match expiries::claim(store.read_pool(), claim, settings.batch_max).await {
                Ok(due) if due.is_empty() => break,
                Ok(due) => {
                    let ended = due.into_iter().map(|due| processor.submit(operation(due)));
                    // What was not ended is claimed again, by whoever is there.
                    join_all(ended).await;
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(error = cause, "what has expired cannot be asked for; it is asked again");
                    break;
                }
            }
        }
    }
}

fn operation(due: expiries::Due) -> Operation {
    let request =
        Request::Cancel { wallet: due.wallet, original: due.id, cause: Cause::Expired { due: due.expires_at } };
    Operation { id: TransactionId(Uuid::now_v7()), idempotency_key: None, request }
}
