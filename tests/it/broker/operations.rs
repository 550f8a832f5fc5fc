//! Every operation over AMQP, on real servers: what it replies, what it leaves in the balances, and what becomes of it when it comes again
//! or when nobody waits for the answer.

use serde_json::{Value, json};

use super::batches::outcomes;
use super::{BrokerOnly, consuming, redeliver};
use crate::support::{Amqp, Message, PATIENCE, TestApp, poll_until};

/// Somebody who asks, and reads what is said.
pub(super) struct Desk {
    pub(super) app: TestApp,
    pub(super) client: Amqp,
}

impl Desk {
    pub(super) async fn open() -> Self {
        let app = consuming().await;
        let client = app.amqp().await;
        Self { app, client }
    }

    /// The reply, with the JSON that stands in its body read.
    pub(super) async fn ask(&self, operation: &str, body: &Value) -> Value {
        opened(self.app.call(&self.client, operation, body).await)
    }

    /// The same under a key.
    pub(super) async fn ask_with_key(&self, operation: &str, body: &Value, key: &str) -> Value {
        let message = Message::new(&self.app.names.operations, operation, body.to_string()).key(key);
        opened(self.client.call(message).await.json())
    }

    /// Asks, demands that answer, and gives the id of the transaction that it became.
    pub(super) async fn check(&self, operation: &str, body: Value, expected: &str) -> String {
        let reply = self.ask(operation, &body).await;
        assert_eq!(said(&reply), expected, "{operation} {body} -> {reply}");
        reply["body"]["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Demands what a wallet holds in USD: available, held and incoming.
    pub(super) async fn holds(&self, wallet: i64, expected: &str) {
        assert_eq!(self.holding(wallet).await, expected, "wallet {wallet}");
    }

    async fn holding(&self, wallet: i64) -> String {
        let reply = self.ask("balance", &json!({"wallet_id": wallet})).await;
        assert_eq!(reply["code"], 200, "{reply}");
        let line = &reply["body"]["balances"]["USD"];
        ["available", "held", "incoming"].map(|name| line[name].as_str().unwrap_or("0")).join(" ")
    }

    pub(super) async fn status(&self, id: &str) -> String {
        self.app.database.fetch(format!("SELECT status FROM transactions WHERE id = '{id}'")).await
    }
}

/// The envelope of a reply with the JSON in its body read.
pub(super) fn opened(mut reply: Value) -> Value {
    if let Some(text) = reply["body"].as_str() {
        reply["body"] = serde_json::from_str(text).expect("the body is JSON in a string");
    }
    reply
}

/// What a reply says in a line: the code, then the status or the rejection, then how it left its original, then its marks.
pub(super) fn said(reply: &Value) -> String {
    let mut words = vec![reply["code"].to_string()];
    let (body, text) = (&reply["body"], |value: &Value| value.as_str().map(str::to_owned));
    words.extend(text(&reply["rejection"]));
    words.extend(text(&body["status"]));
    words.extend(text(&body["original_status"]).map(|status| format!("original {status}")));
    words.extend((body["waiting"] == true).then(|| "waiting".to_owned()));
    words.extend((body["replayed"] == true || reply["replayed"] == true).then(|| "replayed".to_owned()));
    words.extend(reply["item"].as_i64().map(|item| format!("item {item}")));
    words.join(" ")
}

pub(super) fn usd(wallet: i64, amount: &str) -> Value {
    json!({"wallet_id": wallet, "currency": "USD", "amount": amount})
}

/// An object with the fields of another one added.
pub(super) fn and(mut fields: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    fields.as_object_mut().expect("it is an object").extend(more);
    fields
}

fn pending(fields: Value) -> Value {
    and(fields, json!({"pending": true}))
}

fn about(wallet: i64, id: &str) -> Value {
    json!({"wallet_id": wallet, "transaction_id": id})
}

#[tokio::test]
async fn a_hold_is_confirmed_in_parts_until_the_last_one_gives_the_rest_back() {
    let desk = Desk::open().await;
    desk.check("invoice", usd(1, "100"), "200 Success").await;
    let hold = desk.check("withdraw", and(pending(usd(1, "60")), json!({"expires_in": 600})), "200 Created").await;
    desk.holds(1, "40 60 0").await;

    let part = |amount: &str| and(about(1, &hold), json!({"amount": amount, "final": false}));
    let confirmed = desk.ask("confirm", &part("10")).await;
    assert_eq!(said(&confirmed), "200 Success original Created");
    assert_eq!(confirmed["operation"], "confirm");
    assert_eq!(confirmed["body"]["original_id"], hold.as_str());
    desk.check("confirm", part("20.50"), "200 Success original Created").await;
    desk.holds(1, "40 29.5 0").await;
    desk.check("confirm", part("29.51"), "422 amount_exceeds_unconfirmed").await;
    desk.check("confirm", part("0.001"), "422 too_many_decimals").await;
    let last = and(about(1, &hold), json!({"amount": 9.5}));
    desk.check("confirm", last, "200 Success original Success").await;
    desk.holds(1, "60 0 0").await;
    desk.check("confirm", about(1, &hold), "409 transaction_final").await;
    desk.check("cancel", about(1, &hold), "409 transaction_final").await;

    // Without an amount it is all that is left.
    let hold = desk.check("withdraw", pending(usd(1, "5")), "200 Created").await;
    desk.check("confirm", about(1, &hold), "200 Success original Success").await;
    desk.holds(1, "55 0 0").await;
    desk.check("withdraw", pending(usd(1, "55.01")), "422 insufficient_funds").await;
    desk.check("withdraw", and(usd(1, "1"), json!({"expires_in": 60})), "422 contradiction").await;
    desk.check("withdraw", and(pending(usd(1, "1")), json!({"expires_in": 0})), "422 expires_in_invalid").await;
}

#[tokio::test]
async fn what_is_pending_is_cancelled_extended_or_ends_by_itself() {
    let desk = Desk::open().await;
    desk.check("invoice", usd(1, "100"), "200 Success").await;
    let hold = desk.check("withdraw", pending(usd(1, "30")), "200 Created").await;
    desk.check("cancel", about(2, &hold), "404 transaction_unknown").await;
    desk.check("cancel", about(1, &hold), "200 Success original Error").await;
    desk.holds(1, "100 0 0").await;
    desk.check("confirm", about(1, &hold), "409 transaction_final").await;
    desk.check("extend", and(about(1, &hold), json!({"expires_in": 60})), "409 transaction_final").await;

    // Of what was confirmed in part, the rest alone goes back.
    let hold = desk.check("withdraw", pending(usd(1, "30")), "200 Created").await;
    let part = and(about(1, &hold), json!({"amount": "10", "final": false}));
    desk.check("confirm", part, "200 Success original Created").await;
    desk.check("cancel", about(1, &hold), "200 Success original Success").await;
    desk.holds(1, "90 0 0").await;

    let short = desk.ask("withdraw", &and(pending(usd(1, "5")), json!({"expires_in": 1}))).await;
    assert!(short["body"]["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{short}");
    let long = desk.check("withdraw", and(pending(usd(1, "7")), json!({"expires_in": 600})), "200 Created").await;
    let kept = desk.check("withdraw", and(pending(usd(1, "7")), json!({"expires_in": 600})), "200 Created").await;
    // A new time to live counts from now, be it shorter.
    let sooner = and(about(1, &long), json!({"expires_in": 1}));
    desk.check("extend", sooner, "200 Success original Created").await;
    poll_until(PATIENCE, "the end of both", || async { desk.holding(1).await == "83 7 0" }).await;
    for ended in [short["body"]["id"].as_str().expect("it has an id"), &long] {
        desk.check("confirm", about(1, ended), "409 transaction_final").await;
    }
    let later = and(about(1, &kept), json!({"expires_in": 900}));
    desk.check("extend", later, "200 Success original Created").await;
    desk.check("confirm", about(1, &kept), "200 Success original Success").await;
    desk.check("extend", about(1, &kept), "400 missing_field").await;
    desk.holds(1, "83 0 0").await;
}

#[tokio::test]
async fn pending_credits_and_transfers_wait_on_the_right_side() {
    let desk = Desk::open().await;
    let announced = desk.check("invoice", pending(usd(1, "50")), "200 Created").await;
    desk.holds(1, "0 0 50").await;
    let part = and(about(1, &announced), json!({"amount": "20", "final": false}));
    desk.check("confirm", part, "200 Success original Created").await;
    desk.holds(1, "20 0 30").await;
    desk.check("cancel", about(1, &announced), "200 Success original Success").await;
    desk.holds(1, "20 0 0").await;

    let to_2 = |amount: &str| and(usd(1, amount), json!({"to_wallet_id": 2}));
    let on_the_way = desk.check("transfer", pending(to_2("15")), "200 Created").await;
    desk.holds(1, "5 15 0").await;
    desk.holds(2, "0 0 0").await;
    desk.check("confirm", about(2, &on_the_way), "404 transaction_unknown").await;
    let part = and(about(1, &on_the_way), json!({"amount": "9"}));
    desk.check("confirm", part, "200 Success original Success").await;
    desk.holds(1, "11 0 0").await;
    desk.holds(2, "9 0 0").await;
    desk.check("transfer", and(to_2("1"), json!({"wait_for_funds": true})), "422 wait_for_funds_invalid").await;
    desk.check("transfer", and(usd(1, "1"), json!({"to_wallet_id": 1})), "422 same_wallet").await;
}

#[tokio::test]
async fn withdrawals_that_wait_for_funds_are_paid_in_their_order() {
    let desk = Desk::open().await;
    let waits = |amount: &str, more: Value| and(and(usd(1, amount), json!({"wait_for_funds": true})), more);
    let first = desk.check("withdraw", waits("10", json!({})), "200 Created waiting").await;
    let second = desk.check("withdraw", waits("3", json!({"expires_in": 600})), "200 Created waiting").await;
    let third = desk.check("withdraw", waits("2", json!({})), "200 Created waiting").await;
    desk.check("confirm", about(1, &first), "409 transaction_waiting").await;
    desk.check("invoice", usd(1, "5"), "200 Success").await;
    // A plain one is not held up by those that wait.
    desk.check("withdraw", usd(1, "1"), "200 Success").await;
    desk.holds(1, "4 0 0").await;
    desk.check("cancel", about(1, &first), "200 Success original Error").await;
    poll_until(PATIENCE, "the second paid", || async { desk.status(&second).await == "Success" }).await;
    assert_eq!(desk.status(&third).await, "Created");
    desk.check("invoice", usd(1, "1.50"), "200 Success").await;
    assert_eq!(desk.status(&third).await, "Success");
    desk.holds(1, "0.5 0 0").await;
    let both = and(waits("1", json!({})), json!({"pending": true}));
    desk.check("withdraw", both, "422 contradiction").await;
    desk.check("withdraw", waits("0.5", json!({})), "200 Success").await;

    let late = desk.check("withdraw", waits("1", json!({"expires_in": 1})), "200 Created waiting").await;
    poll_until(PATIENCE, "its end", || async { desk.status(&late).await == "Error" }).await;
    desk.holds(1, "0 0 0").await;
}

#[tokio::test]
async fn a_reversal_gives_back_in_parts_and_never_more_than_there_was() {
    let desk = Desk::open().await;
    let credit = desk.check("invoice", usd(1, "100"), "200 Success").await;
    let transfer = desk.check("transfer", and(usd(1, "40"), json!({"to_wallet_id": 2})), "200 Success").await;
    let part = |wallet, amount: &str| and(about(wallet, &transfer), json!({"amount": amount}));
    // Who received it pays it back, so it takes that wallet's queue.
    desk.check("reverse", part(1, "1"), "404 transaction_unknown").await;
    let reversal = desk.check("reverse", part(2, "15"), "200 Success original Success").await;
    desk.check("reverse", part(2, "25.01"), "422 amount_exceeds_original").await;
    desk.check("reverse", about(2, &transfer), "200 Success original Success").await;
    desk.check("reverse", part(2, "0.01"), "422 amount_exceeds_original").await;
    desk.check("reverse", about(1, &reversal), "404 transaction_unknown").await;
    desk.check("reverse", about(2, &reversal), "409 reversal_of_reversal").await;
    desk.holds(1, "100 0 0").await;
    desk.holds(2, "0 0 0").await;

    let debit = desk.check("withdraw", usd(1, "30"), "200 Success").await;
    desk.check("reverse", about(1, &credit), "422 insufficient_funds").await;
    desk.check("reverse", about(1, &debit), "200 Success original Success").await;
    desk.check("reverse", about(1, &credit), "200 Success original Success").await;
    let hold = desk.check("invoice", pending(usd(1, "5")), "200 Created").await;
    desk.check("reverse", about(1, &hold), "409 not_reversible").await;
    desk.check("reverse", about(1, "no id"), "404 transaction_unknown").await;
    desk.holds(1, "0 0 5").await;
}

#[tokio::test]
async fn what_is_redelivered_is_replayed_and_a_batch_without_a_key_is_parked() {
    let mut desk = Desk::open().await;
    let names = desk.app.names.clone();
    let hold = desk.ask_with_key("invoice", &usd(1, "50"), "in").await;
    assert_eq!(said(&hold), "200 Success");
    let hold = desk.ask_with_key("withdraw", &pending(usd(1, "20")), "hold").await;
    let id = hold["body"]["id"].as_str().expect("it has an id").to_owned();
    let capture = and(about(1, &id), json!({"amount": "5", "final": false}));
    let captured = desk.ask_with_key("confirm", &capture, "capture").await;
    assert_eq!(said(&captured), "200 Success original Created");
    let extend = and(about(1, &id), json!({"expires_in": 600}));
    assert_eq!(said(&desk.ask_with_key("extend", &extend, "extend").await), "200 Success original Created");
    assert_eq!(said(&desk.ask_with_key("cancel", &about(1, &id), "cancel").await), "200 Success original Success");
    // The first answer again, whatever became of the hold since.
    let mut again = desk.ask_with_key("confirm", &capture, "capture").await;
    assert_eq!(again["body"].as_object_mut().and_then(|body| body.remove("replayed")), Some(true.into()));
    assert_eq!(again, captured);
    assert_eq!(said(&desk.ask_with_key("withdraw", &pending(usd(1, "20")), "hold").await), "200 Created replayed");
    let debit = desk.ask_with_key("withdraw", &usd(1, "10"), "debit").await;
    let reverse = and(about(1, debit["body"]["id"].as_str().expect("it has an id")), json!({"amount": "4"}));
    assert_eq!(said(&desk.ask_with_key("reverse", &reverse, "reverse").await), "200 Success original Success");
    let atomic = json!({"atomic": true, "operations": [and(usd(2, "1"), json!({"operation": "invoice"}))]});
    assert_eq!(said(&desk.ask_with_key("batch", &atomic, "atomic").await), "200 Success");
    let each = json!({"operations": [and(usd(2, "2"), json!({"operation": "invoice"}))]});
    assert_eq!(outcomes(&desk.ask_with_key("batch", &each, "each").await), ["invoice 200 Success"]);
    desk.holds(1, "39 0 0").await;
    let transactions = desk.app.database.fetch("SELECT count(*) FROM transactions").await;

    desk.app.stop().await;
    let keyed = [
        ("invoice", usd(1, "50"), "in"),
        ("withdraw", pending(usd(1, "20")), "hold"),
        ("confirm", capture, "capture"),
        ("extend", extend, "extend"),
        ("cancel", about(1, &id), "cancel"),
        ("reverse", reverse, "reverse"),
        ("batch", atomic.clone(), "atomic"),
        ("batch", each.clone(), "each"),
    ];
    let message = |word: &str, body: &Value| {
        let reply_to = desk.client.reply_queue.as_str().into();
        Message::new(&names.operations, word, body.to_string()).with(|properties| properties.with_reply_to(reply_to))
    };
    let mut messages: Vec<_> = keyed.iter().map(|(word, body, key)| message(word, body).key(key)).collect();
    messages.push(message("batch", &atomic));
    messages.push(message("batch", &each));
    redeliver(&desk.client, &names.queue, messages).await;
    let again = BrokerOnly::start(&names, &desk.app.database);
    for body in [&atomic, &each] {
        let letter = desk.client.take(&names.dead).await;
        assert_eq!(letter.header("x-purser-reason").as_deref(), Some("ambiguous_redelivery"));
        assert_eq!(letter.json(), *body);
    }
    let settled = || async { (again.settled(&names, "ack"), again.settled(&names, "park")) == (8, 2) };
    poll_until(PATIENCE, "all settled", settled).await;
    again.stop().await;
    assert_eq!(desk.app.database.fetch("SELECT count(*) FROM transactions").await, transactions);
    assert_eq!(desk.app.database.available(1, "USD").await, "39");
    assert_eq!(desk.app.database.available(2, "USD").await, "3");
}

#[tokio::test]
async fn refusals_that_nobody_waits_for_and_that_are_on_no_record_are_kept() {
    let desk = Desk::open().await;
    let names = &desk.app.names;
    desk.check("invoice", usd(1, "10"), "200 Success").await;
    let done = desk.check("withdraw", usd(1, "1"), "200 Success").await;
    let item = |body: Value, word: &str| and(body, json!({"operation": word}));
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (word, body, reason) in [
        ("confirm", about(1, unknown), "transaction_unknown"),
        ("cancel", about(1, &done), "transaction_final"),
        ("extend", about(1, unknown), "missing_field"),
        ("reverse", about(2, &done), "transaction_unknown"),
        ("transfer", and(usd(1, "1"), json!({"to_wallet_id": 77})), "wallet_unknown"),
        ("withdraw", and(usd(1, "1"), json!({"service_id": 77})), "service_unknown"),
        (
            "batch",
            json!({"operations": [item(usd(1, "1"), "invoice"), item(usd(77, "1"), "invoice")]}),
            "wallet_unknown",
        ),
        ("batch", json!({"operations": []}), "batch_empty"),
        ("stand", json!({"wallet_id": 1, "standing": "closed"}), "unknown_operation"),
    ] {
        let message = Message::new(&names.operations, word, body.to_string());
        desk.client.publish(message).await;
        let letter = desk.client.take(&names.dead).await;
        assert_eq!(letter.header("x-purser-reason").as_deref(), Some(reason), "{word} {body}");
        assert_eq!(letter.header("x-purser-routing-key").as_deref(), Some(word));
        assert_eq!(letter.json(), body);
    }
    // What is on record needs no letter.
    for (word, body) in [
        ("withdraw", pending(usd(1, "99"))),
        ("reverse", and(about(1, &done), json!({"amount": "1"}))),
        ("batch", json!({"atomic": true, "operations": [item(usd(1, "99"), "withdraw")]})),
    ] {
        desk.client.publish(Message::new(&names.operations, word, body.to_string())).await;
    }
    desk.holds(1, "11 0 0").await;
    assert_eq!(desk.client.message_count(&names.dead).await, 0);
}
