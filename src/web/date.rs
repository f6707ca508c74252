//! Dates in headers (RFC 9110 5.6.7), and the waits they stand for.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Longer is no date.
const LONGEST: usize = 64;

/// One of the three forms: `Sun, 06 Nov 1994 08:49:37 GMT` and the two old ones.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let told = FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    told.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The wait of a `Retry-After`: seconds, or a date, which counts from the peer's own `date` so that no clock
/// has to be right.
pub(super) fn wait(told: &str, date: Option<&str>) -> Option<Duration> {
    let told = told.trim();
    if let Ok(seconds) = told.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (parse(told)?, parse(date?)?);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_one_moment() {
        let wanted = Timestamp::from_second(784_111_777).unwrap();
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form), Some(wanted), "{form}");
        }
        let long = "Sun, ".repeat(1000);
        for bad in ["", "tomorrow", "Sun, 31 Feb 1994 08:49:37 GMT", "-1", long.as_str()] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(" 7 ", None), Some(Duration::from_secs(7)));
        let later = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(wait(later, date), Some(Duration::from_secs(60)));
        // What is over is no wait; what is no date, or without one to count from, is none told.
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT", date), Some(Duration::ZERO));
        assert_eq!(wait(later, None), None);
        assert_eq!(wait("soon", date), None);
        assert_eq!(wait("99999999999999999999999", date), None);
    }
}
