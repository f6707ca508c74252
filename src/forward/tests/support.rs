//! Objects, a spool, a recorder and a PACS for the tests of this room.

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::super::*;
use crate::dicom::{
    AccessionNumber, AeTitle, DataSet, Item, Patient, PatientId, PersonName, Syntax, Tag, VR,
    sample, scan,
};
use crate::dimse::{Classes, Offer, Rejection, Remote, Request, Status, Syntaxes, Terms, Timeouts};
use crate::import::{FileKind, ImportId, Origin};
use crate::reconcile::{self, Local, Site};
use crate::seal::Vault;
use crate::spool::Spool;

pub(in crate::forward) const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
pub(in crate::forward) const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
pub(in crate::forward) const BIG: &str = "1.2.840.10008.1.2.2";
pub(in crate::forward) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(in crate::forward) const JPEG: &str = "1.2.840.10008.1.2.4.50";

pub(in crate::forward) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(in crate::forward) fn facts() -> StudyFacts {
    let foreign = Patient {
        id: Some(PatientId { id: "F-1".into(), issuer: None }),
        name: PersonName::new("Muster^Erika"),
        ..Patient::default()
    };
    StudyFacts { patient: foreign, ..sample::facts("1.2.3.4") }
}

pub(in crate::forward) fn plan(name: &str) -> Plan {
    let item = Item {
        patient: Patient {
            id: Some(PatientId { id: "4711".into(), issuer: None }),
            name: PersonName::new(name),
            ..Patient::default()
        },
        accession_number: Some(AccessionNumber { number: "A0815".into(), issuer: None }),
        ..Item::default()
    };
    let site = Site::new(AeTitle::new("LOTSE").unwrap(), "Klinikum Beispiel");
    let at = "2026-03-04T05:06:07+01:00[Europe/Berlin]".parse().unwrap();
    reconcile::plan(Local::Order(&item), &facts(), &site, &at)
}

/// Pixel bytes that no header holds by chance.
pub(in crate::forward) fn pixels(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 7 + i / 251) % 253).unwrap()).collect()
}

/// A data set as it lies in the spool; `n` makes its SOP Instance UID.
pub(in crate::forward) fn object(n: u32, transfer_syntax: &str, pixels: &[u8]) -> Vec<u8> {
    let syntax = Syntax::of(&uid(transfer_syntax));
    let mut data = DataSet::default();
    let mut put = |tag, vr, bytes: &[u8]| data.put_bytes(tag, vr, bytes.to_vec());
    put(tags::SPECIFIC_CHARACTER_SET, VR::CS, b"ISO_IR 100");
    put(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE.as_bytes());
    put(tags::SOP_INSTANCE_UID, VR::UI, format!("1.2.3.4.5.{n}").as_bytes());
    put(tags::PATIENT_NAME, VR::PN, b"M\xFCller^J\xF6rg");
    put(tags::PATIENT_ID, VR::LO, b"F-1");
    put(tags::STUDY_INSTANCE_UID, VR::UI, b"1.2.3.4");
    put(tags::SERIES_INSTANCE_UID, VR::UI, b"1.2.3.4.5");
    put(tags::ROWS, VR::US, &2_u16.to_le_bytes());
    let mut bytes = data.write(syntax);
    let mut pixel_data = DataSet::default();
    if transfer_syntax == JPEG {
        let value = crate::dicom::Value::Fragments(vec![Vec::new(), pixels.to_vec()]);
        pixel_data.insert(tags::PIXEL_DATA, crate::dicom::Element { vr: VR::OB, value });
    } else {
        pixel_data.put_bytes(tags::PIXEL_DATA, VR::OW, pixels.to_vec());
    }
    pixel_data.put_bytes(Tag(0x7FE1, 0x0010), VR::LO, b"M\xFCller AG".to_vec());
    bytes.extend(pixel_data.write(syntax));
    if transfer_syntax == DEFLATED {
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        deflate.write_all(&bytes).unwrap();
        bytes = deflate.finish().unwrap();
    }
    bytes
}

pub(in crate::forward) fn layout(bytes: &[u8], transfer_syntax: &str) -> crate::dicom::Layout {
    let limits = scan::Limits::default();
    let length = u64::try_from(bytes.len()).unwrap();
    scan::scan_data_set(&mut Cursor::new(bytes), length, &uid(transfer_syntax), &limits)
        .unwrap()
        .layout
}

/// A spool in a temporary folder with objects in it.
pub(in crate::forward) struct House {
    pub(in crate::forward) folder: tempfile::TempDir,
    spool: ImportSpool,
    pub(in crate::forward) instances: Vec<(u32, Arc<Instance>)>,
}

impl House {
    pub(in crate::forward) fn new(objects: &[(&str, usize)]) -> Self {
        let made = (0_u32..).zip(objects).map(|(n, (syntax, length))| {
            let bytes = match syntax.is_empty() {
                true => pixels(*length),
                false => object(n, syntax, &pixels(*length)),
            };
            (*syntax, bytes)
        });
        Self::with(&made.collect::<Vec<_>>())
    }

    /// Of objects, or documents that have no syntax.
    pub(in crate::forward) fn with(objects: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let vault = Vault::open_or_create(&keys, &folder.path().join("master")).unwrap();
        let spool = Spool::open(&folder.path().join("spool"), vault).unwrap();
        let spool = spool.create(ImportId::new()).unwrap();
        let mut pack = spool.pack().unwrap();
        let mut instances = Vec::new();
        for (n, (syntax, bytes)) in (0_u32..).zip(objects) {
            let blob = pack.append(&mut Cursor::new(bytes), u64::MAX).unwrap();
            let (sop_class, origin) = if syntax.is_empty() {
                let origin = Origin::Created { kind: FileKind::Pdf, title: "Befund.pdf".into() };
                (uids::ENCAPSULATED_PDF_STORAGE, origin)
            } else {
                (uids::CT_IMAGE_STORAGE, Origin::Received { layout: layout(bytes, syntax) })
            };
            let instance = Instance {
                sop_class: uid(sop_class),
                sop_instance: uid(&format!("1.2.3.4.5.{n}")),
                series: uid("1.2.3.4.5"),
                blob,
                origin,
            };
            instances.push((n, Arc::new(instance)));
        }
        pack.sync().unwrap();
        Self { folder, spool, instances }
    }

    /// Flips a bit two thirds into the stored bytes of an instance.
    pub(in crate::forward) fn damage(&self, n: usize) {
        let path = super::pack(&self.folder.path().join("spool"));
        let mut bytes = std::fs::read(&path).unwrap();
        let blob = &self.instances[n].1.blob;
        let middle = usize::try_from(blob.at + blob.length * 2 / 3).unwrap();
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    pub(in crate::forward) fn run(&self, book: &Arc<Book>) -> Run {
        let known: HashSet<u32> = book.outcomes().into_keys().collect();
        let open = self.instances.iter().filter(|(n, _)| !known.contains(n)).cloned();
        Run {
            study: uid("1.2.3.4"),
            facts: facts(),
            plan: plan("Müller^Jörg"),
            compressed: Compressed::default(),
            stored: if known.is_empty() { Stored::Nothing } else { Stored::Some },
            may_hold: Arc::new(book.unanswered.lock().unwrap().clone()),
            overridden: vec![],
            instances: open.collect(),
            spool: self.spool.clone(),
            brake: Brake::default(),
            recorder: Arc::clone(book) as Arc<dyn Recorder>,
        }
    }
}

/// A recorder in memory.
#[derive(Default)]
pub(in crate::forward) struct Book {
    pub(in crate::forward) outcomes: Mutex<BTreeMap<u32, InstanceOutcome>>,
    pub(in crate::forward) bytes: Mutex<u64>,
    pub(in crate::forward) unanswered: Mutex<BTreeSet<u32>>,
    pub(in crate::forward) gone: bool,
}

impl Book {
    pub(in crate::forward) fn outcomes(&self) -> BTreeMap<u32, InstanceOutcome> {
        self.outcomes.lock().unwrap().clone()
    }

    /// Status codes of what was delivered, `None` for what was refused.
    pub(in crate::forward) fn statuses(&self) -> Vec<(u32, Option<u16>)> {
        let status = |outcome| match outcome {
            InstanceOutcome::Delivered { status } => Some(status),
            InstanceOutcome::Refused { .. } => None,
        };
        self.outcomes().into_iter().map(|(n, outcome)| (n, status(outcome))).collect()
    }
}

#[async_trait]
impl Recorder for Book {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        self.outcomes.lock().unwrap().extend(outcomes);
        Ok(())
    }

    fn sent_bytes(&self, bytes: u64) {
        *self.bytes.lock().unwrap() += bytes;
    }

    fn unanswered(&self, number: u32) {
        self.unanswered.lock().unwrap().insert(number);
    }
}

/// What the PACS does with the object of this number (the last component of its UID).
#[derive(Clone, Copy)]
pub(in crate::forward) enum Reply {
    Status(u16),
    Abort,
    Stall,
    /// Success, but not at once.
    Slowly,
}

type Script = dyn Fn(u32, usize) -> Reply + Send + Sync;

/// Instance, transfer syntax and data set of each C-STORE.
pub(in crate::forward) type Received = Vec<(Uid, Uid, Vec<u8>)>;

/// A PACS that follows a script: `reply(number, times this object was sent)`.
pub(in crate::forward) struct Pacs {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    _tasks: JoinSet<()>,
}

/// No status at all: the peer hangs up instead of answering a query.
pub(in crate::forward) const HANGS_UP: u16 = 0xFFFE;

pub(in crate::forward) struct Door {
    pub(in crate::forward) offers: fn() -> Vec<Offer>,
    pub(in crate::forward) rejects: Option<Rejection>,
    /// Associations at once.
    pub(in crate::forward) most: usize,
    /// What a query finds, and how it ends.
    pub(in crate::forward) finds: fn(&DataSet) -> (Vec<DataSet>, u16),
}

impl Default for Door {
    fn default() -> Self {
        Self {
            offers: || vec![Offer::any_storage()],
            rejects: None,
            most: 100,
            finds: |_| (vec![], 0),
        }
    }
}

pub(in crate::forward) fn only_implicit() -> Vec<Offer> {
    vec![Offer { classes: Classes::AnyStorage, syntaxes: Syntaxes::Only(vec![uid(IMPLICIT)]) }]
}

impl Pacs {
    pub(in crate::forward) async fn start(
        door: Door,
        reply: impl Fn(u32, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Received>> = Arc::default();
        let mut tasks = JoinSet::new();
        let (books, door, reply): (_, _, Arc<Script>) =
            (Arc::clone(&received), Arc::new(door), Arc::new(reply));
        let open = Arc::new(Semaphore::new(door.most));
        tasks.spawn(async move {
            let mut associations = JoinSet::new();
            loop {
                let (stream, from) = listener.accept().await.unwrap();
                let (books, door, reply, open) =
                    (Arc::clone(&books), Arc::clone(&door), Arc::clone(&reply), Arc::clone(&open));
                associations.spawn(async move {
                    let permit = open.try_acquire_owned();
                    let decide = |_: &dimse::Caller| match (door.rejects, &permit) {
                        (Some(rejection), _) => Err(rejection),
                        (None, Err(_)) => Err(Rejection::LimitExceeded),
                        (None, Ok(_)) => Ok((door.offers)()),
                    };
                    let Ok(mut association) =
                        dimse::accept_tcp(stream, from, &Terms::default(), decide).await
                    else {
                        return;
                    };
                    while let Ok(Some(request)) = association.next_request().await {
                        let store = match request {
                            Request::Store(store) => store,
                            Request::Retrieve(_) | Request::Commit(_) | Request::Report(_) => {
                                return;
                            }
                            Request::Find(find) => {
                                let (found, status) = (door.finds)(&find.identifier);
                                if status == HANGS_UP {
                                    return;
                                }
                                for found in &found {
                                    association.respond_match(&find, found).await.unwrap();
                                }
                                association.respond_find(&find, Status(status)).await.unwrap();
                                continue;
                            }
                            Request::Echo(_) => return,
                        };
                        let mut data = Vec::new();
                        while let Ok(Some(bytes)) = association.next_chunk().await {
                            data.extend_from_slice(&bytes);
                        }
                        let number = store
                            .sop_instance
                            .as_str()
                            .rsplit('.')
                            .next()
                            .unwrap()
                            .parse()
                            .unwrap();
                        let times = {
                            let mut books = books.lock().unwrap();
                            books.push((
                                store.sop_instance.clone(),
                                store.transfer_syntax.clone(),
                                data,
                            ));
                            books.iter().filter(|(uid, ..)| *uid == store.sop_instance).count()
                        };
                        match reply(number, times) {
                            Reply::Status(status) => {
                                let _ = association.respond_store(&store, Status(status)).await;
                            }
                            Reply::Abort => return association.abort().await,
                            Reply::Stall => std::future::pending().await,
                            Reply::Slowly => {
                                tokio::time::sleep(Duration::from_millis(200)).await;
                                let _ = association.respond_store(&store, Status(0)).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, received, _tasks: tasks }
    }

    pub(in crate::forward) fn destinations(
        &self,
        associations: usize,
    ) -> (DestinationName, Destinations) {
        destinations(self.address, associations)
    }

    pub(in crate::forward) fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

pub(in crate::forward) fn destinations(
    address: SocketAddr,
    associations: usize,
) -> (DestinationName, Destinations) {
    let remote = Remote {
        address: address.to_string(),
        called: AeTitle::new("PACS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts: Timeouts { connect: Duration::from_secs(5), ..Timeouts::default() },
        max_pdu: dimse::MAX_PDU,
        security: Default::default(),
    };
    let name = DestinationName("pacs".into());
    let target = Target::Peer { name: "pacs".into(), remote };
    let destination = Destination::new(target, associations);
    (name.clone(), Destinations::new(BTreeMap::from([(name, destination)])))
}
