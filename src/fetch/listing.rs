//! Lists of studies and instances in DICOM JSON (PS3.18 F), as QIDO-RS gives them.
//!
//! Invariant: a list is gone over once, and nothing of it is kept but a few values of each entry, of no more entries
//! than are wanted: foreign JSON as a whole takes a multiple of its size.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// One entry, without the attributes that nobody needs here.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    #[serde(rename = "0020000D")]
    study: Option<Attribute>,
    #[serde(rename = "00080018")]
    instance: Option<Attribute>,
    #[serde(rename = "00100020")]
    patient_id: Option<Attribute>,
    #[serde(rename = "00080050")]
    accession_number: Option<Attribute>,
    #[serde(rename = "00201208")]
    instances: Option<Attribute>,
}

/// Why a list cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    NoList,
    TooMany,
}

/// The entries of a list of at most so many.
pub(super) fn entries(body: &[u8], most: usize) -> Result<Vec<Entry>, Unusable> {
    let (mut found, mut fault) = (Vec::new(), Unusable::NoList);
    let mut document = serde_json::Deserializer::from_slice(body);
    let list = List { most, found: &mut found, fault: &mut fault };
    let read = list.deserialize(&mut document).and_then(|()| document.end());
    read.map_err(|_| fault)?;
    Ok(found)
}

impl Entry {
    /// Study Instance UID (0020,000D).
    pub(super) fn study(&self) -> Option<&str> {
        self.study.as_ref()?.text()
    }

    /// SOP Instance UID (0008,0018).
    pub(super) fn instance(&self) -> Option<&str> {
        self.instance.as_ref()?.text()
    }

    /// Patient ID (0010,0020).
    pub(super) fn patient_id(&self) -> Option<&str> {
        self.patient_id.as_ref()?.text()
    }

    /// Accession Number (0008,0050).
    pub(super) fn accession_number(&self) -> Option<&str> {
        self.accession_number.as_ref()?.text()
    }

    /// Number of Study Related Instances (0020,1208).
    pub(super) fn instances(&self) -> Option<u64> {
        self.instances.as_ref()?.text()?.parse().ok()
    }
}

struct List<'a> {
    most: usize,
    found: &'a mut Vec<Entry>,
    fault: &'a mut Unusable,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element()? {
            if self.found.len() >= self.most {
                *self.fault = Unusable::TooMany;
                return Err(de::Error::custom("too many entries"));
            }
            self.found.push(entry);
        }
        Ok(())
    }
}

/// The first value of an attribute.
#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "Value", default)]
    first: First,
}

impl Attribute {
    fn text(&self) -> Option<&str> {
        self.first.0.as_deref()
    }
}

#[derive(Default)]
struct First(Option<String>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let Some(Text(first)) = values.next_element()? else { return Ok(None) };
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

/// A string, or a number as one; nothing else is a value here.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneText).map(Self)
    }
}

struct OneText;

impl<'de> Visitor<'de> for OneText {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.trim().to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
