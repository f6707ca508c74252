//! What bytes are, judged by themselves: portals label a ZIP as PDF and a login page as a study.

/// Bytes that a judgement needs: a DICOM file shows itself at offset 128 (PS3.10 7.1).
pub(super) const HEAD: usize = 512;

/// An end record of a ZIP, its longest comment, and some slack for what portals append.
const TAIL: usize = 22 + 0xffff + 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Zip,
    Dicom,
    Pdf,
    Image,
    /// HTML, whatever it was labelled.
    Page,
    Json,
    /// Nothing at all.
    Empty,
    /// Kept if a list promised it; unpacking sets it aside visibly.
    Other,
}

impl Content {
    /// Whether a link that answers with this is the download itself.
    pub(super) fn is_examination(self) -> bool {
        matches!(self, Self::Zip | Self::Dicom | Self::Pdf | Self::Image)
    }

    /// The usual end of a file name, for display.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Zip => ".zip",
            Self::Dicom => ".dcm",
            Self::Pdf => ".pdf",
            Self::Image => ".jpg",
            Self::Page => ".html",
            Self::Json => ".json",
            Self::Empty | Self::Other => "",
        }
    }
}

/// Judges the first bytes of a file.
pub(super) fn judge(head: &[u8]) -> Content {
    let zip = [b"PK\x03\x04".as_slice(), b"PK\x05\x06", b"PK\x07\x08"];
    if head.is_empty() {
        Content::Empty
    } else if zip.iter().any(|magic| head.starts_with(magic)) {
        Content::Zip
    } else if head.get(128..132) == Some(b"DICM") || is_bare_data_set(head) {
        Content::Dicom
    } else if head.starts_with(b"%PDF-") {
        Content::Pdf
    } else if head.starts_with(&[0xff, 0xd8, 0xff]) || head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Content::Image
    } else {
        judge_text(head)
    }
}

/// A data set without preamble and meta header begins with group 0002 or 0008, little endian, and either a
/// VR in capitals or a short length.
fn is_bare_data_set(head: &[u8]) -> bool {
    matches!(head, [0x02 | 0x08, 0x00, _, 0x00, b'A'..=b'Z', b'A'..=b'Z', ..])
        || matches!(head, [0x08, 0x00, _, 0x00, _, 0x00, 0x00, 0x00, ..])
}

fn judge_text(head: &[u8]) -> Content {
    let head = head.strip_prefix(b"\xEF\xBB\xBF".as_slice()).unwrap_or(head).trim_ascii_start();
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let page = ["<html", "<head", "<body", "<script"].iter().any(|tag| text.contains(tag));
    if text.starts_with("<!doctype html") || (text.starts_with('<') && page) {
        Content::Page
    } else if text.starts_with(['{', '[', '"']) {
        Content::Json
    } else if text.is_empty() {
        Content::Empty
    } else {
        Content::Other
    }
}

/// The last bytes of a stream, and how many went by.
pub(super) struct Tail {
    bytes: Vec<u8>,
    length: u64,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), length: 0 }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.length = self.length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(piece);
        // Cut back only now and then, so that small pieces do not move the whole tail each time.
        if self.bytes.len() > TAIL.saturating_mul(4) {
            self.bytes.drain(..self.bytes.len().saturating_sub(TAIL));
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether this was the end of a whole ZIP: an end-of-central-directory record whose comment fits, and
    /// whose central directory lies before it (APPNOTE 4.3.16). A cut archive has none.
    pub(super) fn ends_zip(&self) -> bool {
        self.zip_end().is_some()
    }

    /// Entries in the ZIP that ends here, folders included; `None` if it is none, or has more than its end
    /// record can tell.
    pub(super) fn entries(&self) -> Option<u64> {
        self.zip_end().filter(|entries| *entries != u16::MAX).map(u64::from)
    }

    fn zip_end(&self) -> Option<u16> {
        let before =
            self.length.saturating_sub(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX));
        self.bytes.windows(22).enumerate().find_map(|(at, record)| {
            let at = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(before);
            ends_here(record, at, self.length)
        })
    }
}

/// The number of entries, if a ZIP ends with this record.
fn ends_here(record: &[u8], at: u64, length: u64) -> Option<u16> {
    let [b'P', b'K', 5, 6, _, _, _, _, _, _, n0, n1, size @ .., c0, c1] = record else {
        return None;
    };
    let [s0, s1, s2, s3, o0, o1, o2, o3] = size else {
        return None;
    };
    let comment = u64::from(u16::from_le_bytes([*c0, *c1]));
    let size = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
    let offset = u32::from_le_bytes([*o0, *o1, *o2, *o3]);
    let fits = at.saturating_add(22).saturating_add(comment) <= length;
    let zip64 = size == u32::MAX || offset == u32::MAX;
    let before = zip64 || u64::from(size).saturating_add(u64::from(offset)) <= at;
    (fits && before).then(|| u16::from_le_bytes([*n0, *n1]))
}
