//! The modules that a kind of object has beside patient, study and series (PS3.3).

use super::kind::{Image, Shot, Video};
use super::{DocumentFacts, FileKind, Writer, digits};
use crate::dicom::{DataSet, StudyFacts, Tag, VR};
use crate::reconcile::Plan;

/// A day for what must have one and tells none.
const UNKNOWN_DATE: &str = "19000101";

/// Basic Text SR, `Note` (LOINC 34109-9): all that is known of a plain text.
const NOTE: [&str; 3] = ["34109-9", "LN", "Note"];

/// Nobody told which part of the body a film shows, and it must not be left out.
const UNKNOWN_REGION: [&str; 3] = ["261665006", "SCT", "Unknown"];

/// What the text itself is (PS3.16 CID 7005).
pub(super) const COMMENT: [&str; 3] = ["121106", "DCM", "Comment"];

impl Writer {
    pub(super) fn modules(
        &mut self,
        document: &DocumentFacts<'_>,
        study: &StudyFacts,
        plan: &Plan,
    ) {
        match document.kind {
            FileKind::Pdf => {
                self.encapsulated(document, "application/pdf");
                self.data_set.put_items(Tag(0x0040, 0xA043), Vec::new());
            }
            FileKind::Cda(cda) => {
                self.encapsulated(document, "text/XML");
                let code = cda.code.iter().map(|code| item([&code.value, "LN", &code.meaning]));
                let code = code.collect();
                self.data_set.put_items(Tag(0x0040, 0xA043), code);
                self.text(Tag(0x0040, 0xE001), VR::ST, &cda.id);
            }
            FileKind::Text(_) => self.text_report(study, plan),
            FileKind::Image(image) => self.image(image),
            FileKind::Video(video) => self.video(video),
        }
        // Where the name of the file is not the title of a document.
        if let FileKind::Image(_) | FileKind::Video(_) = document.kind {
            let title: String = document.title.chars().take(super::TITLE_LENGTH).collect();
            self.text(Tag(0x0020, 0x4000), VR::LT, &title);
        }
    }

    /// Encapsulated Document (PS3.3 C.24.2).
    fn encapsulated(&mut self, document: &DocumentFacts<'_>, mime_type: &str) {
        self.text(Tag(0x0008, 0x0023), VR::DA, "");
        self.text(Tag(0x0008, 0x002A), VR::DT, "");
        self.text(Tag(0x0008, 0x0033), VR::TM, "");
        // Nobody looked inside: a report nearly always names its patient.
        self.text(Tag(0x0028, 0x0301), VR::CS, "YES");
        let title: String = document.title.chars().take(super::TITLE_LENGTH).collect();
        self.text(Tag(0x0042, 0x0010), VR::ST, &title);
        self.text(Tag(0x0042, 0x0012), VR::LO, mime_type);
        if let Ok(length) = u32::try_from(document.length) {
            self.data_set.put_bytes(Tag(0x0042, 0x0015), VR::UL, length.to_le_bytes().to_vec());
        }
    }

    /// SR Document Series (PS3.3 C.17.1), SR Document General (C.17.2) and the root of the content.
    fn text_report(&mut self, study: &StudyFacts, plan: &Plan) {
        let date = digits(&plan.date_time, 0..8).or(study.study_date.as_deref());
        self.text(Tag(0x0008, 0x0023), VR::DA, date.unwrap_or(UNKNOWN_DATE));
        let time = digits(&plan.date_time, 8..14);
        self.text(Tag(0x0008, 0x0033), VR::TM, time.unwrap_or("000000"));
        self.data_set.put_items(Tag(0x0008, 0x1111), Vec::new());
        self.text(Tag(0x0040, 0xA040), VR::CS, "CONTAINER");
        self.data_set.put_items(Tag(0x0040, 0xA043), vec![item(NOTE)]);
        self.text(Tag(0x0040, 0xA050), VR::CS, "SEPARATE");
        self.data_set.put_items(Tag(0x0040, 0xA372), Vec::new());
        // Nobody knows who wrote it, and whether that is all.
        self.text(Tag(0x0040, 0xA491), VR::CS, "PARTIAL");
        self.text(Tag(0x0040, 0xA493), VR::CS, "UNVERIFIED");
    }

    /// General Image (PS3.3 C.7.6.1), Image Pixel (C.7.6.3), and those of Secondary Capture (C.8.6),
    /// its multi-frame kinds, or VL Photographic (C.8.12.1).
    fn image(&mut self, image: &Image) {
        let pixels = image.pixels;
        let photograph = image.is_photograph();
        let kind = match image.origin {
            Shot::Camera => "ORIGINAL\\PRIMARY",
            Shot::Other => "DERIVED\\SECONDARY",
        };
        self.text(Tag(0x0008, 0x0008), VR::CS, kind);
        self.text(Tag(0x0020, 0x0020), VR::CS, "");
        self.text(Tag(0x0020, 0x0060), VR::CS, "");
        self.pixel_module(
            [image.rows, image.columns],
            pixels.samples(),
            pixels.photometric(),
            pixels.bits(),
        );
        self.text(Tag(0x0028, 0x0301), VR::CS, "YES");
        match image.lossy {
            Some(ratio) => {
                self.lossy("ISO_10918_1", Some(ratio));
            }
            None => self.text(Tag(0x0028, 0x2110), VR::CS, "00"),
        }
        if photograph {
            self.data_set.put_items(Tag(0x0040, 0x0555), Vec::new());
        }
        if image.frames > 1 {
            self.multi_frame(image.frames, Tag(0x0018, 0x2001));
            let pages: Vec<String> = (1..=image.frames).map(|page| page.to_string()).collect();
            self.text(Tag(0x0018, 0x2001), VR::IS, &pages.join("\\"));
            if pixels.samples() == 1 && pixels.bits() > 1 {
                self.text(Tag(0x0028, 0x1052), VR::DS, "0");
                self.text(Tag(0x0028, 0x1053), VR::DS, "1");
                self.text(Tag(0x0028, 0x1054), VR::LO, "US");
                self.text(Tag(0x2050, 0x0020), VR::CS, "IDENTITY");
            }
        }
    }

    /// Video Photographic (PS3.3 A.32.7): Cine (C.7.6.5) and Multi-frame (C.7.6.6) beside the image.
    fn video(&mut self, video: &Video) {
        self.text(Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY");
        self.text(Tag(0x0020, 0x0020), VR::CS, "");
        self.text(Tag(0x0020, 0x0060), VR::CS, "");
        self.data_set.put_items(Tag(0x0008, 0x2218), vec![item(UNKNOWN_REGION)]);
        self.pixel_module([video.rows, video.columns], 3, "YBR_PARTIAL_420", 8);
        self.text(Tag(0x0028, 0x0301), VR::CS, "YES");
        let method = match video.codec {
            super::Codec::H264High41 | super::Codec::H264High42 => "ISO_14496_10",
            super::Codec::H265Main51 => "ISO_23008_2",
        };
        self.lossy(method, None);
        self.data_set.put_items(Tag(0x0040, 0x0555), Vec::new());
        self.multi_frame(video.frames, Tag(0x0018, 0x1063));
        let micros = video.frame_micros.max(1);
        let time = format!("{}.{:03}", micros / 1000, micros % 1000);
        self.text(Tag(0x0018, 0x1063), VR::DS, &time);
        let rate = 1_000_000_u32.saturating_add(micros / 2) / micros;
        self.text(Tag(0x0018, 0x0040), VR::IS, &rate.max(1).to_string());
    }

    fn pixel_module(&mut self, size: [u16; 2], samples: u16, photometric: &str, bits: u16) {
        let [rows, columns] = size;
        self.number(Tag(0x0028, 0x0002), samples);
        self.text(Tag(0x0028, 0x0004), VR::CS, photometric);
        if samples > 1 {
            self.number(Tag(0x0028, 0x0006), 0);
        }
        self.number(Tag(0x0028, 0x0010), rows);
        self.number(Tag(0x0028, 0x0011), columns);
        self.number(Tag(0x0028, 0x0100), bits);
        self.number(Tag(0x0028, 0x0101), bits);
        self.number(Tag(0x0028, 0x0102), bits.saturating_sub(1));
        self.number(Tag(0x0028, 0x0103), 0);
    }

    fn lossy(&mut self, method: &str, ratio: Option<u32>) {
        self.text(Tag(0x0028, 0x2110), VR::CS, "01");
        if let Some(ratio) = ratio {
            let ratio = format!("{}.{:02}", ratio / 100, ratio % 100);
            self.text(Tag(0x0028, 0x2112), VR::DS, &ratio);
        }
        self.text(Tag(0x0028, 0x2114), VR::CS, method);
    }

    /// `pointer`: the attribute that tells how frames follow each other.
    fn multi_frame(&mut self, frames: u32, pointer: Tag) {
        self.text(Tag(0x0028, 0x0008), VR::IS, &frames.to_string());
        let value = [pointer.0.to_le_bytes(), pointer.1.to_le_bytes()].concat();
        self.data_set.put_bytes(Tag(0x0028, 0x0009), VR::AT, value);
    }

    fn number(&mut self, tag: Tag, value: u16) {
        self.data_set.put_bytes(tag, VR::US, value.to_le_bytes().to_vec());
    }
}

/// The item of a code sequence: value, scheme, meaning.
pub(super) fn item(code: [&str; 3]) -> DataSet {
    let mut writer = Writer::default();
    let [value, scheme, meaning] = code;
    writer.text(Tag(0x0008, 0x0100), VR::SH, value);
    writer.text(Tag(0x0008, 0x0102), VR::SH, scheme);
    writer.text(Tag(0x0008, 0x0104), VR::LO, meaning);
    writer.data_set
}
