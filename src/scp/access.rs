//! Who may come in: a known AE title, from where it lives, with what it has to show, and not too many at once.
//!
//! Invariants: what can't be proven is refused; the log says which rule refused and what to do, the caller is told
//! no more than PS3.8 9.3.4 has a number for; nobody takes more than its share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::clock::Moment;
use crate::dicom::AeTitle;
use crate::dimse::{Caller, May, PeerSection, Rejection};

/// A name service that takes longer is as good as none; then counts what it said before.
const LOOKUP: Duration = Duration::from_secs(3);

/// A peer on an association.
pub(super) struct Admitted {
    pub(super) peer: String,
    pub(super) host: String,
    pub(super) ae_title: AeTitle,
    pub(super) may: Vec<May>,
    pub(super) expected: Expected,
    pub(super) permit: Permit,
}

/// What a peer may bring beyond what `may` says, because we asked it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    /// Objects: a C-MOVE of ours is under way.
    pub(super) objects: bool,
    /// Reports on what we asked it to commit to.
    pub(super) reports: bool,
}

impl Expected {
    fn nothing(self) -> bool {
        !self.objects && !self.reports
    }
}

/// The right to one association, given back when dropped.
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    peer: String,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

pub(super) struct Access {
    most: usize,
    permits: Arc<Semaphore>,
    /// Associations by peer.
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    /// What names meant when they were last looked up.
    known: Mutex<BTreeMap<String, Vec<IpAddr>>>,
}

impl Access {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            permits: Arc::new(Semaphore::new(most)),
            counts: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// Whom the caller is, or why it is turned away.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        peers: &BTreeMap<String, PeerSection>,
        expected: impl Fn(&str, &PeerSection) -> Expected,
        now: Moment,
    ) -> Result<Admitted, Rejection> {
        let from = caller.address.ip().to_canonical();
        let titled: Vec<(&String, &PeerSection)> =
            peers.iter().filter(|(_, peer)| peer.ae_title == caller.calling).collect();
        let Some((first, _)) = titled.first().copied() else {
            tracing::warn!(
                calling = %caller.calling, address = %from,
                "no peer has this calling AE title; if it may call, add it under [peers]"
            );
            return Err(Rejection::CallingUnknown);
        };
        let mut refusal = None;
        for (name, peer) in titled {
            if !self.lives_there(peer, from).await {
                continue;
            }
            let expected = expected(name, peer);
            match prove(name, peer, caller, expected, now).await {
                Ok(()) => {
                    let permit = self.permit(name, peer)?;
                    let (may, ae_title) = (peer.may.clone(), caller.calling.clone());
                    let (peer, host) = (name.clone(), peer.host().to_owned());
                    return Ok(Admitted { peer, host, ae_title, may, expected, permit });
                }
                Err(why) => refusal = Some(why),
            }
        }
        // Two peers may share a title; the address tells them apart.
        Err(refusal.unwrap_or_else(|| {
            tracing::warn!(
                peer = %first, address = %from,
                "a known AE title called from another address; if it may, add the address to the peer's `networks`"
            );
            Rejection::CallingUnknown
        }))
    }

    async fn lives_there(&self, peer: &PeerSection, from: IpAddr) -> bool {
        if !peer.networks.is_empty() {
            return peer.networks.iter().any(|network| network.contains(from));
        }
        let host = peer.host();
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.to_canonical() == from;
        }
        let looked = timeout(LOOKUP, tokio::net::lookup_host((host, 0))).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(found)) = looked {
            let found = found.map(|address| address.ip().to_canonical()).collect();
            known.insert(host.to_owned(), found);
        }
        known.get(host).is_some_and(|known| known.contains(&from))
    }

    fn permit(&self, name: &str, peer: &PeerSection) -> Result<Permit, Rejection> {
        let most = peer.associations.map_or_else(|| self.most.div_ceil(2), |most| most.get());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = counts.get(name).copied().unwrap_or(0);
        if now >= most {
            tracing::warn!(peer = %name, most, "the peer has as many associations as it may");
            return Err(Rejection::LimitExceeded);
        }
        let of_all = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            tracing::warn!(most = self.most, "all associations are taken; see dicom.associations");
            Rejection::LimitExceeded
        })?;
        counts.insert(name.to_owned(), now.saturating_add(1));
        Ok(Permit { _of_all: of_all, peer: name.to_owned(), counts: Arc::clone(&self.counts) })
    }
}

/// Whether the caller has shown what the peer has to show.
async fn prove(
    name: &str,
    peer: &PeerSection,
    caller: &Caller,
    expected: Expected,
    now: Moment,
) -> Result<(), Rejection> {
    let refuse = |why: &str| {
        tracing::warn!(peer = %name, "peer turned away: {why}");
        Err(Rejection::NotPermitted)
    };
    if peer.may.is_empty() && expected.nothing() {
        return refuse("it may ask nothing; see the key `may` of the peer");
    }
    if !peer.certificates.is_empty() {
        let Some(shown) = &caller.certificate else {
            return refuse(
                "it has to show a certificate, and showed none; it has to call a TLS listener",
            );
        };
        if !peer.certificates.iter().any(|holder| shown.is_of(holder)) {
            return refuse("its certificate is none of the peer's `certificates`");
        }
    }
    if let Some(demands) = peer.demands.clone() {
        let (identity, us) = (caller.identity.clone(), caller.called.clone());
        let judge = move || demands.judge(identity.as_ref(), &us, now);
        let interrupted = |_| Err("judging it was interrupted".to_owned());
        let judged = tokio::task::spawn_blocking(judge).await.unwrap_or_else(interrupted);
        if let Err(why) = judged {
            return refuse(&format!("its user identity is not what `demands` says: {why}"));
        }
    }
    Ok(())
}
