//! `lotse worklist`: what the gateway sees.

use clap::Args;
use serde_json::Value;

use super::{Code, out};
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Worklist {
    /// Only steps of this day, `YYYY-MM-DD`.
    #[arg(long, value_name = "D")]
    date: Option<String>,
    /// `-`: only names that contain the line on standard input.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    name: Option<String>,
    #[arg(long)]
    json: bool,
}

impl Worklist {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        let name = self.name.map(|_| out::input()).transpose()?;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.date.iter().map(|date| ("date", date.as_str())))
            .extend_pairs(name.iter().map(|name| ("name", name.trim())))
            .finish();
        let list: Value = control.get_json(&format!("/api/v1/worklist?{query}")).await?;
        if self.json {
            out::document(&list);
            return Ok(Code::Done);
        }
        for note in out::items(&list, "/notes") {
            out::complain(note.as_str().unwrap_or(""));
        }
        let items = out::items(&list, "/items");
        if items.is_empty() {
            out::line("no items");
        }
        for item in items {
            out::line(&format!(
                "{}  {}  {:<4} {} * {} {}  ID {}  order {}  {}",
                out::text(item, "/itemId"),
                out::text(item, "/startDate"),
                out::text(item, "/modality"),
                out::text(item, "/patient/name"),
                out::text(item, "/patient/birthDate"),
                out::text(item, "/patient/sex"),
                out::text(item, "/patient/patientId"),
                out::text(item, "/accessionNumber"),
                out::text(item, "/requestedProcedure"),
            ));
        }
        Ok(Code::Done)
    }
}
