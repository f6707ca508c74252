//! Console sessions: who gave the token lately. In memory only, so a restart ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::guard::Channel;
use super::token::random_hex;
use crate::clock::Moment;

/// A working day at the import desk.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// More desks than a hospital has; the oldest session gives way.
const LIMIT: usize = 64;
const COOKIE: &str = "lotse-session";
/// With TLS browsers hold the cookie to it, to this host, and to no path below (RFC 6265bis 4.1.3).
const SECURE_COOKIE: &str = "__Host-lotse-session";

/// Name and further attributes of the cookie.
fn shape(channel: Channel) -> (&'static str, &'static str) {
    match channel {
        Channel::Plain => (COOKIE, ""),
        Channel::Tls => (SECURE_COOKIE, "; Secure"),
    }
}

/// Sessions by the hash of their identifier, so that a lookup tells nothing by its time.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Moment>>);

impl Sessions {
    /// Begins a session; the value of its `Set-Cookie`.
    pub(crate) fn begin(
        &self,
        now: Moment,
        channel: Channel,
    ) -> std::io::Result<Zeroizing<String>> {
        let id = random_hex()?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, began| now.since(*began) < LIFETIME);
        if sessions.len() >= LIMIT
            && let Some(oldest) = sessions.iter().min_by_key(|(_, began)| **began).map(|(k, _)| *k)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(key(&id), now);
        let (age, (name, more)) = (LIFETIME.as_secs(), shape(channel));
        Ok(Zeroizing::new(format!(
            "{name}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{more}",
            id.as_str()
        )))
    }

    /// Whether one of the cookies is a living session.
    pub(crate) fn is_alive(&self, cookies: &str, now: Moment, channel: Channel) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values(cookies, channel)
            .filter_map(|id| sessions.get(&key(id)))
            .any(|began| now.since(*began) < LIFETIME)
    }

    /// Ends the session of these cookies; the value of the `Set-Cookie` that removes it.
    pub(crate) fn end(&self, cookies: &str, channel: Channel) -> String {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in values(cookies, channel) {
            sessions.remove(&key(id));
        }
        let (name, more) = shape(channel);
        format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{more}")
    }
}

/// The values of our cookie in a `Cookie` header; a few are looked at, a browser sends one.
fn values(cookies: &str, channel: Channel) -> impl Iterator<Item = &str> {
    let (ours, _) = shape(channel);
    cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(name, value)| *name == ours && value.len() == 64)
        .map(|(_, value)| value)
        .take(4)
}

fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests;
