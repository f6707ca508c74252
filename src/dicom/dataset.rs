//! A data set in memory, values kept as the bytes they came as.
//!
//! For identifiers, worklist answers and object headers, not for pixels. Invariant: elements are in tag order,
//! each tag once, group lengths left out; binary values are little-endian. Prints redacted under `Debug`.

mod encode;
mod read;

pub(super) use encode::{head, header, written_vr};

#[cfg(test)]
mod tests;

use dicom_dictionary_std::tags;

use super::{CharacterSets, Syntax, Tag, Uid, VR, scan, vr};

/// The elements of a data set or of a sequence item.
#[derive(Clone, Default, PartialEq)]
pub struct DataSet {
    /// In tag order. A vector, since foreign items by the million must not cost a tree node each.
    elements: Vec<(Tag, Element)>,
}

#[derive(Clone, PartialEq)]
pub struct Element {
    pub vr: VR,
    pub value: Value,
}

#[derive(Clone, PartialEq)]
pub enum Value {
    /// Raw bytes, padding included, in little-endian order whatever the source's was.
    Bytes(Vec<u8>),
    Items(Vec<DataSet>),
    /// Encapsulated pixel data: offset table and fragments.
    Fragments(Vec<Vec<u8>>),
}

impl DataSet {
    /// Reads a whole data set under the scanner's limits (iterative; depth, length and count bounded).
    pub fn read(bytes: &[u8], syntax: Syntax) -> Result<Self, scan::Error> {
        read::read(bytes, syntax)
    }

    /// Writes in tag order, without group lengths, values padded to even length, sequences with explicit length.
    pub fn write(&self, syntax: Syntax) -> Vec<u8> {
        let mut out = Vec::new();
        encode::data_set(self, syntax, &mut out);
        out
    }

    pub fn get(&self, tag: Tag) -> Option<&Element> {
        let index = self.elements.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.elements.get(index).map(|(_, element)| element)
    }

    /// Puts an element in its place and returns the one that was there.
    pub fn insert(&mut self, tag: Tag, element: Element) -> Option<Element> {
        match self.elements.binary_search_by_key(&tag, |(tag, _)| *tag) {
            Ok(index) => {
                let (_, there) = self.elements.get_mut(index)?;
                Some(std::mem::replace(there, element))
            }
            Err(index) => {
                self.elements.insert(index, (tag, element));
                None
            }
        }
    }

    pub fn remove(&mut self, tag: Tag) -> Option<Element> {
        let index = self.elements.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        Some(self.elements.remove(index).1)
    }

    /// In tag order.
    pub fn iter(&self) -> impl Iterator<Item = (Tag, &Element)> {
        self.elements.iter().map(|(tag, element)| (*tag, element))
    }

    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// From (0008,0005) of this data set.
    pub fn character_sets(&self) -> CharacterSets {
        CharacterSets::parse(self.own_sets())
    }

    /// The sets of an item of this data set's kind: its own, or those around it (PS3.3 C.12.1.1.2).
    pub fn character_sets_within(&self, outer: &CharacterSets) -> CharacterSets {
        self.own_sets().map_or_else(|| outer.clone(), |value| CharacterSets::parse(Some(value)))
    }

    fn own_sets(&self) -> Option<&[u8]> {
        self.get(tags::SPECIFIC_CHARACTER_SET).and_then(Element::bytes)
    }

    /// Decoded text of a non-sequence element by this data set's own character sets, padding trimmed;
    /// `None` if absent or blank. Multiple values stay joined by backslash.
    pub fn text(&self, tag: Tag) -> Option<String> {
        self.text_in(tag, &self.character_sets())
    }

    /// The same under given sets, for items that inherit them.
    pub fn text_in(&self, tag: Tag, sets: &CharacterSets) -> Option<String> {
        let element = self.get(tag)?;
        let vr = element.known_vr(tag);
        if !vr::is_string(vr) {
            return None;
        }
        let text = sets.decode(element.bytes()?, vr);
        let text = text.trim_end_matches(|c: char| c == '\0' || c.is_whitespace());
        let text = if vr::is_prose(vr) { text } else { text.trim_start() };
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    pub fn uid(&self, tag: Tag) -> Option<Uid> {
        Uid::new(std::str::from_utf8(self.get(tag)?.bytes()?).ok()?).ok()
    }

    /// First value of a US element.
    pub fn u16(&self, tag: Tag) -> Option<u16> {
        let bytes = self.get(tag)?.bytes()?;
        bytes.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
    }

    /// Items of a sequence; empty if absent or not a sequence.
    pub fn items(&self, tag: Tag) -> &[Self] {
        match self.get(tag) {
            Some(Element { value: Value::Items(items), .. }) => items,
            _ => &[],
        }
    }

    /// Puts a text value encoded in `sets`; `false` (and nothing changed) if the sets can't hold it.
    #[must_use]
    pub fn put_text(&mut self, tag: Tag, vr: VR, text: &str, sets: &CharacterSets) -> bool {
        let Some(bytes) = sets.encode(text, vr) else {
            return false;
        };
        self.put_bytes(tag, vr, bytes);
        true
    }

    pub fn put_items(&mut self, tag: Tag, items: Vec<Self>) {
        self.insert(tag, Element { vr: VR::SQ, value: Value::Items(items) });
    }

    /// Puts a raw value, padded to even length.
    pub fn put_bytes(&mut self, tag: Tag, vr: VR, mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(vr::padding(vr));
        }
        self.insert(tag, Element { vr, value: Value::Bytes(bytes) });
    }

    /// Re-encodes every text value, nested ones too (items with an own (0008,0005) by that, which is then
    /// removed), and sets (0008,0005). A text of the dictionary is one under UN too; other UN bytes, private ones among
    /// them, are left alone. If `to` can't hold a value, everything becomes UTF-8 instead: no text is lost.
    pub fn re_encode(&mut self, to: &CharacterSets) {
        let from = self.character_sets();
        let utf8 = CharacterSets::utf8();
        let to = if self.fits(&from, to) { to } else { &utf8 };
        self.convert(&from, to);
        let term = to.term();
        if term.is_empty() {
            self.remove(tags::SPECIFIC_CHARACTER_SET);
        } else {
            self.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, term.into_bytes());
        }
    }

    /// Whether every text value, decoded by `from`, can be written in `to`.
    fn fits(&self, from: &CharacterSets, to: &CharacterSets) -> bool {
        self.iter().all(|(tag, element)| match &element.value {
            Value::Bytes(bytes) => {
                let vr = element.known_vr(tag);
                !vr::is_text(vr) || to.encode(&from.decode(bytes, vr), vr).is_some()
            }
            Value::Items(items) => {
                items.iter().all(|item| item.fits(&item.character_sets_within(from), to))
            }
            Value::Fragments(_) => true,
        })
    }

    fn convert(&mut self, from: &CharacterSets, to: &CharacterSets) {
        for (tag, element) in &mut self.elements {
            let vr = element.known_vr(*tag);
            match &mut element.value {
                Value::Bytes(bytes) if vr::is_text(vr) && !bytes.is_empty() => {
                    if let Some(mut encoded) = to.encode(&from.decode(bytes, vr), vr) {
                        if encoded.len() % 2 == 1 {
                            encoded.push(vr::padding(vr));
                        }
                        *bytes = encoded;
                    }
                }
                Value::Items(items) => {
                    for item in items {
                        let from = item.character_sets_within(from);
                        item.remove(tags::SPECIFIC_CHARACTER_SET);
                        item.convert(&from, to);
                    }
                }
                Value::Bytes(_) | Value::Fragments(_) => {}
            }
        }
    }
}

impl Element {
    /// The element with tag, VR and length as it is written in `syntax`.
    pub fn encode(&self, tag: Tag, syntax: Syntax) -> Vec<u8> {
        let mut out = Vec::new();
        encode::element(tag, self, syntax, &mut out);
        out
    }

    /// Its VR, or that of the dictionary: peers that did not know a public attribute pass it on as UN; by now we do.
    fn known_vr(&self, tag: Tag) -> VR {
        let is_public = tag.group().is_multiple_of(2);
        if self.vr == VR::UN && is_public { vr::of_tag(tag) } else { self.vr }
    }

    /// The raw value, unless it is a sequence or encapsulated.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) | Value::Fragments(_) => None,
        }
    }
}

crate::dicom::redacted!(DataSet, Element, Value);
