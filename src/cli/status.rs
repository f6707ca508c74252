//! `lotse status`: the gateway in numbers.

use clap::Args;
use serde_json::Value;

use super::{Code, out};
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        let status: Value = control.get_json("/status").await?;
        if self.json {
            out::document(&status);
            return Ok(Code::Done);
        }
        out::line(&format!(
            "lotse {}, up {} s; disk {} MiB used, {} MiB free",
            out::text(&status, "/version"),
            out::number(&status, "/uptimeSeconds"),
            out::number(&status, "/diskUsed") >> 20,
            out::number(&status, "/diskFree") >> 20,
        ));
        for table in ["imports", "studies", "queues"] {
            let Some(Value::Object(counts)) = status.get(table) else {
                continue;
            };
            let told = counts.iter().map(|(name, count)| format!("{name} {count}"));
            out::line(&format!("{table}: {}", told.collect::<Vec<_>>().join(", ")));
        }
        if let Some(Value::Object(destinations)) = status.get("destinations") {
            for (name, health) in destinations {
                let rests = health.get("paused") == Some(&Value::Bool(true));
                let state = match out::text(health, "/state") {
                    "ready" | "" if rests => "waiting",
                    "" => "ready",
                    state => state,
                };
                out::line(&format!(
                    "destination {name}: {}, {} waiting, {} delivered {}",
                    state,
                    out::number(health, "/waitingInstances"),
                    out::number(health, "/deliveredInstances"),
                    out::text(health, "/lastError"),
                ));
            }
        }
        for kept in out::items(&status, "/worklist/kept") {
            out::line(&format!(
                "worklist of {}: {} entries, {} s old",
                out::text(kept, "/source"),
                out::number(kept, "/entries"),
                out::number(kept, "/ageSeconds"),
            ));
        }
        for one in out::items(&status, "/certificates") {
            let days = one.get("daysLeft").and_then(Value::as_i64).unwrap_or_default();
            let is_list = one.get("kind").and_then(Value::as_str) == Some("revocationList");
            let what = if is_list { "revocation list" } else { "certificate" };
            out::line(&format!("{what} {}: {days} days left", out::text(one, "/place")));
            if let Some(warning) = one.get("warning").and_then(Value::as_str) {
                out::line(&format!("! {warning}"));
            }
        }
        for note in
            out::items(&status, "/worklist/notes").iter().chain(out::items(&status, "/alarms"))
        {
            out::line(&format!("! {}", note.as_str().unwrap_or("")));
        }
        for error in out::items(&status, "/lastErrors") {
            out::line(&format!(
                "{}  {}  {}: {}",
                out::text(error, "/at"),
                out::text(error, "/import"),
                out::text(error, "/stage"),
                out::text(error, "/sentence"),
            ));
        }
        Ok(Code::Done)
    }
}
