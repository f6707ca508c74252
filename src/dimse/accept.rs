//! The acceptor's side of negotiation: an association request read, judged, answered (PS3.8 7.1.1, 9.2 Sta2).

use std::net::SocketAddr;

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult,
    AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason,
    AssociationRJServiceUserReason as UserReason, AssociationRJSource, AssociationRQ, Pdu,
};
use tokio::net::TcpStream;

use super::error::{Abort, Error, Rejection};
use super::message::{self, Ear, Voice};
use super::roles::Roles;
use super::wire::{CALLER_LINGERS, Heard, Phase, Stream, split};
use super::{
    Caller, Context, Identity, MAX_PDU, MIN_PDU, NameMatching, Offer, ServerAssociation, Terms,
    identity, negotiate,
};
use crate::dicom::AeTitle;
use crate::tls::Certificate;

/// [`accept`] on a TCP connection, with `TCP_NODELAY`.
///
/// # Errors
///
/// As [`accept`].
pub async fn accept_tcp(
    stream: TcpStream,
    address: SocketAddr,
    terms: &Terms,
    decide: impl FnOnce(&Caller) -> Result<Vec<Offer>, Rejection>,
) -> Result<ServerAssociation, Error> {
    stream.set_nodelay(true)?;
    accept(Box::new(stream), address, terms, decide).await
}

/// Reads an association request and answers it. `decide` tells what the caller may do here, or rejects it.
///
/// # Errors
///
/// [`Error::Declined`] if we rejected it; else what was wrong with the connection. The peer has been told.
pub async fn accept(
    stream: Box<dyn Stream>,
    address: SocketAddr,
    terms: &Terms,
    decide: impl FnOnce(&Caller) -> Result<Vec<Offer>, Rejection>,
) -> Result<ServerAssociation, Error> {
    let asking = hear(stream, address, None, terms).await?;
    let decision = decide(asking.caller());
    asking.answer(decision).await
}

/// Someone who has asked for an association and has no answer yet. Dropped, it is aborted.
pub struct Asking {
    ear: Ear,
    voice: Voice,
    request: AssociationRQ,
    caller: Caller,
    terms: Terms,
    peer_max_pdu: u32,
}

/// Reads an association request, and rejects what nobody could serve. `certificate` is what the caller has shown
/// in the TLS handshake.
///
/// # Errors
///
/// As [`accept`].
pub async fn hear(
    stream: Box<dyn Stream>,
    address: SocketAddr,
    certificate: Option<Certificate>,
    terms: &Terms,
) -> Result<Asking, Error> {
    let max_pdu = terms.max_pdu.clamp(MIN_PDU, MAX_PDU);
    // Until the request is whole, ARTIM is the bound for everything (PS3.8 9.2, Sta2).
    let timeouts = terms.timeouts;
    let (inbound, outbound) = split(stream, max_pdu, &timeouts, CALLER_LINGERS);
    let (mut ear, mut voice) = (Ear::new(inbound), Voice::new(outbound));
    match listen_to(&mut ear, address, certificate, terms).await {
        Ok((request, caller, peer_max_pdu)) => {
            Ok(Asking { ear, voice, request, caller, terms: *terms, peer_max_pdu })
        }
        Err(error) => Err(turn_away(&mut ear, &mut voice, error).await),
    }
}

async fn listen_to(
    ear: &mut Ear,
    address: SocketAddr,
    certificate: Option<Certificate>,
    terms: &Terms,
) -> Result<(AssociationRQ, Caller, u32), Error> {
    const DOING: &str = "we waited for its association request";
    let artim = terms.timeouts.association;
    let request = tokio::time::timeout(artim, ear.inbound.next(artim, DOING));
    let request = match request.await.map_err(|_| Error::TimedOut(DOING))?? {
        Heard::Other(Pdu::AssociationRQ(request)) => request,
        Heard::Other(Pdu::AbortRQ { .. }) => return Err(Error::Closed(DOING)),
        Heard::Data(_) | Heard::Other(_) => {
            return Err(Error::protocol("no association request", Abort::UnexpectedPdu));
        }
    };
    let caller = caller(&request, address, certificate).map_err(Error::Declined)?;
    let peer_max_pdu = negotiate::peer_max_pdu(&request.user_variables)
        .map_err(|_| Error::Declined(Rejection::LimitExceeded))?;
    Ok((request, caller, peer_max_pdu))
}

/// Tells the peer of a fault that ends everything.
async fn turn_away(ear: &mut Ear, voice: &mut Voice, error: Error) -> Error {
    match &error {
        Error::Declined(rejection) => {
            let last = Pdu::AssociationRJ(rejected(*rejection));
            voice.outbound.close(&mut ear.inbound, Some(&last)).await;
        }
        error => message::abort(ear, voice, Some(error)).await,
    }
    error
}

impl Asking {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Accepts what was proposed and is offered, or rejects.
    ///
    /// # Errors
    ///
    /// As [`accept`].
    pub async fn answer(
        mut self,
        decision: Result<Vec<Offer>, Rejection>,
    ) -> Result<ServerAssociation, Error> {
        match self.agree(decision).await {
            Ok((contexts, names, gives)) => {
                let Self { ear, voice, caller, terms, .. } = self;
                let association = ServerAssociation::new(ear, voice, caller, contexts, terms);
                Ok(association.comparing(names).giving(gives))
            }
            Err(error) => Err(turn_away(&mut self.ear, &mut self.voice, error).await),
        }
    }

    async fn agree(
        &mut self,
        decision: Result<Vec<Offer>, Rejection>,
    ) -> Result<(Vec<Context>, NameMatching, Vec<u8>), Error> {
        let offers = decision.map_err(Error::Declined)?;
        let request = &self.request;
        let roles = Roles::wanted(&request.user_variables);
        let (results, contexts) =
            negotiate::answer(&request.presentation_contexts, &roles, &offers);
        let (answered_roles, gives) = roles.answer(&offers, &contexts);
        let (option, names) = negotiate::worklist_options(&request.user_variables, &contexts);
        let max_pdu = self.terms.max_pdu.clamp(MIN_PDU, MAX_PDU);
        let mut user_variables = negotiate::user_variables(max_pdu);
        user_variables.extend(option);
        user_variables.extend(answered_roles);
        user_variables.extend(identity::response(&request.user_variables));
        self.ear.set_contexts(contexts.iter().map(|context| context.id));
        self.ear.inbound.phase = Phase::Established;
        self.voice.set_max_pdu(self.peer_max_pdu);
        let answer = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            // Echoed as they came: reserved, and some peers compare them (PS3.8 9.3.3).
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            application_context_name: negotiate::APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: results,
            user_variables,
        });
        self.voice.outbound.send(&answer).await?;
        Ok((contexts, names, gives))
    }
}

fn caller(
    request: &AssociationRQ,
    address: SocketAddr,
    certificate: Option<Certificate>,
) -> Result<Caller, Rejection> {
    // Only bit 0 is tested (PS3.8 9.3.2): a peer may know later versions too.
    if request.protocol_version & 1 == 0 {
        return Err(Rejection::ProtocolVersion);
    }
    let context = request.application_context_name.trim_matches(['\0', ' ']);
    if context != negotiate::APPLICATION_CONTEXT {
        return Err(Rejection::ApplicationContext);
    }
    let calling = AeTitle::new(&request.calling_ae_title).map_err(|_| Rejection::CallingUnknown)?;
    let called = AeTitle::new(&request.called_ae_title).map_err(|_| Rejection::CalledUnknown)?;
    let identity = Identity::of(&request.user_variables);
    Ok(Caller { calling, called, address, certificate, identity })
}

fn rejected(rejection: Rejection) -> AssociationRJ {
    use AssociationRJResult::{Permanent, Transient};
    use AssociationRJSource::{ServiceProviderASCE, ServiceProviderPresentation, ServiceUser};
    let (result, source) = match rejection {
        Rejection::CallingUnknown => {
            (Permanent, ServiceUser(UserReason::CallingAETitleNotRecognized))
        }
        Rejection::CalledUnknown => {
            (Permanent, ServiceUser(UserReason::CalledAETitleNotRecognized))
        }
        Rejection::ApplicationContext => {
            (Permanent, ServiceUser(UserReason::ApplicationContextNameNotSupported))
        }
        Rejection::NotPermitted | Rejection::Other(..) => {
            (Permanent, ServiceUser(UserReason::NoReasonGiven))
        }
        Rejection::ProtocolVersion => {
            (Permanent, ServiceProviderASCE(AcseReason::ProtocolVersionNotSupported))
        }
        Rejection::Congestion => {
            (Transient, ServiceProviderPresentation(PresentationReason::TemporaryCongestion))
        }
        Rejection::LimitExceeded => {
            (Transient, ServiceProviderPresentation(PresentationReason::LocalLimitExceeded))
        }
    };
    AssociationRJ { result, source }
}
