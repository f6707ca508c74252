//! What kind of link this is: a DLX portal, the download itself, or something a person has to open.

use std::time::Duration;

use super::content::{self, Content};
use super::{Error, Halt, Pull, Pulled, dlx, store, wire};
use crate::web::{self, Answer};

/// Asks a portal to speak DLX. The value is not evaluated, but an empty one counts as missing.
const DLX_HEADER: &str = "x-dicom-link-exchange";

/// Until a portal that named no time is asked again.
const BACK_OFF: Duration = Duration::from_secs(30);

/// A portal that asks for more is asked earlier all the same: a desk waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Follows the link as far as it goes.
pub(super) async fn follow(client: &web::Client, pull: &Pull) -> Result<Pulled, Halt> {
    let limits = pull.section.long(pull.section.max_download);
    let mut answer = client
        .get(pull.link.url().clone())
        .header(DLX_HEADER, "1")
        .header("accept", "application/json, */*;q=0.5")
        .limits(limits)
        .send()
        .await?;
    let host = answer.host().to_owned();
    match answer.status() {
        200..=299 => {}
        404 | 410 => return Err(Error::Unknown { host }.into()),
        429 | 503 => {
            return Err(match told_wait(&mut answer).await {
                Some(wait) => Halt::Ended(Pulled::Preparing { wait }),
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
        kind if kind.is_examination() => download(pull, answer).await,
        _ => Err(Error::NotDlx { host }.into()),
    }
}

/// The link is the download itself.
async fn download(pull: &Pull, mut answer: Answer) -> Result<Pulled, Halt> {
    let observer = pull.observer.as_ref();
    observer.downloading(answer.content_length(), None);
    let mut pack = store::pack(&pull.spool).await?;
    let file = store::file(&mut answer, &mut pack, None, observer).await?;
    pack.sync().await?;
    Ok(Pulled::Done { files: vec![file], portal: None })
}

/// How long a portal wants to be left alone, if it says so: in the body, else in `Retry-After` (seconds).
pub(super) async fn told_wait(answer: &mut Answer) -> Option<Duration> {
    let header = answer.header("retry-after").and_then(|value| value.trim().parse().ok());
    let body = match answer.json::<serde_json::Value>().await {
        Ok(document) => wire::time_out(&document),
        Err(_) => None,
    };
    body.or(header).map(Duration::from_secs).map(bounded)
}

/// The same, or a usual time.
pub(super) async fn wait(answer: &mut Answer) -> Duration {
    told_wait(answer).await.unwrap_or(BACK_OFF)
}

fn bounded(wait: Duration) -> Duration {
    wait.clamp(Duration::from_secs(1), LONGEST_WAIT)
}
