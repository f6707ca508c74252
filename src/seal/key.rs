//! The key of one import, as a handle.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{Error, KEY_LEN, NONCE_LEN, StreamKey, TAG_LEN};
use crate::import::ImportId;

/// Purpose of a sub-key: never two purposes for one key.
const RECORDS: &[u8] = b"lotse records 1";
const STREAM: &[u8] = b"lotse stream 1";
/// The largest record that is sealed in one piece; AES-GCM itself would allow 64 GiB.
const MAX_RECORD_LEN: usize = 256 << 20;

type Secret = Zeroizing<[u8; KEY_LEN]>;

/// The key of one import. Cheap to clone; wiped on drop, never printed, useless once destroyed.
#[derive(Clone)]
pub struct ImportKey(Arc<Material>);

struct Material {
    import: ImportId,
    secret: RwLock<Option<Secret>>,
}

impl ImportKey {
    pub(super) fn generate(import: ImportId) -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new().fill(secret.as_mut()).map_err(|_| Error::Random)?;
        Ok(Self::new(import, secret))
    }

    pub(super) fn new(import: ImportId, secret: Secret) -> Self {
        Self(Arc::new(Material { import, secret: RwLock::new(Some(secret)) }))
    }

    pub(super) fn secret(&self) -> Result<Secret, Error> {
        let secret = self.0.secret.read().unwrap_or_else(PoisonError::into_inner);
        secret.clone().ok_or(Error::Destroyed(self.0.import))
    }

    /// Makes this handle and all its clones useless.
    pub(super) fn kill(&self) {
        *self.0.secret.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn import(&self) -> ImportId {
        self.0.import
    }

    pub(super) fn is_alive(&self) -> bool {
        self.0.secret.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Seals one small record; `context` is authenticated with it and has to be the same when it is opened.
    /// The result is [`ImportKey::OVERHEAD`] bytes longer.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        if plain.len() > MAX_RECORD_LEN {
            return Err(Error::TooLong);
        }
        let key = self.derive(&[], RECORDS)?;
        let nonce = random_nonce()?;
        let mut sealed = Vec::with_capacity(plain.len().saturating_add(Self::OVERHEAD));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(NONCE_LEN..).ok_or(Error::TooLong)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(context), body)
            .map_err(|_| Error::TooLong)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a record.
    ///
    /// # Errors
    /// [`Error::Forged`] if it was changed, or sealed with another key or context.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.derive(&[], RECORDS)?;
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Error::Forged)?;
        let mut plain = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key
            .open_in_place(nonce, Aad::from(context), &mut plain)
            .map_err(|_| Error::Forged)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// How much longer a sealed record is.
    pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

    /// The key of one stream. `salt` must never be used for two streams that are written.
    pub fn stream(&self, salt: &[u8; StreamKey::SALT_LEN]) -> Result<StreamKey, Error> {
        Ok(StreamKey::new(self.derive(salt, STREAM)?, self.clone()))
    }

    fn derive(&self, salt: &[u8], purpose: &[u8]) -> Result<LessSafeKey, Error> {
        let secret = self.secret()?;
        let derived = Salt::new(HKDF_SHA256, salt).extract(secret.as_ref());
        let purpose = [purpose];
        let okm = derived.expand(&purpose, &AES_256_GCM).map_err(|_| Error::TooLong)?;
        Ok(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportKey({}, redacted)", self.0.import)
    }
}

/// A cipher for a key of ours.
pub(super) fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Error::TooLong)
}

pub(super) fn random_nonce() -> Result<[u8; NONCE_LEN], Error> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Random)?;
    Ok(nonce)
}
