//! The DICOM door: who may come in, and what they may ask.
//!
//! Owns the listeners of our own application entity and the dispatch by service. It admits, asks and answers; it
//! never schedules. Invariants: an object is answered with success only after its bytes and its record are on the
//! device (`Intake::keep`, `Intake::stored`); no peer is heard that is not configured, and none gets a service that it was not
//! given; bytes of a peer are data, never a name or a path.

mod access;
mod intake;
mod look;
mod moved;
mod plain;
mod promises;
mod query;
mod section;
mod store;
mod worklist;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use intake::Intake;
pub use promises::{Error as PromisesError, Promises, keep as keep_promises};
pub use section::{DicomSection, ListenerSection, UnknownClasses};
pub use worklist::{Key as WorklistKey, keys as worklist_keys};

use crate::dicom::AeTitle;
use crate::dimse::{
    self, May, Offer, PeerSection, Rejection, Request, ServerAssociation, Status, Terms, Waiting,
};
use crate::import::Kind;
use crate::tls;
use crate::worklist::Worklist;
use access::{Access, Admitted, Expected};
use look::Looks;
use moved::Moved;
use store::Reception;

/// Connections that have not asked for an association yet: more than any burst of modalities, and few beside the
/// 1024 descriptors that a process has at least.
const WAITING: usize = 256;

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
        let associations = section::ASSOCIATIONS.get();
        Self { associations, terms: Terms::default(), grace: Duration::from_secs(10) }
    }
}

/// What all listeners share.
pub struct Door {
    ae_title: AeTitle,
    peers: RwLock<Arc<BTreeMap<String, PeerSection>>>,
    intake: Arc<dyn Intake>,
    /// Requests for commitment; forgotten with the process until [`Door::set_promises`].
    promises: RwLock<Promises>,
    /// What modalities may ask for; none until [`Door::set_worklist`].
    worklist: RwLock<Option<Worklist>>,
    limits: Limits,
    access: Access,
    /// How storage is offered.
    storage: RwLock<Offer>,
    /// Connections that have not asked for an association yet.
    waiting: Waiting,
    /// What objects under way may hold in memory, in KiB.
    room: Arc<Semaphore>,
    looks: Looks,
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
            promises: RwLock::new(Promises::in_memory()),
            worklist: RwLock::default(),
            limits,
            access: Access::new(limits.associations),
            storage: RwLock::new(Offer::any_storage()),
            waiting: Waiting::new(WAITING),
            room: Arc::new(Semaphore::new(plain::ROOM)),
            looks: Looks::new(),
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

    /// Before anybody is let in.
    pub fn set_promises(&self, promises: Promises) {
        *self.promises.write().unwrap_or_else(PoisonError::into_inner) = promises;
    }

    fn promises(&self) -> Promises {
        self.promises.read().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// From the next association on.
    pub fn set_storage(&self, offer: Offer) {
        *self.storage.write().unwrap_or_else(PoisonError::into_inner) = offer;
    }

    /// What the peer may bring because we asked it.
    fn expected(&self, name: &str, peer: &PeerSection) -> Expected {
        Expected {
            objects: self.intake.moves().expects(name, peer.host()),
            reports: self.intake.awaits_reports(name),
        }
    }

    fn offers(&self, admitted: &Admitted) -> Vec<Offer> {
        let storage = || self.storage.read().unwrap_or_else(PoisonError::into_inner).clone();
        let offer = |may: &May| match may {
            May::Echo => vec![Offer::verification()],
            May::Store => vec![storage()],
            May::Worklist => vec![Offer::worklist()],
            May::Query => Offer::query().into(),
            May::Retrieve => Offer::retrieve().into(),
            May::Commitment => vec![Offer::commitment()],
        };
        let mut offers: Vec<Offer> = admitted.may.iter().flat_map(offer).collect();
        if admitted.expected.objects && !admitted.may.contains(&May::Store) {
            offers.push(storage());
        }
        if admitted.expected.reports {
            offers.push(Offer::commitment());
        }
        offers
    }
}

/// [`serve_over`] without TLS.
pub async fn serve(listener: TcpListener, door: Arc<Door>, stop: CancellationToken) {
    serve_over(listener, tls::Transport::default(), door, stop).await;
}

/// Serves one listener until `stop`. Objects under way are finished within the grace period, then associations
/// are aborted. The listener is bound already, so that its address is known and its failure the caller's.
pub async fn serve_over(
    listener: TcpListener,
    transport: tls::Transport,
    door: Arc<Door>,
    stop: CancellationToken,
) {
    let limits = door.limits;
    let connection = |stream, from| {
        Box::pin(converse(Arc::clone(&door), transport.get(), stop.clone(), stream, from))
    };
    // Those that are turned away linger a moment.
    let connections = limits.associations.saturating_add(WAITING.saturating_mul(2));
    dimse::listen(listener, stop.clone(), limits.grace, connections, connection).await;
}

async fn converse(
    door: Arc<Door>,
    tls: Option<tls::Acceptor>,
    stop: CancellationToken,
    stream: TcpStream,
    from: SocketAddr,
) {
    let slot = door.waiting.enter(from.ip().to_canonical());
    let accepted = tokio::select! {
        accepted = receive(&door, tls, &stop, stream, from) => accepted,
        () = stop.cancelled() => return,
        () = slot.evicted() => {
            tracing::warn!(address = %from, "connection given up, it asked for nothing and others wait");
            return;
        }
    };
    drop(slot);
    let (association, admitted) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(address = %from, %error, "association not accepted");
            return;
        }
    };
    let (peer, ae_title) = (admitted.peer.clone(), admitted.ae_title.clone());
    let kind = Kind::Association { peer, ae_title };
    let (room, looks) = (Arc::clone(&door.room), door.looks.clone());
    let mut reception = Reception::new(Arc::clone(&door.intake), kind, room, looks);
    let ended = Box::pin(answer_all(association, &admitted, &mut reception, &door, &stop)).await;
    let (stored, refused) = reception.tally();
    match ended {
        Ok(()) => tracing::info!(peer = %admitted.peer, stored, refused, "association ended"),
        Err(error) => {
            tracing::warn!(peer = %admitted.peer, stored, refused, %error, "association failed");
        }
    }
    drop(admitted.permit);
}

/// From a connection to an association, or to a refusal that the caller has been told.
async fn receive(
    door: &Door,
    tls: Option<tls::Acceptor>,
    stop: &CancellationToken,
    stream: TcpStream,
    from: SocketAddr,
) -> Result<(ServerAssociation, Admitted), dimse::Error> {
    let terms = door.limits.terms;
    stream.set_nodelay(true)?;
    let (stream, certificate): (Box<dyn dimse::Stream>, _) = match tls {
        None => (Box::new(stream), None),
        Some(acceptor) => {
            let shaken = acceptor.accept(stream, terms.timeouts.association).await;
            let (stream, certificate) = shaken.map_err(dimse::Error::Tls)?;
            (Box::new(stream), certificate)
        }
    };
    let asking = dimse::hear(stream, from, certificate, &terms).await?;
    let caller = asking.caller();
    let admitted = if stop.is_cancelled() {
        Err(Rejection::Congestion)
    } else if caller.called != door.ae_title {
        Err(Rejection::CalledUnknown)
    } else {
        let expected = |name: &str, peer: &PeerSection| door.expected(name, peer);
        let now = door.intake.now();
        door.access.admit(caller, &door.peers(), expected, now).await
    };
    let admitted = admitted.inspect_err(|_| {
        tracing::warn!(calling = %caller.calling, called = %caller.called, "caller turned away");
    });
    match admitted {
        Ok(admitted) => {
            let offers = door.offers(&admitted);
            Ok((asking.answer(Ok(offers)).await?, admitted))
        }
        Err(rejection) => {
            asking.answer(Err(rejection)).await?;
            Err(dimse::Error::Declined(rejection))
        }
    }
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
                let whom = (peer.peer.as_str(), &*peers);
                query::hand_over(association, &request, held, us, whom).await?;
            }
            // The worklist is the only other query class that is offered.
            Some(Request::Find(find)) => {
                worklist::answer(&mut association, &find, door.worklist()).await?;
            }
            Some(Request::Report(report)) => {
                let status = door.intake.reported(&peer.peer, report.content.clone()).await;
                association.respond_report(&report, status).await?;
            }
            Some(Request::Commit(wanted)) if peer.may.contains(&May::Commitment) => {
                promises::answer(&mut association, door, &peer.peer, &wanted).await?;
            }
            Some(Request::Commit(wanted)) => {
                association.respond_commit(&wanted, Status::NOT_AUTHORISED).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
