//! Weights between two models': what was learned, and a model that still knows what that one forgot (WiSE-FT:
//! Wortsman et al. 2022, arXiv 2109.01903).

use crate::error::{Result, TensorProblem, TuningError};
use crate::model::folder::ModelFolder;
use crate::model::parameters::Parameters;

/// Another model that a merged one is averaged with.
pub struct Average {
    folder: ModelFolder,
    share: f64,
}

impl Average {
    /// With a model, whose share of each weight is between 0 and 1.
    pub fn new(folder: ModelFolder, share: f64) -> Result<Average> {
        if !(0.0..=1.0).contains(&share) {
            let (name, allowed) = ("the share of the other model".to_owned(), "from 0 to 1".to_owned());
            return Err(TuningError::OptionOutOfRange { name, found: share, allowed }.into());
        }
        Ok(Average { folder, share })
    }

    /// The weights of `own`, a model in `folder`, each drawn towards the other model's by its share. A model
    /// of another vocabulary, or of other sizes, is refused.
    pub(super) fn of(&self, own: &Parameters, folder: &ModelFolder) -> Result<Parameters> {
        let path = || self.folder.path().to_owned();
        let ids = folder.tokenizer.ids();
        let another = |id: &i64| folder.tokenizer.token(*id) != self.folder.tokenizer.token(*id);
        if self.folder.tokenizer.ids() != ids || ids.clone().any(|id| another(&id)) {
            let (path, model) = (path(), folder.path().to_owned());
            return Err(TuningError::AverageOfOtherVocabulary { path, model }.into());
        }
        let other =
            Parameters::load(self.folder.path(), &self.folder.config.tensors, own.decoder().device())?;
        let problem = |(name, weight): (&str, &tch::Tensor)| {
            let (wanted, found) = (weight.size(), other.named(name).map(tch::Tensor::size));
            (found.as_ref() != Some(&wanted)).then(|| TensorProblem { name: name.to_owned(), wanted, found })
        };
        let tensors: Vec<TensorProblem> = own.iter().filter_map(problem).collect();
        let unknown: Vec<String> = other
            .iter()
            .filter(|(name, _)| own.named(name).is_none())
            .map(|(name, _)| name.to_owned())
            .collect();
        if !tensors.is_empty() || !unknown.is_empty() {
            return Err(TuningError::AverageMisfit { path: path(), tensors, unknown }.into());
        }
        let between = |(name, weight): (&str, &tch::Tensor)| {
            let there = other.named(name)?;
            Some((name.to_owned(), weight.lerp(there, self.share)))
        };
        Ok(tch::no_grad(|| own.with(own.iter().filter_map(between))))
    }
}
