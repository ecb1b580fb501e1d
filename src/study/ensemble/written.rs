//! What an experiment leaves for people to look at: rows with what was made of them.

use std::path::Path;

use super::{Ensemble, EnsembleFolder, STUDENT};
use crate::error::Result;
use crate::predict::output::PredictionWriter;
use crate::predict::report::Prediction;
use crate::text::data::Example;
use crate::text::dataset::Dataset;
use crate::text::table::Destination;
use crate::text::whole_file::{make_folder_of, write_table};

impl Ensemble {
    /// The labelled rows of a seed.
    pub(super) fn write_sample(&self, folder: &EnsembleFolder, seed: u64) -> Result<()> {
        let Some(rows) = self.drawn.get(&seed) else { return Ok(()) };
        let header = [vec!["record".to_owned()], rows.columns.names().to_vec()].concat();
        let record = |example: &Example| [vec![example.record.to_string()], example.fields.clone()].concat();
        let path = folder.run.sampled(seed);
        make_folder_of(&path)?;
        write_table(&path, &header, &rows.examples.iter().map(record).collect::<Vec<_>>())
    }

    /// What the last student learns.
    pub(super) fn write_soft_labels(
        &self,
        folder: &EnsembleFolder,
        seed: u64,
        unlabeled: &Dataset,
        soft: &[Prediction],
    ) -> Result<()> {
        let path = folder.path().join(format!("soft-labels/seed-{seed}.csv"));
        self.write(&path, unlabeled, soft)
    }

    /// The test rows as the last ensemble and the last student label them.
    pub(super) fn write_predictions(&self, folder: &EnsembleFolder, seed: u64) -> Result<()> {
        let Some(test) = &self.test else { return Ok(()) };
        let stage = self.last_stage();
        let alive = self.alive(folder, stage, seed);
        if !alive.is_empty() {
            let merged = self.merged(folder, stage, seed, &alive, 1.0, |scores| &scores.test)?;
            self.write(&folder.path().join(format!("predictions/ensemble-seed-{seed}.csv")), test, &merged)?;
        }
        let student = folder.scores(Some(stage.unwrap_or_default()), seed, STUDENT);
        if student.exists() {
            let said = self.load_scores(folder, &student)?.test;
            self.write(&folder.path().join(format!("predictions/{STUDENT}-seed-{seed}.csv")), test, &said)?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, rows: &Dataset, predictions: &[Prediction]) -> Result<()> {
        make_folder_of(path)?;
        let (to, labels) = (Destination::create(path)?, self.run.classes.clone());
        let mut output = PredictionWriter::create(to, labels, false, &rows.columns, false)?;
        for (example, prediction) in rows.examples.iter().zip(predictions) {
            output.write(example, &prediction.clone().into())?;
        }
        output.finish()?.commit()
    }
}
