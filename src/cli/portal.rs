//! `lotse portal`: recipes of portals, tested on their recordings and tried on the real thing.
//!
//! No import is made and nothing is kept. The trace shows steps as the recipe writes them, so no link, answer
//! or token is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{BadInput, Code, out, unreadable};
use crate::fetch::FetchSection;
use crate::fetch::recipe::{Fault, Recipe, Trace, Tried, try_link};
use crate::gateway::{self, Config, Environment};
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
            out::complain(&format!(
                "{} has no samples, so nothing was tested; the manual (portals.md) tells how to record one",
                file.display()
            ));
            code = Code::BadInput;
        }
        for replayed in recipe.replay().await? {
            match replayed.fault {
                None => out::line(&format!("  ok      {}", replayed.name)),
                Some(fault) => {
                    out::line(&format!("  FAILED  {}", replayed.name));
                    out::line(&format!("          {fault}"));
                    code = Code::BadInput;
                }
            }
        }
    }
    Ok(code)
}

/// Prints the trace as it goes, and knows where it stands.
#[derive(Default)]
struct Printed(Mutex<String>);

impl Trace for Printed {
    fn line(&self, text: &str) {
        out::line(&format!("  {text}"));
    }

    fn step(&self, label: &str, what: &str) {
        label.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        out::line(&format!("Step {label}: {what}"));
    }
}

impl Printed {
    fn last(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn trial(file: &Path, config: Option<&Path>) -> anyhow::Result<Code> {
    let recipe = read(file)?.map_err(|fault| BadInput(fault.to_string()))?;
    let (section, portals, proxy) = match config {
        Some(_) => {
            let config = Config::load(config, &Environment::of_process())?;
            let proxy = gateway::proxy(&config)?;
            (config.fetch, config.portals, proxy)
        }
        None => (FetchSection::default(), BTreeMap::new(), None),
    };
    crate::tls::install_provider();
    let client = Client::through(&portals, proxy.as_ref())?;
    let asks = out::is_terminal();
    if asks {
        out::line(&format!(
            "This tries the recipe \"{}\" on a real link. Nothing is imported.",
            recipe.title()
        ));
    }
    let (text, mut answers) = match asks {
        true => (out::ask("Paste the link, or type the code of the sheet:")?, BTreeMap::new()),
        false => told(&out::input()?)?,
    };
    let no_link = || {
        let why = "this is no link (it begins with https://), and no code that the recipe knows (`codes` under [match])";
        BadInput(why.into())
    };
    let link = Link::new(&text).or_else(|| recipe.link(&text)).ok_or_else(no_link)?;
    if let Some(why) = recipe.passes_over(&link) {
        out::line(&format!("Note: {why}."));
    }
    let named = portals.values().find(|portal| {
        portal.hosts.iter().any(|host| host.trim().eq_ignore_ascii_case(link.host()))
    });
    let hosts = named.map(|portal| portal.hosts.clone()).unwrap_or_default();
    let printed = Printed::default();
    let (mut bookmark, mut waits) = (None, 0);
    loop {
        let known = (&link, &answers, bookmark.as_ref());
        let tried = try_link(&client, &recipe, known, &section, &hosts, &printed).await;
        match tried {
            Ok(Tried::Done { files }) => {
                for (number, file) in (1..).zip(&files) {
                    out::line(&format!("File {number}: {}, {}", file.kind, size(file.bytes)));
                }
                let came = if files.len() == 1 {
                    "1 file".to_owned()
                } else {
                    format!("{} files", files.len())
                };
                out::line(&format!(
                    "The recipe works for this link: {came} came. Nothing was imported."
                ));
                return Ok(Code::Done);
            }
            Ok(Tried::Preparing { wait, bookmark: kept }) if waits < WAITS => {
                waits = waits.saturating_add(1);
                out::line(&format!(
                    "Waiting {} seconds, then asking again (Ctrl-C ends the trial).",
                    wait.as_secs()
                ));
                tokio::time::sleep(wait).await;
                bookmark = kept;
            }
            Ok(Tried::Preparing { .. }) => {
                out::line(
                    "The portal is still preparing the files. The recipe is right so far; try again later.",
                );
                return Ok(Code::Failed);
            }
            Ok(Tried::Asked { questions, note, bookmark: kept }) => {
                if let Some(note) = note {
                    out::complain(&note);
                }
                if !asks {
                    out::line(&wanted(&questions));
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
                out::line(&match printed.last() {
                    step if step.is_empty() => "The trial ended before the first step.".to_owned(),
                    step => format!("The trial ended in step {step}. Nothing was imported."),
                });
                return Ok(Code::Failed);
            }
        }
    }
}

fn shown(question: &Question) -> String {
    let hint = if question.format == "DATE" { " (for example 1970-01-31)" } else { "" };
    format!("{}{hint}:", question.text)
}

/// How to give the answers that are missing, where nobody can be asked.
fn wanted(questions: &[Question]) -> String {
    let what: Vec<String> =
        questions.iter().map(|asked| format!("{} ({})", asked.key, asked.text)).collect();
    let example = |asked: &Question| {
        let value = if asked.format == "DATE" { "1970-01-31" } else { "…" };
        format!("\"{}\": \"{value}\"", asked.key)
    };
    let answers: Vec<String> = questions.iter().map(example).collect();
    format!(
        "The recipe asks for {}. Give it on standard input as {{\"link\": \"…\", \"answers\": {{{}}}}}, or run \
         the trial on a terminal, which asks.",
        what.join(", "),
        answers.join(", ")
    )
}

/// For people.
fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
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
