//! Dates and times of a key: single values and ranges (PS3.4 C.2.2.2.1, C.2.2.2.5), compared by meaning.

use jiff::civil::Date;

/// Microseconds of a day.
pub(super) type Micros = u64;

const SECOND: Micros = 1_000_000;
const DAY: Micros = 24 * 3600 * SECOND;

/// From and to, both included; `None` is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub(super) from: Option<T>,
    pub(super) to: Option<T>,
    pub(super) form: Form,
}

/// How a span was written: only two ranges are combined to one (PS3.4 K.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Single,
    Range,
}

impl<T: PartialOrd + Copy> Span<T> {
    pub(super) fn holds(&self, value: T) -> bool {
        self.from.is_none_or(|from| from <= value) && self.to.is_none_or(|to| value <= to)
    }

    /// Whether it ends before it begins.
    pub(super) fn is_reversed(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if to < from)
    }

    fn checked(self) -> Option<Self> {
        let is_open = self.from.is_none() && self.to.is_none();
        (!is_open && !self.is_reversed()).then_some(self)
    }
}

/// A DA key; `None` if it is neither a day nor a range of days, or ends before it begins.
pub(super) fn dates(text: &str) -> Option<Span<Date>> {
    match text.split_once('-') {
        None => {
            let day = date(text)?;
            Some(Span { from: Some(day), to: Some(day), form: Form::Single })
        }
        Some((from, to)) => {
            Span { from: open(from, date)?, to: open(to, date)?, form: Form::Range }.checked()
        }
    }
}

/// A TM key. What is less precise stands for all of it: `10` ends with the last moment before eleven.
pub(super) fn times(text: &str) -> Option<Span<Micros>> {
    let last = |text: &str| time(text).map(|(_, last)| last);
    let first = |text: &str| time(text).map(|(first, _)| first);
    match text.split_once('-') {
        None => {
            let (first, last) = time(text)?;
            Some(Span { from: Some(first), to: Some(last), form: Form::Single })
        }
        Some((from, to)) => {
            let span = Span { from: open(from, first)?, to: open(to, last)?, form: Form::Range };
            // From ten to seven is an interval if days are asked for as well: who asks has to see to it.
            (span.from.is_some() || span.to.is_some()).then_some(span)
        }
    }
}

/// An end of a range: open if nothing stands there, `None` if it is no value.
fn open<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text.trim().is_empty() { Some(None) } else { parse(text).map(Some) }
}

/// `YYYYMMDD`, or `YYYY.MM.DD` as it was written before DICOM (PS3.5 6.2).
pub(super) fn date(text: &str) -> Option<Date> {
    let text = text.trim();
    let digits = match text.len() {
        8 => text.to_owned(),
        10 => {
            let mut parts = text.split('.');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            if (year.len(), month.len(), day.len()) != (4, 2, 2) || parts.next().is_some() {
                return None;
            }
            format!("{year}{month}{day}")
        }
        _ => return None,
    };
    let number = |range: std::ops::Range<usize>| {
        digits.get(range).filter(|text: &&str| text.bytes().all(|b| b.is_ascii_digit()))
    };
    let year = number(0..4)?.parse().ok()?;
    let (month, day) = (number(4..6)?.parse().ok()?, number(6..8)?.parse().ok()?);
    Date::new(year, month, day).ok()
}

/// The first and the last moment that a TM value stands for; colons as they were written before DICOM.
pub(super) fn time(text: &str) -> Option<(Micros, Micros)> {
    let text: String = text.trim().chars().filter(|c| *c != ':').collect();
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !matches!(whole.len(), 2 | 4 | 6) {
        return None;
    }
    let part = |range: std::ops::Range<usize>, limit: Micros| match whole.get(range) {
        None => Some(None),
        Some(text) => text.parse::<Micros>().ok().filter(|n| *n < limit).map(Some),
    };
    let (hour, minute, second) = (part(0..2, 24)?, part(2..4, 60)?, part(4..6, 61)?);
    let first = hour.unwrap_or(0) * 3600 * SECOND
        + minute.unwrap_or(0) * 60 * SECOND
        + second.unwrap_or(0) * SECOND;
    let (first, length) = match fraction {
        None => match (minute, second) {
            (None, _) => (first, 3600 * SECOND),
            (_, None) => (first, 60 * SECOND),
            _ => (first, SECOND),
        },
        Some(text) if second.is_some() && digits(text) && (1..=6).contains(&text.len()) => {
            let unit = 10_u64.pow(6 - u32::try_from(text.len()).ok()?);
            (first + text.parse::<Micros>().ok()? * unit, unit)
        }
        Some(_) => return None,
    };
    // A leap second is the last of its day.
    Some((first.min(DAY - 1), (first + length - 1).min(DAY - 1)))
}

/// Date and time as one moment.
pub(super) type Moment = (Date, Micros);

/// Two ranges as one interval: from the first day's first time to the last day's last.
pub(super) fn combined(dates: &Span<Date>, times: &Span<Micros>) -> Span<Moment> {
    Span {
        from: dates.from.map(|day| (day, times.from.unwrap_or(0))),
        to: dates.to.map(|day| (day, times.to.unwrap_or(DAY - 1))),
        form: Form::Range,
    }
}
