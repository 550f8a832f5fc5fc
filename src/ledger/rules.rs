//! What each operation does: pure, the checks first in their order, then what changes.
//!
//! A new operation is a variant of [`Request`] and an arm of [`decide`].

use std::sync::Arc;

use arrayvec::ArrayVec;
use rust_decimal::Decimal;

use super::balance::Misfit;
use super::money;
use super::state::{Known, State};
use super::{
    Amount, Cause, CurrencyBalance, CurrencyCode, Delta, Details, Kind, Lifetime, Mode, Money, Rejection, Request,
    Rest, Standing, Status, Terms, Timestamp, Transaction, TransactionId, WalletId,
};

/// What an allowed operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A transaction records it.
    Post(Box<Plan>),
    /// Nothing changes; this is what was asked for.
    Read(Vec<CurrencyBalance>),
    /// The wallet may do something else from now on.
    Stand(Standing),
}

/// A transaction to be, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its status.
    pub status: Status,
    /// How much it moves or sets aside; nothing where only a time changes.
    pub money: Option<Money>,
    /// The other wallet, where there are two.
    pub to_wallet: Option<WalletId>,
    /// Which balances change, and how.
    pub postings: ArrayVec<Posting, 2>,
    /// What else it does.
    pub effect: Effect,
    /// What is attached to it.
    pub details: Option<Arc<Details>>,
}

/// What a transaction does beside changing balances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Its money is set aside, to be confirmed or cancelled.
    Hold {
        /// How long it may wait.
        expires_in: Option<Lifetime>,
    },
    /// It joins the line of withdrawals that wait for funds.
    Wait {
        /// How long it may wait.
        expires_in: Option<Lifetime>,
    },
    /// It changes its original, which has status Created until then.
    Change(Change),
    /// It undoes so much of its original, in major units. The original itself stays as it is.
    Reverse(TransactionId, Decimal),
}

/// What becomes of a transaction that had status Created: all of it that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub id: TransactionId,
    /// Its status now.
    pub status: Status,
    /// Why it stands at Error.
    pub rejection: Option<Rejection>,
    /// How much of it is confirmed now, if it is a hold, in major units.
    pub confirmed: Option<Decimal>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
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

/// Says what `request` does to `state`, or why not. Pure: whatever it needs to know is an argument, the time included.
///
/// The order of the checks is the one that systems 000 and 002 document: amount (when it was read), wallet, currency, funds, and whether the
/// reference is free. A batch is its items, one after the other: see [`super::Books`].
pub fn decide(state: &State, request: &Request) -> Result<Decision, Rejection> {
    let plan = match request {
        Request::Invoice { wallet, money, terms } => invoice(state, *wallet, *money, terms),
        Request::Withdraw { wallet, money, terms } => withdraw(state, *wallet, *money, terms),
        Request::Transfer { wallet, to_wallet, money, terms } => transfer(state, *wallet, *to_wallet, *money, terms),
        Request::Confirm { wallet, original, amount, rest } => {
            confirm(state, created(state, *wallet, *original)?, *amount, *rest)
        }
        Request::Cancel { wallet, original, cause } => cancel(state, created(state, *wallet, *original)?, *cause),
        Request::Extend { wallet, original, expires_in } => {
            Ok(extend(state, created(state, *wallet, *original)?, *expires_in))
        }
        Request::Reverse { wallet, original, amount } => {
            reverse(state, *wallet, find(state, *wallet, *original)?, *amount)
        }
        // A closed wallet can still be looked at.
        Request::Balance { wallet } => {
            return state.balances(*wallet).map(Decision::Read).ok_or(Rejection::WalletUnknown);
        }
        Request::Stand { wallet, standing } => return stand(state, *wallet, *standing).map(Decision::Stand),
        Request::Batch(_) => Err(Rejection::ItemNotAllowed),
    };
    let plan = plan?;
    // Last of all: who is refused for another reason is told that reason.
    if request.reference().is_some_and(|reference| state.named(reference).is_some()) {
        return Err(Rejection::ReferenceTaken);
    }
    Ok(Decision::Post(Box::new(plan)))
}

fn invoice(state: &State, wallet: WalletId, money: Money, terms: &Terms) -> Result<Plan, Rejection> {
    if matches!(terms.mode, Mode::WhenFunded { .. }) {
        return Err(Rejection::WaitForFundsInvalid);
    }
    receives(state, wallet)?;
    in_currency(state, money)?;
    for_service(state, terms)?;
    match terms.mode {
        Mode::Pending { expires_in } => {
            Ok(moves(state, terms, [(wallet, money, Delta::announce(money.amount))])?.held(expires_in))
        }
        Mode::Now | Mode::WhenFunded { .. } => moves(state, terms, [(wallet, money, Delta::credit(money.amount))]),
    }
}

fn withdraw(state: &State, wallet: WalletId, money: Money, terms: &Terms) -> Result<Plan, Rejection> {
    pays(state, wallet)?;
    in_currency(state, money)?;
    for_service(state, terms)?;
    let debit = [(wallet, money, Delta::debit(money.amount))];
    match terms.mode {
        Mode::Now => moves(state, terms, debit),
        Mode::Pending { expires_in } => {
            Ok(moves(state, terms, [(wallet, money, Delta::hold(money.amount))])?.held(expires_in))
        }
        Mode::WhenFunded { expires_in } => {
            let line = state.line_length(wallet, money.currency);
            // Who comes later does not overtake, be it that there is enough for him.
            if line == 0 && state.balance(wallet, money.currency).available >= money.amount.value() {
                return moves(state, terms, debit);
            }
            if line >= state.limits().waiting_max {
                return Err(Rejection::WaitingLineFull);
            }
            let mut plan = Plan::new(Status::Created, Some(money), terms.details.clone());
            plan.effect = Effect::Wait { expires_in };
            Ok(plan)
        }
    }
}

fn transfer(
    state: &State,
    wallet: WalletId,
    to_wallet: WalletId,
    money: Money,
    terms: &Terms,
) -> Result<Plan, Rejection> {
    if wallet == to_wallet {
        return Err(Rejection::SameWallet);
    }
    if matches!(terms.mode, Mode::WhenFunded { .. }) {
        return Err(Rejection::WaitForFundsInvalid);
    }
    pays_to(state, wallet, to_wallet)?;
    in_currency(state, money)?;
    for_service(state, terms)?;
    let mut plan = match terms.mode {
        Mode::Pending { expires_in } => {
            moves(state, terms, [(wallet, money, Delta::hold(money.amount))])?.held(expires_in)
        }
        Mode::Now | Mode::WhenFunded { .. } => moves(
            state,
            terms,
            [(wallet, money, Delta::debit(money.amount)), (to_wallet, money, Delta::credit(money.amount))],
        )?,
    };
    plan.to_wallet = Some(to_wallet);
    Ok(plan)
}

fn confirm(state: &State, original: &Transaction, amount: Option<Amount>, rest: Rest) -> Result<Plan, Rejection> {
    if original.is_waiting() {
        return Err(Rejection::TransactionWaiting);
    }
    let (wallet, to_wallet) = (original.wallet, original.to_wallet);
    match (original.kind, to_wallet) {
        (Kind::Invoice, _) => receives(state, wallet)?,
        (_, Some(to_wallet)) => pays_to(state, wallet, to_wallet)?,
        (_, None) => pays(state, wallet)?,
    }
    let unconfirmed = original.unconfirmed();
    let money = part(state, original, amount, unconfirmed, Rejection::AmountExceedsUnconfirmed)?;
    let confirmed = money.amount.value();
    let (left, confirmed_in_all) = split(unconfirmed, confirmed, original.more().confirmed.unwrap_or_default())?;
    let (released, status) = match rest {
        Rest::Kept if left > Decimal::ZERO => (Decimal::ZERO, Status::Created),
        Rest::Kept | Rest::Released => (left, Status::Success),
    };
    let mut plan = Plan::about(original, Some(money));
    plan.to_wallet = to_wallet;
    plan.postings = match (original.kind, to_wallet) {
        (Kind::Invoice, _) => postings(state, [(wallet, money, Delta::arrive(confirmed, released))])?,
        (_, Some(to_wallet)) => {
            let leaves = (wallet, money, Delta::release(confirmed, released));
            postings(state, [leaves, (to_wallet, money, Delta::credit(money.amount))])?
        }
        (_, None) => postings(state, [(wallet, money, Delta::release(confirmed, released))])?,
    };
    plan.effect = Effect::Change(Change {
        id: original.id,
        status,
        rejection: None,
        confirmed: Some(confirmed_in_all),
        expires_at: original.more().expires_at,
    });
    Ok(plan)
}

fn cancel(state: &State, original: &Transaction, cause: Cause) -> Result<Plan, Rejection> {
    let more = original.more();
    let rejection = match cause {
        Cause::Requested => Rejection::Cancelled,
        Cause::Expired { due } if more.expires_at == Some(due) => Rejection::Expired,
        Cause::Expired { .. } => return Err(Rejection::NotExpired),
    };
    let unconfirmed = original.unconfirmed();
    let money = part(state, original, None, unconfirmed, Rejection::AmountExceedsUnconfirmed)?;
    let mut plan = Plan::about(original, Some(money));
    // In a line nothing is set aside.
    if !original.is_waiting() {
        let delta = match original.kind {
            Kind::Invoice => Delta::arrive(Decimal::ZERO, unconfirmed),
            _ => Delta::release(Decimal::ZERO, unconfirmed),
        };
        plan.postings = postings(state, [(original.wallet, money, delta)])?;
    }
    // What was confirmed in part did move money, so it did not fail.
    let has_moved = more.confirmed.is_some_and(|confirmed| confirmed > Decimal::ZERO);
    let (status, rejection) = if has_moved { (Status::Success, None) } else { (Status::Error, Some(rejection)) };
    let (confirmed, expires_at) = (more.confirmed, more.expires_at);
    plan.effect = Effect::Change(Change { id: original.id, status, rejection, confirmed, expires_at });
    Ok(plan)
}

fn extend(state: &State, original: &Transaction, expires_in: Lifetime) -> Plan {
    let mut plan = Plan::about(original, None);
    plan.effect = Effect::Change(Change {
        id: original.id,
        status: Status::Created,
        rejection: None,
        confirmed: original.more().confirmed,
        expires_at: Some(state.now() + expires_in),
    });
    plan
}

fn reverse(state: &State, wallet: WalletId, known: &Known, amount: Option<Amount>) -> Result<Plan, Rejection> {
    let original = &known.transaction;
    if original.payer_back() != wallet {
        return Err(Rejection::TransactionUnknown);
    }
    match original.kind {
        Kind::Reverse => return Err(Rejection::ReversalOfReversal),
        Kind::Invoice | Kind::Withdraw | Kind::Transfer if original.status == Status::Success => {}
        _ => return Err(Rejection::NotReversible),
    }
    let back_to = (original.kind == Kind::Transfer).then_some(original.wallet);
    match (original.kind, back_to) {
        (Kind::Withdraw, _) => receives(state, wallet)?,
        (_, Some(back_to)) => pays_to(state, wallet, back_to)?,
        (_, None) => pays(state, wallet)?,
    }
    let left = original.settled() - known.reversed;
    let money = part(state, original, amount, left, Rejection::AmountExceedsOriginal)?;
    split(left, money.amount.value(), known.reversed)?;
    let mut plan = Plan::about(original, Some(money));
    plan.to_wallet = back_to;
    plan.postings = match (original.kind, back_to) {
        (Kind::Withdraw, _) => postings(state, [(wallet, money, Delta::credit(money.amount))])?,
        (_, Some(back_to)) => {
            let debit = (wallet, money, Delta::debit(money.amount));
            postings(state, [debit, (back_to, money, Delta::credit(money.amount))])?
        }
        (_, None) => postings(state, [(wallet, money, Delta::debit(money.amount))])?,
    };
    plan.effect = Effect::Reverse(original.id, money.amount.value());
    Ok(plan)
}

fn stand(state: &State, wallet: WalletId, standing: Standing) -> Result<Standing, Rejection> {
    let now = state.standing(wallet).ok_or(Rejection::WalletUnknown)?;
    if now == standing {
        return Ok(standing);
    }
    if now == Standing::Closed {
        return Err(Rejection::WalletClosed);
    }
    if standing == Standing::Closed && !state.is_empty(wallet) {
        return Err(Rejection::WalletNotEmpty);
    }
    Ok(standing)
}

/// The money that a request is about: what it names, or what is left of its original. For the record of a refusal.
pub fn money_of(state: &State, request: &Request) -> Option<Money> {
    let (original, amount) = match request {
        Request::Confirm { original, amount, .. } | Request::Reverse { original, amount, .. } => (original, *amount),
        Request::Cancel { original, .. } => (original, None),
        _ => return request.money(),
    };
    let Known { transaction, reversed } = state.known(*original)?;
    let left = match request {
        Request::Reverse { .. } => transaction.settled() - reversed,
        _ => transaction.unconfirmed(),
    };
    let amount = amount.or_else(|| Amount::new(left).ok())?;
    Some(Money { amount, currency: transaction.money?.currency })
}

/// A transaction in a wallet's queue that is to have status Created.
fn created(state: &State, wallet: WalletId, id: TransactionId) -> Result<&Transaction, Rejection> {
    let transaction = &find(state, wallet, id)?.transaction;
    if transaction.wallet != wallet {
        return Err(Rejection::TransactionUnknown);
    }
    if transaction.status.is_final() {
        return Err(Rejection::TransactionFinal);
    }
    Ok(transaction)
}

fn find(state: &State, wallet: WalletId, id: TransactionId) -> Result<&Known, Rejection> {
    state.standing(wallet).ok_or(Rejection::WalletUnknown)?;
    state.known(id).ok_or(Rejection::TransactionUnknown)
}

fn receives(state: &State, wallet: WalletId) -> Result<(), Rejection> {
    match state.standing(wallet) {
        None => Err(Rejection::WalletUnknown),
        Some(Standing::Closed) => Err(Rejection::WalletClosed),
        Some(Standing::Open | Standing::Blocked) => Ok(()),
    }
}

fn pays(state: &State, wallet: WalletId) -> Result<(), Rejection> {
    receives(state, wallet)?;
    match state.standing(wallet) {
        Some(Standing::Blocked) => Err(Rejection::WalletBlocked),
        _ => Ok(()),
    }
}

fn pays_to(state: &State, wallet: WalletId, to_wallet: WalletId) -> Result<(), Rejection> {
    // Both are looked for before either is looked at.
    if state.standing(wallet).is_none() || state.standing(to_wallet).is_none() {
        return Err(Rejection::WalletUnknown);
    }
    receives(state, to_wallet)?;
    pays(state, wallet)
}

fn in_currency(state: &State, money: Money) -> Result<(), Rejection> {
    let currency = state.currency(money.currency).ok_or(Rejection::CurrencyUnknown)?;
    if money.amount.scale() > currency.scale {
        return Err(Rejection::TooManyDecimals);
    }
    Ok(())
}

fn for_service(state: &State, terms: &Terms) -> Result<(), Rejection> {
    match terms.details.as_ref().and_then(|details| details.service()) {
        Some(service) if !state.has_service(service) => Err(Rejection::ServiceUnknown),
        _ => Ok(()),
    }
}

/// So much of what is left of a transaction; all of it when nothing is said.
fn part(
    state: &State,
    original: &Transaction,
    amount: Option<Amount>,
    left: Decimal,
    exceeds: Rejection,
) -> Result<Money, Rejection> {
    let currency = original.money.ok_or(Rejection::NotReversible)?.currency;
    let amount = match amount {
        Some(amount) => amount,
        // Nothing is left.
        None => Amount::new(left).map_err(|_| exceeds)?,
    };
    let money = Money { amount, currency };
    in_currency(state, money)?;
    if amount.value() > left {
        return Err(exceeds);
    }
    Ok(money)
}

/// What is left after `amount` was taken from `left`, and what was taken in all. Both are kept exactly, or the amount is not taken.
fn split(left: Decimal, amount: Decimal, taken: Decimal) -> Result<(Decimal, Decimal), Rejection> {
    let exactly = |sum: Option<Decimal>| sum.ok_or(Rejection::BalanceTooLarge);
    Ok((exactly(money::add(left, -amount))?, exactly(money::add(taken, amount))?))
}

/// A transaction that does at once what it does.
fn moves<const N: usize>(
    state: &State,
    terms: &Terms,
    moves: [(WalletId, Money, Delta); N],
) -> Result<Plan, Rejection> {
    let mut plan = Plan::new(Status::Success, Some(moves[0].1), terms.details.clone());
    plan.postings = postings(state, moves)?;
    Ok(plan)
}

/// Checks that every balance can take its change; from there on it must succeed.
fn postings<const N: usize>(
    state: &State,
    moves: [(WalletId, Money, Delta); N],
) -> Result<ArrayVec<Posting, 2>, Rejection> {
    for (wallet, money, delta) in &moves {
        state.balance(*wallet, money.currency).after(*delta).map_err(|misfit| match misfit {
            Misfit::BelowZero => Rejection::InsufficientFunds,
            Misfit::TooLarge => Rejection::BalanceTooLarge,
        })?;
    }
    let posting =
        |(wallet, money, delta): (WalletId, Money, Delta)| Posting { wallet, currency: money.currency, delta };
    Ok(moves.into_iter().map(posting).collect())
}

impl Plan {
    fn new(status: Status, money: Option<Money>, details: Option<Arc<Details>>) -> Self {
        Self { status, money, to_wallet: None, postings: ArrayVec::new(), effect: Effect::None, details }
    }

    /// A transaction about another one: for the same service and order.
    fn about(original: &Transaction, money: Option<Money>) -> Self {
        let inherited = original.more().details.as_ref().and_then(|details| details.inherited());
        Self::new(Status::Success, money, inherited.map(Arc::new))
    }

    fn held(mut self, expires_in: Option<Lifetime>) -> Self {
        self.status = Status::Created;
        self.effect = Effect::Hold { expires_in };
        self
    }
}
