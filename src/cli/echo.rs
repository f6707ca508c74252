//! `lotse echo`: is a peer there, and does it take us?

use std::path::Path;

use clap::Args;
use dicom_dictionary_std::uids;

use super::{BadInput, Code, out};
use crate::dimse;
use crate::gateway::{Config, Environment};

#[derive(Debug, Args)]
pub(super) struct Echo {
    /// Name of a `[peers.NAME]` section.
    peer: String,
}

impl Echo {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        let config = Config::load(file, &Environment::of_process())?;
        let Some(peer) = config.peers.get(&self.peer) else {
            let known = config.peers.keys().cloned().collect::<Vec<_>>().join(", ");
            let sentence = format!("there is no peer `{}`; configured are: {known}", self.peer);
            return Err(BadInput(sentence).into());
        };
        let remote = peer.remote(&config.dicom.ae_title);
        match ask(&remote).await {
            Ok(()) => {
                out::line(&format!("{} at {} answers C-ECHO", peer.ae_title, peer.address));
                Ok(Code::Done)
            }
            Err(error) => {
                out::complain(&format!("{} at {}: {error}", peer.ae_title, peer.address));
                Ok(Code::Unavailable)
            }
        }
    }
}

/// One C-ECHO on an association of its own; a status that is no success is told like a fault.
pub(super) async fn ask(remote: &dimse::Remote) -> anyhow::Result<()> {
    let verification = dimse::Proposed {
        sop_class: uids::VERIFICATION.parse()?,
        transfer_syntaxes: vec![uids::IMPLICIT_VR_LITTLE_ENDIAN.parse()?],
    };
    let echoed = dimse::call(remote, &[verification], async |client| client.echo().await).await;
    let status = echoed.map_err(|error: dimse::Error| error)?;
    anyhow::ensure!(status == dimse::Status::SUCCESS, "{}", status.sentence());
    Ok(())
}
