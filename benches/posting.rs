//! How fast a batch is posted: by its size, over many wallets and on one. One lane, one batch after the other.

#![allow(clippy::float_arithmetic, reason = "times, not money")]

mod support;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use support::database::{self, Scratch};
use support::lanes::Work;
use support::{Spread, Stream, WALLETS_MANY};
use tokio::runtime::Runtime;

const BATCHES: [usize; 5] = [1, 10, 100, 500, 1000];

fn posting(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let (scratch, store) = runtime.block_on(Scratch::open()).expect("a database can be made");
    runtime.block_on(database::fund(&store, WALLETS_MANY)).expect("the wallets are funded");

    let mut group = criterion.benchmark_group("posting");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for spread in [Spread::Even(WALLETS_MANY), Spread::OneHot] {
        let mut stream = Stream::new(spread);
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(spread.to_string(), batch), |bencher| {
                bencher.iter_custom(|iterations| {
                    let operations = batch * usize::try_from(iterations).expect("iterations are few");
                    let work = Work::share_out(stream.by_ref().take(operations), 1, batch);
                    runtime.block_on(work.post(&store)).expect("everything is posted")
                });
            });
        }
    }
    group.finish();
    runtime.block_on(store.close());
    runtime.block_on(scratch.drop()).expect("the database is dropped");
}

criterion_group!(benches, posting);
criterion_main!(benches);
