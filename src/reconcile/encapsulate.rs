//! A file that came along becomes an instance of its study: Encapsulated PDF and CDA (PS3.3 A.45), Secondary
//! Capture (A.8), VL and Video Photographic (A.32.4, A.32.7), Basic Text SR (A.35.1).
//!
//! Pure, and without the file's bytes: what stands before and behind them is returned, so that a sender
//! streams them between the two. Invariants: the same file in the same study has the same UIDs and, under one
//! plan, the same bytes; identity is the reconciled one.

mod kind;
mod modules;

pub use kind::{Cda, Codec, DocumentCode, FileKind, Image, Pixels, Shot, Text, Video};

use crate::dicom::{CharacterSets, DataSet, Element, StudyFacts, Syntax, Tag, Uid, VR, Value};
use crate::reconcile::{Change, NewElement, NewValue, Plan, values};

/// Document Title (0042,0010) is ST (PS3.5 6.2).
const TITLE_LENGTH: usize = 1024;

/// Items inside items of a plan; request attributes need three.
const DEPTH: usize = 8;

/// Attributes of patient, study and order that a created object takes from the plan. What describes a
/// modification (Original Attributes, Instance Origin Status, coercion time) does not fit an object that
/// nobody had before.
const TAKEN_FROM_PLAN: [(u16, u16); 17] = [
    (0x0008, 0x0050),
    (0x0008, 0x0051),
    (0x0008, 0x0090),
    (0x0008, 0x0096),
    (0x0008, 0x1030),
    (0x0008, 0x1032),
    (0x0008, 0x1110),
    (0x0008, 0x1120),
    (0x0020, 0x0010),
    (0x0032, 0x1032),
    (0x0032, 0x1033),
    (0x0032, 0x1060),
    (0x0032, 0x1064),
    (0x0038, 0x0010),
    (0x0038, 0x0014),
    (0x0012, 0x0062),
    (0x0012, 0x0063),
];

/// Where an object names its orders: a text report in the one, as every SR document (PS3.3 C.17.2), all others in
/// the other (C.7.3.1, C.24.1).
const REFERENCED_REQUEST: (u16, u16) = (0x0040, 0xA370);
const REQUEST_ATTRIBUTES: (u16, u16) = (0x0040, 0x0275);

/// Attributes of the above that have to be there, if only empty (PS3.3 C.7.1.1, C.7.2.1).
const TYPE_2: [(Tag, VR); 7] = [
    (Tag(0x0008, 0x0050), VR::SH),
    (Tag(0x0008, 0x0090), VR::PN),
    (Tag(0x0010, 0x0010), VR::PN),
    (Tag(0x0010, 0x0020), VR::LO),
    (Tag(0x0010, 0x0030), VR::DA),
    (Tag(0x0010, 0x0040), VR::CS),
    (Tag(0x0020, 0x0010), VR::SH),
];

const ENCAPSULATED_DOCUMENT: Tag = Tag(0x0042, 0x0011);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const CONTENT_SEQUENCE: Tag = Tag(0x0040, 0xA730);

/// Item with undefined length, its end, the end of a sequence (PS3.5 7.5).
const ITEM: &[u8] = b"\xfe\xff\x00\xe0\xff\xff\xff\xff";
const ITEM_ENDS: &[u8] = b"\xfe\xff\x0d\xe0\0\0\0\0";
const SEQUENCE_ENDS: &[u8] = b"\xfe\xff\xdd\xe0\0\0\0\0";

/// Why a document cannot become an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "the document has {0} bytes; one element holds less than 4 GiB, so keep it outside the PACS"
    )]
    TooLarge(u64),
    #[error("the document is empty; ask the sender for it again")]
    Empty,
}

/// The document as it lies in the spool.
#[derive(Clone, Copy)]
pub struct DocumentFacts<'a> {
    pub kind: &'a FileKind,
    /// What a person reads; the file's name without folders.
    pub title: &'a str,
    /// Bytes of the document.
    pub length: u64,
    pub sop_instance: &'a Uid,
    pub series: &'a Uid,
    /// Instance Number (0020,0013), from 1 within the series.
    pub number: u32,
}

/// A data set around a document: `before`, the document's bytes, `after`.
pub struct Encapsulation {
    /// Up to and with tag and length of the document.
    pub before: Vec<u8>,
    /// Bytes of the data set in `before` that stand in front of the element which holds the document.
    pub header: usize,
    /// Padding if the document's length is odd, and what follows it.
    pub after: Vec<u8>,
    /// Bytes of the whole data set.
    pub length: u64,
}

/// SOP Instance UID and Series Instance UID of a document: the same for the same bytes in the same study, so
/// that importing again makes a duplicate and not a second document. `digest` is that of the stored bytes.
pub fn identifiers(study: &Uid, kind: &FileKind, digest: &str) -> (Uid, Uid) {
    let key = kind.series().key;
    let source = kind.source().unwrap_or(digest);
    let instance = Uid::derived(format!("{study}/{key}/{source}").as_bytes());
    let series = Uid::derived(format!("{study}/{key}").as_bytes());
    (instance, series)
}

/// The data set around a document.
///
/// The study's own facts come first, the plan's changes of patient, study and order over them.
///
/// # Errors
/// If the document is empty or does not fit into one element.
pub fn encapsulate(
    document: &DocumentFacts<'_>,
    study: &StudyFacts,
    plan: &Plan,
) -> Result<Encapsulation, Error> {
    if document.length == 0 {
        return Err(Error::Empty);
    }
    let padding = document.length % 2;
    let too_large = Error::TooLarge(document.length);
    let value = document.length.checked_add(padding).ok_or(too_large)?;
    // 0xFFFFFFFF says "undefined length".
    let declared =
        u32::try_from(value).ok().filter(|length| *length < u32::MAX).ok_or(too_large)?;

    let mut writer = Writer::default();
    writer.patient_and_study(study);
    writer.series_and_equipment(document, plan);
    writer.modules(document, study, plan);
    for change in &plan.changes {
        writer.change(change, document.kind);
    }
    let frame = Frame::of(document.kind, declared);
    let mut tail = DataSet::default();
    let behind: Vec<Tag> =
        writer.data_set.iter().map(|(tag, _)| tag).filter(|tag| *tag > frame.tag).collect();
    for tag in behind {
        if let Some(element) = writer.data_set.remove(tag) {
            tail.insert(tag, element);
        }
    }
    let mut before = writer.data_set.write(Syntax::ExplicitLittle);
    let header = before.len();
    before.extend(frame.opens);
    let mut after = if padding == 1 { vec![frame.padding] } else { Vec::new() };
    after.extend(frame.closes);
    after.extend(tail.write(Syntax::ExplicitLittle));

    let around = before.len().saturating_add(after.len());
    let length = u64::try_from(around).ok().and_then(|around| around.checked_add(document.length));
    Ok(Encapsulation { before, header, after, length: length.ok_or(too_large)? })
}

/// The element that holds the document: what opens it up to the first byte, and what closes it.
struct Frame {
    tag: Tag,
    opens: Vec<u8>,
    padding: u8,
    closes: Vec<u8>,
}

impl Frame {
    /// `length` is even.
    fn of(kind: &FileKind, length: u32) -> Self {
        match kind {
            FileKind::Pdf | FileKind::Cda(_) => {
                let opens = long_head(ENCAPSULATED_DOCUMENT, *b"OB", length);
                // A NUL is no character of XML, so that some readers stumble over it.
                let padding = if *kind == FileKind::Pdf { 0 } else { b' ' };
                Self { tag: ENCAPSULATED_DOCUMENT, opens, padding, closes: Vec::new() }
            }
            FileKind::Image(image) if !image.pixels.is_wrapped() => {
                let vr = if image.pixels.bits() == 16 { *b"OW" } else { *b"OB" };
                let opens = long_head(PIXEL_DATA, vr, length);
                Self { tag: PIXEL_DATA, opens, padding: 0, closes: Vec::new() }
            }
            // An empty offset table and one fragment (PS3.5 A.4).
            FileKind::Image(_) | FileKind::Video(_) => {
                let mut opens = long_head(PIXEL_DATA, *b"OB", u32::MAX);
                opens.extend(*b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0");
                opens.extend(length.to_le_bytes());
                let closes = SEQUENCE_ENDS.to_vec();
                Self { tag: PIXEL_DATA, opens, padding: 0, closes }
            }
            FileKind::Text(_) => {
                let mut opens = long_head(CONTENT_SEQUENCE, *b"SQ", u32::MAX);
                opens.extend(ITEM);
                let mut content = Writer::default();
                content.text(Tag(0x0040, 0xA010), VR::CS, "CONTAINS");
                content.text(Tag(0x0040, 0xA040), VR::CS, "TEXT");
                let name = modules::item(modules::COMMENT);
                content.data_set.put_items(Tag(0x0040, 0xA043), vec![name]);
                opens.extend(content.data_set.write(Syntax::ExplicitLittle));
                opens.extend(long_head(Tag(0x0040, 0xA160), *b"UT", length));
                let closes = [ITEM_ENDS, SEQUENCE_ENDS].concat();
                Self { tag: CONTENT_SEQUENCE, opens, padding: b' ', closes }
            }
        }
    }
}

/// Tag, representation and length of an element with a long length (PS3.5 7.1.2).
fn long_head(tag: Tag, vr: [u8; 2], length: u32) -> Vec<u8> {
    let mut head = [tag.0.to_le_bytes(), tag.1.to_le_bytes(), vr, [0, 0]].concat();
    head.extend(length.to_le_bytes());
    head
}

struct Writer {
    data_set: DataSet,
    sets: CharacterSets,
}

impl Default for Writer {
    fn default() -> Self {
        Self { data_set: DataSet::default(), sets: CharacterSets::utf8() }
    }
}

impl Writer {
    /// UTF-8 holds every text, so `put_text` has no reason to refuse one; if it does, the value stays empty.
    fn text(&mut self, tag: Tag, vr: VR, text: &str) {
        if !self.data_set.put_text(tag, vr, text, &self.sets) {
            self.data_set.put_bytes(tag, vr, Vec::new());
        }
    }

    fn optional(&mut self, tag: Tag, vr: VR, text: Option<&str>) {
        if let Some(text) = text {
            self.text(tag, vr, text);
        }
    }

    /// Patient (PS3.3 C.7.1.1) and General Study (C.7.2.1), type 2 attributes empty if nobody told them.
    fn patient_and_study(&mut self, study: &StudyFacts) {
        self.text(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192");
        self.text(Tag(0x0008, 0x0020), VR::DA, study.study_date.as_deref().unwrap_or(""));
        self.text(Tag(0x0008, 0x0030), VR::TM, "");
        let accession = study.accession_number.as_ref().map_or("", |number| number.number.as_str());
        self.text(Tag(0x0008, 0x0050), VR::SH, accession);
        self.optional(Tag(0x0008, 0x0080), VR::LO, study.institution.as_deref());
        self.text(Tag(0x0008, 0x0090), VR::PN, "");
        self.optional(Tag(0x0008, 0x1030), VR::LO, study.study_description.as_deref());

        let patient = &study.patient;
        self.text(
            Tag(0x0010, 0x0010),
            VR::PN,
            patient.name.as_ref().map_or("", |name| name.as_str()),
        );
        let id = patient.id.as_ref();
        self.text(Tag(0x0010, 0x0020), VR::LO, id.map_or("", |id| id.id.as_str()));
        self.optional(Tag(0x0010, 0x0021), VR::LO, id.and_then(|id| id.issuer.as_deref()));
        let birth_date = patient.birth_date.map(|date| date.to_dicom()).unwrap_or_default();
        self.text(Tag(0x0010, 0x0030), VR::DA, &birth_date);
        self.text(Tag(0x0010, 0x0040), VR::CS, patient.sex.as_str());
        self.text(Tag(0x0020, 0x000D), VR::UI, study.study_uid.as_str());
        self.text(Tag(0x0020, 0x0010), VR::SH, "");
    }

    /// Series (PS3.3 C.7.3.1, C.24.1), General Equipment (C.7.5.1): the origin, which nobody told, SC
    /// Equipment (C.8.6.1): who wrapped the document, and SOP Common (C.12.1).
    fn series_and_equipment(&mut self, document: &DocumentFacts<'_>, plan: &Plan) {
        let series = document.kind.series();
        self.text(Tag(0x0008, 0x0016), VR::UI, document.kind.sop_class().as_str());
        self.text(Tag(0x0008, 0x0018), VR::UI, document.sop_instance.as_str());
        self.text(Tag(0x0008, 0x0060), VR::CS, series.modality);
        self.text(Tag(0x0008, 0x0070), VR::LO, "");
        self.text(Tag(0x0008, 0x103E), VR::LO, series.description);
        self.text(Tag(0x0020, 0x000E), VR::UI, document.series.as_str());
        self.text(Tag(0x0020, 0x0011), VR::IS, &series.number.to_string());
        self.text(Tag(0x0020, 0x0013), VR::IS, &document.number.max(1).to_string());
        if document.kind.is_captured() {
            self.text(Tag(0x0008, 0x0064), VR::CS, "WSD");
            self.optional(Tag(0x0018, 0x1010), VR::LO, non_empty(&plan.modifying_system));
            self.text(Tag(0x0018, 0x1016), VR::LO, "Lotse");
            self.text(Tag(0x0018, 0x1018), VR::LO, "Lotse");
            self.text(Tag(0x0018, 0x1019), VR::LO, env!("CARGO_PKG_VERSION"));
        }
        // Without a time of its own the document takes that of the decision, which is the same every time.
        if let Some(date) = digits(&plan.date_time, 0..8) {
            self.text(Tag(0x0008, 0x0012), VR::DA, date);
            self.optional(Tag(0x0008, 0x0013), VR::TM, digits(&plan.date_time, 8..14));
        }
    }

    fn change(&mut self, change: &Change, kind: &FileKind) {
        let is_taken = |tag| is_taken(tag, kind);
        match change {
            Change::Set(new) if is_taken(new.tag) => {
                if let Some(element) = self.element(new, 0) {
                    self.data_set.insert(Tag(new.tag.0, new.tag.1), element);
                }
            }
            Change::Remove(tag) if is_taken(*tag) => {
                let tag = Tag(tag.0, tag.1);
                self.data_set.remove(tag);
                if let Some((_, vr)) = TYPE_2.iter().find(|(required, _)| *required == tag) {
                    self.data_set.put_bytes(tag, *vr, Vec::new());
                }
            }
            // A sequence that nobody had before holds exactly what is appended.
            Change::Append(new) if is_taken(new.tag) => {
                let tag = Tag(new.tag.0, new.tag.1);
                if let Some(Element { value: Value::Items(added), .. }) = self.element(new, 0) {
                    let mut items = self.data_set.items(tag).to_vec();
                    items.extend(
                        added.into_iter().filter(|item| !items.contains(item)).collect::<Vec<_>>(),
                    );
                    self.data_set.put_items(tag, items);
                }
            }
            // All instances of a study say the same of it.
            Change::Prefix(NewElement { tag, value: NewValue::Text(prefix), .. })
                if is_taken(*tag) =>
            {
                let tag = Tag(tag.0, tag.1);
                let before = self.data_set.text_in(tag, &self.sets);
                if let Some(longer) = before.and_then(|text| values::prefixed(&text, prefix)) {
                    self.text(tag, VR::LO, &longer);
                }
            }
            Change::Set(_) | Change::Remove(_) | Change::Append(_) | Change::Prefix(_) => {}
        }
    }

    /// `None` if the plan has no such value representation or nests too deep; neither is ever written.
    fn element(&self, new: &NewElement, depth: usize) -> Option<Element> {
        let vr: VR = new.vr.parse().ok()?;
        let tag = Tag(new.tag.0, new.tag.1);
        let mut holder = DataSet::default();
        match &new.value {
            NewValue::Empty if vr == VR::SQ => holder.put_items(tag, Vec::new()),
            NewValue::Empty => holder.put_bytes(tag, vr, Vec::new()),
            NewValue::Text(text) => {
                if !holder.put_text(tag, vr, text, &self.sets) {
                    return None;
                }
            }
            NewValue::Items(items) => {
                if depth >= DEPTH {
                    return None;
                }
                let item = |elements: &Vec<NewElement>| {
                    let mut item = DataSet::default();
                    for element in elements {
                        let value = self.element(element, depth.saturating_add(1))?;
                        item.insert(Tag(element.tag.0, element.tag.1), value);
                    }
                    Some(item)
                };
                holder.put_items(tag, items.iter().map(item).collect::<Option<Vec<_>>>()?);
            }
        }
        holder.remove(tag)
    }
}

fn is_taken(tag: (u16, u16), kind: &FileKind) -> bool {
    let orders = match kind {
        FileKind::Text(_) => REFERENCED_REQUEST,
        FileKind::Pdf | FileKind::Cda(_) | FileKind::Image(_) | FileKind::Video(_) => {
            REQUEST_ATTRIBUTES
        }
    };
    (tag.0 == 0x0010 && tag.1 != 0) || tag == orders || TAKEN_FROM_PLAN.contains(&tag)
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

fn digits(text: &str, range: std::ops::Range<usize>) -> Option<&str> {
    text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
pub(crate) mod tests;
