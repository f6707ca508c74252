//! Archives beside ZIP, archives inside archives, passwords: one table of what becomes of them.

use std::io::Write;

use super::build::{Raw, World, aside, deflated, object, reason_of, stored, zip, zip_parts};
use crate::import::FileKind;
use crate::unpack::clamd::Scanner;
use crate::unpack::container::{self, Container, Desk, Level};
use crate::unpack::meter::Budget;
use crate::unpack::{Error, LazyPack, Ledger, Limits, ScanSection, Unpacked};

type TarEntry<'a> = (&'a str, &'a [u8], tar::EntryType);

fn tar_entries(entries: &[TarEntry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes, kind) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o644);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn tar_of(names: &[&str]) -> Vec<u8> {
    let objects: Vec<_> = (1..).zip(names).map(|(number, _)| object(number)).collect();
    let entries: Vec<TarEntry<'_>> = names
        .iter()
        .zip(&objects)
        .map(|(name, object)| (*name, &object[..], tar::EntryType::Regular))
        .collect();
    tar_entries(&entries)
}

pub(super) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// One block of any content with a right checksum.
fn block(change: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("X").unwrap();
    header.set_size(0);
    change(header.as_mut_bytes());
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn record(at: u32, length: u32, flags: u8, name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 33];
    bytes[2..6].copy_from_slice(&at.to_le_bytes());
    bytes[10..14].copy_from_slice(&length.to_le_bytes());
    bytes[25] = flags;
    bytes[32] = u8::try_from(name.len()).unwrap();
    bytes.extend(name);
    if name.len().is_multiple_of(2) {
        bytes.push(0);
    }
    bytes[0] = u8::try_from(bytes.len()).unwrap();
    bytes
}

/// A disc image: the root folder in sector 18, a folder in 19, files from 20 on.
fn image(root: &[Vec<u8>], folder: &[Vec<u8>], files: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 2048 * 20];
    let mut descriptor = b"\x01CD001\x01".to_vec();
    descriptor.resize(2048, 0);
    descriptor[128..130].copy_from_slice(&2048_u16.to_le_bytes());
    descriptor[156..190].copy_from_slice(&record(18, 2048, 2, &[0]));
    bytes[16 * 2048..17 * 2048].copy_from_slice(&descriptor);
    bytes[17 * 2048..17 * 2048 + 7].copy_from_slice(b"\xffCD001\x01");
    for (sector, records) in [(18, root), (19, folder)] {
        let records = records.concat();
        bytes[sector * 2048..][..records.len()].copy_from_slice(&records);
    }
    for file in files {
        bytes.extend_from_slice(file);
        bytes.resize(bytes.len().next_multiple_of(2048), 0);
    }
    bytes
}

/// Folders one inside the other, each in a sector of its own; in the last lies an object.
fn nested_image(name: &[u8]) -> Vec<u8> {
    const LAST: u32 = 45;
    let one = object(1);
    let mut sectors: Vec<_> = (20..LAST).map(|at| record(at + 1, 2048, 2, name)).collect();
    sectors.push(record(LAST + 1, u32::try_from(one.len()).unwrap(), 0, b"IM"));
    sectors.push(one);
    let sectors: Vec<_> = sectors.iter().map(|sector| &sector[..]).collect();
    image(&[record(19, 2048, 2, name)], &[record(20, 2048, 2, name)], &sectors)
}

/// So many empty folders that lie one over the other.
fn overlapping_image(folders: u32) -> Vec<u8> {
    let root: Vec<_> = (0..folders).map(|at| record(20 + at, 20 * 2048, 2, b"F")).collect();
    let zeros = vec![0_u8; 80 * 2048];
    image(&root, &[], &[&zeros])
}

pub(super) fn usual_image() -> Vec<u8> {
    let one = object(1);
    let length = u32::try_from(one.len()).unwrap();
    image(
        &[record(18, 2048, 2, &[0]), record(18, 2048, 2, &[1]), record(19, 2048, 2, b"DICOM")],
        &[record(20, length, 0, b"IM1.;1"), record(21, length, 0, b"IM2.;1")],
        &[&one, &object(2)],
    )
}

fn encrypted(files: &[(&str, Vec<u8>)], password: &str, aes: bool) -> Vec<u8> {
    use zip::unstable::write::FileOptionsExt;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        if aes {
            let options = options.with_aes_encryption(zip::AesMode::Aes256, password);
            writer.start_file(*name, options).unwrap();
        } else {
            let options = options.with_deprecated_encryption(password.as_bytes()).unwrap();
            writer.start_file(*name, options).unwrap();
        }
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// What, the bytes, how many instances, and parts of the reasons of what is set aside, in order.
type Row = (&'static str, Vec<u8>, usize, Vec<&'static str>);

fn rows() -> Vec<Row> {
    use tar::EntryType as Kind;
    let (one, two) = (object(1), object(2));
    let plain = tar_of(&["IM1", "IM2"]);
    let long = format!("{}/IM1", "folder".repeat(40));
    let lying = {
        let mut bytes = plain.clone();
        bytes[600] ^= 1;
        bytes[148] ^= 1;
        bytes
    };
    let single = tar_of(&["IM1"]);
    let lone_zeros = [&single[..single.len() - 512], &plain].concat();
    let mut zeroed = plain.clone();
    zeroed[(plain.len() - 1024) / 2..][..512].fill(0);
    let mut padded = plain.clone();
    padded.resize(10_240, 0);
    let rubbish = [&plain[..], b"rubbish"].concat();
    let mut wrong_sum = gz(&plain);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let inner = zip(&[stored("IM", &two)]);
    let inner_of_inner = zip(&[stored("again.zip", &inner), stored("IM", &one)]);
    let folder_loop = image(
        &[record(18, 2048, 2, b"LOOP"), record(19, 2048, 2, b"B")],
        &[record(18, 2048, 2, b"BACK"), record(20, u32::try_from(one.len()).unwrap(), 0, b"IM")],
        &[&one],
    );
    let nowhere = image(
        &[record(4_000_000, 9_999, 0, b"GONE"), record(5_000_000, 2048, 2, b"FAR")],
        &[],
        &[],
    );
    let empty_file = image(&[record(4_000_000, 0, 0, b"NIL")], &[], &[]);
    let huge_folder = image(&[record(19, u32::MAX, 2, b"HUGE")], &[], &[]);
    let bad_record = image(&[vec![200, 0, 1, 2, 3]], &[], &[]);
    let mut cut_image = usual_image();
    cut_image.truncate(cut_image.len() - 2048);
    let garbage = {
        let first = Raw { ..stored("A", &one) };
        let parts = zip_parts(&[first, stored("~~~ between the files ~~~", b"\x7f\x01\x02")], 2);
        parts.bytes
    };
    vec![
        ("tar", plain.clone(), 2, vec![]),
        ("tar.gz", gz(&plain), 2, vec![]),
        ("tar.gz of two members", [gz(&plain[..700]), gz(&plain[700..])].concat(), 2, vec![]),
        ("tar behind a tar", [&padded[..], &plain].concat(), 4, vec![]),
        ("tar.gz behind a tar.gz", [gz(&plain), gz(&padded)].concat(), 4, vec![]),
        ("tar, one block of zeros between", lone_zeros, 3, vec![]),
        ("tar, a header of zeros", zeroed, 1, vec!["behind the end mark"]),
        ("tar, padded with zeros", padded.clone(), 2, vec![]),
        ("tar, padded with less than a block", padded[..9_999].to_vec(), 2, vec![]),
        ("tar and rubbish", rubbish.clone(), 2, vec!["behind the end mark"]),
        ("tar.gz of a tar and rubbish", gz(&rubbish), 2, vec!["behind the end mark"]),
        ("tar.gz with a wrong sum", wrong_sum, 2, vec!["does not fit"]),
        ("tar, long name", tar_of(&[&long]), 1, vec![]),
        ("tar in a zip", zip(&[deflated("x.tar", &plain)]), 2, vec![]),
        ("tar.gz in a zip", zip(&[stored("x.tgz", &gz(&plain))]), 2, vec![]),
        ("zip in a zip", zip(&[stored("x.zip", &inner), stored("IM", &one)]), 2, vec![]),
        (
            "zip in a zip in a zip",
            zip(&[stored("x.zip", &inner_of_inner)]),
            1,
            vec!["inside an archive"],
        ),
        ("zip in a tar", tar_entries(&[("x.zip", &inner, Kind::Regular)]), 1, vec![]),
        ("gzipped object", gz(&one), 1, vec![]),
        ("gzipped zip", gz(&inner), 1, vec![]),
        ("gzipped gzip", gz(&gz(&one)), 1, vec![]),
        (
            "cut zip in a zip",
            zip(&[stored("x.zip", &inner[..99]), stored("IM", &one)]),
            1,
            vec!["table of contents"],
        ),
        (
            "tar, links and devices",
            tar_entries(&[
                ("a", b"", Kind::Symlink),
                ("b", b"", Kind::Link),
                ("c", b"", Kind::Char),
                ("d", b"", Kind::Fifo),
                ("IM", &one, Kind::Regular),
            ]),
            1,
            vec!["links are not", "links are not", "device", "device"],
        ),
        (
            "tar, names that lead elsewhere",
            {
                let mut t = block(|b| b[..14].copy_from_slice(b"../../etc/pass"));
                t.extend(&plain);
                t
            },
            2,
            vec!["empty"],
        ),
        ("tar cut in a file", plain[..900].to_vec(), 0, vec!["damaged", "incomplete"]),
        (
            "tar cut in a header",
            plain[..plain.len() - 1024 - 1024 - 700].to_vec(),
            1,
            vec!["incomplete"],
        ),
        ("tar without an end", plain[..plain.len() - 1024].to_vec(), 2, vec!["no mark at its end"]),
        ("tar with a wrong checksum", lying, 0, vec!["incomplete"]),
        (
            "tar with a lying size",
            block(|b| b[124..136].copy_from_slice(b"77777777777\0")),
            0,
            vec!["damaged in the archive", "incomplete"],
        ),
        (
            "tar with a size of 2^95",
            block(|b| {
                b[124] = 0x80;
                b[125..136].fill(0xff);
            }),
            0,
            vec!["larger than", "incomplete"],
        ),
        (
            "tar with a name of 4 GB",
            block(|b| {
                b[156] = b'L';
                b[124..136].copy_from_slice(b"37777777777\0");
            }),
            0,
            vec!["incomplete"],
        ),
        (
            "tar with pax rubbish",
            {
                let mut t = block(|b| {
                    b[156] = b'x';
                    b[124..136].copy_from_slice(b"00000000005\0");
                });
                t.extend(b"9 \xff\xff=");
                t.resize(1024, 0);
                t.extend(&plain);
                t
            },
            2,
            vec![],
        ),
        ("tar with holes", block(|b| b[156] = b'S'), 0, vec!["holes", "no mark"]),
        ("gz cut", gz(&one)[..60].to_vec(), 0, vec!["incomplete or damaged"]),
        (
            "gz with a wrong sum",
            {
                let mut g = gz(&one);
                let at = g.len() - 6;
                g[at] ^= 1;
                g
            },
            0,
            vec!["incomplete or damaged"],
        ),
        (
            "gz and rubbish",
            [gz(&one), b"rubbish".to_vec()].concat(),
            0,
            vec!["incomplete or damaged"],
        ),
        ("gz of nothing", gz(b""), 0, vec!["empty"]),
        ("gz head alone", b"\x1f\x8b\x08\0".to_vec(), 0, vec!["incomplete or damaged"]),
        ("disc image", usual_image(), 2, vec![]),
        ("disc image in a zip", zip(&[deflated("cd.iso", &usual_image())]), 2, vec![]),
        ("disc image gzipped", gz(&usual_image()), 2, vec![]),
        ("disc image, folders in a ring", folder_loop, 1, vec!["damaged table"]),
        ("disc image, files nowhere", nowhere, 0, vec!["damaged in the", "damaged table"]),
        ("disc image, folder of 4 GB", huge_folder, 0, vec!["damaged table"]),
        ("disc image, bad record", bad_record, 0, vec!["damaged table"]),
        ("disc image, cut", cut_image, 1, vec!["damaged in the archive", "damaged table"]),
        ("disc image, empty file elsewhere", empty_file, 0, vec!["empty"]),
        ("disc image, deep", nested_image(b"F"), 1, vec![]),
        ("disc image, long path", nested_image(&[b'F'; 200]), 0, vec!["damaged table"]),
        ("disc image, folders overlap", overlapping_image(40), 0, vec!["damaged table"]),
        (
            "disc image, only a mark",
            {
                let mut i = vec![0; 2048 * 18];
                i[16 * 2048..16 * 2048 + 6].copy_from_slice(b"\x01CD001");
                i
            },
            0,
            vec!["damaged table"],
        ),
        ("called iso, is none", zip(&[stored("x.iso", &[7; 99])]), 0, vec!["damaged table"]),
        ("rubbish between entries", garbage, 1, vec!["neither DICOM"]),
        ("rar", b"Rar!\x1a\x07\x01\0".to_vec(), 0, vec!["not read"]),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), 0, vec!["not read"]),
        ("xz", b"\xfd7zXZ\0".to_vec(), 0, vec!["not read"]),
    ]
}

#[test]
fn every_archive_ends_as_documented() {
    let world = World::new();
    let mut wrong = Vec::new();
    for (what, bytes, instances, reasons) in rows() {
        let unpacked = match world.unpack_one("arrival.bin", &bytes) {
            Ok(unpacked) => unpacked,
            Err(error) => {
                wrong.push(format!("{what}: {error}"));
                continue;
            }
        };
        let found: Vec<_> = unpacked.set_aside.iter().map(|file| &file.reason).collect();
        let fits = found.len() == reasons.len()
            && found.iter().zip(&reasons).all(|(found, part)| found.contains(part));
        if unpacked.instances.len() != instances || !fits {
            wrong.push(format!("{what}: {} in, {found:?}", unpacked.instances.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn folders_of_an_image_count_while_they_are_read() {
    let mut world = World::new();
    world.limits.entries = 30;
    let error = world.unpack_one("cd.iso", &overlapping_image(40)).err();
    assert!(matches!(error, Some(Error::TooManyEntries { file: 1, entries: 31, limit: 30 })));
    // The folder and two files of an ordinary one.
    world.limits.entries = 3;
    assert_eq!(world.unpack_one("cd.iso", &usual_image()).unwrap().instances.len(), 2);
}

/// An image of both systems: behind the ISO descriptors stand those of UDF, and then the ISO root, moved there.
fn bridge(root: &[Vec<u8>], files: &[&[u8]], nsr: &[u8; 5]) -> Vec<u8> {
    let (sector, mut bytes) = (2048, image(&[], &[], files));
    for (number, mark) in [(18, b"BEA01"), (19, nsr)] {
        bytes[number * sector + 1..][..5].copy_from_slice(mark);
    }
    let (at, records) = (bytes.len() / sector, root.concat());
    bytes.extend(records);
    bytes.resize((at + 1) * sector, 0);
    let root = record(u32::try_from(at).unwrap(), 2048, 2, &[0]);
    bytes[16 * sector + 156..][..root.len()].copy_from_slice(&root);
    bytes
}

#[test]
fn an_image_whose_files_are_in_udf_alone_is_told_as_such() {
    let told = |image: &[u8]| {
        let world = World::new();
        let unpacked = world.unpack_one("cd.iso", image).unwrap();
        let reasons: Vec<_> =
            aside(&unpacked).into_iter().map(|(_, reason)| reason.to_owned()).collect();
        (unpacked.instances.len(), reasons.iter().filter(|r| r.contains("UDF")).count(), reasons)
    };
    let one = object(1);
    let readme: &[u8] = b"This disc needs a UDF reader.";
    let file = |bytes: &[u8], name| record(20, u32::try_from(bytes.len()).unwrap(), 0, name);
    for nsr in [b"NSR02", b"NSR03"] {
        let stub = bridge(&[file(readme, b"README.;1")], &[readme], nsr);
        let (instances, udf, _) = told(&stub);
        assert_eq!((instances, udf), (0, 1));
        let (instances, udf, reasons) = told(&bridge(&[], &[], nsr));
        assert_eq!((instances, udf, reasons.len()), (0, 1, 1), "{reasons:?}");
        // What ISO lists too is read, and nothing is missing.
        let (instances, udf, reasons) = told(&bridge(&[file(&one, b"IM1.;1")], &[&one], nsr));
        assert_eq!((instances, udf, reasons.len()), (1, 0, 0), "{reasons:?}");
    }
    let (_, udf, reasons) = told(&bridge(&[file(readme, b"README.;1")], &[readme], b"\0\0\0\0\0"));
    assert_eq!(udf, 0, "{reasons:?}");
}

#[test]
fn folders_of_an_image_stop_at_once() {
    let world = World::new();
    let file = world.put("cd.iso", &image(&[record(19, 2048, 2, b"A")], &[], &[]));
    world.cancel.cancel();
    let (limits, section) = (Limits::default(), ScanSection::default());
    let (scanner, size) = (Scanner::new(&section), (1, file.blob.length));
    let budget = Budget::new(&limits, &world.cancel, 0, size, &scanner, &world.seen);
    let mut pack = LazyPack { spool: &world.spool, pack: None };
    let mut ledger = Ledger { found: Unpacked::default(), unlisted: 0, patients: vec![] };
    let mut desk = Desk { budget: &budget, pack: &mut pack, more: &mut [], ledger: &mut ledger };
    let container = Container {
        spool: &world.spool,
        name: "cd.iso",
        blob: &file.blob,
        number: 1,
        level: Level::Outer,
        password: None,
    };
    let stopped = container.open(container::Kind::Iso, &mut desk);
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

#[test]
fn zeros_behind_a_tar_count() {
    let mut world = World::new();
    world.limits = Limits { total_bytes: 16 << 10, ..Limits::default() };
    let mut padded = tar_of(&["IM1", "IM2"]);
    padded.resize(10_240, 0);
    assert_eq!(world.unpack_one("a.tar", &padded).unwrap().instances.len(), 2);
    padded.resize(64 << 10, 0);
    let error = world.unpack_one("a.tar", &padded).err();
    assert!(matches!(error, Some(Error::TooLarge { .. })));
}

#[test]
fn password_opens_what_is_encrypted() {
    for aes in [false, true] {
        let mut world = World::new();
        let files = [("IM1", object(1)), ("IM2", object(2)), ("IM3", object(3))];
        let archive = encrypted(&files, "päss \\wort", aes);
        let asked = world.unpack_one("a.zip", &archive).err();
        assert!(matches!(asked, Some(Error::Password { file: 1, given: false })), "aes {aes}");
        world.password = Some("päss \\wort".to_owned());
        let unpacked = world.unpack_one("a.zip", &archive).unwrap();
        assert_eq!(unpacked.instances.len(), 3, "aes {aes}: {:?}", aside(&unpacked));
        world.password = Some("other".to_owned());
        let asked = world.unpack_one("a.zip", &archive).err();
        assert!(matches!(asked, Some(Error::Password { given: true, .. })), "aes {aes}");
        assert!(!asked.unwrap().sentence().contains("other"));
        // A person went on without it.
        world.password = Some(String::new());
        let unpacked = world.unpack_one("a.zip", &archive).unwrap();
        assert_eq!((unpacked.instances.len(), unpacked.set_aside.len()), (0, 3));
        assert!(reason_of(&unpacked, "IM1").contains("no password was given"));
    }
}

#[test]
fn inner_files_are_named_with_their_archive() {
    let world = World::new();
    let inner = zip(&[stored("notes.md", b"x")]);
    let unpacked = world.unpack_one("a.zip", &zip(&[stored("d/x.zip", &inner)])).unwrap();
    assert_eq!(aside(&unpacked)[0].0, "d/x.zip/notes.md");
}

#[test]
fn documents_come_out_of_every_container() {
    let (text, pdf) = (&b"Nothing abnormal."[..], &b"%PDF-1.4 findings"[..]);
    let mut world = World::new();
    world.password = Some("secret".to_owned());
    let plain = zip(&[stored("letter.txt", text), deflated("findings.pdf", pdf)]);
    let regular = tar::EntryType::Regular;
    let tarred = tar_entries(&[("letter.txt", text, regular), ("findings.pdf", pdf, regular)]);
    let files = [("letter.txt", text.to_vec()), ("findings.pdf", pdf.to_vec())];
    for (name, bytes, count) in [
        ("a.zip", plain.clone(), 2),
        ("a.zip", zip(&[stored("x.zip", &plain)]), 2),
        ("a.zip", encrypted(&files, "secret", true), 2),
        ("a.zip", encrypted(&files, "secret", false), 2),
        ("a.tar", tarred.clone(), 2),
        ("a.tgz", gz(&tarred), 2),
        ("letter.txt.gz", gz(text), 1),
    ] {
        let unpacked = world.unpack_one(name, &bytes).unwrap();
        assert_eq!((unpacked.documents.len(), aside(&unpacked)), (count, vec![]), "{name}");
        let (kind, title, blob) = &unpacked.documents[0];
        assert!(matches!(kind, FileKind::Text(_)), "{name}");
        assert_eq!((title.as_str(), world.bytes(blob)), ("letter", text.to_vec()), "{name}");
    }
}

#[test]
fn bombs_inside_archives_are_stopped() {
    let mut world = World::new();
    world.limits = Limits { ratio: 10, ..Limits::default() };
    let zeros = vec![0; 80 << 20];
    let mut pages = zeros.clone();
    pages[..8].copy_from_slice(b"%PDF-1.4");
    let inner = zip(&[deflated("Z", &pages)]);
    let outer = zip(&[stored("x.zip", &inner), deflated("y.zip", &inner)]);
    let bomb = world.unpack_one("a.zip", &outer).err();
    assert!(matches!(bomb, Some(Error::Bomb { file: 1, ratio: 10 })));
    let tarred = gz(&tar_entries(&[("Z", &zeros, tar::EntryType::Regular)]));
    let bomb = world.unpack_one("a.tgz", &tarred).err();
    assert!(matches!(bomb, Some(Error::Bomb { .. })));
    let tarred = gz(&tar_entries(&[("Z", &pages, tar::EntryType::Regular)]));
    let unpacked = world.unpack_one("a.tgz", &tarred).unwrap();
    assert!(reason_of(&unpacked, "Z").contains("deflate bomb"));
    assert!(reason_of(&unpacked, "a.tgz").contains("were not read"));
    // The files of all levels count together.
    world.limits = Limits { entries: 5, ..Limits::default() };
    let three = zip(&[stored("A", b"x"), stored("B", b"x"), stored("C", b"x")]);
    let outer = zip(&[stored("x.zip", &three), stored("y.zip", &three)]);
    let unpacked = world.unpack_one("a.zip", &outer).unwrap();
    assert!(reason_of(&unpacked, "y.zip").contains("unpack.entries"));
}
