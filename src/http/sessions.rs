//! Console sessions: who gave the token lately. In memory only, so a restart ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::token::random_hex;
use crate::clock::Moment;

/// A working day at the import desk.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// More desks than a hospital has; the oldest session gives way.
const LIMIT: usize = 64;
/// Not `__Host-`: that needs TLS, and loopback has none.
const COOKIE: &str = "lotse-session";

/// Sessions by the hash of their identifier, so that a lookup tells nothing by its time.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Moment>>);

impl Sessions {
    /// Begins a session; the value of its `Set-Cookie`.
    pub(crate) fn begin(&self, now: Moment) -> std::io::Result<Zeroizing<String>> {
        let id = random_hex()?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, began| now.since(*began) < LIFETIME);
        if sessions.len() >= LIMIT
            && let Some(oldest) = sessions.iter().min_by_key(|(_, began)| **began).map(|(k, _)| *k)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(key(&id), now);
        let age = LIFETIME.as_secs();
        Ok(Zeroizing::new(format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}",
            id.as_str()
        )))
    }

    /// Whether one of the cookies is a living session.
    pub(crate) fn is_alive(&self, cookies: &str, now: Moment) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values(cookies)
            .filter_map(|id| sessions.get(&key(id)))
            .any(|began| now.since(*began) < LIFETIME)
    }

    /// Ends the session of these cookies; the value of the `Set-Cookie` that removes it.
    pub(crate) fn end(&self, cookies: &str) -> String {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in values(cookies) {
            sessions.remove(&key(id));
        }
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }
}

/// The values of our cookie in a `Cookie` header; a few are looked at, a browser sends one.
fn values(cookies: &str) -> impl Iterator<Item = &str> {
    cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, value)| *name == COOKIE && value.len() == 64)
        .map(|(_, value)| value)
        .take(4)
}

fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests;
