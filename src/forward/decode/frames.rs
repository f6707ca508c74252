//! Which fragments hold which frame (PS3.5 A.4).

use std::io::{Read, Seek, SeekFrom};

use super::{Broken, Shape};
use crate::dicom::{Layout, Syntax};
use crate::forward::object::Fault;

/// Fragments of one object: a video of an hour has a hundred thousand frames.
const MOST_FRAGMENTS: usize = 1 << 20;

/// The longest offset table that is read: four bytes a frame.
const LONGEST_TABLE: u32 = 4 << 20;

/// Tag and length of an item.
const ITEM_HEAD: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Where its value begins.
    pub(super) at: u64,
    pub(super) length: u32,
}

/// The fragments of an object, and with which each frame begins.
pub(super) struct Frames {
    fragments: Vec<Fragment>,
    starts: Vec<usize>,
}

impl Frames {
    /// Walks the items. `start` is how the stream of a frame begins, `extended` the Extended Offset Table.
    pub(super) fn find<R: Read + Seek>(
        reader: &mut R,
        layout: &Layout,
        shape: &Shape,
        start: Option<&[u8]>,
        extended: Option<&[u8]>,
    ) -> Result<Self, Fault> {
        let (table, fragments) = items(reader, layout)?;
        let frames = shape.frames;
        let basic: Vec<u64> = offsets::<4>(&table);
        let extended: Vec<u64> = extended.map(offsets::<8>).unwrap_or_default();
        let starts = if frames == 1 {
            vec![0]
        } else if fragments.len() == frames {
            (0..frames).collect()
        } else if let Some(starts) =
            [extended, basic].iter().find_map(|table| by_table(table, &fragments, frames))
        {
            starts
        } else if let Some(start) = start {
            by_start(reader, &fragments, start)?
        } else {
            vec![]
        };
        if starts.len() == frames && starts.first() == Some(&0) && !fragments.is_empty() {
            Ok(Self { fragments, starts })
        } else {
            Err(Broken::Frames.into())
        }
    }

    /// The fragments of a frame.
    pub(super) fn of(&self, frame: usize) -> Option<&[Fragment]> {
        let start = *self.starts.get(frame)?;
        let next = self.starts.get(frame.saturating_add(1));
        self.fragments.get(start..next.copied().unwrap_or(self.fragments.len()))
    }
}

/// The Basic Offset Table and the fragments behind it.
fn items<R: Read + Seek>(
    reader: &mut R,
    layout: &Layout,
) -> Result<(Vec<u8>, Vec<Fragment>), Fault> {
    let pixel = layout.pixel_data.ok_or(Broken::Frames)?;
    let head = if layout.syntax() == Syntax::ImplicitLittle { ITEM_HEAD } else { 12 };
    let mut at = pixel.element_at;
    reader.seek(SeekFrom::Start(at))?;
    let mut element = vec![0; usize::try_from(head).unwrap_or(0)];
    reader.read_exact(&mut element)?;
    if !element.ends_with(&[0xFF; 4]) {
        return Err(Broken::Stream("is not in fragments").into());
    }
    at = at.saturating_add(head);
    let (mut table, mut fragments) = (None, Vec::new());
    while at.saturating_add(ITEM_HEAD) <= pixel.ends_at {
        reader.seek(SeekFrom::Start(at))?;
        let (mut tag, mut length) = ([0; 4], [0; 4]);
        reader.read_exact(&mut tag)?;
        reader.read_exact(&mut length)?;
        if tag != [0xFE, 0xFF, 0x00, 0xE0] {
            break;
        }
        let length = u32::from_le_bytes(length);
        at = at.saturating_add(ITEM_HEAD);
        if table.is_none() {
            let mut bytes = Vec::new();
            let kept = u64::from(length.min(LONGEST_TABLE));
            reader.by_ref().take(kept).read_to_end(&mut bytes)?;
            table = Some(bytes);
        } else if fragments.len() < MOST_FRAGMENTS {
            fragments.push(Fragment { at, length });
        } else {
            return Err(Broken::Unsupported("more than a million fragments").into());
        }
        at = at.saturating_add(u64::from(length));
    }
    Ok((table.unwrap_or_default(), fragments))
}

fn offsets<const N: usize>(table: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8; N]| bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let (numbers, _) = table.as_chunks::<N>();
    numbers.iter().map(number).collect()
}

/// Where the frames begin by a table; `None` if it does not fit what is there.
fn by_table(table: &[u64], fragments: &[Fragment], frames: usize) -> Option<Vec<usize>> {
    if table.len() != frames {
        return None;
    }
    // Offsets count from the first item behind the table.
    let first = fragments.first()?.at;
    let mut starts = Vec::with_capacity(frames);
    for offset in table {
        let at = first.checked_add(*offset)?;
        let found = fragments.binary_search_by_key(&at, |fragment| fragment.at).ok()?;
        if starts.last().is_some_and(|last| found <= *last) {
            return None;
        }
        starts.push(found);
    }
    Some(starts)
}

/// Where the frames begin by the first bytes of fragments.
fn by_start<R: Read + Seek>(
    reader: &mut R,
    fragments: &[Fragment],
    start: &[u8],
) -> Result<Vec<usize>, Fault> {
    let mut starts = Vec::new();
    let mut first = vec![0; start.len()];
    for (index, fragment) in fragments.iter().enumerate() {
        if usize::try_from(fragment.length).unwrap_or(0) < start.len() {
            continue;
        }
        reader.seek(SeekFrom::Start(fragment.at))?;
        reader.read_exact(&mut first)?;
        if first == start {
            starts.push(index);
        }
    }
    Ok(starts)
}
