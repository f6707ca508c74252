//! Where the bytes of an instance are read from.

use std::io::{BufRead, Seek};

use super::object::Fault;
use crate::import::Blob;
use crate::spool::ImportSpool;

pub(super) trait Reading: BufRead + Seek + Send {}
impl<T: BufRead + Seek + Send> Reading for T {}

/// The spool of an import, or bytes in memory in tests.
pub(super) trait Source: Send + Sync {
    /// Blocking.
    fn open(&self, blob: &Blob) -> Result<Box<dyn Reading>, Fault>;
}

impl Source for ImportSpool {
    fn open(&self, blob: &Blob) -> Result<Box<dyn Reading>, Fault> {
        let reader = self.read(blob).map_err(|error| Fault::Read(error.into()))?;
        Ok(Box::new(reader))
    }
}
