//! The orders that came by message: applies what messages say to the local worklist.
//!
//! Owns every local entry whose key begins with `hl7`. Invariants: a message is durable in all its parts before
//! [`Book::take`] returns; messages are applied one at a time, in the order they came.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use dicom_dictionary_std::tags;
use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

use crate::dicom::{DataSet, VR};
use crate::hl7::{Code, Fault, Message};
use crate::worklist::{Entry, Local, LocalKey, NoEntry, Origin, StoreError};

use super::numbers::{Numbers, OrderNumber};
use super::order::{Change, Control};
use super::patient::IssuedId;
use super::{PatientChange, Rules, Told};

/// What our keys begin with.
const PREFIX: &str = "hl7 ";

/// Messages that are known again: more than any sender has under way. In memory is enough: a sender repeats what
/// was not acknowledged, and that is the last one of its connection, which changes nothing when applied anew.
const TAKEN_LIMIT: usize = 4_096;

/// The book. All listeners share one.
pub struct Book {
    local: Local,
    rules: RwLock<Arc<Rules>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<LocalKey, Known>,
    taken: VecDeque<[u8; 32]>,
}

/// What an order in the store is found by.
struct Known {
    numbers: Numbers,
    patient: IssuedId,
}

impl Book {
    /// Over the orders that are in the store already.
    pub fn new(local: Local, rules: Rules) -> Arc<Self> {
        let mut state = State::default();
        for (key, entries) in local.orders() {
            let first = entries.first().filter(|_| key.as_str().starts_with(PREFIX));
            if let Some(known) = first.and_then(|entry| Known::of(&entry.data_set())) {
                state.known.insert(key, known);
            }
        }
        Arc::new(Self { local, rules: RwLock::new(Arc::new(rules)), state: Mutex::new(state) })
    }

    /// From the next message on.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Orders known by message.
    pub fn len(&self) -> usize {
        self.state().known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies one message; durable when it returns. `bytes` are the message as it came. Blocking.
    ///
    /// # Errors
    /// What to answer. What had been applied before a fault of the disk stays, and is applied again with the
    /// repetition that such a fault brings about.
    pub fn take(&self, bytes: &[u8], message: &Message, today: Date) -> Result<(), Fault> {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let mut state = self.state();
        if state.taken.contains(&digest) {
            return Ok(());
        }
        match super::read(message, &self.rules(), today)? {
            Told::Orders(changes) => self.orders(&mut state, &changes)?,
            Told::Patient(change) => self.patient(&mut state, &change)?,
            Told::Nothing => {}
        }
        if state.known.len() > self.local.len().saturating_mul(2).saturating_add(TAKEN_LIMIT) {
            // The store forgets orders that are over.
            state.known.retain(|key, _| !self.local.get(key).is_empty());
        }
        if state.taken.len() >= TAKEN_LIMIT {
            state.taken.pop_front();
        }
        state.taken.push_back(digest);
        Ok(())
    }

    /// One message tells all that there is of the orders in it: it takes the place of what was known of them.
    fn orders(&self, state: &mut State, changes: &[Change]) -> Result<(), Fault> {
        let mut overtaken = Vec::new();
        for change in changes {
            let is_it = |(key, known): &(&LocalKey, &Known)| {
                known.numbers.same(&change.numbers) && !self.local.get(key).is_empty()
            };
            let same: Vec<(&LocalKey, &Known)> = state.known.iter().filter(is_it).collect();
            let collides = |(n, (_, one)): (usize, &(&LocalKey, &Known))| {
                same.iter().skip(n + 1).any(|(_, other)| one.numbers.collide(&other.numbers))
            };
            if same.iter().enumerate().any(collides) {
                return Err(Fault::field(
                    Code::UnknownKey,
                    "ORC",
                    2,
                    "several systems gave this order number, and the message does not say which is meant; send the \
                     assigning authority with it",
                ));
            }
            // What is to be taken away is under another authority, or its authority is written otherwise.
            let is_elsewhere = |(key, known): (&LocalKey, &Known)| {
                known.numbers.collide(&change.numbers) && !self.local.get(key).is_empty()
            };
            if same.is_empty()
                && change.control != Control::Place
                && state.known.iter().any(is_elsewhere)
            {
                return Err(Fault::field(
                    Code::UnknownKey,
                    "ORC",
                    2,
                    "this order number is known from another assigning authority; send the one of the order",
                ));
            }
            let identity = change.identity.issued();
            for (key, known) in same {
                if !known.patient.may_be(&identity) && change.control != Control::Change {
                    return Err(Fault::field(
                        Code::UnknownKey,
                        "PID",
                        3,
                        "this order number is known for another patient; correct the number, or send a \
                         change (XO) of the order",
                    ));
                }
                overtaken.push((key.clone(), change.control));
            }
        }
        let mut kept = Vec::new();
        for change in changes {
            if matches!(change.control, Control::Place | Control::Change) {
                let key = key_of(&change.numbers).ok_or_else(|| Fault::not_now(UNSTORABLE))?;
                let steps = change.steps.iter().cloned();
                self.put(&key, steps)?;
                state.known.insert(key.clone(), Known::from(change));
                kept.push(key);
            }
        }
        for (key, control) in overtaken {
            if kept.contains(&key) {
                continue;
            }
            if control == Control::Complete {
                let entries = self.local.get(&key);
                self.put(&key, entries.iter().map(|entry| completed(entry.data_set())))?;
            } else {
                self.local.remove(&key).map_err(|error| refused(&error))?;
                state.known.remove(&key);
            }
        }
        Ok(())
    }

    fn patient(&self, state: &mut State, change: &PatientChange) -> Result<(), Fault> {
        let own = (change.identity.issued(), "PID", 3);
        let prior = change.prior.iter().map(|prior| (prior.clone(), "MRG", 1));
        let mut concerned: Vec<LocalKey> = Vec::new();
        for (id, segment, field) in std::iter::once(own).chain(prior) {
            let keys = self.meant(state, &id).ok_or_else(|| {
                Fault::field(
                    Code::UnknownKey,
                    segment,
                    field,
                    "several assigning authorities gave this patient ID, and the message does not say which is meant; \
                     send it, or name yours in hl7.authority",
                )
            })?;
            concerned.extend(keys);
        }
        concerned.sort();
        concerned.dedup();
        for key in concerned {
            let entries = self.local.get(&key);
            let renewed = entries.iter().map(|entry| {
                let mut set = entry.data_set();
                change.identity.write(&mut set);
                set
            });
            let renewed: Vec<DataSet> = renewed.collect();
            let patient = renewed.first().and_then(IssuedId::of);
            self.put(&key, renewed.into_iter())?;
            if let (Some(known), Some(patient)) = (state.known.get_mut(&key), patient) {
                known.patient = patient;
            }
        }
        Ok(())
    }

    /// The orders of the patient with this ID. `None` if it may be one of several patients.
    fn meant(&self, state: &State, id: &IssuedId) -> Option<Vec<LocalKey>> {
        let alike = |(key, known): &(&LocalKey, &Known)| {
            known.patient.id.id == id.id.id && !self.local.get(key).is_empty()
        };
        let alike = state.known.iter().filter(alike).map(|(key, known)| (key, &known.patient));
        let (bare, told): (Vec<_>, Vec<_>) = alike.partition(|(_, known)| known.is_bare());
        let (ours, others): (Vec<_>, Vec<_>) = match told.first() {
            Some((_, first)) if id.is_bare() => {
                let first = (*first).clone();
                told.into_iter().partition(|(_, known)| known.shares_issuer(&first))
            }
            _ => told.into_iter().partition(|(_, known)| known.shares_issuer(id)),
        };
        let is_several = !others.is_empty();
        if is_several && id.is_bare() {
            return None;
        }
        if is_several && !bare.is_empty() {
            // Whose they are was never said.
            tracing::warn!(
                orders = bare.len(),
                "orders without an assigning authority were left as they are: several authorities gave the patient ID"
            );
        }
        let bare = bare.into_iter().filter(|_| !is_several);
        Some(ours.into_iter().chain(bare).map(|(key, _)| key.clone()).collect())
    }

    fn put(&self, key: &LocalKey, sets: impl Iterator<Item = DataSet>) -> Result<(), Fault> {
        let entries = sets.map(|set| Entry::new(set, Origin::Local(key.clone())));
        let entries: Vec<Entry> = entries.collect::<Result<_, NoEntry>>().map_err(|_| {
            Fault::segment("ORC", "the order is larger than a worklist entry can be")
        })?;
        self.local.put(key, entries).map_err(|error| refused(&error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const UNSTORABLE: &str =
    "the order could not be stored; look at the log of the gateway, then send it again";

fn refused(error: &StoreError) -> Fault {
    tracing::error!(%error, "an order that came by HL7 could not be stored");
    match error {
        StoreError::Full(_) => Fault::not_now(
            "the local worklist is full; cancel or complete old orders, then send it again",
        ),
        _ => Fault::not_now(UNSTORABLE),
    }
}

impl Known {
    fn of(set: &DataSet) -> Option<Self> {
        Some(Self { numbers: Numbers::of(set), patient: IssuedId::of(set)? })
    }
}

impl From<&Change> for Known {
    fn from(change: &Change) -> Self {
        Self { numbers: change.numbers.clone(), patient: change.identity.issued() }
    }
}

/// The same for the same numbers, and not reversible to them.
fn key_of(numbers: &Numbers) -> Option<LocalKey> {
    let mut hash = Sha256::new();
    for told in [&numbers.filler, &numbers.placer] {
        hash.update(told.as_ref().map_or("\0", |told| told.number.as_str()));
        for name in told.iter().flat_map(OrderNumber::names) {
            hash.update([0x1E]);
            hash.update(name);
        }
        hash.update([0x1F]);
    }
    hash.update(numbers.accession.as_deref().unwrap_or("\0"));
    hash.update([0x1F]);
    let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    LocalKey::new(&format!("{PREFIX}{hash}"))
}

/// The entry with its steps closed.
fn completed(mut set: DataSet) -> DataSet {
    let tag = tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE;
    let mut steps = set.items(tag).to_vec();
    for step in &mut steps {
        super::put(step, tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, Some("COMPLETED"));
    }
    set.put_items(tag, steps);
    set
}
