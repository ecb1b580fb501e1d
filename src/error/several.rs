//! Several errors at once: whoever checks a file tells all that is wrong with it.

use std::fmt;

use super::{Error, Kind, Result};

/// Errors that were found together, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// None yet.
    pub fn new() -> Errors {
        Errors::default()
    }

    /// Puts one more beside them.
    pub fn push(&mut self, error: impl Into<Error>) {
        // One that is several is taken apart, so that each is told by itself.
        self.0.extend(Errors::from(error.into()).0);
    }

    /// The value of a result, or none and its errors put beside the others.
    pub fn keep<T, E: Into<Errors>>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.0.extend(errors.into().0);
                None
            }
        }
    }

    /// The errors without those that say what an earlier one says of the same place: a file that several share is
    /// read for each of them.
    #[must_use]
    pub fn distinct(self) -> Errors {
        let mut known = std::collections::HashSet::new();
        Errors(self.0.into_iter().filter(|error| known.insert(error.to_string())).collect())
    }

    /// An error, if there are any.
    pub fn none(self) -> Result<(), Errors> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }

    /// Each of them changed.
    #[must_use]
    pub fn map(self, change: impl FnMut(Error) -> Error) -> Errors {
        Errors(self.0.into_iter().map(change).collect())
    }
}

impl Extend<Error> for Errors {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        errors.into_iter().for_each(|error| self.push(error));
    }
}

impl FromIterator<Error> for Errors {
    fn from_iter<I: IntoIterator<Item = Error>>(errors: I) -> Errors {
        let mut all = Errors::new();
        all.extend(errors);
        all
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors(error.apart())
    }
}

impl<K: Into<Kind>> From<K> for Errors {
    fn from(kind: K) -> Errors {
        Error::new(kind).into()
    }
}

impl From<Errors> for Error {
    /// One error as it is; several as one of the kind [`Kind::Several`].
    fn from(mut errors: Errors) -> Error {
        match errors.0.len() {
            1 => errors.0.swap_remove(0),
            _ => Error::new(Kind::Several(errors)),
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => write!(f, "no problems"),
            [only] => write!(f, "{only}"),
            [first, ..] => write!(f, "{} problems, the first: {first}", self.0.len()),
        }
    }
}

impl std::error::Error for Errors {}
