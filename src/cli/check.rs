//! `lotse check`: would the daemon start with this configuration?

use std::path::Path;

use clap::Args;

use super::{Code, echo, out, peers};
use crate::clock::Clock;
use crate::dicom::Uid;
use crate::forward::{self, Held};
use crate::gateway::{self, Config, Environment};
use crate::worklist::Ask;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also ask every peer (C-ECHO) and the worklist.
    #[arg(long)]
    peers: bool,
}

impl Check {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        crate::tls::install_provider();
        let config = Config::load(file, &Environment::of_process())?;
        let faults = gateway::inspect(&config);
        for fault in &faults {
            out::complain(fault);
        }
        if !faults.is_empty() {
            return Ok(Code::BadConfig);
        }
        out::line("the configuration is good");
        for (name, destination) in &config.destinations {
            let forward::Retries { whole, objects } = destination.retries();
            if let Some(retry) = &whole {
                out::line(&format!("destination {name}, while it takes nothing: {retry}"));
            }
            if let Some(retry) = objects.as_ref().or(whole.as_ref()) {
                out::line(&format!(
                    "destination {name}, after it failed with some objects: {retry}"
                ));
            }
        }
        for note in gateway::notes(&config, Clock::system(None).now().timestamp()) {
            out::line(&format!("note: {note}"));
        }
        if self.peers { self.ask(&config).await } else { Ok(Code::Done) }
    }

    async fn ask(&self, config: &Config) -> anyhow::Result<Code> {
        let mut code = Code::Done;
        for (name, peer) in &config.peers {
            match echo::ask(&peers::remote(peer, config)).await {
                Ok(report) => {
                    out::line(&format!("peer {name}: answers C-ECHO"));
                    if let Some(days) = peers::days_left(&report) {
                        out::line(&format!("peer {name}: its certificate has {days} days left"));
                    }
                }
                Err(error) => {
                    out::complain(&format!("peer {name}: {error}"));
                    code = Code::Unavailable;
                }
            }
        }
        for (destination, remote) in &gateway::asked(config) {
            // Of a study that nobody has: only whether there is an answer counts.
            let nothing = Uid::derived(b"lotse/check");
            match forward::ask(remote, &nothing, None).await {
                Ok(Held::Unknown(why) | Held::Busy(why)) => out::complain(&format!(
                    "destination {destination}: cannot be asked whether it holds a study for another \
                     patient: {why}"
                )),
                Ok(Held::Not | Held::Ours | Held::Foreign) => {
                    out::line(&format!("destination {destination}: answers study queries"));
                }
                Err(error) => {
                    out::complain(&format!("destination {destination}: {error}"));
                    code = Code::Unavailable;
                }
            }
        }
        let ask = Ask { broad: true, ..Ask::default() };
        match gateway::worklist(config, Clock::system(None))?.ask(&ask).await {
            Ok(answer) => {
                out::line(&format!("worklist: {} items", answer.items.len()));
                for note in &answer.notes {
                    out::complain(&format!("worklist: {note}"));
                    code = Code::Unavailable;
                }
            }
            Err(error) => {
                out::complain(&format!("worklist: {error}"));
                code = Code::Unavailable;
            }
        }
        Ok(code)
    }
}
