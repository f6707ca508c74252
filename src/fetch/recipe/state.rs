//! What a visit needs to go on later: after a person answered, after the portal prepared, after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::page::{Entry, Page};
use crate::import::Bookmark;
use crate::web::Jar;

/// A record of the journal that may hold a page.
const LONGEST: usize = 512 << 10;

/// The state between two steps. All of it is secret.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct State {
    pub(super) recipe: String,
    /// Of the recipe's text: steps are counted in it.
    pub(super) digest: String,
    /// The step that comes next.
    pub(super) next: usize,
    /// An answer is on its way with step `next`, and nothing was heard yet.
    pub(super) in_doubt: bool,
    /// Answers were sent: from here on nothing is begun anew without a person.
    pub(super) spent: bool,
    /// Step `next` waits for a person.
    pub(super) paused: bool,
    /// The last step that waited for a person.
    pub(super) asked_at: Option<usize>,
    /// How often step `next` was polled.
    pub(super) polls: u32,
    pub(super) values: BTreeMap<String, String>,
    pub(super) lists: BTreeMap<String, Vec<Entry>>,
    pub(super) page: Option<Page>,
    pub(super) jar: Jar,
    /// No file had come when this was kept.
    pub(super) empty: bool,
    /// The portal refused the answers; they are not sent again before a person gave others.
    pub(super) refused: bool,
    /// A person answered since this was kept.
    #[serde(skip)]
    pub(super) answered: bool,
}

impl State {
    /// `None` if it is too large to be kept.
    pub(super) fn pack(&self) -> Option<Bookmark> {
        let text = serde_json::to_string(self).ok()?;
        (text.len() <= LONGEST).then_some(Bookmark { state: text, answered: false })
    }

    pub(super) fn unpack(bookmark: &Bookmark) -> Option<Self> {
        serde_json::from_str(&bookmark.state).ok()
    }
}
