//! Users: their balance, their credits, and the end of one that nothing ever happened to.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Refused, body, check_chosen, currency, fields, id, key, money, number, ok, submit};
use crate::http::server::Context;
use crate::ledger::{Answer, Money, Rejection, Request, Standing, Terms, WalletId};
use crate::store::currencies;
use crate::store::directory::{self, NewWallet};
use crate::store::history::{self, After, Order, TransactionFilter};

/// What PostgreSQL said there of a user that has operations.
const REFERENCED: &str = r#"ERROR: update or delete on table "users" violates foreign key constraint "fk_operations_user" on table "operations" (SQLSTATE 23503)"#;

#[derive(Serialize)]
struct Balance {
    balance: Box<RawValue>,
}

/// GET `/api`.
pub async fn balance(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let user = id(&fields(&text)?, "id")?;
    let available = available(&context, user).await?.ok_or_else(|| unknown(user))?;
    Ok(HttpResponse::Ok().json(Balance { balance: number(available, 0) }))
}

/// POST `/api`. The first credit makes the user; of two that are the first at once, one does, and both are credited.
pub async fn credit(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let asked = fields(&text)?;
    let (user, money, key) = (id(&asked, "id")?, money(&context, &asked)?, key(&request)?);
    let invoice = Request::Invoice { wallet: WalletId(user), money, terms: Terms::default() };
    let mut outcome = submit(&context, invoice.clone(), key.clone()).await?;
    if outcome.result.as_ref().is_err_and(|refused| refused.rejection == Rejection::WalletUnknown) {
        make(&context, user, money).await?;
        outcome = submit(&context, invoice, key).await?;
    }
    match outcome.result {
        Ok(_) => Ok(ok()),
        Err(refused) => Err(refused.rejection.into()),
    }
}

/// DELETE `/api/users`. That system keeps a user with operations, and every user that was made through it has one.
pub async fn delete(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let user = id(&fields(&text)?, "id")?;
    let unknown = || Refused::because(format!("db: delete user: no such user with id {user}"));
    let pool = context.state.store.read_pool();
    let wallet = directory::find(pool, user).await?.ok_or_else(unknown)?;
    let filter = TransactionFilter { wallet_id: Some(user), ..TransactionFilter::default() };
    if !history::list(pool, &filter, After::Time(None), Order::Descending, 1).await?.is_empty() {
        return Err(Refused::because(REFERENCED));
    }
    if wallet.closed_at.is_some() {
        return Err(unknown());
    }
    let close = Request::Stand { wallet: WalletId(user), standing: Standing::Closed };
    match submit(&context, close, key(&request)?).await?.result {
        Ok(_) => Ok(ok()),
        // Something happened to it after all.
        Err(refused) if refused.rejection == Rejection::WalletNotEmpty => Err(Refused::because(REFERENCED)),
        Err(refused) => Err(refused.rejection.into()),
    }
}

/// What a user can spend; `None` when there is no such user, or no more.
pub async fn available(context: &Context, user: i64) -> Result<Option<Decimal>, Refused> {
    let lines = match submit(context, Request::Balance { wallet: WalletId(user) }, None).await?.result {
        Ok(Answer::Balances(lines)) => lines,
        Ok(_) => unreachable!("a balance gives balances"),
        Err(refused) if refused.rejection == Rejection::WalletUnknown => return Ok(None),
        Err(refused) => return Err(refused.rejection.into()),
    };
    let currency = currency(context)?;
    let line = lines.iter().find(|line| line.currency == currency);
    // Only a wallet that never held anything can have been deleted as a user.
    if lines.is_empty() {
        let wallet = directory::find(context.state.store.read_pool(), user).await?;
        return Ok(wallet.filter(|wallet| wallet.closed_at.is_none()).map(|_| Decimal::ZERO));
    }
    Ok(Some(line.map_or(Decimal::ZERO, |line| line.balance.available)))
}

/// In the words for the balance, too.
pub fn unknown(user: i64) -> Refused {
    Refused::because(format!("db: reserve: no such user with id {user}"))
}

/// Makes a user for a credit, unless the credit would be refused anyway. That someone else just made it is as good.
async fn make(context: &Context, user: i64, money: Money) -> Result<(), Refused> {
    check_chosen(context, user, "user")?;
    let pool = context.state.store.read_pool();
    currencies::find(pool, money.currency).await?.ok_or(Rejection::CurrencyUnknown)?.takes(money.amount)?;
    let wallet = NewWallet { id: Some(user), labels: "{}".to_owned(), ..NewWallet::default() };
    match directory::insert(pool, &wallet).await {
        Err(error) if error.constraint() == Some("wallets_pkey") => Ok(()),
        result => Ok(result.map(drop)?),
    }
}
