//! The pure part: reading a message, deciding, folding a batch, rendering a reply. No database, no broker.

#![allow(clippy::float_arithmetic, reason = "times, not money")]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use purser::ledger::{
    Answered, Balance, Books, Currencies, Currency, Kind, Operation, Request, Standing, State, StoredBalance, Terms,
    Timestamp, WalletId, rules,
};
use purser::settings::Settings;
use purser::wire::{self, Asked, Dialect, Limits, Message};
use rust_decimal::Decimal;
use support::operations::{money, new_id};
use support::{FUNDS, Spread, Stream, WALLETS_MANY};

const BATCHES: [usize; 3] = [1, 100, 1000];

fn decide(criterion: &mut Criterion) {
    let mut group = group(criterion, "decide");
    let state = state([WalletId(1), WalletId(2)]);
    for request in requests() {
        group.bench_function(request.kind().as_str(), |bencher| {
            bencher.iter(|| rules::decide(black_box(&state), black_box(&request)));
        });
    }
}

/// What posting does between reading and writing: opens the books, folds the batch in, closes them.
fn fold(criterion: &mut Criterion) {
    let mut group = group(criterion, "fold");
    for spread in [Spread::Even(WALLETS_MANY), Spread::OneHot] {
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch as u64));
            for (keys, stream) in [("keys", Stream::new(spread)), ("no keys", Stream::new(spread).without_keys())] {
                let operations: Vec<Operation> = stream.take(batch).collect();
                fold_batch(&mut group, BenchmarkId::new(format!("withdraw, {spread}, {keys}"), batch), &operations);
            }
        }
    }
    group.throughput(Throughput::Elements(100));
    for request in requests() {
        let operations: Vec<Operation> =
            (0..100).map(|_| Operation { id: new_id(), idempotency_key: None, request: request.clone() }).collect();
        fold_batch(&mut group, BenchmarkId::new(request.kind().as_str(), 100), &operations);
    }
}

fn fold_batch(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, operations: &[Operation]) {
    let requests = operations.iter().map(|operation| &operation.request);
    let state = state(requests.flat_map(|request| [Some(request.wallet()), request.to_wallet()]).flatten());
    group.bench_function(id, |bencher| {
        bencher.iter_batched(
            || state.clone(),
            |state| {
                let mut books = Books::open(state, Answered::default());
                let outcomes: Vec<_> = operations.iter().map(|operation| books.apply(operation)).collect();
                (outcomes, books.close())
            },
            BatchSize::LargeInput,
        );
    });
}

fn wire(criterion: &mut Criterion) {
    let mut group = group(criterion, "wire");
    let settings = Settings::load(None::<&Path>).expect("the built-in settings are right");
    let limits = Limits {
        body_bytes_max: settings.broker.body_bytes_max,
        batch_body_bytes_max: settings.batch.body_bytes_max,
        batch_operations_max: settings.batch.operations_max,
    };
    let dialects = [
        ("native", Dialect::Native, r#"{"wallet_id":1,"currency":"USD","amount":12.34}"#),
        ("system 000", Dialect::TransactionalSystem, r#"{"wallet_id":1,"ticker":"USD","amount":12.34}"#),
    ];
    for (name, dialect, body) in dialects {
        let message = Message {
            dialect,
            operation: Kind::Withdraw.as_str(),
            content_type: Some("application/json"),
            body: body.as_bytes(),
            idempotency_key: Some("0195f3c2-9f5e-7c3a-8b1e-3d2f4a5b6c7d"),
        };
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| wire::decode(black_box(&message), limits).expect("the message is right"));
        });
        let asked = wire::decode(&message, limits).expect("the message is right");
        let Asked::Operation(operation) = asked else { unreachable!("it is no batch") };
        let outcome = Books::open(state([WalletId(1)]), Answered::default()).apply(&operation);
        group.bench_function(BenchmarkId::new("render", name), |bencher| {
            bencher.iter(|| wire::reply_to(dialect, black_box(&operation.request), black_box(&outcome)));
        });
    }
    let [request, ..] = requests();
    group.bench_function("fingerprint", |bencher| bencher.iter(|| black_box(&request).fingerprint()));
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    group
}

/// One of each kind.
fn requests() -> [Request; 4] {
    let (wallet, to_wallet, money) = (WalletId(1), WalletId(2), money(Decimal::new(123, 2)));
    [
        Request::Invoice { wallet, money, terms: Terms::default() },
        Request::Withdraw { wallet, money, terms: Terms::default() },
        Request::Transfer { wallet, to_wallet, money, terms: Terms::default() },
        Request::Balance { wallet },
    ]
}

/// These wallets with money.
fn state(wallets: impl IntoIterator<Item = WalletId>) -> State {
    let currency = money(Decimal::ONE).currency;
    let currencies: Currencies = [Currency { code: currency, number: 1, scale: 2 }].into_iter().collect();
    let mut wallets: Vec<WalletId> = wallets.into_iter().collect();
    wallets.sort_unstable();
    wallets.dedup();
    let balance = Balance { available: Decimal::from(FUNDS), ..Balance::default() };
    let balances: Vec<_> =
        wallets.iter().map(|&wallet| StoredBalance { wallet, currency, balance, seq: 1, waiting: 0 }).collect();
    State::new(
        Timestamp::EPOCH,
        Arc::new(currencies),
        wallets.into_iter().map(|wallet| (wallet, Standing::Open)),
        balances,
    )
}

criterion_group!(benches, decide, fold, wire);
criterion_main!(benches);
