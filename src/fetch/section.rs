//! `[fetch]`: how much and how long a download may be.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::clock;
use crate::seal::secret;
use crate::web::{Limits, Proxy};

/// `[fetch]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FetchSection {
    /// Bytes that one link may bring, all files together: `"64GiB"`.
    #[serde(deserialize_with = "size")]
    pub max_download: u64,
    /// Until a portal answers one request: `"60s"`.
    #[serde(deserialize_with = "duration")]
    pub answer_timeout: Duration,
    /// Silence in the middle of a download after which it is given up: `"60s"`.
    #[serde(deserialize_with = "duration")]
    pub stall_timeout: Duration,
    /// For one attempt as a whole: `"6h"`.
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
    /// Languages of the portal's questions, best first (ISO 639). Any other is taken if none is there.
    pub languages: Vec<String>,
    /// A folder of recipes of the site's own, beside those that come with Lotse.
    pub recipes: Option<PathBuf>,
    /// When a person is asked which entries of a portal's list are wanted: `"several-dates"`.
    pub choose: Choose,
    /// `"http://proxy.klinikum.example:3128"`
    pub proxy: Option<String>,
    /// A file with `name:password` for the proxy.
    pub proxy_credentials_file: Option<PathBuf>,
}

/// When a person chooses among the entries of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    /// Everything is taken.
    Never,
    /// If the entries are of different days: a click too many is worse for all others.
    #[default]
    SeveralDates,
    /// If there is more than one.
    Always,
}

impl Default for FetchSection {
    fn default() -> Self {
        Self {
            // The largest examinations (whole-slide images, gated cardiac CT) stay well below.
            max_download: 64 << 30,
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            // 64 GiB at 3 MB/s.
            deadline: Duration::from_secs(6 * 3600),
            languages: vec!["de".to_owned(), "en".to_owned()],
            choose: Choose::default(),
            proxy: None,
            proxy_credentials_file: None,
            recipes: None,
        }
    }
}

impl FetchSection {
    /// What is wrong with the proxy as it is written: the key, and a sentence.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        match (&self.proxy, &self.proxy_credentials_file) {
            (None, Some(_)) => Some(("proxy-credentials-file", "set proxy too".to_owned())),
            (Some(address), _) if Proxy::new(address).is_none() => Some((
                "proxy",
                "write the address as `http://proxy.klinikum.example:3128`, credentials into proxy-credentials-file"
                    .to_owned(),
            )),
            _ => None,
        }
    }

    /// The proxy that portals are reached through.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence; also if the file of credentials cannot be used.
    pub fn proxy(&self) -> Result<Option<Proxy>, (&'static str, String)> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let Some(proxy) = self.proxy.as_deref().and_then(Proxy::new) else { return Ok(None) };
        let Some(path) = &self.proxy_credentials_file else { return Ok(Some(proxy)) };
        let fault = |why: String| ("proxy-credentials-file", why);
        let text = secret::read_text(path).map_err(|error| fault(error.to_string()))?;
        let ready = proxy.with_credentials(&text);
        ready.map(Some).ok_or_else(|| fault("write one line `name:password` into it".to_owned()))
    }

    /// For questions, logins and lists.
    pub(super) fn short(&self) -> Limits {
        Limits { answer: self.answer_timeout, stall: self.stall_timeout, ..Limits::SHORT }
    }

    /// For files; `body` bytes are left of the whole.
    pub(super) fn long(&self, body: u64) -> Limits {
        Limits {
            answer: self.answer_timeout,
            stall: self.stall_timeout,
            total: self.deadline,
            body,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = clock::duration(deserializer)?;
    if duration.is_zero() {
        return Err(de::Error::custom("this duration may not be zero"));
    }
    Ok(duration)
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text)
        .ok_or_else(|| de::Error::custom("a size has a unit, such as \"500MiB\" or \"64GiB\""))
}

/// Whole numbers with B, KiB, MiB, GiB or TiB.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|size| *size > 0)
}
