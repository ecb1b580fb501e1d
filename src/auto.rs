//! The fastest type of numbers whose scores are near those of single precision: measured here and for this model, and remembered.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind as Type, no_grad};

use crate::batch::sample_inputs;
use crate::classifier::Classifier;
use crate::dtype::{Dtype, Trial};
use crate::encode::Features;
use crate::encoder::Mode;
use crate::error::Result;
use crate::output::WholeFile;

/// A type is not taken if any probability of the sample differs by more from that in single precision. Where int8 came to .02 on the
/// sample, no accuracy on the sets that it was measured on moved by more than .23 points.
pub const BOUND: f64 = 0.05;

/// Timed passes over the sample; the fastest counts, for others may use the processor meanwhile.
const PASSES: usize = 4;

/// So many inputs of the sample tell models apart.
const KNOWN_BY: usize = 2;

/// The types that were tried, remembered as a file.
#[derive(Serialize, Deserialize)]
struct Remembered {
    version: u64,
    trials: Vec<Trial>,
}

/// The fastest type for this classifier, as it was before [`Classifier::prepared`], of those within [`BOUND`], and what was measured.
/// It is looked up in the `memory` folder and written there; a folder that cannot be written to costs a measurement each time.
///
/// rust-bert's model has one type, which is not measured.
pub fn fastest(classifier: &Classifier, memory: Option<&Path>) -> (Dtype, Vec<Trial>) {
    let Some(own) = classifier.share() else { return (Dtype::F32, Vec::new()) };
    let inputs = sample_inputs(classifier.tokenizer(), classifier.room());
    // A thread of its own, as scoring has them: one that has computed with several threads keeps them.
    let threads = tch::get_num_threads();
    let trials = std::thread::scope(|scope| {
        let trials = scope.spawn(|| remembered_or_tried(own, &inputs, memory)).join();
        trials.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    tch::set_num_threads(threads);
    (best(&trials), trials)
}

fn remembered_or_tried(classifier: Classifier, inputs: &[Features], memory: Option<&Path>) -> Vec<Trial> {
    if classifier.device() == Device::Cpu {
        tch::set_num_threads(1);
    }
    let known = probabilities(&classifier, &inputs[..KNOWN_BY]);
    let file = memory.map(|folder| folder.join(format!("{}.json", name_of(&known, classifier.device()))));
    if let Some(trials) = file.as_ref().and_then(|file| remembered(file)) {
        return trials;
    }
    let mut trials = Vec::new();
    let mut wide = Vec::new();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8] {
        // What this libtorch cannot compute in here is no candidate.
        let Some(Ok(ready)) = classifier.share().map(|classifier| classifier.prepared(dtype)) else { continue };
        let found = probabilities(&ready, inputs);
        if dtype == Dtype::F32 {
            wide.clone_from(&found);
        }
        let strays = found.iter().zip(&wide).map(|(found, wide)| (found - wide).abs()).fold(0.0, largest);
        let timed = (0..PASSES).map(|_| {
            let start = Instant::now();
            let _ = probabilities(&ready, inputs);
            start.elapsed().as_secs_f64() * 1e3
        });
        trials.push(Trial { dtype, milliseconds: timed.fold(f64::INFINITY, f64::min), strays });
    }
    if let Some(file) = file {
        // Only a convenience: where it cannot be written, the next run measures anew.
        let _ = remember(&file, &trials);
    }
    trials
}

/// The larger, and what is not a number as the largest of all.
fn largest(one: f64, other: f64) -> f64 {
    if other.is_nan() { f64::INFINITY } else { one.max(other) }
}

fn probabilities(classifier: &Classifier, inputs: &[Features]) -> Vec<f64> {
    let inputs: Vec<&Features> = inputs.iter().collect();
    let scores = no_grad(|| classifier.class_scores(&inputs, Mode::Score).softmax(-1, Type::Double));
    // Of doubles by construction.
    Vec::try_from(scores.flatten(0, -1)).unwrap_or_default()
}

fn best(trials: &[Trial]) -> Dtype {
    let near = trials.iter().filter(|trial| trial.strays <= BOUND);
    near.min_by(|one, other| one.milliseconds.total_cmp(&other.milliseconds)).map_or(Dtype::F32, |trial| trial.dtype)
}

/// A name for a model on a machine: it is the model that says these probabilities, and the machine that has this processor.
fn name_of(known: &[f64], device: Device) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{} {device:?} {} {}\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, processor()));
    known.iter().for_each(|probability| hasher.update(probability.to_le_bytes()));
    hasher.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The processor's name and abilities, where the system tells them in a file.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.split("\n\n")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("model name") || line.starts_with("flags"))
        .collect()
}

fn remembered(file: &Path) -> Option<Vec<Trial>> {
    let remembered: Remembered = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    (remembered.version == 1).then_some(remembered.trials)
}

fn remember(file: &Path, trials: &[Trial]) -> Result<()> {
    let _ = file.parent().map(std::fs::create_dir_all);
    let mut whole = WholeFile::create(file)?;
    let writing = |error: serde_json::Error| crate::error::Error::writing(file, &error.into());
    serde_json::to_writer_pretty(&mut whole, &Remembered { version: 1, trials: trials.to_vec() }).map_err(writing)?;
    whole.commit()
}

/// The folder that measurements are remembered in: of the user's cache.
pub fn memory() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("cloze").join("dtypes"))
}
