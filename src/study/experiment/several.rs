//! The labels of a training's rows, where a row has several.

use super::{Experiment, Split};
use crate::error::{DataError, Error, Errors, MultiLabelError, Result, TrainingError};
use crate::learn::dataset::LabelledDataset;
use crate::learn::run::{DataFiles, Manifest, Select};
use crate::learn::sample::{self, Shortage};
use crate::learn::target::Target;
use crate::numbers::multi_label::MultiLabelMetrics;
use crate::numbers::softmax::sigmoid;
use crate::predict::multi_label::output::LabelsWriter;
use crate::predict::multi_label::scoring::against_last;
use crate::predict::multi_label::thresholds::{Thresholds, USUAL};
use crate::predict::multi_label::{LabelsAnswer, way::REFERENCE};
use crate::predict::report::Prediction;
use crate::text::data::{Columns, Rows};
use crate::text::dataset::Dataset;
use crate::text::label_sets::LabelSets;
use crate::text::table::Destination;
use crate::text::whole_file::make_folder_of;

/// For each row and label whether it has it.
pub struct LabelTruths {
    /// Where labels stand.
    pub sets: LabelSets,
    /// Of the train rows, `[N,L]`.
    pub train: Vec<Vec<bool>>,
    /// Of the development rows, where they have a file of their own.
    pub dev: Option<Vec<Vec<bool>>>,
    /// Of the test rows, as far as they are known.
    pub test: Vec<Option<Vec<bool>>>,
}

impl LabelTruths {
    /// Reads the labels of the rows that a manifest names.
    pub(super) fn read(
        manifest: &Manifest,
        needed: &[&Dataset],
        test: Option<&Dataset>,
    ) -> Result<LabelTruths, Errors> {
        let labels = labels(manifest);
        let DataFiles { train, .. } = &manifest.header.data;
        let reading = manifest.reading();
        let open = |path| reading.open(path);
        let Some(train) = train else {
            return Err(MultiLabelError::NotInTraining { what: "descriptions" }.into());
        };
        let separator = manifest.several_labels.as_ref().and_then(|several| several.separator.as_deref());
        let (found, rows): (LabelSets, Rows) =
            LabelSets::find(&labels, open(&train.path)?, separator, &reading.adjust)?;
        found.check_there(rows.columns())?;
        let mut errors = Errors::new();
        let mut truths_of = |set: &Dataset| -> Vec<Vec<bool>> {
            let truth = |example| {
                let truth = errors.keep(found.truth(&set.columns, example))?;
                if truth.is_none() {
                    let kind = DataError::RowWithoutLabel { data: set.columns.data().to_owned() };
                    errors.push(Error::new(kind).at(set.columns.place(example, None)));
                }
                truth
            };
            set.examples.iter().filter_map(truth).collect()
        };
        let mut of_sets = needed.iter().map(|set| truths_of(set)).collect::<Vec<_>>().into_iter();
        let (train, dev) = (of_sets.next().unwrap_or_default(), of_sets.next());
        let test = match test {
            // A test file may have no labels.
            Some(test) if has_columns(manifest, &found, rows.columns()) => {
                let truth = |example| errors.keep(found.truth(&test.columns, example)).flatten();
                test.examples.iter().map(truth).collect()
            }
            Some(test) => vec![None; test.examples.len()],
            None => Vec::new(),
        };
        errors.none()?;
        Ok(LabelTruths { sets: found, train, dev, test })
    }
}

/// The labels: all classes but what they are held against.
fn labels(manifest: &Manifest) -> Vec<String> {
    manifest.classes.iter().filter(|class| *class != REFERENCE).cloned().collect()
}

/// Whether the test file has the columns in which the labels stand.
fn has_columns(manifest: &Manifest, sets: &LabelSets, columns: &Columns) -> bool {
    let test = manifest.header.data.test.as_ref().and_then(|file| {
        let mut reading = manifest.reading();
        reading.label_column = None;
        reading.open(&file.path).ok()
    });
    let names = sets.columns(columns);
    test.is_some_and(|rows| names.iter().all(|name| rows.columns().names().iter().any(|own| own == name)))
}

impl Experiment {
    /// Labels for rows that have several: K rows of each, and K that have none.
    pub(super) fn split_of_several(&self, truths: &LabelTruths, seed: u64) -> Result<Split> {
        let identities = |set: &Dataset| -> Vec<String> {
            set.examples.iter().map(|example| sample::identity(&set.columns, example)).collect()
        };
        let shots = self.manifest.shots.unwrap_or(usize::MAX);
        let own = identities(&self.train);
        let drawn = sample::k_shot_of_sets(&own, &truths.train, shots, &[], seed);
        let held_out = match (self.manifest.select, &self.dev, &truths.dev) {
            (Select::Dev, Some(dev), Some(of_dev)) => {
                Some((dev, of_dev, sample::k_shot_of_sets(&identities(dev), of_dev, shots, &[], seed)))
            }
            (Select::Dev, ..) => {
                let left = sample::k_shot_of_sets(&own, &truths.train, shots, &drawn.rows, seed);
                Some((&self.train, &truths.train, left))
            }
            _ => None,
        };
        if held_out.as_ref().is_some_and(|(_, _, drawn)| drawn.rows.is_empty()) {
            let data = self.train.columns.data().to_owned();
            return Err(TrainingError::NoDevRows { data }.into());
        }
        let labels = truths.train.first().map_or(0, Vec::len);
        // Rows without any label are taken as they are there.
        let of_labels = drawn.short.into_iter().filter(|short| short.class < labels);
        let short: Vec<Shortage> =
            if self.manifest.shots.is_some() { of_labels.collect() } else { Vec::new() };
        let held_out =
            held_out.map(|(set, truths, drawn)| with_labels(set.pick(&drawn.rows), truths, &drawn.rows));
        Ok(Split { train: drawn.rows, held_out, short })
    }

    /// The measures of several labels a row on the test rows, at a threshold of a half.
    pub(super) fn evaluate_several(
        &self,
        truths: &LabelTruths,
        predictions: &[Prediction],
    ) -> Option<MultiLabelMetrics> {
        let labels = labels(&self.manifest);
        let rows = truths.test.iter().zip(predictions);
        let known = rows.filter_map(|(truth, said)| Some((truth.clone()?, probabilities(said))));
        let (truths, scores): (Vec<Vec<bool>>, Vec<Vec<f64>>) = known.unzip();
        let given = |row: &Vec<f64>| row.iter().map(|own| *own >= USUAL).collect();
        let said: Vec<Vec<bool>> = scores.iter().map(given).collect();
        MultiLabelMetrics::of(&labels, &truths, &said, &scores)
    }

    /// Writes the answers to the test rows.
    pub(super) fn write_labels(
        &self,
        path: &std::path::Path,
        truths: &LabelTruths,
        test: &Dataset,
        predictions: &[Prediction],
    ) -> Result<()> {
        make_folder_of(path)?;
        let labels = labels(&self.manifest);
        let (to, thresholds) = (Destination::create(path)?, Thresholds::same(&labels, USUAL)?);
        let separator = truths.sets.separator();
        let mut output = LabelsWriter::create(to, labels, separator, false, &test.columns, false)?;
        for (example, said) in test.examples.iter().zip(predictions) {
            let probabilities = probabilities(said);
            let given = thresholds.given(&probabilities);
            output.write(example, &LabelsAnswer { probabilities, given, set: None })?;
        }
        output.finish()?.commit()
    }
}

fn probabilities(prediction: &Prediction) -> Vec<f64> {
    against_last(prediction).into_iter().map(sigmoid).collect()
}

/// Rows with all their labels as targets.
pub(super) fn with_labels(rows: LabelledDataset, truths: &[Vec<bool>], picked: &[usize]) -> LabelledDataset {
    let targets = picked.iter().map(|&row| Target::Labels(truths[row].clone())).collect();
    LabelledDataset { targets, ..rows }
}

/// What a training for several labels a row has no place for.
pub(super) fn check(manifest: &Manifest) -> Result<(), Errors> {
    let Some(_) = &manifest.several_labels else { return Ok(()) };
    let mut errors = Errors::new();
    let wrong = [
        (manifest.descriptions.is_some(), "descriptions"),
        (manifest.null_inputs.is_some(), "null inputs"),
        (manifest.demonstrations.is_some(), "demonstrations"),
        (manifest.trains_baselines(), "baseline that is trained"),
        (manifest.select == Select::Cv, "cross-validation"),
    ];
    let wrong = wrong.iter().filter(|(is, _)| *is);
    errors.extend(wrong.map(|(_, what)| MultiLabelError::NotInTraining { what }.into()));
    errors.none()
}
