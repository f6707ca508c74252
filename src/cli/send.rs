//! `lotse send`: hands files to a peer as they are, for an administrator who tries a connection.
//!
//! Nothing is decided, coerced, recorded or tried again; it is no way to import. So that nobody takes it for one, it
//! has to be said that the identity in the files stays as it is: that person decides it.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use tokio::sync::mpsc;

use super::{BadInput, Code, out, peers, unreadable};
use crate::dicom::{Syntax, Uid, inspect, scan, syntax};
use crate::dimse::{self, Chunk, Client, Error, Proposed, Status, StatusClass};
use crate::gateway::{Config, Environment};

/// Bytes read and handed on at once, and how many of them are under way.
const PIECE: usize = 128 << 10;
const PIECES: usize = 4;

#[derive(Debug, Args)]
pub(super) struct Send {
    /// DICOM files.
    #[arg(required = true, num_args = 1.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name of a `[peers.NAME]` section.
    peer: String,
    /// Confirms that the files go out under the identity that is in them, which nobody compares with an order.
    #[arg(long)]
    as_it_is: bool,
}

/// A file that can be sent.
struct Object {
    path: PathBuf,
    sop_class: Uid,
    sop_instance: Uid,
    transfer_syntax: Uid,
    from: u64,
    length: u64,
}

impl Send {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        crate::tls::install_provider();
        let config = Config::load(file, &Environment::of_process())?;
        let peer = peers::find(&config, &self.peer)?;
        let remote = peers::remote(peer, &config);
        if !self.as_it_is {
            out::complain(&format!(
                "this sends the files to {} under the patient and order that is in them: no rule and no person \
                 has decided whose they are. For foreign examinations use `lotse import`. To test a connection \
                 with files of your own, say `--as-it-is`",
                remote.called
            ));
            return Ok(Code::Usage);
        }
        let paths = self.files;
        let look = move || paths.into_iter().map(look).collect::<Result<Vec<_>, BadInput>>();
        let objects = tokio::task::spawn_blocking(look).await??;
        let proposed: Vec<_> = objects.iter().map(Object::proposed).collect();
        let mut refused = 0_usize;
        let sent = dimse::call(&remote, &proposed, async |client| {
            for object in &objects {
                if !object.send(client).await? {
                    refused += 1;
                }
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = sent.await {
            out::complain(&format!("{} at {}: {error}", remote.called, remote.address));
            return Ok(Code::Unavailable);
        }
        Ok(if refused > 0 { Code::Failed } else { Code::Done })
    }
}

impl Object {
    fn proposed(&self) -> Proposed {
        let transfer_syntaxes = vec![self.transfer_syntax.clone()];
        Proposed { sop_class: self.sop_class.clone(), transfer_syntaxes }
    }

    /// Whether the peer has taken it.
    async fn send(&self, client: &mut Client) -> Result<bool, Error> {
        let (sender, mut source) = mpsc::channel(PIECES);
        let (path, from, length) = (self.path.clone(), self.from, self.length);
        let reading = tokio::task::spawn_blocking(move || pour(&path, from, length, &sender));
        let stored =
            client.store(&self.sop_class, &self.sop_instance, &self.transfer_syntax, &mut source);
        let stored = stored.await;
        drop(source);
        let read = reading.await;
        let shown = self.path.display();
        match stored {
            Ok(status) => {
                let taken = matches!(status.class(), StatusClass::Success | StatusClass::Warning);
                let sentence =
                    if status == Status::SUCCESS { "stored".to_owned() } else { status.sentence() };
                if taken {
                    out::line(&format!("{shown}: {sentence}"));
                } else {
                    out::complain(&format!("{shown}: {sentence}"));
                }
                Ok(taken)
            }
            Err(error @ Error::ContextRefused { .. }) => {
                out::complain(&format!("{shown}: {error}"));
                Ok(false)
            }
            Err(Error::SourceEnded) => {
                if let Ok(Err(error)) = read {
                    out::complain(&format!("{shown}: {error}"));
                }
                Err(Error::SourceEnded)
            }
            Err(error) => Err(error),
        }
    }
}

/// What has to be known of a file before it is sent.
fn look(path: PathBuf) -> Result<Object, BadInput> {
    let refuse = |why: String| BadInput(format!("{}: {why}", path.display()));
    let mut file = std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
    let length = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
    let scanned = scan::scan_file(&mut file, length, &scan::Limits::default());
    let found = scanned.map_err(inspect::Error::from).and_then(inspect::inspect);
    let found = found.map_err(|error| refuse(error.to_string()))?;
    let layout = found.layout;
    if !layout.derived.is_empty() || layout.syntax() != Syntax::of(&layout.transfer_syntax) {
        return Err(refuse(
            "it lacks a UID, or is not written as its transfer syntax says, and can't be sent as it is".to_owned(),
        ));
    }
    let deflated = syntax::is_deflated(&layout.transfer_syntax);
    let end = if deflated { length } else { layout.ends_at.min(length) };
    Ok(Object {
        sop_class: found.sop_class,
        sop_instance: found.sop_instance,
        transfer_syntax: layout.transfer_syntax,
        from: layout.data_set_at,
        length: end.saturating_sub(layout.data_set_at),
        path,
    })
}

/// Reads a span of a file into the channel. The end is told only if all of it was there.
fn pour(path: &Path, from: u64, length: u64, to: &mpsc::Sender<Chunk>) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut span = file.take(length);
    let mut left = length;
    while left > 0 {
        let mut piece = vec![0; PIECE];
        let read = span.read(&mut piece)?;
        if read == 0 {
            return Err(std::io::Error::other("the file became shorter while it was sent"));
        }
        piece.truncate(read);
        left = left.saturating_sub(u64::try_from(read).unwrap_or(left));
        if to.blocking_send(Chunk::Bytes(Bytes::from(piece))).is_err() {
            return Ok(());
        }
    }
    let _ = to.blocking_send(Chunk::End);
    Ok(())
}
