//! A known text under the master key, in a file beside the keys.
//!
//! A key file that does not open is damaged, or was wrapped with another master key; this file tells which. One that
//! says nothing (an earlier version made none) leaves it to the keys.

use std::fs;
use std::path::Path;

use ring::aead::{Aad, LessSafeKey, Nonce};

use super::key::random_nonce;
use super::{Error, NONCE_LEN, TAG_LEN, place};

const FILE: &str = "lotse-master";
/// Magic and version; authenticated with the text.
const HEAD: &[u8; 9] = b"LOTSEMKF\x01";
const TEXT: &[u8; 16] = b"lotse master key";
const FILE_LEN: usize = HEAD.len() + NONCE_LEN + TEXT.len() + TAG_LEN;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Fits,
    /// Made with another master key.
    Foreign,
    Silent,
}

pub(super) fn read(folder: &Path, master: &LessSafeKey) -> Mark {
    let Ok(mut bytes) = fs::read(folder.join(FILE)) else { return Mark::Silent };
    if bytes.len() != FILE_LEN {
        return Mark::Silent;
    }
    let Some((head, rest)) = bytes.split_first_chunk_mut::<{ HEAD.len() }>() else {
        return Mark::Silent;
    };
    let Some((nonce, sealed)) = rest.split_first_chunk_mut::<NONCE_LEN>() else {
        return Mark::Silent;
    };
    if head != HEAD {
        return Mark::Silent;
    }
    let nonce = Nonce::assume_unique_for_key(*nonce);
    match master.open_in_place(nonce, Aad::from(HEAD), sealed) {
        Ok(text) if text == TEXT => Mark::Fits,
        Ok(_) | Err(_) => Mark::Foreign,
    }
}

/// On the device when this returns.
pub(super) fn write(folder: &Path, master: &LessSafeKey) -> Result<(), Error> {
    let nonce = random_nonce()?;
    let mut sealed = TEXT.to_vec();
    master
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(HEAD), &mut sealed)
        .map_err(|_| Error::TooLong)?;
    let path = folder.join(FILE);
    let written = place::replace(&path, &[&HEAD[..], &nonce, &sealed].concat());
    Ok(written.map_err(|source| place::explain(&path, source))?)
}
