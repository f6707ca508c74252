//! `[hl7]` of the configuration.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::dicom::CharacterSets;
use crate::tls;
use crate::worklist::hl7::{AccessionNumberFrom, Rules};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Hl7Section {
    pub listeners: Vec<ListenerSection>,
    /// Which of a patient's numbers is the local one: its assigning authority, by namespace or universal ID.
    pub authority: Option<String>,
    pub accession_number: AccessionNumberFrom,
    /// For messages that name no character set and are no UTF-8.
    pub fallback_character_set: String,
}

impl Default for Hl7Section {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            authority: None,
            accession_number: AccessionNumberFrom::default(),
            fallback_character_set: "ISO_IR 100".to_owned(),
        }
    }
}

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListenerSection {
    pub address: SocketAddr,
    /// Addresses that may connect; empty admits all that reach us, which only loopback may.
    #[serde(default)]
    pub senders: Vec<IpAddr>,
    /// Sending applications (MSH-3) that are listened to; empty takes all.
    #[serde(default)]
    pub applications: Vec<String>,
    /// TLS on this listener; plain without.
    #[serde(default)]
    pub tls: Option<tls::ServerSection>,
}

impl Hl7Section {
    /// How messages are to be read.
    pub fn rules(&self) -> Rules {
        Rules {
            authority: self.authority.clone(),
            accession_number: self.accession_number,
            fallback: CharacterSets::parse(Some(self.fallback_character_set.as_bytes())),
        }
    }

    /// Every fault, with its key below `hl7`.
    pub fn faults(&self) -> Vec<(String, &'static str)> {
        let mut faults = Vec::new();
        for (n, listener) in self.listeners.iter().enumerate() {
            if listener.senders.is_empty() && !listener.address.ip().is_loopback() {
                let sentence =
                    "other machines can reach this address; name those that may send orders";
                faults.push((format!("listeners.{n}.senders"), sentence));
            }
        }
        if self.authority.as_ref().is_some_and(|authority| authority.trim().is_empty()) {
            faults
                .push(("authority".to_owned(), "name a namespace or an OID, or leave the key out"));
        }
        let known = CharacterSets::parse(Some(self.fallback_character_set.as_bytes()));
        if known.encode("\u{e4}", crate::dicom::VR::LO).is_none()
            && known.encode("\u{44f}", crate::dicom::VR::LO).is_none()
        {
            let sentence = "write a term like ISO_IR 100, with more letters than ASCII has";
            faults.push(("fallback-character-set".to_owned(), sentence));
        }
        faults
    }
}
