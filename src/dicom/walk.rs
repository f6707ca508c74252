//! The walk over the elements of one data set, in one pass and without recursion.
//!
//! Everything that reads foreign bytes goes through it: scanner, reader, patch and conversion. Invariant: no
//! length is believed before it was held against what encloses it, nothing is allocated by a declared length,
//! and depth and number of elements stay within [`Limits`].

mod source;

use std::io::{Read, Write};

pub(super) use source::Extent;
use source::Source;

use super::scan::{Error, Fault, Limits};
use super::{Around, Syntax, Tag, VR, vr};

/// The length of a value that ends with a delimiter (PS3.5 7.5.1).
pub(super) const UNDEFINED: u32 = u32::MAX;

/// What is allocated on the word of a declared length; beyond it memory follows the bytes that come.
const PREALLOCATED: usize = 64 << 10;

/// Bytes of a length, directly in front of what it counts, wherever that may be more than one element.
const LENGTH: u64 = 4;

pub(super) const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub(super) const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
pub(super) const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// Tag, VR and length of an element, an item or a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where its tag begins.
    pub at: u64,
    pub tag: Tag,
    pub vr: VR,
    /// As it was written, [`UNDEFINED`] included.
    pub length: u32,
    /// How it was written: inside of UN with undefined length that differs from the data set.
    pub syntax: Syntax,
}

/// What the walk met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An element whose value can be taken now; it is skipped otherwise.
    Element(Header),
    SequenceBegins(Header),
    ItemBegins(Header),
    ItemEnds,
    SequenceEnds,
    FragmentsBegin(Header),
    /// Offset table or fragment of encapsulated pixel data; the value can be taken now.
    Fragment(Header),
    FragmentsEnd,
    /// The data set ends at this offset; padding may follow.
    End(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    Fragments,
}

struct Frame {
    kind: Kind,
    /// Of the sequence.
    tag: Tag,
    /// Where its content begins, directly behind its length.
    begins: u64,
    /// Items of it that have begun.
    items: u32,
    /// Where it ends, if it was declared; otherwise by delimiter.
    ends: Option<u64>,
    /// The nearest declared end around it: nothing inside may reach beyond.
    bound: Option<u64>,
    syntax: Syntax,
    /// Whether nothing has shown yet how the content of an element of VR UN is written.
    is_presumed: bool,
}

pub(super) struct Walk<R> {
    source: Source<R>,
    syntax: Syntax,
    limits: Limits,
    stack: Vec<Frame>,
    depth: usize,
    elements: u64,
    /// Bytes of the current value that nobody has taken yet.
    pending: u64,
    ended: Option<u64>,
    /// Where the last element of the top level begins.
    begun: u64,
    /// The last element of the top level that could be read.
    last: Option<Tag>,
}

impl<R: Read> Walk<R> {
    /// Starts at offset `at` of the object, where the data set begins.
    pub(super) fn new(reader: R, at: u64, extent: Extent, syntax: Syntax, limits: &Limits) -> Self {
        Self {
            source: Source::new(reader, at, extent),
            syntax,
            limits: *limits,
            stack: Vec::new(),
            depth: 0,
            elements: 0,
            pending: 0,
            ended: None,
            begun: at,
            last: None,
        }
    }

    /// Where the bytes begin that `error` is about, if they stand outside of all sequences and look like no
    /// element of a data set: something that was left behind it.
    pub(super) fn rubbish_at(&self, error: &Error) -> Option<u64> {
        let group = tag_of(&self.source.front(), self.syntax).group();
        let is_element = (0x7FE0..0xFFFE).contains(&group);
        let is_read =
            matches!(error, Error::Malformed { .. } | Error::Truncated) && !self.source.is_short();
        (is_read && self.at_top() && !is_element).then_some(self.begun)
    }

    /// Whether the walk stands outside of all sequences.
    pub(super) fn at_top(&self) -> bool {
        self.stack.is_empty()
    }

    /// Offset of what was read last.
    pub(super) fn at(&self) -> u64 {
        self.source.at()
    }

    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Keeps every byte from here on, up to the header limit.
    pub(super) fn keep(&mut self) {
        self.source.keep(self.limits.header);
    }

    /// Ends [`Walk::keep`] as if it had stopped at offset `at`.
    pub(super) fn stop_keeping(&mut self, at: u64) {
        self.source.stop_keeping(at);
    }

    pub(super) fn into_kept(self) -> Vec<u8> {
        self.source.into_kept()
    }

    pub(super) fn next(&mut self) -> Result<Step, Error> {
        self.source.skip(std::mem::take(&mut self.pending))?;
        if let Some(at) = self.ended {
            return Ok(Step::End(at));
        }
        let Some(frame) = self.stack.last() else {
            return self.next_at_top();
        };
        if frame.ends == Some(self.source.at()) {
            return Ok(self.pop());
        }
        let (kind, ends, syntax) = (frame.kind, frame.ends, frame.syntax);
        let at = self.source.at();
        let head = self.head()?;
        let tag = tag_of(&head, syntax);
        match kind {
            Kind::Item if tag == ITEM_END && ends.is_none() => self.delimited(at, &head),
            Kind::Item => self.element(at, &head, syntax),
            Kind::Sequence | Kind::Fragments if tag == SEQUENCE_END && ends.is_none() => {
                self.delimited(at, &head)
            }
            Kind::Sequence if tag == ITEM => self.item(at, &head, syntax),
            Kind::Fragments if tag == ITEM => self.fragment(at, &head, syntax),
            Kind::Sequence | Kind::Fragments => Err(Fault::NotAnItem.at(at)),
        }
    }

    /// Takes the value of the last element or fragment.
    pub(super) fn value(&mut self) -> Result<Vec<u8>, Error> {
        let known = usize::try_from(self.pending).unwrap_or(PREALLOCATED).min(PREALLOCATED);
        let mut value = Vec::with_capacity(known);
        self.copy_value(&mut value)?;
        value.shrink_to_fit();
        Ok(value)
    }

    /// Writes the value of the last element or fragment to `out`.
    pub(super) fn copy_value(&mut self, out: &mut dyn Write) -> Result<(), Error> {
        self.source.copy(std::mem::take(&mut self.pending), out)
    }

    /// The items that what was read last lies in, from the outermost.
    pub(super) fn within(&self) -> Vec<Around> {
        let length_at = |frame: &Frame| frame.ends.map(|_| frame.begins.saturating_sub(LENGTH));
        let pairs = self.stack.iter().zip(self.stack.iter().skip(1));
        let items = pairs.filter(|(_, inner)| inner.kind == Kind::Item);
        let around = items.map(|(sequence, item)| Around {
            group: sequence.tag.group(),
            element: sequence.tag.element(),
            item: sequence.items.saturating_sub(1),
            sequence_length_at: length_at(sequence),
            item_length_at: length_at(item),
        });
        around.collect()
    }

    /// Passes over the value without keeping it; yields where it begins. The lengths that count it stay.
    pub(super) fn leave_value_out(&mut self) -> Result<u64, Error> {
        let at = self.source.at();
        self.source.leave_out(std::mem::take(&mut self.pending))?;
        Ok(at)
    }

    /// Takes the next bytes of the value; false if there are none left.
    pub(super) fn read_value(&mut self, chunk: &mut Vec<u8>, most: u64) -> Result<bool, Error> {
        chunk.clear();
        let length = self.pending.min(most);
        self.pending -= length;
        self.source.copy(length, chunk)?;
        Ok(length > 0)
    }

    fn next_at_top(&mut self) -> Result<Step, Error> {
        let at = self.source.at();
        self.begun = at;
        let Some(head) = self.source.head_or_end()? else {
            self.ended = Some(at);
            self.source.stop_keeping(at);
            return Ok(Step::End(at));
        };
        let step = self.element(at, &head, self.syntax)?;
        self.last = Some(tag_of(&head, self.syntax));
        Ok(step)
    }

    /// Whether an element may stand here, as against text that somebody left behind the data set.
    fn is_in_order(&self, tag: Tag) -> bool {
        !self.at_top() || self.last.is_none_or(|last| last < tag)
    }

    fn element(&mut self, at: u64, head: &[u8; 8], syntax: Syntax) -> Result<Step, Error> {
        self.count()?;
        let tag = tag_of(head, syntax);
        match tag.group() {
            0xFFFE => return Err(Fault::StrayDelimiter.at(at)),
            // Command and file meta elements never belong to a data set (PS3.7 6.3.1, PS3.10 7.1).
            group @ (0x0000 | 0x0002) => return Err(Fault::WrongGroup(group).at(at)),
            _ => {}
        }
        let syntax = self.settle(head, tag).unwrap_or(syntax);
        let [.., v0, v1, l0, l1] = *head;
        let (vr, length) = match syntax {
            Syntax::ImplicitLittle => (vr::of_tag(tag), syntax.u32([v0, v1, l0, l1])),
            Syntax::ExplicitLittle | Syntax::ExplicitBig => {
                let (vr, is_long) = match VR::from_binary([v0, v1]) {
                    Some(vr) => (vr, vr::is_long(vr)),
                    // A VR younger than we are has the long form (PS3.5 6.2).
                    None if v0.is_ascii_uppercase() && v1.is_ascii_uppercase() && l0 | l1 == 0 => {
                        (VR::UN, true)
                    }
                    // Letters that nobody defined, question marks, blanks: of writers that know no long form.
                    None if is_printed(v0) && is_printed(v1) && self.is_in_order(tag) => {
                        (vr::short_of_tag(tag), false)
                    }
                    None => return Err(Fault::UnknownVr.at(at)),
                };
                if is_long {
                    self.room(4)?;
                    (vr, syntax.u32(self.source.array()?))
                } else {
                    (vr, u32::from(syntax.u16([l0, l1])))
                }
            }
        };
        let header = Header { at, tag, vr, length, syntax };
        if length == UNDEFINED { self.open(header) } else { self.declared(header) }
    }

    /// The syntax of an element in a sequence that was written as UN, if it is not the one that was presumed: some
    /// writers put the elements of an explicit data set into it as they were.
    fn settle(&mut self, head: &[u8; 8], tag: Tag) -> Option<Syntax> {
        if !self.stack.last()?.is_presumed {
            return None;
        }
        let [.., v0, v1, l0, l1] = *head;
        let vr = VR::from_binary([v0, v1])?;
        let fits = |length: u32| self.room(u64::from(length)).is_ok();
        let is_possible = match vr::is_long(vr) {
            true => l0 | l1 == 0,
            false => fits(u32::from(u16::from_le_bytes([l0, l1]))),
        };
        // Read as a length, these letters are seldom even, hardly ever those of the dictionary, and many megabytes.
        let length = u32::from_le_bytes([v0, v1, l0, l1]);
        let is_likely = vr == vr::of_named(tag) || length % 2 == 1 || !fits(length);
        if !(is_possible && is_likely) {
            return None;
        }
        let syntax = Syntax::ExplicitLittle;
        for frame in self.stack.iter_mut().rev().take_while(|frame| frame.is_presumed) {
            (frame.syntax, frame.is_presumed) = (syntax, false);
        }
        Some(syntax)
    }

    /// An element that ends with a delimiter.
    fn open(&mut self, header: Header) -> Result<Step, Error> {
        let pixels = header.tag == Tag(0x7FE0, 0x0010);
        match header.vr {
            VR::OB | VR::OW => self.push(header, Kind::Fragments, header.syntax),
            VR::UN if pixels => self.push(header, Kind::Fragments, header.syntax),
            VR::SQ => self.push(header, Kind::Sequence, header.syntax),
            // Whatever the data set is, such a value is a sequence in Implicit VR Little Endian (PS3.5 6.2.2).
            VR::UN if header.syntax != Syntax::ImplicitLittle => {
                let step = self.push(header, Kind::Sequence, Syntax::ImplicitLittle)?;
                if let Some(frame) = self.stack.last_mut() {
                    frame.is_presumed = true;
                }
                Ok(step)
            }
            _ if header.syntax == Syntax::ImplicitLittle => {
                self.push(header, Kind::Sequence, header.syntax)
            }
            _ => Err(Fault::UndefinedLength.at(header.at)),
        }
    }

    /// An element that says how long it is.
    fn declared(&mut self, header: Header) -> Result<Step, Error> {
        self.room(u64::from(header.length))?;
        if header.vr == VR::SQ {
            return self.push(header, Kind::Sequence, header.syntax);
        }
        self.pending = u64::from(header.length);
        Ok(Step::Element(header))
    }

    fn item(&mut self, at: u64, head: &[u8; 8], syntax: Syntax) -> Result<Step, Error> {
        self.count()?;
        let length = length_of(head, syntax);
        if length != UNDEFINED {
            self.room(u64::from(length))?;
        }
        self.push(Header { at, tag: ITEM, vr: VR::UN, length, syntax }, Kind::Item, syntax)
    }

    fn fragment(&mut self, at: u64, head: &[u8; 8], syntax: Syntax) -> Result<Step, Error> {
        self.count()?;
        let length = length_of(head, syntax);
        if length == UNDEFINED {
            return Err(Fault::UndefinedLength.at(at));
        }
        self.room(u64::from(length))?;
        self.pending = u64::from(length);
        Ok(Step::Fragment(Header { at, tag: ITEM, vr: VR::OB, length, syntax }))
    }

    fn push(&mut self, header: Header, kind: Kind, syntax: Syntax) -> Result<Step, Error> {
        if kind != Kind::Item {
            self.depth += 1;
            if self.depth > self.limits.depth {
                return Err(Error::TooDeep(self.limits.depth));
            }
        }
        let begins = self.source.at();
        let ends =
            (header.length != UNDEFINED).then(|| begins.saturating_add(u64::from(header.length)));
        let bound = ends.or_else(|| self.stack.last().and_then(|frame| frame.bound));
        if let (Kind::Item, Some(sequence)) = (kind, self.stack.last_mut()) {
            sequence.items = sequence.items.saturating_add(1);
        }
        let is_presumed = self.stack.last().is_some_and(|frame| frame.is_presumed);
        let (tag, items) = (header.tag, 0);
        self.stack.push(Frame { kind, tag, begins, items, ends, bound, syntax, is_presumed });
        Ok(match kind {
            Kind::Sequence => Step::SequenceBegins(header),
            Kind::Item => Step::ItemBegins(header),
            Kind::Fragments => Step::FragmentsBegin(header),
        })
    }

    fn pop(&mut self) -> Step {
        let kind = self.stack.pop().map_or(Kind::Item, |frame| frame.kind);
        if kind != Kind::Item {
            self.depth = self.depth.saturating_sub(1);
        }
        match kind {
            Kind::Sequence => Step::SequenceEnds,
            Kind::Item => Step::ItemEnds,
            Kind::Fragments => Step::FragmentsEnd,
        }
    }

    /// Leaves the frame whose delimiter was read. Its length has to be zero.
    fn delimited(&mut self, at: u64, head: &[u8; 8]) -> Result<Step, Error> {
        match head {
            [.., 0, 0, 0, 0] => Ok(self.pop()),
            _ => Err(Fault::StrayDelimiter.at(at)),
        }
    }

    /// The eight bytes that every element, item and delimiter begins with.
    fn head(&mut self) -> Result<[u8; 8], Error> {
        self.room(8)?;
        self.source.array()
    }

    fn count(&mut self) -> Result<(), Error> {
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(Error::TooManyElements(self.limits.elements));
        }
        Ok(())
    }

    /// Holds `length` more bytes against what encloses them.
    fn room(&self, length: u64) -> Result<(), Error> {
        self.source.room(length)?;
        let at = self.source.at();
        match self.stack.last().and_then(|frame| frame.bound) {
            Some(bound) if length > bound.saturating_sub(at) => Err(Fault::Overrun.at(at)),
            _ => Ok(()),
        }
    }
}

fn is_printed(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

fn tag_of(head: &[u8; 8], syntax: Syntax) -> Tag {
    let [g0, g1, e0, e1, ..] = *head;
    Tag(syntax.u16([g0, g1]), syntax.u16([e0, e1]))
}

fn length_of(head: &[u8; 8], syntax: Syntax) -> u32 {
    let [.., a, b, c, d] = *head;
    syntax.u32([a, b, c, d])
}
