//! What a run learned, for other programs.

use std::path::Path;

use tch::Device;

use crate::error::{Result, RunError};
use crate::learn::run::{Manifest, RunKind};
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::classifier::VerbalizedLm;
use crate::predict::label_words::LabelWords;
use crate::study::run::{Contents, Run, Wanted};
use crate::tune::{export, peft};

/// In what form it is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportForm {
    /// A model folder of its own, with what was learned within its weights.
    Merged,
    /// An adapter of PEFT, which needs the base model.
    Peft,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// The method's name.
    pub method: &'static str,
    /// The seed of the training.
    pub seed: u64,
}

impl Run {
    /// Writes what a training of one task learned with one seed into a folder that is new or empty; a run of
    /// several seeds needs to be told which. Runs of several tasks and of ensembles are refused.
    pub fn export(&self, wanted: &Wanted, form: ExportForm, out: &Path) -> Result<Exported> {
        let Contents::Train(run, manifest) = &self.contents else {
            let (path, found, wanted) = (self.path().to_owned(), self.kind().name(), RunKind::Train.name());
            return Err(RunError::OfOtherKind { path, found, wanted }.into());
        };
        let seed = match self.chosen_seeds(wanted.seed)?[..] {
            [only] => only,
            ref seeds => {
                let (path, seeds) = (self.path().to_owned(), seeds.to_vec());
                return Err(RunError::SeedNeeded { path, seeds }.into());
            }
        };
        let Manifest { header, tuning, classes, .. } = &**manifest;
        let (folder, max_length) = self.base(&header.model, tuning, wanted, |_| header.max_length)?;
        let (learned, _) = run.load_learned(seed)?;
        let words = LabelWords::check(&manifest.verbalizer()?, &folder.tokenizer, Device::Cpu)?;
        let soft = manifest.patterns(&words, &folder, max_length)?.soft;
        let base = VerbalizedLm::new(MaskedLm::of(folder, Options::default())?, words);
        base.check_learned(tuning, &learned, soft.len(), classes.len())?;
        let MaskedLm { folder, parameters, .. } = &base.model;
        match form {
            ExportForm::Merged => export::merged(out, folder, parameters, tuning, &learned)?,
            ExportForm::Peft => {
                let name = header.model.path.display().to_string();
                peft::write(out, tuning, &folder.config, &learned, soft.front(), &name)?;
            }
        }
        Ok(Exported { method: tuning.name(), seed })
    }
}
