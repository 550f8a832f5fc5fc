//! `/v1/reports`: sums over many transactions.

use std::sync::Arc;

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, rt};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{Query, invalid};
use super::table;
use crate::http::endpoint::Endpoint;
use crate::http::error::{Fault, Problem};
use crate::http::month::CalendarMonth;
use crate::http::server::Context;
use crate::store::reports::{self, RevenueRow};
use crate::store::services;

/// What is served here.
pub const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/v1/reports/revenue", || web::to(revenue))];

/// Services that are summed up at once.
const PIECE_SERVICES: i64 = 100;
/// The first line of the CSV.
const CSV_NAMES: [&str; 4] = ["service_id", "service", "currency", "amount"];

/// What services earned in a month.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevenueReport {
    /// Which month, UTC.
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}$", example = "2026-11")]
    month: String,
    /// By service and currency; what earned nothing is left out.
    items: Vec<Revenue>,
}

/// What a service earned in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revenue {
    /// Which service.
    #[schema(minimum = 1, example = 1)]
    service_id: i64,
    /// What it is called.
    #[schema(example = "delivery")]
    service: String,
    /// In which currency.
    #[schema(example = "USD")]
    currency: String,
    /// An exact decimal in major units; below zero when more was taken back than came.
    #[schema(pattern = "^-?[0-9]+([.][0-9]+)?$", example = "1200.5")]
    amount: String,
}

/// What each service earned in a month
///
/// Money counts when it left a wallet for the service: by a withdrawal, or by the confirmation of one that waited; less what was reversed.
/// It counts in the month (UTC) in which that became final. With `Accept: text/csv` as CSV.
#[utoipa::path(
    get, path = "/v1/reports/revenue", tag = "reports", operation_id = "getRevenue",
    params(("month" = String, Query, description = "Which month", pattern = "^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$", example = "2026-11")),
    responses((status = 200, description = "By service and currency", content(
        (RevenueReport = "application/json"), (String = "text/csv")
    ))),
)]
pub async fn revenue(context: Data<Context>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = Query::of(&request)?;
    let month = query.parsed("month", "a month such as 2026-11, from 1900 to 2199", parse_month)?;
    query.finish()?;
    let month = month.ok_or_else(|| invalid("month must be given, such as 2026-11"))?;
    let form = if table::wants_csv(&request) { Form::Csv } else { Form::Json };
    let store = context.state.store.clone();
    // Whoever cannot begin is told so. Later pieces wait for their turn: the status has been sent, and a client that reads slowly keeps no other
    // from its report.
    let (turns, turn) = (Arc::clone(&context.reports), context.admit_report()?);
    let [from, to] = month.bounds();
    let body = table::in_pieces(Some((Some(turn), form.opening(month)?, 0, true)), move |state| {
        let (store, turns) = (store.clone(), Arc::clone(&turns));
        async move {
            // Its turn, what stands before this piece, the last service of the one before, and whether nothing was given yet.
            let Some((turn, mut piece, after, mut is_first)) = state else { return Ok(None) };
            let turn = match turn {
                Some(turn) => turn,
                None => turns.acquire_owned().await.expect("nobody closes it"),
            };
            let services = services::list(store.read_pool(), None, after, PIECE_SERVICES).await?;
            let Some(last) = services.last().map(|service| service.id) else {
                piece.extend(form.closing());
                return Ok(Some((Bytes::from(piece), None)));
            };
            let ids: Vec<i64> = services.iter().map(|service| service.id).collect();
            // In a task of its own: the statement and its connection outlive a caller that goes away, so its turn does, too.
            let rows = rt::spawn(async move {
                let _turn = turn;
                reports::revenue(store.read_pool(), &ids, from, to, store.report_timeout()).await
            });
            for row in rows.await.map_err(|_| Fault::Internal.because("the report was given up"))?? {
                form.push(&mut piece, row, is_first)?;
                is_first = false;
            }
            Ok(Some((Bytes::from(piece), Some((None, Vec::new(), last, is_first)))))
        }
    });
    let mut response = HttpResponse::Ok();
    if form == Form::Csv {
        response.insert_header((CONTENT_DISPOSITION, "attachment; filename=\"revenue.csv\""));
    }
    Ok(response.content_type(form.content_type()).streaming(Box::pin(body.await?)))
}

/// Such as 2026-11.
fn parse_month(text: &str) -> Option<CalendarMonth> {
    let (year, month) = text.split_once('-')?;
    let is_number = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(year, 4) || !is_number(month, 2) {
        return None;
    }
    CalendarMonth::new(year.parse().ok()?, month.parse().ok()?).ok()
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => table::CSV,
            Self::Json => "application/json",
        }
    }

    fn opening(self, month: CalendarMonth) -> Result<Vec<u8>, Problem> {
        let (year, month) = month.numbers();
        match self {
            Self::Csv => table::csv([CSV_NAMES.map(str::to_owned)]),
            Self::Json => Ok(format!(r#"{{"month":"{year}-{month:02}","items":["#).into_bytes()),
        }
    }

    fn push(self, piece: &mut Vec<u8>, row: RevenueRow, is_first: bool) -> Result<(), Problem> {
        let RevenueRow { service_id, service, currency, amount } = row;
        match self {
            Self::Csv => {
                let line = [service_id.to_string(), table::text_cell(&service), table::text_cell(&currency), amount];
                piece.extend(table::csv([line])?);
            }
            Self::Json => {
                if !is_first {
                    piece.push(b',');
                }
                let item = Revenue { service_id, service, currency, amount };
                serde_json::to_writer(piece, &item).expect("text and numbers are JSON, and memory takes everything");
            }
        }
        Ok(())
    }

    fn closing(self) -> &'static [u8] {
        match self {
            Self::Csv => b"",
            Self::Json => b"]}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::v1::moment;

    #[test]
    fn a_month_begins_and_ends_in_utc() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let month = parse_month(text).map(|month| month.bounds().map(moment::render));
            assert_eq!(month.as_ref().map(|[first, next]| (first.as_str(), next.as_str())), expected, "{text}");
        };
        check("2026-11", Some(("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")));
        check("2026-12", Some(("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")));
        for bad in ["2026-13", "2026-00", "2026-1", "26-11", "2026", "1899-12", "2200-01", "2026-11-01", "+026-11"] {
            check(bad, None);
        }
    }
}
