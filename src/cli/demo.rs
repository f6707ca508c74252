//! `lotse demo`: portal, RIS and PACS simulated on loopback, the real gateway between them, one import.

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{Code, out};
use crate::gateway::{ClockSource, Config, Environment, Gateway};
use crate::import::{Import, ImportId, InstanceOutcome, Origin, Outcomes, State, StudyState};
use crate::pipeline::Pipeline;
use crate::sim::world::World;
use crate::web::control::Control;

/// Slices of the phantom: enough to see the bar move.
const SLICES: u16 = 60;

/// An import of this size takes seconds; one that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End with the import instead of leaving the console open.
    #[arg(long)]
    once: bool,
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// What the demo saw.
struct Seen {
    import: std::sync::Arc<Import>,
    seconds: f64,
    stages: Vec<Value>,
    /// Instances that the PACS has in its books.
    stored: usize,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<Code> {
        let world = World::start(SLICES).await?;
        let config = Config::load(Some(&world.configure()?), &Environment::default())?;
        let gateway = Gateway::start(config, ClockSource::System).await?;
        let say = |text: &str| {
            if !self.json {
                out::line(text);
            }
        };
        say(&format!("portal  http://{}/  (simulated, DLX)", world.portal.address()));
        say(&format!("RIS     {}  (simulated, modality worklist)", world.ris.address()));
        say(&format!("PACS    {}  (simulated, storage)", world.pacs.address()));
        say(&format!("Lotse   http://{}/\n", gateway.addresses.http));

        let seen = self.import(&world, &gateway).await;
        let code = match &seen {
            Ok(seen) => {
                if self.json {
                    out::document(&report(seen));
                } else {
                    tell(seen);
                }
                if whole(seen) { Code::Done } else { Code::Failed }
            }
            Err(_) => Code::Failed,
        };
        if !self.once && seen.is_ok() {
            say(&format!(
                "\nConsole  http://{}/\nToken    {}",
                gateway.addresses.http, gateway.token
            ));
            say(&format!("Status   http://{}/status", gateway.addresses.http));
            say(
                "\nThe link and the birth date to try it by hand (the portal gives it as often as you like):",
            );
            say(&format!("  {}  {}", world.portal.link(), world.sample.birth_date()));
            say("Ctrl-C ends.");
            tokio::signal::ctrl_c().await?;
        }
        gateway.stop().await?;
        world.stop().await;
        seen.map(|_| code)
    }

    async fn import(&self, world: &World, gateway: &Gateway) -> anyhow::Result<Seen> {
        let item = world.sample.item();
        let patient = item.patient.id.as_ref();
        let request = json!({
            "link": world.portal.link(),
            "answers": {"PAT_BIRTH_DATE": world.sample.birth_date()},
            "patient": patient.map(|id| json!({"patientId": id.id, "issuer": id.issuer})),
            "accessionNumber": item.accession_number.as_ref().map(|number| &number.number),
        });
        let control = Control::connect(&gateway.addresses.control).await?;
        let begun = Instant::now();
        let accepted: Value = control.post_json("/api/v1/imports", &request).await?;
        let id: ImportId = out::text(&accepted, "/id").parse()?;
        let mut stages = Stages::new(self.json, begun);
        let followed = tokio::time::timeout(DEADLINE, stages.follow(&gateway.pipeline, id)).await;
        stages.bar.finish_and_clear();
        let import = followed.map_err(|_| anyhow::anyhow!("the import did not end in time"))??;
        Ok(Seen {
            import,
            seconds: begun.elapsed().as_secs_f64(),
            stages: stages.done(),
            stored: world.pacs.received().len(),
        })
    }
}

/// Follows one import and takes the time of each stage.
struct Stages {
    begun: Instant,
    bar: ProgressBar,
    /// Stage and when it began.
    passed: Vec<(String, Instant)>,
}

impl Stages {
    fn new(json: bool, begun: Instant) -> Self {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let style = ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { begun, bar, passed: vec![] }
    }

    async fn follow(
        &mut self,
        pipeline: &Pipeline,
        id: ImportId,
    ) -> anyhow::Result<std::sync::Arc<Import>> {
        let mut changes = pipeline.changes();
        loop {
            let Some(import) = pipeline.import(id) else {
                anyhow::bail!("the import ended before it could be looked at");
            };
            self.show(pipeline, &import);
            let studies = &import.studies;
            let held = |state: &StudyState| {
                matches!(
                    state,
                    StudyState::AwaitingDecision { .. }
                        | StudyState::Quarantined { .. }
                        | StudyState::Rejected { .. }
                )
            };
            let ended = match &import.state {
                State::Closed { .. } | State::Failed { .. } | State::Cancelled { .. } => true,
                State::Asking { .. } | State::Choosing { .. } => true,
                State::Unpacked => !studies.is_empty() && studies.iter().all(|s| held(&s.state)),
                State::Requested { .. }
                | State::Preparing { .. }
                | State::Downloading { .. }
                | State::Receiving { .. }
                | State::Received { .. } => false,
            };
            if ended {
                return Ok(import);
            }
            let nudge = tokio::time::sleep(Duration::from_millis(50));
            tokio::select! {
                changed = changes.changed() => changed?,
                () = nudge => {}
            }
        }
    }

    fn show(&mut self, pipeline: &Pipeline, import: &Import) {
        let name = match (&import.state, import.studies.first()) {
            (State::Unpacked, Some(study)) => study.state.name(),
            (state, _) => state.name(),
        };
        if self.passed.last().is_none_or(|(last, _)| last != name) {
            self.passed.push((name.to_owned(), Instant::now()));
        }
        self.bar.set_message(name.to_owned());
        if let Some(progress) = pipeline.progress(import.id) {
            let (done, total) = match progress.total_instances {
                Some(total) => (progress.instances, total),
                None => (progress.bytes, progress.total_bytes.unwrap_or(0)),
            };
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
        }
    }

    /// Each stage with its seconds.
    fn done(&self) -> Vec<Value> {
        let ends = self.passed.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let stage = |((name, at), end): (&(String, Instant), Instant)| {
            json!({
                "stage": name,
                "at": rounded((*at - self.begun).as_secs_f64()),
                "seconds": rounded((end - *at).as_secs_f64()),
            })
        };
        self.passed.iter().zip(ends).map(stage).collect()
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Whether every instance received, and every one created, is in the PACS.
fn whole(seen: &Seen) -> bool {
    let counts = seen.import.counts();
    let sent = usize::try_from(counts.received + counts.created).unwrap_or(usize::MAX);
    matches!(seen.import.state, State::Closed { .. })
        && counts.received > 0
        && counts.received == counts.delivered
        && counts.created == counts.created_delivered
        && seen.stored == sent
}

fn report(seen: &Seen) -> Value {
    let counts = seen.import.counts();
    let target =
        seen.import.studies.iter().find_map(|s| s.work()).map(|work| &work.decision.target);
    let order = target.and_then(|target| target.orders().next());
    let accession_number = order.and_then(|item| item.accession_number.as_ref());
    json!({
        "state": seen.import.state.name(),
        "received": counts.received,
        "created": counts.created,
        "delivered": counts.delivered + counts.created_delivered,
        "setAside": counts.set_aside,
        "quarantined": counts.quarantined,
        "matched": {
            "patientId": target.and_then(|target| target.patient().id.as_ref()).map(|id| &id.id),
            "accessionNumber": accession_number.map(|number| &number.number),
        },
        "seconds": rounded(seen.seconds),
        "stages": seen.stages,
    })
}

fn tell(seen: &Seen) {
    for stage in &seen.stages {
        let seconds = stage.pointer("/seconds").and_then(Value::as_f64).unwrap_or(0.0);
        out::line(&format!("  {:<18} {seconds:>7.3} s", out::text(stage, "/stage")));
    }
    if let State::Failed { sentence, .. } = &seen.import.state {
        out::line(&format!("\n{sentence}"));
    }
    for study in &seen.import.studies {
        let Some(work) = study.work() else {
            out::line(&format!("\nstudy {}: {}", study.uid, study.state.name()));
            continue;
        };
        out::line(&format!("\nstudy {}", study.uid));
        out::line(&format!("  {:<28} {:<32} {}", "", "before", "after"));
        for change in crate::reconcile::shown(&work.plan, &study.facts) {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let (before, after) = (text(&change.before), text(&change.after));
            out::line(&format!("  {:<28} {before:<32} {after}", change.name));
        }
        for delivery in &work.deliveries {
            out::line(&format!("\n  to {}", delivery.destination));
            instances(&seen.import, &delivery.outcomes);
        }
    }
    for file in &seen.import.set_aside {
        out::line(&format!("  set aside  {}: {}", file.name, file.reason));
    }
    let counts = seen.import.counts();
    out::line(&format!(
        "\n{} received, {} created, {} delivered, {} set aside, in {:.2} s",
        counts.received,
        counts.created,
        counts.delivered + counts.created_delivered,
        counts.set_aside,
        seen.seconds
    ));
}

/// The outcome of every instance, a line each.
fn instances(import: &Import, outcomes: &Outcomes) {
    for (number, outcome) in outcomes.iter() {
        let Some(instance) = usize::try_from(number).ok().and_then(|n| import.instances.get(n))
        else {
            continue;
        };
        let kind = match &instance.origin {
            Origin::Received { .. } => "received",
            Origin::Created { .. } => "created",
        };
        let told = match outcome {
            InstanceOutcome::Delivered { status } => format!("delivered, status {status:04X}H"),
            InstanceOutcome::Refused { sentence, .. } => format!("refused: {sentence}"),
        };
        out::line(&format!("  {number:>4}  {kind}  {}  {told}", instance.sop_instance));
    }
}
