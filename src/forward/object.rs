//! One object on its way out: a coerced header, and around it the bytes that stay.
//!
//! Invariant: pixel data is copied from the reader to the sink in pieces of [`PIECE`] bytes and never looked
//! at, unless the destination leaves no choice but to decode it. Everything that may fail for reasons of the
//! object is done in [`prepare`], before the first byte leaves; but of several compressed frames each is decoded
//! when it is its turn.
//! Blocking: runs on the blocking pool.

use std::borrow::Cow;
use std::io::{BufRead, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::decode::Decoding;
use super::recoding::{Recoding, Until};
use super::{rewrite, route};
use crate::dicom::{Bulk, DataSet, DerivedUid, Layout, StudyFacts, Syntax, Uid, bulk, scan};
use crate::import::{FileKind, Instance, Origin};
use crate::reconcile::{self, Change, NewElement, NewValue, Plan, Tail, encapsulate};

/// Bytes read and handed on at once: one large PDU, small enough to have several under way.
pub(super) const PIECE: usize = 128 * 1024;

/// Longest header, and longest part behind the pixel data, that is read into memory: the scanner's own limit
/// for headers (`dicom::scan::Limits`), so that nothing that got in cannot get out.
const LONGEST_PART: u64 = 64 << 20;

/// Why an object did not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// This object cannot be sent, now or later.
    #[error("{0}")]
    Object(String),
    /// The local copy could not be read; it may be possible later.
    #[error("the local copy of an instance cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Nobody takes the bytes any more.
    #[error("the receiving side is gone")]
    Closed,
}

impl Fault {
    /// Whether the local copy will never be whole again, as against a disk that fails for the moment.
    pub(super) fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        matches!(self, Self::Read(error) if matches!(error.kind(), InvalidData | UnexpectedEof))
    }
}

/// Nobody takes the bytes any more.
#[derive(Debug)]
pub(super) struct Closed;

/// What one object becomes.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) facts: &'a StudyFacts,
    /// Its number in the import.
    pub(super) number: u32,
    pub(super) instance: &'a Instance,
    /// One of [`route::candidates`].
    pub(super) transfer_syntax: &'a Uid,
}

enum Part {
    Bytes(Vec<u8>),
    /// Bytes of the reader, as they are.
    Span {
        at: u64,
        length: u64,
    },
    /// The data set of the reader, written anew.
    Recoded(Recoding),
    /// Compressed pixel data of the reader, decoded frame by frame.
    Decoded(Box<Decoding>),
}

/// An object ready to leave.
pub(super) struct Prepared {
    parts: Vec<Part>,
}

/// Reads what has to be known before the first byte leaves, and coerces it.
pub(super) fn prepare<R: Read + Seek>(reader: &mut R, job: &Job<'_>) -> Result<Prepared, Fault> {
    match &job.instance.origin {
        Origin::Created { kind, title } => created(job, kind, title),
        Origin::Received { layout } if route::is_re_encoded(&layout.transfer_syntax) => {
            re_encoded(reader, job, layout)
        }
        Origin::Received { layout }
            if route::is_decoded(&layout.transfer_syntax, job.transfer_syntax) =>
        {
            decoded(reader, job, layout)
        }
        Origin::Received { layout } => received(reader, job, layout),
    }
}

/// The header as it would leave, for a query; of a document made into an object, what stands before it.
pub(super) fn header<R: Read + Seek>(reader: &mut R, job: &Job<'_>) -> Result<DataSet, Fault> {
    let lost = |error| object(reconcile::Error::Header(error));
    let (bytes, syntax) = match &job.instance.origin {
        Origin::Created { kind, title } => {
            let around = around(job, kind, title)?;
            let mut before = around.before;
            before.truncate(around.header);
            (before, Syntax::ExplicitLittle)
        }
        Origin::Received { layout } if route::is_re_encoded(&layout.transfer_syntax) => {
            let to = Syntax::ExplicitLittle;
            if layout.header_length() > LONGEST_PART {
                return Err(too_long());
            }
            let header = Recoding::new(layout, to, Until::Header).all(reader)?;
            (coerce(job, &header, to)?.header, to)
        }
        Origin::Received { layout } => {
            let from = layout.syntax();
            let header = read_header(reader, layout)?;
            (coerce(job, &header, from)?.header, from)
        }
    };
    DataSet::read(&bytes, syntax).map_err(lost)
}

fn received<R: Read + Seek>(
    reader: &mut R,
    job: &Job<'_>,
    layout: &Layout,
) -> Result<Prepared, Fault> {
    let from = layout.syntax();
    let to = Syntax::of(job.transfer_syntax);
    let header = read_header(reader, layout)?;
    let coerced = coerce(job, &header, from)?;
    let mut parts = with_bulk(translated(coerced.header, from, to)?, to, &layout.bulk)?;
    if let Some(pixel) = layout.pixel_data {
        let mut value_at = pixel.element_at;
        if from != to {
            let span = pixel.ends_at.saturating_sub(pixel.element_at);
            let length = span.min(u64::try_from(rewrite::LONGEST_HEAD).unwrap_or(span));
            let head = read_part(reader, pixel.element_at, length)?;
            let (old, new) = rewrite::pixel_head(&head, layout, to).ok_or_else(|| {
                Fault::Object("the object's pixel data is not what its transfer syntax says; check it at its source".into())
            })?;
            value_at = value_at.saturating_add(u64::try_from(old).unwrap_or(0));
            parts.push(Part::Bytes(new));
        }
        parts.push(Part::Span { at: value_at, length: pixel.ends_at.saturating_sub(value_at) });
        let tail = layout.ends_at.saturating_sub(pixel.ends_at);
        if coerced.tail == Tail::Verbatim && from == to {
            parts.push(Part::Span { at: pixel.ends_at, length: tail });
        } else if tail > 0 {
            let bytes = read_part(reader, pixel.ends_at, tail)?;
            parts.push(coerced_tail(bytes, &coerced.tail, from, to)?);
        }
    }
    Ok(Prepared { parts })
}

/// Compressed, for a destination that takes nothing compressed.
fn decoded<R: Read + Seek>(
    reader: &mut R,
    job: &Job<'_>,
    layout: &Layout,
) -> Result<Prepared, Fault> {
    let from = layout.syntax();
    let to = Syntax::of(job.transfer_syntax);
    let header = read_header(reader, layout)?;
    let coerced = coerce(job, &header, from)?;
    let lost = |error| object(reconcile::Error::Header(error));
    let mut header = DataSet::read(&coerced.header, from).map_err(lost)?;
    let Some(pixel) = layout.pixel_data else {
        let parts = with_bulk(header.write(to), to, &layout.bulk)?;
        return Ok(Prepared { parts });
    };
    let decoding = Decoding::begin(reader, layout, &mut header)?;
    let mut parts = with_bulk(header.write(to), to, &layout.bulk)?;
    parts.push(Part::Bytes(decoding.head(to)));
    parts.push(Part::Decoded(Box::new(decoding)));
    let tail = layout.ends_at.saturating_sub(pixel.ends_at);
    if tail > 0 {
        let bytes = read_part(reader, pixel.ends_at, tail)?;
        parts.push(coerced_tail(bytes, &coerced.tail, from, to)?);
    }
    Ok(Prepared { parts })
}

/// What stands behind the pixel data.
fn coerced_tail(mut bytes: Vec<u8>, tail: &Tail, from: Syntax, to: Syntax) -> Result<Part, Fault> {
    if let Tail::Convert { from: old, to: new } = tail {
        bytes = reconcile::coerce_tail(&bytes, from, old, new).map_err(object)?;
    }
    Ok(Part::Bytes(translated(bytes, from, to)?))
}

/// The header without its bulk, as the scanner kept it.
fn read_header<R: Read + Seek>(reader: &mut R, layout: &Layout) -> Result<Vec<u8>, Fault> {
    if layout.header_length() > LONGEST_PART {
        return Err(too_long());
    }
    let mut header = Vec::new();
    let mut at = layout.data_set_at;
    for value in &layout.bulk {
        header.extend(read_part(reader, at, value.value_at.saturating_sub(at))?);
        at = value.value_at.saturating_add(u64::from(value.length));
    }
    let end = layout.pixel_data.map_or(layout.ends_at, |pixel| pixel.element_at);
    header.extend(read_part(reader, at, end.saturating_sub(at))?);
    bulk::leave_out(&mut header, layout.data_set_at, &layout.bulk)
        .map_err(|error| object(reconcile::Error::Header(error)))?;
    Ok(header)
}

/// The header with its bulk where it belongs.
fn with_bulk(mut header: Vec<u8>, syntax: Syntax, values: &[Bulk]) -> Result<Vec<Part>, Fault> {
    if values.is_empty() {
        return Ok(vec![Part::Bytes(header)]);
    }
    let lost = |error| object(reconcile::Error::Header(error));
    let places = bulk::put_back(&mut header, syntax, values).map_err(lost)?;
    let mut parts = Vec::new();
    let mut rest = header.as_slice();
    let mut before = 0;
    for (at, value) in places {
        let (front, behind) = rest
            .split_at_checked(at.saturating_sub(before))
            .ok_or_else(|| lost(scan::Error::Truncated))?;
        parts.push(Part::Bytes(front.to_vec()));
        parts.push(Part::Span { at: value.value_at, length: u64::from(value.length) });
        (rest, before) = (behind, at);
    }
    parts.push(Part::Bytes(rest.to_vec()));
    Ok(parts)
}

/// Deflated or big-endian: the data set is written anew on its way; of what comes out, the part before the
/// pixel data is coerced and the rest handed on.
fn re_encoded<R: Read + Seek>(
    reader: &mut R,
    job: &Job<'_>,
    layout: &Layout,
) -> Result<Prepared, Fault> {
    let to = Syntax::of(job.transfer_syntax);
    if layout.header_length() > LONGEST_PART {
        return Err(too_long());
    }
    let header = Recoding::new(layout, to, Until::Header).all(reader)?;
    let coerced = coerce(job, &header, to)?;
    let recoding = Recoding::new(layout, to, Until::End).behind(&header);
    let mut parts = vec![Part::Bytes(coerced.header)];
    let tail = layout.pixel_data.map_or(0, |pixel| layout.ends_at.saturating_sub(pixel.ends_at));
    match (&coerced.tail, layout.pixel_data) {
        (Tail::Convert { from, to: new }, Some(_)) if tail > 0 => {
            if tail > LONGEST_PART {
                return Err(too_long());
            }
            let pixels = Recoding::new(layout, to, Until::PixelDataEnds);
            let before = pixels.count(reader)?;
            let bytes = Recoding::new(layout, to, Until::End).after(before).all(reader)?;
            let bytes = reconcile::coerce_tail(&bytes, to, from, new).map_err(object)?;
            parts.push(Part::Recoded(pixels.behind(&header)));
            parts.push(Part::Bytes(bytes));
        }
        (_, Some(_)) => parts.push(Part::Recoded(recoding)),
        (_, None) => {}
    }
    Ok(Prepared { parts })
}

/// A document that came along: its bytes between the two halves of a data set made for it.
fn created(job: &Job<'_>, kind: &FileKind, title: &str) -> Result<Prepared, Fault> {
    let around = around(job, kind, title)?;
    Ok(Prepared {
        parts: vec![
            Part::Bytes(around.before),
            Part::Span { at: 0, length: job.instance.blob.length },
            Part::Bytes(around.after),
        ],
    })
}

fn around(
    job: &Job<'_>,
    kind: &FileKind,
    title: &str,
) -> Result<encapsulate::Encapsulation, Fault> {
    let instance = job.instance;
    let document = encapsulate::DocumentFacts {
        kind,
        title,
        length: instance.blob.length,
        sop_instance: &instance.sop_instance,
        series: &instance.series,
        number: job.number.saturating_add(1),
    };
    encapsulate::encapsulate(&document, job.facts, job.plan)
        .map_err(|error| Fault::Object(error.to_string()))
}

impl Prepared {
    /// Hands the object on piece by piece.
    pub(super) fn stream<R: BufRead + Seek>(
        self,
        reader: &mut R,
        sink: &mut dyn FnMut(Bytes) -> Result<(), Closed>,
    ) -> Result<(), Fault> {
        for part in self.parts {
            match part {
                Part::Bytes(bytes) => {
                    let mut bytes = Bytes::from(bytes);
                    while !bytes.is_empty() {
                        let piece = bytes.split_to(bytes.len().min(PIECE));
                        sink(piece).map_err(|Closed| Fault::Closed)?;
                    }
                }
                Part::Span { at, length } => span(reader, at, length, sink)?,
                Part::Recoded(recoding) => recoding.stream(reader, sink)?,
                Part::Decoded(decoding) => decoding.stream(reader, sink)?,
            }
        }
        Ok(())
    }
}

fn span<R: BufRead + Seek>(
    reader: &mut R,
    at: u64,
    length: u64,
    sink: &mut dyn FnMut(Bytes) -> Result<(), Closed>,
) -> Result<(), Fault> {
    if length == 0 {
        return Ok(());
    }
    reader.seek(SeekFrom::Start(at))?;
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = Vec::with_capacity(size);
        while piece.len() < size {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            let bytes = bytes.get(..size.saturating_sub(piece.len())).unwrap_or(bytes);
            piece.extend_from_slice(bytes);
            let taken = bytes.len();
            reader.consume(taken);
        }
        left = left.saturating_sub(u64::try_from(size).unwrap_or(left));
        sink(Bytes::from(piece)).map_err(|Closed| Fault::Closed)?;
    }
    Ok(())
}

fn coerce(job: &Job<'_>, header: &[u8], syntax: Syntax) -> Result<reconcile::Coerced, Fault> {
    let plan = with_derived(job);
    reconcile::coerce(&plan, header, syntax, &job.instance.sop_class).map_err(object)
}

/// The plan of the study, and the UIDs that were derived for this one object.
fn with_derived<'a>(job: &Job<'a>) -> Cow<'a, Plan> {
    let derived = match &job.instance.origin {
        Origin::Received { layout } if !layout.derived.is_empty() => &layout.derived,
        Origin::Received { .. } | Origin::Created { .. } => return Cow::Borrowed(job.plan),
    };
    let mut plan = job.plan.clone();
    for which in derived {
        let (element, uid) = match which {
            DerivedUid::SopClass => ((0x0008, 0x0016), &job.instance.sop_class),
            DerivedUid::SopInstance => ((0x0008, 0x0018), &job.instance.sop_instance),
            DerivedUid::Study => ((0x0020, 0x000D), &job.facts.study_uid),
            DerivedUid::Series => ((0x0020, 0x000E), &job.instance.series),
        };
        let value = NewValue::Text(uid.as_str().to_owned());
        plan.changes.push(Change::Set(NewElement { tag: element, vr: "UI".into(), value }));
    }
    plan.changes.sort_by_key(Change::tag);
    Cow::Owned(plan)
}

fn translated(bytes: Vec<u8>, from: Syntax, to: Syntax) -> Result<Vec<u8>, Fault> {
    if from == to {
        return Ok(bytes);
    }
    rewrite::elements(&bytes, from, to).map_err(|error| object(reconcile::Error::Header(error)))
}

fn read_part<R: Read + Seek>(reader: &mut R, at: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let size =
        usize::try_from(length).ok().filter(|_| length <= LONGEST_PART).ok_or_else(too_long)?;
    reader.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; size];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn too_long() -> Fault {
    Fault::Object(
        "the object has more beside its pixel data than can be coerced; deliver it by hand".into(),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of map_err")]
pub(super) fn object(error: reconcile::Error) -> Fault {
    Fault::Object(format!("the object cannot be coerced: {error}"))
}

#[cfg(test)]
mod tests;
