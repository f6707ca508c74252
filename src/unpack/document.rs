//! Files that are not DICOM: read once, within bounds, and stored in the form in which they are sent.
//!
//! Owns the reading of JPEG, PNG, TIFF, MP4, CDA, plain text and XDM metadata. Invariants: no size is believed
//! before it is within its bound; what is stored holds no position, camera or comment of the file; a file that
//! cannot be used is set aside and never ends the import. The bytes that came stay in the spool.

mod canvas;
mod exif;
mod film;
mod jpeg;
mod patched;
pub(super) mod pdf;
mod png;
mod strips;
mod text;
mod tiff;
mod xml;

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) use self::xml::Titles;
use super::intake::{Outcome, Told};
use super::meter::{CHUNK, Source};
use super::name::Name;
use super::{Error, LazyPack};
use crate::import::{Blob, FileKind};
use crate::reconcile::encapsulate::{Text, Video};
use crate::spool::{self, BlobReader, ImportSpool, Pack};

/// Pixels of one picture or page: a 300 dpi scan of A2 has half of that.
const PIXELS: u64 = 100_000_000;

/// Decoded bytes of one file, all pages together.
const DECODED: u64 = 400_000_000;

/// Decoded bytes that are held in memory at a time, for formats that cannot be read row by row.
const IN_MEMORY: u64 = 128 << 20;

/// A side shorter than this is an icon.
const SMALLEST_SIDE: u32 = 48;

/// What the first bytes say that a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Jpeg,
    Png,
    Tiff,
    /// MP4 and its kin.
    Film,
    Xml,
    Text,
}

/// Why a file is set aside, for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(&'static str);

/// A fault of a reader or writer: the one that met it has kept it, see [`form`].
impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self("ends early or is damaged, so it cannot be read; ask for it again if it is needed")
    }
}

/// What was made of a file.
enum Made {
    /// The bytes that were written are what is sent.
    Written(FileKind),
    /// The file is sent as it came.
    Same(FileKind, Told),
    Titles(Titles),
}

type Input = BufReader<Source<BlobReader>>;

/// Makes what is sent of the file in `blob`, which has been judged by its first bytes.
pub(super) fn form(
    spool: &ImportSpool,
    blob: &Blob,
    name: &Name,
    form: Form,
    pack: &mut Pack,
) -> Result<Outcome, Error> {
    let (source, record) = Source::new(spool.read(blob)?);
    let mut input = BufReader::with_capacity(CHUNK, source);
    pack.begin()?;
    let mut output = Output { pack: &mut *pack, error: None };
    // Decoders are other people's code: one that panics costs a picture and not the import. What it leaves
    // half done is dropped here.
    let caught = catch_unwind(AssertUnwindSafe(|| make(&mut input, &mut output, blob, name, form)));
    let made = caught.unwrap_or(Err(Refused("cannot be read; save it anew in another format")));
    let refused = output.error;
    let outcome = match (record.take_error(), refused, made) {
        (Some(error), _, _) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Err(Error::Read(error))
        }
        (_, Some(error), _) => Err(error.into()),
        (_, None, Ok(Made::Written(kind))) => {
            return Ok(Outcome::Document(kind, Told::default(), pack.finish()?));
        }
        (_, None, Ok(Made::Same(kind, told))) => Ok(Outcome::Document(kind, told, blob.clone())),
        (_, None, Ok(Made::Titles(titles))) => Ok(Outcome::Titles(titles)),
        (_, None, Err(Refused(reason))) => Ok(Outcome::Aside(reason.to_owned())),
    };
    pack.abandon()?;
    outcome
}

/// The same where a pack may have to be made first.
pub(super) fn form_stored(
    blob: &Blob,
    name: &Name,
    what: Form,
    pack: &mut LazyPack<'_>,
) -> Result<Outcome, Error> {
    let spool = pack.spool;
    form(spool, blob, name, what, pack.open()?)
}

fn make(
    input: &mut Input,
    output: &mut Output<'_>,
    blob: &Blob,
    name: &Name,
    form: Form,
) -> Result<Made, Refused> {
    let source = blob.digest.to_string();
    Ok(match form {
        Form::Jpeg => Made::Written(jpeg::read(input, blob.length, output)?.into_kind(source)),
        Form::Png => Made::Written(png::read(input, output)?.into_kind(source)),
        Form::Tiff => Made::Written(tiff::read(input, output)?.into_kind(source)),
        Form::Text => {
            text::read(input, blob.length, output)?;
            Made::Written(FileKind::Text(Text { source }))
        }
        Form::Film => {
            let film = film::read(input, blob.length)?;
            input.seek(SeekFrom::Start(0))?;
            film::copy(&film, input, output)?;
            Made::Written(FileKind::Video(Video { source, ..film.video }))
        }
        Form::Xml => match xml::read(input, blob.length, name)? {
            xml::Document::Clinical(cda, title, patient) => {
                let told = Told { title, patient: Some(patient), remark: None };
                Made::Same(FileKind::Cda(cda), told)
            }
            xml::Document::Titles(titles) => Made::Titles(titles),
        },
    })
}

/// Writes into the blob begun, and keeps the spool's error: a decoder would pass it on as its own.
struct Output<'a> {
    pack: &'a mut Pack,
    error: Option<spool::Error>,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.pack.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.error = Some(error);
                Err(io::Error::other("the spool refused a write"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
