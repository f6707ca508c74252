//! A bare DICOM peer for benches and fault tests: as little as a receiver can do, so that it is the floor of a
//! machine, and an honest witness, so that what it logged is what came.
//!
//! ```text
//! peer drain PORT [log=FILE] [keep=FOLDER] [durable=FOLDER] [abort-each=N] [late-each=N late-ms=MS]
//! peer relay PORT HOST:PORT MS
//! ```
//!
//! `drain` takes every C-STORE. With `log` each connection N is a line `open N`, later `close N`; each request is
//! a line `request UID N` as soon as its command came, and `stored UID LENGTH` before its answer leaves; with
//! `keep` the data set lies in `FOLDER/UID` by then, with `durable` somewhere in FOLDER, on the device.
//! `abort-each` drops every Nth object in its middle, `late-each` answers every Nth so much later. `relay` passes
//! bytes on to another place, each `MS` later, in both directions.

mod durable;

use std::fs::{self, File};
use std::io::{self, BufReader, Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use durable::Durable;

/// What Lotse offers too.
const MAX_PDU: u32 = 128 << 10;
/// Association requests are larger than data PDUs; nobody here sends more.
const LARGEST_PDU: u32 = 1 << 20;
const APPLICATION_CONTEXT: &[u8] = b"1.2.840.10008.3.1.1.1";
/// The beginning of all classes of images and documents.
const STORAGE: &[u8] = b"1.2.840.10008.5.1.4.1.1.";
const VERIFICATION: &[u8] = b"1.2.840.10008.1.1";
const EXPLICIT: &[u8] = b"1.2.840.10008.1.2.1";
const IMPLEMENTATION: &[u8] = b"2.25.266519216434379372806425417217436051253";

const RELEASE_RP: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];
const C_STORE: u16 = 0x0001;
const C_ECHO: u16 = 0x0030;

#[derive(Default)]
struct Books {
    log: Option<Mutex<File>>,
    keep: Option<PathBuf>,
    durable: Option<Durable>,
    abort_each: u64,
    late_each: u64,
    late: Duration,
    objects: AtomicU64,
    connections: AtomicU64,
}

impl Books {
    fn new(options: &[String]) -> io::Result<Self> {
        let mut books = Self::default();
        for option in options {
            let (key, value) = option.split_once('=').ok_or_else(|| wrong("KEY=VALUE expected"))?;
            let number = || value.parse::<u64>().map_err(|_| wrong("a number expected"));
            match key {
                "log" => {
                    books.log =
                        Some(Mutex::new(File::options().create(true).append(true).open(value)?))
                }
                "keep" => books.keep = Some(PathBuf::from(value)),
                "durable" => books.durable = Some(Durable::new(value.as_ref())?),
                "abort-each" => books.abort_each = number()?,
                "late-each" => books.late_each = number()?,
                "late-ms" => books.late = Duration::from_millis(number()?),
                _ => return Err(wrong("an unknown option")),
            }
        }
        Ok(books)
    }

    fn write(&self, line: &str) -> io::Result<()> {
        match &self.log {
            // One write a line, so that lines of several associations do not mix.
            Some(log) => {
                log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
            }
            None => Ok(()),
        }
    }

    fn holds_objects(&self) -> bool {
        self.log.is_some() || self.keep.is_some()
    }
}

/// A C-STORE under way.
struct Object {
    command: Command,
    bytes: Vec<u8>,
    number: u64,
}

#[derive(Default)]
struct Command {
    field: u16,
    message: u16,
    class: String,
    instance: String,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["drain", port, ..] => {
            let books = Arc::new(Books::new(arguments.get(2..).unwrap_or_default())?);
            each(port, move |stream| drop(serve(stream, &books)))
        }
        ["relay", port, target, millis] => {
            let late =
                Duration::from_millis(millis.parse().map_err(|_| wrong("milliseconds expected"))?);
            let target = (*target).to_owned();
            each(port, move |stream| drop(relay(&stream, &target, late)))
        }
        _ => Err(wrong("peer drain PORT …, or peer relay PORT HOST:PORT MS")),
    }
}

fn each(port: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> io::Result<()> {
    let port: u16 = port.parse().map_err(|_| wrong("a port expected"))?;
    let serve = Arc::new(serve);
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let (stream, serve) = (stream?, Arc::clone(&serve));
        stream.set_nodelay(true)?;
        thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(stream: TcpStream, books: &Books) -> io::Result<()> {
    let number = books.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    books.write(&format!("open {number}\n"))?;
    let served = drain(stream, books, number);
    books.write(&format!("close {number}\n"))?;
    served
}

fn drain(mut stream: TcpStream, books: &Books, connection: u64) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(MAX_PDU as usize * 2, stream.try_clone()?);
    let (mut pdu, mut command) = (Vec::new(), Vec::new());
    let mut object: Option<Object> = None;
    let durable = books.durable.as_ref();
    let mut objects = durable.map(|durable| durable.objects(connection)).transpose()?;
    loop {
        let mut header = [0; 6];
        reader.read_exact(&mut header)?;
        let [kind, _, length @ ..] = header;
        let length = u32::from_be_bytes(length);
        if length > LARGEST_PDU {
            return Err(wrong("a PDU that is too large"));
        }
        pdu.clear();
        reader.by_ref().take(u64::from(length)).read_to_end(&mut pdu)?;
        match kind {
            1 => stream.write_all(&accepted(&pdu)?)?,
            4 => {}
            5 => return stream.write_all(&RELEASE_RP),
            _ => return Ok(()),
        }
        let mut rest = if kind == 4 { pdu.as_slice() } else { &[] };
        while let Some((head, more)) = rest.split_first_chunk::<6>() {
            let [l0, l1, l2, l3, context, control] = *head;
            let length = u32::from_be_bytes([l0, l1, l2, l3]).saturating_sub(2) as usize;
            let (value, more) =
                more.split_at_checked(length).ok_or_else(|| wrong("a PDV that is cut"))?;
            rest = more;
            let last = control & 2 != 0;
            if control & 1 != 0 {
                command.extend_from_slice(value);
                if last {
                    let parsed = parse(&command);
                    command.clear();
                    match parsed.field {
                        C_STORE => object = Some(begin(books, parsed, connection)?),
                        C_ECHO => stream.write_all(&response(context, &parsed))?,
                        _ => return Err(wrong("an unknown command")),
                    }
                }
                continue;
            }
            let Some(current) = &mut object else { return Err(wrong("data without a command")) };
            if let Some(objects) = &mut objects {
                objects.write(value)?;
            }
            if books.holds_objects() {
                current.bytes.extend_from_slice(value);
            }
            if books.abort_each > 0 && current.number.is_multiple_of(books.abort_each) {
                // The connection ends here, in the middle of the object as far as the sender knows.
                return Ok(());
            }
            if last && let Some(whole) = object.take() {
                if let (Some(durable), Some(objects)) = (durable, &mut objects) {
                    objects.end()?;
                    durable.record()?;
                }
                end(books, &whole)?;
                stream.write_all(&response(context, &whole.command))?;
            }
        }
    }
}

fn begin(books: &Books, command: Command, connection: u64) -> io::Result<Object> {
    books.write(&format!("request {} {connection}\n", command.instance))?;
    let number = books.objects.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    Ok(Object { command, bytes: Vec::new(), number })
}

fn end(books: &Books, object: &Object) -> io::Result<()> {
    let uid = &object.command.instance;
    if let Some(folder) = &books.keep {
        if !uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(wrong("a UID that is none"));
        }
        let part = folder.join(format!("{uid}.{}", object.number));
        fs::write(&part, &object.bytes)?;
        fs::rename(part, folder.join(uid))?;
    }
    if books.log.is_some() {
        books.write(&format!("stored {uid} {}\n", object.bytes.len()))?;
    }
    if books.late_each > 0 && object.number.is_multiple_of(books.late_each) {
        thread::sleep(books.late);
    }
    Ok(())
}

/// The answer to an association request (PS3.8 9.3.2, 9.3.3): every context of storage is accepted, with Explicit
/// Little Endian if it is among its syntaxes.
fn accepted(request: &[u8]) -> io::Result<Vec<u8>> {
    // Version, reserved, titles, reserved: echoed as they came.
    let (fixed, items) =
        request.split_at_checked(68).ok_or_else(|| wrong("no association request"))?;
    let mut body = fixed.to_vec();
    item(&mut body, 0x10, APPLICATION_CONTEXT);
    for (kind, context) in parts(items) {
        let (0x20, Some((&[id, ..], subitems))) = (kind, context.split_first_chunk::<4>()) else {
            continue;
        };
        let syntaxes = || parts(subitems).filter(|(kind, _)| *kind == 0x40).map(|(_, value)| value);
        let explicit = syntaxes().find(|value| value.trim_ascii_end() == EXPLICIT);
        let Some(syntax) = explicit.or(syntaxes().next()) else { continue };
        // What it does not do it does not accept: it stores and echoes (result 3: abstract syntax not supported).
        let class =
            parts(subitems).find(|(kind, _)| *kind == 0x30).map_or(&[][..], |(_, value)| value);
        let result = if class.starts_with(STORAGE) || class == VERIFICATION { 0 } else { 3 };
        let mut answer = vec![id, 0, result, 0];
        item(&mut answer, 0x40, syntax);
        item(&mut body, 0x21, &answer);
    }
    let mut user = Vec::new();
    item(&mut user, 0x51, &MAX_PDU.to_be_bytes());
    item(&mut user, 0x52, IMPLEMENTATION);
    item(&mut body, 0x50, &user);
    let mut pdu = vec![2, 0];
    pdu.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_be_bytes());
    pdu.extend_from_slice(&body);
    Ok(pdu)
}

/// Items of an association PDU: type, reserved, length, value.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, _, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        bytes = rest;
        Some((kind, value))
    })
}

fn item(into: &mut Vec<u8>, kind: u8, value: &[u8]) {
    into.extend_from_slice(&[kind, 0]);
    into.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    into.extend_from_slice(value);
}

/// A command set is Implicit VR Little Endian (PS3.7 6.3.1).
fn parse(mut bytes: &[u8]) -> Command {
    let mut command = Command::default();
    while let Some((&[0, 0, e0, e1, l0, l1, l2, l3], rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some((value, rest)) = rest.split_at_checked(length) else { break };
        bytes = rest;
        let text = || String::from_utf8_lossy(value).trim_end_matches(['\0', ' ']).to_owned();
        let number = || value.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        match u16::from_le_bytes([e0, e1]) {
            0x0002 => command.class = text(),
            0x0100 => command.field = number(),
            0x0110 => command.message = number(),
            0x1000 => command.instance = text(),
            _ => {}
        }
    }
    command
}

/// Success, as one PDU.
fn response(context: u8, request: &Command) -> Vec<u8> {
    let mut body = Vec::new();
    let mut element = |number: u16, value: &[u8]| {
        let odd = value.len() % 2;
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&number.to_le_bytes());
        body.extend_from_slice(&u32::try_from(value.len() + odd).unwrap_or(0).to_le_bytes());
        body.extend_from_slice(value);
        body.extend(std::iter::repeat_n(0, odd));
    };
    element(0x0002, request.class.as_bytes());
    element(0x0100, &(request.field | 0x8000).to_le_bytes());
    element(0x0120, &request.message.to_le_bytes());
    element(0x0800, &0x0101_u16.to_le_bytes());
    element(0x0900, &0_u16.to_le_bytes());
    if request.field == C_STORE {
        element(0x1000, request.instance.as_bytes());
    }
    let group = u32::try_from(body.len()).unwrap_or(0);
    let length = group.saturating_add(12);
    let mut pdu = vec![4, 0];
    pdu.extend_from_slice(&length.saturating_add(6).to_be_bytes());
    pdu.extend_from_slice(&length.saturating_add(2).to_be_bytes());
    pdu.extend_from_slice(&[context, 3]);
    pdu.extend_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0]);
    pdu.extend_from_slice(&group.to_le_bytes());
    pdu.extend_from_slice(&body);
    pdu
}

fn relay(client: &TcpStream, target: &str, late: Duration) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let back = thread::spawn(move || drop(pass(from, to, late)));
    let passed = pass(server, client.try_clone()?, late);
    drop(back.join());
    passed
}

/// Passes bytes on, each `late` after it came; the line holds as much as comes in that time.
fn pass(mut from: TcpStream, mut to: TcpStream, late: Duration) -> io::Result<()> {
    let (line, end) = mpsc::sync_channel::<(Instant, Vec<u8>)>(4096);
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let bytes = buffer.get(..read).unwrap_or_default().to_vec();
            if line.send((Instant::now() + late, bytes)).is_err() {
                break;
            }
        }
    });
    for (due, bytes) in end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        to.write_all(&bytes)?;
    }
    let closed = to.shutdown(std::net::Shutdown::Write);
    drop(reader.join());
    closed
}

fn wrong(what: &'static str) -> Error {
    Error::new(io::ErrorKind::InvalidInput, what)
}
