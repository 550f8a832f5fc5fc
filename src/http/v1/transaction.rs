//! A transaction as `/v1` shows it: in every answer the same.

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::labels::{self, Labels};
use super::moment;
use crate::ledger;
use crate::store::history::TransactionRow;

/// What was asked.
pub const KINDS: [&str; 8] = ["invoice", "withdraw", "transfer", "confirm", "cancel", "extend", "reverse", "batch"];
/// Where it stands.
pub const STATUSES: [&str; 3] = ["Created", "Success", "Error"];

/// The durable record of an operation that reached a wallet. What does not apply is left out.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Transaction {
    /// A UUIDv7: sorted as they are, transactions stand in the order of their receipt.
    #[schema(example = "0192f0c1-7a3b-7c44-9d55-0a1b2c3d4e5f")]
    pub id: Uuid,
    /// What was asked.
    #[schema(value_type = Kind)]
    pub kind: String,
    /// Created: money waits. Success and Error are final.
    #[schema(value_type = Status)]
    pub status: String,
    /// In whose line it stood: the payer of a transfer.
    #[schema(minimum = 1, example = 1)]
    pub wallet_id: i64,
    /// Who receives a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false)]
    pub to_wallet_id: Option<i64>,
    /// The currency's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "USD")]
    pub currency: Option<String>,
    /// An exact decimal in major units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9]+([.][0-9]+)?$", example = "12.5")]
    pub amount: Option<String>,
    /// Of what was pending: how much was confirmed so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9]+([.][0-9]+)?$", example = "2.5")]
    pub confirmed: Option<String>,
    /// How much of it reversals took back, if any did. Only when it is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9]+([.][0-9]+)?$", example = "0.5")]
    pub reversed: Option<String>,
    /// The transaction that a confirm, cancel, extend or reverse is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub original_id: Option<Uuid>,
    /// The status in which it left that transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Status>)]
    pub original_status: Option<String>,
    /// The atomic batch that it is an item of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub batch_id: Option<Uuid>,
    /// Of a batch that failed: which item's fault it was, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub failed_item: Option<i32>,
    /// Whether it waits for funds.
    pub waiting: bool,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub expires_at: Option<String>,
    /// The caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "order-1")]
    pub idempotency_key: Option<String>,
    /// What the caller attached.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    #[schema(required = false)]
    pub labels: Labels,
    /// What the caller wrote about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// The service that it pays for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub service_id: Option<i64>,
    /// The caller's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub order_id: Option<String>,
    /// Why it stands at Error: a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "insufficient_funds")]
    pub rejection: Option<String>,
    /// When it was written.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00.123456Z")]
    pub created_at: String,
    /// When it became final, if that was later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub finished_at: Option<String>,
}

/// What was asked.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the words of the document; the values come from the database, which checks them")]
pub enum Kind {
    Invoice,
    Withdraw,
    Transfer,
    Confirm,
    Cancel,
    Extend,
    Reverse,
    Batch,
}

/// Where a transaction stands: Created, then Success or Error, which are final.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the words of the document; the values come from the database, which checks them")]
pub enum Status {
    Created,
    Success,
    Error,
}

/// An amount as `/v1` writes it: all its digits, no zeros at the end.
pub fn amount(value: Decimal) -> String {
    value.normalize().to_string()
}

impl From<TransactionRow> for Transaction {
    fn from(row: TransactionRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            status: row.status,
            wallet_id: row.wallet_id,
            to_wallet_id: row.to_wallet_id,
            currency: row.currency,
            amount: row.amount.map(amount),
            confirmed: row.confirmed.map(amount),
            reversed: None,
            original_id: row.original_id,
            original_status: row.original_status,
            batch_id: row.batch_id,
            failed_item: row.failed_item,
            waiting: row.waiting,
            expires_at: row.expires_at.map(moment::render),
            idempotency_key: row.idempotency_key,
            labels: labels::from_json(row.labels.as_deref()),
            description: row.description,
            service_id: row.service_id,
            order_id: row.order_id,
            rejection: row.rejection,
            created_at: moment::render(row.created_at),
            finished_at: row.finished_at.map(moment::render),
        }
    }
}

impl From<ledger::Transaction> for Transaction {
    fn from(transaction: ledger::Transaction) -> Self {
        let more = transaction.more();
        let details = more.details.as_deref();
        let labels = details.map(|details| details.labels().iter()).into_iter().flatten();
        Self {
            id: transaction.id.0,
            kind: transaction.kind.to_string(),
            status: transaction.status.as_str().to_owned(),
            wallet_id: transaction.wallet.0,
            to_wallet_id: transaction.to_wallet.map(|wallet| wallet.0),
            currency: transaction.money.map(|money| money.currency.to_string()),
            amount: transaction.money.map(|money| amount(money.amount.value())),
            confirmed: more.confirmed.map(amount),
            reversed: None,
            original_id: more.original.map(|original| original.id.0),
            original_status: more.original.map(|original| original.status.as_str().to_owned()),
            batch_id: more.batch.map(|batch| batch.0),
            failed_item: more.failed_item.and_then(|item| i32::try_from(item).ok()),
            waiting: transaction.is_waiting(),
            expires_at: more.expires_at.map(|at| moment::render(at.0)),
            idempotency_key: transaction.key.as_ref().map(|(key, _)| key.as_str().to_owned()),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            description: details.and_then(|details| details.description()).map(str::to_owned),
            service_id: details.and_then(|details| details.service()).map(|service| service.0),
            order_id: details.and_then(|details| details.order()).map(str::to_owned),
            rejection: transaction.rejection.map(|rejection| rejection.code().to_owned()),
            created_at: moment::render(transaction.created_at.0),
            finished_at: more.finished_at.map(|at| moment::render(at.0)),
        }
    }
}

impl Transaction {
    /// With what reversals took back of it.
    pub fn with_reversed(self, reversed: Option<Decimal>) -> Self {
        Self { reversed: reversed.map(amount), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_no_zeros_at_its_end() {
        for (value, text) in [("12.50", "12.5"), ("100", "100"), ("0.000000000000000001", "0.000000000000000001")] {
            assert_eq!(amount(Decimal::from_str_exact(value).unwrap()), text);
        }
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let json = serde_json::to_value(Transaction::default()).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(names, ["created_at", "id", "kind", "status", "waiting", "wallet_id"]);
    }
}
