//! User identity negotiation (PS3.7 D.3.3.7): who we say we are, and who a caller says it is.
//!
//! Invariant: passwords and tokens come from files, are shown by no `Debug`, and are compared in constant time.

use std::fmt;
use std::path::{Path, PathBuf};

use dicom_ul::pdu::{UserIdentity, UserIdentityType, UserVariableItem};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Error;
use crate::clock::Moment;
use crate::dicom::AeTitle;
use crate::seal::secret;
use crate::tls;

/// The kind of item that answers an identity (PS3.7 D.3.3.7.2).
const RESPONSE: u8 = 0x59;

/// `identity` of a peer: who we say we are when we call it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IdentitySection {
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// A JSON Web Token in place of a user.
    pub token_file: Option<PathBuf>,
}

/// `demands` of a peer: who it has to say it is when it calls us.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DemandSection {
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A JSON Web Token in place of a user.
    #[serde(default)]
    pub token: Option<tls::TokenSection>,
}

/// What a caller says of itself, or we of ourselves.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    User {
        name: String,
        password: Option<Zeroizing<Vec<u8>>>,
    },
    Token(Zeroizing<Vec<u8>>),
    /// Kerberos or SAML, which we do not judge.
    Other,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User { password: None, .. } => "Identity(user)",
            Self::User { .. } => "Identity(user, password)",
            Self::Token(_) => "Identity(token)",
            Self::Other => "Identity(other)",
        })
    }
}

impl IdentitySection {
    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), &'static str> {
        match (&self.user, &self.password_file, &self.token_file) {
            (Some(user), _, None) if !user.is_empty() => Ok(()),
            (None, None, Some(_)) => Ok(()),
            _ => Err("give `user`, or `user` and `password-file`, or `token-file`"),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Identity`] if one can't be read.
    pub async fn load(&self) -> Result<Identity, Error> {
        let section = self.clone();
        let loaded = tokio::task::spawn_blocking(move || section.read()).await;
        let failed = |_| Error::Identity("reading was interrupted".to_owned());
        loaded.map_err(failed)?.map_err(Error::Identity)
    }

    /// The same, blocking.
    pub fn read(&self) -> Result<Identity, String> {
        if let Some(file) = &self.token_file {
            return secret(file).map(Identity::Token);
        }
        let password = self.password_file.as_deref().map(secret).transpose()?;
        Ok(Identity::User { name: self.user.clone().unwrap_or_default(), password })
    }
}

impl DemandSection {
    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), &'static str> {
        match (&self.user, &self.password_file, &self.token) {
            (Some(user), _, None) if !user.is_empty() => Ok(()),
            (None, None, Some(_)) => Ok(()),
            _ => Err("give `user`, or `user` and `password-file`, or `token`"),
        }
    }

    /// Whether the file can be read. Blocking.
    pub fn read(&self) -> Result<(), String> {
        if let Some(token) = &self.token {
            return token.read().map_err(|error| error.to_string());
        }
        self.password_file.as_deref().map_or(Ok(()), |file| secret(file).map(drop))
    }

    /// Whether this is who is demanded, at this time, of those who call `us`. Blocking; a file that can't be read
    /// lets nobody in.
    ///
    /// # Errors
    /// Why not, for the log.
    pub fn judge(
        &self,
        identity: Option<&Identity>,
        us: &AeTitle,
        now: Moment,
    ) -> Result<(), String> {
        match (identity, &self.token) {
            (Some(Identity::Token(token)), Some(demanded)) => {
                let judged = demanded.judge(token, us.as_str(), now.timestamp());
                judged.map_err(|error| error.to_string())
            }
            (Some(Identity::User { name, password }), None) => {
                match self.is_user(name, password.as_ref()) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err("it is another user, or the password is wrong".to_owned()),
                    Err(error) => Err(format!("it can't be judged: {error}")),
                }
            }
            (_, Some(_)) => Err("it shows no JSON Web Token".to_owned()),
            (_, None) => Err("it names no user".to_owned()),
        }
    }

    fn is_user(&self, name: &str, password: Option<&Zeroizing<Vec<u8>>>) -> Result<bool, String> {
        let Some(user) = &self.user else { return Ok(false) };
        let right_name = bool::from(name.as_bytes().ct_eq(user.as_bytes()));
        let Some(file) = &self.password_file else {
            return Ok(right_name);
        };
        let right = secret(file)?;
        Ok(password.is_some_and(|told| right_name & bool::from(told.as_slice().ct_eq(&right))))
    }
}

impl Identity {
    /// What a request says of its user; the last item counts for nothing if there are two.
    pub(super) fn of(variables: &[UserVariableItem]) -> Option<Self> {
        let item = items(variables).next()?;
        let text = || String::from_utf8(item.primary_field()).unwrap_or_default();
        Some(match item.identity_type() {
            UserIdentityType::Username => Self::User { name: text(), password: None },
            UserIdentityType::UsernamePassword => {
                let password = Some(Zeroizing::new(item.secondary_field()));
                Self::User { name: text(), password }
            }
            UserIdentityType::Jwt => Self::Token(Zeroizing::new(item.primary_field())),
            _ => Self::Other,
        })
    }

    pub(super) fn item(&self) -> UserVariableItem {
        let (kind, first, second) = match self {
            Self::User { name, password: None } => {
                (UserIdentityType::Username, name.clone().into_bytes(), vec![])
            }
            Self::User { name, password: Some(password) } => {
                let kind = UserIdentityType::UsernamePassword;
                (kind, name.clone().into_bytes(), password.to_vec())
            }
            Self::Token(token) => (UserIdentityType::Jwt, token.to_vec(), vec![]),
            Self::Other => (UserIdentityType::Username, vec![], vec![]),
        };
        // No response is asked for: whoever does not accept us rejects us.
        UserVariableItem::UserIdentityItem(UserIdentity::new(false, kind, first, second))
    }
}

fn items(variables: &[UserVariableItem]) -> impl Iterator<Item = &UserIdentity> {
    variables.iter().filter_map(|item| match item {
        UserVariableItem::UserIdentityItem(identity) => Some(identity),
        _ => None,
    })
}

/// Our answer to an identity that was accepted, if the requestor wants one: of no length, for none of the kinds
/// that we judge has anything to say.
pub(super) fn response(variables: &[UserVariableItem]) -> Option<UserVariableItem> {
    let asked = items(variables).next()?.positive_response_requested();
    asked.then(|| UserVariableItem::Unknown(RESPONSE, vec![0, 0]))
}

fn secret(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    secret::read(file).map_err(|error| error.to_string())
}
