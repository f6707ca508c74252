//! A DICOMweb server that takes STOW-RS, counts what it got, and misbehaves on request.
//!
//! Invariant: what it names as stored is in its books before the answer goes out, and it keeps nothing of a
//! request that broke off.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::dicom::{Syntax, Uid, scan};

/// The simulator holds one request in memory.
const MAX_REQUEST: usize = 1 << 30;

/// How it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Refuses every `n`th instance of its life with this failure reason.
    Refuse { every: u32, reason: u16 },
    /// Stores every instance, and says nothing of every `n`th.
    Forget { every: u32 },
    /// Answers this without a body and stores nothing.
    Answer(u16),
    /// Stores, and answers with a page for people.
    Chatter,
    /// Stores, and answers in the Native DICOM Model.
    Xml,
    /// Failure reason C122 for compressed objects.
    OnlyNative,
    /// 413 for requests of more bytes.
    Longest { bytes: usize },
    /// Refuses requests that hold an instance whose UID ends so with 400, as servers do that parse as a whole.
    Choke { on: u32 },
}

/// One instance as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub transfer_syntax: Uid,
    pub file: Vec<u8>,
    pub count: u32,
}

struct Books {
    received: Mutex<BTreeMap<Uid, Received>>,
    fault: Mutex<Fault>,
    instances: Mutex<u32>,
    requests: Mutex<u32>,
    /// What a request has to show.
    credentials: Option<String>,
}

/// A running server on loopback. Dropping it stops it.
pub struct Stow {
    address: SocketAddr,
    books: Arc<Books>,
    _server: JoinSet<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stow {
    /// Starts on a free port. With `credentials`, as `Bearer …`, nobody else is let in.
    pub async fn start(fault: Fault, credentials: Option<&str>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let books = Arc::new(Books {
            received: Mutex::default(),
            fault: Mutex::new(fault),
            instances: Mutex::default(),
            requests: Mutex::default(),
            credentials: credentials.map(str::to_owned),
        });
        let routes =
            Router::new().route("/dicom-web/studies", post(store)).with_state(Arc::clone(&books));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, books, _server: server })
    }

    /// Of the studies resource.
    pub fn url(&self) -> String {
        format!("http://{}/dicom-web/studies", self.address)
    }

    /// What was stored so far, by SOP Instance UID.
    pub fn received(&self) -> BTreeMap<Uid, Received> {
        locked(&self.books.received).clone()
    }

    pub fn requests(&self) -> u32 {
        *locked(&self.books.requests)
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        *locked(&self.books.fault) = fault;
    }
}

async fn store(State(books): State<Arc<Books>>, headers: HeaderMap, body: Body) -> Response {
    let fault = {
        let mut requests = locked(&books.requests);
        *requests = requests.saturating_add(1);
        *locked(&books.fault)
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if books.credentials.as_deref().is_some_and(|wanted| text(AUTHORIZATION) != wanted) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_REQUEST).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match fault {
        Fault::Answer(status) => {
            return StatusCode::from_u16(status).unwrap_or_default().into_response();
        }
        Fault::Longest { bytes } if body.len() > bytes => {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        _ => {}
    }
    let boundary = text(CONTENT_TYPE).split("boundary=").nth(1).unwrap_or_default();
    let Some(files) = parts(&body, boundary) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut found = Vec::new();
    for file in files {
        let length = u64::try_from(file.len()).unwrap_or(u64::MAX);
        let scanned = scan::scan_file(&mut io::Cursor::new(file), length, &scan::Limits::default());
        let Ok(scan) = scanned else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let (Some(class), Some(uid)) = (scan.meta.sop_class, scan.meta.sop_instance) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        if matches!(fault, Fault::Choke { on } if uid.as_str().ends_with(&format!(".{on}"))) {
            return StatusCode::BAD_REQUEST.into_response();
        }
        found.push((class, uid, scan.layout.transfer_syntax, file));
    }
    answer(&books, fault, found)
}

fn answer(books: &Books, fault: Fault, found: Vec<(Uid, Uid, Uid, &[u8])>) -> Response {
    let (mut stored, mut failed) = (Vec::new(), Vec::new());
    for (class, uid, transfer_syntax, file) in found {
        let number = {
            let mut instances = locked(&books.instances);
            *instances = instances.saturating_add(1);
            *instances
        };
        let nth = |every: u32| number.checked_rem(every) == Some(0);
        let refused = match fault {
            Fault::Refuse { every, reason } if nth(every) => Some(reason),
            Fault::OnlyNative if !Syntax::is_native(&transfer_syntax) => Some(0xC122),
            _ => None,
        };
        if let Some(reason) = refused {
            failed.push((class, uid, Some(reason)));
            continue;
        }
        let mut received = locked(&books.received);
        let count = received.get(&uid).map_or(0, |before| before.count).saturating_add(1);
        received.insert(uid.clone(), Received { transfer_syntax, file: file.to_vec(), count });
        if !matches!(fault, Fault::Forget { every } if nth(every)) {
            stored.push((class, uid, None));
        }
    }
    let status = match (stored.is_empty(), failed.is_empty()) {
        (_, true) => StatusCode::OK,
        (false, false) => StatusCode::ACCEPTED,
        (true, false) => StatusCode::CONFLICT,
    };
    match fault {
        Fault::Chatter => (status, "<html>stored</html>").into_response(),
        Fault::Xml => {
            let items = |items: &[Named]| items.iter().map(xml_item).collect::<String>();
            let body = format!(
                "<?xml version=\"1.0\"?><NativeDicomModel><DicomAttribute tag=\"00081199\" vr=\"SQ\">{}\
                 </DicomAttribute><DicomAttribute tag=\"00081198\" vr=\"SQ\">{}</DicomAttribute></NativeDicomModel>",
                items(&stored),
                items(&failed)
            );
            (status, [(CONTENT_TYPE, "application/dicom+xml")], body).into_response()
        }
        _ => {
            let items = |items: &[Named]| items.iter().map(json_item).collect::<Vec<_>>();
            let body = json!({
                "00081199": {"vr": "SQ", "Value": items(&stored)},
                "00081198": {"vr": "SQ", "Value": items(&failed)},
            });
            (status, [(CONTENT_TYPE, "application/dicom+json")], body.to_string()).into_response()
        }
    }
}

/// Class and instance, with the reason of a failure.
type Named = (Uid, Uid, Option<u16>);

fn json_item((class, uid, reason): &Named) -> Value {
    let mut item = json!({
        "00081150": {"vr": "UI", "Value": [class.as_str()]},
        "00081155": {"vr": "UI", "Value": [uid.as_str()]},
    });
    if let (Some(reason), Some(item)) = (reason, item.as_object_mut()) {
        item.insert("00081197".to_owned(), json!({"vr": "US", "Value": [reason]}));
    }
    item
}

fn xml_item((_, uid, reason): &Named) -> String {
    let reason = reason.map_or_else(String::new, |reason| {
        format!("<DicomAttribute tag=\"00081197\" vr=\"US\"><Value number=\"1\">{reason}</Value></DicomAttribute>")
    });
    format!(
        "<Item><DicomAttribute tag=\"00081155\" vr=\"UI\"><Value number=\"1\">{uid}</Value></DicomAttribute>{reason}\
         </Item>"
    )
}

/// The bodies of the parts; `None` if the closing boundary is missing.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let mark = format!("--{boundary}").into_bytes();
    let find = |hay: &[u8], needle: &[u8]| {
        hay.windows(needle.len().max(1)).position(|window| window == needle)
    };
    let mut rest = body.strip_prefix(mark.as_slice()).filter(|_| !boundary.is_empty())?;
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        let begin = find(rest, b"\r\n\r\n")?.checked_add(4)?;
        rest = rest.get(begin..)?;
        let end = find(rest, &[b"\r\n", mark.as_slice()].concat())?;
        found.push(rest.get(..end)?);
        rest = rest.get(end.checked_add(2)?.checked_add(mark.len())?..)?;
    }
    Some(found)
}
