//! An experiment becomes a run: its files by name and content, its models, and what it leaves open.

use std::path::{Path, PathBuf};

use super::manifest::{Manifest, RunWith};
use crate::error::{EnsembleError, Error, Errors, Result};
use crate::learn::plan::PlanOptions;
use crate::learn::run::{ModelFiles, StoredFile};
use crate::model::folder::ModelFolder;
use crate::model::hash::hash_of;
use crate::model::threads::Threads;
use crate::text::data::Reading;
use crate::text::dataset::read_columns;
use crate::text::json_files;

/// What an experiment is run with where it does not say it itself.
pub struct ResolveWith<'a> {
    /// The base model, in place of the experiment's.
    pub model: Option<String>,
    /// Threads, in place of the experiment's.
    pub threads: Option<usize>,
    /// The command line, for the manifest.
    pub command: Vec<String>,
    /// Opens a model by its name, or without a name the usual one.
    pub open: &'a dyn Fn(Option<String>) -> Result<ModelFolder>,
}

impl Manifest {
    /// The experiment with all that it is run with: a run's manifest. All problems of its files come
    /// together.
    pub fn resolve(mut self, with: ResolveWith) -> std::result::Result<Manifest, Errors> {
        let (templates, verbalizers, data) = self.resolve_files()?;
        let folder = (with.open)(with.model.or(self.model.take()))?;
        self.max_length = Some(folder.max_length(self.max_length)?);

        self.threads = Some(with.threads.or(self.threads).unwrap_or_else(Threads::usual));
        let mut student_model = None;
        if let Some(student) = &mut self.student {
            student.plan = PlanOptions::of(&student.plan());
            if let Some(model) = &student.model {
                student_model = Some(ModelFiles::of(&(with.open)(Some(model.clone()))?)?);
            }
        }
        let mut run = RunWith {
            cloze: env!("CARGO_PKG_VERSION").to_owned(),
            command: with.command,
            templates,
            verbalizers,
            classes: Vec::new(),
            columns: Vec::new(),
            data,
            model: ModelFiles::of(&folder)?,
            student_model,
        };
        self.model = Some(run.model.path.display().to_string());
        run.classes = Manifest::read_verbalizers(&run)?[0].labels().map(str::to_owned).collect();
        self.plan = PlanOptions::of(&self.plan.plan(&self.tuning, run.classes.len()));
        let templates = Manifest::read_templates(&run)?;
        let Some(first) = [&self.train, &self.unlabeled, &self.test].into_iter().flatten().next() else {
            return Err(Error::from(EnsembleError::Needs {
                what: "test",
                because: "there are no rows: name some to learn from, to label or to evaluate on",
            })
            .into());
        };
        let reading = Reading::of(self.format, None, self.adjust.clone());
        run.columns = read_columns(&templates, reading.open(first)?.columns());
        self.run = Some(run);
        Ok(self)
    }

    /// The templates and verbalizers that the names stand for, and the hashes of the files of rows.
    #[allow(clippy::type_complexity)]
    fn resolve_files(
        &mut self,
    ) -> std::result::Result<(Vec<StoredFile>, Vec<StoredFile>, [Option<String>; 3]), Errors> {
        let mut problems = Errors::new();
        self.templates = files(&self.templates, &mut problems);
        self.verbalizers = files(&self.verbalizers, &mut problems);
        let mut stored = |files: &[String]| -> Vec<StoredFile> {
            files.iter().filter_map(|file| problems.keep(StoredFile::of(Path::new(file)))).collect()
        };
        let (templates, verbalizers) = (stored(&self.templates), stored(&self.verbalizers));
        for stored in [&templates, &verbalizers] {
            let twice = stored.iter().enumerate().find_map(|(index, file)| {
                Some((stored[..index].iter().find(|other| other.name() == file.name())?, file))
            });
            problems.extend(twice.map(|(first, second)| {
                Error::from(EnsembleError::SameName {
                    name: first.name(),
                    files: [first.file.clone(), second.file.clone()],
                })
            }));
        }
        let mut hash = |path: &Option<PathBuf>| path.as_ref().and_then(|path| problems.keep(hash_of(path)));
        let data = [hash(&self.train), hash(&self.unlabeled), hash(&self.test)];
        problems.none()?;
        Ok((templates, verbalizers, data))
    }
}

/// The files that names stand for, as the manifest has them.
fn files(names: &[String], problems: &mut Errors) -> Vec<String> {
    json_files::files(names, problems).iter().map(|path| path.display().to_string()).collect()
}
