//! The words of a worklist, found by spelling, by sound, and by what is a slip of the finger away.
//!
//! Invariant: finds every word that [`Token::close`] finds, and gives each once.

use std::sync::Arc;

use super::lexicon::{Shape, Token, slips};
use super::postings::{Postings, hash};

/// Words and the items that carry them.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: Vec<Arc<Token>>,
    by_key: Postings,
    by_sound: Postings,
    /// Words with one key, by its length: most words, and quick to look through.
    plain: Vec<Vec<(Shape, u32)>>,
    /// The other words.
    folded: Vec<u32>,
    /// Where the items of each word begin.
    starts: Vec<u32>,
    items: Vec<u32>,
}

/// Words of a worklist that are like one of a study, by their places.
pub(super) struct Alike {
    pub(super) exactly: Vec<u32>,
    /// Those that are close to it or sound like it.
    pub(super) nearly: Vec<u32>,
}

impl Vocabulary {
    /// `carried`: word and item.
    pub(super) fn new(words: Vec<Arc<Token>>, mut carried: Vec<(u32, u32)>) -> Self {
        carried.sort_unstable();
        carried.dedup();
        let mut starts = Vec::with_capacity(words.len().saturating_add(1));
        for word in (0_u32..).take(words.len().saturating_add(1)) {
            let start = carried.partition_point(|(other, _)| *other < word);
            starts.push(u32::try_from(start).unwrap_or(u32::MAX));
        }
        let mut plain: Vec<Vec<(Shape, u32)>> = vec![Vec::new(); usize::from(u8::MAX) + 1];
        let mut folded = Vec::new();
        for word in &words {
            let [shape, ..] = word.shapes;
            match plain.get_mut(usize::from(shape.length)).filter(|_| word.is_plain) {
                Some(of_length) => of_length.push((shape, word.place)),
                None => folded.push(word.place),
            }
        }
        let keys = words
            .iter()
            .flat_map(|word| word.keys.iter().map(|key| (hash("key", key), word.place)));
        let sounds = words.iter().filter_map(|word| Some((word.sound?, word.place)));
        Self {
            by_key: Postings::new(keys.collect()),
            by_sound: Postings::new(sounds.collect()),
            plain,
            folded,
            starts,
            items: carried.into_iter().map(|(_, item)| item).collect(),
            words,
        }
    }

    /// Items that carry the word at this place, ascending.
    pub(super) fn items(&self, word: u32) -> &[u32] {
        let at = usize::try_from(word).unwrap_or(usize::MAX);
        let start = |at: usize| usize::try_from(*self.starts.get(at)?).ok();
        let range = start(at).zip(start(at.saturating_add(1)));
        range.and_then(|(from, to)| self.items.get(from..to)).unwrap_or(&[])
    }

    /// The words that are this one, and those that are close to it or sound like it.
    pub(super) fn like(&self, word: &Token) -> Alike {
        let once = |mut places: Vec<u32>| {
            places.sort_unstable();
            places.dedup();
            places
        };
        let keys = word.keys.iter().flat_map(|key| self.by_key.get(hash("key", key)));
        let exactly = once(keys.collect());
        let mut nearly: Vec<u32> =
            word.sound.into_iter().flat_map(|s| self.by_sound.get(s)).collect();
        let distinct = if word.is_plain { 1 } else { word.shapes.len() };
        let shapes = word.shapes.get(..distinct).unwrap_or(&[]);
        let is_close = |place: u32| {
            usize::try_from(place)
                .ok()
                .and_then(|at| self.words.get(at))
                .is_some_and(|other| word.close(other))
        };
        for shape in shapes {
            for of_length in self.of_length_like(*shape) {
                let like = of_length.iter().filter(|(other, _)| shape.may_be_close(*other));
                nearly.extend(like.map(|(_, place)| *place).filter(|place| is_close(*place)));
            }
        }
        nearly.extend(self.folded.iter().copied().filter(|place| is_close(*place)));
        let mut nearly = once(nearly);
        nearly.retain(|place| exactly.binary_search(place).is_err());
        Alike { exactly, nearly }
    }

    /// Plain words no more slips longer or shorter than words of this shape may be.
    fn of_length_like(&self, shape: Shape) -> impl Iterator<Item = &Vec<(Shape, u32)>> {
        let length = usize::from(shape.length);
        let all = self.plain.iter().enumerate();
        let near =
            all.filter(move |(other, _)| other.abs_diff(length) <= slips(length.max(*other)));
        near.map(|(_, words)| words)
    }
}
