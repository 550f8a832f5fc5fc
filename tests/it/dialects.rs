//! The older systems' interfaces: golden files for every row of their documents, and what their own tests asked of them.

mod transaction_system;
mod transactional_system;
mod wallet_test;

use purser::settings::Settings;

use crate::support::{TestApp, golden};

/// Purser without a broker: their HTTP has nothing to do with one.
async fn start_with(adjust: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.broker.enabled = false;
        adjust(settings);
    })
    .await
}

/// Goes through all golden files of one dialect, with the settings as they are built in.
async fn check_golden(dialect: &str) {
    golden::check(dialect, "", async || start_with(|_| {}).await).await;
}
