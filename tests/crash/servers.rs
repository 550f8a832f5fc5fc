//! PostgreSQL and RabbitMQ that may be killed: a second pair, started by `scripts/services.sh`.

use std::process::{Command, Output};

use crate::progress;
use crate::support::{amqp_url, database_url};

/// The name of the second pair.
const INSTANCE: &str = "crash";

/// One of the two, as the script calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Postgres,
    Rabbitmq,
}

impl Service {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Rabbitmq => "rabbitmq",
        }
    }
}

/// The pair. What this test started is removed when it goes out of scope; after a failure it stays for a look.
#[derive(Debug)]
pub struct Servers {
    pub database_url: String,
    pub amqp_url: String,
    /// They are this test's own.
    pub can_be_killed: bool,
}

impl Servers {
    /// Starts a pair of its own or, where that cannot be done, takes the ones that the tests were given, which are not to be killed.
    pub fn start() -> Self {
        let is_given = std::env::var("PURSER_SERVICES").is_ok_and(|way| way == "given");
        if !is_given {
            progress("starting servers of its own");
            let up = script(&["up"]);
            if up.status.success() {
                let [database_url, amqp_url] = environment();
                return Self { database_url, amqp_url, can_be_killed: true };
            }
            progress(&format!("no servers of its own can be started:\n{}", text(&up)));
        }
        Self { database_url: database_url(), amqp_url: amqp_url(), can_be_killed: false }
    }

    /// SIGKILL to the whole server.
    pub fn kill(&self, service: Service) {
        self.demand(&["kill", service.as_str()]);
    }

    /// Starts it again on the same data and waits until it is ready.
    pub fn start_again(&self, service: Service) {
        self.demand(&["start", service.as_str()]);
    }

    fn demand(&self, verbs: &[&str]) {
        assert!(self.can_be_killed, "these servers are somebody else's");
        let output = script(verbs);
        assert!(output.status.success(), "services.sh {verbs:?}: {}", text(&output));
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if !self.can_be_killed {
            return;
        }
        let verb = if std::thread::panicking() { "down" } else { "wipe" };
        let output = script(&[verb]);
        if !output.status.success() {
            progress(&format!("services.sh {verb}: {}", text(&output)));
        }
    }
}

fn script(verbs: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/services.sh");
    let mut command = Command::new(script);
    command.args(verbs).env("PURSER_INSTANCE", INSTANCE).env_remove("DATABASE_URL").env_remove("AMQP_URL");
    command.output().expect("scripts/services.sh can be run")
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// What the script wrote for sourcing, as a shell reads it.
fn environment() -> [String; 2] {
    let file = format!("{}/.local/{INSTANCE}/env", env!("CARGO_MANIFEST_DIR"));
    ["DATABASE_URL", "AMQP_URL"].map(|name| {
        let print = format!(r#". "$0" && printf %s "${name}""#);
        let output = Command::new("sh").args(["-c", &print, &file]).output().expect("there is a shell");
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).expect("an address is text")
    })
}
