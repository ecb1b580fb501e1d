//! The classifiers that are served, and those that requests make of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::error::{Errors, Result, ServeError};
use crate::predict::multi_label::LabelRule;
use crate::predict::prompt_classifier::PromptClassifier;
use crate::text::json::Node;

/// So many of the classifiers that requests made are kept for requests that ask the same. They hold label
/// words, and no weights.
const KEPT: usize = 32;

/// A name has at most so many letters.
const LONGEST_NAME: usize = 100;

/// A classifier under its name.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) classifier: Arc<PromptClassifier>,
    /// The least probability of an answer.
    pub(super) abstain_below: Option<f64>,
    /// What makes several labels of its answers, where a row may have several.
    pub(super) several: Option<Arc<LabelRule>>,
}

impl Host {
    /// The labels that it gives.
    pub(super) fn labels(&self) -> &[String] {
        self.several.as_ref().map_or_else(|| self.classifier.labels(), |rule| rule.labels())
    }
}

/// All of them.
pub(super) struct Hosts {
    all: Vec<Host>,
    made: Mutex<VecDeque<([u8; 32], Arc<PromptClassifier>)>>,
}

impl Hosts {
    /// At least one, each under a name of its own. All problems at once.
    pub(super) fn new(all: Vec<Host>) -> Result<Hosts, Errors> {
        let mut errors = Errors::new();
        if all.is_empty() {
            errors.push(ServeError::NothingToServe);
        }
        let is_letter = |letter: char| letter.is_alphanumeric() || " ._-/".contains(letter);
        for (index, Host { name, .. }) in all.iter().enumerate() {
            if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(is_letter) {
                errors.push(ServeError::Name { name: name.clone() });
            }
            if all[..index].iter().any(|other| other.name == *name) {
                errors.push(ServeError::SameName { name: name.clone() });
            }
        }
        errors.none().map(|()| Hosts { all, made: Mutex::default() })
    }

    pub(super) fn all(&self) -> &[Host] {
        &self.all
    }

    /// The one that a request names; the first, if it names none.
    pub(super) fn named(&self, name: Option<&Node<'_>>) -> Result<&Host> {
        let Some(node) = name else { return Ok(&self.all[0]) };
        let name: String = node.read()?;
        self.all.iter().find(|host| host.name == name).ok_or_else(|| {
            let names = self.all.iter().map(|host| host.name.clone()).collect();
            node.error(ServeError::UnknownClassifier { name, names })
        })
    }

    /// What was made for these words before, or what is made now.
    pub(super) fn made_of(
        &self,
        words: &[&str],
        make: impl FnOnce() -> Result<PromptClassifier, Errors>,
    ) -> Result<Arc<PromptClassifier>, Errors> {
        let mut hash = Sha256::new();
        for word in words {
            hash.update(word.len().to_le_bytes());
            hash.update(word);
        }
        let name: [u8; 32] = hash.finalize().into();
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, classifier)) = made().iter().find(|(other, _)| *other == name) {
            return Ok(classifier.clone());
        }
        let classifier = Arc::new(make()?.with_threads(1));
        let mut made = made();
        made.push_front((name, classifier.clone()));
        made.truncate(KEPT);
        Ok(classifier)
    }
}
