//! The posting connections and the SQL transactions on them.
//!
//! Not a pool of sqlx's: that one pings a connection each time it comes back, a round trip per batch, and waits for it where a connection has
//! fallen silent. Here a connection comes back only after a commit; in all other cases it is closed, and the server undoes what was begun.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::StoreError;

/// Connections that are not in use, and how to make one.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    options: PgConnectOptions,
    connect_timeout: Duration,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

/// A SQL transaction: everything of one batch happens in one. Dropped without a commit, nothing of it happened.
#[derive(Debug)]
pub struct DbTx {
    connection: PgConnection,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

impl Connections {
    pub fn new(options: PgConnectOptions, connect_timeout: Duration) -> Self {
        Self { options, connect_timeout, idle: Arc::default() }
    }

    /// Begins on an idle connection, or on a new one.
    pub async fn begin(&self) -> Result<DbTx, StoreError> {
        let idle = self.idle.lock().expect("nothing panics while it holds this lock").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut db_tx = DbTx { connection, idle: Arc::clone(&self.idle) };
        // Said, not inherited: the reads rely on seeing what was committed while they waited for their locks.
        let begin = sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE");
        begin.execute(&mut *db_tx).await.map_err(StoreError::before_anything)?;
        Ok(db_tx)
    }

    /// Closes the idle ones.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().expect("nothing panics while it holds this lock"));
        for connection in idle {
            // One that cannot say goodbye is gone already.
            connection.close().await.ok();
        }
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let connected = timeout(self.connect_timeout, PgConnection::connect_with(&self.options)).await;
        connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(StoreError::before_anything)
    }
}

impl DbTx {
    /// Makes everything durable. After an error it is not known whether it is.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    /// Undoes everything.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    /// Ends it; the connection is good for the next one.
    async fn end(mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(statement).execute(&mut *self).await?;
        let Self { connection, idle } = self;
        idle.lock().expect("nothing panics while it holds this lock").push(connection);
        Ok(())
    }
}

impl Deref for DbTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for DbTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
