//! A report as a file: CSV that is written beside its place and then put into it, so that whoever reads it reads a whole one; and a file as a
//! body. Neither takes more memory than a piece of it, and files are slow: no worker waits for them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;

use actix_web::body::{MessageBody, SizedStream};
use actix_web::web::{self, Bytes};
use futures::stream;
use uuid::Uuid;

/// How much of a file is read at once. Bytes.
const PIECE_BYTES: usize = 65_536;

/// A report that is being written. Dropped before it is published, it is gone.
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl Draft {
    /// Begins a report that is to stand at `place`, and makes the directory for it.
    pub async fn create(place: PathBuf) -> io::Result<Self> {
        block(move || {
            let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else {
                return Err(ErrorKind::InvalidFilename.into());
            };
            fs::create_dir_all(directory)?;
            let path = directory.join(format!(".{}.{}", name.display(), Uuid::now_v7()));
            let writer = csv::Writer::from_writer(File::create_new(&path)?);
            Ok(Self { place, path, writer })
        })
        .await
    }

    /// Adds lines: comma, LF, quotes where they are needed.
    pub async fn push<const N: usize>(mut self, lines: Vec<[String; N]>) -> io::Result<Self> {
        block(move || {
            for line in lines {
                self.writer.write_record(line)?;
            }
            Ok(self)
        })
        .await
    }

    /// Puts it in its place, and that of the one before, once all of it is on the disk.
    pub async fn publish(mut self) -> io::Result<()> {
        block(move || {
            self.writer.flush()?;
            self.writer.get_ref().sync_all()?;
            fs::rename(&self.path, &self.place)
        })
        .await
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is published there is nothing of that name any more.
        fs::remove_file(&self.path).ok();
    }
}

/// The file's bytes as a body of known size; `None` if there is no such file. It stays the same one, whatever is put in its place meanwhile.
pub async fn body(path: PathBuf) -> io::Result<Option<impl MessageBody + 'static>> {
    let opened = block(move || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = match opened.await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let pieces = stream::try_unfold(file, async |file| {
        let piece = block(move || piece(file)).await;
        piece.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "a file could not be read to its end")
        })
    });
    Ok(Some(SizedStream::new(bytes, Box::pin(pieces))))
}

/// The next bytes of a file, and the file; `None` at its end.
fn piece(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let mut bytes = vec![0; PIECE_BYTES];
    let count = file.read(&mut bytes)?;
    bytes.truncate(count);
    Ok((count > 0).then(|| (bytes.into(), file)))
}

async fn block<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    web::block(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use actix_web::body::{self, BodySize};

    use super::*;

    /// A directory that is gone with the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("purser-report-{}", Uuid::now_v7())))
        }

        fn place(&self) -> PathBuf {
            self.0.join("2026/report.csv")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.0.join("2026")).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    async fn read(place: PathBuf) -> Option<String> {
        let body = super::body(place).await.unwrap()?;
        let size = body.size();
        let bytes = body::to_bytes(body).await.map_err(Into::into).unwrap();
        assert_eq!(size, BodySize::Sized(bytes.len() as u64));
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn line(name: &str, amount: &str) -> Vec<[String; 2]> {
        vec![[name.to_owned(), amount.to_owned()]]
    }

    #[actix_web::test]
    async fn a_report_is_in_its_place_as_a_whole_or_not_at_all() {
        let directory = Directory::new();
        assert_eq!(read(directory.place()).await, None);
        let draft = Draft::create(directory.place()).await.unwrap().push(line("a,b", "1.00")).await.unwrap();
        assert_eq!(read(directory.place()).await, None);
        draft.push(line("say \"c\"", "-2.50")).await.unwrap().publish().await.unwrap();
        let first = "\"a,b\",1.00\n\"say \"\"c\"\"\",-2.50\n";
        assert_eq!(read(directory.place()).await.as_deref(), Some(first));

        let given_up = Draft::create(directory.place()).await.unwrap().push(line("d", "3.00")).await.unwrap();
        assert_eq!(directory.names().len(), 2);
        drop(given_up);
        assert_eq!(directory.names(), ["report.csv"], "nothing stays behind");
        assert_eq!(read(directory.place()).await.as_deref(), Some(first));

        Draft::create(directory.place()).await.unwrap().publish().await.unwrap();
        assert_eq!(read(directory.place()).await.as_deref(), Some(""), "in the place of the one before");
    }

    #[actix_web::test]
    async fn a_body_is_the_file_that_was_opened_in_as_many_pieces_as_it_takes() {
        let directory = Directory::new();
        let long = "x".repeat(2 * PIECE_BYTES + 1);
        Draft::create(directory.place()).await.unwrap().push(line(&long, "1")).await.unwrap().publish().await.unwrap();
        let body = super::body(directory.place()).await.unwrap().unwrap();
        Draft::create(directory.place()).await.unwrap().publish().await.unwrap();
        let bytes = body::to_bytes(body).await.map_err(Into::into).unwrap();
        assert_eq!(bytes, format!("{long},1\n"));
    }
}
