//! What holds other files: archives and disc images, one inside another at most.
//!
//! Invariant: every container is read in one pass with flat memory. One that lies inside another is spooled
//! first, shares the bounds of the outer one, and its faults are its own: the files beside it are read.

use std::io::Read;

use super::content::{Content, HEAD, OFFICE};
use super::intake::Outcome;
use super::meter::Budget;
use super::name::Name;
use super::{Error, LazyPack, Ledger, archive, gzip, iso, tar};
use crate::import::Blob;
use crate::spool::{BlobReader, ImportSpool};

pub(super) const TOO_DEEP: &str = "an archive inside an archive that lies in an archive itself; unpack it and import it by itself";

/// How a container is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    Gzip,
    /// ISO 9660.
    Iso,
}

/// Where a container lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// It came as a file of its own.
    Outer,
    /// Inside of an outer one.
    Inner,
}

/// One container of the import.
pub(super) struct Container<'a> {
    pub(super) spool: &'a ImportSpool,
    pub(super) name: &'a str,
    pub(super) blob: &'a Blob,
    /// Counted from 1, for error texts.
    pub(super) number: usize,
    pub(super) level: Level,
    pub(super) password: Option<&'a str>,
}

/// What all containers of one outer one share.
pub(super) struct Desk<'a, 'b> {
    pub(super) budget: &'a Budget<'a>,
    pub(super) pack: &'a mut LazyPack<'b>,
    /// One for each further thread that an archive may be read by.
    pub(super) more: &'a mut [LazyPack<'b>],
    pub(super) ledger: &'a mut Ledger,
}

impl Container<'_> {
    /// The name of a file inside, as people and the DICOMDIR's check see it.
    pub(super) fn name_of(&self, inside: &str) -> Name {
        match self.level {
            Level::Outer => Name::new(inside),
            Level::Inner => Name::new(&format!("{}/{inside}", self.name)),
        }
    }

    pub(super) fn reader(&self) -> Result<BlobReader, Error> {
        Ok(self.spool.read(self.blob)?)
    }

    pub(super) fn head(&self) -> Result<Vec<u8>, Error> {
        let mut head = Vec::new();
        self.reader()?.take(HEAD).read_to_end(&mut head).map_err(Error::Read)?;
        Ok(head)
    }

    /// A remark on the container itself.
    pub(super) fn remark(&self, ledger: &mut Ledger, reason: impl Into<String>) {
        ledger.set_aside(Name::new(self.name).shown().to_owned(), reason);
    }

    /// Reads every file in it.
    pub(super) fn open(&self, kind: Kind, desk: &mut Desk<'_, '_>) -> Result<(), Error> {
        match kind {
            Kind::Zip => archive::unpack(self, desk),
            Kind::Tar => tar::unpack(self, desk),
            Kind::Gzip => gzip::unpack(self, desk),
            Kind::Iso => iso::unpack(self, desk),
        }
    }

    /// Reads a container that lies in this one and was spooled as `blob`.
    pub(super) fn open_inner(
        &self,
        name: &Name,
        kind: Kind,
        blob: &Blob,
        desk: &mut Desk<'_, '_>,
    ) -> Result<(), Error> {
        if self.level == Level::Inner {
            desk.ledger.set_aside(name.shown().to_owned(), TOO_DEEP);
            return Ok(());
        }
        let inner = Container { name: name.shown(), blob, level: Level::Inner, ..*self };
        match inner.open(kind, desk) {
            Err(
                error @ (Error::Cut { .. } | Error::Split { .. } | Error::TooManyEntries { .. }),
            ) => {
                let reason = match error {
                    Error::Cut { .. } => {
                        "an archive that is incomplete or damaged: its table of contents is missing"
                    }
                    Error::Split { .. } => "one part of several of an archive; join them first",
                    _ => "the archives list more files than the limit (unpack.entries)",
                };
                inner.remark(desk.ledger, reason);
                Ok(())
            }
            done => done,
        }
    }

    /// Enters what became of a file, and looks into it if it is a container.
    pub(super) fn enter(
        &self,
        name: &Name,
        outcome: Outcome,
        medium: &mut super::medium::Medium,
        desk: &mut Desk<'_, '_>,
    ) -> Result<(), Error> {
        match outcome {
            Outcome::Container(kind, blob) => self.open_inner(name, kind, &blob, desk),
            outcome => {
                desk.ledger.enter(medium, name, outcome);
                Ok(())
            }
        }
    }
}

/// What a file that is spooled already holds, if it is a container: by its first bytes, or where a disc image
/// has its mark.
pub(super) fn recognise(
    content: Content,
    reader: &mut BlobReader,
    name: &Name,
) -> Result<Content, Error> {
    Ok(match content {
        Content::Aside(OFFICE) => content,
        Content::Aside(_) if archive::is_listed(reader, name)? => Content::Container(Kind::Zip),
        Content::Aside(_) if iso::is_image(reader)? => Content::Container(Kind::Iso),
        content => content,
    })
}
