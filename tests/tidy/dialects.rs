//! The page for those who come from an older system names what is served, and what can be set.

use std::collections::BTreeSet;

use crate::rust_code::product_only;
use crate::{TextFile, assert_none, read, sources};

const PAGE: &str = "docs/dialects.md";
const METHODS: [&str; 4] = ["GET", "POST", "PATCH", "DELETE"];

#[test]
fn the_page_names_every_endpoint_of_each_dialect_and_no_other() {
    let page = read(PAGE).text;
    let sources = sources();
    let names: BTreeSet<&str> = sources.iter().filter_map(|file| dialect_of(&file.path)).collect();
    assert!(names.contains("transactional_system"), "the dialects were not found");
    for name in names {
        let files = sources.iter().filter(|file| dialect_of(&file.path) == Some(name));
        let served: BTreeSet<String> = files.flat_map(endpoints).collect();
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

/// `src/http/dialects/wallet/search.rs` and `src/http/dialects/wallet.rs` belong to `wallet`.
fn dialect_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/http/dialects/")?.split('/').next()?.trim_end_matches(".rs");
    (name != "mod").then_some(name)
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
    assert_eq!(dialect_of("src/http/dialects/wallet/search.rs"), Some("wallet"));
    assert_eq!((dialect_of("src/http/dialects/mod.rs"), dialect_of("src/http/server.rs")), (None, None));
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
