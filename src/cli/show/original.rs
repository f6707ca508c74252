//! `lotse show --original`: what an import, or an object that was delivered, was before it was coerced.
//!
//! An object carries its originals with it (Original Attributes Sequence, PS3.3 C.12.1.1.9), so a file needs
//! no daemon and is readable for as long as it exists. Invariant: the file is never changed.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::{BadInput, Code, out, unreadable};
use crate::dicom::{DataSet, Syntax, scan, syntax};
use crate::import::ImportId;
use crate::reconcile;
use crate::web::control::Control;

/// Headers are kilobytes; a document inside one is megabytes. More is read by tools made for it.
const LONGEST_HEADER: u64 = 256 << 20;

/// What is read of a file, and where the rest of it begins.
struct Object {
    /// Preamble and file meta group.
    front: Vec<u8>,
    header: DataSet,
    syntax: Syntax,
    /// Where the pixel data begins, or the end.
    rest_at: u64,
}

/// What a delivered object was before its changes, newest first; with `output`, as a file.
pub(super) fn of_file(
    path: &Path,
    back: usize,
    output: Option<PathBuf>,
    as_json: bool,
) -> anyhow::Result<Code> {
    let mut file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let object = read(&mut file, path)?;
    let changes = changes(&object.header);
    if let Some(output) = output {
        let header = reconcile::before(&object.header, back).ok_or_else(|| {
            BadInput(format!("there are {} changes to go back, not {back}", changes.len()))
        })?;
        return restore(&mut file, &object, &header, &output).map(|()| Code::Done);
    }
    if as_json {
        out::document(&json!({ "changes": changes }));
        return Ok(Code::Done);
    }
    if changes.is_empty() {
        out::line("nothing was changed: the object has no Original Attributes Sequence");
    }
    for (number, change) in (1..).zip(&changes) {
        out::line(&format!(
            "{number}. {}  {} by {}{}",
            out::text(change, "/at"),
            out::text(change, "/reason"),
            out::text(change, "/by"),
            match out::text(change, "/source") {
                "" => String::new(),
                source => format!(", values of {source}"),
            },
        ));
        table(out::items(change, "/attributes"));
    }
    Ok(Code::Done)
}

/// The generations of changes with their attributes, as they were before and after each.
fn changes(header: &DataSet) -> Vec<Value> {
    let generations = reconcile::generations(header);
    let states: Vec<_> =
        (0..=generations.len()).map_while(|back| reconcile::before(header, back)).collect();
    let change = |(generation, states): (&reconcile::Generation, &[DataSet])| {
        let attributes = match states {
            [after, before] => reconcile::differences(before, after),
            _ => vec![],
        };
        json!({
            "at": generation.at, "by": generation.by, "source": generation.source,
            "reason": generation.reason, "attributes": attributes,
        })
    };
    generations.iter().zip(states.windows(2)).map(change).collect()
}

fn read(file: &mut std::fs::File, path: &Path) -> anyhow::Result<Object> {
    let unusable = |why: &str| BadInput(format!("{} is no DICOM file: {why}", path.display()));
    let length = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    let found = scan::scan_file(file, length, &scan::Limits::default());
    let layout = found.map_err(|error| unusable(&error.to_string()))?.layout;
    if syntax::is_deflated(&layout.transfer_syntax) {
        return Err(BadInput(format!(
            "{} is deflated; write it anew with `dcmconv +te`, then try again",
            path.display()
        ))
        .into());
    }
    let rest_at = layout.pixel_data.map_or(layout.ends_at, |pixel| pixel.element_at);
    if rest_at > LONGEST_HEADER {
        return Err(unusable("its header is longer than 256 MiB").into());
    }
    let mut part = |from: u64, to: u64| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        let reader: &mut dyn std::io::Read = file;
        reader.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let front = part(0, layout.data_set_at).map_err(|error| unreadable(path, &error))?;
    let header = part(layout.data_set_at, rest_at).map_err(|error| unreadable(path, &error))?;
    let syntax = layout.syntax();
    let header = DataSet::read(&header, syntax).map_err(|error| unusable(&error.to_string()))?;
    Ok(Object { front, header, syntax, rest_at })
}

/// A new file: the header as it was, pixel data and all that follows it as they are.
fn restore(
    file: &mut std::fs::File,
    object: &Object,
    header: &DataSet,
    output: &Path,
) -> anyhow::Result<()> {
    let unwritable = |error: std::io::Error| {
        BadInput(format!("{} cannot be written: {error}; name a new file", output.display()))
    };
    let mut options = std::fs::OpenOptions::new();
    let mut new = options.write(true).create_new(true).open(output).map_err(unwritable)?;
    new.write_all(&object.front).map_err(unwritable)?;
    new.write_all(&header.write(object.syntax)).map_err(unwritable)?;
    file.seek(SeekFrom::Start(object.rest_at))?;
    std::io::copy(file, &mut new).map_err(unwritable)?;
    new.sync_all().map_err(unwritable)?;
    Ok(())
}

/// What the studies of an import hold and will hold, attribute by attribute, as long as its copy lives.
pub(super) async fn of_import(
    control: &Control,
    id: ImportId,
    as_json: bool,
) -> anyhow::Result<Code> {
    let import: Value = control.get_json(&format!("/api/v1/imports/{id}")).await?;
    let mut studies = vec![];
    for study in out::items(&import, "/studies") {
        let uid = out::text(study, "/studyInstanceUid");
        let path = format!("/api/v1/imports/{id}/studies/{uid}/changes");
        let changed: Value = control.get_json(&path).await?;
        let changes = out::items(&changed, "/changes");
        if as_json {
            studies.push(json!({ "studyInstanceUid": uid, "changes": changes }));
            continue;
        }
        let decided = if study.get("decision").is_some_and(|decision| !decision.is_null()) {
            "as received, and as sent"
        } else {
            "as received, and as it would be for the best candidate"
        };
        out::line(&format!("study {uid}: {decided}"));
        table(changes);
    }
    if as_json {
        out::document(&json!({ "studies": studies }));
    }
    Ok(Code::Done)
}

fn table(changes: &[Value]) {
    for change in changes {
        let value = |pointer| match out::text(change, pointer) {
            "" => "(nothing)",
            text => text,
        };
        out::line(&format!(
            "   {} {}: {} -> {}",
            out::text(change, "/tag"),
            out::text(change, "/name"),
            value("/before"),
            value("/after"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::{Tag, sample};

    #[test]
    fn what_is_labelled_wrongly_is_restored_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        for syntax in [Syntax::ImplicitLittle, Syntax::ExplicitLittle] {
            let bytes = sample::file(sample::JPEG, &sample::encapsulated().write(syntax));
            let path = folder.path().join(format!("{syntax:?}"));
            std::fs::write(&path, &bytes).unwrap();
            let mut file = std::fs::File::open(&path).unwrap();
            let object = read(&mut file, &path).unwrap();
            assert_eq!(object.header.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
            let restored = folder.path().join(format!("{syntax:?} restored"));
            restore(&mut file, &object, &object.header, &restored).unwrap();
            assert!(std::fs::read(&restored).unwrap() == bytes);
        }
    }
}
