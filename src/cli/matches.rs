//! `lotse match`: the matching rules on a worklist and studies from files.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Code, matching, out, unreadable};
use crate::matching::{Completeness, Policy};

#[derive(Debug, Args)]
pub(super) struct Match {
    /// One worklist item a line, DICOM JSON.
    #[arg(long, value_name = "W.ndjson")]
    worklist: PathBuf,
    /// One study a line; `-` reads standard input.
    #[arg(long, value_name = "S.ndjson")]
    studies: PathBuf,
    #[arg(long, value_enum, default_value_t = Chosen::AutomaticWithOrder)]
    policy: Chosen,
    /// As if the worklist answer had been cut.
    #[arg(long)]
    incomplete: bool,
    /// Candidates printed of each study.
    #[arg(long, value_name = "N", default_value_t = 50)]
    candidates: usize,
    /// Prints what the run took as JSON to standard error.
    #[arg(long)]
    timings: bool,
}

/// The policies by their configured names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Chosen {
    Confirm,
    AutomaticWithOrder,
    Automatic,
}

impl Match {
    pub(super) fn run(self) -> anyhow::Result<Code> {
        let policy = match self.policy {
            Chosen::Confirm => Policy::Confirm,
            Chosen::AutomaticWithOrder => Policy::AutomaticWithOrder,
            Chosen::Automatic => Policy::Automatic,
        };
        let completeness =
            if self.incomplete { Completeness::Incomplete } else { Completeness::Complete };
        let rules = matching::Rules { policy, completeness, shown: self.candidates };
        let worklist = BufReader::new(open(&self.worklist)?);
        let output = io::BufWriter::new(io::stdout().lock());
        let took = if self.studies.as_os_str() == "-" {
            matching::run(worklist, io::stdin().lock(), output, rules)?
        } else {
            matching::run(worklist, BufReader::new(open(&self.studies)?), output, rules)?
        };
        if self.timings {
            out::complain(&serde_json::to_string(&took)?);
        }
        Ok(Code::Done)
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    Ok(File::open(path).map_err(|error| unreadable(path, &error))?)
}
