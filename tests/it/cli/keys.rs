//! `purser keys`, and the start that asks for one.

use super::{Said, run_on};
use crate::support::server::purser;
use crate::support::{Server, TestDatabase};

#[actix_rt::test]
async fn a_key_is_shown_once_and_stored_as_a_hash() {
    let database = TestDatabase::create().await;
    let made = run_on(&database, &["keys", "create", "--name", "shop", "--scope", "write"]);
    let key = made.expect(0, &["with the scope write", "not shown again"]).stdout.trim_end().to_owned();
    let secret = key.strip_prefix("purser_1_").expect("it begins with its number");
    assert!(
        secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "only the key is on stdout: {key}"
    );

    run_on(&database, &["keys", "create", "--name", "report", "--scope", "read", "--good-for-days", "30"])
        .expect(0, &[]);
    let listed = run_on(&database, &["keys", "list"]).expect(0, &["shop", "write", "in use", "report", "read"]);
    assert!(!listed.stdout.contains(secret));
    let stored = database.fetch("SELECT string_agg(row_to_json(api_keys)::text, '') FROM api_keys").await;
    assert!(!stored.contains(secret) && !stored.contains(&key), "{stored}");
    let expiry = "SELECT expires_at - created_at FROM api_keys WHERE id = 2";
    assert_eq!(database.fetch(expiry).await, "30 days");
    let hash = format!("SELECT hash = sha256('{secret}') FROM api_keys WHERE id = 1");
    assert_eq!(database.fetch(hash).await, "true");
}

#[actix_rt::test]
async fn a_key_is_revoked_once_and_stays_on_the_list() {
    let database = TestDatabase::create().await;
    run_on(&database, &["keys", "create", "--name", "shop", "--scope", "admin"]).expect(0, &[]);
    run_on(&database, &["keys", "revoke", "1"]).expect(0, &["Key 1 is revoked", "5000 ms"]);
    let revoked_at = database.fetch("SELECT revoked_at FROM api_keys").await;
    run_on(&database, &["keys", "revoke", "1"]).expect(0, &["Key 1 was revoked already"]);
    assert_eq!(database.fetch("SELECT revoked_at FROM api_keys").await, revoked_at);
    run_on(&database, &["keys", "list"]).expect(0, &["shop", "revoked"]);
    run_on(&database, &["keys", "revoke", "2"]).expect(1, &["there is no key 2"]);
}

#[actix_rt::test]
async fn a_key_that_cannot_be_is_refused() {
    let database = TestDatabase::create().await;
    for name in ["", "a\nb", &"x".repeat(101)] {
        let said = run_on(&database, &["keys", "create", "--name", name, "--scope", "read"]);
        said.expect(1, &["1 to 100 characters"]);
    }
    run_on(&database, &["keys", "create", "--name", "a", "--scope", "root"]).expect(2, &["read, write, admin"]);
    run_on(&database, &["keys", "create", "--name", "a", "--scope", "read", "--good-for-days", "0"]).expect(2, &[]);
    assert_eq!(database.fetch("SELECT count(*) FROM api_keys").await, "0");
}

/// What it says when it is started like this and ends by itself.
fn refused_start(database: &TestDatabase, environment: &[(&str, &str)]) -> Said {
    let mut command = purser(&["serve"]);
    command.env("DATABASE_URL", &database.url).env("PURSER_BROKER__ENABLED", "false");
    command.envs(environment.iter().copied());
    Said::of(command.output().expect("the binary starts"))
}

#[actix_rt::test]
async fn where_others_can_reach_it_it_does_not_start_without_a_key_or_without_asking_for_one() {
    let database = TestDatabase::create().await;
    let public = ("PURSER_HTTP__LISTEN", "0.0.0.0:0");
    refused_start(&database, &[public]).expect(1, &["0.0.0.0:0", "there is none yet", "purser keys create"]);
    refused_start(&database, &[public, ("PURSER_HTTP__AUTH", "off")])
        .expect(1, &["http.auth", "http.public_without_auth"]);

    // A key that is no good opens nothing either.
    run_on(&database, &["keys", "create", "--name", "first", "--scope", "admin"]).expect(0, &[]);
    run_on(&database, &["keys", "revoke", "1"]).expect(0, &[]);
    refused_start(&database, &[public]).expect(1, &["there is none yet"]);
}

#[actix_rt::test]
async fn where_others_can_reach_it_it_starts_with_a_key_and_asks_for_it() {
    let database = TestDatabase::create().await;
    let made = run_on(&database, &["keys", "create", "--name", "first", "--scope", "read"]);
    let key = made.expect(0, &[]).stdout.trim_end().to_owned();
    let environment = [("DATABASE_URL", database.url.as_str()), ("PURSER_BROKER__ENABLED", "false")];
    let mut server = Server::start_on("0.0.0.0", environment);
    server.ready().await;
    let metrics = format!("http://{}/metrics", server.address);
    let client = reqwest::Client::new();
    assert_eq!(client.get(&metrics).send().await.expect("it answers").status(), 401);
    assert_eq!(client.get(&metrics).bearer_auth(&key).send().await.expect("it answers").status(), 200);
    assert!(!server.logged().contains(&key), "a key is never logged");
}
