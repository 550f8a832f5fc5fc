//! Files that are not as they should be: nobody is left out without a word, and nobody gets what is not theirs.

use super::{OwnFile, books, feed, run_on, without_wallets};

#[tokio::test]
async fn a_stray_quote_swallows_nobody_and_a_text_with_line_ends_gives_nobody_money() {
    let database = without_wallets().await;
    let import = |text: &str| feed(&database, &["import", "-", "--format", "csv"], text);
    let stray = "wallet_id,name,currency,amount\n501,\"a\nb,USD,1\n502,c,USD,1\n503,\"d\",USD,1\n504,e,USD,1\n";
    let reasons = [
        "line 2: a quote is opened and not closed in this line",
        "line 3: the quote that is opened in line 2 may reach to here",
        "line 4: the quote that is opened in line 2 may reach to here",
        "line 5: the quote that is opened in line 2 may reach to here",
        "refused: 4 lines",
        "1 booked",
    ];
    import(stray).expect(1, &reasons);
    assert_eq!(books(&database).await, "504 e USD:1");
    let mended = stray.replace("\"a\nb", "\"a b\"");
    import(&mended).expect(0, &["refused: 0 lines", "3 booked, 1 there already"]);
    assert_eq!(books(&database).await, "501 a b USD:1\n502 c USD:1\n503 d USD:1\n504 e USD:1");

    // As an export writes the name of someone who thought of this; and again from where it was kept.
    let crafted = "wallet_id,name,currency,amount\n1,\"Eve\n999,,USD,1000000\n\",USD,1\n2,,USD,2\n";
    let refused = OwnFile::unwritten("csv");
    feed(&database, &["import", "-", "--format", "csv", "--refused", refused.name()], crafted)
        .expect(1, &["line 2: ", "line 3: ", "line 4: ", "refused: 3 lines", "1 booked"]);
    run_on(&database, &["import", refused.name()]).expect(1, &["refused: 3 lines", "0 booked"]);
    import("wallet_id,name,currency,amount\n3,\"d\"e,USD,1\n4,f\"g,USD,1\n5,\"h,USD,1")
        .expect(1, &["line 2: field 2 goes on behind", "line 3: field 2 has a quote", "line 4: a quote", "0 booked"]);
    let wallets = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM wallets";
    assert_eq!(database.fetch(wallets).await, "2 501 502 503 504");
}

#[tokio::test]
async fn a_file_from_which_nothing_can_be_read_is_an_error() {
    let database = without_wallets().await;
    let cr = "carriage return within it: lines end with LF or CRLF";
    let none = "there is no line to import in the file";
    for (format, text, expected) in [
        ("csv", "wallet_id,currency,amount\r1,USD,1\r2,USD,2\r", cr),
        ("csv", "wallet_id,currency,amount\n1,USD,1\r2,USD,2\r", cr),
        ("jsonl", "{\"wallet_id\":1}\r{\"wallet_id\":2}\r", cr),
        ("csv", "wallet_id,currency,amount\n", none),
        ("csv", "wallet_id,currency,amount\r\n\r\n# purser: line 2: no\r\n", none),
        ("jsonl", "", none),
        ("jsonl", "# purser: line 1: no\r{\"wallet_id\":1}\r", cr),
    ] {
        feed(&database, &["import", "-", "--format", format], text).expect(1, &[expected]);
        feed(&database, &["import", "-", "--format", format, "--dry-run"], text).expect(1, &[expected]);
    }
    assert_eq!(books(&database).await, "NULL");
}

#[tokio::test]
async fn json_that_is_no_object_and_a_label_that_contradicts_the_money_are_refused_in_words() {
    let database = without_wallets().await;
    let lines = r#"[401,null,null,null,"USD",1]
{"wallet_id":402,"labels":{"currency":"RUB"},"currency":"USD","amount":1}
{"wallet_id":403,"name":7}
{"wallet_id":404,"currency":"USD","amount":1}"#;
    let reasons = [
        "line 1: it is no JSON object: a line is one",
        "line 2: its label says that its currency is RUB, and its amount is in USD",
        "line 3: name must be a string",
        "refused: 3 lines",
    ];
    feed(&database, &["import", "-", "--format", "jsonl"], lines).expect(1, &reasons);
    assert_eq!(books(&database).await, "404 USD:1");
}

#[tokio::test]
async fn what_an_earlier_run_refused_is_not_overwritten() {
    let database = without_wallets().await;
    let refused = OwnFile::unwritten("csv");
    let import = |text: &str, more: &[&str]| {
        let arguments = ["import", "-", "--format", "csv", "--refused", refused.name()];
        feed(&database, &[&arguments, more].concat(), text)
    };
    let good = "wallet_id,currency,amount\n1,USD,1\n";
    let bad = "wallet_id,currency,amount\n2,USD,2\n3,USD,-3\n";
    import(good, &["--dry-run"]).expect(0, &["1 to book"]);
    import(good, &[]).expect(0, &["1 booked"]);
    assert!(!refused.0.exists(), "there was nothing to write");
    import(bad, &["--dry-run"]).expect(1, &["refused: 1 line"]);
    let kept = refused.text();
    assert!(kept.ends_with("\n3,USD,-3\n"), "{kept}");

    let is_there = ["is there already, and something stands in it", "name another --refused, or move it away"];
    for (text, more) in [(bad, &[][..]), (good, &[]), (good, &["--dry-run"])] {
        import(text, more).expect(1, &is_there);
    }
    assert_eq!(refused.text(), kept);
    assert_eq!(books(&database).await, "1 USD:1", "nothing is imported then");
    // An empty one may be there.
    std::fs::write(&refused.0, "").expect("the file can be written");
    import(bad, &[]).expect(1, &["1 booked", "refused: 1 line"]);
    assert_eq!(refused.text(), kept);

    let nowhere = OwnFile::unwritten("directory");
    let within = format!("{}/refused.csv", nowhere.name());
    feed(&database, &["import", "-", "--format", "csv", "--refused", &within], "wallet_id\n9\n")
        .expect(1, &["refused.csv cannot be written"]);
    assert_eq!(database.fetch("SELECT count(*) FROM wallets WHERE id = 9").await, "0");
}
