//! `purser import`: wallets and opening balances of an older system, on real servers.

mod broken;

use std::path::PathBuf;
use std::process::Stdio;

use futures::TryStreamExt;

use super::{Said, Served, run_on, run_with_input};
use crate::support::server::purser;
use crate::support::{PATIENCE, TestDatabase, poll_until, unique};

/// A file of a test's own. It goes away with it.
struct OwnFile(PathBuf);

impl OwnFile {
    fn new(extension: &str, text: &str) -> Self {
        let file = Self::unwritten(extension);
        std::fs::write(&file.0, text).expect("the file can be written");
        file
    }

    fn unwritten(extension: &str) -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.{extension}", unique("import"))))
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("the file is there")
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn feed(database: &TestDatabase, arguments: &[&str], text: &str) -> Said {
    run_with_input(purser(arguments).env("DATABASE_URL", &database.url), text)
}

/// Every wallet with what it is called and holds: `1 a-1 Ann {"tier": "gold"} USD:12.5`.
async fn books(database: &TestDatabase) -> String {
    let balances = "SELECT string_agg(currency || ':' || trim_scale(available), ',' ORDER BY currency) FROM balances WHERE wallet_id = wallets.id";
    database
        .fetch(format!(
            "SELECT string_agg(concat_ws(' ', id, external_id, name, nullif(labels, '{{}}')::text, ({balances})), E'\\n' ORDER BY id) FROM wallets"
        ))
        .await
}

/// With currencies and no wallets.
async fn without_wallets() -> TestDatabase {
    TestDatabase::with_wallets(0).await
}

const CSV: &str = "\
wallet_id,external_id,name,labels,currency,amount
1,a-1,\"Ann, \"\"A\"\"\",\"{\"\"tier\"\": \"\"gold\"\"}\",USD,12.50
1,a-1,,,EUR,0.01
2,,,,USDT,0.000001
30,c-30,Cid,,RUB,0
7,,,,,
";
const BOOKS: &str = "\
1 a-1 Ann, \"A\" {\"tier\": \"gold\"} EUR:0.01,USD:12.5
2 USDT:0.000001
7
30 c-30 Cid";

#[tokio::test]
async fn what_is_imported_twice_is_there_once() {
    let database = without_wallets().await;
    let file = OwnFile::new("csv", CSV);
    let first = ["wallets: 4 added", "opening balances: 3 booked, 0 there already", "refused: 0 lines"];
    let plan = ["wallets: 4 to add", "opening balances: 3 to book, 0 there already", "nothing was changed"];
    run_on(&database, &["import", file.name(), "--dry-run"]).expect(0, &plan);
    assert_eq!(books(&database).await, "NULL");
    run_on(&database, &["import", file.name()]).expect(0, &first);
    assert_eq!(books(&database).await, BOOKS);
    let keys = "SELECT string_agg(wallet_id || ' ' || kind || ' ' || idempotency_key, ',' ORDER BY wallet_id, currency) FROM transactions";
    let booked = "1 invoice import:opening:EUR,1 invoice import:opening:USD,2 invoice import:opening:USDT";
    assert_eq!(database.fetch(keys).await, booked);

    let again = ["wallets: 0 added", "opening balances: 0 booked, 3 there already", "refused: 0 lines"];
    run_on(&database, &["import", file.name()]).expect(0, &again);
    run_on(&database, &["import", file.name(), "--dry-run"]).expect(0, &["0 to add", "0 to book, 3 there already"]);
    // Under another name it is more money.
    let other = ["wallets: 0 added", "opening balances: 3 booked"];
    run_on(&database, &["import", file.name(), "--name", "second"]).expect(0, &other);
    assert_eq!(database.available(1, "USD").await, "25");
    run_on(&database, &["verify"]).expect(0, &["the books are right"]);

    // The next wallet that is made gets a number of its own.
    database.execute("INSERT INTO wallets DEFAULT VALUES").await;
    assert_eq!(database.fetch("SELECT max(id) FROM wallets").await, "31");
}

#[tokio::test]
async fn json_lines_say_the_same() {
    let database = without_wallets().await;
    let lines = r#"{"wallet_id":1,"external_id":"a-1","name":"Ann, \"A\"","labels":{"tier":"gold"},"currency":"USD","amount":12.50}
{"wallet_id":1,"external_id":"a-1","amount":"0.01"}
{"wallet_id":"2","currency":"USDT","amount":1e-6}

{"wallet_id":30,"external_id":"c-30","name":"Cid","currency":"RUB","amount":0}
{"wallet_id":7,"amount":null}"#;
    feed(&database, &["import", "-", "--currency", "EUR"], lines).expect(1, &["does not say", "--format jsonl"]);
    let arguments = ["import", "-", "--format", "jsonl", "--currency", "EUR"];
    feed(&database, &arguments, lines).expect(0, &["wallets: 4 added", "3 booked, 0 there already"]);
    assert_eq!(books(&database).await, BOOKS);
    // What the one has imported is there for the other.
    feed(&database, &["import", "-", "--format", "csv"], CSV).expect(0, &["0 added", "0 booked, 3 there already"]);
    run_on(&database, &["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn wallets_with_an_external_id_alone_get_numbers_and_keep_them() {
    let database = without_wallets().await;
    // Ids that were given out by hand, and a sequence that does not know of it.
    database.execute("INSERT INTO wallets (id) VALUES (1), (2)").await;
    let csv = "amount,external_id,name\n1,a,\n2,b,Bob\n,c,\n";
    let arguments = ["import", "-", "--format", "csv", "--currency", "USD"];
    feed(&database, &arguments, csv).expect(0, &["wallets: 3 added", "2 booked"]);
    assert_eq!(books(&database).await, "1\n2\n3 a USD:1\n4 b Bob USD:2\n5 c");
    let more = "amount,external_id,name\n2,b,Robert\n1,a,Ann\n4,d,\n4,d,\n";
    feed(&database, &arguments, more).expect(0, &["wallets: 1 added", "1 booked, 3 there already"]);
    // What is there stays, what was lacking is there now, and no number was left out.
    assert_eq!(books(&database).await, "1\n2\n3 a Ann USD:1\n4 b Bob USD:2\n5 c\n6 d USD:4");

    let mixed = "wallet_id,external_id,amount\n,e,1\n6,,1\n8,d,1\n";
    feed(&database, &arguments, mixed)
        .expect(1, &["line 3: ", "line 4: ", "name their wallets in the other way", "2 lines"]);
    run_on(&database, &["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn refused_lines_are_told_with_their_numbers_and_kept_to_be_corrected() {
    let database = without_wallets().await;
    let import = |text: &str, more: &[&str]| {
        let arguments: Vec<_> = ["import", "-", "--format", "csv"].iter().chain(more).copied().collect();
        feed(&database, &arguments, text)
    };
    import("wallet_id,external_id,currency,amount\n1,a,USD,10\n2,b,USD,20\n3,,USD,0\n", &[]).expect(0, &["2 booked"]);
    let bad = "wallet_id,external_id,currency,amount\n\
               1,a,USD,11\n\
               2,x,USD,20\n\
               4,a,USD,1\n\
               5,,XXX,1\n\
               6,,USD,0.001\n\
               7,,USD,-1\n\
               8,,USD\n\
               nine,,USD,9\n\
               10,\"two\nlines\",USD,10\n\
               11,,USD,11\n\
               11,,USD,12\n\
               1,,USD,0\n\
               ,,USD,1\n";
    let refused = OwnFile::unwritten("csv");
    let reasons = [
        "line 2: this import has given the wallet another opening balance in USD already",
        "line 3: wallet 2 has another external_id: b",
        "line 4: wallet 1 has this external_id already",
        "line 5: there is no currency XXX",
        "line 6: 0.001 USD has more decimals than the currency allows",
        "line 7: -1: an opening balance cannot be below zero",
        "line 8: it has 3 fields, the header 4",
        "line 9: nine: a wallet_id is a whole number",
        "line 10: a quote is opened and not closed in this line",
        "line 11: the quote that is opened in line 10 may reach to here",
        "line 14: this import has given the wallet another opening balance in USD already",
        "line 15: it has neither a wallet_id nor an external_id",
    ];
    // What two lines say against each other, as 12 and 13 do, is known only when one of them is booked.
    import(bad, &["--dry-run"]).expect(1, &reasons).expect(1, &["2 to book", "refused: 12 lines"]);
    let contradiction = "line 13: this import has given the wallet another opening balance in USD already";
    import(bad, &["--refused", refused.name()])
        .expect(1, &reasons)
        .expect(1, &[contradiction, "wallets: 3 added", "1 booked, 0 there already", "refused: 13 lines"]);
    let before = books(&database).await;
    assert_eq!(before, "1 a USD:10\n2 b USD:20\n3\n5\n6\n11 USD:11", "a wallet is made although its amount is refused");

    // They are kept as they were, each below its reason.
    let kept = refused.text();
    assert!(kept.starts_with("wallet_id,external_id,currency,amount\n# purser: line "), "{kept}");
    for pair in
        ["line 8: it has 3 fields, the header 4\n8,,USD\n", "line 3: wallet 2 has another external_id: b\n2,x,USD,20\n"]
    {
        assert!(kept.contains(pair), "{pair} is not in {kept}");
    }
    assert_eq!(kept.lines().filter(|line| line.starts_with("# purser: ")).count(), 13);
    import(&kept, &[]).expect(1, &["refused: 13 lines", "wallets: 0 added", "0 booked"]);
    let corrected = kept.replace("8,,USD\n", "8,,USD,8\n").replace("nine", "9").replace("5,,XXX,1", "5,,EUR,1");
    let corrected: String = corrected
        .lines()
        .filter(|line| !line.ends_with(",11") && !line.starts_with("2,x"))
        .map(|line| format!("{line}\n"))
        .collect();
    import(&corrected, &[]).expect(1, &["3 booked", "wallets: 2 added"]);
    assert_eq!(database.available(9, "USD").await, "9");

    let same = OwnFile::new("csv", CSV);
    run_on(&database, &["import", same.name(), "--refused", same.name()]).expect(1, &["is the file that is imported"]);
    assert_eq!(same.text(), CSV);
    run_on(&database, &["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_changes_nothing_and_one_that_ends_early_is_done_up_to_there() {
    let database = without_wallets().await;
    let import = |text: &str| feed(&database, &["import", "-", "--format", "csv"], text);
    import("").expect(1, &["the file is empty"]);
    import("wallet_id,ammount\n1,1\n")
        .expect(1, &["the header names a column \"ammount\"", "wallet_id, external_id, name"]);
    run_on(&database, &["import", "nobody-wrote-this.csv"]).expect(1, &["nobody-wrote-this.csv cannot be read"]);
    assert_eq!(books(&database).await, "NULL");
    let long = format!("wallet_id,name,currency,amount\n1,,USD,1\n2,{},USD,2\n3,,USD,3\n", "x".repeat(200_000));
    import(&long).expect(1, &["line 3: it is longer than 131072 bytes", "2 booked", "refused: 1 line"]);
    let long = format!("wallet_id,name,currency,amount\n4,,USD,4\n5,\"{}\n6,,USD,6\n", "x".repeat(5_000_000));
    // It is not read to its end, which stdin would notice.
    let long = OwnFile::new("csv", &long);
    run_on(&database, &["import", long.name()])
        .expect(1, &["error: line 3: a quote is opened and not closed", "1 booked"]);
    assert_eq!(books(&database).await, "1 USD:1\n3 USD:3\n4 USD:4");
    database.execute("UPDATE wallets SET closed_at = now() WHERE id = 3").await;
    import("wallet_id,currency,amount\n3,EUR,1\n").expect(1, &["line 2: 1 EUR: the wallet is closed"]);
    run_on(&TestDatabase::empty().await, &["import", "-", "--format", "jsonl"]).expect(1, &["purser migrate"]);
}

/// How many lines the file of an import has that is killed.
const MANY: usize = 30_000;

#[tokio::test]
async fn an_import_that_is_killed_is_completed_by_the_next() {
    let database = without_wallets().await;
    let mut csv = "external_id,currency,amount\n".to_owned();
    for wallet in 1..=MANY / 2 {
        csv.push_str(&format!("c-{wallet},USD,{wallet}.25\nc-{wallet},EUR,0.{:02}\n", wallet % 99 + 1));
    }
    let file = OwnFile::new("csv", &csv);
    let count = async || database.fetch("SELECT count(*) FROM transactions").await.parse::<usize>().expect("a count");
    for how in ["-KILL", "-INT"] {
        let before = count().await;
        let child = purser(&["import", file.name()])
            .env("DATABASE_URL", &database.url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        poll_until(PATIENCE, "some of it booked", async || count().await >= before + 1_000).await;
        let sent = std::process::Command::new("kill").args([how, &child.id().to_string()]).status();
        assert!(sent.expect("there is a kill command").success());
        let said = Said::of(child.wait_with_output().expect("it can be waited for"));
        assert!(count().await < MANY, "it was over before it was ended");
        match how {
            "-KILL" => assert_eq!(said.code, None),
            _ => drop(said.expect(130, &["interrupted: run the same again to complete it"])),
        }
        run_on(&database, &["verify"]).expect(0, &["the books are right"]);
    }
    run_on(&database, &["import", file.name()]).expect(0, &["refused: 0 lines"]);
    let wallets = MANY / 2;
    assert_eq!(
        database.fetch("SELECT count(*) || ' ' || count(DISTINCT external_id) FROM wallets").await,
        format!("{wallets} {wallets}")
    );
    assert_eq!(database.fetch("SELECT count(*) FROM transactions").await, MANY.to_string());
    let wrong = "SELECT count(*) FROM wallets JOIN balances ON wallet_id = id WHERE currency = 'USD' AND available <> substr(external_id, 3)::numeric + 0.25";
    assert_eq!(database.fetch(wrong).await, "0");
    let again = format!("0 booked, {},000 there already", MANY / 1000);
    run_on(&database, &["import", file.name()]).expect(0, &["wallets: 0 added", &again]);
    run_on(&database, &["verify"]).expect(0, &["the books are right"]);
}

#[tokio::test]
async fn others_may_use_the_wallets_while_they_are_imported() {
    let served = Served::start().await;
    let csv: String = (1..=9).map(|wallet| format!("{wallet},USD,100\n")).collect();
    let csv = format!("wallet_id,currency,amount\n{csv}");
    let (sent, imported) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| served.run(&["bench", "--operations", "2000", "--wallets", "9"]));
        let import = || run_with_input(&mut served.command(&["import", "-", "--format", "csv"]), &csv);
        let importing = [scope.spawn(import), scope.spawn(import)];
        (sending.join().expect("it ends"), importing.map(|importing| importing.join().expect("it ends")))
    });
    sent.expect(0, &[]);
    for said in imported {
        said.expect(0, &["refused: 0 lines"]);
    }
    assert_eq!(
        served.database.fetch("SELECT count(*) FROM transactions WHERE idempotency_key = 'import:opening:USD'").await,
        "9"
    );
    served.run(&["verify"]).expect(0, &["the books are right"]);
}

/// What the help says of an old system: the seed, the copy and the import, as they stand there.
fn part_of<'a>(help: &'a str, system: &str) -> (Vec<&'a str>, &'a str, Vec<&'a str>) {
    let words = |text: &'a str| text.lines().next().unwrap_or_default().split_whitespace().collect();
    let (_, part) = help.split_once(&format!("\n  {system}, ")).unwrap_or_else(|| panic!("{system} is not in {help}"));
    let (_, seed) = part.split_once("purser ").expect("currencies are added");
    let (_, copy) = part.split_once("psql OLD -c \"").expect("it has a query");
    let (copy, rest) = copy.split_once('"').expect("the query ends");
    let (_, import) = rest.split_once("| purser ").expect("it is imported");
    (words(seed), copy, words(import))
}

#[tokio::test]
async fn the_helps_query_brings_the_users_of_each_old_system() {
    let help = purser(&["import", "--help"]).output().expect("the binary starts");
    let help = Said::of(help).expect(0, &["--refused", "--dry-run", "import:NAME:CURRENCY"]).stdout;
    for (system, schema, expected) in [
        (
            "000",
            "CREATE TABLE wallets (wallet_id serial PRIMARY KEY);
             CREATE TABLE tickers (ticker_id serial PRIMARY KEY, name varchar(255) NOT NULL);
             CREATE TABLE balances (wallet_id int, ticker_id int, amount double precision NOT NULL, PRIMARY KEY (wallet_id, ticker_id));
             INSERT INTO wallets SELECT FROM generate_series(1, 3);
             INSERT INTO tickers (name) VALUES ('USD'), ('EUR');
             INSERT INTO balances VALUES (1, 1, 0.1::real), (1, 2, 1234567.25), (3, 1, 0)",
            "1 EUR:1234567.25,USD:0.1\n2\n3\n4\n5\n6\n7\n8\n9",
        ),
        (
            "001",
            "CREATE TABLE users (id bigserial PRIMARY KEY, balance bigint NOT NULL);
             INSERT INTO users VALUES (5, 16), (9, 100000000001)",
            "5 RUB:0.16\n9 RUB:1000000000.01",
        ),
        (
            "002",
            "CREATE TABLE wallets (id serial PRIMARY KEY, labels jsonb NOT NULL, created timestamp, externalid varchar(50) NOT NULL UNIQUE);
             CREATE TABLE wallet_balances (wid int PRIMARY KEY, amount numeric(10,2) NOT NULL);
             INSERT INTO wallets (labels, externalid) VALUES ('{\"a\": \"b, \\\"c\\\"\"}', 'x-1'), ('null', 'x-2');
             INSERT INTO wallet_balances VALUES (1, 24.75)",
            "1 x-1 {\"a\": \"b, \\\"c\\\"\"} EUR:24.75\n2 x-2",
        ),
        (
            "003",
            "CREATE TABLE currencies (id serial PRIMARY KEY, name text UNIQUE NOT NULL);
             CREATE TABLE accounts (id bigserial PRIMARY KEY, name text UNIQUE NOT NULL, currency_id int, amount numeric(30,15) NOT NULL);
             INSERT INTO currencies (name) VALUES ('USD'), ('RUB'), ('BTC'), ('ETC');
             INSERT INTO accounts (name, currency_id, amount) VALUES ('Ann', 1, 249.99999999), ('Bob', 3, 0.000000000000001), ('Cid', 2, 0)",
            "1 Ann {\"currency\": \"USD\"} USD:249.99999999\n2 Bob {\"currency\": \"BTC\"} BTC:0.000000000000001\n3 Cid {\"currency\": \"RUB\"}",
        ),
        (
            "004",
            "CREATE TABLE account (id int, name text, balance double precision); INSERT INTO account VALUES (1, 'Ann', 10.1 + 0.2), (12, 'Bob', 3)",
            "1 Ann USD:10.3\n2\n3\n4\n5\n6\n7\n8\n9\n12 Bob USD:3",
        ),
    ] {
        let old = TestDatabase::empty().await;
        sqlx::raw_sql(schema).execute(&old.pool).await.unwrap_or_else(|error| panic!("{system}: {error}"));
        let (seed, copy, import) = part_of(&help, system);
        let mut connection = old.pool.acquire().await.expect("the database is there");
        let rows = connection.copy_out_raw(copy).await.unwrap_or_else(|error| panic!("{system}: {error}: {copy}"));
        let rows: Vec<_> = rows.try_collect().await.expect("the rows come");

        let database = TestDatabase::empty().await;
        run_on(&database, &["migrate"]).expect(0, &[]);
        run_on(&database, &seed).expect(0, &["currencies: added"]);
        let csv = String::from_utf8(rows.concat()).expect("it is text");
        feed(&database, &import, &csv).expect(0, &["refused: 0 lines"]);
        assert_eq!(books(&database).await, expected, "{system}");
        run_on(&database, &["verify"]).expect(0, &["the books are right"]);
    }
}
