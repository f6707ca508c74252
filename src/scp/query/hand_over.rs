//! C-GET and C-MOVE: objects go out one by one, counted (PS3.4 C.4.2.2, C.4.3.2).

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;

use super::Held;
use super::choice::{self, Chosen};
use crate::dicom::{AeTitle, DataSet, Uid, VR};
use crate::dimse::{
    self, Client, Counts, Flow, PeerSection, RetrieveRequest, ServerAssociation, Status,
    StatusClass,
};

/// Unable to perform sub-operations (PS3.4 C.4.2.1.5).
const UNABLE: Status = Status(0xA702);

/// So many failed instances are listed.
const LISTED: usize = 1_000;

/// How far it is.
#[derive(Default)]
struct Tally {
    remaining: usize,
    completed: usize,
    warning: usize,
    failed: Vec<Uid>,
}

impl Tally {
    fn of(chosen: &[Chosen]) -> Self {
        let remaining = chosen.iter().map(|(_, places)| places.len()).sum();
        Self { remaining, ..Self::default() }
    }

    fn note(&mut self, instance: &Uid, status: Option<Status>) {
        self.remaining = self.remaining.saturating_sub(1);
        match status.map(Status::class) {
            Some(StatusClass::Success) => self.completed = self.completed.saturating_add(1),
            Some(StatusClass::Warning) => self.warning = self.warning.saturating_add(1),
            _ => self.failed.push(instance.clone()),
        }
    }

    fn counts(&self, remaining: Option<usize>) -> Counts {
        let number = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Counts {
            remaining: remaining.map(number),
            completed: Some(number(self.completed)),
            failed: Some(number(self.failed.len())),
            warning: Some(number(self.warning)),
        }
    }

    fn status(&self) -> Status {
        match (self.failed.len(), self.completed.saturating_add(self.warning)) {
            (0, _) => Status::SUCCESS,
            (_, 0) => UNABLE,
            _ => Status::COERCED,
        }
    }

    /// Failed SOP Instance UID List (0008,0058).
    fn list(&self) -> Option<DataSet> {
        let uids: Vec<&str> = self.failed.iter().take(LISTED).map(Uid::as_str).collect();
        let mut list = DataSet::default();
        let joined = uids.join("\\").into_bytes();
        list.put_bytes(tags::FAILED_SOP_INSTANCE_UID_LIST, VR::UI, joined);
        (!uids.is_empty()).then_some(list)
    }
}

/// Answers one retrieval, to its final status.
pub(in crate::scp) async fn hand_over(
    association: &mut ServerAssociation,
    request: &RetrieveRequest,
    held: Held,
    us: &AeTitle,
    (asker, peers): (&str, &BTreeMap<String, PeerSection>),
) -> Result<(), dimse::Error> {
    let (class, identifier) = (request.sop_class.clone(), request.identifier.clone());
    let named =
        tokio::task::spawn_blocking(move || choice::chosen(&class, &identifier, held())).await;
    let refuse = |status: Status| (status, Counts::default());
    let refused = match named {
        Ok(Ok(chosen)) => {
            let mut tally = Tally::of(&chosen);
            let cancelled = match request.destination() {
                None => get(association, request, &chosen, &mut tally).await?,
                Some(title) => {
                    let Some(to) = destination(title, asker, peers) else {
                        let (status, counts) = refuse(Status::MOVE_DESTINATION_UNKNOWN);
                        tracing::warn!(
                            peer = %asker,
                            "C-MOVE refused: its destination is no peer, or several peers have that title"
                        );
                        return association.respond_retrieve(request, status, counts, None).await;
                    };
                    move_to(association, request, (to, us), &chosen, &mut tally).await?
                }
            };
            let (completed, failed) = (tally.completed, tally.failed.len());
            tracing::info!(completed, failed, "held objects handed over");
            let list = tally.list();
            return match cancelled {
                Flow::Cancelled => {
                    let counts = tally.counts(Some(tally.remaining));
                    let status = Status::CANCELLED;
                    association.respond_retrieve(request, status, counts, list.as_ref()).await
                }
                Flow::Continue => {
                    let (status, counts) = (tally.status(), tally.counts(None));
                    association.respond_retrieve(request, status, counts, list.as_ref()).await
                }
            };
        }
        Ok(Err(remark)) => {
            tracing::warn!(tag = ?remark.offending, "retrieval refused: {}", remark.comment);
            refuse(Status::DOES_NOT_MATCH_CLASS)
        }
        Err(_) => refuse(Status::CANNOT_UNDERSTAND),
    };
    association.respond_retrieve(request, refused.0, refused.1, None).await
}

/// Whom the title of a C-MOVE means. Peers may share one: then only the one that asks can be meant.
fn destination<'a>(
    title: &str,
    asker: &str,
    peers: &'a BTreeMap<String, PeerSection>,
) -> Option<&'a PeerSection> {
    let title = AeTitle::new(title).ok()?;
    let asking = peers.get(asker).filter(|peer| peer.ae_title == title);
    asking.or_else(|| {
        let mut titled = peers.values().filter(|peer| peer.ae_title == title);
        let only = titled.next()?;
        titled.next().is_none().then_some(only)
    })
}

async fn get(
    association: &mut ServerAssociation,
    request: &RetrieveRequest,
    chosen: &[Chosen],
    tally: &mut Tally,
) -> Result<Flow, dimse::Error> {
    for (study, places) in chosen {
        for at in places {
            let Some((_, instance)) = study.instances.get(*at) else { continue };
            let (class, uid) = (&instance.sop_class, &instance.sop_instance);
            let mut flow = Flow::Continue;
            let status = match study.leave(*at, &association.takes(class)).await {
                None => None,
                Some(mut leaving) => {
                    let what = (class, uid, &leaving.transfer_syntax);
                    match association.give(request, what, &mut leaving.chunks).await {
                        Ok((status, heard)) => {
                            flow = heard;
                            Some(status)
                        }
                        Err(dimse::Error::ContextRefused { .. }) => None,
                        Err(error) => return Err(error),
                    }
                }
            };
            tally.note(uid, status);
            let counts = tally.counts(Some(tally.remaining));
            if flow == Flow::Cancelled
                || association.respond_pending(request, counts).await? == Flow::Cancelled
            {
                return Ok(Flow::Cancelled);
            }
        }
    }
    Ok(Flow::Continue)
}

/// Which association broke.
enum Broken {
    Destination(dimse::Error),
    Requestor(dimse::Error),
}

impl From<dimse::Error> for Broken {
    fn from(error: dimse::Error) -> Self {
        Self::Destination(error)
    }
}

async fn move_to(
    association: &mut ServerAssociation,
    request: &RetrieveRequest,
    (to, us): (&PeerSection, &AeTitle),
    chosen: &[Chosen],
    tally: &mut Tally,
) -> Result<Flow, dimse::Error> {
    if chosen.is_empty() {
        return Ok(Flow::Continue);
    }
    let mut contexts = Vec::new();
    for (study, places) in chosen {
        for context in study.contexts(places) {
            if !contexts.contains(&context) {
                contexts.push(context);
            }
        }
    }
    let originator = request.originator(association.caller());
    let sent = &mut *tally;
    let work = async |client: &mut Client| -> Result<Flow, Broken> {
        for (study, places) in chosen {
            for at in places {
                let Some((_, instance)) = study.instances.get(*at) else { continue };
                let (class, uid) = (&instance.sop_class, &instance.sop_instance);
                let status = match study.leave(*at, &client.accepted(class)).await {
                    None => None,
                    Some(mut leaving) => {
                        let what = (class, uid, &leaving.transfer_syntax);
                        let chunks = &mut leaving.chunks;
                        match client.store_for(&originator, what, chunks).await {
                            Ok(status) => Some(status),
                            Err(dimse::Error::ContextRefused { .. }) => None,
                            Err(error) => return Err(error.into()),
                        }
                    }
                };
                sent.note(uid, status);
                let counts = sent.counts(Some(sent.remaining));
                let told = association.respond_pending(request, counts).await;
                if told.map_err(Broken::Requestor)? == Flow::Cancelled {
                    return Ok(Flow::Cancelled);
                }
            }
        }
        Ok(Flow::Continue)
    };
    match Box::pin(dimse::call(&to.remote(us), &contexts, work)).await {
        Ok(flow) => Ok(flow),
        Err(Broken::Requestor(error)) => Err(error),
        Err(Broken::Destination(error)) => {
            tracing::warn!(%error, "the destination of a C-MOVE failed");
            // What was not answered was not stored.
            let all = chosen.iter().flat_map(|(study, places)| {
                places.iter().filter_map(|at| study.instances.get(*at)).map(|(_, one)| one)
            });
            let done = tally.completed + tally.warning + tally.failed.len();
            let left: Vec<Uid> = all.skip(done).map(|one| one.sop_instance.clone()).collect();
            left.iter().for_each(|uid| tally.note(uid, None));
            Ok(Flow::Continue)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_of_two_peers_means_the_one_that_asks() {
        let peer = |title: &str, port: u16| -> PeerSection {
            let text = format!("ae-title = {title:?}\naddress = \"127.0.0.1:{port}\"");
            toml::from_str(&text).unwrap()
        };
        let peers = [("a", "VIEWER", 1), ("b", "VIEWER", 2), ("pacs", "PACS", 3)];
        let peers: BTreeMap<String, PeerSection> =
            peers.map(|(name, title, port)| (name.to_owned(), peer(title, port))).into();
        let to = |title: &str, asker: &str| {
            destination(title, asker, &peers).map(|peer| peer.address.clone())
        };
        assert_eq!(to("VIEWER", "b").as_deref(), Some("127.0.0.1:2"));
        assert_eq!(to("VIEWER", "a").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(to("PACS", "b").as_deref(), Some("127.0.0.1:3"));
        assert_eq!(to(" PACS\0", "b").as_deref(), Some("127.0.0.1:3"));
        assert_eq!(to("VIEWER", "pacs"), None, "which of the two is not said");
        assert_eq!(to("NOWHERE", "b"), None);
        assert_eq!(to("", "b"), None);
    }
}
