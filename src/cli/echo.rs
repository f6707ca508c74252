//! `lotse echo`: is a peer there, and does it take us?

use std::path::Path;

use clap::Args;

use super::{Code, out, peers};
use crate::dimse::{self, Survey};
use crate::gateway::{Config, Environment};

#[derive(Debug, Args)]
pub(super) struct Echo {
    /// Name of a `[peers.NAME]` section.
    peer: String,
}

impl Echo {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        crate::tls::install_provider();
        let config = Config::load(file, &Environment::of_process())?;
        let peer = peers::find(&config, &self.peer)?;
        match ask(&peers::remote(peer, &config)).await {
            Ok(_) => {
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

/// One C-ECHO on an association of its own; what is in the way is told with its likely cause.
pub(super) async fn ask(remote: &dimse::Remote) -> anyhow::Result<Survey> {
    let report = dimse::probe(remote, &[]).await;
    match &report.fault {
        None => Ok(report),
        Some(fault) => anyhow::bail!("{} failed: {}", peers::stage(fault.stage), fault.sentence),
    }
}
