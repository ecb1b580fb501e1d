//! The results of a way of tuning over several seeds, from its folder.

use std::path::Path;

use crate::error::source::Source;
use crate::error::{JsonError, Result};
use crate::learn::run::{MANIFEST, METRICS, Manifest, RunFolder};
use crate::predict::report::Confusion;
use crate::study::ensemble::report::Accuracies;
use crate::study::ensemble::summary::{Comparison, Rated};
use crate::study::experiment::{BaselineMetrics, Metrics, SeedMetrics};
use crate::text::data::{Example, Format, Reading};
use crate::text::dataset::{Dataset, Labels};
use crate::text::json::{self, Node};

/// The column of the answers in a file of predictions.
const PREDICTED: &str = "predicted";

/// The results, and what was run.
pub struct TrainReport {
    /// The table of results.
    pub metrics: Metrics,
    /// What was run.
    pub manifest: Manifest,
    /// For each seed, which labelled test rows are right; or why that is not known.
    right: Result<Vec<Vec<bool>>, &'static str>,
}

impl TrainReport {
    /// Reads the results of a finished run. That its test rows are gone is no error.
    pub fn read(run: &Path) -> Result<TrainReport> {
        let (folder, manifest) = (RunFolder::existing(run)?, Manifest::read(&run.join(MANIFEST))?);
        let file = run.join(METRICS);
        let source = Source::new(file.display().to_string(), json::read_text(&file)?);
        let root = Node::root(&source);
        let metrics: Metrics = root.read_object()?;
        let is_square = |confusion: &Confusion| {
            let classes = confusion.labels.len();
            confusion.counts.len() == classes && confusion.counts.iter().all(|row| row.len() == classes)
        };
        let evaluations = || metrics.seeds.iter().filter_map(|seed| seed.evaluation.as_ref());
        if !evaluations()
            .all(|found| is_square(&found.confusion) && found.confusion.labels == manifest.classes)
        {
            let message = "\"confusion\" has other classes than the run".to_owned();
            return Err(root.error(JsonError::Shape { message }));
        }
        let right = right(&folder, &manifest, &metrics);
        Ok(TrainReport { metrics, manifest, right })
    }

    /// The accuracies of the seeds; none where nothing was measured.
    pub fn accuracy(&self) -> Option<Accuracies> {
        let evaluation = |seed: &SeedMetrics| seed.evaluation.as_ref().map(|found| found.accuracy);
        Accuracies::of(self.metrics.seeds.iter().map(evaluation).collect())
    }

    /// How often which true class was predicted as which, all seeds together.
    pub fn confusion(&self) -> Option<Vec<Vec<u64>>> {
        let counts =
            self.metrics.seeds.iter().filter_map(|seed| Some(&seed.evaluation.as_ref()?.confusion.counts));
        counts.cloned().reduce(|mut sum, next| {
            let cells = sum.iter_mut().flatten().zip(next.iter().flatten());
            cells.for_each(|(sum, next)| *sum += next);
            sum
        })
    }

    /// The method less each baseline, on the same rows.
    pub(super) fn comparisons(&self) -> Vec<Comparison> {
        let of = |baseline: &BaselineMetrics| {
            let found = baseline.difference.clone()?;
            Some(Comparison::of(self.metrics.method.clone(), baseline.name.clone(), found))
        };
        let mut found: Vec<Comparison> = self.metrics.baselines.iter().filter_map(of).collect();
        Comparison::correct(&mut found);
        found
    }

    pub(super) fn rated(&self) -> Result<Rated<'_>, &'static str> {
        Ok(Rated {
            right: self.right.clone()?,
            test_sha256: self.manifest.header.data.test.as_ref().map(|test| test.sha256.as_str()),
            test_rows: self.metrics.test_rows,
        })
    }
}

/// Which labelled test rows each seed gets right: its answers stand in the run's folder, the labels in the
/// test file.
fn right(folder: &RunFolder, manifest: &Manifest, metrics: &Metrics) -> Result<Vec<Vec<bool>>, &'static str> {
    let data = &manifest.header.data;
    let Some(test) = data.test.as_ref().filter(|_| metrics.test_rows > 0) else {
        return Err("a run was not measured on labelled test rows");
    };
    if !test.path.exists() {
        return Err("a run's test file is not where it was, and its labels are needed");
    }
    let changed = "a run's test file is not what it was";
    let reading = data.reading();
    let set = test.check().ok().and_then(|()| {
        let verbalizer = manifest.verbalizer().ok()?;
        Dataset::read(&test.path, &reading, &manifest.columns, &verbalizer, None, Labels::Known).ok()
    });
    let set = set.ok_or(changed)?;
    let of_seed = |&seed: &u64| {
        let said = predicted(&folder.predictions(seed), &manifest.classes)?;
        (said.len() == set.examples.len()).then(|| set.right(|row| said[row]))
    };
    let right = manifest.header.seeds.iter().map(of_seed).collect::<Option<Vec<_>>>();
    right.ok_or("a run's predictions are not all there")
}

/// The classes that a file of predictions says, row by row.
fn predicted(path: &Path, classes: &[String]) -> Option<Vec<usize>> {
    let reading = Reading { format: Some(Format::Csv), ..Reading::default() };
    let rows = reading.open(path).ok()?;
    let place = rows.columns().names().iter().position(|name| name == PREDICTED)?;
    let class = |row: Result<Example>| {
        let said = row.ok()?.fields.swap_remove(place);
        classes.iter().position(|label| *label == said)
    };
    rows.map(class).collect()
}
