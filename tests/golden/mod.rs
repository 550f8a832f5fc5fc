//! The older systems' interfaces: golden files for every row of their documents, and what their own tests asked of them.
//!
//! A dialect's folder holds everything that tests it; its line stands where the product has it.

#[path = "../../src/http/dialects/list.rs"]
#[macro_use]
mod list;
mod together;

use purser::settings::Settings;

use crate::support::{TestApp, golden};

macro_rules! declare {
    ($($name:ident,)*) => {
        $(mod $name;)*
    };
}

with_dialects!(declare);

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
