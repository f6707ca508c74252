//! Configuration of the worklist: `[worklist]` and `[[worklist.sources]]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::clock;
use crate::dicom::AeTitle;
use crate::dimse::Remote;

use super::ITEM_LIMIT;
use super::pdq::{PatientIndex, PdqSection};

/// A day, the unit of the window.
const DAY: u64 = 24 * 3600;

/// A window beyond a year is a question for the whole RIS.
const WINDOW_LIMIT_DAYS: u16 = 366;

/// Shorter is a burden for the RIS, longer is no cache of today.
const REFRESH_LEAST: Duration = Duration::from_secs(10);
const REFRESH_MOST: Duration = Duration::from_secs(DAY);

/// `[worklist]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorklistSection {
    pub sources: Vec<SourceSection>,
    /// Ask only for steps of these modalities, one query each; empty asks for all.
    pub modalities: Vec<String>,
    /// Ask only for steps scheduled for these stations, one query each; empty asks for all.
    pub station_ae: Vec<AeTitle>,
    /// How far before and after today a broad question reaches, in whole days.
    #[serde(deserialize_with = "clock::duration")]
    pub window: Duration,
    /// Answers that one query may give before the rest is cancelled.
    pub limit: usize,
    /// How often the whole window is asked for and kept.
    #[serde(deserialize_with = "clock::duration")]
    pub refresh: Duration,
    /// Matches that one query of a modality may get from us.
    pub answer_limit: usize,
    /// For answers that name no character set and are no UTF-8.
    pub fallback_character_set: String,
    /// A patient index that says who somebody is, for patients without an order.
    pub pdq: Option<PdqSection>,
}

impl Default for WorklistSection {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            modalities: Vec::new(),
            station_ae: Vec::new(),
            window: Duration::from_secs(14 * DAY),
            limit: 5000,
            refresh: Duration::from_secs(300),
            answer_limit: 1000,
            fallback_character_set: "ISO_IR 100".to_owned(),
            pdq: None,
        }
    }
}

/// One `[[worklist.sources]]`: exactly one of the two keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SourceSection {
    /// A name of `[peers]`.
    pub peer: Option<String>,
    /// A folder of `.wl` files.
    pub folder: Option<PathBuf>,
    /// In place of `worklist.fallback-character-set` for this peer.
    pub fallback_character_set: Option<String>,
    /// Whether a peer is sent an empty Specific Character Set (0008,0005) as return key.
    pub character_set_key: CharacterSetKey,
    /// What a peer does about time zones.
    pub times: Times,
}

/// Some servers tell their character set only if they are asked for it, others fail on the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CharacterSetKey {
    #[default]
    Asked,
    LeftOut,
}

/// In which zone a peer means its dates and times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// In ours: every RIS of one site.
    #[default]
    Local,
    /// In its own: the adjustment to ours is negotiated (PS3.4 K.5), and used if the peer agrees.
    Adjusted,
}

/// What is particular to one peer.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    pub fallback_character_set: Option<String>,
    pub character_set_key: CharacterSetKey,
    pub times: Times,
}

/// Where a source lies.
#[derive(Clone, Debug)]
pub enum Source {
    Peer { name: String, remote: Remote, manners: Manners },
    Folder { path: PathBuf },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { name, .. } => write!(f, "peer {name}"),
            Self::Folder { path } => write!(f, "folder {}", path.display()),
        }
    }
}

/// What is asked of every source.
#[derive(Clone, Debug)]
pub struct Options {
    pub modalities: Vec<String>,
    pub stations: Vec<AeTitle>,
    pub window_days: u16,
    pub limit: usize,
    pub refresh: Duration,
    pub answer_limit: usize,
    pub fallback_character_set: String,
    pub pdq: Option<PatientIndex>,
    /// In which "today" is meant.
    pub timezone: jiff::tz::TimeZone,
}

impl WorklistSection {
    /// Checks the values; the faults name their keys.
    pub fn options(&self, timezone: jiff::tz::TimeZone) -> Result<Options, Vec<String>> {
        let mut faults = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            if source.peer.is_some() == source.folder.is_some() {
                faults.push(format!("worklist.sources[{index}] needs either peer or folder"));
            }
        }
        let days = u16::try_from(self.window.as_secs() / DAY).unwrap_or(u16::MAX);
        if days > WINDOW_LIMIT_DAYS {
            faults.push(format!("worklist.window is at most {WINDOW_LIMIT_DAYS} days"));
        }
        if !(1..=ITEM_LIMIT).contains(&self.limit) {
            faults.push(format!("worklist.limit is 1 to {ITEM_LIMIT}"));
        }
        if !(1..=ITEM_LIMIT).contains(&self.answer_limit) {
            faults.push(format!("worklist.answer-limit is 1 to {ITEM_LIMIT}"));
        }
        if !(REFRESH_LEAST..=REFRESH_MOST).contains(&self.refresh) {
            faults.push("worklist.refresh is between 10s and 24h".to_owned());
        }
        let code = |text: &str| {
            let allowed =
                |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b' ';
            (1..=16).contains(&text.len()) && text.bytes().all(allowed)
        };
        if !self.modalities.iter().all(|modality| code(modality)) {
            faults.push("worklist.modalities are codes like CT, MR or OT".to_owned());
        }
        let is_set = |text: &str| text.split('\\').all(|term| term.is_empty() || code(term));
        if !is_set(&self.fallback_character_set) {
            faults.push("worklist.fallback-character-set is a term like ISO_IR 100".to_owned());
        }
        for (index, source) in self.sources.iter().enumerate() {
            if !source.fallback_character_set.as_deref().is_none_or(is_set) {
                faults.push(format!(
                    "worklist.sources[{index}].fallback-character-set is a term like ISO_IR 100"
                ));
            }
            let is_told = source.fallback_character_set.is_some()
                || source.character_set_key != CharacterSetKey::default()
                || source.times != Times::default();
            if source.folder.is_some() && is_told {
                faults.push(format!(
                    "worklist.sources[{index}]: what is said of a peer's character set and times is not for folders; leave it out"
                ));
            }
        }
        faults.extend(self.pdq.iter().flat_map(PdqSection::faults));
        if self.modalities.len().max(1) * self.station_ae.len().max(1) > super::query::QUERY_LIMIT {
            faults.push(format!(
                "worklist.modalities and worklist.station-ae together make more than {} queries",
                super::query::QUERY_LIMIT
            ));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Options {
            modalities: self.modalities.clone(),
            stations: self.station_ae.clone(),
            window_days: days,
            limit: self.limit,
            refresh: self.refresh,
            answer_limit: self.answer_limit,
            fallback_character_set: self.fallback_character_set.clone(),
            pdq: self.pdq.clone().map(PatientIndex::new),
            timezone,
        })
    }
}
