//! The real binary as a process of its own, to be killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{PATIENCE, poll, unique};

/// `purser serve`. It is killed when this goes out of scope.
#[derive(Debug)]
pub struct Server {
    /// Where it serves HTTP; the same after a restart.
    pub address: String,
    /// What it wrote to its standard output and standard error, of all its lives.
    pub log: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Server {
    /// Starts it with these settings; does not wait until it is ready.
    pub fn start(environment: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        Self::start_on("127.0.0.1", environment)
    }

    /// The same on another address of this machine, where loopback reaches it, too.
    pub fn start_on(host: &str, environment: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        // Free now; that it is taken before the server takes it is unlikely enough.
        let free = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let address = format!("127.0.0.1:{port}");
        let mut environment: Vec<(String, String)> =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        environment.push(("PURSER_HTTP__LISTEN".to_owned(), format!("{host}:{port}")));
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", unique("server")));
        let mut server = Self { address, log, environment, child: None };
        server.restart();
        server
    }

    /// Starts it again with the same settings after it ended.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it must have ended before it is started again");
        let log = File::options().create(true).append(true).open(&self.log).expect("the log can be written");
        let mut command = purser(&["serve"]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self) {
        let url = format!("http://{}/readyz", self.address);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().expect("a client is made");
        let child = self.child.as_mut().expect("it was started");
        let log = self.log.display().to_string();
        poll(PATIENCE * 2, &format!("readiness of the server; its log: {log}"), || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the server ended with {status}; its log: {log}");
            }
            let request = client.get(&url);
            async move { request.send().await.ok().filter(|response| response.status().is_success()).map(|_| ()) }
        })
        .await;
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// SIGKILL: no chance to do anything.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    /// SIGTERM: it stops in good order; gives how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was started");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.expect("there is a kill command").success(), "the signal could be sent");
        let log = self.log.display().to_string();
        poll(PATIENCE, &format!("the server's end after SIGTERM; its log: {log}"), || {
            let ended = child.try_wait().expect("it can be waited for");
            async move { ended }
        })
        .await
    }

    /// What it logged so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("the server's log stays for a look: {}", self.log.display());
        } else {
            std::fs::remove_file(&self.log).ok();
        }
    }
}

/// The binary with these arguments, and with no settings of whoever runs the tests.
pub fn purser(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purser"));
    for (name, _) in std::env::vars_os() {
        let is_named = |name: &str| name.ends_with("_URL") || ["DB_DATABASE", "LOGLEVEL"].contains(&name);
        let is_setting = name.to_str().is_some_and(|name| name.starts_with("PURSER_") || is_named(name));
        if is_setting {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}
