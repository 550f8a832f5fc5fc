//! The older systems' interfaces: golden files for every row of their documents, and what their own tests asked of them.
//!
//! A dialect's folder holds everything that tests it; its line stands where the product has it.

#[path = "../../src/http/dialects/list.rs"]
#[macro_use]
mod list;
mod together;

use purser::settings::{AuthMode, Settings};
use serde_json::json;

use crate::support::{PATIENCE, TestApp, golden, poll_until};

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

/// Goes through all golden files of one dialect.
async fn check_golden(dialect: &str) {
    golden::check(dialect, start_for).await;
}

/// The app of a golden file. All but these have the settings as they are built in.
async fn start_for(file: &str) -> TestApp {
    match file {
        "failures" => start_failing().await,
        "keyless" => start_with(|settings| settings.http.auth = AuthMode::On).await,
        "limits" => {
            start_with(|settings| {
                settings.http.body_bytes_max = 64;
                settings.http.in_flight_max = 0;
            })
            .await
        }
        "outage" => start_away().await,
        _ => start_with(|_| {}).await,
    }
}

/// Its database is there, and fails whatever is asked of the books.
async fn start_failing() -> TestApp {
    let app = start_with(|_| {}).await;
    let fail = "CREATE FUNCTION fail() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'a secret'; END $$";
    app.database.execute(fail).await;
    for table in ["wallets", "transactions", "entries", "balances", "services"] {
        app.database.execute(format!("ALTER TABLE {table} RENAME TO {table}_kept")).await;
        let view = format!("CREATE VIEW {table} AS SELECT * FROM {table}_kept WHERE fail() WITH CHECK OPTION");
        app.database.execute(view).await;
    }
    app
}

/// Its database is away, and it knows.
async fn start_away() -> TestApp {
    let app = start_with(|settings| {
        settings.database.acquire_timeout_ms = 200;
        settings.http.request_timeout_ms = 500;
        settings.engine.drain_timeout_ms = 500;
    })
    .await;
    app.database.alter("ALLOW_CONNECTIONS false").await;
    app.database.terminate_connections().await;
    // It is found out by whoever needs it.
    let credit = json!({ "kind": "invoice", "wallet_id": 9, "currency": "USD", "amount": "1" });
    poll_until(PATIENCE, "it is known", async || {
        app.post("/v1/transactions", &credit).await.json()["code"] == "database_away"
    })
    .await;
    app
}
