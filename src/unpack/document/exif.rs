//! Of Exif only two facts: whether a camera took the picture, and which way is up.

/// Entries of the first directory; cameras write a dozen.
const ENTRIES: usize = 512;

const MAKE: u16 = 0x010F;
const ORIENTATION: u16 = 0x0112;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exif {
    pub(super) camera: bool,
    /// 1 to 8 as in TIFF; `None` if nothing is told.
    pub(super) orientation: Option<u8>,
}

impl Exif {
    /// `segment`: an APP1 segment behind its length. Whatever is wrong in it is left out.
    pub(super) fn read(segment: &[u8]) -> Option<Self> {
        let tiff = segment.strip_prefix(b"Exif\0\0")?;
        let little = match tiff.first_chunk::<4>()? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let short = |at: usize| {
            let bytes = tiff.get(at..at.checked_add(2)?)?.first_chunk::<2>()?;
            Some(if little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) })
        };
        let long = |at: usize| {
            let bytes = tiff.get(at..at.checked_add(4)?)?.first_chunk::<4>()?;
            Some(if little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
        };
        let directory = usize::try_from(long(4)?).ok()?;
        let entries = usize::from(short(directory)?).min(ENTRIES);
        let mut found = Self::default();
        for entry in 0..entries {
            let at = directory.checked_add(2)?.checked_add(entry.checked_mul(12)?)?;
            let Some(tag) = short(at) else {
                break;
            };
            match tag {
                MAKE => found.camera = long(at.checked_add(4)?).is_some_and(|count| count > 1),
                ORIENTATION => {
                    let value =
                        short(at.checked_add(8)?).and_then(|value| u8::try_from(value).ok());
                    found.orientation = value.filter(|value| (1..=8).contains(value));
                }
                _ => {}
            }
        }
        Some(found)
    }
}
