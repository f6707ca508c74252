//! `lotse import`: files, folders, a link, or a JSON request.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::io::SyncIoBridge;

use super::{BadInput, Code, follow, out, unreadable};
use crate::web::control::{self, Control};

/// Bytes on their way from the packing thread to the socket.
const PIPE: usize = 256 << 10;

/// Files that one folder may bring; more is a wrong folder.
const MOST_FILES: usize = 200_000;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files or folders; `-` reads a bare link or one JSON request from standard input.
    paths: Vec<PathBuf>,
    /// The destination, if not all that are configured.
    #[arg(long, value_name = "DEST")]
    to: Option<String>,
    /// Wait for the end and show each change of state.
    #[arg(long)]
    follow: bool,
    /// Print JSON: one document, or one a line with --follow.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        let accepted = match self.paths.as_slice() {
            [] if out::is_terminal() => {
                self.send(control, json!({"link": out::ask("Link of the portal:")?})).await?
            }
            [] => {
                return Err(
                    BadInput("name files or folders, or `-` for standard input".into()).into()
                );
            }
            [one] if one.as_os_str() == "-" => self.send(control, request(&out::input()?)?).await?,
            paths => self.upload(control, paths).await?,
        };
        let id = out::text(&accepted, "/id").to_owned();
        if self.follow {
            return follow::follow(control, &id, follow::Style::of(self.json)).await;
        }
        if self.json {
            out::document(&accepted);
        } else {
            out::line(&id);
            let next = out::text(&accepted, "/nextStep");
            if !next.is_empty() {
                out::complain(next);
            }
        }
        Ok(Code::Done)
    }

    async fn send(&self, control: &Control, mut request: Value) -> anyhow::Result<Value> {
        if let (Some(to), Value::Object(request)) = (&self.to, &mut request) {
            request.insert("destination".into(), to.as_str().into());
        }
        Ok(control.post_json("/api/v1/imports", &request).await?)
    }

    async fn upload(&self, control: &Control, paths: &[PathBuf]) -> anyhow::Result<Value> {
        let mut request = json!({});
        if let Some(to) = &self.to {
            request = json!({"destination": to});
        }
        let path = "/api/v1/imports";
        if let [one] = paths
            && one.is_file()
        {
            let file = tokio::fs::File::open(one).await.map_err(|error| unreadable(one, &error))?;
            let length = file.metadata().await?.len();
            let name = name_of(one);
            return Ok(control.post_stream(path, &request, &name, file, Some(length)).await?);
        }
        let files = collect(paths)?;
        let (reader, writer) = tokio::io::duplex(PIPE);
        let (packed, whole) = oneshot::channel();
        let packing = tokio::task::spawn_blocking(move || {
            let mut bridge = SyncIoBridge::new(writer);
            pack(&files, &mut bridge)?;
            // The reader hears of it before it sees the end of the pipe. One that is gone has its own words.
            let _ = packed.send(());
            anyhow::Ok(())
        });
        let archive = Whole { pipe: reader, packed: whole, is_whole: false };
        let sent = control.post_stream(path, &request, "folder.zip", archive, None).await;
        // The daemon's own words come first: it may have refused before everything was packed.
        match (sent, packing.await?) {
            (Ok(accepted), Ok(())) => Ok(accepted),
            (Err(error @ control::Error::Refused { .. }), _) | (Err(error), Ok(())) => {
                Err(error.into())
            }
            (_, Err(error)) => {
                Err(error.context("a file could not be read to its end; nothing was imported"))
            }
        }
    }
}

/// The packed files on their way. A pipe ends the same way whether the packing is done or broke off; this one
/// ends with an error if it broke off, so that the daemon does not take the beginning for the whole.
struct Whole {
    pipe: DuplexStream,
    packed: oneshot::Receiver<()>,
    is_whole: bool,
}

impl AsyncRead for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(context, into))?;
        if into.filled().len() == before && !self.is_whole {
            self.is_whole = self.packed.try_recv().is_ok();
            if !self.is_whole {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A bare link, or the body of `POST /api/v1/imports`.
fn request(text: &str) -> anyhow::Result<Value> {
    let text = text.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text)
            .map_err(|error| BadInput(format!("the request is no JSON: {error}")).into());
    }
    if text.is_empty() || text.lines().count() != 1 {
        return Err(BadInput("give one link, or one JSON request".into()).into());
    }
    Ok(json!({"link": text}))
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Every regular file below the paths; links are not followed, so no folder is walked twice.
fn collect(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut files = vec![];
    for root in paths {
        let mut waiting = vec![(name_of(root), root.clone())];
        while let Some((name, path)) = waiting.pop() {
            let kind = std::fs::symlink_metadata(&path)
                .map_err(|error| unreadable(&path, &error))?
                .file_type();
            if kind.is_dir() {
                let entries =
                    std::fs::read_dir(&path).map_err(|error| unreadable(&path, &error))?;
                for entry in entries {
                    let entry = entry?;
                    let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
                    waiting.push((inner, entry.path()));
                }
            } else if kind.is_file() {
                files.push((name, path));
            }
            if files.len() > MOST_FILES {
                return Err(BadInput(format!("there are more than {MOST_FILES} files")).into());
            }
        }
    }
    if files.is_empty() {
        return Err(BadInput("there is no file in it".into()).into());
    }
    files.sort();
    Ok(files)
}

/// Packs the files, stored and not deflated, into one stream.
fn pack(files: &[(String, PathBuf)], to: impl io::Write) -> anyhow::Result<()> {
    let mut archive = zip::ZipWriter::new_stream(to);
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true);
    for (name, path) in files {
        archive.start_file(name.as_str(), options)?;
        let mut file = std::fs::File::open(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        io::copy(&mut file, &mut archive)?;
    }
    archive.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn packed(files: Vec<(String, PathBuf)>) -> (io::Result<usize>, anyhow::Result<()>) {
        let (pipe, writer) = tokio::io::duplex(PIPE);
        let (told, packed) = oneshot::channel();
        let mut whole = Whole { pipe, packed, is_whole: false };
        let packing = tokio::task::spawn_blocking(move || {
            let mut bridge = SyncIoBridge::new(writer);
            pack(&files, &mut bridge)?;
            let _ = told.send(());
            anyhow::Ok(())
        });
        let mut archive = vec![];
        let read = whole.read_to_end(&mut archive).await;
        (read, packing.await.unwrap())
    }

    #[tokio::test]
    async fn packing_that_breaks_off_is_no_archive() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("a");
        std::fs::write(&good, b"bytes").unwrap();
        let (read, packing) = packed(vec![("a".into(), good.clone())]).await;
        assert!(read.unwrap() > 5 && packing.is_ok());
        let gone = folder.path().join("gone");
        let (read, packing) = packed(vec![("a".into(), good), ("b".into(), gone)]).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(packing.is_err());
    }

    #[test]
    fn a_request_is_a_link_or_json() {
        assert_eq!(
            request(" https://x.example/y \n").unwrap(),
            json!({"link": "https://x.example/y"})
        );
        assert!(request("{\"link\": \"https://x.example\"}").is_ok());
        for bad in ["", "a\nb", "{"] {
            assert!(request(bad).unwrap_err().is::<BadInput>(), "{bad}");
        }
    }
}
