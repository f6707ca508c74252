//! The orders that came by message: applies what messages say to the local worklist.
//!
//! Owns every local entry whose key begins with `hl7`. Invariants: a message is durable in all its parts before
//! [`Book::take`] returns; messages are applied one at a time, in the order they came.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use dicom_dictionary_std::tags;
use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

use crate::dicom::{DataSet, PatientId, VR};
use crate::hl7::{Code, Fault, Message};
use crate::worklist::{Entry, Local, LocalKey, NoEntry, Origin, StoreError};

use super::order::{Change, Control, Numbers};
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
    patient: PatientId,
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
            for (key, known) in &state.known {
                if !known.numbers.same(&change.numbers) || self.local.get(key).is_empty() {
                    continue;
                }
                if !same_id(&known.patient, &change.identity.id)
                    && change.control != Control::Change
                {
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
        let new = &change.identity.id;
        for (key, known) in &mut state.known {
            let concerned = same_id(&known.patient, new)
                || change.prior.iter().any(|prior| same_id(&known.patient, prior));
            if !concerned {
                continue;
            }
            let entries = self.local.get(key);
            let renewed = entries.iter().map(|entry| {
                let mut set = entry.data_set();
                change.identity.write(&mut set);
                set
            });
            self.put(key, renewed)?;
            known.patient = new.clone();
        }
        Ok(())
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
        let id = set.text(tags::PATIENT_ID)?;
        Some(Self {
            numbers: Numbers {
                filler: set.text(tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST),
                placer: set.text(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST),
                accession: set.text(tags::ACCESSION_NUMBER),
            },
            patient: PatientId { id, issuer: set.text(tags::ISSUER_OF_PATIENT_ID) },
        })
    }
}

impl From<&Change> for Known {
    fn from(change: &Change) -> Self {
        Self { numbers: change.numbers.clone(), patient: change.identity.id.clone() }
    }
}

/// The same for the same numbers, and not reversible to them.
fn key_of(numbers: &Numbers) -> Option<LocalKey> {
    let mut hash = Sha256::new();
    for number in [&numbers.filler, &numbers.placer, &numbers.accession] {
        hash.update(number.as_deref().unwrap_or("\0"));
        hash.update([0x1F]);
    }
    let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    LocalKey::new(&format!("{PREFIX}{hash}"))
}

fn same_id(a: &PatientId, b: &PatientId) -> bool {
    let issuers = match (&a.issuer, &b.issuer) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    a.id == b.id && issuers
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
