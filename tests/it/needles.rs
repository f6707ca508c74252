//! Looks for texts in bytes, in every form that they may have taken.

use std::collections::HashMap;
use std::path::Path;

use crate::hospital::files_below;

/// Texts that must not be found, in all their forms.
pub(crate) struct Needles {
    /// Form and the text it is a form of, by the first four bytes.
    by_head: HashMap<[u8; 4], Vec<(Vec<u8>, String)>>,
    /// Whether two bytes begin any form: most places are passed over by it.
    begins: Vec<bool>,
}

impl Needles {
    /// Texts shorter than six bytes would be found by chance in sealed bytes.
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = Self { by_head: HashMap::new(), begins: vec![false; 1 << 16] };
        for text in texts {
            assert!(text.len() >= 6, "{text:?} is too short to be looked for");
            for spelt in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
                needles.add(&spelt);
            }
        }
        needles
    }

    fn add(&mut self, text: &str) {
        let utf8 = text.as_bytes().to_vec();
        // Code points up to U+00FF are Latin-1; the others have no form in it.
        let latin: Vec<u8> = text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let hex: String = utf8.iter().map(|byte| format!("{byte:02x}")).collect();
        let percent: String = url::form_urlencoded::byte_serialize(&utf8).collect();
        let mut forms =
            vec![utf8.clone(), latin, little, big, hex.to_uppercase().into(), hex.into()];
        forms.push(percent.into_bytes());
        // Base64 has three spellings, by where in a group of three bytes the text begins.
        for skipped in 0..3 {
            let mut bytes = vec![0; skipped];
            bytes.extend(&utf8);
            let whole = bytes.len() / 3 * 3;
            let coded = base64(&bytes[..whole]);
            let first = if skipped == 0 { 0 } else { 4 };
            forms.push(coded[first..].to_vec());
        }
        for form in forms.into_iter().filter(|form| form.len() >= 6) {
            let head = [form[0], form[1], form[2], form[3]];
            self.begins[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
            let known = self.by_head.entry(head).or_default();
            if !known.iter().any(|(other, _)| *other == form) {
                known.push((form, text.to_owned()));
            }
        }
    }

    /// The texts that are found.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = vec![];
        for (at, head) in bytes.windows(4).enumerate() {
            if !self.begins[usize::from(head[0]) << 8 | usize::from(head[1])] {
                continue;
            }
            let Some(forms) = self.by_head.get(head) else { continue };
            for (form, text) in forms {
                if bytes[at..].starts_with(form) && !found.contains(text) {
                    found.push(text.clone());
                }
            }
        }
        found
    }

    /// Fails if any is found.
    pub(crate) fn assert_absent(&self, place: &str, bytes: &[u8]) {
        let found = self.found_in(bytes);
        assert!(found.is_empty(), "{place} tells {found:?}: {}", around(bytes, &found));
    }

    /// Names and bytes of every file below a folder.
    pub(crate) fn assert_absent_below(&self, folder: &Path) -> usize {
        let files = files_below(folder);
        for file in &files {
            let place = file.display().to_string();
            self.assert_absent("the name of a file", place.as_bytes());
            // Sockets cannot be read; files may go meanwhile.
            if let Ok(bytes) = std::fs::read(file) {
                self.assert_absent(&place, &bytes);
            }
        }
        files.len()
    }
}

/// The line in which the first one stands, if it stands there as it is.
fn around(bytes: &[u8], found: &[String]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = found.first().and_then(|found| text.lines().find(|line| line.contains(found)));
    line.unwrap_or("").chars().take(600).collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |n: u32| DIGITS[usize::try_from(n & 63).unwrap()];
    let group = |three: &[u8]| {
        let n = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)]
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

/// What nobody may read of the usual sample: the foreign patient, the local one, and what leads to them.
pub(crate) fn of_sample(world: &lotse::sim::world::World) -> Vec<String> {
    let (foreign, item) = (world.sample.foreign_patient(), world.sample.item());
    let mut texts =
        vec![world.sample.study_uid().to_string(), world.sample.instance_uid(0).to_string()];
    for patient in [&foreign, &item.patient] {
        let name = patient.name.as_ref().unwrap();
        texts.push(name.as_str().to_owned());
        texts.push(name.family().to_owned());
        texts.push(patient.id.as_ref().unwrap().id.clone());
        let birth_date = patient.birth_date.unwrap();
        texts.extend([birth_date.to_dicom(), birth_date.date().to_string()]);
    }
    texts.push(item.accession_number.unwrap().number);
    texts.push(item.requested_procedure_id.unwrap());
    texts.push("RP99120047".to_owned());
    texts.push("ABC-S1Z-98A".to_owned());
    texts.sort();
    texts.dedup();
    texts
}

#[test]
fn every_form_is_found() {
    let needles = Needles::new(["MUSTER^ERIKA", "GRÜN^ANNA"]);
    let places: [&[u8]; 7] = [
        b"xxMUSTER^ERIKAxx",
        b"muster^erika",
        b"\0M\0U\0S\0T\0E\0R\0^\0E\0R\0I\0K\0A",
        b"4d55535445525e4552494b41",
        b"x=MUSTER%5EERIKA",
        b"..GR\xdcN^ANNA",
        "grün^anna".as_bytes(),
    ];
    for place in places {
        assert_eq!(needles.found_in(place).len(), 1, "{}", String::from_utf8_lossy(place));
    }
    for skipped in 0..3 {
        let text = [&b"abc"[..skipped], b"MUSTER^ERIKA123"].concat();
        let coded = base64(&text[..text.len() / 3 * 3]);
        assert_eq!(needles.found_in(&coded), ["MUSTER^ERIKA"], "{skipped}");
    }
    assert!(needles.found_in(b"MUSTER ERIKA").is_empty());
}
