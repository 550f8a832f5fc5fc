//! The layers that settings come from, and where each value was set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use config::{Config, ConfigError, File, FileFormat, Source, Value, ValueKind};

use super::{DEFAULTS, Settings};

/// Settings that have names of their own, which other programs and services use too. The later of two names for one setting wins.
const NAMED: [(&str, &str); 4] = [
    // System 002's two, see `value_of_002`.
    ("DB_DATABASE", "database.url"),
    ("LOGLEVEL", "telemetry.log"),
    ("DATABASE_URL", "database.url"),
    ("AMQP_URL", "broker.url"),
];
/// System 002's log levels, and ours. Its two worst end the program: for us those are errors.
const LEVELS: [(&str, &str); 8] = [
    ("panic", "error"),
    ("fatal", "error"),
    ("error", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
];
/// How the other settings begin in the environment: `PURSER_HTTP__LISTEN`.
const PREFIX: &str = "PURSER_";
/// Settings whose text must have a shape, with the shape in words.
const SHAPES: [(&str, &str); 3] = [
    ("http.auth", "\"auto\", \"on\" or \"off\""),
    ("http.listen", "an address and a port such as 127.0.0.1:8080"),
    ("telemetry.log_format", "\"auto\", \"human\" or \"json\""),
];

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `config/purser.toml`, which is part of the program.
    BuiltIn,
    /// The file given with `--config`.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => formatter.write_str("built in"),
            Self::File(path) => write!(formatter, "the file {}", path.display()),
            Self::Environment(name) => write!(formatter, "the environment variable {name}"),
            Self::Flag(name) => write!(formatter, "the flag {name}"),
        }
    }
}

/// Every setting with the layer that won.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// Reads the built-in defaults, `file` if there is one, and the environment. Refuses what is no setting.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        let defaults = parse(DEFAULTS).context("the built-in settings cannot be read")?;
        let values = defaults.into_iter().map(|(key, value)| (key, (value, Origin::BuiltIn))).collect();
        let mut layers = Self { values };
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(environment)?;
        Ok(layers)
    }

    /// Lays a flag's value over the others.
    pub fn set_flag(&mut self, flag: &'static str, key: &str, value: impl Into<ValueKind>) {
        self.values.insert(key.to_owned(), (Value::new(None, value), Origin::Flag(flag)));
    }

    /// The merged result, checked.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let settings = self.deserialize(|_| true).map_err(|error| self.blame(error))?;
        match settings.problem() {
            None => Ok(settings),
            Some((key, problem)) => bail!("{key} {problem}; it was set by {}", self.origin(key)),
        }
    }

    /// Where a setting's value comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.values.get(key).map_or(&Origin::BuiltIn, |(_, origin)| origin)
    }

    fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
        let values = parse(&text).with_context(|| format!("the settings file {} is not TOML", path.display()))?;
        let origin = Origin::File(path.to_owned());
        for (key, value) in values {
            self.lay(key, value, origin.clone())?;
        }
        Ok(())
    }

    fn add_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<()> {
        // Sorted, so that of several mistakes the same one is named each time.
        let variables: BTreeMap<OsString, OsString> = environment.into_iter().collect();
        let mut settings = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let rank = NAMED.iter().position(|(variable, _)| *variable == name);
            if rank.is_none() && !name.starts_with(PREFIX) {
                continue;
            }
            let value = value.into_string().map_err(|_| anyhow!("the environment variable {name} is not UTF-8"))?;
            match rank {
                // Set but empty is how a script or a compose file says "not set".
                Some(_) if value.is_empty() => {}
                Some(rank) => {
                    let value = self.value_of_002(name, value)?;
                    settings.extend(value.map(|value| (Some(rank), NAMED[rank].1.to_owned(), name.to_owned(), value)));
                }
                None => settings.extend(self.key_of_variable(name)?.map(|key| (None, key, name.to_owned(), value))),
            }
        }
        // PURSER_DATABASE__URL is more explicit than any of them, so it comes after them.
        settings.sort_by_key(|(rank, ..)| rank.unwrap_or(NAMED.len()));
        for (_, key, name, value) in settings {
            let default = self.values.get(&key).map(|(value, _)| value.kind.clone());
            let value = Value::new(None, typed(value, default.as_ref()));
            self.lay(key, value, Origin::Environment(name))?;
        }
        Ok(())
    }

    /// System 002's variables in our words; `None` when it is not meant for us. Other variables stay as they are.
    fn value_of_002(&self, name: &str, value: String) -> anyhow::Result<Option<String>> {
        match name {
            // System 001 has a variable of this name, too: there it is the database's name.
            "DB_DATABASE" => Ok(Some(value).filter(|value| value.contains("://"))),
            "LOGLEVEL" => {
                let level = LEVELS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word)).map(|(_, level)| *level);
                let level = level.ok_or_else(|| {
                    anyhow!(
                        "loglevel is incorrect, valid values are: panic, fatal, error, warning, debug, trace. And info; \
                         it was set by the environment variable LOGLEVEL"
                    )
                })?;
                // What the built-in filter leaves out stays out.
                let built_in = self.values.get("telemetry.log").map(|(value, _)| value.to_string()).unwrap_or_default();
                let rest = built_in.split_once(',').map(|(_, rest)| format!(",{rest}")).unwrap_or_default();
                Ok(Some(format!("{level}{rest}")))
            }
            _ => Ok(Some(value)),
        }
    }

    /// The setting that a `PURSER_` variable stands for; `None` when it is none of the settings' business.
    fn key_of_variable(&self, name: &str) -> anyhow::Result<Option<String>> {
        let words = name[PREFIX.len()..].to_ascii_lowercase();
        if !words.contains("__") {
            // Other variables begin like this too, but one that only lacks an underscore is a mistake.
            let meant = self.values.keys().find(|key| key.replace('.', "_") == words);
            return match meant {
                None => Ok(None),
                Some(key) => bail!("the environment variable {name} sets nothing; did you mean {}?", variable_of(key)),
            };
        }
        let key = words.replace("__", ".");
        if self.values.contains_key(&key) {
            return Ok(Some(key));
        }
        match self.similar(&key) {
            Some(meant) => {
                bail!("the environment variable {name} names no setting; did you mean {}?", variable_of(meant))
            }
            None => bail!(
                "the environment variable {name} names no setting; `purser config --defaults` shows every one of them"
            ),
        }
    }

    fn lay(&mut self, key: String, value: Value, origin: Origin) -> anyhow::Result<()> {
        if let Some(laid) = self.values.get_mut(&key) {
            *laid = (value, origin);
            return Ok(());
        }
        let section = format!("{key}.");
        if self.values.keys().any(|known| known.starts_with(&section)) {
            bail!("{key} in {origin} must be a section: write [{key}] above its settings");
        }
        match self.similar(&key) {
            Some(meant) => bail!("{key} in {origin} is no setting; did you mean {meant}?"),
            None => bail!("{key} in {origin} is no setting; `purser config --defaults` shows every one of them"),
        }
    }

    /// The setting whose name differs by a slip of the fingers.
    fn similar(&self, key: &str) -> Option<&str> {
        let near = self.values.keys().map(|known| (distance(known, key), known)).min()?;
        (near.0 <= SLIPS_MAX).then_some(near.1.as_str())
    }

    /// The settings, with the built-in value where `is_laid` says no.
    fn deserialize(&self, is_laid: impl Fn(&str) -> bool) -> Result<Settings, ConfigError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        for (key, (value, origin)) in &self.values {
            if *origin != Origin::BuiltIn && is_laid(key) {
                builder = builder.set_override(key, value.clone())?;
            }
        }
        let merged: serde_json::Value = builder.build()?.try_deserialize()?;
        serde_json::from_value(merged).map_err(|error| ConfigError::Message(error.to_string()))
    }

    /// Says which setting is wrong. The value is not shown: it may be an address that was put in the wrong place.
    fn blame(&self, error: ConfigError) -> anyhow::Error {
        let culprit = self.values.keys().find(|key| self.deserialize(|laid| laid == key.as_str()).is_err());
        let Some(key) = culprit else {
            return anyhow!("the settings cannot be read: {error}");
        };
        let default = parse(DEFAULTS).ok().and_then(|mut values| values.remove(key)).map(|value| value.kind);
        let shape = SHAPES.iter().find(|(shaped, _)| shaped == key).map(|(_, shape)| *shape);
        let expected = shape.unwrap_or(match default {
            Some(ValueKind::Boolean(_)) => "true or false",
            Some(ValueKind::I64(_)) => "a whole number, not negative and not too large for what it counts",
            _ => "text",
        });
        anyhow!("{key} must be {expected}; it was set by {}", self.origin(key))
    }
}

/// How many letters may differ for a name to count as mistyped.
const SLIPS_MAX: usize = 3;

/// The environment variable of a setting.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// An environment variable's text as the kind of value that the setting has.
fn typed(text: String, default: Option<&ValueKind>) -> ValueKind {
    match default {
        Some(ValueKind::Boolean(_)) => {
            text.to_ascii_lowercase().parse().map(ValueKind::Boolean).unwrap_or(ValueKind::String(text))
        }
        Some(ValueKind::I64(_)) => text.parse().map(ValueKind::I64).unwrap_or(ValueKind::String(text)),
        _ => ValueKind::String(text),
    }
}

/// TOML as `section.key` and value. The error does not quote the text: the line may hold a password.
fn parse(text: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let tables = File::from_str(text, FileFormat::Toml).collect().map_err(|error| match error {
        ConfigError::FileParse { cause, .. } => anyhow!(without_quotation(&cause.to_string())),
        other => anyhow!(without_quotation(&other.to_string())),
    })?;
    let mut values = BTreeMap::new();
    flatten("", tables, &mut values);
    Ok(values)
}

fn flatten(prefix: &str, table: config::Map<String, Value>, values: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value.kind {
            ValueKind::Table(table) => flatten(&format!("{key}."), table, values),
            _ => {
                values.insert(key, value);
            }
        }
    }
}

/// A parser's message without the lines that show the text, which look like `3 | url = "..."`.
fn without_quotation(message: &str) -> String {
    let is_quotation =
        |line: &str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    message.lines().map(str::trim).filter(|line| !line.is_empty() && !is_quotation(line)).collect::<Vec<_>>().join(": ")
}

/// How many letters must be changed, added or left out to make one name the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, left) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, right) in right.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests;
