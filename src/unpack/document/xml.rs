//! XML: clinical documents, and the metadata of an XDM medium. No document type, no entities of its own.

use std::collections::BTreeMap;
use std::io::Read;

use encoding_rs::Encoding;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Refused;
use crate::dicom::{BirthDate, Patient, PersonName};
use crate::reconcile::encapsulate::{Cda, DocumentCode};
use crate::unpack::name::Name;

/// Held in memory; a clinical document with pictures in it has a few megabytes.
const LONGEST: u64 = 16 << 20;

/// Elements inside elements. Real ones have about 30.
const DEPTH: usize = 200;

/// Documents that one medium describes.
const TITLES: usize = 2_000;

/// A title for people.
const TITLE: usize = 200;

/// A code or an identifier: values of SH and ST are longer than any real one.
const TOKEN: usize = 64;

/// LOINC in HL7.
const LOINC: &str = "2.16.840.1.113883.6.1";

const BROKEN: Refused = Refused("XML that is not well-formed; ask for it again if it is needed");
const OTHER: Refused =
    Refused("an XML document that is not a clinical document (CDA), so it is not imported");

/// Titles of documents by their file, as [`Name::compared`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Titles(pub(crate) BTreeMap<String, String>);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// With its title, if it has one, and the patient that it names.
    Clinical(Cda, Option<String>, Patient),
    Titles(Titles),
}

pub(super) fn read(input: &mut impl Read, length: u64, name: &Name) -> Result<Document, Refused> {
    if length > LONGEST {
        return Err(Refused("an XML document of more than 16 megabytes"));
    }
    let mut bytes = Vec::new();
    input.take(LONGEST).read_to_end(&mut bytes)?;
    document(&decoded(&bytes), name)
}

/// By byte order mark or declaration, else UTF-8 (XML 1.0, 4.3.3).
fn decoded(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
    let declared = head.split("encoding").nth(1).and_then(|rest| rest.split(['"', '\'']).nth(1));
    let encoding = declared
        .filter(|_| head.starts_with("<?xml"))
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .unwrap_or(encoding_rs::UTF_8);
    encoding.decode(bytes).0.into_owned()
}

fn document(text: &str, name: &Name) -> Result<Document, Refused> {
    let mut walk = Walk { reader: Reader::from_str(text), path: Vec::new() };
    walk.reader.config_mut().expand_empty_elements = true;
    match walk.root()?.as_str() {
        "ClinicalDocument" => clinical(&mut walk),
        "SubmitObjectsRequest" | "ProvideAndRegisterDocumentSetRequest" => {
            titles(&mut walk, name).map(Document::Titles)
        }
        _ => Err(OTHER),
    }
}

/// Walks elements, holding the names of those that are open.
struct Walk<'a> {
    reader: Reader<&'a [u8]>,
    path: Vec<String>,
}

enum Step<'a> {
    Open(BytesStart<'a>),
    Close,
    Text(String),
    End,
}

impl<'a> Walk<'a> {
    fn root(&mut self) -> Result<String, Refused> {
        loop {
            match self.step()? {
                Step::Open(_) => return Ok(self.path.last().cloned().unwrap_or_default()),
                Step::Text(_) => {}
                Step::Close | Step::End => return Err(BROKEN),
            }
        }
    }

    /// The next thing that matters. After [`Step::Open`] the element is the last of `path`, and after
    /// [`Step::Close`] it is gone.
    fn step(&mut self) -> Result<Step<'a>, Refused> {
        loop {
            return Ok(match self.reader.read_event().map_err(|_| BROKEN)? {
                Event::Start(start) | Event::Empty(start) => {
                    if self.path.len() >= DEPTH {
                        return Err(BROKEN);
                    }
                    let name = start.local_name();
                    self.path.push(String::from_utf8_lossy(name.as_ref()).into_owned());
                    Step::Open(start)
                }
                Event::End(_) => {
                    self.path.pop();
                    Step::Close
                }
                Event::Text(text) => Step::Text(text.decode().map_err(|_| BROKEN)?.into_owned()),
                Event::CData(text) => Step::Text(text.decode().map_err(|_| BROKEN)?.into_owned()),
                Event::GeneralRef(name) => {
                    let name = name.decode().map_err(|_| BROKEN)?;
                    Step::Text(
                        quick_xml::escape::unescape(&format!("&{name};"))
                            .map_err(|_| BROKEN)?
                            .into_owned(),
                    )
                }
                Event::DocType(_) => {
                    return Err(Refused(
                        "XML with a document type, which may draw in other files; it is not read",
                    ));
                }
                Event::Eof if self.path.is_empty() => Step::End,
                Event::Eof => return Err(BROKEN),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
            });
        }
    }

    fn is_at(&self, path: &[&str]) -> bool {
        self.path.iter().map(String::as_str).eq(path.iter().copied())
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    // Whether one stands there twice costs a walk for each, and says nothing here: the first counts.
    let mut attributes = start.attributes();
    attributes.with_checks(false);
    let found = attributes.flatten().find(|a| a.key.local_name().as_ref() == name.as_bytes())?;
    let value = String::from_utf8_lossy(&found.value).into_owned();
    let value = quick_xml::escape::unescape(&value).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// Header of a clinical document (HL7 CDA R2, 4.2), and to the end, so that a cut one is known.
fn clinical(walk: &mut Walk<'_>) -> Result<Document, Refused> {
    let (mut id, mut code, mut title) = (None, None, String::new());
    let mut target = Target::default();
    loop {
        let step = walk.step()?;
        target.take(walk, &step);
        match step {
            Step::Open(start) if walk.is_at(&["ClinicalDocument", "id"]) && id.is_none() => {
                let root = attribute(&start, "root").filter(|root| root.len() <= TOKEN);
                let extension = attribute(&start, "extension").unwrap_or_default();
                id = root.map(|root| match short(&extension, TOKEN) {
                    extension if extension.is_empty() => root,
                    extension => format!("{root}^{extension}"),
                });
            }
            Step::Open(start) if walk.is_at(&["ClinicalDocument", "code"]) => {
                let loinc = attribute(&start, "codeSystem").is_some_and(|system| system == LOINC);
                let value = attribute(&start, "code").filter(|code| code.len() <= 16 && loinc);
                code = value.map(|value| {
                    let meaning = attribute(&start, "displayName");
                    let meaning = meaning.map(|text| short(&text, TOKEN));
                    DocumentCode { meaning: meaning.unwrap_or_else(|| value.clone()), value }
                });
            }
            Step::Text(text) if walk.is_at(&["ClinicalDocument", "title"]) => {
                title = short(&format!("{title}{text}"), TITLE);
            }
            Step::Open(_) | Step::Close | Step::Text(_) => {}
            Step::End => break,
        }
    }
    let id =
        id.ok_or(Refused("a clinical document without an identifier, so no valid one (CDA)"))?;
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let title = (!title.is_empty()).then_some(title);
    Ok(Document::Clinical(Cda { id, code }, title, target.patient()))
}

/// Who a clinical document is about (HL7 CDA R2, 4.2.2.11).
#[derive(Default)]
struct Target {
    /// More than one, as for twins, says nothing.
    count: usize,
    birth_date: Option<BirthDate>,
    /// The first one counts; further ones are former or other ways to write it.
    names: usize,
    family: String,
    given: String,
}

impl Target {
    fn take(&mut self, walk: &Walk<'_>, step: &Step<'_>) {
        const PATIENT: [&str; 4] = ["ClinicalDocument", "recordTarget", "patientRole", "patient"];
        let [document, target, ..] = PATIENT;
        if matches!(step, Step::Open(_)) && walk.is_at(&[document, target]) {
            self.count = self.count.saturating_add(1);
        }
        let mut path = walk.path.iter().map(String::as_str);
        if !PATIENT.iter().all(|name| path.next() == Some(*name)) {
            return;
        }
        match (step, path.next(), path.next(), path.next()) {
            (Step::Open(start), Some("birthTime"), None, _) => {
                let time = attribute(start, "value");
                self.birth_date = time.and_then(|time| BirthDate::parse(time.get(..8)?));
            }
            (Step::Open(_), Some("name"), None, _) => self.names = self.names.saturating_add(1),
            (Step::Text(text), Some("name"), Some(part), None) if self.names == 1 => {
                let part = match part {
                    "family" => &mut self.family,
                    "given" => &mut self.given,
                    _ => return,
                };
                *part = short(format!("{part} {text}").trim(), TOKEN);
            }
            _ => {}
        }
    }

    fn patient(self) -> Patient {
        if self.count != 1 {
            return Patient::default();
        }
        let plain = |text: &str| text.replace(['^', '=', '\\'], " ");
        let name = PersonName::new(&format!("{}^{}", plain(&self.family), plain(&self.given)));
        Patient { name, birth_date: self.birth_date, ..Patient::default() }
    }
}

/// `ExtrinsicObject`s with a slot `URI` and a `Name` (IHE ITI TF-3 4.2); files are told from where the metadata
/// lies.
fn titles(walk: &mut Walk<'_>, name: &Name) -> Result<Titles, Refused> {
    let mut titles = BTreeMap::new();
    let (mut uri, mut title) = (String::new(), None);
    let mut is_uri = false;
    loop {
        match walk.step()? {
            Step::Open(start) => match walk.path.last().map(String::as_str) {
                Some("ExtrinsicObject") => (uri, title, is_uri) = (String::new(), None, false),
                Some("Slot") => is_uri = attribute(&start, "name").is_some_and(|n| n == "URI"),
                Some("LocalizedString") => {
                    let parent = walk.path.iter().rev().nth(1).map(String::as_str);
                    let within = walk.path.iter().rev().nth(2).map(String::as_str);
                    if (parent, within) == (Some("Name"), Some("ExtrinsicObject")) {
                        title = attribute(&start, "value").map(|text| short(&text, TITLE));
                    }
                }
                _ => {}
            },
            Step::Text(text) if is_uri && walk.path.last().is_some_and(|n| n == "Value") => {
                uri = short(&format!("{uri}{text}"), TITLE);
            }
            Step::Text(_) => {}
            Step::Close => {
                // The slot or the object ended: keep what is complete.
                let inside = walk.path.iter().any(|n| n == "ExtrinsicObject");
                if !inside && titles.len() < TITLES {
                    if let Some(title) = title.take().filter(|_| !uri.trim().is_empty()) {
                        let file = Name::new(uri.trim());
                        let file = format!("{}{}", name.folder(), file.compared());
                        titles.insert(file, title);
                    }
                    uri.clear();
                }
            }
            Step::End => return Ok(Titles(titles)),
        }
    }
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
