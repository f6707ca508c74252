//! `[spool]` of the configuration.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SpoolSection {
    /// 32 bytes, raw or hexadecimal. Without it a systemd credential `lotse-master-key` is used, or a file of
    /// our own in the data folder.
    pub master_key_file: Option<PathBuf>,
    /// What stays free on the file system: `"10 GiB"` or `"2 %"`.
    pub reserve: Option<Reserve>,
}

/// Space that is kept free, so that what was accepted can be finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Reserve {
    /// 1 GiB or 2 % of the file system, whichever is less: enough for the journal and the packs under way on
    /// a server, without refusing everything on a small test machine.
    #[default]
    Standard,
    Bytes(u64),
    /// 0 to 100.
    Percent(u8),
}

const STANDARD_BYTES: u64 = 1 << 30;
const STANDARD_PERCENT: u64 = 2;

impl Reserve {
    /// The reserve on a file system of `total` bytes.
    pub fn bytes(self, total: u64) -> u64 {
        let percent = |percent: u64| (total / 100).saturating_mul(percent);
        match self {
            Self::Standard => percent(STANDARD_PERCENT).min(STANDARD_BYTES),
            Self::Bytes(bytes) => bytes,
            Self::Percent(share) => percent(u64::from(share)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reserve is a size as `10 GiB`, or a share of the file system as `2 %`")]
pub struct Malformed;

impl FromStr for Reserve {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at_checked(end).ok_or(Malformed)?;
        let number: u64 = digits.parse().map_err(|_| Malformed)?;
        let unit: u64 = match unit.trim() {
            "%" => {
                let share = u8::try_from(number).map_err(|_| Malformed)?;
                return if share <= 100 { Ok(Self::Percent(share)) } else { Err(Malformed) };
            }
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(Malformed),
        };
        number.checked_mul(unit).map(Self::Bytes).ok_or(Malformed)
    }
}

impl TryFrom<String> for Reserve {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}
