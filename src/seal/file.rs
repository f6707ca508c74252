//! Keys of files that belong to no import: the worklist that is kept.
//!
//! Every file has a fresh key, which stands in the file itself, wrapped by the master key. So a file that is
//! written anew can't be read with anything of the one before, and overwriting the first bytes destroys it.

use std::fmt;

use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::key::{cipher, random_nonce};
use super::{Error, KEY_LEN, NONCE_LEN, TAG_LEN, Vault};

/// The key of one file. It can only be had from a [`Vault`].
pub struct FileKey(LessSafeKey);

impl FileKey {
    /// Length of a wrapped key, in bytes.
    pub const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;
    /// How much longer a sealed record is, in bytes.
    pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    /// Seals record `index` of the file.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn seal(&self, index: u64, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.0, &index.to_be_bytes(), plain)
    }

    /// Opens record `index`.
    ///
    /// # Errors
    /// [`Error::Forged`] if it is damaged or not that record of this file.
    pub fn open(&self, index: u64, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        open(&self.0, &index.to_be_bytes(), sealed)
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(redacted)")
    }
}

impl Vault {
    /// A fresh key for one file, and its wrapped form to be kept in it. `purpose` has to be the same when it
    /// is unwrapped.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn file_key(&self, purpose: &'static str) -> Result<(FileKey, Vec<u8>), Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new().fill(secret.as_mut()).map_err(|_| Error::Random)?;
        let wrapped = seal(&self.0.master, purpose.as_bytes(), secret.as_ref())?;
        Ok((FileKey(cipher(&secret)?), wrapped))
    }

    /// The key that stands in a file.
    ///
    /// # Errors
    /// [`Error::Forged`] if it was damaged, overwritten, or wrapped with another master key or purpose.
    pub fn open_file_key(&self, purpose: &'static str, wrapped: &[u8]) -> Result<FileKey, Error> {
        let secret = Zeroizing::new(open(&self.0.master, purpose.as_bytes(), wrapped)?);
        let secret = <[u8; KEY_LEN]>::try_from(secret.as_slice()).map_err(|_| Error::Forged)?;
        Ok(FileKey(cipher(&Zeroizing::new(secret))?))
    }
}

fn seal(key: &LessSafeKey, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
    let nonce = random_nonce()?;
    let mut sealed = Vec::with_capacity(plain.len().saturating_add(FileKey::OVERHEAD));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let body = sealed.get_mut(NONCE_LEN..).ok_or(Error::TooLong)?;
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), body)
        .map_err(|_| Error::TooLong)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open(key: &LessSafeKey, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Error::Forged)?;
    let mut plain = body.to_vec();
    let length = key
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut plain)
        .map_err(|_| Error::Forged)?
        .len();
    plain.truncate(length);
    Ok(plain)
}
