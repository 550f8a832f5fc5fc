//! The crash test: the real binary under load over AMQP, while it, PostgreSQL and RabbitMQ are killed again and again with SIGKILL.
//!
//! Afterwards it is proved, see [`proof`], that every operation with a key that was confirmed was applied exactly once, in publishing order, and
//! answered with what is stored; and that one without a key was applied once or is among the dead letters. It has servers of its own, so
//! that it disturbs nobody. Progress is printed while it runs.

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

use proof::{Proof, Tally};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use servers::{Servers, Service};
use support::{Amqp, Names, PATIENCE, Server, TestDatabase, poll_until};
use tokio::task::JoinSet;

use crate::journal::Counts;
use crate::publisher::{Load, Publisher};

/// The variable that sets the seed. The same operations are asked and the same pauses made then; what meets what is still up to the machine.
const SEED: &str = "CRASH_TEST_SEED";
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

/// What is killed in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Purser,
    Service(Service),
}

/// The victims, each with how often it is killed under load.
const ROUNDS: [(Victim, u32); 3] =
    [(Victim::Purser, 15), (Victim::Service(Service::Postgres), 10), (Victim::Service(Service::Rabbitmq), 5)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_is_done_once_in_order_and_answered_whatever_is_killed() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("the seed is a number"));
    progress(&format!("{SEED}={seed} asks for the same operations and pauses again"));
    let servers = Servers::start();
    for (victim, kills) in ROUNDS {
        if victim == Victim::Purser || servers.can_be_killed {
            round(victim, kills, &servers, seed).await;
        } else {
            progress(&format!(
                "NOT RUN: {victim} killed. These servers are somebody else's and are not killed from here."
            ));
        }
    }
}

/// One load from an empty database to the proof, with one kind of victim.
async fn round(victim: Victim, kills: u32, servers: &Servers, seed: u64) {
    let began = Instant::now();
    let database = TestDatabase::on_server(&servers.database_url, WALLETS).await;
    let names = Names::new();
    let urls = [("DATABASE_URL", database.url.clone()), ("AMQP_URL", servers.amqp_url.clone())];
    let mut server = Server::start(names.environment().into_iter().chain(urls));
    server.ready().await;

    let load = Arc::new(Load::new(servers.amqp_url.clone(), names.clone(), OPERATIONS_MIN));
    let mut publishers = JoinSet::new();
    for group in 0..PUBLISHERS {
        let wallets = (1..=WALLETS).filter(|wallet| wallet % PUBLISHERS == group).collect();
        let random = StdRng::seed_from_u64(seed.wrapping_add(group.cast_unsigned()));
        publishers.spawn(Publisher::new(Arc::clone(&load), wallets, WALLETS, random).run());
    }
    let random = StdRng::seed_from_u64(seed.wrapping_add(PUBLISHERS.cast_unsigned()));
    tokio::select! {
        () = disturb(victim, kills, &mut server, servers, &load, random) => {}
        Some(ended) = publishers.join_next() => {
            ended.expect("no publisher panics");
            unreachable!("a publisher goes on as long as something is killed");
        }
    }
    progress(&format!("{victim}: no more kills; waiting for the last confirms and answers"));
    let publishers = all(publishers, &server).await;
    let client = Amqp::connect(&servers.amqp_url).await.expect("the broker is there");
    settle(&mut server, &client, &names.queue).await;
    progress(&format!("{victim}: everything is confirmed and the queue is empty; proving"));
    let proof = Proof::begin(&database, &client, &names, &publishers).await;

    server.restart();
    server.ready().await;
    let asking = publishers.into_iter().map(Publisher::ask_again).collect();
    let publishers = all(asking, &server).await;
    settle(&mut server, &client, &names.queue).await;
    let tally = proof.end(&publishers).await;

    let counts: Counts = publishers.iter().map(|publisher| publisher.counts).sum();
    progress(&format!(
        "{victim}: proved after {kills} kills in {:.0} s: {tally}; {counts:?}",
        began.elapsed().as_secs_f32()
    ));
    assert!(tally.operations.cast_unsigned() >= OPERATIONS_MIN);
    victim.assert_was_felt(&tally, &counts);
    client.close().await;
    names.delete(&servers.amqp_url).await.expect("the broker is there");
}

/// Kills again and again while everybody works.
async fn disturb(victim: Victim, kills: u32, server: &mut Server, servers: &Servers, load: &Load, mut random: StdRng) {
    if victim == Victim::Service(Service::Rabbitmq) {
        tokio::time::sleep(QUEUE_REGISTRATION_DELAY).await;
    }
    for kill in 1..=kills {
        await_a_moment(load, &mut random).await;
        let (published, answered) = (load.published.load(Ordering::Relaxed), load.answered.load(Ordering::Relaxed));
        progress(&format!("{victim}: SIGKILL {kill} of {kills}: {published} published, {answered} answered"));
        let pause = Duration::from_millis(random.random_range(0..500));
        match victim {
            Victim::Purser => {
                server.kill();
                server.restart();
                // Every third time it is killed once more while it starts; that one is not counted.
                if kill % 3 == 0 {
                    tokio::time::sleep(pause / 5).await;
                    server.kill();
                    server.restart();
                }
                server.ready().await;
            }
            Victim::Service(service) => {
                servers.kill(service);
                tokio::time::sleep(pause).await;
                servers.start_again(service);
            }
        }
    }
    load.disturbance_is_over.store(true, Ordering::Relaxed);
}

/// Waits for all of them.
async fn all(mut publishers: JoinSet<Publisher>, server: &Server) -> Vec<Publisher> {
    let mut done = Vec::new();
    let deadline = tokio::time::Instant::now() + ANSWERS_DEADLINE;
    while let Some(publisher) = tokio::time::timeout_at(deadline, publishers.join_next()).await.unwrap_or_else(|_| {
        panic!("something is never confirmed or never answered; the server's log: {}", server.log.display())
    }) {
        done.push(publisher.expect("no publisher panics"));
    }
    done
}

/// Waits until the server has taken everything, and stops it in good order. Without a consumer nothing in the queue is out of sight.
async fn settle(server: &mut Server, client: &Amqp, queue: &str) {
    let is_empty = async || client.message_count(queue).await == 0;
    poll_until(ANSWERS_DEADLINE, "the work queue is empty", is_empty).await;
    assert!(server.terminate().await.success(), "it stops in good order; its log: {}", server.log.display());
    let is_left_empty = async || client.counts(queue).await == (0, 0);
    poll_until(PATIENCE, "a server that stops leaves nothing of what it took", is_left_empty).await;
}

impl Victim {
    /// A round that did not meet what it is for proves nothing.
    fn assert_was_felt(self, tally: &Tally, counts: &Counts) {
        let Tally { keyless, unconfirmed, parked, .. } = *tally;
        let Counts { connections_lost, asked_again, .. } = *counts;
        assert!(keyless > 0, "there are operations without a key");
        match self {
            Self::Purser | Self::Service(Service::Postgres) => {
                assert_eq!((connections_lost, asked_again), (0, 0), "every reply came by itself");
                assert_eq!(unconfirmed, 0, "everything is confirmed");
            }
            Self::Service(Service::Rabbitmq) => assert!(connections_lost > 0 && asked_again > 0, "replies were lost"),
        }
        match self {
            Self::Purser => assert!(parked > 0, "operations without a key came again"),
            Self::Service(Service::Postgres) => assert_eq!(parked, 0, "nothing came again"),
            Self::Service(Service::Rabbitmq) => {}
        }
    }
}

impl std::fmt::Display for Victim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Purser => "purser",
            Self::Service(Service::Postgres) => "PostgreSQL",
            Self::Service(Service::Rabbitmq) => "RabbitMQ",
        })
    }
}

/// A random moment under load: some answers later, and then some milliseconds.
async fn await_a_moment(load: &Load, random: &mut StdRng) {
    // Sometimes as soon as it works again.
    let answers = if random.random_bool(0.25) { 1 } else { random.random_range(1..2_500) };
    let goal = load.answered.load(Ordering::Relaxed) + answers;
    poll_until(ANSWERS_DEADLINE, "operations are answered", async || load.answered.load(Ordering::Relaxed) >= goal)
        .await;
    tokio::time::sleep(Duration::from_micros(random.random_range(0..300_000))).await;
}

/// Says it at once: the harness holds back what `println!` says until a test has failed.
fn progress(line: &str) {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    writeln!(std::io::stdout(), "crash test: {:5.1} s: {line}", BEGAN.elapsed().as_secs_f32()).ok();
}
