//! Operations, written as sentences.
//!
//! | sentence | asks |
//! |---|---|
//! | `invoice 1 5.00 USD` | credit wallet 1 |
//! | `withdraw 1 5 USD` | debit it |
//! | `transfer 1 2 5 USD` | move from 1 to 2 |
//! | ... `pending`, ... `pending for 60` | its money waits to be confirmed; for 60 seconds |
//! | ... `waits`, ... `waits for 60` | it waits for funds; for 60 seconds |
//! | ... `service 7 order o-1` | for whom, and for what |
//! | ... `reference r` | the transaction's name over all wallets |
//! | `confirm 1 @h`, `confirm 1 @h 3 USD`, `confirm 1 @h 3 USD keep` | all; a part, the rest goes back; a part, the rest stays |
//! | `cancel 1 @h`, `expire 1 @h 60` | end it; end it if it was due 60 seconds after 1970 began |
//! | `extend 1 @h 60` | 60 seconds from now |
//! | `reverse 1 @h`, `reverse 1 @h 3 USD` | undo all that is left, or a part |
//! | `balance 1`, `block 1`, `open 1`, `close 1` | as it says |
//! | `batch: invoice 1 5 USD; withdraw 2 5 USD` | all of them, or none |
//!
//! A word after that is the idempotency key (of a batch: `batch key: ...`), and `as h` gives the transaction a name, which `@h` in a
//! later sentence of the same [`Script`] refers to. `@` may be followed by an id as well, and `@none` is one that nothing has.
//! An original has its currency already: the one in a `confirm` or `reverse` is there for the reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use purser::ledger::{
    Amount, Batch, Cause, CurrencyCode, Details, IdempotencyKey, Item, Labels, Lifetime, Mode, Money, Operation,
    Reference, Request, Rest, ServiceId, Standing, Terms, Timestamp, TransactionId, WalletId,
};
use uuid::Uuid;

/// A currency code that may or may not exist.
pub fn currency(code: &str) -> CurrencyCode {
    CurrencyCode::new(code).expect("the test names a well-formed currency")
}

/// One sentence that refers to no other.
pub fn operation(sentence: &str) -> Operation {
    Script::default().say(sentence)
}

/// Sentences that may refer to those before them.
#[derive(Clone, Debug, Default)]
pub struct Script {
    names: HashMap<String, TransactionId>,
}

impl Script {
    /// The operation that a sentence asks for. Each time it is a new one: only the key makes it the same.
    pub fn say(&mut self, sentence: &str) -> Operation {
        let (head, items) = sentence.split_once(':').map_or((sentence, None), |(head, items)| (head, Some(items)));
        let mut words = Words { sentence, rest: head.split_whitespace().collect() };
        let request = match items {
            Some(items) => {
                words.expect("batch");
                let items = items.split(';').map(|item| self.item(item)).collect();
                Request::Batch(Batch::new(items).unwrap_or_else(|rejection| panic!("{sentence}: {rejection}")))
            }
            None => self.request(&mut words),
        };
        let key = words.take_unless("as").map(|key| IdempotencyKey::new(key).expect("the test gives a good key"));
        let id = TransactionId(Uuid::now_v7());
        if words.take("as") {
            // Said again under the same key it is the first one still.
            self.names.entry(words.next().to_owned()).or_insert(id);
        }
        assert!(words.rest.is_empty(), "too many words: {sentence}");
        Operation { id, idempotency_key: key, request }
    }

    /// Sentences, each after the other.
    pub fn say_all(&mut self, sentences: &[&str]) -> Vec<Operation> {
        sentences.iter().map(|sentence| self.say(sentence)).collect()
    }

    /// The transaction of that name.
    pub fn id(&self, name: &str) -> TransactionId {
        *self.names.get(name).unwrap_or_else(|| panic!("nothing was called {name}"))
    }

    fn item(&mut self, sentence: &str) -> Item {
        let Operation { id, idempotency_key, request } = self.say(sentence);
        assert_eq!(idempotency_key, None, "an item has no key of its own: {sentence}");
        Item { id, request }
    }

    fn request(&self, words: &mut Words<'_>) -> Request {
        let kind = words.next();
        let wallet = words.wallet();
        match kind {
            "invoice" => Request::Invoice { wallet, money: words.money(), terms: words.terms() },
            "withdraw" => Request::Withdraw { wallet, money: words.money(), terms: words.terms() },
            "transfer" => {
                let to_wallet = words.wallet();
                Request::Transfer { wallet, to_wallet, money: words.money(), terms: words.terms() }
            }
            "confirm" => {
                let (original, amount) = (self.original(words), words.part());
                let rest = if words.take("keep") { Rest::Kept } else { Rest::Released };
                Request::Confirm { wallet, original, amount, rest }
            }
            "cancel" => Request::Cancel { wallet, original: self.original(words), cause: Cause::Requested },
            "expire" => {
                let original = self.original(words);
                let cause = Cause::Expired { due: Timestamp::EPOCH + words.lifetime() };
                Request::Cancel { wallet, original, cause }
            }
            "extend" => Request::Extend { wallet, original: self.original(words), expires_in: words.lifetime() },
            "reverse" => Request::Reverse { wallet, original: self.original(words), amount: words.part() },
            "balance" => Request::Balance { wallet },
            "block" => Request::Stand { wallet, standing: Standing::Blocked },
            "open" => Request::Stand { wallet, standing: Standing::Open },
            "close" => Request::Stand { wallet, standing: Standing::Closed },
            _ => panic!("not an operation: {}", words.sentence),
        }
    }

    fn original(&self, words: &mut Words<'_>) -> TransactionId {
        let word = words.next();
        let name = word.strip_prefix('@').unwrap_or_else(|| panic!("@ and a name, not {word}: {}", words.sentence));
        match Uuid::try_parse(name) {
            Ok(id) => TransactionId(id),
            Err(_) if name == "none" => TransactionId(Uuid::nil()),
            Err(_) => self.id(name),
        }
    }
}

/// The words of a sentence that were not read yet.
struct Words<'a> {
    sentence: &'a str,
    rest: VecDeque<&'a str>,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        self.rest.pop_front().unwrap_or_else(|| panic!("too few words: {}", self.sentence))
    }

    fn expect(&mut self, word: &str) {
        assert_eq!(self.next(), word, "{}", self.sentence);
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.rest.front() == Some(&word);
        if is_next {
            self.rest.pop_front();
        }
        is_next
    }

    fn take_unless(&mut self, word: &str) -> Option<&'a str> {
        if self.rest.front() == Some(&word) { None } else { self.rest.pop_front() }
    }

    fn number(&mut self) -> i64 {
        let word = self.next();
        word.parse().unwrap_or_else(|_| panic!("{word} is no number: {}", self.sentence))
    }

    fn wallet(&mut self) -> WalletId {
        WalletId(self.number())
    }

    fn money(&mut self) -> Money {
        let amount = Amount::parse(self.next()).unwrap_or_else(|rejection| panic!("{}: {rejection}", self.sentence));
        Money { amount, currency: currency(self.next()) }
    }

    /// An amount with its currency, if there is one: a key never begins with a digit.
    fn part(&mut self) -> Option<Amount> {
        let is_amount = self.rest.front().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        is_amount.then(|| self.money().amount)
    }

    fn lifetime(&mut self) -> Lifetime {
        let seconds = self.number();
        Lifetime::from_seconds(seconds).unwrap_or_else(|rejection| panic!("{}: {rejection}", self.sentence))
    }

    fn terms(&mut self) -> Terms {
        let (mut mode, mut service, mut order, mut reference) = (Mode::Now, None, None, None);
        loop {
            if self.take("pending") {
                mode = Mode::Pending { expires_in: self.take("for").then(|| self.lifetime()) };
            } else if self.take("waits") {
                mode = Mode::WhenFunded { expires_in: self.take("for").then(|| self.lifetime()) };
            } else if self.take("service") {
                service = Some(ServiceId(self.number()));
            } else if self.take("order") {
                order = Some(self.next().to_owned());
            } else if self.take("reference") {
                reference = Some(Reference::new(self.next()).expect("the test gives a good reference"));
            } else {
                break;
            }
        }
        let details = Details::new(Labels::default(), None, service, order).expect("the test gives good details");
        Terms { mode, details: (!details.is_empty()).then(|| Arc::new(details)), reference }
    }
}
