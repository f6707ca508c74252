//! GZIP: a TAR archive or one file, inflated in a stream.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::container::{Container, Desk};
use super::content::{Content, HEAD};
use super::intake::{self, Outcome};
use super::medium::Medium;
use super::meter::{CHUNK, Meter, Record, Source};
use super::name::Name;
use super::tar::{self, Stop};
use super::{Error, container};

const DAMAGED: &str = "the compressed file is incomplete or damaged; fetch or copy it again";
/// Its files were read, and may be other ones than were packed.
const UNPROVEN: &str = "the end of the compressed file is missing or does not fit what came before it; compare \
                        its files with the source, or fetch it again";

pub(super) fn unpack(container: &Container<'_>, desk: &mut Desk<'_, '_>) -> Result<(), Error> {
    let (source, record) = Source::new(container.reader()?);
    let mut inflated = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, source));
    let mut head = Vec::new();
    if inflated.by_ref().take(HEAD).read_to_end(&mut head).is_err() {
        record.check()?;
        container.remark(desk.ledger, DAMAGED);
        return Ok(());
    }
    let name = inner_name(container.name);
    let mut whole = head.as_slice().chain(inflated);
    if Content::of(&head, u64::MAX, &name) == Content::Container(container::Kind::Tar) {
        return match tar::unpack_stream(container, &mut whole, &record, desk)? {
            Some(Stop::Unread) => check_end(container, &mut whole, &record, desk),
            Some(Stop::Behind) => {
                container.remark(desk.ledger, UNPROVEN);
                Ok(())
            }
            // It was read to its end, or what is wrong has been told.
            None | Some(Stop::Cut | Stop::Unended | Stop::Bomb) => Ok(()),
        };
    }
    let mut meter = Meter::new(&mut whole, desk.budget, &record);
    let spooled = intake::spool(&mut meter, desk.pack.open()?)?;
    drop(meter);
    record.check()?;
    let blob = match spooled {
        Ok(blob) => blob,
        Err(Outcome::Aside(reason)) => {
            let reason = if reason == intake::DAMAGED { DAMAGED.to_owned() } else { reason };
            container.remark(desk.ledger, reason);
            return Ok(());
        }
        Err(other) => {
            desk.ledger.enter(&mut Medium::default(), &name, other);
            return Ok(());
        }
    };
    let mut reader = container.spool.read(&blob)?;
    let content = Content::of(&head, blob.length, &name);
    match container::recognise(content, &mut reader, &name)? {
        Content::Container(kind) => container.open_inner(&name, kind, &blob, desk),
        content => {
            drop(reader);
            let outcome = intake::judge_stored(
                container.spool,
                &blob,
                &name,
                content,
                desk.budget.scanner,
                desk.pack,
            )?;
            desk.budget.found(&outcome);
            desk.ledger.enter(&mut Medium::default(), &name, outcome);
            Ok(())
        }
    }
}

/// Reads on behind what is read of the archive in it: there stands the checksum of everything.
fn check_end(
    container: &Container<'_>,
    rest: &mut dyn Read,
    record: &Record,
    desk: &mut Desk<'_, '_>,
) -> Result<(), Error> {
    let mut meter = Meter::new(rest, desk.budget, record);
    let drained = std::io::copy(&mut meter, &mut std::io::sink());
    record.check()?;
    match meter.fault().and_then(|fault| desk.budget.broken(fault)) {
        Some(error) => return Err(error),
        None if drained.is_err() => container.remark(desk.ledger, UNPROVEN),
        None => {}
    }
    Ok(())
}

/// The name without the end that says it is compressed.
fn inner_name(name: &str) -> Name {
    let lower = name.to_ascii_lowercase();
    match lower.strip_suffix(".gz").and_then(|stem| name.get(..stem.len())) {
        Some(stem) => Name::new(stem),
        None => Name::new(name),
    }
}
