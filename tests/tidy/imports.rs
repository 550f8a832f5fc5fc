//! Who may know whom.

use crate::rust_code::{code_only, product_only};
use crate::{TextFile, assert_none, sources};

/// What each top-level module may name, its unit tests aside. A name that is missing is a deliberate absence.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("ledger", &[]),
    ("telemetry", &[]),
    ("settings", &[]),
    ("pause", &[]),
    ("store", &["ledger", "settings", "telemetry"]),
    ("posting", &["ledger", "store", "telemetry"]),
    ("engine", &["ledger", "store", "posting", "settings", "pause", "telemetry"]),
    ("wire", &["ledger", "engine", "telemetry"]),
    ("broker", &["ledger", "engine", "wire", "settings", "pause", "telemetry"]),
    ("http", &["ledger", "engine", "wire", "settings", "telemetry", "store"]),
    ("app", &["ledger", "store", "posting", "engine", "wire", "broker", "http", "settings", "telemetry"]),
    ("cli", &["ledger", "store", "posting", "engine", "wire", "broker", "http", "settings", "telemetry", "app"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

#[test]
fn modules_import_only_what_lies_below_them() {
    assert_none(&sources().iter().flat_map(forbidden_imports).collect::<Vec<_>>());
}

/// The top-level module that a file belongs to: `src/ledger/money.rs` to `ledger`.
pub fn module_of(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap_or(path);
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn forbidden_imports(file: &TextFile) -> Vec<String> {
    let module = module_of(&file.path);
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: the module {module} does not stand in MAY_IMPORT", file.path)];
    };
    let mut imported = imported_modules(&code_only(product_only(file)), depth_of(&file.path));
    imported.sort_unstable();
    imported.dedup();
    imported
        .into_iter()
        .filter(|name| *name != module && !allowed.contains(&name.as_str()))
        .map(|name| format!("{}: {module} must not import {name}", file.path))
        .collect()
}

/// How many `super::` lead from a file's module to the root: 1 from `src/store/mod.rs`, 2 from `src/store/error.rs`.
fn depth_of(path: &str) -> usize {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix("/mod.rs").unwrap_or(path);
    path.split('/').count()
}

/// The top-level modules that code names, by whatever path.
fn imported_modules(code: &str, depth: usize) -> Vec<String> {
    let mut modules = Vec::new();
    for root in ["crate", "purser"] {
        for after in path_starts(code, root) {
            modules.extend(first_names(after));
        }
    }
    // A chain of `super::` that is long enough reaches the root, too. Within a module of the file itself one more is needed;
    // what a shorter chain reaches is taken for the root only if its name is a top-level module's.
    for mut after in path_starts(code, "super") {
        let mut supers = 1;
        while let Some(rest) = after.trim_start().strip_prefix("super") {
            let Some(rest) = rest.trim_start().strip_prefix("::") else { break };
            (supers, after) = (supers + 1, rest);
        }
        if supers >= depth {
            let is_module = |name: &String| MAY_IMPORT.iter().any(|(module, _)| module == name);
            modules.extend(first_names(after).into_iter().filter(is_module));
        }
    }
    modules
}

/// What follows each `word::`, where `word` is a whole word and does not itself follow a `::`.
fn path_starts<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    let mut starts = Vec::new();
    for (at, _) in code.match_indices(word) {
        let (before, after) = (code[..at].trim_end(), &code[at + word.len()..]);
        let is_part = code[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_');
        // `use ::purser::x` starts a path as well; `a::purser::x` does not.
        let follows_path = before
            .strip_suffix("::")
            .is_some_and(|before| before.ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == '>'))
            && !before.strip_suffix("::").is_some_and(|before| before.ends_with("use"));
        if let Some(after) = after.trim_start().strip_prefix("::")
            && !is_part
            && !follows_path
        {
            starts.push(after);
        }
    }
    starts
}

/// The first name of a path, or of each path of a group: `a::b` gives `a`, `{a::{b, c}, d}` gives `a` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let path = path.trim_start();
    let Some(group) = path.strip_prefix('{') else {
        let name: String = path.chars().take_while(|char| char.is_alphanumeric() || "_*".contains(*char)).collect();
        return vec![name];
    };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    names.extend(first_names(item));
                }
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        let expected: Vec<_> = expected.iter().map(|name| format!("{path}: {name}")).collect();
        assert_eq!(forbidden_imports(&file), expected, "{text}");
    };
    check("src/ledger/money.rs", "use crate::store::Store;", &["ledger must not import store"]);
    check("src/ledger/money.rs", "use super::super::store;", &["ledger must not import store"]);
    check("src/ledger/mod.rs", "use super::store;", &["ledger must not import store"]);
    check("src/ledger/money.rs", "mod inner { use super::super::super::store; }", &["ledger must not import store"]);
    check("src/ledger/money.rs", "use crate::telemetry::Metrics;", &["ledger must not import telemetry"]);
    check("src/ledger/money.rs", "fn f() -> crate::http::State {}", &["ledger must not import http"]);
    check("src/ledger/money.rs", "use crate::*;", &["ledger must not import *"]);
    check(
        "src/store/mod.rs",
        "use crate::{ledger::{Kind, Entry}, engine, http::{self}};",
        &["store must not import engine", "store must not import http"],
    );
    check("src/engine/lane.rs", "use crate::{\n    cli,\n    store,\n};", &["engine must not import cli"]);
    check("src/broker/mod.rs", "use crate :: posting;", &["broker must not import posting"]);
    check("src/http/dialects/mod.rs", "use crate::posting;", &["http must not import posting"]);
    check("src/app.rs", "use crate::cli;", &["app must not import cli"]);
    check("src/main.rs", "use purser::app;", &["main must not import app"]);
    check("src/main.rs", "use ::purser::app;", &["main must not import app"]);
    check("src/novel.rs", "", &["the module novel does not stand in MAY_IMPORT"]);

    check("src/ledger/money.rs", "use super::CurrencyCode; use crate::ledger::Kind;", &[]);
    check("src/ledger/money.rs", "/// See [`crate::store`].\nfn f() {}", &[]);
    check("src/ledger/money.rs", "const X: &str = \"crate::store\";", &[]);
    check("src/posting.rs", "mod inner { use super::*; }", &[]);
    check("src/wire/mod.rs", "#[cfg(test)]\nmod tests { use crate::store; }", &[]);
    check("src/store/mod.rs", "pub(crate) fn f() {}", &[]);
    check("src/engine/mod.rs", "use crate::{ledger, store, posting, settings, telemetry};", &[]);
    check("src/cli/mod.rs", "use other::crate_store::x; use a::purser::main;", &[]);
}
