//! Books with everything that can stand in them, written by the product itself, to be damaged afterwards.

use std::sync::Arc;

use purser::ledger::{
    Answer, Batch, Cause, Details, Item, Labels, Operation, Request, Rest, ServiceId, Standing, TransactionId, WalletId,
};
use purser::posting::{Attempt, post};
use purser::store::Store;
use uuid::Uuid;

use crate::support::TestDatabase;
use crate::support::requests::{
    cancel, confirm, confirm_part, extend, invoice, named, pending, reverse, stand, transfer, when_funded, withdraw,
};

/// Tables that are damaged and restored.
const TABLES: [&str; 8] =
    ["currencies", "services", "wallets", "balances", "transactions", "entries", "transaction_references", "standings"];

/// A database whose books can be damaged as whoever owns it could: nothing is in the way. `tx(7)` is the transaction that was posted as number 7.
pub struct Books {
    pub database: TestDatabase,
}

impl Books {
    pub async fn write() -> Self {
        let database = TestDatabase::with_wallets(11).await;
        database.execute("INSERT INTO services (id, name) VALUES (1, 'shop')").await;
        post_all(&database).await;
        database
            .execute(
                "DO $$
                 DECLARE checked record;
                 BEGIN
                     FOR checked IN SELECT conrelid::regclass AS place, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0
                         AND connamespace = 'public'::regnamespace
                     LOOP
                         EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', checked.place, checked.conname);
                     END LOOP;
                 END $$",
            )
            .await;
        database.execute("ALTER TABLE transactions DISABLE TRIGGER USER").await;
        database.execute("ALTER TABLE entries DISABLE TRIGGER USER").await;
        database.execute("ALTER TABLE standings DISABLE TRIGGER USER").await;
        database
            .execute(
                "CREATE FUNCTION tx(number integer) RETURNS uuid
                 LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(number), 32, '0')::uuid $$",
            )
            .await;
        for table in TABLES {
            database.execute(format!("CREATE TABLE right_{table} AS TABLE {table}")).await;
        }
        Self { database }
    }

    /// Takes all damage back.
    pub async fn restore(&self) {
        for table in TABLES {
            // The identities of wallets and services were given by hand or by default: both come back as they were.
            self.database
                .execute(format!(
                    "TRUNCATE {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM right_{table}"
                ))
                .await;
        }
    }
}

fn tx(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

async fn post_all(database: &TestDatabase) {
    let store = Store::new(&database.settings().database).expect("the address is well-formed");
    let service = Details::new(Labels::default(), None, Some(ServiceId(1)), None).expect("it is fit");
    let mut served = invoice(6, "0.01");
    if let Request::Invoice { terms, .. } = &mut served {
        terms.details = Some(Arc::new(service));
    }
    let item = |number, request| Item { id: tx(number), request };
    let batch = |items| Request::Batch(Batch::new(items).expect("it is fit"));

    // Number, request, and what becomes of it.
    let operations = [
        // Money that moves at once, and what is reversed of it.
        (1, invoice(1, "1000.50"), "Success"),
        (2, named(withdraw(1, "2"), "done"), "Success"),
        (3, transfer(1, 2, "3"), "Success"),
        (4, named(withdraw(2, "9"), "refused"), "insufficient_funds"),
        (5, reverse(1, tx(1), Some("0.25")), "Success"),
        (6, reverse(1, tx(2), Some("0.50")), "Success"),
        (7, reverse(2, tx(3), Some("1")), "Success"),
        // A hold that was confirmed in part and stays, one that gave its rest back, one that was cancelled after a part, one before.
        (10, named(pending(withdraw(1, "10"), Some(600)), "held"), "Created"),
        (11, confirm_part(1, tx(10), "4", Rest::Kept), "Success"),
        (12, extend(1, tx(10), 900), "Success"),
        (13, pending(transfer(1, 2, "8"), None), "Created"),
        (14, confirm_part(1, tx(13), "5", Rest::Released), "Success"),
        (15, reverse(2, tx(13), Some("0.75")), "Success"),
        (16, pending(withdraw(1, "7"), None), "Created"),
        (17, confirm_part(1, tx(16), "2", Rest::Kept), "Success"),
        (18, cancel(1, tx(16)), "Success"),
        (19, named(pending(withdraw(1, "6"), None), "freed"), "Created"),
        (20, cancel(1, tx(19)), "Success"),
        (21, pending(withdraw(1, "1"), Some(600)), "Created"),
        // Number 22 ends it by its time.
        // Credits that are announced: confirmed in part, in full, cancelled.
        (30, pending(invoice(2, "20"), None), "Created"),
        (31, confirm_part(2, tx(30), "12", Rest::Kept), "Success"),
        (32, pending(invoice(2, "5"), None), "Created"),
        (33, confirm(2, tx(32)), "Success"),
        (34, pending(invoice(2, "6"), None), "Created"),
        (35, cancel(2, tx(34)), "Success"),
        // Lines: two wait, one left, one was paid and reversed; one has its funds but a wallet that is blocked.
        (40, when_funded(withdraw(4, "5"), None), "Created"),
        (41, when_funded(withdraw(4, "6"), Some(600)), "Created"),
        (42, when_funded(withdraw(4, "7"), None), "Created"),
        (43, cancel(4, tx(42)), "Success"),
        (44, when_funded(withdraw(5, "5"), None), "Created"),
        (45, invoice(5, "5.50"), "Success"),
        (46, reverse(5, tx(44), Some("1.25")), "Success"),
        (47, when_funded(withdraw(8, "5"), None), "Created"),
        (48, stand(8, Standing::Blocked), "Success"),
        (49, invoice(8, "5"), "Success"),
        // Batches.
        (50, batch(vec![item(51, invoice(6, "3")), item(52, transfer(6, 7, "1"))]), "Success"),
        (53, batch(vec![item(54, invoice(7, "3")), item(55, withdraw(7, "5"))]), "insufficient_funds"),
        (60, served, "Success"),
        // Standings: closed at once; opened again; blocked twice over and closed; blocked before anything was recorded.
        (61, stand(9, Standing::Closed), "Success"),
        (62, stand(3, Standing::Blocked), "Success"),
        (63, stand(3, Standing::Open), "Success"),
        (64, stand(10, Standing::Open), "Success"),
        (65, stand(10, Standing::Blocked), "Success"),
        (66, stand(10, Standing::Blocked), "Success"),
        (67, stand(10, Standing::Closed), "Success"),
        (68, stand(10, Standing::Closed), "Success"),
        (69, stand(11, Standing::Blocked), "Success"),
    ];
    for (number, request, expected) in operations {
        let operation = Operation { id: tx(number), idempotency_key: None, request };
        let outcomes = post(&store, &[operation], Attempt::First).await.expect("the database is there");
        assert_eq!(outcomes[0].label(), expected, "number {number}");
        if let (21, Ok(Answer::Transaction(hold))) = (number, &outcomes[0].result) {
            let due = hold.more().expires_at.expect("it has a time");
            let request = Request::Cancel { wallet: WalletId(1), original: tx(21), cause: Cause::Expired { due } };
            let operation = Operation { id: tx(22), idempotency_key: None, request };
            let outcomes = post(&store, &[operation], Attempt::First).await.expect("the database is there");
            assert_eq!(outcomes[0].label(), "Success");
        }
    }
    // Opened, never used.
    database
        .execute(
            "INSERT INTO balances (wallet_id, currency, available, held, incoming, seq) VALUES (3, 'EUR', 0, 0, 0, 0)",
        )
        .await;
    store.close().await;
}
