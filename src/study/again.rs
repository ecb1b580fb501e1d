//! A run that goes on, or is run again: on the files that it was made from, or not at all.

use std::path::PathBuf;

use crate::error::{ModelError, Result, RunError};
use crate::learn::run::{self, Header, ModelFiles};
use crate::model::folder::ModelFolder;
use crate::model::hash::hash_of;
use crate::study::ensemble;
use crate::study::multi_task;
use crate::study::pretrain;
use crate::study::run::check_base;

/// With what a run goes on, or is run again.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// The base model, if it is not where it was.
    pub model: Option<PathBuf>,
    /// Whether a base model with other weights is taken.
    pub allow_other_base: bool,
    /// CPU threads, if not as many as before.
    pub threads: Option<usize>,
    /// The command line that is noted in a new run's manifest.
    pub command: Vec<String>,
}

impl Again {
    /// Lets a training go on. Data files and weights that are not what they were are refused.
    pub fn training_goes_on(&self, manifest: &mut run::Manifest) -> Result<()> {
        if let Some(from) = &manifest.init_from {
            from.check()?;
        }
        self.goes_on(&mut manifest.header)
    }

    /// The same training as a new run.
    pub fn training_anew(&self, manifest: &mut run::Manifest) -> Result<()> {
        self.training_goes_on(manifest)?;
        self.is_new(&mut manifest.header);
        Ok(())
    }

    /// Lets a training of several tasks go on.
    pub fn tasks_go_on(&self, manifest: &mut multi_task::Manifest) -> Result<()> {
        if let Some(from) = &manifest.init_from {
            from.check()?;
        }
        manifest.check_files()?;
        self.goes_on(&mut manifest.header)
    }

    /// The same training of several tasks as a new run.
    pub fn tasks_anew(&self, manifest: &mut multi_task::Manifest) -> Result<()> {
        self.tasks_go_on(manifest)?;
        self.is_new(&mut manifest.header);
        Ok(())
    }

    /// Lets a pre-training go on.
    pub fn pretraining_goes_on(&self, manifest: &mut pretrain::Manifest) -> Result<()> {
        manifest.texts.check_files()?;
        self.goes_on(&mut manifest.header)
    }

    fn goes_on(&self, header: &mut Header) -> Result<()> {
        header.data.check()?;
        let path = self.base(&header.model)?;
        header.model = ModelFiles { sha256: check_base(&header.model, &path, self.allow_other_base)?, path };
        header.threads = self.threads.unwrap_or(header.threads);
        Ok(())
    }

    fn is_new(&self, header: &mut Header) {
        header.cloze = env!("CARGO_PKG_VERSION").to_owned();
        header.command.clone_from(&self.command);
    }

    /// An ensemble that goes on, or is run again; an experiment that was never run stays as it is.
    pub fn ensemble(&self, manifest: &mut ensemble::Manifest) -> Result<()> {
        let Some(run) = &mut manifest.run else { return Ok(()) };
        let files = [&manifest.train, &manifest.unlabeled, &manifest.test];
        for (path, sha256) in files.into_iter().zip(&run.data) {
            if let (Some(path), Some(sha256)) = (path, sha256)
                && hash_of(path)? != *sha256
            {
                return Err(RunError::DataChanged { path: path.clone() }.into());
            }
        }
        let path = self.base(&run.model)?;
        run.model = ModelFiles { sha256: check_base(&run.model, &path, self.allow_other_base)?, path };
        if let Some(model) = &mut run.student_model {
            model.sha256 = check_base(model, &model.path, self.allow_other_base)?;
        }
        manifest.threads = self.threads.or(manifest.threads);
        run.cloze = env!("CARGO_PKG_VERSION").to_owned();
        run.command = self.command.clone();
        Ok(())
    }

    /// The folder of the base model that there is now.
    fn base(&self, model: &ModelFiles) -> Result<PathBuf> {
        match &self.model {
            Some(path) => Ok(ModelFolder::open_any_head(path)?.path().to_owned()),
            None if model.path.is_dir() => Ok(model.path.clone()),
            None => Err(ModelError::Missing { path: model.path.clone() }.into()),
        }
    }
}
