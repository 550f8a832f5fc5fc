//! The rules of the house that a compiler does not know. No server is needed.
//!
//! Each check is a function from text to complaints, and is itself tested on a bad sample: a check that cannot fail checks nothing.

mod dialects;
mod documents;
mod imports;
mod rust_code;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the project.
struct TextFile {
    /// Relative to the project's root, with `/`.
    path: String,
    text: String,
}

/// What stands in the project's folder without belonging to it: what is built, what runs here, what git keeps.
const NOT_OURS: [&str; 5] = ["target", ".local", ".git", "__pycache__", ".venv"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file under `folder`, in order of its path. What is not UTF-8 is no text.
fn text_files(folder: &str) -> Vec<TextFile> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let path = path.strip_prefix(root()).expect("it was found below the root");
            Some(TextFile { path: path.to_string_lossy().replace('\\', "/"), text })
        })
        .collect()
}

/// Every Rust file of the product.
fn sources() -> Vec<TextFile> {
    let mut files = text_files("src");
    files.retain(|file| file.path.ends_with(".rs"));
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// Every page for people.
fn documents() -> Vec<TextFile> {
    let mut files = text_files("docs");
    files.retain(|file| file.path.ends_with(".md"));
    files.push(read("README.md"));
    files
}

fn read(path: &str) -> TextFile {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    TextFile { path: path.to_owned(), text }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("the folder can be read");
        let kind = entry.file_type().expect("it has a type");
        if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), paths);
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
