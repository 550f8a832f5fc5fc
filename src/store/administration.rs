//! Makes and deletes whole databases. Run on the server's maintenance database.

use sqlx::{AssertSqlSafe, PgConnection};

use super::StoreError;

/// Whether the server has a database of this name.
pub async fn database_exists(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await?)
}

/// Makes an empty database.
pub async fn create_database(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    // No parameters are possible here; the name is quoted instead.
    let statement = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quoted(name));
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// Deletes a database with everything in it. The server refuses while anyone is connected to it.
pub async fn drop_database(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {}", quoted(name)))).execute(connection).await?;
    Ok(())
}

/// A name as an identifier: it cannot end early.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_cannot_end_early() {
        assert_eq!(quoted("purser"), "\"purser\"");
        assert_eq!(quoted("a\"; DROP DATABASE b; --"), "\"a\"\"; DROP DATABASE b; --\"");
    }
}
