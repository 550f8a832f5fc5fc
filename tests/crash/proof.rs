//! The proof: what the publishers remember against what is in the books and among the dead letters, in SQL.

use futures::StreamExt;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;

use crate::journal::{Published, Reply};
use crate::publisher::Publisher;
use crate::support::amqp::Received;
use crate::support::server::purser;
use crate::support::{Amqp, Names, TestDatabase, breaches};

/// The publishers' journals and the dead letters beside the books. `done` says which transaction an operation became.
const TABLES: &[&str] = &[
    "CREATE TABLE published (name TEXT PRIMARY KEY, is_keyed BOOLEAN, wallet_id BIGINT, place BIGINT, kind TEXT, to_wallet_id BIGINT,
         cents BIGINT, body TEXT, is_confirmed BOOLEAN, code BIGINT, replied_id UUID)",
    "CREATE TABLE letters (name TEXT NOT NULL, reason TEXT, body TEXT)",
    "CREATE VIEW done AS
     SELECT published.*, id, status, rejection, created_at
     FROM published
     JOIN transactions ON (transactions.wallet_id, idempotency_key) = (published.wallet_id, name)
     WHERE is_keyed
     UNION ALL
     SELECT published.*, id, status, rejection, created_at
     FROM published
     JOIN transactions ON (transactions.wallet_id, amount * 100) = (published.wallet_id, cents)
     WHERE NOT is_keyed AND idempotency_key IS NULL",
];

/// Each counts what must not be there. They hold whenever nothing is left in the work queue.
const CLAIMS: &[(&str, &str)] = &[
    (
        "what was confirmed and has a key is in the books exactly once",
        "SELECT count(*)
         FROM (
             SELECT name
             FROM published
             LEFT JOIN transactions ON idempotency_key = name
             WHERE is_keyed AND is_confirmed
             GROUP BY name
             HAVING count(id) <> 1
         ) AS wrong",
    ),
    (
        "what was confirmed and has no key is in the books or among the dead letters, or in both",
        "SELECT count(*)
         FROM published
         WHERE NOT is_keyed AND is_confirmed
             AND name NOT IN (SELECT name FROM done)
             AND name NOT IN (SELECT name FROM letters)",
    ),
    ("nothing is in the books twice, with a key or without one", "SELECT count(*) - count(DISTINCT name) FROM done"),
    (
        "every transaction is one that was published, as it was published",
        "SELECT count(*)
         FROM transactions
         LEFT JOIN done USING (id)
         WHERE (done.kind, done.to_wallet_id, cents, 'USD')
             IS DISTINCT FROM (transactions.kind, transactions.to_wallet_id, amount * 100, currency)",
    ),
    (
        "every dead letter came again without a key, and is what was published",
        "SELECT count(*)
         FROM letters
         LEFT JOIN published USING (name)
         WHERE (is_keyed, reason, published.body) IS DISTINCT FROM (FALSE, 'ambiguous_redelivery', letters.body)",
    ),
    (
        "every reply says what is stored",
        "SELECT count(*)
         FROM published
         LEFT JOIN done USING (name)
         WHERE published.code IS NOT NULL AND (published.code, published.replied_id) IS DISTINCT FROM CASE
             WHEN status = 'Success' THEN (200::bigint, id)
             WHEN status = 'Error' AND rejection = 'insufficient_funds' THEN (422::bigint, NULL::uuid)
         END",
    ),
    (
        "each wallet's entries are in publishing order",
        "SELECT count(*)
         FROM (
             SELECT place, lag(place) OVER (PARTITION BY entries.wallet_id ORDER BY seq) AS place_before
             FROM entries
             JOIN done ON (id, done.wallet_id) = (transaction_id, entries.wallet_id)
         ) AS line
         WHERE place <= place_before",
    ),
    (
        "each wallet's transactions, refused ones included, were made in publishing order",
        "SELECT count(*)
         FROM (
             SELECT created_at, lag(created_at) OVER (PARTITION BY wallet_id ORDER BY place) AS before FROM done
         ) AS line
         WHERE created_at < before",
    ),
];

/// What must hold in the end, when what was not answered has been asked again.
const CLAIMS_AT_THE_END: &[(&str, &str)] = &[
    (
        "everything with a key is confirmed and answered",
        "SELECT count(*) FROM published WHERE is_keyed AND (NOT is_confirmed OR code IS NULL)",
    ),
    (
        "asking again changed nothing",
        "SELECT count(*)
         FROM ((TABLE transactions EXCEPT TABLE transactions_before) UNION ALL (TABLE transactions_before EXCEPT TABLE transactions))
             AS changed",
    ),
    (
        "asking again moved nothing",
        "SELECT count(*)
         FROM ((TABLE entries EXCEPT TABLE entries_before) UNION ALL (TABLE entries_before EXCEPT TABLE entries)) AS changed",
    ),
];

/// What the rounds are made of, for the last line and to see that they tried what they are for.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Tally {
    pub operations: i64,
    /// Answered with a refusal for lack of funds.
    pub refused: i64,
    pub keyless: i64,
    /// Operations without a key that were never confirmed: nothing is promised of them but that they are not done twice.
    pub unconfirmed: i64,
    /// Operations without a key that are among the dead letters.
    pub parked: i64,
    /// Those of them that are in the books too.
    pub parked_and_done: i64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operations, refused, keyless, unconfirmed, parked, parked_and_done } = self;
        write!(
            formatter,
            "{operations} operations, {refused} refused for lack of funds; {keyless} without a key: {unconfirmed} unconfirmed, \
             {parked} parked, {parked_and_done} of these done"
        )
    }
}

/// The evidence of one round. Looked at while no server runs that could still change it.
pub struct Proof<'a> {
    database: &'a TestDatabase,
    client: &'a Amqp,
    names: &'a Names,
}

impl<'a> Proof<'a> {
    /// Proves what must hold before anything is asked again, or panics with what is wrong: a confirmed message that got lost is missing now.
    pub async fn begin(database: &'a TestDatabase, client: &'a Amqp, names: &'a Names, of: &[Publisher]) -> Self {
        let proof = Self { database, client, names };
        for table in TABLES {
            database.execute(*table).await;
        }
        proof.keep_letters().await;
        proof.keep_journals(of).await;
        proof.check(CLAIMS).await;
        database.execute("CREATE TABLE transactions_before AS TABLE transactions").await;
        database.execute("CREATE TABLE entries_before AS TABLE entries").await;
        proof
    }

    /// Proves that it still holds when the replies that were lost have been asked for, and that nothing was done for them.
    pub async fn end(self, publishers: &[Publisher]) -> Tally {
        self.keep_journals(publishers).await;
        self.check(&[CLAIMS, CLAIMS_AT_THE_END].concat()).await;

        let verify = purser(&["verify"]).env("DATABASE_URL", &self.database.url).output().expect("the binary starts");
        let said = String::from_utf8_lossy(&verify.stdout).into_owned() + &String::from_utf8_lossy(&verify.stderr);
        assert!(verify.status.success(), "purser verify: {said}");
        assert_eq!(self.client.message_count(&self.names.dead).await, 0, "what has a key is not dead-lettered");

        sqlx::query_as(
            "SELECT count(*) AS operations,
                 count(*) FILTER (WHERE code = 422) AS refused,
                 count(*) FILTER (WHERE NOT is_keyed) AS keyless,
                 count(*) FILTER (WHERE NOT is_confirmed) AS unconfirmed,
                 count(*) FILTER (WHERE name IN (SELECT name FROM letters)) AS parked,
                 count(*) FILTER (WHERE name IN (SELECT name FROM letters JOIN done USING (name))) AS parked_and_done
             FROM published",
        )
        .fetch_one(&self.database.pool)
        .await
        .expect("it can be counted")
    }

    async fn check(&self, claims: &[(&str, &str)]) {
        let mut wrong = breaches(&self.database.pool).await;
        for (claim, sql) in claims {
            let count = self.database.fetch(*sql).await;
            if count != "0" {
                wrong.push(format!("{claim}: broken {count} times"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}; the database {}", self.database.name);
    }

    /// Takes the dead letters out of their queue.
    async fn keep_letters(&self) {
        let (messages, consumers) = self.client.counts(&self.names.dead).await;
        assert_eq!(consumers, 0, "nobody takes letters away");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let queue = self.names.dead.as_str().into();
        let letters = self.client.channel.basic_consume(queue, "letters".into(), options, FieldTable::default()).await;
        let letters = letters.expect("the dead letters can be read").take(messages as usize);
        let letters: Vec<_> = letters.map(|letter| Received(letter.expect("a letter comes"))).collect().await;
        let name = |letter: &Received| letter.0.properties.correlation_id().as_ref().map(ToString::to_string);
        sqlx::query(
            "INSERT INTO letters (name, reason, body) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
        )
        .bind(letters.iter().map(name).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.header("x-purser-reason")).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| String::from_utf8_lossy(&letter.0.data)).collect::<Vec<_>>())
        .execute(&self.database.pool)
        .await
        .expect("the letters can be kept");
    }

    /// Puts the journals beside the books, in the place of what they were before.
    async fn keep_journals(&self, publishers: &[Publisher]) {
        self.database.execute("TRUNCATE published").await;
        for Publisher { journal, .. } in publishers {
            let places: Vec<i64> = (1..=i64::try_from(journal.len()).expect("it is short")).collect();
            sqlx::query(
                "INSERT INTO published (name, is_keyed, wallet_id, place, kind, to_wallet_id, cents, body, is_confirmed, code, replied_id)
                 SELECT * FROM unnest($1::text[], $2::bool[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::text[], $9::bool[], $10::bigint[], $11::uuid[])",
            )
            .bind(column(journal, |published| published.name.clone()))
            .bind(column(journal, Published::is_keyed))
            .bind(column(journal, |published| published.wallet))
            .bind(places)
            .bind(column(journal, |published| published.kind))
            .bind(column(journal, |published| published.to_wallet))
            .bind(column(journal, |published| published.cents))
            .bind(column(journal, Published::body))
            .bind(column(journal, |published| published.is_confirmed))
            .bind(column(journal, |published| published.reply.map(|Reply { code, .. }| code)))
            .bind(column(journal, |published| published.reply.and_then(|Reply { transaction, .. }| transaction)))
            .execute(&self.database.pool)
            .await
            .expect("the journals can be kept");
        }
        self.database.execute("ANALYZE").await;
    }
}

fn column<T>(journal: &[Published], value: impl Fn(&Published) -> T) -> Vec<T> {
    journal.iter().map(value).collect()
}
