//! Files that come over HTTP: streamed into the spool, never held in memory.
//!
//! Invariant: an upload that is not finished is given up, whichever way its request ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::task::TaskTracker;

use super::problem::Problem;
use super::request::{Fields, ImportRequest, JSON_LIMIT, parse_json};
use super::sheet;
use crate::import::{Actor, File, ImportId, Request as Wanted};
use crate::pipeline::{Pipeline, Upload};
use crate::spool::AsyncPack;

/// The largest upload. A whole-body CT in thin slices is a few gigabytes; a pathology slide some tens.
pub(crate) const UPLOAD_LIMIT: u64 = 64 << 30;
/// Silence within a body.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Files of one upload: a folder that somebody dropped. Archives count once.
const FILES: usize = 10_000;
/// Text parts before the first file.
const TEXT_PARTS: usize = 16;
/// What the multipart reader may hold back while it looks for the end of a header.
const HELD_BACK: u64 = 1 << 20;
/// As file systems have it.
const NAME_LENGTH: usize = 255;

/// What an upload needs of the door.
#[derive(Clone)]
pub(crate) struct Uploads {
    pub(crate) pipeline: Pipeline,
    /// Gives up uploads whose request is gone.
    pub(crate) after: TaskTracker,
}

impl Uploads {
    /// A body that is one file.
    pub(crate) async fn bare(
        &self,
        name: &str,
        body: Body,
        actor: Actor,
    ) -> Result<ImportId, Problem> {
        let meter = Meter::new(UPLOAD_LIMIT, READ_LIMIT);
        meter.check_declared(&body)?;
        let expected = announced(&body);
        let mut running = self.begin(Wanted::default(), actor, expected).await?;
        let body = Body::from_stream(metered(body, meter.clone()));
        let mut chunks = body.into_data_stream();
        running.pack()?.begin();
        let mut length = 0_u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| meter.problem())?;
            meter.use_up(&chunk);
            length = length.saturating_add(size(&chunk));
            running.take(chunk).await?;
        }
        if length == 0 {
            return Err(Problem::invalid("the file is empty; send the archive as the body"));
        }
        running.finish_file(name.to_owned()).await?;
        running.finish().await
    }

    /// Parts: `request` as JSON or fields of a form, then one or more `file`.
    pub(crate) async fn multipart(
        &self,
        request: Request,
        actor: Actor,
    ) -> Result<ImportId, Problem> {
        let meter = Meter::new(UPLOAD_LIMIT, READ_LIMIT);
        let (parts, body) = request.into_parts();
        meter.check_declared(&body)?;
        let expected = announced(&body);
        let body = Body::from_stream(metered(body, meter.clone()));
        let mut request = Request::from_parts(parts, body);
        // Our own limit is larger than the framework's.
        DefaultBodyLimit::disable().apply(&mut request);
        let mut multipart = Multipart::from_request(request, &()).await.map_err(|rejection| {
            Problem::new(
                rejection.status(),
                "the body is not multipart/form-data with a boundary; send it with a part `file`",
            )
        })?;
        let mut wanted: Option<ImportRequest> = None;
        let mut fields = Fields::default();
        let mut texts = 0_usize;
        let mut running: Option<Running> = None;
        loop {
            meter.reset();
            let next = multipart.next_field().await.map_err(|_| meter.problem())?;
            let Some(field) = next else { break };
            match field.name().unwrap_or("") {
                "file" => {
                    if is_unchosen(&field) {
                        continue;
                    }
                    let upload = match &mut running {
                        Some(running) => running,
                        none => {
                            let wanted = match wanted.take() {
                                Some(wanted) => wanted,
                                None => ImportRequest::from_form(&fields),
                            };
                            let begun =
                                self.begin(wanted.without_link()?, actor.clone(), expected).await?;
                            none.insert(begun)
                        }
                    };
                    store(upload, field, &meter).await?;
                }
                _ if running.is_some() => {
                    return Err(Problem::invalid(
                        "the part `file` comes last; put `request` and other parts before it",
                    ));
                }
                name => {
                    texts += 1;
                    let name = name.to_owned();
                    let text = small_part(field, &meter).await?;
                    if texts > TEXT_PARTS {
                        return Err(Problem::invalid("there are too many parts before the file"));
                    }
                    match name.as_str() {
                        "request" => wanted = Some(parse_json(&text)?),
                        "accessionNumber" | "patientId" | "issuer" | "birthDate"
                        | "destination" | "password" => {
                            fields.insert(&name, &String::from_utf8_lossy(&text));
                        }
                        _ => {
                            return Err(Problem::invalid(
                                "there is an unknown part; an upload has `request` and `file`",
                            ));
                        }
                    }
                }
            }
        }
        match running {
            Some(running) => running.finish().await,
            None => Err(Problem::invalid("there is no file; choose one, or send a part `file`")),
        }
    }

    async fn begin(&self, wanted: Wanted, actor: Actor, expected: u64) -> Result<Running, Problem> {
        let upload = self.pipeline.begin_upload(wanted, actor, expected).await?;
        let spool = upload.spool.clone();
        let mut running = Running {
            pipeline: self.pipeline.clone(),
            after: self.after.clone(),
            upload: Some(upload),
            pack: None,
            files: Vec::new(),
        };
        let pack = tokio::task::spawn_blocking(move || spool.pack())
            .await
            .map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))??;
        running.pack = Some(pack.into_async());
        Ok(running)
    }
}

/// An upload under way. Dropped before its end, it is given up.
struct Running {
    pipeline: Pipeline,
    after: TaskTracker,
    upload: Option<Upload>,
    pack: Option<AsyncPack>,
    files: Vec<File>,
}

impl Running {
    fn pack(&mut self) -> Result<&mut AsyncPack, Problem> {
        self.pack.as_mut().ok_or_else(|| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))
    }

    async fn take(&mut self, chunk: Bytes) -> Result<(), Problem> {
        let length = size(&chunk);
        self.pack()?.write(chunk).await?;
        if let Some(upload) = &mut self.upload {
            upload.promise.came(length);
        }
        Ok(())
    }

    async fn finish_file(&mut self, name: String) -> Result<(), Problem> {
        let blob = self.pack()?.finish().await?;
        self.files.push(File { name, blob });
        Ok(())
    }

    /// Synced, then admitted. The admission goes on if the client hangs up while it waits.
    async fn finish(mut self) -> Result<ImportId, Problem> {
        self.pack()?.sync().await?;
        self.pack = None;
        let files = std::mem::take(&mut self.files);
        let Some(upload) = self.upload.take() else {
            return Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let pipeline = self.pipeline.clone();
        let admitted = self.after.spawn(finish(pipeline, upload, files)).await;
        match admitted {
            Ok(admitted) => admitted,
            Err(_) => Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }
}

/// Admits what was uploaded: the files, or the link that a release sheet shows.
async fn finish(
    pipeline: Pipeline,
    mut upload: Upload,
    files: Vec<File>,
) -> Result<ImportId, Problem> {
    let link = match sheet::link(&upload.spool, &files).await {
        Ok(None) => return Ok(pipeline.finish_upload(upload, files).await?),
        Ok(Some(link)) => link,
        Err(problem) => {
            pipeline.abandon_upload(upload).await;
            return Err(problem);
        }
    };
    let mut request = std::mem::take(&mut upload.request);
    request.link = Some(link);
    let admitted = pipeline.admit(request, upload.actor.clone()).await;
    // The sheet has done its service, and tells more than anybody needs.
    pipeline.abandon_upload(upload).await;
    Ok(admitted?)
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        // Closed before its folder is removed.
        self.pack = None;
        let pipeline = self.pipeline.clone();
        self.after.spawn(async move {
            pipeline.abandon_upload(upload).await;
        });
    }
}

async fn store(running: &mut Running, mut field: Field<'_>, meter: &Meter) -> Result<(), Problem> {
    if running.files.len() >= FILES {
        return Err(Problem::invalid("more than 10,000 files in one upload; send them as one ZIP"));
    }
    let name = shown_name(field.file_name());
    running.pack()?.begin();
    while let Some(chunk) = field.chunk().await.map_err(|_| meter.problem())? {
        meter.use_up(&chunk);
        running.take(chunk).await?;
    }
    running.finish_file(name).await
}

/// Bytes that a body says it has; 0 if it does not say.
fn announced(body: &Body) -> u64 {
    body.size_hint().exact().unwrap_or(0)
}

async fn small_part(mut field: Field<'_>, meter: &Meter) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|_| meter.problem())? {
        meter.use_up(&chunk);
        text.extend_from_slice(&chunk);
        if text.len() > JSON_LIMIT {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a part before the file is longer than 64 kB",
            ));
        }
    }
    Ok(text)
}

/// Browsers send an empty part for a file input that nobody used.
fn is_unchosen(field: &Field<'_>) -> bool {
    field.file_name() == Some("")
}

/// A name for people: one line, of bounded length. It is never a path.
pub(crate) fn shown_name(given: Option<&str>) -> String {
    let name: String =
        given.unwrap_or("").chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect();
    let name = name.trim();
    if name.is_empty() { "upload".to_owned() } else { name.to_owned() }
}

/// Why a body ended, and how much of it the multipart reader holds back.
#[derive(Clone)]
struct Meter(Arc<Counts>);

struct Counts {
    limit: u64,
    silence: Duration,
    total: AtomicU64,
    held: AtomicU64,
    stop: AtomicU64,
}

/// Values of [`Counts::stop`]: nothing wrong yet, or the first thing that was.
const TOO_LARGE: u64 = 1;
const TOO_SLOW: u64 = 2;
const HELD: u64 = 3;

impl Meter {
    fn new(limit: u64, silence: Duration) -> Self {
        let [total, held, stop] = Default::default();
        Self(Arc::new(Counts { limit, silence, total, held, stop }))
    }

    /// What is declared too large is not even begun.
    fn check_declared(&self, body: &Body) -> Result<(), Problem> {
        if body.size_hint().lower() > self.0.limit {
            self.stop(TOO_LARGE);
            return Err(self.problem());
        }
        Ok(())
    }

    fn take_in(&self, chunk: &Bytes) -> Result<(), std::io::Error> {
        let size = size(chunk);
        let total = self.0.total.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let held = self.0.held.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if total > self.0.limit {
            return Err(self.stop(TOO_LARGE));
        }
        if held > HELD_BACK {
            return Err(self.stop(HELD));
        }
        Ok(())
    }

    fn use_up(&self, chunk: &Bytes) {
        let size = size(chunk);
        let less = |held: u64| Some(held.saturating_sub(size));
        let _ = self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn reset(&self) {
        self.0.held.store(0, Ordering::Relaxed);
    }

    fn stop(&self, why: u64) -> std::io::Error {
        self.0.stop.store(why, Ordering::Relaxed);
        std::io::ErrorKind::InvalidData.into()
    }

    fn problem(&self) -> Problem {
        match self.0.stop.load(Ordering::Relaxed) {
            TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the upload is larger than 64 GB; send its studies one by one",
            ),
            TOO_SLOW => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "the upload stopped for 30 seconds and was given up; send it again",
            ),
            HELD => Problem::malformed("a part of the upload has no end of its header"),
            _ => Problem::malformed(
                "the upload ended early or is not multipart/form-data; nothing was kept, send it again",
            ),
        }
    }
}

/// The body with its bounds in time and size. One chunk at a time: the reader behind it would otherwise
/// take in all that there is.
fn metered(
    body: Body,
    meter: Meter,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let chunks = Box::pin(body.into_data_stream());
    stream::unfold(Some((chunks, meter)), move |state| async move {
        let (mut chunks, meter) = state?;
        tokio::task::yield_now().await;
        match tokio::time::timeout(meter.0.silence, chunks.next()).await {
            Ok(Some(Ok(chunk))) => match meter.take_in(&chunk) {
                Ok(()) => Some((Ok(chunk), Some((chunks, meter)))),
                Err(error) => Some((Err(error), None)),
            },
            Ok(Some(Err(_))) => Some((Err(std::io::ErrorKind::ConnectionReset.into()), None)),
            Ok(None) => None,
            Err(_) => Some((Err(meter.stop(TOO_SLOW)), None)),
        }
    })
}

fn size(chunk: &Bytes) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
