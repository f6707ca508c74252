//! A release sheet that was uploaded: its code is the link that was meant.
//!
//! Invariant: only an upload of nothing but pictures and PDFs is looked at; whatever holds anything else stays what it
//! is. A link that was read is never in a log or an answer.

use std::collections::BTreeSet;
use std::io::Read as _;

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::fetch::code::{self, Meant};
use crate::import::{File, Link};
use crate::spool::{self, ImportSpool};

/// More files are no sheet that somebody photographed.
const FILES: usize = 8;
/// As much of a file as tells whether it may be one.
const HEAD: u64 = 1024;

/// A photo takes seconds of a processor and tens of megabytes.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

const SEVERAL: &str = "the codes on it lead to different places; upload a picture of the one that is meant, or paste \
                       its link";

/// The link that the files of an upload show.
pub(crate) async fn link(spool: &ImportSpool, files: &[File]) -> Result<Option<Link>, Problem> {
    let lengths = files.iter().map(|file| file.blob.length);
    if files.is_empty() || files.len() > FILES || lengths.max() > Some(code::LONGEST) {
        return Ok(None);
    }
    let Ok(_permit) = ONE_AT_A_TIME.acquire().await else { return Ok(None) };
    let (spool, files) = (spool.clone(), files.to_vec());
    let texts = tokio::task::spawn_blocking(move || texts(&spool, &files)).await;
    let texts = texts.map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))??;
    match code::link(&texts) {
        Meant::None => Ok(None),
        Meant::One(link) => Ok(Some(link)),
        Meant::Several => Err(Problem::invalid(SEVERAL)),
    }
}

/// The texts of all codes; none if one of the files is of another kind.
fn texts(spool: &ImportSpool, files: &[File]) -> Result<BTreeSet<String>, spool::Error> {
    let read = |file: &File, most: u64| {
        let mut bytes = Vec::new();
        spool.read(&file.blob)?.take(most).read_to_end(&mut bytes).map_err(spool::Error::from)?;
        Ok::<_, spool::Error>(bytes)
    };
    for file in files {
        if !code::may_show(&read(file, HEAD)?) {
            return Ok(BTreeSet::new());
        }
    }
    let mut found = BTreeSet::new();
    for file in files {
        found.extend(code::read(&read(file, code::LONGEST)?));
    }
    Ok(found)
}
