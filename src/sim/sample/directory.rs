//! The DICOMDIR of the medium: one patient, one study, one series (PS3.3 F.3, PS3.10 8.6).

use super::{
    Attributes, CharacterSets, DataSet, FOREIGN_ACCESSION, FOREIGN_ID, FOREIGN_NAME, STUDY_DATE,
    Sample, VR, ct, part_10, split,
};
use crate::dicom::Syntax;

/// Media Storage Directory Storage.
const SOP_CLASS: &str = "1.2.840.10008.1.3.10";

/// Tag and length before each item.
const ITEM_HEADER: usize = 8;

/// Records before the images: patient, study, series.
const ABOVE: usize = 3;

impl Sample {
    /// The DICOMDIR as a Part 10 file.
    pub fn directory(&self) -> Vec<u8> {
        // Offsets have a fixed width, so a first pass with zeros tells where everything will lie.
        let unplaced = vec![0; usize::from(self.slices()) + ABOVE];
        let lengths: Vec<usize> = self
            .records(&unplaced)
            .iter()
            .map(|record| record.write(Syntax::ExplicitLittle).len() + ITEM_HEADER)
            .collect();
        let total: usize = lengths.iter().sum();
        let mut at = self.file(&unplaced).len() - total;
        let mut offsets = Vec::with_capacity(lengths.len());
        for length in lengths {
            offsets.push(u32::try_from(at).unwrap_or(0));
            at += length;
        }
        self.file(&offsets)
    }

    fn file(&self, offsets: &[u32]) -> Vec<u8> {
        let root = offsets.first().copied().unwrap_or(0);
        let mut file_set = Attributes::new(CharacterSets::parse(None));
        file_set.text(0x0004_1130, VR::CS, "LOTSE");
        file_set.bytes(0x0004_1200, VR::UL, root.to_le_bytes().to_vec());
        file_set.bytes(0x0004_1202, VR::UL, root.to_le_bytes().to_vec());
        file_set.u16(0x0004_1212, 0);
        file_set.0.put_items(split(0x0004_1220), self.records(offsets));
        part_10(&file_set.0, SOP_CLASS, &self.uid("directory"))
    }

    /// `offsets`: where each record lies in the file, in the order of the records.
    fn records(&self, offsets: &[u32]) -> Vec<DataSet> {
        let at = |record: usize| offsets.get(record).copied().unwrap_or(0);
        let mut patient = record("PATIENT", 0, at(1));
        patient.text(0x0008_0005, VR::CS, "ISO_IR 100");
        patient.text(0x0010_0010, VR::PN, FOREIGN_NAME);
        patient.text(0x0010_0020, VR::LO, FOREIGN_ID);
        let mut study = record("STUDY", 0, at(2));
        study.text(0x0008_0020, VR::DA, STUDY_DATE);
        study.text(0x0008_0030, VR::TM, "093000");
        study.text(0x0008_0050, VR::SH, FOREIGN_ACCESSION);
        study.text(0x0008_1030, VR::LO, "CT Thorax nativ");
        study.text(0x0020_000D, VR::UI, self.study_uid().as_str());
        study.text(0x0020_0010, VR::SH, "47110815");
        let mut series = record("SERIES", 0, at(ABOVE));
        series.text(0x0008_0060, VR::CS, "CT");
        series.text(0x0020_000E, VR::UI, self.series_uid().as_str());
        series.text(0x0020_0011, VR::IS, "2");
        let mut records = vec![patient.0, study.0, series.0];
        for slice in 0..self.slices() {
            let mut image = record("IMAGE", at(records.len() + 1), 0);
            image.text(0x0004_1500, VR::CS, &Self::file_id(slice));
            image.text(0x0004_1510, VR::UI, ct::SOP_CLASS);
            image.text(0x0004_1511, VR::UI, self.instance_uid(slice).as_str());
            image.text(0x0004_1512, VR::UI, "1.2.840.10008.1.2.1");
            image.text(0x0020_0013, VR::IS, &(u32::from(slice) + 1).to_string());
            records.push(image.0);
        }
        records
    }
}

/// `next` of the same level and first of the `lower` level; 0 if there is none.
fn record(kind: &str, next: u32, lower: u32) -> Attributes {
    let mut record = Attributes::new(CharacterSets::parse(Some(b"ISO_IR 100")));
    record.bytes(0x0004_1400, VR::UL, next.to_le_bytes().to_vec());
    record.u16(0x0004_1410, 0xFFFF);
    record.bytes(0x0004_1420, VR::UL, lower.to_le_bytes().to_vec());
    record.text(0x0004_1430, VR::CS, kind);
    record
}
