//! System 003's lists: whole, however long, in one answer. Read page by page, so that they need the memory of two pages.
//!
//! Each page is one short read: a list of more than [`PAGE_ITEMS`] is not of one moment, and a caller who reads slowly holds nothing in the database.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures::stream;

use super::words::{self, No};

/// Items that are read at once.
pub const PAGE_ITEMS: usize = 1000;

/// Items of a list, each as it is written, and after which one the next page begins; `None` on the last page.
#[derive(Debug)]
pub struct Page<K> {
    items: Vec<String>,
    next: Option<K>,
}

impl<K> Page<K> {
    /// Of rows that were asked for [`PAGE_ITEMS`] at a time: a shorter page is the last one.
    pub fn of<R>(rows: &[R], item: impl Fn(&R) -> String, key: impl Fn(&R) -> K) -> Self {
        let next = rows.last().filter(|_| rows.len() >= PAGE_ITEMS).map(key);
        Self { items: rows.iter().map(item).collect(), next }
    }

    /// With more pages behind it. It has items: an empty page would end the list.
    pub fn before(items: Vec<String>, next: K) -> Self {
        Self { items, next: Some(next) }
    }

    /// With nothing behind it.
    pub fn last(items: Vec<String>) -> Self {
        Self { items, next: None }
    }
}

/// Answers with `{"NAME":[...]}`, or with `{}` where there is nothing to list, which is how that system writes an empty list. `read` reads the page
/// after a key, or the first one.
///
/// What goes wrong after the first page ends the connection in the middle of the body, which no client takes for its end.
pub async fn respond<K: 'static, F>(
    name: &'static str,
    read: impl Fn(Option<K>) -> F + 'static,
) -> Result<HttpResponse, No>
where
    F: Future<Output = Result<Page<K>, No>> + 'static,
{
    let first = read(None).await?;
    if first.items.is_empty() {
        return Ok(words::json(StatusCode::OK, &serde_json::Map::new()));
    }
    let opening = format!("{{\"{name}\":[");
    let pieces = stream::try_unfold((opening, Some(first), read), |(before, page, read)| async move {
        let Some(page) = page else { return Ok(None) };
        let mut piece = before + &page.items.join(",");
        let next = match page.next {
            Some(key) => Some(read(Some(key)).await.map_err(ended_early)?),
            None => None,
        };
        let next = next.filter(|page| !page.items.is_empty());
        piece.push_str(if next.is_some() { "," } else { "]}\n" });
        Ok::<_, std::io::Error>(Some((Bytes::from(piece), (String::new(), next, read))))
    });
    Ok(HttpResponse::Ok().content_type(ContentType::json()).streaming(Box::pin(pieces)))
}

fn ended_early(no: No) -> std::io::Error {
    tracing::warn!(reason = ?no, "an answer of several pieces ended early");
    std::io::Error::other("the list could not be read to its end")
}
