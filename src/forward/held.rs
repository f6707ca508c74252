//! A decided study as it would be delivered, for whoever may ask for it.
//!
//! Invariant: nothing of it is seen or leaves but coerced by the plan of its decision.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::object::{self, Closed, Fault, Job};
use super::route;
use super::source::Source;
use crate::dicom::{DataSet, StudyFacts, Uid};
use crate::dimse::{Chunk, Proposed};
use crate::import::{Compressed, Instance};
use crate::reconcile::Plan;
use crate::spool::ImportSpool;

/// Pieces read ahead of the association.
const AHEAD: usize = 8;

/// Whoever asks for a study wants it in a form that it takes.
const COMPRESSED: Compressed = Compressed::NativeIfNeeded;

/// A study that is held, with the plan that was decided.
pub struct HeldStudy {
    pub study: Uid,
    pub facts: StudyFacts,
    pub plan: Plan,
    pub modalities: Vec<String>,
    /// With their numbers in the import.
    pub instances: Vec<(u32, Arc<Instance>)>,
    pub spool: ImportSpool,
}

/// An object on its way out.
pub struct Leaving {
    pub transfer_syntax: Uid,
    pub chunks: mpsc::Receiver<Chunk>,
}

impl HeldStudy {
    /// The header of one instance as it would be delivered. Blocking.
    ///
    /// # Errors
    /// A sentence without patient data.
    pub fn header(&self, at: usize) -> Result<DataSet, String> {
        let (_, instance) = self.instances.get(at).ok_or("there is no such instance")?;
        let syntaxes = route::candidates(&instance.origin, Compressed::AsIs);
        let transfer_syntax = syntaxes.first().ok_or("there is no syntax to write it in")?;
        let job = self.job(at, transfer_syntax).ok_or("there is no such instance")?;
        let header = self
            .spool
            .open(&instance.blob)
            .and_then(|mut reader| object::header(&mut reader, &job));
        header.map_err(|fault| fault.to_string())
    }

    /// The contexts that these instances need.
    pub fn contexts(&self, chosen: &[usize]) -> Vec<Proposed> {
        let mut contexts: Vec<Proposed> = Vec::new();
        let instances = chosen.iter().filter_map(|at| self.instances.get(*at));
        for (_, instance) in instances {
            let wanted = Proposed {
                sop_class: instance.sop_class.clone(),
                transfer_syntaxes: route::candidates(&instance.origin, COMPRESSED),
            };
            if !contexts.contains(&wanted) {
                contexts.push(wanted);
            }
        }
        contexts
    }

    /// Begins to read and coerce one instance for a peer that accepted these syntaxes, decoded if it takes no other;
    /// `None` if it cannot be written in any of them, or what has to be known before the first byte leaves cannot be
    /// read. The chunks end early if something fails after that.
    pub async fn leave(self: &Arc<Self>, at: usize, accepted: &[Uid]) -> Option<Leaving> {
        let (_, instance) = self.instances.get(at)?;
        let transfer_syntax = route::choose(instance, COMPRESSED, accepted)?;
        let (sender, chunks) = mpsc::channel(AHEAD);
        let (ready, is_ready) = oneshot::channel();
        let (study, syntax) = (Arc::clone(self), transfer_syntax.clone());
        // Ends by itself when nobody takes the chunks any more.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(fault) = study.produce(at, &syntax, ready, &sender)
                && !matches!(fault, Fault::Closed)
            {
                tracing::warn!(%fault, "a held object could not be handed over");
            }
        }));
        is_ready.await.ok()?;
        Some(Leaving { transfer_syntax, chunks })
    }

    fn job<'a>(&'a self, at: usize, transfer_syntax: &'a Uid) -> Option<Job<'a>> {
        let (number, instance) = self.instances.get(at)?;
        let (plan, facts, number) = (&self.plan, &self.facts, *number);
        Some(Job { plan, facts, number, instance, transfer_syntax })
    }

    fn produce(
        &self,
        at: usize,
        transfer_syntax: &Uid,
        ready: oneshot::Sender<()>,
        sender: &mpsc::Sender<Chunk>,
    ) -> Result<(), Fault> {
        let job = self.job(at, transfer_syntax).ok_or(Fault::Closed)?;
        let mut reader = self.spool.open(&job.instance.blob)?;
        let prepared = object::prepare(&mut reader, &job)?;
        ready.send(()).map_err(|()| Fault::Closed)?;
        prepared.stream(&mut reader, &mut |bytes| {
            sender.blocking_send(Chunk::Bytes(bytes)).map_err(|_| Closed)
        })?;
        sender.blocking_send(Chunk::End).map_err(|_| Fault::Closed)
    }
}
