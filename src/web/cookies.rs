//! The cookies of one visit (RFC 6265, without what only browsers need).
//!
//! They are secrets: nothing here prints them. A jar lives as long as its visit, so lifetimes count only
//! where a portal takes a cookie back.

use serde::{Deserialize, Serialize};
use url::Url;

use super::host_of;

/// Portals set a handful.
const MOST: usize = 60;

/// Longest name and value together that browsers keep.
const LONGEST: usize = 4096;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// For hosts below the domain as well.
    below: bool,
    path: String,
    secure: bool,
}

/// Cookies by host and path.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jar(Vec<Cookie>);

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jar({} cookies)", self.0.len())
    }
}

impl Jar {
    /// Takes one `Set-Cookie` of an answer from `url`. What is malformed, too long, or for a domain that
    /// the host does not belong to, is dropped.
    pub(super) fn take(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let plain = |text: &str| text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b';');
        if name.is_empty() || name.len() + value.len() > LONGEST || !plain(name) || !plain(value) {
            return;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host_of(url),
            below: false,
            path: default_path(url),
            secure: false,
        };
        let mut taken_back = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if domain.is_empty() {
                        continue;
                    }
                    // A domain without a dot would be a whole top level.
                    let fits = domain == cookie.domain
                        || domain.contains('.') && belongs(&cookie.domain, &domain);
                    if !fits {
                        return;
                    }
                    cookie.domain = domain;
                    cookie.below = true;
                }
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => taken_back |= value.parse::<i64>().is_ok_and(|age| age <= 0),
                // The usual way to delete a cookie; other dates are not waited for.
                "expires" => taken_back |= value.contains("1970"),
                _ => {}
            }
        }
        self.0.retain(|old| {
            (&old.name, &old.domain, &old.path) != (&cookie.name, &cookie.domain, &cookie.path)
        });
        if !taken_back && self.0.len() < MOST {
            self.0.push(cookie);
        }
    }

    /// The `Cookie` header for a request, longer paths first (RFC 6265 5.4).
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(|cookie| cookie.fits(url)).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of a cookie that a request to `url` would carry.
    pub fn value(&self, url: &Url, name: &str) -> Option<&str> {
        let mut fitting = self.0.iter().filter(|cookie| cookie.fits(url) && cookie.name == name);
        fitting.next().map(|cookie| cookie.value.as_str())
    }
}

impl Cookie {
    fn fits(&self, url: &Url) -> bool {
        let host = host_of(url);
        let at_home = host == self.domain || self.below && belongs(&host, &self.domain);
        let path = url.path();
        let below = path.strip_prefix(self.path.as_str()).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        at_home && below && (!self.secure || url.scheme() == "https")
    }
}

fn belongs(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Up to the last slash of the path (RFC 6265 5.1.4).
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn cookies_go_back_where_they_came_from_and_nowhere_else() {
        let mut jar = Jar::default();
        let home = url("https://a.portal.example/login/form");
        for header in [
            "session=1; Path=/; HttpOnly; Secure",
            "deep=2",
            "wide=3; Domain=portal.example; Path=/",
            "theirs=4; Domain=other.example",
            "top=5; Domain=example",
            "=6",
            "bad",
            "line=7\r\nX: y",
        ] {
            jar.take(&home, header);
        }
        let sent = |text: &str| jar.header(&url(text)).unwrap_or_default();
        assert_eq!(sent("https://a.portal.example/login/x"), "deep=2; session=1; wide=3");
        assert_eq!(sent("https://a.portal.example/loginx"), "session=1; wide=3");
        assert_eq!(sent("http://a.portal.example/"), "wide=3");
        assert_eq!(sent("https://b.portal.example/"), "wide=3");
        assert_eq!(sent("https://notportal.example/"), "");
        assert_eq!(jar.value(&url("https://a.portal.example/"), "session"), Some("1"));
    }

    #[test]
    fn cookies_are_replaced_taken_back_and_bounded() {
        let mut jar = Jar::default();
        let home = url("https://p.example/");
        jar.take(&home, "a=1");
        jar.take(&home, "a=2");
        assert_eq!(jar.header(&home).as_deref(), Some("a=2"));
        jar.take(&home, "a=; Max-Age=0");
        assert_eq!(jar.header(&home), None);
        jar.take(&home, &format!("long={}", "x".repeat(5000)));
        for n in 0..500 {
            jar.take(&home, &format!("n{n}=1"));
        }
        assert_eq!(jar.0.len(), MOST);
        assert!(!format!("{jar:?}").contains("n1=1"));
        let kept: Jar = serde_json::from_str(&serde_json::to_string(&jar).unwrap()).unwrap();
        assert!(kept == jar);
    }
}
