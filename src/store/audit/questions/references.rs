//! Whether amounts fit their currencies, and whether whatever a row names is there: what foreign keys would see to.

use super::Question;

pub(super) const QUESTIONS: [Question; 2] = [
    Question {
        invariants: &["each amount has no more decimals than its currency allows"],
        sql: "SELECT 'each amount has no more decimals than its currency allows' AS invariant,
                  format('transaction %s, wallet %s: %s %s, confirmed %s', id, wallet_id, amount, currency, confirmed) AS detail
              FROM transactions
              JOIN currencies ON currencies.code = transactions.currency
              WHERE scale(trim_scale(amount)) > currencies.scale OR scale(trim_scale(confirmed)) > currencies.scale
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
            "each service that is named exists",
            "each transaction that is named exists",
        ],
        sql: "SELECT 'each wallet that is named exists' AS invariant,
                  format('wallet %s, named by %s of %s', wallet_id, count(*), place) AS detail
              FROM (
                  SELECT wallet_id, 'balances' AS place FROM balances
                  UNION ALL SELECT wallet_id, 'transactions' FROM transactions
                  UNION ALL SELECT to_wallet_id, 'transactions' FROM transactions WHERE to_wallet_id IS NOT NULL
                  UNION ALL SELECT wallet_id, 'entries' FROM entries
                  UNION ALL SELECT wallet_id, 'standings' FROM standings
              ) AS named
              WHERE NOT EXISTS (SELECT FROM wallets WHERE wallets.id = named.wallet_id)
              GROUP BY wallet_id, place
              UNION ALL
              SELECT 'each currency that is named exists',
                  format('currency %s, named by %s of %s', currency, count(*), place)
              FROM (
                  SELECT currency, 'balances' AS place FROM balances
                  UNION ALL SELECT currency, 'transactions' FROM transactions WHERE currency IS NOT NULL
                  UNION ALL SELECT currency, 'entries' FROM entries
              ) AS named
              WHERE NOT EXISTS (SELECT FROM currencies WHERE currencies.code = named.currency)
              GROUP BY currency, place
              UNION ALL
              SELECT 'each service that is named exists', format('service %s, named by %s transactions', service_id, count(*))
              FROM transactions
              WHERE service_id IS NOT NULL
                  AND NOT EXISTS (SELECT FROM services WHERE services.id = transactions.service_id)
              GROUP BY service_id
              UNION ALL
              SELECT 'each transaction that is named exists', format('transaction %s, named as the %s of %s', named, role, id)
              FROM (
                  SELECT id, original_id AS named, 'original' AS role FROM transactions WHERE original_id IS NOT NULL
                  UNION ALL SELECT id, batch_id, 'batch' FROM transactions WHERE batch_id IS NOT NULL
              ) AS naming
              WHERE NOT EXISTS (SELECT FROM transactions WHERE transactions.id = naming.named)",
    },
];
