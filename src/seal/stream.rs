//! Sealing of one stream in chunks, each authenticated with its place in the stream.

use std::fmt;

use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Error, ImportKey, NONCE_LEN, TAG_LEN};

/// What a piece of a stream is. It goes into the nonce, so a piece can't stand for another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A chunk that others follow.
    Chunk,
    /// The last chunk; a stream cut before it can't be mistaken for a whole one.
    Last,
    /// What closes the stream.
    Trailer,
}

/// The key of one stream: every nonce is used once, because a stream is written once and in order.
pub struct StreamKey {
    cipher: LessSafeKey,
    owner: ImportKey,
}

impl StreamKey {
    /// Length of the random salt that makes a stream's key.
    pub const SALT_LEN: usize = 16;

    pub(super) fn new(cipher: LessSafeKey, owner: ImportKey) -> Self {
        Self { cipher, owner }
    }

    /// A salt for a new stream.
    pub fn salt() -> Result<[u8; Self::SALT_LEN], Error> {
        let mut salt = [0; Self::SALT_LEN];
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::Random)?;
        Ok(salt)
    }

    /// Seals piece `index` in place and returns the tag that has to be kept with it.
    ///
    /// # Errors
    /// [`Error::Destroyed`] once the import's key was destroyed.
    pub fn seal(
        &self,
        part: Part,
        index: u64,
        context: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Error> {
        self.check()?;
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce(part, index), Aad::from(context), bytes)
            .map_err(|_| Error::TooLong)?;
        tag.as_ref().try_into().map_err(|_| Error::TooLong)
    }

    /// Opens piece `index` in place: `bytes` are the sealed ones with their tag behind them, and begin with
    /// the plain ones afterwards. Returns how many these are.
    ///
    /// # Errors
    /// [`Error::Forged`] if it is damaged or not that piece; [`Error::Destroyed`] once the key was destroyed.
    pub fn open(
        &self,
        part: Part,
        index: u64,
        context: &[u8],
        bytes: &mut [u8],
    ) -> Result<usize, Error> {
        self.check()?;
        let plain = self
            .cipher
            .open_in_place(nonce(part, index), Aad::from(context), bytes)
            .map_err(|_| Error::Forged)?;
        Ok(plain.len())
    }

    fn check(&self) -> Result<(), Error> {
        if self.owner.is_alive() { Ok(()) } else { Err(Error::Destroyed(self.owner.import())) }
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({}, redacted)", self.owner.import())
    }
}

/// One byte for the part, three of zero, eight for the index.
fn nonce(part: Part, index: u64) -> Nonce {
    let part = match part {
        Part::Chunk => 0,
        Part::Last => 1,
        Part::Trailer => 2,
    };
    let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
    let bytes: [u8; NONCE_LEN] = [part, 0, 0, 0, a, b, c, d, e, f, g, h];
    Nonce::assume_unique_for_key(bytes)
}
