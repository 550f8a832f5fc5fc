//! What can go wrong with the database, told apart by SQLSTATE, never by text.

use super::references;

/// Infrastructure trouble. The source is kept, not pasted into the message.
#[derive(Debug, thiserror::Error)]
#[error("the database failed")]
pub struct StoreError {
    source: sqlx::Error,
    trouble: Trouble,
}

/// The setting that says where the database is does not hold an address. It is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("database.url (or DATABASE_URL) is not a PostgreSQL address: postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
pub struct AddressError;

/// What can be done about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database cannot be used now, whatever is asked. Try again until it can. A commit may or may not have happened.
    Away,
    /// Others were in the way. Nothing was written; trying again soon helps.
    Conflict,
    /// Others did not get out of the way in time. Nothing was written; trying again soon would wait as long.
    Locked,
    /// It refuses what was asked. Nothing was written; trying the same again does not help.
    Refused,
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        let trouble = match &source {
            sqlx::Error::Database(error) => {
                error.code().map_or(Trouble::Refused, |code| of_refusal(&code, error.constraint()))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Trouble::Away,
            _ => Trouble::Refused,
        };
        Self { source, trouble }
    }
}

impl StoreError {
    /// An error before anything was asked: whatever it is, no operation is to blame.
    pub(super) fn before_anything(source: sqlx::Error) -> Self {
        Self { source, trouble: Trouble::Away }
    }

    /// The database fell silent in the middle of a batch.
    pub fn silence() -> Self {
        sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()
    }

    /// What can be done about it.
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.trouble() != Trouble::Refused
    }

    /// Whether the database does not answer, or says that it is starting or stopping: as opposed to a wrong password or name.
    pub fn is_starting(&self) -> bool {
        match &self.source {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
            _ => self.trouble() == Trouble::Away,
        }
    }

    /// The constraint that refused what was asked, if one did.
    pub fn constraint(&self) -> Option<&str> {
        self.source.as_database_error()?.constraint()
    }

    /// The SQLSTATE for the metric, or `connection` where the database did not answer.
    pub fn sqlstate(&self) -> String {
        match &self.source {
            sqlx::Error::Database(error) => error.code().map_or_else(|| "unknown".to_owned(), |code| code.into_owned()),
            _ => "connection".to_owned(),
        }
    }
}

/// A constraint refuses what was asked, but for the one under which two batches meet that name transactions alike: the one that came second
/// has to look again.
fn of_refusal(code: &str, constraint: Option<&str>) -> Trouble {
    match (code, constraint) {
        // unique_violation
        ("23505", Some(references::NAMED_TWICE)) => Trouble::Conflict,
        _ => of_sqlstate(code),
    }
}

/// See PostgreSQL's manual, appendix A: error codes.
fn of_sqlstate(code: &str) -> Trouble {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Trouble::Conflict,
        // lock_not_available, query_canceled: lock_timeout and statement_timeout
        "55P03" | "57014" => Trouble::Locked,
        // read_only_sql_transaction: the server is no longer the primary
        "25006" => Trouble::Away,
        _ => match code.get(..2) {
            // connection exceptions, insufficient resources, operator intervention, system errors
            Some("08" | "53" | "57" | "58") => Trouble::Away,
            // Wrong password, no such database, a missing table or right: the set-up is wrong, not an operation.
            // Waiting until someone has mended it loses nothing; blaming the operations would dead-letter every one.
            Some("28" | "3D" | "42") => Trouble::Away,
            _ => Trouble::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_say_what_can_be_done() {
        for (code, trouble) in [
            ("40001", Trouble::Conflict),
            ("40P01", Trouble::Conflict),
            ("55P03", Trouble::Locked),
            ("57014", Trouble::Locked),
            ("57P01", Trouble::Away),
            ("08006", Trouble::Away),
            ("53100", Trouble::Away),
            ("25006", Trouble::Away),
            ("42P01", Trouble::Away),
            ("23514", Trouble::Refused),
            ("22003", Trouble::Refused),
            ("P0001", Trouble::Refused),
            ("", Trouble::Refused),
        ] {
            assert_eq!(of_refusal(code, None), trouble, "{code}");
        }
    }

    #[test]
    fn of_the_constraints_one_says_to_look_again() {
        for (code, constraint, trouble) in [
            ("23505", "transaction_references_pkey", Trouble::Conflict),
            ("23505", "transactions_pkey", Trouble::Refused),
            ("23505", "transactions_wallet_id_idempotency_key_key", Trouble::Refused),
            ("23514", "transaction_references_pkey", Trouble::Refused),
            ("40001", "transaction_references_pkey", Trouble::Conflict),
        ] {
            assert_eq!(of_refusal(code, Some(constraint)), trouble, "{code} {constraint}");
        }
    }
}
