//! The requestor's side: an association as a closure, so that nobody can forget to end it.

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason,
    AssociationRJServiceUserReason as UserReason, AssociationRJSource, AssociationRQ, Pdu,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::command::Command;
use super::error::{Abort, Error, Rejection};
use super::message::{self, Ear, Part, Voice};
use super::wire::{CALLED_LINGERS, Heard, Phase, Stream, abort_reason, split};
use super::{
    Context, Extended, MAX_PDU, MIN_PDU, Proposed, Remote, Service, Status, Timeouts, negotiate,
};
use crate::dicom::Uid;
use crate::tls;

/// An association that we requested. Made by [`call`], which always releases or aborts it; if the future of
/// `call` is dropped or panics, an A-ABORT is tried and the connection closed.
pub struct Client {
    pub(super) ear: Ear,
    pub(super) voice: Voice,
    pub(super) contexts: Vec<Context>,
    pub(super) timeouts: Timeouts,
    /// What the peer answered to our extended negotiation.
    agreed: Vec<Extended>,
    message_id: u16,
}

/// Connects, requests an association, runs `work`, then releases it (aborts if `work` failed).
///
/// # Errors
///
/// Those of `work`, and [`Error`] for everything before it. A release that fails is no error: the answers of the
/// peer came before.
pub async fn call<T, E: From<Error>>(
    remote: &Remote,
    contexts: &[Proposed],
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    call_extended(remote, contexts, &[], work).await
}

/// [`call`] with SOP class extended negotiation (PS3.7 D.3.3.5); what the peer agreed to is in
/// [`Client::agreed`].
pub async fn call_extended<T, E: From<Error>>(
    remote: &Remote,
    contexts: &[Proposed],
    extended: &[Extended],
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    let (stream, secured) = secure(connect(remote).await?, remote).await?;
    converse(stream, secured, remote, Wish { contexts, extended, scp_of: &[] }, work).await
}

/// [`call`] as SCP of these classes too (PS3.7 D.3.3.4): the peer sends objects of them within a C-GET, or is told
/// what became of the commitment that it asked for.
pub async fn call_as_scp<T, E: From<Error>>(
    remote: &Remote,
    contexts: &[Proposed],
    classes: &[Uid],
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    let (stream, secured) = secure(connect(remote).await?, remote).await?;
    let wish = Wish { contexts, extended: &[], scp_of: classes };
    converse(stream, secured, remote, wish, work).await
}

/// What we ask of an association.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) contexts: &'a [Proposed],
    pub(super) extended: &'a [Extended],
    /// Classes that we want to be SCP of.
    pub(super) scp_of: &'a [Uid],
}

impl<'a> Wish<'a> {
    /// To be SCU in these contexts.
    pub(super) fn of(contexts: &'a [Proposed]) -> Self {
        Self { contexts, extended: &[], scp_of: &[] }
    }
}

/// [`call`] as the provider of storage commitment that reports on the peer's own request.
///
/// # Errors
///
/// As [`call`].
pub async fn call_to_report<T, E: From<Error>>(
    remote: &Remote,
    contexts: &[Proposed],
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    let classes: Vec<Uid> = contexts.iter().map(|context| context.sop_class.clone()).collect();
    call_as_scp(remote, contexts, &classes, work).await
}

/// [`call`] over a stream that is connected already (TLS).
pub async fn call_over<T, E: From<Error>>(
    stream: Box<dyn Stream>,
    remote: &Remote,
    contexts: &[Proposed],
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    converse(stream, None, remote, Wish::of(contexts), work).await
}

async fn converse<T, E: From<Error>>(
    stream: Box<dyn Stream>,
    secured: Option<Secured>,
    remote: &Remote,
    wish: Wish<'_>,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
) -> Result<T, E> {
    let client = Client::request(stream, remote, wish).await;
    // That our certificate is refused is heard only now, in TLS 1.3.
    let mut client = client.map_err(|error| match secured {
        Some(secured) => secured.explain(error),
        None => error,
    })?;
    match work(&mut client).await {
        Ok(done) => {
            if let Err(error) = client.release().await {
                tracing::debug!(%error, "association not released in order");
            }
            Ok(done)
        }
        Err(error) => {
            client.abort(None).await;
            Err(error)
        }
    }
}

/// What TLS knows of a connection beside its bytes.
pub(super) struct Secured {
    pub(super) dialer: tls::Dialer,
    pub(super) seen: tls::Seen,
}

impl Secured {
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Tls(fault) => Error::Tls(self.dialer.sharpen(fault, &self.seen)),
            Error::Closed(doing) => match self.dialer.sharpen(tls::Fault::Closed, &self.seen) {
                tls::Fault::Closed => Error::Closed(doing),
                fault => Error::Tls(fault),
            },
            other => other,
        }
    }
}

/// The connection as the peer's section wants it.
pub(super) async fn secure(
    stream: TcpStream,
    remote: &Remote,
) -> Result<(Box<dyn Stream>, Option<Secured>), Error> {
    let Some(dialer) = remote.security.tls.clone() else {
        return Ok((Box::new(stream), None));
    };
    let seen = tls::Seen::default();
    let patience = remote.timeouts.association;
    let dialled = dialer.dial(stream, remote.host(), patience, &seen).await;
    Ok((Box::new(dialled.map_err(Error::Tls)?), Some(Secured { dialer, seen })))
}

pub(super) async fn connect(remote: &Remote) -> Result<TcpStream, Error> {
    let address = remote.address.as_str();
    let attempt = async {
        let found = tokio::net::lookup_host(address).await;
        let mut last = Error::Resolve(address.to_owned());
        for place in found.map_err(|_| Error::Resolve(address.to_owned()))? {
            match TcpStream::connect(place).await {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    last = Error::Refused(address.to_owned());
                }
                Err(source) => {
                    last = Error::Unreachable { address: address.to_owned(), source };
                }
            }
        }
        Err(last)
    };
    let unanswered = |_| Error::Unanswered(address.to_owned());
    let stream = timeout(remote.timeouts.connect, attempt).await.map_err(unanswered)??;
    // Without it, small PDUs wait for the delayed acknowledgement of the one before: 20 objects a second.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Client {
    pub(super) async fn request(
        stream: Box<dyn Stream>,
        remote: &Remote,
        Wish { contexts, extended, scp_of }: Wish<'_>,
    ) -> Result<Self, Error> {
        let proposed = negotiate::propose(contexts)?;
        let max_pdu = remote.max_pdu.clamp(MIN_PDU, MAX_PDU);
        let mut user_variables = negotiate::with_wishes(max_pdu, extended, scp_of);
        if let Some(identity) = &remote.security.identity {
            user_variables.push(identity.load().await?.item());
        }
        let timeouts = remote.timeouts;
        let (inbound, outbound) = split(stream, max_pdu, &timeouts, CALLED_LINGERS);
        let mut client = Self {
            ear: Ear::new(inbound),
            voice: Voice::new(outbound),
            contexts: Vec::new(),
            timeouts,
            agreed: Vec::new(),
            message_id: 0,
        };
        let request = Pdu::AssociationRQ(AssociationRQ {
            protocol_version: 1,
            calling_ae_title: remote.calling.as_str().to_owned(),
            called_ae_title: remote.called.as_str().to_owned(),
            application_context_name: negotiate::APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: proposed.clone(),
            user_variables,
        });
        let established = async {
            client.voice.outbound.send(&request).await?;
            const DOING: &str = "we waited for its answer to the association request";
            match client.ear.inbound.next(timeouts.association, DOING).await? {
                Heard::Other(Pdu::AssociationAC(answer)) => {
                    client.contexts = negotiate::accepted(&proposed, &answer.presentation_contexts);
                    client.agreed = negotiate::agreed(extended, &answer.user_variables);
                    client.ear.set_contexts(client.contexts.iter().map(|context| context.id));
                    client.voice.set_max_pdu(negotiate::peer_max_pdu(&answer.user_variables)?);
                    client.ear.inbound.phase = Phase::Established;
                    Ok(())
                }
                Heard::Other(Pdu::AssociationRJ(rejected)) => {
                    Err(Error::Rejected(rejection(&rejected)))
                }
                Heard::Other(Pdu::AbortRQ { source }) => Err(Error::Aborted(abort_reason(&source))),
                Heard::Data(_) | Heard::Other(_) => Err(Error::protocol(
                    "no answer to the association request",
                    Abort::UnexpectedPdu,
                )),
            }
        };
        match established.await {
            Ok(()) => Ok(client),
            Err(error) => {
                client.abort(Some(&error)).await;
                Err(error)
            }
        }
    }

    /// The transfer syntaxes that the peer accepted for a class: each (class, syntax) pair is proposed in a
    /// context of its own as far as 128 contexts reach.
    pub fn accepted(&self, sop_class: &Uid) -> Vec<Uid> {
        let of_class = self.contexts.iter().filter(|context| context.sop_class == *sop_class);
        of_class.map(|context| context.transfer_syntax.clone()).collect()
    }

    /// What the peer accepted, by class.
    pub(super) fn taken(&self) -> Vec<Service> {
        let mut services: Vec<Service> = vec![];
        for context in &self.contexts {
            let syntax = context.transfer_syntax.clone();
            match services.iter_mut().find(|one| one.sop_class == context.sop_class) {
                Some(service) => service.transfer_syntaxes.push(syntax),
                None => services.push(Service {
                    sop_class: context.sop_class.clone(),
                    transfer_syntaxes: vec![syntax],
                }),
            }
        }
        services
    }

    /// Releases, of a client that no [`call`] looks after.
    pub(super) async fn end(mut self) {
        if let Err(error) = self.release().await {
            tracing::debug!(%error, "association not released in order");
        }
    }

    /// What the peer answered to our extended negotiation of a class; `None` if it did not.
    pub fn agreed(&self, sop_class: &Uid) -> Option<&[u8]> {
        let of_class = self.agreed.iter().find(|one| one.sop_class == *sop_class);
        of_class.map(|one| one.information.as_slice())
    }

    /// Whether nothing more can be asked on this association: it was released or aborted from either side.
    pub fn is_over(&self) -> bool {
        self.voice.outbound.is_shut()
    }

    /// C-ECHO. Needs a context for Verification.
    pub async fn echo(&mut self) -> Result<Status, Error> {
        let context = self.context(&negotiate::known(uids::VERIFICATION), None)?;
        let message_id = self.next_message_id();
        let result = self.echo_as(context, message_id).await;
        self.settle(result).await
    }

    async fn echo_as(&mut self, context: u8, message_id: u16) -> Result<Status, Error> {
        self.voice.command(context, &Command::EchoRq { message_id }).await?;
        match self.answer().await? {
            Command::EchoRsp { responded, status } if responded == message_id => Ok(status),
            _ => Err(wrong_answer()),
        }
    }

    /// The context of a class and a syntax, or of a class in any syntax.
    pub(super) fn context(&self, sop_class: &Uid, syntax: Option<&Uid>) -> Result<u8, Error> {
        if self.is_over() {
            return Err(Error::Dead);
        }
        let fits = |context: &&Context| {
            context.sop_class == *sop_class
                && syntax.is_none_or(|syntax| context.transfer_syntax == *syntax)
        };
        self.contexts.iter().find(fits).map(|context| context.id).ok_or_else(|| {
            Error::ContextRefused { sop_class: sop_class.clone(), transfer_syntax: syntax.cloned() }
        })
    }

    pub(super) fn next_message_id(&mut self) -> u16 {
        self.message_id = self.message_id.checked_add(1).unwrap_or(1);
        self.message_id
    }

    /// The next command, which has to be an answer.
    pub(super) async fn answer(&mut self) -> Result<Command, Error> {
        const DOING: &str = "we waited for its answer";
        match self.ear.next(self.timeouts.response, DOING).await? {
            Part::Command { command, .. } => Ok(command),
            Part::Released => Err(Error::Released(DOING)),
            Part::Data { .. } => Err(wrong_answer()),
        }
    }

    /// Ends the association at once after a fault: nothing on it can be trusted any more (fo-dicom #1359).
    pub(super) async fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            let error = std::pin::pin!(self.abort(Some(error)));
            error.await;
        }
        result
    }

    pub(super) async fn abort(&mut self, error: Option<&Error>) {
        message::abort(&mut self.ear, &mut self.voice, error).await;
    }

    async fn release(&mut self) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        let released = self.release_in_order().await;
        match &released {
            Ok(()) => self.voice.outbound.close(&mut self.ear.inbound, None).await,
            Err(error) => self.abort(Some(error)).await,
        }
        released
    }

    async fn release_in_order(&mut self) -> Result<(), Error> {
        const DOING: &str = "we waited for its answer to the release";
        self.voice.outbound.send(&Pdu::ReleaseRQ).await?;
        // Answers that nobody waits for any more may still be on their way; few, and never for ever.
        for _ in 0..64 {
            match self.ear.inbound.next(self.timeouts.association, DOING).await? {
                Heard::Other(Pdu::ReleaseRP) => return Ok(()),
                // Both sides released at once (PS3.8 9.2.2, collision).
                Heard::Other(Pdu::ReleaseRQ) => {
                    self.voice.outbound.send(&Pdu::ReleaseRP).await?;
                }
                Heard::Other(Pdu::AbortRQ { source }) => {
                    return Err(Error::Aborted(abort_reason(&source)));
                }
                Heard::Data(_) => {}
                Heard::Other(_) => break,
            }
        }
        Err(Error::protocol("no answer to the release", Abort::UnexpectedPdu))
    }
}

pub(super) fn wrong_answer() -> Error {
    Error::protocol("an answer that does not belong to the request", Abort::UnexpectedParameter)
}

fn rejection(rejected: &AssociationRJ) -> Rejection {
    let result = match rejected.result {
        AssociationRJResult::Permanent => 1,
        AssociationRJResult::Transient => 2,
    };
    match &rejected.source {
        AssociationRJSource::ServiceUser(reason) => match reason {
            // A transient one without reason is what busy peers send.
            UserReason::NoReasonGiven if result == 2 => Rejection::Congestion,
            UserReason::NoReasonGiven => Rejection::NotPermitted,
            UserReason::ApplicationContextNameNotSupported => Rejection::ApplicationContext,
            UserReason::CallingAETitleNotRecognized => Rejection::CallingUnknown,
            UserReason::CalledAETitleNotRecognized => Rejection::CalledUnknown,
            UserReason::Reserved(reason) => Rejection::Other(result, 1, *reason),
        },
        AssociationRJSource::ServiceProviderASCE(reason) => match reason {
            AcseReason::NoReasonGiven => Rejection::Other(result, 2, 1),
            AcseReason::ProtocolVersionNotSupported => Rejection::ProtocolVersion,
        },
        AssociationRJSource::ServiceProviderPresentation(reason) => match reason {
            PresentationReason::TemporaryCongestion => Rejection::Congestion,
            PresentationReason::LocalLimitExceeded => Rejection::LimitExceeded,
            PresentationReason::Reserved(reason) => Rejection::Other(result, 3, *reason),
        },
    }
}
