//! The results of a way of tuning over several seeds, from its folder.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::source::Source;
use crate::error::{JsonError, Result};
use crate::learn::run::{MANIFEST, METRICS, Manifest, RunFolder, SeedEvent};
use crate::learn::train::Event;
use crate::page::plots::{Line, POINTS, thinned};
use crate::predict::report::{Confusion, Evaluation, Prediction, Tally};
use crate::study::ensemble::report::Accuracies;
use crate::study::ensemble::summary::{Comparison, Rated};
use crate::study::experiment::{BaselineMetrics, Metrics, SeedMetrics};
use crate::study::pictures::RowSample;
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
    /// What each seed said of the test rows; or why that is not known.
    answers: Result<Answers, &'static str>,
    /// The loss of each seed's training by step, and on held-out rows.
    pub(super) losses: [Vec<Line>; 2],
}

/// What the seeds said of the test rows.
pub(super) struct Answers {
    /// For each seed, which labelled rows are right.
    right: Vec<Vec<bool>>,
    /// All seeds together.
    pub(super) evaluation: Option<Evaluation>,
    /// The rows with the answers of the first seed.
    pub(super) sample: RowSample,
}

impl TrainReport {
    /// Reads the results of a finished run. That its test rows are gone is no error.
    pub fn read(run: &Path) -> Result<TrainReport> {
        let (folder, manifest) = (RunFolder::existing(run)?, Manifest::read(&run.join(MANIFEST))?);
        manifest.verbalizer()?.check_classes("a page or a comparison of runs")?;
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
        let answers = answers(&folder, &manifest, &metrics);
        let losses = losses(&folder, manifest.header.seeds.len() > 1)?;
        Ok(TrainReport { metrics, manifest, answers, losses })
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

    /// What each seed said of the test rows, or why that is not known.
    pub(super) fn answers(&self) -> Result<&Answers, &'static str> {
        self.answers.as_ref().map_err(|reason| *reason)
    }

    pub(super) fn rated(&self) -> Result<Rated<'_>, &'static str> {
        Ok(Rated {
            right: self.answers().map(|answers| answers.right.clone())?,
            test_sha256: self.manifest.header.data.test.as_ref().map(|test| test.sha256.as_str()),
            test_rows: self.metrics.test_rows,
        })
    }
}

/// What each seed said: its answers stand in the run's folder, the labels in the test file.
fn answers(folder: &RunFolder, manifest: &Manifest, metrics: &Metrics) -> Result<Answers, &'static str> {
    let data = &manifest.header.data;
    let Some(test) = data.test.as_ref().filter(|_| metrics.test_rows > 0) else {
        return Err("a run was not measured on labelled test rows");
    };
    if manifest.several_labels.is_some() {
        return Err("a run gives several labels a row, which are not right or wrong together");
    }
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
    let place = |name: &String| set.columns.names().iter().position(|column| column == name);
    let mut sample =
        RowSample::new(manifest.columns.iter().filter_map(place).collect(), manifest.classes.clone());
    let mut tally = Tally::new(manifest.classes.iter().cloned());
    let mut right = Vec::new();
    for (number, &seed) in manifest.header.seeds.iter().enumerate() {
        let said = predicted(&folder.predictions(seed), &manifest.classes);
        let said = said.filter(|said| said.len() == set.examples.len());
        let said = said.ok_or("a run's predictions are not all there")?;
        right.push(set.right(|row| said[row].0));
        for ((example, truth), (class, shares)) in set.examples.iter().zip(&set.truths).zip(said) {
            // Where the file has shares of another kind, as those of no class at all, the answer stands
            // alone.
            let sure = Prediction { probabilities: shares };
            if sure.probabilities.len() != manifest.classes.len() || sure.class() != class {
                continue;
            }
            tally.add(&sure, *truth);
            if number == 0 {
                sample.add(example, &sure.into(), *truth);
            }
        }
    }
    Ok(Answers { right, evaluation: tally.evaluate(), sample })
}

/// The classes that a file of predictions says with the probabilities of all, row by row.
fn predicted(path: &Path, classes: &[String]) -> Option<Vec<(usize, Vec<f64>)>> {
    let reading = Reading { format: Some(Format::Csv), ..Reading::default() };
    let rows = reading.open(path).ok()?;
    let names = rows.columns().names().to_vec();
    let place = names.iter().position(|name| name == PREDICTED)?;
    let shares: Vec<usize> = classes
        .iter()
        .filter_map(|label| names.iter().position(|name| name.strip_prefix("p_") == Some(label)))
        .collect();
    let row = |row: Result<Example>| {
        let row = row.ok()?;
        let class = classes.iter().position(|label| *label == row.fields[place])?;
        let shares = shares.iter().filter_map(|&place| row.fields[place].parse().ok());
        Some((class, shares.collect()))
    };
    rows.map(row).collect()
}

/// The losses of each seed by step, in training and on rows that are held out.
fn losses(folder: &RunFolder, several: bool) -> Result<[Vec<Line>; 2]> {
    let mut found: [BTreeMap<u64, Vec<(f64, f64)>>; 2] = Default::default();
    folder.each_event(&mut |SeedEvent { seed, part, event }| {
        let (which, step, loss) = match event {
            Event::Step { step, losses, .. } => (0, step, losses.leading()),
            Event::Evaluated { step, loss, .. } => (1, step, Some(loss)),
            Event::Looked { .. } => return,
        };
        if let Some(loss) = loss.filter(|loss| loss.is_finite() && part == "run") {
            found[which].entry(seed).or_default().push((step as f64, loss));
        }
    })?;
    let name = |seed: u64| if several { format!("seed {seed}") } else { "loss".to_owned() };
    let lines = |of_seeds: BTreeMap<u64, Vec<(f64, f64)>>| {
        of_seeds.into_iter().map(|(seed, points)| (name(seed), thinned(&points, POINTS))).collect()
    };
    Ok(found.map(lines))
}
