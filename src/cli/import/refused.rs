//! The refused lines: told on stdout, and kept in a file to be corrected and imported again.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::file::Source;
use super::records::REMARK;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Where refused lines go.
pub struct Refused {
    file: Option<Kept>,
}

struct Kept {
    name: String,
    writer: BufWriter<File>,
    /// The first line of CSV. Written with the first refused one: a file without any stays empty.
    header: Option<String>,
}

impl Refused {
    /// Begins the file anew, if one is wanted. It must not be the one that is imported.
    pub fn open(path: Option<&Path>, imported: &Path, header: Option<&str>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let name = path.display().to_string();
        let cannot = |error| Failure::new(format!("{name} cannot be written"), "").because(error);
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(cannot)?;
        let written = file.metadata().map_err(cannot)?;
        let is_same = |imported: std::fs::Metadata| (imported.dev(), imported.ino()) == (written.dev(), written.ino());
        if std::fs::metadata(imported).is_ok_and(is_same) {
            return Err(Failure::new(format!("{name} is the file that is imported"), "name another --refused").into());
        }
        file.set_len(0).map_err(cannot)?;
        Ok(Self { file: Some(Kept { name, writer: BufWriter::new(file), header: header.map(str::to_owned) }) })
    }

    /// Tells of a refused line, and keeps it.
    pub fn put(&mut self, source: &Source, reason: &str) -> anyhow::Result<()> {
        let reason = on_one_line(reason);
        output::line(format_args!("line {}: {reason}", source.number))?;
        let Some(kept) = &mut self.file else { return Ok(()) };
        kept.put(source, &reason).map_err(|error| {
            Failure::new(format!("{} cannot be written", kept.name), "run the same again where there is room")
                .because(error)
        })?;
        Ok(())
    }

    /// Writes out what is kept.
    pub fn close(self) -> anyhow::Result<()> {
        let Some(mut kept) = self.file else { return Ok(()) };
        kept.writer
            .flush()
            .map_err(|error| Failure::new(format!("{} cannot be written", kept.name), "").because(error))?;
        Ok(())
    }
}

impl Kept {
    fn put(&mut self, source: &Source, reason: &str) -> std::io::Result<()> {
        if let Some(header) = self.header.take() {
            writeln!(self.writer, "{header}")?;
        }
        writeln!(self.writer, "{REMARK}line {}: {reason}", source.number)?;
        match &source.text {
            Some(text) => writeln!(self.writer, "{text}"),
            None => writeln!(self.writer, "{REMARK}it is not repeated here"),
        }
    }
}

/// What a reason quotes from a line must neither end the remark nor steer a terminal, and a quote must not open anything in CSV.
fn on_one_line(reason: &str) -> String {
    let plain = |char: char| match char {
        '"' => '\'',
        char if char.is_control() => ' ',
        char => char,
    };
    reason.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(on_one_line("a\n\"b\"\u{1b}[2Jc"), "a 'b' [2Jc");
    }
}
