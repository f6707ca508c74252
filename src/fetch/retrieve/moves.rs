//! C-MOVE to our own listener (PS3.4 C.4.2): who sends what on whose behalf.
//!
//! Owns the tie between a C-MOVE and the objects that arrive elsewhere for it: the Move Originator that a peer
//! sends along, else the instances that its query listed. Invariants: only the peer that was asked is heard, or one
//! at its address; an object of another study is refused; a tie ends with its retrieval, so what comes later is
//! nobody's.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dicom_dictionary_std::{tags, uids};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::source::{MOST_INSTANCES, Sink, front, look};
use super::super::{Error, store};
use super::query::{Holding, identifier};
use super::{Errand, SourceError, Stop, known, plain};
use crate::dicom::{AeTitle, Uid, VR};
use crate::dimse::{self, Client, Originator, Status, Store, Told};
use crate::import::Blob;
use crate::spool::{AsyncPack, ImportSpool};

/// Objects that have arrived and were not counted yet.
const QUEUE: usize = 64;

/// Every C-MOVE that is under way. Cheap to clone.
#[derive(Clone, Default)]
pub struct Moves(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Message IDs are our own choice: one for each C-MOVE of this process, so that none is taken for another.
    last: AtomicU16,
    open: Mutex<Vec<Arc<Open>>>,
}

/// One C-MOVE under way.
struct Open {
    message_id: u16,
    peer: String,
    /// The host of the peer's address: some archives send under another title than they answer.
    host: String,
    study: Uid,
    instances: BTreeSet<Uid>,
    spool: ImportSpool,
    /// Bytes that may still come.
    room: AtomicU64,
    arrived: mpsc::Sender<Arrived>,
}

/// An object that is on the device and of the study.
struct Arrived {
    instance: Uid,
    blob: Blob,
}

/// Ends the tie.
struct Tie<'a>(&'a Moves, u16);

impl Drop for Tie<'_> {
    fn drop(&mut self) {
        self.0.lock().retain(|open| open.message_id != self.1);
    }
}

impl Moves {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Open>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_message_id(&self) -> u16 {
        // 0 is no number that peers expect.
        let next = |last: u16| Some(last.checked_add(1).unwrap_or(1));
        let last = self.0.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        last.unwrap_or_default().checked_add(1).unwrap_or(1)
    }

    /// Whether this peer was asked to send anything.
    pub fn expects(&self, peer: &str, host: &str) -> bool {
        self.lock().iter().any(|open| open.is_from(peer, host))
    }

    /// The C-MOVE that an object comes for, if it comes for any. `us` is our AE title.
    pub fn ticket(&self, peer: &str, host: &str, us: &AeTitle, store: &Store) -> Option<Ticket> {
        let open = self.lock();
        let from = || open.iter().filter(|open| open.is_from(peer, host));
        let found = match &store.originator {
            Some(Originator { ae_title, message_id }) if ae_title == us => {
                from().find(|open| open.message_id == *message_id)
            }
            // Somebody else's C-MOVE: to us it is an object like any other.
            Some(_) => None,
            None => from().find(|open| open.instances.contains(&store.sop_instance)),
        };
        found.map(|open| Ticket(Arc::clone(open)))
    }
}

impl Open {
    fn is_from(&self, peer: &str, host: &str) -> bool {
        self.peer == peer || self.host == host
    }
}

/// The right of objects to go into an import.
#[derive(Clone)]
pub struct Ticket(Arc<Open>);

impl Ticket {
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A pack of the import for one association.
    pub async fn moving(&self) -> Result<Moving, Error> {
        Ok(Moving { ticket: self.clone(), pack: store::pack(&self.0.spool).await? })
    }
}

/// Objects of one association on their way into an import.
pub struct Moving {
    ticket: Ticket,
    pack: AsyncPack,
}

impl Moving {
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Begins an object.
    pub async fn begin(&mut self, store: &Store) -> Result<(), Error> {
        self.pack.begin();
        let front = front(&store.sop_class, &store.sop_instance, &store.transfer_syntax);
        Ok(self.pack.write(front.into()).await?)
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let take = |room: u64| room.checked_sub(more);
        let room = &self.ticket.0.room;
        if room.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            return Err(Error::TooLarge);
        }
        Ok(self.pack.write(bytes).await?)
    }

    pub async fn abandon(&mut self) -> Result<(), Error> {
        Ok(self.pack.abandon().await?)
    }

    /// Ends the object and gives the status to answer; success only if it is on the device and taken.
    pub async fn end(&mut self, store: &Store) -> Result<Status, Error> {
        let open = &self.ticket.0;
        let blob = self.pack.commit().await?;
        let found = match look(&open.spool, &blob).await? {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "an object of a C-MOVE cannot be read");
                return Ok(Status::CANNOT_UNDERSTAND);
            }
        };
        if found.facts.study_uid != open.study {
            tracing::warn!(peer = %open.peer, "an object of another study came for a C-MOVE; refused");
            return Ok(Status::NOT_AUTHORISED);
        }
        if found.sop_instance != store.sop_instance || found.sop_class != store.sop_class {
            return Ok(Status::DOES_NOT_MATCH_CLASS);
        }
        let arrived = Arrived { instance: found.sop_instance, blob };
        Ok(match open.arrived.send(arrived).await {
            Ok(()) => Status::SUCCESS,
            // The retrieval is over.
            Err(_) => Status::OUT_OF_RESOURCES,
        })
    }
}

/// Has all studies sent to us, one after the other.
pub(super) async fn all(
    errand: &Errand<'_>,
    holdings: &[Holding],
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let class = known(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE);
    let work = async |client: &mut Client| {
        for holding in holdings {
            one(errand, client, &class, holding, sink).await?;
        }
        Ok(())
    };
    Box::pin(dimse::call(errand.remote, &[plain(&class)], work)).await
}

async fn one(
    errand: &Errand<'_>,
    client: &mut Client,
    class: &Uid,
    holding: &Holding,
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let before = sink.count();
    let retrieval = errand.retrieval;
    let patience = retrieval.sources.patience;
    let name = || errand.name.to_owned();
    let Some(us) = &retrieval.sources.listener else {
        return Err(SourceError::NoListener { name: name() }.into());
    };
    let (arrived, mut arrivals) = mpsc::channel(QUEUE);
    let moves = &retrieval.moves;
    let message_id = moves.next_message_id();
    let address = &errand.remote.address;
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    moves.lock().push(Arc::new(Open {
        message_id,
        peer: name(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        study: holding.study.clone(),
        instances: holding.instances.clone().unwrap_or_default(),
        spool: retrieval.spool.clone(),
        room: AtomicU64::new(sink.room()),
        arrived,
    }));
    let _tie = Tie(moves, message_id);
    let study = holding.study.to_string();
    let wanted = identifier("STUDY", &[(tags::STUDY_INSTANCE_UID, VR::UI, &study)]);
    let moving = client.move_to(class, &wanted, us, message_id).await?;
    let mut last = Instant::now();
    let ended = loop {
        let step = tokio::select! {
            biased;
            () = retrieval.cancel.cancelled() => Err(Error::Cancelled),
            Some(Arrived { instance, blob }) = arrivals.recv() => {
                if sink.count() >= MOST_INSTANCES {
                    let limit = MOST_INSTANCES;
                    Err(SourceError::TooManyInstances { name: name(), limit }.into())
                } else {
                    sink.adopt(instance, blob);
                    last = Instant::now();
                    continue;
                }
            }
            () = tokio::time::sleep_until(last + patience.object) => {
                Err(SourceError::NoProgress { name: name() }.into())
            }
            told = client.told(&moving) => Ok(told?),
        };
        match step {
            Ok(Told::Final { status, counts }) => {
                let counted = [counts.completed, counts.failed, counts.warning];
                break (status, counted.into_iter().flatten().map(u64::from).sum());
            }
            Ok(Told::Pending(_)) => {}
            // No context takes any.
            Ok(Told::Object(arriving)) => {
                client.respond_object(&arriving, Status::CLASS_NOT_SUPPORTED).await?;
            }
            Err(stop) => {
                client.cancel(&moving, patience.cancel).await;
                return Err(stop.into());
            }
        }
    };
    // Its last objects may be on their way, on associations of their own.
    let late = Instant::now() + patience.late;
    loop {
        match (arrivals.try_recv(), errand.judge(holding, sink, before, ended)) {
            (Ok(Arrived { instance, blob }), _) => sink.adopt(instance, blob),
            (Err(_), Ok(())) => return Ok(()),
            (Err(_), Err(missing)) => {
                tokio::select! {
                    Some(Arrived { instance, blob }) = arrivals.recv() => {
                        sink.adopt(instance, blob);
                    }
                    () = retrieval.cancel.cancelled() => return Err(Error::Cancelled.into()),
                    () = tokio::time::sleep_until(late) => return Err(missing.into()),
                }
            }
        }
    }
}
