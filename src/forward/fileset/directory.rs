//! The DICOMDIR: patients, studies, series and objects as records that point to each other (PS3.3 F.3).

use dicom_dictionary_std::{tags, uids};
use dicom_object::FileMetaTableBuilder;

use super::records::Object;
use crate::dicom::{DataSet, Syntax, Tag, Uid, VR, Value, scan};

/// Tag and length of an item; tag, representation and length of the sequence around them.
const ITEM_HEAD: u64 = 8;
const SEQUENCE_HEAD: u64 = 12;

/// One record with those below it.
struct Record {
    /// What tells it from others on its level.
    key: String,
    data: DataSet,
    below: Vec<Self>,
}

/// A file-set's index.
#[derive(Default)]
pub(super) struct Directory {
    /// Its own instance UID, which it keeps.
    uid: Option<Uid>,
    patients: Vec<Record>,
}

impl Directory {
    /// Reads a DICOMDIR that was written here; `None` if it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let length = u64::try_from(bytes.len()).ok()?;
        let mut reader = std::io::Cursor::new(bytes);
        let limits = scan::Limits { header: length, ..scan::Limits::default() };
        let scanned = scan::scan_file(&mut reader, length, &limits).ok()?;
        if scanned.meta.sop_class?.as_str() != uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
            return None;
        }
        let data = DataSet::read(&scanned.header, scanned.layout.syntax()).ok()?;
        data.get(tags::DIRECTORY_RECORD_SEQUENCE)?;
        let mut directory = Self { uid: scanned.meta.sop_instance, patients: Vec::new() };
        // They lie in the order of a walk, so that no offset has to be believed.
        for item in data.items(tags::DIRECTORY_RECORD_SEQUENCE) {
            let kind = item.text(tags::DIRECTORY_RECORD_TYPE)?;
            let (level, key) = match kind.as_str() {
                "PATIENT" => (0, tags::PATIENT_ID),
                "STUDY" => (1, tags::STUDY_INSTANCE_UID),
                "SERIES" => (2, tags::SERIES_INSTANCE_UID),
                _ => (3, tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE),
            };
            let mut records = &mut directory.patients;
            for _ in 0..level {
                records = &mut records.last_mut()?.below;
            }
            let key = item.text(key)?;
            records.push(Record { key, data: item.clone(), below: Vec::new() });
        }
        Some(directory)
    }

    /// Takes out the objects whose file, by its ID, does not stay, and what has nothing below it then.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&str) -> bool) {
        retain(&mut self.patients, 0, &mut stays);
    }

    /// Lists an object, in the place of the record that it had.
    pub(super) fn add(&mut self, object: Object) {
        let mut records = &mut self.patients;
        for (key, data) in object.records {
            let at = records.iter().position(|record| record.key == key);
            let at = at.unwrap_or_else(|| {
                records.push(Record { key, data: DataSet::default(), below: Vec::new() });
                records.len().saturating_sub(1)
            });
            let Some(record) = records.get_mut(at) else { return };
            record.data = data;
            records = &mut record.below;
        }
    }

    /// The file; `None` if it cannot be written, for it is too long.
    pub(super) fn write(&mut self) -> Option<Vec<u8>> {
        let uid = self.uid.clone().or_else(new_uid)?;
        self.uid = Some(uid.clone());
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(uids::MEDIA_STORAGE_DIRECTORY_STORAGE)
            .media_storage_sop_instance_uid(uid.as_str())
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .build()
            .ok()?;
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        meta.write(&mut file).ok()?;
        let mut front = DataSet::default();
        front.put_bytes(tags::FILE_SET_ID, VR::CS, b"LOTSE".to_vec());
        put_offset(&mut front, FIRST, 0);
        put_offset(&mut front, LAST, 0);
        front.put_bytes(tags::FILE_SET_CONSISTENCY_FLAG, VR::US, vec![0, 0]);
        let before = file.len().checked_add(front.write(Syntax::ExplicitLittle).len())?;
        let at = u64::try_from(before).ok()?.checked_add(SEQUENCE_HEAD)?;
        let mut items = Vec::new();
        let (_, last) = lay_out(&mut self.patients, at, &mut items)?;
        put_offset(&mut front, FIRST, if items.is_empty() { 0 } else { u32::try_from(at).ok()? });
        put_offset(&mut front, LAST, last);
        front.put_items(tags::DIRECTORY_RECORD_SEQUENCE, items);
        file.extend(front.write(Syntax::ExplicitLittle));
        Some(file)
    }
}

const FIRST: Tag = tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY;
const LAST: Tag = tags::OFFSET_OF_THE_LAST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY;

/// The level of objects: below patient, study and series.
const LEAVES: usize = 3;

/// Four levels, so it may call itself.
fn retain(records: &mut Vec<Record>, level: usize, stays: &mut dyn FnMut(&str) -> bool) {
    records.retain_mut(|record| {
        if level >= LEAVES {
            return record.data.text(tags::REFERENCED_FILE_ID).is_some_and(|file| stays(&file));
        }
        retain(&mut record.below, level.saturating_add(1), stays);
        !record.below.is_empty()
    });
}

fn put_offset(data: &mut DataSet, tag: Tag, at: u32) {
    data.put_bytes(tag, VR::UL, at.to_le_bytes().to_vec());
}

fn length_of(data: &DataSet) -> Option<u64> {
    u64::try_from(data.write(Syntax::ExplicitLittle).len()).ok()?.checked_add(ITEM_HEAD)
}

/// Writes offsets into the records and hands them on in the order of a walk. Four levels, so it may call itself.
/// Returns where the next record begins, and where the last one of this level does.
fn lay_out(records: &mut [Record], mut at: u64, items: &mut Vec<DataSet>) -> Option<(u64, u32)> {
    let mut last = 0;
    let count = records.len();
    for (n, record) in records.iter_mut().enumerate() {
        last = u32::try_from(at).ok()?;
        record.data.put_bytes(tags::RECORD_IN_USE_FLAG, VR::US, vec![0xFF, 0xFF]);
        put_offset(&mut record.data, tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD, 0);
        let lower = tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY;
        put_offset(&mut record.data, lower, 0);
        // Offsets have one length whatever they say.
        let below = at.checked_add(length_of(&record.data)?)?;
        if !record.below.is_empty() {
            put_offset(&mut record.data, lower, u32::try_from(below).ok()?);
        }
        let place = items.len();
        items.push(DataSet::default());
        (at, _) = lay_out(&mut record.below, below, items)?;
        if n.checked_add(1)? < count {
            let next = u32::try_from(at).ok()?;
            put_offset(&mut record.data, tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD, next);
        }
        *items.get_mut(place)? = record.data.clone();
    }
    Some((at, last))
}

fn new_uid() -> Option<Uid> {
    let number = uuid::Uuid::now_v7().as_u128();
    Uid::new(&format!("2.25.{number}")).ok()
}

/// A value of a header as it is, for a record.
pub(super) fn copied(header: &DataSet, tag: Tag) -> Option<crate::dicom::Element> {
    let element = header.get(tag)?;
    match &element.value {
        Value::Bytes(bytes) if bytes.iter().all(|b| matches!(b, b' ' | 0)) => None,
        Value::Items(items) if items.is_empty() => None,
        Value::Fragments(_) => None,
        Value::Bytes(_) | Value::Items(_) => Some(element.clone()),
    }
}
