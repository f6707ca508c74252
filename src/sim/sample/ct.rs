//! The phantom: a body of soft tissue with lungs, a spine and a nodule, in integers.

use super::{
    Attributes, FOREIGN_ACCESSION, FOREIGN_ID, FOREIGN_ISSUER, FOREIGN_NAME, STUDY_DATE, Sample,
};
use super::{BIRTH_DATE, CharacterSets, DataSet, VR};

/// CT Image Storage (PS3.4 B.5).
pub(super) const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.2";

/// Rows and columns.
const SIZE: u16 = 512;

/// Stored value = Hounsfield units + 1024.
const AIR: u16 = 24;
const LUNG: u16 = 204;
const FAT: u16 = 924;
const TISSUE: u16 = 1064;
const NODULE: u16 = 1094;
const BONE: u16 = 1724;

/// Every pixel gets noise of 0 to 15 units: 4 bits of a pixel do not compress, as in a real image.
const NOISE: u32 = 15;

impl Sample {
    /// The data set of one slice.
    pub(super) fn ct(&self, slice: u16) -> DataSet {
        let mut ct = Attributes::new(CharacterSets::parse(Some(b"ISO_IR 100")));
        self.patient_and_study(&mut ct);
        self.series(&mut ct);
        self.image(&mut ct, slice);
        ct.bytes(0x7FE0_0010, VR::OW, self.pixels(slice));
        ct.0
    }

    /// Patient, General Study and Patient Study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).
    fn patient_and_study(&self, ct: &mut Attributes) {
        ct.text(0x0008_0005, VR::CS, "ISO_IR 100");
        ct.text(0x0008_0020, VR::DA, STUDY_DATE);
        ct.text(0x0008_0030, VR::TM, "093000");
        ct.text(0x0008_0050, VR::SH, FOREIGN_ACCESSION);
        ct.text(0x0008_0090, VR::PN, "ZUWEISER^ZACHARIAS^^DR.");
        ct.text(0x0008_1030, VR::LO, "CT Thorax nativ");
        ct.text(0x0010_0010, VR::PN, FOREIGN_NAME);
        ct.text(0x0010_0020, VR::LO, FOREIGN_ID);
        ct.text(0x0010_0021, VR::LO, FOREIGN_ISSUER);
        ct.text(0x0010_0030, VR::DA, BIRTH_DATE);
        ct.text(0x0010_0040, VR::CS, "F");
        ct.text(0x0010_1010, VR::AS, "062Y");
        ct.text(0x0010_1020, VR::DS, "1.68");
        ct.text(0x0010_1030, VR::DS, "71");
        ct.text(0x0020_000D, VR::UI, self.study_uid().as_str());
        ct.text(0x0020_0010, VR::SH, "47110815");
    }

    /// General Series, Frame of Reference, General Equipment (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1).
    fn series(&self, ct: &mut Attributes) {
        ct.text(0x0008_0021, VR::DA, STUDY_DATE);
        ct.text(0x0008_0031, VR::TM, "093200");
        ct.text(0x0008_0060, VR::CS, "CT");
        ct.text(0x0008_0070, VR::LO, "Phantomwerke");
        ct.text(0x0008_0080, VR::LO, "Radiologie am Markt");
        ct.text(0x0008_1010, VR::SH, "CT1");
        ct.text(0x0008_103E, VR::LO, "Thorax 1.5 mm, Lungenfenster möglich");
        ct.text(0x0008_1090, VR::LO, "Phantom 64");
        ct.text(0x0018_0015, VR::CS, "CHEST");
        ct.text(0x0018_1000, VR::LO, "4711");
        ct.text(0x0018_1020, VR::LO, "1.0");
        ct.text(0x0018_1030, VR::LO, "Thorax Routine");
        ct.text(0x0018_5100, VR::CS, "HFS");
        ct.text(0x0020_000E, VR::UI, self.series_uid().as_str());
        ct.text(0x0020_0011, VR::IS, "2");
        ct.text(0x0020_0052, VR::UI, self.uid("frame of reference").as_str());
        ct.text(0x0020_1040, VR::LO, "");
    }

    /// General Image, Image Plane, Image Pixel, CT Image, SOP Common (PS3.3 C.7.6.1 to C.7.6.3, C.8.2.1, C.12.1).
    fn image(&self, ct: &mut Attributes, slice: u16) {
        let z = format!("{:.1}", -300.0 + 1.5 * f64::from(slice));
        ct.text(0x0008_0008, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL");
        ct.text(0x0008_0016, VR::UI, SOP_CLASS);
        ct.text(0x0008_0018, VR::UI, self.instance_uid(slice).as_str());
        ct.text(0x0008_0022, VR::DA, STUDY_DATE);
        ct.text(0x0008_0023, VR::DA, STUDY_DATE);
        ct.text(0x0008_0032, VR::TM, "093210");
        ct.text(0x0008_0033, VR::TM, "093215");
        ct.text(0x0018_0050, VR::DS, "1.5");
        ct.text(0x0018_0060, VR::DS, "120");
        ct.text(0x0018_0088, VR::DS, "1.5");
        ct.text(0x0018_0090, VR::DS, "360");
        ct.text(0x0018_1100, VR::DS, "360");
        ct.text(0x0018_1120, VR::DS, "0");
        ct.text(0x0018_1130, VR::DS, "170");
        ct.text(0x0018_1140, VR::CS, "CW");
        ct.text(0x0018_1150, VR::IS, "500");
        ct.text(0x0018_1151, VR::IS, "210");
        ct.text(0x0018_1210, VR::SH, "B40");
        ct.text(0x0020_0012, VR::IS, "1");
        ct.text(0x0020_0013, VR::IS, &(u32::from(slice) + 1).to_string());
        ct.text(0x0020_0032, VR::DS, &format!("-180\\-180\\{z}"));
        ct.text(0x0020_0037, VR::DS, "1\\0\\0\\0\\1\\0");
        ct.text(0x0020_1041, VR::DS, &z);
        ct.u16(0x0028_0002, 1);
        ct.text(0x0028_0004, VR::CS, "MONOCHROME2");
        ct.u16(0x0028_0010, SIZE);
        ct.u16(0x0028_0011, SIZE);
        ct.text(0x0028_0030, VR::DS, "0.703125\\0.703125");
        ct.u16(0x0028_0100, 16);
        ct.u16(0x0028_0101, 16);
        ct.u16(0x0028_0102, 15);
        ct.u16(0x0028_0103, 0);
        ct.text(0x0028_1050, VR::DS, "40\\-600");
        ct.text(0x0028_1051, VR::DS, "400\\1600");
        ct.text(0x0028_1052, VR::DS, "-1024");
        ct.text(0x0028_1053, VR::DS, "1");
        ct.text(0x0028_1054, VR::LO, "HU");
    }

    /// 16 bit little endian, row by row.
    fn pixels(&self, slice: u16) -> Vec<u8> {
        let width = usize::from(SIZE);
        let mut bytes = Vec::with_capacity(width * width * 2);
        let shapes = Shapes::at(slice, self.slices());
        // A linear congruential generator (Numerical Recipes): noise that is the same everywhere.
        let seed = (self.seed & 0xFFFF).wrapping_mul(65_521).wrapping_add(u64::from(slice));
        let mut noise = u32::try_from(seed & 0xFFFF_FFFF).unwrap_or(1);
        for y in 0..i32::from(SIZE) {
            for x in 0..i32::from(SIZE) {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let grain = u16::try_from((noise >> 24) & NOISE).unwrap_or(0);
                bytes.extend(shapes.value(x - 256, y - 256).saturating_add(grain).to_le_bytes());
            }
        }
        bytes
    }
}

/// An ellipse around a centre, as `(dx/a)² + (dy/b)² <= 1` without a division.
#[derive(Clone, Copy)]
struct Ellipse {
    x: i32,
    y: i32,
    a: i32,
    b: i32,
}

impl Ellipse {
    fn holds(self, x: i32, y: i32) -> bool {
        // Half axes end at 256 and distances at 512, so the products stay below 2^63.
        let [dx, dy, a, b] = [x - self.x, y - self.y, self.a, self.b].map(i64::from);
        dx * dx * b * b + dy * dy * a * a <= a * a * b * b
    }
}

/// The cuts through the phantom's ellipsoids at one height.
struct Shapes {
    body: Ellipse,
    fat: Ellipse,
    lungs: [Ellipse; 2],
    spine: Ellipse,
    nodule: Ellipse,
}

impl Shapes {
    fn at(slice: u16, slices: u16) -> Self {
        // Height from -100 to 100; the lungs are widest in the middle.
        let height = (200 * (i32::from(slice) * 2 + 1)) / (i32::from(slices) * 2) - 100;
        let lung = 90 - height * height / 200;
        let nodule = (12 - height.abs() / 3).max(0);
        Self {
            body: Ellipse { x: 0, y: 0, a: 230 - height.abs() / 10, b: 165 },
            fat: Ellipse { x: 0, y: 0, a: 215 - height.abs() / 10, b: 150 },
            lungs: [
                Ellipse { x: -105, y: -10, a: lung * 8 / 10, b: lung * 12 / 10 },
                Ellipse { x: 105, y: -10, a: lung * 8 / 10, b: lung * 12 / 10 },
            ],
            spine: Ellipse { x: 0, y: 95, a: 24, b: 28 },
            nodule: Ellipse { x: -95, y: 20, a: nodule, b: nodule },
        }
    }

    fn value(&self, x: i32, y: i32) -> u16 {
        if !self.body.holds(x, y) {
            AIR
        } else if self.nodule.a > 0 && self.nodule.holds(x, y) {
            NODULE
        } else if self.lungs.iter().any(|lung| lung.holds(x, y)) {
            LUNG
        } else if self.spine.holds(x, y) {
            BONE
        } else if self.fat.holds(x, y) {
            TISSUE
        } else {
            FAT
        }
    }
}
