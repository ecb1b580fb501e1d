//! The key that requests must bring.

use std::path::Path;

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use crate::error::{Result, ServeError};
use crate::text::json::read_text;

/// A key shorter than this could be tried out.
const LEAST_LETTERS: usize = 16;

/// A key. Its hash is kept, of one length whatever the key's, and compared in a time that tells nothing.
pub struct Key([u8; 32]);

impl Key {
    /// The first line of a file.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("key");
    /// use cloze::serve::Key;
    /// std::fs::write(&file, "a-key-of-24-letters-or-so\n")?;
    /// assert!(Key::read(&file).is_ok());
    /// std::fs::write(&file, "short\n")?;
    /// assert!(Key::read(&file).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path) -> Result<Key> {
        let text = read_text(path)?;
        let key = text.lines().next().unwrap_or_default().trim();
        let path = || path.to_owned();
        match key.chars().count() {
            0 => Err(ServeError::WithoutKey { path: path() }.into()),
            found if found < LEAST_LETTERS => {
                Err(ServeError::ShortKey { path: path(), found, least: LEAST_LETTERS }.into())
            }
            _ => Ok(Key(Sha256::digest(key).into())),
        }
    }

    /// Refuses a request that does not bring the key as `Authorization: Bearer KEY`.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let bearer = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let brought = bearer.and_then(|value| {
            let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
        });
        let brought: [u8; 32] = Sha256::digest(brought.unwrap_or_default()).into();
        if bool::from(brought.ct_eq(&self.0)) {
            return Ok(());
        }
        let error = "this service wants its key: send the header Authorization: Bearer KEY";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", error))
    }
}
