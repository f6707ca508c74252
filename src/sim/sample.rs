//! A synthetic examination: a phantom as CT, a report as PDF, and the worklist that knows the patient.
//!
//! Made by code, so that nobody's data is in the tree. Everything follows from the seed: the same sample has
//! the same UIDs and the same bytes. Valid for `dciodvfy`.

mod archive;
mod ct;
mod directory;
mod report;

use crate::dicom::{
    AccessionNumber, BirthDate, CharacterSets, Code, DataSet, Item, Patient, PatientId, PersonName,
    Sex, Step, Syntax, Tag, Uid, VR,
};

/// Who the portal says the patient is; Latin-1 on the medium.
const FOREIGN_NAME: &str = "MUSTERFRAU-GRÜN^ERIKA";
const FOREIGN_ID: &str = "RP-0815-4711";
const FOREIGN_ISSUER: &str = "RADIOLOGIE AM MARKT";
const FOREIGN_ACCESSION: &str = "RP99120047";
const STUDY_DATE: &str = "20260915";
const BIRTH_DATE: &str = "19640812";

/// Enough for a phantom with a beginning and an end.
const FEWEST_SLICES: u16 = 1;

/// A synthetic examination with `slices` CT images of 512 x 512 pixels and one PDF.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    seed: u64,
    slices: u16,
}

impl Sample {
    /// The usual sample.
    pub fn new(slices: u16) -> Self {
        Self::with_seed(slices, 1)
    }

    /// Another study of the same patient for each seed.
    pub fn with_seed(slices: u16, seed: u64) -> Self {
        Self { seed, slices: slices.max(FEWEST_SLICES) }
    }

    pub fn slices(&self) -> u16 {
        self.slices
    }

    pub fn study_uid(&self) -> Uid {
        self.uid("study")
    }

    pub fn series_uid(&self) -> Uid {
        self.uid("series")
    }

    /// SOP Instance UID of the slice, counted from 0.
    pub fn instance_uid(&self, slice: u16) -> Uid {
        self.uid(&format!("slice {slice}"))
    }

    /// The answer that the portal wants, `YYYY-MM-DD`.
    pub fn birth_date(&self) -> &'static str {
        "1964-08-12"
    }

    /// The patient as the medium tells it.
    pub fn foreign_patient(&self) -> Patient {
        patient(FOREIGN_ID, FOREIGN_ISSUER, FOREIGN_NAME, BIRTH_DATE, Sex::Female)
    }

    /// The order that the study belongs to, with the local identity.
    pub fn item(&self) -> Item {
        let local =
            patient("100234567", "KLINIKUM", "Musterfrau-Gruen^Erika", BIRTH_DATE, Sex::Female);
        item(local, "A2026004711", "P2026004711", "Fremdaufnahmen CT Thorax einlesen")
    }

    /// The whole worklist: [`Sample::item`] first, then others that are like it without being it.
    pub fn worklist(&self) -> Vec<Item> {
        let sister =
            patient("100234999", "KLINIKUM", "Musterfrau-Gruen^Erna", "19640821", Sex::Female);
        let namesake = patient("100777001", "KLINIKUM", "Gruen^Erika", "19810305", Sex::Female);
        let stranger = patient("100555123", "KLINIKUM", "Beispiel^Otto", BIRTH_DATE, Sex::Male);
        vec![
            self.item(),
            item(sister, "A2026004712", "P2026004712", "CT Thorax"),
            item(namesake, "A2026004713", "P2026004713", "MRT Knie links"),
            item(stranger, "A2026004714", "P2026004714", "CT Abdomen"),
        ]
    }

    /// One CT image as a Part 10 file; `slice` counts from 0.
    pub fn instance(&self, slice: u16) -> Vec<u8> {
        part_10(&self.ct(slice), ct::SOP_CLASS, &self.instance_uid(slice))
    }

    /// The report.
    pub fn pdf(&self) -> Vec<u8> {
        report::pdf()
    }

    /// SOP instances that a gateway receives from this sample.
    pub fn received(&self) -> usize {
        usize::from(self.slices)
    }

    /// Where the slice lies on the medium: its Referenced File ID (PS3.10 8.2).
    fn file_id(slice: u16) -> String {
        format!("DICOM\\ST000001\\SE000001\\IM{:06}", u32::from(slice) + 1)
    }

    fn uid(&self, of: &str) -> Uid {
        Uid::derived(format!("lotse sample {} {of}", self.seed).as_bytes())
    }
}

fn patient(id: &str, issuer: &str, name: &str, birth_date: &str, sex: Sex) -> Patient {
    Patient {
        id: Some(PatientId { id: id.to_owned(), issuer: Some(issuer.to_owned()) }),
        name: PersonName::new(name),
        birth_date: BirthDate::parse(birth_date),
        sex,
    }
}

fn item(patient: Patient, accession: &str, procedure: &str, description: &str) -> Item {
    let code = Code {
        value: procedure.chars().rev().take(4).collect(),
        scheme: "99KLINIKUM".to_owned(),
        version: None,
        meaning: description.to_owned(),
    };
    let step = Step {
        id: Some(format!("S{procedure}")),
        description: Some(description.to_owned()),
        modality: Some("CT".to_owned()),
        start_date: Some("20260920".to_owned()),
        start_time: Some("101500".to_owned()),
        ..Step::default()
    };
    Item {
        study_uid: Some(Uid::derived(format!("lotse sample order {procedure}").as_bytes())),
        patient,
        accession_number: Some(AccessionNumber { number: accession.to_owned(), issuer: None }),
        requested_procedure_id: Some(procedure.to_owned()),
        requested_procedure_description: Some(description.to_owned()),
        requested_procedure_codes: vec![code],
        referring_physician: Some("Hausarzt^Hanna^^Dr.".to_owned()),
        requesting_physician: Some("Station^Stefan^^Dr.".to_owned()),
        steps: vec![step],
        ..Item::default()
    }
}

/// Preamble, file meta group and data set (PS3.10 7.1), Explicit VR Little Endian.
fn part_10(data_set: &DataSet, class: &str, instance: &Uid) -> Vec<u8> {
    let mut meta = Attributes::new(CharacterSets::parse(None));
    meta.bytes(0x0002_0001, VR::OB, vec![0, 1]);
    meta.text(0x0002_0002, VR::UI, class);
    meta.text(0x0002_0003, VR::UI, instance.as_str());
    meta.text(0x0002_0010, VR::UI, "1.2.840.10008.1.2.1");
    meta.text(0x0002_0012, VR::UI, Uid::derived(b"lotse sample").as_str());
    meta.text(0x0002_0013, VR::SH, "LOTSE SAMPLE");
    let meta = meta.0.write(Syntax::ExplicitLittle);
    let mut file = vec![0; 128];
    file.extend(*b"DICM\x02\0\0\0UL\x04\0");
    file.extend(u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(meta);
    file.extend(data_set.write(Syntax::ExplicitLittle));
    file
}

/// A data set in the making; tags are `0xGGGGEEEE`.
struct Attributes(DataSet, CharacterSets);

impl Attributes {
    fn new(sets: CharacterSets) -> Self {
        Self(DataSet::default(), sets)
    }

    fn text(&mut self, tag: u32, vr: VR, text: &str) {
        // The sample's own texts fit its character set; a test reads them back.
        let _written = self.0.put_text(split(tag), vr, text, &self.1);
    }

    fn bytes(&mut self, tag: u32, vr: VR, bytes: Vec<u8>) {
        self.0.put_bytes(split(tag), vr, bytes);
    }

    fn u16(&mut self, tag: u32, number: u16) {
        self.bytes(tag, VR::US, number.to_le_bytes().to_vec());
    }
}

fn split(tag: u32) -> Tag {
    let [g1, g0, e1, e0] = tag.to_be_bytes();
    Tag(u16::from_be_bytes([g1, g0]), u16::from_be_bytes([e1, e0]))
}

#[cfg(test)]
mod tests;
