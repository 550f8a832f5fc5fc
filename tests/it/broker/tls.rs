//! RabbitMQ over TLS.

use purser::settings::Secret;
use serde_json::json;

use crate::support::server::purser;
use crate::support::tls::{Certificate, TlsDoor};
use crate::support::{PATIENCE, TestApp, TestDatabase, amqp_url, poll_until};

#[actix_rt::test]
async fn operations_come_over_tls_from_a_broker_that_can_be_trusted() {
    let certificate = Certificate::of("127.0.0.1");
    let (_door, url) = TlsDoor::start(&certificate, &amqp_url()).await;
    let authority = Certificate::path(&certificate.authority);
    let app = TestApp::start_with(|settings| {
        settings.broker.url = Secret::new(&url);
        settings.broker.tls_ca_file = authority.to_owned();
    })
    .await;
    let client = app.amqp().await;
    let invoice = json!({ "wallet_id": 1, "currency": "USD", "amount": "5" });
    assert_eq!(app.call(&client, "invoice", &invoice).await["code"], 200);

    // The command line's client does the same.
    let send = async |authority: Option<&str>| {
        let mut command = purser(&["send", "balance", "1"]);
        command.env("AMQP_URL", &url).envs(app.names.environment());
        command.envs(authority.map(|file| ("PURSER_BROKER__TLS_CA_FILE", file)));
        // Aside: the door is served by this thread.
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        output.expect("it is not cancelled").expect("the binary starts")
    };
    let output = send(Some(authority)).await;
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("200"), "{output:?}");
    let output = send(None).await;
    assert!(!output.status.success(), "nobody vouches for the broker: {output:?}");
    let output = send(Some("no/such/file.pem")).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("broker.tls_ca_file"), "{said}");
}

#[actix_rt::test]
async fn a_broker_that_cannot_be_trusted_gets_no_password_and_no_operation() {
    let (certificate, other) = (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"));
    let misnamed = Certificate::of("broker.example");
    for (served, trusted) in
        [(&certificate, None), (&certificate, Some(&other.authority)), (&misnamed, Some(&misnamed.authority))]
    {
        let (door, url) = TlsDoor::start(served, &amqp_url()).await;
        let app = TestApp::start_unready_on(TestDatabase::create().await, |settings| {
            settings.broker.url = Secret::new(&url);
            settings.broker.tls_ca_file = trusted.map_or("", |file| Certificate::path(file)).to_owned();
        })
        .await;
        poll_until(PATIENCE, "a refused handshake", || async { door.refused() > 1 }).await;
        let ready = app.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["dependencies"]["broker"]), (503, &json!("down")), "{trusted:?}");
    }
}
