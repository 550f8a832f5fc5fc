//! What must not stand where in the sources.

use crate::dialects::is_dialect;
use crate::imports::module_of;
use crate::rust_code::{code_only, product_only, words};
use crate::{TextFile, assert_none, read, sources};

/// Longest source file, in lines: what can be read in one go.
const LINES_MAX: usize = 500;
/// The same of a dialect: all words of an older system are in one file, however many it had, so that it can be taken away as one.
const DIALECT_LINES_MAX: usize = 1000;

/// Crates that only some modules may name, unit tests aside. `cli` starts the actix `System` of `purser serve`.
const CRATES_ONLY_IN: &[(&str, &[&str])] = &[
    ("actix", &["engine"]),
    ("actix_rt", &["engine", "app", "cli"]),
    ("actix_web", &["http", "app"]),
    ("anyhow", &["cli", "app", "settings"]),
    ("governor", &["http"]),
    ("jsonwebtoken", &["http"]),
    ("hyper", &["cli"]),
    ("lapin", &["broker", "cli"]),
    ("reqwest", &["http"]),
    ("ring", &["http"]),
    ("rustls", &["http"]),
    ("sqlx", &["store", "cli"]),
];

/// What the pure core must not name: I/O, formats, clocks, chance.
const NOT_IN_LEDGER: &[&str] = &[
    "serde",
    "serde_json",
    "sqlx",
    "tokio",
    "actix",
    "actix_rt",
    "actix_web",
    "lapin",
    "prometheus",
    "tracing",
    "futures",
    "rand",
    "anyhow",
    "Instant",
    "SystemTime",
    "now_v7",
    "async",
    "await",
    "File",
    "TcpStream",
    "env",
    "thread",
    "unsafe",
];

/// Where money is handled: no inexact number.
const EXACT: &[&str] = &["ledger", "store", "posting", "engine", "wire"];

/// Inexact numbers that are no money, with the reason. One that is no longer there is to be taken out.
const INEXACT_ALLOWED: &[(&str, &str, &str)] = &[
    ("src/engine/settle.rs", "f64", "the number of operations of a batch, for a histogram"),
    ("src/engine/settle.rs", "as_f64", "the number of operations of a batch, for a histogram"),
];

#[test]
fn the_core_is_pure() {
    let is_core = |file: &&TextFile| module_of(&file.path) == "ledger";
    let files = sources();
    assert_none(
        &files.iter().filter(is_core).flat_map(|file| named(&file.path, &file.text, NOT_IN_LEDGER)).collect::<Vec<_>>(),
    );
}

#[test]
fn crates_stay_where_they_belong() {
    assert_none(&sources().iter().flat_map(misplaced_crates).collect::<Vec<_>>());
}

#[test]
fn there_is_no_float_near_money() {
    let found: Vec<_> = sources().iter().flat_map(floats).collect();
    let is_allowed = |(path, word): &(String, String)| {
        INEXACT_ALLOWED.iter().any(|(allowed_path, allowed, _)| path == allowed_path && word == allowed)
    };
    let complaints = found.iter().filter(|float| !is_allowed(float)).map(|(path, word)| format!("{path}: {word}"));
    assert_none(&complaints.collect::<Vec<_>>());

    let is_found = |path: &str, word: &str| found.iter().any(|(found_path, found)| found_path == path && found == word);
    let stale = INEXACT_ALLOWED.iter().filter(|(path, word, _)| !is_found(path, word));
    assert_none(&stale.map(|(path, word, _)| format!("{path} has no {word} any more")).collect::<Vec<_>>());
}

#[test]
fn every_source_can_be_read_in_one_go() {
    assert_none(&sources().iter().filter_map(|file| too_long(file, lines_max(&file.path))).collect::<Vec<_>>());
}

#[test]
fn every_setting_says_what_it_is_for() {
    let settings = read("config/purser.toml");
    assert!(settings.text.lines().filter(|line| is_setting(line)).count() > 20, "the settings were not found");
    assert_none(&unexplained_settings(&settings));
}

fn named(path: &str, text: &str, forbidden: &[&str]) -> Vec<String> {
    let code = code_only(text);
    let mut found: Vec<_> = words(&code).filter(|word| forbidden.contains(word)).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|word| format!("{path}: {word} has no place here")).collect()
}

fn misplaced_crates(file: &TextFile) -> Vec<String> {
    let module = module_of(&file.path);
    let is_elsewhere = |modules: &[&str]| !modules.contains(&module);
    let forbidden: Vec<_> =
        CRATES_ONLY_IN.iter().filter(|(_, modules)| is_elsewhere(modules)).map(|(name, _)| *name).collect();
    named(&file.path, product_only(file), &forbidden)
}

/// Where an inexact type, or a function to or from one, is named: (path, word).
fn floats(file: &TextFile) -> Vec<(String, String)> {
    if !EXACT.contains(&module_of(&file.path)) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let mut found: Vec<_> = words(&code).filter(|word| word.ends_with("f32") || word.ends_with("f64")).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|word| (file.path.clone(), word.to_owned())).collect()
}

fn lines_max(path: &str) -> usize {
    if is_dialect(path) { DIALECT_LINES_MAX } else { LINES_MAX }
}

fn too_long(file: &TextFile, lines_max: usize) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > lines_max).then(|| format!("{} has {lines} lines, more than {lines_max}", file.path))
}

fn unexplained_settings(file: &TextFile) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let is_explained = |at: usize| at > 0 && lines[at - 1].starts_with("# ");
    (0..lines.len())
        .filter(|at| is_setting(lines[*at]) && !is_explained(*at))
        .map(|at| format!("{}:{}: no comment right above: {}", file.path, at + 1, lines[at]))
        .collect()
}

fn is_setting(line: &str) -> bool {
    !line.starts_with(['#', '[']) && line.contains('=')
}

#[test]
fn each_of_these_checks_can_fail() {
    let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };

    let impure = "use serde::Serialize;\nfn f() { let at = std::time::Instant::now(); }";
    assert_eq!(named("", impure, NOT_IN_LEDGER).len(), 2);
    assert!(named("", "// no serde, no tokio here\n", NOT_IN_LEDGER).is_empty());

    let check_crate = |path: &str, text: &str, expected: usize| {
        assert_eq!(misplaced_crates(&file(path, text)).len(), expected, "{path}: {text}");
    };
    check_crate("src/store/mod.rs", "use anyhow::Context;", 1);
    check_crate("src/broker/mod.rs", "fn f() -> actix::Addr<A> {}", 1);
    check_crate("src/wire/mod.rs", "use lapin::x; use sqlx::y; use actix_web::z;", 3);
    check_crate("src/engine/lane.rs", "use actix::Actor;", 0);
    check_crate("src/settings.rs", "use anyhow::ensure;", 0);

    let check_floats = |path: &str, text: &str, expected: &[&str]| {
        let found: Vec<_> = floats(&file(path, text)).into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, expected, "{path}: {text}");
    };
    check_floats("src/wire/mod.rs", "fn f(x: f64) { value.as_f64() }", &["as_f64", "f64"]);
    check_floats("src/posting.rs", "let x: f32;", &["f32"]);
    check_floats("src/store/mod.rs", "seconds(elapsed) // an f64", &[]);
    check_floats("src/telemetry/metrics.rs", "-> f64", &[]);

    let long = file("src/x.rs", "a\nb\nc\n");
    assert!(too_long(&long, 2).is_some() && too_long(&long, 3).is_none());
    assert_eq!((lines_max("src/http/dialects/mod.rs"), lines_max("src/http/v1/mod.rs")), (LINES_MAX, LINES_MAX));

    let settings = file("config/x.toml", "[a]\nb = 1\n# Why.\nc = 2\nd = 3\n\n# Why.\n\ne = 4\n");
    assert_eq!(unexplained_settings(&settings).len(), 3);
}
