//! A folder as destination: one file an instance, one folder a study, named by their UIDs.
//!
//! A [`Uid`] is digits and dots without `..`, so it may be a file name; nothing else that came from outside
//! is one. Invariants: a file under its final name is whole and on the device; a file that is there is never
//! written over. The same object coerced at another time is the same object: importing a medium again adds
//! nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_dictionary_std::tags;
use dicom_object::FileMetaTableBuilder;
use tokio::sync::Semaphore;

use super::ledger::Ledger;
use super::object::{self, Closed, Fault, Job};
use super::source::Source;
use super::{Ended, Recorder, Run, route};
use crate::dicom::{DataSet, StudyFacts, Uid, scan};
use crate::import::{ImportId, Instance, InstanceOutcome, Origin};
use crate::reconcile::Plan;

/// What a run to a folder needs on the blocking pool.
struct Writing {
    folder: PathBuf,
    import: ImportId,
    study: Uid,
    plan: Plan,
    facts: StudyFacts,
    source: Arc<dyn Source>,
    recorder: Arc<dyn Recorder>,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Object(#[from] Fault),
    #[error("writing failed: {0}")]
    Io(#[from] io::Error),
    #[error("another file")]
    Other,
}

pub(super) async fn deliver(folder: &Path, permits: &Arc<Semaphore>, run: Run) -> Ended {
    let postponed = |sentence: String| Ended::Postponed { sentence, pause_destination: false };
    let stopped = || postponed("sending was stopped; it goes on when the import does".to_owned());
    let permit = tokio::select! {
        biased;
        () = run.cancel.cancelled() => return stopped(),
        permit = permits.acquire() => permit,
    };
    if permit.is_err() {
        return stopped();
    }
    let writing = Arc::new(Writing {
        folder: folder.to_owned(),
        import: run.spool.id(),
        study: run.study,
        plan: run.plan,
        facts: run.facts,
        source: Arc::new(run.spool),
        recorder: Arc::clone(&run.recorder),
    });
    let mut ledger = Ledger::new(run.recorder);
    let mut ended = Ended::Complete;
    for (number, instance) in run.instances {
        if run.cancel.is_cancelled() {
            ended = stopped();
            break;
        }
        let task = {
            let writing = Arc::clone(&writing);
            tokio::task::spawn_blocking(move || writing.write(number, &instance))
        };
        let written = match task.await {
            Ok(written) => written,
            Err(error) => Err(Unwritten::Io(io::Error::other(error))),
        };
        let outcome = match outcome(written, folder) {
            Ok(outcome) => outcome,
            Err(postponed) => {
                ended = postponed;
                break;
            }
        };
        if ledger.push(number, outcome).await.is_err() {
            return stopped();
        }
    }
    match ledger.finish().await {
        Ok(()) => ended,
        Err(super::Gone) => stopped(),
    }
}

fn outcome(written: Result<(), Unwritten>, folder: &Path) -> Result<InstanceOutcome, Ended> {
    let refused = |sentence: &str| {
        Ok(InstanceOutcome::Refused { status: None, sentence: sentence.to_owned() })
    };
    let postponed =
        |sentence: String, pause_destination| Err(Ended::Postponed { sentence, pause_destination });
    match written {
        Ok(()) => Ok(InstanceOutcome::Delivered { status: 0 }),
        Err(Unwritten::Object(fault)) if fault.is_damage() => {
            refused("the local copy of this instance is damaged; import the study again")
        }
        Err(Unwritten::Object(Fault::Object(sentence))) => refused(&sentence),
        Err(Unwritten::Object(fault @ (Fault::Read(_) | Fault::Closed))) => {
            postponed(format!("{fault}; check the disk of the spool"), false)
        }
        Err(Unwritten::Other) => refused(
            "the folder holds another object with this SOP Instance UID; move that one away, then retry",
        ),
        Err(Unwritten::Io(error)) => postponed(
            format!(
                "{} cannot be written: {error}; give the gateway space and permission there",
                folder.display()
            ),
            true,
        ),
    }
}

impl Writing {
    /// Blocking. Returns when the file is on the device under its final name.
    fn write(&self, number: u32, instance: &Instance) -> Result<(), Unwritten> {
        let folder = self.folder.join(self.study.as_str());
        // The parents are the administrator's: a path that does not exist may be a disk that is not mounted.
        match DirBuilder::new().mode(0o750).create(&folder) {
            Ok(()) => sync_folder(&self.folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        let path = folder.join(format!("{}.dcm", instance.sop_instance));
        let partial = Partial::create(&folder, self.import, number)?;
        self.fill(&partial, number, instance, &self.plan)?;
        match File::open(&path) {
            Ok(there) => {
                if same(there, File::open(&partial.path)?)? {
                    return Ok(());
                }
                // Gone before another one takes its name.
                drop(partial);
                let plan = coerced_at(&path, instance).map(|at| self.plan.carried_out_at(&at));
                let plan = plan.ok_or(Unwritten::Other)?;
                let partial = Partial::create(&folder, self.import, number)?;
                self.fill(&partial, number, instance, &plan)?;
                let equal = same(File::open(&path)?, File::open(&partial.path)?)?;
                if equal { Ok(()) } else { Err(Unwritten::Other) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => partial.rename(&path, &folder),
            Err(error) => Err(error.into()),
        }
    }

    fn fill(
        &self,
        partial: &Partial,
        number: u32,
        instance: &Instance,
        plan: &Plan,
    ) -> Result<(), Unwritten> {
        let candidates = route::candidates(&instance.origin);
        let transfer_syntax = candidates.first().ok_or(Fault::Closed)?;
        let mut reader = self.source.open(&instance.blob)?;
        let job = Job { plan, facts: &self.facts, number, instance, transfer_syntax };
        let prepared = object::prepare(&mut reader, &job)?;
        let mut out = &partial.file;
        out.write_all(&head(instance, transfer_syntax, &plan.modifying_system)?)?;
        let mut failed = None;
        let streamed = prepared.stream(&mut reader, &mut |bytes| {
            out.write_all(&bytes).map_err(|error| {
                failed = Some(error);
                Closed
            })?;
            self.recorder.sent_bytes(u64::try_from(bytes.len()).unwrap_or(0));
            Ok(())
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        streamed?;
        partial.file.sync_all()?;
        Ok(())
    }
}

/// Preamble and file meta group (PS3.10 7.1).
fn head(instance: &Instance, transfer_syntax: &Uid, ae_title: &str) -> Result<Vec<u8>, Fault> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(instance.sop_class.as_str())
        .media_storage_sop_instance_uid(instance.sop_instance.as_str())
        .transfer_syntax(transfer_syntax.as_str())
        .source_application_entity_title(ae_title)
        .build();
    let mut head = vec![0; 128];
    head.extend_from_slice(b"DICM");
    meta.ok().and_then(|meta| meta.write(&mut head).ok()).ok_or_else(|| {
        Fault::Object(
            "the object's file meta group cannot be written; check it at its source".into(),
        )
    })?;
    Ok(head)
}

/// A file that is not there yet: removed again unless it got its final name.
struct Partial {
    file: File,
    path: PathBuf,
}

impl Partial {
    /// One run at a time writes an instance of an import, so what has its name is left from a crash.
    fn create(folder: &Path, import: ImportId, number: u32) -> io::Result<Self> {
        let path = folder.join(format!(".{import}.{number}.part"));
        // Never written over: it may be the finished file under a second name.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path)?;
        Ok(Self { file, path })
    }

    /// A link fails if the name is taken, where a rename would write over it.
    fn rename(&self, path: &Path, folder: &Path) -> Result<(), Unwritten> {
        match std::fs::hard_link(&self.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Unwritten::Other);
            }
            // Not every file system has links; the gateway is alone under this name then.
            Err(_) => std::fs::rename(&self.path, path)?,
        }
        sync_folder(folder)?;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already after a rename; what a crash leaves has no final name and is not an object.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// When the object in a file was coerced, or made of a document, as it says itself.
fn coerced_at(path: &Path, instance: &Instance) -> Option<String> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let length = file.get_ref().metadata().ok()?.len();
    let scanned = scan::scan_file(&mut file, length, &scan::Limits::default()).ok()?;
    let syntax = scanned.layout.syntax();
    let header = DataSet::read(&scanned.header, syntax).ok()?;
    match instance.origin {
        Origin::Received { .. } => header.text(tags::INSTANCE_COERCION_DATE_TIME),
        Origin::Created { .. } => {
            let date = header.text(tags::INSTANCE_CREATION_DATE)?;
            Some(date + &header.text(tags::INSTANCE_CREATION_TIME)?)
        }
    }
}

/// Whether both files hold the same bytes.
fn same(mut there: File, mut new: File) -> io::Result<bool> {
    if there.metadata()?.len() != new.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; object::PIECE], vec![0; object::PIECE]);
    loop {
        let read = there.read(&mut a)?;
        let (Some(a), Some(b)) = (a.get(..read), b.get_mut(..read)) else {
            return Ok(false);
        };
        if read == 0 {
            return Ok(true);
        }
        new.read_exact(b)?;
        if a != b {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests;
