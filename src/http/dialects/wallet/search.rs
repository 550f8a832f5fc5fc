//! What system 002's author still wanted: a wallet by its external id, wallets and transactions by label, a transaction by its fingerprint, a
//! wallet's transactions. Each is a list, the newest first (wallets: by id), cut off at `limit`; `after` is the id or `refno` where the page before ended.

use std::collections::BTreeMap;

use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::asked::{self, NO_NUL};
use super::given::{self, Line, LineOfWallet, No, Wallet};
use super::{FINGERPRINT, currency};
use crate::http::server::Context;
use crate::ledger::{Reference, Status};
use crate::store::directory::{self, WalletFilter};
use crate::store::history::{self, After, Order, TransactionFilter, TransactionRow};
use crate::store::lines::{self, LineSought};
use crate::store::references;

/// Items on a page unless said otherwise.
const LIMIT_DEFAULT: i64 = 50;
/// What the names of label filters start with: `label.k=v`.
const LABEL: &str = "label.";

/// Wallets by external id or labels: `?externalId=`, `?label.k=v`.
pub async fn wallets(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, No> {
    let mut query = Query::of(&request)?;
    let filter = WalletFilter { external_id: query.take("externalId"), labels: query.labels(), status: None };
    let (limit, after) = (query.limit(&context)?, query.take("after"));
    query.finish()?;
    let after = after.map(|id| asked::integer(&id)).transpose()?;
    let rows = directory::list(context.state.store.read_pool(), &filter, after, Order::Ascending, limit).await?;
    Ok(given::done(&rows.into_iter().map(Wallet::from).collect::<Vec<_>>()))
}

/// A wallet's transactions.
pub async fn lines(context: Data<Context>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, No> {
    let wallet = asked::integer(&id)?;
    let mut query = Query::of(&request)?;
    let (limit, after) = (query.limit(&context)?, query.take("after"));
    query.finish()?;
    let after = after.map(|refno| asked::integer(&refno)).transpose()?;
    let pool = context.state.store.read_pool();
    directory::find(pool, wallet).await?.ok_or(No::WALLET_UNKNOWN)?;
    let rows = lines::list(pool, wallet, currency(&context).as_str(), after, limit).await?;
    Ok(given::done(&rows.into_iter().map(Line::from).collect::<Vec<_>>()))
}

/// Finished transactions by fingerprint or labels, of all wallets or one: `?fingerprint=`, `?label.k=v`, `?wid=`.
pub async fn transactions(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, No> {
    let mut query = Query::of(&request)?;
    let fingerprint = query.take("fingerprint");
    let labels = query.labels();
    let wallet_id = query.take("wid").map(|id| asked::integer(&id)).transpose()?;
    let (limit, after) = (query.limit(&context)?, query.take("after"));
    query.finish()?;
    let after = after.map(|id| asked::transaction_id(&id)).transpose()?;
    let pool = context.state.store.read_pool();
    let rows = match (fingerprint, labels) {
        (Some(fingerprint), None) => {
            // One that is longer than any can be is nobody's.
            let found = match Reference::new(&format!("{FINGERPRINT}{fingerprint}")) {
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
        _ => return Err(No::bad("either fingerprint or label.NAME is required")),
    };
    let is_of_wallet =
        |row: &TransactionRow| wallet_id.is_none_or(|id| [Some(row.wallet_id), row.to_wallet_id].contains(&Some(id)));
    let sought: Vec<_> = rows.into_iter().filter(is_of_wallet).filter_map(|row| sought_line(row, wallet_id)).collect();
    let found = lines::find(pool, &sought).await?;
    Ok(given::done(&found.into_iter().map(LineOfWallet::from).collect::<Vec<_>>()))
}

/// The line that a transaction left: with the wallet that was asked for, else with the one in whose queue it stood. A transfer that waited left none
/// with its receiver: that one's line is the confirmation's.
fn sought_line(row: TransactionRow, wallet_id: Option<i64>) -> Option<LineSought> {
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

/// The query's parameters. One that is misspelt must not quietly find everything, so each must be known.
struct Query(BTreeMap<String, String>);

impl Query {
    /// Of a parameter that is given twice the first counts, as in Go.
    fn of(request: &HttpRequest) -> Result<Self, No> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs = pairs.map_err(|_| No::bad("the query cannot be read"))?.into_inner();
        if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(No::bad(NO_NUL));
        }
        Ok(Self(pairs.into_iter().rev().collect()))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Every `label.k=v` as a JSON object; `None` if there are none.
    fn labels(&mut self) -> Option<String> {
        let (labels, rest): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.0).into_iter().partition(|(name, _)| name.starts_with(LABEL));
        self.0 = rest;
        let labels: BTreeMap<&str, &String> =
            labels.iter().map(|(name, value)| (&name[LABEL.len()..], value)).collect();
        (!labels.is_empty()).then(|| serde_json::to_string(&labels).expect("texts are JSON"))
    }

    fn limit(&mut self, context: &Context) -> Result<i64, No> {
        let most = i64::from(context.state.settings.http.page_items_max);
        let Some(text) = self.take("limit") else { return Ok(LIMIT_DEFAULT.min(most)) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| No::bad(format!("limit must be an integer from 1 to {most}")))
    }

    fn finish(self) -> Result<(), No> {
        let Some(name) = self.0.keys().next() else { return Ok(()) };
        let name: String = name.chars().take(64).collect();
        Err(No::bad(format!("there is no parameter {name:?}")))
    }
}
