//! System 002: `/wallets` and what lies below it, and what its author still wanted to do: voids, lists and searches.
//!
//! Its amounts are of one currency, the setting `dialects.wallet.currency`. What it shows as a wallet's transaction is a line of the wallet's
//! history in that currency: `refno` is the line's number, old and new balance are what could be spent before and after it. So lines of other
//! dialects count, too: `refno` has no gap, each old balance is the new one of the line before, and where nothing could be spent before or
//! after (a hold that is confirmed), the amount is 0.0. Its fingerprint is a reference, unique over all wallets, and free again only if the
//! operation was refused.
//!
//! Each list has the newest first (wallets: by id) and is cut off at `limit`; `after` is the id or `refno` where the page before ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Dialect, number};
use crate::http::dictionary::{self, Dictionary, Said};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::parameters::Parameters;
use crate::http::server::Context;
use crate::http::{extract, submit};
use crate::ledger::{
    self, Amount, Answer, CurrencyCode, Details, Money, Operation, Reference, Rejection, Request, Status, Terms,
    Transaction, TransactionId, WalletId,
};
use crate::store::directory::{self, NewWallet, WalletFilter, WalletRow};
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};
use crate::store::lines::{self, LineRow, LineSought};
use crate::store::references;
use crate::wire;
use crate::wire::go::{self, Object, Reason, Sort, Validation};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.wallet.enabled,
    endpoints: &[
        Endpoint::get("/wallets", || web::to(list_wallets)),
        // Its clients make their wallets themselves.
        Endpoint::new("POST", "/wallets", Scope::Write, || web::to(create_wallet)),
        Endpoint::get("/wallets/{id}", || web::to(get_wallet)),
        Endpoint::get("/wallets/{id}/balance", || web::to(get_balance)),
        Endpoint::get("/wallets/{id}/transactions", || web::to(list_transactions)),
        Endpoint::new("POST", "/wallets/{id}/transactions", Scope::Write, || web::to(create_transaction)),
        Endpoint::get("/wallets/{id}/transactions/latest", || web::to(get_latest)),
        Endpoint::new("POST", "/wallets/{id}/transactions/{transaction}/void", Scope::Write, || web::to(void)),
        Endpoint::get("/transactions", || web::to(search_transactions)),
        // What is left below them, after all others: the first that fits serves.
        nothing_at("/wallets/"),
        nothing_at("/wallets/{id}/{rest:.*}"),
    ],
    refuse: |_, _, unserved| No::from(unserved).error_response(),
    start_at_zero: |_| {},
};

/// What a fingerprint is called among the references of all dialects.
const FINGERPRINT: &str = "wallet:fingerprint:";
/// What the names of label filters start with: `label.k=v`.
const LABEL: &str = "label.";
/// Most labels that it takes.
const LABELS_MAX: usize = 10;
/// Longest external id and fingerprint, in characters.
const NAME_CHARACTERS_MAX: usize = 50;
/// Longest description, in characters.
const DESCRIPTION_CHARACTERS_MAX: usize = 100;
/// Items on a page unless said otherwise.
const LIMIT_DEFAULT: i64 = 50;
/// What PostgreSQL says of the character that it cannot keep.
const NO_NUL: &str = "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021)";

/// What it says when it does not do what was asked.
#[derive(Debug)]
struct Words;

type No = dictionary::No<Words>;

impl Dictionary for Words {
    fn write(said: &Said) -> HttpResponse {
        json(said.status, &BTreeMap::from([("message", &said.text)]))
    }

    /// What that system has no word for is 400 with ours, as it did with what its database said. Never 409 or 422: its clients take the one for
    /// a retry, and the other for a lack of funds.
    fn rejected(rejection: Rejection) -> Said {
        match rejection {
            Rejection::WalletUnknown => Said::new(StatusCode::NOT_FOUND, "wallet not found"),
            Rejection::TransactionUnknown => Said::new(StatusCode::NOT_FOUND, "transaction not found"),
            Rejection::InsufficientFunds => Said::new(StatusCode::UNPROCESSABLE_ENTITY, "wallet balance is not enough"),
            Rejection::ReferenceTaken => Said::conflict("a transaction already exists with same fingerprint"),
            // Of a void: nothing else here reverses.
            Rejection::AmountExceedsOriginal => Said::conflict("transaction is void already"),
            Rejection::ReversalOfReversal => Said::conflict("a void cannot be void"),
            Rejection::NotReversible => Said::conflict("only a finished transaction can be void"),
            // How many is checked before.
            Rejection::LabelsInvalid => {
                Said::bad_request("a label has a name of 1 to 64 characters and a value of at most 256, without NUL")
            }
            Rejection::AmountTooLarge | Rejection::BalanceTooLarge => {
                Said::bad_request("ERROR: numeric field overflow (SQLSTATE 22003)")
            }
            other => Said::bad_request(other.to_string()),
        }
    }

    /// Its framework's own two; the others it does not have.
    fn unserved(unserved: Unserved) -> Said {
        let text = match unserved {
            Unserved::RouteUnknown => "Not Found",
            Unserved::MethodNotAllowed => "Method Not Allowed",
            other => other.reason(),
        };
        Said::new(unserved.status(), text)
    }

    fn failed() -> Said {
        Said::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

/// Wallets by external id or labels: `?externalId=`, `?label.k=v`.
async fn list_wallets(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, No> {
    let mut query = query(&request)?;
    let filter =
        WalletFilter { external_id: query.take("externalId"), labels: labels_sought(&mut query), status: None };
    let (limit, after) = page(&context, query, go::integer)?;
    let rows = directory::list(context.state.store.read_pool(), &filter, after, Order::Ascending, limit).await?;
    Ok(done(&rows.into_iter().map(Wallet::from).collect::<Vec<_>>()))
}

async fn create_wallet(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let wallet = new_wallet(&body(&context, &request, payload).await?)?;
    let row = directory::insert(context.state.store.read_pool(), &wallet).await.map_err(|error| {
        match error.constraint() {
            Some("wallets_external_id_key") => No::conflict("wallet already exists"),
            _ => error.into(),
        }
    })?;
    Ok(done(&Wallet::from(row)))
}

async fn get_wallet(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let row = directory::find(context.state.store.read_pool(), go::integer(&id)?).await?;
    Ok(done(&Wallet::from(row.ok_or(Rejection::WalletUnknown)?)))
}

/// In the wallet's line, so it sees every operation that was accepted before it.
async fn get_balance(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let request = Request::Balance { wallet: WalletId(go::integer(&id)?) };
    let operation = Operation { id: wire::new_id(), idempotency_key: None, request };
    let outcome = submit::submit(&context, operation).await?;
    let Answer::Balances(balances) = outcome.result.map_err(|refused| refused.rejection)? else {
        unreachable!("a balance was asked for");
    };
    let currency = currency(&context);
    let of_currency = balances.iter().find(|line| line.currency == currency);
    Ok(done(&number(of_currency.map(|line| line.balance.available).unwrap_or_default(), 1)))
}

/// A wallet's transactions.
async fn list_transactions(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, No> {
    let wallet = go::integer(&id)?;
    let (limit, after) = page(&context, query(&request)?, go::integer)?;
    let pool = context.state.store.read_pool();
    directory::find(pool, wallet).await?.ok_or(Rejection::WalletUnknown)?;
    let rows = lines::list(pool, wallet, currency(&context).as_str(), after, limit).await?;
    Ok(done(&rows.into_iter().map(Line::from).collect::<Vec<_>>()))
}

async fn create_transaction(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, No> {
    let wallet = WalletId(go::integer(&id)?);
    let movement = new_transaction(&body(&context, &request, payload).await?, wallet, currency(&context))?;
    move_money(&context, &request, movement).await
}

/// A wallet's newest line.
async fn get_latest(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let (wallet, currency) = (go::integer(&id)?, currency(&context));
    let rows = lines::list(context.state.store.read_pool(), wallet, currency.as_str(), None, 1).await?;
    Ok(done(&Line::from(rows.into_iter().next().ok_or(Rejection::TransactionUnknown)?)))
}

/// Undoes all that is left of a transaction, by a new one. Its fingerprint stays used.
async fn void(context: Data<Context>, request: HttpRequest, path: Path<(String, String)>) -> Result<HttpResponse, No> {
    let wallet = WalletId(go::integer(&path.0)?);
    let original = TransactionId(go::uuid(&path.1)?);
    if let Some(row) = history::find(context.state.store.read_pool(), original.0).await? {
        // What is in another currency is not there, neither here nor in the lists.
        if row.currency.is_some_and(|code| code != currency(&context).as_str()) {
            return Err(Rejection::TransactionUnknown.into());
        }
        // It is in the payer's lists, too; but the money is with whoever received it.
        if row.wallet_id == wallet.0 && row.to_wallet_id.is_some_and(|receiver| receiver != wallet.0) {
            return Err(No::bad_request("a transfer can be void only by the wallet that received it"));
        }
    }
    move_money(&context, &request, Request::Reverse { wallet, original, amount: None }).await
}

/// Finished transactions by fingerprint or labels, of all wallets or one: `?fingerprint=`, `?label.k=v`, `?wid=`.
async fn search_transactions(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, No> {
    let mut query = query(&request)?;
    let (fingerprint, labels) = (query.take("fingerprint"), labels_sought(&mut query));
    let wallet_id = query.take("wid").map(|id| go::integer(&id)).transpose()?;
    let (limit, after) = page(&context, query, go::uuid)?;
    let pool = context.state.store.read_pool();
    let rows = match (fingerprint, labels) {
        (Some(fingerprint), None) => {
            // One that is longer than any can be is nobody's.
            let found = match reference_of(&fingerprint) {
                Ok(reference) => references::find(pool, &reference).await?,
                Err(_) => None,
            };
            match found {
                Some(id) => history::find(pool, id).await?.into_iter().collect(),
                None => Vec::new(),
            }
        }
        (None, labels @ Some(_)) => {
            let filter = TransactionFilter {
                wallet_id,
                status: Some(Status::Success.as_str()),
                currency: Some(currency(&context).to_string()),
                labels,
                ..TransactionFilter::default()
            };
            history::list(pool, &filter, After::Time(after), Order::Descending, limit).await?
        }
        _ => return Err(No::bad_request("either fingerprint or label.NAME is required")),
    };
    let is_of_wallet =
        |row: &TransactionRow| wallet_id.is_none_or(|id| [Some(row.wallet_id), row.to_wallet_id].contains(&Some(id)));
    let sought: Vec<_> = rows.into_iter().filter(is_of_wallet).filter_map(|row| line_found(row, wallet_id)).collect();
    let found = lines::find(pool, &sought).await?;
    let with_wallet = |row: LineRow| Line { wid: Some(row.wallet_id), ..Line::from(row) };
    Ok(done(&found.into_iter().map(with_wallet).collect::<Vec<_>>()))
}

/// That nothing is served there is said in its words.
const fn nothing_at(path: &'static str) -> Endpoint {
    Endpoint::any(path, || web::to(async || Err::<HttpResponse, No>(Unserved::RouteUnknown.into())))
}

/// The body as text. One that is empty is `null`, which to Go leaves every field at zero.
async fn body(context: &Context, request: &HttpRequest, payload: Payload) -> Result<String, No> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    if body.is_empty() {
        return Ok("null".to_owned());
    }
    let content_type = extract::content_type(request).unwrap_or_default().trim_start();
    let is_json = |start: &str| start.eq_ignore_ascii_case("application/json");
    if !content_type.get(.."application/json".len()).is_some_and(is_json) {
        return Err(No::bad_request("code=415, message=Unsupported Media Type"));
    }
    // As Go: bytes that are no text are read as U+FFFD.
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn new_wallet(text: &str) -> Result<NewWallet, No> {
    let object = Object::parse_first("CreateWalletRequest", text).map_err(unbound)?;
    let labels = object.strings("labels").map_err(unbound)?.unwrap_or_default();
    let external_id = object.string("externalId").map_err(unbound)?.into_owned();

    let mut validation = Validation::of("CreateWalletRequest.WalletModel");
    validation.check("Labels", "max", labels.len() <= LABELS_MAX);
    validation.check_text("ExternalID", &external_id, NAME_CHARACTERS_MAX);
    validation.finish()?;
    check_no_nul(&external_id)?;
    let json = serde_json::to_string(&labels).expect("texts are JSON");
    ledger::Labels::new(labels)?;
    Ok(NewWallet { id: None, external_id: Some(external_id), name: None, labels: json })
}

/// What moves the money of a new transaction: into the wallet, or out of it if the amount is negative.
fn new_transaction(text: &str, wallet: WalletId, currency: CurrencyCode) -> Result<Request, No> {
    let object = Object::parse_first("CreateTransactionRequest", text).map_err(unbound)?;
    let amount = object.amount("amount", "float64").map_err(unbound)?;
    let amount = signed(amount.as_deref().unwrap_or("0")).map_err(|rejection| match rejection {
        Rejection::AmountInvalid => unbound(object.no_number("amount", "float64")),
        other => other.into(),
    })?;
    let description = object.string("description").map_err(unbound)?.into_owned();
    let labels = object.strings("labels").map_err(unbound)?.unwrap_or_default();
    let fingerprint = object.string("fingerprint").map_err(unbound)?;

    let mut validation = Validation::of("CreateTransactionRequest.TransactionModel");
    validation.check("Amount", "required", amount.is_some());
    validation.check_text("Description", &description, DESCRIPTION_CHARACTERS_MAX);
    validation.check("Labels", "max", labels.len() <= LABELS_MAX);
    validation.check_text("Fingerprint", &fingerprint, NAME_CHARACTERS_MAX);
    validation.finish()?;
    let (direction, amount) = amount.expect("it is required");
    if amount.value() < Decimal::ONE {
        return Err(No::bad_request("amount should not be between -1.0 and 1.0"));
    }
    check_no_nul(&description)?;
    check_no_nul(&fingerprint)?;
    let details = Details::new(ledger::Labels::new(labels)?, Some(description), None, None)?;
    let reference = Some(reference_of(&fingerprint)?);
    let terms = Terms { details: Some(Arc::new(details)), reference, ..Terms::default() };
    let money = Money { amount, currency };
    Ok(match direction {
        Direction::In => Request::Invoice { wallet, money, terms },
        Direction::Out => Request::Withdraw { wallet, money, terms },
    })
}

/// Where the money goes: the sign of its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Zero is `None`: to Go it is the same as no amount.
fn signed(text: &str) -> Result<Option<(Direction, Amount)>, Rejection> {
    let (direction, magnitude) = match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(['-', '+']) => return Err(Rejection::AmountInvalid),
        Some(rest) => (Direction::Out, rest),
        None => (Direction::In, text),
    };
    match Amount::parse(magnitude) {
        Ok(amount) => Ok(Some((direction, amount))),
        Err(Rejection::AmountNotPositive) => Ok(None),
        Err(other) => Err(other),
    }
}

/// What echo (4.5) says of a body that it cannot bind: an error of its own, with Go's inside it.
fn unbound(reason: Reason) -> No {
    // A type by itself is named with its package.
    let internal = reason.replace("Go value of type ", "Go value of type api.");
    let message = match &reason.sort {
        Sort::Syntax { offset } => format!("Syntax error: offset={offset}, error={internal}"),
        Sort::Type { expected, got, field, offset } => {
            let package = if field.is_empty() { "api." } else { "" };
            format!("Unmarshal type error: expected={package}{expected}, got={got}, field={field}, offset={offset}")
        }
        Sort::Other => internal.clone(),
    };
    No::bad_request(format!("code=400, message={message}, internal={internal}"))
}

fn check_no_nul(text: &str) -> Result<(), No> {
    if text.contains('\0') { Err(No::bad_request(NO_NUL)) } else { Ok(()) }
}

fn query(request: &HttpRequest) -> Result<Parameters, No> {
    if request.query_string().contains("%00") {
        return Err(No::bad_request(NO_NUL));
    }
    Ok(Parameters::of(request)?)
}

/// Every `label.k=v` as a JSON object; `None` if there are none.
fn labels_sought(query: &mut Parameters) -> Option<String> {
    let labels = query.take_all(LABEL);
    (!labels.is_empty()).then(|| serde_json::to_string(&labels).expect("texts are JSON"))
}

/// How many items, and after which one; nothing else may be left in the query.
fn page<T>(
    context: &Context,
    mut query: Parameters,
    read: fn(&str) -> Result<T, Reason>,
) -> Result<(i64, Option<T>), No> {
    let most = i64::from(context.state.settings.http.page_items_max);
    let limit = query.take_number("limit", most)?.unwrap_or(LIMIT_DEFAULT.min(most));
    let after = query.take("after");
    query.finish()?;
    Ok((limit, after.map(|text| read(&text)).transpose()?))
}

/// Carries out what moves money, and shows the line that it left in the wallet's history. Of a replay the line is looked for: it was
/// written earlier.
async fn move_money(context: &Context, request: &HttpRequest, movement: Request) -> Result<HttpResponse, No> {
    let idempotency_key = extract::idempotency_key(request.headers())?;
    let wallet = movement.wallet();
    let operation = Operation { id: wire::new_id(), idempotency_key, request: movement };
    let outcome = submit::submit(context, operation).await?;
    let Answer::Transaction(transaction) = outcome.result.map_err(|refused| refused.rejection)? else {
        unreachable!("a movement of money was asked for");
    };
    if let Some(line) = outcome.line {
        return Ok(done(&Line::of(&transaction, &line)));
    }
    let found = lines::find(context.state.store.read_pool(), &[line_of_replay(wallet, &transaction)]).await;
    let mut rows = found.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a line of a wallet's history could not be read");
        let text = "the transaction is done, but its balances cannot be read now; look for it by its fingerprint";
        No::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })?;
    let row = rows.pop().ok_or_else(|| {
        tracing::error!("a transaction that moved money left no line in its wallet's history");
        Words::failed()
    })?;
    Ok(done(&Line::from(row)))
}

fn line_of_replay(wallet: WalletId, transaction: &Transaction) -> LineSought {
    let money = transaction.money.expect("what moves money says how much");
    LineSought {
        wallet_id: wallet.0,
        currency: money.currency.as_str().to_owned(),
        transaction_id: transaction.id.0,
        written_at: transaction.created_at.0,
    }
}

/// The line that a transaction left: with the wallet that was asked for, else with the one in whose queue it stood. A transfer that waited left none
/// with its receiver: that one's line is the confirmation's.
fn line_found(row: TransactionRow, wallet_id: Option<i64>) -> Option<LineSought> {
    if row.confirmed.is_some() && wallet_id.is_some_and(|wallet| wallet != row.wallet_id) {
        return None;
    }
    // One that waited for funds left its line when it was paid; a hold, which knows how much of it was confirmed, when it was made.
    let paid_at = row.finished_at.filter(|_| row.confirmed.is_none());
    Some(LineSought {
        wallet_id: wallet_id.unwrap_or(row.wallet_id),
        currency: row.currency?,
        transaction_id: row.id,
        written_at: paid_at.unwrap_or(row.created_at),
    })
}

/// The one of its amounts.
fn currency(context: &Context) -> CurrencyCode {
    let code = &context.state.settings.dialects.wallet.currency;
    CurrencyCode::new(code).expect("the settings were checked to hold a currency's code")
}

fn reference_of(fingerprint: &str) -> Result<Reference, Rejection> {
    Reference::new(&format!("{FINGERPRINT}{fingerprint}"))
}

/// A name that was given elsewhere is no fingerprint.
fn fingerprint_of(reference: Option<&str>) -> String {
    reference.and_then(|reference| reference.strip_prefix(FINGERPRINT)).unwrap_or_default().to_owned()
}

/// A wallet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wallet {
    id: i64,
    labels: Option<Labels>,
    external_id: String,
    created: String,
}

/// A wallet's transaction: a line of its history.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    refno: i64,
    amount: Box<RawValue>,
    description: String,
    labels: Option<Labels>,
    fingerprint: String,
    created: String,
    oldbalance: Box<RawValue>,
    newbalance: Box<RawValue>,
    /// The wallet, where it could be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    wid: Option<i64>,
}

/// Names to values; where there are none they are `null`.
type Labels = BTreeMap<String, String>;

impl From<WalletRow> for Wallet {
    fn from(row: WalletRow) -> Self {
        Self {
            id: row.id,
            labels: labels_kept(Some(&row.labels)),
            // Empty where the wallet was made by someone who gave it none.
            external_id: row.external_id.unwrap_or_default(),
            created: go::time_to_millisecond(row.created_at),
        }
    }
}

impl Line {
    /// Of a transaction that was written now.
    fn of(transaction: &Transaction, line: &ledger::Line) -> Self {
        let more = transaction.more();
        let details = more.details.as_deref();
        let labels = details.map(|details| details.labels().iter()).into_iter().flatten();
        let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            id: transaction.id.to_string(),
            refno: line.seq,
            amount: number(line.delta, 1),
            description: details.and_then(|details| details.description()).unwrap_or_default().to_owned(),
            labels: (!labels.is_empty()).then_some(labels),
            fingerprint: fingerprint_of(more.reference.as_ref().map(Reference::as_str)),
            created: go::time_to_millisecond(transaction.created_at.0),
            oldbalance: number(line.available - line.delta, 1),
            newbalance: number(line.available, 1),
            wid: None,
        }
    }
}

impl From<LineRow> for Line {
    fn from(row: LineRow) -> Self {
        Self {
            id: row.transaction_id.to_string(),
            refno: row.seq,
            amount: number(row.available_delta, 1),
            description: row.description.unwrap_or_default(),
            labels: labels_kept(row.labels.as_deref()),
            fingerprint: fingerprint_of(row.reference.as_deref()),
            created: go::time_to_millisecond(row.created_at),
            oldbalance: number(row.available - row.available_delta, 1),
            newbalance: number(row.available, 1),
            wid: None,
        }
    }
}

fn labels_kept(json: Option<&str>) -> Option<Labels> {
    serde_json::from_str(json?).ok().filter(|labels: &Labels| !labels.is_empty())
}

/// What was asked for.
fn done(document: &impl Serialize) -> HttpResponse {
    json(StatusCode::OK, document)
}

/// A JSON document as its framework writes one: with its own content type, and a line end.
fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "application/json; charset=UTF-8"));
    response.body(go::render(document) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let read = match signed(text) {
            Ok(Some((direction, amount))) => format!("{direction:?} {amount}"),
            Ok(None) => "nothing".to_owned(),
            Err(rejection) => rejection.code().to_owned(),
        };
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn an_amount_has_a_sign() {
        check("10.50", "In 10.5");
        check("+3", "In 3");
        check("-5.0", "Out 5");
        check("-1e2", "Out 100");
        for zero in ["0", "-0", "0.00", "-0e5"] {
            check(zero, "nothing");
        }
        for bad in ["", "-", "--5", "-+5", "+-5", "ten", "NaN"] {
            check(bad, "amount_invalid");
        }
        check("-1e400", "amount_too_large");
    }
}
