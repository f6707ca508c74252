//! What is the same for every source that is asked for studies: the way into the spool, and what can go wrong.
//!
//! Owns the judgement of each object: it is read to its end before it counts, and one of another study than was
//! asked for never becomes part of the import.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Class, Error, FetchSection, Observer, multipart, store};
use crate::dicom::{Uid, inspect, scan};
use crate::dimse;
use crate::import::{Blob, File};
use crate::spool::{self, AsyncPack, ImportSpool};

/// Instances of one import; the largest studies have some ten thousand.
pub(super) const MOST_INSTANCES: u64 = 200_000;

/// Studies that one request may bring: more is a wrong number, or a query for everybody.
pub(super) const MOST_STUDIES: usize = 100;

/// A source that was asked and did not give what was asked for. `name` is the source's name in the
/// configuration, or its host.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(
        "{name} has no study for this request; check the number, and whether this is the right source"
    )]
    NoStudy { name: String },
    #[error(
        "{name} has more than {limit} studies for this request; ask for one by its accession number or study UID"
    )]
    TooManyStudies { name: String, limit: usize },
    #[error(
        "{name} holds {told} instances of what was asked for and handed over {got} of them; press retry, and tell \
         its administrator if it stays so"
    )]
    Incomplete { name: String, got: u64, told: u64 },
    #[error(
        "{name} hands over more than {limit} instances; ask for single studies by their study UID"
    )]
    TooManyInstances { name: String, limit: u64 },
    #[error(
        "the answer of {name} cannot be read ({fault}); tell its administrator, then press retry"
    )]
    Multipart { name: String, fault: multipart::Fault },
    #[error(
        "{name} refuses the request (status {status}); check the credentials of this source, and whether it \
         permits this to us, then press retry"
    )]
    Denied { name: String, status: u16 },
    #[error("{name} answers the query with something that is no list of studies; correct its url")]
    NoList { name: String },
    #[error("{name} refuses the query (status {status}); {advice}, then press retry")]
    QueryRefused { name: String, status: dimse::Status, advice: &'static str },
    #[error(
        "the answer of {name} to the query is not whole; press retry, or ask for a single study"
    )]
    QueryCut { name: String },
    #[error("{name} does not hand the study over (status {status}); {advice}, then press retry")]
    RetrieveRefused { name: String, status: dimse::Status, advice: &'static str },
    #[error("{name} sends no object any more; press retry when it is less busy")]
    NoProgress { name: String },
    #[error(
        "{name} is to send to us with C-MOVE, and no DICOM listener is configured; add one under \
         [[dicom.listeners]], or set retrieve = \"get\" for this peer"
    )]
    NoListener { name: String },
    #[error(
        "{name} is configured no more, or not as a source; correct the configuration, then press retry"
    )]
    Unconfigured { name: String },
    #[error("{name}: {error}")]
    Association { name: String, error: dimse::Error },
}

impl SourceError {
    /// What follows.
    pub fn class(&self) -> Class {
        match self {
            Self::Association { error, .. } if error.class() == dimse::Class::Retry => Class::Retry,
            // Out of resources there, which passes.
            Self::QueryRefused { status, .. } | Self::RetrieveRefused { status, .. }
                if status.class() == dimse::StatusClass::Retry =>
            {
                Class::Retry
            }
            Self::NoProgress { .. } => Class::Retry,
            Self::NoStudy { .. }
            | Self::TooManyStudies { .. }
            | Self::Incomplete { .. }
            | Self::TooManyInstances { .. }
            | Self::Multipart { .. }
            | Self::Denied { .. }
            | Self::NoList { .. }
            | Self::QueryRefused { .. }
            | Self::QueryCut { .. }
            | Self::RetrieveRefused { .. }
            | Self::NoListener { .. }
            | Self::Unconfigured { .. }
            | Self::Association { .. } => Class::Quarantine,
        }
    }
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Instance,
    /// Of another study: not part of the import.
    Foreign,
    /// Not the instance that its sender called it.
    Mislabelled,
    /// No object that can be read to its end.
    Unreadable,
}

/// How objects get into the import: one after the other, each whole.
pub struct Sink<'a> {
    spool: ImportSpool,
    pack: AsyncPack,
    observer: &'a dyn Observer,
    pub(super) section: &'a FetchSection,
    files: Vec<File>,
    /// What came, of all studies of this pull.
    instances: HashSet<Uid>,
    bytes: u64,
    foreign: u64,
}

impl<'a> Sink<'a> {
    /// Writes into a new pack of `spool`.
    pub async fn open(
        spool: &ImportSpool,
        section: &'a FetchSection,
        observer: &'a dyn Observer,
    ) -> Result<Self, Error> {
        Ok(Self {
            spool: spool.clone(),
            pack: store::pack(spool).await?,
            observer,
            section,
            files: Vec::new(),
            instances: HashSet::new(),
            bytes: 0,
            foreign: 0,
        })
    }

    /// Bytes that may still come.
    pub(super) fn room(&self) -> u64 {
        self.section.max_download.saturating_sub(self.bytes)
    }

    pub(super) fn has(&self, instance: &Uid) -> bool {
        self.instances.contains(instance)
    }

    /// Instances so far, each counted once.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.instances.len()).unwrap_or(u64::MAX)
    }

    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.pack.begin();
        Ok(())
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(more);
        if self.bytes > self.section.max_download {
            return Err(Error::TooLarge);
        }
        self.observer.received(more);
        Ok(self.pack.write(bytes).await?)
    }

    /// Ends the object begun last, a file with its meta group, and looks at it.
    pub(super) async fn keep(&mut self, asked: Asked<'_>, durable: Durable) -> Result<Kept, Error> {
        let blob = match durable {
            Durable::Now => self.pack.commit().await?,
            Durable::AtTheEnd => self.pack.finish().await?,
        };
        let found = match look(&self.spool, &blob).await? {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "an object of a source cannot be read");
                return Ok(Kept::Unreadable);
            }
        };
        if asked.instance.is_some_and(|called| *called != found.sop_instance) {
            return Ok(Kept::Mislabelled);
        }
        if found.facts.study_uid != *asked.study {
            self.foreign = self.foreign.saturating_add(1);
            return Ok(Kept::Foreign);
        }
        self.file(found.sop_instance, blob);
        Ok(Kept::Instance)
    }

    fn file(&mut self, instance: Uid, blob: Blob) {
        self.instances.insert(instance);
        let name = format!("{:06}.dcm", self.files.len().saturating_add(1));
        self.files.push(File { name, blob });
    }

    /// An object that was written, looked at and synced elsewhere.
    pub(super) fn adopt(&mut self, instance: Uid, blob: Blob) {
        self.bytes = self.bytes.saturating_add(blob.length);
        self.observer.received(blob.length);
        self.file(instance, blob);
    }

    /// Gives the object begun last up.
    pub(super) async fn abandon(&mut self) -> Result<(), Error> {
        Ok(self.pack.abandon().await?)
    }

    /// Syncs what was kept, and hands it over.
    pub async fn close(mut self) -> Result<Vec<File>, Error> {
        self.pack.sync().await?;
        if self.foreign > 0 {
            tracing::warn!(count = self.foreign, "objects of other studies were not taken");
        }
        Ok(self.files)
    }
}

/// What an object has to be.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) study: &'a Uid,
    /// As its sender calls it.
    pub(super) instance: Option<&'a Uid>,
}

/// Reads a file in the spool to its end.
pub(super) async fn look(
    spool: &ImportSpool,
    blob: &Blob,
) -> Result<Result<inspect::Found, inspect::Error>, Error> {
    let (spool, blob) = (spool.clone(), blob.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let mut reader = std::io::BufReader::new(spool.read(&blob)?);
        let scan = scan::scan_file(&mut reader, blob.length, &scan::Limits::default());
        Ok::<_, spool::Error>(scan.map_err(inspect::Error::from).and_then(inspect::inspect))
    });
    Ok(looked.await.map_err(|_| Error::Cancelled)??)
}

/// Preamble and file meta group of an object that comes without (PS3.10 7.1).
pub(super) fn front(class: &Uid, instance: &Uid, transfer_syntax: &Uid) -> Vec<u8> {
    let element = |number: u16, vr: &[u8; 2], value: &[u8]| {
        let padded = value.len().next_multiple_of(2);
        let mut out = [2_u16.to_le_bytes(), number.to_le_bytes()].concat();
        out.extend_from_slice(vr);
        if vr == b"OB" {
            out.extend([0, 0]);
            out.extend(u32::try_from(padded).unwrap_or_default().to_le_bytes());
        } else {
            out.extend(u16::try_from(padded).unwrap_or_default().to_le_bytes());
        }
        out.extend_from_slice(value);
        out.resize(out.len().saturating_add(padded.saturating_sub(value.len())), 0);
        out
    };
    let group = [
        element(1, b"OB", &[0, 1]),
        element(2, b"UI", class.as_str().as_bytes()),
        element(3, b"UI", instance.as_str().as_bytes()),
        element(0x10, b"UI", transfer_syntax.as_str().as_bytes()),
        element(0x12, b"UI", dimse::IMPLEMENTATION_CLASS.as_bytes()),
    ]
    .concat();
    let length = u32::try_from(group.len()).unwrap_or_default().to_le_bytes();
    [vec![0; 128], b"DICM".to_vec(), element(0, b"UL", &length), group].concat()
}

/// When an object has to be on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before its sender is told that it is stored.
    Now,
    /// With the others; nobody was told anything.
    AtTheEnd,
}
