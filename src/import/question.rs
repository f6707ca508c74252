//! What is asked of a person before an import goes on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A question of the portal, or for the password of an archive.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The portal's question ID.
    pub key: String,
    pub kind: QuestionKind,
    pub text: String,
    /// `DATE` or `STRING`.
    pub format: String,
}

/// What a portal asks for (DLX `questionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QuestionKind {
    PatBirthDate,
    StudyDate,
    Password,
    Custom,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question(redacted)")
    }
}
