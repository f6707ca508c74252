//! What a file is, by its first bytes; its name helps only to say why it is set aside.

use super::container::Kind;
use super::document::Form;
use super::name::Name;
use crate::dicom::VR;

/// As much of a file as is looked at. A PDF may begin anywhere in its first 1024 bytes.
pub(super) const HEAD: u64 = 1024;

/// Media Storage SOP Class UID (0002,0002) with the class Media Storage Directory, as PS3.10 7.1 writes it.
const DIRECTORY_CLASS: &[u8] = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10";

/// The element Media Storage SOP Class UID, whatever class follows.
const CLASS_ELEMENT: &[u8] = b"\x02\x00\x02\x00UI";

/// The first element of a bare implicit data set is short: a group length, a character set or a class.
const FIRST_VALUE: u32 = 1024;

pub(super) const OFFICE: &str =
    "a Word, Excel or other office file, which no PACS shows; save it as PDF and import that";
const PROGRAM: &str = "a program; programs are never run or imported";
const WEB: &str = "a page or part of the medium's viewer";
const TEXT: &str = "a text file of the medium, by its name or kind";
const PICTURE: &str = "a picture of a kind that is not imported; JPEG, PNG and TIFF are";
const VIDEO: &str = "a video of a kind that is not imported; MP4 is";
const LEAFLET: &str = "a leaflet, manual or licence of the medium, by its name";
const DECORATION: &str = "a picture of the medium or its viewer, by its name";
const ARCHIVE: &str = "an archive of a kind that is not read (ZIP, TAR, GZ and ISO are); unpack it and import the files";

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An object, with or without preamble and file meta group.
    Dicom,
    /// A DICOMDIR.
    Directory,
    Pdf,
    /// Something else that becomes an instance, if it is what it looks like.
    Document(Form),
    /// An archive or a disc image.
    Container(Kind),
    /// Not used, for this reason.
    Aside(&'static str),
}

impl Content {
    /// `head` holds the first [`HEAD`] bytes of a file of `length` bytes.
    pub(super) fn of(head: &[u8], length: u64, name: &Name) -> Self {
        if head.is_empty() {
            return Self::Aside("the file is empty");
        }
        // First of all, because a preamble may look like anything, a program included.
        if head.get(128..132) == Some(b"DICM") || is_bare(head, length) {
            let named = name.last().eq_ignore_ascii_case("DICOMDIR");
            let directory = contains(head, DIRECTORY_CLASS)
                || (named && (head.starts_with(b"\x04\x00") || !contains(head, CLASS_ELEMENT)));
            return if directory { Self::Directory } else { Self::Dicom };
        }
        if name.is_litter() {
            return Self::Aside("a file that an operating system left behind");
        }
        if let Some(reason) = packed(head, name) {
            return Self::Aside(reason);
        }
        if let Some(kind) = container(head) {
            return Self::Container(kind);
        }
        if let Some(form) = picture_or_film(head) {
            return if name.is_leaflet() || name.is_decoration() {
                Self::Aside(DECORATION)
            } else {
                Self::Document(form)
            };
        }
        if let Some(reason) = by_signature(head) {
            return Self::Aside(reason);
        }
        if contains(head, b"%PDF-") && !is_markup(head) {
            return if name.is_leaflet() { Self::Aside(LEAFLET) } else { Self::Pdf };
        }
        if let Some(reason) = by_text(head) {
            return Self::Aside(reason);
        }
        if is_xml(head) {
            return Self::Document(Form::Xml);
        }
        if name.extension() == "txt" && !name.is_leaflet() && !name.is_listing() {
            return Self::Document(Form::Text);
        }
        Self::Aside(by_name(name))
    }
}

/// Archives that are read. Disc images have their mark far behind, and are looked for when they are spooled.
fn container(head: &[u8]) -> Option<Kind> {
    if is_zip(head) {
        return Some(Kind::Zip);
    }
    if head.starts_with(b"\x1f\x8b\x08") {
        return Some(Kind::Gzip);
    }
    head.get(257..).is_some_and(|rest| rest.starts_with(b"ustar")).then_some(Kind::Tar)
}

/// What is written as a ZIP and is none to a person: by its extension, or by what such files begin with. A name
/// further behind says nothing, since patients' archives may hold anything.
fn packed(head: &[u8], name: &Name) -> Option<&'static str> {
    if !is_zip(head) {
        return None;
    }
    let extension = name.extension();
    match extension.as_str() {
        "docx" | "docm" | "dotx" | "xlsx" | "xlsm" | "xltx" | "pptx" | "pptm" | "ppsx" | "vsdx"
        | "odt" | "ott" | "ods" | "odp" | "odg" | "pages" | "numbers" | "epub" => {
            return Some(OFFICE);
        }
        "jar" | "war" | "ear" | "apk" => return Some(PROGRAM),
        _ => {}
    }
    // Length of the name at 26, of the extra field at 28, then the two (APPNOTE 4.3.7).
    let two = |at: usize| Some(usize::from(u16::from_le_bytes(*head.get(at..)?.first_chunk()?)));
    let (name_ends, extra) = (two(26)?.saturating_add(30), two(28)?);
    let content = head.get(name_ends.saturating_add(extra)..).unwrap_or_default();
    match head.get(30..name_ends)? {
        b"[Content_Types].xml" | b"_rels/.rels" => Some(OFFICE),
        b"mimetype" if content.starts_with(b"application/") => Some(OFFICE),
        b"META-INF/" | b"META-INF/MANIFEST.MF" if extension != "zip" => Some(PROGRAM),
        _ => None,
    }
}

/// Whether an archive begins here; an archive without files is only its end record.
pub(super) fn is_zip(head: &[u8]) -> bool {
    [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| head.starts_with(*magic))
}

fn contains(head: &[u8], part: &[u8]) -> bool {
    head.windows(part.len()).any(|window| window == part)
}

/// Whether a file meta group or a data set begins at once (no preamble): PS3.5 7.1.
fn is_bare(head: &[u8], length: u64) -> bool {
    let Some(&[g0, g1, e0, e1, a, b, c, d]) = head.first_chunk::<8>() else {
        return false;
    };
    let explicit = VR::from_binary([a, b]).is_some();
    match u16::from_le_bytes([g0, g1]) {
        0x0002 | 0x0004 if u16::from_le_bytes([e0, e1]) <= 0x0102 || g0 == 4 => explicit,
        0x0008 => {
            let value = u32::from_le_bytes([a, b, c, d]);
            explicit || (value <= FIRST_VALUE && u64::from(value).saturating_add(8) <= length)
        }
        // Big-endian group 0008.
        0x0800 => explicit,
        _ => false,
    }
}

/// Kinds of pictures and films that become instances.
fn picture_or_film(head: &[u8]) -> Option<Form> {
    if head.starts_with(b"\xff\xd8\xff") {
        return Some(Form::Jpeg);
    }
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(Form::Png);
    }
    if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|mark| head.starts_with(*mark)) {
        return Some(Form::Tiff);
    }
    // Pictures in boxes (HEIF, AVIF) are no films.
    let brand = head.get(8..12).filter(|_| head.get(4..8) == Some(b"ftyp"))?;
    let still = [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"heim", b"crx "];
    (!still.iter().any(|kind| *kind == brand)).then_some(Form::Film)
}

/// Kinds that their first bytes tell for sure.
fn by_signature(head: &[u8]) -> Option<&'static str> {
    let at =
        |from: usize, magic: &[u8]| head.get(from..).is_some_and(|rest| rest.starts_with(magic));
    let any = |list: &[&[u8]]| list.iter().any(|magic| head.starts_with(magic));
    if any(&[
        b"MZ",
        b"\x7fELF",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"#!",
    ]) {
        return Some(PROGRAM);
    }
    if any(&[b"GIF87a", b"GIF89a", b"\0\0\0\x0cjP  ", b"\0\0\x01\0"])
        || (at(0, b"BM") && at(6, &[0; 4]))
        || (at(0, b"RIFF") && at(8, b"WEBP"))
        || at(4, b"ftyp")
    {
        return Some(PICTURE);
    }
    if (at(0, b"RIFF") && at(8, b"AVI ")) || any(&[b"\0\0\x01\xba", b"\x1aE\xdf\xa3"]) {
        return Some(VIDEO);
    }
    let archives: &[&[u8]] =
        &[b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"BZh", b"\xfd7zXZ\0", b"MSCF"];
    any(archives).then_some(ARCHIVE)
}

fn by_text(head: &[u8]) -> Option<&'static str> {
    let text = lower_start(head);
    let page = text.starts_with("<!doctype html") || text.starts_with("<html");
    (page || (text.starts_with("<?xml") && contains(head, b"<html"))).then_some(WEB)
}

fn is_xml(head: &[u8]) -> bool {
    let text = lower_start(head);
    text.starts_with("<?xml") || text.starts_with("<clinicaldocument")
}

fn is_markup(head: &[u8]) -> bool {
    lower_start(head).starts_with('<')
}

fn lower_start(head: &[u8]) -> String {
    let start = head.get(..64).unwrap_or(head);
    String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_lowercase()
}

fn by_name(name: &Name) -> &'static str {
    let last = name.last().to_lowercase();
    if last == "autorun.inf" {
        return "starts a program when the medium is inserted; it is never run";
    }
    match name.extension().as_str() {
        "exe" | "dll" | "com" | "bat" | "cmd" | "ps1" | "vbs" | "sh" | "msi" | "jar" | "class"
        | "so" | "dylib" | "ocx" | "sys" => PROGRAM,
        "htm" | "html" | "css" | "js" | "chm" | "hlp" | "ico" | "ini" | "inf" | "cfg" | "xsl"
        | "dat" | "svg" | "json" | "manifest" | "ttf" | "lang" => WEB,
        "txt" | "md" | "rtf" => TEXT,
        _ if last.starts_with("readme") || last.starts_with("liesmich") => TEXT,
        _ => "neither DICOM nor a document that is known here",
    }
}
