//! `tls = { … }` of the configuration: of a listener, and of a peer that we call.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Fingerprint};

/// `tls` of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServerSection {
    /// PEM: our certificate, and behind it those between it and its authority.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: the authorities whose certificates callers may show.
    #[serde(default)]
    pub client_ca: Vec<PathBuf>,
    /// PEM or DER: what these authorities have taken back. Asked of every certificate, if there is any.
    #[serde(default)]
    pub client_crl: Vec<PathBuf>,
    #[serde(default)]
    pub client: Client,
}

/// Whether a caller has to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    #[default]
    Required,
    /// One that is shown has to be good.
    Optional,
    /// It is not asked for.
    None,
}

/// `tls` of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClientSection {
    /// PEM: the authorities that may have signed the peer's certificate.
    pub ca_files: Vec<PathBuf>,
    /// PEM or DER: what these authorities have taken back. Asked of every certificate, if there is any.
    pub crl_files: Vec<PathBuf>,
    /// The peer's certificate itself, where no authority signed it: `sha256:` and 64 hexadecimal digits.
    pub fingerprints: Vec<Fingerprint>,
    /// PEM: our certificate, where the peer wants one.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// The name in the peer's certificate, if it is not the host of its address.
    pub server_name: Option<String>,
}

impl ServerSection {
    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), Error> {
        if !self.client_crl.is_empty() && self.client_ca.is_empty() {
            return Err(Error::Section(
                "`client-crl` is of no use without `client-ca`; name the authorities, or take it away",
            ));
        }
        match (self.client, self.client_ca.is_empty()) {
            (Client::Required | Client::Optional, true) => Err(Error::Section(
                "name the authorities of the callers' certificates in `client-ca`, or set `client = \"none\"`",
            )),
            (Client::None, false) => Err(Error::Section(
                "`client-ca` is of no use with `client = \"none\"`; take one of them away",
            )),
            _ => Ok(()),
        }
    }
}

impl ClientSection {
    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), Error> {
        if self.ca_files.is_empty() && self.fingerprints.is_empty() {
            return Err(Error::Section(
                "name who signed the peer's certificate in `ca-files`, or the certificate in `fingerprints`",
            ));
        }
        if !self.ca_files.is_empty() && !self.fingerprints.is_empty() {
            return Err(Error::Section("give `ca-files` or `fingerprints`, not both"));
        }
        if !self.crl_files.is_empty() && self.ca_files.is_empty() {
            return Err(Error::Section(
                "`crl-files` is of no use without `ca-files`; a certificate of `fingerprints` is taken back by taking it out",
            ));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(Error::Section("`certificate` and `key` are given together"));
        }
        Ok(())
    }

    /// Our certificate and its key.
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}
