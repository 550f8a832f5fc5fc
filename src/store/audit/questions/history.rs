//! Whether each wallet's history is whole: entries, and the balances that they lead to.

use super::Question;

pub(super) const QUESTIONS: [Question; 3] = [
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
];
