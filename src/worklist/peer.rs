//! A worklist server as source: C-FIND of the modality worklist model (PS3.4 K.4.1).

use dicom_dictionary_std::uids;

use crate::dicom::Uid;
use crate::dimse::{self, Extended, Found, Proposed, Remote, Status};

use super::query::{Query, Written, identifier};
use super::section::Times;
use super::{Entry, Gathered, Manners, Options, Origin, Reached, Reading, filter, item_of};

/// Numbers at which servers stop without saying so: an answer of exactly this many is not trusted to be whole.
const ROUND_CAPS: [usize; 14] =
    [50, 100, 150, 200, 250, 256, 300, 500, 512, 1000, 1024, 2000, 2048, 5000];

/// Service class application information (PS3.4 K.5.1): two reserved bytes that are always 1; names literally,
/// since we never ask for one; times adjusted to ours.
const TIMES_ADJUSTED: [u8; 4] = [1, 1, 0, 1];

/// Asks all queries on one association; on further ones if a peer that does not hear our C-CANCEL made us end it.
pub(super) async fn ask(
    name: &str,
    remote: &Remote,
    manners: &Manners,
    queries: &[Query],
    options: &Options,
    now: &jiff::Zoned,
) -> Gathered {
    let Some((class, contexts)) = contexts() else {
        return Gathered::nothing(format!("peer {name} cannot be asked"));
    };
    let mut tally = Tally::new(name, manners, options);
    let extended = match manners.times {
        Times::Local => Vec::new(),
        Times::Adjusted => {
            let information = TIMES_ADJUSTED.to_vec();
            vec![Extended { sop_class: class.clone(), information }]
        }
    };
    let mut left = queries.iter();
    // Each association takes one query at least.
    while !left.as_slice().is_empty() {
        let work = async |client: &mut dimse::Client| -> Result<(), dimse::Error> {
            let agreed = client.agreed(&class).and_then(|bytes| bytes.get(3)) == Some(&1);
            let written = Written { key: manners.character_set_key, zone: agreed.then_some(now) };
            while !client.is_over() {
                let Some(query) = left.next() else { break };
                let Some(identifier) = identifier(query, &written) else {
                    tally.skip();
                    continue;
                };
                let found = client.find(&class, &identifier, options.limit).await?;
                tally.take(query, &found);
            }
            Ok(())
        };
        if let Err(error) = dimse::call_extended(remote, &contexts, &extended, work).await {
            return tally.finish(Some(error.to_string()));
        }
    }
    tally.finish(None)
}

fn contexts() -> Option<(Uid, [Proposed; 1])> {
    let class = Uid::new(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND).ok()?;
    let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let transfer_syntaxes = syntaxes.iter().filter_map(|uid| Uid::new(uid).ok()).collect();
    Some((class.clone(), [Proposed { sop_class: class, transfer_syntaxes }]))
}

/// What the queries of one peer gave so far.
pub(super) struct Tally<'a> {
    name: &'a str,
    options: &'a Options,
    reading: Reading,
    items: Vec<crate::dicom::Item>,
    entries: Vec<Entry>,
    notes: Vec<String>,
    answered: bool,
    whole: bool,
    without_id: usize,
}

impl<'a> Tally<'a> {
    pub(super) fn new(name: &'a str, manners: &Manners, options: &'a Options) -> Self {
        let fallback = manners.fallback_character_set.as_ref();
        let fallback = fallback.unwrap_or(&options.fallback_character_set);
        Self {
            name,
            options,
            reading: Reading::new(fallback, &options.stations),
            items: Vec::new(),
            entries: Vec::new(),
            notes: Vec::new(),
            answered: false,
            whole: true,
            without_id: 0,
        }
    }

    fn note(&mut self, note: String) {
        self.whole = false;
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn skip(&mut self) {
        let name = self.name;
        self.note(format!("peer {name} was not asked for a value that is not ASCII"));
    }

    /// Takes the answer to one query.
    pub(super) fn take(&mut self, query: &Query, found: &Found) {
        let name = self.name;
        let count = found.identifiers.len();
        if found.cut || count >= self.options.limit {
            let limit = self.options.limit;
            self.note(format!(
                "peer {name} has more than {limit} answers; raise worklist.limit or narrow it"
            ));
        } else if ROUND_CAPS.contains(&count) {
            self.note(format!(
                "peer {name} gave exactly {count} answers, which may be its own limit"
            ));
        }
        if found.status == Status::SUCCESS {
            self.answered = true;
        } else if !found.cut {
            self.answered |= count > 0;
            let code = found.status.0;
            self.note(format!("peer {name} ended a query with status {code:04X}; see its log"));
        } else {
            self.answered = true;
        }
        let origin = Origin::Peer(name.into());
        for entry in &found.identifiers {
            match item_of(entry, &self.reading) {
                Some(item) if filter::answers(&item, query) => {
                    self.items.push(item);
                    // What is no entry to be kept is an order nevertheless.
                    let read =
                        query.is_window().then(|| Entry::read(entry, &self.reading, &origin));
                    self.entries.extend(read.into_iter().flatten().flatten());
                }
                Some(_) => {}
                None => self.without_id = self.without_id.saturating_add(1),
            }
        }
    }

    pub(super) fn finish(mut self, error: Option<String>) -> Gathered {
        let name = self.name;
        if let Some(error) = error {
            self.note(format!("peer {name}: {error}"));
        }
        if self.without_id > 0 {
            let count = self.without_id;
            self.note(format!("peer {name} gave {count} entries without a patient ID"));
        }
        let reached = match (self.answered, self.whole) {
            (false, _) => Reached::Not,
            (true, true) => Reached::Whole,
            (true, false) => Reached::Partly,
        };
        Gathered { items: self.items, entries: self.entries, reached, notes: self.notes }
    }
}
