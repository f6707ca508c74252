//! What the bytes of a portal say, whatever call they answer: for tests that feed the readers with anything.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::content::Content;
use super::{dlx, locate, name, wire};
use crate::import::Offer;

/// All that could be read.
pub struct Understood {
    /// Number of questions, if these are questions.
    pub questions: Option<usize>,
    /// Entries, if this is a list.
    pub offers: Option<Vec<Offer>>,
    /// The session token, if this is a login's answer.
    pub token: Option<String>,
    /// How long the token is good.
    pub lifetime: Option<Duration>,
    /// Seconds that a portal wants to be left alone.
    pub wait: Option<u64>,
    /// The name of a file, if this is the header that tells it.
    pub file_name: String,
    /// The token value, if this is a link.
    pub link_token: Option<String>,
}

/// Reads `bytes` as everything that they may be.
pub fn understand(bytes: &[u8]) -> Understood {
    let text = String::from_utf8_lossy(bytes);
    let document = serde_json::from_slice::<Value>(bytes).ok();
    let languages = ["de".to_owned(), "en".to_owned()];
    let questions = document.as_ref().and_then(|answer| wire::questions(answer, &languages));
    let items = document.as_ref().and_then(wire::items);
    let token = wire::session_token(&text);
    let link = Url::parse(&text).ok();
    Understood {
        questions: questions.map(|read| read.questions.len()),
        lifetime: token.as_deref().and_then(|token| wire::lifetime(token, Some(0))),
        token,
        wait: document.as_ref().and_then(wire::time_out),
        file_name: name::display(Some(&text), Some(&text), Content::Zip),
        link_token: link.and_then(|link| locate::token(&link, &link)),
        offers: items.map(|items| items.iter().map(dlx::offer).collect()),
    }
}
