//! The guarded HTTP client: the only door through which Lotse speaks HTTP to anybody.
//!
//! Owns what may be reached and how long it may take: https to public addresses unless a `[portals.NAME]`
//! section allows more for its hosts, addresses judged after name resolution, redirects followed here and
//! judged anew, every body bounded, a limit on every wait. Invariant: no path, query, header or body of a
//! request appears in an error or a log line, only the host; and a credential never leaves the origin that
//! it was meant for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use url::{Host, Url};

pub mod control;
mod cookies;
mod credentials;
mod date;
mod error;
mod floor;
mod guard;
mod proxy;
mod request;
mod resume;
mod roots;
mod upload;
mod visit;

pub use cookies::Jar;
pub use credentials::{Credentials, Unusable};
pub use error::{Error, TlsFault};
pub use guard::{Found, Lookup, forbidden};
pub use proxy::Proxy;
pub use request::{Answer, Bearer, Limits, Request};
pub use reqwest::header::HeaderMap;
pub use resume::{Told, Validator, read_head};
pub use upload::{Upload, UploadLimits};
pub use visit::{Call, Load, MOST_REDIRECTS, Recorded, Recording, Visit};

/// Time for name resolution, TCP and TLS together: a portal that needs longer is down for our purpose.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// For the look at a name that the proxy resolves anyway; where names of the outside are not known, it takes long.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(2);

/// More header lines than this is no portal but an attack.
const MAX_HEADERS: usize = 100;

/// `[portals.NAME]`: what hosts of one portal may do beyond the default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PortalSection {
    /// Host names or addresses without port, compared without case. Also the hosts that this portal's DLX
    /// interface may be on.
    pub hosts: Vec<String>,
    /// Addresses inside private networks, this machine included.
    #[serde(default)]
    pub allow_private: bool,
    /// Without TLS.
    #[serde(default)]
    pub allow_http: bool,
    /// PEM file of a certificate authority that is trusted beside the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The recipe that drives this portal, by its name.
    #[serde(default)]
    pub recipe: Option<String>,
}

/// How far an address may be away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses only.
    Public,
    /// Private ones too, but never multicast, link-local (where clouds keep their credentials) or reserved.
    Site,
}

/// By which way a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Proxy,
}

impl Way {
    fn of(proxy: Option<&Proxy>) -> Self {
        if proxy.is_some() { Self::Proxy } else { Self::Direct }
    }
}

/// One `[portals.NAME]` section, or the default, made ready.
struct Site {
    /// Empty for the default.
    hosts: Vec<String>,
    reach: Reach,
    allow_http: bool,
    way: Way,
    http: reqwest::Client,
}

impl Site {
    /// A proxy that wants to know who we are answers in the place of the host where there is no TLS.
    fn answered(&self, host: &str, response: &reqwest::Response) -> Result<(), Error> {
        let asks = self.way == Way::Proxy
            && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if asks { Err(Error::Proxy { host: host.to_owned() }) } else { Ok(()) }
    }

    /// Whether this section opens anything that is closed by default.
    fn opens(&self) -> bool {
        self.reach == Reach::Site || self.allow_http
    }
}

/// The guarded client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    /// The default comes last; the first that names the host counts.
    sites: Arc<[Site]>,
    lookup: Arc<dyn Lookup>,
}

impl Client {
    /// A client with the rules of these sections. Fails if one names no host or its `ca-file` cannot be used.
    pub fn new(portals: &BTreeMap<String, PortalSection>) -> Result<Self, Error> {
        Self::with_lookup(portals, Arc::new(guard::System))
    }

    /// The same through a proxy, except for sections with `allow-private`.
    pub fn through(
        portals: &BTreeMap<String, PortalSection>,
        proxy: Option<&Proxy>,
    ) -> Result<Self, Error> {
        Self::built(portals, Arc::new(guard::System), proxy)
    }

    /// The same with another name resolution.
    pub fn with_lookup(
        portals: &BTreeMap<String, PortalSection>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, Error> {
        Self::built(portals, lookup, None)
    }

    fn built(
        portals: &BTreeMap<String, PortalSection>,
        lookup: Arc<dyn Lookup>,
        proxy: Option<&Proxy>,
    ) -> Result<Self, Error> {
        let mut sites = Vec::with_capacity(portals.len().saturating_add(1));
        for (name, section) in portals {
            // A section for no host must never count for every host.
            if section.hosts.iter().all(|host| normal_host(host).is_empty()) {
                return Err(Error::NoHosts { section: name.clone() });
            }
            let reach = if section.allow_private { Reach::Site } else { Reach::Public };
            // What is inside is not reached by way of the outside.
            let proxy = proxy.filter(|_| reach == Reach::Public);
            sites.push(Site {
                hosts: section
                    .hosts
                    .iter()
                    .map(|host| normal_host(host))
                    .filter(|host| !host.is_empty())
                    .collect(),
                reach,
                allow_http: section.allow_http,
                way: Way::of(proxy),
                http: http_client(section.ca_file.as_deref(), reach, Arc::clone(&lookup), proxy)?,
            });
        }
        let http = http_client(None, Reach::Public, Arc::clone(&lookup), proxy)?;
        sites.push(Site {
            hosts: Vec::new(),
            reach: Reach::Public,
            allow_http: false,
            way: Way::of(proxy),
            http,
        });
        Ok(Self { sites: sites.into(), lookup })
    }

    /// Begins a GET.
    pub fn get(&self, url: Url) -> Request<'_> {
        Request::new(self, reqwest::Method::GET, url)
    }

    /// Begins a POST of a JSON text.
    pub fn post_json(&self, url: Url, body: impl Into<bytes::Bytes>) -> Request<'_> {
        Request::new(self, reqwest::Method::POST, url).json(body.into())
    }

    /// Whether one portal section names both hosts, or they are the same.
    pub fn same_portal(&self, one: &Url, other: &Url) -> bool {
        let (one, other) = (host_of(one), host_of(other));
        one == other
            || self
                .sites
                .iter()
                .any(|site| site.hosts.contains(&one) && site.hosts.contains(&other))
    }

    /// Finds the rules for `url` and holds it against them. `from` is the index of the site that a redirect
    /// came from: what one section opens is open for links and for redirects within that section only, so
    /// that no stranger can point us at a host inside.
    fn admit(&self, url: &Url, from: Option<usize>) -> Result<(usize, &Site), Error> {
        let host = host_of(url);
        let refused = || Error::Scheme { host: host.clone() };
        let (index, site) = self
            .sites
            .iter()
            .enumerate()
            .find(|(_, site)| site.hosts.is_empty() || site.hosts.contains(&host))
            .ok_or_else(refused)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::UserInfo { host });
        }
        if from.is_some_and(|from| from != index) && site.opens() {
            return Err(Error::RedirectInside { host });
        }
        match url.scheme() {
            "https" => {}
            "http" if site.allow_http => {}
            _ => return Err(refused()),
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(std::net::IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(std::net::IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(refused()),
        };
        if let Some(kind) = literal.and_then(|address| forbidden(address, site.reach)) {
            return Err(Error::Address { host, kind });
        }
        Ok((index, site))
    }

    /// What a proxy is asked for is judged as far as names are known here: it would also reach hosts inside.
    async fn judge_proxied(&self, url: &Url, site: &Site) -> Result<(), Error> {
        let Some(Host::Domain(name)) = url.host().filter(|_| site.way == Way::Proxy) else {
            return Ok(());
        };
        let found = tokio::time::timeout(JUDGE_TIMEOUT, self.lookup.lookup(name)).await;
        // Many a hospital knows no names of the outside: the proxy does.
        let Ok(Ok(found)) = found else { return Ok(()) };
        match found.into_iter().find_map(|address| forbidden(address, site.reach)) {
            Some(kind) => Err(Error::Address { host: host_of(url), kind }),
            None => Ok(()),
        }
    }
}

/// The host as it is compared and shown: lower case, without brackets and trailing dot; cut, since it is
/// foreign text.
fn host_of(url: &Url) -> String {
    normal_host(url.host_str().unwrap_or(""))
}

fn normal_host(host: &str) -> String {
    /// No host name is longer (RFC 1035 2.3.4).
    const LONGEST: usize = 255;
    let host = host.trim().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    host.chars()
        .filter(|c| c.is_ascii_graphic())
        .take(LONGEST)
        .collect::<String>()
        .to_ascii_lowercase()
}

fn http_client(
    ca_file: Option<&std::path::Path>,
    reach: Reach,
    lookup: Arc<dyn Lookup>,
    proxy: Option<&Proxy>,
) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder();
    let builder = match proxy {
        // The only name resolved here is that of the proxy, which is inside.
        Some(proxy) => {
            builder.dns_resolver(guard::Resolver::new(lookup, Reach::Site)).proxy(proxy.ready()?)
        }
        None => builder.dns_resolver(guard::Resolver::new(lookup, reach)).no_proxy(),
    };
    builder
        .tls_backend_preconfigured(roots::client_config(ca_file)?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        // A kept connection may be dead when it is used again, and a login that fails in doubt costs a person
        // a question. Connections are few here.
        .pool_max_idle_per_host(0)
        .tcp_nodelay(true)
        .build()
        .map_err(|_| Error::Setup)
}

#[cfg(test)]
mod tests;
