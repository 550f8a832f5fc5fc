//! Reserves: money that waits for an order to be purchased, and goes back if it is not.
//!
//! An order is reserved once over all users for as long as its reserve lives or is purchased: its number is the withdrawal's reference.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Refused, body, fields, fixed, id, key, money, number, ok, submit, users};
use crate::http::server::Context;
use crate::ledger::{
    self, Amount, Cause, CurrencyCode, Details, IdempotencyKey, Labels, Lifetime, Mode, Money, Reference, Rejection,
    Request, Rest, ServiceId, Status, Terms, TransactionId, WalletId,
};
use crate::store::history::{self, TransactionRow};
use crate::store::{references, services, statements};
use crate::wire::go::Object;

/// What PostgreSQL said there of an order that is reserved already.
const ORDER_TAKEN: &str = r#"ERROR: duplicate key value violates unique constraint "reserves_pkey" (SQLSTATE 23505)"#;
/// What PostgreSQL's driver said there where nothing was found.
const NO_ROWS: &str = "no rows in result set";

/// What all of them name.
#[derive(Clone, Copy, Debug)]
struct Asked {
    user: i64,
    service: i64,
    order: i64,
}

#[derive(Serialize)]
struct Reserve {
    order_id: i64,
    user: User,
    service: Service,
    amount: Box<RawValue>,
    purchased: bool,
    reserved_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purchased_at: Option<String>,
}

#[derive(Serialize)]
struct User {
    id: i64,
    /// In hundredths, unlike every other amount: that is what clients of this document know.
    balance: Box<RawValue>,
}

#[derive(Serialize)]
struct Service {
    id: i64,
    name: String,
}

/// POST `/api/reserve`.
pub async fn reserve(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let object = fields(&text)?;
    let (asked, money) = (Asked::of(&object)?, money(&context, &object)?);
    let seconds = i64::try_from(context.state.settings.dialects.balance.reserve_seconds);
    let lifetime = Lifetime::from_seconds(seconds.unwrap_or(i64::MAX))?;
    let details = Details::new(Labels::default(), None, Some(ServiceId(asked.service)), Some(asked.order.to_string()))?;
    let terms = Terms {
        mode: Mode::Pending { expires_in: Some(lifetime) },
        details: Some(Arc::new(details)),
        reference: Some(asked.reference()?),
    };
    let hold = Request::Withdraw { wallet: WalletId(asked.user), money, terms };
    match submit(&context, hold, key(&request)?).await?.result {
        Ok(_) => Ok(ok()),
        Err(refused) => Err(asked.not_reserved(&context, &refused, money).await?),
    }
}

/// GET `/api/reserve`. The order alone says which; the user and the service that are shown are those that are asked for.
pub async fn find(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let asked = Asked::of(&fields(&text)?)?;
    let none = || Refused::because(format!("db: get reserve: money were not reserved for order {}", asked.order));
    let row = named(&context, &asked.reference()?).await?.ok_or_else(none)?;
    let available = users::available(&context, asked.user).await?.ok_or_else(|| Refused::because(NO_ROWS))?;
    let service = services::find(context.state.store.read_pool(), asked.service).await?;
    let service = service.ok_or_else(|| Refused::because(NO_ROWS))?;
    Ok(HttpResponse::Ok().json(Reserve {
        order_id: asked.order,
        user: User { id: asked.user, balance: hundredths(available) },
        service: Service { id: service.id, name: service.name },
        amount: number(row.amount.unwrap_or_default(), 0),
        purchased: is_purchased(&row),
        reserved_at: moment(row.created_at),
        purchased_at: row.finished_at.map(moment),
    }))
}

/// DELETE `/api/reserve`. What was reserved goes back, whatever amount is named; of what was purchased, nothing.
pub async fn unreserve(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let object = fields(&text)?;
    let asked = Asked::of(&object)?;
    // Not compared, but it must be a number.
    amount(&object)?;
    let key = key(&request)?;
    let row = asked.find(&context, key.as_ref()).await?.ok_or_else(|| Refused::because(NO_ROWS))?;
    let (wallet, original) = (WalletId(asked.user), TransactionId(row.id));
    match submit(&context, Request::Cancel { wallet, original, cause: Cause::Requested }, key).await?.result {
        Ok(_) => Ok(ok()),
        Err(refused) if refused.rejection == Rejection::TransactionFinal => match again(&context, row.id).await? {
            Some(row) if is_purchased(&row) => Ok(ok()),
            _ => Err(Refused::because(NO_ROWS)),
        },
        Err(refused) => Err(refused.rejection.into()),
    }
}

/// POST `/api/purchase`.
pub async fn purchase(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let object = fields(&text)?;
    let (asked, got, key) = (Asked::of(&object)?, amount(&object)?, key(&request)?);
    let row = asked.find(&context, key.as_ref()).await?.ok_or_else(|| asked.not_purchasable())?;
    let stored = row.amount.unwrap_or_default();
    if got != stored {
        return Err(wrong_amount(stored, got));
    }
    let (wallet, original) = (WalletId(asked.user), TransactionId(row.id));
    let confirm = Request::Confirm { wallet, original, amount: Some(Amount::new(got)?), rest: Rest::Released };
    match submit(&context, confirm, key).await?.result {
        Ok(_) => Ok(ok()),
        Err(refused) => Err(match refused.rejection {
            Rejection::TransactionFinal => match again(&context, row.id).await? {
                Some(row) if is_purchased(&row) => Refused::because("db: purchase: the purchase has already happened"),
                _ => asked.not_purchasable(),
            },
            // Someone else confirmed a part of it.
            Rejection::AmountExceedsUnconfirmed => wrong_amount(stored - row.confirmed.unwrap_or_default(), got),
            rejection => rejection.into(),
        }),
    }
}

impl Asked {
    fn of(object: &Object<'_>) -> Result<Self, Refused> {
        let [user, service, order] = ["user_id", "service_id", "order_id"].map(|name| id(object, name));
        Ok(Self { user: user?, service: service?, order: order? })
    }

    fn reference(self) -> Result<Reference, Refused> {
        Ok(Reference::new(&format!("balance:order:{}", self.order))?)
    }

    /// The reserve of this order, for this service, of this user.
    ///
    /// A request that comes again under its key is about the reserve that it was about: the order may name another one by now, or none.
    async fn find(self, context: &Context, key: Option<&IdempotencyKey>) -> Result<Option<TransactionRow>, Refused> {
        let row = match self.find_by_key(context, key).await? {
            Some(row) if !self.is_of(&row) => return Err(Rejection::IdempotencyKeyReused.into()),
            Some(row) => Some(row),
            None => named(context, &self.reference()?).await?,
        };
        Ok(row.filter(|row| self.is_of(row)))
    }

    async fn find_by_key(
        self,
        context: &Context,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<TransactionRow>, Refused> {
        let Some(key) = key else { return Ok(None) };
        let pool = context.state.store.read_pool();
        let row = history::find_by_key(pool, self.user, key.as_str()).await?;
        Ok(match row.and_then(|row| row.original_id) {
            Some(id) => history::find(pool, id).await?,
            None => None,
        })
    }

    fn is_of(self, row: &TransactionRow) -> bool {
        let order = self.order.to_string();
        (row.wallet_id, row.service_id, row.order_id.as_deref()) == (self.user, Some(self.service), Some(&*order))
    }

    /// That system looks at the balance before it looks for the service; the core, the other way round.
    async fn not_reserved(
        self,
        context: &Context,
        refused: &ledger::Refused,
        money: Money,
    ) -> Result<Refused, Refused> {
        let needed = money.amount.value();
        Ok(match refused.rejection {
            Rejection::WalletUnknown => users::unknown(self.user),
            Rejection::ReferenceTaken => Refused::because(ORDER_TAKEN),
            rejection @ (Rejection::InsufficientFunds | Rejection::ServiceUnknown) => {
                let had = self.had(context, refused, money.currency).await?;
                if rejection == Rejection::ServiceUnknown && had >= needed {
                    return Ok(Refused::because(format!("db: reserve: no such service with id {}", self.service)));
                }
                let text =
                    format!("db: reserve: the user {} doesn't have enough money, needed: {}", self.user, fixed(needed));
                // Operations of one batch have one moment: what came behind the refusal in the same one must not contradict it.
                let has = (had < needed).then(|| format!(", user has: {}", fixed(had)));
                Refused::because(text + &has.unwrap_or_default())
            }
            other => other.into(),
        })
    }

    /// What the user had when it was refused, which for a request that comes again under its key may be long ago.
    async fn had(
        self,
        context: &Context,
        refused: &ledger::Refused,
        currency: CurrencyCode,
    ) -> Result<Decimal, Refused> {
        let Some(recorded) = &refused.transaction else {
            return Ok(users::available(context, self.user).await?.unwrap_or_default());
        };
        let balances = statements::balances_at(context.state.store.read_pool(), self.user, recorded.created_at.0);
        let balances = balances.await?;
        let balance = balances.iter().find(|balance| balance.currency == currency.as_str());
        Ok(balance.map_or(Decimal::ZERO, |balance| balance.available))
    }

    /// The numbers stand in the order in which that system prints them.
    fn not_purchasable(self) -> Refused {
        let Self { user, service, order } = self;
        Refused::because(format!(
            "db: get purchase: money were not reserved for order {user}, user {service} and service {order}"
        ))
    }
}

/// An amount that is compared, not moved: that system has none that it refuses to compare.
fn amount(object: &Object<'_>) -> Result<Decimal, Refused> {
    let Some(text) = object.amount("amount", "float32")? else { return Ok(Decimal::ZERO) };
    match Amount::parse(&text) {
        Ok(amount) => Ok(amount.value()),
        Err(rejection) => Decimal::from_str_exact(&text).map_err(|_| rejection.into()),
    }
}

fn wrong_amount(stored: Decimal, got: Decimal) -> Refused {
    let (stored, got) = (fixed(stored), fixed(got));
    Refused::because(format!("db: purchase: wrong purchase amount, stored in reserve: {stored}, got: {got}"))
}

/// As a JSON number. Of the largest balances it has more digits than a decimal takes.
fn hundredths(value: Decimal) -> Box<RawValue> {
    let mut value = value.normalize();
    if value.is_zero() || value.scale() >= 2 {
        value.set_scale(value.scale().saturating_sub(2)).expect("a smaller scale is one");
        return number(value, 0);
    }
    let zeros = "0".repeat(2 - value.scale() as usize);
    RawValue::from_string(format!("{}{zeros}", value.mantissa())).expect("digits are a JSON number")
}

/// The reserve that a reference names.
async fn named(context: &Context, reference: &Reference) -> Result<Option<TransactionRow>, Refused> {
    let row = match references::find(context.state.store.read_pool(), reference).await? {
        Some(id) => again(context, id).await?,
        None => None,
    };
    // It may have ended between the two.
    Ok(row.filter(|row| row.status != Status::Error.as_str()))
}

async fn again(context: &Context, id: Uuid) -> Result<Option<TransactionRow>, Refused> {
    Ok(history::find(context.state.store.read_pool(), id).await?)
}

fn is_purchased(row: &TransactionRow) -> bool {
    row.status == Status::Success.as_str()
}

/// RFC 3339, in UTC.
pub fn moment(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_of_every_balance_are_exact() {
        for (value, json) in [
            ("0", "0"),
            ("0.00", "0"),
            ("5", "500"),
            ("69.5", "6950"),
            ("0.07", "7"),
            ("0.005", "0.5"),
            ("100", "10000"),
            ("9999999999999999999999999999", "999999999999999999999999999900"),
        ] {
            assert_eq!(hundredths(Decimal::from_str_exact(value).unwrap()).get(), json);
        }
    }
}
