//! Which addresses may be reached. They are judged after the name was resolved, and the connection goes to
//! the judged address, so a name that changes its mind (DNS rebinding) gains nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Reach;

/// A name with more addresses than this is cut; nobody tries that many.
const MAX_ADDRESSES: usize = 32;

/// The addresses of a name, to come.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Turns a host name into addresses.
pub trait Lookup: Send + Sync {
    fn lookup(&self, name: &str) -> Found;
}

/// The resolver of the operating system.
pub(super) struct System;

impl Lookup for System {
    fn lookup(&self, name: &str) -> Found {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).take(MAX_ADDRESSES).collect())
        })
    }
}

/// Every address of the name is of a kind that is not allowed here.
#[derive(Debug, thiserror::Error)]
#[error("address refused")]
pub(super) struct Refused(pub(super) &'static str);

/// Resolves names and lets only allowed addresses through.
pub(super) struct Resolver {
    lookup: Arc<dyn Lookup>,
    reach: Reach,
}

impl Resolver {
    pub(super) fn new(lookup: Arc<dyn Lookup>, reach: Reach) -> Self {
        Self { lookup, reach }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.lookup(name.as_str());
        let reach = self.reach;
        Box::pin(async move {
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found.await? {
                match forbidden(address, reach) {
                    Some(kind) => refused = Some(kind),
                    None => allowed.push(SocketAddr::new(address, 0)),
                }
            }
            if let (true, Some(kind)) = (allowed.is_empty(), refused) {
                return Err(Refused(kind).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why an address may not be reached, in words; `None` if it may.
pub fn forbidden(address: IpAddr, reach: Reach) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address, reach),
        IpAddr::V6(address) => forbidden_v6(address, reach),
    }
}

/// After the IANA registry of special-purpose IPv4 addresses (RFC 6890).
fn forbidden_v4(address: Ipv4Addr, reach: Reach) -> Option<&'static str> {
    let site = |kind| (reach == Reach::Public).then_some(kind);
    match address.octets() {
        [0, ..] => Some("an unspecified address"),
        [169, 254, ..] => Some("a link-local address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        [192, 0, 0, _] | [192, 88, 99, _] => Some("a reserved address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("an address for examples"),
        [127, ..] => site("this machine"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => site("a private network"),
        [100, 64..=127, ..] => site("a provider's private network"),
        [198, 18..=19, ..] => site("a test network"),
        _ => None,
    }
}

/// Only global unicast (2000::/3) is public; forms that carry an IPv4 address are judged by that.
fn forbidden_v6(address: Ipv6Addr, reach: Reach) -> Option<&'static str> {
    let site = |kind| (reach == Reach::Public).then_some(kind);
    let low = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        forbidden_v4(Ipv4Addr::new(a, b, c, d), reach)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => site("this machine"),
        // Mapped (::ffff:0:0/96), and NAT64 (64:ff9b::/96).
        [0, 0, 0, 0, 0, 0xffff, h, l] | [0x64, 0xff9b, 0, 0, 0, 0, h, l] => low(h, l),
        // 6to4 carries the IPv4 address behind its prefix.
        [0x2002, h, l, ..] => low(h, l),
        [0x2001, 0..=0x01ff, ..] => Some("a reserved address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("an address for examples"),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => site("a private network"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => site("a private network"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => Some("a reserved address"),
    }
}
