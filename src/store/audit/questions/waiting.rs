//! Whether what waits is what the balances say: money that is set aside or announced, and withdrawals that wait for funds.

use super::Question;

pub(super) const QUESTIONS: [Question; 3] = [
    Question {
        invariants: &[
            "held and incoming of each balance are what its transactions of status Created have left to confirm",
            "each balance says how many withdrawals wait for funds",
        ],
        sql: "SELECT breached.invariant,
                  format(
                      'wallet %s %s: held %s, Created %s; incoming %s, Created %s; waiting %s, Created %s',
                      wallet_id, currency, held, held_due, incoming, incoming_due, waiting, waiting_due
                  ) AS detail
              FROM (
                  SELECT wallet_id, currency,
                      coalesce(balances.held, 0) AS held, coalesce(created.held, 0) AS held_due,
                      coalesce(balances.incoming, 0) AS incoming, coalesce(created.incoming, 0) AS incoming_due,
                      coalesce(balances.waiting, 0) AS waiting, coalesce(created.waiting, 0) AS waiting_due
                  FROM (
                      SELECT wallet_id, currency,
                          sum(amount - confirmed) FILTER (WHERE kind <> 'invoice') AS held,
                          sum(amount - confirmed) FILTER (WHERE kind = 'invoice') AS incoming,
                          count(waiting_number) AS waiting
                      FROM transactions
                      WHERE status = 'Created'
                      GROUP BY wallet_id, currency
                  ) AS created
                  FULL JOIN balances USING (wallet_id, currency)
              ) AS compared
              CROSS JOIN LATERAL (VALUES
                  (
                      held <> held_due OR incoming <> incoming_due,
                      'held and incoming of each balance are what its transactions of status Created have left to confirm'
                  ),
                  (waiting <> waiting_due, 'each balance says how many withdrawals wait for funds')
              ) AS breached (is_breached, invariant)
              WHERE breached.is_breached",
    },
    Question {
        invariants: &[
            "withdrawals wait for funds in the order in which they came, no two in one place",
            "no withdrawal is first in its line while its wallet is open and has the funds",
        ],
        sql: "SELECT breached.invariant,
                  format(
                      'transaction %s, wallet %s %s: place %s since %s, after place %s since %s; amount %s, available %s',
                      id, wallet_id, currency, waiting_number, created_at, number_before, created_before, amount, available
                  ) AS detail
              FROM (
                  SELECT waiting.*, balances.available, wallets.blocked_at,
                      lag(waiting_number) OVER line AS number_before,
                      lag(waiting.created_at) OVER line AS created_before
                  FROM transactions AS waiting
                  LEFT JOIN balances USING (wallet_id, currency)
                  LEFT JOIN wallets ON wallets.id = waiting.wallet_id
                  WHERE waiting.waiting_number IS NOT NULL AND waiting.status = 'Created'
                  WINDOW line AS (PARTITION BY waiting.wallet_id, waiting.currency ORDER BY waiting_number, waiting.id)
              ) AS waiting
              CROSS JOIN LATERAL (VALUES
                  (
                      waiting_number < 1 OR number_before = waiting_number OR created_before > created_at,
                      'withdrawals wait for funds in the order in which they came, no two in one place'
                  ),
                  (
                      number_before IS NULL AND blocked_at IS NULL AND amount <= available,
                      'no withdrawal is first in its line while its wallet is open and has the funds'
                  )
              ) AS breached (is_breached, invariant)
              WHERE breached.is_breached",
    },
    Question {
        invariants: &["each closed wallet is empty, and nothing waits in it"],
        sql: "SELECT 'each closed wallet is empty, and nothing waits in it' AS invariant,
                  format(
                      'wallet %s, closed %s: %s: available %s, held %s, incoming %s, waiting %s',
                      wallet_id, closed_at, currency, available, held, incoming, waiting
                  ) AS detail
              FROM wallets
              JOIN balances ON balances.wallet_id = wallets.id
              WHERE closed_at IS NOT NULL AND (available <> 0 OR held <> 0 OR incoming <> 0 OR waiting <> 0)",
    },
];
