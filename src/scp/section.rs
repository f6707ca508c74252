//! `[dicom]` of the configuration: our own application entity.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::dicom::{AeTitle, Uid};
use crate::dimse::{self, Classes, Offer, Syntaxes};
use crate::{clock, tls};

/// Shorter, and two associations of one study make two imports; longer, and nobody sees the study.
const QUIET_TIME: Duration = Duration::from_secs(30);
const QUIET_TIME_LEAST: Duration = Duration::from_secs(1);
const QUIET_TIME_MOST: Duration = Duration::from_secs(3600);
/// A device that sends study after study is never silent; what it sends has to arrive all the same.
const LONGEST_BURST: Duration = Duration::from_secs(600);
const LONGEST_BURST_LEAST: Duration = Duration::from_secs(2);
/// A night's transfer of an archive in one import; far below what retention lets live.
const LONGEST_BURST_MOST: Duration = Duration::from_secs(12 * 3600);

/// A modality opens one or two associations, an import station up to eight: 64 serves a large site, and at 128 KiB a
/// PDU stays within 64 MiB.
pub(super) const ASSOCIATIONS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DicomSection {
    pub ae_title: AeTitle,
    /// A burst of C-STORE from one peer ends after this silence.
    #[serde(deserialize_with = "quiet_time")]
    pub quiet_time: Duration,
    /// It ends after this all the same; what comes later is another import.
    #[serde(deserialize_with = "longest_burst")]
    pub longest_burst: Duration,
    pub listeners: Vec<ListenerSection>,
    /// Associations at once, of all peers together.
    pub associations: NonZeroUsize,
    /// What becomes of a storage class that our dictionary does not have.
    pub unknown_sop_classes: UnknownClasses,
    /// Which transfer syntax is taken of those that a peer proposes in one context: the first of these, else the
    /// peer's own first.
    #[serde(deserialize_with = "stored_syntaxes")]
    pub transfer_syntaxes: Vec<Uid>,
}

/// What becomes of storage classes that nobody told us of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownClasses {
    #[default]
    Accept,
    Refuse,
}

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListenerSection {
    pub address: SocketAddr,
    /// TLS on this listener; plain without.
    #[serde(default)]
    pub tls: Option<tls::ServerSection>,
}

impl Default for DicomSection {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant; a test reads it")]
        let ae_title = AeTitle::new("LOTSE").expect("a title");
        Self {
            ae_title,
            quiet_time: QUIET_TIME,
            longest_burst: LONGEST_BURST,
            listeners: Vec::new(),
            associations: ASSOCIATIONS,
            unknown_sop_classes: UnknownClasses::default(),
            transfer_syntaxes: Vec::new(),
        }
    }
}

impl DicomSection {
    /// How storage is offered to peers that may store.
    pub fn storage(&self) -> Offer {
        let classes = match self.unknown_sop_classes {
            UnknownClasses::Accept => Classes::AnyStorage,
            UnknownClasses::Refuse => Classes::KnownStorage,
        };
        Offer { classes, syntaxes: Syntaxes::Preferred(self.transfer_syntaxes.clone()) }
    }
}

fn stored_syntaxes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Uid>, D::Error> {
    let syntaxes = Vec::<Uid>::deserialize(source)?;
    match syntaxes.iter().find(|uid| !dimse::is_stored_syntax(uid.as_str())) {
        None => Ok(syntaxes),
        Some(uid) => {
            Err(de::Error::custom(format!("{uid} is no transfer syntax of stored objects")))
        }
    }
}

fn quiet_time<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let time = clock::duration(source)?;
    if (QUIET_TIME_LEAST..=QUIET_TIME_MOST).contains(&time) {
        Ok(time)
    } else {
        Err(de::Error::custom("the quiet time is between 1s and 1h"))
    }
}

fn longest_burst<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let time = clock::duration(source)?;
    if (LONGEST_BURST_LEAST..=LONGEST_BURST_MOST).contains(&time) {
        Ok(time)
    } else {
        Err(de::Error::custom("the longest burst is between 2s and 12h"))
    }
}
