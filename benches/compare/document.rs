//! Puts the table into `docs/benchmarks.md`.

use std::path::Path;

use anyhow::Context;

const BEGIN: &str = "<!-- measured: begin; written by `make bench` -->\n";
const END: &str = "<!-- measured: end -->";

/// Replaces what stands between the marks.
pub fn replace_table(report: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let name = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("{name} cannot be read"))?;
    let (head, rest) = text.split_once(BEGIN).with_context(|| format!("{name} has lost its mark {}", BEGIN.trim()))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("{name} has lost its mark {END}"))?;
    std::fs::write(&path, format!("{head}{BEGIN}{report}{END}{tail}"))
        .with_context(|| format!("{name} cannot be written"))
}
