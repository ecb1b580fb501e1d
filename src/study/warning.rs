//! What a reader of results should know.

use std::fmt;

/// A warning. Its text names no flag: who has flags words it anew from what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A class with fewer rows than were asked for.
    FewRows {
        /// The file.
        data: String,
        /// The rows found.
        found: usize,
        /// The rows asked for.
        asked: usize,
        /// The class.
        label: String,
    },
    /// Anything else, in words.
    Other(String),
}

impl Warning {
    /// Puts it beside others, unless it is there: of one file the same rows are missing for every seed.
    pub(super) fn beside(self, warnings: &mut Vec<Warning>) {
        if !warnings.contains(&self) {
            warnings.push(self);
        }
    }
}

impl From<String> for Warning {
    fn from(text: String) -> Warning {
        Warning::Other(text)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::FewRows { data, found, asked, label } => {
                write!(
                    f,
                    "{data} has {found} of the {asked} rows of {label:?} that were asked for: all are taken"
                )
            }
            Warning::Other(text) => f.write_str(text),
        }
    }
}
