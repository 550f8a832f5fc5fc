//! The refused lines: told on stdout, and kept in a file to be corrected and imported again.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::Source;
use super::records::REMARK;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Where refused lines go.
pub struct Refused {
    file: Option<Kept>,
}

struct Kept {
    path: PathBuf,
    /// `None` until there is something to write, if no such file is there: one without any refused line is not made.
    writer: Option<BufWriter<File>>,
    /// The first line of CSV. Written with the first refused one.
    header: Option<String>,
}

impl Refused {
    /// Makes sure that the file, if one is wanted, can be written and loses nobody anything: it must not be the one that is imported, and nothing may
    /// stand in it.
    pub fn open(path: Option<&Path>, imported: &Path, header: Option<&str>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let header = header.map(str::to_owned);
        let there = match OpenOptions::new().write(true).open(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(path, error).into()),
        };
        if let Some(file) = &there {
            let metadata = file.metadata().map_err(|error| unwritable(path, error))?;
            let is_same = |imported: Metadata| (imported.dev(), imported.ino()) == (metadata.dev(), metadata.ino());
            if std::fs::metadata(imported).is_ok_and(is_same) {
                let what = format!("{} is the file that is imported", path.display());
                return Err(Failure::new(what, "name another --refused").into());
            }
            if metadata.is_file() && metadata.len() > 0 {
                let what = format!("{} is there already, and something stands in it", path.display());
                let hint = "name another --refused, or move it away: it may hold what an earlier run refused";
                return Err(Failure::new(what, hint).into());
            }
        } else {
            // Whether it can be made is to be known now, not in the middle of the import.
            File::create_new(path).and_then(|_| std::fs::remove_file(path)).map_err(|error| unwritable(path, error))?;
        }
        Ok(Self { file: Some(Kept { path: path.to_owned(), writer: there.map(BufWriter::new), header }) })
    }

    /// Tells of a refused line, and keeps it.
    pub fn put(&mut self, source: &Source, reason: &str) -> anyhow::Result<()> {
        let reason = on_one_line(reason);
        output::line(format_args!("line {}: {reason}", source.number))?;
        let Some(kept) = &mut self.file else { return Ok(()) };
        kept.put(source, &reason).map_err(|error| unwritable(&kept.path, error))?;
        Ok(())
    }

    /// Writes out what is kept.
    pub fn close(self) -> anyhow::Result<()> {
        let Some(Kept { path, writer: Some(mut writer), .. }) = self.file else { return Ok(()) };
        writer.flush().map_err(|error| unwritable(&path, error))?;
        Ok(())
    }
}

impl Kept {
    fn put(&mut self, source: &Source, reason: &str) -> std::io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(BufWriter::new(File::create_new(&self.path)?)),
        };
        if let Some(header) = self.header.take() {
            writeln!(writer, "{header}")?;
        }
        writeln!(writer, "{REMARK}line {}: {reason}", source.number)?;
        match &source.text {
            Some(text) => writeln!(writer, "{text}"),
            None => writeln!(writer, "{REMARK}it is not repeated here"),
        }
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    let hint = "run the same again where it can be: what is there already is not booked twice";
    Failure::new(format!("{} cannot be written", path.display()), hint).because(error)
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
