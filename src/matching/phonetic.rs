//! Kölner Phonetik: the sound of a German name as digits.
//!
//! Used to find candidates, never to agree: too many names sound alike.

/// Letters of a word that are heard. A longer one is told apart by its letters.
const LETTER_LIMIT: usize = 24;

/// The code of a word of ASCII letters; `None` where it is too short to tell anything.
pub(super) fn cologne(word: &str) -> Option<u64> {
    let letters: Vec<char> = word.chars().take(LETTER_LIMIT).collect();
    let at = |index: usize| letters.get(index).copied();
    let mut codes: Vec<u8> = Vec::with_capacity(letters.len());
    for (index, letter) in letters.iter().copied().enumerate() {
        let before = index.checked_sub(1).and_then(at);
        let digits: &[u8] = match letter {
            'a' | 'e' | 'i' | 'j' | 'o' | 'u' | 'y' => &[0],
            'b' => &[1],
            'p' if at(index + 1) == Some('h') => &[3],
            'p' => &[1],
            'd' | 't' if matches!(at(index + 1), Some('c' | 's' | 'z')) => &[8],
            'd' | 't' => &[2],
            'f' | 'v' | 'w' => &[3],
            'g' | 'k' | 'q' => &[4],
            'c' => hard_or_soft(index, before, at(index + 1)),
            'x' if matches!(before, Some('c' | 'k' | 'q')) => &[8],
            'x' => &[4, 8],
            'l' => &[5],
            'm' | 'n' => &[6],
            'r' => &[7],
            's' | 'z' => &[8],
            _ => &[],
        };
        codes.extend_from_slice(digits);
    }
    codes.dedup();
    let first = codes.first().copied()?;
    // The leading mark keeps a zero in front from being lost.
    let mut code: u64 = 1;
    let mut length = 1_u8;
    code = code.wrapping_mul(10).wrapping_add(u64::from(first));
    for digit in codes.into_iter().skip(1).filter(|digit| *digit != 0).take(16) {
        code = code.wrapping_mul(10).wrapping_add(u64::from(digit));
        length = length.saturating_add(1);
    }
    (length >= 3).then_some(code)
}

fn hard_or_soft(index: usize, before: Option<char>, next: Option<char>) -> &'static [u8] {
    let hard = |letters: &[char]| next.is_some_and(|next| letters.contains(&next));
    let is_hard = match (index, before) {
        (0, _) => hard(&['a', 'h', 'k', 'l', 'o', 'q', 'r', 'u', 'x']),
        (_, Some('s' | 'z')) => false,
        _ => hard(&['a', 'h', 'k', 'o', 'q', 'u', 'x']),
    };
    if is_hard { &[4] } else { &[8] }
}
