//! Small true files of every kind, for mutations to begin with.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lotse::sim::sample::Sample;
use zip::unstable::write::FileOptionsExt;
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

use crate::documents::samples;
use crate::support::{program, test_env};

/// Longer seeds cost rounds and find nothing more.
const LONGEST: u64 = 12 << 10;

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there; run tests/env") {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, into),
            false => into.push(path),
        }
    }
}

fn pydicom() -> PathBuf {
    let mut lib = std::fs::read_dir(test_env("venv/lib")).unwrap();
    lib.next().unwrap().unwrap().path().join("site-packages/pydicom/data")
}

/// The small files of pydicom: every transfer syntax, headless, cut, with odd lengths, in many alphabets.
pub fn objects() -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    files_below(&pydicom().join("test_files"), &mut paths);
    files_below(&pydicom().join("charset_files"), &mut paths);
    paths.sort();
    let short = |path: &&PathBuf| path.metadata().unwrap().len() <= LONGEST;
    let is_object = |path: &&PathBuf| path.extension().is_none_or(|ending| ending == "dcm");
    let paths = paths.iter().filter(short).filter(is_object);
    let objects: Vec<Vec<u8>> = paths.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(objects.len() > 50, "{}", objects.len());
    objects
}

pub fn directories() -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    files_below(&pydicom().join("test_files/dicomdirtests"), &mut paths);
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"DICOMDIR"))
    });
    paths.sort();
    let mut found: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    found.push(Sample::new(2).directory());
    assert!(found.len() > 5, "{}", found.len());
    found
}

fn zipped(options: SimpleFileOptions, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn image(options: &[&str], files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let medium = dir.path().join("medium");
    std::fs::create_dir(&medium).unwrap();
    for (name, bytes) in files {
        std::fs::write(medium.join(name.replace('/', "_")), bytes).unwrap();
    }
    let image = dir.path().join("cd.iso");
    let mut command = Command::new(program("genisoimage"));
    command.args(["-quiet", "-no-pad"]).args(options).arg("-o").arg(&image).arg(&medium);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
    std::fs::read(image).unwrap()
}

/// Every container, and every document on its own.
pub fn archives() -> Vec<Vec<u8>> {
    let (objects, listing) = (objects(), Sample::new(2).directory());
    let files: Vec<(&str, &[u8])> = vec![
        ("DICOMDIR", &listing),
        ("DICOM/IM00001", &objects[0]),
        ("DICOM/IM00002", &objects[1]),
        ("befund/größe.txt", b"Lunge frei.\n"),
        ("AUTORUN.INF", b"[autorun]\r\n"),
    ];
    let plain = SimpleFileOptions::default();
    let stored = plain.compression_method(CompressionMethod::Stored);
    let deflated = plain.compression_method(CompressionMethod::Deflated);
    let zip = zipped(stored, &files);
    let tar = tarred(&files);
    let mut seeds = vec![
        zipped(deflated, &files),
        zipped(deflated.large_file(true), &files),
        zipped(deflated.with_aes_encryption(AesMode::Aes256, "secret"), &files),
        zipped(deflated.with_deprecated_encryption(b"secret").unwrap(), &files),
        zipped(deflated, &[("innen.zip", &zip), ("innen.tar", &tar)]),
        gzipped(&tar),
        gzipped(&objects[0]),
        image(&[], &files),
        image(&["-J", "-R"], &files),
        zip,
        tar,
    ];
    let documents = samples::files().into_iter().map(|(_, bytes)| bytes);
    seeds.extend(documents.filter(|bytes| bytes.len() < 100_000));
    seeds.extend(objects.into_iter().take(10));
    seeds
}

/// A term, a NUL, and bytes in that set: one text for each set of PS3.3 C.12.1.1.2.
pub fn texts() -> Vec<Vec<u8>> {
    let texts: [(&str, &[u8]); 20] = [
        ("", b"BEISPIEL^OTTO"),
        ("ISO_IR 100", b"B\xe4r^\xd6zg\xfcr"),
        ("ISO_IR 101", b"W\xb1\xb3\xeasa"),
        ("ISO_IR 109", b"\xa9u"),
        ("ISO_IR 110", b"\xe0\xe8"),
        ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
        ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"),
        ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4"),
        ("ISO_IR 144", b"\xbb\xee\xdacek\xd0"),
        ("ISO_IR 148", b"\xdd\xfe\xf0"),
        ("ISO_IR 166", b"\xca\xc1\xaa\xd2\xc2"),
        ("ISO_IR 203", b"\xa4\xbd"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東".as_bytes()),
        ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=\x81\x30\x81\x30"),
        ("GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab"),
        ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B"),
        ("ISO 2022 IR 13\\ISO 2022 IR 159", b"\xd4\xcf\xc0\xde=\x1b$(D0!\x1b(J"),
        ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
        (
            "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 58",
            b"\xe4\x1b-F\xc4\xe9\\\x1b$)A\xcd\xf5\r\n",
        ),
    ];
    texts.iter().map(|(term, text)| [term.as_bytes(), b"\0", text].concat()).collect()
}

/// Answers of portals, each form of them once.
pub fn portals() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"apiInfo":[{"dlxVersion":"v1","apiBasePath":"https://p.example/dlx/v1","vendorInformation":"V"}],
            "tfaQuestion":[{"question":[{"text":"Wann?","language":"de"}],"questionId":"1",
            "questionType":"PAT_BIRTH_DATE","answerFormat":"DATE"}]}"#,
        r#"{"apiInfo":{"dlxVersion":2,"apiBasePath":"/dlx/v2","capabilities":{"dicomweb":{"wadoRs":
            {"available":true,"url":"https://p.example/w"},"qidoRs":{"available":false}}}},
            "tfaQuestion":{"questionId":7,"question":"When?","questionType":"KV_NUMBER"}}"#,
        r#"{"dataItem":[{"id":"1","mimeType":"application/zip","description":"CT","date":"20240419",
            "patientsName":"A,B","patientsBirthdate":19700131,"patientsSex":"F","fileCount":"12",
            "studyInstanceUID":"2.25.1","modalities":["CT","SR"],"patientId":"7","accessionNumber":8}]}"#,
        r#"{"dataItems":{"dataItem":{"id":5,"name":"Befund","date":"2024-04-19T10:30:00Z"}}}"#,
        "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDA2MDAsImlhdCI6MTcwMDAwMDAwMH0.c2ln",
        "\"eyJh.eyJleHAiOjE3MDAwMDA2MDB9.sig\"",
        r#"{"access_token":"Bearer eyJh.e30.sig","expires_in":600}"#,
        r#"{"timeOutInSeconds":30}"#,
        "https://portal.example.org/dlx/v1/token/ABC-S1Z-98A?token=x%2e%2e#y",
        "attachment; filename=\"a;b \\\"c\\\".zip\"; filename*=UTF-8''M%C3%BCller.zip",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Heads of answers to a download.
pub fn heads() -> Vec<Vec<u8>> {
    let texts = [
        "Accept-Ranges: bytes\r\nETag: \"a1\"\r\nContent-Range: bytes 5-9/10\r\n",
        "Accept-Ranges: none, bytes\r\nDate: Sun, 06 Nov 1994 08:49:39 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Retry-After: 120\r\nContent-Range: bytes 0-18446744073709551614/18446744073709551615\r\n",
        "Date: Sunday, 06-Nov-94 08:49:37 GMT\r\nRetry-After: Sun Nov  6 08:50:37 1994\r\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The shipped recipes without their samples, and an odd one.
pub fn recipes() -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    files_below(&crate::support::root().join("config/portals"), &mut paths);
    paths.sort();
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let short = |text: String| {
        text.split("[[samples]]").nth(1).map_or(text.clone(), |sample| {
            format!("{}[[samples]]{sample}", text.split("[[samples]]").next().unwrap())
        })
    };
    paths.iter().map(text).map(short).map(String::into_bytes).collect()
}

/// Pages as portals have them: forms in tables, templates, fields elsewhere, misnested tags.
pub fn pages() -> Vec<Vec<u8>> {
    [
        "<!DOCTYPE html><html><body><form id=login method=post action='/in'><input type=hidden name=csrf \
         value='a&amp;b'><input name=born><select name=s><option>1<option selected>2</select></form>",
        "<table><form id=f enctype=multipart/form-data><tr><td><input name=a value=1></td></tr></form></table>\
         <input form=f name=b><textarea name=c form=f>\nx</textarea>",
        "<form><template><input name=a></template><svg><input name=b></svg><b><p>x</b>y</p><a><table><a>z",
        "<ul><li><a class='big download' href='../dl/1'>CT</a><li><a href=\"/2\">Befund</ul><noscript><form>",
    ]
    .map(|page| page.as_bytes().to_vec())
    .to_vec()
}

/// HL7 v2 messages: orders with and without IPC, patients, a merge, an escape, another character set, an answer.
pub fn messages() -> Vec<Vec<u8>> {
    let head = |kind: &str, set: &str| {
        format!("MSH|^~\\&|KIS|HAUS|LOTSE|RAD|20260301101500||{kind}|C1|P|2.5||||||{set}\r")
            .into_bytes()
    };
    let patient =
        b"PID|1||42^^^KLINIKUM^MR~7^^^KASSE||M\xc3\xbcller^\xc3\x84nne^^^Dr.^^L||19700305|F\r";
    let order = b"ORC|NW|1|1\rTQ1|1||||||20260302\rOBR|1|1|1|CTA^CT \\T\\ Abdomen^99RAD||||||||||||||A1||RP1||||||CT\r";
    let ipc = b"ORC|XO|4|4\rOBR|1|4|4|MRK^MR Kopf^99RAD\rIPC|A4|RP4|1.2.3.4|S4|MR\rZDS|1.2.3.4^X^Application^DICOM\r";
    let utf8 = "UNICODE UTF-8";
    let latin = b"PID|1||42^^^KLINIKUM||M\xfcller^Anna||1970|F\r";
    vec![
        [&head("ORM^O01^ORM_O01", utf8)[..], patient, order].concat(),
        [&head("OMG^O19^OMG_O19", utf8)[..], patient, order, order].concat(),
        [&head("OMI^O23^OMI_O23", utf8)[..], patient, ipc].concat(),
        [&head("ORM^O01", "8859/1")[..], latin, b"ORC|CA|1|1\r"].concat(),
        [&head("ADT^A08^ADT_A01", utf8)[..], patient].concat(),
        [&head("ADT^A40^ADT_A39", utf8)[..], patient, b"MRG|43^^^KLINIKUM\r"].concat(),
        [&head("ACK", "")[..], b"MSA|AE|C1|no\rERR||PID^1^3|101|E\r"].concat(),
        b"MSH|^~\\&#|A\r\n\r\n".to_vec(),
    ]
}

/// A content type, a line break, and a body.
pub fn multiparts() -> Vec<Vec<u8>> {
    let kind = "multipart/related; type=\"application/dicom\"; boundary=x";
    let bodies = [
        "--x--",
        "--x\r\n\r\none\r\n--x\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\r\ntwo\r\n--x--\r\n",
        "preamble\r\n--x \t\r\na: b\r\n c\r\n\r\n\r\n--x\r\n--xy\r\n-\r\n--x--",
        "--x\r\nContent-Length: 99\r\n\r\nshort\r\n--x--",
        "--x\r\nContent-Type: application/dicom\r\n\r\none\r\n--x\r\n\r\ntwo\r\n-\r\n--x--\r\n",
        "preamble\r\n--x  \r\n\r\n\r\n--x\r\nX: y\r\n\r\nthree\r\r\n--x--epilogue",
    ];
    bodies.iter().map(|body| format!("{kind}\n{body}").into_bytes()).collect()
}
