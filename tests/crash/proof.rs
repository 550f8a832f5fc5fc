//! The proof: what the publishers remember against what is in the books, in SQL.

use crate::journal::{Counts, Published};
use crate::support::server::purser;
use crate::support::{Amqp, Names, TestDatabase, breaches};

/// Each counts what must not be there. `published` is what the publishers remember.
const CLAIMS: &[(&str, &str)] = &[
    (
        "every published operation is a transaction, and nothing else is",
        "SELECT count(*)
         FROM published
         FULL JOIN transactions ON (transactions.wallet_id, idempotency_key) = (published.wallet_id, key)
         WHERE (published.kind, published.to_wallet_id, cents)
             IS DISTINCT FROM (transactions.kind, transactions.to_wallet_id, amount * 100)
             OR key IS NULL OR id IS NULL",
    ),
    ("no key was applied twice", "SELECT count(*) - count(DISTINCT idempotency_key) FROM transactions"),
    (
        "every reply says what is stored",
        "SELECT count(*)
         FROM published
         JOIN transactions ON (transactions.wallet_id, idempotency_key) = (published.wallet_id, key)
         WHERE (code = 200) IS DISTINCT FROM (status = 'Success')
             OR (code = 422) IS DISTINCT FROM (status = 'Error' AND rejection = 'insufficient_funds')",
    ),
    (
        "each wallet's entries are in publishing order",
        "SELECT count(*)
         FROM (
             SELECT place, lag(place) OVER (PARTITION BY entries.wallet_id ORDER BY seq) AS place_before
             FROM entries
             JOIN transactions ON id = transaction_id AND transactions.wallet_id = entries.wallet_id
             JOIN published ON (published.wallet_id, key) = (entries.wallet_id, idempotency_key)
         ) AS line
         WHERE place <= place_before",
    ),
    (
        "each wallet's transactions, refused ones included, were made in publishing order",
        "SELECT count(*)
         FROM (
             SELECT created_at, lag(created_at) OVER (PARTITION BY wallet_id ORDER BY place) AS before
             FROM transactions
             JOIN published USING (wallet_id)
             WHERE idempotency_key = key
         ) AS line
         WHERE created_at < before",
    ),
];

/// Proves it, or panics with what is wrong.
pub async fn prove(
    journals: Vec<(Vec<Published>, Counts)>,
    database: &TestDatabase,
    amqp_url: &str,
    names: &Names,
) -> Counts {
    let mut counts = Counts::default();
    keep(&journals, database).await;
    for (journal, its_counts) in &journals {
        counts += *its_counts;
        assert!(journal.iter().all(|published| published.code.is_some()), "every publisher got its replies");
    }
    let mut wrong = breaches(&database.pool).await;
    for (claim, sql) in CLAIMS {
        let count = database.fetch(*sql).await;
        if count != "0" {
            wrong.push(format!("{claim}: broken {count} times"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    counts.refused = database.fetch("SELECT count(*) FROM published WHERE code = 422").await.parse().expect("a count");

    let verify = purser(&["verify"]).env("DATABASE_URL", &database.url).output().expect("the binary starts");
    let said = String::from_utf8_lossy(&verify.stdout).into_owned() + &String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success(), "purser verify: {said}");

    let client = Amqp::connect(amqp_url).await.expect("the broker is there");
    assert_eq!(client.message_count(&names.dead).await, 0, "nothing was dead-lettered");
    assert_eq!(client.message_count(&names.queue).await, 0, "nothing is left in the work queue");
    client.close().await;
    counts
}

/// Puts the journals beside the books.
async fn keep(journals: &[(Vec<Published>, Counts)], database: &TestDatabase) {
    database
        .execute(
            "CREATE TABLE published (wallet_id BIGINT, place BIGINT, key TEXT, kind TEXT, to_wallet_id BIGINT, cents BIGINT,
                 code BIGINT, PRIMARY KEY (wallet_id, key))",
        )
        .await;
    for (journal, _) in journals {
        let column = |value: fn(&Published) -> i64| journal.iter().map(value).collect::<Vec<i64>>();
        let text = |value: fn(&Published) -> &str| journal.iter().map(value).collect::<Vec<&str>>();
        let places: Vec<i64> = (1..=i64::try_from(journal.len()).expect("it is short")).collect();
        sqlx::query(
            "INSERT INTO published (wallet_id, place, key, kind, to_wallet_id, cents, code)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])",
        )
        .bind(column(|published| published.wallet))
        .bind(places)
        .bind(text(|published| &published.key))
        .bind(text(|published| published.kind))
        .bind(journal.iter().map(|published| published.to_wallet).collect::<Vec<_>>())
        .bind(column(|published| published.cents))
        .bind(journal.iter().map(|published| published.code).collect::<Vec<_>>())
        .execute(&database.pool)
        .await
        .expect("the journals can be kept");
    }
    database.execute("ANALYZE").await;
}
