//! Balances: what a wallet holds in one currency, and what changes it.

use rust_decimal::Decimal;

use super::money::{self, Amount};

/// What a wallet holds in one currency, in major units. No part is ever below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent now.
    pub available: Decimal,
    /// Outgoing, in status Created.
    pub held: Decimal,
    /// Credits in status Created.
    pub incoming: Decimal,
}

/// How a balance changes, in major units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Added to `available`.
    pub available: Decimal,
    /// Added to `held`.
    pub held: Decimal,
    /// Added to `incoming`.
    pub incoming: Decimal,
}

/// Why a delta does not fit a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A part would fall below zero.
    BelowZero,
    /// A part would have more digits than are held exactly.
    TooLarge,
}

impl Delta {
    /// Money that comes in and can be spent at once.
    pub fn credit(amount: Amount) -> Self {
        Self { available: amount.value(), ..Self::default() }
    }

    /// Money that leaves at once.
    pub fn debit(amount: Amount) -> Self {
        Self { available: -amount.value(), ..Self::default() }
    }

    /// Money that is set aside to leave.
    pub fn hold(amount: Amount) -> Self {
        Self { available: -amount.value(), held: amount.value(), ..Self::default() }
    }

    /// Money that is announced.
    pub fn announce(amount: Amount) -> Self {
        Self { incoming: amount.value(), ..Self::default() }
    }

    /// Money set aside, of which a part leaves and the rest may be spent again.
    pub fn release(leaves: Decimal, rest: Decimal) -> Self {
        Self { available: rest, held: -(leaves + rest), ..Self::default() }
    }

    /// Money announced, of which a part arrives and the rest will not come.
    pub fn arrive(arrives: Decimal, rest: Decimal) -> Self {
        Self { available: arrives, incoming: -(arrives + rest), ..Self::default() }
    }

    /// Money that can be spent at once, or nothing.
    pub fn receive(arrives: Decimal) -> Self {
        Self { available: arrives, ..Self::default() }
    }
}

impl Balance {
    /// The balance after `delta`, or why there is none.
    pub fn after(&self, delta: Delta) -> Result<Self, Misfit> {
        let part = |value: Decimal, change: Decimal| {
            // Compared, not added: the difference may need more digits than are held.
            if value < -change {
                return Err(Misfit::BelowZero);
            }
            money::add(value, change).ok_or(Misfit::TooLarge)
        };
        Ok(Self {
            available: part(self.available, delta.available)?,
            held: part(self.held, delta.held)?,
            incoming: part(self.incoming, delta.incoming)?,
        })
    }
}
