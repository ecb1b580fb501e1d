//! What is refused before anything is trained or written.

use std::collections::BTreeMap;

use super::{Ensemble, Manifest, RunWith, growth};
use crate::error::{DataError, EnsembleError, Error, Result, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::sample;
use crate::study::warning::Warning;
use crate::text::dataset::Dataset;

impl Ensemble {
    /// Draws each seed's labelled rows, as every method draws them; gives what a reader of the results should
    /// know besides.
    pub fn draw(
        manifest: &Manifest,
        run: &RunWith,
        train: &Dataset,
    ) -> Result<(BTreeMap<u64, LabelledDataset>, Vec<Warning>)> {
        let (classes, candidates) = (run.classes.len(), train.candidates());
        let (mut drawn, mut warnings) = (BTreeMap::new(), Vec::new());
        for &seed in &manifest.seeds {
            let sample = sample::k_shot(&candidates, classes, manifest.shots.unwrap_or(usize::MAX), seed);
            let rows = train.pick(&sample.rows);
            let found = rows.classes();
            if let Some(class) = (0..classes).find(|class| !found.contains(class)) {
                return Err(TrainingError::ClassWithoutRows {
                    label: run.classes[class].clone(),
                    data: train.columns.data().to_owned(),
                }
                .into());
            }
            for shortage in sample.short.iter().filter(|_| manifest.shots.is_some()) {
                let warning = Warning::FewRows {
                    data: train.columns.data().to_owned(),
                    found: shortage.found,
                    asked: manifest.shots.unwrap_or_default(),
                    label: run.classes[shortage.class].clone(),
                };
                warning.beside(&mut warnings);
            }
            drawn.insert(seed, rows);
        }
        Ok((drawn, warnings))
    }

    /// Refuses, before anything is trained or written, what would stop the experiment later; gives what a
    /// reader of the results should know.
    pub fn check(&self) -> Result<Vec<Warning>> {
        let mut warnings = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            if self.members[..index].iter().any(|other| other.name == member.name) {
                return Err(EnsembleError::SameMember { name: member.name.clone() }.into());
            }
        }
        if let [only] = &self.members[..] {
            warnings.push(format!("{} is the only pattern: an ensemble of one is its member", only.name));
        }
        let sets = || [&self.unlabeled, &self.test].into_iter().flatten();
        if let Some(empty) = sets().find(|set| set.examples.is_empty()) {
            return Err(Error::from(DataError::WithoutRows { data: empty.columns.data().to_owned() }));
        }
        let plan = self.manifest.plan.plan(&self.manifest.tuning, self.run.classes.len());
        warnings.extend(plan.remark(self.bases[0].model.device));
        for member in &self.members {
            self.bases[member.verbalizer].check_engine(&self.manifest.tuning, plan.bf16)?;
            let trainer = self.trainer(member, &plan, 0);
            self.drawn.values().try_for_each(|rows| trainer.check_rows(&rows.columns, &rows.examples))?;
            sets().try_for_each(|set| trainer.check_rows(&set.columns, &set.examples))?;
        }
        if let Some((student, model)) = self.manifest.student.as_ref().zip(self.student.as_ref()) {
            let base = model.base.as_ref().unwrap_or(&self.bases[0]);
            let plan = student.plan();
            base.check_engine(&student.tuning, plan.bf16)?;
            let trainer = self.student_trainer(base, model, student, &plan, 0);
            sets().try_for_each(|set| trainer.check_rows(&set.columns, &set.examples))?;
        }
        self.check_generations()?;
        let read = &self.run.columns;
        if let (Some(test), Some(train)) = (&self.test, &self.train) {
            warnings.extend(test.shared_with(train, read, "results on them say little")?);
        }
        if let (Some(test), Some(unlabeled)) = (&self.test, &self.unlabeled) {
            warnings.extend(test.shared_with(
                unlabeled,
                read,
                "what is learned from them is learned without their labels",
            )?);
        }
        if let (Some(unlabeled), Some(train)) = (&self.unlabeled, &self.train) {
            warnings.extend(unlabeled.shared_with(
                train,
                read,
                "members that were trained on a row are sure of it; no generation is given such rows",
            )?);
        }
        Ok(warnings.into_iter().map(Warning::Other).collect())
    }

    /// Refuses more generations than there are rows for.
    fn check_generations(&self) -> Result<()> {
        let Some(unlabeled) = self.unlabeled.as_ref().filter(|_| self.manifest.generations > 0) else {
            return Ok(());
        };
        let found = unlabeled.examples.len();
        for &seed in &self.manifest.seeds {
            let labelled = self.labelled_rows(seed);
            let needed = |generation: usize| {
                growth::wanted(&labelled, self.manifest.growth, generation).iter().sum::<usize>()
            };
            if let Some(generation) =
                (1..=self.manifest.generations).find(|&generation| needed(generation) > found)
            {
                return Err(EnsembleError::TooManyGenerations {
                    generations: self.manifest.generations,
                    needed: needed(self.manifest.generations),
                    found,
                    data: unlabeled.columns.data().to_owned(),
                    most: generation - 1,
                }
                .into());
            }
        }
        Ok(())
    }
}
