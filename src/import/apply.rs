//! Applying events to an import.

use std::sync::Arc;

use super::commitment;
use super::event::{Action, Event, Illegal, Stage, Stop};
use super::instances::Instances;
use super::question::QuestionKind;
use super::restart::Restart;
use super::state::{
    File, Import, Inspected, Instance, Kind, Origin, Request, SetAside, State, Study, StudyState,
};
use super::study::awaiting_worklist;
use super::{Blob, FileKind, ImportId, documents, due};
use crate::clock::Moment;
use crate::dicom::{StudyFacts, Uid};

/// Attempts to reach a portal, or waits for it to prepare, before a person has to look.
pub const PULL_ATTEMPTS: u32 = 60;

impl Import {
    /// The import that its first event makes.
    ///
    /// # Errors
    /// [`Illegal`] if the event is not [`Event::Requested`].
    pub fn begin(id: ImportId, event: &Event, now: Moment) -> Result<(Self, Vec<Action>), Illegal> {
        let Event::Requested { kind, request } = event else {
            return Err(Illegal { event: event.name(), state: "not begun" });
        };
        let (state, actions) = match kind {
            kind if kind.is_pulled() => (requested(), vec![Action::Pull]),
            _ => (State::Receiving { last: now }, vec![]),
        };
        let import = Self {
            id,
            kind: kind.clone(),
            created: now,
            changed: now,
            request: request.clone(),
            bookmark: None,
            portal: None,
            state,
            studies: vec![],
            instances: Instances::default(),
            set_aside: vec![],
            disputed: Arc::default(),
            notes: vec![],
            promised: vec![],
            session: None,
            duplicates: 0,
        };
        Ok((import, actions))
    }

    /// Applies one event: changes the state and returns what has to be done.
    ///
    /// # Errors
    /// [`Illegal`] if the event does not fit; the import is unchanged then.
    pub fn apply(&mut self, event: &Event, now: Moment) -> Result<Vec<Action>, Illegal> {
        let illegal = Illegal { event: event.name(), state: self.state.name() };
        let actions = match event {
            Event::Requested { .. } => Err(illegal),
            Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Preparing { .. }
            | Event::Downloading
            | Event::Bookmarked { .. }
            | Event::Received { .. } => self.pulled(event, now).ok_or(illegal),
            Event::Listed { listing, session } => {
                self.listed(listing, session.as_ref()).ok_or(illegal)
            }
            Event::Chosen { chosen, .. } => self.chosen(chosen).ok_or(illegal),
            Event::Noted { notes } => Ok(self.noted(notes)),
            Event::Promised { studies } => {
                self.promised.clone_from(studies);
                Ok(vec![])
            }
            Event::Stored { instance } => self.stored(instance, now).ok_or(illegal),
            Event::BecameQuiet => match (&self.state, &self.kind) {
                (State::Receiving { .. }, Kind::Association { .. }) => Ok(self.open_studies()),
                _ => Err(illegal),
            },
            Event::Unpacked { instances, documents, set_aside } => {
                self.unpacked(instances, documents, set_aside).ok_or(illegal)
            }
            Event::Postponed { stage: Stage::Pull, due, sentence, .. } => {
                self.pull_postponed(*due, sentence).ok_or(illegal)
            }
            Event::Postponed { stage: Stage::Unpack, due: at, sentence, .. } => {
                self.unpacking_postponed(*at, sentence, now).ok_or(illegal)
            }
            Event::Failed { stage: Stage::Pull | Stage::Unpack, sentence, .. } => {
                self.failed(sentence).ok_or(illegal)
            }
            Event::Unreadable { sentence } => self.unreadable(sentence).ok_or(illegal),
            Event::Postponed { study, due, sentence, .. } => {
                let study = study.as_ref().and_then(|uid| self.study_mut(uid)).ok_or(illegal)?;
                study.worklist_postponed(*due, sentence).ok_or(illegal)
            }
            Event::Failed { stage, study, sentence } => {
                let study = study.as_ref().and_then(|uid| self.study_mut(uid)).ok_or(illegal)?;
                study.failed(*stage, sentence).ok_or(illegal)
            }
            Event::Ranked { study, outcome } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                match study.state {
                    StudyState::AwaitingWorklist { .. } | StudyState::AwaitingDecision { .. } => {
                        study.state = StudyState::AwaitingDecision { outcome: outcome.clone() };
                        Ok(vec![])
                    }
                    _ => Err(illegal),
                }
            }
            Event::OrderCame { study } => {
                self.study_mut(study).and_then(|study| study.order_came()).ok_or(illegal)
            }
            Event::Decided { study, order } => {
                self.study_mut(study).and_then(|study| study.decided(order)).ok_or(illegal)
            }
            Event::Rejected { study, reason, .. } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                study.rejected(reason, now).ok_or(illegal)
            }
            Event::Sent { study, destination, outcomes } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                study.sent(destination, outcomes).ok_or(illegal)
            }
            Event::DeliveryPostponed { study, destination, due, sentence, unsent, unanswered } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                let instances = Arc::clone(&study.instances);
                let delivery = study.delivery_postponed(destination, *due, sentence, now);
                let delivery = delivery.ok_or(illegal)?;
                match unanswered.as_slice() {
                    _ if *unsent => {}
                    [] => delivery.any_may_have_left(&instances),
                    some => delivery.left(some.iter().copied().filter(|n| instances.contains(n))),
                }
                Ok(vec![])
            }
            Event::Held { study, destination, sentence } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                study.held(destination, sentence).ok_or(illegal)
            }
            Event::Confirmed { study } => {
                self.study_mut(study).and_then(|study| study.confirmed(now)).ok_or(illegal)
            }
            Event::Retried { .. } => self.retried().ok_or(illegal),
            Event::Cancelled { .. } => self.cancelled(now).ok_or(illegal),
            Event::Restarted => Ok(self.restarted(Restart::All, now)),
            Event::Resumed { after: Stop::CutOff } => Ok(self.restarted(Restart::Begun, now)),
            Event::Resumed { after: Stop::InOrder } => Ok(self.restarted(Restart::Nothing, now)),
            Event::CameDue => Ok(due::came_due(self, now)),
            Event::Began { stage, study, destination } => {
                self.began(*stage, study.as_ref(), destination.as_ref()).ok_or(illegal)
            }
            Event::Assured { study, .. }
            | Event::CommitmentAsked { study, .. }
            | Event::CommitmentTaken { study, .. }
            | Event::CommitmentPostponed { study, .. }
            | Event::CommitmentReported { study, .. } => {
                let study = self.study_mut(study).ok_or(illegal)?;
                commitment::apply(study, event).ok_or(illegal)
            }
        }?;
        self.changed = now;
        self.close_if_ended(now);
        Ok(actions)
    }

    pub fn study(&self, uid: &Uid) -> Option<&Study> {
        self.studies.iter().find(|study| study.uid == *uid).map(|study| &**study)
    }

    pub(super) fn study_mut(&mut self, uid: &Uid) -> Option<&mut Study> {
        let unpacked = matches!(self.state, State::Unpacked);
        unpacked
            .then(|| self.studies.iter_mut().find(|study| study.uid == *uid))?
            .map(Arc::make_mut)
    }

    /// The events of a pull, and of a file that was uploaded.
    fn pulled(&mut self, event: &Event, now: Moment) -> Option<Vec<Action>> {
        let pulling = matches!(self.state, State::Requested { .. } | State::Downloading { .. });
        match event {
            Event::Asked { questions, note } => {
                let files = match &self.state {
                    State::Received { files, .. } => files.clone(),
                    _ if pulling => vec![],
                    _ => return None,
                };
                let (questions, note) = (questions.clone(), note.clone());
                self.session = None;
                self.state = State::Asking { questions, note, files };
                Some(vec![])
            }
            Event::Answered { answers, .. } => {
                let State::Asking { questions, files, .. } = &self.state else {
                    return None;
                };
                if !files.is_empty() {
                    let files = files.clone();
                    let answer = answers.get(Request::ARCHIVE_PASSWORD);
                    self.request.password = Some(answer.or(answers.values().next())?.clone());
                    self.state = received(files);
                    return Some(vec![Action::Unpack]);
                }
                // The birth date is a witness for matching, under whatever ID the portal asked for it.
                let birth_date = questions
                    .iter()
                    .filter(|question| question.kind == QuestionKind::PatBirthDate)
                    .find_map(|question| answers.get(&question.key));
                if let Some(answer) = birth_date {
                    self.request.answers.insert(Request::BIRTH_DATE.to_owned(), answer.clone());
                }
                let questions = questions.clone();
                self.note_one_time(&questions);
                self.request.answers.extend(answers.clone());
                if let Some(bookmark) = &mut self.bookmark {
                    bookmark.answered = true;
                }
                self.state = requested();
                Some(vec![Action::Pull])
            }
            Event::Bookmarked { bookmark } if pulling => {
                self.bookmark = Some(bookmark.clone());
                Some(vec![])
            }
            Event::Preparing { due, session } if pulling => {
                if session.is_some() {
                    self.session.clone_from(session);
                }
                let attempts = match self.state {
                    State::Requested { attempts, .. } => attempts + 1,
                    _ => 1,
                };
                self.state = if attempts > PULL_ATTEMPTS {
                    State::Failed {
                        sentence: "the portal keeps saying that it is preparing the examination; \
                                   try again later or ask the sender"
                            .into(),
                        again: Some(Box::new(requested())),
                    }
                } else {
                    State::Preparing { due: due.later(now), attempts }
                };
                Some(vec![])
            }
            Event::Downloading if pulling => {
                if matches!(self.state, State::Requested { .. }) {
                    self.state = State::Downloading { interrupted: 0 };
                }
                self.spend();
                Some(vec![])
            }
            Event::Received { files, portal } => {
                let uploading =
                    matches!((&self.state, &self.kind), (State::Receiving { .. }, Kind::Upload));
                if !pulling && !uploading {
                    return None;
                }
                self.portal.clone_from(portal);
                self.session = None;
                self.bookmark = None;
                self.state = received(files.clone());
                Some(vec![Action::Unpack])
            }
            _ => None,
        }
    }

    fn stored(&mut self, instance: &Inspected, now: Moment) -> Option<Vec<Action>> {
        let State::Receiving { last } = &mut self.state else {
            return None;
        };
        if !matches!(self.kind, Kind::Association { .. }) {
            return None;
        }
        *last = now;
        self.add(instance);
        Some(vec![])
    }

    fn unpacked(
        &mut self,
        instances: &[Inspected],
        documents: &[(FileKind, String, Blob)],
        set_aside: &[SetAside],
    ) -> Option<Vec<Action>> {
        if !matches!(self.state, State::Received { .. }) {
            return None;
        }
        self.set_aside.extend_from_slice(set_aside);
        for instance in instances {
            self.add(instance);
        }
        documents::attach(self, documents);
        self.hold_promises();
        if self.instances.is_empty() {
            self.state = State::Failed {
                sentence: "no DICOM object was found in what arrived; look at the files that were \
                           set aside, and import the right file or link"
                    .into(),
                again: None,
            };
            return Some(vec![]);
        }
        Some(self.open_studies())
    }

    /// Takes an instance into the books: into its study, or as a duplicate, or set aside.
    fn add(&mut self, found: &Inspected) {
        if let Some((number, known)) = self.instances.find(&found.sop_instance) {
            if known.blob.digest == found.blob.digest {
                self.duplicates += 1;
            } else {
                self.dispute(number, found);
            }
            return;
        }
        let number = self.instances.push(Instance {
            sop_class: found.sop_class.clone(),
            sop_instance: found.sop_instance.clone(),
            series: found.series.clone(),
            blob: found.blob.clone(),
            origin: Origin::Received { layout: found.layout.clone() },
        });
        let facts = &found.facts;
        let study = match self.studies.iter().position(|study| study.uid == facts.study_uid) {
            Some(index) => self.studies.get_mut(index),
            None => {
                self.studies.push(Arc::new(Study {
                    uid: facts.study_uid.clone(),
                    facts: StudyFacts::clone(facts),
                    identities: vec![],
                    modalities: vec![],
                    instances: Arc::default(),
                    state: StudyState::Inspected,
                }));
                self.studies.last_mut()
            }
        };
        if let Some(study) = study.map(Arc::make_mut) {
            Arc::make_mut(&mut study.instances).push(number);
            study.learn(&facts.patient, facts.modality.as_deref());
        }
    }

    /// Sets an object aside whose UID another one has: the first goes on, and nobody can tell which one is right.
    fn dispute(&mut self, number: u32, found: &Inspected) {
        // A burst may go on and on.
        match self.set_aside.len() {
            ..SetAside::LISTED => self.set_aside.push(SetAside {
                name: format!("SOP instance {}", found.sop_instance),
                reason: "another object with the same SOP Instance UID but different content came before it; compare \
                         both at the source"
                    .to_owned(),
            }),
            SetAside::LISTED => self.set_aside.push(SetAside::end("more objects".to_owned())),
            _ => {}
        }
        Arc::make_mut(&mut self.disputed).insert(number);
        // Sent again under another patient, the study is of two, and the rules must see that.
        let mut studies = self.studies.iter_mut();
        if let Some(study) = studies.find(|study| study.instances.contains(&number)) {
            Arc::make_mut(study).learn(&found.facts.patient, None);
        }
    }

    /// Whether another object came with the UID of this instance.
    pub fn is_disputed(&self, number: u32) -> bool {
        self.disputed.contains(&number)
    }

    /// The number of an instance of this import.
    pub fn number_of(&self, sop_instance: &Uid) -> Option<u32> {
        self.instances.find(sop_instance).map(|(number, _)| number)
    }

    /// Everything is here: every study asks the worklist.
    fn open_studies(&mut self) -> Vec<Action> {
        self.state = State::Unpacked;
        let opened = self.studies.iter_mut().map(Arc::make_mut).map(|study| {
            study.state = awaiting_worklist();
            Action::AskWorklist { study: study.uid.clone() }
        });
        opened.collect()
    }

    fn retried(&mut self) -> Option<Vec<Action>> {
        let actions = match &mut self.state {
            State::Requested { due: Some(_), .. } | State::Preparing { .. } => {
                self.state = requested();
                vec![Action::Pull]
            }
            State::Failed { again: Some(again), .. } => {
                let state = std::mem::replace(&mut **again, State::Unpacked);
                // A person wants it from the beginning, answers included; but for a password that works once.
                self.bookmark = None;
                self.session = self.session.take().filter(|session| session.one_time);
                let action = match state {
                    State::Received { .. } => Action::Unpack,
                    _ => Action::Pull,
                };
                self.state = state;
                vec![action]
            }
            // Without the password: what is not encrypted goes on.
            State::Asking { files, .. } if !files.is_empty() => {
                let files = std::mem::take(files);
                self.request.password = Some(String::new());
                self.state = received(files);
                vec![Action::Unpack]
            }
            State::Received { due: due @ Some(_), fails_since, .. } => {
                (*due, *fails_since) = (None, None);
                vec![Action::Unpack]
            }
            State::Unpacked => {
                let mut studies = self.studies.clone();
                let each = studies.iter_mut().map(Arc::make_mut);
                let retried: Vec<_> = each.filter_map(Study::retried).collect();
                // What can not be retried stays as it was.
                if retried.is_empty() {
                    return None;
                }
                self.studies = studies;
                return Some(retried.concat());
            }
            State::Requested { due: None, .. }
            | State::Asking { .. }
            | State::Choosing { .. }
            | State::Downloading { .. }
            | State::Receiving { .. }
            | State::Received { .. }
            | State::Closed { .. }
            | State::Failed { again: None, .. }
            | State::Cancelled { .. } => vec![],
        };
        (!actions.is_empty()).then_some(actions)
    }

    fn cancelled(&mut self, now: Moment) -> Option<Vec<Action>> {
        if matches!(self.state, State::Cancelled { .. } | State::Closed { .. }) {
            return None;
        }
        self.state = State::Cancelled { at: now };
        let open = self.studies.iter_mut().filter(|study| !study.is_ended());
        for study in open.map(Arc::make_mut) {
            let work = study.take_work();
            study.state = StudyState::Cancelled { at: now, work };
        }
        Some(vec![Action::Stop])
    }

    fn close_if_ended(&mut self, now: Moment) {
        let ended = self.studies.iter().all(|study| study.is_ended());
        if matches!(self.state, State::Unpacked) && ended {
            self.state = State::Closed { at: now };
        }
    }
}

pub(super) fn requested() -> State {
    State::Requested { attempts: 0, due: None, note: None }
}

/// Everything is here and has not been looked at.
pub(super) fn received(files: Vec<File>) -> State {
    State::Received {
        files,
        interrupted: 0,
        waits: 0,
        fails_since: None,
        due: None,
        note: None,
        began: false,
    }
}

/// A request without a link, as uploads and associations have it.
impl Request {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
