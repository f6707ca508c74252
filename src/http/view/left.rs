//! Images that a destination has although a person turned their study away.

use std::collections::BTreeMap;

use crate::import::{Delivery, DestinationName, Study};

/// "1 of 4 images are already at pacs"; `None` if no image of these studies is anywhere.
pub(super) fn behind<'a>(studies: impl IntoIterator<Item = &'a Study>) -> Option<String> {
    let mut stored: BTreeMap<&DestinationName, (usize, usize)> = BTreeMap::new();
    let mut perhaps: Vec<&DestinationName> = Vec::new();
    for study in studies {
        for delivery in study.work().into_iter().flat_map(|work| &work.deliveries) {
            let (delivered, all) = (delivery.delivered(), study.instances.len());
            if delivered > 0 {
                let sum = stored.entry(&delivery.destination).or_default();
                *sum = (sum.0.saturating_add(delivered), sum.1.saturating_add(all));
            } else if may_hold(delivery) && !perhaps.contains(&&delivery.destination) {
                perhaps.push(&delivery.destination);
            }
        }
    }
    perhaps.retain(|name| !stored.contains_key(name));
    let stored = stored.iter().map(|(name, (delivered, all))| {
        format!("{delivered} of {all} images are already at {name}")
    });
    let perhaps = perhaps.iter().map(|name| format!("{name} may have some of its images"));
    let told: Vec<String> = stored.chain(perhaps).collect();
    (!told.is_empty()).then(|| told.join(" and "))
}

/// Whether an object left for it that no answer has come for.
fn may_hold(delivery: &Delivery) -> bool {
    !delivery.may_hold.is_empty() || delivery.began
}
