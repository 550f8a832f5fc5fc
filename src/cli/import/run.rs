//! Chunk after chunk: the wallets of its lines are found or made by a few statements, then their opening balances go on their way, and while they
//! are being booked the next chunk is looked at.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgConnection;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Arguments;
use super::books::{self, Booked, Books, booked_zero};
use super::file::{self, CHUNK_LINES_MAX, Chunk, Chunks, Read, Source};
use super::line::{Line, Opening};
use super::records::Format;
use super::refused::Refused;
use super::wallets::{self, Missing, Naming, Wallet};
use crate::cli::connect::{self, statement_failed};
use crate::cli::failure::Failure;
use crate::cli::{INTERRUPTED, output};
use crate::ledger::{Currencies, Money};
use crate::settings::Settings;
use crate::store::imports::{self, Recorded};
use crate::store::{currencies, seed};

/// Opening balances on their way at a time: several full batches, so that one gathers while another commits.
const IN_FLIGHT_MAX: usize = 4 * CHUNK_LINES_MAX;
/// The same of their lines' text, so that long lines take no more memory. Bytes.
const BYTES_IN_FLIGHT_MAX: usize = 4 * 1024 * 1024;
/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(100);

/// What came of the lines.
#[derive(Debug, Default)]
pub struct Tally {
    lines: u64,
    wallets_added: u64,
    booked: u64,
    booked_earlier: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Whether Ctrl-C ended it.
    pub is_interrupted: bool,
    elapsed: Duration,
}

impl Tally {
    /// Says it.
    pub fn print(&self, is_dry_run: bool) -> anyhow::Result<()> {
        let (add, book) = if is_dry_run { ("to add", "to book") } else { ("added", "booked") };
        let seconds = self.elapsed.as_millis().max(1);
        output::line(format_args!("wallets: {} {add}", output::grouped(self.wallets_added)))?;
        output::line(format_args!(
            "opening balances: {} {book}, {} there already",
            output::grouped(self.booked),
            output::grouped(self.booked_earlier)
        ))?;
        output::line(format_args!("refused: {}", output::counted(self.refused, "line", "lines")))?;
        let per_second = u64::try_from(u128::from(self.lines) * 1000 / seconds).unwrap_or(u64::MAX);
        eprintln!(
            "{} in {}.{:03} s, {} a second",
            output::counted(self.lines, "line", "lines"),
            self.elapsed.as_secs(),
            self.elapsed.subsec_millis(),
            output::grouped(per_second)
        );
        if is_dry_run {
            eprintln!("nothing was changed");
        } else if self.is_interrupted {
            eprintln!("interrupted: run the same again to complete it");
        }
        Ok(())
    }
}

/// Imports the file. What came of it until it failed, if it did, is told too.
pub async fn import(
    settings: &Settings,
    arguments: &Arguments,
    format: Format,
) -> anyhow::Result<(Tally, anyhow::Result<()>)> {
    let mut connection = connect::database(settings).await?;
    let file::Reading { mut chunks, header, bytes } = file::read(&arguments.file, format, arguments.currency).await?;
    let refused = Refused::open(arguments.refused.as_deref(), &arguments.file, header.as_deref())?;
    let interrupted = listen_for_interrupts()?;
    if !arguments.dry_run {
        // Someone may have given out ids by hand and left the sequence where it was.
        seed::move_wallet_sequence(&mut connection).await.map_err(statement_failed)?;
    }
    let began = Instant::now();
    let mut import = Import {
        refused,
        currencies: currencies::list(&mut connection).await.map_err(statement_failed)?,
        connection: &mut connection,
        books: Books::open(settings, arguments.name.clone())?,
        arguments,
        naming: None,
        tally: Tally::default(),
        bar: bar(bytes)?,
        interrupted,
    };
    let result = import.chunks(&mut chunks).await.and_then(|()| import.has_lines());
    let Import { connection, books, refused, mut tally, bar, .. } = import;
    bar.finish_and_clear();
    // A database that has failed is asked nothing more.
    if result.is_ok() && !arguments.dry_run {
        // Wallets that others make get numbers behind those that were made here. Without this, they would find the first ones taken and do it then.
        seed::move_wallet_sequence(connection).await.map_err(statement_failed)?;
    }
    if result.is_ok() {
        books.close().await;
    }
    tally.elapsed = began.elapsed();
    Ok((tally, result.and(refused.close())))
}

/// The first Ctrl-C lets what is on its way arrive, the second ends at once: nothing is lost by that which another run does not complete.
fn listen_for_interrupts() -> anyhow::Result<watch::Receiver<bool>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let (sender, interrupted) = watch::channel(false);
    actix_rt::spawn(async move {
        interrupts.recv().await;
        sender.send_replace(true);
        interrupts.recv().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    Ok(interrupted)
}

async fn interruption(interrupted: &mut watch::Receiver<bool>) {
    // The sender lives as long as this process.
    interrupted.wait_for(|is_interrupted| *is_interrupted).await.ok();
}

fn bar(bytes: Option<u64>) -> anyhow::Result<ProgressBar> {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {bytes} of {total_bytes}, {msg}, {elapsed}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {msg}, {elapsed}"),
    };
    let bar = bar.with_style(ProgressStyle::with_template(template)?).with_message("0 lines");
    bar.enable_steady_tick(TICK);
    Ok(bar)
}

/// An import under way.
struct Import<'a> {
    connection: &'a mut PgConnection,
    books: Books,
    arguments: &'a Arguments,
    currencies: Currencies,
    refused: Refused,
    /// How the file names its wallets, as its first good line does.
    naming: Option<Naming>,
    tally: Tally,
    bar: ProgressBar,
    interrupted: watch::Receiver<bool>,
}

impl Import<'_> {
    async fn chunks(&mut self, chunks: &mut Chunks) -> anyhow::Result<()> {
        let mut failed = Ok(());
        while !self.is_interrupted() {
            let chunk = tokio::select! {
                () = interruption(&mut self.interrupted) => break,
                chunk = chunks.recv() => match chunk {
                    None => break,
                    Some(Ok(chunk)) => chunk,
                    Some(Err(error)) => {
                        failed = Err(error);
                        break;
                    }
                },
            };
            let bytes_read = chunk.bytes_read;
            self.book(chunk).await?;
            self.bar.set_position(bytes_read);
            self.bar.set_message(output::counted(self.tally.lines, "line", "lines"));
        }
        // What is on its way is told, whatever ended the reading.
        while let Some((source, booked)) = self.books.next().await? {
            self.settle(&source, booked)?;
        }
        self.tally.is_interrupted = self.is_interrupted();
        failed
    }

    /// A file without any is more likely a query that found nobody than what was meant.
    fn has_lines(&self) -> anyhow::Result<()> {
        if self.tally.lines == 0 && !self.tally.is_interrupted {
            let hint = "look at what wrote it: a query without rows, another database?";
            return Err(Failure::new("there is no line to import in the file", hint).into());
        }
        Ok(())
    }

    fn is_interrupted(&self) -> bool {
        *self.interrupted.borrow()
    }

    /// Finds or makes the wallets of a chunk, and sends its opening balances on their way.
    async fn book(&mut self, chunk: Chunk) -> anyhow::Result<()> {
        self.tally.lines += chunk.reads.len() as u64;
        let good = self.good(chunk.reads)?;
        let Some(naming) = self.naming else { return Ok(()) };
        let missing = if self.arguments.dry_run { Missing::Leave } else { Missing::Add };
        let lines: Vec<&Line> = good.iter().map(|(_, line)| line).collect();
        let (found, added) = wallets::find(self.connection, naming, missing, &lines).await.map_err(statement_failed)?;
        self.tally.wallets_added += if self.arguments.dry_run { wallets::count_new(&lines, &found) } else { added };
        let recorded = self.recorded(&good, &found).await?;
        for ((source, line), wallet) in good.into_iter().zip(found) {
            let wallet = match wallet {
                Ok(wallet) => wallet,
                Err(reason) => {
                    self.refuse(&source, &reason)?;
                    continue;
                }
            };
            match (line.opening, wallet) {
                (Opening::Unsaid, _) | (Opening::Zero(_), Wallet::New) => {}
                (Opening::Zero(_), Wallet::Known(id)) => {
                    let recorded = recorded.get(&key(self.arguments, id, line.opening));
                    if let Some(recorded) = recorded.filter(|recorded| recorded.succeeded) {
                        self.settle(&source, booked_zero(recorded))?;
                    }
                }
                (Opening::Money(money), wallet) if self.arguments.dry_run => {
                    let booked = self.preview(wallet, money, &recorded).await?;
                    self.settle(&source, booked)?;
                }
                (Opening::Money(money), Wallet::Known(id)) => {
                    self.make_room().await?;
                    if self.is_interrupted() {
                        return Ok(());
                    }
                    self.books.submit(id, money, source);
                }
                (Opening::Money(_), Wallet::New) => unreachable!("a wallet is new in a dry run only"),
            }
        }
        Ok(())
    }

    /// The lines that were understood and name their wallets as the first one does. The others are refused.
    fn good(&mut self, reads: Vec<Read>) -> anyhow::Result<Vec<(Source, Line)>> {
        let mut good = Vec::with_capacity(reads.len());
        for Read { source, line } in reads {
            match line {
                Err(reason) => self.refuse(&source, &reason)?,
                Ok(line) if *self.naming.get_or_insert(Naming::of(&line)) != Naming::of(&line) => {
                    let reason = "the lines before name their wallets in the other way, by wallet_id or without: \
                                  import those of each way from a file of their own";
                    self.refuse(&source, reason)?;
                }
                Ok(line) => good.push((source, line)),
            }
        }
        Ok(good)
    }

    /// What earlier runs booked. Of amounts the engine knows it by itself; of zeros it is not asked, and in a dry run what it knows is asked here.
    async fn recorded(
        &mut self,
        good: &[(Source, Line)],
        found: &[wallets::Found],
    ) -> anyhow::Result<HashMap<Key, Recorded>> {
        let is_asked = |line: &Line| self.arguments.dry_run || matches!(line.opening, Opening::Zero(_));
        let keys: Vec<Key> = good
            .iter()
            .zip(found)
            .filter_map(|((_, line), wallet)| match wallet {
                Ok(Wallet::Known(id)) if is_asked(line) && line.opening != Opening::Unsaid => {
                    Some(key(self.arguments, *id, line.opening))
                }
                _ => None,
            })
            .collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let recorded = imports::list_recorded(self.connection, &keys).await.map_err(statement_failed)?;
        Ok(recorded
            .into_iter()
            .map(|recorded| ((recorded.wallet_id, recorded.idempotency_key.clone()), recorded))
            .collect())
    }

    async fn preview(&self, wallet: Wallet, money: Money, recorded: &HashMap<Key, Recorded>) -> anyhow::Result<Booked> {
        let Wallet::Known(id) = wallet else {
            return Ok(books::of_new_wallet(money, &self.currencies));
        };
        let is_there = recorded
            .get(&key(self.arguments, id, Opening::Money(money)))
            .is_some_and(|recorded| recorded.succeeded && recorded.amount == Some(money.amount.value()));
        if is_there { Ok(Booked::Earlier) } else { self.books.preview(id, money).await }
    }

    /// Waits until another opening balance may be on its way, or until no more are wanted.
    async fn make_room(&mut self) -> anyhow::Result<()> {
        while self.books.in_flight() >= IN_FLIGHT_MAX || self.books.bytes_in_flight() >= BYTES_IN_FLIGHT_MAX {
            tokio::select! {
                () = interruption(&mut self.interrupted) => return Ok(()),
                settled = self.books.next() => if let Some((source, booked)) = settled? {
                    self.settle(&source, booked)?;
                },
            }
        }
        Ok(())
    }

    fn settle(&mut self, source: &Source, booked: Booked) -> anyhow::Result<()> {
        match booked {
            Booked::Now => self.tally.booked += 1,
            Booked::Earlier => self.tally.booked_earlier += 1,
            Booked::Refused(reason) => self.refuse(source, &reason)?,
        }
        Ok(())
    }

    fn refuse(&mut self, source: &Source, reason: &str) -> anyhow::Result<()> {
        self.tally.refused += 1;
        let Self { refused, bar, .. } = self;
        // Both on one screen would be written over each other.
        bar.suspend(|| refused.put(source, reason))
    }
}

/// A wallet, and the key of its opening balance in a currency.
type Key = (i64, String);

fn key(arguments: &Arguments, wallet: i64, opening: Opening) -> Key {
    (wallet, arguments.name.key(opening).expect("it names a currency"))
}
