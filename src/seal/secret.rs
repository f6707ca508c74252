//! Files with a secret of somebody else: a password, a token.
//!
//! Invariant: what is read is bounded, wiped when dropped, and in no error.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Longest secret in bytes; a certificate or an image is none.
pub const LONGEST: usize = 32 << 10;

/// Why a file gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is too large for a secret", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is empty", path.display())]
    Empty { path: PathBuf },
    #[error("{} is no text", path.display())]
    NotText { path: PathBuf },
}

/// The contents without the line breaks at their end. Blocking.
///
/// # Errors
/// If the file can't be read, is longer than [`LONGEST`], or holds nothing.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let over = LONGEST.saturating_add(1);
    // Reserved in full, so that no partial copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(over.saturating_add(1)));
    File::open(path)
        .and_then(|file| file.take(u64::try_from(over).unwrap_or(u64::MAX)).read_to_end(&mut bytes))
        .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() > LONGEST {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(bytes) }
}

/// The same as text.
///
/// # Errors
/// As [`read`], and if it is no UTF-8.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let mut bytes = read(path)?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        Error::NotText { path: path.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_stands_before_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let of = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            (read(&file).ok().map(|bytes| bytes.to_vec()), read_text(&file))
        };
        let (bytes, text) = of(b" open sesame \r\n\n");
        assert_eq!(bytes.unwrap(), b" open sesame ");
        assert_eq!(text.unwrap().as_str(), " open sesame ");
        let (bytes, text) = of(b"\xff\xfe\n");
        assert_eq!(bytes.unwrap(), b"\xff\xfe");
        assert!(matches!(text, Err(Error::NotText { .. })));
        assert!(matches!(of(b"\n"), (None, Err(Error::Empty { .. }))));
        assert_eq!(of(&[b'x'; LONGEST]).0.unwrap().len(), LONGEST);
        assert!(matches!(of(&[b'x'; LONGEST + 1]), (None, Err(Error::TooLarge { .. }))));
        let missing = folder.path().join("missing");
        assert!(matches!(read(&missing), Err(Error::Unreadable { .. })));
        assert!(read(folder.path()).is_err());
        let shown = of(b"s3cret\xff").1.unwrap_err().to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
