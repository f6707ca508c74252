//! `lotse portal`: recipes of portals, tested on their recordings and tried on the real thing.
//!
//! No import is made and nothing is kept. The trace shows steps as the recipe writes them, so no link, answer
//! or token is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{BadInput, Code, out, unreadable};
use crate::fetch::FetchSection;
use crate::fetch::recipe::{Fault, Recipe, Trace, Tried, try_link};
use crate::gateway::{Config, Environment};
use crate::import::{Link, Question};
use crate::web::Client;

/// A portal that is preparing is waited for this often before the trial ends.
const WAITS: u32 = 20;

#[derive(Debug, Args)]
pub(super) struct Portal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read recipes and replay their recorded exchanges, without a network.
    Test {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Follow a link from standard input by a recipe, and show what happens; nothing is imported.
    ///
    /// On a terminal the link and the answers are asked for; otherwise standard input is the bare link, or
    /// JSON: {"link": "…", "answers": {"PAT_BIRTH_DATE": "1970-01-31"}}.
    Try { file: PathBuf },
}

impl Portal {
    pub(super) async fn run(self, config: Option<&Path>) -> anyhow::Result<Code> {
        match self.command {
            Command::Test { files } => test(&files).await,
            Command::Try { file } => Box::pin(trial(&file, config)).await,
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Result<Recipe, Fault>> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    Ok(Recipe::parse(&file.display().to_string(), &text))
}

async fn test(files: &[PathBuf]) -> anyhow::Result<Code> {
    let mut code = Code::Done;
    for file in files {
        let recipe = match read(file)? {
            Ok(recipe) => recipe,
            Err(fault) => {
                out::complain(&fault.to_string());
                code = Code::BadInput;
                continue;
            }
        };
        out::line(&format!("{}: {}", recipe.name(), recipe.title()));
        if recipe.samples() == 0 {
            out::complain(&format!("{} has no samples, so nothing was tested", file.display()));
            code = Code::BadInput;
        }
        for replayed in recipe.replay().await? {
            match replayed.fault {
                None => out::line(&format!("  ok      {}", replayed.name)),
                Some(fault) => {
                    out::line(&format!("  FAILED  {}: {fault}", replayed.name));
                    code = Code::BadInput;
                }
            }
        }
    }
    Ok(code)
}

/// Prints the trace as it goes.
struct Printed;

impl Trace for Printed {
    fn line(&self, text: &str) {
        out::line(text);
    }
}

async fn trial(file: &Path, config: Option<&Path>) -> anyhow::Result<Code> {
    let recipe = read(file)?.map_err(|fault| BadInput(fault.to_string()))?;
    let (section, portals) = match config {
        Some(_) => {
            let config = Config::load(config, &Environment::of_process())?;
            (config.fetch, config.portals)
        }
        None => (FetchSection::default(), BTreeMap::new()),
    };
    crate::tls::install_provider();
    let client = Client::new(&portals)?;
    let asks = out::is_terminal();
    let (text, mut answers) =
        if asks { (out::ask("Link or code:")?, BTreeMap::new()) } else { told(&out::input()?)? };
    let no_link = || BadInput("this is neither a link nor a code that the recipe knows".into());
    let link = Link::new(&text).or_else(|| recipe.link(&text)).ok_or_else(no_link)?;
    let named = portals.values().find(|portal| {
        portal.hosts.iter().any(|host| host.trim().eq_ignore_ascii_case(link.host()))
    });
    let hosts = named.map(|portal| portal.hosts.clone()).unwrap_or_default();
    let (mut bookmark, mut waits) = (None, 0);
    loop {
        let known = (&link, &answers, bookmark.as_ref());
        let tried = try_link(&client, &recipe, known, &section, &hosts, &Printed).await;
        match tried {
            Ok(Tried::Done { files }) => {
                for file in &files {
                    out::line(&format!("file: {}, {} bytes", file.kind, file.bytes));
                }
                out::line(&format!("done: {} files; nothing was imported", files.len()));
                return Ok(Code::Done);
            }
            Ok(Tried::Preparing { wait, bookmark: kept }) if waits < WAITS => {
                waits = waits.saturating_add(1);
                out::line(&format!("waits {} s", wait.as_secs()));
                tokio::time::sleep(wait).await;
                bookmark = kept;
            }
            Ok(Tried::Preparing { .. }) => {
                out::line("the portal is still preparing; try again later");
                return Ok(Code::Failed);
            }
            Ok(Tried::Asked { questions, note, bookmark: kept }) => {
                if let Some(note) = note {
                    out::complain(&note);
                }
                if !asks {
                    let keys: Vec<&str> =
                        questions.iter().map(|asked| asked.key.as_str()).collect();
                    out::line(&format!("asks: {}", keys.join(", ")));
                    return Ok(Code::Failed);
                }
                for question in &questions {
                    let answer = out::ask(&shown(question))?;
                    answers.insert(question.key.clone(), answer);
                }
                bookmark =
                    kept.map(|bookmark| crate::import::Bookmark { answered: true, ..bookmark });
            }
            Err(error) => {
                out::complain(&error.sentence());
                return Ok(Code::Failed);
            }
        }
    }
}

fn shown(question: &Question) -> String {
    let hint = if question.format == "DATE" { " (YYYY-MM-DD)" } else { "" };
    format!("{}{hint}:", question.text)
}

/// The link, and answers if it came as JSON.
fn told(input: &str) -> anyhow::Result<(String, BTreeMap<String, String>)> {
    let input = input.trim();
    if !input.starts_with('{') {
        return Ok((input.to_owned(), BTreeMap::new()));
    }
    let wrong = || BadInput("write {\"link\": \"…\", \"answers\": {\"KEY\": \"…\"}}".into());
    let document: Value = serde_json::from_str(input).map_err(|_| wrong())?;
    let link = out::text(&document, "/link").to_owned();
    let answers = document.get("answers").cloned().unwrap_or_else(|| serde_json::json!({}));
    Ok((link, serde_json::from_value(answers).map_err(|_| wrong())?))
}
