//! The envelope of every reply: `{"operation","code","body"?}` or `{"operation","code","reason"}`. Written directly: this is the hot path.

use super::Reply;
use crate::ledger::TransactionId;
use crate::ledger::outcome::Replay;

/// The code of every success.
const OK: u16 = 200;

/// What Purser's own refusals say beside the reason.
pub(super) struct Marks {
    /// The permanent code.
    pub(super) rejection: &'static str,
    /// The transaction that records it, if one does.
    pub(super) transaction: Option<TransactionId>,
    /// Which operation of a batch it was, counted from 0.
    pub(super) item: Option<usize>,
    /// Whether the refusal was given before.
    pub(super) replay: Replay,
}

impl Marks {
    /// Those of a refusal that is on no record.
    pub(super) const fn of(rejection: &'static str) -> Self {
        Self { rejection, transaction: None, item: None, replay: Replay::First }
    }
}

/// A success with a body: JSON, which goes into the envelope as a string.
pub(super) fn success(operation: &str, body: &str) -> Reply {
    let mut bytes = open(operation, OK, body.len() + body.len() / 4);
    bytes.extend_from_slice(br#","body":"#);
    write_string(&mut bytes, body);
    close(bytes, OK)
}

/// The same inside a body that is a string already: the body goes in as it is.
pub(super) fn success_within(operation: &str, body: &str) -> Reply {
    let mut bytes = open(operation, OK, body.len() + 16);
    bytes.extend_from_slice(br#","body":"#);
    bytes.extend_from_slice(body.as_bytes());
    close(bytes, OK)
}

/// A success that needs no words.
pub(super) fn success_without_body(operation: &str) -> Reply {
    close(open(operation, OK, 0), OK)
}

pub(super) fn refusal(operation: &str, status: u16, reason: &str, marks: Option<Marks>) -> Reply {
    let mut bytes = open(operation, status, reason.len() + 64);
    bytes.extend_from_slice(br#","reason":"#);
    write_string(&mut bytes, reason);
    if let Some(Marks { rejection, transaction, item, replay }) = marks {
        bytes.extend_from_slice(br#","rejection":"#);
        write_string(&mut bytes, rejection);
        if let Some(transaction) = transaction {
            bytes.extend_from_slice(format!(r#","transaction_id":"{transaction}""#).as_bytes());
        }
        if let Some(item) = item {
            bytes.extend_from_slice(format!(r#","item":{item}"#).as_bytes());
        }
        if replay == Replay::Replayed {
            bytes.extend_from_slice(br#","replayed":true"#);
        }
    }
    close(bytes, status)
}

/// Appends `text` as a JSON string, quotes included.
pub(super) fn push_escaped(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("every string is a JSON string"));
}

fn open(operation: &str, status: u16, more_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48 + operation.len() + more_bytes);
    bytes.extend_from_slice(br#"{"operation":"#);
    write_string(&mut bytes, operation);
    bytes.extend_from_slice(br#","code":"#);
    bytes.extend_from_slice(status.to_string().as_bytes());
    bytes
}

fn close(mut bytes: Vec<u8>, status: u16) -> Reply {
    bytes.push(b'}');
    Reply { status, body: bytes }
}

fn write_string(bytes: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(bytes, text).expect("memory takes everything");
}
