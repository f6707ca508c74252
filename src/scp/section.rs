//! `[dicom]` of the configuration: our own application entity.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::clock;
use crate::dicom::AeTitle;

/// Shorter, and two associations of one study make two imports; longer, and nobody sees the study.
const QUIET_TIME: Duration = Duration::from_secs(30);
const QUIET_TIME_LEAST: Duration = Duration::from_secs(1);
const QUIET_TIME_MOST: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DicomSection {
    pub ae_title: AeTitle,
    /// A burst of C-STORE from one peer ends after this silence.
    #[serde(deserialize_with = "quiet_time")]
    pub quiet_time: Duration,
    pub listeners: Vec<ListenerSection>,
}

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListenerSection {
    pub address: SocketAddr,
}

impl Default for DicomSection {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant; a test reads it")]
        let ae_title = AeTitle::new("LOTSE").expect("a title");
        Self { ae_title, quiet_time: QUIET_TIME, listeners: Vec::new() }
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
