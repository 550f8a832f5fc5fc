//! The table `api_keys`: who may ask over HTTP. It holds hashes, never a key.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::StoreError;

/// Keys that can be in use at once: every instance holds all of them in memory.
pub const IN_USE_MAX: i64 = 10_000;

/// What a caller may do. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Look.
    Read,
    /// Move money.
    Write,
    /// Administer: currencies, services, closing and blocking wallets.
    Admin,
}

impl Scope {
    /// From the least to the most.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word in the database and for people; permanent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The word is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is read, write or admin")]
pub struct ScopeUnknown;

impl FromStr for Scope {
    type Err = ScopeUnknown;

    fn from_str(word: &str) -> Result<Self, ScopeUnknown> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or(ScopeUnknown)
    }
}

/// A key that is neither revoked nor expired, as far as it takes to recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInUse {
    /// Its number, which is part of it.
    pub id: i64,
    /// SHA-256 of its secret part.
    pub hash: [u8; 32],
    /// What it allows.
    pub scope: Scope,
    /// How long it is still good, if not for ever; counted from when it was read.
    pub time_left: Option<Duration>,
}

/// A key as it is listed for people. Times are RFC 3339, UTC.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of the table")]
pub struct ListedKey {
    pub id: i64,
    pub name: String,
    pub scope: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    /// Whether its time is over.
    pub is_expired: bool,
}

/// Every key in use, [`IN_USE_MAX`] at most.
pub async fn list_in_use(pool: &PgPool) -> Result<Vec<KeyInUse>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, String, Option<i64>)> = sqlx::query_as(
        "SELECT id, hash, scope, floor(extract(epoch FROM expires_at - now()) * 1000)::bigint
         FROM api_keys
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
         ORDER BY id
         LIMIT $1",
    )
    .bind(IN_USE_MAX)
    .fetch_all(pool)
    .await?;
    // A scope that a later version made is none that this one could grant.
    let key = |(id, hash, scope, milliseconds): (i64, Vec<u8>, String, Option<i64>)| {
        let time_left = milliseconds.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or(0)));
        Some(KeyInUse { id, hash: hash.try_into().ok()?, scope: scope.parse().ok()?, time_left })
    };
    Ok(rows.into_iter().filter_map(key).collect())
}

/// Whether anybody could be let in.
pub async fn is_any_in_use(pool: &PgPool) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT FROM api_keys
             WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
         )",
    )
    .fetch_one(pool)
    .await?)
}

/// Adds a key, and gives its number; `None` when [`IN_USE_MAX`] are in use.
pub async fn insert(
    connection: &mut PgConnection,
    name: &str,
    hash: [u8; 32],
    scope: Scope,
    good_for_days: Option<i32>,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(
        "INSERT INTO api_keys (name, hash, scope, expires_at)
         SELECT $1, $2, $3, now() + make_interval(days => $4)
         WHERE $5 > (
             SELECT count(*)
             FROM api_keys
             WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
         )
         RETURNING id",
    )
    .bind(name)
    .bind(hash.as_slice())
    .bind(scope.as_str())
    .bind(good_for_days)
    .bind(IN_USE_MAX)
    .fetch_optional(connection)
    .await?)
}

/// Every key there ever was, the oldest first.
pub async fn list(connection: &mut PgConnection) -> Result<Vec<ListedKey>, StoreError> {
    Ok(sqlx::query_as(
        r#"SELECT id, name, scope,
             to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
             to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS expires_at,
             to_char(revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS revoked_at,
             coalesce(expires_at <= now(), false) AS is_expired
         FROM api_keys
         ORDER BY id"#,
    )
    .fetch_all(connection)
    .await?)
}

/// Revokes a key. Gives whether it was in force until now; `None` when there is none of this number.
pub async fn revoke(connection: &mut PgConnection, id: i64) -> Result<Option<bool>, StoreError> {
    Ok(sqlx::query_scalar(
        "WITH before AS (
             SELECT id, revoked_at
             FROM api_keys
             WHERE id = $1
             FOR UPDATE
         )
         UPDATE api_keys
         SET revoked_at = coalesce(before.revoked_at, now())
         FROM before
         WHERE api_keys.id = before.id
         RETURNING before.revoked_at IS NULL",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?)
}
