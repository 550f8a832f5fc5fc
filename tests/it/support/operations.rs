//! Operations, written as a sentence.

use purser::ledger::{Amount, CurrencyCode, IdempotencyKey, Money, Operation, Request, Terms, TransactionId, WalletId};

/// A currency code that may or may not exist.
pub fn currency(code: &str) -> CurrencyCode {
    CurrencyCode::new(code).expect("the test names a well-formed currency")
}

/// `invoice 1 5.00 USD`, `withdraw 1 5 USD`, `transfer 1 2 5 USD` (from 1 to 2) or `balance 1`; a last word is its key.
pub fn operation(sentence: &str) -> Operation {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let id = |word: &str| WalletId(word.parse().expect("a wallet is a number"));
    let money = |amount: &str, code: &str| Money {
        amount: Amount::parse(amount).unwrap_or_else(|rejection| panic!("{sentence}: {rejection}")),
        currency: currency(code),
    };
    let (request, key) = match words[..] {
        ["invoice", a, amount, code, ref rest @ ..] => {
            (Request::Invoice { wallet: id(a), money: money(amount, code), terms: Terms::default() }, rest)
        }
        ["withdraw", a, amount, code, ref rest @ ..] => {
            (Request::Withdraw { wallet: id(a), money: money(amount, code), terms: Terms::default() }, rest)
        }
        ["transfer", a, b, amount, code, ref rest @ ..] => (
            Request::Transfer { wallet: id(a), to_wallet: id(b), money: money(amount, code), terms: Terms::default() },
            rest,
        ),
        ["balance", a, ref rest @ ..] => (Request::Balance { wallet: id(a) }, rest),
        _ => panic!("not an operation: {sentence}"),
    };
    let operation = Operation { id: TransactionId(uuid::Uuid::now_v7()), idempotency_key: None, request };
    match key {
        [] => operation,
        [key] => keyed(operation, key),
        _ => panic!("too many words: {sentence}"),
    }
}

/// The same operation under a key.
fn keyed(operation: Operation, key: &str) -> Operation {
    let key = IdempotencyKey::new(key).expect("the test gives a well-formed key");
    Operation { idempotency_key: Some(key), ..operation }
}
