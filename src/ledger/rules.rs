//! What each operation does: pure, the checks first in their order, then what changes.
//!
//! A new operation is a variant of [`Request`] and an arm of [`decide`].

use arrayvec::ArrayVec;

use super::balance::Misfit;
use super::books::State;
use super::{CurrencyBalance, CurrencyCode, Delta, Money, Rejection, Request, Standing, Status, WalletId};

/// What an allowed operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Money moves; a transaction with this status records it.
    Post {
        /// The transaction's status.
        status: Status,
        /// Which balances change, and how.
        postings: ArrayVec<Posting, 2>,
    },
    /// Nothing changes; this is what was asked for.
    Read(Vec<CurrencyBalance>),
}

/// One balance and how it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Whose balance.
    pub wallet: WalletId,
    /// In which currency.
    pub currency: CurrencyCode,
    /// How it changes.
    pub delta: Delta,
}

/// Says what `request` does to `state`, or why not. Pure: whatever it needs to know is an argument.
///
/// The order of the checks is the one that system 000 documents: amount (when it was read), wallet, currency, funds.
pub fn decide(state: &State, request: &Request) -> Result<Decision, Rejection> {
    match *request {
        Request::Invoice { wallet, money } => {
            open(state, [wallet])?;
            in_currency(state, money)?;
            post(state, [(wallet, money, Delta::credit(money.amount))])
        }
        Request::Withdraw { wallet, money } => {
            open(state, [wallet])?;
            in_currency(state, money)?;
            post(state, [(wallet, money, Delta::debit(money.amount))])
        }
        Request::Transfer { wallet, to_wallet, money } => {
            if wallet == to_wallet {
                return Err(Rejection::SameWallet);
            }
            open(state, [wallet, to_wallet])?;
            in_currency(state, money)?;
            post(state, [(wallet, money, Delta::debit(money.amount)), (to_wallet, money, Delta::credit(money.amount))])
        }
        // A closed wallet can still be looked at.
        Request::Balance { wallet } => state.balances(wallet).map(Decision::Read).ok_or(Rejection::WalletUnknown),
    }
}

fn open<const N: usize>(state: &State, wallets: [WalletId; N]) -> Result<(), Rejection> {
    let standings = wallets.map(|wallet| state.standing(wallet));
    if standings.contains(&None) {
        return Err(Rejection::WalletUnknown);
    }
    if standings.contains(&Some(Standing::Closed)) {
        return Err(Rejection::WalletClosed);
    }
    Ok(())
}

fn in_currency(state: &State, money: Money) -> Result<(), Rejection> {
    let currency = state.currency(money.currency).ok_or(Rejection::CurrencyUnknown)?;
    if money.amount.scale() > currency.scale {
        return Err(Rejection::TooManyDecimals);
    }
    Ok(())
}

/// Checks that every balance can take its change; from there on it must succeed.
fn post<const N: usize>(state: &State, moves: [(WalletId, Money, Delta); N]) -> Result<Decision, Rejection> {
    for (wallet, money, delta) in &moves {
        state.balance(*wallet, money.currency).after(*delta).map_err(|misfit| match misfit {
            Misfit::BelowZero => Rejection::InsufficientFunds,
            Misfit::TooLarge => Rejection::BalanceTooLarge,
        })?;
    }
    let posting =
        |(wallet, money, delta): (WalletId, Money, Delta)| Posting { wallet, currency: money.currency, delta };
    Ok(Decision::Post { status: Status::Success, postings: moves.into_iter().map(posting).collect() })
}
