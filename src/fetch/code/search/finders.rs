//! Places that look like the squares in three corners of a code: a quick look before the real one, which takes long
//! where there are many.

/// A sheet with some codes has fewer; noise has more, and each one is tried with each.
pub(super) const MOST: usize = 24;

/// How many places there are, up to one more than [`MOST`].
pub(super) fn count(black: &[u8], width: usize) -> usize {
    let picture = Picture { black, width };
    let mut places: Vec<(usize, usize, usize)> = Vec::new();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (y, row) in black.chunks_exact(width.max(1)).enumerate() {
        runs.clear();
        let mut begin = 0;
        // Runs of one colour, white and black in turn; the first is white and may be empty.
        for part in row.chunk_by(|a, b| a == b) {
            if begin == 0 && part.first() == Some(&1) {
                runs.push((0, 0));
            }
            runs.push((begin, part.len()));
            begin = begin.saturating_add(part.len());
        }
        for five in runs.get(1..).unwrap_or_default().windows(5).step_by(2) {
            let [a, b, c, d, e] = *five else { continue };
            if !fits([a.1, b.1, c.1, d.1, e.1]) {
                continue;
            }
            let x = c.0.saturating_add(c.1 / 2);
            let size = a.1 + b.1 + c.1 + d.1 + e.1;
            if !picture.fits_downwards(x, y, size) {
                continue;
            }
            let near = |place: &(usize, usize, usize)| {
                place.0.abs_diff(x) < size / 2 && place.1.abs_diff(y) < size / 2
            };
            if !places.iter().any(near) {
                places.push((x, y, size));
                if places.len() > MOST {
                    return places.len();
                }
            }
        }
    }
    places.len()
}

/// One, one, three, one, one; each within three quarters of a module.
fn fits(lengths: [usize; 5]) -> bool {
    let module: usize = lengths.iter().sum();
    // Counted in parts: 7 modules times 4.
    lengths
        .into_iter()
        .zip([1, 1, 3, 1, 1])
        .all(|(length, wanted)| (length * 28).abs_diff(wanted * module * 4) <= module * 3)
}

struct Picture<'a> {
    black: &'a [u8],
    width: usize,
}

impl Picture<'_> {
    fn at(&self, x: usize, y: usize) -> Option<u8> {
        self.black.get(y.checked_mul(self.width)?.checked_add(x)?).copied()
    }

    /// Whether the same is seen along the column.
    fn fits_downwards(&self, x: usize, y: usize, size: usize) -> bool {
        let run = |from: Option<usize>, colour: u8, down: bool| {
            let mut length = 0_usize;
            let mut place = from;
            while let Some(y) = place
                && self.at(x, y) == Some(colour)
                && length <= size
            {
                length += 1;
                place = if down { y.checked_add(1) } else { y.checked_sub(1) };
            }
            (length, place)
        };
        let (up, above) = run(Some(y), 1, false);
        let (down, below) = run(y.checked_add(1), 1, true);
        let (white_above, above) = run(above, 0, false);
        let (white_below, below) = run(below, 0, true);
        let (black_above, _) = run(above, 1, false);
        let (black_below, _) = run(below, 1, true);
        fits([black_above, white_above, up + down, white_below, black_below])
    }
}
