//! A peer that answers C-FIND as a table says and lets a script answer the rest.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{
    AssociationAC, PDataValue, PDataValueType, Pdu, PresentationContextResult,
    PresentationContextResultReason as Reason, UserVariableItem, read_pdu, write_pdu,
};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::dicom::{DataSet, Syntax, Tag, VR, sample};

pub(super) const CT: &str = uids::CT_IMAGE_STORAGE;
pub(super) const STUDY: &str = "1.2.3";

/// An object of a study.
pub(super) fn object(study: &str, instance: &str) -> DataSet {
    let mut set = sample::image();
    set.put_bytes(Tag(0x0020, 0x000D), VR::UI, study.as_bytes().to_vec());
    set.put_bytes(Tag(0x0008, 0x0018), VR::UI, instance.as_bytes().to_vec());
    set
}

/// A command set, by hand so that it can be wrong: element of group 0000 and value.
pub(super) fn command(elements: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (element, value) in elements {
        let mut value = value.clone();
        if value.len() % 2 == 1 {
            value.push(0);
        }
        bytes.extend(sample::implicit(0, *element, &value));
    }
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [sample::implicit(0, 0, &length), bytes].concat()
}

pub(super) fn us(number: u16) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn field(bytes: &[u8], element: u16) -> Option<Vec<u8>> {
    let mut rest = bytes;
    while rest.len() >= 8 {
        let length = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let value = rest.get(8..8 + length)?;
        if rest[..4] == [0, 0, element.to_le_bytes()[0], element.to_le_bytes()[1]] {
            return Some(value.to_vec());
        }
        rest = &rest[8 + length..];
    }
    None
}

pub(super) fn number(bytes: &[u8], element: u16) -> u16 {
    field(bytes, element).map_or(0, |value| u16::from_le_bytes([value[0], value[1]]))
}

/// One association.
pub(super) struct Wire {
    stream: TcpStream,
    contexts: Vec<(u8, String, String)>,
    pub(super) context: u8,
    pub(super) message_id: u16,
    /// What we were answered to objects.
    pub(super) statuses: Arc<Mutex<Vec<u16>>>,
}

impl Wire {
    pub(super) async fn send(&mut self, pdu: &Pdu) {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        let _ = self.stream.write_all(&bytes).await;
    }

    async fn read(&mut self) -> Option<Pdu> {
        let mut header = [0; 6];
        self.stream.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize;
        let mut whole = header.to_vec();
        whole.resize(6 + length, 0);
        self.stream.read_exact(&mut whole[6..]).await.ok()?;
        read_pdu(&whole[..], 1 << 24, false).unwrap()
    }

    /// The next command, and its data set if one follows.
    pub(super) async fn hear(&mut self) -> Option<(u8, Vec<u8>, Vec<u8>)> {
        let (mut told, mut data, mut whole) = (Vec::new(), Vec::new(), None);
        loop {
            let Some(Pdu::PData { data: values }) = self.read().await else { return None };
            for value in values {
                if value.value_type == PDataValueType::Command {
                    told.extend(value.data);
                    if value.is_last {
                        whole = Some(number(&told, 0x0800) != 0x0101);
                    }
                } else {
                    data.extend(value.data);
                    if value.is_last {
                        whole = Some(false);
                    }
                }
                if whole == Some(false) {
                    return Some((value.presentation_context_id, told, data));
                }
            }
        }
    }

    pub(super) async fn value(&mut self, context: u8, is_command: bool, last: bool, data: &[u8]) {
        let value_type = if is_command { PDataValueType::Command } else { PDataValueType::Data };
        let data = data.to_vec();
        let value =
            PDataValue { presentation_context_id: context, value_type, is_last: last, data };
        self.send(&Pdu::PData { data: vec![value] }).await;
    }

    /// An answer to the C-GET or C-MOVE under way.
    pub(super) async fn answer(&mut self, sort: u16, status: u16, counts: [u16; 4]) {
        let mut elements = vec![
            (0x0100, us(sort)),
            (0x0120, us(self.message_id)),
            (0x0800, us(0x0101)),
            (0x0900, us(status)),
        ];
        elements.extend((0x1020..).zip(counts.map(us)));
        let (context, bytes) = (self.context, command(&elements));
        self.value(context, true, true, &bytes).await;
    }

    pub(super) fn storage(&self) -> u8 {
        let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let fits = |(_, class, syntax): &&(u8, String, String)| class == CT && syntax == explicit;
        self.contexts.iter().find(fits).map_or(0, |(id, ..)| *id)
    }

    pub(super) async fn store_command(&mut self, instance: &str, class: &str) {
        let bytes = command(&[
            (0x0002, class.as_bytes().to_vec()),
            (0x0100, us(1)),
            (0x0110, us(77)),
            (0x0700, us(0)),
            (0x0800, us(0)),
            (0x1000, instance.as_bytes().to_vec()),
        ]);
        let context = self.storage();
        self.value(context, true, true, &bytes).await;
    }

    /// Sends an object and waits for the answer to it.
    pub(super) async fn store(&mut self, instance: &str, bytes: &[u8]) {
        self.store_command(instance, CT).await;
        let context = self.storage();
        for chunk in bytes.chunks(8_000) {
            self.value(context, false, false, chunk).await;
        }
        self.value(context, false, true, &[]).await;
        if let Some((_, told, _)) = self.hear().await {
            self.statuses.lock().unwrap().push(number(&told, 0x0900));
        }
    }

    pub(super) async fn good(&mut self, instance: &str) {
        let bytes = object(STUDY, instance).write(Syntax::ExplicitLittle);
        self.store(instance, &bytes).await;
    }
}

/// Answers of C-FIND by level.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) studies: Vec<(String, Option<u32>)>,
    pub(super) instances: Vec<&'static str>,
    pub(super) endless: Option<&'static str>,
}

pub(super) type Script = fn(&mut Wire) -> BoxFuture<'_, ()>;

/// A running peer; gives its address and what it was answered.
pub(super) async fn peer(
    answers: Answers,
    refused: fn(&str) -> bool,
    script: Script,
) -> (SocketAddr, Arc<Mutex<Vec<u16>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&statuses);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answers, statuses) = (answers.clone(), Arc::clone(&seen));
            tokio::spawn(async move { serve(stream, answers, refused, script, statuses).await });
        }
    });
    (address, statuses)
}

async fn serve(
    stream: TcpStream,
    answers: Answers,
    refused: fn(&str) -> bool,
    script: Script,
    statuses: Arc<Mutex<Vec<u16>>>,
) {
    let mut wire = Wire { stream, contexts: vec![], context: 0, message_id: 0, statuses };
    let Some(Pdu::AssociationRQ(request)) = wire.read().await else { return };
    let mut results = Vec::new();
    for context in &request.presentation_contexts {
        let syntax = context.transfer_syntaxes[0].clone();
        let reason = if refused(&context.abstract_syntax) {
            Reason::AbstractSyntaxNotSupported
        } else {
            wire.contexts.push((context.id, context.abstract_syntax.clone(), syntax.clone()));
            Reason::Acceptance
        };
        results.push(PresentationContextResult { id: context.id, reason, transfer_syntax: syntax });
    }
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title,
        called_ae_title: request.called_ae_title,
        application_context_name: request.application_context_name,
        presentation_contexts: results,
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    };
    wire.send(&Pdu::AssociationAC(answer)).await;
    while let Some((context, told, data)) = wire.hear().await {
        (wire.context, wire.message_id) = (context, number(&told, 0x0110));
        match number(&told, 0x0100) {
            0x0020 => find(&mut wire, &answers, &data).await,
            0x0010 | 0x0021 => script(&mut wire).await,
            _ => {}
        }
    }
    wire.send(&Pdu::ReleaseRP).await;
}

async fn find(wire: &mut Wire, answers: &Answers, data: &[u8]) {
    let asked = DataSet::read(data, Syntax::ExplicitLittle).unwrap();
    let level = asked.text(tags::QUERY_RETRIEVE_LEVEL).unwrap();
    let entry = |pairs: &[(Tag, VR, &str)]| {
        let mut set = DataSet::default();
        for (tag, vr, value) in pairs {
            set.put_bytes(*tag, *vr, value.as_bytes().to_vec());
        }
        set
    };
    let found: Vec<DataSet> = match level.as_str() {
        "STUDY" => answers
            .studies
            .iter()
            .map(|(study, count)| {
                let count = count.map(|count| count.to_string()).unwrap_or_default();
                entry(&[
                    (tags::STUDY_INSTANCE_UID, VR::UI, study),
                    (tags::PATIENT_ID, VR::LO, "P-1"),
                    (tags::ACCESSION_NUMBER, VR::SH, "A-1"),
                    (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, &count),
                ])
            })
            .collect(),
        "SERIES" => vec![entry(&[(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.1")])],
        _ => answers
            .instances
            .iter()
            .map(|uid| {
                entry(&[(tags::SOP_INSTANCE_UID, VR::UI, uid), (tags::SOP_CLASS_UID, VR::UI, CT)])
            })
            .collect(),
    };
    let (context, responded) = (wire.context, wire.message_id);
    let told = |status: u16, follows: u16| {
        command(&[
            (0x0100, us(0x8020)),
            (0x0120, us(responded)),
            (0x0800, us(follows)),
            (0x0900, us(status)),
        ])
    };
    let endless = answers.endless == Some(level.as_str());
    let mut rounds = 0_u32;
    loop {
        for set in &found {
            wire.value(context, true, true, &told(0xFF00, 0)).await;
            wire.value(context, false, true, &set.write(Syntax::ExplicitLittle)).await;
        }
        rounds += 1;
        if !endless || rounds > 400_000 {
            break;
        }
    }
    wire.value(context, true, true, &told(0, 0x0101)).await;
}
