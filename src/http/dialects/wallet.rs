//! System 002: `/wallets` and what lies below it, and what its author still wanted to do: voids, lists and searches.
//!
//! Its amounts are of one currency, the setting `dialects.wallet.currency`. What it shows as a wallet's transaction is a line of the wallet's
//! history in that currency: `refno` is the line's number, old and new balance are what could be spent before and after it. So lines of other
//! dialects count, too: `refno` has no gap, each old balance is the new one of the line before, and where nothing could be spent before or
//! after (a hold that is confirmed), the amount is 0.0. Its fingerprint is a reference, unique over all wallets, and free again only if the
//! operation was refused.

mod asked;
mod given;
mod search;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use time::OffsetDateTime;

use super::{Dialect, number};
use crate::http::endpoint::{Endpoint, Scope};
use crate::http::error::Unserved;
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{
    Answer, CurrencyCode, Details, Labels, Money, Operation, Reference, Request, Terms, Transaction, TransactionId,
    WalletId,
};
use crate::store::directory::{self, NewWallet};
use crate::store::history;
use crate::store::lines::{self, LineSought};
use crate::wire;
use asked::Direction;
use given::{Line, No, Wallet};

/// What the server needs to know of it.
pub const DIALECT: Dialect = Dialect {
    is_enabled: |settings| settings.wallet.enabled,
    endpoints: &[
        Endpoint::get("/wallets", || web::to(search::wallets)),
        // Its clients make their wallets themselves.
        Endpoint::new("POST", "/wallets", Scope::Write, || web::to(create_wallet)),
        Endpoint::get("/wallets/{id}", || web::to(get_wallet)),
        Endpoint::get("/wallets/{id}/balance", || web::to(get_balance)),
        Endpoint::get("/wallets/{id}/transactions", || web::to(search::lines)),
        Endpoint::new("POST", "/wallets/{id}/transactions", Scope::Write, || web::to(create_transaction)),
        Endpoint::get("/wallets/{id}/transactions/latest", || web::to(get_latest)),
        Endpoint::new("POST", "/wallets/{id}/transactions/{transaction}/void", Scope::Write, || web::to(void)),
        Endpoint::get("/transactions", || web::to(search::transactions)),
        // What is left below them, after all others: the first that fits serves.
        nothing_at("GET", NO_WALLET),
        nothing_at("POST", NO_WALLET),
        nothing_at("PATCH", NO_WALLET),
        nothing_at("DELETE", NO_WALLET),
        nothing_at("GET", BELOW_WALLET),
        nothing_at("POST", BELOW_WALLET),
        nothing_at("PATCH", BELOW_WALLET),
        nothing_at("DELETE", BELOW_WALLET),
    ],
    refuse: |_, path, unserved| No::Unserved(served_at(path, unserved)).error_response(),
    start_at_zero: |_| {},
};
/// A wallet's path without its id.
const NO_WALLET: &str = "/wallets/";
/// What is below a wallet, whatever it is.
const BELOW_WALLET: &str = "/wallets/{id}/{rest:.*}";
/// What a fingerprint is called among the references of all dialects.
const FINGERPRINT: &str = "wallet:fingerprint:";

/// That nothing is served there is said in its words.
const fn nothing_at(method: &'static str, path: &'static str) -> Endpoint {
    Endpoint::new(method, path, Scope::Read, || {
        web::to(async || Err::<HttpResponse, No>(Unserved::RouteUnknown.into()))
    })
}

/// Where nothing is served no method is the wrong one.
fn served_at(path: &str, unserved: Unserved) -> Unserved {
    let is_nothing = [NO_WALLET, BELOW_WALLET].contains(&path);
    if is_nothing && unserved == Unserved::MethodNotAllowed { Unserved::RouteUnknown } else { unserved }
}

async fn create_wallet(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let asked = asked::wallet(&asked::body(&context, &request, payload).await?)?;
    let labels = Labels::new(asked.labels)?;
    let labels = serde_json::to_string(&labels.iter().collect::<BTreeMap<_, _>>());
    let labels = labels.expect("texts are JSON");
    let wallet = NewWallet { id: None, external_id: Some(asked.external_id), name: None, labels };
    let row = directory::insert(context.state.store.read_pool(), &wallet).await.map_err(|error| {
        match error.constraint() {
            Some("wallets_external_id_key") => No::WALLET_EXISTS,
            _ => error.into(),
        }
    })?;
    Ok(given::done(&Wallet::from(row)))
}

async fn get_wallet(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let row = directory::find(context.state.store.read_pool(), asked::integer(&id)?).await?;
    Ok(given::done(&Wallet::from(row.ok_or(No::WALLET_UNKNOWN)?)))
}

/// In the wallet's line, so it sees every operation that was accepted before it.
async fn get_balance(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let request = Request::Balance { wallet: WalletId(asked::integer(&id)?) };
    let operation = Operation { id: wire::new_id(), idempotency_key: None, request };
    let outcome = submit::submit(&context, operation).await?;
    let Answer::Balances(balances) = outcome.result.map_err(|refused| refused.rejection)? else {
        unreachable!("a balance was asked for");
    };
    let currency = currency(&context);
    let of_currency = balances.iter().find(|line| line.currency == currency);
    let available = of_currency.map(|line| line.balance.available).unwrap_or_default();
    Ok(given::done(&number(available, 1)))
}

async fn create_transaction(
    context: Data<Context>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, No> {
    let wallet = WalletId(asked::integer(&id)?);
    let asked = asked::transaction(&asked::body(&context, &request, payload).await?)?;
    let money = Money { amount: asked.amount, currency: currency(&context) };
    let details = Details::new(Labels::new(asked.labels)?, Some(asked.description), None, None)?;
    let reference = Some(Reference::new(&format!("{FINGERPRINT}{}", asked.fingerprint))?);
    let terms = Terms { details: Some(Arc::new(details)), reference, ..Terms::default() };
    let request_of_it = match asked.direction {
        Direction::In => Request::Invoice { wallet, money, terms },
        Direction::Out => Request::Withdraw { wallet, money, terms },
    };
    move_money(&context, &request, wallet, request_of_it).await
}

/// A wallet's newest line.
async fn get_latest(context: Data<Context>, id: Path<String>) -> Result<HttpResponse, No> {
    let wallet = asked::integer(&id)?;
    let rows = lines::list(context.state.store.read_pool(), wallet, currency(&context).as_str(), None, 1).await?;
    let row = rows.into_iter().next().ok_or(No::TRANSACTION_UNKNOWN)?;
    Ok(given::done(&Line::from(row)))
}

/// Undoes all that is left of a transaction, by a new one. Its fingerprint stays used.
async fn void(context: Data<Context>, request: HttpRequest, path: Path<(String, String)>) -> Result<HttpResponse, No> {
    let wallet = WalletId(asked::integer(&path.0)?);
    let original = TransactionId(asked::transaction_id(&path.1)?);
    // What is in another currency is not there, neither here nor in the lists.
    let row = history::find(context.state.store.read_pool(), original.0).await?;
    if let Some(row) = row {
        if row.currency.is_some_and(|code| code != currency(&context).as_str()) {
            return Err(No::TRANSACTION_UNKNOWN);
        }
        // It is in the payer's lists, too; but the money is with whoever received it.
        if row.wallet_id == wallet.0 && row.to_wallet_id.is_some_and(|receiver| receiver != wallet.0) {
            return Err(No::bad("a transfer can be void only by the wallet that received it"));
        }
    }
    let reversal = Request::Reverse { wallet, original, amount: None };
    move_money(&context, &request, wallet, reversal).await.map_err(No::of_void)
}

/// Carries out what moves money, and shows the line that it left in the wallet's history. Of a replay the line is looked for: it was
/// written earlier.
async fn move_money(
    context: &Context,
    request: &HttpRequest,
    wallet: WalletId,
    asked: Request,
) -> Result<HttpResponse, No> {
    let idempotency_key = extract::idempotency_key(request.headers())?;
    let operation = Operation { id: wire::new_id(), idempotency_key, request: asked };
    let outcome = submit::submit(context, operation).await?;
    let Answer::Transaction(transaction) = outcome.result.map_err(|refused| refused.rejection)? else {
        unreachable!("a movement of money was asked for");
    };
    if let Some(line) = outcome.line {
        return Ok(given::done(&Line::of(&transaction, &line)));
    }
    let sought = sought_line(wallet, &transaction);
    let found = lines::find(context.state.store.read_pool(), &[sought]).await;
    let mut rows = found.map_err(|error| No::done_but_unread(&error))?;
    let row = rows.pop().ok_or_else(No::line_missing)?;
    Ok(given::done(&Line::from(row)))
}

fn sought_line(wallet: WalletId, transaction: &Transaction) -> LineSought {
    let money = transaction.money.expect("what moves money says how much");
    let written_at: OffsetDateTime = transaction.created_at.0;
    let currency = money.currency.as_str().to_owned();
    LineSought { wallet_id: wallet.0, currency, transaction_id: transaction.id.0, written_at }
}

/// The one of its amounts.
fn currency(context: &Context) -> CurrencyCode {
    let code = &context.state.settings.dialects.wallet.currency;
    CurrencyCode::new(code).expect("the settings were checked to hold a currency's code")
}
