//! Command sets (PS3.7 9.3 and annex E): bytes to typed commands and back.
//!
//! Invariant: only a flat, bounded set is read, of group 0000. It is read here: dicom-object makes an error with a
//! backtrace of the end of every set, which costs more than all else of a small command.

use bytes::Buf;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;

use super::Status;
use super::error::{Abort, Error};
use super::retrieve::Counts;
use super::retrieve::{Originator, Sort};
use crate::dicom::{AeTitle, Uid};

/// The largest command set we know of has a few hundred bytes; an attribute list in it may have thousands.
pub(super) const COMMAND_LIMIT: usize = 64 << 10;

/// Command Data Set Type (0000,0800): no data set follows (PS3.7 E.1-1).
const NO_DATA_SET: u16 = 0x0101;
const DATA_SET: u16 = 0x0000;

/// Bit that makes a request's command field a response's.
const RESPONSE: u16 = 0x8000;

/// Whether a data set follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Absent,
    Follows,
}

/// Why a request was refused, for the person who reads the other side's log (PS3.7 C.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// ASCII without patient data; cut at 64 characters.
    pub comment: String,
    pub offending: Option<Tag>,
}

impl Remark {
    fn element(&self) -> Element {
        let printable = self.comment.chars().filter(|c| matches!(c, ' '..='~') && *c != '\\');
        let comment: String = printable.take(64).collect();
        DataElement::new(tags::ERROR_COMMENT, VR::LO, PrimitiveValue::from(comment.as_str()))
    }
}

/// A DIMSE command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    EchoRq {
        message_id: u16,
    },
    EchoRsp {
        responded: u16,
        status: Status,
    },
    StoreRq {
        message_id: u16,
        sop_class: Uid,
        sop_instance: Uid,
        originator: Option<Originator>,
    },
    StoreRsp {
        responded: u16,
        sop_class: Option<Uid>,
        sop_instance: Option<Uid>,
        status: Status,
    },
    FindRq {
        message_id: u16,
        sop_class: Uid,
    },
    FindRsp {
        responded: u16,
        sop_class: Option<Uid>,
        status: Status,
        payload: Payload,
        remark: Option<Remark>,
    },
    /// C-GET, or C-MOVE with its destination as it came.
    RetrieveRq {
        sort: Sort,
        message_id: u16,
        sop_class: Uid,
        destination: Option<String>,
    },
    RetrieveRsp {
        sort: Sort,
        responded: u16,
        sop_class: Option<Uid>,
        status: Status,
        counts: Counts,
        payload: Payload,
    },
    CancelRq {
        responded: u16,
    },
    /// N-ACTION; `kind` is the action type.
    ActionRq {
        message_id: u16,
        sop_class: Uid,
        sop_instance: Uid,
        kind: u16,
        payload: Payload,
    },
    ActionRsp {
        responded: u16,
        kind: Option<u16>,
        status: Status,
        payload: Payload,
    },
    /// N-EVENT-REPORT; `kind` is the event type.
    EventRq {
        message_id: u16,
        sop_class: Uid,
        sop_instance: Uid,
        kind: u16,
        payload: Payload,
    },
    EventRsp {
        responded: u16,
        kind: Option<u16>,
        status: Status,
        payload: Payload,
    },
    /// A request that we do not serve, or can not read; `status` is the answer to it.
    Refused {
        field: u16,
        message_id: u16,
        sop_class: Option<Uid>,
        status: Status,
        payload: Payload,
    },
    /// An answer to something that we never asked.
    StrayRsp {
        payload: Payload,
    },
}

impl Command {
    pub(super) fn payload(&self) -> Payload {
        match self {
            Self::StoreRq { .. } | Self::FindRq { .. } | Self::RetrieveRq { .. } => {
                Payload::Follows
            }
            Self::FindRsp { payload, .. }
            | Self::RetrieveRsp { payload, .. }
            | Self::ActionRq { payload, .. }
            | Self::ActionRsp { payload, .. }
            | Self::EventRq { payload, .. }
            | Self::EventRsp { payload, .. }
            | Self::Refused { payload, .. }
            | Self::StrayRsp { payload } => *payload,
            Self::EchoRq { .. }
            | Self::EchoRsp { .. }
            | Self::StoreRsp { .. }
            | Self::CancelRq { .. } => Payload::Absent,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let set = flat(bytes)?;
        let value = |tag: Tag| set.iter().rev().find(|(found, _)| *found == tag).map(|(_, v)| *v);
        let number = |tag: Tag| value(tag)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        let uid = |tag: Tag| -> Option<Uid> {
            let text = std::str::from_utf8(value(tag)?).ok()?;
            Uid::new(text.trim_end_matches(['\0', ' '])).ok()
        };
        let field =
            number(tags::COMMAND_FIELD).ok_or_else(|| broken("a command without a field"))?;
        let kind = number(tags::COMMAND_DATA_SET_TYPE)
            .ok_or_else(|| broken("a command that does not tell whether data follow"))?;
        let payload = if kind == NO_DATA_SET { Payload::Absent } else { Payload::Follows };
        // Orthanc lists what it could not send in the command instead of behind it.
        let lists_failed = matches!(field, 0x8010 | 0x8021);
        if !lists_failed && set.iter().any(|(tag, _)| tag.group() != 0) {
            return Err(broken("a command set with elements of other groups"));
        }
        if field & RESPONSE != 0 || field == 0x0FFF {
            let responded = number(tags::MESSAGE_ID_BEING_RESPONDED_TO)
                .ok_or_else(|| broken("an answer that does not tell to what"))?;
            if field == 0x0FFF {
                return Ok(Self::CancelRq { responded });
            }
            let status = number(tags::STATUS)
                .map(Status)
                .ok_or_else(|| broken("an answer without a status"))?;
            let sop_class = uid(tags::AFFECTED_SOP_CLASS_UID);
            let comment = value(tags::ERROR_COMMENT)
                .map(|text| String::from_utf8_lossy(text).trim_end_matches(['\0', ' ']).to_owned());
            return Ok(match (field, payload) {
                (0x8001, Payload::Absent) => Self::StoreRsp {
                    responded,
                    sop_class,
                    sop_instance: uid(tags::AFFECTED_SOP_INSTANCE_UID),
                    status,
                },
                (0x8020, _) => {
                    let remark = comment.map(|comment| Remark { comment, offending: None });
                    Self::FindRsp { responded, sop_class, status, payload, remark }
                }
                (0x8010 | 0x8021, _) => {
                    let sort = if field == 0x8010 { Sort::Get } else { Sort::Move };
                    let counts = Counts {
                        remaining: number(tags::NUMBER_OF_REMAINING_SUBOPERATIONS),
                        completed: number(tags::NUMBER_OF_COMPLETED_SUBOPERATIONS),
                        failed: number(tags::NUMBER_OF_FAILED_SUBOPERATIONS),
                        warning: number(tags::NUMBER_OF_WARNING_SUBOPERATIONS),
                    };
                    Self::RetrieveRsp { sort, responded, sop_class, status, counts, payload }
                }
                (0x8030, Payload::Absent) => Self::EchoRsp { responded, status },
                (0x8130, payload) => {
                    let kind = number(tags::ACTION_TYPE_ID);
                    Self::ActionRsp { responded, kind, status, payload }
                }
                // An event reply may follow (PS3.7 10.3.1).
                (0x8100, payload) => {
                    let kind = number(tags::EVENT_TYPE_ID);
                    Self::EventRsp { responded, kind, status, payload }
                }
                _ => Self::StrayRsp { payload },
            });
        }
        let message_id =
            number(tags::MESSAGE_ID).ok_or_else(|| broken("a request without a message ID"))?;
        let sop_class =
            uid(tags::AFFECTED_SOP_CLASS_UID).or_else(|| uid(tags::REQUESTED_SOP_CLASS_UID));
        let refused = |status: Status| Self::Refused {
            field,
            message_id,
            sop_class: sop_class.clone(),
            status,
            payload,
        };
        Ok(match (field, payload) {
            (0x0030, Payload::Absent) => Self::EchoRq { message_id },
            (0x0001, Payload::Follows) => {
                match (&sop_class, uid(tags::AFFECTED_SOP_INSTANCE_UID)) {
                    (Some(class), Some(sop_instance)) => {
                        let title = value(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE)
                            .and_then(|bytes| AeTitle::new(std::str::from_utf8(bytes).ok()?).ok());
                        let originator = title
                            .zip(number(tags::MOVE_ORIGINATOR_MESSAGE_ID))
                            .map(|(ae_title, message_id)| Originator { ae_title, message_id });
                        let sop_class = class.clone();
                        Self::StoreRq { message_id, sop_class, sop_instance, originator }
                    }
                    (None, _) => refused(Status::CLASS_NOT_SUPPORTED),
                    (Some(_), None) => refused(Status::INVALID_INSTANCE),
                }
            }
            (0x0020, Payload::Follows) => match &sop_class {
                Some(class) => Self::FindRq { message_id, sop_class: class.clone() },
                None => refused(Status::CLASS_NOT_SUPPORTED),
            },
            (0x0010 | 0x0021, Payload::Follows) => match &sop_class {
                Some(class) => Self::RetrieveRq {
                    sort: if field == 0x0010 { Sort::Get } else { Sort::Move },
                    message_id,
                    sop_class: class.clone(),
                    destination: value(tags::MOVE_DESTINATION)
                        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned()),
                },
                None => refused(Status::CLASS_NOT_SUPPORTED),
            },
            (0x0130 | 0x0100, payload) => {
                let (instance, kind) = match field {
                    0x0130 => (tags::REQUESTED_SOP_INSTANCE_UID, tags::ACTION_TYPE_ID),
                    _ => (tags::AFFECTED_SOP_INSTANCE_UID, tags::EVENT_TYPE_ID),
                };
                match (&sop_class, uid(instance), number(kind)) {
                    (Some(sop_class), Some(sop_instance), Some(kind)) => {
                        let sop_class = sop_class.clone();
                        if field == 0x0130 {
                            Self::ActionRq { message_id, sop_class, sop_instance, kind, payload }
                        } else {
                            Self::EventRq { message_id, sop_class, sop_instance, kind, payload }
                        }
                    }
                    (None, _, _) => refused(Status::CLASS_NOT_SUPPORTED),
                    (Some(_), _, _) => refused(Status::MISTYPED_ARGUMENT),
                }
            }
            (0x0001 | 0x0010 | 0x0020 | 0x0021 | 0x0030, _) => refused(Status::MISTYPED_ARGUMENT),
            _ => refused(Status::UNRECOGNISED_OPERATION),
        })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let set = match self {
            Self::EchoRq { message_id } => vec![
                class(dicom_dictionary_std::uids::VERIFICATION),
                us(tags::COMMAND_FIELD, 0x0030),
                us(tags::MESSAGE_ID, *message_id),
                us(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
            ],
            Self::EchoRsp { responded, status } => {
                let mut set = answer(0x8030, *responded, *status, Payload::Absent);
                set.push(class(dicom_dictionary_std::uids::VERIFICATION));
                set
            }
            Self::StoreRq { message_id, sop_class, sop_instance, originator } => {
                let mut set = vec![
                    class(sop_class.as_str()),
                    us(tags::COMMAND_FIELD, 0x0001),
                    us(tags::MESSAGE_ID, *message_id),
                    us(tags::PRIORITY, 0),
                    us(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
                    ui(tags::AFFECTED_SOP_INSTANCE_UID, sop_instance.as_str()),
                ];
                if let Some(originator) = originator {
                    let title = originator.ae_title.as_str();
                    set.push(ae(tags::MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE, title));
                    set.push(us(tags::MOVE_ORIGINATOR_MESSAGE_ID, originator.message_id));
                }
                set
            }
            Self::StoreRsp { responded, sop_class, sop_instance, status } => {
                let mut set = answer(0x8001, *responded, *status, Payload::Absent);
                set.extend(sop_class.as_ref().map(|uid| class(uid.as_str())));
                set.extend(
                    sop_instance
                        .as_ref()
                        .map(|uid| ui(tags::AFFECTED_SOP_INSTANCE_UID, uid.as_str())),
                );
                set
            }
            Self::FindRq { message_id, sop_class } => vec![
                class(sop_class.as_str()),
                us(tags::COMMAND_FIELD, 0x0020),
                us(tags::MESSAGE_ID, *message_id),
                us(tags::PRIORITY, 0),
                us(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
            ],
            Self::FindRsp { responded, sop_class, status, payload, remark } => {
                let mut set = answer(0x8020, *responded, *status, *payload);
                set.extend(sop_class.as_ref().map(|uid| class(uid.as_str())));
                if let Some(remark) = remark {
                    set.push(remark.element());
                    set.extend(remark.offending.map(|tag| {
                        DataElement::new(tags::OFFENDING_ELEMENT, VR::AT, PrimitiveValue::from(tag))
                    }));
                }
                set
            }
            Self::RetrieveRq { sort, message_id, sop_class, destination } => {
                let mut set = vec![
                    class(sop_class.as_str()),
                    us(tags::COMMAND_FIELD, sort.request()),
                    us(tags::MESSAGE_ID, *message_id),
                    us(tags::PRIORITY, 0),
                    us(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
                ];
                set.extend(destination.as_ref().map(|title| ae(tags::MOVE_DESTINATION, title)));
                set
            }
            Self::RetrieveRsp { sort, responded, sop_class, status, counts, payload } => {
                let field = sort.request() | RESPONSE;
                let mut set = answer(field, *responded, *status, *payload);
                set.extend(sop_class.as_ref().map(|uid| class(uid.as_str())));
                let counted = [
                    (tags::NUMBER_OF_REMAINING_SUBOPERATIONS, counts.remaining),
                    (tags::NUMBER_OF_COMPLETED_SUBOPERATIONS, counts.completed),
                    (tags::NUMBER_OF_FAILED_SUBOPERATIONS, counts.failed),
                    (tags::NUMBER_OF_WARNING_SUBOPERATIONS, counts.warning),
                ];
                set.extend(counted.into_iter().filter_map(|(tag, n)| Some(us(tag, n?))));
                set
            }
            Self::CancelRq { responded } => vec![
                us(tags::COMMAND_FIELD, 0x0FFF),
                us(tags::MESSAGE_ID_BEING_RESPONDED_TO, *responded),
                us(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
            ],
            Self::ActionRq { message_id, sop_class, sop_instance, kind, .. } => vec![
                ui(tags::REQUESTED_SOP_CLASS_UID, sop_class.as_str()),
                us(tags::COMMAND_FIELD, 0x0130),
                us(tags::MESSAGE_ID, *message_id),
                us(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
                ui(tags::REQUESTED_SOP_INSTANCE_UID, sop_instance.as_str()),
                us(tags::ACTION_TYPE_ID, *kind),
            ],
            Self::EventRq { message_id, sop_class, sop_instance, kind, .. } => vec![
                class(sop_class.as_str()),
                us(tags::COMMAND_FIELD, 0x0100),
                us(tags::MESSAGE_ID, *message_id),
                us(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
                ui(tags::AFFECTED_SOP_INSTANCE_UID, sop_instance.as_str()),
                us(tags::EVENT_TYPE_ID, *kind),
            ],
            Self::ActionRsp { responded, kind, status, payload } => {
                let mut set = commitment(0x8130, *responded, *status, *payload);
                set.extend(kind.map(|kind| us(tags::ACTION_TYPE_ID, kind)));
                set
            }
            Self::EventRsp { responded, kind, status, payload } => {
                let mut set = commitment(0x8100, *responded, *status, *payload);
                set.extend(kind.map(|kind| us(tags::EVENT_TYPE_ID, kind)));
                set
            }
            // What goes out is the answer to such a request.
            Self::Refused { field, message_id, sop_class, status, .. } => {
                let mut set = answer(field | RESPONSE, *message_id, *status, Payload::Absent);
                set.extend(sop_class.as_ref().map(|uid| class(uid.as_str())));
                set
            }
            Self::StrayRsp { .. } => Vec::new(),
        };
        let mut bytes = Vec::new();
        InMemDicomObject::command_from_element_iter(set)
            .write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .map_err(|_| {
                Error::protocol("our own command could not be written", Abort::NotSpecified)
            })?;
        Ok(bytes)
    }
}

type Element = dicom_object::mem::InMemElement;

fn us(tag: Tag, value: u16) -> Element {
    DataElement::new(tag, VR::US, dicom_value!(U16, [value]))
}

fn ui(tag: Tag, uid: &str) -> Element {
    DataElement::new(tag, VR::UI, PrimitiveValue::from(uid))
}

fn ae(tag: Tag, title: &str) -> Element {
    DataElement::new(tag, VR::AE, PrimitiveValue::from(title))
}

fn class(uid: &str) -> Element {
    ui(tags::AFFECTED_SOP_CLASS_UID, uid)
}

fn answer(field: u16, responded: u16, status: Status, payload: Payload) -> Vec<Element> {
    let data_set = match payload {
        Payload::Absent => NO_DATA_SET,
        Payload::Follows => DATA_SET,
    };
    vec![
        us(tags::COMMAND_FIELD, field),
        us(tags::MESSAGE_ID_BEING_RESPONDED_TO, responded),
        us(tags::COMMAND_DATA_SET_TYPE, data_set),
        us(tags::STATUS, status.0),
    ]
}

/// The answer to a normalised request: we serve no other well-known instance.
fn commitment(field: u16, responded: u16, status: Status, payload: Payload) -> Vec<Element> {
    let mut set = answer(field, responded, status, payload);
    set.push(class(super::commit::CLASS));
    set.push(ui(tags::AFFECTED_SOP_INSTANCE_UID, super::commit::INSTANCE));
    set
}

fn broken(what: &'static str) -> Error {
    Error::protocol(what, Abort::InvalidParameter)
}

/// The elements of a set: lengths within what is there, no sequence, no undefined length.
fn flat(bytes: &[u8]) -> Result<Vec<(Tag, &[u8])>, Error> {
    let mut rest = bytes;
    let mut elements = Vec::with_capacity(8);
    while !rest.is_empty() {
        if rest.len() < 8 {
            return Err(broken("a command set that ends within an element"));
        }
        let group = rest.get_u16_le();
        let element = rest.get_u16_le();
        let length = rest.get_u32_le();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((value, behind)) = rest.split_at_checked(length) else {
            return Err(broken("a command element that is longer than its set"));
        };
        elements.push((Tag(group, element), value));
        rest = behind;
    }
    Ok(elements)
}
