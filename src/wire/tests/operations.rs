//! What is asked about money that waits and earlier transactions, what is attached, and batches; and what is answered.

use std::sync::Arc;

use super::*;
use crate::ledger::transaction::More;
use crate::ledger::{Batch, Cause, Details, Item, Labels, Lifetime, Mode, Original, Rest, ServiceId};

const ID: &str = "01890000-0000-7000-8000-000000000001";
/// The id that [`done`] gives.
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// What a message asks, as its canonical request with its key; or the status and the code of its refusal.
fn asked(operation: &str, body: &str) -> Result<Request, String> {
    let message = message(Dialect::Native, operation, body.as_bytes());
    try_decode(&message)
        .map(|operation| operation.request)
        .map_err(|refusal| format!("{} {}", refusal.status, refusal.code))
}

#[track_caller]
fn check_request(operation: &str, body: &str, expected: Request) {
    assert_eq!(asked(operation, body), Ok(expected), "{operation} {body}");
}

#[track_caller]
fn check_refused(operation: &str, body: &str, expected: &str) {
    assert_eq!(asked(operation, body), Err(expected.to_owned()), "{operation} {body:.200}");
}

fn lifetime(seconds: i64) -> Lifetime {
    Lifetime::from_seconds(seconds).unwrap()
}

fn original() -> TransactionId {
    TransactionId(Uuid::try_parse(ID).unwrap())
}

fn withdraw(mode: Mode, details: Option<Details>) -> Request {
    Request::Withdraw {
        wallet: WalletId(1),
        money: money("5"),
        terms: Terms { mode, details: details.map(Arc::new), reference: None },
    }
}

/// A withdrawal of 5 USD from wallet 1 with these fields beside.
fn body(more: &str) -> String {
    format!(r#"{{"wallet_id":1,"currency":"USD","amount":5{more}}}"#)
}

#[test]
fn when_money_moves_is_said_by_three_fields() {
    let check = |more: &str, mode: Mode| check_request("withdraw", &body(more), withdraw(mode, None));
    check("", Mode::Now);
    check(r#","pending":false,"wait_for_funds":false,"expires_in":null"#, Mode::Now);
    check(r#","pending":true"#, Mode::Pending { expires_in: None });
    check(r#","PENDING":true,"expires_in":600"#, Mode::Pending { expires_in: Some(lifetime(600)) });
    check(r#","wait_for_funds":true"#, Mode::WhenFunded { expires_in: None });
    check(r#","wait_for_funds":true,"expires_in":1"#, Mode::WhenFunded { expires_in: Some(lifetime(1)) });

    let refused = |more: &str, expected: &str| check_refused("withdraw", &body(more), expected);
    refused(r#","pending":true,"wait_for_funds":true"#, "422 contradiction");
    refused(r#","expires_in":60"#, "422 contradiction");
    refused(r#","pending":false,"expires_in":60"#, "422 contradiction");
    refused(r#","pending":"true""#, "400 wrong_type");
    refused(r#","pending":1"#, "400 wrong_type");
    refused(r#","wait_for_funds":"no""#, "400 wrong_type");
    refused(r#","pending":true,"expires_in":"60""#, "400 wrong_type");
    refused(r#","pending":true,"expires_in":1.5"#, "400 wrong_type");
    for seconds in ["0", "-1", "315360001", "9223372036854775807"] {
        refused(&format!(r#","pending":true,"expires_in":{seconds}"#), "422 expires_in_invalid");
    }
    refused(r#","pending":true,"pending":true"#, "400 duplicate_field");
}

#[test]
fn what_is_attached_is_read_with_its_limits() {
    let details = |labels: &[(&str, &str)], description: Option<&str>, service: Option<i64>, order: Option<&str>| {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = Labels::new(labels.iter().map(pair).collect()).unwrap();
        let (description, order) = (description.map(str::to_owned), order.map(str::to_owned));
        Details::new(labels, description, service.map(ServiceId), order).unwrap()
    };
    let check =
        |more: &str, details: Details| check_request("withdraw", &body(more), withdraw(Mode::Now, Some(details)));
    check(r#","labels":{"b":"2","a":""}"#, details(&[("a", ""), ("b", "2")], None, None, None));
    check(r#","description":"for \"x\"","order_id":"o-1""#, details(&[], Some("for \"x\""), None, Some("o-1")));
    check(r#","service_id":7"#, details(&[], None, Some(7), None));
    check_request("withdraw", &body(r#","labels":{},"description":null,"service_id":null"#), withdraw(Mode::Now, None));

    let refused = |more: &str, expected: &str| check_refused("withdraw", &body(more), expected);
    refused(r#","labels":[]"#, "400 wrong_type");
    refused(r#","labels":{"a":1}"#, "400 wrong_type");
    refused(r#","labels":{"a":"1","a":"1"}"#, "400 wrong_type");
    refused(r#","labels":{"":"v"}"#, "422 labels_invalid");
    refused(&format!(r#","labels":{{"a":"{}"}}"#, "v".repeat(257)), "422 labels_invalid");
    refused(r#","labels":{"a":"\u0000"}"#, "422 labels_invalid");
    refused(r#","description":5"#, "400 wrong_type");
    refused(&format!(r#","description":"{}""#, "d".repeat(1001)), "422 description_invalid");
    refused(r#","service_id":"7""#, "400 wrong_type");
    refused(r#","order_id":7"#, "400 wrong_type");
    refused(r#","order_id":"""#, "422 order_id_invalid");
}

#[test]
fn operations_on_a_transaction_name_it() {
    let (wallet, original) = (WalletId(1), original());
    let about = |more: &str| format!(r#"{{"wallet_id":1,"transaction_id":"{ID}"{more}}}"#);
    let confirm = |amount: Option<&str>, rest| {
        let amount = amount.map(|amount| Amount::parse(amount).unwrap());
        Request::Confirm { wallet, original, amount, rest }
    };
    check_request("confirm", &about(""), confirm(None, Rest::Released));
    check_request("confirm", &about(r#","final":true,"amount":null"#), confirm(None, Rest::Released));
    check_request("confirm", &about(r#","amount":"1.50""#), confirm(Some("1.5"), Rest::Released));
    check_request("confirm", &about(r#","amount":1.5,"final":false"#), confirm(Some("1.5"), Rest::Kept));
    check_request("cancel", &about(""), Request::Cancel { wallet, original, cause: Cause::Requested });
    check_request(
        "extend",
        &about(r#","expires_in":60"#),
        Request::Extend { wallet, original, expires_in: lifetime(60) },
    );
    check_request("reverse", &about(""), Request::Reverse { wallet, original, amount: None });
    check_request(
        "reverse",
        &about(r#","amount":"2""#),
        Request::Reverse { wallet, original, amount: Amount::parse("2").ok() },
    );
    // Any spelling of the id, and no other way to expire than by time.
    let spelled = format!(r#"{{"wallet_id":1,"transaction_id":"{}","due":"1970-01-01T00:00:00Z"}}"#, ID.to_uppercase());
    check_request("cancel", &spelled, Request::Cancel { wallet, original, cause: Cause::Requested });

    for kind in ["confirm", "cancel", "extend", "reverse"] {
        check_refused(kind, r#"{"wallet_id":1}"#, "400 missing_field");
        check_refused(kind, &format!(r#"{{"transaction_id":"{ID}"}}"#), "400 missing_field");
        check_refused(kind, r#"{"wallet_id":1,"transaction_id":7}"#, "400 wrong_type");
        check_refused(kind, r#"{"wallet_id":1,"transaction_id":"no-id"}"#, "404 transaction_unknown");
    }
    for kind in ["confirm", "reverse"] {
        check_refused(kind, &about(r#","amount":0"#), "422 amount_not_positive");
        check_refused(kind, &about(r#","amount":"all""#), "422 amount_invalid");
        check_refused(kind, &about(r#","amount":true"#), "400 wrong_type");
    }
    for (kind, unfit) in [
        ("cancel", r#","amount":1"#),
        ("confirm", r#","currency":"EUR""#),
        ("reverse", r#","final":true"#),
        ("extend", r#","expires_in":5,"amount":1"#),
        ("cancel", r#","pending":true"#),
    ] {
        check_refused(kind, &about(unfit), "422 contradiction");
    }
    check_refused("invoice", r#"{"wallet_id":1,"to_wallet_id":2,"currency":"USD","amount":1}"#, "422 contradiction");
    check_refused("confirm", &about(r#","final":0"#), "400 wrong_type");
    check_refused("extend", &about(""), "400 missing_field");
    check_refused("extend", &about(r#","expires_in":0"#), "422 expires_in_invalid");
}

/// The operations of a batch that stand for themselves, each as [`read`] says it.
fn each(body: &str, key: Option<&str>) -> Vec<String> {
    let message = Message { idempotency_key: key, ..message(Dialect::Native, "batch", body.as_bytes()) };
    match decode(&message, limits(BODY_BYTES_MAX)) {
        Ok(Asked::Each(each)) => each.into_iter().map(line_of).collect(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_batch_is_operations_that_stand_for_themselves() {
    let body = r#"{"operations":[
        {"operation":"invoice","wallet_id":1,"currency":"USD","amount":5},
        {"kind":"transfer","wallet_id":1,"to_wallet_id":2,"currency":"USD","amount":"0.50","idempotency_key":"own"},
        {"operation":"balance","wallet_id":3},
        {"operation":"withdraw","wallet_id":1,"currency":"USD","amount":-5},
        {"operation":"nonsense","wallet_id":1},
        {"operation":"stand","wallet_id":1},
        {"operation":"batch","wallet_id":1,"operations":[]},
        {"wallet_id":1},
        {"operation":"balance","wallet_id":1,"WALLET_ID":1},
        5]}"#;
    let expected = |second: &str, third: &str| {
        let lines = [
            &format!("invoice 1 5 USD{second}"),
            "transfer 1->2 0.5 USD key=own",
            &format!("balance 3{third}"),
            "422 amount_not_positive",
            "404 unknown_operation",
            "404 unknown_operation",
            "422 item_not_allowed",
            "400 missing_field",
            "400 duplicate_field",
            "400 malformed_json",
        ];
        lines.map(str::to_owned).to_vec()
    };
    assert_eq!(each(body, None), expected("", ""));
    // A key of their own is made of the batch's and their position.
    assert_eq!(each(body, Some("k")), expected(" key=k/0", " key=k/2"));
    let within = format!(r#"{{"atomic":false,"idempotency_key":"b",{}"#, &body[1..]);
    assert_eq!(each(&within, Some("k")), expected(" key=b/0", " key=b/2"));
}

#[test]
fn a_key_that_is_made_is_a_key() {
    let one = r#"{"operations":[{"operation":"balance","wallet_id":1}]}"#;
    let longest = "k".repeat(253);
    assert_eq!(each(one, Some(&longest)), [format!("balance 1 key={longest}/0")]);
    // Too long for one of them is too long for all: none is carried out without the others.
    let too_long = "k".repeat(254);
    let message = Message { idempotency_key: Some(&too_long), ..message(Dialect::Native, "batch", one.as_bytes()) };
    assert_eq!(decode(&message, limits(BODY_BYTES_MAX)).unwrap_err().code, "idempotency_key_invalid");
    let bad = r#"{"operations":[{"operation":"balance","wallet_id":1,"idempotency_key":7},{"operation":"balance","wallet_id":1,"idempotency_key":""}]}"#;
    assert_eq!(each(bad, None), ["400 wrong_type", "422 idempotency_key_invalid"]);
}

#[test]
fn an_atomic_batch_is_one_operation() {
    let body = format!(
        r#"{{"atomic":true,"idempotency_key":"k","operations":[
            {{"operation":"transfer","wallet_id":1,"to_wallet_id":2,"currency":"USD","amount":5}},
            {{"operation":"confirm","wallet_id":3,"transaction_id":"{ID}","final":false,"amount":2}}]}}"#
    );
    let operation = try_decode(&message(Dialect::Native, "batch", body.as_bytes())).unwrap();
    assert_eq!(operation.idempotency_key.as_ref().map(IdempotencyKey::as_str), Some("k"));
    let Request::Batch(batch) = &operation.request else { panic!("{operation:?}") };
    let requests: Vec<_> = batch.items().iter().map(|item| item.request.clone()).collect();
    let transfer =
        Request::Transfer { wallet: WalletId(1), to_wallet: WalletId(2), money: money("5"), terms: Terms::default() };
    let amount = Amount::parse("2").ok();
    let confirm = Request::Confirm { wallet: WalletId(3), original: original(), amount, rest: Rest::Kept };
    assert_eq!(requests, [transfer, confirm]);
    assert_eq!(operation.request.wallet(), WalletId(1), "it stands in the queue of its first wallet");
    // The order of the names is the order of the items: that is how they are read back.
    assert!(batch.items().is_sorted_by(|one, next| one.id < next.id));
}

#[test]
fn one_bad_item_spoils_an_atomic_batch() {
    let good = r#"{"operation":"invoice","wallet_id":1,"currency":"USD","amount":5}"#;
    let check = |item: &str, code: &str| {
        let body = format!(r#"{{"atomic":true,"operations":[{good},{item}]}}"#);
        let refusal = try_decode(&message(Dialect::Native, "batch", body.as_bytes())).unwrap_err();
        assert_eq!((refusal.code, refusal.item), (code, Some(1)), "{item}: {refusal:?}");
    };
    check(r#"{"operation":"invoice","wallet_id":1,"currency":"USD","amount":0}"#, "amount_not_positive");
    check(r#"{"operation":"nonsense","wallet_id":1}"#, "unknown_operation");
    check(r#"{"operation":"batch","wallet_id":1}"#, "item_not_allowed");
    check(r#"{"operation":"balance","wallet_id":1}"#, "item_not_allowed");
    check(r#"{"operation":"invoice"}"#, "missing_field");
    check("{}", "missing_field");
    check("[]", "malformed_json");
    let keyed = format!(r#"{},"idempotency_key":"i"}}"#, &good[..good.len() - 1]);
    check(&keyed, "idempotency_key_invalid");
}

#[test]
fn a_batch_has_its_own_limits() {
    let batch = |count: usize, more: &str| {
        let items = vec![r#"{"operation":"balance","wallet_id":1}"#; count].join(",");
        format!(r#"{{"operations":[{items}]{more}}}"#)
    };
    assert_eq!(each(&batch(10, ""), None).len(), 10);
    for more in ["", r#","atomic":true"#] {
        check_refused("batch", &batch(11, more), "422 batch_too_large");
        check_refused("batch", &batch(0, more), "422 batch_empty");
    }
    check_refused("batch", "{}", "400 missing_field");
    check_refused("batch", r#"{"operations":null}"#, "400 missing_field");
    check_refused("batch", r#"{"operations":{}}"#, "400 wrong_type");
    check_refused("batch", r#"{"operations":[{}],"atomic":"yes"}"#, "400 wrong_type");
    check_refused("batch", r#"{"operations":[1,]}"#, "400 malformed_json");
    // Larger than another message may be.
    let large = batch(1, &format!(r#","note":"{}""#, "n".repeat(BODY_BYTES_MAX)));
    assert_eq!(each(&large, None), ["balance 1"]);
    check_refused(
        "batch",
        &batch(1, &format!(r#","note":"{}""#, "n".repeat(10 * BODY_BYTES_MAX))),
        "413 body_too_large",
    );
}

fn transaction(request: &Request, status: Status, more: More) -> Transaction {
    let Answer::Transaction(done) = done(request) else { unreachable!("a transaction is done") };
    Transaction { id: original(), status, more: Some(Box::new(more)), ..done }
}

/// The JSON that is a native success's body.
fn told(outcome: &Outcome) -> serde_json::Value {
    let request = Request::Balance { wallet: WalletId(1) };
    let fields = fields(&reply_to(Dialect::Native, &request, outcome));
    assert_eq!((&fields["code"], fields.len()), (&200.into(), 3));
    serde_json::from_str(fields["body"].as_str().expect("the body is a string")).unwrap()
}

#[test]
fn replies_say_what_waits_and_what_it_is_about() {
    let check = |request: &Request, status, more, expected: serde_json::Value| {
        let answer = Answer::Transaction(transaction(request, status, more));
        assert_eq!(told(&outcome(request, Ok(answer), Replay::First)), expected);
    };
    let hold = withdraw(Mode::Pending { expires_in: None }, None);
    let expires_at = Some(Timestamp::EPOCH + lifetime(60));
    check(
        &hold,
        Status::Created,
        More { confirmed: Some(Decimal::ZERO), expires_at, ..More::default() },
        serde_json::json!({"id": ID, "status": "Created", "expires_at": "1970-01-01T00:01:00Z"}),
    );
    check(
        &hold,
        Status::Created,
        More { waiting_number: Some(1), ..More::default() },
        serde_json::json!({"id": ID, "status": "Created", "waiting": true}),
    );
    let confirm = Request::Confirm { wallet: WalletId(1), original: original(), amount: None, rest: Rest::Kept };
    let about = Original { id: TransactionId(Uuid::nil()), status: Status::Created };
    check(
        &confirm,
        Status::Success,
        More { original: Some(about), ..More::default() },
        serde_json::json!({"id": ID, "status": "Success", "original_id": NIL, "original_status": "Created"}),
    );
}

#[test]
fn an_atomic_batchs_reply_has_its_items_or_the_one_that_failed() {
    let item = withdraw(Mode::Now, None);
    let items = vec![Item { id: original(), request: item.clone() }];
    let batch = Request::Batch(Batch::new(items).unwrap());
    let Answer::Transaction(own) = done(&batch) else { unreachable!("a transaction is done") };
    let of_batch = More { batch: Some(own.id), ..More::default() };
    let answer = Answer::Batch(own.clone(), vec![transaction(&item, Status::Success, of_batch)]);
    assert_eq!(
        told(&outcome(&batch, Ok(answer), Replay::Replayed)),
        serde_json::json!({
            "id": NIL, "status": "Success", "items": [{"id": ID, "status": "Success"}], "replayed": true,
        })
    );

    let refused = Refused { item: Some(3), transaction: Some(Box::new(own)), ..Rejection::InsufficientFunds.into() };
    let outcome = Outcome { kind: Kind::Batch, result: Err(refused), replay: Replay::First };
    let reply = serde_json::to_value(fields(&reply_to(Dialect::Native, &batch, &outcome))).unwrap();
    assert_eq!(
        reply,
        serde_json::json!({
            "operation": "batch", "code": 422, "reason": "the available balance is too low",
            "rejection": "insufficient_funds", "transaction_id": NIL, "item": 3,
        })
    );
}

#[test]
fn a_batchs_reply_has_an_envelope_for_each_operation() {
    let request = withdraw(Mode::Now, None);
    let balance = Request::Balance { wallet: WalletId(1) };
    let parts = [
        Part::Answered(Kind::Withdraw, Ok(outcome(&request, Ok(done(&request)), Replay::Replayed))),
        Part::Refused(Rejection::AmountInvalid.into()),
        Part::Answered(Kind::Withdraw, Ok(outcome(&request, Err(Rejection::InsufficientFunds), Replay::First))),
        Part::Answered(Kind::Balance, Ok(outcome(&balance, Ok(Answer::Balances(vec![])), Replay::First))),
        Part::Answered(Kind::Withdraw, Err(SubmitError::ShuttingDown)),
    ];
    let fields = fields(&reply_to_each(&parts));
    assert_eq!((&fields["operation"], &fields["code"]), (&"batch".into(), &200.into()));
    let told: serde_json::Value = serde_json::from_str(fields["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        told,
        serde_json::json!({"outcomes": [
            {"operation": "withdraw", "code": 200, "body": {"id": NIL, "status": "Success", "replayed": true}},
            {"operation": "batch", "code": 422, "reason": "the amount must be a decimal number", "rejection": "amount_invalid"},
            {"operation": "withdraw", "code": 422, "reason": "the available balance is too low", "rejection": "insufficient_funds"},
            {"operation": "balance", "code": 200, "body": {"balances": {}}},
            {"operation": "withdraw", "code": 503, "reason": SubmitError::ShuttingDown.to_string()},
        ]})
    );
    assert_eq!(text(&reply_to_each(&[])), r#"{"operation":"batch","code":200,"body":"{\"outcomes\":[]}"}"#);
}

proptest! {
    #[test]
    fn no_batch_makes_it_panic(items in proptest::collection::vec(r#"[\{\}\[\]",:a-z0-9. ]{0,20}"#, 0..5), cut in 0..200_usize) {
        for more in ["", r#","atomic":true"#] {
            let body = format!(r#"{{"operations":[{}]{more}}}"#, items.join(","));
            for body in [body.as_bytes(), &body.as_bytes()[..cut.min(body.len())]] {
                if let Err(refusal) = decode(&message(Dialect::Native, "batch", body), limits(BODY_BYTES_MAX)) {
                    fields(&reply_refusal(Dialect::Native, "batch", &refusal));
                }
            }
        }
    }
}
