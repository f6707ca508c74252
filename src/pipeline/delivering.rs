//! One run of a delivery: its turn in the lane, what is sent, what is recorded of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::lanes::{Lane, Rank};
use super::progress::Counters;
use super::shared::Shared;
use super::stages::{Stages, failed};
use super::{Backoff, Pipeline};
use crate::clock::Moment;
use crate::dicom::Uid;
use crate::forward::{Brake, Ended, Gone, Recorder, Retry, Run, Stored};
use crate::import::{DestinationName, Event, ImportId, InstanceOutcome, Kind, Stage, StudyState};

/// How often what waits for its turn looks whether it has waited long enough.
const LOOK: Duration = Duration::from_secs(1);

impl Stages {
    pub(super) async fn send(
        &self,
        id: ImportId,
        uid: Uid,
        destination: DestinationName,
        brake: &Brake,
    ) -> Option<Event> {
        let shared = &self.pipeline.shared;
        let lane = shared.lanes.of(&destination);
        let rank = match self.pipeline.import(id)?.kind {
            Kind::Link { .. } | Kind::Upload | Kind::Retrieval { .. } | Kind::Dicomweb { .. } => {
                Rank::Person
            }
            Kind::Association { .. } => Rank::Burst,
        };
        let open = |now| self.is_open(&destination, now);
        let turn = tokio::select! {
            biased;
            turn = lane.turn(rank, &shared.clock, open, brake.either()) => Ok(turn?),
            sentence = self.waited_out(&lane, &destination) => Err(sentence),
        };
        // It may have waited for long. What keeps it from being sent at all is found before it begins: what has begun
        // may have left.
        let attempts = self.pipeline.import(id)?.study(&uid)?.awaits_turn(&destination)?.attempts;
        let settings = &shared.settings();
        let _turn = match turn {
            Ok(turn) if settings.destinations.get(&destination).is_some() => turn,
            Ok(_) => return Some(failed(Stage::Forward, Some(uid), gone(&destination))),
            Err(sentence) => return Some(failed(Stage::Forward, Some(uid), sentence)),
        };
        let spool = match shared.spool.import(id) {
            Ok(spool) => spool,
            Err(error) if error.is_passing() => {
                // No fault of the destination's: its own `retry` has no say.
                let wait = settings.backoff.jittered(attempts.saturating_add(1), seed(id));
                let (due, sentence) = (shared.clock.now().after(wait), error.to_string());
                return Some(Event::DeliveryPostponed {
                    study: uid,
                    destination,
                    due,
                    sentence,
                    unsent: true,
                    unanswered: vec![],
                });
            }
            Err(error) => return Some(failed(Stage::Forward, Some(uid), error.to_string())),
        };
        self.begin(id, Stage::Forward, Some(&uid), Some(&destination)).await?;
        let import = self.pipeline.import(id)?;
        let study = import.study(&uid)?;
        let work = study.work()?;
        let delivery = work.deliveries.iter().find(|d| d.destination == destination)?;
        let waiting = study.instances.iter().filter(|n| delivery.outcomes.get(**n).is_none());
        let instances = waiting.filter_map(|number| {
            let index = usize::try_from(*number).ok()?;
            Some((*number, Arc::clone(import.instances.get(index)?)))
        });
        let outcomes = Arc::new(Outcomes {
            pipeline: self.pipeline.clone(),
            counters: shared.counters(import.id),
            unanswered: Mutex::default(),
            lane: Arc::clone(&lane),
            import: import.id,
            study: uid.clone(),
            destination: destination.clone(),
        });
        let run = Run {
            study: uid.clone(),
            facts: study.facts.clone(),
            plan: work.plan_for(&destination).clone(),
            compressed: match work.compressed {
                Some(compressed) => compressed,
                None => settings.destinations.get(&destination)?.compressed,
            },
            stored: match delivery.delivered() {
                0 => Stored::Nothing,
                _ => Stored::Some,
            },
            may_hold: Arc::clone(&delivery.may_hold),
            overridden: work.decision.overridden.clone(),
            instances: instances.collect(),
            spool,
            brake: brake.clone(),
            recorder: Arc::clone(&outcomes) as Arc<dyn Recorder>,
        };
        let attempts = delivery.attempts;
        let ended = settings.destinations.deliver(&destination, run).await;
        let unanswered = outcomes.take_unanswered();
        let found = settings.destinations.get(&destination).map(|found| &found.retries);
        let retry = found.and_then(|found| found.whole.as_ref());
        let retry_objects = found.and_then(|found| found.objects.as_ref()).or(retry);
        let backoff = |retry: Option<&Retry>| {
            retry.cloned().map_or_else(|| settings.backoff.clone(), Backoff::of)
        };
        let (whole, objects) = (backoff(retry), backoff(retry_objects));
        let mut rests = false;
        let sentence = match ended {
            // Nothing is forwarding any more that has all its outcomes; anything else would wait for ever.
            Ended::Complete if !self.is_unanswered(import.id, &uid, &destination) => {
                wake(shared, &lane, &destination);
                return None;
            }
            Ended::Complete => {
                "sending ended without an outcome for every instance; it is tried again".to_owned()
            }
            Ended::Postponed { sentence, pause_destination } => {
                rests = pause_destination && !brake.is_stopped();
                sentence
            }
            Ended::Held { sentence } => {
                wake(shared, &lane, &destination);
                return Some(Event::Held { study: uid, destination, sentence });
            }
        };
        // A stop is no fault of the destination: the next start goes on at once.
        let wait = match brake.is_stopped() {
            true => Duration::ZERO,
            false => objects.jittered(attempts.saturating_add(1), seed(import.id)),
        };
        let now = shared.clock.now();
        let due = if rests {
            alarm(shared, &destination, &sentence);
            lane.rest(now, &whole)
        } else {
            // What a brake ended has not shown that the destination is there.
            if !brake.is_stopped() {
                wake(shared, &lane, &destination);
            }
            now.after(wait)
        };
        let ends = if rests { retry } else { retry_objects }.and_then(|retry| retry.end);
        let postponed = |study: Uid, due, sentence: &str| Event::DeliveryPostponed {
            study,
            destination: destination.clone(),
            due,
            sentence: sentence.to_owned(),
            unsent: unanswered.is_empty(),
            unanswered: unanswered.clone(),
        };
        let mut due = due;
        if let Some(end) = ends.filter(|_| !brake.is_stopped()) {
            let since = self.fails_since(import.id, &uid, &destination).unwrap_or(now);
            // What nobody was let try did not fail.
            let kept_out = lane.kept_out_since(since);
            if now.since(since) >= end.saturating_add(kept_out) {
                // A retry has to know what may be there.
                let event = postponed(uid.clone(), due, &sentence);
                let _ = self.pipeline.report(import.id, event).await;
                let end = humantime::format_duration(end);
                let sentence = format!(
                    "{sentence}; {destination} was tried for {end}, as its `retry` says; mend the cause and press \
                     retry"
                );
                return Some(failed(Stage::Forward, Some(uid), sentence));
            }
            // The last time at the end, not after it.
            due = due.earlier(since.after(end.saturating_add(kept_out)));
        }
        Some(postponed(uid, due, &sentence))
    }

    /// Whether a study may be begun now by what the configuration says of its destination.
    fn is_open(&self, name: &DestinationName, now: Moment) -> bool {
        let settings = self.pipeline.shared.settings();
        let local = now.timestamp().to_zoned(settings.zone.clone()).time();
        settings.destinations.get(name).is_none_or(|found| found.pace.is_open(local))
    }

    /// Ends, with a sentence, when what waits for its turn from now on waits in vain: its destination is not configured
    /// any more, or took nothing as long as its `retry` says, and might have taken something.
    async fn waited_out(&self, lane: &Lane, name: &DestinationName) -> String {
        let shared = &self.pipeline.shared;
        let began = shared.clock.now();
        let mut kept_out = None;
        loop {
            let settings = shared.settings();
            // A person who has paused it cannot let it go on then.
            let Some(found) = settings.destinations.get(name) else { return gone(name) };
            let end = found.retries.whole.as_ref().and_then(|retry| retry.end);
            let now = shared.clock.now();
            if lane.is_paused() || !self.is_open(name, now) {
                lane.keep_out(kept_out.replace(now).unwrap_or(now), now);
                tokio::time::sleep(LOOK).await;
                continue;
            }
            kept_out = None;
            if let (Some(end), Some(since)) = (end, lane.fails_since()) {
                let since = since.later(began);
                if now.since(since) >= end.saturating_add(lane.kept_out_since(since)) {
                    let end = humantime::format_duration(end);
                    return format!(
                        "{name} took nothing for {end}, as long as its `retry` says; mend the cause and press retry"
                    );
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When the first run ended of those that have delivered nothing since: as it is now, behind this one.
    fn fails_since(&self, id: ImportId, uid: &Uid, to: &DestinationName) -> Option<Moment> {
        let import = self.pipeline.import(id)?;
        let deliveries = &import.study(uid)?.work()?.deliveries;
        deliveries.iter().find(|delivery| delivery.destination == *to)?.fails_since
    }

    /// Whether a delivery that is still under way lacks outcomes.
    fn is_unanswered(&self, id: ImportId, uid: &Uid, destination: &DestinationName) -> bool {
        let Some(import) = self.pipeline.import(id) else { return false };
        import.study(uid).is_some_and(|study| match &study.state {
            StudyState::Forwarding(work) => work.deliveries.iter().any(|delivery| {
                delivery.destination == *destination
                    && delivery.outcomes.len() < study.instances.len()
            }),
            _ => false,
        })
    }
}

fn gone(destination: &DestinationName) -> String {
    format!(
        "destination {destination} is not configured any more; configure it again and press retry"
    )
}

/// The destination took something.
fn wake(shared: &Shared, lane: &Lane, destination: &DestinationName) {
    if lane.wake() {
        let beginning = takes_nothing(destination);
        shared.log(|log| log.settle_alarm(&beginning));
    }
}

/// A person sees at once that a destination takes nothing, not only in each of its studies.
fn alarm(shared: &Shared, destination: &DestinationName, sentence: &str) {
    let beginning = takes_nothing(destination);
    shared.log(|log| log.alarm_instead(&beginning, format!("{beginning}: {sentence}")));
}

fn takes_nothing(destination: &DestinationName) -> String {
    format!("destination {destination} takes nothing now")
}

/// Spreads the waits of different imports.
pub(super) fn seed(id: ImportId) -> u64 {
    let (_, random) = id.as_bytes().split_at(8);
    random.try_into().map_or(0, u64::from_le_bytes)
}

/// Makes the outcomes of a delivery run durable.
struct Outcomes {
    pipeline: Pipeline,
    counters: Arc<Counters>,
    /// What left without an answer.
    unanswered: Mutex<BTreeSet<u32>>,
    lane: Arc<Lane>,
    import: ImportId,
    study: Uid,
    destination: DestinationName,
}

impl Outcomes {
    fn take_unanswered(&self) -> Vec<u32> {
        let mut all = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all).into_iter().collect()
    }
}

#[async_trait]
impl Recorder for Outcomes {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone> {
        let (study, destination) = (self.study.clone(), self.destination.clone());
        let took = outcomes.iter().any(|(_, outcome)| outcome.is_delivered());
        let numbers: Vec<u32> = outcomes.iter().map(|(number, _)| *number).collect();
        let event = Event::Sent { study, destination, outcomes };
        if self.pipeline.report(self.import, event).await.is_err() {
            // As if there had been no answer.
            numbers.into_iter().for_each(|number| self.unanswered(number));
            return Err(Gone);
        }
        if took {
            // Others need not wait for the end of this run.
            wake(&self.pipeline.shared, &self.lane, &self.destination);
        }
        Ok(())
    }

    fn sent_bytes(&self, bytes: u64) {
        self.counters.add_bytes(bytes);
    }

    fn unanswered(&self, number: u32) {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }
}
