//! Whether wallets may do what was recorded of them. What stood so before standings were recorded has no row, and nothing is asked of it.
//! An older version that still runs beside this one records nothing: a wallet whose standing it changed is found here, rightly, until it is opened,
//! blocked or closed again.

use super::Question;

pub(super) const QUESTIONS: [Question; 1] = [Question {
    invariants: &[
        "each wallet may do what the last operation on its standing says, since that was first said",
        "no wallet was opened or blocked after it was closed",
    ],
    // Where nothing else was said before, the wallet may have stood so already, since an earlier moment.
    sql: "SELECT breached.invariant,
              format(
                  'wallet %s, blocked %s, closed %s; recorded: %s after %s, %s',
                  wallet_id, blocked_at, closed_at, standing, standing_before, recorded.created_at
              ) AS detail
          FROM (
              SELECT wallet_id, standing, standing_before, created_at,
                  row_number() OVER (PARTITION BY wallet_id ORDER BY number DESC) = 1 AS is_last
              FROM (
                  SELECT *, lag(standing) OVER (PARTITION BY wallet_id ORDER BY number) AS standing_before
                  FROM standings
              ) AS said
              WHERE standing_before IS DISTINCT FROM standing
          ) AS recorded
          JOIN wallets ON wallets.id = wallet_id
          CROSS JOIN LATERAL (
              SELECT CASE
                  WHEN closed_at IS NOT NULL THEN 'closed'
                  WHEN blocked_at IS NOT NULL THEN 'blocked'
                  ELSE 'open'
              END AS standing_now
          ) AS now
          CROSS JOIN LATERAL (VALUES
              (
                  is_last AND (
                      standing <> standing_now
                      OR standing_before IS NOT NULL
                          AND recorded.created_at <> CASE standing WHEN 'closed' THEN closed_at WHEN 'blocked' THEN blocked_at END
                  ),
                  'each wallet may do what the last operation on its standing says, since that was first said'
              ),
              (standing_before = 'closed', 'no wallet was opened or blocked after it was closed')
          ) AS breached (is_breached, invariant)
          WHERE breached.is_breached",
}];
