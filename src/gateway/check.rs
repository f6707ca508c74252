//! What a configuration must hold together: references, loops, addresses.

use std::net::{SocketAddr, ToSocketAddrs};

use url::Url;

use super::config::Config;
use super::faults::Faults;
use crate::dimse::Retrieve;
use crate::forward::{DestinationSection, TargetSection};
use crate::http;
use crate::import::routes;
use crate::worklist::SourceSection;

/// Fills in the embedded default: loopback, a folder as worklist, a folder as destination.
pub(super) fn complete(config: &mut Config) {
    if config.file.is_some() {
        return;
    }
    if config.worklist.sources.is_empty() {
        let folder = Some(config.below("worklist"));
        config.worklist.sources.push(SourceSection { folder, ..SourceSection::default() });
    }
    if config.destinations.is_empty() {
        let folder = DestinationSection::folder(config.below("delivered"));
        config.destinations.insert("folder".to_owned(), folder);
    }
}

/// Notes everything that does not fit together.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    for (key, sentence) in config.retention.faults() {
        faults.add(format!("retention.{key}"), sentence);
    }
    if config.retry.first.is_zero() || config.retry.longest < config.retry.first {
        faults.add("retry.first", "this is longer than nothing and not longer than `longest`");
    }
    for fault in config.http.faults() {
        let key = match &fault {
            http::Error::NotLoopback { .. } => "http.listen",
            http::Error::Name => "http.name",
            http::Error::Tls(_) => "http.tls",
            _ => "http",
        };
        faults.add(key, fault.to_string());
    }
    for (key, sentence) in config.hl7.faults() {
        faults.add(format!("hl7.{key}"), sentence);
    }
    check_peers(config, faults);
    check_sources(config, faults);
    check_matching(config, faults);
    check_worklist(config, faults);
    check_destinations(config, faults);
    check_routes(config, faults);
    check_proxied(config, faults);
    if let Some((key, why)) = config.fetch.fault() {
        faults.add(format!("fetch.{key}"), why);
    }
    for (name, portal) in &config.portals {
        if portal.hosts.is_empty() {
            faults.add(format!("portals.{name}.hosts"), "name at least one host");
        }
    }
}

fn check_sources(config: &Config, faults: &mut Faults) {
    for (name, section) in &config.dicomweb {
        for (key, sentence) in section.faults() {
            faults.add(format!("dicomweb.{name}.{key}"), sentence);
        }
        not_our_door(config, &format!("dicomweb.{name}.url"), &section.url, faults);
        if config.peers.contains_key(name) {
            faults.add(format!("dicomweb.{name}"), "a peer has this name too; give it another");
        }
    }
    for (name, peer) in &config.peers {
        match peer.retrieve {
            None => {}
            Some(Retrieve::Move) if config.dicom.listeners.is_empty() => faults.add(
                format!("peers.{name}.retrieve"),
                "a C-MOVE needs a place to send to; add `[[dicom.listeners]]`, or write \"get\"",
            ),
            Some(_) => reference(config, &format!("peers.{name}.retrieve"), name, faults),
        }
    }
}

fn check_peers(config: &Config, faults: &mut Faults) {
    for (number, listener) in config.dicom.listeners.iter().enumerate() {
        if let Some(Err(error)) = listener.tls.as_ref().map(|tls| tls.check()) {
            faults.add(format!("dicom.listeners.{number}.tls"), error.to_string());
        }
    }
    for (number, listener) in config.hl7.listeners.iter().enumerate() {
        if let Some(Err(error)) = listener.tls.as_ref().map(|tls| tls.check()) {
            faults.add(format!("hl7.listeners.{number}.tls"), error.to_string());
        }
    }
    let by_tls = config.dicom.listeners.iter().any(|listener| {
        listener.tls.as_ref().is_some_and(|tls| tls.client != crate::tls::Client::None)
    });
    let mut titles = std::collections::BTreeMap::new();
    for (name, peer) in &config.peers {
        let key = format!("peers.{name}.address");
        let port = peer.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            faults.add(key, "write host and port, such as `192.0.2.7:104`");
        }
        if let Some(Err(error)) = peer.tls.as_ref().map(|tls| tls.check()) {
            faults.add(format!("peers.{name}.tls"), error.to_string());
        }
        if !peer.certificates.is_empty() && !by_tls {
            faults.add(
                format!("peers.{name}.certificates"),
                "no listener asks callers for a certificate; give one `tls` with `client-ca`",
            );
        }
        if let Some(Err(sentence)) = peer.identity.as_ref().map(|identity| identity.check()) {
            faults.add(format!("peers.{name}.identity"), sentence);
        }
        if let Some(Err(sentence)) = peer.demands.as_ref().map(|demands| demands.check()) {
            faults.add(format!("peers.{name}.demands"), sentence);
        }
        let caller = (peer.ae_title.clone(), peer.host().to_owned());
        if let Some(other) = titles.insert(caller, name) {
            faults.add(
                format!("peers.{name}.ae-title"),
                format!(
                    "peer `{other}` has the same AE title and host, so callers cannot be told apart"
                ),
            );
        }
    }
}

fn check_worklist(config: &Config, faults: &mut Faults) {
    if config.worklist.sources.is_empty() && config.hl7.listeners.is_empty() {
        faults.add(
            "worklist.sources",
            "there is no worklist source; add `[[worklist.sources]]` with `peer` or `folder`, or `[[hl7.listeners]]`",
        );
    }
    if let Err(found) = config.worklist.options(config.zone.clone()) {
        found.into_iter().for_each(|fault| faults.add("worklist", fault));
    }
    for (n, source) in config.worklist.sources.iter().enumerate() {
        if let Some(peer) = &source.peer {
            reference(config, &format!("worklist.sources.{n}.peer"), peer, faults);
        }
    }
}

/// What is outside needs the way out.
fn check_proxied(config: &Config, faults: &mut Faults) {
    if config.fetch.proxy.is_some() {
        return;
    }
    let services = config.dicomweb.iter().filter(|(_, service)| service.through_proxy);
    let destinations = config.destinations.iter().filter(|(_, section)| section.through_proxy);
    let keys = services.map(|(name, _)| format!("dicomweb.{name}.through-proxy"));
    for key in
        keys.chain(destinations.map(|(name, _)| format!("destinations.{name}.through-proxy")))
    {
        faults.add(key, "there is no proxy; set `proxy` in [fetch], or leave this out");
    }
}

fn check_matching(config: &Config, faults: &mut Faults) {
    let hosts = || config.portals.values().flat_map(|portal| &portal.hosts);
    let known = |name: &str| {
        config.peers.contains_key(name)
            || config.dicomweb.contains_key(name)
            || hosts().any(|host| host == name)
    };
    for name in config.matching.strangers(known) {
        faults.add(
            format!("matching.sources.{name}"),
            "no import comes from there; write a name of [peers], the host of a portal, or `upload`",
        );
    }
}

fn check_destinations(config: &Config, faults: &mut Faults) {
    if config.destinations.is_empty() {
        faults.add(
            "destinations",
            "there is no destination; add `[destinations.pacs]` with `peer`, `folder` or `stow-url`",
        );
    }
    if let Some((key, sentence)) = config.coercion.faults() {
        faults.add(format!("coercion.{key}"), sentence);
    }
    for (name, section) in &config.destinations {
        if let Some(peer) = &section.query_peer {
            reference(config, &format!("destinations.{name}.query-peer"), peer, faults);
        }
        if let Some(peer) = &section.commitment_peer {
            reference(config, &format!("destinations.{name}.commitment-peer"), peer, faults);
        }
        let key = format!("destinations.{name}");
        match section.target() {
            Ok(TargetSection::Peer(peer)) => {
                reference(config, &format!("{key}.peer"), &peer, faults)
            }
            Ok(TargetSection::Stow(url, _)) => {
                not_our_door(config, &format!("{key}.stow-url"), &url, faults);
            }
            Ok(TargetSection::Folder(_)) => {}
            Err(found) => found.iter().for_each(|fault| faults.add(&key, fault.to_string())),
        }
    }
}

fn check_routes(config: &Config, faults: &mut Faults) {
    let hosts = || config.portals.values().flat_map(|portal| &portal.hosts);
    let is_source = |name: &str| {
        // A link may be of any host, and a host has a dot.
        name == "upload"
            || name.contains('.')
            || config.peers.contains_key(name)
            || hosts().any(|h| h == name)
    };
    let is_destination = |name: &str| config.destinations.contains_key(name);
    for (n, sentence) in routes::faults(&config.routes, is_destination, is_source) {
        faults.add(format!("routes.{n}"), sentence);
    }
}

/// A peer that something refers to exists and is not the gateway itself.
fn reference(config: &Config, key: &str, peer: &str, faults: &mut Faults) {
    let Some(section) = config.peers.get(peer) else {
        let known = config.peers.keys().cloned().collect::<Vec<_>>().join(", ");
        faults.add(key, format!("there is no `[peers.{peer}]`; known peers: {known}"));
        return;
    };
    let listeners = || config.dicom.listeners.iter().map(|listener| listener.address);
    let itself = section.address.to_socket_addrs().is_ok_and(|mut addresses| {
        addresses.any(|address| listeners().any(|own| is_at(own, &address)))
    });
    if itself {
        faults.add(key, "this peer is the gateway itself; a study would go round in circles");
    }
}

/// A DICOMweb address is not the gateway's own web door, nor the name that browsers know it by.
fn not_our_door(config: &Config, key: &str, url: &Url, faults: &mut Faults) {
    let named = config.http.name.as_deref().zip(url.host_str());
    let by_name = named.is_some_and(|(own, host)| own.eq_ignore_ascii_case(host));
    let at_door = || {
        let addresses = url.socket_addrs(|| None);
        addresses.is_ok_and(|found| found.iter().any(|address| is_at(config.http.listen, address)))
    };
    if by_name || at_door() {
        faults.add(key, "this address is the gateway itself; a study would go round in circles");
    }
}

/// Whether who connects to `address` reaches what listens at `own`.
fn is_at(own: SocketAddr, address: &SocketAddr) -> bool {
    own.port() == address.port()
        && (own.ip() == address.ip() || (own.ip().is_unspecified() && is_local(address)))
}

/// Whether an address is one of this machine's, which binding to it tells without any list of interfaces.
fn is_local(address: &SocketAddr) -> bool {
    address.ip().is_loopback() || std::net::UdpSocket::bind((address.ip(), 0)).is_ok()
}
