//! `purser config`: the settings in force.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::Value;

use super::output;
use crate::settings::{DEFAULTS, Layers, Origin};

/// Which settings.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  purser config                     the merged settings as TOML, and where each one was set
  purser config --defaults          the built-in file: every setting, its unit and its reason
  PURSER_HTTP__LISTEN=127.0.0.1:9000 purser config

Passwords are shown as ***.
Unknown settings in the file or the environment are errors.")]
pub struct Arguments {
    /// Print the built-in file, which explains every setting
    #[arg(long)]
    defaults: bool,
}

/// Prints the settings.
pub fn run(layers: impl Fn() -> anyhow::Result<Layers>, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = match arguments.defaults {
        true => DEFAULTS.to_owned(),
        false => render(&layers()?)?,
    };
    output::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The merged settings, in the order of the built-in file.
fn render(layers: &Layers) -> anyhow::Result<String> {
    let settings = serde_json::to_value(layers.settings()?)?;
    let mut text = String::from(
        "# The settings in force. What has no remark is built in; `purser config --defaults` explains each.\n",
    );
    let mut section = "";
    for line in DEFAULTS.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            write!(text, "\n[{section}]\n")?;
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let key = format!("{section}.{name}");
            let value = settings.pointer(&format!("/{}", key.replace('.', "/"))).unwrap_or(&Value::Null);
            write!(text, "{name} = {value}")?;
            match layers.origin(&key) {
                Origin::BuiltIn => text.push('\n'),
                origin => writeln!(text, " # from {origin}")?,
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_toml_with_the_same_settings() {
        let environment = [("PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__EXCHANGE".into(), "a\"b\\c # d".into())];
        let printed = render(&Layers::read(None, environment).unwrap()).unwrap();
        let path = std::env::temp_dir().join(format!("purser-{}.toml", uuid::Uuid::now_v7()));
        std::fs::write(&path, &printed).unwrap();
        let again = Layers::read(Some(&path), []);
        std::fs::remove_file(&path).unwrap();
        let again = again.unwrap().settings().unwrap();
        assert_eq!(again.dialects.transactional_system.exchange, "a\"b\\c # d");
        assert!(printed.contains("# from the environment variable PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__EXCHANGE"));
        let lines = |text: &str| text.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
        assert_eq!(lines(&printed), lines(DEFAULTS));
    }
}
