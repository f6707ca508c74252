//! A worklist server as source: C-FIND of the modality worklist model (PS3.4 K.4.1).

use dicom_dictionary_std::uids;

use crate::dicom::{DataSet, Uid};
use crate::dimse::{self, Proposed, Remote, Status};

use super::query::{Query, identifier};
use super::{Entry, Gathered, Options, Origin, Reached, Reading, filter, item_of};

/// Numbers at which servers stop without saying so: an answer of exactly this many is not trusted to be whole.
const ROUND_CAPS: [usize; 14] =
    [50, 100, 150, 200, 250, 256, 300, 500, 512, 1000, 1024, 2000, 2048, 5000];

/// Asks all queries on one association.
pub(super) async fn ask(
    name: &str,
    remote: &Remote,
    queries: &[Query],
    options: &Options,
) -> Gathered {
    let Some((class, contexts)) = contexts() else {
        return Gathered::nothing(format!("peer {name} cannot be asked"));
    };
    let mut tally = Tally::new(name, options);
    let work = async |client: &mut dimse::Client| -> Result<(), dimse::Error> {
        for query in queries {
            let Some(identifier) = identifier(query) else {
                tally.skip();
                continue;
            };
            let found = client.find(&class, &identifier, options.limit).await?;
            tally.take(query, &found.identifiers, found.status, found.cut);
        }
        Ok(())
    };
    let called = dimse::call(remote, &contexts, work).await;
    tally.finish(called.err().map(|error| error.to_string()))
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
    pub(super) fn new(name: &'a str, options: &'a Options) -> Self {
        Self {
            name,
            options,
            reading: Reading::new(&options.fallback_character_set, &options.stations),
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
    pub(super) fn take(&mut self, query: &Query, found: &[DataSet], status: Status, cut: bool) {
        let name = self.name;
        let count = found.len();
        if cut || count >= self.options.limit {
            let limit = self.options.limit;
            self.note(format!(
                "peer {name} has more than {limit} answers; raise worklist.limit or narrow it"
            ));
        } else if ROUND_CAPS.contains(&count) {
            self.note(format!(
                "peer {name} gave exactly {count} answers, which may be its own limit"
            ));
        }
        if status == Status::SUCCESS {
            self.answered = true;
        } else if !cut {
            self.answered |= count > 0;
            let code = status.0;
            self.note(format!("peer {name} ended a query with status {code:04X}; see its log"));
        } else {
            self.answered = true;
        }
        let origin = Origin::Peer(name.into());
        for entry in found {
            match item_of(entry, &self.reading) {
                Some(item) if filter::answers(&item, query) => {
                    self.items.push(item);
                    // What is no entry to be kept is an order nevertheless.
                    self.entries
                        .extend(Entry::read(entry, &self.reading, &origin).into_iter().flatten());
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
