//! Whether transactions that belong together agree: holds with their confirms and cancels, movements with their reversals, atomic batches with
//! their items.

use super::Question;

pub(super) const QUESTIONS: [Question; 4] = [
    Question {
        invariants: &[
            "only money that is set aside or waits for funds has status Created, a time to end by and a time of its end",
            "what was set aside or waited is finished exactly when it has ended, and not before it began",
            "what was set aside and confirmed in part succeeded; what ended without was cancelled or expired",
        ],
        // A hold has `confirmed`, a withdrawal in a line its place, nothing has both.
        sql: "SELECT breached.invariant,
                  format(
                      'transaction %s (%s %s%s), wallet %s: confirmed %s of %s, place in line %s, created %s, finished %s, expires %s',
                      id, kind, status, ' ' || rejection, wallet_id, confirmed, amount, waiting_number, created_at,
                      finished_at, expires_at
                  ) AS detail
              FROM (
                  SELECT *,
                      kind IN ('invoice', 'withdraw', 'transfer') AND (confirmed IS NULL) <> (waiting_number IS NULL) AS has_waited
                  FROM transactions
                  WHERE confirmed IS NOT NULL
                      OR waiting_number IS NOT NULL
                      OR status = 'Created'
                      -- What left its original waiting says until when.
                      OR expires_at IS NOT NULL AND original_status IS DISTINCT FROM 'Created'
                      OR finished_at IS NOT NULL
                      OR rejection IN ('cancelled', 'expired')
              ) AS waits
              CROSS JOIN LATERAL (VALUES
                  (
                      NOT has_waited,
                      'only money that is set aside or waits for funds has status Created, a time to end by and a time of its end'
                  ),
                  (
                      has_waited AND ((status = 'Created') <> (finished_at IS NULL) OR finished_at < created_at),
                      'what was set aside or waited is finished exactly when it has ended, and not before it began'
                  ),
                  (
                      has_waited AND CASE status
                          WHEN 'Created' THEN coalesce(confirmed < amount, TRUE)
                          WHEN 'Success' THEN coalesce(confirmed > 0, TRUE)
                          ELSE coalesce(confirmed = 0, TRUE)
                              AND (rejection = 'cancelled' OR rejection = 'expired' AND expires_at IS NOT NULL)
                      END IS NOT TRUE,
                      'what was set aside and confirmed in part succeeded; what ended without was cancelled or expired'
                  )
              ) AS breached (is_breached, invariant)
              WHERE breached.is_breached",
    },
    Question {
        invariants: &[
            "each confirm, cancel and extend is about what waited, each reverse about what succeeded and is no reversal",
            "each confirm, cancel, extend and reverse names the wallets and the currency of its original",
            "each confirm, cancel, extend and reverse left its original in a status that it can lead to, and came after it",
        ],
        sql: "SELECT breached.invariant,
                  format(
                      'transaction %s (%s %s), wallet %s %s to %s, left it %s; original %s (%s %s), wallet %s %s to %s',
                      later.id, later.kind, later.status, later.wallet_id, later.currency, later.to_wallet_id,
                      later.original_status, original.id, original.kind, original.status, original.wallet_id,
                      original.currency, original.to_wallet_id
                  ) AS detail
              FROM transactions AS later
              JOIN transactions AS original ON original.id = later.original_id
              CROSS JOIN LATERAL (VALUES
                  (
                      CASE later.kind
                          WHEN 'reverse' THEN original.kind IN ('invoice', 'withdraw', 'transfer') AND original.status = 'Success'
                          WHEN 'confirm' THEN original.confirmed IS NOT NULL
                          ELSE original.confirmed IS NOT NULL OR original.waiting_number IS NOT NULL
                      END IS NOT TRUE,
                      'each confirm, cancel and extend is about what waited, each reverse about what succeeded and is no reversal'
                  ),
                  (
                      later.currency IS DISTINCT FROM CASE WHEN later.kind <> 'extend' THEN original.currency END
                          OR later.wallet_id IS DISTINCT FROM CASE
                              WHEN later.kind = 'reverse' AND original.kind = 'transfer' THEN original.to_wallet_id
                              ELSE original.wallet_id
                          END
                          OR later.status = 'Success' AND later.to_wallet_id IS DISTINCT FROM CASE
                              WHEN later.kind = 'confirm' THEN original.to_wallet_id
                              WHEN later.kind = 'reverse' AND original.kind = 'transfer' THEN original.wallet_id
                          END,
                      'each confirm, cancel, extend and reverse names the wallets and the currency of its original'
                  ),
                  (
                      later.created_at < original.created_at
                          OR later.status = 'Success' AND CASE later.kind
                              WHEN 'confirm' THEN later.original_status <> 'Error'
                              WHEN 'cancel' THEN later.original_status <> 'Created'
                              WHEN 'extend' THEN later.original_status = 'Created'
                              ELSE later.original_status = 'Success'
                          END IS NOT TRUE,
                      'each confirm, cancel, extend and reverse left its original in a status that it can lead to, and came after it'
                  )
              ) AS breached (is_breached, invariant)
              WHERE later.original_id IS NOT NULL AND breached.is_breached",
    },
    Question {
        invariants: &[
            "what was confirmed of each transaction is the sum of its confirms",
            "a cancel gives back exactly what was not confirmed",
            "what waited ended once, by one confirm or cancel or paid from its line, and nothing changed it afterwards",
            "no more is reversed of a transaction than it moved",
        ],
        sql: "SELECT breached.invariant,
                  format(
                      'transaction %s (%s %s %s %s), wallet %s: confirmed %s, by its confirms %s; given back %s; ended by %s, left %s; reversed %s; finished %s, last changed %s',
                      original.id, kind, amount, currency, status, wallet_id, original.confirmed, later.confirmed,
                      later.returned, coalesce(later.ends, 0), later.end_status, later.reversed, finished_at, later.changed_at
                  ) AS detail
              FROM transactions AS original
              LEFT JOIN (
                  SELECT original_id,
                      sum(amount) FILTER (WHERE kind = 'confirm') AS confirmed,
                      sum(amount) FILTER (WHERE kind = 'cancel') AS returned,
                      sum(amount) FILTER (WHERE kind = 'reverse') AS reversed,
                      count(*) FILTER (WHERE kind IN ('confirm', 'cancel') AND original_status <> 'Created') AS ends,
                      min(original_status) FILTER (WHERE kind IN ('confirm', 'cancel') AND original_status <> 'Created')
                          AS end_status,
                      max(created_at) FILTER (WHERE kind <> 'reverse') AS changed_at
                  FROM transactions
                  WHERE original_id IS NOT NULL AND status = 'Success'
                  GROUP BY original_id
              ) AS later ON later.original_id = original.id
              CROSS JOIN LATERAL (VALUES
                  (
                      coalesce(original.confirmed, 0) <> coalesce(later.confirmed, 0),
                      'what was confirmed of each transaction is the sum of its confirms'
                  ),
                  (
                      later.returned <> amount - coalesce(original.confirmed, 0),
                      'a cancel gives back exactly what was not confirmed'
                  ),
                  (
                      coalesce(later.ends, 0) <> CASE
                              WHEN status = 'Created' THEN 0
                              WHEN waiting_number IS NOT NULL THEN (status = 'Error')::integer
                              ELSE (original.confirmed IS NOT NULL)::integer
                          END
                          OR later.end_status <> status
                          OR later.changed_at > finished_at,
                      'what waited ended once, by one confirm or cancel or paid from its line, and nothing changed it afterwards'
                  ),
                  (
                      later.reversed > CASE status WHEN 'Success' THEN coalesce(original.confirmed, amount) ELSE 0 END,
                      'no more is reversed of a transaction than it moved'
                  )
              ) AS breached (is_breached, invariant)
              WHERE (later.original_id IS NOT NULL OR original.confirmed IS NOT NULL OR waiting_number IS NOT NULL)
                  AND breached.is_breached",
    },
    Question {
        invariants: &["an atomic batch that succeeded has items, one that failed has none and names the item that failed"],
        // An item has status Error only when it ended so after the batch: it waited.
        sql: "SELECT 'an atomic batch that succeeded has items, one that failed has none and names the item that failed' AS invariant,
                  format(
                      'batch %s (%s %s), wallet %s: items %s, refused among them %s, failed item %s',
                      coalesce(batch.id, items.batch_id), batch.kind, batch.status, batch.wallet_id, coalesce(items.count, 0),
                      coalesce(items.refused, 0), batch.failed_item
                  ) AS detail
              FROM (
                  SELECT *
                  FROM transactions
                  WHERE kind = 'batch' OR failed_item IS NOT NULL
              ) AS batch
              FULL JOIN (
                  SELECT batch_id,
                      count(*) AS count,
                      count(*) FILTER (
                          WHERE status = 'Error' AND confirmed IS NULL AND waiting_number IS NULL OR kind = 'batch'
                      ) AS refused
                  FROM transactions
                  WHERE batch_id IS NOT NULL
                  GROUP BY batch_id
              ) AS items ON items.batch_id = batch.id
              WHERE batch.kind IS DISTINCT FROM 'batch'
                  OR items.refused > 0
                  OR CASE status
                      WHEN 'Success' THEN items.count > 0 AND failed_item IS NULL
                      WHEN 'Error' THEN items.count IS NULL AND failed_item >= 0
                  END IS NOT TRUE",
    },
];
