//! A medium as a whole: its DICOMDIR is a completeness check and never the source of truth (PS3.10 8).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::document::Titles;
use super::name::Name;
use crate::dicom::{DataSet, Tag, scan};
use crate::import::{Inspected, SetAside};

const DIRECTORY_RECORDS: Tag = Tag(0x0004, 0x1220);
const REFERENCED_FILE: Tag = Tag(0x0004, 0x1500);
const REFERENCED_INSTANCE: Tag = Tag(0x0004, 0x1511);

/// Missing files named one by one; more are counted.
const MISSING_LISTED: usize = 20;

const MISSING: &str = "listed in the DICOMDIR but missing from the medium";

/// What a DICOMDIR lists.
pub(super) struct Directory {
    /// File ID with the DICOMDIR's own folder, as [`Name::compared`], and SOP Instance UID.
    listed: BTreeSet<(String, String)>,
}

impl Directory {
    /// `None` if the bytes are no readable DICOMDIR.
    pub(super) fn read(bytes: &[u8], name: &Name) -> Option<Self> {
        let length = u64::try_from(bytes.len()).ok()?;
        let scanned = scan::scan_file(&mut &*bytes, length, &scan::Limits::default()).ok()?;
        let syntax = scanned.layout.syntax();
        let data_set = DataSet::read(&scanned.header, syntax).ok()?;
        data_set.get(DIRECTORY_RECORDS)?;
        let mut listed = BTreeSet::new();
        for record in data_set.items(DIRECTORY_RECORDS) {
            let Some(uid) = record.uid(REFERENCED_INSTANCE) else {
                continue;
            };
            // Some writers put slashes where the standard wants several values.
            let id = record.text(REFERENCED_FILE).unwrap_or_default();
            let file = Name::new(&id.split('\\').map(str::trim).collect::<Vec<_>>().join("/"));
            let file = format!("{}{}", name.folder(), file.compared());
            listed.insert((file, uid.as_str().to_owned()));
        }
        Some(Self { listed })
    }
}

/// The files that belong to one DICOMDIR: an archive, or everything that was uploaded beside each other.
#[derive(Default)]
pub(super) struct Medium {
    names: HashSet<String>,
    directories: Vec<Directory>,
    /// What its metadata calls its documents, by [`Name::compared`].
    titles: BTreeMap<String, String>,
    /// Place in the list of documents, and name.
    documents: Vec<(usize, String)>,
}

impl Medium {
    /// A file of this name is there, whatever became of it.
    pub(super) fn saw(&mut self, name: &Name) {
        self.names.insert(name.compared().to_owned());
    }

    pub(super) fn lists(&mut self, directory: Directory) {
        self.directories.push(directory);
    }

    pub(super) fn calls(&mut self, titles: Titles) {
        self.titles.extend(titles.0);
    }

    /// A document came; its place in the list of all.
    pub(super) fn holds(&mut self, place: usize, name: &Name) {
        self.documents.push((place, name.compared().to_owned()));
    }

    /// The titles that the metadata gives, with the places of the documents: a hint, so that a person sees
    /// what a file is.
    pub(super) fn titles(&self) -> impl Iterator<Item = (usize, &str)> {
        self.documents
            .iter()
            .filter_map(|(place, name)| Some((*place, self.titles.get(name)?.as_str())))
    }

    /// What a DICOMDIR lists and the medium does not hold, neither by UID nor as a file. A file that is there
    /// and could not be used has its own reason.
    pub(super) fn missing(self, instances: &[Inspected]) -> Vec<SetAside> {
        if self.directories.is_empty() {
            return Vec::new();
        }
        let here: HashSet<&str> = instances.iter().map(|i| i.sop_instance.as_str()).collect();
        let missing: BTreeSet<&(String, String)> = self
            .directories
            .iter()
            .flat_map(|directory| &directory.listed)
            .filter(|(file, uid)| !here.contains(uid.as_str()) && !self.names.contains(file))
            .collect();
        let mut files: Vec<String> = missing
            .iter()
            .take(MISSING_LISTED)
            .map(|(file, _)| Name::new(file).shown().to_owned())
            .collect();
        let more = missing.len().saturating_sub(files.len());
        if more > 0 {
            files.push(format!("{more} more files"));
        }
        files.into_iter().map(|name| SetAside { name, reason: MISSING.to_owned() }).collect()
    }
}
