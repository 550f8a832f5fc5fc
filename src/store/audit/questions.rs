//! What is asked of the books. Every statement gives rows `(invariant, detail)`, one for each breach.

/// One pass over the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The invariants it answers for, each as a sentence that is true when the books are right.
    pub invariants: &'static [&'static str],
    /// Gives the breaches.
    pub(super) sql: &'static str,
}

/// Every invariant of the books.
pub const QUESTIONS: [Question; 6] = [
    Question {
        invariants: &[
            "a wallet's entries are numbered 1, 2, 3 ... without a gap",
            "each entry's balances are those of the entry before it plus its deltas",
        ],
        // True of every entry and the one before it, hence of the running sums.
        sql: "SELECT breached.invariant, format('wallet %s %s entry %s: %s', wallet_id, currency, seq, breached.detail) AS detail
              FROM (
                  SELECT *,
                      lag(seq, 1, 0::bigint) OVER history AS seq_before,
                      lag(available, 1, 0.0) OVER history AS available_before,
                      lag(held, 1, 0.0) OVER history AS held_before,
                      lag(incoming, 1, 0.0) OVER history AS incoming_before
                  FROM entries
                  WINDOW history AS (PARTITION BY wallet_id, currency ORDER BY seq)
              ) AS entry
              CROSS JOIN LATERAL (VALUES
                  (
                      seq <> seq_before + 1,
                      'a wallet''s entries are numbered 1, 2, 3 ... without a gap',
                      format('follows %s', seq_before)
                  ),
                  (
                      available <> available_before + available_delta
                          OR held <> held_before + held_delta
                          OR incoming <> incoming_before + incoming_delta,
                      'each entry''s balances are those of the entry before it plus its deltas',
                      format(
                          'available %s after %s and %s, held %s after %s and %s, incoming %s after %s and %s',
                          available, available_before, available_delta,
                          held, held_before, held_delta,
                          incoming, incoming_before, incoming_delta
                      )
                  )
              ) AS breached (is_breached, invariant, detail)
              WHERE (
                      seq <> seq_before + 1
                      OR available <> available_before + available_delta
                      OR held <> held_before + held_delta
                      OR incoming <> incoming_before + incoming_delta
                  )
                  AND breached.is_breached",
    },
    Question {
        invariants: &["each balance is what its wallet's last entry says"],
        // A balance that was opened and never used has no entry.
        sql: "SELECT 'each balance is what its wallet''s last entry says' AS invariant,
                  format(
                      'wallet %s %s: balance: %s; last entry: %s',
                      wallet_id, currency,
                      CASE WHEN balances.seq IS NULL THEN 'none' ELSE format(
                          'seq %s, available %s, held %s, incoming %s',
                          balances.seq, balances.available, balances.held, balances.incoming
                      ) END,
                      CASE WHEN latest.seq IS NULL THEN 'none' ELSE format(
                          'seq %s, available %s, held %s, incoming %s',
                          latest.seq, latest.available, latest.held, latest.incoming
                      ) END
                  ) AS detail
              FROM (
                  SELECT DISTINCT ON (wallet_id, currency) wallet_id, currency, seq, available, held, incoming
                  FROM entries
                  ORDER BY wallet_id, currency, seq DESC
              ) AS latest
              FULL JOIN balances USING (wallet_id, currency)
              WHERE balances.seq IS NULL
                  OR balances.seq <> coalesce(latest.seq, 0)
                  OR balances.available <> coalesce(latest.available, 0)
                  OR balances.held <> coalesce(latest.held, 0)
                  OR balances.incoming <> coalesce(latest.incoming, 0)",
    },
    Question {
        invariants: &["no part of a balance is ever below zero"],
        sql: "SELECT 'no part of a balance is ever below zero' AS invariant,
                  format(
                      'wallet %s %s%s: available %s, held %s, incoming %s',
                      wallet_id, currency, place, available, held, incoming
                  ) AS detail
              FROM (
                  SELECT wallet_id, currency, '' AS place, available, held, incoming
                  FROM balances
                  WHERE available < 0 OR held < 0 OR incoming < 0
                  UNION ALL
                  SELECT wallet_id, currency, format(' after entry %s', seq), available, held, incoming
                  FROM entries
                  WHERE available < 0 OR held < 0 OR incoming < 0
              ) AS negative",
    },
    Question {
        invariants: &[
            "each transaction with status Success has exactly its entries",
            "no entry stands without a transaction of status Success, for its wallet and currency",
        ],
        // What transactions ask for and what entries did, summed side by side: both must be the same for every transaction, wallet and currency.
        sql: "SELECT
                  CASE
                      WHEN lines_due > 0 THEN 'each transaction with status Success has exactly its entries'
                      ELSE 'no entry stands without a transaction of status Success, for its wallet and currency'
                  END AS invariant,
                  format(
                      'transaction %s (%s), wallet %s %s: entries %s instead of %s, available %s instead of %s, held %s, incoming %s',
                      id, coalesce((SELECT status FROM transactions WHERE transactions.id = compared.id), 'unknown'), wallet_id, currency,
                      lines_made, lines_due, available_made, available_due, held_made, incoming_made
                  ) AS detail
              FROM (
                  SELECT id, wallet_id, currency,
                      sum(line_due) AS lines_due, sum(line_made) AS lines_made,
                      sum(available_due) AS available_due, sum(available_made) AS available_made,
                      sum(held_made) AS held_made, sum(incoming_made) AS incoming_made
                  FROM (
                      SELECT id, wallet_id, currency, 1 AS line_due, 0 AS line_made,
                          CASE kind WHEN 'invoice' THEN amount ELSE -amount END AS available_due,
                          0.0 AS available_made, 0.0 AS held_made, 0.0 AS incoming_made
                      FROM transactions
                      WHERE status = 'Success'
                      UNION ALL
                      SELECT id, to_wallet_id, currency, 1, 0, amount, 0.0, 0.0, 0.0
                      FROM transactions
                      WHERE status = 'Success' AND kind = 'transfer'
                      UNION ALL
                      SELECT transaction_id, wallet_id, currency, 0, 1, 0.0, available_delta, held_delta, incoming_delta
                      FROM entries
                  ) AS lines
                  GROUP BY id, wallet_id, currency
                  HAVING sum(line_due) <> sum(line_made)
                      OR sum(available_due) <> sum(available_made)
                      OR sum(held_made) <> 0
                      OR sum(incoming_made) <> 0
              ) AS compared",
    },
    Question {
        invariants: &[
            "no transaction has status Created: nothing that waits is offered by this version",
            "each amount has no more decimals than its currency allows",
        ],
        sql: "SELECT 'no transaction has status Created: nothing that waits is offered by this version' AS invariant,
                  format('transaction %s, wallet %s', id, wallet_id) AS detail
              FROM transactions
              WHERE status = 'Created'
              UNION ALL
              SELECT 'each amount has no more decimals than its currency allows',
                  format('transaction %s, wallet %s: %s %s', id, wallet_id, amount, currency)
              FROM transactions
              JOIN currencies ON currencies.code = transactions.currency
              WHERE scale(trim_scale(amount)) > currencies.scale
              UNION ALL
              SELECT 'each amount has no more decimals than its currency allows',
                  format('wallet %s %s: available %s, held %s, incoming %s', wallet_id, currency, available, held, incoming)
              FROM balances
              JOIN currencies ON currencies.code = balances.currency
              WHERE greatest(scale(trim_scale(available)), scale(trim_scale(held)), scale(trim_scale(incoming)))
                  > currencies.scale",
    },
    Question {
        invariants: &[
            "each wallet that is named exists",
            "each currency that is named exists",
        ],
        sql: "SELECT 'each wallet that is named exists' AS invariant,
                  format('wallet %s, named by %s of %s', wallet_id, count(*), place) AS detail
              FROM (
                  SELECT wallet_id, 'balances' AS place FROM balances
                  UNION ALL SELECT wallet_id, 'transactions' FROM transactions
                  UNION ALL SELECT to_wallet_id, 'transactions' FROM transactions WHERE to_wallet_id IS NOT NULL
                  UNION ALL SELECT wallet_id, 'entries' FROM entries
              ) AS named
              WHERE NOT EXISTS (SELECT FROM wallets WHERE wallets.id = named.wallet_id)
              GROUP BY wallet_id, place
              UNION ALL
              SELECT 'each currency that is named exists',
                  format('currency %s, named by %s of %s', currency, count(*), place)
              FROM (
                  SELECT currency, 'balances' AS place FROM balances
                  UNION ALL SELECT currency, 'transactions' FROM transactions
                  UNION ALL SELECT currency, 'entries' FROM entries
              ) AS named
              WHERE NOT EXISTS (SELECT FROM currencies WHERE currencies.code = named.currency)
              GROUP BY currency, place",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_is_named_in_its_own_statement() {
        for question in QUESTIONS {
            for invariant in question.invariants {
                let quoted = format!("'{}'", invariant.replace('\'', "''"));
                assert!(question.sql.contains(&quoted), "{invariant}");
            }
        }
    }
}
