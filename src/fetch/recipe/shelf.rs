//! Where files of a portal go: into the spool of an import, or nowhere for a trial.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::dicom::Uid;
use crate::fetch::content::{self, Content};
use crate::fetch::{Error, Halt, Observer, name, source, store};
use crate::import::File;
use crate::spool::{AsyncPack, ImportSpool};
use crate::web::{Answer, Validator};

/// A file of a trial: looked at and let go.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the bytes are.
    pub kind: &'static str,
    pub bytes: u64,
}

/// A recipe asks for the whole file again: what leads to it may have to be walked anew.
struct Anew {
    host: String,
}

impl store::Source for Anew {
    async fn rest(&mut self, _from: u64, _validator: &Validator) -> Result<Answer, Halt> {
        Err(Error::Cut { host: self.host.clone() }.into())
    }
}

pub(super) enum Shelf {
    Spool { spool: ImportSpool, pack: Option<AsyncPack>, files: Vec<File> },
    Nowhere { seen: Vec<Seen>, open: u64 },
}

impl Shelf {
    pub(super) fn of(spool: ImportSpool) -> Self {
        Self::Spool { spool, pack: None, files: vec![] }
    }

    pub(super) fn nowhere() -> Self {
        Self::Nowhere { seen: vec![], open: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Spool { files, .. } => files.is_empty(),
            Self::Nowhere { seen, .. } => seen.is_empty(),
        }
    }

    /// Bytes of all files so far.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Spool { files, .. } => files.iter().map(|file| file.blob.length).sum(),
            Self::Nowhere { seen, .. } => seen.iter().map(|seen| seen.bytes).sum(),
        }
    }

    /// The body of an answer as one file.
    pub(super) async fn take(
        &mut self,
        mut answer: Answer,
        called: Option<&str>,
        observer: &dyn Observer,
    ) -> Result<(), Halt> {
        match self {
            Self::Spool { spool, pack, files } => {
                let pack = opened(spool, pack).await?;
                let mut anew = Anew { host: answer.host().to_owned() };
                files.push(store::file(answer, &mut anew, pack, called, observer).await?.file);
            }
            Self::Nowhere { seen, .. } => {
                let host = answer.host().to_owned();
                let head = answer.peek(content::HEAD).await.map_err(store::too_large)?;
                let content = content::judge(head);
                let mut tail = content::Tail::new();
                while let Some(piece) = answer.chunk().await.map_err(store::too_large)? {
                    observer.received(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    tail.push(&piece);
                }
                if content == Content::Zip && !tail.ends_zip() {
                    return Err(Error::Cut { host }.into());
                }
                seen.push(Seen { kind: word(content), bytes: tail.length() });
            }
        }
        Ok(())
    }

    /// Begins a file that comes in pieces.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        match self {
            Self::Spool { spool, pack, .. } => opened(spool, pack).await?.begin(),
            Self::Nowhere { open, .. } => *open = 0,
        }
        Ok(())
    }

    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        match self {
            Self::Spool { spool, pack, .. } => opened(spool, pack).await?.write(piece).await?,
            Self::Nowhere { open, .. } => {
                *open = open.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, called: &str) -> Result<(), Error> {
        match self {
            Self::Spool { spool, pack, files } => {
                let blob = opened(spool, pack).await?.finish().await?;
                files.push(File { name: name::clean(called, 200), blob });
            }
            Self::Nowhere { seen, open } => {
                seen.push(Seen { kind: word(Content::Dicom), bytes: *open });
            }
        }
        Ok(())
    }

    pub(super) async fn abandon(&mut self) -> Result<(), Error> {
        if let Self::Spool { pack: Some(pack), .. } = self {
            pack.abandon().await?;
        }
        Ok(())
    }

    /// Forgets the files from the `keep`th on: they are fetched again as a whole.
    pub(super) fn truncate(&mut self, keep: usize) {
        match self {
            Self::Spool { files, .. } => files.truncate(keep),
            Self::Nowhere { seen, .. } => seen.truncate(keep),
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Spool { files, .. } => files.len(),
            Self::Nowhere { seen, .. } => seen.len(),
        }
    }

    /// Which instances the files from the `from`th on are; `None` for a trial, which keeps nothing to look at.
    pub(super) async fn instances(&self, from: usize) -> Result<Option<BTreeSet<Uid>>, Error> {
        let Self::Spool { spool, files, .. } = self else { return Ok(None) };
        let mut found = BTreeSet::new();
        for file in files.iter().skip(from) {
            if let Ok(object) = source::look(spool, &file.blob).await? {
                found.insert(object.sop_instance);
            }
        }
        Ok(Some(found))
    }

    /// Syncs what was kept and hands it out.
    pub(super) async fn close(self) -> Result<(Vec<File>, Vec<Seen>), Error> {
        match self {
            Self::Spool { pack, files, .. } => {
                if let Some(mut pack) = pack {
                    pack.sync().await?;
                }
                Ok((files, vec![]))
            }
            Self::Nowhere { seen, .. } => Ok((vec![], seen)),
        }
    }
}

async fn opened<'a>(
    spool: &ImportSpool,
    pack: &'a mut Option<AsyncPack>,
) -> Result<&'a mut AsyncPack, Error> {
    match pack {
        Some(pack) => Ok(pack),
        empty => Ok(empty.insert(store::pack(spool).await?)),
    }
}

fn word(content: Content) -> &'static str {
    match content {
        Content::Zip => "ZIP",
        Content::Dicom => "DICOM",
        Content::Pdf => "PDF",
        Content::Image => "image",
        Content::Page => "web page",
        Content::Json => "JSON",
        Content::Empty => "nothing",
        Content::Other => "something else",
    }
}
