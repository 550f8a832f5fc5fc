//! Posts operations as the engine does: wallets shared out over lanes, each lane a batch at a time, all lanes at once.

use std::time::{Duration, Instant};

use anyhow::Context;
use purser::ledger::Operation;
use purser::posting::{self, Attempt};
use purser::store::Store;

/// Operations shared out over lanes and cut into batches.
pub struct Work {
    lanes: Vec<Vec<Vec<Operation>>>,
    operations: usize,
}

impl Work {
    /// Shares `operations` out by wallet, which keeps each wallet's in their order.
    pub fn share_out(operations: impl IntoIterator<Item = Operation>, lanes: usize, batch: usize) -> Self {
        let mut work = Self { lanes: vec![Vec::new(); lanes], operations: 0 };
        for operation in operations {
            let lane = usize::try_from(operation.request.wallet().0).expect("wallets are positive") % lanes;
            let batches = &mut work.lanes[lane];
            match batches.last_mut() {
                Some(last) if last.len() < batch => last.push(operation),
                _ => {
                    let mut next = Vec::with_capacity(batch);
                    next.push(operation);
                    batches.push(next);
                }
            }
            work.operations += 1;
        }
        work
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// Posts everything; every operation must succeed. Returns how long it took.
    pub async fn post(self, store: &Store) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let lanes: Vec<_> =
            self.lanes.into_iter().map(|batches| tokio::spawn(post_lane(store.clone(), batches))).collect();
        for lane in lanes {
            lane.await??;
        }
        Ok(started.elapsed())
    }
}

async fn post_lane(store: Store, batches: Vec<Vec<Operation>>) -> anyhow::Result<()> {
    for batch in batches {
        for outcome in posting::post(&store, &batch, Attempt::First).await? {
            outcome.result.map_err(|refused| refused.rejection).context("an operation was refused")?;
        }
    }
    Ok(())
}
