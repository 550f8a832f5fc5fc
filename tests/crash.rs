//! The crash test: the real binary under load over AMQP, while it, PostgreSQL and RabbitMQ are killed again and again with SIGKILL.
//!
//! Afterwards it is proved, see [`proof`], that every operation was applied exactly once, in publishing order, and answered with what
//! is stored. It has servers of its own, so that it disturbs nobody. Progress is printed while it runs.

#[path = "crash/journal.rs"]
mod journal;
#[path = "crash/proof.rs"]
mod proof;
#[path = "crash/publisher.rs"]
mod publisher;
#[path = "crash/servers.rs"]
mod servers;
#[allow(dead_code, unused_imports, reason = "shared with the integration tests, which use all of it")]
#[path = "it/support/mod.rs"]
mod support;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use servers::{Servers, Service};
use support::{Names, Server, TestDatabase, poll_until};

use crate::publisher::{Load, Publisher};

/// Wallets, shared out among the publishers; a transfer may credit any of them.
const WALLETS: i64 = 50;
const PUBLISHERS: i64 = 10;
/// Operations each round publishes at least.
const OPERATIONS_MIN: u64 = 20_000;
/// The longest that everything published may take to be answered once nothing is killed any more.
const ANSWERS_DEADLINE: Duration = Duration::from_secs(120);

/// RabbitMQ writes down which quorum queues it has a moment after it has said that one is declared (Ra's `names.dets`, saved when it was
/// left alone for 0.5 s). Killed before that, it never finds the queue again; nothing that uses it can help.
const QUEUE_REGISTRATION_DELAY: Duration = Duration::from_secs(3);

/// What is killed in a round, and how often.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Purser { kills: u32 },
    Service { service: Service, kills: u32 },
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_is_done_once_in_order_and_answered_whatever_is_killed() {
    let seed: u64 = rand::random();
    progress(&format!("seed {seed}"));
    let servers = Servers::start();
    round("purser", Victim::Purser { kills: 12 }, &servers, seed).await;
    for (name, service, kills) in [("PostgreSQL", Service::Postgres, 5), ("RabbitMQ", Service::Rabbitmq, 3)] {
        if servers.can_be_killed {
            round(name, Victim::Service { service, kills }, &servers, seed).await;
        } else {
            progress(&format!(
                "NOT RUN: {name} killed. These servers are somebody else's and are not killed from here."
            ));
        }
    }
}

/// One load from an empty database to the proof, with one kind of victim.
async fn round(name: &str, victim: Victim, servers: &Servers, seed: u64) {
    let began = Instant::now();
    let database = TestDatabase::on_server(&servers.database_url, WALLETS).await;
    let names = Names::new();
    let urls = [("DATABASE_URL", database.url.clone()), ("AMQP_URL", servers.amqp_url.clone())];
    let mut server = Server::start(names.environment().into_iter().chain(urls));
    server.ready().await;

    let load = Arc::new(Load::new(servers.amqp_url.clone(), names.clone(), OPERATIONS_MIN));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|group| {
            let wallets = (1..=WALLETS).filter(|wallet| wallet % PUBLISHERS == group).collect();
            let random = StdRng::seed_from_u64(seed.wrapping_add(group.cast_unsigned()));
            tokio::spawn(Publisher::new(Arc::clone(&load), wallets, WALLETS, random).run())
        })
        .collect();

    let mut random = StdRng::seed_from_u64(seed);
    let kills = match victim {
        Victim::Purser { kills } | Victim::Service { kills, .. } => kills,
    };
    if matches!(victim, Victim::Service { service: Service::Rabbitmq, .. }) {
        tokio::time::sleep(QUEUE_REGISTRATION_DELAY).await;
    }
    for kill in 1..=kills {
        await_a_moment(&load, &mut random).await;
        let answered = load.answered.load(Ordering::Relaxed);
        progress(&format!("{name}: SIGKILL {kill} of {kills} after {answered} answers, {} open", load.open()));
        match victim {
            Victim::Purser { .. } => {
                server.kill();
                server.restart();
                // Every third time it is killed again while it starts.
                if kill % 3 != 0 {
                    server.ready().await;
                }
            }
            Victim::Service { service, .. } => {
                servers.kill(service);
                tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
                servers.start_again(service);
            }
        }
    }
    load.disturbance_is_over.store(true, Ordering::Relaxed);

    progress(&format!("{name}: no more kills, {} open; waiting for the last answers", load.open()));
    let mut journals = Vec::new();
    for publisher in publishers {
        let journal = tokio::time::timeout(ANSWERS_DEADLINE, publisher).await;
        let log = server.log.display();
        let journal = journal.unwrap_or_else(|_| panic!("{} never answered; the server's log: {log}", load.open()));
        journals.push(journal.expect("a publisher does not panic"));
    }
    progress(&format!("{name}: everything is answered; proving"));
    let counts = proof::prove(journals, &database, &servers.amqp_url, &names).await;
    assert!(counts.operations >= OPERATIONS_MIN);
    assert!(server.terminate().await.success(), "it stops in good order; its log: {}", server.log.display());
    names.delete(&servers.amqp_url).await.expect("the broker is there");
    progress(&format!("{name}: proved: {counts} ({kills} kills, {:.0} s)", began.elapsed().as_secs_f32()));
}

/// A random moment under load: some answers later, and then some milliseconds.
async fn await_a_moment(load: &Load, random: &mut StdRng) {
    // Sometimes at once, whatever state everything is in.
    if random.random_bool(0.75) {
        let goal = load.answered.load(Ordering::Relaxed) + random.random_range(1..2_500);
        poll_until(ANSWERS_DEADLINE, "operations are answered", async || load.answered.load(Ordering::Relaxed) >= goal)
            .await;
    }
    tokio::time::sleep(Duration::from_micros(random.random_range(0..300_000))).await;
}

/// Says it at once: the harness holds back what `println!` says until a test has failed.
fn progress(line: &str) {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    writeln!(std::io::stdout(), "crash test: {:5.1} s: {line}", BEGAN.elapsed().as_secs_f32()).ok();
}
