//! Purser's own words.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::labels::EachOnce;
use super::request::{Field, Fields, Value};
use super::{
    Amount, Asked, CurrencyCode, IdempotencyKey, Kind, Operation, Outcome, Part, Refusal, Rejection, Reply, Request,
    envelope, malformed, new_id, status_of, unknown_operation, wrong_type,
};
use crate::ledger::outcome::Replay;
use crate::ledger::{
    Answer, Batch, Cause, CurrencyBalance, Details, Item, Labels, Lifetime, Mode, Money, Refused, Rest, ServiceId,
    Terms, Transaction, TransactionId, WalletId,
};

/// The operation of that word. What a wallet may do is an administrator's to say, over HTTP.
pub(super) fn kind(word: &str) -> Result<Kind, Refusal> {
    let known = Kind::parse(word).filter(|kind| *kind != Kind::Stand);
    known.ok_or_else(|| unknown_operation("there is no such operation".to_owned()))
}

pub(super) fn fields(text: &str) -> Result<Fields<'_>, Refusal> {
    let fields = Fields::parse(text).map_err(|error| malformed(format!("the body is no JSON object: {error}")))?;
    if let Some(field) = fields.duplicate {
        // Which of two amounts was meant is nothing to guess.
        let reason = format!("{} is given more than once", field.name());
        return Err(Refusal { code: "duplicate_field", status: 400, reason, item: None });
    }
    Ok(fields)
}

/// Whether a kind of operation takes a field. One that means something, but not here, is refused: a cancel with an amount
/// is not to cancel everything. Fields that mean nothing anywhere are tolerated, and so is everything beside a wallet whose balance is read.
const fn takes(kind: Kind, field: Field) -> bool {
    match field {
        Field::WalletId | Field::IdempotencyKey | Field::Operation => true,
        Field::ToWalletId => matches!(kind, Kind::Transfer),
        Field::TransactionId => matches!(kind, Kind::Confirm | Kind::Cancel | Kind::Extend | Kind::Reverse),
        Field::Final => matches!(kind, Kind::Confirm),
        Field::Amount => !matches!(kind, Kind::Cancel | Kind::Extend),
        Field::ExpiresIn => matches!(kind, Kind::Invoice | Kind::Withdraw | Kind::Transfer | Kind::Extend),
        Field::Atomic | Field::Operations => false,
        Field::Currency
        | Field::Pending
        | Field::WaitForFunds
        | Field::Labels
        | Field::Description
        | Field::ServiceId
        | Field::OrderId => matches!(kind, Kind::Invoice | Kind::Withdraw | Kind::Transfer),
    }
}

fn check_taken(kind: Kind, fields: &Fields<'_>) -> Result<(), Refusal> {
    if matches!(kind, Kind::Balance | Kind::Batch | Kind::Stand) {
        return Ok(());
    }
    // A word that says no is as good as none.
    let is_said = |field: Field| fields.get(field).is_some_and(|value| value.bool() != Some(false));
    match Field::ALL.into_iter().find(|field| !takes(kind, *field) && is_said(*field)) {
        None => Ok(()),
        Some(field) => Err(contradiction(format!("{} means nothing to {kind}", field.name()))),
    }
}

fn contradiction(reason: String) -> Refusal {
    Refusal { code: "contradiction", status: 422, reason, item: None }
}

pub(super) fn request(kind: Kind, fields: &Fields<'_>) -> Result<Request, Refusal> {
    check_taken(kind, fields)?;
    let wallet = self::wallet(fields, Field::WalletId)?;
    Ok(match kind {
        Kind::Invoice => Request::Invoice { wallet, money: money(fields)?, terms: terms(fields)? },
        Kind::Withdraw => Request::Withdraw { wallet, money: money(fields)?, terms: terms(fields)? },
        Kind::Transfer => {
            let to_wallet = self::wallet(fields, Field::ToWalletId)?;
            Request::Transfer { wallet, to_wallet, money: money(fields)?, terms: terms(fields)? }
        }
        Kind::Confirm | Kind::Cancel | Kind::Extend | Kind::Reverse => about(kind, wallet, original(fields)?, fields)?,
        Kind::Balance => Request::Balance { wallet },
        Kind::Batch | Kind::Stand => return Err(Rejection::ItemNotAllowed.into()),
    })
}

/// What is asked about an earlier transaction.
pub(super) fn about(
    kind: Kind,
    wallet: WalletId,
    original: TransactionId,
    fields: &Fields<'_>,
) -> Result<Request, Refusal> {
    Ok(match kind {
        Kind::Confirm => {
            let rest = if bool(fields, Field::Final)?.unwrap_or(true) { Rest::Released } else { Rest::Kept };
            Request::Confirm { wallet, original, amount: amount(fields)?, rest }
        }
        Kind::Cancel => Request::Cancel { wallet, original, cause: Cause::Requested },
        Kind::Extend => {
            let expires_in = lifetime(fields)?.ok_or_else(|| missing(Field::ExpiresIn))?;
            Request::Extend { wallet, original, expires_in }
        }
        Kind::Reverse => Request::Reverse { wallet, original, amount: amount(fields)? },
        _ => return Err(unknown_operation("there is no such operation on a transaction".to_owned())),
    })
}

/// A batch: its items stand together, or each for itself.
pub(super) fn batch(fields: &Fields<'_>, key: Option<IdempotencyKey>, operations_max: usize) -> Result<Asked, Refusal> {
    let list = fields.get(Field::Operations).ok_or_else(|| missing(Field::Operations))?;
    if list.kind() != "array" {
        return Err(wrong_type(Field::Operations, "an array", list));
    }
    let items: Vec<&RawValue> = serde_json::from_str(list.text())
        .map_err(|error| malformed(format!("operations is no JSON array: {error}")))?;
    if items.is_empty() {
        return Err(Rejection::BatchEmpty.into());
    }
    if items.len() > operations_max {
        let reason = format!("a batch may have at most {operations_max} operations");
        return Err(Refusal { reason, ..Rejection::BatchTooLarge.into() });
    }
    if bool(fields, Field::Atomic)?.unwrap_or(false) {
        let item = |(position, text): (usize, &&RawValue)| {
            item(text.get()).map_err(|refusal| Refusal { item: Some(position), ..refusal })
        };
        let items = items.iter().enumerate().map(item).collect::<Result<Vec<_>, _>>()?;
        let request = Request::Batch(Batch::new(items)?);
        return Ok(Asked::Operation(Operation { id: new_id(), idempotency_key: key, request }));
    }
    let keys = key.map(|key| key.of_operations(items.len())).transpose()?;
    let each =
        |(position, text): (usize, &&RawValue)| operation(text.get(), || keys.as_ref().map(|key_of| key_of(position)));
    Ok(Asked::Each(items.iter().enumerate().map(each).collect()))
}

/// An item of an atomic batch: it has no key of its own.
fn item(text: &str) -> Result<Item, Refusal> {
    let fields = fields(text)?;
    if fields.get(Field::IdempotencyKey).is_some() {
        let reason = "in an atomic batch the batch has the idempotency key, not its operations".to_owned();
        return Err(Refusal { reason, ..Rejection::IdempotencyKeyInvalid.into() });
    }
    let kind = item_kind(&fields)?;
    if kind == Kind::Balance {
        return Err(Rejection::ItemNotAllowed.into());
    }
    Ok(Item { id: new_id(), request: request(kind, &fields)? })
}

/// One of a batch whose operations stand for themselves: its own key, or one made of the batch's key and its position.
fn operation(text: &str, key: impl FnOnce() -> Option<IdempotencyKey>) -> Result<Operation, Refusal> {
    let fields = fields(text)?;
    let idempotency_key = match fields.get(Field::IdempotencyKey) {
        Some(value) => {
            let key = value.string().ok_or_else(|| wrong_type(Field::IdempotencyKey, "a string", value))?;
            Some(IdempotencyKey::new(&key)?)
        }
        None => key(),
    };
    Ok(Operation { id: new_id(), idempotency_key, request: request(item_kind(&fields)?, &fields)? })
}

fn item_kind(fields: &Fields<'_>) -> Result<Kind, Refusal> {
    let word = fields.get(Field::Operation).ok_or_else(|| missing(Field::Operation))?;
    let word = word.string().ok_or_else(|| wrong_type(Field::Operation, "a string", word))?;
    match kind(&word)? {
        Kind::Batch => Err(Rejection::ItemNotAllowed.into()),
        kind => Ok(kind),
    }
}

fn wallet(fields: &Fields<'_>, field: Field) -> Result<WalletId, Refusal> {
    let value = fields.get(field).ok_or_else(|| missing(field))?;
    value.integer().map(WalletId).ok_or_else(|| wrong_type(field, "an integer", value))
}

fn original(fields: &Fields<'_>) -> Result<TransactionId, Refusal> {
    let value = fields.get(Field::TransactionId).ok_or_else(|| missing(Field::TransactionId))?;
    let text = value.string().ok_or_else(|| wrong_type(Field::TransactionId, "a string", value))?;
    // Text that can be no transaction's id is an unknown transaction, like any other id that is not there.
    Ok(TransactionId(Uuid::try_parse(&text).map_err(|_| Rejection::TransactionUnknown)?))
}

/// A text that can be no currency's code is an unknown currency, like any other code that is not there.
fn money(fields: &Fields<'_>) -> Result<Money, Refusal> {
    let currency = fields.get(Field::Currency).ok_or_else(|| missing(Field::Currency))?;
    let currency = currency.string().ok_or_else(|| wrong_type(Field::Currency, "a string", currency))?;
    let amount = amount(fields)?.ok_or_else(|| missing(Field::Amount))?;
    let currency = CurrencyCode::new(&currency).ok_or(Rejection::CurrencyUnknown)?;
    Ok(Money { amount, currency })
}

fn amount(fields: &Fields<'_>) -> Result<Option<Amount>, Refusal> {
    let Some(value) = fields.get(Field::Amount) else { return Ok(None) };
    let text = value.number_or_string().ok_or_else(|| wrong_type(Field::Amount, "a number or a string", value))?;
    Ok(Some(Amount::parse(&text)?))
}

fn terms(fields: &Fields<'_>) -> Result<Terms, Refusal> {
    let expires_in = lifetime(fields)?;
    let is_pending = bool(fields, Field::Pending)?.unwrap_or(false);
    let waits = bool(fields, Field::WaitForFunds)?.unwrap_or(false);
    let contradicts = |reason: &str| contradiction(reason.to_owned());
    let mode = match (is_pending, waits) {
        (true, true) => return Err(contradicts("pending and wait_for_funds exclude each other")),
        (true, false) => Mode::Pending { expires_in },
        (false, true) => Mode::WhenFunded { expires_in },
        (false, false) if expires_in.is_some() => {
            return Err(contradicts("expires_in needs pending or wait_for_funds"));
        }
        (false, false) => Mode::Now,
    };
    Ok(Terms { mode, details: details(fields)?, reference: None })
}

fn details(fields: &Fields<'_>) -> Result<Option<Arc<Details>>, Refusal> {
    let labels = match fields.get(Field::Labels) {
        Some(value) => labels(value)?,
        None => Labels::default(),
    };
    let text = |field| match fields.get(field) {
        Some(value) => {
            value.string().map(|text| Some(text.into_owned())).ok_or_else(|| wrong_type(field, "a string", value))
        }
        None => Ok(None),
    };
    let service = match fields.get(Field::ServiceId) {
        Some(value) => {
            let number = value.integer().ok_or_else(|| wrong_type(Field::ServiceId, "an integer", value))?;
            Some(ServiceId(number))
        }
        None => None,
    };
    let details = Details::new(labels, text(Field::Description)?, service, text(Field::OrderId)?)?;
    Ok((!details.is_empty()).then(|| Arc::new(details)))
}

fn labels(value: Value<'_>) -> Result<Labels, Refusal> {
    let EachOnce(labels) = serde_json::from_str(value.text())
        .map_err(|_| wrong_type(Field::Labels, "an object whose values are strings and whose names differ", value))?;
    Ok(Labels::new(labels)?)
}

fn lifetime(fields: &Fields<'_>) -> Result<Option<Lifetime>, Refusal> {
    let Some(value) = fields.get(Field::ExpiresIn) else { return Ok(None) };
    let seconds = value.integer().ok_or_else(|| wrong_type(Field::ExpiresIn, "an integer", value))?;
    Ok(Some(Lifetime::from_seconds(seconds)?))
}

fn bool(fields: &Fields<'_>, field: Field) -> Result<Option<bool>, Refusal> {
    let Some(value) = fields.get(field) else { return Ok(None) };
    value.bool().map(Some).ok_or_else(|| wrong_type(field, "true or false", value))
}

fn missing(field: Field) -> Refusal {
    Refusal { code: "missing_field", status: 400, reason: format!("{} is missing", field.name()), item: None }
}

pub(super) fn reply_to(outcome: &Outcome) -> Reply {
    let operation = outcome.kind.as_str();
    match &outcome.result {
        Ok(answer) => envelope::success(operation, &body(answer, outcome.replay)),
        Err(refused) => envelope::refusal(
            operation,
            status_of(refused.rejection),
            &refused.rejection.to_string(),
            Some(marks(refused, outcome.replay)),
        ),
    }
}

pub(super) fn reply_refusal(operation: &str, refusal: &Refusal) -> Reply {
    let marks = envelope::Marks { item: refusal.item, ..envelope::Marks::of(refusal.code) };
    envelope::refusal(operation, refusal.status, &refusal.reason, Some(marks))
}

/// One envelope for all, with an envelope for each in its body; there the body is an object, not a string.
pub(super) fn reply_to_each(parts: &[Part]) -> Reply {
    let mut bodies = r#"{"outcomes":["#.to_owned();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            bodies.push(',');
        }
        let reply = match part {
            Part::Refused(refusal) => reply_refusal(Kind::Batch.as_str(), refusal),
            Part::Answered(kind, Err(error)) => super::reply_failure(super::Dialect::Native, kind.as_str(), error),
            Part::Answered(_, Ok(outcome)) => match &outcome.result {
                Ok(answer) => envelope::success_within(outcome.kind.as_str(), &body(answer, outcome.replay)),
                Err(_) => reply_to(outcome),
            },
        };
        bodies.push_str(std::str::from_utf8(&reply.body).expect("envelopes are text"));
    }
    bodies.push_str("]}");
    envelope::success(Kind::Batch.as_str(), &bodies)
}

fn body(answer: &Answer, replay: Replay) -> String {
    match answer {
        Answer::Transaction(transaction) => done(transaction, &[], replay),
        Answer::Batch(transaction, items) => done(transaction, items, replay),
        Answer::Balances(lines) => balances(lines),
        Answer::Standing(standing) => format!(r#"{{"standing":"{}"}}"#, standing.as_str()),
    }
}

fn marks(refused: &Refused, replay: Replay) -> envelope::Marks {
    envelope::Marks {
        rejection: refused.rejection.code(),
        transaction: refused.transaction.as_ref().map(|transaction| transaction.id),
        item: refused.item,
        replay,
    }
}

fn done(transaction: &Transaction, items: &[Transaction], replay: Replay) -> String {
    let mut body = String::with_capacity(96 * (1 + items.len()));
    push_transaction(&mut body, transaction);
    if !items.is_empty() {
        body.push_str(r#","items":["#);
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                body.push(',');
            }
            push_transaction(&mut body, item);
            body.push('}');
        }
        body.push(']');
    }
    if replay == Replay::Replayed {
        body.push_str(r#","replayed":true"#);
    }
    body.push('}');
    body
}

/// Opens an object; the caller closes it.
fn push_transaction(body: &mut String, transaction: &Transaction) {
    let status = transaction.status.as_str();
    write!(body, r#"{{"id":"{}","status":"{status}""#, transaction.id).expect("a string takes everything");
    let Some(more) = transaction.more.as_deref() else { return };
    if let Some(original) = more.original {
        let (id, status) = (original.id, original.status.as_str());
        write!(body, r#","original_id":"{id}","original_status":"{status}""#).expect("a string takes everything");
    }
    if transaction.is_waiting() {
        body.push_str(r#","waiting":true"#);
    }
    if let Some(expires_at) = more.expires_at {
        write!(body, r#","expires_at":"{expires_at}""#).expect("a string takes everything");
    }
}

/// Amounts are strings: a reader whose numbers are floats would round them.
fn balances(lines: &[CurrencyBalance]) -> String {
    let mut body = r#"{"balances":{"#.to_owned();
    for (position, CurrencyBalance { currency, balance }) in lines.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        envelope::push_escaped(&mut body, currency.as_str());
        let (available, held, incoming) =
            (balance.available.normalize(), balance.held.normalize(), balance.incoming.normalize());
        write!(body, r#":{{"available":"{available}","held":"{held}","incoming":"{incoming}"}}"#)
            .expect("a string takes everything");
    }
    body.push_str("}}");
    body
}
