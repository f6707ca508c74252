//! Where a DLX interface is: the token value inside a link, and the base of the calls.
//!
//! The questions do not tell the token value, though the next call needs it, so it is derived; the base is
//! told by the portal and believed only within the portal's own hosts, because answers are posted there.

use url::Url;

use super::Error;
use crate::web;

/// Tokens are short; a longer one is something else.
const LONGEST_TOKEN: usize = 1024;

/// The token value: the segment after `/token/`, else the query parameter `token`, else the last segment of
/// the path; of the URL that answered after redirects, else of the link.
pub(super) fn token(answered: &Url, link: &Url) -> Option<String> {
    let both = [answered, link];
    let named = both.iter().find_map(|url| after_token(url).or_else(|| in_query(url)));
    named
        .or_else(|| both.iter().find_map(|url| segments(url).pop()))
        .filter(|token| token.len() <= LONGEST_TOKEN)
}

fn segments(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten();
    segments.filter(|segment| !segment.is_empty()).map(percent_decoded).collect()
}

fn after_token(url: &Url) -> Option<String> {
    let segments = segments(url);
    let at = segments.iter().position(|segment| segment.eq_ignore_ascii_case("token"))?;
    segments.get(at.checked_add(1)?).cloned()
}

fn in_query(url: &Url) -> Option<String> {
    url.query_pairs()
        .find(|(key, value)| key.eq_ignore_ascii_case("token") && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// The base that the portal told, or what precedes `/token/` in the URL that answered.
pub(super) fn base(
    client: &web::Client,
    told: Option<&str>,
    answered: &Url,
    link: &Url,
) -> Result<Url, Error> {
    let host = answered.host_str().unwrap_or("").to_owned();
    let fault = |what| Error::Answer { host: host.clone(), what };
    let Some(told) = told.map(str::trim).filter(|told| !told.is_empty()) else {
        return before_token(answered).ok_or_else(|| fault("it does not name its interface"));
    };
    let mut base = answered.join(told).map_err(|_| fault("its interface has no usable address"))?;
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(fault("its interface has no usable address"));
    }
    if !is_own(client, answered, link, &base) {
        let other = super::name::clean(base.host_str().unwrap_or(""), 255);
        return Err(Error::Elsewhere { host, other });
    }
    if answered.scheme() == "https" && base.scheme() == "http" {
        // Servers behind a proxy that ends TLS do not know better. The way out stays encrypted.
        let default_port = base.port().is_none() && base.host_str() == answered.host_str();
        if !default_port
            || base.set_scheme("https").is_err()
            || base.set_port(answered.port()).is_err()
        {
            return Err(fault("its interface is without TLS"));
        }
    }
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// Whether an address that a portal told is on its own hosts.
pub(super) fn is_own(client: &web::Client, answered: &Url, link: &Url, told: &Url) -> bool {
    client.same_portal(answered, told) || client.same_portal(link, told)
}

fn before_token(url: &Url) -> Option<Url> {
    let (before, _) = url.path().split_once("/token/")?;
    let mut base = url.clone();
    base.set_path(before);
    base.set_query(None);
    base.set_fragment(None);
    Some(base)
}

/// The URL of one call; every segment is encoded, so a foreign ID stays one segment.
pub(super) fn call(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        // `.` and `..` would be dropped instead of encoded.
        let kept = segments.iter().filter(|segment| !matches!(**segment, "." | ".."));
        path.pop_if_empty().extend(kept);
    }
    url
}

/// Decodes `%41`; what is no valid escape stays, what is no UTF-8 is replaced.
pub(super) fn percent_decoded(text: &str) -> String {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                digit(*high).zip(digit(*low)).map(|(high, low)| ((high << 4) | low, after))
            }
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
