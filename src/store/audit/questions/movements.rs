//! Whether the entries are those that the transactions ask for: none missing, none that nobody asked for.
//!
//! | transaction | its entries |
//! |---|---|
//! | an invoice, withdraw or transfer of status Success whose money never was set aside | the money moves |
//! | the same with `confirmed` set, a hold, whatever its status | the money is set aside, or announced |
//! | a confirm of status Success | so much of the hold moves; the one that ended it gives back what was left besides |
//! | a cancel of status Success | what was left of the hold goes back; of a withdrawal in a line nothing does |
//! | a reverse of status Success | the original's money moves the other way |
//! | all others: Error, in a line, extend, batch | none |

use super::Question;

pub(super) const QUESTIONS: [Question; 1] = [Question {
    invariants: &[
        "each transaction has exactly the entries that it asks for",
        "no entry stands without a transaction that asks for it, for its wallet and currency",
    ],
    // What entries did less what transactions ask for: nothing may be left of any transaction, wallet and currency. Sorted first: there are
    // nearly as many groups as lines, and a table of them all in memory would spill, several times slower.
    sql: "SELECT
              CASE
                  WHEN lines_due > 0 THEN 'each transaction has exactly the entries that it asks for'
                  ELSE 'no entry stands without a transaction that asks for it, for its wallet and currency'
              END AS invariant,
              format(
                  'transaction %s (%s), wallet %s %s: entries %s instead of %s, too much by: available %s, held %s, incoming %s',
                  id,
                  coalesce((SELECT kind || ' ' || status FROM transactions WHERE transactions.id = compared.id), 'unknown'),
                  wallet_id, currency, lines_made, lines_due,
                  trim_scale(available), trim_scale(held), trim_scale(incoming)
              ) AS detail
          FROM (
              SELECT id, wallet_id, currency,
                  sum(line_due) AS lines_due, sum(line_made) AS lines_made,
                  sum(available) AS available, sum(held) AS held, sum(incoming) AS incoming
              FROM (
                  SELECT id, wallet_id, currency, 1 AS line_due, 0 AS line_made,
                      CASE WHEN kind <> 'invoice' THEN amount WHEN confirmed IS NULL THEN -amount ELSE 0.0 END AS available,
                      CASE WHEN kind <> 'invoice' AND confirmed IS NOT NULL THEN -amount ELSE 0.0 END AS held,
                      CASE WHEN kind = 'invoice' AND confirmed IS NOT NULL THEN -amount ELSE 0.0 END AS incoming
                  FROM transactions
                  WHERE kind IN ('invoice', 'withdraw', 'transfer') AND (status = 'Success' OR confirmed IS NOT NULL)
                  UNION ALL
                  SELECT id, to_wallet_id, currency, 1, 0, -amount, 0.0, 0.0
                  FROM transactions
                  WHERE to_wallet_id IS NOT NULL
                      AND kind IN ('transfer', 'confirm', 'reverse')
                      AND status = 'Success'
                      AND confirmed IS NULL
                  UNION ALL
                  SELECT later.id, later.wallet_id, later.currency, 1, 0,
                      -CASE
                          WHEN later.kind = 'reverse' AND original.kind = 'withdraw' THEN later.amount
                          WHEN later.kind = 'reverse' THEN -later.amount
                          WHEN later.kind = 'confirm' AND original.kind = 'invoice' THEN later.amount
                          WHEN later.kind = 'confirm' THEN released
                          WHEN original.kind = 'invoice' THEN 0.0
                          ELSE later.amount
                      END,
                      CASE
                          WHEN later.kind <> 'reverse' AND original.kind <> 'invoice' THEN later.amount + released
                          ELSE 0.0
                      END,
                      CASE
                          WHEN later.kind <> 'reverse' AND original.kind = 'invoice' THEN later.amount + released
                          ELSE 0.0
                      END
                  FROM transactions AS later
                  JOIN transactions AS original ON original.id = later.original_id
                  CROSS JOIN LATERAL (
                      SELECT CASE
                          WHEN later.kind = 'confirm' AND later.original_status = 'Success'
                          THEN original.amount - coalesce(original.confirmed, 0)
                          ELSE 0.0
                      END AS released
                  ) AS rest
                  WHERE later.original_id IS NOT NULL
                      AND later.kind IN ('confirm', 'cancel', 'reverse')
                      AND later.status = 'Success'
                      AND NOT (later.kind = 'cancel' AND original.waiting_number IS NOT NULL)
                  UNION ALL
                  SELECT transaction_id, wallet_id, currency, 0, 1, available_delta, held_delta, incoming_delta
                  FROM entries
                  ORDER BY id, wallet_id, currency
              ) AS lines
              GROUP BY id, wallet_id, currency
              HAVING sum(line_due) <> sum(line_made)
                  OR sum(available) <> 0
                  OR sum(held) <> 0
                  OR sum(incoming) <> 0
          ) AS compared",
}];
