//! One entry of a worklist: one scheduled step with its order and its patient (PS3.4 K.6.1.2.2).
//!
//! What every origin is turned into: answers of a RIS, `.wl` files, orders that came by message. Invariant: the
//! text of an entry is UTF-8 whatever it came as, private elements are left out, and its Scheduled Procedure
//! Step Sequence has at most one item. A hundred thousand have to fit in memory, so an entry is kept encoded.

use std::path::Path;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use jiff::civil::Date;

use crate::dicom::{CharacterSets, DataSet, Item, Syntax, VR, Value, patient, redacted};

use super::{Reading, item_of};

/// Bytes of one entry, encoded. Real ones have one or two kilobytes.
const ENTRY_LIMIT: usize = 64 << 10;

/// Steps of one answer. The standard has one; what sends more is split.
const STEP_LIMIT: usize = 64;

/// Bytes of a local key.
const KEY_LIMIT: usize = 200;

/// Which worklist tells an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A name of `[peers]`.
    Peer(Arc<str>),
    Folder(Arc<Path>),
    /// It was put into the local store under this key.
    Local(LocalKey),
}

/// Names what was put into the local store: one order of one sender, chosen by who puts it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalKey(Arc<str>);

impl LocalKey {
    /// `None` if it is empty or longer than 200 bytes.
    pub fn new(text: &str) -> Option<Self> {
        (1..=KEY_LIMIT).contains(&text.len()).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a data set is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    #[error("an entry has at most {ENTRY_LIMIT} bytes")]
    TooLarge,
    #[error("an entry without any value")]
    Empty,
}

/// One scheduled step. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Entry {
    origin: Origin,
    /// Explicit VR Little Endian.
    encoded: Arc<[u8]>,
    /// The scheduled day, kept beside for quick looks.
    day: Option<Date>,
}

impl Entry {
    /// The entries of one answer, one for each step; one without a step if there is none.
    ///
    /// # Errors
    /// If it holds nothing, or more than an order can.
    pub fn read(
        answer: &DataSet,
        reading: &Reading,
        origin: &Origin,
    ) -> Result<Vec<Self>, NoEntry> {
        let mut whole = answer.clone();
        let declared = reading.sets(answer).term();
        if declared.is_empty() || answer.is_empty() {
            whole.remove(tags::SPECIFIC_CHARACTER_SET);
        } else {
            whole.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, declared.into_bytes());
        }
        let whole = clean(&whole);
        let steps = whole.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE);
        if steps.len() <= 1 {
            return Ok(vec![Self::new(whole, origin.clone())?]);
        }
        let one = |step: &DataSet| {
            let mut entry = whole.clone();
            entry.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step.clone()]);
            Self::new(entry, origin.clone())
        };
        steps.iter().take(STEP_LIMIT).map(one).collect()
    }

    /// An entry as it is, its text by its own (0008,0005); at most one step.
    ///
    /// # Errors
    /// If it holds nothing, or more than an order can.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it becomes the entry; that cleaning copies it is nobody's business"
    )]
    pub fn new(set: DataSet, origin: Origin) -> Result<Self, NoEntry> {
        let mut set = clean(&set);
        if set.is_empty() {
            return Err(NoEntry::Empty);
        }
        set.re_encode(&CharacterSets::utf8());
        let step = set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).first();
        let day = step
            .and_then(|step| step.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE))
            .and_then(|text| patient::parse_date(&text));
        let encoded = set.write(Syntax::ExplicitLittle);
        if encoded.len() > ENTRY_LIMIT {
            return Err(NoEntry::TooLarge);
        }
        Ok(Self { origin, encoded: encoded.into(), day })
    }

    /// An entry that [`Entry::encoded`] gave; `None` if it was none.
    pub(super) fn decode(encoded: &[u8], origin: Origin) -> Option<Self> {
        Self::new(DataSet::read(encoded, Syntax::ExplicitLittle).ok()?, origin).ok()
    }

    /// The same from another origin.
    pub(super) fn of(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// The same, to be kept beside the entry at no cost.
    pub(super) fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.encoded)
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The scheduled day, if it is one.
    pub fn day(&self) -> Option<Date> {
        self.day
    }

    /// What it tells, text in UTF-8 and so declared.
    pub fn data_set(&self) -> DataSet {
        // It was written by us; what can't be read tells nothing.
        DataSet::read(&self.encoded, Syntax::ExplicitLittle).unwrap_or_default()
    }

    /// As an order to match against; `None` without a patient ID.
    pub fn item(&self, reading: &Reading) -> Option<Item> {
        item_of(&self.data_set(), reading)
    }
}

/// Without what no asker can use: private elements, bulk, command and meta groups, items of such.
fn clean(set: &DataSet) -> DataSet {
    let mut kept = DataSet::default();
    for (tag, element) in set.iter() {
        if tag.group() % 2 == 1 || tag.group() < 0x0008 {
            continue;
        }
        let mut element = element.clone();
        match &mut element.value {
            Value::Bytes(_) => {}
            Value::Items(items) => *items = items.iter().map(clean).collect(),
            Value::Fragments(_) => continue,
        }
        kept.insert(tag, element);
    }
    kept
}

redacted!(Entry, LocalKey);
