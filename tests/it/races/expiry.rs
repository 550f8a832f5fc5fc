//! Expiry by two instances at once, against those who cancel and confirm, and across the death of a process.

use futures::future::join_all;
use purser::engine::expiry;
use purser::ledger::{Transaction, TransactionId};
use purser::posting::{Attempt, post};
use purser::settings::Expiry;
use purser::store::Store;
use tokio::sync::watch;

use super::instances::Instances;
use crate::support::amqp::OwnedNames;
use crate::support::requests::{asked, cancel, confirm, invoice, pending, when_funded, withdraw};
use crate::support::{Names, PATIENCE, Server, TestDatabase, amqp_url, assert_books_balance, poll_until};

const HOLDS: usize = 300;

async fn created(database: &TestDatabase) -> usize {
    database.fetch("SELECT count(*) FROM transactions WHERE status = 'Created'").await.parse().expect("a number")
}

#[actix_rt::test]
async fn a_wallet_that_others_have_locked_holds_up_no_other_expiry() {
    let instances = Instances::start(2).await;
    for wallet in [1, 2] {
        instances.ask(invoice(wallet, "10")).await;
        instances.ask(pending(withdraw(wallet, "1"), Some(1))).await;
    }
    let mut lock = instances.database.pool.begin().await.expect("the database is there");
    sqlx::query("SELECT id FROM wallets WHERE id = 1 FOR UPDATE")
        .execute(&mut *lock)
        .await
        .expect("nobody else has it");
    let (stop, stop_asked) = watch::channel(false);
    let settings = Expiry { poll_ms: 5, claim_ms: 10_000, batch_max: 20 };
    let (store, processor) = (instances.stores[0].clone(), instances.processors[0].clone());
    let sweep = actix_rt::spawn(expiry::sweep(store, processor, settings, stop_asked));
    poll_until(PATIENCE, "the other's hold expires", async || created(&instances.database).await == 1).await;
    let left = "SELECT wallet_id FROM transactions WHERE status = 'Created'";
    assert_eq!(instances.database.fetch(left).await, "1");
    lock.rollback().await.expect("the database is there");
    poll_until(PATIENCE, "its turn comes", async || created(&instances.database).await == 0).await;
    stop.send(true).expect("it listens");
    sweep.await.expect("it does not panic");
    assert_books_balance(&instances.database.pool).await;
}

#[actix_rt::test]
async fn what_expires_under_two_sweepers_while_others_confirm_and_cancel_ends_once() {
    let instances = Instances::start(1).await;
    instances.ask(invoice(1, "1000")).await;
    let holds = (0..HOLDS).map(|n| {
        let request = withdraw(1, "1");
        // Some wait in a line: nothing can ever pay 5000.
        let request = if n % 3 == 0 { when_funded(withdraw(1, "5000"), Some(1)) } else { pending(request, Some(1)) };
        instances.ask(request)
    });
    let holds: Vec<TransactionId> = join_all(holds).await.into_iter().map(|hold: Transaction| hold.id).collect();
    let (stop, stop_asked) = watch::channel(false);
    // A claim ends nearly at once, so that both sweepers are given the same again and again.
    let settings = Expiry { poll_ms: 5, claim_ms: 1, batch_max: 20 };
    let sweeps: Vec<_> = instances
        .stores
        .iter()
        .zip(&instances.processors)
        .map(|(store, processor)| {
            actix_rt::spawn(expiry::sweep(store.clone(), processor.clone(), settings.clone(), stop_asked.clone()))
        })
        .collect();
    poll_until(PATIENCE, "the first expires", async || created(&instances.database).await < HOLDS).await;
    let others = holds.iter().enumerate().map(|(n, hold)| {
        let request = if n % 2 == 0 { cancel(1, *hold) } else { confirm(1, *hold) };
        instances.processors[n / 2 % 2].submit(asked(request))
    });
    let mut done = 0;
    for outcome in join_all(others).await {
        match outcome.expect("the database is there").label() {
            "Success" => done += 1,
            "transaction_final" | "transaction_waiting" => {}
            other => panic!("{other}"),
        }
    }
    poll_until(PATIENCE, "all are ended", async || created(&instances.database).await == 0).await;
    stop.send(true).expect("they listen");
    join_all(sweeps).await;
    let expired = "SELECT count(*) FROM transactions WHERE rejection = 'expired'";
    let expired: usize = instances.database.fetch(expired).await.parse().expect("a number");
    let late = "SELECT max(finished_at - expires_at) FROM transactions WHERE rejection = 'expired'";
    let late = instances.database.fetch(late).await;
    println!("{expired} of {HOLDS} expired, the last {late} after its time; {done} were ended by others");
    assert_eq!(expired + done, HOLDS);
    let held = "SELECT sum(held) = 0 FROM balances";
    assert_eq!(instances.database.fetch(held).await, "true");
    instances.assert_right().await;
}

#[actix_rt::test]
async fn what_expired_while_no_process_lived_is_ended_by_the_next() {
    let database = TestDatabase::create().await;
    let names = OwnedNames(Names::new());
    let mut environment = vec![("DATABASE_URL", database.url.clone()), ("AMQP_URL", amqp_url())];
    environment.extend(names.0.environment());
    let mut server = Server::start(environment);
    server.ready().await;
    let store = Store::new(&database.settings().database).expect("the address is well-formed");
    let requests = [
        invoice(1, "10"),
        pending(withdraw(1, "4"), Some(5)),
        pending(invoice(1, "3"), Some(5)),
        when_funded(withdraw(1, "50"), Some(5)),
        pending(withdraw(1, "1"), Some(600)),
    ];
    post(&store, &requests.map(asked), Attempt::First).await.expect("the database is there");
    // Before any of them is due.
    server.kill();
    let due = "SELECT count(*) FROM transactions WHERE expires_at <= clock_timestamp()";
    poll_until(PATIENCE, "three are due", async || database.fetch(due).await == "3").await;
    assert_eq!(created(&database).await, 4, "nobody was there to end them");
    server.restart();
    poll_until(PATIENCE * 2, "they are ended", async || created(&database).await == 1).await;
    let ended = "SELECT count(*) FROM transactions WHERE status = 'Error' AND rejection = 'expired'";
    assert_eq!(database.fetch(ended).await, "3");
    assert_eq!(database.available(1, "USD").await, "9");

    // And what is due while a process lives is ended by itself.
    server.ready().await;
    let hold = asked(pending(withdraw(1, "9"), Some(1)));
    let late = format!("SELECT finished_at - expires_at FROM transactions WHERE id = '{}'", hold.id);
    post(&store, &[hold], Attempt::First).await.expect("the database is there");
    poll_until(PATIENCE, "it is ended", async || created(&database).await == 1).await;
    println!("ended {} after its time", database.fetch(late).await);
    assert_eq!(database.available(1, "USD").await, "9");
    assert_books_balance(&database.pool).await;
}
