//! QR codes in pictures and PDFs: the text of a code on a release sheet.
//!
//! Gives texts, whatever they are; who asks decides what is a link. Invariants: memory and work are bounded before
//! anything is decoded; a code is read whole, with its error correction, or not at all; nothing read is logged.

mod drawing;
mod pdf;
mod picture;
mod search;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::search::Effort;
use crate::import::Link;

/// A larger file is no photo of a sheet.
pub const LONGEST: u64 = 32 << 20;

/// What kind of file may show a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Jpeg,
    Png,
    Tiff,
    Pdf,
}

impl Form {
    fn of(head: &[u8]) -> Option<Self> {
        let begins = |magic: &[u8]| head.starts_with(magic);
        if begins(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if begins(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if begins(b"II*\0") || begins(b"MM\0*") {
            Some(Self::Tiff)
        } else {
            let head = head.get(..1024).unwrap_or(head);
            head.windows(5).any(|window| window == b"%PDF-").then_some(Self::Pdf)
        }
    }
}

/// Whether a file that begins so may show a code.
pub fn may_show(head: &[u8]) -> bool {
    Form::of(head).is_some()
}

/// The texts of all codes that are found, each once. Blocking: it may take seconds.
pub fn read(file: &[u8]) -> BTreeSet<String> {
    if u64::try_from(file.len()).unwrap_or(u64::MAX) > LONGEST {
        return BTreeSet::new();
    }
    // The decoders are not ours: what makes one of them panic shows no code.
    catch_unwind(AssertUnwindSafe(|| read_form(file))).unwrap_or_default()
}

fn read_form(file: &[u8]) -> BTreeSet<String> {
    let mut effort = Effort::default();
    let picture = match Form::of(file) {
        Some(Form::Jpeg) => picture::jpeg(file),
        Some(Form::Png) => picture::png(file),
        Some(Form::Tiff) => picture::tiff(file),
        Some(Form::Pdf) => return pdf::read(file, &mut effort),
        None => None,
    };
    picture.map(|picture| search::codes(&picture, &mut effort)).unwrap_or_default()
}

/// The one link that was meant.
#[derive(Clone, PartialEq, Eq)]
pub enum Meant {
    /// No code with a link.
    None,
    One(Link),
    /// Several codes lead to different places.
    Several,
}

/// What codes say of where to go. An `http` link is meant only where there is no `https` link: it is followed only
/// where the site allows it.
pub fn link(texts: &BTreeSet<String>) -> Meant {
    let links: Vec<Link> = texts.iter().filter_map(|text| Link::new(text)).collect();
    let safe: Vec<Link> =
        links.iter().filter(|link| link.url().scheme() == "https").cloned().collect();
    let mut links = if safe.is_empty() { links } else { safe };
    links.dedup();
    match (links.pop(), links.is_empty()) {
        (None, _) => Meant::None,
        (Some(link), true) => Meant::One(link),
        (Some(_), false) => Meant::Several,
    }
}

#[cfg(test)]
mod tests;
