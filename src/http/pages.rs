//! A list of any length in one answer: read page by page while it is sent, so that it needs the memory of two pages.
//!
//! Each page is one short read: a list of more than [`PAGE_ITEMS`] is not of one moment, and a caller who reads slowly holds nothing in the database.

use std::fmt::Debug;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures::stream;

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

/// Answers with JSON: `opening`, the items with commas between them, `closing`. `None` where there is nothing to list. `read` reads the page after a key,
/// or the first one.
///
/// What goes wrong after the first page ends the connection in the middle of the body, which no client takes for its end.
pub async fn respond<K: 'static, E: Debug + 'static>(
    opening: String,
    closing: &'static str,
    read: impl AsyncFn(Option<K>) -> Result<Page<K>, E> + 'static,
) -> Result<Option<HttpResponse>, E> {
    let first = read(None).await?;
    if first.items.is_empty() {
        return Ok(None);
    }
    let pieces = stream::try_unfold((opening, Some(first), read), move |(before, page, read)| async move {
        let Some(page) = page else { return Ok(None) };
        let mut piece = before + &page.items.join(",");
        let next = match page.next {
            Some(key) => Some(read(Some(key)).await.map_err(ended_early)?),
            None => None,
        };
        let next = next.filter(|page| !page.items.is_empty());
        piece.push_str(if next.is_some() { "," } else { closing });
        Ok::<_, std::io::Error>(Some((Bytes::from(piece), (String::new(), next, read))))
    });
    Ok(Some(HttpResponse::Ok().content_type(ContentType::json()).streaming(Box::pin(pieces))))
}

fn ended_early(error: impl Debug) -> std::io::Error {
    tracing::warn!(reason = ?error, "an answer of several pieces ended early");
    std::io::Error::other("the list could not be read to its end")
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    /// Numbers from 0 on, of which the page that begins with `missing` cannot be read. `expected` is how many are listed; `None` if the answer ends early.
    async fn check(count: usize, missing: Option<usize>, expected: Option<usize>) {
        let read = async move |after: Option<usize>| {
            let first = after.map_or(0, |after| after + 1);
            if missing == Some(first) {
                return Err("away");
            }
            let rows: Vec<usize> = (first..count).take(PAGE_ITEMS).collect();
            Ok(Page::of(&rows, usize::to_string, |row| *row))
        };
        let response = respond("[".to_owned(), "]\n", read).await.expect("the first page is read");
        let body = to_bytes(response.expect("there are items").into_body()).await.ok();
        let items = |count: usize| (0..count).map(|item| item.to_string()).collect::<Vec<_>>().join(",");
        let expected = expected.map(|count| format!("[{}]\n", items(count)));
        assert!(body.as_deref() == expected.as_deref().map(str::as_bytes), "{count} {missing:?}: {body:?}");
    }

    #[actix_web::test]
    async fn a_list_is_whole_however_many_pages_it_has() {
        for count in [1, 2, PAGE_ITEMS - 1, PAGE_ITEMS, PAGE_ITEMS + 1, 3 * PAGE_ITEMS, 3 * PAGE_ITEMS + 1] {
            check(count, None, Some(count)).await;
        }
    }

    #[actix_web::test]
    async fn a_list_that_cannot_be_read_to_its_end_has_none() {
        check(PAGE_ITEMS + 1, Some(PAGE_ITEMS), None).await;
        check(3 * PAGE_ITEMS, Some(2 * PAGE_ITEMS), None).await;
    }

    #[actix_web::test]
    async fn pages_may_be_of_any_length() {
        let read = async |key: Option<u8>| {
            Ok::<_, ()>(match key {
                None => Page::before(vec!["1".to_owned()], 0),
                Some(_) => Page::last(vec!["2".to_owned(), "3".to_owned()]),
            })
        };
        let response = respond(r#"{"a":["#.to_owned(), "]}", read).await.unwrap().unwrap();
        assert_eq!(to_bytes(response.into_body()).await.ok().as_deref(), Some(&br#"{"a":[1,2,3]}"#[..]));
    }

    #[actix_web::test]
    async fn nothing_to_list_is_no_list() {
        let nothing = async |_: Option<u8>| Ok::<_, ()>(Page::last(Vec::new()));
        assert!(respond(String::new(), "", nothing).await.unwrap().is_none());
        let failing = async |_: Option<u8>| Err::<Page<u8>, _>("away");
        assert_eq!(respond(String::new(), "", failing).await.err(), Some("away"));
    }
}
