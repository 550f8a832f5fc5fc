//! What a publisher remembers of every operation it published.

use lapin::message::Delivery;
use serde_json::Value;
use uuid::Uuid;

/// One operation. Its place in the publisher's order is its place in the journal.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its idempotency key or, if it has none, a word that is only told apart by: no UUID, which would be a key.
    pub name: String,
    pub identity: Identity,
    pub kind: &'static str,
    /// In whose queue it stands: the debited wallet of a transfer.
    pub wallet: i64,
    pub to_wallet: Option<i64>,
    pub cents: i64,
    /// The broker said that it has it.
    pub is_confirmed: bool,
    /// The first one.
    pub reply: Option<Reply>,
}

/// By what an operation is recognised in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its idempotency key.
    Key,
    /// It has no key: no other one without a key of its wallet has its amount.
    Amount,
}

impl Published {
    pub fn is_keyed(&self) -> bool {
        self.identity == Identity::Key
    }

    fn amount(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }

    pub fn body(&self) -> String {
        let Self { wallet, to_wallet, .. } = self;
        // Written as text: an amount never is a float, not even in a test.
        let to_wallet = to_wallet.map(|wallet| format!(r#""to_wallet_id":{wallet},"#)).unwrap_or_default();
        format!(r#"{{"wallet_id":{wallet},{to_wallet}"currency":"USD","amount":{}}}"#, self.amount())
    }
}

/// What Purser answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200, or 422 for lack of funds.
    pub code: i64,
    /// The transaction's id; a refusal has none.
    pub transaction: Option<Uuid>,
    /// It was answered before.
    pub is_replay: bool,
}

impl Reply {
    /// Reads the reply to an operation, which can only be a success or a lack of funds.
    pub fn read(delivery: &Delivery, asked: &Published) -> Self {
        let said: Value = serde_json::from_slice(&delivery.data).expect("a reply is JSON");
        assert_eq!(said["operation"], asked.kind, "{said}");
        match said["code"].as_i64() {
            Some(code @ 200) => {
                let body = said["body"].as_str().expect("a success has a body");
                let body: Value = serde_json::from_str(body).expect("the body is JSON");
                let id = body["id"].as_str().expect("a transaction has an id");
                let transaction = Some(id.parse().expect("the id is a UUID"));
                Self { code, transaction, is_replay: body["replayed"] == true }
            }
            Some(code @ 422) if said["rejection"] == "insufficient_funds" => {
                Self { code, transaction: None, is_replay: said["replayed"] == true }
            }
            _ => panic!("{asked:?}: {said}"),
        }
    }

    /// Whether both say the same of what was done.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.code, self.transaction) == (other.code, other.transaction)
    }
}

/// How often things happened to a publisher.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Connections lost.
    pub connections_lost: u64,
    /// Those of them that were given up because they brought no confirm.
    pub given_up: u64,
    /// Operations published again because they were not confirmed.
    pub published_again: u64,
    /// Replies to what was answered before.
    pub answered_again: u64,
    /// Operations asked again, when the books had been looked at, because their replies were lost.
    pub asked_again: u64,
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            given_up: sum.given_up + counts.given_up,
            connections_lost: sum.connections_lost + counts.connections_lost,
            published_again: sum.published_again + counts.published_again,
            answered_again: sum.answered_again + counts.answered_again,
            asked_again: sum.asked_again + counts.asked_again,
        })
    }
}
