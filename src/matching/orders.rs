//! Several orders of one patient that one study answers together.
//!
//! Invariant: at least two, none of them twice, and all of one patient: the same ID of the same issuer, told with a
//! name, birth date and sex that do not contradict each other. Only a person puts them together.

use serde::{Deserialize, Serialize};

use super::compare::{self, agrees};
use super::lexicon::Lexicon;
use super::normalise::Name;
use super::{Agreement, Target};
use crate::dicom::{Item, Patient};

/// Orders of one decision. A request for several regions has two or three, a polytrauma a handful.
pub const ORDER_LIMIT: usize = 16;

/// Orders of one patient, in the order in which they were named.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    first: Item,
    further: Vec<Item>,
}

crate::dicom::redacted!(Orders);

/// Why orders cannot be decided for together. No message holds patient data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTogether {
    #[error("a decision for an order names one at least; choose one")]
    Nothing,
    #[error(
        "more than {ORDER_LIMIT} orders for one study; choose those that were asked to be answered by it"
    )]
    TooMany,
    #[error(
        "these orders are of different patients, and a study belongs to one patient; choose orders of one"
    )]
    Patients,
    #[error(
        "the worklist tells the patient of these orders in two ways (name, birth date or sex); have it corrected \
         there, or choose one order"
    )]
    Identity,
}

impl Orders {
    /// The one that was named first; what is told of the patient is told by it.
    pub fn first(&self) -> &Item {
        &self.first
    }

    /// The others, one at least.
    pub fn further(&self) -> &[Item] {
        &self.further
    }
}

impl Target {
    /// One order, or several together. An order that is named twice counts once.
    pub fn of_orders(orders: impl IntoIterator<Item = Item>) -> Result<Self, NotTogether> {
        let mut orders = orders.into_iter();
        let first = orders.next().ok_or(NotTogether::Nothing)?;
        let mut further: Vec<Item> = Vec::new();
        for order in orders {
            if order == first || further.contains(&order) {
                continue;
            }
            one_patient(&first.patient, &order.patient)?;
            further.push(order);
            if further.len() >= ORDER_LIMIT {
                return Err(NotTogether::TooMany);
            }
        }
        // Those behind the first may contradict each other where the first says nothing.
        for (place, order) in further.iter().enumerate() {
            for other in further.iter().skip(place.saturating_add(1)) {
                one_patient(&order.patient, &other.patient)?;
            }
        }
        if further.is_empty() {
            return Ok(Self::Order(Box::new(first)));
        }
        Ok(Self::Orders(Box::new(Orders { first, further })))
    }

    /// The orders that a study is filed under: none, one or several.
    pub fn orders(&self) -> impl Iterator<Item = &Item> + Clone {
        let (first, further) = match self {
            Self::Order(item) => (Some(&**item), &[][..]),
            Self::Orders(orders) => (Some(&orders.first), orders.further.as_slice()),
            Self::NoOrder(_) => (None, &[][..]),
        };
        first.into_iter().chain(further)
    }
}

/// An entry without a patient ID is of nobody that could be found in another.
fn one_patient(a: &Patient, b: &Patient) -> Result<(), NotTogether> {
    if a.id.is_none() || a.id != b.id {
        return Err(NotTogether::Patients);
    }
    let dates = matches!((a.birth_date, b.birth_date), (Some(a), Some(b)) if a != b);
    let mut lexicon = Lexicon::default();
    let mut name = |patient: &Patient| patient.name.as_ref().map(|n| Name::new(n, &mut lexicon));
    let (one, other) = (name(a), name(b));
    let names = compare::names(one.as_ref(), other.as_ref()).agreement;
    let same_name = agrees(names) || names == Agreement::Missing;
    if dates || !same_name || compare::sexes(a.sex, b.sex) == Agreement::Different {
        return Err(NotTogether::Identity);
    }
    Ok(())
}
