//! The manifest of a pre-training.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::source::Source;
use crate::error::{CorpusError, Error, Errors, Kind, Result, TuningError};
use crate::learn::run::{self, Header, Planned, RunKind, Written};
use crate::learn::texts::Texts;
use crate::learn::train::Plan;
use crate::model::tensor_file::Precision;
use crate::text::json::{self, Node};
use crate::tune::Tuning;

/// All that is needed to run it again. As JSON it is the body that stands under `pretrain`, below the
/// [`Header`]; [`Manifest::written`] is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What every kind of run has.
    #[serde(skip)]
    pub header: Header,
    /// The texts, and how they are cut and masked.
    pub texts: Texts,
    /// What moves.
    pub tuning: Tuning,
    /// How long and how fast; its rows are sequences.
    pub plan: Plan,
    /// How the model's weights are written.
    pub precision: Precision,
}

/// No version before the header had this kind of run.
#[derive(Deserialize)]
pub(crate) enum First {}

impl From<First> for Manifest {
    fn from(first: First) -> Manifest {
        match first {}
    }
}

impl Planned for Manifest {
    const KIND: RunKind = RunKind::Pretrain;
    type First = First;

    fn parts(&mut self) -> (&mut Header, &mut Plan) {
        (&mut self.header, &mut self.plan)
    }
}

impl Manifest {
    /// Reads the manifest in a run's folder.
    pub fn read(path: &Path) -> Result<Manifest> {
        let source = Source::new(path.display().to_string(), json::read_text(path)?);
        let root = Node::root(&source);
        let manifest: Manifest = run::parse(path, &root)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(errors) => Err(errors.map(|error| manifest.place_error(error, &root)).into()),
        }
    }

    /// Refuses what no pre-training can be. All problems at once.
    pub(super) fn check(&self) -> Result<(), Errors> {
        let mut errors = Errors::new();
        errors.keep(self.plan.check());
        errors.keep(self.header.check());
        errors.keep(self.texts.masking.check());
        if !self.tuning.merges() {
            errors.push(CorpusError::BesideWeights { method: self.tuning.name() });
        }
        errors.none()
    }

    /// The place of an error about a value of it.
    pub fn place_error(&self, error: Error, root: &Node<'_>) -> Error {
        let at = |key: &str| root.at(&format!("pretrain.{key}"));
        let node = match error.kind() {
            Kind::Corpus(CorpusError::BesideWeights { .. }) => at("tuning"),
            Kind::Tuning(TuningError::OptionOutOfRange { name, .. }) if name == "sequence_length" => {
                at("texts.sequence_length")
            }
            _ => run::place(&error, root, RunKind::Pretrain),
        };
        match node {
            Some(node) => error.at(node.place_of_all()),
            None => error,
        }
    }

    /// The manifest as its file has it.
    pub fn written(&self) -> Written<Manifest> {
        run::written(self)
    }
}
