//! `lotse route`: where a study would go, by the routes of the configuration, without a daemon.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{BadInput, Code, out, unreadable};
use crate::dicom::{DataSet, inspect, scan};
use crate::gateway::{Config, Environment};
use crate::import::routes::{self, Decided, Traits};

#[derive(Debug, Args)]
pub(super) struct Route {
    /// A DICOM object of the study.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As if it came from this peer or portal.
    #[arg(long, default_value = "upload", value_name = "SOURCE")]
    source: String,
    /// As if it had been decided so.
    #[arg(long, value_enum, default_values_t = [By::RequestedOrder])]
    decided: Vec<By>,
    /// Prints a document for programs.
    #[arg(long)]
    json: bool,
}

/// The ways of a decision by their configured names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    RequestedOrder,
    PatientId,
    Demographics,
    Person,
    Earlier,
    NoOrder,
}

impl From<By> for Decided {
    fn from(by: By) -> Self {
        match by {
            By::RequestedOrder => Self::RequestedOrder,
            By::PatientId => Self::PatientId,
            By::Demographics => Self::Demographics,
            By::Person => Self::Person,
            By::Earlier => Self::Earlier,
            By::NoOrder => Self::NoOrder,
        }
    }
}

impl Route {
    pub(super) fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        let config = Config::load(file, &Environment::of_process())?;
        let opened = std::fs::File::open(&self.file).and_then(|f| Ok((f.metadata()?.len(), f)));
        let (length, opened) = opened.map_err(|error| unreadable(&self.file, &error))?;
        let bad =
            |error: String| BadInput(format!("{} is no object: {error}", self.file.display()));
        let scanned =
            scan::scan_file(&mut BufReader::new(opened), length, &scan::Limits::default())
                .map_err(|error| bad(error.to_string()))?;
        let header = DataSet::read(&scanned.header, scanned.layout.syntax())
            .map_err(|error| bad(error.to_string()))?;
        let found = inspect::inspect(scanned).map_err(|error| bad(error.to_string()))?;
        let decided: Vec<Decided> = self.decided.iter().map(|by| Decided::from(*by)).collect();
        let modalities: Vec<String> = found.facts.modality.iter().cloned().collect();
        let traits = Traits {
            source: &self.source,
            facts: &found.facts,
            modalities: &modalities,
            decided: &decided,
            text: &|tag| header.text(tag),
        };
        let route = routes::choose(&config.routes, &traits);
        let destinations: Vec<String> = match route {
            Some(route) => route.destinations.clone(),
            None => config.destinations.keys().cloned().collect(),
        };
        let back = |name: &String| {
            let section = config.destinations.get(name);
            section.is_some_and(|d| d.peer.as_ref() == Some(&self.source) && !d.send_back)
        };
        let (back, to): (Vec<String>, Vec<String>) = destinations.into_iter().partition(back);
        let name = route.map(|route| route.name.as_str());
        let met = route.map_or_else(Vec::new, |route| route.met(&traits));
        if self.json {
            let document =
                json!({ "route": name, "destinations": to, "notBack": back, "met": met });
            out::document(&document);
        } else {
            let by =
                name.map_or_else(|| "no route fits".to_owned(), |name| format!("route {name}"));
            out::line(&format!("{by}: {}", to.join(", ")));
            if !met.is_empty() {
                out::line(&format!("because of {}", met.join(", ")));
            }
            for name in back {
                out::line(&format!(
                    "not to {name}, where it comes from; `send-back = true` there allows it"
                ));
            }
        }
        Ok(if to.is_empty() { Code::Failed } else { Code::Done })
    }
}
