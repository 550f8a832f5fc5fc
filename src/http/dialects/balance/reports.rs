//! Reports: what each service earned in a month, as a CSV file that is given out as a link.
//!
//! A month begins and ends in UTC, as everywhere in Purser. The file is `dialects.balance.report_directory`/YEAR/MONTH/report.csv, written anew for
//! each request: beside it first, then put in its place, so that whoever reads it reads a whole one.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use actix_web::body::SizedStream;
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use futures::stream;
use rust_decimal::Decimal;
use serde::Serialize;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Refused, body, currency, fields, fixed};
use crate::http::server::Context;
use crate::store::{reports, services};

/// Years that are reported.
const YEARS: std::ops::RangeInclusive<i64> = 1900..=2199;
/// Services that are summed up at once.
const PIECE_SERVICES: i64 = 100;
/// How much of a file is read at once. Bytes.
const PIECE_BYTES: usize = 65_536;
/// The first line.
const NAMES: [&str; 2] = ["service_name", "month_amount"];

#[derive(Serialize)]
struct Link {
    report_link: String,
}

/// A month of a year that is reported.
#[derive(Clone, Copy, Debug)]
struct Month {
    year: i32,
    month: time::Month,
}

/// GET and POST `/api/report`: writes the file and says where it is.
pub async fn create(context: Data<Context>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Refused> {
    let text = body(&context, &request, payload).await?;
    let asked = fields(&text)?;
    let month = Month::new(asked.integer("Year", "int")?, asked.integer("Month", "int")?)?;
    let (turn, work) = (context.admit_report()?, context.clone());
    // In a task of its own: its statement and its connection outlive a caller that goes away, so its turn does, too.
    let written = rt::spawn(async move {
        let _turn = turn;
        write(&work, month).await
    });
    written.await.map_err(|error| Refused::failed(&error))??;
    let info = request.connection_info();
    // Whatever a proxy says, the link is one that a browser only reads from.
    let scheme = if info.scheme() == "https" { "https" } else { "http" };
    let (host, path) = (info.host(), month.path());
    let report_link = format!("{scheme}://{host}/api/report/{path}/{FILE}");
    Ok(HttpResponse::Ok().json(Link { report_link }))
}

/// GET `/api/report/YEAR/MONTH/report.csv`.
pub async fn download(context: Data<Context>, path: web::Path<(String, String)>) -> Result<HttpResponse, Refused> {
    let number = |text: &str, name: &str| {
        let wrong = || Refused::because(format!("failed to decode: schema: error converting value for {name:?}"));
        text.parse::<i64>().map_err(|_| wrong())
    };
    let month = Month::new(number(&path.0, "year")?, number(&path.1, "month")?)?;
    let path = directory(&context, month).join(FILE);
    let opened = block(move || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = match opened.await? {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Refused::ReportMissing),
        result => result.map_err(|error| Refused::failed(&error))?,
    };
    let pieces = stream::try_unfold(file, |file| async move { piece(file).await });
    Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(SizedStream::new(bytes, Box::pin(pieces))))
}

const FILE: &str = "report.csv";

impl Month {
    fn new(year: i64, month: i64) -> Result<Self, Refused> {
        let wrong = |what: &str| Refused::because(format!("handler: get report: wrong {what} input"));
        let number = u8::try_from(month).map_err(|_| wrong("month"))?;
        let month = time::Month::try_from(number).map_err(|_| wrong("month"))?;
        let year = i32::try_from(year).ok().filter(|year| YEARS.contains(&i64::from(*year)));
        Ok(Self { year: year.ok_or_else(|| wrong("year"))?, month })
    }

    /// The month without a leading zero.
    fn path(self) -> String {
        format!("{}/{}", self.year, u8::from(self.month))
    }

    /// Where it begins.
    fn first(self) -> OffsetDateTime {
        Date::from_calendar_date(self.year, self.month, 1).expect("every month has a first day").midnight().assume_utc()
    }

    fn next(self) -> Self {
        let year = if self.month == time::Month::December { self.year + 1 } else { self.year };
        Self { year, month: self.month.next() }
    }
}

/// Two numbers below the directory of the setting: nothing of a request can lead out of it.
fn directory(context: &Context, month: Month) -> PathBuf {
    Path::new(&context.state.settings.dialects.balance.report_directory).join(month.path())
}

async fn write(context: &Context, month: Month) -> Result<(), Refused> {
    let (directory, currency) = (directory(context, month), currency(context)?);
    let store = &context.state.store;
    let mut draft = block(move || Draft::create(directory)).await?.map_err(|error| Refused::failed(&error))?;
    let mut piece = csv([NAMES.map(str::to_owned)])?;
    let mut after = 0;
    loop {
        let listed = services::list(store.read_pool(), None, after, PIECE_SERVICES).await?;
        let ids: Vec<i64> = listed.iter().map(|service| service.id).collect();
        let Some(last) = ids.last() else { break };
        after = *last;
        let rows =
            reports::revenue(store.read_pool(), &ids, month.first(), month.next().first(), store.report_timeout())
                .await?;
        let mut lines = Vec::new();
        for row in rows.into_iter().filter(|row| row.currency == currency.as_str()) {
            let amount = Decimal::from_str_exact(&row.amount).map(fixed);
            // A sum of more digits than an amount can have is as it is.
            lines.push([row.service, amount.unwrap_or(row.amount)]);
        }
        piece.extend(csv(lines)?);
        draft = block(move || draft.push(&piece)).await?.map_err(|error| Refused::failed(&error))?;
        piece = Vec::new();
    }
    block(move || draft.push(&piece)?.publish()).await?.map_err(|error| Refused::failed(&error))
}

/// Comma, LF, quotes where they are needed: as Go writes it.
fn csv(lines: impl IntoIterator<Item = [String; 2]>) -> Result<Vec<u8>, Refused> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|error| Refused::failed(&error))?;
    }
    writer.into_inner().map_err(|error| Refused::failed(&error))
}

/// A report that is being written. Dropped, it is gone.
#[derive(Debug)]
struct Draft {
    directory: PathBuf,
    path: PathBuf,
    file: File,
}

impl Draft {
    fn create(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!(".{FILE}.{}", Uuid::now_v7()));
        let file = File::create_new(&path)?;
        Ok(Self { directory, path, file })
    }

    fn push(mut self, piece: &[u8]) -> io::Result<Self> {
        self.file.write_all(piece)?;
        Ok(self)
    }

    /// In the place of the one before.
    fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, self.directory.join(FILE))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is published there is nothing of that name any more.
        fs::remove_file(&self.path).ok();
    }
}

/// The next bytes of a file, and the file.
async fn piece(mut file: File) -> Result<Option<(Bytes, File)>, Refused> {
    let read = block(move || {
        let mut bytes = vec![0; PIECE_BYTES];
        let count = file.read(&mut bytes)?;
        bytes.truncate(count);
        Ok((bytes, file))
    });
    let (bytes, file) = read.await?.map_err(|error| Refused::failed(&error))?;
    Ok(if bytes.is_empty() { None } else { Some((bytes.into(), file)) })
}

/// Files are slow: no worker waits for them.
async fn block<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>, Refused> {
    web::block(work).await.map_err(|error| Refused::failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(year: i64, month: i64, expected: &str) {
        let got = Month::new(year, month)
            .map(|month| format!("{} {} {}", month.path(), month.first().date(), month.next().first().date()));
        assert_eq!(got.unwrap_or_else(|refused| refused.to_string()), expected, "{year} {month}");
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        check(2026, 2, "2026/2 2026-02-01 2026-03-01");
        check(2026, 12, "2026/12 2026-12-01 2027-01-01");
        check(2199, 12, "2199/12 2199-12-01 2200-01-01");
        for month in [i64::MIN, -1, 0, 13, 268, i64::MAX] {
            check(2026, month, "handler: get report: wrong month input");
        }
        for year in [i64::MIN, -1, 0, 1899, 2200, i64::MAX] {
            check(year, 1, "handler: get report: wrong year input");
        }
    }
}
