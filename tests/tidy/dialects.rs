//! Every dialect is one file and the folder that tests it. The page for those who come from an older system names what is served, and what can
//! be set.
//!
//! All of it goes by the list of the dialects that there are. Nothing is demanded of what pages still say of one that was taken away: its users
//! look there for what became of their balances, and a test is named with its dialect (`dialects::NAME::...`) so that it may be gone with it.

#[path = "../../src/http/dialects/list.rs"]
#[macro_use]
mod list;

use std::collections::BTreeSet;
use std::fs;

use crate::rust_code::product_only;
use crate::{TextFile, assert_none, read, root};

macro_rules! declare {
    ($($name:ident,)*) => {
        /// Every dialect that there is.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

with_dialects!(declare);

/// Where the dialects are, and what else is there.
const FOLDER: &str = "src/http/dialects/";
const BESIDE_DIALECTS: [&str; 2] = ["list.rs", "mod.rs"];
/// Where their tests are, and what else is there.
const TESTS: &str = "tests/golden/";
const BESIDE_TESTS: [&str; 2] = ["mod.rs", "together.rs"];
const PAGE: &str = "docs/dialects.md";
const METHODS: [&str; 4] = ["GET", "POST", "PATCH", "DELETE"];

#[test]
fn every_dialect_is_one_file_and_its_tests_are_one_folder() {
    let files = NAMES.iter().map(|name| format!("{name}.rs"));
    assert_none(&strays(FOLDER, &entries(FOLDER), &files.chain(BESIDE_DIALECTS.map(str::to_owned)).collect()));
    let folders = NAMES.iter().map(|name| (*name).to_owned());
    assert_none(&strays(TESTS, &entries(TESTS), &folders.chain(BESIDE_TESTS.map(str::to_owned)).collect()));
}

#[test]
fn the_page_names_every_endpoint_of_each_dialect_and_no_other() {
    let page = read(PAGE).text;
    for name in NAMES {
        let served: BTreeSet<String> = endpoints(&read(&format!("{FOLDER}{name}.rs"))).into_iter().collect();
        assert!(!served.is_empty(), "{name}: no endpoint was found");
        assert_none(&differences(name, &served, &documented(&page, name)));
    }
}

#[test]
fn the_page_names_every_setting_of_each_dialect() {
    let page = read(PAGE).text;
    let settings = settings(&read("config/purser.toml").text);
    assert!(settings.len() > 5, "the settings were not found");
    let is_missing = |setting: &&String| !page.contains(&format!("`{setting}`"));
    assert_none(
        &settings.iter().filter(is_missing).map(|setting| format!("{PAGE}: no word of {setting}")).collect::<Vec<_>>(),
    );
}

/// Whether a file is the one file of a dialect.
pub fn is_dialect(path: &str) -> bool {
    let name = path.strip_prefix(FOLDER).and_then(|file| file.strip_suffix(".rs"));
    name.is_some_and(|name| NAMES.contains(&name))
}

/// Whether a test is one of a dialect that was taken away: `dialects::NAME::...`. Its settings stay, so a name that was never a dialect's is none.
pub fn is_of_one_gone(test: &str) -> bool {
    let name = test.strip_prefix("dialects::").and_then(|rest| rest.split_once("::"));
    name.is_some_and(|(name, _)| is_gone(name, NAMES, &read("config/purser.toml").text))
}

fn is_gone(name: &str, there: &[&str], defaults: &str) -> bool {
    !there.contains(&name) && defaults.contains(&format!("\n[dialects.{name}]\n"))
}

/// The files and folders that are right below a folder.
fn entries(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned()).collect()
}

/// What is in a folder and does not belong there: a dialect's second file, or what was left of one that is gone. What is missing as well.
fn strays(folder: &str, there: &BTreeSet<String>, expected: &BTreeSet<String>) -> Vec<String> {
    let too_many =
        there.difference(expected).map(|name| format!("{folder}{name} belongs to no dialect, or is its second"));
    let missing = expected.difference(there).map(|name| format!("{folder}{name} is not there"));
    too_many.chain(missing).collect()
}

/// What a source's tables serve, as `METHOD /path`.
fn endpoints(file: &TextFile) -> Vec<String> {
    let declared = product_only(file).split("Endpoint::").skip(1);
    declared
        .filter_map(|after| {
            let call = after.split(')').next().unwrap_or(after);
            let mut literals = call.split('"').skip(1).step_by(2);
            let first = literals.next()?;
            let (method, path) = if METHODS.contains(&first) { (first, literals.next()?) } else { ("GET", first) };
            path.starts_with('/').then(|| one_form(method, path))
        })
        .collect()
}

/// What the page says of a dialect: the `METHOD /path` of the section that names its switch below the heading.
fn documented(page: &str, name: &str) -> BTreeSet<String> {
    let switch = format!("\n`dialects.{name}.enabled`");
    let section = page.split("\n## ").find(|section| section.contains(&switch)).unwrap_or_default();
    let quoted = section.split('`').skip(1).step_by(2).filter_map(|word| word.split_once(' '));
    let endpoints = quoted.filter(|(method, path)| METHODS.contains(method) && path.starts_with('/'));
    // What is Purser's own is named, too.
    let own = endpoints.filter(|(_, path)| !path.starts_with("/v1/") && *path != "/metrics");
    own.map(|(method, path)| one_form(method, path)).collect()
}

/// A slash at the end makes no difference, nor does what a parameter is called.
fn one_form(method: &str, path: &str) -> String {
    let parts = path.trim_end_matches('/').split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

fn differences(name: &str, served: &BTreeSet<String>, documented: &BTreeSet<String>) -> Vec<String> {
    let missing = served.difference(documented).map(|endpoint| format!("{PAGE}: {name}: no word of {endpoint}"));
    let unserved = documented.difference(served).map(|endpoint| format!("{PAGE}: {name}: nothing serves {endpoint}"));
    missing.chain(unserved).collect()
}

/// Every key of the sections of dialects: `dialects.wallet.currency`.
fn settings(defaults: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#'))
            && section.starts_with("dialects.")
        {
            names.push(format!("{section}.{key}"));
        }
    }
    names
}

#[test]
fn each_of_these_checks_can_fail() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = set(&["mod.rs", "x.rs", "y.rs"]);
    assert!(strays("d/", &expected, &expected).is_empty());
    for (there, complaint) in [
        (set(&["mod.rs", "x", "x.rs", "y.rs"]), "d/x belongs to no dialect, or is its second"),
        (set(&["mod.rs", "words.rs", "x.rs", "y.rs"]), "d/words.rs belongs to no dialect, or is its second"),
        (set(&["mod.rs", "y.rs"]), "d/x.rs is not there"),
    ] {
        assert_eq!(strays("d/", &there, &expected), [complaint]);
    }
    let its_test = format!("dialects::{}::a_test_of_it", NAMES[0]);
    assert!(!is_of_one_gone(&its_test) && !is_of_one_gone("a_test_of_it") && !is_of_one_gone("dialects::a_test_of_it"));
    assert!(!is_of_one_gone("dialects::misspelt::a_test_of_it"));
    assert!(is_gone("a", &["b"], "\n[dialects.a]\n") && !is_gone("a", &["a"], "\n[dialects.a]\n"));
    let one = format!("{FOLDER}{}.rs", NAMES[0]);
    assert!(is_dialect(&one), "{one}");
    for other in [format!("{FOLDER}list.rs"), one.replace(".rs", "/words.rs"), one.replace(FOLDER, "src/http/")] {
        assert!(!is_dialect(&other), "{other}");
    }
    let source = "Endpoint::new(\"POST\", \"/a/\", || web::to(x)), Endpoint::get(\n\"/b/{id}\", y) Endpoint::new(method, path, \"no\")";
    let file = TextFile { path: "src/http/dialects/x.rs".to_owned(), text: source.to_owned() };
    let served: BTreeSet<String> = endpoints(&file).into_iter().collect();
    assert_eq!(served.iter().collect::<Vec<_>>(), ["GET /b/{}", "POST /a"]);
    let page = "| `dialects.x.enabled` | `GET /c` |\n## X\n`dialects.x.enabled` `POST /a` `GET /b/{number}/` `GET /metrics` `GET /d`\n## Y\n`GET /e`";
    let documented = documented(page, "x");
    assert_eq!(documented.iter().collect::<Vec<_>>(), ["GET /b/{}", "GET /d", "POST /a"]);
    assert_eq!(differences("x", &served, &documented), [format!("{PAGE}: x: nothing serves GET /d")]);
    assert_eq!(differences("x", &documented, &served), [format!("{PAGE}: x: no word of GET /d")]);
    assert_eq!(settings("a = 1\n[dialects.x]\n# b = 1\nc = 2\n[e]\nf = 3"), ["dialects.x.c"]);
}
