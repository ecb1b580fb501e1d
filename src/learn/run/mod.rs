//! A run's folder: what was asked for, what was learned, and what came of it. Every file in it is whole or
//! absent.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | all that is needed to run it again: the [`Header`] of every kind of run, and a body |
//! | `sampled/seed-S.csv` | the rows that seed S was trained on, and `selection` rows where there are any |
//! | `learned/seed-S.safetensors` | only what was learned |
//! | `predictions/seed-S.csv` | the test rows, as `score` writes them |
//! | `events.jsonl` | every step and every look at held-out rows |
//! | `metrics.json` | the table of results; there when all is done |
//! | `checkpoints/seed-S-PART.safetensors` | where training stands, until seed S is done |
//! | `plan.json`, `cells/K/…` | of a run that many processes do: its cells; what each notes until all is done |
//!
//! Every safetensors file has the hash of what it holds, the name of the manifest that it was made under and
//! its own place in itself: a damaged one, one whose manifest was edited afterwards, and one of another seed
//! or part is refused.

mod checkpoint;
mod files;
mod header;
mod manifest;
mod patterns;
mod sealed;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

use crate::error::source::Source;
use crate::error::{Error, Kind, Result, RunError};
use crate::learn::train::{Event, HeldOutEvaluation, State};
use crate::model::tensor_file;
use crate::text::json::{self, Node};
use crate::text::whole_file::{WholeFile, is_partial, make_folder_of};
use crate::tune::Learned;

pub use files::{DataFile, DataFiles, InitFrom, LearnedFile, ModelFiles, StoredFile};
pub use header::{
    Device, FIRST_VERSION, Form, Header, Parts, RunKind, VERSION, Written, check_seeds, form, kind_of, read,
};
pub(crate) use header::{Planned, parse, place, written};
pub(crate) use manifest::check_drawing;
pub use manifest::{DescribedBy, Manifest, Select, SeveralLabels};
use sealed::Owner;

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    /// Its manifest, which the tensors in it are bound to.
    manifest: Arc<Value>,
    /// The folder of its events: its own, or that of a cell.
    notes: PathBuf,
    /// Held by whoever writes: no other process may then. They are given back when the process ends, however
    /// it ends.
    held: Vec<Arc<fs::File>>,
}

/// A line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedEvent {
    /// Which seed's training.
    pub seed: u64,
    /// Which training: `run`, or `fold-N` of a cross-validation, or the `cls` baseline.
    pub part: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// So often a folder is asked for that another process seems to have, and so long after each time.
const TRIES: usize = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

impl RunFolder {
    /// Refuses a path where no new run can be, because something is there.
    pub fn check_free(path: &Path) -> Result<()> {
        if path.is_file() {
            return Err(RunError::FolderIsFile { path: path.to_owned() }.into());
        }
        // A kill while the folder was made leaves it with half a manifest, which is nothing.
        let holds = |entry: &std::io::Result<fs::DirEntry>| {
            entry.as_ref().is_ok_and(|entry| !is_partial(&entry.path()))
        };
        if path.is_dir()
            && fs::read_dir(path).map_err(|error| Error::writing(path, &error))?.any(|entry| holds(&entry))
        {
            let run = path.join(MANIFEST).exists();
            return Err(RunError::FolderTaken { path: path.to_owned(), run }.into());
        }
        Ok(())
    }

    /// A new folder with its manifest. One that holds anything is refused.
    pub fn create(path: &Path, manifest: &Written<impl Serialize>) -> Result<RunFolder> {
        RunFolder::check_free(path)?;
        fs::create_dir_all(path).map_err(|error| Error::writing(path, &error))?;
        // First of all: what has a manifest can be gone on with.
        WholeFile::create(&path.join(MANIFEST))?.commit_json(manifest)?;
        // As it is read: that is what its tensors are bound to.
        let mut folder = RunFolder::existing(path)?;
        folder.hold()?;
        Ok(folder)
    }

    /// Takes the folder for writing; refused while another process has it. What a kill left half written
    /// goes.
    pub fn hold(&mut self) -> Result<()> {
        let in_use = RunError::InUse { path: self.path.clone() };
        self.held = vec![lock(&self.path.join(MANIFEST), fs::File::try_lock, in_use)?];
        remove_partial(&self.path);
        Ok(())
    }

    /// The folder as the process of one cell has it: with events of the cell's own, so that cells are done at
    /// the same time. Refused while another process does the cell, or has the whole run.
    pub fn for_cell(path: &Path, cell: usize) -> Result<RunFolder> {
        let mut folder = RunFolder::existing(path)?;
        let in_use = RunError::InUse { path: path.to_owned() };
        folder.held.push(lock(&path.join(MANIFEST), fs::File::try_lock_shared, in_use)?);
        folder.notes = path.join(CELLS).join(cell.to_string());
        fs::create_dir_all(&folder.notes).map_err(|error| Error::writing(&folder.notes, &error))?;
        let own = folder.notes.join("lock");
        fs::write(&own, "").map_err(|error| Error::writing(&own, &error))?;
        let in_use = RunError::CellInUse { path: path.to_owned(), cell };
        folder.held.push(lock(&own, fs::File::try_lock, in_use)?);
        Ok(folder)
    }

    /// Puts what cells have noted into the run's own lists, in the order of their numbers. Given again, it
    /// changes nothing: what is there of the same step stays.
    pub fn gather(&self) -> Result<()> {
        let (folder, mut cells) = (self.path.join(CELLS), Vec::new());
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let number = entry.file_name().to_string_lossy().parse::<usize>();
            cells.extend(number.map(|cell| (cell, entry.path())));
        }
        cells.sort();
        for list in [EVENTS, SECONDS] {
            let of_cells: Vec<String> =
                cells.iter().map(|(_, cell)| lines(&cell.join(list))).collect::<Result<Vec<_>>>()?.concat();
            let mut all = lines(&self.path.join(list))?;
            let there: HashSet<String> = all.iter().map(|line| place_of(line)).collect();
            all.extend(of_cells.into_iter().filter(|line| !there.contains(&place_of(line))));
            if !all.is_empty() {
                let text: String = all.into_iter().map(|line| line + "\n").collect();
                WholeFile::create(&self.path.join(list))?.commit_text(&text)?;
            }
        }
        Ok(())
    }

    /// Where a list is that this process adds to.
    pub(crate) fn note(&self, list: &str) -> PathBuf {
        self.notes.join(list)
    }

    /// An existing folder and its manifest.
    pub fn open(path: &Path) -> Result<(RunFolder, Manifest)> {
        let folder = RunFolder::existing(path)?;
        let manifest = Manifest::read(&path.join(MANIFEST))?;
        Ok((folder, manifest))
    }

    /// A run that was stopped, held for going on with it, and its manifest.
    pub fn unfinished(path: &Path) -> Result<(RunFolder, Manifest)> {
        let (mut folder, manifest) = RunFolder::open(path)?;
        if folder.is_finished(&manifest) {
            return Err(RunError::Finished { path: path.to_owned() }.into());
        }
        folder.hold()?;
        folder.gather()?;
        Ok((folder, manifest))
    }

    /// A folder that has a manifest, of whatever kind.
    pub fn existing(path: &Path) -> Result<RunFolder> {
        if path.is_file() {
            return Err(RunError::FolderIsFile { path: path.to_owned() }.into());
        }
        if !path.is_dir() {
            return Err(RunError::Missing { path: path.to_owned() }.into());
        }
        let manifest = path.join(MANIFEST);
        if !manifest.exists() {
            return Err(RunError::FileMissing { path: path.to_owned(), wanted: MANIFEST.to_owned() }.into());
        }
        let source = Source::new(manifest.display().to_string(), json::read_text(&manifest)?);
        let manifest = Arc::new(Node::root(&source).read_object()?);
        Ok(RunFolder { path: path.to_owned(), manifest, notes: path.to_owned(), held: Vec::new() })
    }

    /// Whether the table of results is there.
    pub fn has_metrics(&self) -> bool {
        self.path.join(METRICS).exists()
    }

    /// What came of a run, which takes its folder away if it is new and failed before its first step.
    pub fn unless_in_vain<T>(self, found: Result<T>, is_new: bool) -> Result<T> {
        if found.is_err() && is_new && !self.path.join(EVENTS).exists() {
            // What stays can be gone on with.
            let _ = fs::remove_dir_all(&self.path);
        }
        found
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everything is done and still there.
    pub fn is_finished(&self, manifest: &Manifest) -> bool {
        self.path.join(METRICS).exists()
            && manifest.header.seeds.iter().all(|&seed| self.learned(seed).exists())
    }

    /// Where a seed's sampled rows are.
    pub fn sampled(&self, seed: u64) -> PathBuf {
        self.path.join(format!("sampled/seed-{seed}.csv"))
    }

    /// Where a seed's predictions are.
    pub fn predictions(&self, seed: u64) -> PathBuf {
        self.path.join(format!("predictions/seed-{seed}.csv"))
    }

    /// Where what a seed learned is.
    pub fn learned(&self, seed: u64) -> PathBuf {
        self.path.join(format!("learned/seed-{seed}.safetensors"))
    }

    /// Writes what a seed learned and the evaluations on held-out rows.
    pub fn save_learned(&self, seed: u64, learned: &Learned, history: &History) -> Result<()> {
        self.write_tensors(&self.learned(seed), learned, json_text(history))
    }

    /// Reads what a seed learned.
    pub fn load_learned(&self, seed: u64) -> Result<(Learned, History)> {
        let path = self.learned(seed);
        if !path.exists() {
            let wanted = format!("learned/seed-{seed}.safetensors");
            return Err(RunError::FileMissing { path: self.path.clone(), wanted }.into());
        }
        let (learned, history) = self.read_tensors(&path)?;
        let history = serde_json::from_str(&history)
            .map_err(|_| tensor_file::unreadable(&path, "it has no history of its training".to_owned()))?;
        Ok((learned, history))
    }

    /// Writes tensors with a text and their hash, into a folder of the run that may not be there yet.
    pub fn write_tensors(&self, path: &Path, tensors: &BTreeMap<String, Tensor>, text: String) -> Result<()> {
        self.write_bound(path, tensors, text, None)
    }

    /// Writes what is of one member of an ensemble, or of its student. A member's is the same in whatever
    /// ensemble it is.
    pub fn write_member(&self, path: &Path, name: &str, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        self.write_bound(path, tensors, String::new(), Some(name))
    }

    fn write_bound(
        &self,
        path: &Path,
        tensors: &BTreeMap<String, Tensor>,
        text: String,
        member: Option<&str>,
    ) -> Result<()> {
        make_folder_of(path)?;
        sealed::write(path, tensors, text, self.owner(path, member))
    }

    /// Reads tensors and the text beside them. Damaged ones are refused, and those of another manifest or of
    /// another place in the folder.
    pub fn read_tensors(&self, path: &Path) -> Result<(BTreeMap<String, Tensor>, String)> {
        sealed::read(path, &self.owner(path, None))
    }

    /// Reads what is of one member of an ensemble, or of its student.
    pub fn read_member(&self, path: &Path, name: &str) -> Result<BTreeMap<String, Tensor>> {
        Ok(sealed::read(path, &self.owner(path, Some(name)))?.0)
    }

    /// Whose the tensors in a file of the run are: its manifest's, or of what concerns one member in it.
    fn owner(&self, path: &Path, member: Option<&str>) -> Owner {
        let place = path.strip_prefix(&self.path).unwrap_or(path);
        let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
        Owner { made_by: header::fingerprint(&self.manifest, member), place: parts.join("/") }
    }

    /// Takes the folders of checkpoints and of cells away, and writes the table of results.
    pub fn finish(&self, metrics: &impl Serialize) -> Result<()> {
        self.drop_all_checkpoints();
        self.drop_cells();
        self.write_json(&self.path.join(METRICS), metrics)
    }

    /// Opens the list of events for more of them. Those of a training's steps beyond where it stands are
    /// dropped: they come again.
    pub fn events(&self, still_true: &dyn Fn(&SeedEvent) -> bool) -> Result<Events> {
        let path = self.note(EVENTS);
        let mut kept = Vec::new();
        if let Ok(file) = fs::File::open(&path) {
            for line in BufReader::new(file).lines() {
                let line = line.map_err(|error| Error::reading(&path, &error))?;
                // A line cut short by a kill is one of those that come again.
                if serde_json::from_str::<SeedEvent>(&line).is_ok_and(|event| still_true(&event)) {
                    kept.extend_from_slice(line.as_bytes());
                    kept.push(b'\n');
                }
            }
        }
        // Also where the last line is whole but for its end.
        if !fs::metadata(&path).is_ok_and(|file| file.len() == kept.len() as u64) {
            let mut file = WholeFile::create(&path)?;
            file.write_all(&kept).map_err(|error| Error::writing(&path, &error))?;
            file.commit()?;
        }
        let file =
            fs::File::options().append(true).open(&path).map_err(|error| Error::writing(&path, &error))?;
        Ok(Events { file, path })
    }

    /// Gives each event that was written.
    pub fn each_event(&self, take: &mut dyn FnMut(SeedEvent)) -> Result<()> {
        let path = self.note(EVENTS);
        let Ok(file) = fs::File::open(&path) else { return Ok(()) };
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| Error::reading(&path, &error))?;
            serde_json::from_str(&line).into_iter().for_each(&mut *take);
        }
        Ok(())
    }

    /// The seconds that the steps of some parts of a seed took together. None where no step is known.
    pub fn seconds_of_steps(&self, seed: u64, counts: &dyn Fn(&str) -> bool) -> Result<Option<f64>> {
        let mut sum = None;
        self.each_event(&mut |event| {
            if event.seed == seed
                && counts(&event.part)
                && let Event::Step { seconds, .. } = event.event
            {
                *sum.get_or_insert(0.0) += seconds;
            }
        })?;
        Ok(sum)
    }

    /// Whether cells have done a part of it, whose checkpoints say that they are done until all is.
    pub fn has_cells(&self) -> bool {
        self.path.join(CELLS).is_dir()
    }

    /// Takes the cells' folders away: all that they noted was gathered.
    pub fn drop_cells(&self) {
        // Those that stay do no harm.
        let _ = fs::remove_dir_all(self.path.join(CELLS));
    }

    /// Writes a file of the folder.
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        WholeFile::create(path)?.commit_json(value)
    }
}

/// The manifest in a run's folder.
pub const MANIFEST: &str = "manifest.json";
/// The list of events.
const EVENTS: &str = "events.jsonl";
/// The list of where the time went.
pub(crate) const SECONDS: &str = "seconds.jsonl";
/// The folder of the cells' folders.
const CELLS: &str = "cells";
/// The table of results in the folder of a training.
pub const METRICS: &str = "metrics.json";

/// How a training went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Steps taken.
    pub steps: usize,
    /// The step that was kept.
    pub kept: usize,
    /// The evaluations on held-out rows.
    #[serde(rename = "looks")]
    pub evaluations: Vec<HeldOutEvaluation>,
    /// Numbers that moved.
    pub trained_parameters: usize,
}

impl History {
    /// Of a training that is done.
    pub fn of(state: &State) -> History {
        History {
            steps: state.step,
            kept: state.best_evaluation().map_or(state.step, |best| best.step),
            evaluations: state.evaluations.clone(),
            trained_parameters: state.trainable.size(),
        }
    }
}

/// The open list of events.
pub struct Events {
    file: fs::File,
    path: PathBuf,
}

impl Events {
    /// Adds a line.
    pub fn add(&mut self, event: &SeedEvent) -> Result<()> {
        // In one piece: what ends between a line and its end leaves a line that the next goes on with.
        let line = json_text(event) + "\n";
        self.file.write_all(line.as_bytes()).map_err(|error| Error::writing(&self.path, &error))
    }
}

/// Locks a file, or fails by `in_use`. Where a file system knows no locks, two processes in one folder cannot
/// be told. A process that this one is just starting shares its locks until it has begun: that is waited for.
fn lock(
    path: &Path,
    take: fn(&fs::File) -> std::result::Result<(), fs::TryLockError>,
    in_use: RunError,
) -> Result<Arc<fs::File>> {
    // Network file systems lock for one alone only what may be written.
    let open = |write| fs::File::options().read(true).write(write).open(path);
    let file = open(true).or_else(|_| open(false)).map_err(|error| Error::reading(path, &error))?;
    let mut tries = 0;
    while matches!(take(&file), Err(fs::TryLockError::WouldBlock)) {
        tries += 1;
        if tries > TRIES {
            return Err(Kind::Run(in_use).into());
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Ok(Arc::new(file))
}

/// The lines of a list; none where there is none, and not one that a kill cut short.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| Error::reading(path, &error))?,
    };
    let whole = |line: &&str| serde_json::from_str::<Value>(line).is_ok();
    Ok(text.lines().filter(whole).map(str::to_owned).collect())
}

/// What a line of a list is of: an event's seed, part, kind and step; any other line stands for itself.
fn place_of(line: &str) -> String {
    match serde_json::from_str::<SeedEvent>(line) {
        Ok(SeedEvent { seed, part, event }) => {
            format!("{seed} {part} {} {}", matches!(event, Event::Step { .. }), event.step())
        }
        Err(_) => line.to_owned(),
    }
}

/// Takes the beginnings of files away that are written whole, in all folders below.
fn remove_partial(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            remove_partial(&path);
        } else if is_partial(&path) {
            // One that stays does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

/// Our own types have no keys but strings and no numbers that JSON lacks, so this cannot fail.
fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
