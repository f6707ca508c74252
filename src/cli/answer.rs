//! `lotse answer`: the portal's question, or the choice among what it lists.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::{BadInput, Code, out};
use crate::import::ImportId;
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Answer {
    /// The import.
    id: ImportId,
}

impl Answer {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        if out::is_terminal() {
            let import: Value = control.get_json(&format!("/api/v1/imports/{}", self.id)).await?;
            ask(control, &self.id.to_string(), &import).await?;
            return Ok(Code::Done);
        }
        let form = || {
            BadInput(
                "give the answers as one JSON object, such as {\"PAT_BIRTH_DATE\": \"1970-01-31\"}, or a choice as \
                 {\"choices\": \"all\"} or {\"choices\": [\"key\", …]}"
                    .into(),
            )
        };
        let given: Value = serde_json::from_str(&out::input()?).map_err(|_| form())?;
        let id = self.id.to_string();
        if let Some(choices) =
            given.get("choices").filter(|_| given.as_object().is_some_and(|o| o.len() == 1))
        {
            choose(control, &id, choices).await?;
            return Ok(Code::Done);
        }
        let answers: BTreeMap<String, String> =
            serde_json::from_value(given).map_err(|_| form())?;
        send(control, &id, &answers).await?;
        Ok(Code::Done)
    }
}

/// Asks a person every question of an import.
pub(super) async fn ask(control: &Control, id: &str, import: &Value) -> anyhow::Result<()> {
    let choices = out::items(import, "/choices");
    if !choices.is_empty() {
        return pick(control, id, choices, out::text(import, "/nextStep")).await;
    }
    let questions = out::items(import, "/questions");
    if questions.is_empty() {
        return Err(BadInput("the portal asks nothing of this import now".into()).into());
    }
    let note = out::text(import, "/nextStep");
    if !note.is_empty() {
        out::complain(note);
    }
    let mut answers = BTreeMap::new();
    for question in questions {
        let hint = if out::text(question, "/format") == "DATE" { " (YYYY-MM-DD)" } else { "" };
        let answer = out::ask(&format!("{}{hint}:", out::text(question, "/text")))?;
        answers.insert(out::text(question, "/key").to_owned(), answer);
    }
    send(control, id, &answers).await
}

/// Shows the list and takes numbers of it.
async fn pick(control: &Control, id: &str, choices: &[Value], note: &str) -> anyhow::Result<()> {
    out::complain(note);
    for (number, choice) in choices.iter().enumerate() {
        let parts = ["/date", "/modalities", "/description"].map(|at| out::text(choice, at));
        let patient = out::text(choice, "/patient/name").replace('^', " ");
        out::complain(&format!("{:4}  {}  {patient}", number.saturating_add(1), parts.join("  ")));
    }
    let typed = out::ask("Which to fetch (numbers with commas, or all):")?;
    let choices = if typed.trim().eq_ignore_ascii_case("all") {
        json!("all")
    } else {
        let key = |number: &usize| choices.get(number.checked_sub(1)?)?.get("key").cloned();
        let keys = numbers(&typed).and_then(|all| all.iter().map(key).collect::<Option<Vec<_>>>());
        json!(keys.ok_or_else(|| BadInput("give numbers of the list, such as 1,3, or all".into()))?)
    };
    choose(control, id, &choices).await
}

/// `1, 3` as numbers; `None` if there is anything else, or nothing.
fn numbers(typed: &str) -> Option<Vec<usize>> {
    let parts = typed.split([',', ' ']).filter(|part| !part.is_empty());
    let numbers: Vec<usize> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    (!numbers.is_empty()).then_some(numbers)
}

async fn choose(control: &Control, id: &str, choices: &Value) -> anyhow::Result<()> {
    let path = format!("/api/v1/imports/{id}/answers");
    control.post_json::<_, Value>(&path, &json!({ "choices": choices })).await?;
    Ok(())
}

async fn send(
    control: &Control,
    id: &str,
    answers: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/imports/{id}/answers");
    control.post_json::<_, Value>(&path, &json!({ "answers": answers })).await?;
    Ok(())
}
