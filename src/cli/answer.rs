//! `lotse answer`: the portal's question.

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
        let answers: BTreeMap<String, String> = serde_json::from_str(&out::input()?).map_err(|_| {
            BadInput("give the answers as one JSON object, such as {\"PAT_BIRTH_DATE\": \"1970-01-31\"}".into())
        })?;
        send(control, &self.id.to_string(), &answers).await?;
        Ok(Code::Done)
    }
}

/// Asks a person every question of an import.
pub(super) async fn ask(control: &Control, id: &str, import: &Value) -> anyhow::Result<()> {
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

async fn send(
    control: &Control,
    id: &str,
    answers: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/imports/{id}/answers");
    control.post_json::<_, Value>(&path, &json!({ "answers": answers })).await?;
    Ok(())
}
