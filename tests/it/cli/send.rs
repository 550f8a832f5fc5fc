//! `purser send`: every operation as a command, and many in one message.

use serde_json::Value;

use super::{Said, Served, run_with_input};

/// The id in the body of the only reply.
fn id(said: &Said) -> String {
    let reply = said.json_lines().remove(0);
    let body: Value = serde_json::from_str(reply["body"].as_str().expect("it has a body")).expect("the body is JSON");
    body["id"].as_str().expect("it names a transaction").to_owned()
}

fn available(served: &Served, wallet: &str) -> String {
    let said = served.run(&["send", "balance", wallet]).expect(0, &[]);
    let reply = said.json_lines().remove(0);
    let body: Value = serde_json::from_str(reply["body"].as_str().expect("it has a body")).expect("the body is JSON");
    let usd = &body["balances"]["USD"];
    format!("{} {}", usd["available"].as_str().unwrap_or("0"), usd["held"].as_str().unwrap_or("0"))
}

#[tokio::test]
async fn every_operation_is_a_command() {
    let served = Served::start().await;
    let run = |sentence: &str| served.run(&format!("send {sentence}").split_whitespace().collect::<Vec<_>>());
    run("invoice 1 100 USD --label shop=7 --order o-1 --description top-up").expect(0, &["Success"]);
    let hold = id(&run("withdraw 1 30.00 USD --pending --expires-in 600").expect(0, &["Created", "expires_at"]));
    assert_eq!(available(&served, "1"), "70 30");
    run(&format!("confirm 1 {hold} 10 --keep-rest")).expect(0, &["Success", "Created"]);
    run(&format!("extend 1 {hold} 900")).expect(0, &["Success"]);
    run(&format!("confirm 1 {hold} 99")).expect(1, &["amount_exceeds_unconfirmed"]);
    run(&format!("confirm 1 {hold} 5")).expect(0, &["Success"]);
    run(&format!("cancel 1 {hold}")).expect(1, &["transaction_final"]);
    assert_eq!(available(&served, "1"), "85 0");
    let transfer = id(&run("transfer 1 2 40 USD").expect(0, &["Success"]));
    run(&format!("reverse 2 {transfer} 15")).expect(0, &["Success"]);
    let waiting = id(&run("withdraw 1 1000 USD --wait-for-funds").expect(0, &["waiting"]));
    run(&format!("cancel 1 {waiting}")).expect(0, &["Success"]);
    assert_eq!((available(&served, "1"), available(&served, "2")), ("60 0".to_owned(), "25 0".to_owned()));
    run_with_input(&mut served.command(&["verify"]), "").expect(0, &["the books are right"]);
    run("deposit 1 1 USD").expect(2, &["deposit"]);
    run("withdraw --help").expect(0, &["--pending", "--wait-for-funds", "a hold; capture it with confirm"]);
    run("--help").expect(0, &["confirm", "reverse", "--scenario", "hold, capture 3 of it, release the rest"]);
}

#[tokio::test]
async fn a_file_of_operations_goes_as_one_message_each_or_as_one_batch() {
    let served = Served::start().await;
    let lines = "{\"operation\":\"invoice\",\"wallet_id\":1,\"currency\":\"USD\",\"amount\":10}\n\
                 {\"operation\":\"transfer\",\"wallet_id\":1,\"to_wallet_id\":2,\"currency\":\"USD\",\"amount\":4}\n\
                 {\"operation\":\"withdraw\",\"wallet_id\":1,\"currency\":\"USD\",\"amount\":7}\n";
    let feed = |arguments: &[&str]| run_with_input(&mut served.command(arguments), lines);
    let said = feed(&["send", "batch", "-", "--atomic"]).expect(1, &["insufficient_funds"]);
    assert_eq!(said.json_lines()[0]["item"], 2);
    assert_eq!(available(&served, "2"), "0 0");
    feed(&["send", "batch", "-", "--key", "b"]).expect(0, &["outcomes", "insufficient_funds"]);
    feed(&["send", "batch", "-", "--key", "b"]).expect(0, &["replayed"]);
    assert_eq!((available(&served, "1"), available(&served, "2")), ("6 0".to_owned(), "4 0".to_owned()));
    assert_eq!(feed(&["send", "--file", "-"]).expect(0, &[]).json_lines().len(), 3);
    assert_eq!(available(&served, "1"), "5 0");
    run_with_input(&mut served.command(&["send", "batch", "-"]), "").expect(1, &["has no operations"]);
    run_with_input(&mut served.command(&["send", "--file", "-", "balance", "1"]), lines)
        .expect(1, &["have their own operations"]);
}
