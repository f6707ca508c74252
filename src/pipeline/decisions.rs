//! From a decision to an order: a person's word, the plan, and where the study goes.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::handle::{Choice, Pipeline, Seen};
use super::patients::beside_the_study;
use super::refusal::Refusal;
use super::{Settings, compared, stages};
use crate::dicom::{Item, Uid};
use crate::forward;
use crate::import::routes::{self, Decided, RouteSection, Traits};
use crate::import::{
    Actor, DestinationName, Event, Import, ImportId, Kind, Order, Over, Study, StudyState, Way, Why,
};
use crate::matching::{Authority, Candidate, Decision, Evidence, Rejected, Target, rejected};
use crate::reconcile;

/// A person who decides waits no longer than this for a worklist that does not answer.
const REREAD_TIME: Duration = Duration::from_secs(10);

const MEANWHILE: &str = "this study was decided or sent meanwhile, or is not ready to be decided; nothing was changed, \
                         look at it again";

const SENT: &str = "some of this study was sent, or may have been, as it was decided before; press retry, or reject it \
                    and import it again";

impl Pipeline {
    /// Files a study as a person says, contradictions overridden and noted.
    pub async fn decide(
        &self,
        id: ImportId,
        study: Uid,
        choice: Choice,
        reason: String,
        actor: Actor,
    ) -> Result<(), Refusal> {
        if reason.trim().is_empty() {
            return Err(Refusal::Invalid(
                "a decision needs a reason; say in a few words why".into(),
            ));
        }
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let Some(found) = import.study(&study) else {
            return Err(Refusal::Invalid(
                "this import holds no such study; look at it with `lotse show`".into(),
            ));
        };
        let (is_open, why_not) = match (&choice, &found.state) {
            (Choice::Reject, _) => (import.may_reject(found), MEANWHILE),
            (_, StudyState::Quarantined { work: Some(_), .. }) => (import.may_decide(found), SENT),
            _ => (import.may_decide(found), MEANWHILE),
        };
        if !is_open {
            return Err(Refusal::NotNow(why_not.into()));
        }
        let event = match choice {
            Choice::Reject => Event::Rejected { study, reason, actor },
            Choice::Items { item_ids, seen, looked } => {
                as_seen(&found.state, &item_ids, &seen)?;
                let Meant { items, evidence, mut overridden, doubts } =
                    self.find_items(&import, found, &item_ids).await?;
                let items = self.all_as_now(items).await?;
                let target = Target::of_orders(items)
                    .map_err(|error| Refusal::Invalid(error.to_string()))?;
                looked_at("order", looked, &doubts)?;
                add(&mut overridden, &doubts);
                add(&mut overridden, &held_by(found, &target));
                let decision = Decision {
                    target,
                    authority: Authority::Person { actor: actor.0, reason },
                    // They are of one patient: what speaks for one of them speaks for all.
                    evidence,
                    overridden,
                    rejected: not_taken(found, &item_ids),
                    at: self.shared.clock.now(),
                };
                self.order(&import, found, decision).await?
            }
            Choice::NoOrder { patient, seen } => {
                let complete = patient.id.as_ref().is_some_and(|id| !id.id.trim().is_empty())
                    && patient.name.is_some();
                if !complete {
                    return Err(Refusal::Invalid(
                        "a patient without an order needs at least a patient ID and a name".into(),
                    ));
                }
                let look = self.look_at(&import, found, &patient).await;
                looked_at("patient", seen, &look.doubts)?;
                let target = Target::NoOrder(patient);
                let overridden = [look.doubts, held_by(found, &target)].concat();
                let decision = Decision {
                    target,
                    authority: Authority::Person { actor: actor.0, reason },
                    evidence: look.evidence,
                    overridden,
                    rejected: vec![],
                    at: self.shared.clock.now(),
                };
                self.order(&import, found, decision).await?
            }
        };
        if let Event::Decided { study, order } = &event {
            // As it is now: the worklist may have taken its time.
            let import = self.import(id).ok_or(Refusal::Unknown)?;
            let found = import.study(study).filter(|found| import.may_decide(found));
            let found = found.ok_or_else(|| Refusal::NotNow(MEANWHILE.into()))?;
            if !import.may_decide_for(found, order.decision.target.patient()) {
                return Err(Refusal::NotNow(
                    "some of this study may have been sent for the patient it was decided for; decide it for that \
                     patient, or reject it and import it again"
                        .into(),
                ));
            }
        }
        // While it was looked at anew, it may have been decided.
        self.report(id, event).await.map_err(|refusal| refusal.in_words(MEANWHILE))
    }

    /// The order for a decision: its plan, and the way it takes, fixed at this moment.
    pub(super) async fn order(
        &self,
        import: &Import,
        study: &Study,
        decision: Decision,
    ) -> Result<Event, Refusal> {
        let settings = self.shared.settings();
        let (route, why) = self.route(import, study, &decision, &settings).await?;
        let (destinations, not_back) = destinations(import, route, &settings)?;
        let local = compared::local(&decision.target);
        let at = decision.at.timestamp().to_zoned(settings.zone.clone());
        let plan = reconcile::plan(local, &study.facts, &settings.site, &at);
        let own = |name: &DestinationName| {
            let section = &settings.destinations.get(name)?.coercion;
            let mut coercion = settings.site.coercion.with(section);
            if let Some(route) = route {
                coercion = coercion.with(&route.coercion);
            }
            if coercion == settings.site.coercion {
                return None;
            }
            let site = reconcile::Site { coercion, ..settings.site.clone() };
            Some((name.clone(), reconcile::plan(local, &study.facts, &site, &at)))
        };
        let plans = destinations.iter().filter_map(own).collect();
        let compressed = route.and_then(|route| route.compressed);
        let route = route.map(|route| route.name.clone());
        let (way, over) = (Some(Way { why, not_back }), Over::of(&decision.authority));
        let order =
            Box::new(Order { decision, plan, plans, destinations, route, compressed, way, over });
        Ok(Event::Decided { study: study.uid.clone(), order })
    }

    /// The route that the study takes, unless the request names a destination, and why.
    async fn route<'a>(
        &self,
        import: &Import,
        study: &Study,
        decision: &Decision,
        settings: &'a Settings,
    ) -> Result<(Option<&'a RouteSection>, Why), Refusal> {
        if import.request.destination.is_some() {
            return Ok((None, Why::Requested));
        }
        if settings.routes.is_empty() {
            return Ok((None, Why::NoRoutes));
        }
        let looks_inside = settings.routes.iter().any(|route| !route.tags.is_empty());
        let header = match compared::first(import, study).filter(|_| looks_inside) {
            None => None,
            Some(first) => {
                let unreadable = || {
                    Refusal::NotNow("the local copy of this study cannot be read, so no route can be chosen; import it again".into())
                };
                let spool = self.shared.spool.import(import.id).map_err(|_| unreadable())?;
                let read = tokio::task::spawn_blocking(move || compared::header(&spool, &first));
                Some(read.await.ok().flatten().ok_or_else(unreadable)?)
            }
        };
        let traits = Traits {
            source: stages::source(import).unwrap_or("upload"),
            facts: &study.facts,
            modalities: &study.modalities,
            decided: &Decided::of(decision),
            text: &|tag| header.as_ref()?.text(tag),
        };
        let route = routes::choose(&settings.routes, &traits);
        let why = route.map_or(Why::NoRouteFits, |route| Why::Route { met: route.met(&traits) });
        Ok((route, why))
    }

    /// The orders as the worklist tells them now: between looking and deciding the patient may have been merged, or an
    /// order cancelled. Where nobody answers in time, what the person looked at counts.
    async fn all_as_now(&self, items: Vec<Item>) -> Result<Vec<Item>, Refusal> {
        let read = async {
            let mut now = Vec::with_capacity(items.len());
            for item in &items {
                now.push(self.as_now(item).await?);
            }
            Ok::<_, Refusal>(now)
        };
        match tokio::time::timeout(REREAD_TIME, read).await {
            Ok(now) => now,
            Err(_) => Ok(items),
        }
    }

    async fn as_now(&self, item: &Item) -> Result<Item, Refusal> {
        let worklist = self.shared.settings().worklist.clone();
        match worklist.reread(item).await {
            Ok(Some(now)) if now.patient == item.patient => Ok(now),
            Ok(Some(_)) => Err(Refusal::NotNow(
                "the worklist tells the patient of this order otherwise than before; press retry, and compare \
                 again"
                    .into(),
            )),
            Ok(None) => Err(Refusal::NotNow(
                "the worklist does not hold this order any more; press retry, and choose again".into(),
            )),
            Err(_) => Ok(item.clone()),
        }
    }

    /// The items that a person named: each among the candidates, or else in the worklist as it is now. Those that
    /// are no candidates are held against the study here: nobody has seen yet what speaks against them.
    async fn find_items(
        &self,
        import: &Import,
        study: &Study,
        item_ids: &[String],
    ) -> Result<Meant, Refusal> {
        let known: &[Candidate] = match &study.state {
            StudyState::AwaitingDecision { outcome } => &outcome.candidates,
            _ => &[],
        };
        let (mut meant, mut evidence, mut listed) = (Meant::default(), None, None);
        for item_id in item_ids {
            if let Some(candidate) = the_one(known, item_id)? {
                meant.items.push(candidate.item.clone());
                // They are of one patient: what speaks for the first of them speaks for all.
                evidence.get_or_insert_with(|| candidate.evidence.clone());
                add(&mut meant.overridden, &candidate.contradictions);
                continue;
            }
            let now = match listed.take() {
                Some(now) => now,
                None => self.worklist(None, None).await?.0,
            };
            let found = listed_as(&now, item_id)?.cloned();
            listed = Some(now);
            let item = found.ok_or_else(|| {
                Refusal::Invalid(
                    "the worklist holds no such item now; list what it holds with `lotse worklist`"
                        .into(),
                )
            })?;
            let (doubts, beside) = beside_the_study(import, study, item.clone());
            meant.items.push(item);
            evidence.get_or_insert(beside);
            add(&mut meant.doubts, &doubts);
        }
        meant.evidence = evidence.unwrap_or_default();
        Ok(meant)
    }
}

/// The items that a person named, beside the study.
#[derive(Default)]
struct Meant {
    items: Vec<Item>,
    evidence: Vec<Evidence>,
    /// What speaks against candidates, as it was shown.
    overridden: Vec<String>,
    /// What speaks against the others.
    doubts: Vec<String>,
}

/// Each is said once.
fn add(all: &mut Vec<String>, more: &[String]) {
    for said in more {
        if !all.contains(said) {
            all.push(said.clone());
        }
    }
}

/// What nobody has held against the study before needs a second look if something speaks against it.
fn looked_at(what: &str, seen: Seen, doubts: &[String]) -> Result<(), Refusal> {
    if seen == Seen::Again || doubts.is_empty() {
        return Ok(());
    }
    Err(Refusal::NotNow(format!(
        "look again at the {what}: {}; send the decision as confirmed if this {what} is meant",
        doubts.join("; ")
    )))
}

/// What a person saw of these items is still so.
fn as_seen(
    state: &StudyState,
    item_ids: &[String],
    seen: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let stands = |(item_id, seen): (&String, &String)| match state {
        StudyState::AwaitingDecision { outcome } => {
            let mut candidates = outcome.candidates.iter();
            candidates.any(|known| known.item_id == *item_id && outcome.seen(known) == *seen)
        }
        _ => false,
    };
    if item_ids.iter().filter_map(|item_id| seen.get_key_value(item_id)).all(stands) {
        return Ok(());
    }
    Err(Refusal::NotNow(
        "the order, its patient or what speaks against it has changed since you looked; nothing was filed, compare \
         again"
            .into(),
    ))
}

/// The candidate of this name.
pub(super) fn the_one<'a>(
    known: &'a [Candidate],
    item_id: &str,
) -> Result<Option<&'a Candidate>, Refusal> {
    let meant = known.iter().filter(|known| known.item_id == item_id);
    of_one_patient(meant, |known| &known.item)
}

/// The item of this name in the worklist.
fn listed_as<'a>(listed: &'a [Item], item_id: &str) -> Result<Option<&'a Item>, Refusal> {
    of_one_patient(listed.iter().filter(|item| item.item_id() == item_id), |item| item)
}

/// The first of what is told of one order. Sources that tell it with different patients leave nobody to be meant.
fn of_one_patient<'a, T>(
    mut told: impl Iterator<Item = &'a T>,
    item: impl Fn(&'a T) -> &'a Item,
) -> Result<Option<&'a T>, Refusal> {
    let Some(one) = told.next() else { return Ok(None) };
    if told.any(|other| item(other).patient != item(one).patient) {
        return Err(Refusal::NotNow(
            "the worklist tells this order more than once, with different patients; have it corrected there, and \
             press retry"
                .into(),
        ));
    }
    Ok(Some(one))
}

/// What held a study, contradictions or a destination, which a person's decision for this target overrides. That a
/// destination holds it for somebody else was said of the patient it was decided for: for another one it is asked anew.
fn held_by(study: &Study, target: &Target) -> Vec<String> {
    match &study.state {
        StudyState::AwaitingDecision { outcome } => outcome.contradictions.clone(),
        StudyState::Quarantined { work: Some(work), .. } if work.is_for(target.patient()) => {
            work.held()
        }
        _ => vec![],
    }
}

/// The candidates that a person saw and did not take.
fn not_taken(study: &Study, item_ids: &[String]) -> Vec<Rejected> {
    let (StudyState::AwaitingDecision { outcome }, Some(first)) = (&study.state, item_ids.first())
    else {
        return vec![];
    };
    let taken = |other: &Rejected| item_ids.contains(&other.item_id);
    let mut others = rejected(&outcome.candidates, first);
    others.retain(|other| !taken(other));
    others
}

/// Who had the studies of an import before.
enum Origin<'a> {
    Peer(&'a str),
    /// Of a DICOMweb service, before `/studies`.
    Service(&'a Url),
}

impl Origin<'_> {
    /// Whether a destination leads back there. Services of one host are taken for one archive.
    fn is_behind(&self, target: &forward::Target) -> bool {
        match (self, target) {
            (Self::Peer(peer), forward::Target::Peer { name, .. }) => peer == name,
            (Self::Service(base), forward::Target::Stow(stow)) => {
                base.origin() == stow.url().origin()
            }
            _ => false,
        }
    }
}

/// Where a study of this import goes: as requested, else by its route, else everywhere; but not back to the peer or
/// service it came from, unless it is asked for or the destination says so. With those that are left out for that.
fn destinations(
    import: &Import,
    route: Option<&RouteSection>,
    settings: &Settings,
) -> Result<(Vec<DestinationName>, Vec<DestinationName>), Refusal> {
    let from = match &import.kind {
        Kind::Association { peer, .. } | Kind::Retrieval { peer } => Some(Origin::Peer(peer)),
        Kind::Dicomweb { service } => {
            settings.sources.services.get(service).map(|service| Origin::Service(&service.base))
        }
        Kind::Link { .. } | Kind::Upload => None,
    };
    let back = |name: &DestinationName| {
        settings.destinations.get(name).is_some_and(|destination| {
            let leads_back = from.as_ref().is_some_and(|from| from.is_behind(&destination.target));
            leads_back && !destination.send_back
        })
    };
    let mut names = settings.destinations.names();
    names.retain(|name| match (&import.request.destination, route) {
        (Some(wanted), _) => wanted == name,
        (None, Some(route)) => route.destinations.contains(&name.0),
        (None, None) => true,
    });
    let asked_for = import.request.destination.is_some();
    let (not_back, names): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| !asked_for && back(name));
    if names.is_empty() {
        return Err(Refusal::NotNow(
            "no destination is configured that this study may go to; add one to the configuration, \
             reload, and press retry"
                .into(),
        ));
    }
    Ok((names, not_back))
}

#[cfg(test)]
mod tests;
