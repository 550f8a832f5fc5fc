//! System 003's payments: transfers in the buyer's currency.

use std::borrow::Cow;
use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::accounts;
use super::list::{self, PAGE_ITEMS, Page};
use super::order::Reading;
use super::words::{self, No, Unfit};
use crate::http::extract;
use crate::http::server::Context;
use crate::http::submit;
use crate::ledger::{
    Amount, Answer, CurrencyCode, Kind, Money, Operation, Rejection, Request, Status, Terms, Timestamp, Transaction,
    WalletId,
};
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};
use crate::store::{accounts as rows, currencies};
use crate::wire::{self, go};

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

/// What a client asks.
#[derive(Debug)]
struct Asked {
    buyer: WalletId,
    seller: WalletId,
    amount: Result<Amount, Unfit>,
}

/// POST `/payments`
pub async fn make(context: Data<Context>, request: HttpRequest, payload: Payload) -> HttpResponse {
    words::answer(try_make(&context, &request, payload).await)
}

/// GET `/payments`
pub async fn list(context: Data<Context>) -> HttpResponse {
    let read = move |after| {
        let context = context.clone();
        async move { page(&context, after).await }
    };
    words::answer(list::respond("Payments", read).await)
}

async fn try_make(context: &Context, request: &HttpRequest, payload: Payload) -> Result<HttpResponse, No> {
    let bytes_max = context.state.settings.http.body_bytes_max;
    let body = extract::body(request, payload, bytes_max, context.gate.time_max()).await?;
    let asked = words::read("makePaymentRequest", &body, |object| {
        Ok(Asked {
            buyer: WalletId(object.integer("BuyerAccountID", "int64")?),
            seller: WalletId(object.integer("SellerAccountID", "int64")?),
            amount: words::amount(object, "Amount")?,
        })
    })?;
    let idempotency_key = extract::idempotency_key(request.headers())?;
    let (money, currency_number) = translate(context, &asked).await?;
    let transfer = Request::Transfer { wallet: asked.buyer, to_wallet: asked.seller, money, terms: Terms::default() };
    let operation = Operation { id: wire::new_id(), idempotency_key, request: transfer };
    match submit::submit(context, operation).await?.result {
        Ok(Answer::Transaction(made)) => {
            Ok(words::json(StatusCode::OK, &Payment::of_transaction(&made, &asked, money, currency_number)))
        }
        Ok(other) => unreachable!("a transfer is answered with its transaction, not with {other:?}"),
        Err(refusal) => Err(refused(refusal.rejection)),
    }
}

/// What the transfer is to move, and the number of its currency; or that system's no, in the order in which it asks: self, positive, both accounts,
/// balance, currency.
///
/// Whether money moves is the ledger's to say, of a transfer in the buyer's currency. It knows of no wallet's only currency, so that the two accounts'
/// match is asked here. A currency that an account has never changes; one that has none yet gets the buyer's before the payment, under its wallet's
/// lock, so that of two buyers with different currencies one pays. That takes a buyer who has enough: who cannot pay gives nobody a currency.
async fn translate(context: &Context, asked: &Asked) -> Result<(Money, i16), No> {
    if asked.buyer == asked.seller {
        return Err(refused(Rejection::SameWallet));
    }
    let amount = asked.amount.map_err(|unfit| match unfit {
        Unfit::Zero | Unfit::Negative => refused(Rejection::AmountNotPositive),
        Unfit::Rejected(rejection) => refused(rejection),
    })?;
    let pool = context.state.store.read_pool();
    let [buyer, seller] = rows::find_two(pool, accounts::CURRENCY_LABEL, [asked.buyer.0, asked.seller.0]).await?;
    let (Some(buyer), Some(seller)) = (buyer, seller) else { return Err(refused(Rejection::WalletUnknown)) };
    let currency = buyer.currency.as_deref().and_then(CurrencyCode::new);
    // Without a currency there is no balance in one.
    let (Some(currency), Some(number)) = (currency, buyer.currency_number) else {
        return Err(refused(Rejection::InsufficientFunds));
    };
    if seller.currency != buyer.currency {
        if buyer.available < amount.value() {
            return Err(refused(Rejection::InsufficientFunds));
        }
        let settled = match seller.currency {
            None => rows::settle_currency(pool, accounts::CURRENCY_LABEL, asked.seller.0, currency.as_str()).await?,
            other => other,
        };
        if settled != buyer.currency {
            return Err(No::bad_request("Payment allowed only when account currencies match"));
        }
    }
    Ok((Money { amount, currency }, number))
}

/// The ledger's no in that system's words, where it has any.
fn refused(rejection: Rejection) -> No {
    No::bad_request(match rejection {
        Rejection::SameWallet => "Could not make payment to self".into(),
        Rejection::AmountNotPositive => "Amount should be positive".into(),
        Rejection::WalletUnknown => "sql: no rows in result set".into(),
        Rejection::InsufficientFunds => "Buyer account does not have sufficient balance".into(),
        other => Cow::from(other.to_string()),
    })
}

/// The next payments in the order of their timestamps: every transfer that succeeded, whoever asked for it.
async fn page(context: &Context, reading: Option<Reading>) -> Result<Page<Reading>, No> {
    let pool = context.state.store.read_pool();
    let filter = TransactionFilter {
        kind: Some(Kind::Transfer.as_str()),
        status: Some(Status::Success.as_str()),
        ..TransactionFilter::default()
    };
    let mut reading = reading.unwrap_or_default();
    loop {
        let after = After::Time(reading.after());
        let transfers = history::list(pool, &filter, after, Order::Ascending, PAGE_ITEMS as i64).await?;
        // After them: so it has the currency of each.
        let currencies = currencies::list_rows(pool, None).await?;
        let numbers: HashMap<String, i16> = currencies.into_iter().map(|row| (row.code, row.number)).collect();
        for row in &transfers {
            reading.add(row.created_at, row.id, go::render(&Payment::of_row(row, &numbers)));
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

impl<'a> Payment<'a> {
    fn of_transaction(made: &Transaction, asked: &Asked, money: Money, currency_id: i16) -> Self {
        Self {
            id: number(made.id.0),
            currency_id,
            currency_name: None,
            amount: money.amount.to_string(),
            buyer_account_id: asked.buyer.0,
            seller_account_id: asked.seller.0,
            operation_timestamp: made.created_at.to_string(),
        }
    }

    fn of_row(row: &'a TransactionRow, numbers: &HashMap<String, i16>) -> Self {
        let code = row.currency.as_deref().unwrap_or_default();
        // Of one that was set aside first, what was paid in the end.
        let amount: Decimal = row.confirmed.or(row.amount).unwrap_or_default();
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

/// A transaction's id as a number of 63 bits, which is what that system's ids are: the millisecond of its receipt, then the end of the counter that an
/// instance counts up within one. So numbers of one instance differ, those of several nearly always, and they grow with time.
fn number(id: Uuid) -> i64 {
    let low = |bits: u128, count: u32| (bits & ((1 << count) - 1)) as u64;
    let milliseconds = low(id.as_u128() >> MILLISECOND_SHIFT, 48).saturating_sub(NUMBERS_BEGIN_MS);
    let milliseconds = low(milliseconds.into(), MILLISECOND_BITS);
    (milliseconds << COUNTER_BITS | low(id.as_u128() >> COUNTER_SHIFT, COUNTER_BITS)).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

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
