//! From one uncompressed transfer syntax to another: Explicit and Implicit VR Little Endian share their pixel
//! bytes, so only what stands around them is written anew (PS3.5 A.1, A.2).

use crate::dicom::{DataSet, Layout, Syntax, scan};

/// A data set, or the part of one before or behind the pixel data, in another syntax.
pub(super) fn elements(bytes: &[u8], from: Syntax, to: Syntax) -> Result<Vec<u8>, scan::Error> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(DataSet::read(bytes, from)?.write(to))
}

/// Bytes of a pixel data element before its value: tag, representation and length as explicit syntaxes write
/// them; the implicit form is shorter.
pub(super) const LONGEST_HEAD: usize = 12;

/// The head of a pixel data element in another syntax, and how long it was in its own. `None` if the element
/// is not one of defined length, as uncompressed pixel data has to be; fragments have none, and are bytes (PS3.5
/// A.4).
pub(super) fn pixel_head(head: &[u8], layout: &Layout, to: Syntax) -> Option<(usize, Vec<u8>)> {
    let tag = head.get(..4)?;
    let (length_at, old) = match layout.syntax() {
        Syntax::ExplicitLittle => (8, LONGEST_HEAD),
        Syntax::ImplicitLittle => (4, 8),
        Syntax::ExplicitBig => return None,
    };
    let length = head.get(length_at..old)?;
    let is_open = length == [0xFF; 4].as_slice();
    if is_open && !layout.is_implicit {
        return None;
    }
    let mut new = tag.to_vec();
    match to {
        Syntax::ImplicitLittle => {}
        Syntax::ExplicitLittle => {
            // Float Pixel Data, Double Float Pixel Data, Pixel Data: PS3.6; words in any uncompressed syntax.
            let vr: &[u8; 2] = match tag.get(2)? {
                _ if is_open => b"OB",
                0x08 => b"OF",
                0x09 => b"OD",
                _ => b"OW",
            };
            new.extend_from_slice(vr);
            new.extend_from_slice(&[0, 0]);
        }
        Syntax::ExplicitBig => return None,
    }
    new.extend_from_slice(length);
    Some((old, new))
}
