//! Orders of a message: groups of ORC, OBR, TQ1, IPC and ZDS (HL7 v2.5 chapter 4; IHE RAD TF-2 4.4).

use dicom_dictionary_std::tags;
use jiff::civil::Date;

use crate::dicom::{CharacterSets, DataSet, Tag, Uid, VR};
use crate::hl7::{Code, Fault, Field, Message, Segment};

use super::numbers::{FILLER, Numbers, OrderNumber, PLACER};
use super::patient::{self, Identity};
use super::{AccessionNumberFrom, Rules, naming, put, shown, timestamp};

const LONG_ACCESSION: &str = "the accession number is longer than 16 characters or holds a backslash, which \
                              DICOM cannot carry";

/// Orders of one message.
const ORDER_LIMIT: usize = 200;

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It is new, or sent once more.
    Place,
    /// It is as the message says now, whether it was known or not.
    Change,
    Remove,
    /// Work on it is done; it stays, closed.
    Complete,
    /// Nothing for the worklist.
    Ignore,
}

/// One order with its steps.
pub struct Change {
    pub control: Control,
    pub numbers: Numbers,
    pub identity: Identity,
    /// Worklist entries, one a step (PS3.4 table K.6-1).
    pub steps: Vec<DataSet>,
}

/// The segments of one order.
struct Group<'a> {
    orc: Segment<'a>,
    obr: Option<Segment<'a>>,
    timing: Option<Segment<'a>>,
    ipc: Vec<Segment<'a>>,
    zds: Option<Segment<'a>>,
    /// Which ORC and OBR of the message, for faults.
    orcs: usize,
    obrs: usize,
}

pub(super) fn read(message: &Message, rules: &Rules, today: Date) -> Result<Vec<Change>, Fault> {
    let identity = patient::identity(message, rules)?;
    let visit = message.segment("PV1");
    let groups = groups(message)?;
    let mut changes: Vec<Change> = Vec::new();
    for group in &groups {
        let control = group.control()?;
        if control == Control::Ignore {
            continue;
        }
        let numbers = group.numbers(rules, control)?;
        let steps = match control {
            Control::Place | Control::Change => group.steps(&identity, &numbers, visit, today)?,
            Control::Remove | Control::Complete | Control::Ignore => Vec::new(),
        };
        let same = |one: &&mut Change| one.control == control && one.numbers == numbers;
        match changes.iter_mut().find(same) {
            Some(known) => known.steps.extend(steps),
            None => changes.push(Change { control, numbers, identity: identity.clone(), steps }),
        }
    }
    Ok(changes)
}

fn groups(message: &Message) -> Result<Vec<Group<'_>>, Fault> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let (mut orcs, mut obrs) = (0, 0);
    for segment in message.segments() {
        let name = segment.name();
        if name == "ORC" {
            orcs += 1;
            let (obr, timing, ipc, zds) = (None, None, Vec::new(), None);
            groups.push(Group { orc: segment, obr, timing, ipc, zds, orcs, obrs });
        }
        if !matches!(name, "OBR" | "TQ1" | "IPC" | "ZDS") {
            continue;
        }
        let Some(group) = groups.last_mut() else {
            let sentence = "an order begins with ORC, which says what is to be done with it";
            return Err(Fault::segment("ORC", sentence));
        };
        match name {
            "OBR" => {
                obrs += 1;
                if group.obr.is_none() {
                    (group.obr, group.obrs) = (Some(segment), obrs);
                } else {
                    // Several requests under one order control.
                    let orc = group.orc;
                    let (timing, ipc, zds) = (group.timing, Vec::new(), None);
                    groups.push(Group { orc, obr: Some(segment), timing, ipc, zds, orcs, obrs });
                }
            }
            "TQ1" => group.timing = Some(segment),
            "IPC" => group.ipc.push(segment),
            _ => group.zds = Some(segment),
        }
    }
    if groups.is_empty() {
        return Err(Fault::segment("ORC", "the message holds no order"));
    }
    if groups.len() > ORDER_LIMIT {
        return Err(Fault::segment("ORC", "the message holds more than 200 orders; send fewer"));
    }
    // One ZDS at the end names the study of all requests before it.
    let mut last = None;
    for group in groups.iter_mut().rev() {
        last = group.zds.or(last);
        group.zds = last;
    }
    Ok(groups)
}

impl<'a> Group<'a> {
    fn control(&self) -> Result<Control, Fault> {
        let fault = |code, sentence| Fault::field(code, "ORC", 1, sentence).at(self.orcs);
        let Some(control) = self.orc.field(1).text(1) else {
            let sentence =
                "the order control is missing; NW makes an order, XO changes it, CA cancels it";
            return Err(fault(Code::RequiredFieldMissing, sentence));
        };
        Ok(match control.as_str() {
            "NW" | "RO" | "CH" => self.status().unwrap_or(Control::Place),
            "XO" | "XR" | "XX" | "RR" | "OK" | "RL" => self.status().unwrap_or(Control::Change),
            "CA" | "CR" | "OC" | "DC" | "DR" | "OD" | "RP" | "RU" | "RQ" => Control::Remove,
            "CM" => Control::Complete,
            "SC" | "SR" | "SS" => self.status().unwrap_or(Control::Ignore),
            // Results, refusals, parents, requests for numbers and holds.
            "RE" | "UA" | "UC" | "UD" | "UX" | "UM" | "UR" | "UH" | "UF" | "PA" | "SN" | "NA"
            | "PR" | "HD" | "HR" | "OH" | "OE" | "OR" | "DE" | "DF" | "FU" | "LI" | "UN" | "AF"
            | "NF" => Control::Ignore,
            _ => {
                let sentence = "this order control is not known; NW, XO, CA, DC, SC and CM are";
                return Err(fault(Code::TableValue, sentence));
            }
        })
    }

    /// ORC-5, where it says that nothing is to be done any more.
    fn status(&self) -> Option<Control> {
        match self.orc.field(5).text(1)?.as_str() {
            "CM" => Some(Control::Complete),
            "CA" | "DC" | "RP" => Some(Control::Remove),
            _ => None,
        }
    }

    fn numbers(&self, rules: &Rules, control: Control) -> Result<Numbers, Fault> {
        let obr = |field: usize| self.obr.and_then(|obr| obr.field(field).text(1));
        // OBR repeats the numbers of ORC, and with them who gave them.
        let number = |field: usize| {
            let of_orc = Some(self.orc.field(field)).filter(|value| value.text(1).is_some());
            let told = of_orc.or_else(|| Some(self.obr?.field(field)));
            let long = "the order number is longer than 64 characters or holds a backslash";
            let fault = Fault::field(Code::DataType, "ORC", field, long).at(self.orcs);
            told.map_or(Ok(None), |told| OrderNumber::read(told, fault))
        };
        let (placer, filler) = (number(2)?, number(3)?);
        let digits = |told: &Option<OrderNumber>| told.as_ref().map(|told| told.number.clone());
        let ipc = self.ipc.first().and_then(|ipc| ipc.field(1).text(1));
        let (told, segment, field) = match rules.accession_number {
            AccessionNumberFrom::PlacerField => (obr(18), "OBR", 18),
            AccessionNumberFrom::FillerNumber => (digits(&filler), "ORC", 3),
            AccessionNumberFrom::PlacerNumber => (digits(&placer), "ORC", 2),
        };
        let place = if segment == "OBR" { self.obrs.max(1) } else { self.orcs };
        let accession = match ipc.or(told) {
            Some(number) => {
                let fault = Fault::field(Code::DataType, segment, field, LONG_ACCESSION).at(place);
                Some(naming(number, 16, fault)?)
            }
            None if matches!(control, Control::Place | Control::Change) => {
                let sentence = "there is no accession number; send it here or in IPC-1, or say in \
                                hl7.accession-number where it is";
                let code = Code::RequiredFieldMissing;
                return Err(Fault::field(code, segment, field, sentence).at(place));
            }
            None => None,
        };
        if placer.is_none() && filler.is_none() && accession.is_none() {
            let sentence =
                "the order has no number: ORC-2, ORC-3 and the accession number are empty";
            return Err(Fault::field(Code::RequiredFieldMissing, "ORC", 2, sentence).at(self.orcs));
        }
        Ok(Numbers { placer, filler, accession })
    }

    /// One entry for each IPC, or one for the request.
    fn steps(
        &self,
        identity: &Identity,
        numbers: &Numbers,
        visit: Option<Segment<'a>>,
        today: Date,
    ) -> Result<Vec<DataSet>, Fault> {
        let Some(obr) = self.obr else {
            return Err(Fault::segment(
                "OBR",
                "an order that is made or changed says what is requested",
            ));
        };
        let mut entry = DataSet::default();
        put(&mut entry, tags::SPECIFIC_CHARACTER_SET, VR::CS, Some(&CharacterSets::utf8().term()));
        identity.write(&mut entry);
        put(&mut entry, tags::ACCESSION_NUMBER, VR::SH, numbers.accession.as_deref());
        OrderNumber::write(numbers.placer.as_ref(), &mut entry, PLACER);
        OrderNumber::write(numbers.filler.as_ref(), &mut entry, FILLER);
        self.request(&mut entry, obr);
        if let Some(visit) = visit {
            put(
                &mut entry,
                tags::ADMISSION_ID,
                VR::LO,
                visit.field(19).text(1).map(|t| shown(&t, 64)).as_deref(),
            );
            let place = visit.field(3).text(1).map(|text| shown(&text, 64));
            put(&mut entry, tags::CURRENT_PATIENT_LOCATION, VR::LO, place.as_deref());
        }
        let requester = provider(obr.field(16)).or_else(|| provider(self.orc.field(12)));
        put(&mut entry, tags::REQUESTING_PHYSICIAN, VR::PN, requester.as_deref());
        let referrer = visit.and_then(|visit| provider(visit.field(8))).or(requester);
        put(&mut entry, tags::REFERRING_PHYSICIAN_NAME, VR::PN, referrer.as_deref());
        if self.ipc.is_empty() {
            let mut one = entry;
            self.study(&mut one, self.zds.map(|zds| ("ZDS", 1, zds.field(1))))?;
            one.put_items(
                tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
                vec![self.step(obr, None, today)?],
            );
            return Ok(vec![one]);
        }
        let mut steps = Vec::new();
        for ipc in &self.ipc {
            let mut one = entry.clone();
            let zds = self.zds.map(|zds| ("ZDS", 1, zds.field(1)));
            let told = Some(("IPC", 3, ipc.field(3))).filter(|(_, _, field)| !field.is_empty());
            self.study(&mut one, told.or(zds))?;
            let procedure = ipc.field(2).text(1).filter(|id| fits_sh(id));
            if procedure.is_some() {
                put(&mut one, tags::REQUESTED_PROCEDURE_ID, VR::SH, procedure.as_deref());
            }
            if let Some(number) = ipc.field(1).text(1) {
                let fault = Fault::field(Code::DataType, "IPC", 1, LONG_ACCESSION);
                let number = naming(number, 16, fault)?;
                put(&mut one, tags::ACCESSION_NUMBER, VR::SH, Some(&number));
            }
            let step = self.step(obr, Some(*ipc), today)?;
            one.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
            steps.push(one);
        }
        Ok(steps)
    }

    /// What is requested: OBR-4 and OBR-44, OBR-19, OBR-31.
    fn request(&self, entry: &mut DataSet, obr: Segment<'_>) {
        let procedure = obr.field(19).text(1).filter(|id| fits_sh(id));
        put(entry, tags::REQUESTED_PROCEDURE_ID, VR::SH, procedure.as_deref());
        let code = if obr.field(44).is_empty() { obr.field(4) } else { obr.field(44) };
        let text = code.text(2).or_else(|| obr.field(4).text(2)).or_else(|| obr.field(4).text(5));
        let text = text.map(|text| shown(&text, 64));
        put(entry, tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, text.as_deref());
        codes(entry, tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, code, 1);
        let reason = obr.field(31);
        let reason = reason.text(2).or_else(|| reason.text(1)).or_else(|| obr.field(13).text(1));
        let reason = reason.map(|text| shown(&text, 64));
        put(entry, tags::REASON_FOR_THE_REQUESTED_PROCEDURE, VR::LO, reason.as_deref());
        let service = self.orc.field(17);
        let service = service.text(2).or_else(|| service.text(1)).map(|text| shown(&text, 64));
        put(entry, tags::REQUESTING_SERVICE, VR::LO, service.as_deref());
    }

    fn study(
        &self,
        entry: &mut DataSet,
        told: Option<(&'static str, usize, Field<'_>)>,
    ) -> Result<(), Fault> {
        let Some((segment, field, value)) = told else {
            put(entry, tags::STUDY_INSTANCE_UID, VR::UI, None);
            return Ok(());
        };
        let uid = value.text(1).map(|text| Uid::new(&text)).transpose().map_err(|_| {
            let sentence =
                "the Study Instance UID is no UID: digits and dots, at most 64 characters";
            Fault::field(Code::DataType, segment, field, sentence)
        })?;
        put(entry, tags::STUDY_INSTANCE_UID, VR::UI, uid.as_ref().map(Uid::as_str));
        Ok(())
    }

    fn step(
        &self,
        obr: Segment<'_>,
        ipc: Option<Segment<'_>>,
        today: Date,
    ) -> Result<DataSet, Fault> {
        let mut step = DataSet::default();
        let (day, time) = match self.start(obr)? {
            Some(start) => start,
            None => (today.strftime("%Y%m%d").to_string(), None),
        };
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, Some(&day));
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, time.as_deref());
        let told = |field: usize| ipc.and_then(|ipc| ipc.field(field).text(1));
        let code = |text: &String| {
            let sign =
                |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b' ' | b'_');
            text.len() <= 16 && text.bytes().all(sign)
        };
        let modality = told(5).or_else(|| obr.field(24).text(1)).filter(code);
        put(&mut step, tags::MODALITY, VR::CS, modality.as_deref());
        let station = told(9).filter(|title| crate::dicom::AeTitle::new(title).is_ok());
        put(&mut step, tags::SCHEDULED_STATION_AE_TITLE, VR::AE, station.as_deref());
        let station_name = told(7).filter(|name| fits_sh(name));
        put(&mut step, tags::SCHEDULED_STATION_NAME, VR::SH, station_name.as_deref());
        let place = told(8).filter(|place| fits_sh(place));
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_LOCATION, VR::SH, place.as_deref());
        let id = told(4).or_else(|| obr.field(20).text(1)).filter(|id| fits_sh(id));
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, id.as_deref());
        let protocol = ipc.map(|ipc| ipc.field(6)).filter(|field| !field.is_empty());
        match protocol {
            Some(protocol) => codes(&mut step, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, protocol, 1),
            None => codes(&mut step, tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, obr.field(4), 4),
        }
        let described = protocol.and_then(|p| p.text(2)).or_else(|| obr.field(4).text(5));
        let described = described.or_else(|| obr.field(4).text(2)).map(|text| shown(&text, 64));
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, described.as_deref());
        put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, Some("SCHEDULED"));
        Ok(step)
    }

    /// When it is to be done: OBR-36, TQ1-7, OBR-27 or ORC-7.
    fn start(&self, obr: Segment<'_>) -> Result<Option<(String, Option<String>)>, Fault> {
        let timing = self.timing.map(|timing| ("TQ1", 7, timing.field(7), 1));
        let places = [
            Some(("OBR", 36, obr.field(36), 1)),
            timing,
            Some(("OBR", 27, obr.field(27), 4)),
            Some(("ORC", 7, self.orc.field(7), 4)),
        ];
        for (segment, field, value, component) in places.into_iter().flatten() {
            let sentence = "the scheduled time is none; write it as YYYYMMDDHHMM";
            let fault = Fault::field(Code::DataType, segment, field, sentence);
            let fault = fault.at(if segment == "OBR" { self.obrs.max(1) } else { self.orcs });
            if let Some(start) = timestamp(value, component, fault)? {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }
}

/// SH holds 16 characters.
fn fits_sh(text: &str) -> bool {
    text.chars().count() <= 16 && !text.contains('\\')
}

/// A coded value of three components from `from` on, if it is whole.
fn codes(set: &mut DataSet, tag: Tag, field: Field<'_>, from: usize) {
    let (value, meaning, scheme) = (field.text(from), field.text(from + 1), field.text(from + 2));
    let (Some(value), Some(scheme)) = (value, scheme) else { return };
    if !fits_sh(&value) || !fits_sh(&scheme) {
        return;
    }
    let meaning = meaning.map_or_else(|| value.clone(), |text| shown(&text, 64));
    let mut item = DataSet::default();
    put(&mut item, tags::CODE_VALUE, VR::SH, Some(&value));
    put(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, Some(&scheme));
    put(&mut item, tags::CODE_MEANING, VR::LO, Some(&meaning));
    set.put_items(tag, vec![item]);
}

/// The first person of an XCN field, without the number in front.
fn provider(field: Field<'_>) -> Option<String> {
    let name = patient::group(field, 2);
    (!name.is_empty() && name.chars().count() <= 64).then_some(name)
}
