//! The tour of README.md, line by line in bash, against a real server: what it shows is what one sees.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::amqp::OwnedNames;
use crate::support::server::purser;
use crate::support::{Names, Server, TestDatabase, amqp_url};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// Under this heading every block is part of the tour.
const TOUR: &str = "\n## A tour\n";
/// On the page: anything, within its line.
const ANYTHING: char = '…';
/// Ends what one command printed.
const MARK: &str = "-- this was one command --";

/// A line to paste, and the lines that follow it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    shown: Vec<String>,
}

#[tokio::test]
async fn the_tour_shows_what_one_sees() {
    // As `make run` prepares it.
    let database = TestDatabase::empty().await;
    for command in ["migrate", "seed"] {
        let output = purser(&[command]).env("DATABASE_URL", &database.url).output().expect("the binary starts");
        assert!(output.status.success(), "{command}: {output:?}");
    }
    let names = OwnedNames(Names::new());
    let mut environment = vec![("DATABASE_URL", database.url.clone()), ("AMQP_URL", amqp_url())];
    environment.extend(names.0.environment());
    let mut server = Server::start(environment.clone());
    server.ready().await;

    let tour = steps(&std::fs::read_to_string(PAGE).expect("there is a page"));
    assert!(tour.len() > 30, "the tour was not found");
    let here = |command: &str| {
        command
            .replace("localhost:8080", &server.address)
            .replace(". .local/env", ":")
            .replace("target/release/purser", env!("CARGO_BIN_EXE_purser"))
    };
    let seen = run(tour.iter().map(|step| here(&step.command)), environment);
    assert_eq!(seen.len(), tour.len(), "each command ended: {seen:#?}");
    for (step, seen) in tour.iter().zip(&seen) {
        assert!(shows(&step.shown, seen), "README.md shows another answer: {step:#?}, seen: {seen:#?}");
    }
}

/// Every line of the tour's blocks, with the comments that follow it.
fn steps(page: &str) -> Vec<Step> {
    let after = page.split_once(TOUR).map_or("", |(_, after)| after);
    let section = after.split("\n## ").next().unwrap_or_default();
    let mut steps: Vec<Step> = Vec::new();
    for line in section.split("```").skip(1).step_by(2).flat_map(str::lines).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(shown), Some(step)) => step.shown.push(shown.to_owned()),
            _ => steps.push(Step { command: line.to_owned(), shown: Vec::new() }),
        }
    }
    steps
}

/// What each command printed, errors included, in one bash that reads them as if they were pasted.
fn run(commands: impl Iterator<Item = String>, environment: Vec<(&'static str, String)>) -> Vec<Vec<String>> {
    let mut bash = Command::new("bash");
    // No settings of whoever runs the tests, of curl neither.
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(environment);
    let mut bash = bash.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is a bash");
    let pasted: String = commands.map(|command| format!("{command}\nprintf '\\n%s\\n' '{MARK}'\n")).collect();
    let mut stdin = bash.stdin.take().expect("it is piped");
    stdin.write_all(format!("exec 2>&1\n{pasted}").as_bytes()).expect("it reads");
    drop(stdin);
    let output = bash.wait_with_output().expect("it can be waited for");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut seen: Vec<Vec<String>> = text.split(&format!("\n{MARK}\n")).map(lines).collect();
    assert_eq!(seen.pop(), Some(Vec::new()), "nothing comes after the last command");
    seen
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Whether these lines are those, each of them.
fn shows(shown: &[String], seen: &[String]) -> bool {
    shown.len() == seen.len() && shown.iter().zip(seen).all(|(shown, seen)| is_shown(shown, seen))
}

/// Whether a line is the other one, with anything at each `…`.
fn is_shown(shown: &str, seen: &str) -> bool {
    let Some((beginning, rest)) = shown.split_once(ANYTHING) else { return shown == seen };
    let (between, end) = rest.rsplit_once(ANYTHING).unwrap_or(("", rest));
    let Some(mut seen) = seen.strip_prefix(beginning).and_then(|seen| seen.strip_suffix(end)) else { return false };
    for piece in between.split(ANYTHING) {
        match seen.split_once(piece) {
            Some((_, after)) => seen = after,
            None => return false,
        }
    }
    true
}

#[test]
fn a_line_is_shown_only_if_it_is_seen() {
    let check =
        |shown: &str, seen: &str, expected: bool| assert_eq!(is_shown(shown, seen), expected, "{shown}: {seen}");
    check("abc", "abc", true);
    check("abc", "abcd", false);
    check("a…c", "abbc", true);
    check("a…c", "ac", true);
    check("a…c", "acb", false);
    check("a…c…e", "abcde", true);
    check("a…c…e", "abde", false);
    check("a…a", "a", false);
    check("…a…b…", "xaxbx", true);
    check("…a…b…", "xbxax", false);
    check("a…b…b", "ab", false);
    let one = ["a".to_owned()];
    assert!(shows(&one, &one) && !shows(&one, &[]) && !shows(&[], &one));
}

#[test]
fn a_step_is_a_command_and_what_it_answers() {
    let step = |command: &str, shown: &[&str]| Step {
        command: command.to_owned(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
    };
    let page = "# P\n```\nno\n```\n## A tour\nWords\n```\na\n# 1\n# 2\nb\n```\nMore\n```\nc\n# 3\n```\n\n## Next\n```\nno\n```\n";
    assert_eq!(steps(page), [step("a", &["1", "2"]), step("b", &[]), step("c", &["3"])]);
}
