//! The fastest type of numbers whose scores are near those of single precision: measured here and for this
//! model, where that costs little beside the work, and remembered.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tch::Device;

use crate::error::Result;
use crate::model::dtype::{Dtype, Trial};
use crate::model::features::Features;
use crate::predict::classifier::{Classifier, compute_on_one_thread};
use crate::predict::task::TaskSet;
use crate::text::data::Rows;
use crate::text::whole_file::WholeFile;

/// A type is not taken if any probability of the sample differs by more from that in single precision. The
/// default model's bf16 comes to .004 there and its int8 to .02 or .03, by the label words; int8 moved no
/// accuracy on four test sets by more than .23 points.
pub const BOUND: f64 = 0.03;

/// Timed passes over the sample; the fastest counts, for others may use the processor meanwhile.
const PASSES: usize = 3;

/// A measurement takes no longer than single precision does for so many tokens on one thread: those of 16
/// inputs of 32, for each type once to compare and [`PASSES`] times, and once more to make int8 ready.
const COST: usize = 16 * 32 * (3 * (1 + PASSES) + 1);

/// It is put off unless the work is so many times as much.
const SHARE: usize = 10;

/// So many inputs of the sample tell models apart.
const KNOWN_BY: usize = 2;

/// The types that were tried, remembered as a file.
#[derive(Serialize, Deserialize)]
struct Remembered {
    version: u64,
    trials: Vec<Trial>,
}

/// Tokens that are to come at least: about those of the first rows in the patterns, and as many more as the
/// input is larger, where its `size` in bytes is known. What a pattern adds to a row, and what a row costs
/// beside its answer, is left out.
pub fn tokens_of(rows: &mut Rows, patterns: &TaskSet, size: Option<u64>) -> usize {
    /// So many rows are looked at, and so many bytes are a token.
    const ROWS: usize = 2048;
    const BYTES: usize = 4;
    let tokens = |text: String| (text.len() / BYTES).min(patterns.max_length);
    let (mut looked_at, mut found, mut bytes) = (0, 0, 0);
    for row in rows.look_ahead(ROWS) {
        looked_at += 1;
        found += patterns.tasks.iter().map(|task| tokens(task.text(row))).sum::<usize>();
        // A separator or a line end behind each field. More may have been read of the input than these rows.
        bytes += row.fields.iter().map(|field| field.len() + 1).sum::<usize>();
    }
    match (looked_at, size) {
        (ROWS, Some(size)) => (found as f64 * (size as f64 / bytes as f64).max(1.0)) as usize,
        _ => found,
    }
}

/// Whether so many tokens on so many threads are enough work for a measurement.
pub fn pays(tokens: usize, threads: usize) -> bool {
    tokens / threads >= SHARE * COST
}

/// The fastest type for these classifiers, as they were before [`Classifier::prepared`], of those within
/// [`BOUND`] for all of them, and what was measured. It is looked up in the `memory` folder and written
/// there; a folder that cannot be written to costs a measurement each time. Where nothing is remembered and
/// nothing may be measured, it is single precision.
///
/// rust-bert's model has one type: there is nothing to choose from.
pub fn fastest(
    classifiers: &[Classifier],
    memory: Option<&Path>,
    may_measure: bool,
) -> (Dtype, Option<Vec<Trial>>) {
    let Some(own) = classifiers.iter().map(Classifier::share).collect::<Option<Vec<_>>>() else {
        return (Dtype::F32, None);
    };
    // A thread of its own, as scoring has them: one that has computed with several threads keeps them.
    let threads = tch::get_num_threads();
    let trials = std::thread::scope(|scope| {
        let trials = scope.spawn(move || remembered_or_tried(&own, memory, may_measure)).join();
        trials.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    tch::set_num_threads(threads);
    (best(&trials), Some(trials))
}

fn remembered_or_tried(classifiers: &[Classifier], memory: Option<&Path>, may_measure: bool) -> Vec<Trial> {
    let Some(first) = classifiers.first() else { return Vec::new() };
    compute_on_one_thread(classifiers);
    let inputs = first.sample_inputs();
    let known: Vec<f64> =
        classifiers.iter().flat_map(|classifier| probabilities(classifier, &inputs[..KNOWN_BY])).collect();
    let file = memory.map(|folder| folder.join(format!("{}.json", name_of(&known, first.device()))));
    if let Some(trials) = file.as_ref().and_then(|file| remembered(file)) {
        return trials;
    }
    if !may_measure {
        return Vec::new();
    }
    let trials = tried(classifiers, &inputs);
    if let Some(file) = file {
        // Only a convenience: where it cannot be written, the next run measures anew.
        let _ = remember(&file, &trials);
    }
    trials
}

/// All types on a sample of inputs, the first of them single precision.
fn tried(classifiers: &[Classifier], inputs: &[Features]) -> Vec<Trial> {
    let (mut wide, mut candidates) = (Vec::new(), Vec::new());
    let computed = |dtype: &Dtype| dtype.on(classifiers[0].device()) == *dtype;
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8].into_iter().filter(computed) {
        let prepared = |classifier: &Classifier| classifier.share()?.prepared(dtype).ok();
        // What this libtorch cannot compute in here is no candidate, nor is what gives no numbers.
        let Some(ready) = prepared(&classifiers[0]) else { continue };
        let mut found = probabilities(&ready, inputs);
        let others = classifiers[1..].iter().filter_map(prepared);
        found.extend(others.flat_map(|classifier| probabilities(&classifier, inputs)));
        if dtype == Dtype::F32 {
            wide.clone_from(&found);
        }
        let mut differences = found.iter().zip(&wide).map(|(found, wide)| (found - wide).abs());
        let largest = |largest: f64, found: f64| found.is_finite().then(|| largest.max(found));
        if let Some(largest_difference) = differences.try_fold(0.0, largest) {
            candidates.push((ready, Trial { dtype, milliseconds: f64::INFINITY, largest_difference }));
        }
    }
    // In turn, so that whatever else the machine does for a moment slows all of them.
    for _ in 0..PASSES {
        for (ready, trial) in &mut candidates {
            let start = Instant::now();
            let _ = probabilities(ready, inputs);
            trial.milliseconds = trial.milliseconds.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    candidates.into_iter().map(|(_, trial)| trial).collect()
}

fn probabilities(classifier: &Classifier, inputs: &[Features]) -> Vec<f64> {
    classifier.probabilities(&inputs.iter().collect::<Vec<_>>())
}

fn best(trials: &[Trial]) -> Dtype {
    let near = trials.iter().filter(|trial| trial.largest_difference <= BOUND);
    near.min_by(|one, other| one.milliseconds.total_cmp(&other.milliseconds))
        .map_or(Dtype::F32, |trial| trial.dtype)
}

/// A name for a model on a machine: it is the model that says these probabilities, and the machine that has
/// this processor, of which oneDNN may be kept from using all.
fn name_of(known: &[f64], device: Device) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!(
        "{} {device:?} {} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        Dtype::Bf16.on(device).name(),
        std::env::consts::ARCH,
        processor()
    ));
    known.iter().for_each(|probability| hasher.update(probability.to_le_bytes()));
    format!("{:x}", hasher.finalize())
}

/// The processor's name and abilities, where the system tells them in a file.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.split("\n\n")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| {
            ["model name", "flags", "CPU part", "Features"].iter().any(|about| line.starts_with(about))
        })
        .collect()
}

fn remembered(file: &Path) -> Option<Vec<Trial>> {
    let remembered: Remembered = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (remembered.version == 1).then_some(remembered.trials)
}

fn remember(file: &Path, trials: &[Trial]) -> Result<()> {
    let _ = file.parent().map(std::fs::create_dir_all);
    WholeFile::create(file)?.commit_json(&Remembered { version: 1, trials: trials.to_vec() })
}

/// The folder that measurements are remembered in: of the user's cache.
pub fn memory() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("cloze").join("dtypes"))
}
