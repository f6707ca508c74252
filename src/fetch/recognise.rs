//! What kind of link this is: a DLX portal, the download itself, or something a person has to open.

use std::time::Duration;

use super::content::{self, Content};
use super::store::Source;
use super::{Error, Halt, Pull, Pulled, dlx, recipe, store, wire};
use crate::web::{self, Answer, Validator};

/// Asks a portal to speak DLX. The value is not evaluated, but an empty one counts as missing.
const DLX_HEADER: &str = "x-dicom-link-exchange";

/// The same before version 1.
const OLD_HEADER: &str = "x-dlx-api";

/// Until a portal that named no time is asked again.
const BACK_OFF: Duration = Duration::from_secs(30);

/// A portal that asks for more is asked earlier all the same: a desk waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Follows the link as far as it goes.
pub(super) async fn follow(client: &web::Client, pull: &Pull) -> Result<Pulled, Halt> {
    if let Some(chosen) = pull.recipes.of(pull.link.url()) {
        return Box::pin(recipe::pull(client, pull, &chosen)).await;
    }
    if let Some(session) = &pull.session
        && let Some(pulled) = Box::pin(dlx::go_on(client, pull, session)).await?
    {
        return Ok(pulled);
    }
    let mut answer = request(client, pull, 0).send().await?;
    let host = answer.host().to_owned();
    match answer.status() {
        200..=299 => {}
        404 | 410 => return Err(Error::Unknown { host }.into()),
        429 | 503 => {
            return Err(match told_wait(&mut answer).await {
                Some(wait) => Halt::Ended(Pulled::Preparing { wait, session: None }),
                None => Error::Unavailable { host, status: answer.status() }.into(),
            });
        }
        status @ 500..=599 => return Err(Error::Unavailable { host, status }.into()),
        status => return Err(Error::Refused { host, status }.into()),
    }
    match content::judge(answer.peek(content::HEAD).await.map_err(store::too_large)?) {
        Content::Json => {
            let url = answer.url().clone();
            let document = match answer.json::<serde_json::Value>().await {
                Ok(document) => document,
                Err(web::Error::NotJson { .. }) => return Err(Error::NotDlx { host }.into()),
                Err(other) => return Err(other.into()),
            };
            let questions = wire::questions(&document, &pull.section.languages)
                .ok_or(Error::NotDlx { host })?;
            Box::pin(dlx::pull(client, pull, &url, questions)).await
        }
        kind if kind.is_examination() => Box::pin(download(client, pull, answer)).await,
        _ => Err(Error::NotDlx { host }.into()),
    }
}

/// The link itself, with `kept` bytes of what it leads to here already.
fn request<'a>(client: &'a web::Client, pull: &Pull, kept: u64) -> web::Request<'a> {
    client
        .get(pull.link.url().clone())
        .header(DLX_HEADER, "1")
        .header(OLD_HEADER, "1")
        .header("accept", "application/json, */*;q=0.5")
        .limits(pull.section.long(pull.section.max_download.saturating_sub(kept)))
}

/// A link that is the download can be asked for again.
struct Again<'a> {
    client: &'a web::Client,
    pull: &'a Pull,
}

impl Source for Again<'_> {
    async fn rest(&mut self, from: u64, validator: &Validator) -> Result<Answer, Halt> {
        Ok(request(self.client, self.pull, from).resume(from, validator).send().await?)
    }
}

/// The link is the download itself.
async fn download(client: &web::Client, pull: &Pull, answer: Answer) -> Result<Pulled, Halt> {
    let observer = pull.observer.as_ref();
    observer.downloading(answer.content_length(), None);
    let mut pack = store::pack(&pull.spool).await?;
    let mut source = Again { client, pull };
    let stored = store::file(answer, &mut source, &mut pack, None, observer).await?;
    pack.sync().await?;
    Ok(Pulled::Done { files: vec![stored.file], portal: None })
}

/// How long a portal wants to be left alone, if it says so: in the body, else in `Retry-After`.
pub(super) async fn told_wait(answer: &mut Answer) -> Option<Duration> {
    let header = answer.retry_after();
    let body = match answer.json::<serde_json::Value>().await {
        Ok(document) => wire::time_out(&document),
        Err(_) => None,
    };
    body.map(Duration::from_secs).or(header).map(bounded)
}

/// The same, or a usual time.
pub(super) async fn wait(answer: &mut Answer) -> Duration {
    told_wait(answer).await.unwrap_or(BACK_OFF)
}

/// What a `Retry-After` asks for, or a usual time.
pub(super) fn wait_told(retry_after: Option<&str>) -> Duration {
    let told = retry_after.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    told.map_or(BACK_OFF, bounded)
}

fn bounded(wait: Duration) -> Duration {
    wait.clamp(Duration::from_secs(1), LONGEST_WAIT)
}
