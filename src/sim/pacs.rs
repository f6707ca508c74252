//! A PACS that takes C-STORE, counts what it got, and misbehaves on request.
//!
//! Invariant: what it answered with success or warning is in its books before the answer goes out.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_object::FileMetaTableBuilder;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dicom::{DataSet, Syntax, Uid, scan};
use crate::dimse::{
    self, Classes, Offer, Rejection, Request, ServerAssociation, Status, Store, Syntaxes, Terms,
};

/// The simulator holds one object an association in memory.
const MAX_OBJECT: u64 = 1 << 30;

const CONNECTIONS: usize = 256;

/// How it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Rejects every association: calling AE title not recognised.
    RefuseAssociation,
    /// Rejects every association for the moment.
    Congested,
    /// A700 for every `n`th C-STORE (1: for each).
    OutOfResources { every: u32 },
    /// Stores and answers B000.
    Coerced,
    /// Answers this to every C-STORE, and stores nothing unless it is a success or warning.
    Answer(Status),
    /// Aborts when so many bytes of an object have come.
    AbortWithin { bytes: u64 },
    /// Stores, then aborts instead of answering.
    AbortBeforeResponse,
    /// Reads the object and never answers.
    Stall,
    /// Accepts only Implicit VR Little Endian.
    OnlyImplicit,
    /// Accepts no storage class.
    NoStorage,
    /// Answers so much later.
    Late { millis: u64 },
    /// Offers storage commitment and answers every request with this; it never reports.
    Commitment(Status),
}

/// One SOP instance as it came.
#[derive(Clone)]
pub struct Received {
    pub sop_class: Uid,
    pub transfer_syntax: Uid,
    /// How often it was stored.
    pub count: u32,
    /// Bytes of the data set, the last time.
    pub bytes: u64,
    /// SHA-256 of the data set, hexadecimal, the last time.
    pub sha256: String,
    /// The data set up to the pixel data; `None` if it was unreadable.
    pub header: Option<DataSet>,
}

struct Books {
    received: Mutex<BTreeMap<Uid, Received>>,
    fault: Mutex<Fault>,
    /// C-STORE requests so far.
    requests: Mutex<u32>,
    folder: Option<PathBuf>,
}

/// A running PACS on loopback. Dropping it stops it.
pub struct Pacs {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    books: Arc<Books>,
}

impl Pacs {
    /// Starts on a free port. With a `folder`, objects are also written there as Part 10 files.
    pub async fn start(fault: Fault, folder: Option<&Path>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let books = Arc::new(Books {
            received: Mutex::default(),
            fault: Mutex::new(fault),
            requests: Mutex::default(),
            folder: folder.map(Path::to_owned),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (inner, token) = (Arc::clone(&books), stop.clone());
        tasks.spawn(async move {
            let connection = |stream, from| serve(stream, from, Arc::clone(&inner), token.clone());
            dimse::listen(listener, token.clone(), Duration::from_secs(1), CONNECTIONS, connection)
                .await;
        });
        Ok(Self { address, stop, tasks, books })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was stored so far, by SOP Instance UID.
    pub fn received(&self) -> BTreeMap<Uid, Received> {
        self.books.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// C-STORE requests so far, answered or not.
    pub fn requests(&self) -> u32 {
        *self.books.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.books.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Pacs {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Books {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_number(&self) -> u32 {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests = requests.saturating_add(1);
        *requests
    }

    fn enter(&self, store: &Store, data: &[u8]) {
        let header = scan::scan_data_set(
            &mut &*data,
            data.len() as u64,
            &store.transfer_syntax,
            &scan::Limits::default(),
        );
        let syntax = Syntax::of(&store.transfer_syntax);
        let header = header.ok().and_then(|scan| DataSet::read(&scan.header, syntax).ok());
        let digest = Sha256::digest(data);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let count = received.get(&store.sop_instance).map_or(0, |before| before.count);
        let entry = Received {
            sop_class: store.sop_class.clone(),
            transfer_syntax: store.transfer_syntax.clone(),
            count: count.saturating_add(1),
            bytes: data.len() as u64,
            sha256,
            header,
        };
        received.insert(store.sop_instance.clone(), entry);
    }

    /// Writes a Part 10 file named by the instance, whose UID has only digits and dots.
    fn write(&self, store: &Store, data: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(store.sop_class.as_str())
            .media_storage_sop_instance_uid(store.sop_instance.as_str())
            .transfer_syntax(store.transfer_syntax.as_str())
            .build()
            .map_err(io::Error::other)?;
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        meta.write(&mut file).map_err(io::Error::other)?;
        file.extend_from_slice(data);
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(format!("{}.dcm", store.sop_instance)), file)
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, books: Arc<Books>, stop: CancellationToken) {
    let terms = Terms { max_object: MAX_OBJECT, ..Terms::default() };
    let fault = books.fault();
    let decide = |_: &dimse::Caller| match fault {
        Fault::RefuseAssociation => Err(Rejection::CallingUnknown),
        Fault::Congested => Err(Rejection::Congestion),
        Fault::OnlyImplicit => {
            let implicit = Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN).into_iter().collect();
            let storage =
                Offer { classes: Classes::AnyStorage, syntaxes: Syntaxes::Only(implicit) };
            Ok(vec![Offer::verification(), storage])
        }
        Fault::NoStorage => Ok(vec![Offer::verification()]),
        Fault::Commitment(_) => {
            Ok(vec![Offer::verification(), Offer::any_storage(), Offer::commitment()])
        }
        _ => Ok(vec![Offer::verification(), Offer::any_storage()]),
    };
    let Ok(mut association) = dimse::accept_tcp(stream, from, &terms, decide).await else {
        return;
    };
    loop {
        let request = tokio::select! {
            request = association.next_request() => request,
            () = stop.cancelled() => return association.abort().await,
        };
        let answered = match request {
            Ok(Some(Request::Echo(echo))) => association.respond_echo(echo, Status::SUCCESS).await,
            Ok(Some(Request::Store(store))) => {
                match take(&mut association, &store, &books, &stop).await {
                    Ok(Some(status)) => association.respond_store(&store, status).await,
                    Ok(None) => return association.abort().await,
                    Err(error) => Err(error),
                }
            }
            Ok(Some(Request::Retrieve(asked))) => {
                let (status, none) = (Status::CLASS_NOT_SUPPORTED, Default::default());
                association.respond_retrieve(&asked, status, none, None).await
            }
            Ok(Some(Request::Find(find))) => {
                association.respond_find(&find, Status::CLASS_NOT_SUPPORTED).await
            }
            Ok(Some(Request::Commit(wanted))) => match fault {
                Fault::Commitment(status) => association.respond_commit(&wanted, status).await,
                _ => return association.abort().await,
            },
            Ok(Some(Request::Report(_))) => return association.abort().await,
            Ok(None) | Err(_) => return,
        };
        if answered.is_err() {
            return;
        }
    }
}

/// Reads one object; `None` means abort.
async fn take(
    association: &mut ServerAssociation,
    store: &Store,
    books: &Arc<Books>,
    stop: &CancellationToken,
) -> Result<Option<Status>, dimse::Error> {
    let fault = books.fault();
    let number = books.next_number();
    let mut data = Vec::new();
    while let Some(bytes) = association.next_chunk().await? {
        data.extend_from_slice(&bytes);
        if matches!(fault, Fault::AbortWithin { bytes } if data.len() as u64 >= bytes) {
            return Ok(None);
        }
    }
    let status = match fault {
        Fault::OutOfResources { every } if number.is_multiple_of(every.max(1)) => {
            return Ok(Some(Status::OUT_OF_RESOURCES));
        }
        Fault::Stall => {
            stop.cancelled().await;
            return Ok(None);
        }
        Fault::Answer(status) => status,
        Fault::Coerced => Status::COERCED,
        _ => Status::SUCCESS,
    };
    if matches!(status.class(), dimse::StatusClass::Success | dimse::StatusClass::Warning) {
        let (books, store) = (Arc::clone(books), store.clone());
        let written = tokio::task::spawn_blocking(move || {
            let written = books.write(&store, &data);
            books.enter(&store, &data);
            written
        });
        if !matches!(written.await, Ok(Ok(()))) {
            return Ok(Some(Status::OUT_OF_RESOURCES));
        }
    }
    match fault {
        Fault::AbortBeforeResponse => Ok(None),
        Fault::Late { millis } => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(Some(status))
        }
        _ => Ok(Some(status)),
    }
}

#[cfg(test)]
mod tests;
