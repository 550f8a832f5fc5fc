//! The same operation gives the same outcome by either way: one list of operations, asked by AMQP of two wallets and by HTTP of two others.

use std::collections::BTreeMap;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::batches::outcomes;
use super::operations::{Desk, said};

/// What is asked, in the words of AMQP: a name for the transaction it becomes, the operation, its fields. `A` and `B` stand for the wallets, `@name`
/// for the id of an earlier transaction.
fn operations() -> Vec<(&'static str, &'static str, Value)> {
    let usd = |wallet: &str, amount: &str, more: Value| {
        let mut fields = json!({"wallet_id": wallet, "currency": "USD", "amount": amount});
        fields.as_object_mut().expect("it is an object").extend(more.as_object().expect("so is this").clone());
        fields
    };
    let about = |wallet: &str, id: &str, more: Value| {
        let mut fields = json!({"wallet_id": wallet, "transaction_id": id});
        fields.as_object_mut().expect("it is an object").extend(more.as_object().expect("so is this").clone());
        fields
    };
    let move_over = |amount: &str| usd("A", amount, json!({"operation": "transfer", "to_wallet_id": "B"}));
    vec![
        ("", "invoice", usd("A", "100", json!({"idempotency_key": "in", "labels": {"shop": "1"}, "order_id": "o-1"}))),
        ("", "invoice", usd("A", "100", json!({"idempotency_key": "in", "labels": {"shop": "1"}, "order_id": "o-1"}))),
        ("", "invoice", usd("A", "100.01", json!({"idempotency_key": "in"}))),
        ("", "invoice", usd("A", "0.001", json!({}))),
        ("", "invoice", usd("A", "0", json!({}))),
        ("", "invoice", usd("A", "-1", json!({}))),
        ("", "invoice", usd("A", "1e400", json!({}))),
        ("", "invoice", usd("A", "one", json!({}))),
        ("", "invoice", usd("A", "1", json!({"service_id": 77}))),
        ("", "invoice", json!({"wallet_id": 77, "currency": "USD", "amount": 1})),
        ("", "invoice", json!({"wallet_id": "A", "currency": "no such", "amount": 1})),
        ("", "invoice", usd("A", "1", json!({"wait_for_funds": true}))),
        ("", "invoice", usd("A", "1", json!({"idempotency_key": ""}))),
        ("debit", "withdraw", usd("A", "10.50", json!({}))),
        ("", "withdraw", usd("A", "1000", json!({"idempotency_key": "too much"}))),
        ("", "withdraw", usd("A", "1000", json!({"idempotency_key": "too much"}))),
        ("hold", "withdraw", usd("A", "20", json!({"pending": true, "expires_in": 600}))),
        ("", "withdraw", usd("A", "20", json!({"pending": true, "expires_in": 0}))),
        ("", "confirm", about("A", "@hold", json!({"amount": "5", "final": false}))),
        ("", "confirm", about("A", "@hold", json!({"amount": "15.01"}))),
        ("", "extend", about("A", "@hold", json!({"expires_in": 900}))),
        ("", "confirm", about("A", "@hold", json!({"amount": "5", "idempotency_key": "capture"}))),
        ("", "confirm", about("A", "@hold", json!({"amount": "5", "idempotency_key": "capture"}))),
        ("", "confirm", about("A", "@hold", json!({}))),
        ("", "cancel", about("A", "@hold", json!({}))),
        ("", "extend", about("A", "@hold", json!({"expires_in": 900}))),
        ("announced", "invoice", usd("B", "7", json!({"pending": true}))),
        ("", "cancel", about("B", "@announced", json!({}))),
        ("", "reverse", about("B", "@announced", json!({}))),
        ("", "reverse", about("A", "@hold", json!({"amount": "3"}))),
        ("", "reverse", about("A", "@hold", json!({"amount": "7.01"}))),
        ("moved", "transfer", usd("A", "30", json!({"to_wallet_id": "B"}))),
        ("back", "reverse", about("B", "@moved", json!({"amount": "10"}))),
        ("", "reverse", about("B", "@back", json!({}))),
        ("", "transfer", usd("A", "1", json!({"to_wallet_id": "A"}))),
        ("", "transfer", usd("A", "1000", json!({"to_wallet_id": "B"}))),
        ("moving", "transfer", usd("A", "5", json!({"to_wallet_id": "B", "pending": true}))),
        ("", "confirm", about("A", "@moving", json!({"amount": "4.50"}))),
        ("", "reverse", about("A", "@debit", json!({}))),
        ("waits", "withdraw", usd("B", "500", json!({"wait_for_funds": true, "expires_in": 600}))),
        ("", "confirm", about("B", "@waits", json!({}))),
        ("", "invoice", usd("B", "480", json!({}))),
        ("", "cancel", about("B", "@waits", json!({}))),
        (
            "",
            "batch",
            json!({"operations": [
                move_over("1"), move_over("1000"), {"operation": "balance", "wallet_id": "A"},
                {"operation": "confirm", "wallet_id": "A", "transaction_id": "@hold"},
                {"operation": "invoice", "wallet_id": 77, "currency": "USD", "amount": 1},
            ]}),
        ),
        (
            "",
            "batch",
            json!({"atomic": true, "idempotency_key": "both", "operations": [move_over("1"), move_over("2")]}),
        ),
        (
            "",
            "batch",
            json!({"atomic": true, "idempotency_key": "both", "operations": [move_over("1"), move_over("2")]}),
        ),
        ("", "batch", json!({"atomic": true, "operations": [move_over("1"), move_over("1000")]})),
        (
            "",
            "batch",
            json!({"atomic": true, "operations": [move_over("1"), {"operation": "balance", "wallet_id": "A"}]}),
        ),
        ("", "batch", json!({"atomic": true, "operations": [move_over("1"), move_over("0")]})),
        ("", "batch", json!({"operations": []})),
    ]
}

/// What an answer comes to, by whichever way: the outcome in words, and the transaction's id.
type Outcome = (Vec<String>, String);

async fn by_amqp(desk: &Desk, word: &str, fields: &Value) -> Outcome {
    let reply = desk.ask(word, fields).await;
    let words = if reply["body"]["outcomes"].is_array() {
        outcomes(&reply)
            .iter()
            .map(|outcome| outcome.split_once(' ').expect("a word comes first").1.to_owned())
            .collect()
    } else {
        vec![said(&reply)]
    };
    (words, reply["body"]["id"].as_str().unwrap_or_default().to_owned())
}

/// The same fields as `/v1` takes them: what a transaction is about stands in the path, and its wallet is found there.
async fn by_http(desk: &Desk, word: &str, fields: &Value) -> Outcome {
    let mut fields = fields.clone();
    let object = fields.as_object_mut().expect("it is an object");
    let path = match word {
        "invoice" | "withdraw" | "transfer" => {
            object.insert("kind".to_owned(), word.into());
            "/v1/transactions".to_owned()
        }
        "batch" => {
            for one in object["operations"].as_array_mut().expect("it is a list") {
                let one = one.as_object_mut().expect("it is an object");
                let kind = one.remove("operation").expect("it says what is asked");
                one.insert("kind".to_owned(), kind);
            }
            "/v1/batches".to_owned()
        }
        about => {
            object.remove("wallet_id");
            let id = object.remove("transaction_id").expect("it is about one");
            format!("/v1/transactions/{}/{about}", id.as_str().expect("an id is text"))
        }
    };
    let request = reqwest::Client::new().post(desk.app.url(&path)).header("content-type", "application/json");
    let response = request.body(fields.to_string()).send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut answer: Value = response.json().await.expect("the answer is JSON");
    if let Some(outcomes) = answer["outcomes"].as_array() {
        let words = |one: &Value| {
            let part = if one["problem"].is_object() { &one["problem"] } else { &one["transaction"] };
            as_said(one["status"].as_u64().expect("it has a status"), part, one["replayed"] == true)
        };
        return (outcomes.iter().map(words).collect(), String::new());
    }
    if answer["transactions"].is_array() {
        answer = answer["transaction"].take();
    }
    let words = as_said(status.into(), &answer, is_replayed(&headers));
    (vec![words], answer["id"].as_str().unwrap_or_default().to_owned())
}

fn is_replayed(headers: &HeaderMap) -> bool {
    headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

/// HTTP's answer in the words in which a reply is told. What AMQP knows as 200, HTTP tells as 201 where something was made.
fn as_said(status: u64, answer: &Value, is_replayed: bool) -> String {
    let code = if status == 201 { 200 } else { status };
    let is_refused = status >= 400;
    let body = if is_refused { Value::Null } else { answer.clone() };
    let mut reply = json!({"code": code, "body": body, "replayed": is_replayed});
    if is_refused {
        reply["rejection"] = answer["code"].clone();
        reply["item"] = answer["item"].clone();
    }
    said(&reply)
}

/// One way, with its wallets and the transactions it has made.
struct Way {
    wallets: [(&'static str, i64); 2],
    ids: BTreeMap<&'static str, String>,
}

impl Way {
    fn new(a: i64, b: i64) -> Self {
        Self { wallets: [("A", a), ("B", b)], ids: BTreeMap::new() }
    }

    /// The fields with what stands in them for wallets and transactions replaced.
    fn fill(&self, fields: &Value) -> Value {
        match fields {
            Value::String(text) => match self.wallets.iter().find(|(name, _)| name == text) {
                Some((_, wallet)) => (*wallet).into(),
                None => text.strip_prefix('@').map_or(text.as_str(), |name| self.ids[name].as_str()).into(),
            },
            Value::Array(list) => list.iter().map(|value| self.fill(value)).collect(),
            Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect(),
            other => other.clone(),
        }
    }

    async fn holdings(&self, desk: &Desk) -> Vec<Value> {
        let mut holdings = Vec::new();
        for (_, wallet) in self.wallets {
            holdings.push(desk.ask("balance", &json!({"wallet_id": wallet})).await["body"].take());
        }
        holdings
    }
}

#[tokio::test]
async fn the_same_operation_gives_the_same_outcome_by_either_way() {
    let desk = Desk::open().await;
    let (mut amqp, mut http) = (Way::new(1, 2), Way::new(3, 4));
    let mut seen = Vec::new();
    for (name, word, fields) in operations() {
        let (over_amqp, id) = by_amqp(&desk, word, &amqp.fill(&fields)).await;
        amqp.ids.insert(name, id);
        let (over_http, id) = by_http(&desk, word, &http.fill(&fields)).await;
        http.ids.insert(name, id);
        assert_eq!(over_amqp, over_http, "{word} {fields}");
        assert_eq!(amqp.holdings(&desk).await, http.holdings(&desk).await, "after {word} {fields}");
        seen.extend(over_amqp);
    }
    // The list is worth something only if much of it was done and much of it refused.
    let done = seen.iter().filter(|said| said.starts_with("200")).count();
    assert!(done > 20 && seen.len() - done > 20, "{seen:#?}");
}
