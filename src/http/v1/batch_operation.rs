//! What can be part of a batch of `/v1`: bodies in, requests out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use uuid::Uuid;

use super::body::Object;
use super::field;
use super::operation::{Attached, Movement, Unfit, amount, key_schema, mode, money};
use crate::ledger::{Cause, Kind, Lifetime, Request, Rest, Terms, TransactionId, WalletId};

/// Operations that come together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"atomic": true, "operations": [
    {"kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "9.50"},
    {"kind": "transfer", "wallet_id": 1, "to_wallet_id": 3, "currency": "USD", "amount": "0.50"},
]}))]
pub struct NewBatch {
    /// In their order.
    #[schema(min_items = 1, max_items = 10000, value_type = Vec<BatchOperation>)]
    pub operations: Vec<Object<BatchOperation>>,
    /// All of them or none. Otherwise each stands for itself.
    #[serde(default)]
    pub atomic: bool,
    /// The caller's own name for it. Goes before the header `Idempotency-Key`. Where each operation stands for itself, those without a key of their
    /// own get this one with `/` and their position, counted from 0.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// One operation of a batch. Each kind takes the fields that it takes by itself, within the same limits. Here the document does not repeat them: what is
/// beyond them is refused for its operation only, in an answer of 200, where operations stand for themselves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": "1.50"}))]
pub struct BatchOperation {
    /// What is asked.
    pub kind: BatchKind,
    /// In whose line it stands.
    #[serde(deserialize_with = "field::integer")]
    pub wallet_id: i64,
    /// Who receives a transfer.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub to_wallet_id: Option<i64>,
    /// The currency's code.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub currency: Option<String>,
    /// Greater than zero, in major units.
    #[schema(schema_with = number_or_text, required = false)]
    #[serde(default, deserialize_with = "field::number_or_text")]
    pub amount: Option<Box<RawValue>>,
    /// The transaction that a confirm, cancel, extend or reverse is about.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub transaction_id: Option<Uuid>,
    /// As of a new transaction.
    #[serde(default)]
    pub pending: bool,
    /// As of a new transaction.
    #[serde(default)]
    pub wait_for_funds: bool,
    /// In seconds.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub expires_in: Option<i64>,
    /// Of a confirm: whether the rest goes back.
    #[schema(default = true, nullable = false)]
    #[serde(rename = "final", default, deserialize_with = "field::not_null")]
    pub is_final: Option<bool>,
    /// As of a new transaction.
    #[schema(required = false)]
    #[serde(default, deserialize_with = "crate::wire::labels::each_once")]
    pub labels: BTreeMap<String, String>,
    /// As of a new transaction.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub description: Option<String>,
    /// As of a new transaction.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub service_id: Option<i64>,
    /// As of a new transaction.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub order_id: Option<String>,
    /// Its own key, where it stands for itself.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// What can be part of a batch. A balance only where each operation stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchKind {
    Invoice,
    Withdraw,
    Transfer,
    Confirm,
    Cancel,
    Extend,
    Reverse,
    Balance,
}

fn number_or_text() -> Schema {
    let one_of = [Type::String, Type::Number].map(|of_type| ObjectBuilder::new().schema_type(of_type).build());
    let [text, number] = one_of;
    let description = Some("Greater than zero, in major units, exact.");
    Schema::OneOf(OneOfBuilder::new().item(text).item(number).description(description).build())
}

impl BatchOperation {
    /// What it asks.
    pub fn request(&self) -> Result<Request, Unfit> {
        self.refuse_needless()?;
        let wallet = WalletId(self.wallet_id);
        let movement = match self.kind {
            BatchKind::Invoice => Movement::Invoice,
            BatchKind::Withdraw => Movement::Withdraw,
            BatchKind::Transfer => Movement::Transfer,
            BatchKind::Balance => return Ok(Request::Balance { wallet }),
            BatchKind::Confirm | BatchKind::Cancel | BatchKind::Extend | BatchKind::Reverse => {
                return self.about(wallet);
            }
        };
        let attached = Attached {
            labels: &self.labels,
            description: self.description.as_ref(),
            service_id: self.service_id,
            order_id: self.order_id.as_ref(),
        };
        let currency = self.currency.as_ref().ok_or(Unfit::Fields("currency is missing"))?;
        let amount = self.amount.as_ref().ok_or(Unfit::Fields("amount is missing"))?;
        let terms = Terms {
            mode: mode(self.pending, self.wait_for_funds, self.expires_in)?,
            details: attached.details()?,
            reference: None,
        };
        super::operation::movement(movement, (self.wallet_id, self.to_wallet_id), money(currency, amount)?, terms)
    }

    fn about(&self, wallet: WalletId) -> Result<Request, Unfit> {
        let original = self.transaction_id.map(TransactionId).ok_or(Unfit::Fields("transaction_id is missing"))?;
        let amount = || self.amount.as_deref().map(amount).transpose();
        Ok(match self.kind {
            BatchKind::Confirm => {
                let rest = if self.is_final.unwrap_or(true) { Rest::Released } else { Rest::Kept };
                Request::Confirm { wallet, original, amount: amount()?, rest }
            }
            BatchKind::Extend => {
                let expires_in = self.expires_in.ok_or(Unfit::Fields("expires_in is missing"))?;
                Request::Extend { wallet, original, expires_in: Lifetime::from_seconds(expires_in)? }
            }
            BatchKind::Reverse => Request::Reverse { wallet, original, amount: amount()? },
            _ => Request::Cancel { wallet, original, cause: Cause::Requested },
        })
    }

    /// Refuses a field that this kind has no use for: its caller thinks that it says something.
    fn refuse_needless(&self) -> Result<(), Unfit> {
        use BatchKind::{Confirm, Extend, Invoice, Reverse, Transfer, Withdraw};
        let is = |kinds: &[BatchKind]| kinds.contains(&self.kind);
        let (moves, looks) = (is(&[Invoice, Withdraw, Transfer]), is(&[BatchKind::Balance]));
        let needless = [
            (self.to_wallet_id.is_some() && !moves, "to_wallet_id is for transfers"),
            (self.currency.is_some() && !moves, "currency is for an invoice, withdraw or transfer"),
            (
                self.amount.is_some() && !moves && !is(&[Confirm, Reverse]),
                "amount is for what moves money, a confirm or a reverse",
            ),
            (
                self.transaction_id.is_some() && (moves || looks),
                "transaction_id is for a confirm, cancel, extend or reverse",
            ),
            (self.pending && !moves, "pending is for an invoice, withdraw or transfer"),
            (self.wait_for_funds && !moves, "wait_for_funds is for a withdraw"),
            (self.expires_in.is_some() && !moves && !is(&[Extend]), "expires_in is for what waits, and for an extend"),
            (self.is_final.is_some() && !is(&[Confirm]), "final is for a confirm"),
            (!self.labels.is_empty() && !moves, "labels are for an invoice, withdraw or transfer"),
            (self.description.is_some() && !moves, "description is for an invoice, withdraw or transfer"),
            (self.service_id.is_some() && !moves, "service_id is for an invoice, withdraw or transfer"),
            (self.order_id.is_some() && !moves, "order_id is for an invoice, withdraw or transfer"),
        ];
        needless.into_iter().find(|(is_given, _)| *is_given).map_or(Ok(()), |(_, reason)| Err(Unfit::Fields(reason)))
    }

    /// Which kind of operation it is.
    pub const fn kind(&self) -> Kind {
        match self.kind {
            BatchKind::Invoice => Kind::Invoice,
            BatchKind::Withdraw => Kind::Withdraw,
            BatchKind::Transfer => Kind::Transfer,
            BatchKind::Confirm => Kind::Confirm,
            BatchKind::Cancel => Kind::Cancel,
            BatchKind::Extend => Kind::Extend,
            BatchKind::Reverse => Kind::Reverse,
            BatchKind::Balance => Kind::Balance,
        }
    }
}
