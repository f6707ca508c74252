//! `lotse pause` and `lotse resume`: holding a destination back.

use clap::Args;
use serde_json::{Value, json};

use super::{BadInput, Code, out};
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Destination {
    /// As in `[destinations.NAME]`.
    name: String,
}

impl Destination {
    /// `word` is `pause` or `resume`.
    pub(super) async fn post(self, control: &Control, word: &str) -> anyhow::Result<Code> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(known) {
            return Err(BadInput("this is no name of a destination".into()).into());
        }
        let path = format!("/api/v1/destinations/{}/{word}", self.name);
        control.post_json::<_, Value>(&path, &json!({})).await?;
        out::line(&match word {
            "pause" => format!(
                "{} is paused until `lotse resume {}`, over restarts too; a study under way is finished",
                self.name, self.name
            ),
            _ => format!("{} goes on", self.name),
        });
        Ok(Code::Done)
    }
}
