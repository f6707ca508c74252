//! `lotse journal`: the records of a gateway that does not run.
//!
//! Invariant: nothing here reads or writes patient data in the clear; records stay sealed.

use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{BadInput, Code, out};
use crate::gateway::{self, Config, Environment};
use crate::journal;
use crate::pipeline::{self, Verified};

#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write every record to standard output, one JSON a line; what is sealed stays sealed.
    Dump,
    /// Fill an empty journal from standard input with what `dump` wrote.
    Load,
    /// Hold every record against the spool, and read every byte that they name.
    Check {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

impl Journal {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        let config = Config::load(file, &Environment::of_process())?;
        // sled, standard input and output block.
        tokio::task::spawn_blocking(move || self.work(&config)).await?
    }

    fn work(&self, config: &Config) -> anyhow::Result<Code> {
        let folder = config.below("journal");
        match self.what {
            What::Dump => {
                present(&folder)?;
                let mut into = BufWriter::new(std::io::stdout().lock());
                let count = journal::dump(&folder, &mut into)?;
                out::complain(&format!("{count} records"));
            }
            What::Load => {
                journal::owned(&config.data_dir)?;
                let mut from = BufReader::new(std::io::stdin().lock());
                let count = journal::load(&folder, &mut from)?;
                out::line(&format!("{count} records"));
            }
            What::Check { json } => {
                present(&folder)?;
                let (spool, recovered) = gateway::at_rest(config)?;
                return Ok(tell(&pipeline::verify(recovered, &spool), json));
            }
        }
        Ok(Code::Done)
    }
}

/// A journal is opened only where there is one, and by its owner: what opening writes has to stay the daemon's.
fn present(folder: &Path) -> anyhow::Result<()> {
    if !folder.join("db").is_file() {
        let missing = PathBuf::from(folder);
        return Err(BadInput(format!(
            "there is no journal in {}; name the configuration of the gateway with --config",
            missing.display()
        ))
        .into());
    }
    Ok(journal::owned(folder)?)
}

fn tell(found: &Verified, json: bool) -> Code {
    if json {
        out::document(&json!({
            "imports": found.imports, "tombstones": found.tombstones, "blobs": found.blobs,
            "bytes": found.bytes, "unclaimedBytes": found.unclaimed, "faults": found.faults,
        }));
    } else {
        out::line(&format!(
            "{} imports, {} tombstones; {} objects and files with {} bytes are whole; {} bytes without a record",
            found.imports, found.tombstones, found.blobs, found.bytes, found.unclaimed
        ));
        found.faults.iter().for_each(|fault| out::complain(fault));
    }
    if found.faults.is_empty() { Code::Done } else { Code::Failed }
}
