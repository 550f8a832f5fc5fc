//! What system 004's clients were promised is kept when the server is killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;

use crate::support::{PATIENCE, Server, TestDatabase, assert_books_balance, poll, poll_until};

/// Clients that pay all the time.
const CLIENTS: i64 = 9;
/// How often the server is killed.
const KILLS: usize = 5;
/// Payments that are answered in each of its lives, at least.
const ANSWERED_PER_LIFE: usize = 400;

/// How a client sees to it that it pays once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// By an order's number: what was not answered is sent again until it is.
    Orders,
    /// Not at all: nothing is sent twice.
    Nameless,
}

/// A payment that was sent, known in the books by the client's name that it gave.
#[derive(Debug)]
struct Sent {
    client: i64,
    name: String,
    word: &'static str,
    /// With 200.
    is_answered: bool,
    /// A connection broke while it was waited for.
    was_cut_off: bool,
}

/// What the clients and who kills share.
#[derive(Debug, Default)]
struct Load {
    answered: AtomicUsize,
    is_over: AtomicBool,
}

#[actix_rt::test]
async fn requests_accepted_before_a_kill_are_all_there_after_it() {
    let database = TestDatabase::with_wallets(CLIENTS).await;
    let mut server = Server::start([("DATABASE_URL", database.url.as_str()), ("PURSER_BROKER__ENABLED", "false")]);
    server.ready().await;
    let load = Arc::new(Load::default());
    let sending: Vec<_> = (1..=CLIENTS)
        .flat_map(|client| [(client, Manner::Orders), (client, Manner::Nameless)])
        .map(|(client, manner)| tokio::spawn(send(server.address.clone(), client, manner, Arc::clone(&load))))
        .collect();
    for _ in 0..KILLS {
        a_life(&load).await;
        server.kill();
        server.restart();
        server.ready().await;
    }
    a_life(&load).await;
    load.is_over.store(true, Ordering::SeqCst);
    let sent = join_all(sending).await.into_iter().flat_map(|sent| sent.expect("no client panics"));
    let sent: Vec<Sent> = sent.collect();
    assert!(sent.iter().any(|sent| sent.was_cut_off && sent.is_answered), "an order was cut off and sent again");
    assert!(sent.iter().any(|sent| sent.was_cut_off && !sent.is_answered), "a payment without an order was cut off");

    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT wallet_id, labels->>'client_name', kind || ' ' || trim_scale(amount) FROM transactions WHERE status = 'Success'",
    )
    .fetch_all(&database.pool)
    .await
    .expect("the books can be read");
    let mut books: HashMap<(i64, String), Vec<String>> = HashMap::new();
    for (client, name, what) in rows {
        books.entry((client, name)).or_default().push(what);
    }
    for Sent { client, name, word, is_answered, .. } in sent {
        let found = books.remove(&(client, name.clone())).unwrap_or_default();
        let expected = if word == "deposit" { "invoice 2" } else { "withdraw 1" };
        match found.as_slice() {
            [what] => assert_eq!(what, expected, "client {client}, {name}"),
            [] => assert!(!is_answered, "client {client}, {name}: answered, and lost"),
            _ => panic!("client {client}, {name}: applied more than once: {found:?}"),
        }
    }
    assert!(books.is_empty(), "nobody sent this: {books:?}");
    assert_books_balance(&database.pool).await;
}

/// Waits until so much more was answered.
async fn a_life(load: &Load) {
    let enough = load.answered.load(Ordering::SeqCst) + ANSWERED_PER_LIFE;
    poll_until(PATIENCE, "payments are answered", async || load.answered.load(Ordering::SeqCst) >= enough).await;
}

/// One payment after the other until the load is over: 2 in, 1 out, so that there always is enough.
async fn send(address: String, client: i64, manner: Manner, load: Arc<Load>) -> Vec<Sent> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let mut sent = Vec::new();
    for number in 1.. {
        if load.is_over.load(Ordering::SeqCst) {
            break;
        }
        let (word, amount) = if manner == Manner::Orders && number % 2 == 0 { ("withdraw", 1) } else { ("deposit", 2) };
        let name = format!("{manner:?} {number}");
        let order = if manner == Manner::Orders { number } else { 0 };
        let body = format!(r#"{{"clientName":"{name}","orderID":{order},"typeTXN":"{word}","amount":{amount}}}"#);
        let mut payment = Sent { client, name, word, is_answered: false, was_cut_off: false };
        let url = format!("http://{address}/pay/?client={client}");
        while !payment.is_answered {
            // Between two lives nobody listens: a connection that is refused has carried nothing.
            let answer = poll(PATIENCE * 2, "the server is there again", || {
                let request = http.post(&url).body(body.clone());
                async {
                    Some(request.send().await).filter(|answer| !answer.as_ref().is_err_and(reqwest::Error::is_connect))
                }
            })
            .await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => payment.is_answered = true,
                // Just started, and the database is not reached yet.
                Ok(status) => assert!([502, 503].contains(&status), "{status}: {payment:?}"),
                Err(_) => payment.was_cut_off = true,
            }
            if manner == Manner::Nameless {
                break;
            }
        }
        load.answered.fetch_add(usize::from(payment.is_answered), Ordering::SeqCst);
        sent.push(payment);
    }
    sent
}

/// Withdrawals that wait when the server is killed, at least.
const WAITING: usize = 300;

#[actix_rt::test]
async fn withdrawals_that_wait_wait_on_after_a_kill_and_are_paid_in_their_order() {
    let database = TestDatabase::with_wallets(CLIENTS).await;
    let mut server = Server::start([("DATABASE_URL", database.url.as_str()), ("PURSER_BROKER__ENABLED", "false")]);
    server.ready().await;
    let load = Arc::new(Load::default());
    let sending: Vec<_> = (1..=CLIENTS)
        .map(|client| tokio::spawn(stand_in_line(server.address.clone(), client, Arc::clone(&load))))
        .collect();
    poll_until(PATIENCE, "enough of them wait", async || load.answered.load(Ordering::SeqCst) >= WAITING).await;
    server.kill();
    let accepted: Vec<i64> =
        join_all(sending).await.into_iter().map(|accepted| accepted.expect("no client panics")).collect();
    server.restart();
    server.ready().await;

    let fetch = async |client: i64, what: &str| {
        database
            .fetch(format!("SELECT {what} FROM transactions WHERE wallet_id = {client} AND kind = 'withdraw'"))
            .await
    };
    for (client, accepted) in (1..).zip(accepted) {
        // The one that was cut off is there, or it is not.
        let waiting: i64 =
            fetch(client, "count(*) FILTER (WHERE status = 'Created')").await.parse().expect("it is a number");
        assert!([accepted, accepted + 1].contains(&waiting), "client {client}: {accepted} accepted, {waiting} wait");
        for order in [1, accepted] {
            assert_eq!(ask_to_wait(&server.address, client, order).await, Some(202), "client {client}, order {order}");
        }
        let body = format!(r#"{{"typeTXN":"deposit","amount":{waiting}}}"#);
        assert_eq!(pay(&server.address, &format!("client={client}"), body).await, Some(200), "client {client}");
        for order in [1, accepted] {
            assert_eq!(ask_to_wait(&server.address, client, order).await, Some(200), "client {client}, order {order}");
        }
        let paid =
            "SELECT string_agg(order_id, ' ' ORDER BY seq) FROM entries JOIN transactions ON id = transaction_id";
        let paid = database.fetch(format!("{paid} WHERE entries.wallet_id = {client} AND kind = 'withdraw'")).await;
        let expected: Vec<String> = (1..=waiting).map(|order| order.to_string()).collect();
        assert_eq!(paid, expected.join(" "), "client {client}: each is paid once, in their order");
        assert_eq!(database.available(client, "USD").await, "0", "client {client}");
    }
    assert_books_balance(&database.pool).await;
}

/// Sends one order after the other, each to wait for money that is not there, until the server is gone. Gives how many were accepted.
async fn stand_in_line(address: String, client: i64, load: Arc<Load>) -> i64 {
    let mut accepted = 0;
    while let Some(status) = ask_to_wait(&address, client, accepted + 1).await {
        assert_eq!(status, 202, "client {client}, order {}", accepted + 1);
        accepted += 1;
        load.answered.fetch_add(1, Ordering::SeqCst);
    }
    accepted
}

async fn ask_to_wait(address: &str, client: i64, order: i64) -> Option<u16> {
    let body = format!(r#"{{"orderID":{order},"typeTXN":"withdraw","amount":1}}"#);
    pay(address, &format!("client={client}&wait=1h"), body).await
}

/// The status, or `None` where the connection broke.
async fn pay(address: &str, query: &str, body: String) -> Option<u16> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client is made");
    let answer = http.post(format!("http://{address}/pay/?{query}")).body(body).send().await;
    Some(answer.ok()?.status().as_u16())
}
