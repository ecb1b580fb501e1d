//! What a run learned, for other programs.

use std::path::Path;

use crate::error::{EnsembleError, Result, RunError, TaskError};
use crate::model::masked_lm::{MaskedLm, Options};
use crate::predict::blueprint::Blueprint;
use crate::predict::classifier::VerbalizedLm;
use crate::study::run::{Contents, Run, Wanted};
use crate::tune::export::{self, Writing};
use crate::tune::{owner, peft};

/// In what form it is exported.
pub enum ExportForm {
    /// A model folder of its own, with what was learned within its weights.
    Merged(Box<Writing>),
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
    /// Writes what it learned with one seed into a folder that is new or empty; a run of several seeds needs
    /// to be told which. Of an ensemble it is its student, or the member that is wanted. A run of several
    /// tasks learned one model for all of them; where some have vectors of their own, it needs to be told
    /// which task.
    pub fn export(&self, wanted: &Wanted, form: &ExportForm, out: &Path) -> Result<Exported> {
        let seed = match self.chosen_seeds(wanted.seed)?[..] {
            [only] => only,
            ref seeds => {
                let (path, seeds) = (self.path().to_owned(), seeds.to_vec());
                return Err(RunError::SeedNeeded { path, seeds }.into());
            }
        };
        let task = match &wanted.task {
            None => self.any_task(seed)?,
            named => named.clone(),
        };
        let wanted = Wanted { task, ..wanted.clone() };
        let kept = self.kept(&wanted)?;
        let Some(tuning) = kept.tuning else {
            return Err(EnsembleError::NothingLearned { path: self.path().to_owned() }.into());
        };
        let Blueprint { verbalizer, folder, words, patterns, learned, .. } = self.unbound(&wanted)?;
        // One seed, one classifier.
        let [(_, learned)] = &learned[..] else { unreachable!("what was not learned was refused") };
        let base = VerbalizedLm::new(MaskedLm::of(folder, Options::default())?, words);
        base.check_learned(tuning, learned, patterns.soft.len(), verbalizer.classes().len())?;
        let MaskedLm { folder, parameters, .. } = &base.model;
        match form {
            ExportForm::Merged(writing) => {
                export::merged(out, folder, parameters, tuning, learned, writing)?;
            }
            ExportForm::Peft => {
                let name = kept.model.path.display().to_string();
                peft::write(out, tuning, &folder.config, learned, patterns.soft.front(), &name)?;
            }
        }
        Ok(Exported { method: tuning.name(), seed })
    }

    /// A task, whichever, where there are several. Refused where they differ in what was learned.
    fn any_task(&self, seed: u64) -> Result<Option<String>> {
        let tasks = self.tasks();
        if let Contents::Tasks(folder, _) = &self.contents
            && folder.load_learned(seed)?.0.keys().any(|name| owner(name).1.is_some())
        {
            return Err(TaskError::Needed { path: self.path().to_owned(), tasks }.into());
        }
        Ok(tasks.into_iter().next())
    }
}
