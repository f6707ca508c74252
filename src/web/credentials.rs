//! What lets us in at an HTTP service: a token, or a user with a password.
//!
//! Invariant: secrets stand in files of their own, never in the configuration, and in no error.

use std::path::{Path, PathBuf};

use super::Bearer;
use crate::seal::secret;

/// As whom we come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    Nobody,
    /// A bearer token is in this file.
    Token(PathBuf),
    Password {
        user: String,
        file: PathBuf,
    },
}

/// Why they cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Secret(#[from] secret::Error),
    #[error("{} holds nothing that can be sent as a token", path.display())]
    Token { path: PathBuf },
    #[error(
        "the user with the password in {} can't be sent: a user name has no colon, and both are shorter",
        path.display()
    )]
    Password { path: PathBuf },
}

impl Credentials {
    /// From the keys `token-file`, `user` and `password-file`; `None` if they do not go together.
    pub fn of(token: Option<&Path>, user: Option<&str>, password: Option<&Path>) -> Option<Self> {
        match (token, user, password) {
            (None, None, None) => Some(Self::Nobody),
            (Some(file), None, None) => Some(Self::Token(file.to_owned())),
            (None, Some(user), Some(file)) => {
                Some(Self::Password { user: user.to_owned(), file: file.to_owned() })
            }
            _ => None,
        }
    }

    /// Reads the file. Blocking.
    ///
    /// # Errors
    /// If it can't be read, or holds what no header can carry.
    pub fn read(&self) -> Result<Option<Bearer>, Unusable> {
        match self {
            Self::Nobody => Ok(None),
            Self::Token(file) => Bearer::new(secret::read_text(file)?.trim())
                .ok_or_else(|| Unusable::Token { path: file.clone() })
                .map(Some),
            Self::Password { user, file } => Bearer::basic(user, &secret::read_text(file)?)
                .ok_or_else(|| Unusable::Password { path: file.clone() })
                .map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_together_or_not_at_all() {
        let file = Path::new("/f");
        let (token, user, password) = (Some(file), Some("lotse"), Some(file));
        assert_eq!(Credentials::of(None, None, None), Some(Credentials::Nobody));
        assert!(matches!(Credentials::of(token, None, None), Some(Credentials::Token(_))));
        let both = Credentials::of(None, user, password);
        assert!(matches!(both, Some(Credentials::Password { .. })));
        for (token, user, password) in [
            (token, user, password),
            (token, user, None),
            (token, None, password),
            (None, user, None),
            (None, None, password),
        ] {
            assert_eq!(Credentials::of(token, user, password), None);
        }
    }

    #[test]
    fn a_file_becomes_a_header_or_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let user = |user: &str| Credentials::Password { user: user.into(), file: file.clone() };
        let token = Credentials::Token(file.clone());
        let header = |credentials: &Credentials| {
            let bearer = credentials.read()?.unwrap();
            Ok::<_, Unusable>(bearer.value().to_str().unwrap().to_owned())
        };
        assert!(Credentials::Nobody.read().unwrap().is_none());
        assert!(matches!(token.read(), Err(Unusable::Secret(_))));
        std::fs::write(&file, "open sesame\n").unwrap();
        assert_eq!(header(&user("Aladdin")).unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(matches!(user("a:b").read(), Err(Unusable::Password { .. })));
        let fault = header(&token).unwrap_err();
        assert!(matches!(fault, Unusable::Token { .. }) && !fault.to_string().contains("sesame"));
        std::fs::write(&file, " abc.def \r\n").unwrap();
        assert_eq!(header(&token).unwrap(), "Bearer abc.def");
    }
}
