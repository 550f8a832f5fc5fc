//! What the figures were measured on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgConnection;

use crate::server::broker;
use crate::support::database::Scratch;

const UNKNOWN: &str = "unknown";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A paragraph about the machine, the servers and the commit.
pub async fn describe() -> anyhow::Result<String> {
    let scratch = Scratch::create().await?;
    let mut connection = scratch.connect().await?;
    let postgresql = version_of_postgresql(&mut connection).await?;
    let date: String =
        sqlx::query_scalar("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')").fetch_one(&mut connection).await?;
    drop(connection);
    scratch.drop().await?;
    Ok(format!(
        "{date}, commit {}. {} cores ({}), {} of memory, {}. PostgreSQL {postgresql}; RabbitMQ {}. Everything on this one machine.",
        commit(),
        std::thread::available_parallelism()?,
        line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| UNKNOWN.to_owned()),
        memory(),
        line_of("/etc/os-release", "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()).trim_matches('"'),
        version_of_rabbitmq()?,
    ))
}

/// With the settings that the figures hang on.
async fn version_of_postgresql(connection: &mut PgConnection) -> anyhow::Result<String> {
    let settings = ["server_version", "shared_buffers", "synchronous_commit", "fsync"];
    let mut texts = Vec::new();
    for setting in settings {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut *connection).await?;
        texts.push(if setting == "server_version" { value } else { format!("{setting} = {value}") });
    }
    Ok(texts.join(", "))
}

/// The broker says so itself, in the first frame that it sends: after the word `version` comes `S`, the length in four bytes, the text.
fn version_of_rabbitmq() -> anyhow::Result<String> {
    let address = url::Url::parse(broker()?.url.expose()).context("AMQP_URL is not an address")?;
    let (Some(host), "amqp") = (address.host_str(), address.scheme()) else { return Ok(UNKNOWN.to_owned()) };
    let mut connection = TcpStream::connect((host, address.port().unwrap_or(5672)))?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    connection.write_all(b"AMQP\0\0\x09\x01")?;
    let mut frame = vec![0; 4096];
    let length = connection.read(&mut frame)?;
    Ok(text_after(&frame[..length], b"\x07versionS").unwrap_or_else(|| UNKNOWN.to_owned()))
}

fn text_after(frame: &[u8], name: &[u8]) -> Option<String> {
    let start = frame.windows(name.len()).position(|window| window == name)? + name.len();
    let (length, rest) = frame.get(start..)?.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return UNKNOWN.to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

fn memory() -> String {
    let kibibytes = line_of("/proc/meminfo", "MemTotal")
        .and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok())
        .unwrap_or_default();
    format!("{:.1} GiB", kibibytes as f64 / (1024.0 * 1024.0))
}

/// The first line of a file that begins with a name, without the name and what separates it.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':', '=']).trim().to_owned())
}
