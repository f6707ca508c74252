//! Following one import to its end, or to the point where it needs a person.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{Code, answer, out};
use crate::web::control::Control;

/// A stream that breaks is opened again this often before the command gives up.
const REOPENED: u32 = 5;

/// How to show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A progress bar on a terminal, else one line per change.
    Person,
    /// One document a line.
    Json,
}

impl Style {
    pub(super) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Person }
    }
}

/// Where an import stands, as far as following goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Moving,
    Asking,
    /// Needs a person, or failed.
    Held,
    Delivered,
}

/// Follows until everything is delivered, or a person is needed.
pub(super) async fn follow(control: &Control, id: &str, style: Style) -> anyhow::Result<Code> {
    let mut shown = Shown::new(style);
    let mut broken = 0;
    loop {
        let mut events = control.events(&format!("/api/v1/imports/{id}/events")).await?;
        loop {
            let Ok(Some(event)) = events.next().await else {
                break;
            };
            if serde_json::from_str::<Value>(&event.text).is_err() {
                continue;
            }
            let import: Value = control.get_json(&format!("/api/v1/imports/{id}")).await?;
            shown.show(&import);
            match stand(&import) {
                Stand::Moving => {}
                Stand::Asking if style == Style::Person && out::is_terminal() => {
                    shown.pause();
                    answer::ask(control, id, &import).await?;
                }
                Stand::Asking | Stand::Held => {
                    shown.end(&import);
                    return Ok(Code::Failed);
                }
                Stand::Delivered => {
                    shown.end(&import);
                    return Ok(Code::Done);
                }
            }
        }
        broken += 1;
        anyhow::ensure!(
            broken <= REOPENED,
            "the daemon stopped telling about the import; see its log"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn stand(import: &Value) -> Stand {
    let studies = out::items(import, "/studies");
    let held = |study: &Value| {
        matches!(
            out::text(study, "/state"),
            "AwaitingDecision" | "Quarantined" | "Rejected" | "Cancelled"
        )
    };
    match out::text(import, "/state") {
        "Asking" | "Choosing" => Stand::Asking,
        "Expired" if was_delivered(import) => Stand::Delivered,
        "Failed" | "Cancelled" | "Expired" | "Erased" => Stand::Held,
        "Closed" if studies.iter().all(|s| out::text(s, "/state") == "Confirmed") => {
            Stand::Delivered
        }
        "Closed" => Stand::Held,
        "Unpacked" if studies.iter().any(held) => Stand::Held,
        _ => Stand::Moving,
    }
}

/// Whether an import that is gone was delivered as a whole: with a short grace it is gone before anybody looks.
fn was_delivered(import: &Value) -> bool {
    let count = |name: &str| out::number(import, &format!("/counts/{name}"));
    let others = ["inFlight", "quarantined", "rejected", "cancelled"];
    count("delivered").saturating_add(count("createdDelivered")) > 0
        && others.into_iter().all(|name| count(name) == 0)
        && count("created") == count("createdDelivered")
}

/// What has been shown so far.
struct Shown {
    style: Style,
    bar: Option<ProgressBar>,
    last: String,
}

impl Shown {
    fn new(style: Style) -> Self {
        let bar = (style == Style::Person && out::is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            let template = "{spinner} {msg:28} {wide_bar} {pos}/{len} {elapsed}";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        Self { style, bar, last: String::new() }
    }

    fn show(&mut self, import: &Value) {
        if self.style == Style::Json {
            out::compact(import);
            return;
        }
        let studies = out::items(import, "/studies");
        let states = studies.iter().map(|study| out::text(study, "/state")).collect::<Vec<_>>();
        let mut told = out::text(import, "/state").to_owned();
        if !states.is_empty() {
            told = format!("{told}: {}", states.join(", "));
        }
        if let Some(bar) = &self.bar {
            let (done, total) = progress(import);
            bar.set_message(format!("{told}{}", pace(import)));
            bar.set_length(total.max(done));
            bar.set_position(done);
        } else if told != self.last {
            out::line(&told);
            self.last = told;
        }
    }

    fn pause(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn end(&self, import: &Value) {
        self.pause();
        if self.style == Style::Person {
            let next = out::text(import, "/nextStep");
            out::line(&format!("{}  {next}", out::text(import, "/state")));
        }
    }
}

/// Rate and time left, while bytes come.
fn pace(import: &Value) -> String {
    let rate = out::number(import, "/progress/bytesPerSecond");
    if rate == 0 {
        return String::new();
    }
    let left = import.pointer("/progress/secondsLeft").and_then(Value::as_u64);
    let left = left.map(|left| format!(", {left} s left")).unwrap_or_default();
    format!(" {:.1} MB/s{left}", rate as f64 / 1e6)
}

/// Instances if their number is known, else bytes.
fn progress(import: &Value) -> (u64, u64) {
    let total = out::number(import, "/progress/totalInstances");
    if total > 0 {
        return (out::number(import, "/progress/instances"), total);
    }
    (out::number(import, "/progress/bytes"), out::number(import, "/progress/totalBytes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expired(counts: &Value) -> bool {
        stand(&json!({"state": "Expired", "studies": [], "counts": counts})) == Stand::Delivered
    }

    #[test]
    fn what_expired_after_it_was_delivered_is_delivered() {
        assert!(expired(&json!({"received": 4, "delivered": 4})));
        let with_report =
            json!({"received": 4, "delivered": 4, "created": 1, "createdDelivered": 1});
        assert!(expired(&with_report));
        let without = json!({"received": 4, "delivered": 4, "created": 1, "createdDelivered": 0});
        assert!(!expired(&without), "the report is lost");
        assert!(!expired(&json!({"received": 0, "delivered": 0})), "nothing ever came");
        for rest in ["inFlight", "quarantined", "rejected", "cancelled"] {
            assert!(!expired(&json!({"received": 4, "delivered": 3, rest: 1})), "{rest}");
        }
    }
}
