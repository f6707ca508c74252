//! `[dicomweb.NAME]`: a DICOMweb service as source.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::Service;
use crate::web::{self, Bearer, PortalSection};

/// A token or password file; a certificate or an image is none.
const LONGEST_SECRET: u64 = 16 << 10;

/// One service. Its host may be inside: who writes it here means it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DicomwebSection {
    /// Root of the service, before `/studies`.
    pub url: Url,
    /// File with a bearer token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// For basic authentication, with `password-file`.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM file of a certificate authority that is trusted beside the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl DicomwebSection {
    /// What is wrong with it, by key.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        let host = self.url.host_str();
        if !matches!(self.url.scheme(), "https" | "http") || host.is_none() {
            faults.push(("url", "write an address such as `https://pacs.example.org/dicom-web`"));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            faults.push(("url", "credentials do not belong here; use token-file or password-file"));
        }
        if self.token_file.is_some() && self.user.is_some() {
            faults.push(("token-file", "give a token or a user, not both"));
        }
        if self.user.is_some() != self.password_file.is_some() {
            faults.push(("user", "user and password-file go together"));
        }
        let local = matches!(host, Some("127.0.0.1" | "[::1]" | "localhost"));
        let secret = self.token_file.is_some() || self.user.is_some();
        if self.url.scheme() == "http" && secret && !local {
            faults.push(("url", "credentials are not sent without TLS; use https"));
        }
        faults
    }

    /// Makes the client, and reads the secrets. Blocking.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn service(&self) -> Result<Service, String> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let site = PortalSection {
            hosts: vec![host],
            allow_private: true,
            allow_http: self.url.scheme() == "http",
            ca_file: self.ca_file.clone(),
            recipe: None,
        };
        let client = web::Client::new(&BTreeMap::from([("dicomweb".to_owned(), site)]));
        let auth = match (&self.token_file, &self.user, &self.password_file) {
            (Some(file), _, _) => {
                let usable = Bearer::new(&secret(file)?);
                Some(usable.ok_or_else(|| format!("{} holds no token", file.display()))?)
            }
            (None, Some(user), Some(file)) => {
                let usable = Bearer::basic(user, &secret(file)?);
                let unusable = || "a user name has no colon and is shorter".to_owned();
                Some(usable.ok_or_else(unusable)?)
            }
            (None, _, _) => None,
        };
        let client = client.map_err(|error| error.to_string())?;
        Ok(Service { client, base: self.url.clone(), auth })
    }
}

fn secret(file: &Path) -> Result<zeroize::Zeroizing<String>, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", file.display());
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let mut text = zeroize::Zeroizing::new(String::new());
    opened.take(LONGEST_SECRET).read_to_string(&mut text).map_err(unreadable)?;
    Ok(zeroize::Zeroizing::new(text.trim().to_owned()))
}
