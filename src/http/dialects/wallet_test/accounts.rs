//! System 003's accounts: wallets, each seen in one currency.
//!
//! An account's name is its wallet's external id, because that is what no two wallets share. Its currency stands in its wallet's labels, because a
//! wallet that holds nothing has no balance that would say it.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use serde::Serialize;
use serde_json::Map;
use sha2::{Digest, Sha256};

use super::list::{self, PAGE_ITEMS, Page};
use super::words::{self, No, Unfit};
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{
    Amount, Answer, CurrencyCode, IdempotencyKey, Money, Operation, Rejection, Request, Terms, WalletId,
};
use crate::store::accounts::{self, AccountRow};
use crate::store::currencies::{self, CurrencyRow};
use crate::store::directory::{self, NewWallet, WalletFilter, WalletRow};
use crate::store::history::Order;
use crate::wire::{self, go};

/// The label of a wallet that holds the code of the currency that its account is in.
pub const CURRENCY_LABEL: &str = "currency";
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

/// What a client asks.
#[derive(Debug)]
struct Asked {
    name: String,
    currency_number: i64,
    amount: Result<Amount, Unfit>,
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

/// GET `/accounts`
pub async fn list(context: Data<Context>) -> HttpResponse {
    let read = move |after: Option<i64>| {
        let pool = context.state.store.read_pool().clone();
        async move {
            let rows = accounts::list(&pool, CURRENCY_LABEL, after.unwrap_or_default(), PAGE_ITEMS as i64).await?;
            Ok(Page::of(&rows, |row| go::render(&Account::from(row)), |row| row.id))
        }
    };
    words::answer(list::respond("Accounts", read).await)
}

/// GET `/account/{id}`
pub async fn find(context: Data<Context>, id: Path<String>) -> HttpResponse {
    words::answer(try_find(&context, &id).await)
}

async fn try_find(context: &Context, id: &str) -> Result<HttpResponse, No> {
    let id: i64 = id.parse().map_err(|_| No::Unreadable("bad request".into()))?;
    let row = accounts::find(context.state.store.read_pool(), CURRENCY_LABEL, id).await?;
    let row = row.ok_or(No::Said(StatusCode::NOT_FOUND, "Account not found".into()))?;
    Ok(words::json(StatusCode::OK, &Account::from(&row)))
}

/// POST `/accounts`
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = match extract::body(&request, payload, bytes_max, context.gate.time_max()).await {
        Ok(body) => body,
        Err(unserved) => return words::refuse(unserved),
    };
    let key = match extract::idempotency_key(request.headers()) {
        Ok(key) => key.map(|key| key.as_str().to_owned()),
        Err(refusal) => return words::answer(Err(refusal.into())),
    };
    // A task of its own: a caller that goes away must not end it half way.
    let created = rt::spawn(async move { try_create(&context, body, key).await }).await;
    words::answer(created.unwrap_or_else(|_| {
        Err(No::Said(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why".into()))
    }))
}

/// Makes the wallet, then credits what it opens with; answers after both.
///
/// Where a crash or an outage came between the two, nobody was answered, and the same request again finds its own wallet, gives the credit that is
/// missing and is answered as the first time: whoever's credit it is that opens the account has made it. So two of the same request at once make one
/// account with one credit, and one of them is told that the name is taken.
async fn try_create(context: &Context, body: Bytes, key: Option<String>) -> Result<HttpResponse, No> {
    let asked = words::read("createAccountRequest", &body, |object| {
        Ok(Asked {
            name: object.string("Name")?.into_owned(),
            currency_number: object.integer("CurrencyID", "int64")?,
            amount: words::amount(object, "Amount")?,
        })
    })?;
    let opening = check(context, asked, key).await?;
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
        return Ok(words::json(StatusCode::OK, &Map::new()));
    }
    Err(No::conflict(NAME_TAKEN))
}

/// What the old system's database checks, in its order: amount, name, currency; and what Purser's wallets and currencies can hold.
///
/// Whether the amount has too many decimals is the ledger's to say of the credit; it is asked here as well, before there is a wallet without one.
async fn check(context: &Context, asked: Asked, key: Option<String>) -> Result<Opening, No> {
    let amount = match asked.amount {
        Ok(amount) => Some(amount),
        Err(Unfit::Zero) => None,
        Err(Unfit::Negative) => return Err(No::bad_request(AMOUNT_NEGATIVE)),
        Err(Unfit::Rejected(rejection)) => return Err(No::bad_request(rejection.to_string())),
    };
    if !(1..=NAME_CHARACTERS_MAX).contains(&asked.name.chars().count()) || asked.name.contains('\0') {
        return Err(No::bad_request(format!(
            "Name should have 1 to {NAME_CHARACTERS_MAX} characters and no NUL among them"
        )));
    }
    let rows = currencies::list_rows(context.state.store.read_pool(), None).await?;
    let currency = rows.iter().find(|row| i64::from(row.number) == asked.currency_number);
    let Some((CurrencyRow { scale, .. }, code)) = currency.and_then(|row| Some((row, CurrencyCode::new(&row.code)?)))
    else {
        return Err(match find_by_name(context, &asked.name).await? {
            Some(_) => No::conflict(NAME_TAKEN),
            None => No::bad_request(CURRENCY_UNKNOWN),
        });
    };
    if amount.is_some_and(|amount| i64::from(amount.scale()) > i64::from(*scale)) {
        return Err(No::bad_request(Rejection::TooManyDecimals.to_string()));
    }
    let key_digest = key.map(|key| digest(&asked.name, &key));
    Ok(Opening { name: asked.name, currency: code, amount, key_digest })
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
    match submit::submit(context, operation).await?.result {
        Ok(Answer::Transaction(credit)) => Ok(credit.id == id),
        Ok(other) => unreachable!("an invoice is answered with its transaction, not with {other:?}"),
        Err(refusal) => Err(No::bad_request(refusal.rejection.to_string())),
    }
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

/// With the name in it, so that equal keys do not show either.
fn digest(name: &str, key: &str) -> String {
    // Neither holds a NUL.
    let digest = Sha256::digest(format!("{OPENING_KEY}\0{name}\0{key}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn labels_of(wallet: &WalletRow) -> BTreeMap<String, String> {
    serde_json::from_str(&wallet.labels).unwrap_or_default()
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
