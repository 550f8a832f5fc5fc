//! The binary, from the outside: what it prints and how it ends.

mod bench;
mod import;
mod keys;
mod send;
mod tls;
mod verify;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::amqp::OwnedNames;
use crate::support::server::purser;
use crate::support::{Names, PATIENCE, Server, TestDatabase, amqp_url, poll_until};

/// How a command ended and what it said.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Ended like this, with these words somewhere in what it printed.
    #[track_caller]
    fn expect(self, code: i32, words: &[&str]) -> Self {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        self
    }

    fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Runs the binary on a database.
fn run_on(database: &TestDatabase, arguments: &[&str]) -> Said {
    Said::of(purser(arguments).env("DATABASE_URL", &database.url).output().expect("the binary starts"))
}

/// Runs the binary with this on its standard input.
fn run_with_input(command: &mut Command, input: &str) -> Said {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    Said::of(child.wait_with_output().expect("it can be waited for"))
}

/// A server with a database and broker names of its own.
struct Served {
    server: Server,
    database: TestDatabase,
    names: OwnedNames,
}

impl Served {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let names = OwnedNames(Names::new());
        let mut environment = vec![("DATABASE_URL", database.url.clone()), ("AMQP_URL", amqp_url())];
        environment.extend(names.0.environment());
        let mut server = Server::start(environment);
        server.ready().await;
        Self { server, database, names }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = purser(arguments);
        command.env("DATABASE_URL", &self.database.url).env("AMQP_URL", amqp_url()).envs(self.names.0.environment());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().expect("the binary starts"))
    }
}

#[tokio::test]
async fn seeding_adds_what_is_missing_and_changes_nothing_that_exists() {
    let database = TestDatabase::empty().await;
    run_on(&database, &["seed"]).expect(1, &["error:", "purser migrate"]);
    run_on(&database, &["migrate"]).expect(0, &["up to date"]);
    run_on(&database, &["seed"]).expect(0, &["added USD, RUB, EUR, USDT", "wallets 1-9: added 9"]);
    database.execute("UPDATE currencies SET scale = 4 WHERE code = 'EUR'").await;
    database.execute("UPDATE wallets SET name = 'own' WHERE id = 3").await;
    database.execute("DELETE FROM wallets WHERE id = 5").await;
    run_on(&database, &["seed", "--wallets", "12"]).expect(0, &["currencies: nothing to add", "wallets 1-12: added 4"]);
    assert_eq!(database.fetch("SELECT scale FROM currencies WHERE code = 'EUR'").await, "4");
    assert_eq!(database.fetch("SELECT name FROM wallets WHERE id = 3").await, "own");
    let numbers = "SELECT string_agg(code || number, ' ' ORDER BY number) FROM currencies";
    assert_eq!(database.fetch(numbers).await, "USD1 RUB2 EUR5 USDT6");
    run_on(&database, &["seed", "--wallets", "12"]).expect(0, &["wallets 1-12: nothing to add"]);

    // The next wallet gets a number of its own, and the sequence never goes back.
    database.execute("INSERT INTO wallets DEFAULT VALUES").await;
    assert_eq!(database.fetch("SELECT max(id) FROM wallets").await, "13");
    run_on(&database, &["seed"]).expect(0, &[]);
    database.execute("INSERT INTO wallets DEFAULT VALUES").await;
    assert_eq!(database.fetch("SELECT max(id) FROM wallets").await, "14");
}

#[tokio::test]
async fn seeding_like_an_older_system_adds_what_that_one_had() {
    let currencies = "SELECT string_agg(code || number || '/' || scale, ' ' ORDER BY number) FROM currencies";
    let wallets = "SELECT count(*) FROM wallets";
    for (like, has, wallets_there) in [
        ("transactional-system", "USD1/2 RUB2/2 EUR5/2 USDT6/6", "9"),
        ("balance", "RUB2/2", "0"),
        ("wallet", "EUR5/2", "0"),
        ("wallet-test", "USD1/15 RUB2/15 BTC3/15 ETC4/15", "0"),
        ("transaction-system", "USD1/2", "9"),
    ] {
        let database = TestDatabase::empty().await;
        run_on(&database, &["migrate"]).expect(0, &[]);
        run_on(&database, &["seed", "--like", like]).expect(0, &["currencies: added"]);
        let there = (database.fetch(currencies).await, database.fetch(wallets).await);
        assert_eq!(there, (has.to_owned(), wallets_there.to_owned()), "{like}");
        let said = run_on(&database, &["seed", "--like", like]).expect(0, &["currencies: nothing to add"]);
        assert!(!said.stdout.contains("added") && !said.stdout.contains("note"), "{}", said.stdout);
    }

    // One after the other: what is there stays, and what the next one would miss in it is told.
    let database = TestDatabase::empty().await;
    run_on(&database, &["migrate"]).expect(0, &[]);
    run_on(&database, &["seed"]).expect(0, &[]);
    let notes =
        ["added BTC, ETC", "USD has 2 decimals, there it has 15", "PATCH /v1/currencies/RUB with {\"scale\":15}"];
    run_on(&database, &["seed", "--like", "wallet-test"]).expect(0, &notes);
    database.execute("UPDATE currencies SET number = 9 WHERE code = 'RUB'").await;
    run_on(&database, &["seed", "--like", "balance", "--wallets", "10"])
        .expect(0, &["RUB has the number 9, there it is 2", "wallets 1-10: added 1"]);
    let all = "USD1/2 BTC3/15 ETC4/15 EUR5/2 USDT6/6 RUB9/2";
    assert_eq!(database.fetch(currencies).await, all);
    run_on(&database, &["seed", "--like", "paypal"]).expect(2, &["transactional-system", "wallet-test"]);
}

#[tokio::test]
async fn seeding_says_so_when_a_number_is_taken() {
    let database = TestDatabase::empty().await;
    run_on(&database, &["migrate"]).expect(0, &[]);
    database.execute("INSERT INTO currencies (code, number, scale) VALUES ('XAU', 5, 4)").await;
    run_on(&database, &["seed"]).expect(1, &["could not be added: EUR", "same number"]);
}

#[tokio::test]
async fn a_database_is_created_and_dropped_in_the_words_of_system_002() {
    let database = TestDatabase::empty().await;
    run_on(&database, &["db"]).expect(1, &["either one of --initdb or --dropdb  parameters should be provided"]);
    run_on(&database, &["db", "--initdb", "--dropdb"])
        .expect(1, &["only one of --initdb or --dropdb  parameters should be provided"]);
    let own = database.url.replace(&database.name, &format!("{}_own", database.name));
    let run = |arguments: &[&str]| {
        let mut command = purser(arguments);
        command.env("DATABASE_URL", &own).stdin(Stdio::null());
        Said::of(command.output().expect("the binary starts"))
    };
    run(&["verify"]).expect(1, &["Unable to connect to database", "purser db --initdb"]);
    let said = run(&["db", "--initdb"]).expect(0, &[]);
    assert_eq!(said.stdout, "Database is created\nDatabase schema is created\n");
    run(&["verify"]).expect(0, &["the books are right"]);
    run(&["db", "--dropdb"]).expect(1, &["--yes"]);
    let said = run(&["db", "--dropdb", "--yes"]).expect(0, &[]);
    assert_eq!(said.stdout, "Database is dropped\n");
    run(&["db", "--dropdb", "--yes"]).expect(1, &["there is no database"]);
}

#[test]
fn config_shows_where_each_setting_comes_from_and_no_secret() {
    let mut command = purser(&["config"]);
    command.env("DATABASE_URL", "postgres://purser:hunter2@db/purser?sslpassword=hunter2");
    command.env("AMQP_URL", "amqp://purser:hunt%2Fer2@mq/%2f").env("PURSER_HTTP__WORKERS", "7");
    let said = Said::of(command.output().expect("the binary starts")).expect(
        0,
        &[
            "url = \"postgres://purser:***@db/purser?sslpassword=***\" # from the environment variable DATABASE_URL",
            "url = \"amqp://purser:***@mq/%2f\" # from the environment variable AMQP_URL",
            "workers = 7 # from the environment variable PURSER_HTTP__WORKERS",
        ],
    );
    assert!(!said.stdout.contains("hunt"), "{}", said.stdout);

    let mut command = purser(&["config"]);
    let output = command.env("PURSER_HTTP__LISEN", "x").output().expect("the binary starts");
    Said::of(output).expect(1, &["PURSER_HTTP__LISEN", "did you mean PURSER_HTTP__LISTEN?"]);
    let output = purser(&["config", "--defaults"]).output().expect("the binary starts");
    assert_eq!(Said::of(output).expect(0, &[]).stdout, purser::settings::DEFAULTS);
}

#[test]
fn a_server_that_is_away_is_told_without_its_password() {
    let check = |arguments: &[&str], name: &str, address: &str| {
        let output = purser(arguments).env(name, address).output().expect("the binary starts");
        let said = Said::of(output).expect(1, &["error:", name]);
        assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    };
    // Nothing listens on port 1.
    check(&["verify"], "DATABASE_URL", "postgres://purser:hunter2@127.0.0.1:1/purser");
    check(&["send", "balance", "1"], "AMQP_URL", "amqp://purser:hunter2@127.0.0.1:1/%2f");
    check(&["bench"], "AMQP_URL", "amqp://purser:hunter2@127.0.0.1:1/%2f");
    check(&["verify"], "DATABASE_URL", "purser:hunter2@localhost/purser");
    check(&["verify"], "DATABASE_URL", "postgres://purser:hunter2@local host/purser");
    check(&["send", "balance", "1"], "AMQP_URL", "purser:hunter2@localhost");
}

#[tokio::test]
async fn sending_prints_one_line_for_each_operation_and_fails_when_one_is_refused() {
    let served = Served::start().await;
    let invoice = ["send", "invoice", "1", "10.50", "USD", "--key", "a"];
    let first = served.run(&invoice).expect(0, &["\"code\":200"]);
    assert_eq!(first.json_lines()[0]["operation"], "invoice");
    served.run(&invoice).expect(0, &["\"code\":200"]);
    assert_eq!(served.database.available(1, "USD").await, "10.5", "the same key again books nothing");

    let withdraw = ["send", "withdraw", "1", "11", "USD"];
    served.run(&withdraw).expect(1, &["\"code\":422"]);
    served.run(&["send", "invoice", "99", "1", "USD"]).expect(1, &["\"code\":404"]);

    let lines = "{\"operation\":\"invoice\",\"wallet_id\":2,\"currency\":\"USD\",\"amount\":5}\n\
                 {\"operation\":\"balance\",\"wallet_id\":2}\n\n\
                 {\"operation\":\"withdraw\",\"wallet_id\":2,\"currency\":\"USD\",\"amount\":6}\n";
    let said =
        run_with_input(&mut served.command(&["send", "--file", "-"]), lines).expect(1, &["1 of 3 operations refused"]);
    let replies: Vec<_> =
        said.json_lines().into_iter().map(|reply| (reply["operation"].clone(), reply["code"].clone())).collect();
    assert_eq!(
        replies,
        [("invoice".into(), 200.into()), ("balance".into(), 200.into()), ("withdraw".into(), 422.into())]
    );

    let bad = "{\"operation\":\"invoice\",\"wallet_id\":2,\"currency\":\"USD\",\"amount\":5}\nnonsense\n";
    let said =
        run_with_input(&mut served.command(&["send", "--file", "-"]), bad).expect(1, &["line 2: not an operation"]);
    assert_eq!(said.json_lines().len(), 1, "what came before the bad line is answered");
    assert_eq!(served.database.available(2, "USD").await, "10");

    served
        .run(&["send", "balance", "1", "--exchange", "nobody.declares.this"])
        .expect(1, &["has no exchange", "the broker did not take it"]);
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn an_operation_without_a_reply_is_told_with_its_key() {
    let mut served = Served::start().await;
    served.server.kill();
    let said = served
        .run(&["send", "balance", "1", "--key", "my-key", "--timeout", "1"])
        .expect(1, &["1 of 1 operation without a reply", "--timeout"]);
    assert_eq!(said.json_lines()[0]["idempotency_key"], "my-key");
    served.run(&["bench", "--operations", "10", "--timeout", "1"]).expect(1, &["nobody answered within 1 s"]);
}

#[tokio::test]
async fn both_scenarios_of_system_000_get_the_documented_answers() {
    let served = Served::start().await;
    let said = served.run(&["send", "--scenario", "1"]).expect(0, &["every answer is the documented one"]);
    let lines = said.json_lines();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[6]["reason"], "there are not enough USD's on the wallet with id = 1 to be debited");
    assert_eq!(lines[7]["body"], "{\"actual_balance\":{\"USD\":5}}");
    let said = served.run(&["send", "--scenario", "2"]).expect(0, &["every answer is the documented one"]);
    assert_eq!(said.json_lines().len(), 120);
    // Once more, on books that hold something.
    served.run(&["send", "--scenario", "1"]).expect(0, &["every answer is the documented one"]);
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn the_lines_that_serving_says_to_try_work_as_they_stand() {
    let served = Served::start().await;
    let is_said = || async { served.server.logged().contains("Ctrl-C stops") };
    poll_until(PATIENCE, "what to try", is_said).await;
    let log = served.server.logged();
    let (tries, others): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with("    "));
    let words = ["/readyz", "/v1/transactions", "/v1/wallets", "send invoice", "send balance", "bench", "verify"];
    for word in words {
        assert!(tries.iter().any(|line| line.contains(word)), "nothing to try with {word} in: {log}");
    }
    let docs = format!("http://{}/docs/", served.server.address);
    assert!(log.contains(&docs), "no {docs} in: {log}");
    for line in &tries {
        // A refusal over HTTP ends curl too.
        let script = line.replace("curl -s", "curl -s --fail-with-body");
        let mut shell = Command::new("sh");
        shell.env("DATABASE_URL", &served.database.url).env("AMQP_URL", amqp_url()).envs(served.names.0.environment());
        Said::of(shell.args(["-c", &script]).output().expect("there is a shell")).expect(0, &[]);
    }
    // Its log is not disturbed: each line is a whole object.
    for line in others.iter().filter(|line| line.starts_with('{')) {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    }
    assert_eq!(served.run(&["send", "balance", "1"]).expect(0, &[]).json_lines().len(), 1);
}
