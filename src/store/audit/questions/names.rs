//! Whether references name what has them: each one transaction that is not Error, over all wallets.

use super::Question;

pub(super) const QUESTIONS: [Question; 1] = [Question {
    invariants: &[
        "each transaction that has a reference and is not Error is what that reference names",
        "each reference names a transaction that has it and is not Error",
    ],
    // Of two transactions with one reference, one is not what it names.
    sql: "SELECT
              CASE
                  WHEN has.id IS NULL THEN 'each reference names a transaction that has it and is not Error'
                  ELSE 'each transaction that has a reference and is not Error is what that reference names'
              END AS invariant,
              CASE
                  WHEN has.id IS NULL THEN format('reference %s names transaction %s', named.reference, transaction_id)
                  ELSE format('transaction %s (%s %s), wallet %s: reference %s', id, kind, status, wallet_id, has.reference)
              END AS detail
          FROM (
              SELECT id, kind, status, wallet_id, reference
              FROM transactions
              WHERE reference IS NOT NULL AND status <> 'Error'
          ) AS has
          FULL JOIN transaction_references AS named
              ON named.reference = has.reference AND named.transaction_id = has.id
          WHERE has.id IS NULL OR named.transaction_id IS NULL",
}];
