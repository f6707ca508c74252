//! `lotse import`: files, folders, a link, or a JSON request.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio_util::io::SyncIoBridge;

use super::{BadInput, Code, follow, out};
use crate::web::control::Control;

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
            let file = tokio::fs::File::open(one)
                .await
                .with_context(|| format!("{} cannot be read", one.display()))?;
            let length = file.metadata().await?.len();
            let name = name_of(one);
            return Ok(control.post_stream(path, &request, &name, file, Some(length)).await?);
        }
        let files = collect(paths)?;
        let (reader, writer) = tokio::io::duplex(PIPE);
        let packing = tokio::task::spawn_blocking(move || pack(&files, SyncIoBridge::new(writer)));
        let sent = control.post_stream(path, &request, "folder.zip", reader, None).await;
        packing.await?.context("a file could not be read to its end; nothing was imported")?;
        Ok(sent?)
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
                .with_context(|| format!("{} cannot be read", path.display()))?
                .file_type();
            if kind.is_dir() {
                let entries = std::fs::read_dir(&path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
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
