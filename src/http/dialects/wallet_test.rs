//! System 003: `/accounts`, `/account/{id}`, `/payments`.
//!
//! An account is a wallet, seen in one currency. Its name is the wallet's external id, because that is what no two wallets share; its currency stands
//! in the wallet's labels, because a wallet that holds nothing has no balance that would say it. A payment is a transfer in the buyer's currency.
//!
//! A no of that system is `{"Error":"..."}`. What it could not even read was answered by its transport, in plain text with status 500. An
//! `Idempotency-Key` header makes a request safe to repeat.

use std::collections::{BTreeMap, HashMap};

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError, rt};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Dialect;
use crate::http::dictionary::{self, Dictionary, Said};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::moments::Reading;
use crate::http::pages::{self, PAGE_ITEMS, Page};
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{
    Amount, Answer, CurrencyCode, IdempotencyKey, Kind, Money, Operation, Rejection, Request, Status, Terms, Timestamp,
    WalletId,
};
use crate::store::accounts::{self, AccountRow};
use crate::store::currencies;
use crate::store::directory::{self, NewWallet, WalletFilter, WalletRow};
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};
use crate::wire::{self, go};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.wallet_test.enabled,
    endpoints: &[
        Endpoint::get("/accounts", || web::to(list_accounts)),
        // Its ordinary clients make accounts.
        Endpoint::new("POST", "/accounts", Scope::Write, || web::to(create_account)),
        Endpoint::get("/account/{id}", || web::to(find_account)),
        Endpoint::get("/payments", || web::to(list_payments)),
        Endpoint::new("POST", "/payments", Scope::Write, || web::to(make_payment)),
        // What is left around them, after all others: the first that fits serves.
        nothing_at("/account"),
        nothing_at("/account/"),
        nothing_at("/account/{id}/{rest:.*}"),
        nothing_at("/accounts/{rest:.*}"),
        nothing_at("/payments/{rest:.*}"),
    ],
    refuse: |_, _, unserved| refuse(unserved),
    start_at_zero: |_| {},
};

/// The label of a wallet that holds the code of the currency that its account is in.
const CURRENCY_LABEL: &str = "currency";
/// The label that holds what the account is to open with, if that is more than nothing.
const OPENING_AMOUNT_LABEL: &str = "opening_amount";
/// The label that tells the `Idempotency-Key` that the account was asked for with from others: a digest, as labels are shown to everybody.
const OPENING_KEY_LABEL: &str = "opening_key";
/// The idempotency key of the credit that opens an account: a wallet has at most one.
const OPENING_KEY: &str = "wallet-test:opening";
/// Longest name, in characters: a wallet's external id has no more.
const NAME_CHARACTERS_MAX: usize = 255;

const NAME_TAKEN: &str = r#"pq: duplicate key value violates unique constraint "accounts_name_key""#;
const AMOUNT_NEGATIVE: &str =
    r#"pq: new row for relation "accounts" violates check constraint "accounts_balance_check""#;
const CURRENCY_UNKNOWN: &str =
    r#"pq: insert or update on table "accounts" violates foreign key constraint "accounts_currency_id_fkey""#;
const ACCOUNT_UNKNOWN: &str = "Account not found";
const ACCOUNT_ID_UNREADABLE: &str = "bad request";
const CURRENCIES_DIFFER: &str = "Payment allowed only when account currencies match";
/// Of its router, with its line end.
const PATH_UNKNOWN: &str = "404 page not found\n";
/// A statement that waited too long was rolled back, so this is no guess.
const BUSY: &str = "the database took too long; nothing was made, ask again later";
/// When asking again has a chance where the database was busy.
const BUSY_SECONDS: u32 = 1;

#[derive(Debug)]
struct Words;

type No = dictionary::No<Words>;

impl Dictionary for Words {
    fn write(said: &Said) -> HttpResponse {
        // What its transport could not read. A failure of ours has the same status, and is an error like all others.
        if said.status == StatusCode::INTERNAL_SERVER_ERROR && *said != Self::failed() {
            return HttpResponse::InternalServerError()
                .content_type(ContentType::plaintext())
                .body(said.text.to_string());
        }
        let mut response = json(said.status, &json!({ "Error": said.text }));
        if *said == Self::too_slow() {
            response.headers_mut().insert(RETRY_AFTER, BUSY_SECONDS.into());
        }
        response
    }

    fn rejected(rejection: Rejection) -> Said {
        Said::bad_request(match rejection {
            Rejection::SameWallet => "Could not make payment to self".into(),
            Rejection::AmountNotPositive => "Amount should be positive".into(),
            Rejection::WalletUnknown => "sql: no rows in result set".into(),
            Rejection::InsufficientFunds => "Buyer account does not have sufficient balance".into(),
            // That system has no word for it.
            other => other.to_string(),
        })
    }

    fn too_slow() -> Said {
        Said::new(StatusCode::SERVICE_UNAVAILABLE, BUSY)
    }
}

/// What that system's transport could not read, in the words of Go, where a type by itself is named with its package.
fn unreadable(reason: impl Into<String>) -> No {
    let reason = reason.into().replace("Go value of type ", "Go value of type main.");
    No::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

/// What HTTP itself refuses. Its router says nothing of a wrong method, and a line of text of an unknown path; the rest it did not have.
fn refuse(unserved: Unserved) -> HttpResponse {
    match unserved {
        Unserved::MethodNotAllowed => HttpResponse::MethodNotAllowed().finish(),
        Unserved::RouteUnknown => HttpResponse::NotFound()
            .content_type(ContentType::plaintext())
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(PATH_UNKNOWN),
        other => No::from(other).error_response(),
    }
}

const fn nothing_at(path: &'static str) -> Endpoint {
    Endpoint::any(path, || web::to(async || refuse(Unserved::RouteUnknown)))
}

/// An account. The number and the name of its currency are 0 and empty as long as it has none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Account<'a> {
    #[serde(rename = "ID")]
    id: i64,
    name: &'a str,
    #[serde(rename = "CurrencyID")]
    currency_id: i16,
    currency_name: &'a str,
    amount: String,
}

/// A payment. In the list it names its currency, too.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payment<'a> {
    #[serde(rename = "ID")]
    id: i64,
    #[serde(rename = "CurrencyID")]
    currency_id: i16,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency_name: Option<&'a str>,
    amount: String,
    #[serde(rename = "BuyerAccountID")]
    buyer_account_id: i64,
    #[serde(rename = "SellerAccountID")]
    seller_account_id: i64,
    operation_timestamp: String,
}

async fn list_accounts(context: Data<Context>) -> Result<HttpResponse, No> {
    let read = async move |after: Option<i64>| {
        let pool = context.state.store.read_pool();
        let rows = accounts::list(pool, CURRENCY_LABEL, after.unwrap_or_default(), PAGE_ITEMS as i64).await?;
        Ok(Page::of(&rows, |row| go::render(&Account::from(row)), |row| row.id))
    };
    list("Accounts", read).await
}

async fn create_account(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let body = body(&context, &request, payload).await?;
    let key = extract::idempotency_key(request.headers())?;
    // A task of its own: a caller that goes away must not end it half way.
    let opened = rt::spawn(async move { open_account(&context, &body, key).await }).await;
    opened.map_err(|error| No::failed(&error))?
}

async fn find_account(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let id: i64 = id.parse().map_err(|_| unreadable(ACCOUNT_ID_UNREADABLE))?;
    let row = accounts::find(context.state.store.read_pool(), CURRENCY_LABEL, id).await?;
    let row = row.ok_or(No::new(StatusCode::NOT_FOUND, ACCOUNT_UNKNOWN))?;
    Ok(json(StatusCode::OK, &Account::from(&row)))
}

/// Every transfer that succeeded, whoever asked for it, in the order of their timestamps.
async fn list_payments(context: Data<Context>) -> Result<HttpResponse, No> {
    let read = async move |reading: Option<Reading<String>>| payments(&context, reading.unwrap_or_default()).await;
    list("Payments", read).await
}

async fn make_payment(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let body = body(&context, &request, payload).await?;
    let (buyer, seller, amount) = read("makePaymentRequest", &body, |object| {
        let (buyer, seller) = (object.integer("BuyerAccountID", "int64")?, object.integer("SellerAccountID", "int64")?);
        Ok((WalletId(buyer), WalletId(seller), amount(object)?))
    })?;
    let idempotency_key = extract::idempotency_key(request.headers())?;
    let (money, currency_id) = price(&context, buyer, seller, amount).await?;
    let transfer = Request::Transfer { wallet: buyer, to_wallet: seller, money, terms: Terms::default() };
    let operation = Operation { id: wire::new_id(), idempotency_key, request: transfer };
    let answer = submit::submit(&context, operation).await?.result.map_err(|refused| refused.rejection)?;
    let Answer::Transaction(made) = answer else { unreachable!("a transfer is answered with its transaction") };
    let payment = Payment {
        id: number(made.id.0),
        currency_id,
        currency_name: None,
        amount: money.amount.to_string(),
        buyer_account_id: buyer.0,
        seller_account_id: seller.0,
        operation_timestamp: made.created_at.to_string(),
    };
    Ok(json(StatusCode::OK, &payment))
}

/// An account that can be.
#[derive(Debug)]
struct Opening {
    name: String,
    currency: CurrencyCode,
    amount: Option<Amount>,
    /// Of the key that it was asked for with.
    key_digest: Option<String>,
}

impl Opening {
    /// What the wallet says of it.
    fn labels(&self) -> BTreeMap<&'static str, String> {
        let amount = self.amount.map(|amount| (OPENING_AMOUNT_LABEL, amount.to_string()));
        let key = self.key_digest.clone().map(|key| (OPENING_KEY_LABEL, key));
        [(CURRENCY_LABEL, self.currency.to_string())].into_iter().chain(amount).chain(key).collect()
    }

    /// Whether the wallet was made for one like this.
    fn is_of(&self, wallet: &WalletRow) -> bool {
        let (labels, own) = (labels_of(wallet), self.labels());
        [CURRENCY_LABEL, OPENING_AMOUNT_LABEL].iter().all(|label| labels.get(*label) == own.get(label))
    }

    /// Whether the wallet was made for this one, under the same key.
    fn is_asked_again(&self, wallet: &WalletRow) -> bool {
        self.key_digest.is_some() && labels_of(wallet).get(OPENING_KEY_LABEL) == self.key_digest.as_ref()
    }
}

/// Makes the wallet, then credits what it opens with; answers after both.
///
/// Where a crash or an outage came between the two, nobody was answered, and the same request again finds its own wallet, gives the credit that is
/// missing and is answered as the first time: whoever's credit it is that opens the account has made it. So two of the same request at once make one
/// account with one credit, and one of them is told that the name is taken.
async fn open_account(context: &Context, body: &Bytes, key: Option<IdempotencyKey>) -> Result<HttpResponse, No> {
    let opening = opening(context, body, key).await?;
    let wallet = NewWallet {
        id: None,
        external_id: Some(opening.name.clone()),
        name: Some(opening.name.clone()),
        labels: serde_json::to_string(&opening.labels()).expect("text is JSON"),
    };
    let (wallet, is_new) = match directory::insert(context.state.store.read_pool(), &wallet).await {
        Ok(row) => (row, true),
        Err(error) if error.constraint() == Some("wallets_external_id_key") => {
            let row = find_by_name(context, &opening.name).await?;
            (row.filter(|row| opening.is_of(row)).ok_or(No::conflict(NAME_TAKEN))?, false)
        }
        Err(error) => return Err(error.into()),
    };
    let has_opened = match opening.amount {
        Some(amount) => credit(context, wallet.id, Money { amount, currency: opening.currency }).await?,
        None => is_new,
    };
    if has_opened || opening.is_asked_again(&wallet) {
        return Ok(json(StatusCode::OK, &json!({})));
    }
    Err(No::conflict(NAME_TAKEN))
}

/// What is asked for, checked as the old system's database does, in its order: amount, name, currency; and for what Purser's wallets and currencies
/// can hold.
///
/// Whether the amount has too many decimals is the ledger's to say of the credit; it is asked here as well, before there is a wallet without one.
async fn opening(context: &Context, body: &Bytes, key: Option<IdempotencyKey>) -> Result<Opening, No> {
    let (name, currency_number, amount) = read("createAccountRequest", body, |object| {
        Ok((object.string("Name")?.into_owned(), object.integer("CurrencyID", "int64")?, amount(object)?))
    })?;
    let amount = amount.map_err(|rejection| match rejection {
        Rejection::AmountNotPositive => No::bad_request(AMOUNT_NEGATIVE),
        other => other.into(),
    })?;
    if !(1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) || name.contains('\0') {
        return Err(No::bad_request(format!(
            "Name should have 1 to {NAME_CHARACTERS_MAX} characters and no NUL among them"
        )));
    }
    let rows = currencies::list_rows(context.state.store.read_pool(), None).await?;
    let row = rows.iter().find(|row| i64::from(row.number) == currency_number);
    let Some((row, currency)) = row.and_then(|row| Some((row, CurrencyCode::new(&row.code)?))) else {
        return Err(match find_by_name(context, &name).await? {
            Some(_) => No::conflict(NAME_TAKEN),
            None => No::bad_request(CURRENCY_UNKNOWN),
        });
    };
    if amount.is_some_and(|amount| i64::from(amount.scale()) > i64::from(row.scale)) {
        return Err(Rejection::TooManyDecimals.into());
    }
    let key_digest = key.map(|key| digest(&name, key.as_str()));
    Ok(Opening { name, currency, amount, key_digest })
}

async fn find_by_name(context: &Context, name: &str) -> Result<Option<WalletRow>, No> {
    let filter = WalletFilter { external_id: Some(name.to_owned()), ..WalletFilter::default() };
    let rows = directory::list(context.state.store.read_pool(), &filter, None, Order::Ascending, 1).await?;
    Ok(rows.into_iter().next())
}

/// Gives an account what it opens with, once. Says whether it was this credit that did: another request's may have come before.
async fn credit(context: &Context, wallet: i64, money: Money) -> Result<bool, No> {
    let id = wire::new_id();
    let idempotency_key = IdempotencyKey::new(OPENING_KEY).expect("it is short and printable");
    let request = Request::Invoice { wallet: WalletId(wallet), money, terms: Terms::default() };
    let operation = Operation { id, idempotency_key: Some(idempotency_key), request };
    let answer = submit::submit(context, operation).await?.result.map_err(|refused| refused.rejection)?;
    let Answer::Transaction(credit) = answer else { unreachable!("an invoice is answered with its transaction") };
    Ok(credit.id == id)
}

/// With the name in it, so that equal keys do not show either.
fn digest(name: &str, key: &str) -> String {
    // Neither holds a NUL.
    let digest = Sha256::digest(format!("{OPENING_KEY}\0{name}\0{key}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn labels_of(wallet: &WalletRow) -> BTreeMap<String, String> {
    serde_json::from_str(&wallet.labels).unwrap_or_default()
}

/// What a payment is to move, and the number of its currency; or that system's no, in the order in which it asks: self, positive, both accounts,
/// balance, currency.
///
/// Whether money moves is the ledger's to say, of a transfer in the buyer's currency. It knows of no wallet's only currency, so that the two accounts'
/// match is asked here. A currency that an account has never changes; one that has none yet gets the buyer's before the payment, under its wallet's
/// lock, so that of two buyers with different currencies one pays. That takes a buyer who has enough: who cannot pay gives nobody a currency.
async fn price(
    context: &Context,
    buyer: WalletId,
    seller: WalletId,
    amount: Result<Option<Amount>, Rejection>,
) -> Result<(Money, i16), No> {
    if buyer == seller {
        return Err(Rejection::SameWallet.into());
    }
    let amount = amount?.ok_or(Rejection::AmountNotPositive)?;
    let pool = context.state.store.read_pool();
    let accounts = accounts::find_two(pool, CURRENCY_LABEL, [buyer.0, seller.0]).await?;
    let [Some(paying), Some(paid)] = accounts else { return Err(Rejection::WalletUnknown.into()) };
    let currency = paying.currency.as_deref().and_then(CurrencyCode::new);
    // Without a currency there is no balance in one.
    let (Some(currency), Some(number)) = (currency, paying.currency_number) else {
        return Err(Rejection::InsufficientFunds.into());
    };
    if paid.currency != paying.currency {
        if paying.available < amount.value() {
            return Err(Rejection::InsufficientFunds.into());
        }
        let settled = match paid.currency {
            None => accounts::settle_currency(pool, CURRENCY_LABEL, seller.0, currency.as_str()).await?,
            other => other,
        };
        if settled != paying.currency {
            return Err(No::bad_request(CURRENCIES_DIFFER));
        }
    }
    Ok((Money { amount, currency }, number))
}

/// The next payments, as far as their order is known.
async fn payments(context: &Context, mut reading: Reading<String>) -> Result<Page<Reading<String>>, No> {
    let pool = context.state.store.read_pool();
    let filter = TransactionFilter {
        kind: Some(Kind::Transfer.as_str()),
        status: Some(Status::Success.as_str()),
        ..TransactionFilter::default()
    };
    loop {
        let after = After::Time(reading.after());
        let transfers = history::list(pool, &filter, after, Order::Ascending, PAGE_ITEMS as i64).await?;
        // After them: so it has the currency of each.
        let currencies = currencies::list_rows(pool, None).await?;
        let numbers: HashMap<String, i16> = currencies.into_iter().map(|row| (row.code, row.number)).collect();
        for row in &transfers {
            reading.add(row.created_at, row.id, go::render(&Payment::of(row, &numbers)));
        }
        if transfers.len() < PAGE_ITEMS {
            return Ok(Page::last(reading.take_all()));
        }
        let items = reading.take();
        if !items.is_empty() {
            return Ok(Page::before(items, reading));
        }
    }
}

impl<'a> From<&'a AccountRow> for Account<'a> {
    fn from(row: &'a AccountRow) -> Self {
        Self {
            id: row.id,
            name: &row.name,
            currency_id: row.currency_number.unwrap_or_default(),
            currency_name: row.currency.as_deref().unwrap_or_default(),
            amount: row.available.normalize().to_string(),
        }
    }
}

impl<'a> Payment<'a> {
    fn of(row: &'a TransactionRow, numbers: &HashMap<String, i16>) -> Self {
        let code = row.currency.as_deref().unwrap_or_default();
        // Of one that was set aside first, what was paid in the end.
        let amount = row.confirmed.or(row.amount).unwrap_or_default();
        Self {
            id: number(row.id),
            currency_id: numbers.get(code).copied().unwrap_or_default(),
            currency_name: Some(code),
            amount: amount.normalize().to_string(),
            buyer_account_id: row.wallet_id,
            seller_account_id: row.to_wallet_id.unwrap_or_default(),
            operation_timestamp: Timestamp(row.created_at).to_string(),
        }
    }
}

/// The moment from which the numbers of payments count: 2019-01-01, the year of that system. Milliseconds since 1970.
const NUMBERS_BEGIN_MS: u64 = 1_546_300_800_000;
/// Of a payment's number, the bits that tell payments of one millisecond apart.
const COUNTER_BITS: u32 = 22;
/// The bits before them, which hold the millisecond: they last until 2088.
const MILLISECOND_BITS: u32 = 41;
/// How far up the counter stands in a UUIDv7: below it are 32 random bits.
const COUNTER_SHIFT: u32 = 32;
/// The same of the milliseconds since 1970.
const MILLISECOND_SHIFT: u32 = 80;

/// A transaction's id as a number of 63 bits, which is what that system's ids are: the millisecond of its receipt, then the end of the counter that an
/// instance counts up within one. So numbers of one instance differ, those of several nearly always, and they grow with time.
fn number(id: Uuid) -> i64 {
    let low = |bits: u128, count: u32| (bits & ((1 << count) - 1)) as u64;
    let milliseconds = low(id.as_u128() >> MILLISECOND_SHIFT, 48).saturating_sub(NUMBERS_BEGIN_MS);
    let milliseconds = low(milliseconds.into(), MILLISECOND_BITS);
    (milliseconds << COUNTER_BITS | low(id.as_u128() >> COUNTER_SHIFT, COUNTER_BITS)).cast_signed()
}

async fn body(context: &Context, request: &HttpRequest, payload: Payload) -> Result<Bytes, No> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    Ok(extract::body(request, payload, bytes_max, context.gate.time_max()).await?)
}

/// Reads the first JSON object of a body: what comes after it is not looked at. Bytes that are no text are read as U+FFFD.
fn read<T>(
    go_struct: &'static str,
    body: &[u8],
    fields: impl FnOnce(&go::Object<'_>) -> Result<T, String>,
) -> Result<T, No> {
    let text = String::from_utf8_lossy(body);
    let object = go::Object::parse_first(go_struct, &text).map_err(String::from);
    object.and_then(|object| fields(&object)).map_err(unreadable)
}

/// The amount that is asked for: `None` is zero, and so is its absence. The inner error is a number that can be no amount.
fn amount(object: &go::Object<'_>) -> Result<Result<Option<Amount>, Rejection>, String> {
    let Some(text) = object.amount("Amount", "decimal.Decimal")? else { return Ok(Ok(None)) };
    match Amount::parse(&text) {
        Err(Rejection::AmountInvalid) => {
            Err(format!("Error decoding string '{text}': can't convert {text} to decimal"))
        }
        Err(Rejection::AmountNotPositive) if is_zero(&text) => Ok(Ok(None)),
        read => Ok(read.map(Some)),
    }
}

fn is_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    !mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

/// `{"NAME":[...]}`, or `{}` where there is nothing to list, which is how that system writes an empty list.
async fn list<K: 'static>(
    name: &str,
    read: impl AsyncFn(Option<K>) -> Result<Page<K>, No> + 'static,
) -> Result<HttpResponse, No> {
    let listed = pages::respond(format!("{{\"{name}\":["), "]}\n", read).await?;
    Ok(listed.unwrap_or_else(|| json(StatusCode::OK, &json!({}))))
}

/// A JSON document as Go's encoder writes it: with a line end.
fn json(status: StatusCode, document: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::json()).body(go::render(document) + "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use actix_web::http::header::CONTENT_TYPE;

    use super::*;

    fn check(body: &str, expected: Result<Result<&str, Rejection>, &str>) {
        let read = read("Request", body.as_bytes(), amount).map_err(|no| no.to_string());
        let text = |amount: Option<Amount>| amount.map_or("nothing".to_owned(), |amount| amount.to_string());
        let expected = expected.map(|amount| amount.map(str::to_owned)).map_err(str::to_owned);
        assert_eq!(read.map(|amount| amount.map(text)), expected, "{body}");
    }

    #[test]
    fn an_amount_is_a_number_or_a_string() {
        check(r#"{"Amount":"500.10"}"#, Ok(Ok("500.1")));
        check(r#"{"amount":0.00000001} and what comes after it"#, Ok(Ok("0.00000001")));
        for zero in [r#"{}"#, r#"{"Amount":null}"#, r#"{"Amount":0}"#, r#"{"Amount":"-0.00"}"#, r#"{"Amount":0e5}"#] {
            check(zero, Ok(Ok("nothing")));
        }
        check(r#"{"Amount":"-0.01"}"#, Ok(Err(Rejection::AmountNotPositive)));
        check(r#"{"Amount":1e40}"#, Ok(Err(Rejection::AmountTooLarge)));
    }

    #[test]
    fn what_cannot_be_read_is_said_in_the_words_of_go() {
        check("", Err("EOF"));
        check(r#"{"Amount":"#, Err("unexpected EOF"));
        check("[]", Err("json: cannot unmarshal array into Go value of type main.Request"));
        check(r#"{"Amount":"ten"}"#, Err("Error decoding string 'ten': can't convert ten to decimal"));
        let no_number = "json: cannot unmarshal bool into Go struct field Request.Amount of type decimal.Decimal";
        check(r#"{"Amount":true}"#, Err(no_number));
    }

    #[test]
    fn a_failure_is_json_and_what_cannot_be_read_is_not() {
        let check = |no: No, status: u16, content_type: &str, retry_after: Option<&[u8]>| {
            let response = no.error_response();
            let header = |name| response.headers().get(name).map(|value| value.as_bytes());
            assert_eq!((response.status().as_u16(), header(RETRY_AFTER)), (status, retry_after), "{no}");
            assert_eq!(header(CONTENT_TYPE), Some(content_type.as_bytes()), "{no}");
        };
        check(unreadable("EOF"), 500, "text/plain; charset=utf-8", None);
        check(Words::failed().into(), 500, "application/json", None);
        check(Words::too_slow().into(), 503, "application/json", Some(b"1"));
        check(Unserved::Stopping.into(), 503, "application/json", Some(b"5"));
    }

    #[test]
    fn payments_of_one_instance_have_different_numbers() {
        let numbers: HashSet<i64> = (0..100_000).map(|_| number(wire::new_id().0)).collect();
        assert_eq!(numbers.len(), 100_000);
        assert!(numbers.iter().all(|number| *number > 0));
    }

    #[test]
    fn later_payments_have_greater_numbers() {
        let at = |milliseconds: u64, byte| {
            number(uuid::Builder::from_unix_timestamp_millis(milliseconds, &[byte; 10]).into_uuid())
        };
        assert!(at(1_800_000_000_000, 0xff) < at(1_800_000_000_001, 0));
        assert!(at(1_800_000_000_001, 0) < at(3_700_000_000_000, 0));
        // Ids of before the counting began, and of after its end, are no negative numbers.
        assert!(at(0, 0xff) >= 0 && at((1 << 48) - 1, 0xff) >= 0);
    }
}
