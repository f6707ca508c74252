//! Asks a peer step by step, and names the likely cause where it ends: for an administrator in front of a new peer.
//!
//! Invariant: nothing is stored, queried or changed at the peer; every step is bounded, and a step that fails ends
//! the probe with a sentence that says what to do.

use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::client::{self, Client, Secured, Wish};
use super::{Error, Proposed, Rejection, Remote, Spoken, Status, Stream, Timeouts, negotiate};
use crate::dicom::Uid;
use crate::tls::{self, Certificate, Fault};

/// A person waits for it.
pub const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    association: Duration::from_secs(10),
    read: Duration::from_secs(10),
    write: Duration::from_secs(10),
    response: Duration::from_secs(15),
};

/// A web server answers at once.
const SILENCE: Duration = Duration::from_secs(3);

/// Where a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    Name,
    Connection,
    Tls,
    Association,
    Echo,
    Services,
}

/// How a step ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub stage: Stage,
    pub milliseconds: u64,
    /// What it found, for a person.
    pub found: String,
}

/// A service of the peer, with the transfer syntaxes it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub sop_class: Uid,
    pub transfer_syntaxes: Vec<Uid>,
}

/// What a probe found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    pub steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    pub services: Vec<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Failed>,
}

/// The step that failed, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    pub stage: Stage,
    pub sentence: String,
}

/// Looks the name up, connects, shakes hands, associates, echoes; then proposes `services` to see which are taken,
/// which may take several associations.
pub async fn probe(remote: &Remote, services: &[Proposed]) -> Survey {
    let mut report = Survey::default();
    if let Err((stage, sentence)) = steps(remote, services, &mut report).await {
        report.fault = Some(Failed { stage, sentence });
    }
    report
}

async fn steps(
    remote: &Remote,
    services: &[Proposed],
    report: &mut Survey,
) -> Result<(), (Stage, String)> {
    let at = |stage: Stage| move |error: Error| (stage, error.to_string());
    let mut clock = Instant::now();
    let found = timeout(remote.timeouts.connect, tokio::net::lookup_host(&remote.address)).await;
    let addresses = match found {
        Ok(Ok(found)) => found.map(|address| address.ip().to_string()).collect::<Vec<_>>(),
        Ok(Err(_)) | Err(_) => vec![],
    };
    if addresses.is_empty() {
        return Err(at(Stage::Name)(Error::Resolve(remote.address.clone())));
    }
    report.took(Stage::Name, &mut clock, addresses.join(", "));
    let stream = client::connect(remote).await.map_err(at(Stage::Connection))?;
    report.took(Stage::Connection, &mut clock, "open".to_owned());
    let (stream, secured) = match handshake(stream, remote, report).await {
        Ok(stream) => stream,
        Err(fault) => {
            let sentence = explain_tls(remote, fault).await;
            return Err((Stage::Tls, sentence));
        }
    };
    if let Some(found) = secured.as_ref().map(|(_, found)| found.clone()) {
        report.took(Stage::Tls, &mut clock, found);
    }
    let secured = secured.map(|(secured, _)| secured);
    let client = Client::request(stream, remote, Wish::of(&verification())).await;
    let mut client = match client {
        Ok(client) => client,
        Err(error) => {
            let error = match &secured {
                Some(secured) => secured.explain(error),
                None => error,
            };
            return Err((Stage::Association, explain(remote, error).await));
        }
    };
    report.took(Stage::Association, &mut clock, "accepted".to_owned());
    let echoed = client.echo().await;
    client.end().await;
    match echoed {
        Ok(Status::SUCCESS) => report.took(Stage::Echo, &mut clock, "success".to_owned()),
        Ok(status) => return Err((Stage::Echo, status.sentence())),
        Err(error) => return Err((Stage::Echo, explain(remote, error).await)),
    }
    let mut rest = services;
    while !rest.is_empty() {
        let (some, behind) = rest.split_at(fitting(rest));
        let taken = client::call(remote, some, async |client| Ok::<_, Error>(client.taken())).await;
        report.services.extend(taken.map_err(at(Stage::Services))?);
        rest = behind;
    }
    if !services.is_empty() {
        let found = format!("{} of {} classes", report.services.len(), services.len());
        report.took(Stage::Services, &mut clock, found);
    }
    Ok(())
}

fn verification() -> [Proposed; 1] {
    [Proposed {
        sop_class: negotiate::known(uids::VERIFICATION),
        transfer_syntaxes: vec![negotiate::known(uids::IMPLICIT_VR_LITTLE_ENDIAN)],
    }]
}

/// How many of these have room for each pair of class and syntax on one association.
fn fitting(services: &[Proposed]) -> usize {
    let mut pairs = 0_usize;
    let fits = services.iter().take_while(|proposed| {
        pairs = pairs.saturating_add(proposed.transfer_syntaxes.len());
        pairs <= negotiate::CONTEXT_LIMIT
    });
    fits.count().max(1)
}

impl Survey {
    fn took(&mut self, stage: Stage, clock: &mut Instant, found: String) {
        let milliseconds = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.steps.push(Step { stage, milliseconds, found });
        *clock = Instant::now();
    }
}

type Shaken = (Box<dyn Stream>, Option<(Secured, String)>);

async fn handshake(
    stream: TcpStream,
    remote: &Remote,
    report: &mut Survey,
) -> Result<Shaken, Fault> {
    let Some(dialer) = remote.security.tls.clone() else {
        return Ok((Box::new(stream), None));
    };
    let seen = tls::Seen::default();
    let patience = remote.timeouts.association;
    let dialled = dialer.dial(stream, remote.host(), patience, &seen).await;
    report.certificate = seen.certificate();
    let stream = dialled?;
    let mut found = tls::agreed(&stream);
    if let Some(certificate) = &report.certificate {
        found = format!("{found}; certificate until {}", certificate.end());
    }
    Ok((Box::new(stream), Some((Secured { dialer, seen }, found))))
}

/// Why a handshake failed: whether the other side speaks plain DICOM can be asked.
async fn explain_tls(remote: &Remote, fault: Fault) -> String {
    let silent = matches!(fault, Fault::NotTls | Fault::Closed | Fault::TimedOut | Fault::Other(_));
    if !silent {
        return fault.to_string();
    }
    let mut plain = remote.clone();
    plain.security = Arc::default();
    let Ok(stream) = client::connect(&plain).await else {
        return fault.to_string();
    };
    match Client::request(Box::new(stream), &plain, Wish::of(&verification())).await.map(drop) {
        Ok(()) | Err(Error::Rejected(_) | Error::Aborted(_) | Error::Protocol { .. }) => {
            "the port speaks plain DICOM and our `tls` is set; take `tls` from this peer, or correct the port"
                .to_owned()
        }
        Err(Error::NotDicom(Spoken::Tls)) => fault.to_string(),
        Err(Error::NotDicom(spoken)) => spoken.to_string(),
        Err(_) => fault.to_string(),
    }
}

/// Why an association failed, with the titles and ports in question.
async fn explain(remote: &Remote, error: Error) -> String {
    let (ours, theirs) = (&remote.calling, &remote.called);
    match error {
        Error::Rejected(Rejection::CallingUnknown) => format!(
            "it does not know our AE title {ours} (or not from our address); register {ours} there"
        ),
        Error::Rejected(Rejection::CalledUnknown) => format!(
            "it does not have the AE title {theirs}; correct `ae-title` of this peer (titles are case-sensitive)"
        ),
        // The second is what pynetdicom answers to a user that it does not know.
        Error::Rejected(Rejection::NotPermitted | Rejection::Other(_, 2, 1)) => format!(
            "it rejected us without a reason; often {ours}, our address or our user identity is not allowed there"
        ),
        Error::Closed(_) | Error::TimedOut(_) | Error::Io(_)
            if remote.security.tls.is_none() && speaks_tls(remote).await =>
        {
            "the port speaks TLS and we called it plain; set `tls` for this peer, or correct the port".to_owned()
        }
        Error::NotDicom(Spoken::Tls) => {
            "the port speaks TLS and we called it plain; set `tls` for this peer, or correct the port".to_owned()
        }
        Error::TimedOut(_) if speaks_http(remote).await => Spoken::Http.to_string(),
        Error::TimedOut(_) => format!(
            "it takes the connection and says nothing; it hangs, or {} is not its DICOM port",
            remote.address
        ),
        other => other.to_string(),
    }
}

/// A web server waits for the end of a line before it complains, and an association request has none.
async fn speaks_http(remote: &Remote) -> bool {
    let Ok(mut stream) = client::connect(remote).await else {
        return false;
    };
    let asked = async {
        stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await?;
        let mut beginning = [0; 4];
        stream.read_exact(&mut beginning).await?;
        Ok::<_, std::io::Error>(beginning == *b"HTTP")
    };
    matches!(timeout(SILENCE, asked).await, Ok(Ok(true)))
}

async fn speaks_tls(remote: &Remote) -> bool {
    match client::connect(remote).await {
        Ok(stream) => tls::is_spoken(stream, remote.host(), remote.timeouts.association).await,
        Err(_) => false,
    }
}
