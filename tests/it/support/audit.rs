//! The books, checked by the product's own audit: that it finds whatever is wrong is shown by the tests of `purser verify`, which damage books in
//! every way. A second list of the same rules here would only have to follow each change of them.

use purser::store::audit::{Audit, questions};
use sqlx::PgPool;

/// The rules that the books break, each with where.
pub async fn breaches(pool: &PgPool) -> Vec<String> {
    let mut connection = pool.acquire().await.expect("the database is there");
    let mut audit = Audit::begin(&mut connection).await.expect("the books can be read");
    let mut breaches = Vec::new();
    for question in questions::all() {
        let found = audit.ask(question).await.unwrap_or_else(|error| panic!("{:?}: {error}", question.invariants));
        breaches.extend(found.into_iter().map(|breach| format!("{}: {}", breach.invariant, breach.detail)));
    }
    for total in audit.totals().await.expect("the books can be added up") {
        if !total.adds_up {
            breaches.push(format!("what came in less what left is not what the wallets hold: {total:?}"));
        }
    }
    audit.end().await.expect("the database is there");
    breaches
}

/// Panics with the list of breaches if there are any.
pub async fn assert_books_balance(pool: &PgPool) {
    let breaches = breaches(pool).await;
    assert!(breaches.is_empty(), "{breaches:#?}");
}
