//! The settings of the older systems' interfaces.

use serde::{Deserialize, Serialize};

use super::{at_least_one, at_most, name_problem};

/// A currency's code has one to this many bytes.
const CURRENCY_BYTES_MAX: usize = 16;
/// A reserve of more than a year is a mistake. Seconds.
const RESERVE_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// The same of a withdrawal that waits for funds. Seconds.
const WAIT_SECONDS_MAX: u64 = 366 * 24 * 3600;

/// The most that `dialects.balance.id_max` can be: ids that the server gives need room above it, to 2^53.
const ID_MAX: u64 = 1_000_000_000_000_000;

/// The older systems' interfaces.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dialects {
    /// System 000.
    pub transactional_system: TransactionalSystem,
    /// System 001.
    pub balance: Balance,
    /// System 002.
    pub wallet: Wallet,
    /// System 003.
    pub wallet_test: WalletTest,
    /// System 004.
    pub transaction_system: TransactionSystem,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct TransactionalSystem {
    pub enabled: bool,
    pub exchange: String,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Balance {
    pub enabled: bool,
    pub currency: String,
    pub reserve_seconds: u64,
    pub report_directory: String,
    pub id_max: u64,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct Wallet {
    pub enabled: bool,
    pub currency: String,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct WalletTest {
    pub enabled: bool,
}

/// See `config/purser.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is documented where it is set")]
pub struct TransactionSystem {
    pub enabled: bool,
    pub currency: String,
    pub wait_seconds_max: u64,
}

impl Dialects {
    /// Each setting, and why it cannot work, if it cannot.
    pub(super) fn problems(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        let Self { transactional_system, balance, wallet, wallet_test: _, transaction_system } = self;
        [
            ("dialects.transactional_system.exchange", name_problem(&transactional_system.exchange)),
            ("dialects.balance.currency", currency_problem(&balance.currency)),
            ("dialects.balance.reserve_seconds", at_least_one(balance.reserve_seconds)),
            ("dialects.balance.reserve_seconds", at_most(balance.reserve_seconds, RESERVE_SECONDS_MAX)),
            ("dialects.balance.report_directory", directory_problem(&balance.report_directory)),
            ("dialects.balance.id_max", at_least_one(balance.id_max)),
            ("dialects.balance.id_max", at_most(balance.id_max, ID_MAX)),
            ("dialects.wallet.currency", currency_problem(&wallet.currency)),
            ("dialects.transaction_system.currency", currency_problem(&transaction_system.currency)),
            ("dialects.transaction_system.wait_seconds_max", at_least_one(transaction_system.wait_seconds_max)),
            (
                "dialects.transaction_system.wait_seconds_max",
                at_most(transaction_system.wait_seconds_max, WAIT_SECONDS_MAX),
            ),
        ]
        .into_iter()
    }
}

/// Whether it can be a currency's code; whether there is such a currency is known later.
fn currency_problem(code: &str) -> Option<String> {
    let is_code = (1..=CURRENCY_BYTES_MAX).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_code)
        .then(|| format!("must be a currency's code: 1 to {CURRENCY_BYTES_MAX} printable characters, such as \"EUR\""))
}

fn directory_problem(path: &str) -> Option<String> {
    path.is_empty().then(|| "must be a directory's path, such as \"report\"".to_owned())
}
