//! The file, read by a thread of its own: a chunk of lines is understood while the one before it is booked.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use tokio::sync::mpsc;

use super::line::{Line, Reader};
use super::records::{Format, Record, Records};
use crate::cli::failure::Failure;
use crate::ledger::CurrencyCode;

/// Most lines of a chunk: their wallets are found by one statement.
pub const CHUNK_LINES_MAX: usize = 1_000;
/// From how much text on a chunk is not filled further, so that long lines take no more memory than short ones. Bytes.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks that wait to be booked.
const CHUNKS_WAITING: usize = 2;
/// Of the file read at a time. Bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// A record and what it says, or for people why that is not known.
#[derive(Debug)]
pub struct Read {
    pub source: Source,
    pub line: Result<Line, String>,
}

/// Where a record stands in the file, and how.
#[derive(Debug)]
pub struct Source {
    /// Which line it is, counted from 1.
    pub number: u64,
    /// `None` if it cannot be shown.
    pub text: Option<String>,
}

/// Consecutive lines.
#[derive(Debug)]
pub struct Chunk {
    pub reads: Vec<Read>,
    /// How much of the file has been read with it.
    pub bytes_read: u64,
}

/// What is read, in order.
pub type Chunks = mpsc::Receiver<anyhow::Result<Chunk>>;

/// A file that is being read.
pub struct Reading {
    /// The chunks; an error is the last that comes.
    pub chunks: Chunks,
    /// The first line of CSV, as it stands there.
    pub header: Option<String>,
    /// How long the file is, where that is known.
    pub bytes: Option<u64>,
}

/// Begins to read; understands the header.
pub async fn read(path: &Path, format: Format, currency: Option<CurrencyCode>) -> anyhow::Result<Reading> {
    let cannot = |error| Failure::new(format!("{} cannot be read", path.display()), "").because(error);
    let (input, bytes): (Box<dyn std::io::Read + Send>, _) = if path == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        (Box::new(file), metadata.is_file().then_some(metadata.len()))
    };
    let (header_sender, header) = tokio::sync::oneshot::channel();
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
    // Not one of the runtime's: a read from a terminal cannot be ended, and must not keep the process.
    std::thread::spawn(move || {
        let mut records = Records::new(BufReader::with_capacity(BUFFER_BYTES, input), format);
        match understand(&mut records, format, currency) {
            Ok((header, reader)) => {
                header_sender.send(Ok(header)).ok();
                send_chunks(&mut records, &reader, &sender);
            }
            Err(error) => drop(header_sender.send(Err(error))),
        }
    });
    let header = header.await.map_err(|_| Failure::new(format!("{} cannot be read", path.display()), ""))??;
    Ok(Reading { chunks, header, bytes })
}

fn understand(
    records: &mut Records<impl BufRead>,
    format: Format,
    currency: Option<CurrencyCode>,
) -> anyhow::Result<(Option<String>, Reader)> {
    if format == Format::Jsonl {
        return Ok((None, Reader::of_json(currency)));
    }
    let hint = "CSV begins with a line that names its columns; its lines end with LF or CRLF";
    let header = records.next()?.ok_or_else(|| Failure::new("the file is empty", hint))?;
    let header = header.text.map_err(|why| Failure::new("the header cannot be read", hint).because(why))?;
    let reader = Reader::of_csv(&header, currency)?;
    Ok((Some(header), reader))
}

/// Sends everything; ends early when nobody wants more.
fn send_chunks(records: &mut Records<impl BufRead>, reader: &Reader, sender: &mpsc::Sender<anyhow::Result<Chunk>>) {
    loop {
        let (reads, ending) = next_reads(records, reader);
        if !reads.is_empty() {
            let chunk = Chunk { reads, bytes_read: records.bytes_read() };
            if sender.blocking_send(Ok(chunk)).is_err() {
                return;
            }
        }
        match ending {
            None => {}
            Some(Ok(())) => return,
            // After what came before it.
            Some(Err(error)) => return drop(sender.blocking_send(Err(error))),
        }
    }
}

/// The lines of a chunk, and how the file ended if it did.
fn next_reads(records: &mut Records<impl BufRead>, reader: &Reader) -> (Vec<Read>, Option<anyhow::Result<()>>) {
    let mut reads = Vec::with_capacity(CHUNK_LINES_MAX);
    let mut bytes = 0;
    // Not cut within a quote: where refused lines are kept, none may come between the lines that it holds together.
    let mut is_in_quote = false;
    while is_in_quote || (reads.len() < CHUNK_LINES_MAX && bytes < CHUNK_BYTES) {
        match records.next() {
            Ok(Some(record)) => {
                is_in_quote = record.quote_opened_in.is_some();
                bytes += record.text.as_ref().map_or(0, String::len);
                reads.push(understood(record, reader));
            }
            Ok(None) => return (reads, Some(Ok(()))),
            Err(error) => return (reads, Some(Err(error))),
        }
    }
    (reads, None)
}

fn understood(Record { number, text, quote_opened_in }: Record, reader: &Reader) -> Read {
    match text {
        Ok(text) => {
            let line = match quote_opened_in {
                None => reader.read(&text),
                Some(opened_in) => Err(doubt(number, opened_in)),
            };
            Read { line, source: Source { number, text: Some(text) } }
        }
        Err(why) => Read { line: Err(why.to_string()), source: Source { number, text: None } },
    }
}

/// Why a line is not believed that an open quote touches.
fn doubt(number: u64, quote_opened_in: u64) -> String {
    if number == quote_opened_in {
        return "a quote is opened and not closed in this line: a wallet is one line, without line ends in its texts"
            .to_owned();
    }
    format!(
        "the quote that is opened in line {quote_opened_in} may reach to here: mend that line, and this one is read"
    )
}
