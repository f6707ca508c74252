//! What changes in a study's headers when it is filed under a local patient and order (PS3.3 C.12.1.1.9,
//! IHE RAD-61), and applying it to one object.
//!
//! Pure: a plan is a function of decision and policy; coercing is a function of plan and header. Invariants:
//! UIDs never change; every change leaves the complete old value in Original Attributes Sequence
//! (0400,0561); coercing twice with one plan equals coercing once; pixel data is never read.

mod coerce;
pub mod encapsulate;
mod originals;
mod plan;
mod policy;
mod shown;
mod values;

use dicom_dictionary_std::tags;
use serde::{Deserialize, Serialize};

use crate::dicom::{PatientId, Tag};

pub use coerce::{Coerced, Error, Tail, coerce, coerce_tail};
pub use originals::{Generation, before, generations, original};
pub use plan::{Local, Site, plan};
pub use policy::{Coercion, CoercionSection, Foreign, Kept, OfOrder, Several, Trace, Wording};
pub use shown::{Shown, before_after, differences, shown};

/// A value to be written, in Unicode; encoded when the target's character set is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NewValue {
    /// Written with zero length.
    Empty,
    /// Text values of any text, date, code or UID representation, joined by backslash.
    Text(String),
    /// Items of a sequence.
    Items(Vec<Vec<NewElement>>),
}

/// One element of the plan or of an item inside it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewElement {
    /// `(group, element)`.
    pub tag: (u16, u16),
    /// Two letters, as PS3.5 6.2 names the value representation.
    pub vr: String,
    pub value: NewValue,
}

/// What happens to one top-level attribute.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Replace or add.
    Set(NewElement),
    /// Remove if present.
    Remove((u16, u16)),
    /// Append an item to a sequence, or a value to values, unless an equal one is there.
    Append(NewElement),
    /// Put a text before the value, unless it stands there or there is no value.
    Prefix(NewElement),
}

/// The plan for one study: the same for every instance of it, kept with the decision.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// In tag order.
    pub changes: Vec<Change>,
    /// Source of Previous Values (0400,0564): the sending institution or portal, if known.
    pub source_of_previous_values: Option<String>,
    /// Who modifies: our AE title, institution and version.
    pub modifying_system: String,
    pub institution: String,
    /// DT value of the coercion, with offset; fixed here so that coercing again gives the same bytes.
    pub date_time: String,
}

crate::dicom::redacted!(NewValue, NewElement, Change, Plan);

impl Plan {
    /// The patient that the plan files objects under.
    pub fn patient(&self) -> Option<PatientId> {
        let text = |wanted: Tag| {
            self.changes.iter().find_map(|change| match change {
                Change::Set(NewElement { tag, value: NewValue::Text(text), .. })
                    if Tag(tag.0, tag.1) == wanted =>
                {
                    Some(text.clone())
                }
                Change::Set(_) | Change::Remove(_) | Change::Append(_) | Change::Prefix(_) => None,
            })
        };
        let issuer = text(tags::ISSUER_OF_PATIENT_ID);
        text(tags::PATIENT_ID).map(|id| PatientId { id, issuer })
    }

    /// The same plan, had it been made at another time (a DT value).
    pub fn carried_out_at(&self, date_time: &str) -> Self {
        let mut plan = self.clone();
        for change in &mut plan.changes {
            if let Change::Set(new) | Change::Append(new) = change {
                new.carry_out_at(&self.date_time, date_time);
            }
        }
        date_time.clone_into(&mut plan.date_time);
        plan
    }
}

impl NewElement {
    fn carry_out_at(&mut self, before: &str, date_time: &str) {
        match &mut self.value {
            NewValue::Text(text) if self.vr == "DT" && text == before => {
                date_time.clone_into(text);
            }
            NewValue::Items(items) => {
                items.iter_mut().flatten().for_each(|new| new.carry_out_at(before, date_time));
            }
            NewValue::Text(_) | NewValue::Empty => {}
        }
    }

    /// The tag as `dicom` speaks of it.
    pub fn tag(&self) -> Tag {
        Tag(self.tag.0, self.tag.1)
    }
}

impl Change {
    /// The attribute of the top level that this is about.
    pub fn tag(&self) -> Tag {
        match self {
            Self::Set(new) | Self::Append(new) | Self::Prefix(new) => new.tag(),
            Self::Remove(tag) => Tag(tag.0, tag.1),
        }
    }
}

#[cfg(test)]
mod tests;
