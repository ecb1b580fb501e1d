//! Everything that could go wrong with a run's classifiers, told at once.

use std::path::Path;

use crate::error::{EnsembleError, Errors, Result, TaskError};
use crate::model::folder::ModelFolder;
use crate::predict::checkup::{Checkup, CheckupParts};
use crate::study::ensemble::report::EnsembleReport;
use crate::study::run::{Run, Wanted, check_base};
use crate::text::data::Reading;

impl Run {
    /// The classifiers that are looked at, by name where there are several: of an ensemble without a student,
    /// or where `members` are asked for, each member; of several tasks each, unless there are rows, which are
    /// one task's.
    pub fn to_check(
        &self,
        wanted: &Wanted,
        members: bool,
        rows: bool,
    ) -> Result<Vec<(Option<String>, Wanted)>> {
        let tasks = self.tasks();
        if !tasks.is_empty() && wanted.task.is_none() {
            if rows {
                return Err(TaskError::Needed { path: self.path().to_owned(), tasks }.into());
            }
            let of = |task: String| (Some(task.clone()), Wanted { task: Some(task), ..wanted.clone() });
            return Ok(tasks.into_iter().map(of).collect());
        }
        if wanted.member.is_none() && (members || self.is_its_members()) {
            let of = |name: String| (Some(name.clone()), Wanted { member: Some(name), ..wanted.clone() });
            return Ok(self.members()?.into_iter().map(of).collect());
        }
        Ok(vec![(None, wanted.clone())])
    }

    /// Looks at all that a classifier of the run needs, and at rows: the base model and its hash, what was
    /// learned and its seals, patterns, label words, columns and labels. Of what was learned the tensors are
    /// held against the weights, so these are loaded where nothing else is wrong.
    pub fn checkup(&self, wanted: &Wanted, data: Option<(&Path, &Reading)>) -> Checkup {
        let mut problems = Errors::new();
        let Some(kept) = problems.keep(self.kept(wanted)) else {
            return Checkup::of_parts(CheckupParts { data, ..CheckupParts::default() }, problems);
        };
        if wanted.member.is_some() {
            problems.keep(EnsembleReport::of_run(self.path()));
        }
        let path = wanted.model.as_ref().unwrap_or(&kept.model.path);
        let folder = problems.keep(ModelFolder::open_any_head(path));
        let mut max_length = None;
        if let Some(folder) = &folder {
            problems.keep(check_base(kept.model, folder.path(), wanted.allow_other_base));
            max_length = problems.keep(self.length(&kept, folder, wanted));
        }
        let seeds = problems.keep(self.chosen_seeds(wanted.seed)).unwrap_or_default();
        let before = problems.len();
        let learned: Vec<_> =
            seeds.iter().filter_map(|&seed| problems.keep(self.learned(wanted, seed))?).collect();
        if let (Some(name), Some(_), true, false, true) =
            (&wanted.member, kept.tuning, learned.is_empty(), seeds.is_empty(), problems.len() == before)
        {
            let (path, name) = (self.path().to_owned(), name.clone());
            problems.push(EnsembleError::MemberFailed { path, name });
        }
        let parts = CheckupParts {
            templates: kept.templates,
            verbalizer: Some(kept.verbalizer),
            folder,
            max_length,
            training: kept.tuning.map(|tuning| (tuning, kept.columns)),
            learned,
            data,
        };
        Checkup::of_parts(parts, problems)
    }
}
