//! The command line: one file a subcommand, most of them clients of the control socket.
//!
//! Links, answers and names never come as arguments, since every user of the machine can read those: they
//! come by prompt, standard input or file. Invariant: what is printed for a person goes to standard output,
//! what went wrong to standard error, and the exit code says which.

mod answer;
mod check;
mod conformance;
mod decide;
#[cfg(feature = "sim")]
mod demo;
mod echo;
mod follow;
mod import;
mod journal;
mod matches;
pub mod matching;
mod out;
mod pause;
mod peers;
mod portal;
mod route;
mod send;
mod show;
mod status;
mod worklist;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::gateway::{self, Config, Environment, Faults};
use crate::seal;
use crate::web::control::{self, Control};

/// A DICOM import gateway: pulls examinations from portals, files them under the right local patient and
/// order, and hands them to the PACS.
#[derive(Debug, Parser)]
#[command(name = "lotse", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file; without it `lotse serve` starts an embedded default on loopback.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Serve,
    /// Show everything on loopback: simulated portal, RIS and PACS, and one import.
    #[cfg(feature = "sim")]
    Demo(demo::Demo),
    /// Check the configuration, its files and permissions, and on request its peers.
    Check(check::Check),
    /// Import files, folders, or with `-` a link or a JSON request from standard input.
    Import(import::Import),
    /// List imports.
    Imports(show::Imports),
    /// Show one import.
    Show(show::Show),
    /// Answer the portal's question, on the terminal or as JSON from standard input.
    Answer(answer::Answer),
    /// Decide which order, or which patient, a study belongs to.
    Decide(decide::Decide),
    /// Try again what failed or waits.
    Retry(show::One),
    /// Stop an import and destroy its local copy.
    Cancel(show::One),
    /// Destroy the local copy of an import, whatever its state.
    Erase(show::One),
    /// Send nothing to a destination until it is resumed.
    Pause(pause::Destination),
    /// Let a paused destination go on.
    Resume(pause::Destination),
    /// Show what the gateway sees of the local worklist.
    Worklist(worklist::Worklist),
    /// Try the matching rules on a worklist and studies, without a daemon.
    Match(matches::Match),
    /// Show where a study would go, by the routes of the configuration.
    Route(route::Route),
    /// Ask a peer of the configuration whether it is there (C-ECHO).
    Echo(echo::Echo),
    /// Test recipes of portals on their recordings, or try one on a link.
    Portal(portal::Portal),
    /// Ask peers step by step: name, connection, TLS, certificate, association, C-ECHO, and what they take.
    Peers(peers::Peers),
    /// Send files to a peer as they are, to test a connection.
    Send(send::Send),
    /// Show the state of the gateway.
    Status(status::Status),
    /// Dump, load or check the records of a gateway that does not run.
    Journal(journal::Journal),
    /// Print the conformance statement.
    Conformance(conformance::Conformance),
}

impl Cli {
    /// What is logged if `LOTSE_LOG` does not say: a daemon tells what it does, a command only what failed.
    pub fn default_level(&self) -> &'static str {
        match self.command {
            Command::Serve => "info",
            _ => "error",
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Done,
    /// The import failed or needs a person.
    Failed,
    Usage,
    BadInput,
    /// No daemon, or no peer.
    Unavailable,
    NotPermitted,
    BadConfig,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(match code {
            Code::Done => 0,
            Code::Failed => 1,
            Code::Usage => 2,
            Code::BadInput => 65,
            Code::Unavailable => 69,
            Code::NotPermitted => 77,
            Code::BadConfig => 78,
        })
    }
}

/// An input that is not what the command takes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadInput(String);

/// A path of the command line that cannot be read.
fn unreadable(path: &std::path::Path, error: &std::io::Error) -> BadInput {
    BadInput(format!(
        "{} cannot be read: {error}; check the path and its permissions",
        path.display()
    ))
}

/// Runs the command and tells on standard error what went wrong.
pub async fn run(cli: Cli) -> Code {
    let command = Box::pin(dispatch(cli));
    match command.await {
        Ok(code) => code,
        Err(error) => {
            let code = code_of(&error);
            out::complain(&format!("{error:#}"));
            code
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<Code> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Serve => {
            let config = Config::load(file, &Environment::of_process())?;
            gateway::serve(file, config).await?;
            Ok(Code::Done)
        }
        #[cfg(feature = "sim")]
        Command::Demo(demo) => demo.run().await,
        Command::Check(check) => check.run(file).await,
        Command::Match(matches) => matches.run(),
        Command::Route(route) => route.run(file),
        Command::Conformance(conformance) => conformance.run(),
        Command::Journal(journal) => journal.run(file).await,
        Command::Echo(echo) => echo.run(file).await,
        Command::Portal(portal) => portal.run(file).await,
        Command::Peers(peers) => peers.run(file).await,
        Command::Send(send) => send.run(file).await,
        Command::Import(import) => import.run(&control(file).await?).await,
        Command::Imports(imports) => imports.run(&control(file).await?).await,
        Command::Show(show) => show.run(async || control(file).await).await,
        Command::Answer(answer) => answer.run(&control(file).await?).await,
        Command::Decide(decide) => decide.run(&control(file).await?).await,
        Command::Retry(one) => one.post(&control(file).await?, "retry").await,
        Command::Cancel(one) => one.post(&control(file).await?, "cancel").await,
        Command::Erase(one) => one.erase(&control(file).await?).await,
        Command::Pause(one) => one.post(&control(file).await?, "pause").await,
        Command::Resume(one) => one.post(&control(file).await?, "resume").await,
        Command::Worklist(worklist) => worklist.run(&control(file).await?).await,
        Command::Status(status) => status.run(&control(file).await?).await,
    }
}

/// The daemon of this configuration.
async fn control(file: Option<&std::path::Path>) -> anyhow::Result<Control> {
    let environment = Environment::of_process();
    let path = match environment.get("LOTSE_SOCKET") {
        Some(path) => PathBuf::from(path),
        None => gateway::find_control(file, &environment)?,
    };
    Ok(Control::connect(&path).await?)
}

fn code_of(error: &anyhow::Error) -> Code {
    // A disk that is full, or not mounted yet, is no fault of the configuration: systemd starts the daemon again.
    let is_passing = error.downcast_ref().is_some_and(seal::Error::is_passing)
        || error.downcast_ref().is_some_and(gateway::Unusable::is_passing);
    if is_passing {
        return Code::Failed;
    }
    if error.is::<Faults>() || error.is::<gateway::Unusable>() || error.is::<seal::Error>() {
        return Code::BadConfig;
    }
    if error.is::<BadInput>() || error.is::<matching::Error>() {
        return Code::BadInput;
    }
    match error.downcast_ref::<control::Error>() {
        Some(control::Error::NoDaemon { .. }) => Code::Unavailable,
        Some(control::Error::Denied { .. } | control::Error::Refused { status: 403, .. }) => {
            Code::NotPermitted
        }
        // Something is named that does not exist, or is not as documented.
        Some(control::Error::Refused { status: 400 | 404 | 413 | 415 | 422, .. }) => Code::BadInput,
        // The worklist is away, or the daemon is going or gone.
        Some(
            control::Error::Refused { status: 503, .. }
            | control::Error::Timeout
            | control::Error::Broken,
        ) => Code::Unavailable,
        Some(control::Error::Read(_)) => Code::BadInput,
        _ => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// systemd does not start again what exits with the code of a bad configuration.
    #[test]
    fn a_full_disk_is_no_bad_configuration() {
        let code = |kind: ErrorKind| {
            let path = PathBuf::from("/var/lib/lotse/keys");
            code_of(&seal::Error::Io { path, source: kind.into() }.into())
        };
        assert_eq!(code(ErrorKind::StorageFull), Code::Failed);
        // The mount point of a disk that comes later.
        assert_eq!(code(ErrorKind::PermissionDenied), Code::Failed);
        let path = PathBuf::from("/etc/lotse/master.key");
        assert_eq!(
            code_of(&seal::Error::MasterMissing { step: path.clone(), path }.into()),
            Code::BadConfig
        );
    }
}
