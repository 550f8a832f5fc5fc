//! Which wallets have a live actor.
//!
//! The race it settles: an actor that has been idle wants to stop while someone sends it an operation. A sender holds the wallet's
//! slot while it counts and sends; an actor leaves the registry only if it has received everything that was counted, checked while
//! nobody else holds the slot. So what was sent is received, and a successor starts only behind an actor that has nothing left.

use std::time::{Duration, Instant};

use actix::Addr;
use dashmap::DashMap;

use super::responder::Submitted;
use super::wallet::{Retire, WalletActor};
use crate::ledger::WalletId;

/// Below this the map's own memory is not worth giving back.
const CAPACITY_KEPT: usize = 4096;

pub(super) struct Registry {
    slots: DashMap<WalletId, Slot>,
    started: Instant,
}

struct Slot {
    addr: Addr<WalletActor>,
    /// Which actor of this wallet it is: a wallet has many over time.
    incarnation: u64,
    /// Operations sent to it.
    sent: u64,
    /// When the last one was sent, in milliseconds since the start.
    used_ms: u64,
}

impl Registry {
    pub fn new() -> Self {
        Self { slots: DashMap::new(), started: Instant::now() }
    }

    /// Live actors.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Sends an operation to its wallet's actor, starting one if there is none. In the order of the calls.
    pub fn send(&self, submitted: Submitted, start: impl FnOnce(WalletId) -> (Addr<WalletActor>, u64)) {
        let wallet = submitted.operation.request.wallet();
        let used_ms = self.now_ms();
        let mut slot = self.slots.entry(wallet).or_insert_with(|| {
            let (addr, incarnation) = start(wallet);
            Slot { addr, incarnation, sent: 0, used_ms }
        });
        slot.sent += 1;
        slot.used_ms = used_ms;
        // Not `try_send`: the mailbox is bounded by what the broker's prefetch and HTTP's semaphore let in.
        slot.addr.do_send(submitted);
    }

    /// Asks actors that have been idle for `idle` to stop.
    pub fn retire_idle(&self, idle: Duration) {
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        let Some(before_ms) = self.now_ms().checked_sub(idle_ms) else { return };
        for slot in &self.slots {
            if slot.used_ms <= before_ms {
                slot.addr.do_send(Retire);
            }
        }
        if self.slots.capacity() > CAPACITY_KEPT && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to_fit();
        }
    }

    /// Takes an actor out if it has received everything that was sent to it; says whether it did.
    pub fn leave(&self, wallet: WalletId, incarnation: u64, received: u64) -> bool {
        self.slots.remove_if(&wallet, |_, slot| slot.incarnation == incarnation && slot.sent == received).is_some()
    }

    /// Takes an actor out that ended by a panic.
    pub fn forget(&self, wallet: WalletId, incarnation: u64) {
        self.slots.remove_if(&wallet, |_, slot| slot.incarnation == incarnation);
    }

    #[cfg(test)]
    pub fn addr(&self, wallet: WalletId) -> Option<Addr<WalletActor>> {
        self.slots.get(&wallet).map(|slot| slot.addr.clone())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
