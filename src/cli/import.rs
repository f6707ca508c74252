//! `lotse import`: files, folders, a link, or a JSON request.

use std::collections::BTreeSet;
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
        let Found { files, links } = collect(paths)?;
        if let Some(told) = left_out(links) {
            out::complain(&told);
        }
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

/// What is to be sent.
#[derive(Default)]
struct Found {
    /// Names in the archive, and where the bytes are.
    files: Vec<(String, PathBuf)>,
    /// Symbolic links inside folders, which are left out.
    links: usize,
}

/// Every regular file below the paths. What is named is followed if it is a link; what lies in a folder is not, so
/// no folder is walked twice.
fn collect(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for (name, root) in roots(paths) {
        let kind = std::fs::metadata(root).map_err(|error| unreadable(root, &error))?.file_type();
        if kind.is_file() {
            found.files.push((name, root.clone()));
        } else if kind.is_dir() {
            walk(name, root, &mut found)?;
        } else {
            let path = root.display();
            return Err(
                BadInput(format!("{path} is no file and no folder; name what to import")).into()
            );
        }
    }
    if found.files.is_empty() {
        return Err(BadInput("there is no file in it".into()).into());
    }
    found.files.sort();
    Ok(found)
}

/// The paths with the names that they get: of two that end alike, the second is numbered.
fn roots(paths: &[PathBuf]) -> Vec<(String, &PathBuf)> {
    let mut taken = BTreeSet::new();
    let numbered = |path: &PathBuf| {
        let plain = name_of(path);
        let mut name = plain.clone();
        let mut number = 2_u64;
        while !taken.insert(name.clone()) {
            name = format!("{number}-{plain}");
            number = number.saturating_add(1);
        }
        name
    };
    let names: Vec<String> = paths.iter().map(numbered).collect();
    names.into_iter().zip(paths).collect()
}

fn walk(name: String, folder: &Path, found: &mut Found) -> anyhow::Result<()> {
    let mut waiting = vec![(name, folder.to_owned())];
    while let Some((name, folder)) = waiting.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                waiting.push((inner, path));
            } else if kind.is_file() {
                found.files.push((inner, path));
            } else if kind.is_symlink() {
                found.links = found.links.saturating_add(1);
            }
            if found.files.len() > MOST_FILES {
                return Err(BadInput(format!("there are more than {MOST_FILES} files")).into());
            }
        }
    }
    Ok(())
}

/// What is said of links that were left out; `None` without any.
fn left_out(links: usize) -> Option<String> {
    match links {
        0 => None,
        1 => Some("1 link inside the folders was left out; name what it leads to if it belongs to the import".into()),
        more => Some(format!(
            "{more} links inside the folders were left out; name what they lead to if it belongs to the import"
        )),
    }
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

    fn names(paths: &[&Path]) -> anyhow::Result<(Vec<String>, usize)> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
        let found = collect(&paths)?;
        // As an archive, too: it takes no name twice.
        pack(&found.files, io::sink())?;
        Ok((found.files.into_iter().map(|(name, _)| name).collect(), found.links))
    }

    #[test]
    fn what_is_named_by_a_link_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir_all(at("cd/IMAGES")).unwrap();
        for file in ["a.dcm", "b.dcm", "cd/IMAGES/IM0"] {
            std::fs::write(at(file), file).unwrap();
        }
        for (target, link) in [("a.dcm", "link.dcm"), ("cd", "disc"), ("none", "broken")] {
            std::os::unix::fs::symlink(at(target), at(link)).unwrap();
        }
        let both = names(&[&at("link.dcm"), &at("b.dcm")]).unwrap();
        assert_eq!(both, (vec!["b.dcm".into(), "link.dcm".into()], 0));
        assert_eq!(names(&[&at("disc")]).unwrap().0, ["disc/IMAGES/IM0"]);
        assert!(names(&[&at("b.dcm"), &at("broken")]).unwrap_err().is::<BadInput>());
        assert!(names(&[&at("b.dcm"), Path::new("/dev/null")]).unwrap_err().is::<BadInput>());

        std::os::unix::fs::symlink(at("a.dcm"), at("cd/link")).unwrap();
        std::os::unix::fs::symlink(at("cd"), at("cd/loop")).unwrap();
        let (files, links) = names(&[&at("cd")]).unwrap();
        assert_eq!((files, links), (vec!["cd/IMAGES/IM0".into()], 2));
        assert!(left_out(links).unwrap().starts_with("2 links inside the folders were left out"));
        assert!(left_out(0).is_none());
    }

    #[test]
    fn of_paths_that_end_alike_each_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for folder in ["one/cd", "two/cd", "three/cd"] {
            std::fs::create_dir_all(at(folder)).unwrap();
            std::fs::write(at(folder).join("IM0"), folder).unwrap();
        }
        let cds = [&*at("one/cd"), &at("two/cd"), &at("three/cd")];
        assert_eq!(names(&cds).unwrap().0, ["2-cd/IM0", "3-cd/IM0", "cd/IM0"]);
        let files = [&*at("one/cd/IM0"), &at("two/cd/IM0")];
        assert_eq!(names(&files).unwrap().0, ["2-IM0", "IM0"]);
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
