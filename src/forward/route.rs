//! Which presentation contexts a run asks for, and in which transfer syntax an object goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use dicom_dictionary_std::uids;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::decode::Codec;
use crate::dicom::{Syntax, Uid, syntax};
use crate::dimse::Proposed;
use crate::import::{Compressed, Instance, Origin};

/// Presentation contexts of one association (PS3.8 9.3.2.2): odd numbers from 1 to 255.
const CONTEXTS: usize = 128;

/// What one series of associations carries: contexts that fit into one association, and its instances.
pub(super) struct Batch {
    pub(super) contexts: Vec<Proposed>,
    pub(super) instances: Vec<(u32, Arc<Instance>)>,
}

/// Splits the instances so that each batch needs no more contexts than an association holds. One batch in
/// all but strange studies.
pub(super) fn batches(instances: Vec<(u32, Arc<Instance>)>, compressed: Compressed) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut pairs: Vec<(Uid, Uid)> = Vec::new();
    let mut known = BTreeSet::new();
    let mut gathered = Vec::new();
    for (number, instance) in instances {
        let candidates = candidates(&instance.origin, compressed);
        let pair = |syntax: &Uid| (instance.sop_class.clone(), syntax.clone());
        let new: Vec<_> =
            candidates.iter().map(pair).filter(|pair| !known.contains(pair)).collect();
        let mut new = new;
        if pairs.len().saturating_add(new.len()) > CONTEXTS {
            batches.push(Batch {
                contexts: proposed(&pairs),
                instances: std::mem::take(&mut gathered),
            });
            pairs.clear();
            known.clear();
            new = candidates.iter().map(pair).collect();
        }
        known.extend(new.iter().cloned());
        pairs.append(&mut new);
        gathered.push((number, instance));
    }
    if !gathered.is_empty() {
        batches.push(Batch { contexts: proposed(&pairs), instances: gathered });
    }
    batches
}

/// Classes in order of appearance, each with the syntaxes its objects came in before those they could be
/// rewritten to.
fn proposed(pairs: &[(Uid, Uid)]) -> Vec<Proposed> {
    let mut all: Vec<Proposed> = Vec::new();
    for (class, syntax) in pairs {
        match all.iter_mut().find(|proposed| proposed.sop_class == *class) {
            Some(proposed) => proposed.transfer_syntaxes.push(syntax.clone()),
            None => all.push(Proposed {
                sop_class: class.clone(),
                transfer_syntaxes: vec![syntax.clone()],
            }),
        }
    }
    all
}

/// The transfer syntaxes in which this object can be written, the preferred one first: as it came, else
/// another uncompressed one, for which only the header is rewritten. Encapsulated objects go as they are, or
/// decoded where the destination leaves no choice, if it may be.
pub(super) fn candidates(origin: &Origin, compressed: Compressed) -> Vec<Uid> {
    let explicit = known(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let implicit = known(uids::IMPLICIT_VR_LITTLE_ENDIAN);
    let layout = match origin {
        Origin::Created { kind, .. } => return vec![kind.transfer_syntax()],
        Origin::Received { layout } => layout,
    };
    let own = &layout.transfer_syntax;
    match own.as_str() {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => implicit.into_iter().chain(explicit).collect(),
        uids::EXPLICIT_VR_LITTLE_ENDIAN => explicit.into_iter().chain(implicit).collect(),
        _ if is_re_encoded(own) => explicit.into_iter().chain(implicit).collect(),
        _ if Codec::of(own).is_none() => vec![own.clone()],
        _ => {
            let own = std::iter::once(own.clone());
            let native = explicit.into_iter().chain(implicit);
            match compressed {
                Compressed::AsIs => own.collect(),
                Compressed::NativeIfNeeded => own.chain(native).collect(),
                Compressed::Native => native.collect(),
            }
        }
    }
}

/// Whether an object that is stored in one syntax has to be decoded to leave in the other.
pub(super) fn is_decoded(stored: &Uid, sent: &Uid) -> bool {
    Codec::of(stored).is_some() && Syntax::is_native(sent)
}

/// Deflated and big-endian objects are written anew: few peers take the one, and the other is retired
/// (PS3.5 A.3, A.5).
pub(super) fn is_re_encoded(transfer_syntax: &Uid) -> bool {
    syntax::is_deflated(transfer_syntax) || transfer_syntax.as_str() == "1.2.840.10008.1.2.2"
}

/// The first candidate that the destination accepted for this object's class.
pub(super) fn choose(instance: &Instance, compressed: Compressed, accepted: &[Uid]) -> Option<Uid> {
    candidates(&instance.origin, compressed).into_iter().find(|syntax| accepted.contains(syntax))
}

/// What a person reads if there is no such candidate.
pub(super) fn refusal(instance: &Instance, compressed: Compressed) -> String {
    let class = &instance.sop_class;
    let syntaxes: Vec<String> = candidates(&instance.origin, compressed).iter().map(name).collect();
    format!(
        "the destination does not take SOP class {class} as {}; enable it there or choose another destination, then retry",
        syntaxes.join(" or ")
    )
}

fn name(syntax: &Uid) -> String {
    TransferSyntaxRegistry
        .get(syntax.as_str())
        .map_or_else(|| format!("transfer syntax {syntax}"), |known| known.name().to_owned())
}

fn known(uid: &str) -> Option<Uid> {
    Uid::new(uid).ok()
}

#[cfg(test)]
mod tests;
