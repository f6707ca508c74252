//! A RIS that answers modality worklist queries (PS3.4 annex K), and misbehaves on request.
//!
//! It matches accession number and patient ID; every other key counts as unsupported, so it is ignored for matching
//! and returned (PS3.4 K.6.1.2). Invariant: it returns only attributes that were asked for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dicom_dictionary_std::tags;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dicom::{CharacterSets, Code, DataSet, Item, Step, Tag, VR};
use crate::dimse::{self, Find, Flow, Offer, Rejection, Request, ServerAssociation, Status, Terms};

const CONNECTIONS: usize = 64;

/// How it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Rejects every association: calling AE title not recognised.
    RefuseAssociation,
    /// Takes the query and never answers.
    Stall,
    /// Answers this at once.
    Fail(Status),
    /// Returns at most so many matches and says success: the cap that nobody sees.
    Cap(usize),
    /// Aborts behind so many matches.
    AbortAfter(usize),
    /// Ignores every key and returns all.
    IgnoreKeys,
    /// Returns the same matches for ever and does not hear C-CANCEL.
    Endless,
    /// Returns every match twice.
    Twice,
    /// Writes Latin-1 and does not say so.
    Undeclared,
}

struct Orders {
    items: Mutex<Vec<Item>>,
    fault: Mutex<Fault>,
    queries: Mutex<u32>,
}

/// A running RIS on loopback. Dropping it stops it.
pub struct Ris {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    orders: Arc<Orders>,
}

impl Ris {
    /// Starts on a free port.
    pub async fn start(items: Vec<Item>, fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let orders = Arc::new(Orders {
            items: Mutex::new(items),
            fault: Mutex::new(fault),
            queries: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (inner, token) = (Arc::clone(&orders), stop.clone());
        tasks.spawn(async move {
            let connection = |stream, from| serve(stream, from, Arc::clone(&inner), token.clone());
            dimse::listen(listener, token.clone(), Duration::from_secs(1), CONNECTIONS, connection)
                .await;
        });
        Ok(Self { address, stop, tasks, orders })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// C-FIND requests so far.
    pub fn queries(&self) -> u32 {
        *self.orders.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub fn set_items(&self, items: Vec<Item>) {
        *self.orders.items.lock().unwrap_or_else(PoisonError::into_inner) = items;
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.orders.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Ris {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Orders {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn matches(&self, identifier: &DataSet, fault: Fault) -> Vec<DataSet> {
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        *queries = queries.saturating_add(1);
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted =
            items.iter().filter(|item| fault == Fault::IgnoreKeys || fits(item, identifier));
        let mut found: Vec<DataSet> = wanted.flat_map(entries).collect();
        for entry in &mut found {
            let unasked: Vec<Tag> = entry
                .iter()
                .map(|(tag, _)| tag)
                .filter(|tag| {
                    *tag != tags::SPECIFIC_CHARACTER_SET && identifier.get(*tag).is_none()
                })
                .collect();
            for tag in unasked {
                entry.remove(tag);
            }
        }
        found
    }
}

fn fits(item: &Item, identifier: &DataSet) -> bool {
    let key = |tag| identifier.text(tag).filter(|text| text.trim() != "*");
    let same = |wanted: Option<String>, value: Option<&str>| {
        wanted.is_none_or(|wanted| value == Some(wanted.trim()))
    };
    let accession = item.accession_number.as_ref().map(|accession| accession.number.as_str());
    let patient = item.patient.id.as_ref().map(|id| id.id.as_str());
    same(key(tags::ACCESSION_NUMBER), accession) && same(key(tags::PATIENT_ID), patient)
}

async fn serve(stream: TcpStream, from: SocketAddr, orders: Arc<Orders>, stop: CancellationToken) {
    let refuse = orders.fault() == Fault::RefuseAssociation;
    let decide = |_: &dimse::Caller| {
        if refuse {
            return Err(Rejection::CallingUnknown);
        }
        Ok(vec![Offer::verification(), Offer::worklist()])
    };
    let accepted = dimse::accept_tcp(stream, from, &Terms::default(), decide).await;
    let Ok(mut association) = accepted else {
        return;
    };
    loop {
        let request = tokio::select! {
            request = association.next_request() => request,
            () = stop.cancelled() => return association.abort().await,
        };
        let answered = match request {
            Ok(Some(Request::Echo(echo))) => association.respond_echo(echo, Status::SUCCESS).await,
            Ok(Some(Request::Find(find))) => {
                match answer(&mut association, &find, &orders, &stop).await {
                    Ok(Some(status)) => association.respond_find(&find, status).await,
                    Ok(None) => return association.abort().await,
                    Err(error) => Err(error),
                }
            }
            Ok(Some(Request::Retrieve(asked))) => {
                let (status, none) = (Status::CLASS_NOT_SUPPORTED, Default::default());
                association.respond_retrieve(&asked, status, none, None).await
            }
            Ok(Some(Request::Store(store))) => {
                association.respond_store(&store, Status::CLASS_NOT_SUPPORTED).await
            }
            // It offers no commitment.
            Ok(Some(Request::Commit(_) | Request::Report(_))) => return association.abort().await,
            Ok(None) | Err(_) => return,
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Sends the matches; gives the final status, or `None` to abort.
async fn answer(
    association: &mut ServerAssociation,
    find: &Find,
    orders: &Orders,
    stop: &CancellationToken,
) -> Result<Option<Status>, dimse::Error> {
    let fault = orders.fault();
    let mut found = orders.matches(&find.identifier, fault);
    match fault {
        Fault::Stall => {
            stop.cancelled().await;
            return Ok(None);
        }
        Fault::Fail(status) => return Ok(Some(status)),
        Fault::Cap(limit) | Fault::AbortAfter(limit) => found.truncate(limit),
        Fault::Endless => loop {
            if found.is_empty() {
                return Ok(None);
            }
            for entry in &found {
                // What it says of a C-CANCEL is not looked at; an abort ends this.
                association.respond_match(find, entry).await?;
            }
        },
        Fault::Twice => found = [found.clone(), found].concat(),
        Fault::Undeclared => {
            for entry in &mut found {
                entry.re_encode(&CharacterSets::parse(Some(b"ISO_IR 100")));
                entry.remove(tags::SPECIFIC_CHARACTER_SET);
            }
        }
        Fault::None | Fault::RefuseAssociation | Fault::IgnoreKeys => {}
    }
    for entry in &found {
        if association.respond_match(find, entry).await? == Flow::Cancelled {
            return Ok(Some(Status::CANCELLED));
        }
    }
    Ok(match fault {
        Fault::AbortAfter(_) => None,
        _ => Some(Status::SUCCESS),
    })
}

/// The worklist entries of an item: one a step.
fn entries(item: &Item) -> Vec<DataSet> {
    let none = [Step::default()];
    let steps = if item.steps.is_empty() { &none[..] } else { &item.steps[..] };
    steps.iter().map(|step| entry(item, step)).collect()
}

fn entry(item: &Item, step: &Step) -> DataSet {
    let mut set = Entry::default();
    set.text(tags::SPECIFIC_CHARACTER_SET, VR::CS, Some(&CharacterSets::utf8().term()));
    let accession = item.accession_number.as_ref();
    set.text(tags::ACCESSION_NUMBER, VR::SH, accession.map(|a| a.number.as_str()));
    if let Some(issuer) = accession.and_then(|a| a.issuer.as_deref()) {
        let mut inner = Entry::default();
        inner.text(tags::LOCAL_NAMESPACE_ENTITY_ID, VR::UT, Some(issuer));
        set.0.put_items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, vec![inner.0]);
    }
    set.text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, item.referring_physician.as_deref());
    let patient = &item.patient;
    set.text(tags::PATIENT_NAME, VR::PN, patient.name.as_ref().map(|name| name.as_str()));
    set.text(tags::PATIENT_ID, VR::LO, patient.id.as_ref().map(|id| id.id.as_str()));
    let issuer = patient.id.as_ref().and_then(|id| id.issuer.as_deref());
    set.text(tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer);
    if let Some((universal, kind)) = &item.issuer_universal {
        let mut inner = Entry::default();
        inner.text(tags::UNIVERSAL_ENTITY_ID, VR::UT, Some(universal));
        inner.text(tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS, Some(kind));
        set.0.put_items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, vec![inner.0]);
    }
    let birth_date = patient.birth_date.map(|date| date.to_dicom());
    set.text(tags::PATIENT_BIRTH_DATE, VR::DA, birth_date.as_deref());
    set.text(tags::PATIENT_SEX, VR::CS, Some(patient.sex.as_str()));
    set.text(tags::STUDY_INSTANCE_UID, VR::UI, item.study_uid.as_ref().map(|uid| uid.as_str()));
    set.text(tags::REQUESTING_PHYSICIAN, VR::PN, item.requesting_physician.as_deref());
    set.text(tags::REQUESTING_SERVICE, VR::LO, item.requesting_service.as_deref());
    let description = item.requested_procedure_description.as_deref();
    set.text(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, description);
    set.codes(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, &item.requested_procedure_codes);
    set.text(tags::ADMISSION_ID, VR::LO, item.admission_id.as_deref());
    set.text(tags::REQUESTED_PROCEDURE_ID, VR::SH, item.requested_procedure_id.as_deref());
    set.text(tags::REASON_FOR_THE_REQUESTED_PROCEDURE, VR::LO, item.reason.as_deref());
    let mut inner = Entry::default();
    inner.text(tags::MODALITY, VR::CS, step.modality.as_deref());
    let station = step.station.as_ref().map(|title| title.as_str());
    inner.text(tags::SCHEDULED_STATION_AE_TITLE, VR::AE, station);
    inner.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, step.start_date.as_deref());
    inner.text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, step.start_time.as_deref());
    inner.text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, step.description.as_deref());
    inner.codes(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, &step.protocol_codes);
    inner.text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, step.id.as_deref());
    inner.text(tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, step.status.as_deref());
    set.0.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![inner.0]);
    set.0
}

/// A data set being written, in UTF-8.
#[derive(Default)]
struct Entry(DataSet);

impl Entry {
    /// Absent values are returned empty, as type 2 wants them.
    fn text(&mut self, tag: Tag, vr: VR, text: Option<&str>) {
        let put = self.0.put_text(tag, vr, text.unwrap_or(""), &CharacterSets::utf8());
        debug_assert!(put, "UTF-8 holds every text");
    }

    fn codes(&mut self, tag: Tag, codes: &[Code]) {
        let items = codes.iter().map(|code| {
            let mut inner = Self::default();
            inner.text(tags::CODE_VALUE, VR::SH, Some(&code.value));
            inner.text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, Some(&code.scheme));
            if let Some(version) = &code.version {
                inner.text(tags::CODING_SCHEME_VERSION, VR::SH, Some(version));
            }
            inner.text(tags::CODE_MEANING, VR::LO, Some(&code.meaning));
            inner.0
        });
        let items: Vec<DataSet> = items.collect();
        if !items.is_empty() {
            self.0.put_items(tag, items);
        }
    }
}

#[cfg(test)]
mod tests;
