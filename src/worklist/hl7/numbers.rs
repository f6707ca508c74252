//! What orders are known by, and who numbered them. Invariant: a number alone never stands for the order of another
//! system.

use dicom_dictionary_std::tags;

use super::{naming, put, shown};
use crate::dicom::{CharacterSets, DataSet, Tag, VR};
use crate::hl7::{Fault, Field};

/// What an order is known by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    pub filler: Option<OrderNumber>,
    pub placer: Option<OrderNumber>,
    pub accession: Option<String>,
}

/// A number of an order with who gave it (EI): two systems count from 1 on their own.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderNumber {
    pub number: String,
    pub namespace: Option<String>,
    pub universal: Option<(String, String)>,
}

crate::dicom::redacted!(Numbers, OrderNumber);

impl Numbers {
    /// Whether both mean one order: the strongest number that both have decides.
    pub fn same(&self, other: &Self) -> bool {
        let is_accession = self.accession.is_some() && self.accession == other.accession;
        for (ours, theirs) in self.beside(other) {
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                // A sender may write its authority in two ways.
                return ours.may_be(theirs) || (is_accession && ours.number == theirs.number);
            }
        }
        is_accession
    }

    /// Whether they share a number that two systems gave.
    pub fn collide(&self, other: &Self) -> bool {
        self.beside(other).into_iter().any(|pair| match pair {
            (Some(ours), Some(theirs)) => ours.number == theirs.number && !ours.may_be(theirs),
            _ => false,
        })
    }

    fn beside<'a>(&'a self, other: &'a Self) -> [Pair<'a>; 2] {
        [
            (self.filler.as_ref(), other.filler.as_ref()),
            (self.placer.as_ref(), other.placer.as_ref()),
        ]
    }

    /// Of an entry.
    pub fn of(set: &DataSet) -> Self {
        Self {
            filler: OrderNumber::of(set, FILLER),
            placer: OrderNumber::of(set, PLACER),
            accession: set.text(tags::ACCESSION_NUMBER),
        }
    }
}

type Pair<'a> = (Option<&'a OrderNumber>, Option<&'a OrderNumber>);

/// Where an entry has an order number, and who gave it.
type Place = (Tag, Tag);
pub(super) const FILLER: Place =
    (tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, tags::ORDER_FILLER_IDENTIFIER_SEQUENCE);
pub(super) const PLACER: Place =
    (tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, tags::ORDER_PLACER_IDENTIFIER_SEQUENCE);

impl OrderNumber {
    pub(super) fn read(field: Field<'_>, fault: Fault) -> Result<Option<Self>, Fault> {
        let Some(number) = field.text(1) else { return Ok(None) };
        Ok(Some(Self {
            number: naming(number, 64, fault)?,
            namespace: field.text(2).map(|text| shown(&text, 64)),
            universal: field.text(3).map(|id| (id, field.text(4).unwrap_or_default())),
        }))
    }

    fn of(set: &DataSet, (number, issuer): Place) -> Option<Self> {
        let issuer = set.items(issuer).first();
        let told = |tag| issuer.and_then(|item| item.text_in(tag, &CharacterSets::utf8()));
        Some(Self {
            number: set.text(number)?,
            namespace: told(tags::LOCAL_NAMESPACE_ENTITY_ID),
            universal: told(tags::UNIVERSAL_ENTITY_ID)
                .map(|id| (id, told(tags::UNIVERSAL_ENTITY_ID_TYPE).unwrap_or_default())),
        })
    }

    /// Whether both mean one order for all that they tell.
    fn may_be(&self, other: &Self) -> bool {
        let unsaid = self.names().next().is_none() || other.names().next().is_none();
        let shared = || self.names().any(|name| other.names().any(|theirs| theirs == name));
        self.number == other.number && (unsaid || shared())
    }

    /// What its issuer goes by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let universal = self.universal.as_ref().map(|(universal, _)| universal.as_str());
        self.namespace.as_deref().into_iter().chain(universal)
    }

    pub(super) fn write(told: Option<&Self>, set: &mut DataSet, (number, issuer): Place) {
        put(set, number, VR::LO, told.map(|told| told.number.as_str()));
        let Some(told) = told.filter(|told| told.names().next().is_some()) else { return };
        let mut item = DataSet::default();
        if let Some(namespace) = &told.namespace {
            put(&mut item, tags::LOCAL_NAMESPACE_ENTITY_ID, VR::UT, Some(namespace));
        }
        if let Some((universal, kind)) = &told.universal {
            put(&mut item, tags::UNIVERSAL_ENTITY_ID, VR::UT, Some(universal));
            put(&mut item, tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS, Some(kind));
        }
        set.put_items(issuer, vec![item]);
    }
}
