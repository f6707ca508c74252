//! A folder as destination: one file an instance, one folder a study, named by their UIDs; or a file-set with a
//! DICOMDIR, as on a medium.
//!
//! A [`Uid`] is digits and dots without `..`, so it may be a file name; nothing else that came from outside
//! is one. Invariants: a file under its final name is whole and on the device; a file that is there is never
//! written over. The same object coerced at another time is the same object: importing a medium again adds
//! nothing.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_dictionary_std::tags;
use tokio::sync::Semaphore;

use super::ledger::Ledger;
use super::object::{self, Closed, Fault, Job};
use super::source::Source;
use super::{Ended, FolderLayout, Recorder, Run, fileset, part10, route};
use crate::dicom::{StudyFacts, Uid};
use crate::import::{Compressed, ImportId, Instance, InstanceOutcome, Origin};
use crate::reconcile::Plan;
use crate::seal::place;

/// What is left free where the folder lies: the journal may need it, and without it no import can end.
const FLOOR: u64 = 32 << 20;

/// What a run to a folder needs on the blocking pool.
struct Writing {
    folder: PathBuf,
    layout: FolderLayout,
    import: ImportId,
    study: Uid,
    /// Bytes that stay free on the file system.
    floor: u64,
    plan: Plan,
    compressed: Compressed,
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

pub(super) async fn deliver(
    folder: &Path,
    layout: FolderLayout,
    permits: &Arc<Semaphore>,
    run: Run,
) -> Ended {
    deliver_above(FLOOR, folder, layout, permits, run).await
}

/// With so many bytes left free.
async fn deliver_above(
    floor: u64,
    folder: &Path,
    layout: FolderLayout,
    permits: &Arc<Semaphore>,
    run: Run,
) -> Ended {
    let postponed = |sentence: String| Ended::Postponed { sentence, pause_destination: false };
    let stopped = || postponed("sending was stopped; it goes on when the import does".to_owned());
    let permit = tokio::select! {
        biased;
        () = run.brake.stopped() => return stopped(),
        permit = permits.acquire() => permit,
    };
    if permit.is_err() {
        return stopped();
    }
    let writing = Arc::new(Writing {
        folder: folder.to_owned(),
        layout,
        import: run.spool.id(),
        study: run.study,
        floor,
        plan: run.plan,
        compressed: run.compressed,
        facts: run.facts,
        source: Arc::new(run.spool),
        recorder: Arc::clone(&run.recorder),
    });
    let mut ledger = Ledger::new(run.recorder);
    let mut ended = Ended::Complete;
    let mut unlisted = Vec::new();
    for (number, instance) in run.instances {
        if run.brake.is_stopped() {
            ended = stopped();
            break;
        }
        let task = {
            let (writing, instance) = (Arc::clone(&writing), Arc::clone(&instance));
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
        match layout {
            FolderLayout::FileSet => unlisted.push((number, instance, outcome)),
            FolderLayout::ByUid => {
                if ledger.push(number, outcome).await.is_err() {
                    return stopped();
                }
            }
        }
    }
    // Nothing of a file-set is delivered that its DICOMDIR does not list.
    if !unlisted.is_empty() {
        let task = {
            let writing = Arc::clone(&writing);
            tokio::task::spawn_blocking(move || writing.list())
        };
        let listed = match task.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(listed) => listed,
            Err(error) => {
                let there = unlisted.iter().filter(|(_, _, outcome)| outcome.is_delivered());
                there.for_each(|(number, ..)| writing.recorder.unanswered(*number));
                return unwritable(folder, &error);
            }
        };
        for (number, instance, outcome) in unlisted {
            if outcome.is_delivered() && !listed.contains(instance.sop_instance.as_str()) {
                writing.recorder.unanswered(number);
                ended = postponed(format!(
                    "a file that was just written to {} cannot be read back; look at its disk, and whether \
                     something else changes files there",
                    folder.display()
                ));
                continue;
            }
            if ledger.push(number, outcome).await.is_err() {
                return stopped();
            }
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
    let postponed = |sentence: String| Err(Ended::Postponed { sentence, pause_destination: false });
    match written {
        Ok(()) => Ok(InstanceOutcome::Delivered { status: 0 }),
        Err(Unwritten::Object(fault)) if fault.is_damage() => {
            refused("the local copy of this instance is damaged; import the study again")
        }
        Err(Unwritten::Object(Fault::Object(sentence))) => refused(&sentence),
        Err(Unwritten::Object(fault @ (Fault::Read(_) | Fault::Closed))) => {
            postponed(format!("{fault}; check the disk of the spool"))
        }
        Err(Unwritten::Other) => refused(
            "the folder holds another object with this SOP Instance UID; move that one away, then retry",
        ),
        Err(Unwritten::Io(error)) => Err(unwritable(folder, &error)),
    }
}

fn unwritable(folder: &Path, error: &io::Error) -> Ended {
    let folder = folder.display();
    Ended::Postponed {
        sentence: format!(
            "{folder} cannot be written: {error}; give the gateway space and permission there"
        ),
        pause_destination: true,
    }
}

impl Writing {
    /// Blocking. Returns when the file is on the device under its final name.
    fn write(&self, number: u32, instance: &Instance) -> Result<(), Unwritten> {
        let mut folder = self.folder.clone();
        // The parents are the administrator's: a path that does not exist may be a disk that is not mounted.
        for name in self.folders(instance) {
            let inside = folder.join(name);
            match DirBuilder::new().mode(0o750).create(&inside) {
                Ok(()) => sync_folder(&folder)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            folder = inside;
        }
        let partial = Partial::create(&folder, self.import, number)?;
        self.fill(&partial, number, instance, &self.plan)?;
        for path in self.paths(instance) {
            match File::open(&path) {
                Ok(_) if same(File::open(&path)?, File::open(&partial.path)?)? => {
                    return self.sync_name(&folder);
                }
                // Another object may have got this name by chance.
                Ok(_) if self.is_others(&path, instance) => {}
                Ok(_) => {
                    // Gone before another one takes its name.
                    drop(partial);
                    return self.again(&path, &folder, number, instance);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Whatever fails then, it may have its name already.
                    let named = partial.rename(&path, &folder);
                    return named.inspect_err(|_| self.recorder.unanswered(number));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Other)
    }

    /// Whether the file that is there is this object as it was coerced at another time.
    fn again(
        &self,
        path: &Path,
        folder: &Path,
        number: u32,
        instance: &Instance,
    ) -> Result<(), Unwritten> {
        let plan = coerced_at(path, instance).map(|at| self.plan.carried_out_at(&at));
        let plan = plan.ok_or(Unwritten::Other)?;
        let partial = Partial::create(folder, self.import, number)?;
        self.fill(&partial, number, instance, &plan)?;
        let equal = same(File::open(path)?, File::open(&partial.path)?)?;
        if equal { self.sync_name(folder) } else { Err(Unwritten::Other) }
    }

    /// A file that was found there may have come by a run that was cut off before its name was on the device.
    fn sync_name(&self, folder: &Path) -> Result<(), Unwritten> {
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.folder)) {
            sync_folder(folder)?;
        }
        Ok(())
    }

    /// Names of the folders between the destination's own and the file.
    fn folders(&self, instance: &Instance) -> Vec<String> {
        match self.layout {
            FolderLayout::ByUid => vec![self.study.to_string()],
            FolderLayout::FileSet => {
                let [study, series, _] = self.place(instance, 0);
                vec![study, series]
            }
        }
    }

    /// Where the file may lie, in this order.
    fn paths(&self, instance: &Instance) -> Vec<PathBuf> {
        match self.layout {
            FolderLayout::ByUid => {
                let name = format!("{}.dcm", instance.sop_instance);
                vec![self.folder.join(self.study.as_str()).join(name)]
            }
            FolderLayout::FileSet => (0..fileset::TRIES)
                .map(|tried| fileset::path(&self.folder, &self.place(instance, tried)))
                .collect(),
        }
    }

    fn place(&self, instance: &Instance, tried: u32) -> [String; 3] {
        fileset::place(&self.study, &instance.series, &instance.sop_instance, tried)
    }

    fn is_others(&self, path: &Path, instance: &Instance) -> bool {
        self.layout == FolderLayout::FileSet
            && fileset::header_of(path).is_some_and(|(_, scan)| {
                scan.meta.sop_instance.as_ref() != Some(&instance.sop_instance)
            })
    }

    /// Blocking. Brings the DICOMDIR up to date.
    fn list(&self) -> io::Result<BTreeSet<String>> {
        let [study, ..] = fileset::place(&self.study, &self.study, &self.study, 0);
        fileset::list(&self.folder, &study)
    }

    fn has_room(&self, length: u64) -> io::Result<()> {
        let space = place::space(&self.folder).map_err(io::Error::other)?;
        // Some file systems do not tell.
        if space.total == 0 || space.free >= self.floor.saturating_add(length) {
            return Ok(());
        }
        let (free, floor) = (space.free >> 20, self.floor >> 20);
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{free} MiB are free on its disk, of which {floor} MiB are left alone"),
        ))
    }

    fn fill(
        &self,
        partial: &Partial,
        number: u32,
        instance: &Instance,
        plan: &Plan,
    ) -> Result<(), Unwritten> {
        let candidates = route::candidates(&instance.origin, self.compressed);
        let transfer_syntax = candidates.first().ok_or(Fault::Closed)?;
        self.has_room(instance.blob.length)?;
        let mut reader = self.source.open(&instance.blob)?;
        let job = Job { plan, facts: &self.facts, number, instance, transfer_syntax };
        let prepared = object::prepare(&mut reader, &job)?;
        let mut out = &partial.file;
        out.write_all(&part10::head(instance, transfer_syntax, &plan.modifying_system)?)?;
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
    let (header, _) = fileset::header_of(path)?;
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
