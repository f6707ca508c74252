//! The proxy between the hospital and the internet, where there is one.
//!
//! It resolves the names, so it decides what a name leads to. What can be judged here is judged all the same:
//! addresses in links, and names that are known here. Sections with `allow-private` are inside and never go
//! through it.

use std::fmt;

use url::{Host, Url};

use super::Error;

/// Where the proxy listens, and what it wants to know.
#[derive(Clone)]
pub struct Proxy {
    url: Url,
    /// Name and password.
    credentials: Option<(String, String)>,
}

impl Proxy {
    /// A proxy at an `http` address with nothing behind the port; `None` if this is not one. Credentials do not
    /// belong into the address, which stands in a configuration that many may read.
    pub fn new(address: &str) -> Option<Self> {
        let url = Url::parse(address.trim()).ok()?;
        let plain = url.scheme() == "http"
            && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none();
        plain.then_some(Self { url, credentials: None })
    }

    /// With basic credentials, as `name:password` in the first line of a file; `None` if that is not their form.
    pub fn with_credentials(mut self, text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim_end();
        let (name, password) = line.split_once(':')?;
        if name.is_empty() || line.chars().any(char::is_control) {
            return None;
        }
        self.credentials = Some((name.to_owned(), password.to_owned()));
        Some(self)
    }

    pub(super) fn ready(&self) -> Result<reqwest::Proxy, Error> {
        let proxy = reqwest::Proxy::all(self.url.clone()).map_err(|_| Error::Setup)?;
        Ok(match &self.credentials {
            Some((name, password)) => proxy.basic_auth(name, password),
            None => proxy,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url.host_str().unwrap_or(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain() {
        assert!(Proxy::new("http://proxy.klinikum.example:3128").is_some());
        assert!(Proxy::new("http://192.0.2.9:3128/").is_some());
        for bad in [
            "",
            "proxy:3128",
            "https://proxy:3128",
            "http://user:word@proxy:3128",
            "http://proxy/path",
            "http://proxy/?x",
        ] {
            assert!(Proxy::new(bad).is_none(), "{bad}");
        }
        let proxy = Proxy::new("http://proxy:3128").unwrap();
        assert!(proxy.clone().with_credentials("lotse:s3cret:x\n").is_some());
        for bad in ["", "lotse", ":x", "a:\u{7}"] {
            assert!(proxy.clone().with_credentials(bad).is_none(), "{bad}");
        }
        let shown = format!("{:?}", proxy.with_credentials("lotse:s3cret").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
