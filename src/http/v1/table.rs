//! Answers of any size: CSV and JSON in pieces, with as much memory as one piece takes.
//!
//! A piece is one short read of the database, so a caller who reads slowly holds no connection and no snapshot there, and no statement
//! runs longer than a read may. The first piece is read before the answer begins: what goes wrong there still has a status of its own.
//! What goes wrong later ends the connection in the middle of the body, which no client takes for its end.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;
use actix_web::web::Bytes;
use futures::{Stream, StreamExt, stream};

use crate::http::error::{Fault, Problem};

/// The media type of CSV, with its first line being the names.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// The body that `next` gives piece by piece, beginning from `state`, until it gives `None`.
pub async fn in_pieces<S, F>(
    state: S,
    mut next: impl FnMut(S) -> F,
) -> Result<impl Stream<Item = Result<Bytes, Problem>>, Problem>
where
    F: Future<Output = Result<Option<(Bytes, S)>, Problem>>,
{
    let first = next(state).await?;
    let (first, state) = first.map_or((None, None), |(piece, state)| (Some(Ok(piece)), Some(state)));
    let rest = stream::unfold((state, next), |(state, mut next)| async move {
        match next(state?).await {
            Ok(None) => None,
            Ok(Some((piece, state))) => Some((Ok(piece), (Some(state), next))),
            Err(problem) => {
                tracing::warn!(code = problem.code(), "an answer of several pieces ended early");
                Some((Err(problem), (None, next)))
            }
        }
    });
    Ok(stream::iter(first).chain(rest))
}

/// Rows as CSV (RFC 4180).
pub fn csv<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>, Problem> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        // Memory takes everything; this is for the types.
        writer.write_record(row).map_err(|_| Fault::Internal.because("a line could not be written"))?;
    }
    writer.into_inner().map_err(|_| Fault::Internal.because("a line could not be written"))
}

/// A text that came from someone, for a cell: a spreadsheet must not take it for a formula. Numbers need none of this.
pub fn text_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

/// Whether the caller would have CSV rather than JSON.
pub fn wants_csv(request: &HttpRequest) -> bool {
    let accepted: Vec<&str> = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",");
    let weight = |wanted: &str| {
        accepted.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(wanted);
            let weight = || parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            is_it.then(weight)
        })
    };
    match (weight("text/csv"), weight("application/json")) {
        (Some(csv), Some(json)) => csv > json,
        (csv, _) => csv.is_some_and(|csv| csv > 0.0),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn csv_is_given_to_those_who_prefer_it() {
        let check = |accept: &str, expected: bool| {
            let request = TestRequest::default().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(wants_csv(&request), expected, "{accept}");
        };
        check("text/csv", true);
        check("Text/CSV; header=present", true);
        check("text/csv, application/json;q=0.5", true);
        check("text/csv;q=0.5, application/json", false);
        check("text/csv;q=0", false);
        check("*/*", false);
        check("application/json", false);
    }

    #[test]
    fn a_cell_is_no_formula_and_keeps_its_text() {
        for (text, cell) in [("USD", "USD"), ("=1+1", "'=1+1"), ("-x", "'-x"), ("@a", "'@a"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(text_cell(text), cell);
        }
        let lines = csv([["a,b".to_owned(), "say \"c\"\nd".to_owned()]]).unwrap();
        assert_eq!(String::from_utf8(lines).unwrap(), "\"a,b\",\"say \"\"c\"\"\nd\"\r\n");
    }

    #[actix_web::test]
    async fn pieces_come_in_their_order_until_one_fails() {
        let next = |number: u8| async move {
            match number {
                0..3 => Ok(Some((Bytes::from(vec![b'0' + number]), number + 1))),
                _ => Err(Fault::ReadTimedOut.because("too slow")),
            }
        };
        let pieces: Vec<_> = in_pieces(0, next).await.unwrap().collect().await;
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces[2].as_ref().unwrap(), "2");
        assert_eq!(pieces[3].as_ref().unwrap_err().code(), "read_timed_out");
        assert!(in_pieces(3, next).await.is_err(), "before the answer begins");
    }
}
