//! Requests that take more than the sentence of [`super::operation`]: what waits, and what is about an earlier transaction. All in USD.

use purser::ledger::{
    Amount, Batch, Cause, Item, Lifetime, Mode, Money, Operation, Reference, Request, Rest, Standing, Terms,
    TransactionId, WalletId,
};
use uuid::Uuid;

use super::operations::currency;

/// An operation under a name of its own.
pub fn asked(request: Request) -> Operation {
    Operation { id: new_id(), idempotency_key: None, request }
}

/// A name that no other transaction has.
pub fn new_id() -> TransactionId {
    TransactionId(Uuid::now_v7())
}

/// So much.
pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap_or_else(|rejection| panic!("{text}: {rejection}"))
}

fn usd(text: &str) -> Money {
    Money { amount: amount(text), currency: currency("USD") }
}

fn seconds(expires_in: Option<i64>) -> Option<Lifetime> {
    expires_in.map(|seconds| Lifetime::from_seconds(seconds).expect("the test gives a time to live"))
}

/// A credit, at once.
pub fn invoice(wallet: i64, text: &str) -> Request {
    Request::Invoice { wallet: WalletId(wallet), money: usd(text), terms: Terms::default() }
}

/// A debit, at once.
pub fn withdraw(wallet: i64, text: &str) -> Request {
    Request::Withdraw { wallet: WalletId(wallet), money: usd(text), terms: Terms::default() }
}

/// From the first to the second, at once.
pub fn transfer(wallet: i64, to_wallet: i64, text: &str) -> Request {
    let (wallet, to_wallet) = (WalletId(wallet), WalletId(to_wallet));
    Request::Transfer { wallet, to_wallet, money: usd(text), terms: Terms::default() }
}

/// The same movement, but its money is set aside, for so many seconds or for ever.
pub fn pending(request: Request, expires_in: Option<i64>) -> Request {
    with_terms(request, |terms| terms.mode = Mode::Pending { expires_in: seconds(expires_in) })
}

/// The same withdrawal, but it waits for funds if there are too few, for so many seconds or for ever.
pub fn when_funded(request: Request, expires_in: Option<i64>) -> Request {
    with_terms(request, |terms| terms.mode = Mode::WhenFunded { expires_in: seconds(expires_in) })
}

/// The same movement, but with a name over all wallets.
pub fn named(request: Request, reference: &str) -> Request {
    let reference = Reference::new(reference).expect("the test gives a good reference");
    with_terms(request, |terms| terms.reference = Some(reference))
}

fn with_terms(mut request: Request, set: impl FnOnce(&mut Terms)) -> Request {
    match &mut request {
        Request::Invoice { terms, .. } | Request::Withdraw { terms, .. } | Request::Transfer { terms, .. } => {
            set(terms)
        }
        _ => panic!("no movement of money: {request:?}"),
    }
    request
}

/// All of what is left, which ends it.
pub fn confirm(wallet: i64, original: TransactionId) -> Request {
    Request::Confirm { wallet: WalletId(wallet), original, amount: None, rest: Rest::Released }
}

/// A part.
pub fn confirm_part(wallet: i64, original: TransactionId, text: &str, rest: Rest) -> Request {
    Request::Confirm { wallet: WalletId(wallet), original, amount: Some(amount(text)), rest }
}

/// As someone asks for it.
pub fn cancel(wallet: i64, original: TransactionId) -> Request {
    Request::Cancel { wallet: WalletId(wallet), original, cause: Cause::Requested }
}

/// So many seconds more, from now.
pub fn extend(wallet: i64, original: TransactionId, expires_in: i64) -> Request {
    let expires_in = seconds(Some(expires_in)).expect("some time was given");
    Request::Extend { wallet: WalletId(wallet), original, expires_in }
}

/// A part, or all that is left.
pub fn reverse(wallet: i64, original: TransactionId, text: Option<&str>) -> Request {
    Request::Reverse { wallet: WalletId(wallet), original, amount: text.map(amount) }
}

/// All of these or none.
pub fn batch(requests: impl IntoIterator<Item = Request>) -> Request {
    let items = requests.into_iter().map(|request| Item { id: new_id(), request }).collect();
    Request::Batch(Batch::new(items).expect("the test gives a batch that may be"))
}

/// What a wallet is to be.
pub fn stand(wallet: i64, standing: Standing) -> Request {
    Request::Stand { wallet: WalletId(wallet), standing }
}
