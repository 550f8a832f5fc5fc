//! One row-lock transaction per operation, on Purser's own tables: lock the balance, look the key up, write, commit.
//!
//! Written in three ways, each prepared once per connection. Purser must reach its ratio beside every one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use purser::ledger::Operation;
use rust_decimal::Decimal;
use sqlx::{Connection, PgConnection};

use crate::support::database::Scratch;

/// A way to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As most services do it: BEGIN, lock, key, write, COMMIT; five round trips, decided in the service.
    RoundTrips,
    /// All of it in a PL/pgSQL function: one round trip, decided in the database.
    Function,
    /// All of it in one statement, where the update is the lock: one round trip.
    Statement,
}

impl Way {
    /// Every way there is.
    pub const ALL: [Self; 3] = [Self::RoundTrips, Self::Function, Self::Statement];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::RoundTrips => "row lock, then decide, in five round trips",
            Self::Function => "row lock in a server-side function",
            Self::Statement => "one statement that decides in SQL",
        }
    }
}

/// Adds what the ways need to a database that has Purser's tables.
pub async fn prepare(scratch: &Scratch) -> anyhow::Result<()> {
    sqlx::raw_sql(FUNCTION).execute(&mut scratch.connect().await?).await?;
    Ok(())
}

/// Connections that stay open from round to round.
pub struct Connections(Vec<PgConnection>);

impl Connections {
    /// Opens so many.
    pub async fn open(scratch: &Scratch, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(scratch.connect().await?);
        }
        Ok(Self(connections))
    }

    /// Applies everything, each connection taking the next operation when it is done with one; every operation must succeed.
    /// Returns how long it took.
    pub async fn apply(&mut self, way: Way, operations: Vec<Operation>) -> anyhow::Result<Duration> {
        let operations: Arc<[Operation]> = operations.into();
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let tasks: Vec<_> = std::mem::take(&mut self.0)
            .into_iter()
            .map(|connection| tokio::spawn(work(connection, way, Arc::clone(&operations), Arc::clone(&next))))
            .collect();
        for task in tasks {
            self.0.push(task.await??);
        }
        Ok(started.elapsed())
    }
}

async fn work(
    mut connection: PgConnection,
    way: Way,
    operations: Arc<[Operation]>,
    next: Arc<AtomicUsize>,
) -> anyhow::Result<PgConnection> {
    while let Some(operation) = operations.get(next.fetch_add(1, Ordering::Relaxed)) {
        let withdrawal = Withdrawal::of(operation);
        let is_done = match way {
            Way::RoundTrips => withdrawal.in_round_trips(&mut connection).await?,
            Way::Function => withdrawal.in_one_trip(&mut connection, CALL).await?,
            Way::Statement => withdrawal.in_one_trip(&mut connection, STATEMENT).await?,
        };
        ensure!(is_done, "an operation was refused");
    }
    Ok(connection)
}

/// A withdrawal, as its columns.
struct Withdrawal<'a> {
    id: uuid::Uuid,
    wallet: i64,
    currency: String,
    amount: Decimal,
    key: &'a str,
    fingerprint: [u8; 16],
}

impl<'a> Withdrawal<'a> {
    fn of(operation: &'a Operation) -> Self {
        let money = operation.request.money().expect("the baseline withdraws only");
        Self {
            id: operation.id.0,
            wallet: operation.request.wallet().0,
            currency: money.currency.to_string(),
            amount: money.amount.value(),
            key: operation.idempotency_key.as_ref().expect("the baseline's operations have keys").as_str(),
            fingerprint: operation.request.fingerprint().0,
        }
    }

    /// `false` when it was refused or is a replay, which the measured streams do not hold.
    async fn in_round_trips(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let mut db_tx = connection.begin().await?;
        let (available, seq): (Decimal, i64) = sqlx::query_as(
            "SELECT available, seq
             FROM balances
             WHERE wallet_id = $1 AND currency = $2
             FOR UPDATE",
        )
        .bind(self.wallet)
        .bind(&self.currency)
        .fetch_one(&mut *db_tx)
        .await?;
        let answered: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT status, fingerprint
             FROM transactions
             WHERE wallet_id = $1 AND idempotency_key = $2",
        )
        .bind(self.wallet)
        .bind(self.key)
        .fetch_optional(&mut *db_tx)
        .await?;
        if answered.is_some() || available < self.amount {
            return Ok(false);
        }
        sqlx::query(
            "WITH new_transaction AS (
                 INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, idempotency_key, fingerprint, created_at)
                 VALUES ($1, $2, 'withdraw', 'Success', $3, $4, $5, $6, now())
             ), new_entry AS (
                 INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta, incoming_delta,
                     available, held, incoming, created_at)
                 VALUES ($2, $3, $7, $1, -$4, 0, 0, $8, 0, 0, now())
             )
             UPDATE balances
             SET available = $8, seq = $7
             WHERE wallet_id = $2 AND currency = $3",
        )
        .bind(self.id)
        .bind(self.wallet)
        .bind(&self.currency)
        .bind(self.amount)
        .bind(self.key)
        .bind(&self.fingerprint[..])
        .bind(seq + 1)
        .bind(available - self.amount)
        .execute(&mut *db_tx)
        .await?;
        db_tx.commit().await?;
        Ok(true)
    }

    /// `false` as above.
    async fn in_one_trip(&self, connection: &mut PgConnection, statement: &'static str) -> sqlx::Result<bool> {
        let status: Option<String> = sqlx::query_scalar(statement)
            .bind(self.id)
            .bind(self.wallet)
            .bind(&self.currency)
            .bind(self.amount)
            .bind(self.key)
            .bind(&self.fingerprint[..])
            .fetch_optional(connection)
            .await?;
        Ok(status.as_deref() == Some("Success"))
    }
}

const CALL: &str = "SELECT withdraw_in_one_trip($1, $2, $3, $4, $5, $6)";

const FUNCTION: &str = "
CREATE FUNCTION withdraw_in_one_trip(
    asked_id UUID, asked_wallet BIGINT, asked_currency TEXT, asked_amount NUMERIC, asked_key TEXT, asked_fingerprint BYTEA
) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    balance balances;
    answered transactions;
BEGIN
    SELECT * INTO STRICT balance
    FROM balances
    WHERE wallet_id = asked_wallet AND currency = asked_currency
    FOR UPDATE;

    SELECT * INTO answered
    FROM transactions
    WHERE wallet_id = asked_wallet AND idempotency_key = asked_key;
    IF FOUND THEN
        RETURN CASE WHEN answered.fingerprint = asked_fingerprint THEN 'replay' ELSE 'idempotency_key_reused' END;
    END IF;

    IF balance.available < asked_amount THEN
        INSERT INTO transactions
            (id, wallet_id, kind, status, rejection, currency, amount, idempotency_key, fingerprint, created_at)
        VALUES (asked_id, asked_wallet, 'withdraw', 'Error', 'insufficient_funds', asked_currency, asked_amount, asked_key,
            asked_fingerprint, now());
        RETURN 'Error';
    END IF;

    INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, idempotency_key, fingerprint, created_at)
    VALUES (asked_id, asked_wallet, 'withdraw', 'Success', asked_currency, asked_amount, asked_key, asked_fingerprint, now());
    INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta, incoming_delta,
        available, held, incoming, created_at)
    VALUES (asked_wallet, asked_currency, balance.seq + 1, asked_id, -asked_amount, 0, 0,
        balance.available - asked_amount, balance.held, balance.incoming, now());
    UPDATE balances
    SET available = balance.available - asked_amount, seq = balance.seq + 1
    WHERE wallet_id = asked_wallet AND currency = asked_currency;
    RETURN 'Success';
END $$";

/// A duplicate that slips past the lookup meets the unique index, and all of it is undone. No row comes back when funds are short: a second
/// statement would record that.
const STATEMENT: &str = "
WITH answered AS (
    SELECT status
    FROM transactions
    WHERE wallet_id = $2 AND idempotency_key = $5
), changed AS (
    UPDATE balances
    SET available = available - $4, seq = seq + 1
    WHERE wallet_id = $2 AND currency = $3 AND available >= $4 AND NOT EXISTS (SELECT FROM answered)
    RETURNING available, held, incoming, seq
), new_entry AS (
    INSERT INTO entries (wallet_id, currency, seq, transaction_id, available_delta, held_delta, incoming_delta,
        available, held, incoming, created_at)
    SELECT $2, $3, seq, $1, -$4, 0, 0, available, held, incoming, now()
    FROM changed
)
INSERT INTO transactions (id, wallet_id, kind, status, currency, amount, idempotency_key, fingerprint, created_at)
SELECT $1, $2, 'withdraw', 'Success', $3, $4, $5, $6, now()
FROM changed
RETURNING status";
