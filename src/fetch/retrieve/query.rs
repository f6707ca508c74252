//! C-FIND of the Study Root model: which studies are meant, and what they hold (PS3.4 C.6.2).

use std::collections::{BTreeMap, BTreeSet};

use dicom_dictionary_std::{tags, uids};

use super::super::source::{MOST_INSTANCES, MOST_STUDIES};
use super::{SourceError, Stop, known, plain};
use crate::dicom::{CharacterSets, DataSet, Tag, Uid, VR};
use crate::dimse::{self, Client, Remote, Status, StatusClass};
use crate::import::Selection;

/// Series of one study; more is a peer that makes them up.
const MOST_SERIES: usize = 5_000;

/// A study that a source says it has.
pub(super) struct Holding {
    pub(super) study: Uid,
    /// Its instances, if the peer lists them.
    pub(super) instances: Option<BTreeSet<Uid>>,
    /// Its series with the classes in them, as far as they are told.
    pub(super) series: BTreeMap<Uid, BTreeSet<Uid>>,
    /// Number of Study Related Instances (0020,1208).
    count: Option<u64>,
}

impl Holding {
    /// How many instances there are, the larger of list and number; `None` if the peer tells neither.
    pub(super) fn told(&self) -> Option<u64> {
        let listed = self.instances.as_ref().and_then(|uids| u64::try_from(uids.len()).ok());
        listed.max(self.count)
    }

    /// Whether the study's own number is larger: its list may be short.
    pub(super) fn counts_more_than(&self, got: u64) -> bool {
        self.count.is_some_and(|count| got < count)
    }
}

/// Asks for the studies that a selection means, and for the instances of each.
pub(super) async fn holdings(
    remote: &Remote,
    name: &str,
    selection: &Selection,
) -> Result<Vec<Holding>, Stop> {
    let class = known(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND);
    let contexts = [plain(&class)];
    dimse::call(remote, &contexts, async |client: &mut Client| {
        let query = Query { name, class };
        let mut holdings = query.studies(client, selection).await?;
        for holding in &mut holdings {
            if client.is_over() {
                // It was ended by a peer that does not hear a C-CANCEL.
                return Err(SourceError::QueryCut { name: name.to_owned() }.into());
            }
            query.instances(client, holding).await?;
        }
        Ok(holdings)
    })
    .await
}

struct Query<'a> {
    name: &'a str,
    class: Uid,
}

impl Query<'_> {
    async fn studies(
        &self,
        client: &mut Client,
        selection: &Selection,
    ) -> Result<Vec<Holding>, Stop> {
        let name = || self.name.to_owned();
        let wanted = |value: &Option<String>| value.clone().unwrap_or_default();
        let study = selection.study_instance_uid.as_ref().map(Uid::to_string);
        let asked = identifier(
            "STUDY",
            &[
                (tags::STUDY_INSTANCE_UID, VR::UI, &study.unwrap_or_default()),
                (tags::PATIENT_ID, VR::LO, &wanted(&selection.patient_id)),
                (tags::ACCESSION_NUMBER, VR::SH, &wanted(&selection.accession_number)),
                (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, ""),
            ],
        );
        let found = self.find(client, &asked, MOST_STUDIES.saturating_add(1)).await?;
        let mut holdings: Vec<Holding> = Vec::new();
        for entry in &found {
            let sets = entry.character_sets();
            let text = |tag| entry.text_in(tag, &sets);
            let Some(study) = entry.uid(tags::STUDY_INSTANCE_UID) else { continue };
            let fits = selection.fits(&study, text(tags::PATIENT_ID), text(tags::ACCESSION_NUMBER));
            // A study that is named is that study, whatever else the peer tells of it.
            let named = selection.study_instance_uid.as_ref() == Some(&study)
                && selection.patient_id.is_none()
                && selection.accession_number.is_none();
            if (fits || named) && !holdings.iter().any(|known| known.study == study) {
                let count = text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES)
                    .and_then(|count| count.trim().parse().ok());
                let series = BTreeMap::new();
                holdings.push(Holding { study, instances: None, series, count });
            }
        }
        if holdings.is_empty() {
            return Err(SourceError::NoStudy { name: name() }.into());
        }
        if holdings.len() > MOST_STUDIES {
            let limit = MOST_STUDIES;
            return Err(SourceError::TooManyStudies { name: name(), limit }.into());
        }
        Ok(holdings)
    }

    /// Series by series, because the level above has to be named (PS3.4 C.4.1.2.1). A peer that refuses levels
    /// below the study has told its number.
    async fn instances(&self, client: &mut Client, holding: &mut Holding) -> Result<(), Stop> {
        let study = holding.study.to_string();
        let keys = [
            (tags::STUDY_INSTANCE_UID, VR::UI, study.as_str()),
            (tags::SERIES_INSTANCE_UID, VR::UI, ""),
        ];
        let listed = self.below(client, &identifier("SERIES", &keys), MOST_SERIES).await?;
        let Some(listed) = listed else { return Ok(()) };
        let series: BTreeSet<Uid> =
            listed.iter().filter_map(|entry| entry.uid(tags::SERIES_INSTANCE_UID)).collect();
        let mut instances = BTreeSet::new();
        let mut contents: BTreeMap<Uid, BTreeSet<Uid>> = BTreeMap::new();
        for series in &series {
            let keys = [
                (tags::STUDY_INSTANCE_UID, VR::UI, study.as_str()),
                (tags::SERIES_INSTANCE_UID, VR::UI, series.as_str()),
                (tags::SOP_INSTANCE_UID, VR::UI, ""),
                (tags::SOP_CLASS_UID, VR::UI, ""),
            ];
            let left = usize::try_from(MOST_INSTANCES).unwrap_or(usize::MAX);
            let left = left.saturating_sub(instances.len());
            let Some(listed) = self.below(client, &identifier("IMAGE", &keys), left).await? else {
                return Ok(());
            };
            for entry in &listed {
                let of = entry.uid(tags::STUDY_INSTANCE_UID);
                if of.is_some_and(|of| of != holding.study) {
                    continue;
                }
                instances.extend(entry.uid(tags::SOP_INSTANCE_UID));
                let classes = contents.entry(series.clone()).or_default();
                classes.extend(entry.uid(tags::SOP_CLASS_UID));
            }
        }
        if !instances.is_empty() {
            holding.instances = Some(instances);
            holding.series = contents;
        }
        Ok(())
    }

    /// `None` if the peer does not answer at this level.
    async fn below(
        &self,
        client: &mut Client,
        identifier: &DataSet,
        limit: usize,
    ) -> Result<Option<Vec<DataSet>>, Stop> {
        match self.find(client, identifier, limit).await {
            Ok(found) => Ok(Some(found)),
            Err(Stop::Fault(super::Error::Source(SourceError::QueryRefused {
                status, ..
            }))) if status.class() == StatusClass::Permanent => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn find(
        &self,
        client: &mut Client,
        identifier: &DataSet,
        limit: usize,
    ) -> Result<Vec<DataSet>, Stop> {
        let found = client.find(&self.class, identifier, limit).await?;
        let name = self.name.to_owned();
        match found.status.class() {
            _ if found.cut => Err(SourceError::QueryCut { name }.into()),
            StatusClass::Success | StatusClass::Warning => Ok(found.identifiers),
            _ => {
                let advice = advice(found.status);
                Err(SourceError::QueryRefused { name, status: found.status, advice }.into())
            }
        }
    }
}

/// The keys of a query, matched where they have a value.
pub(super) fn identifier(level: &str, keys: &[(Tag, VR, &str)]) -> DataSet {
    let mut set = DataSet::default();
    let plain = keys.iter().all(|(_, _, value)| value.is_ascii());
    let term: Option<&[u8]> = if plain { None } else { Some(b"ISO_IR 192") };
    if let Some(term) = term {
        set.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, term.to_vec());
    }
    let sets = CharacterSets::parse(term);
    set.put_bytes(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level.as_bytes().to_vec());
    for (tag, vr, value) in keys {
        // Every character has a place in the set that was chosen for them.
        let _ = set.put_text(*tag, *vr, value, &sets);
    }
    set
}

/// What to do about a refusal (PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4).
pub(super) fn advice(status: Status) -> &'static str {
    match status.0 {
        0xA700..=0xA7FF => "it is out of resources, look into its log if this lasts",
        0xA801 => "it does not know us as destination: enter our AE title and address there",
        0xA900..=0xA9FF => "it does not take this kind of request: look into its log",
        0x0122 | 0x0124 => "it does not permit this: allow our AE title there",
        0xFE00 => "it was cancelled there",
        _ => "look into its log",
    }
}
