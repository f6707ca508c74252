//! Orders that a person names for one study: a list of JSON, or check boxes of a form.

use std::collections::BTreeMap;

use super::{Fields, LO, Problem, required};
use crate::matching::{NotTogether, ORDER_LIMIT};

/// Names of items; whether they are of one patient is looked at where they are known.
pub(crate) fn item_ids(given: &[String]) -> Result<Vec<String>, Problem> {
    if given.is_empty() {
        return Err(Problem::invalid("no order is named; choose at least one"));
    }
    if given.len() > ORDER_LIMIT {
        return Err(Problem::invalid(NotTogether::TooMany.to_string()));
    }
    given.iter().map(|item| required("item", item, LO)).collect()
}

impl Fields {
    /// The ticked orders: fields `order.ITEM`, in the order of the numbers that they hold.
    pub(super) fn ticked(&self) -> Vec<String> {
        let order = |(name, value): (&String, &String)| {
            Some((value.trim().parse::<u32>().ok()?, name.strip_prefix("order.")?.to_owned()))
        };
        let mut ticked: Vec<_> = self.0.iter().filter_map(order).collect();
        ticked.sort();
        ticked.into_iter().map(|(_, item)| item).collect()
    }

    /// What was shown of the orders: fields `seen.ITEM`.
    pub(super) fn seen(&self) -> BTreeMap<String, String> {
        let seen = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("seen.")?.to_owned(), value.trim().to_owned()))
        };
        self.0.iter().filter_map(seen).collect()
    }
}
