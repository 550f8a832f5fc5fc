//! Two instances on one database, and how they are made to race.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::join_all;
use purser::engine::{Processor, SubmitError};
use purser::ledger::outcome::Replay;
use purser::ledger::{Answer, IdempotencyKey, Operation, Outcome, Request, Transaction, TransactionId};
use purser::store::Store;
use purser::telemetry::Metrics;

use crate::support::requests::asked;
use crate::support::{TestDatabase, assert_books_balance};

/// How often each race is run.
pub const ROUNDS: usize = 120;

/// Two instances, as two processes would be: nothing is shared but the database.
pub struct Instances {
    pub processors: [Processor; 2],
    pub stores: [Store; 2],
    metrics: [Arc<Metrics>; 2],
    // Last: the database is dropped when nothing uses it any more.
    pub database: TestDatabase,
}

impl Instances {
    pub async fn start(wallets: i64) -> Self {
        let database = TestDatabase::with_wallets(wallets).await;
        let settings = database.settings();
        let metrics = [Arc::new(Metrics::new()), Arc::new(Metrics::new())];
        let stores = [(); 2].map(|()| Store::new(&settings.database).expect("the address is well-formed"));
        let start = |instance: usize| {
            Processor::start(stores[instance].clone(), &settings.engine, Arc::clone(&metrics[instance]))
        };
        Self { processors: [start(0), start(1)], stores, metrics, database }
    }

    /// Asks one instance and waits; must succeed, or become Created.
    pub async fn ask(&self, request: Request) -> Transaction {
        let outcome = self.processors[0].submit(asked(request)).await.expect("the database is there");
        match outcome.result {
            Ok(Answer::Transaction(transaction)) => transaction,
            other => panic!("no transaction: {other:?}"),
        }
    }

    /// Submits all of them before any can be answered, spread over both instances. Who is first and which instance gets whom changes from round to
    /// round. The words of their outcomes stand in the order of the requests.
    pub async fn race<const N: usize>(&self, round: usize, requests: [Request; N]) -> [&'static str; N] {
        let mut submissions = Vec::with_capacity(N);
        for turn in 0..N {
            let position = (turn + round) % N;
            let instance = (position + round / N) % 2;
            let submission = self.processors[instance].submit(asked(requests[position].clone()));
            submissions.push(async move { (position, submission.await) });
        }
        let mut words = [""; N];
        for (position, submitted) in join_all(submissions).await {
            words[position] = word(&submitted);
        }
        words
    }

    /// Asks both at once for the same under the same key: one does it, the other finds it done. Gives what became of it.
    pub async fn race_under_one_key(&self, round: usize, request: &Request) -> &'static str {
        let key = IdempotencyKey::new(&format!("key {round}")).expect("it is fit");
        let submissions = [round % 2, 1 - round % 2].map(|instance| {
            let idempotency_key = Some(key.clone());
            // Each instance gives it a name of its own, the items of a batch included.
            self.processors[instance].submit(Operation { idempotency_key, ..asked(renamed(request)) })
        });
        let answers: Vec<Outcome> =
            join_all(submissions).await.into_iter().map(|answer| answer.expect("the database is there")).collect();
        assert_eq!(answers[0].result, answers[1].result, "{request:?}");
        let replays = answers.iter().filter(|answer| answer.replay == Replay::Replayed).count();
        assert_eq!(replays, 1, "one did it, one found it done: {request:?}");
        answers[0].label()
    }

    /// A transaction's status and rejection as they are stored: `Error cancelled`.
    pub async fn stored(&self, id: TransactionId) -> String {
        self.database
            .fetch(format!("SELECT concat_ws(' ', status, rejection) FROM transactions WHERE id = '{id}'"))
            .await
    }

    /// The books are right, and nobody had to be tried again because two waited for each other.
    pub async fn assert_right(&self) {
        for metrics in &self.metrics {
            assert_eq!(metrics.store_retries.with_label_values(&["40P01"]).get(), 0, "a deadlock");
        }
        assert_books_balance(&self.database.pool).await;
    }
}

/// How often a race ended in which way; told at the end, to see that it was one.
#[derive(Default)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub fn count(&mut self, end: impl Debug) {
        *self.0.entry(format!("{end:?}")).or_default() += 1;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for (end, count) in &self.0 {
            println!("{count:4} x {end}");
        }
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        for processor in &self.processors {
            processor.stop();
        }
    }
}

fn renamed(request: &Request) -> Request {
    match request {
        Request::Batch(batch) => crate::support::requests::batch(batch.items().iter().map(|item| item.request.clone())),
        other => other.clone(),
    }
}

fn word(submitted: &Result<Outcome, SubmitError>) -> &'static str {
    submitted.as_ref().expect("the database is there").label()
}
