//! The engine end to end, without a broker: many operations in flight, every wallet's in its order, committed to PostgreSQL.

#![allow(clippy::float_arithmetic, reason = "times, not money")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::SystemRunner;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use purser::engine::Processor;
use purser::ledger::Operation;
use purser::settings::Settings;
use purser::telemetry::Metrics;
use support::database::{self, Scratch};
use support::{Spread, Stream, WALLETS_MANY};
use tokio::sync::Semaphore;

/// Operations accepted and not yet answered: what the broker's prefetch allows.
const IN_FLIGHT_MAX: u32 = 4000;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

fn ordering(criterion: &mut Criterion) {
    let system = actix::System::new();
    let settings = Settings::load(None::<&Path>).expect("the built-in settings are right").engine;
    let (scratch, store) = system.block_on(Scratch::open()).expect("a database can be made");
    system.block_on(database::fund(&store, WALLETS_MANY)).expect("the wallets are funded");
    let processor = system.block_on(async { Processor::start(store.clone(), &settings, Arc::new(Metrics::new())) });

    let mut group = criterion.benchmark_group("ordering");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_secs(2)).measurement_time(Duration::from_secs(8));
    for spread in [Spread::Even(WALLETS_MANY), Spread::OneHot, Spread::Zipf(WALLETS_MANY)] {
        let mut stream = Stream::new(spread);
        group.bench_function(spread.to_string(), |bencher| {
            bencher.iter_custom(|iterations| {
                let operations = stream.by_ref().take(usize::try_from(iterations).expect("iterations are few"));
                submit_all(&system, &processor, operations.collect())
            });
        });
    }
    group.finish();
    let left = system.block_on(processor.drain(DRAIN_TIMEOUT));
    assert_eq!(left, 0, "everything was answered");
    processor.stop();
    system.block_on(store.close());
    system.block_on(scratch.drop()).expect("the database is dropped");
}

/// Submits everything in order, as many at a time as may be in flight, and waits for the last answer.
fn submit_all(system: &SystemRunner, processor: &Processor, operations: Vec<Operation>) -> Duration {
    system.block_on(async {
        let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX as usize));
        let started = Instant::now();
        for operation in operations {
            let place = Arc::clone(&places).acquire_owned().await.expect("the places stay open");
            processor.submit_with(operation, move |result| {
                let outcome = result.expect("the engine answers");
                assert!(outcome.result.is_ok(), "an operation was refused: {outcome:?}");
                drop(place);
            });
        }
        let _all = places.acquire_many(IN_FLIGHT_MAX).await.expect("the places stay open");
        started.elapsed()
    })
}

criterion_group!(benches, ordering);
criterion_main!(benches);
