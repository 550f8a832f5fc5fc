//! PostgreSQL over TLS, as the address says: `sslmode` and `sslrootcert`.

use super::Said;
use crate::support::TestDatabase;
use crate::support::server::purser;
use crate::support::tls::{Certificate, TlsDoor};

/// Asks the database something, aside: the door is served by the test's own thread.
async fn verify_at(url: String) -> Said {
    let run = move || purser(&["verify"]).env("DATABASE_URL", url).output().expect("the binary starts");
    Said::of(tokio::task::spawn_blocking(run).await.expect("it is not cancelled"))
}

fn with_query(url: &str, sslmode: &str, authority: Option<&Certificate>) -> String {
    let mut url = url::Url::parse(url).expect("the address is a URL");
    url.query_pairs_mut().append_pair("sslmode", sslmode);
    if let Some(certificate) = authority {
        url.query_pairs_mut().append_pair("sslrootcert", Certificate::path(&certificate.authority));
    }
    url.into()
}

#[tokio::test]
async fn a_database_that_cannot_be_trusted_is_not_spoken_to_when_the_address_asks_for_trust() {
    let database = TestDatabase::create().await;
    let (good, other, misnamed) =
        (Certificate::of("127.0.0.1"), Certificate::of("127.0.0.1"), Certificate::of("db.example"));
    let (door, url) = TlsDoor::start(&good, &database.url).await;
    verify_at(with_query(&url, "verify-full", Some(&good))).await.expect(0, &["the books are right"]);
    verify_at(with_query(&url, "verify-ca", Some(&good))).await.expect(0, &["the books are right"]);
    assert_eq!(door.refused(), 0);

    let refused = ["Unable to connect to database", "certificate"];
    verify_at(with_query(&url, "verify-full", Some(&other))).await.expect(1, &refused);
    verify_at(with_query(&url, "verify-full", None)).await.expect(1, &refused);
    let (_door, url) = TlsDoor::start(&misnamed, &database.url).await;
    verify_at(with_query(&url, "verify-full", Some(&misnamed))).await.expect(1, &refused);
}

#[tokio::test]
async fn a_database_without_tls_is_not_spoken_to_when_the_address_asks_for_it() {
    let database = TestDatabase::create().await;
    let (_door, url) = TlsDoor::start_without_tls(&database.url).await;
    verify_at(with_query(&url, "prefer", None)).await.expect(0, &["the books are right"]);
    for sslmode in ["require", "verify-full"] {
        verify_at(with_query(&url, sslmode, None)).await.expect(1, &["Unable to connect to database", "TLS"]);
    }
}
