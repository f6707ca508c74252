//! What an association is about: contexts proposed, accepted, refused (PS3.8 7.1.1, PS3.7 annex D).

use dicom_core::dictionary::UidDictionary as _;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason,
    RequestorRoles, UserVariableItem,
};

use super::error::{Abort, Error};
use super::roles::Roles;
use super::{Context, Extended, Proposed};
use crate::dicom::Uid;

/// PS3.7 A.2.1.
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// Our implementation class: one UUID under 2.25, made once.
pub const IMPLEMENTATION_CLASS: &str = "2.25.66937310781821262674195077313944737975";

/// At most 16 characters.
const IMPLEMENTATION_VERSION: &str = concat!("LOTSE_", env!("CARGO_PKG_VERSION"));

/// Odd numbers from 1 to 255.
pub(super) const CONTEXT_LIMIT: usize = 128;

/// More gains nothing and only takes memory; what we use if the peer sets no limit (0).
pub const MAX_PDU: u32 = 128 << 10;

/// Below this a response no longer fits a handful of PDUs; such values are faults of configuration.
pub const MIN_PDU: u32 = 128;

/// Whole data sets that a peer may hand over, by class and syntax.
#[derive(Clone, Debug)]
pub struct Offer {
    pub classes: Classes,
    pub syntaxes: Syntaxes,
}

#[derive(Clone, Debug)]
pub enum Classes {
    One(Uid),
    /// Every storage class of the standard, and private ones.
    AnyStorage,
    /// The same, of which the requestor is SCP by role selection: it takes them within a C-GET.
    AnyStorageTaken,
    /// Those storage classes that our dictionary has.
    KnownStorage,
}

#[derive(Clone, Debug)]
pub enum Syntaxes {
    /// Every syntax of the dictionary that has its pixels inside the object; the requestor's order wins.
    AnyStored,
    /// The same, but of what was proposed the first of these, if it is there.
    Preferred(Vec<Uid>),
    /// These, our order wins.
    Only(Vec<Uid>),
}

impl Offer {
    pub fn verification() -> Self {
        Self::uncompressed(uids::VERIFICATION)
    }

    pub fn worklist() -> Self {
        Self::uncompressed(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND)
    }

    /// Query of the Patient Root and Study Root models (PS3.4 C.6.1, C.6.2).
    pub fn query() -> [Self; 2] {
        [
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
        ]
        .map(Self::uncompressed)
    }

    /// C-GET and C-MOVE of both models, and the objects that a C-GET hands over.
    pub fn retrieve() -> [Self; 5] {
        let [a, b, c, d] = [
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET,
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE,
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET,
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE,
        ]
        .map(Self::uncompressed);
        let taken = Self { classes: Classes::AnyStorageTaken, syntaxes: Syntaxes::AnyStored };
        [a, b, c, d, taken]
    }

    /// Commitment requests, or reports on our own.
    pub fn commitment() -> Self {
        Self::uncompressed(uids::STORAGE_COMMITMENT_PUSH_MODEL)
    }

    pub fn any_storage() -> Self {
        Self { classes: Classes::AnyStorage, syntaxes: Syntaxes::AnyStored }
    }

    fn uncompressed(class: &'static str) -> Self {
        let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
        Self {
            classes: Classes::One(known(class)),
            syntaxes: Syntaxes::Only(syntaxes.into_iter().map(known).collect()),
        }
    }
}

/// A UID of the dictionary.
pub(crate) fn known(uid: &'static str) -> Uid {
    #[expect(
        clippy::expect_used,
        reason = "constants of the dictionary are well-formed; a test reads them all"
    )]
    Uid::new(uid).expect("a UID of the dictionary")
}

/// Whether a class holds instances of patients to be stored. The standard gives them one branch and few places
/// beside it; a class outside the standard can be nothing else to us.
pub fn is_storage(class: &str) -> bool {
    const BESIDE: [&str; 2] = [
        uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE,
        uids::RT_BRACHY_APPLICATION_SETUP_DELIVERY_INSTRUCTION_STORAGE,
    ];
    class.starts_with("1.2.840.10008.5.1.4.1.1.")
        || BESIDE.contains(&class)
        || !class.starts_with("1.2.840.10008.")
}

/// Whether our dictionary has this storage class.
pub fn is_known_storage(class: &str) -> bool {
    is_storage(class) && dicom_dictionary_std::sop_class::registry().by_uid(class).is_some()
}

/// Whether objects of this syntax can be taken: their pixels are inside, and the data set is DICOM.
pub fn is_stored_syntax(syntax: &str) -> bool {
    const ROOT: &str = "1.2.840.10008.1.2";
    // JPIP keeps the pixels elsewhere, MIME and XML are no data sets, ST 2110 is a live stream.
    let unusable = matches!(
        syntax,
        uids::JPIP_REFERENCED
            | uids::JPIP_REFERENCED_DEFLATE
            | uids::JPIPHTJ2K_REFERENCED
            | uids::JPIPHTJ2K_REFERENCED_DEFLATE
    ) || syntax.starts_with("1.2.840.10008.1.2.6.")
        || syntax.starts_with("1.2.840.10008.1.2.7.");
    let standard =
        syntax == ROOT || syntax.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('.'));
    standard && !unusable
}

/// The acceptor's answer to what was proposed, in the same order.
pub(super) fn answer(
    proposed: &[PresentationContextProposed],
    roles: &Roles,
    offers: &[Offer],
) -> (Vec<PresentationContextResult>, Vec<Context>) {
    let mut results = Vec::new();
    let mut accepted = Vec::new();
    for (place, context) in proposed.iter().enumerate() {
        let same = |other: &&PresentationContextProposed| other.id == context.id;
        if proposed.iter().take(place).any(|other| same(&other)) {
            continue;
        }
        // An even or repeated number can not be told apart later on.
        let usable = context.id % 2 == 1 && proposed.iter().filter(same).count() == 1;
        let choice = if usable {
            choose(context, roles, offers)
        } else {
            Err(PresentationContextResultReason::NoReason)
        };
        let (reason, syntax) = match choice {
            Ok((class, syntax)) => {
                let text = syntax.as_str().to_owned();
                accepted.push(Context {
                    id: context.id,
                    sop_class: class,
                    transfer_syntax: syntax,
                });
                (PresentationContextResultReason::Acceptance, text)
            }
            Err(reason) => (reason, uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
        };
        results.push(PresentationContextResult { id: context.id, reason, transfer_syntax: syntax });
    }
    (results, accepted)
}

/// The transfer syntaxes that would be accepted of these contexts, for tests of what is offered.
#[cfg(test)]
pub(crate) fn taken(contexts: &[(&str, &[&str])], offers: &[Offer]) -> Vec<String> {
    let proposed = contexts.iter().zip((1..=u8::MAX).step_by(2)).map(|((class, syntaxes), id)| {
        PresentationContextProposed {
            id,
            abstract_syntax: (*class).to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|uid| (*uid).to_owned()).collect(),
        }
    });
    let (_, accepted) = answer(&proposed.collect::<Vec<_>>(), &Roles::wanted(&[]), offers);
    accepted.into_iter().map(|one| one.transfer_syntax.to_string()).collect()
}

fn choose(
    context: &PresentationContextProposed,
    roles: &Roles,
    offers: &[Offer],
) -> Result<(Uid, Uid), PresentationContextResultReason> {
    let class = Uid::new(&context.abstract_syntax)
        .map_err(|_| PresentationContextResultReason::AbstractSyntaxNotSupported)?;
    let offer = offers
        .iter()
        .find(|offer| roles.fit(offer, &class))
        .ok_or(PresentationContextResultReason::AbstractSyntaxNotSupported)?;
    let theirs: Vec<Uid> =
        context.transfer_syntaxes.iter().filter_map(|text| Uid::new(text).ok()).collect();
    let syntax = match &offer.syntaxes {
        Syntaxes::AnyStored => first_stored(&theirs),
        Syntaxes::Preferred(ours) => {
            let preferred = ours.iter().find(|uid| theirs.contains(uid)).cloned();
            preferred.or_else(|| first_stored(&theirs))
        }
        Syntaxes::Only(ours) => ours.iter().find(|uid| theirs.contains(uid)).cloned(),
    };
    let syntax = syntax.ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported)?;
    Ok((class, syntax))
}

/// The requestor's first choice, which is how its objects are; but Explicit instead of Implicit, because only
/// Explicit says what private elements are.
fn first_stored(theirs: &[Uid]) -> Option<Uid> {
    let first = theirs.iter().find(|uid| is_stored_syntax(uid.as_str()))?;
    let explicit = theirs.iter().find(|uid| uid.as_str() == uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let implicit = first.as_str() == uids::IMPLICIT_VR_LITTLE_ENDIAN;
    Some(explicit.filter(|_| implicit).unwrap_or(first).clone())
}

/// The requestor's contexts: each (class, syntax) pair in one of its own as far as 128 reach, because a peer
/// picks only one syntax of a context.
pub(super) fn propose(wanted: &[Proposed]) -> Result<Vec<PresentationContextProposed>, Error> {
    let mut classes: Vec<(&Uid, Vec<&Uid>)> = Vec::new();
    for proposed in wanted {
        let place = classes.iter().position(|(class, _)| *class == &proposed.sop_class);
        let syntaxes = match place.and_then(|place| classes.get_mut(place)) {
            Some((_, syntaxes)) => syntaxes,
            None => {
                classes.push((&proposed.sop_class, Vec::new()));
                let Some((_, syntaxes)) = classes.last_mut() else {
                    continue;
                };
                syntaxes
            }
        };
        for syntax in &proposed.transfer_syntaxes {
            if !syntaxes.contains(&syntax) {
                syntaxes.push(syntax);
            }
        }
    }
    classes.retain(|(_, syntaxes)| !syntaxes.is_empty());
    if classes.is_empty() || classes.len() > CONTEXT_LIMIT {
        return Err(Error::TooManyContexts(classes.len()));
    }
    let mut spare = CONTEXT_LIMIT - classes.len();
    let mut groups: Vec<(&Uid, Vec<&Uid>)> = Vec::new();
    for (class, syntaxes) in classes {
        let extra = syntaxes.len().saturating_sub(1);
        if extra <= spare {
            spare -= extra;
            groups.extend(syntaxes.into_iter().map(|syntax| (class, vec![syntax])));
        } else {
            groups.push((class, syntaxes));
        }
    }
    let ids = (1..=u8::MAX).step_by(2);
    Ok(ids
        .zip(groups)
        .map(|(id, (class, syntaxes))| PresentationContextProposed {
            id,
            abstract_syntax: class.as_str().to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|uid| uid.as_str().to_owned()).collect(),
        })
        .collect())
}

/// What of the proposed was accepted. Answers to what was not proposed count for nothing.
pub(super) fn accepted(
    proposed: &[PresentationContextProposed],
    results: &[PresentationContextResult],
) -> Vec<Context> {
    let mut contexts: Vec<Context> = Vec::new();
    for result in results {
        if result.reason != PresentationContextResultReason::Acceptance
            || contexts.iter().any(|context| context.id == result.id)
        {
            continue;
        }
        let Some(ours) = proposed.iter().find(|ours| ours.id == result.id) else {
            continue;
        };
        let (Ok(sop_class), Ok(transfer_syntax)) =
            (Uid::new(&ours.abstract_syntax), Uid::new(&result.transfer_syntax))
        else {
            continue;
        };
        if ours.transfer_syntaxes.iter().any(|uid| uid == transfer_syntax.as_str()) {
            contexts.push(Context { id: result.id, sop_class, transfer_syntax });
        }
    }
    contexts
}

/// How person names are compared on an association (PS3.4 K.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameMatching {
    /// As the matching rules say.
    #[default]
    Literal,
    /// Fuzzy semantic matching was asked for and agreed on.
    Fuzzy,
}

/// The options of the worklist that the requestor asks for, and our answer to them: it may have names compared
/// fuzzily; times are never adjusted to another zone, so that is turned down.
pub(super) fn worklist_options(
    theirs: &[UserVariableItem],
    accepted: &[Context],
) -> (Option<UserVariableItem>, NameMatching) {
    let class = uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND;
    if !accepted.iter().any(|context| context.sop_class.as_str() == class) {
        return (None, NameMatching::Literal);
    }
    let asked = theirs.iter().find_map(|item| match item {
        UserVariableItem::SopClassExtendedNegotiationSubItem(uid, bytes)
            if uid.trim_end_matches(['\0', ' ']) == class =>
        {
            Some(bytes.as_slice())
        }
        _ => None,
    });
    // The first two bytes are reserved and say nothing; three are the least that means anything.
    let Some([first, second, names, rest @ ..]) = asked else {
        return (None, NameMatching::Literal);
    };
    let mut answer = vec![*first, *second, u8::from(*names == 1)];
    answer.extend(rest.first().map(|_| 0));
    let names = if *names == 1 { NameMatching::Fuzzy } else { NameMatching::Literal };
    let answer = UserVariableItem::SopClassExtendedNegotiationSubItem(class.to_owned(), answer);
    (Some(answer), names)
}

/// What a requestor says beside its contexts.
pub(super) fn with_wishes(
    max_pdu: u32,
    extended: &[Extended],
    scp_of: &[Uid],
) -> Vec<UserVariableItem> {
    let mut variables = user_variables(max_pdu);
    variables.extend(scp_of.iter().map(|class| {
        let roles = RequestorRoles { scu: false, scp: true };
        UserVariableItem::ScuScpRoleSelectionSubItem(class.as_str().to_owned(), roles)
    }));
    variables.extend(extended.iter().map(|one| {
        let class = one.sop_class.as_str().to_owned();
        UserVariableItem::SopClassExtendedNegotiationSubItem(class, one.information.clone())
    }));
    variables
}

/// The answers to what was proposed; others count for nothing.
pub(super) fn agreed(proposed: &[Extended], answer: &[UserVariableItem]) -> Vec<Extended> {
    let told = answer.iter().filter_map(|item| match item {
        UserVariableItem::SopClassExtendedNegotiationSubItem(class, bytes) => {
            let sop_class = Uid::new(class.trim_end_matches(['\0', ' '])).ok()?;
            Some(Extended { sop_class, information: bytes.clone() })
        }
        _ => None,
    });
    told.filter(|one| proposed.iter().any(|ours| ours.sop_class == one.sop_class)).collect()
}

pub(super) fn user_variables(max_pdu: u32) -> Vec<UserVariableItem> {
    let version = IMPLEMENTATION_VERSION.get(..16).unwrap_or(IMPLEMENTATION_VERSION);
    vec![
        UserVariableItem::MaxLength(max_pdu),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS.to_owned()),
        UserVariableItem::ImplementationVersionName(version.to_owned()),
    ]
}

/// The size of PDUs that we may send: 0 means no limit (PS3.8 D.1.1).
pub(super) fn peer_max_pdu(variables: &[UserVariableItem]) -> Result<u32, Error> {
    let declared = variables.iter().find_map(|variable| match variable {
        UserVariableItem::MaxLength(length) => Some(*length),
        _ => None,
    });
    match declared {
        None | Some(0) => Ok(MAX_PDU),
        Some(length) if length < MIN_PDU => {
            Err(Error::protocol("a maximum PDU length that is too small", Abort::InvalidParameter))
        }
        Some(length) => Ok(length.min(MAX_PDU)),
    }
}
