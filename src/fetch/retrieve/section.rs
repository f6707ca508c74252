//! `[dicomweb.NAME]`: a DICOMweb service as source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::Service;
use crate::web::{self, Credentials, PortalSection, Proxy};

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
    /// The service is outside, and reached through the proxy of `[fetch]`.
    #[serde(default)]
    pub through_proxy: bool,
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

    /// Makes the client, and reads the secrets. Blocking. What is inside is reached without the proxy.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn service(&self, proxy: Option<&Proxy>) -> Result<Service, String> {
        let proxy = proxy.filter(|_| self.through_proxy);
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let site = PortalSection {
            hosts: vec![host],
            allow_private: proxy.is_none(),
            allow_http: self.url.scheme() == "http",
            ca_file: self.ca_file.clone(),
            recipe: None,
        };
        let sections = BTreeMap::from([("dicomweb".to_owned(), site)]);
        let client = web::Client::through(&sections, proxy);
        let (token, password) = (self.token_file.as_deref(), self.password_file.as_deref());
        let credentials = Credentials::of(token, self.user.as_deref(), password)
            .ok_or("give token-file, or user with password-file, or none of them")?;
        let auth = credentials.read().map_err(|error| error.to_string())?;
        let client = client.map_err(|error| error.to_string())?;
        Ok(Service { client, base: self.url.clone(), auth })
    }
}
