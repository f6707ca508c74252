//! `lotse imports`, `lotse show`, and the commands that take one import.

mod original;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{BadInput, Code, out};
use crate::import::ImportId;
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Imports {
    /// Only those in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[arg(long)]
    json: bool,
}

impl Imports {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        let imports = self.all(control).await?;
        if self.json {
            out::document(&json!({ "total": imports.len(), "imports": imports }));
            return Ok(Code::Done);
        }
        if imports.is_empty() {
            out::line("no imports");
        }
        for import in &imports {
            out::line(&format!(
                "{}  {:<12} {:<24} {}",
                out::text(import, "/id"),
                out::text(import, "/state"),
                out::text(import, "/source"),
                out::text(import, "/nextStep"),
            ));
        }
        Ok(Code::Done)
    }
}

impl Imports {
    /// Every page of the list. An import that comes in meanwhile may move one to the next page; it is told once.
    async fn all(&self, control: &Control) -> anyhow::Result<Vec<Value>> {
        let mut imports: Vec<Value> = vec![];
        for page in 1_u32.. {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("page", &page.to_string())
                .extend_pairs(self.state.iter().map(|state| ("state", state)))
                .finish();
            let list: Value = control.get_json(&format!("/api/v1/imports?{query}")).await?;
            let before = imports.len();
            for import in out::items(&list, "/imports") {
                if !imports.iter().any(|told| told.get("id") == import.get("id")) {
                    imports.push(import.clone());
                }
            }
            let total = usize::try_from(out::number(&list, "/total")).unwrap_or(usize::MAX);
            if imports.len() >= total || imports.len() == before {
                break;
            }
        }
        Ok(imports)
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[arg(required_unless_present = "original")]
    id: Option<ImportId>,
    #[arg(long)]
    json: bool,
    /// The evidence of every candidate.
    #[arg(long)]
    explain: bool,
    /// What was received beside what is sent; of a FILE that was delivered, what it was before each change.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to say: given or not, with a value or without"
    )]
    original: Option<Option<PathBuf>>,
    /// With `--original FILE`: write the object as it was to a new file.
    #[arg(long, value_name = "FILE", requires = "original", conflicts_with = "id")]
    output: Option<PathBuf>,
    /// With `--output`: how many changes to go back.
    #[arg(long, default_value_t = 1, value_name = "N", requires = "output")]
    back: usize,
}

impl Show {
    /// `control` is asked for only if a daemon is needed.
    pub(super) async fn run(
        self,
        control: impl AsyncFnOnce() -> anyhow::Result<Control>,
    ) -> anyhow::Result<Code> {
        match (self.id, &self.original) {
            (None, Some(Some(file))) => original::of_file(file, self.back, self.output, self.json),
            (Some(id), Some(None)) => original::of_import(&control().await?, id, self.json).await,
            (Some(id), None) => self.import(&control().await?, id).await,
            (None, _) | (Some(_), Some(Some(_))) => {
                let sentence = "give an import, or `--original` with one file";
                Err(BadInput(sentence.into()).into())
            }
        }
    }

    async fn import(self, control: &Control, id: ImportId) -> anyhow::Result<Code> {
        let import: Value = control.get_json(&format!("/api/v1/imports/{id}")).await?;
        if self.json {
            out::document(&import);
            return Ok(Code::Done);
        }
        out::line(&format!(
            "{}  {}  from {}\n  {}",
            out::text(&import, "/id"),
            out::text(&import, "/state"),
            out::text(&import, "/source"),
            out::text(&import, "/nextStep"),
        ));
        for question in out::items(&import, "/questions") {
            out::line(&format!(
                "  question {}: {}",
                out::text(question, "/type"),
                out::text(question, "/text")
            ));
        }
        for study in out::items(&import, "/studies") {
            self.study(study);
        }
        for file in out::items(&import, "/setAside") {
            out::line(&format!(
                "  set aside: {}: {}",
                out::text(file, "/name"),
                out::text(file, "/reason")
            ));
        }
        Ok(Code::Done)
    }

    fn study(&self, study: &Value) {
        out::line(&format!(
            "\n  study {}  {}\n    {}",
            out::text(study, "/studyInstanceUid"),
            out::text(study, "/state"),
            out::text(study, "/nextStep"),
        ));
        out::line(&format!(
            "    foreign: {} * {} {}  ID {}",
            out::text(study, "/foreign/name"),
            out::text(study, "/foreign/birthDate"),
            out::text(study, "/foreign/sex"),
            out::text(study, "/foreign/patientId"),
        ));
        for candidate in out::items(study, "/candidates") {
            out::line(&format!(
                "    {}. item {}  {} * {} {}  ID {}  order {}  score {}",
                out::number(candidate, "/rank"),
                out::text(candidate, "/itemId"),
                out::text(candidate, "/patient/name"),
                out::text(candidate, "/patient/birthDate"),
                out::text(candidate, "/patient/sex"),
                out::text(candidate, "/patient/patientId"),
                out::text(candidate, "/accessionNumber"),
                candidate.pointer("/score").and_then(Value::as_i64).unwrap_or(0),
            ));
            for contradiction in out::items(candidate, "/contradictions") {
                out::line(&format!("       ! {}", contradiction.as_str().unwrap_or("")));
            }
            if self.explain {
                evidence(candidate);
            }
        }
        if let Some(decision) = study.get("decision").filter(|_| self.explain) {
            decided(decision);
        }
        for change in out::items(study, "/changes") {
            out::line(&format!(
                "    {} {}: {} -> {}",
                out::text(change, "/tag"),
                out::text(change, "/name"),
                out::text(change, "/before"),
                out::text(change, "/after"),
            ));
        }
        match out::text(study, "/route/why") {
            "" => {}
            why => out::line(&format!("    way: {why}")),
        }
        for delivery in out::items(study, "/deliveries") {
            out::line(&format!(
                "    to {}: {}, {} delivered, {} failed {}{}",
                out::text(delivery, "/destination"),
                out::text(delivery, "/state"),
                out::number(delivery, "/delivered"),
                out::number(delivery, "/failed"),
                out::text(delivery, "/lastError"),
                vouched(delivery),
            ));
        }
    }
}

/// What vouches for a delivery, in words.
fn vouched(delivery: &Value) -> String {
    let how = match out::text(delivery, "/assurance") {
        "committed" => "committed by storage commitment",
        "found" => "found there by a query",
        "answered" => "vouched for by its answers",
        "awaited" => "storage commitment awaited",
        _ => return String::new(),
    };
    match out::text(delivery, "/assuranceNote") {
        "" => how.to_owned(),
        note => format!("{how} ({note})"),
    }
}

/// A past decision: who, by what, and why the others were not taken.
fn decided(decision: &Value) {
    let by = match (out::text(decision, "/by"), out::text(decision, "/tier")) {
        ("rule", tier) => format!(
            "by rule, tier {tier}, version {} of the rules",
            out::number(decision, "/ruleVersion")
        ),
        ("earlier", _) => "as an earlier import of the same study".to_owned(),
        _ => format!("by {}: {}", out::text(decision, "/actor"), out::text(decision, "/reason")),
    };
    out::line(&format!("    decided {by}, at {}", out::text(decision, "/at")));
    let id = out::text(decision, "/patient/patientId");
    let several = out::items(decision, "/items");
    let one = if several.is_empty() { std::slice::from_ref(decision) } else { several };
    for order in one {
        out::line(&format!(
            "       item {}  ID {id}  order {}",
            out::text(order, "/itemId"),
            out::text(order, "/accessionNumber"),
        ));
    }
    evidence(decision);
    for contradiction in out::items(decision, "/overridden") {
        out::line(&format!("       overridden: {}", contradiction.as_str().unwrap_or("")));
    }
    for other in out::items(decision, "/rejected") {
        out::line(&format!(
            "    not item {}  score {}: {}",
            out::text(other, "/itemId"),
            other.pointer("/score").and_then(Value::as_i64).unwrap_or(0),
            out::text(other, "/why"),
        ));
        evidence(other);
    }
}

fn evidence(of: &Value) {
    for evidence in out::items(of, "/evidence") {
        out::line(&format!(
            "       {:<18} {:<10} {:>4}",
            out::text(evidence, "/attribute"),
            out::text(evidence, "/agreement"),
            evidence.pointer("/weight").and_then(Value::as_i64).unwrap_or(0),
        ));
    }
}

/// A command on one import.
#[derive(Debug, Args)]
pub(super) struct One {
    id: ImportId,
}

impl One {
    pub(super) async fn post(self, control: &Control, what: &str) -> anyhow::Result<Code> {
        let path = format!("/api/v1/imports/{}/{what}", self.id);
        control.post_json::<_, Value>(&path, &json!({})).await?;
        Ok(Code::Done)
    }

    pub(super) async fn erase(self, control: &Control) -> anyhow::Result<Code> {
        control.delete::<Value>(&format!("/api/v1/imports/{}", self.id)).await?;
        Ok(Code::Done)
    }
}
