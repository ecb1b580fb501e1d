//! An ensemble run's folder. Every file in it is whole or absent, and one that is there is not made again: so
//! a run goes on.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | the experiment, and what it was run with: [`super::Manifest`] |
//! | `sampled/seed-S.csv` | the labelled rows of seed S |
//! | `zero-shot/NAME.scores.safetensors` | what a pattern says without training |
//! | `generation-G/seed-S/NAME.scores.safetensors` | what a member says: its probabilities for unlabelled and test rows |
//! | `generation-G/seed-S/NAME.learned.safetensors` | what it learned, for as long as it is needed or kept |
//! | `generation-G/seed-S/NAME.failed.json` | why it could not be trained |
//! | `…/student.scores.safetensors`, … | the same of the student of that generation |
//! | `soft-labels/seed-S.csv` | what the last student learned |
//! | `predictions/ensemble-seed-S.csv`, `predictions/student-seed-S.csv` | the test rows, as `score` writes them |
//! | `events.jsonl`, `seconds.jsonl` | every step of training; where the time went |
//! | `report.json`, `report.html` | the results; there when all is done |

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::page::page;
use super::report::{EnsembleReport, Failure, Seconds};
use crate::error::{Error, Result, RunError};
use crate::learn::run::{MANIFEST, RunFolder, SECONDS};
use crate::model::values::values;
use crate::predict::report::Prediction;
use crate::text::whole_file::write_text;
use crate::tune::Learned;

use super::manifest::Manifest;

/// An ensemble run's folder.
#[derive(Debug, Clone)]
pub struct EnsembleFolder {
    /// Checkpoints, events and the manifest, as every run has them.
    pub run: RunFolder,
}

/// A stage of the experiment: without training, or a generation.
pub type Generation = Option<usize>;

/// What a classifier says.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// Of each unlabelled row; none where nobody asks.
    pub unlabeled: Vec<Prediction>,
    /// Of each test row.
    pub test: Vec<Prediction>,
    /// Of inputs without content; only where it is calibrated by them.
    pub without_content: Vec<Prediction>,
    /// Of each seed's train rows, by seed; only without training.
    pub train: BTreeMap<u64, Vec<Prediction>>,
}

/// The student's name among the members, which no pattern can have: their names have a `+`.
pub const STUDENT: &str = "student";

impl EnsembleFolder {
    /// A new folder with its manifest. One that holds anything is refused.
    pub fn create(path: &Path, manifest: &Manifest) -> Result<EnsembleFolder> {
        let written = manifest.written().ok_or_else(|| not_run(path))?;
        Ok(EnsembleFolder { run: RunFolder::create(path, &written)? })
    }

    /// An existing folder and its manifest.
    pub fn open(path: &Path) -> Result<(EnsembleFolder, Manifest)> {
        let run = RunFolder::existing(path)?;
        let manifest = Manifest::read(&run.path().join(MANIFEST))?;
        if manifest.run.is_none() {
            return Err(not_run(path));
        }
        Ok((EnsembleFolder { run }, manifest))
    }

    /// A run that was stopped, held for going on with it, and its manifest.
    pub fn unfinished(path: &Path) -> Result<(EnsembleFolder, Manifest)> {
        let (mut folder, manifest) = EnsembleFolder::open(path)?;
        if folder.is_finished() {
            return Err(RunError::Finished { path: path.to_owned() }.into());
        }
        folder.run.hold()?;
        folder.run.gather()?;
        Ok((folder, manifest))
    }

    /// The folder as the process of one cell has it: see [`RunFolder::for_cell`].
    pub fn for_cell(path: &Path, cell: usize) -> Result<EnsembleFolder> {
        Ok(EnsembleFolder { run: RunFolder::for_cell(path, cell)? })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.run.path()
    }

    /// Whether all is done.
    pub fn is_finished(&self) -> bool {
        self.report().exists()
    }

    /// Where the results are.
    pub fn report(&self) -> PathBuf {
        self.path().join("report.json")
    }

    /// Where what a classifier says is.
    pub fn scores(&self, generation: Generation, seed: u64, name: &str) -> PathBuf {
        self.place(generation, seed).join(format!("{name}.scores.safetensors"))
    }

    /// Where what it learned is.
    pub fn learned(&self, generation: usize, seed: u64, name: &str) -> PathBuf {
        self.place(Some(generation), seed).join(format!("{name}.learned.safetensors"))
    }

    fn failed(&self, generation: usize, seed: u64, name: &str) -> PathBuf {
        self.place(Some(generation), seed).join(format!("{name}.failed.json"))
    }

    /// A stage's folder. Without training nothing but the student knows a seed.
    fn place(&self, generation: Generation, seed: u64) -> PathBuf {
        match generation {
            None => self.path().join("zero-shot"),
            Some(generation) => self.path().join(format!("generation-{generation}/seed-{seed}")),
        }
    }

    /// Writes what a classifier says.
    pub fn save_scores(&self, path: &Path, scores: &Scores) -> Result<()> {
        let mut tensors = BTreeMap::from([
            ("unlabeled".to_owned(), tensor(&scores.unlabeled)),
            ("test".to_owned(), tensor(&scores.test)),
        ]);
        if !scores.without_content.is_empty() {
            tensors.insert("without_content".to_owned(), tensor(&scores.without_content));
        }
        tensors.extend(scores.train.iter().map(|(seed, rows)| (format!("train/{seed}"), tensor(rows))));
        self.run.write_member(path, name_in(path), &tensors)
    }

    /// Reads what a classifier says. What is reckoned with is always what was read, so that a run that goes
    /// on reckons with the same.
    pub fn load_scores(&self, path: &Path) -> Result<Scores> {
        let tensors = self.run.read_member(path, name_in(path))?;
        let part = |name: &str| tensors.get(name).map(predictions).unwrap_or_default();
        let train = tensors
            .iter()
            .filter_map(|(name, rows)| Some((name.strip_prefix("train/")?.parse().ok()?, predictions(rows))));
        let without_content = part("without_content");
        Ok(Scores {
            unlabeled: part("unlabeled"),
            test: part("test"),
            without_content,
            train: train.collect(),
        })
    }

    /// Writes what a classifier learned.
    pub fn save_learned(&self, path: &Path, learned: &Learned) -> Result<()> {
        self.run.write_member(path, name_in(path), learned)
    }

    /// Reads what a classifier learned.
    pub fn load_learned(&self, path: &Path) -> Result<Learned> {
        if !path.exists() {
            let wanted = path.strip_prefix(self.path()).unwrap_or(path).display().to_string();
            return Err(RunError::FileMissing { path: self.path().to_owned(), wanted }.into());
        }
        self.run.read_member(path, name_in(path))
    }

    /// Takes what a classifier learned away.
    pub fn drop_learned(&self, generation: usize, seed: u64, name: &str) {
        // One that stays does no harm.
        let _ = fs::remove_file(self.learned(generation, seed, name));
    }

    /// Notes that a model could not be trained.
    pub fn save_failure(&self, failure: &Failure) -> Result<()> {
        let path = self.failed(failure.generation, failure.seed, &failure.name);
        make_parent(&path)?;
        self.run.write_json(&path, failure)
    }

    /// Why a model could not be trained, if so.
    pub fn failure(&self, generation: usize, seed: u64, name: &str) -> Option<Failure> {
        serde_json::from_slice(&fs::read(self.failed(generation, seed, name)).ok()?).ok()
    }

    /// Adds to the time that a kind of work took.
    pub fn add_seconds(&self, step: &str, seconds: f64) -> Result<()> {
        let path = self.run.note(SECONDS);
        let writing = |error: std::io::Error| Error::writing(&path, &error);
        let line = serde_json::to_string(&Seconds { step: step.to_owned(), seconds }).unwrap_or_default();
        let mut file = fs::File::options().append(true).create(true).open(&path).map_err(writing)?;
        file.write_all((line + "\n").as_bytes()).map_err(writing)
    }

    /// Where the time went, in the order in which it was first spent. A line that a kill cut short is left
    /// out.
    pub fn seconds(&self) -> Vec<Seconds> {
        let mut sums: Vec<Seconds> = Vec::new();
        let Ok(file) = fs::File::open(self.run.note(SECONDS)) else { return sums };
        for line in BufReader::new(file).lines().map_while(std::io::Result::ok) {
            let Ok(Seconds { step, seconds }) = serde_json::from_str(&line) else { continue };
            match sums.iter_mut().find(|sum| sum.step == step) {
                Some(sum) => sum.seconds += seconds,
                None => sums.push(Seconds { step, seconds }),
            }
        }
        sums
    }

    /// Where the results are as a page.
    pub fn page(&self) -> PathBuf {
        self.path().join("report.html")
    }

    /// Writes the results, and takes the folders of checkpoints and of cells away. The report is last: where it
    /// is, all is done.
    pub fn finish(&self, report: &EnsembleReport) -> Result<()> {
        let name = self.path().display().to_string();
        write_text(&self.page(), &page(&[(&name, report)]))?;
        self.run.drop_all_checkpoints();
        self.run.drop_cells();
        self.run.write_json(&self.report(), report)
    }
}

/// The error of a manifest that does not say what it was run with.
fn not_run(path: &Path) -> Error {
    RunError::NotRun { path: path.to_owned() }.into()
}

/// The member's name in that of its file, or the student's; a name with a dot keeps it.
fn name_in(path: &Path) -> &str {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let end = [".scores.safetensors", ".learned.safetensors"];
    end.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(file)
}

fn make_parent(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| Error::writing(folder, &error))
}

/// `[N,C]`
fn tensor(predictions: &[Prediction]) -> Tensor {
    let classes = predictions.first().map_or(0, |prediction| prediction.probabilities.len());
    let values: Vec<f64> =
        predictions.iter().flat_map(|prediction| prediction.probabilities.iter().copied()).collect();
    Tensor::from_slice(&values).view([predictions.len() as i64, classes as i64])
}

fn predictions(tensor: &Tensor) -> Vec<Prediction> {
    let classes = tensor.size().get(1).map_or(0, |size| usize::try_from(*size).unwrap_or(0));
    if classes == 0 {
        // Two dimensions by construction; a damaged file has no rows.
        Vec::new()
    } else {
        values::<f64>(tensor).chunks(classes).map(|row| Prediction { probabilities: row.to_vec() }).collect()
    }
}
