//! Why something was not done, for whoever asked for it.

use crate::spool;

/// Why the scheduler did not do what was asked; the display is the sentence a person reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such import; list them with `lotse imports`")]
    Unknown,
    /// Not possible in this state.
    #[error("{0}")]
    NotNow(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    #[error("nothing more can be taken now: {0}")]
    Full(String),
    #[error("it could not be kept: {0}; look at the disk")]
    Unkept(String),
    #[error("the gateway is stopping; try again when it is back")]
    Stopping,
}

impl Refusal {
    /// The same in these words, if it was for the state: names of events are not for people.
    pub(super) fn in_words(self, words: &str) -> Self {
        match self {
            Self::NotNow(_) => Self::NotNow(words.to_owned()),
            Self::Unknown | Self::Invalid(_) | Self::Full(_) | Self::Unkept(_) | Self::Stopping => {
                self
            }
        }
    }
}

impl From<spool::Error> for Refusal {
    fn from(error: spool::Error) -> Self {
        let sentence = error.to_string();
        if error.is_full() { Self::Full(sentence) } else { Self::Unkept(sentence) }
    }
}
