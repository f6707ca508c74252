//! Going on with a body that was cut (RFC 9110 13.1.5 and 14).
//!
//! Invariant: bytes of two versions of a file are never put together, so nothing is asked for that the peer did
//! not offer, and nothing is taken that does not say that it is the rest.

use std::time::Duration;

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
    RETRY_AFTER,
};

use super::date;

/// Tells whether a file is still the one that began: a strong entity tag, or a date that is as good as one.
#[derive(Clone)]
pub struct Validator {
    /// What `If-Range` says.
    pub(super) condition: HeaderValue,
    tag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

/// Tags are far shorter; nobody has to be told a long one again.
const LONGEST: usize = 1024;

/// What is known about an answer that may be gone on with; `None` if ranges are not offered, or if it has no
/// validator.
pub(super) fn validator(headers: &HeaderMap) -> Option<Validator> {
    let offered = headers
        .get_all(ACCEPT_RANGES)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|unit| unit.trim().eq_ignore_ascii_case("bytes")));
    if !offered {
        return None;
    }
    let fits = |value: &&HeaderValue| value.len() <= LONGEST && value.to_str().is_ok();
    if let Some(tag) = headers.get(ETAG).filter(fits) {
        // A weak tag says "much the same" (RFC 9110 8.8.3), which is not enough.
        return tag.as_bytes().starts_with(b"\"").then(|| of(tag, headers));
    }
    let modified = headers.get(LAST_MODIFIED).filter(fits)?;
    let read = |value: &HeaderValue| value.to_str().ok().and_then(date::parse);
    let told = headers.get(DATE).and_then(read)?;
    // Within its first second a file may change again under the same date (RFC 9110 8.8.2.2).
    (told.duration_since(read(modified)?).as_secs() >= 1).then(|| of(modified, headers))
}

fn of(condition: &HeaderValue, headers: &HeaderMap) -> Validator {
    let kept = |name| headers.get(name).filter(|value| value.len() <= LONGEST).cloned();
    Validator { condition: condition.clone(), tag: kept(ETAG), modified: kept(LAST_MODIFIED) }
}

/// Whether an answer names another version of the file than the first one did: peers that ignore `If-Range` send
/// the rest of whatever they have now. What one of both does not tell contradicts nothing.
pub(super) fn contradicts(headers: &HeaderMap, first: &Validator) -> bool {
    // A weak tag is compared by what it says (RFC 9110 8.8.3.2).
    let opaque = |tag: &HeaderValue| {
        let tag = tag.as_bytes();
        tag.strip_prefix(b"W/").unwrap_or(tag).to_owned()
    };
    let differs = |known: &HeaderValue, told: &HeaderValue| opaque(known) != opaque(told);
    // One moment may be written in three ways (RFC 9110 5.6.7).
    let moment = |value: &HeaderValue| value.to_str().ok().and_then(date::parse);
    let moved = |known: &HeaderValue, told: &HeaderValue| {
        known != told && (moment(known).is_none() || moment(known) != moment(told))
    };
    let tags = first.tag.as_ref().zip(headers.get(ETAG));
    let dates = first.modified.as_ref().zip(headers.get(LAST_MODIFIED));
    // Machines that share their files agree on the tag, and not always on the date.
    tags.map(|(known, told)| differs(known, told))
        .or_else(|| dates.map(|(known, told)| moved(known, told)))
        .unwrap_or(false)
}

/// The first byte and the length of the whole, of a `206`; `None` if it is not one range to the end.
pub(super) fn rest(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let told = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (range, whole) = told.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let first: u64 = first.trim().parse().ok()?;
    let last: u64 = last.trim().parse().ok()?;
    let whole = match whole.trim() {
        "*" => None,
        whole => Some(whole.parse::<u64>().ok()?),
    };
    let to_the_end = whole.is_none_or(|whole| last.checked_add(1) == Some(whole));
    (first <= last && to_the_end).then_some((first, whole))
}

/// What the head of an answer tells of ranges and waits.
pub struct Told {
    /// The body can be gone on with.
    pub resumes: bool,
    /// First byte and length of the whole.
    pub rest: Option<(u64, Option<u64>)>,
    pub wait: Option<Duration>,
}

/// Reads lines of a head as they come from anywhere, for tests that feed the readers with anything.
pub fn read_head(bytes: &[u8]) -> Told {
    let line = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let name = HeaderName::from_bytes(name.trim_ascii()).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        Some((name, value))
    };
    let headers: HeaderMap =
        bytes.split(|byte| *byte == b'\n').filter_map(line).take(super::MAX_HEADERS).collect();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Told {
        resumes: validator(&headers).is_some(),
        rest: rest(&headers),
        wait: text(RETRY_AFTER).and_then(|told| date::wait(told, text(DATE))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_what_is_offered_and_certain_is_gone_on_with() {
        let early = "Sun, 06 Nov 1994 08:49:37 GMT";
        let late = "Sun, 06 Nov 1994 08:49:39 GMT";
        let ranges = ("accept-ranges", "bytes");
        assert!(validator(&headers(&[ranges, ("etag", "\"a\"")])).is_some());
        assert!(validator(&headers(&[ranges, ("last-modified", early), ("date", late)])).is_some());
        for none in [
            &[("etag", "\"a\"")][..],
            &[("accept-ranges", "none"), ("etag", "\"a\"")],
            &[ranges],
            &[ranges, ("etag", "W/\"a\"")],
            &[ranges, ("last-modified", early)],
            &[ranges, ("last-modified", early), ("date", early)],
            &[ranges, ("last-modified", "yesterday"), ("date", late)],
        ] {
            assert!(validator(&headers(none)).is_none(), "{none:?}");
        }
    }

    #[test]
    fn another_version_is_noticed() {
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let (same_date, ranges) = ("Sun Nov  6 08:49:37 1994", ("accept-ranges", "bytes"));
        let both = [ranges, ("etag", "\"a\""), ("last-modified", date)];
        let both = validator(&headers(&both)).unwrap();
        let tag = validator(&headers(&[ranges, ("etag", "\"a\"")])).unwrap();
        for fine in [
            &[][..],
            &[("etag", "\"a\"")],
            &[("etag", "W/\"a\"")],
            &[("last-modified", date)],
            &[("last-modified", same_date)],
            &[("etag", "\"a\""), ("last-modified", date)],
            &[("etag", "\"a\""), ("last-modified", later)],
        ] {
            assert!(!contradicts(&headers(fine), &both), "{fine:?}");
        }
        for other in [
            &[("etag", "\"b\"")][..],
            &[("etag", "W/\"b\"")],
            &[("etag", "a")],
            &[("etag", "\"b\""), ("last-modified", date)],
            &[("last-modified", later)],
            &[("last-modified", "yesterday")],
        ] {
            assert!(contradicts(&headers(other), &both), "{other:?}");
        }
        // The first answer told no date.
        assert!(!contradicts(&headers(&[("last-modified", later)]), &tag));
    }

    #[test]
    fn a_rest_goes_to_the_end() {
        let told = |value: &'static str| rest(&headers(&[("content-range", value)]));
        assert_eq!(told("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(told("bytes 5-9/*"), Some((5, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-8/10",
            "bytes 9-5/10",
            "bytes 5-9/4",
            "bytes -5-9/10",
            "items 5-9/10",
            "bytes 5-18446744073709551615/18446744073709551615",
            "bytes 5-99999999999999999999/10",
        ] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
