//! Many operations in one message: each for itself, or all of them or none.

use serde_json::{Value, json};

use super::operations::{Desk, and, said, usd};

/// One line for each outcome of an independent batch.
pub(super) fn outcomes(reply: &Value) -> Vec<String> {
    let list = reply["body"]["outcomes"].as_array().unwrap_or_else(|| panic!("no outcomes: {reply}"));
    list.iter().map(|one| format!("{} {}", one["operation"].as_str().unwrap_or("?"), said(one))).collect()
}

#[tokio::test]
async fn the_operations_of_a_batch_have_each_their_own_outcome() {
    let desk = Desk::open().await;
    let operations = json!([
        {"operation": "invoice", "wallet_id": 1, "currency": "USD", "amount": "10"},
        {"operation": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "10.01"},
        {"operation": "withdraw", "wallet_id": 1, "currency": "USD", "amount": "4", "pending": true},
        {"operation": "invoice", "wallet_id": 77, "currency": "USD", "amount": "1"},
        {"operation": "invoice", "wallet_id": 2, "currency": "USD"},
        {"operation": "batch", "operations": []},
        {"operation": "transfer", "wallet_id": 1, "to_wallet_id": 2, "currency": "USD", "amount": 1.5},
        {"operation": "balance", "wallet_id": 1},
    ]);
    let body = json!({"operations": operations});
    let expected = |mark: &str| {
        [
            format!("invoice 200 Success{mark}"),
            format!("withdraw 422 insufficient_funds{mark}"),
            format!("withdraw 200 Created{mark}"),
            "invoice 404 wallet_unknown".to_owned(),
            "batch 400 missing_field".to_owned(),
            "batch 422 item_not_allowed".to_owned(),
            format!("transfer 200 Success{mark}"),
            "balance 200".to_owned(),
        ]
    };
    let reply = desk.ask_with_key("batch", &body, "k").await;
    assert_eq!((&reply["operation"], &reply["code"]), (&"batch".into(), &200.into()));
    assert_eq!(outcomes(&reply), expected(""));
    assert_eq!(reply["body"]["outcomes"][7]["body"]["balances"]["USD"]["available"], "4.5");
    // The key names each of them, with its place.
    assert_eq!(outcomes(&desk.ask_with_key("batch", &body, "k").await), expected(" replayed"));
    let third = json!({"wallet_id": 1, "currency": "USD", "amount": "4", "pending": true, "idempotency_key": "k/2"});
    assert_eq!(said(&desk.ask("withdraw", &third).await), "200 Created replayed");
    desk.holds(1, "4.5 4 0").await;
    desk.holds(2, "1.5 0 0").await;

    desk.check("batch", json!({"operations": []}), "422 batch_empty").await;
    desk.check("batch", json!({"operations": 1}), "400 wrong_type").await;
    let many = vec![json!({"operation": "balance", "wallet_id": 1}); 10_001];
    desk.check("batch", json!({"operations": many}), "422 batch_too_large").await;
}

#[tokio::test]
async fn an_atomic_batch_does_all_of_it_or_nothing_and_says_whose_fault_it_was() {
    let desk = Desk::open().await;
    desk.check("invoice", usd(1, "100"), "200 Success").await;
    let pay = |to: i64, amount: &str| json!({"operation": "transfer", "wallet_id": 1, "to_wallet_id": to, "currency": "USD", "amount": amount});
    let split = json!({"atomic": true, "operations": [pay(2, "70"), pay(3, "20"), pay(4, "10")]});
    let reply = desk.ask_with_key("batch", &split, "split").await;
    assert_eq!(said(&reply), "200 Success");
    let statuses: Vec<_> =
        reply["body"]["items"].as_array().expect("it has items").iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, ["Success"; 3]);
    let again = desk.ask_with_key("batch", &split, "split").await;
    assert_eq!(said(&again), "200 Success replayed");
    assert_eq!(again["body"]["items"], reply["body"]["items"]);
    for (wallet, holding) in [(1, "0 0 0"), (2, "70 0 0"), (3, "20 0 0"), (4, "10 0 0")] {
        desk.holds(wallet, holding).await;
    }

    let back = |from: i64, amount: &str| json!({"operation": "transfer", "wallet_id": from, "to_wallet_id": 1, "currency": "USD", "amount": amount});
    let short = json!({"atomic": true, "operations": [back(2, "70"), back(3, "20"), back(4, "10.01")]});
    for expected in ["422 insufficient_funds item 2", "422 insufficient_funds replayed item 2"] {
        let refused = desk.ask_with_key("batch", &short, "short").await;
        assert_eq!(said(&refused), expected);
        assert_eq!(desk.status(refused["transaction_id"].as_str().expect("it is recorded")).await, "Error");
    }
    desk.holds(2, "70 0 0").await;
    assert_eq!(desk.app.database.fetch("SELECT count(*) FROM transactions WHERE rejection IS NOT NULL").await, "1");
    let look = json!({"atomic": true, "operations": [back(2, "1"), {"operation": "balance", "wallet_id": 1}]});
    desk.check("batch", look, "422 item_not_allowed item 1").await;
    let own_key = json!({"atomic": true, "operations": [and(back(2, "1"), json!({"idempotency_key": "own"}))]});
    desk.check("batch", own_key, "422 idempotency_key_invalid item 0").await;
    desk.holds(2, "70 0 0").await;
}
