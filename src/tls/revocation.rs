//! Revocation lists: which certificates an authority has taken back (RFC 5280 5).
//!
//! Invariants: where lists are named, a certificate of which none of them knows is not trusted; a list that is older
//! than its authority promised still counts, and is told.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;

use super::certificate::{clean, timestamp};
use super::{Error, read_up_to};

/// Lists of large authorities name a million certificates.
const MAX_LIST: u64 = 64 << 20;

/// The tag of a sequence, with which DER begins.
const SEQUENCE: u8 = 0x30;

/// What is shown of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) issuer: String,
    /// When its authority brings out the next.
    pub(super) next: Option<jiff::Timestamp>,
}

/// The lists of all these files.
pub(super) fn all(paths: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let mut lists = vec![];
    for path in paths {
        lists.extend(of_file(path)?.into_iter().map(|(der, _)| der));
    }
    Ok(lists)
}

/// What can be told of the lists of one file; who needs them tells what can't.
pub(super) fn shown(path: &Path) -> Vec<List> {
    of_file(path).unwrap_or_default().into_iter().map(|(_, list)| list).collect()
}

/// Authorities give them out as DER as well as PEM.
fn of_file(path: &Path) -> Result<Vec<(CertificateRevocationListDer<'static>, List)>, Error> {
    let bytes = read_up_to(path, MAX_LIST)?;
    let mut lists = Vec::new();
    if bytes.first() == Some(&SEQUENCE) {
        lists.push(CertificateRevocationListDer::from(bytes));
    } else {
        for (found, number) in CertificateRevocationListDer::pem_slice_iter(&bytes).zip(1..) {
            lists.push(found.map_err(|_| Error::DamagedList { path: path.to_owned(), number })?);
        }
    }
    if lists.is_empty() {
        return Err(Error::NoList { path: path.to_owned() });
    }
    let read = |(der, number): (CertificateRevocationListDer<'static>, usize)| match of_der(&der) {
        Some(list) => Ok((der, list)),
        None => Err(Error::DamagedList { path: path.to_owned(), number }),
    };
    lists.into_iter().zip(1..).map(read).collect()
}

fn of_der(der: &[u8]) -> Option<List> {
    let list = <CertificateList>::from_der(der).ok()?.tbs_cert_list;
    let next = match list.next_update {
        Some(time) => Some(timestamp(time)?),
        None => None,
    };
    Some(List { issuer: clean(&list.issuer.to_string()), next })
}
