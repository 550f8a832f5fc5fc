//! What can be asked of `/v1` that moves money: bodies in, requests out. A field that is not known is refused: a misspelt `pending` must not
//! let money go at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{field, labels};
use crate::ledger::{
    Amount, Cause, CurrencyCode, Details, Labels, Lifetime, Mode, Money, Rejection, Request, Rest, ServiceId, Terms,
    Transaction, WalletId,
};

/// A new transaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "invoice", "wallet_id": 1, "currency": "USD", "amount": "100.00"}))]
pub struct NewTransaction {
    /// What is asked.
    pub kind: Movement,
    /// Who receives an invoice; who pays a withdraw or a transfer.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "field::integer")]
    pub wallet_id: i64,
    /// Who receives a transfer. Needed there, and nowhere else.
    #[schema(minimum = 1, nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub to_wallet_id: Option<i64>,
    /// The currency's code.
    #[schema(min_length = 1, max_length = 16)]
    pub currency: String,
    /// Greater than zero, in major units, with no more decimals than the currency has. A string or a number; either is read exactly.
    #[schema(schema_with = amount_schema)]
    pub amount: Box<RawValue>,
    /// The money waits until the transaction is confirmed, cancelled or expired.
    #[serde(default)]
    pub pending: bool,
    /// A withdraw that there is not enough for waits until there is, first in, first out.
    #[serde(default)]
    pub wait_for_funds: bool,
    /// How long it may wait, in seconds; for ever when it is not said. Only with `pending` or `wait_for_funds`.
    #[schema(minimum = 1, maximum = 315360000, nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub expires_in: Option<i64>,
    /// To find it by: at most 16.
    #[schema(schema_with = labels::schema, required = false)]
    #[serde(default, deserialize_with = "crate::wire::labels::each_once")]
    pub labels: BTreeMap<String, String>,
    /// For people.
    #[schema(max_length = 1000, nullable = false, pattern = "^[^\\u0000]*$")]
    #[serde(default, deserialize_with = "field::not_null")]
    pub description: Option<String>,
    /// The service that it pays for.
    #[schema(minimum = 1, nullable = false)]
    #[serde(default, deserialize_with = "field::integer_if_given")]
    pub service_id: Option<i64>,
    /// The caller's order.
    #[schema(min_length = 1, max_length = 255, nullable = false, pattern = "^[^\\u0000]*$")]
    #[serde(default, deserialize_with = "field::not_null")]
    pub order_id: Option<String>,
    /// The caller's own name for it. Goes before the header `Idempotency-Key`.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// What moves money by itself.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Movement {
    /// Credits a wallet.
    Invoice,
    /// Debits a wallet.
    Withdraw,
    /// From wallet to wallet.
    Transfer,
}

/// Finishes what is pending.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "60.00", "final": false}))]
pub struct Confirmation {
    /// How much of it; all that is left when it is not said.
    #[schema(schema_with = amount_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub amount: Option<Box<RawValue>>,
    /// Whether the rest goes back. Otherwise it stays pending.
    #[schema(default = true, nullable = false)]
    #[serde(rename = "final", default, deserialize_with = "field::not_null")]
    pub is_final: Option<bool>,
    /// The caller's own name for it. Goes before the header `Idempotency-Key`.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// Ends what is pending or waits.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct Cancellation {
    /// The caller's own name for it. Goes before the header `Idempotency-Key`.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// Gives what is pending or waits another time to live.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_in": 3600}))]
pub struct Extension {
    /// How long from now, in seconds.
    #[schema(minimum = 1, maximum = 315360000)]
    #[serde(deserialize_with = "field::integer")]
    pub expires_in: i64,
    /// The caller's own name for it. Goes before the header `Idempotency-Key`.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// Undoes a transaction of status Success.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "1.25"}))]
pub struct Reversal {
    /// How much of it; all that is left when it is not said.
    #[schema(schema_with = amount_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub amount: Option<Box<RawValue>>,
    /// The caller's own name for it. Goes before the header `Idempotency-Key`.
    #[schema(schema_with = key_schema, required = false)]
    #[serde(default, deserialize_with = "field::not_null")]
    pub idempotency_key: Option<String>,
}

/// What is wrong with a request: a field that its kind needs or has no use for, or a rule.
#[derive(Debug)]
pub enum Unfit {
    /// The fields do not go together.
    Fields(&'static str),
    /// A value is none.
    Rejected(Rejection),
}

impl From<Rejection> for Unfit {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl NewTransaction {
    /// What it asks.
    pub fn request(&self) -> Result<Request, Unfit> {
        let attached = Attached {
            labels: &self.labels,
            description: self.description.as_ref(),
            service_id: self.service_id,
            order_id: self.order_id.as_ref(),
        };
        movement(
            self.kind,
            (self.wallet_id, self.to_wallet_id),
            money(&self.currency, &self.amount)?,
            Terms {
                mode: mode(self.pending, self.wait_for_funds, self.expires_in)?,
                details: attached.details()?,
                reference: None,
            },
        )
    }
}

impl Confirmation {
    /// What it asks about that transaction.
    pub fn request(&self, original: &Transaction) -> Result<Request, Unfit> {
        let rest = if self.is_final.unwrap_or(true) { Rest::Released } else { Rest::Kept };
        let amount = self.amount.as_deref().map(amount).transpose()?;
        Ok(Request::Confirm { wallet: original.wallet, original: original.id, amount, rest })
    }
}

impl Cancellation {
    /// What it asks about that transaction.
    pub fn request(&self, original: &Transaction) -> Request {
        Request::Cancel { wallet: original.wallet, original: original.id, cause: Cause::Requested }
    }
}

impl Extension {
    /// What it asks about that transaction.
    pub fn request(&self, original: &Transaction) -> Result<Request, Unfit> {
        let expires_in = Lifetime::from_seconds(self.expires_in)?;
        Ok(Request::Extend { wallet: original.wallet, original: original.id, expires_in })
    }
}

impl Reversal {
    /// What it asks about that transaction.
    pub fn request(&self, original: &Transaction) -> Result<Request, Unfit> {
        let amount = self.amount.as_deref().map(amount).transpose()?;
        Ok(Request::Reverse { wallet: original.payer_back(), original: original.id, amount })
    }
}

pub(super) fn movement(
    movement: Movement,
    (wallet, to_wallet): (i64, Option<i64>),
    money: Money,
    terms: Terms,
) -> Result<Request, Unfit> {
    let wallet = WalletId(wallet);
    match (movement, to_wallet) {
        (Movement::Invoice, None) => Ok(Request::Invoice { wallet, money, terms }),
        (Movement::Withdraw, None) => Ok(Request::Withdraw { wallet, money, terms }),
        (Movement::Transfer, Some(to_wallet)) => {
            Ok(Request::Transfer { wallet, to_wallet: WalletId(to_wallet), money, terms })
        }
        (Movement::Transfer, None) => Err(Unfit::Fields("to_wallet_id is missing")),
        (_, Some(_)) => Err(Unfit::Fields("to_wallet_id is for transfers")),
    }
}

pub(super) struct Attached<'a> {
    pub labels: &'a BTreeMap<String, String>,
    pub description: Option<&'a String>,
    pub service_id: Option<i64>,
    pub order_id: Option<&'a String>,
}

impl Attached<'_> {
    pub fn details(&self) -> Result<Option<Arc<Details>>, Unfit> {
        let labels = Labels::new(self.labels.clone())?;
        let service = self.service_id.map(ServiceId);
        let details = Details::new(labels, self.description.cloned(), service, self.order_id.cloned())?;
        Ok((!details.is_empty()).then(|| Arc::new(details)))
    }
}

pub(super) fn mode(is_pending: bool, waits: bool, expires_in: Option<i64>) -> Result<Mode, Unfit> {
    let expires_in = expires_in.map(Lifetime::from_seconds).transpose()?;
    match (is_pending, waits) {
        (true, true) => Err(Unfit::Fields("pending and wait_for_funds exclude each other")),
        (true, false) => Ok(Mode::Pending { expires_in }),
        (false, true) => Ok(Mode::WhenFunded { expires_in }),
        (false, false) if expires_in.is_some() => Err(Unfit::Fields("expires_in needs pending or wait_for_funds")),
        (false, false) => Ok(Mode::Now),
    }
}

pub(super) fn money(currency: &str, amount: &RawValue) -> Result<Money, Unfit> {
    let amount = self::amount(amount)?;
    // Text that can be no currency's code is an unknown currency, like any other code that is not there.
    let currency = CurrencyCode::new(currency).ok_or(Rejection::CurrencyUnknown)?;
    Ok(Money { amount, currency })
}

/// A number or a string, read exactly: no float is made on the way.
pub(super) fn amount(json: &RawValue) -> Result<Amount, Unfit> {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|_| Rejection::AmountInvalid)?;
            Ok(Amount::parse(&text)?)
        }
        Some(b'-' | b'0'..=b'9') => Ok(Amount::parse(text)?),
        _ => Err(Rejection::AmountInvalid.into()),
    }
}

pub(super) fn amount_schema() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{1,28}([.][0-9]{1,18})?$")).build();
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0.000_000_000_000_000_001)).build();
    Schema::OneOf(
        OneOfBuilder::new()
            .item(text)
            .item(number)
            .description(Some("Greater than zero, in major units, exact."))
            .build(),
    )
}

pub(super) fn key_schema() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]*$"))
        .description(Some("The caller's own name for it: 1 to 255 bytes. Goes before the header `Idempotency-Key`."))
        .build()
}
