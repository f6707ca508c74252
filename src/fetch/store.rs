//! One body into the spool, judged by its content on the way.

use super::content::{self, Content, Tail};
use super::{Error, Observer, name};
use crate::import::File;
use crate::spool::{AsyncPack, ImportSpool};
use crate::{spool, web};

/// A new pack of the import.
pub(super) async fn pack(spool: &ImportSpool) -> Result<AsyncPack, Error> {
    let spool = spool.clone();
    let pack = tokio::task::spawn_blocking(move || spool.pack().map(spool::Pack::into_async)).await;
    Ok(pack.map_err(|_| Error::Cancelled)??)
}

/// Writes the body as one blob. What is no file of an examination, or ends in the middle, is given up again.
pub(super) async fn file(
    answer: &mut web::Answer,
    pack: &mut AsyncPack,
    description: Option<&str>,
    observer: &dyn Observer,
) -> Result<File, Error> {
    let host = answer.host().to_owned();
    let content = content::judge(answer.peek(content::HEAD).await?);
    match content {
        Content::Page => return Err(Error::Page { host }),
        Content::Json => {
            return Err(Error::Answer { host, what: "JSON instead of a file" });
        }
        Content::Empty => return Err(Error::Cut { host }),
        Content::Zip | Content::Dicom | Content::Pdf | Content::Image | Content::Other => {}
    }
    let name = name::display(answer.header("content-disposition").as_deref(), description, content);
    pack.begin().await?;
    match stream(answer, pack, content, observer).await {
        Ok(()) => Ok(File { name, blob: pack.finish().await? }),
        Err(error) => {
            pack.abandon().await?;
            Err(error)
        }
    }
}

async fn stream(
    answer: &mut web::Answer,
    pack: &mut AsyncPack,
    content: Content,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut tail = Tail::new();
    while let Some(piece) = answer.chunk().await.map_err(too_large)? {
        tail.push(&piece);
        observer.received(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        pack.write(piece).await?;
    }
    let short = answer.content_length().is_some_and(|told| told != tail.length());
    if short || (content == Content::Zip && !tail.ends_zip()) {
        return Err(Error::Cut { host: answer.host().to_owned() });
    }
    Ok(())
}

/// The limit on the body is ours to raise, so it is named as the config key.
pub(super) fn too_large(error: web::Error) -> Error {
    match error {
        web::Error::TooLarge { .. } => Error::TooLarge,
        other => Error::Web(other),
    }
}
