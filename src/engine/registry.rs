//! Which wallets have a live actor.
//!
//! The race it settles: an actor that has been idle wants to stop while someone sends it an operation. A sender holds the wallet's
//! slot while it counts and sends; an actor leaves the registry only if it has received everything that was counted, checked while
//! nobody else holds the slot. So what was sent is received, and a successor starts only behind an actor that has nothing left.
//!
//! **Holding a slot** means holding a lock of the map, which is not reentrant and may be any other wallet's too. So nothing that runs under it
//! may come back here. Starting an actor does not: it hands the actor's thread a closure, and the actor is made over there; if that thread
//! has ended, what is dropped is the closure, not an actor whose end would want the lock. Sending does not: no mailbox is waited for. If the
//! actor has just died, the operation is dropped at once and its caller called back, which is why [`Processor::submit_with`] asks
//! callers not to submit from there.
//!
//! **An actor that dies** of a panic abandons what it held. The wallet has a new one with its next operation, but whoever relies on an order
//! across operations must not see a later one applied: see [`Registry::send`].
//!
//! [`Processor::submit_with`]: super::Processor::submit_with

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How many actors died.
    deaths: AtomicU64,
    /// The last death of each wallet's actor, by its number. It never shrinks: an entry takes a bug.
    abandoned: Mutex<HashMap<WalletId, u64>>,
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
        Self { slots: DashMap::new(), deaths: AtomicU64::new(0), abandoned: Mutex::default(), started: Instant::now() }
    }

    /// Live actors.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many actors have died so far.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Acquire)
    }

    /// Sends an operation to its wallet's actor, starting one if there is none. In the order of the calls.
    ///
    /// Gives it back if the wallet's actor died later than the first `since` of all: an operation before it may have been abandoned.
    pub fn send(
        &self,
        submitted: Submitted,
        since: Option<u64>,
        start: impl FnOnce(WalletId) -> (Addr<WalletActor>, u64),
    ) -> Option<Submitted> {
        let wallet = submitted.operation.request.wallet();
        let used_ms = self.now_ms();
        let slot = self.slots.entry(wallet);
        // Looked at under the slot's lock. Either the dead actor is still in it, and the operation shares the fate of those before it;
        // or it has been taken out, and that it died was noted before.
        if since.is_some_and(|since| self.died_after(wallet, since)) {
            return Some(submitted);
        }
        let mut slot = slot.or_insert_with(|| {
            let (addr, incarnation) = start(wallet);
            Slot { addr, incarnation, sent: 0, used_ms }
        });
        slot.sent += 1;
        slot.used_ms = used_ms;
        // Not `try_send`: the mailbox is bounded by what the broker's prefetch and HTTP's semaphore let in.
        slot.addr.do_send(submitted);
        None
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

    /// Notes that an actor died with what it held, then takes it out.
    pub fn abandon(&self, wallet: WalletId, incarnation: u64) {
        {
            let mut abandoned = self.abandoned.lock().expect("nothing panics while it holds this lock");
            abandoned.insert(wallet, self.deaths.fetch_add(1, Ordering::AcqRel) + 1);
        }
        self.slots.remove_if(&wallet, |_, slot| slot.incarnation == incarnation);
    }

    fn died_after(&self, wallet: WalletId, since: u64) -> bool {
        if self.deaths() == since {
            return false;
        }
        let abandoned = self.abandoned.lock().expect("nothing panics while it holds this lock");
        abandoned.get(&wallet).is_some_and(|death| *death > since)
    }

    #[cfg(any(test, debug_assertions))]
    pub fn addr(&self, wallet: WalletId) -> Option<Addr<WalletActor>> {
        self.slots.get(&wallet).map(|slot| slot.addr.clone())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
