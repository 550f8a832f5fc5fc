use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::*;
use crate::ledger::outcome::Replay;
use crate::ledger::{
    Answer, Balance, CurrencyBalance, Money, Refused, Status, Terms, Timestamp, Transaction, WalletId,
};

mod operations;

const BODY_BYTES_MAX: usize = 65536;

fn message<'a>(dialect: Dialect, operation: &'a str, body: &'a [u8]) -> Message<'a> {
    Message { dialect, operation, content_type: Some("application/json"), body, idempotency_key: None }
}

fn limits(body_bytes_max: usize) -> Limits {
    Limits { body_bytes_max, batch_body_bytes_max: 10 * body_bytes_max.min(1_000_000), batch_operations_max: 10 }
}

fn try_decode(message: &Message<'_>) -> Result<Operation, Refusal> {
    match decode(message, limits(BODY_BYTES_MAX))? {
        Asked::Operation(operation) => Ok(operation),
        Asked::Each(each) => panic!("{} operations", each.len()),
    }
}

/// What a message is understood as: the operation in a canonical line, or the status and code of the refusal.
fn read(message: &Message<'_>) -> String {
    line_of(try_decode(message))
}

fn line_of(decoded: Result<Operation, Refusal>) -> String {
    match decoded {
        Err(refusal) => format!("{} {}", refusal.status, refusal.code),
        Ok(Operation { idempotency_key, request, .. }) => {
            let to_wallet = request.to_wallet().map(|wallet| format!("->{wallet}")).unwrap_or_default();
            let money = request.money().map(|money| format!(" {} {}", money.amount, money.currency));
            let key = idempotency_key.map(|key| format!(" key={}", key.as_str()));
            let (money, key) = (money.unwrap_or_default(), key.unwrap_or_default());
            format!("{} {}{to_wallet}{money}{key}", request.kind(), request.wallet())
        }
    }
}

#[track_caller]
fn check(operation: &str, body: &str, expected: &str) {
    assert_eq!(read(&message(Dialect::Native, operation, body.as_bytes())), expected, "{operation} {body:.200}");
}

#[test]
fn requests_are_read_exactly() {
    check("invoice", r#"{"wallet_id":1,"currency":"USD","amount":5}"#, "invoice 1 5 USD");
    check("withdraw", r#"{"wallet_id":1,"ticker":"USD","amount":"0.10"}"#, "withdraw 1 0.1 USD");
    check("transfer", r#"{"wallet_id":1,"to_wallet_id":2,"currency":"EUR","amount":1.5e1}"#, "transfer 1->2 15 EUR");
    check("balance", r#"{"wallet_id":9223372036854775807}"#, "balance 9223372036854775807");
    check("balance", r#" { "wallet_id" : -1 } "#, "balance -1");
    // A float would make 0.1 + something of it, or round the last digit.
    let exact = r#"{"wallet_id":1,"currency":"USD","amount":9999999999999999999999999.999}"#;
    check("invoice", exact, "invoice 1 9999999999999999999999999.999 USD");
}

#[test]
fn names_may_be_in_any_case_and_unknown_ones_are_tolerated() {
    check("invoice", r#"{"Wallet_ID":1,"CURRENCY":"USD","aMoUnT":5,"note":{"a":[1,null]}}"#, "invoice 1 5 USD");
    check("balance", r#"{"\u0077allet_id":1}"#, "balance 1");
    check("invoice", r#"{"wallet_id":1,"currency":"\u0055SD","amount":"\u0035"}"#, "invoice 1 5 USD");
}

#[test]
fn a_key_in_the_body_goes_before_the_transports() {
    let check = |body: &str, transport: Option<&str>, expected: &str| {
        let message = Message { idempotency_key: transport, ..message(Dialect::Native, "balance", body.as_bytes()) };
        assert_eq!(read(&message), expected, "{body:.100}");
    };
    check(r#"{"wallet_id":1}"#, None, "balance 1");
    check(r#"{"wallet_id":1}"#, Some("t"), "balance 1 key=t");
    check(r#"{"wallet_id":1,"idempotency_key":"b"}"#, Some("t"), "balance 1 key=b");
    check(r#"{"wallet_id":1,"idempotency_key":null}"#, Some("t"), "balance 1 key=t");
    check(r#"{"wallet_id":1,"idempotency_key":""}"#, Some("t"), "422 idempotency_key_invalid");
    check(r#"{"wallet_id":1,"idempotency_key":7}"#, Some("t"), "400 wrong_type");
    check(r#"{"wallet_id":1}"#, Some(&"k".repeat(10_240)), "422 idempotency_key_invalid");
    let large = format!(r#"{{"wallet_id":1,"idempotency_key":"{}"}}"#, "k".repeat(10_240));
    check(&large, None, "422 idempotency_key_invalid");
}

#[test]
fn what_is_no_request_is_refused_by_code() {
    for text in
        ["", " ", "{", "nonsense", "[]", "null", "5", r#""x""#, "{}x", r#"{"wallet_id":1,}"#, "{'a':1}", "\u{feff}{}"]
    {
        check("balance", text, "400 malformed_json");
    }
    for text in [r#"{"wallet_id":"1"}"#, r#"{"wallet_id":1.0}"#, r#"{"wallet_id":1e400}"#, r#"{"wallet_id":[1]}"#] {
        check("balance", text, "400 wrong_type");
    }
    check("balance", r#"{"wallet_id":9223372036854775808}"#, "400 wrong_type");
    check("balance", r#"{"wallet_id":null}"#, "400 missing_field");
    check("balance", "{}", "400 missing_field");
    check("balance", r#"{"wallet_id":1,"WALLET_ID":1}"#, "400 duplicate_field");
    check("invoice", r#"{"wallet_id":1,"currency":"USD","ticker":"EUR","amount":1}"#, "400 duplicate_field");
    check("invoice", r#"{"wallet_id":1,"amount":1}"#, "400 missing_field");
    check("invoice", r#"{"wallet_id":1,"currency":"USD"}"#, "400 missing_field");
    check("invoice", r#"{"wallet_id":1,"currency":1,"amount":1}"#, "400 wrong_type");
    check("invoice", r#"{"wallet_id":1,"currency":"\ud800","amount":1}"#, "400 wrong_type");
    check("transfer", r#"{"wallet_id":1,"currency":"USD","amount":1}"#, "400 missing_field");
    for word in ["stand", "Invoice", "", "фф"] {
        check(word, r#"{"wallet_id":1}"#, "404 unknown_operation");
    }
}

#[test]
fn bad_amounts_and_currencies_are_the_ledgers_rejections() {
    let amount = |amount: &str, expected| {
        check("invoice", &format!(r#"{{"wallet_id":1,"currency":"USD","amount":{amount}}}"#), expected);
    };
    amount("0", "422 amount_not_positive");
    amount("-1", "422 amount_not_positive");
    amount("1e400", "422 amount_too_large");
    amount("12345678901234567890123456789", "422 amount_too_large");
    amount(r#""NaN""#, "422 amount_invalid");
    amount(r#""""#, "422 amount_invalid");
    amount("NaN", "400 malformed_json");
    amount("true", "400 wrong_type");
    amount("{}", "400 wrong_type");
    for currency in ["", "US D", "0123456789abcdefg", "рубль"] {
        let body = format!(r#"{{"wallet_id":1,"currency":"{currency}","amount":1}}"#);
        check("invoice", &body, "404 currency_unknown");
    }
}

#[test]
fn bytes_that_are_not_looked_at_are_refused() {
    let check = |content_type: Option<&str>, body: &[u8], expected: &str| {
        let message = Message { content_type, ..message(Dialect::Native, "balance", body) };
        assert_eq!(read(&message), expected, "{content_type:?}");
    };
    let body = br#"{"wallet_id":1}"#;
    check(None, body, "balance 1");
    check(Some("Application/JSON; charset=utf-8"), body, "balance 1");
    check(Some("application/json-seq"), body, "415 unsupported_content_type");
    check(Some("text/plain"), body, "415 unsupported_content_type");
    check(Some(""), body, "415 unsupported_content_type");
    check(None, b"\xff\xfe", "400 malformed_json");
    check(None, b"{\"wallet_id\":1,\"note\":\"\xff\"}", "400 malformed_json");
    check(None, &vec![b' '; BODY_BYTES_MAX + 1], "413 body_too_large");
    check(None, &vec![b' '; 10_000_000], "413 body_too_large");
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = |open: &str, close: &str| {
        let depth = 1_000_000;
        let body = format!(r#"{{"wallet_id":1,"note":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
        let message = message(Dialect::Native, "balance", body.as_bytes());
        decode(&message, limits(usize::MAX)).map(|asked| match asked {
            Asked::Operation(operation) => operation.request,
            Asked::Each(each) => panic!("{} operations", each.len()),
        })
    };
    assert_eq!(deep("[", "]"), Ok(Request::Balance { wallet: WalletId(1) }));
    assert_eq!(deep(r#"{"a":"#, "}"), Ok(Request::Balance { wallet: WalletId(1) }));
    assert_eq!(deep("[", "").unwrap_err().code, "malformed_json");
    let amount = format!(r#"{{"wallet_id":1,"currency":"USD","amount":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
    check("invoice", &amount, "400 wrong_type");
}

/// The reply's JSON as a table of its fields.
fn fields(reply: &Reply) -> BTreeMap<String, serde_json::Value> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(fields["code"], reply.status);
    fields
}

fn text(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

/// What a client of system 000 reads when its message is refused at the door.
#[track_caller]
fn check_000(operation: &str, body: &str, reason: &str) {
    let refusal = try_decode(&message(Dialect::TransactionalSystem, operation, body.as_bytes())).unwrap_err();
    let fields = fields(&reply_refusal(Dialect::TransactionalSystem, operation, &refusal));
    assert_eq!(fields["operation"], operation);
    assert_eq!(fields["code"], 400);
    assert_eq!(fields["reason"], reason, "{body}");
    assert_eq!(fields.len(), 3);
}

#[test]
fn system_000_reads_as_go_does() {
    let check = |operation, body: &str, expected| {
        assert_eq!(read(&message(Dialect::TransactionalSystem, operation, body.as_bytes())), expected, "{body}");
    };
    check("invoice", r#"{"wallet_id":1,"ticker":"USD","amount":1.5}"#, "invoice 1 1.5 USD");
    check("withdraw", r#"{"Wallet_Id":1,"Ticker":"USD","Amount":"50"}"#, "withdraw 1 50 USD");
    check("balance", r#"{"wallet_id":1,"wallet_id":2}"#, "balance 2");
    check("balance", "{}", "balance 0");
    check("balance", "null", "balance 0");
    check("invoice", r#"{"ticker":"USD","amount":1}"#, "invoice 0 1 USD");
}

#[test]
fn system_000s_refusals_are_worded_as_it_worded_them() {
    let go = "json: cannot unmarshal";
    let invoice = "Go struct field InvoiceRequest";
    check_000("invoice", r#"{"wallet_id":"1"}"#, &format!("{go} string into {invoice}.wallet_id of type int"));
    check_000("invoice", r#"{"wallet_id":1.5}"#, &format!("{go} number 1.5 into {invoice}.wallet_id of type int"));
    check_000("invoice", r#"{"wallet_id":1,"ticker":5}"#, &format!("{go} number into {invoice}.ticker of type string"));
    check_000(
        "invoice",
        r#"{"wallet_id":1,"amount":[]}"#,
        &format!("{go} array into {invoice}.amount of type float32"),
    );
    let withdraw = "Go struct field WithdrawRequest.wallet_id of type int";
    check_000("withdraw", r#"{"wallet_id":true}"#, &format!("{go} bool into {withdraw}"));
    let balance = "Go struct field GetBalanceRequest.wallet_id of type int";
    check_000("balance", r#"{"wallet_id":{}}"#, &format!("{go} object into {balance}"));
    check_000("balance", "[1]", &format!("{go} array into Go value of type GetBalanceRequest"));
    check_000("balance", "", "unexpected end of JSON input");
    check_000("balance", r#"{"wallet_id":"#, "unexpected end of JSON input");
    check_000("balance", "xyz", "invalid character 'x' looking for beginning of value");
    check_000("balance", r#"{"wallet_id":x}"#, "invalid character 'x' looking for beginning of value");
    check_000("balance", "{x", "invalid character 'x' looking for beginning of object key string");
    for amount in ["0", "-5", "-1e400"] {
        let body = format!(r#"{{"wallet_id":77,"ticker":"NONE","amount":{amount}}}"#);
        check_000("withdraw", &body, "amount lower then 0");
    }
    check_000("invoice", r#"{"wallet_id":1,"ticker":"USD"}"#, "amount lower then 0");
    check_000("invoice", r#"{"wallet_id":1,"amount":1}"#, "the requested ticker with name = , doesn't exist");
    check_000(
        "invoice",
        r#"{"wallet_id":1,"ticker":"US D","amount":1}"#,
        "the requested ticker with name = US D, doesn't exist",
    );
    check_000("invoice", r#"{"amount":1e400}"#, "the amount must have at most 28 digits");
    check_000("transfer", "{}", "no such operation: transfer");
    check_000("deposit", "{}", "no such operation: deposit");
}

fn money(amount: &str) -> Money {
    Money { amount: Amount::parse(amount).unwrap(), currency: CurrencyCode::new("USD").unwrap() }
}

fn outcome(request: &Request, result: Result<Answer, Rejection>, replay: Replay) -> Outcome {
    Outcome { kind: request.kind(), result: result.map_err(Refused::from), replay, line: None }
}

fn done(request: &Request) -> Answer {
    Answer::Transaction(Transaction {
        id: TransactionId(Uuid::nil()),
        kind: request.kind(),
        wallet: request.wallet(),
        to_wallet: request.to_wallet(),
        money: request.money(),
        status: Status::Success,
        rejection: None,
        key: None,
        created_at: Timestamp::EPOCH,
        more: None,
    })
}

fn line(code: &str, available: Decimal, held: Decimal, incoming: Decimal) -> CurrencyBalance {
    CurrencyBalance { currency: CurrencyCode::new(code).unwrap(), balance: Balance { available, held, incoming } }
}

#[test]
fn native_replies_carry_a_body_as_a_string() {
    let request = Request::Invoice { wallet: WalletId(1), money: money("5"), terms: Terms::default() };
    let reply = |result, replay| reply_to(Dialect::Native, &request, &outcome(&request, result, replay));
    assert_eq!(
        text(&reply(Ok(done(&request)), Replay::First)),
        r#"{"operation":"invoice","code":200,"body":"{\"id\":\"00000000-0000-0000-0000-000000000000\",\"status\":\"Success\"}"}"#
    );
    let replayed = fields(&reply(Ok(done(&request)), Replay::Replayed));
    let body: serde_json::Value = serde_json::from_str(replayed["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["status"], &body["replayed"]), (&"Success".into(), &true.into()));

    let balance = Request::Balance { wallet: WalletId(1) };
    let lines = vec![
        line("A\"B", Decimal::ZERO, Decimal::ONE, Decimal::ZERO),
        line("USD", Decimal::new(500, 2), Decimal::ZERO, Decimal::new(10, 2)),
    ];
    let reply = reply_to(Dialect::Native, &balance, &outcome(&balance, Ok(Answer::Balances(lines)), Replay::First));
    assert_eq!(
        fields(&reply)["body"],
        r#"{"balances":{"A\"B":{"available":"0","held":"1","incoming":"0"},"USD":{"available":"5","held":"0","incoming":"0.1"}}}"#
    );
}

#[test]
fn native_refusals_carry_status_reason_and_permanent_code() {
    let request = Request::Withdraw { wallet: WalletId(1), money: money("5"), terms: Terms::default() };
    for rejection in Rejection::ALL {
        let reply = reply_to(Dialect::Native, &request, &outcome(&request, Err(rejection), Replay::First));
        let fields = fields(&reply);
        assert_eq!(fields["rejection"], rejection.code());
        assert_eq!(fields["reason"], rejection.to_string());
        assert_eq!(Refusal::from(rejection).status, reply.status);
        assert!(!fields.contains_key("replayed"));
    }
    let replay = outcome(&request, Err(Rejection::InsufficientFunds), Replay::Replayed);
    assert_eq!(
        text(&reply_to(Dialect::Native, &request, &replay)),
        r#"{"operation":"withdraw","code":422,"reason":"the available balance is too low","rejection":"insufficient_funds","replayed":true}"#
    );
    let refusal = try_decode(&message(Dialect::Native, "a\"\n", b"")).unwrap_err();
    assert_eq!(
        text(&reply_refusal(Dialect::Native, "a\"\n", &refusal)),
        r#"{"operation":"a\"\n","code":404,"reason":"there is no such operation","rejection":"unknown_operation"}"#
    );
}

#[test]
fn system_000s_replies_are_as_documented() {
    let check = |request: &Request, result, expected: &str| {
        let outcome = outcome(request, result, Replay::First);
        assert_eq!(text(&reply_to(Dialect::TransactionalSystem, request, &outcome)), expected);
    };
    let invoice = Request::Invoice { wallet: WalletId(1), money: money("5"), terms: Terms::default() };
    let withdraw = Request::Withdraw { wallet: WalletId(7), money: money("50"), terms: Terms::default() };
    let balance = Request::Balance { wallet: WalletId(1) };
    check(&invoice, Ok(done(&invoice)), r#"{"operation":"invoice","code":200}"#);
    check(&withdraw, Ok(done(&withdraw)), r#"{"operation":"withdraw","code":200}"#);
    check(&balance, Ok(Answer::Balances(vec![])), r#"{"operation":"balance","code":200,"body":"{}"}"#);
    let lines = vec![
        line("EUR", Decimal::ZERO, Decimal::ZERO, Decimal::ZERO),
        line("USD", Decimal::new(1050, 2), Decimal::new(100, 2), Decimal::new(25, 2)),
    ];
    check(
        &balance,
        Ok(Answer::Balances(lines)),
        r#"{"operation":"balance","code":200,"body":"{\"actual_balance\":{\"EUR\":0,\"USD\":10.5},\"frozen_balance\":{\"USD\":1.25}}"}"#,
    );
    let refused = |request: &Request, rejection, reason: &str| {
        let operation = request.kind().as_str();
        check(request, Err(rejection), &format!(r#"{{"operation":"{operation}","code":400,"reason":"{reason}"}}"#));
    };
    refused(&withdraw, Rejection::WalletUnknown, "the requested wallet with id = 7, doesn't exist");
    refused(&balance, Rejection::WalletUnknown, "the requested wallet with id = 1, doesn't exist");
    refused(&withdraw, Rejection::CurrencyUnknown, "the requested ticker with name = USD, doesn't exist");
    let too_little = "there are not enough USD's on the wallet with id = 7 to be debited";
    refused(&withdraw, Rejection::InsufficientFunds, too_little);
    refused(&invoice, Rejection::TooManyDecimals, "the amount has more decimals than its currency allows");
    refused(&invoice, Rejection::IdempotencyKeyReused, "the idempotency key was used for another request");
}

#[test]
fn a_failure_says_whether_to_ask_again_and_nothing_else() {
    for (dialect, error, expected) in [
        (Dialect::Native, SubmitError::ShuttingDown, 503),
        (Dialect::TransactionalSystem, SubmitError::ShuttingDown, 500),
    ] {
        let fields = fields(&reply_failure(dialect, "invoice", &error));
        assert_eq!(fields["code"], expected);
        assert_eq!(fields["reason"], error.to_string());
        assert_eq!(fields.len(), 3);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), word in 0..Kind::ALL.len()) {
        for dialect in [Dialect::Native, Dialect::TransactionalSystem] {
            let operation = Kind::ALL[word].as_str();
            if let Err(refusal) = decode(&message(dialect, operation, &body), limits(BODY_BYTES_MAX)) {
                fields(&reply_refusal(dialect, operation, &refusal));
            }
        }
    }

    #[test]
    fn no_json_makes_it_panic(
        wallet in r#"[-0-9a-z"\[\{\\. ]{0,8}"#, ticker in ".{0,20}", amount in r#"[-+0-9eE."]{0,12}"#, cut in 0..90_usize,
    ) {
        let body = format!(r#"{{"wallet_id":{wallet},"ticker":"{ticker}","amount":{amount}}}"#);
        let body = body.as_bytes();
        for dialect in [Dialect::Native, Dialect::TransactionalSystem] {
            for body in [body, &body[..cut.min(body.len())]] {
                if let Err(refusal) = try_decode(&message(dialect, "invoice", body)) {
                    fields(&reply_refusal(dialect, "invoice", &refusal));
                }
            }
        }
    }

    #[test]
    fn an_amount_is_read_back_exactly(mantissa in 1..10_i128.pow(28), scale in 0..=18_u32) {
        let amount = Amount::new(Decimal::from_i128_with_scale(mantissa, scale)).unwrap();
        for text in [format!("{amount}"), format!("\"{amount}\"")] {
            let body = format!(r#"{{"wallet_id":1,"currency":"USD","amount":{text}}}"#);
            let operation = try_decode(&message(Dialect::Native, "invoice", body.as_bytes())).unwrap();
            prop_assert_eq!(operation.request.money().unwrap().amount, amount);
        }
        let request = Request::Balance { wallet: WalletId(1) };
        let lines = vec![line("USD", amount.value(), Decimal::ZERO, Decimal::ZERO)];
        let outcome = outcome(&request, Ok(Answer::Balances(lines)), Replay::First);
        let native = format!(r#"\"available\":\"{amount}\""#);
        prop_assert!(text(&reply_to(Dialect::Native, &request, &outcome)).contains(&native));
        let expected = format!(r#"{{\"actual_balance\":{{\"USD\":{amount}}}}}"#);
        prop_assert!(text(&reply_to(Dialect::TransactionalSystem, &request, &outcome)).contains(&expected));
    }
}
