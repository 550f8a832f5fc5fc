//! The books, checked by SQL that shares nothing with the product: a second opinion beside `purser verify`.

use sqlx::PgPool;

/// Each statement lists what breaks a rule of the books; none may give a row.
const RULES: &[(&str, &str)] = &[
    (
        "entries are numbered 1, 2, 3 ... without a gap",
        "SELECT wallet_id, currency FROM entries GROUP BY wallet_id, currency
         HAVING min(seq) <> 1 OR max(seq) <> count(*)",
    ),
    (
        "each entry continues the one before it",
        "SELECT wallet_id, currency, seq
         FROM (
             SELECT *,
                 lag(available, 1, 0) OVER line AS available_before,
                 lag(held, 1, 0) OVER line AS held_before,
                 lag(incoming, 1, 0) OVER line AS incoming_before
             FROM entries
             WINDOW line AS (PARTITION BY wallet_id, currency ORDER BY seq)
         ) AS entries
         WHERE available_before + available_delta <> available
             OR held_before + held_delta <> held
             OR incoming_before + incoming_delta <> incoming",
    ),
    (
        "a balance is its last entry",
        "SELECT wallet_id, currency
         FROM (SELECT DISTINCT ON (wallet_id, currency) * FROM entries ORDER BY wallet_id, currency, seq DESC) AS last
         FULL JOIN balances USING (wallet_id, currency)
         WHERE (last.available, last.held, last.incoming, last.seq)
             IS DISTINCT FROM (balances.available, balances.held, balances.incoming, balances.seq)",
    ),
    ("nothing is below zero", "SELECT wallet_id, currency FROM balances WHERE least(available, held, incoming) < 0"),
    (
        "a transaction's entries are what it says",
        "SELECT transactions.id
         FROM transactions
         LEFT JOIN entries ON transaction_id = id AND entries.currency = transactions.currency
         GROUP BY id
         HAVING (
             count(entries.seq),
             coalesce(sum(available_delta) FILTER (WHERE entries.wallet_id = transactions.wallet_id), 0),
             coalesce(sum(available_delta) FILTER (WHERE entries.wallet_id = transactions.to_wallet_id), 0)
         ) IS DISTINCT FROM CASE
             WHEN status = 'Error' THEN (0::bigint, 0::numeric, 0::numeric)
             WHEN kind = 'invoice' THEN (1::bigint, amount, 0::numeric)
             WHEN kind = 'withdraw' THEN (1::bigint, -amount, 0::numeric)
             ELSE (2::bigint, -amount, amount)
         END",
    ),
    (
        "every entry has its transaction",
        "SELECT transaction_id FROM entries
         WHERE NOT EXISTS (SELECT FROM transactions WHERE id = transaction_id AND currency = entries.currency)",
    ),
    (
        "credits minus debits are what the wallets hold",
        "SELECT currency
         FROM (
             SELECT currency, sum(CASE kind WHEN 'invoice' THEN amount WHEN 'withdraw' THEN -amount ELSE 0 END) AS net
             FROM transactions WHERE status = 'Success' GROUP BY currency
         ) AS moved
         FULL JOIN (
             SELECT currency, sum(available + held) AS held FROM balances GROUP BY currency
         ) AS there USING (currency)
         WHERE coalesce(net, 0) <> coalesce(there.held, 0)",
    ),
];

/// The rules that the books break, each with how often.
pub async fn breaches(pool: &PgPool) -> Vec<String> {
    let mut breaches = Vec::new();
    for (rule, sql) in RULES {
        let rows = sqlx::query(*sql).fetch_all(pool).await.unwrap_or_else(|error| panic!("{rule}: {error}"));
        if !rows.is_empty() {
            breaches.push(format!("{rule}: broken {} times", rows.len()));
        }
    }
    breaches
}

/// Panics with the list of breaches if there are any.
pub async fn assert_books_balance(pool: &PgPool) {
    let breaches = breaches(pool).await;
    assert!(breaches.is_empty(), "{breaches:#?}");
}
