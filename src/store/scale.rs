//! How a currency gets more or fewer decimals.
//!
//! More is free: every amount that was right stays right. Fewer is only for a currency none of whose amounts and balances uses the decimals
//! that are to go, and while that is looked up, no posting may slip by, though every instance judges amounts by a copy of the currencies
//! that may be some seconds old. So it is done in steps, and nobody is held up:
//!
//! | step | why |
//! |---|---|
//! | an advisory lock per currency | one change at a time; it goes with its connection, so a crash leaves none |
//! | look | what is in use is refused before anybody notices anything |
//! | announce: `lowering_to`, committed | whoever reads the currencies from now on refuses finer amounts: stricter, so never wrong |
//! | wait for `AGE_MAX` | no copy from before is used any more by a batch that begins now |
//! | lock out every batch, and let go at once | batches that still use a copy from before hold locks on their wallets until they end |
//! | look again | nothing finer can come any more, so what is found now stays true |
//! | the new scale, or the announcement taken back | |
//!
//! It holds because a batch takes its copy of the currencies *after* it has locked its wallets, and holds these locks until it ends.
//! A crash in between leaves the announcement: amounts stay refused as announced, and asking again ends it.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::currencies::AGE_MAX;
use super::{Store, StoreError, Trouble};

/// How long a copy may live in all: its age, and some for the clocks of different machines.
const COPIES_LIVE: Duration = AGE_MAX.saturating_add(Duration::from_secs(1));
/// How long others wait at most while the batches before them are waited for; then they go on and it is tried again.
const BARRIER_TIMEOUT_MS: u32 = 250;
/// How often it is tried.
const BARRIER_TRIES: u32 = 40;
/// The pause between two tries.
const BARRIER_PAUSE: Duration = Duration::from_millis(250);

/// What became of a change of scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescaled {
    /// The currency has the new scale.
    Done,
    /// Amounts or balances use more decimals: it stays as it was.
    InUse,
    /// Someone else is changing it.
    Busy,
    /// There is no such currency.
    Unknown,
}

/// Gives a currency another scale. Takes some seconds when it is a smaller one.
///
/// Must be awaited to its end: dropped half way it leaves its announcement, as a crash does.
pub async fn change(store: &Store, code: &str, scale: i16) -> Result<Rescaled, StoreError> {
    let mut connection = store.connect_aside().await?;
    if !lock(&mut connection, code).await? {
        return Ok(Rescaled::Busy);
    }
    let result = match find(&mut connection, code).await? {
        None => Ok(Rescaled::Unknown),
        Some(current) if scale >= current => settle(&mut connection, code, scale).await.map(|()| Rescaled::Done),
        Some(_) => lower(&mut connection, code, scale).await,
    };
    // With the connection goes the lock.
    connection.close().await.ok();
    result
}

async fn lower(connection: &mut PgConnection, code: &str, scale: i16) -> Result<Rescaled, StoreError> {
    if is_finer_used(connection, code, scale).await? {
        return Ok(Rescaled::InUse);
    }
    announce(connection, code, Some(scale)).await?;
    let is_used = async {
        sleep(COPIES_LIVE).await;
        wait_for_batches(connection).await?;
        is_finer_used(connection, code, scale).await
    };
    match is_used.await {
        Ok(false) => settle(connection, code, scale).await.map(|()| Rescaled::Done),
        Ok(true) => announce(connection, code, None).await.map(|()| Rescaled::InUse),
        Err(error) => {
            // Where this fails too, the connection is gone: the announcement stays, as after a crash.
            announce(connection, code, None).await.ok();
            Err(error)
        }
    }
}

/// Waits for the end of every batch that has begun: each holds its wallets by row locks, whose table lock this one excludes.
async fn wait_for_batches(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut tries = 1;
    loop {
        match lock_out(connection).await {
            Err(error) if error.trouble() == Trouble::Locked && tries < BARRIER_TRIES => tries += 1,
            result => return result,
        }
        sleep(BARRIER_PAUSE).await;
    }
}

async fn lock_out(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut db_tx = connection.begin().await?;
    sqlx::query("SELECT set_config('lock_timeout', $1, true)")
        .bind(BARRIER_TIMEOUT_MS.to_string())
        .execute(&mut *db_tx)
        .await?;
    sqlx::query("LOCK TABLE wallets IN EXCLUSIVE MODE").execute(&mut *db_tx).await?;
    db_tx.commit().await?;
    Ok(())
}

async fn lock(connection: &mut PgConnection, code: &str) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended('purser.currency.' || $1, 0))");
    Ok(query.bind(code).fetch_one(connection).await?)
}

async fn find(connection: &mut PgConnection, code: &str) -> Result<Option<i16>, StoreError> {
    let query = sqlx::query_scalar("SELECT scale FROM currencies WHERE code = $1");
    Ok(query.bind(code).fetch_optional(connection).await?)
}

/// Whether an amount or a balance of a currency has more decimals than `scale`.
async fn is_finer_used(connection: &mut PgConnection, code: &str, scale: i16) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT
             FROM balances
             WHERE currency = $1
                 AND greatest(scale(trim_scale(available)), scale(trim_scale(held)), scale(trim_scale(incoming))) > $2
         ) OR EXISTS (
             SELECT
             FROM transactions
             WHERE currency = $1 AND greatest(scale(trim_scale(amount)), scale(trim_scale(confirmed))) > $2
         )",
    )
    .bind(code)
    .bind(scale)
    .fetch_one(connection)
    .await?)
}

async fn announce(connection: &mut PgConnection, code: &str, scale: Option<i16>) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE currencies SET lowering_to = $2 WHERE code = $1");
    query.bind(code).bind(scale).execute(connection).await?;
    Ok(())
}

async fn settle(connection: &mut PgConnection, code: &str, scale: i16) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE currencies SET scale = $2, lowering_to = NULL WHERE code = $1");
    query.bind(code).bind(scale).execute(connection).await?;
    Ok(())
}
