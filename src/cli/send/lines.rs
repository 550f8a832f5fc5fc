//! Operations from a file or stdin, one JSON object a line.

use std::path::Path;
use std::pin::Pin;

use futures::{Stream, TryStreamExt};
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::cli::conversation::Message;
use crate::cli::failure::Failure;
use crate::ledger::key::KEY_BYTES_MAX;

/// A file, or stdin when its name is `-`.
pub async fn open(file: &Path) -> anyhow::Result<Pin<Box<dyn AsyncBufRead>>> {
    if file == Path::new("-") {
        return Ok(Box::pin(BufReader::new(tokio::io::stdin())));
    }
    let opened = tokio::fs::File::open(file).await;
    let opened =
        opened.map_err(|error| Failure::new(format!("{} cannot be read", file.display()), "").because(error))?;
    Ok(Box::pin(BufReader::new(opened)))
}

/// What is read of a line; the line itself goes to the server as it is.
#[derive(Deserialize)]
struct Line {
    operation: String,
    idempotency_key: Option<String>,
}

/// The operations of a file, one a line. Empty lines are skipped.
pub fn messages(reader: Pin<Box<dyn AsyncBufRead>>, name: String) -> impl Stream<Item = anyhow::Result<Message>> {
    let state = (reader.lines(), name, 0_u64);
    futures::stream::try_unfold(state, |(mut lines, name, mut number)| async move {
        loop {
            number += 1;
            let line = lines.next_line().await;
            let line = line
                .map_err(|error| Failure::new(format!("{name} cannot be read in line {number}"), "").because(error))?;
            match line {
                None => return Ok(None),
                Some(line) if line.trim().is_empty() => {}
                Some(line) => return Ok(Some((parse_line(&line, &name, number)?, (lines, name, number)))),
            }
        }
    })
}

/// All operations of a file, as they stand there, for one message.
pub async fn all(reader: Pin<Box<dyn AsyncBufRead>>, name: &str) -> anyhow::Result<Vec<String>> {
    let messages: Vec<Message> = messages(reader, name.to_owned()).try_collect().await?;
    messages.into_iter().map(|message| Ok(String::from_utf8(message.body)?)).collect()
}

fn parse_line(line: &str, name: &str, number: u64) -> anyhow::Result<Message> {
    let hint = r#"a line looks like {"operation":"invoice","wallet_id":1,"currency":"USD","amount":1.50}"#;
    let Line { operation, idempotency_key } = serde_json::from_str(line).map_err(|error| {
        Failure::new(format!("{name}, line {number}: not an operation; what came before it was sent"), hint)
            .because(error)
    })?;
    let mut message = Message::new(operation, line.trim());
    // The key in the body is what counts; the same in the message's properties lets the broker's tools show it.
    if let Some(key) = idempotency_key.filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX) {
        message.key = key;
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn read(text: &'static str) -> Vec<anyhow::Result<Message>> {
        messages(Box::pin(BufReader::new(text.as_bytes())), "f".to_owned()).collect().await
    }

    #[tokio::test]
    async fn lines_go_out_as_they_are_with_their_own_keys() {
        let text =
            "{\"operation\":\"invoice\",\"amount\":1.10}\n\n  {\"operation\":\"x\",\"idempotency_key\":\"k\"} \n";
        let messages: Vec<Message> = futures::stream::iter(read(text).await).try_collect().await.unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].operation, "invoice");
        assert_eq!(messages[0].body, br#"{"operation":"invoice","amount":1.10}"#);
        assert_eq!((messages[1].operation.as_str(), messages[1].key.as_str()), ("x", "k"));
        assert_ne!(messages[0].key, messages[1].key);
    }

    #[tokio::test]
    async fn a_bad_line_is_named_and_ends_the_reading() {
        let messages = read("{\"operation\":\"balance\"}\nnonsense\n{\"operation\":\"balance\"}\n").await;
        assert_eq!(messages.len(), 2);
        assert!(messages[1].as_ref().unwrap_err().to_string().starts_with("f, line 2: not an operation"));
    }
}
