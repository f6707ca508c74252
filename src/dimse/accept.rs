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
use super::wire::{Heard, Phase, Stream, split};
use super::{
    Caller, Context, MAX_PDU, MIN_PDU, NameMatching, Offer, ServerAssociation, Terms, negotiate,
};
use crate::dicom::AeTitle;

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
    let max_pdu = terms.max_pdu.clamp(MIN_PDU, MAX_PDU);
    // Until the request is whole, ARTIM is the bound for everything (PS3.8 9.2, Sta2).
    let timeouts = terms.timeouts;
    let (inbound, outbound) = split(stream, max_pdu, timeouts.read, timeouts.write);
    let (mut ear, mut voice) = (Ear::new(inbound), Voice::new(outbound));
    match negotiate(&mut ear, &mut voice, address, terms, max_pdu, decide).await {
        Ok((caller, contexts, names, gives)) => {
            let association = ServerAssociation::new(ear, voice, caller, contexts, *terms);
            Ok(association.comparing(names).giving(gives))
        }
        Err(Error::Declined(rejection)) => {
            let last = Pdu::AssociationRJ(rejected(rejection));
            voice.outbound.close(&mut ear.inbound, Some(&last)).await;
            Err(Error::Declined(rejection))
        }
        Err(error) => {
            message::abort(&mut ear, &mut voice, Some(&error)).await;
            Err(error)
        }
    }
}

async fn negotiate(
    ear: &mut Ear,
    voice: &mut Voice,
    address: SocketAddr,
    terms: &Terms,
    max_pdu: u32,
    decide: impl FnOnce(&Caller) -> Result<Vec<Offer>, Rejection>,
) -> Result<(Caller, Vec<Context>, NameMatching, Vec<u8>), Error> {
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
    let caller = caller(&request, address).map_err(Error::Declined)?;
    let peer_max_pdu = negotiate::peer_max_pdu(&request.user_variables)
        .map_err(|_| Error::Declined(Rejection::LimitExceeded))?;
    let offers = decide(&caller).map_err(Error::Declined)?;
    let roles = Roles::wanted(&request.user_variables);
    let (results, contexts) = negotiate::answer(&request.presentation_contexts, &roles, &offers);
    let (answered_roles, gives) = roles.answer(&offers, &contexts);
    let (option, names) = negotiate::worklist_options(&request.user_variables, &contexts);
    let mut user_variables = negotiate::user_variables(max_pdu);
    user_variables.extend(option);
    user_variables.extend(answered_roles);
    ear.set_contexts(contexts.iter().map(|context| context.id));
    ear.inbound.phase = Phase::Established;
    voice.set_max_pdu(peer_max_pdu);
    let answer = Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        // Echoed as they came: reserved, and some peers compare them (PS3.8 9.3.3).
        calling_ae_title: request.calling_ae_title,
        called_ae_title: request.called_ae_title,
        application_context_name: negotiate::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables,
    });
    voice.outbound.send(&answer).await?;
    Ok((caller, contexts, names, gives))
}

fn caller(request: &AssociationRQ, address: SocketAddr) -> Result<Caller, Rejection> {
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
    Ok(Caller { calling, called, address })
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
