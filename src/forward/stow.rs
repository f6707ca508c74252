//! A DICOMweb server as destination: STOW-RS (PS3.18 10.5) in bounded batches, one outcome an instance.
//!
//! Invariants: an instance counts as delivered only if the answer names it among those that were stored; an
//! object that breaks off takes its request with it, so that no server keeps half of one.

mod answer;
mod body;
mod settle;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use url::Url;

use self::body::Producer;
use self::settle::{Next, settle};
use super::object::Fault;
use super::source::Source;
use super::{Ended, Run, route};
use crate::dicom::Uid;
use crate::import::{Compressed, Instance, InstanceOutcome};
use crate::web::{self, Client, Credentials, PortalSection, Proxy, TlsFault, Upload, UploadLimits};

/// Instances in one request: what is repeated if it fails, against round trips.
const MOST_INSTANCES: usize = 50;

/// Stored bytes in one request; a larger object goes alone.
const MOST_BYTES: u64 = 256 << 20;

/// Pieces of the body that wait for the peer.
const AHEAD: usize = 8;

const LIMITS: UploadLimits = UploadLimits {
    stall: Duration::from_secs(60),
    // An archive indexes what it got before it answers.
    answer: Duration::from_secs(300),
    // Fifty instances with their URLs.
    body: 1 << 20,
};

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub struct Way<'a> {
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<&'a Proxy>,
}

/// A server that takes instances.
#[derive(Clone)]
pub struct Stow {
    url: Url,
    client: Client,
    credentials: Credentials,
}

impl fmt::Debug for Stow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stow({})", self.url.host_str().unwrap_or_default())
    }
}

impl Stow {
    /// `url` is that of the studies resource, as `https://pacs.example/dicom-web/studies`. The administrator names
    /// it, so it may be inside the site, unless it is behind the proxy, and without TLS where the section allows
    /// that.
    ///
    /// # Errors
    /// If `ca_file` or the secret cannot be read.
    pub fn new(url: Url, way: Way<'_>, credentials: Credentials) -> Result<Self, String> {
        let hosts = vec![url.host_str().unwrap_or_default().to_owned()];
        let section = PortalSection {
            hosts,
            allow_private: way.proxy.is_none(),
            allow_http: url.scheme() == "http",
            ca_file: way.ca_file,
            recipe: None,
        };
        let sections = [("stow".to_owned(), section)].into();
        let client = Client::through(&sections, way.proxy).map_err(|error| error.to_string())?;
        // So that a missing file shows at the start.
        credentials.read().map_err(|error| error.to_string())?;
        Ok(Self { url, client, credentials })
    }

    /// The URL, for checks.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// One instance on its way.
#[derive(Clone)]
struct Item {
    number: u32,
    instance: Arc<Instance>,
    transfer_syntax: Uid,
    /// Where it is tried again if the server does not take that.
    native: Option<Uid>,
}

pub(super) async fn deliver(name: &str, stow: &Stow, permits: &Arc<Semaphore>, run: Run) -> Ended {
    let credentials = stow.credentials.clone();
    // Anew for each run: tokens are renewed by others.
    let bearer = match tokio::task::spawn_blocking(move || credentials.read()).await {
        Ok(Ok(bearer)) => bearer,
        Ok(Err(why)) => {
            return postponed(format!("{name}: {why}; mend it there"), Pause::Destination);
        }
        Err(_) => return stopped(),
    };
    let (plan, facts) = (Arc::new(run.plan), Arc::new(run.facts));
    let source: Arc<dyn Source> = Arc::new(run.spool);
    let mut queue = batches(run.instances, run.compressed);
    let mut postponing = None;
    let mut may_hold = BTreeSet::clone(&run.may_hold);
    let left = |items: &mut dyn Iterator<Item = &Item>| {
        items.for_each(|item| run.recorder.unanswered(item.number));
    };
    while let Some(batch) = queue.pop_front() {
        let permit = tokio::select! {
            biased;
            () = run.brake.stopped() => return stopped(),
            permit = permits.acquire() => permit,
        };
        let boundary = format!("lotse-{}", uuid::Uuid::now_v7().simple());
        let (sender, body) = mpsc::channel(AHEAD);
        let (tell, ready) = oneshot::channel();
        let producer = Producer {
            items: batch.clone(),
            boundary: boundary.clone(),
            plan: Arc::clone(&plan),
            facts: Arc::clone(&facts),
            source: Arc::clone(&source),
            recorder: Arc::clone(&run.recorder),
        };
        let producing = tokio::task::spawn_blocking(move || producer.produce(tell, &sender));
        let content_type =
            format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let uploading = async {
            // Not one object can leave.
            ready.await.ok()?;
            let upload = Upload {
                url: stow.url.clone(),
                content_type: &content_type,
                accept: "application/dicom+json",
                credentials: bearer.as_ref(),
                body,
                limits: LIMITS,
            };
            Some(answer(&stow.client, upload).await)
        };
        let answered = tokio::select! {
            biased;
            () = run.brake.cancelled() => {
                left(&mut batch.iter());
                return stopped();
            }
            answered = uploading => answered,
        };
        drop(permit);
        let produced = producing.await.unwrap_or_default();
        // Also those that it answered too early to have seen.
        let is_refused = |n| produced.refused.iter().any(|(refused, _)| *refused == n);
        let mut sent = batch.iter().filter(|item| !is_refused(item.number));
        let mut next = match (answered, produced.broken) {
            // The request broke off on purpose; the others go again.
            (_, Some((number, fault))) => {
                let mut before = sent.clone().take_while(|item| item.number != number);
                match lasting(fault) {
                    Ok(sentence) => Next {
                        unanswered: before.map(|item| item.number).collect(),
                        outcomes: vec![(number, refused(sentence))],
                        again: vec![sent.filter(|item| item.number != number).cloned().collect()],
                        ..Next::default()
                    },
                    Err(sentence) => {
                        left(&mut before);
                        return postponed(sentence, Pause::Study);
                    }
                }
            }
            (None, None) => Next::default(),
            (Some(Ok((status, answers))), None) => {
                settle(status, answers.as_ref(), sent.cloned().collect(), &may_hold)
            }
            (Some(Err(error)), None) if error.is_unsent() => {
                return postponed(format!("{name}: {}", told(&error)), Pause::Destination);
            }
            (Some(Err(error)), None) => {
                left(&mut sent);
                return postponed(format!("{name}: {}", told(&error)), Pause::Study);
            }
        };
        for number in std::mem::take(&mut next.unanswered) {
            run.recorder.unanswered(number);
            may_hold.insert(number);
        }
        let refusals = produced.refused.into_iter();
        next.outcomes.extend(refusals.map(|(number, why)| (number, refused(why))));
        if !next.outcomes.is_empty() && run.recorder.record(next.outcomes).await.is_err() {
            return stopped();
        }
        next.again.into_iter().filter(|batch| !batch.is_empty()).for_each(|b| queue.push_back(b));
        match next.fault {
            Some((sentence, Pause::Destination)) => {
                return postponed(format!("{name}: {sentence}"), Pause::Destination);
            }
            Some((sentence, Pause::Study)) => postponing = postponing.or(Some(sentence)),
            None => {}
        }
    }
    match postponing {
        Some(sentence) => postponed(format!("{name}: {sentence}"), Pause::Study),
        None => Ended::Complete,
    }
}

/// Who has to wait; the later one is the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pause {
    Study,
    Destination,
}

/// Sends one request and reads all of the answer that is of use.
async fn answer(
    client: &Client,
    upload: Upload<'_>,
) -> Result<(u16, Option<answer::Answers>), web::Error> {
    let mut answer = client.upload(upload).await?;
    let status = answer.status();
    let tells = answer.is_success() || status == 409;
    // An answer that breaks off names nobody, and what it said so far is not believed.
    let body = if tells { answer.bytes(LIMITS.body).await? } else { bytes::Bytes::new() };
    Ok((status, answer::read(&body)))
}

fn batches(instances: Vec<(u32, Arc<Instance>)>, compressed: Compressed) -> VecDeque<Vec<Item>> {
    let mut batches = VecDeque::new();
    let (mut batch, mut bytes): (Vec<Item>, u64) = (Vec::new(), 0);
    for (number, instance) in instances {
        let candidates = route::candidates(&instance.origin, compressed);
        let Some(own) = candidates.first().cloned() else { continue };
        let native = candidates.into_iter().find(|syntax| route::is_decoded(&own, syntax));
        let length = instance.blob.length;
        let is_full = batch.len() >= MOST_INSTANCES || bytes.saturating_add(length) > MOST_BYTES;
        if is_full && !batch.is_empty() {
            batches.push_back(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(length);
        batch.push(Item { number, instance, transfer_syntax: own, native });
    }
    if !batch.is_empty() {
        batches.push_back(batch);
    }
    batches
}

/// The sentence of a fault that stays; the other one is for what may pass.
fn lasting(fault: Fault) -> Result<String, String> {
    match fault {
        Fault::Object(sentence) => Ok(sentence),
        Fault::Read(_) if fault.is_damage() => {
            Ok("the local copy of this instance is damaged; import the study again".to_owned())
        }
        Fault::Read(_) | Fault::Closed => Err(format!("{fault}; check the disk of the spool")),
    }
}

/// What a person reads who looks after the destination, not after a portal.
fn told(error: &web::Error) -> String {
    match error {
        web::Error::Tls { host, fault: TlsFault::UnknownIssuer } => format!(
            "the certificate of {host} is not from a known authority; if it is of your own, set `ca-file` at \
             this destination"
        ),
        web::Error::Tls { host, fault } => format!(
            "no trusted connection to {host} ({fault:?}); look at its certificate and TLS versions"
        ),
        web::Error::RedirectedPost { host } => {
            format!("{host} redirects what it is sent; set `stow-url` to where it leads")
        }
        other => other.to_string(),
    }
}

fn refused(sentence: String) -> InstanceOutcome {
    InstanceOutcome::Refused { status: None, sentence }
}

fn stopped() -> Ended {
    postponed("sending was stopped; it goes on when the import does".to_owned(), Pause::Study)
}

fn postponed(sentence: String, pause: Pause) -> Ended {
    Ended::Postponed { sentence, pause_destination: pause == Pause::Destination }
}

#[cfg(test)]
mod tests;
