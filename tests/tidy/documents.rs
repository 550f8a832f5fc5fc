//! What the pages say must be so.

use std::collections::BTreeSet;

use purser::ledger::Rejection;

use crate::dialects::is_of_one_gone;
use crate::rust_code::{code_only, words};
use crate::{TextFile, assert_none, documents, read, root, sources, text_files};

/// How the paths of this project start, as pages name them.
const PATH_STARTS: [&str; 8] =
    ["src/", "tests/", "docs/", "config/", "migrations/", "scripts/", "examples/", "benches/"];

/// Made while Purser runs or is built, so it is not there in a fresh clone.
const PATHS_MADE: [&str; 1] = [".local/env"];

#[test]
fn every_file_that_a_page_names_exists() {
    let is_there = |path: &str| root().join(path).exists() || PATHS_MADE.contains(&path);
    assert_none(
        &documents().iter().flat_map(|page| missing(page, named_paths(page), "file", is_there)).collect::<Vec<_>>(),
    );
}

#[test]
fn every_test_that_a_page_names_exists() {
    let tests: BTreeSet<String> =
        ["src", "tests"].iter().flat_map(|folder| text_files(folder)).flat_map(|file| functions(&file)).collect();
    let is_there = |name: &str| tests.contains(name);
    assert_none(
        &documents().iter().flat_map(|page| missing(page, named_tests(page), "test", is_there)).collect::<Vec<_>>(),
    );
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let settings = settings(&read("config/purser.toml"));
    let sections: BTreeSet<&str> =
        settings.iter().filter_map(|name| name.rsplit_once('.')).map(|(section, _)| section).collect();
    let is_there = |name: &str| settings.contains(name);
    for page in documents() {
        let named = quoted(&page).into_iter().filter(|word| {
            word.rsplit_once('.')
                .is_some_and(|(section, key)| sections.contains(section) && is_snake_case(key) && key != "rs")
        });
        assert_none(&missing(&page, named.collect(), "setting", is_there));
    }
}

#[test]
fn every_metric_has_its_line_in_the_docs_and_every_line_its_metric() {
    let declared = declared_metrics(&read("src/telemetry/metrics.rs").text);
    assert!(declared.len() > 10, "the metrics were not found");
    let documented: BTreeSet<String> = documents().iter().flat_map(|page| metrics(&page.text)).collect();
    // A histogram is read by its parts, too.
    let is_declared = |name: &String| {
        declared.contains(name)
            || ["_bucket", "_sum", "_count"]
                .iter()
                .any(|part| name.strip_suffix(part).is_some_and(|name| declared.contains(name)))
    };
    assert_none(&declared.difference(&documented).map(|name| format!("no page has {name}")).collect::<Vec<_>>());
    assert_none(
        &documented
            .iter()
            .filter(|name| !is_declared(name))
            .map(|name| format!("no metric {name}"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_refusal_code_has_its_line_in_the_protocol_and_every_line_its_code() {
    let of_folder = |folder: &str| -> BTreeSet<String> {
        let is_product = |file: &&TextFile| file.path.starts_with(folder) && !file.path.ends_with("tests.rs");
        sources().iter().filter(is_product).flat_map(refusal_codes).collect()
    };
    let rejections = Rejection::ALL.iter().map(|rejection| rejection.code().to_owned());
    let amqp = read("docs/protocol-amqp.md").text;
    compare("AMQP", &rejections.chain(of_folder("src/wire/")).collect(), &table_words(&amqp, "## Refusal codes"));
    compare("dead letters", &of_folder("src/broker/"), &reasons(&amqp));
    let of_http = block_of(&read("src/http/error.rs"), "impl Unserved {");
    let of_000 = table_words(&read("docs/protocol-http.md").text, "## System 000 over HTTP");
    compare("HTTP", &refusal_codes(&of_http).into_iter().collect(), &of_000);

    let rejections = Rejection::ALL.iter().map(|rejection| rejection.code().to_owned());
    let all = rejections.chain(of_folder("src/wire/")).chain(of_folder("src/http/")).collect();
    compare("errors", &all, &table_words(&read("docs/errors.md").text, "## Codes"));
}

/// The part of a source that begins with these words and ends with the next brace at the start of a line.
fn block_of(file: &TextFile, beginning: &str) -> TextFile {
    let after = file.text.split_once(beginning).map_or("", |(_, after)| after);
    let text = after.split_once("\n}\n").map_or(after, |(block, _)| block).to_owned();
    TextFile { path: file.path.clone(), text }
}

#[track_caller]
fn compare(what: &str, known: &BTreeSet<String>, documented: &BTreeSet<String>) {
    assert!(!known.is_empty(), "{what}: no code was found");
    assert_none(&known.difference(documented).map(|code| format!("{what}: no line for {code}")).collect::<Vec<_>>());
    assert_none(&documented.difference(known).map(|code| format!("{what}: no code {code}")).collect::<Vec<_>>());
}

/// The codes among the rows of the dead letters' tables; their headers have dashes.
fn reasons(page: &str) -> BTreeSet<String> {
    table_words(page, "## Dead letters").into_iter().filter(|word| is_snake_case(word)).collect()
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let texts = ["src", "tests", "docs", "config", "migrations", "scripts", "examples", "benches", ".ci"];
    let folders = texts.iter().filter(|folder| root().join(folder).is_dir());
    let pages = ["README.md", "Cargo.toml", "Makefile", "docker-compose.yml", "Dockerfile"];
    let pages = pages.iter().filter(|page| root().join(page).is_file()).map(|page| read(page));
    let files = folders.flat_map(|folder| text_files(folder)).chain(pages);
    assert_none(&files.flat_map(|file| machine_paths(&file)).collect::<Vec<_>>());
}

fn missing(page: &TextFile, named: Vec<String>, what: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    named
        .into_iter()
        .filter(|name| !is_there(name))
        .map(|name| format!("{} names a {what} that is not there: {name}", page.path))
        .collect()
}

/// What looks like a path of this project, wherever it stands. A pattern such as `src/*.rs` is none.
fn named_paths(page: &TextFile) -> Vec<String> {
    let is_path = |char: char| char.is_ascii_alphanumeric() || "._-/*{}<>".contains(char);
    let pieces = page.text.split(|char| !is_path(char)).map(|word| word.trim_end_matches('.'));
    let is_named = |word: &&str| {
        !word.contains(['*', '{', '<'])
            && (PATH_STARTS.iter().any(|start| word.starts_with(start)) || PATHS_MADE.contains(word))
    };
    let linked = page.text.match_indices("](").filter_map(|(at, open)| {
        let target = page.text[at + open.len()..].split([')', '#']).next()?;
        let is_relative = !target.is_empty() && !target.contains("://");
        is_relative.then(|| if page.path.starts_with("docs/") { beside_docs(target) } else { target.to_owned() })
    });
    pieces.filter(is_named).map(str::to_owned).chain(linked).collect()
}

/// A link's target as seen from the root, where the link stands in `docs/`.
fn beside_docs(target: &str) -> String {
    target.strip_prefix("../").map_or_else(|| format!("docs/{target}"), str::to_owned)
}

/// Sentences in code quotes: test names have at least three underscores; beside them only metrics and refusal codes may.
fn named_tests(page: &TextFile) -> Vec<String> {
    let is_metric = |word: &str| metrics(word).contains(word);
    let is_code = |word: &str| Rejection::parse(word).is_some();
    let is_test = |word: &String| {
        let name = word.rsplit("::").next().unwrap_or(word);
        is_snake_case(name) && name.matches('_').count() >= 3 && !is_metric(name) && !is_code(name)
    };
    let last = |word: String| word.rsplit("::").next().unwrap_or(&word).to_owned();
    quoted(page).into_iter().filter(|word| !is_of_one_gone(word)).filter(is_test).map(last).collect()
}

/// What stands between single backquotes, without the fenced blocks.
fn quoted(page: &TextFile) -> Vec<String> {
    let prose: Vec<&str> = page.text.split("```").step_by(2).collect();
    prose.iter().flat_map(|part| part.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn is_snake_case(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
}

fn functions(file: &TextFile) -> Vec<String> {
    let code = code_only(&file.text);
    let words: Vec<&str> = words(&code).collect();
    words.windows(2).filter(|pair| pair[0] == "fn").map(|pair| pair[1].to_owned()).collect()
}

/// Every key with its section: `http.listen`.
fn settings(file: &TextFile) -> BTreeSet<String> {
    let mut section = "";
    let mut names = BTreeSet::new();
    for line in file.text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            names.insert(format!("{section}.{key}"));
        }
    }
    names
}

/// Words that start as our metrics do. `purser_` alone or a name that goes on in capitals is none.
fn metrics(text: &str) -> BTreeSet<String> {
    words(text)
        .filter(|word| word.starts_with("purser_") || word.starts_with("app_queries_"))
        .filter(|word| is_snake_case(word) && word.len() > "purser_".len())
        .map(str::to_owned)
        .collect()
}

/// The names among a source's literals; a field of the same beginning is no metric.
fn declared_metrics(source: &str) -> BTreeSet<String> {
    source.split('"').skip(1).step_by(2).filter(|literal| is_snake_case(literal)).flat_map(metrics).collect()
}

/// The first quoted word of every table row under a heading.
fn table_words(page: &str, heading: &str) -> BTreeSet<String> {
    let Some((_, section)) = page.split_once(heading) else { return BTreeSet::new() };
    let section = section.split("\n## ").next().unwrap_or(section);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

/// The codes that a file gives to refusals: where it builds one, and what its function `code` says.
fn refusal_codes(file: &TextFile) -> Vec<String> {
    let product = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let built = product.split("code: \"").skip(1);
    let told = product.split("fn code(").skip(1).filter_map(|after| after.split("\n    }\n").next());
    let told = told.flat_map(|body| body.split("=> \"").skip(1));
    let codes = built.chain(told).filter_map(|after| after.split('"').next());
    codes.filter(|code| is_snake_case(code)).map(str::to_owned).collect()
}

fn machine_paths(file: &TextFile) -> Vec<String> {
    // Written in two pieces, so that this file does not hold them itself.
    let starts = [("/ho", "me/"), ("/Us", "ers/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/tm", "p/w/"), ("C:", "\\")];
    let starts = starts.map(|(left, right)| format!("{left}{right}"));
    let follows_word =
        |line: &str, at: usize| line[..at].ends_with(|char: char| char.is_alphanumeric() || "._-}".contains(char));
    let holds = |line: &str| {
        starts.iter().any(|start| line.match_indices(start.as_str()).any(|(at, _)| !follows_word(line, at)))
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| holds(line));
    lines.map(|(at, line)| format!("{}:{}: a path of one machine: {}", file.path, at + 1, line.trim())).collect()
}

#[test]
fn each_of_these_checks_can_fail() {
    let page = |text: &str| TextFile { path: "docs/x.md".to_owned(), text: text.to_owned() };

    let paths = named_paths(&page(
        "See `src/a.rs`, src/b/mod.rs. And [c](protocol.md), [d](../README.md#e), [f](https://g.example/h) or src/*.rs",
    ));
    assert_eq!(paths, ["src/a.rs", "src/b/mod.rs", "docs/protocol.md", "README.md"]);
    assert_eq!(missing(&page(""), paths, "file", |path| path == "README.md").len(), 3);

    let tests = named_tests(&page(
        "`it::http::a_test_of_it`, `dialects::misspelt::d_test_of_it`, `not_a_test`, `purser_a_b_c`, `wait_for_funds_invalid`\n```\n`b_test_of_it`\n```\n`c_test_of_it`",
    ));
    assert_eq!(tests, ["a_test_of_it", "d_test_of_it", "c_test_of_it"]);
    assert_eq!(functions(&page("fn a_b() {} // fn c\npub async fn d<T>() {}")), ["a_b", "d"]);

    let known = settings(&page("[a]\n# c = 1\nb = 2\n[a.d]\ne = 3"));
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["a.b", "a.d.e"]);

    let found = metrics("`purser_a_total{b}` purser_ app_queries_c PURSER_HTTP__LISTEN purser-x");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["app_queries_c", "purser_a_total"]);

    let declared = declared_metrics("app_queries_x: counters(\"purser_a_total\", \"Help for purser_b.\")");
    assert_eq!(declared.into_iter().collect::<Vec<_>>(), ["purser_a_total"]);

    let codes = table_words("| `x` |\n## Codes\n| code |\n|---|\n| `a` | `b` |\n| `c` |\n## Next\n| `d` |", "## Codes");
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), ["a", "c"]);

    let source = page(
        "Refusal { code: \"a_b\" }\nfn code(self) {\n match self {\n Self::C => \"c_d\",\n }\n    }\n#[cfg(test)]\ncode: \"e\"",
    );
    assert_eq!(refusal_codes(&source), ["a_b", "c_d"]);
    let two =
        page("impl A {\n    fn code() {\n => \"c_d\"\n    }\n}\nimpl B {\n    fn code() {\n => \"e_f\"\n    }\n}\n");
    assert_eq!(refusal_codes(&block_of(&two, "impl B {")), ["e_f"]);
    assert_eq!(reasons("## Dead letters\n| `x-y` |\n| `a_b` |").into_iter().collect::<Vec<_>>(), ["a_b"]);
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    compare("sample", &set(&["a"]), &set(&["a"]));
    for (known, documented) in [(&["a"] as &[&str], &["a", "b"] as &[&str]), (&["a", "b"], &["a"]), (&[], &[])] {
        let compared = std::panic::catch_unwind(|| compare("sample", &set(known), &set(documented)));
        assert!(compared.is_err(), "{known:?} {documented:?}");
    }

    let home = format!("cd /{}/someone/purser", "home");
    assert_eq!(machine_paths(&page(&format!("fine\n{home}\n"))).len(), 1);
    assert!(machine_paths(&page("src/home/x and https://x.example/home")).is_empty());
}
