//! The DICOM door: who may come in, and what they may ask.
//!
//! Owns the listeners of our own application entity and the dispatch by service. It admits, asks and answers; it
//! never schedules. Invariants: an object is answered with success only after its bytes and its record are on the
//! device (`Intake::stored`); no peer is heard that is not configured, and none gets a service that it was not
//! given; bytes of a peer are data, never a name or a path.

mod intake;
mod moved;
mod plain;
mod query;
mod section;
mod store;
mod worklist;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use intake::Intake;
pub use section::{DicomSection, ListenerSection};
pub use worklist::{Key as WorklistKey, keys as worklist_keys};

use crate::dicom::AeTitle;
use crate::dimse::{
    self, Caller, May, Offer, PeerSection, Rejection, Request, ServerAssociation, Status, Terms,
};
use crate::import::Kind;
use crate::worklist::Worklist;
use moved::Moved;
use store::Reception;

/// How much the door takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Associations of all listeners together; more are told to come back later.
    pub associations: usize,
    pub terms: Terms,
    /// How long an object under way may go on when the gateway stops; the scheduler drains after it.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // A modality opens one or two associations, an import station up to eight: 64 serves a large site, and
        // at 128 KiB a PDU stays within 64 MiB.
        Self { associations: 64, terms: Terms::default(), grace: Duration::from_secs(10) }
    }
}

/// What all listeners share.
pub struct Door {
    ae_title: AeTitle,
    peers: RwLock<Arc<BTreeMap<String, PeerSection>>>,
    intake: Arc<dyn Intake>,
    /// What modalities may ask for; none until [`Door::set_worklist`].
    worklist: RwLock<Option<Worklist>>,
    limits: Limits,
    permits: Arc<Semaphore>,
    /// What objects under way may hold in memory, in KiB.
    room: Arc<Semaphore>,
}

impl Door {
    /// `peers` by their name in the configuration.
    pub fn new(
        ae_title: AeTitle,
        peers: BTreeMap<String, PeerSection>,
        intake: Arc<dyn Intake>,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            ae_title,
            peers: RwLock::new(Arc::new(peers)),
            intake,
            worklist: RwLock::default(),
            limits,
            permits: Arc::new(Semaphore::new(limits.associations)),
            room: Arc::new(Semaphore::new(plain::ROOM)),
        })
    }

    /// From the next association on.
    pub fn set_peers(&self, peers: BTreeMap<String, PeerSection>) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(peers);
    }

    /// From the next query on.
    pub fn set_worklist(&self, worklist: Worklist) {
        *self.worklist.write().unwrap_or_else(PoisonError::into_inner) = Some(worklist);
    }

    fn worklist(&self) -> Option<Worklist> {
        self.worklist.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn held(&self) -> query::Held {
        let intake = Arc::clone(&self.intake);
        Box::new(move || intake.held())
    }

    fn peers(&self) -> Arc<BTreeMap<String, PeerSection>> {
        Arc::clone(&self.peers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whom the caller is, or why it is turned away.
    fn admit(&self, caller: &Caller) -> Result<Admitted, Rejection> {
        if caller.called != self.ae_title {
            return Err(Rejection::CalledUnknown);
        }
        let peers = self.peers();
        let from = caller.address.ip().to_canonical();
        let by_title = || peers.iter().filter(|(_, peer)| peer.ae_title == caller.calling);
        let lives_there = |peer: &PeerSection| peer.host().parse::<IpAddr>().ok() == Some(from);
        // Two peers may share a title; the address decides then.
        let found = by_title().find(|(_, peer)| lives_there(peer)).or_else(|| by_title().next());
        let (name, peer) = found.ok_or(Rejection::CallingUnknown)?;
        if peer.host().parse::<IpAddr>().is_ok() && !lives_there(peer) {
            tracing::warn!(peer = %name, address = %from, "peer called from another address than configured");
        }
        let expected = self.intake.moves().expects(name, peer.host());
        if peer.may.is_empty() && !expected {
            return Err(Rejection::NotPermitted);
        }
        Ok(Admitted {
            peer: name.clone(),
            host: peer.host().to_owned(),
            ae_title: caller.calling.clone(),
            may: peer.may.clone(),
            sends: if expected { Sends::WhatWeAskedFor } else { Sends::AsItMay },
        })
    }
}

/// A peer on an association.
struct Admitted {
    peer: String,
    host: String,
    ae_title: AeTitle,
    may: Vec<May>,
    sends: Sends,
}

/// Whether a peer may send objects beyond what `may` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    AsItMay,
    /// A C-MOVE of ours is under way.
    WhatWeAskedFor,
}

impl Admitted {
    fn offers(&self) -> Vec<Offer> {
        let offer = |may: &May| match may {
            May::Echo => vec![Offer::verification()],
            May::Store => vec![Offer::any_storage()],
            May::Worklist => vec![Offer::worklist()],
            May::Query => Offer::query().into(),
            May::Retrieve => Offer::retrieve().into(),
        };
        let mut offers: Vec<Offer> = self.may.iter().flat_map(offer).collect();
        if self.sends == Sends::WhatWeAskedFor && !self.may.contains(&May::Store) {
            offers.push(Offer::any_storage());
        }
        offers
    }
}

/// Serves one listener until `stop`. Objects under way are finished within the grace period, then associations
/// are aborted. The listener is bound already, so that its address is known and its failure the caller's.
pub async fn serve(listener: TcpListener, door: Arc<Door>, stop: CancellationToken) {
    let limits = door.limits;
    let connection = |stream, from| converse(Arc::clone(&door), stop.clone(), stream, from);
    // As many again may be open as it takes to be told "later".
    let connections = limits.associations.saturating_mul(2);
    dimse::listen(listener, stop.clone(), limits.grace, connections, connection).await;
}

async fn converse(door: Arc<Door>, stop: CancellationToken, stream: TcpStream, from: SocketAddr) {
    let permit = Arc::clone(&door.permits).try_acquire_owned();
    let mut admitted = None;
    let decide = |caller: &Caller| {
        if permit.is_err() {
            return Err(Rejection::LimitExceeded);
        }
        if stop.is_cancelled() {
            return Err(Rejection::Congestion);
        }
        let peer = door.admit(caller).inspect_err(|_| {
            tracing::warn!(calling = %caller.calling, called = %caller.called, "caller turned away");
        })?;
        let offers = peer.offers();
        admitted = Some(peer);
        Ok(offers)
    };
    let terms = door.limits.terms;
    let accepting = dimse::accept_tcp(stream, from, &terms, decide);
    let accepted = tokio::select! {
        accepted = accepting => accepted,
        () = stop.cancelled() => return,
    };
    let association = match accepted {
        Ok(association) => association,
        Err(error) => {
            tracing::warn!(address = %from, %error, "association not accepted");
            return;
        }
    };
    let Some(peer) = admitted else { return };
    let kind = Kind::Association { peer: peer.peer.clone(), ae_title: peer.ae_title.clone() };
    let mut reception = Reception::new(Arc::clone(&door.intake), kind, Arc::clone(&door.room));
    let ended = Box::pin(answer_all(association, &peer, &mut reception, &door, &stop)).await;
    let (stored, refused) = reception.tally();
    match ended {
        Ok(()) => tracing::info!(peer = %peer.peer, stored, refused, "association ended"),
        Err(error) => {
            tracing::warn!(peer = %peer.peer, stored, refused, %error, "association failed");
        }
    }
    drop(permit);
}

async fn answer_all(
    mut association: ServerAssociation,
    peer: &Admitted,
    reception: &mut Reception,
    door: &Door,
    stop: &CancellationToken,
) -> Result<(), dimse::Error> {
    let (moves, mut moved) = (door.intake.moves(), Moved::default());
    loop {
        let request = tokio::select! {
            biased;
            () = stop.cancelled() => {
                association.abort().await;
                return Ok(());
            }
            request = association.next_request() => request?,
        };
        match request {
            None => return Ok(()),
            Some(Request::Echo(echo)) => association.respond_echo(echo, Status::SUCCESS).await?,
            Some(Request::Store(store)) => {
                let ticket = moves.ticket(&peer.peer, &peer.host, &door.ae_title, &store);
                let status = match ticket {
                    Some(ticket) => moved.receive(&mut association, &store, &ticket).await?,
                    None if peer.may.contains(&May::Store) => {
                        reception.receive(&mut association, &store).await?
                    }
                    None => Status::NOT_AUTHORISED,
                };
                association.respond_store(&store, status).await?;
            }
            Some(Request::Find(find)) if query::is_about_held(&find) => {
                let held = door.held();
                query::answer(&mut association, &find, held, &door.ae_title).await?;
            }
            Some(Request::Retrieve(request)) => {
                let (held, peers) = (door.held(), door.peers());
                let (us, association) = (&door.ae_title, &mut association);
                query::hand_over(association, &request, held, us, &peers).await?;
            }
            // The worklist is the only other query class that is offered.
            Some(Request::Find(find)) => {
                worklist::answer(&mut association, &find, door.worklist()).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
