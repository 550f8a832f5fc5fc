//! Recomputes the books from the entries. Reads only, and everything from one snapshot, so it can run while operations go on.
//!
//! Each [`Question`] is one statement over whole tables that returns breaches only; one statement may answer for several invariants where
//! they need the same pass.

pub mod questions;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};

use super::StoreError;
pub use questions::Question;

/// How many breaches of an invariant are listed; all are counted.
pub const LISTED_MAX: usize = 20;

/// One place where the books are wrong.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Breach {
    /// Which of the question's invariants.
    pub invariant: String,
    /// Where, and what was found.
    pub detail: String,
    /// How many breaches of this invariant there are, listed or not.
    pub total: i64,
}

/// A currency's money over all wallets, in major units. As text: sums have no limit to their digits.
///
/// A hold counts with what was confirmed of it, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Total {
    /// The currency's code.
    pub currency: String,
    /// Decimals of its amounts; 0 when the currency is not there.
    pub scale: i16,
    /// Money that came in by invoices.
    pub invoiced: String,
    /// Of that, what left again because an invoice was reversed.
    pub invoices_reversed: String,
    /// Money that left by withdrawals.
    pub withdrawn: String,
    /// Of that, what came back because a withdrawal was reversed.
    pub withdrawals_reversed: String,
    /// Can be spent.
    pub available: String,
    /// Outgoing, in status Created.
    pub held: String,
    /// Credits in status Created: announced, not there.
    pub incoming: String,
    /// What withdrawals in status Created wait for: asked for, not there.
    pub waiting: String,
    /// Whether `invoiced - invoices_reversed - withdrawn + withdrawals_reversed = available + held`, computed by the database.
    pub adds_up: bool,
}

/// How much there was to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Size {
    /// Wallets there are.
    pub wallets: i64,
    /// Balances there are.
    pub balances: i64,
    /// Transactions there are.
    pub transactions: i64,
    /// Entries there are.
    pub entries: i64,
}

/// An audit under way: one snapshot of the books.
#[derive(Debug)]
pub struct Audit<'a> {
    snapshot: Transaction<'a, Postgres>,
}

impl<'a> Audit<'a> {
    /// Takes the snapshot.
    pub async fn begin(connection: &'a mut PgConnection) -> Result<Self, StoreError> {
        let mut snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        // Whole tables are read: a limit made for single operations must not end that, and sorting in memory is several times faster.
        // Compiling the expressions costs seconds where tables are small and gains little where they are large.
        sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
            .execute(&mut *snapshot)
            .await?;
        Ok(Self { snapshot })
    }

    /// Counts what there is.
    pub async fn size(&mut self) -> Result<Size, StoreError> {
        Ok(sqlx::query_as(
            "SELECT
                 (SELECT count(*) FROM wallets) AS wallets,
                 (SELECT count(*) FROM balances) AS balances,
                 (SELECT count(*) FROM transactions) AS transactions,
                 (SELECT count(*) FROM entries) AS entries",
        )
        .fetch_one(&mut *self.snapshot)
        .await?)
    }

    /// Asks one question: at most [`LISTED_MAX`] breaches of each of its invariants, none when the books are right.
    pub async fn ask(&mut self, question: &Question) -> Result<Vec<Breach>, StoreError> {
        let statement = format!(
            "SELECT invariant, detail, total
             FROM (
                 SELECT invariant, detail,
                     count(*) OVER (PARTITION BY invariant) AS total,
                     row_number() OVER (PARTITION BY invariant ORDER BY detail) AS number
                 FROM ({}) AS breaches
             ) AS numbered
             WHERE number <= {LISTED_MAX}
             ORDER BY invariant, number",
            question.sql
        );
        // Put together from constants only.
        Ok(sqlx::query_as(AssertSqlSafe(statement)).fetch_all(&mut *self.snapshot).await?)
    }

    /// Adds up every currency's money.
    pub async fn totals(&mut self) -> Result<Vec<Total>, StoreError> {
        Ok(sqlx::query_as(
            "WITH moved AS (
                 SELECT currency,
                     sum(coalesce(confirmed, amount)) FILTER (WHERE kind = 'invoice' AND waiting_for IS NULL) AS invoiced,
                     sum(coalesce(confirmed, amount)) FILTER (WHERE kind = 'withdraw' AND waiting_for IS NULL) AS withdrawn,
                     sum(waiting_for) AS waiting
                 FROM transactions
                 CROSS JOIN LATERAL (
                     SELECT CASE WHEN status = 'Created' AND confirmed IS NULL THEN amount END AS waiting_for
                 ) AS line
                 WHERE kind IN ('invoice', 'withdraw')
                     AND (status = 'Success' OR confirmed > 0 OR status = 'Created' AND waiting_number IS NOT NULL)
                 GROUP BY currency
             ), reversed AS (
                 SELECT later.currency,
                     sum(later.amount) FILTER (WHERE original.kind = 'invoice') AS invoices,
                     sum(later.amount) FILTER (WHERE original.kind = 'withdraw') AS withdrawals
                 FROM transactions AS later
                 JOIN transactions AS original ON original.id = later.original_id
                 WHERE later.original_id IS NOT NULL AND later.kind = 'reverse' AND later.status = 'Success'
                 GROUP BY later.currency
             ), kept AS (
                 SELECT currency, sum(available) AS available, sum(held) AS held, sum(incoming) AS incoming
                 FROM balances
                 GROUP BY currency
             ), summed AS (
                 SELECT currency,
                     coalesce(invoiced, 0) AS invoiced,
                     coalesce(invoices, 0) AS invoices_reversed,
                     coalesce(withdrawn, 0) AS withdrawn,
                     coalesce(withdrawals, 0) AS withdrawals_reversed,
                     coalesce(available, 0) AS available,
                     coalesce(held, 0) AS held,
                     coalesce(incoming, 0) AS incoming,
                     coalesce(waiting, 0) AS waiting
                 FROM moved
                 FULL JOIN reversed USING (currency)
                 FULL JOIN kept USING (currency)
             )
             SELECT currency,
                 coalesce(currencies.scale, 0::smallint) AS scale,
                 trim_scale(invoiced)::text AS invoiced,
                 trim_scale(invoices_reversed)::text AS invoices_reversed,
                 trim_scale(withdrawn)::text AS withdrawn,
                 trim_scale(withdrawals_reversed)::text AS withdrawals_reversed,
                 trim_scale(available)::text AS available,
                 trim_scale(held)::text AS held,
                 trim_scale(incoming)::text AS incoming,
                 trim_scale(waiting)::text AS waiting,
                 invoiced - invoices_reversed - withdrawn + withdrawals_reversed = available + held AS adds_up
             FROM summed
             LEFT JOIN currencies ON currencies.code = summed.currency
             ORDER BY currency",
        )
        .fetch_all(&mut *self.snapshot)
        .await?)
    }

    /// Lets the snapshot go.
    pub async fn end(self) -> Result<(), StoreError> {
        self.snapshot.rollback().await?;
        Ok(())
    }
}
