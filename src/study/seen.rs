//! Rows that a run was trained on, among rows that it answers: results on them say little.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::path::Path;

use crate::learn::run::RunFolder;
use crate::learn::sample;
use crate::predict::report::TrainedOn;
use crate::study::multi_task;
use crate::study::run::{Contents, Run, Wanted};
use crate::text::data::{Columns, Example, Format, Reading};
use crate::text::dataset::{Dataset, Labels, words_hash};
use crate::text::template::Template;

/// So many records are named.
const MOST_NAMED: usize = 5;

/// The rows that a run was trained on, or chosen by, as far as they can still be found; of each its hash
/// alone stays in memory. Two rows are the same if they agree, but for capitals and
/// white space, in the columns that are read: to most models they are.
pub struct SeenRows {
    read: Vec<String>,
    hashes: HashSet<u64>,
}

/// Rows counted as they come.
pub struct Counter {
    seen: SeenRows,
    places: Vec<usize>,
    found: TrainedOn,
}

impl Run {
    /// The rows of the wanted seeds. None where nothing was learned, or the rows cannot be found any more:
    /// that is no error, since nothing else needs them.
    pub fn seen_rows(&self, wanted: &Wanted) -> Option<SeenRows> {
        let seeds = self.chosen_seeds(wanted.seed).ok()?;
        let seen = match &self.contents {
            Contents::Train(folder, manifest) => sampled(folder, &seeds, manifest.columns.clone()),
            Contents::Ensemble(folder, manifest) => {
                sampled(&folder.run, &seeds, manifest.run.as_ref()?.columns.clone())
            }
            Contents::Tasks(_, manifest) => drawn(manifest, wanted.task.as_deref()?, &seeds)?,
        };
        (!seen.hashes.is_empty()).then_some(seen)
    }

    /// The rows of a file that the wanted seeds were trained on, and how many rows it has. None where there
    /// are none, or that cannot be told.
    pub fn trained_on(&self, wanted: &Wanted, data: &Path, reading: &Reading) -> Option<(TrainedOn, u64)> {
        let seen = self.seen_rows(wanted)?;
        let rows = reading.open(data).ok()?;
        let (mut seen, mut count) = (seen.among(rows.columns())?, 0);
        for row in rows.map_while(Result::ok) {
            seen.add(&row);
            count += 1;
        }
        Some((seen.found()?, count))
    }
}

/// From the files in which a run keeps what each seed drew.
fn sampled(folder: &RunFolder, seeds: &[u64], read: Vec<String>) -> SeenRows {
    let mut seen = SeenRows { read, hashes: HashSet::new() };
    for &seed in seeds {
        let reading = Reading { format: Some(Format::Csv), ..Reading::default() };
        let Ok(rows) = reading.open(&folder.sampled(seed)) else { continue };
        let columns = rows.columns().clone();
        seen.add(&columns, rows.map_while(Result::ok));
    }
    seen
}

/// As a training of several tasks drew them: from the file that it was given, if that is still the same.
fn drawn(manifest: &multi_task::Manifest, name: &str, seeds: &[u64]) -> Option<SeenRows> {
    let task = manifest.tasks.iter().find(|task| task.name == name)?;
    let file = task.train.as_ref().filter(|file| file.check().is_ok())?;
    let (verbalizer, templates) = (task.read_verbalizer().ok()?, task.read_templates().ok()?);
    let data = &manifest.header.data;
    let reading = data.reading();
    let read = Template::columns_of_all(&templates);
    let path: &Path = &file.path;
    let set = Dataset::read(path, &reading, &read, &verbalizer, None, Labels::Needed).ok()?;
    let mut seen = SeenRows { read, hashes: HashSet::new() };
    for &seed in seeds {
        let shots = task.shots.unwrap_or(usize::MAX);
        let drawn = sample::k_shot(&set.candidates(), verbalizer.classes().len(), shots, seed).rows;
        seen.add(&set.columns, &set.pick(&drawn).examples);
    }
    Some(seen)
}

impl SeenRows {
    /// Rows of data sets; other rows are the same if they agree in the columns `read`. None where there are
    /// no rows, so that none is looked for.
    pub fn of_sets<'s>(sets: impl IntoIterator<Item = &'s Dataset>, read: Vec<String>) -> Option<SeenRows> {
        SeenRows::of_rows(sets.into_iter().map(|set| (&*set.columns, &set.examples[..])), read)
    }

    /// The same of rows with their columns.
    pub fn of_rows<'s>(
        sets: impl IntoIterator<Item = (&'s Columns, &'s [Example])>,
        read: Vec<String>,
    ) -> Option<SeenRows> {
        let mut seen = SeenRows { read, hashes: HashSet::new() };
        sets.into_iter().for_each(|(columns, rows)| seen.add(columns, rows));
        (!seen.hashes.is_empty()).then_some(seen)
    }

    fn add(&mut self, columns: &Columns, rows: impl IntoIterator<Item = impl Borrow<Example>>) {
        let Some(places) = places(columns, &self.read) else { return };
        self.hashes.extend(rows.into_iter().map(|row| words_hash(row.borrow(), &places)));
    }

    /// Counts rows with these columns.
    pub fn among(self, columns: &Columns) -> Option<Counter> {
        let places = places(columns, &self.read)?;
        Some(Counter { seen: self, places, found: TrainedOn::default() })
    }
}

impl Counter {
    /// Counts a row.
    pub fn add(&mut self, row: &Example) {
        if self.seen.hashes.contains(&words_hash(row, &self.places)) {
            self.found.rows += 1;
            if self.found.records.len() < MOST_NAMED {
                self.found.records.push(row.record);
            }
        }
    }

    /// What was found, if anything.
    pub fn found(self) -> Option<TrainedOn> {
        (self.found.rows > 0).then_some(self.found)
    }
}

/// Where the columns that are read stand; none if one is missing.
fn places(columns: &Columns, read: &[String]) -> Option<Vec<usize>> {
    let place = |name: &String| columns.names().iter().position(|column| column == name);
    read.iter().map(place).collect::<Option<Vec<usize>>>().filter(|places| !places.is_empty())
}
