//! Who a message is about: PID, MRG.

use dicom_dictionary_std::tags;

use crate::dicom::{BirthDate, CharacterSets, DataSet, Patient, PatientId, PersonName, Sex, VR};
use crate::hl7::{Code, Fault, Field, Message, Segment, Value};

use super::{Rules, naming, put, shown, timestamp};

/// Repetitions of PID-3 and MRG-1 that are looked at; a patient has a handful of numbers.
const ID_LIMIT: usize = 64;

/// Types of numbers that mean a patient in one house (HL7 table 0203).
const PATIENTS: [&str; 3] = ["PI", "MR", "PT"];

/// Types of numbers of a visit or an account: they mean no patient, though the same authority may give them.
const VISITS: [&str; 5] = ["VN", "AN", "ANC", "AND", "ANT"];

/// A patient as PID tells it. What it leaves out stays as it is known; what it says is nothing becomes empty.
#[derive(Clone)]
pub struct Identity {
    pub id: PatientId,
    /// Universal ID of the issuer with its type.
    pub universal: Option<(String, String)>,
    /// In DICOM's order of components.
    pub name: Value,
    pub birth_date: Value,
    pub sex: Value,
}

/// What becomes of the patients of known entries.
pub struct PatientChange {
    pub identity: Identity,
    /// The IDs that the identity takes the place of, beside its own.
    pub prior: Vec<IssuedId>,
}

/// A patient ID with both names that its issuer may go by.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedId {
    pub id: PatientId,
    pub universal: Option<String>,
}

crate::dicom::redacted!(Identity, IssuedId);

impl IssuedId {
    /// Of an entry; `None` without a patient ID.
    pub fn of(set: &DataSet) -> Option<Self> {
        let issuer = set.text(tags::ISSUER_OF_PATIENT_ID);
        let qualifiers = set.items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE).first();
        let universal = qualifiers
            .and_then(|item| item.text_in(tags::UNIVERSAL_ENTITY_ID, &CharacterSets::utf8()));
        Some(Self { id: PatientId { id: set.text(tags::PATIENT_ID)?, issuer }, universal })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [&self.id.issuer, &self.universal].into_iter().flatten().map(|name| name.trim())
    }

    /// Whether nothing is said of who gave it.
    pub fn is_bare(&self) -> bool {
        self.names().next().is_none()
    }

    /// Whether both were given by one issuer, who is told of both.
    pub fn shares_issuer(&self, other: &Self) -> bool {
        self.names().any(|name| other.names().any(|theirs| theirs == name))
    }

    /// Whether both mean one patient for all that they tell.
    pub fn may_be(&self, other: &Self) -> bool {
        let unsaid = self.is_bare() || other.is_bare();
        self.id.id == other.id.id && (unsaid || self.shares_issuer(other))
    }
}

impl Identity {
    pub fn issued(&self) -> IssuedId {
        let universal = self.universal.as_ref().map(|(universal, _)| universal.clone());
        IssuedId { id: self.id.clone(), universal }
    }

    /// Writes the patient attributes of an entry.
    pub fn write(&self, set: &mut DataSet) {
        let told = self.issued();
        let known = IssuedId::of(set).filter(|known| known.may_be(&told));
        let names_issuer = told.id.issuer.is_some() && told.id.issuer != told.universal;
        let kept = known.as_ref().and_then(|known| known.id.issuer.clone());
        let issuer = if names_issuer { None } else { kept }.or(told.id.issuer);
        put(set, tags::PATIENT_ID, VR::LO, Some(&self.id.id));
        put(set, tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer.as_deref());
        match &self.universal {
            Some((universal, kind)) => {
                let mut item = DataSet::default();
                put(&mut item, tags::UNIVERSAL_ENTITY_ID, VR::UT, Some(universal));
                put(&mut item, tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS, Some(kind));
                set.put_items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, vec![item]);
            }
            None if known.is_some() => {}
            None => drop(set.remove(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE)),
        }
        for (tag, vr, value) in [
            (tags::PATIENT_NAME, VR::PN, &self.name),
            (tags::PATIENT_BIRTH_DATE, VR::DA, &self.birth_date),
            (tags::PATIENT_SEX, VR::CS, &self.sex),
        ] {
            match value {
                Value::Text(text) => put(set, tag, vr, Some(text)),
                Value::Null => put(set, tag, vr, None),
                Value::Absent if set.get(tag).is_none() => put(set, tag, vr, None),
                Value::Absent => {}
            }
        }
    }
}

/// The patient that one PID tells.
///
/// # Errors
/// If its local ID is not clear, or a value is none.
pub fn patient_of(pid: Segment<'_>, rules: &Rules) -> Result<Patient, Fault> {
    let identity = read(pid, rules)?;
    let told = |value: Value| match value {
        Value::Text(text) => Some(text),
        Value::Absent | Value::Null => None,
    };
    Ok(Patient {
        id: Some(identity.id),
        name: told(identity.name).and_then(|name| PersonName::new(&name)),
        birth_date: told(identity.birth_date).and_then(|day| BirthDate::parse(&day)),
        sex: told(identity.sex).map_or(Sex::Unknown, |sex| Sex::parse(&sex)),
    })
}

/// PID of a message about one patient.
pub(super) fn identity(message: &Message, rules: &Rules) -> Result<Identity, Fault> {
    let mut found = message.segments().filter(|segment| segment.name() == "PID");
    let pid = found.next().ok_or_else(|| {
        Fault::segment("PID", "the message does not say which patient it is about")
    })?;
    if found.next().is_some() {
        return Err(
            Fault::segment("PID", "the message is about several patients; send one each").at(2)
        );
    }
    read(pid, rules)
}

pub(super) fn update(message: &Message, rules: &Rules) -> Result<PatientChange, Fault> {
    Ok(PatientChange { identity: identity(message, rules)?, prior: Vec::new() })
}

pub(super) fn merge(message: &Message, rules: &Rules) -> Result<PatientChange, Fault> {
    let identity = identity(message, rules)?;
    let mut found = message.segments().filter(|segment| segment.name() == "MRG");
    let mrg = found
        .next()
        .ok_or_else(|| Fault::segment("MRG", "a merge names the patient ID that goes"))?;
    if found.next().is_some() {
        return Err(Fault::segment("MRG", "a message merges one patient; send one each").at(2));
    }
    let ids: Vec<Cx> = mrg.field(1).repetitions().take(ID_LIMIT).filter_map(Cx::read).collect();
    let prior = leaving(ids, rules).map_err(|why| why.fault("MRG", 1))?;
    let prior = prior.into_iter().map(|id| id.issued(rules, "MRG", 1)).collect::<Result<_, _>>()?;
    Ok(PatientChange { prior, identity })
}

fn read(pid: Segment<'_>, rules: &Rules) -> Result<Identity, Fault> {
    let ids: Vec<Cx> = pid.field(3).repetitions().take(ID_LIMIT).filter_map(Cx::read).collect();
    let id = chosen(ids, rules).map_err(|why| why.fault("PID", 3))?;
    let birth_date = match pid.field(7).value(1) {
        Value::Text(text)
            if matches!(text.len(), 4 | 6) && text.bytes().all(|b| b.is_ascii_digit()) =>
        {
            // A year or a month is allowed by HL7, and no birth date to DICOM: it tells nothing.
            Value::Absent
        }
        Value::Text(_) => {
            let fault = Fault::field(
                Code::DataType,
                "PID",
                7,
                "the birth date is no day; write it as YYYYMMDD",
            );
            match timestamp(pid.field(7), 1, fault.clone())? {
                Some((day, _)) if BirthDate::parse(&day).is_some() => Value::Text(day),
                _ => return Err(fault),
            }
        }
        other => other,
    };
    let sex = match pid.field(8).value(1) {
        Value::Text(text) => match Sex::parse(&text) {
            Sex::Unknown => Value::Null,
            sex => Value::Text(sex.as_str().to_owned()),
        },
        other => other,
    };
    Ok(Identity {
        universal: id.universal.clone(),
        id: id.issued(rules, "PID", 3)?.id,
        name: name(pid.field(5))?,
        birth_date,
        sex,
    })
}

/// One number of a patient with who gave it (CX).
struct Cx {
    id: String,
    namespace: Option<String>,
    universal: Option<(String, String)>,
    /// HL7 table 0203.
    kind: Option<String>,
}

enum Unclear {
    Missing,
    Several,
    /// Several of the site's own authority.
    Alike,
    OtherAuthority,
}

impl Unclear {
    fn fault(self, segment: &'static str, field: usize) -> Fault {
        match self {
            Self::Missing => Fault::field(
                Code::RequiredFieldMissing,
                segment,
                field,
                "there is no patient ID; nothing can be filed without one",
            ),
            Self::Several => Fault::field(
                Code::DataType,
                segment,
                field,
                "there are several patient IDs; name the local one by its assigning authority in hl7.authority",
            ),
            Self::Alike => Fault::field(
                Code::DataType,
                segment,
                field,
                "there are several patient IDs of the local assigning authority; give the patient's own the type PI, \
                 or send only that",
            ),
            Self::OtherAuthority => Fault::field(
                Code::UnknownKey,
                segment,
                field,
                "no patient ID is of the assigning authority that hl7.authority names",
            ),
        }
    }
}

impl Cx {
    fn read(field: Field<'_>) -> Option<Self> {
        let kind = field.part(4, 3).unwrap_or_default();
        Some(Self {
            id: field.text(1)?,
            namespace: field.part(4, 1),
            universal: field.part(4, 2).map(|universal| (universal, kind)),
            kind: field.text(5),
        })
    }

    fn is_one_of(&self, kinds: &[&str]) -> bool {
        self.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    }

    fn is_of(&self, authority: &str) -> bool {
        self.namespace.as_deref() == Some(authority)
            || self.universal.as_ref().is_some_and(|(universal, _)| universal == authority)
    }

    fn issued(
        mut self,
        rules: &Rules,
        segment: &'static str,
        field: usize,
    ) -> Result<IssuedId, Fault> {
        if self.namespace.is_none() && self.universal.is_none() {
            // Old senders leave the authority out; the site says what its own is.
            self.namespace.clone_from(&rules.authority);
        }
        let fault = Fault::field(
            Code::DataType,
            segment,
            field,
            "the patient ID is longer than 64 characters or holds a backslash, which DICOM cannot carry",
        );
        let universal = self.universal.map(|(universal, _)| universal);
        let issuer = self.namespace.or_else(|| universal.clone());
        let issuer = issuer.map(|text| shown(&text, 64));
        Ok(IssuedId { id: PatientId { id: naming(self.id, 64, fault)?, issuer }, universal })
    }
}

/// The patient numbers of the site's own authority, each once.
fn local(ids: Vec<Cx>, authority: &str) -> Vec<Cx> {
    let mut found: Vec<Cx> = Vec::new();
    for id in ids.into_iter().filter(|id| id.is_of(authority) && !id.is_one_of(&VISITS)) {
        match found.iter_mut().find(|known| known.id == id.id) {
            Some(known) => {
                if id.is_one_of(&PATIENTS) {
                    known.kind = id.kind;
                }
                known.namespace = known.namespace.take().or(id.namespace);
                known.universal = known.universal.take().or(id.universal);
            }
            None => found.push(id),
        }
    }
    found
}

/// The numbers of a patient who is no more: all that the site's own authority had given.
fn leaving(ids: Vec<Cx>, rules: &Rules) -> Result<Vec<Cx>, Unclear> {
    match &rules.authority {
        Some(authority) if ids.iter().any(|id| id.is_of(authority)) => {
            let local = local(ids, authority);
            if local.is_empty() { Err(Unclear::Missing) } else { Ok(local) }
        }
        _ => Ok(vec![chosen(ids, rules)?]),
    }
}

/// The local one of several numbers. A single number without an authority is taken for local.
fn chosen(mut ids: Vec<Cx>, rules: &Rules) -> Result<Cx, Unclear> {
    if ids.is_empty() {
        return Err(Unclear::Missing);
    }
    if let Some(authority) = &rules.authority {
        if ids.iter().any(|id| id.is_of(authority)) {
            let mut local = local(ids, authority);
            if local.iter().filter(|id| id.is_one_of(&PATIENTS)).count() == 1 {
                local.retain(|id| id.is_one_of(&PATIENTS));
            }
            return match (local.pop(), local.is_empty()) {
                (Some(only), true) => Ok(only),
                (None, _) => Err(Unclear::Missing),
                (Some(_), false) => Err(Unclear::Alike),
            };
        }
        let is_bare = |id: &Cx| id.namespace.is_none() && id.universal.is_none();
        return match ids.pop() {
            Some(only) if ids.is_empty() && is_bare(&only) => Ok(only),
            _ => Err(Unclear::OtherAuthority),
        };
    }
    match (ids.pop(), ids.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(Unclear::Several),
    }
}

/// PID-5: the legal name, else the first; further scripts of it as DICOM's groups (PS3.5 6.2.1).
fn name(field: Field<'_>) -> Result<Value, Fault> {
    if field.value(1) == Value::Null {
        return Ok(Value::Null);
    }
    let all: Vec<Field<'_>> = field.repetitions().take(16).collect();
    let script = |field: &Field<'_>| field.text(8).unwrap_or_else(|| "A".to_owned());
    let kind = |field: &Field<'_>| field.text(7).unwrap_or_default();
    let pick = |wanted: &str| {
        let of = || all.iter().filter(|one| script(one) == wanted);
        of().find(|one| kind(one) == "L")
            .or_else(|| of().find(|one| !matches!(kind(one).as_str(), "A" | "B" | "M" | "N" | "S")))
    };
    let fault = Fault::field(
        Code::DataType,
        "PID",
        5,
        "the name is longer than the 64 characters of DICOM",
    );
    let mut groups = Vec::new();
    for script in ["A", "I", "P"] {
        let group = pick(script).map(|one| group(*one, 1)).unwrap_or_default();
        groups.push(naming(group, 64, fault.clone())?);
    }
    let joined = groups.join("=");
    let joined = joined.trim_end_matches('=');
    Ok(if joined.is_empty() { Value::Absent } else { Value::Text(joined.to_owned()) })
}

/// A name as DICOM orders it: family, given, middle, prefix, suffix. HL7 has the suffix before the prefix,
/// and the degree behind both. `from` is the component of the family name.
pub(super) fn group(field: Field<'_>, from: usize) -> String {
    let part = |offset: usize| {
        let text = field.text(from + offset).unwrap_or_default();
        text.replace(['^', '=', '\\'], " ").trim().to_owned()
    };
    let (suffix, degree) = (part(3), part(5));
    let suffix = [suffix, degree].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let parts = [part(0), part(1), part(2), part(4), suffix.join(" ")];
    parts.join("^").trim_end_matches('^').to_owned()
}
