//! Methods against each other on the same test rows, whatever made their answers: runs, and files of scores
//! of this and of other tools.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compare::{OverSeeds, PairedDifference, accuracy_95, over_seeds_and_rows};
use super::ensemble::read::FILE;
use super::ensemble::summary::{BetweenRuns, Comparison, Rated};
use super::report::RunReport;
use crate::error::{DataError, Error, Result};
use crate::learn::run::MANIFEST;
use crate::text::data::{Example, Format, ID, Reading, Rows};

/// How files of scores are read.
#[derive(Debug, Clone)]
pub struct ScoreFiles {
    /// The column of the answers.
    pub predicted_column: String,
    /// The column of the true labels, if not `label`.
    pub label_column: Option<String>,
    /// The column that says which row it is: rows of files that both have it are joined by it, all others by
    /// their order.
    pub id_column: String,
    /// The format, where a file's name does not tell.
    pub format: Option<Format>,
    /// The rows with their labels, for files that have none.
    pub labels: Option<PathBuf>,
}

impl Default for ScoreFiles {
    fn default() -> ScoreFiles {
        ScoreFiles {
            predicted_column: "predicted".to_owned(),
            label_column: None,
            id_column: ID.to_owned(),
            format: None,
            labels: None,
        }
    }
}

/// A method's answers to labelled rows.
#[derive(Debug, Clone)]
pub struct Method {
    /// What it is called: where its answers are.
    pub name: String,
    answers: Result<Answers, &'static str>,
}

/// What is known of the labelled test rows.
#[derive(Debug, Clone)]
struct Answers {
    /// For each seed, which of them are right.
    right: Vec<Vec<bool>>,
    /// Their labels; none of runs, which keep none.
    labels: Option<Vec<String>>,
    /// Which rows they are; none where no column says it.
    ids: Option<Vec<String>>,
    /// Which rows of their file have a label, of files.
    labelled: Option<Vec<bool>>,
    /// Of the test file, of runs.
    test_sha256: Option<String>,
}

/// A method's measures.
#[derive(Debug, Clone, Serialize)]
pub struct MethodMetrics {
    /// What it is called.
    pub name: String,
    /// Labelled rows.
    pub rows: usize,
    /// The accuracy of each seed.
    pub accuracies: Vec<f64>,
    /// Their mean.
    pub accuracy: f64,
    /// Its 95 % interval over other test rows: see [`accuracy_95`].
    pub accuracy_95: [f64; 2],
    /// Over the seeds, of two and more.
    pub over_seeds: Option<OverSeeds>,
}

/// Two methods.
#[derive(Debug, Clone, Serialize)]
pub struct Between {
    /// The paired test, corrected for all pairs; or why there is none.
    #[serde(flatten)]
    pub pair: BetweenRuns,
    /// The difference's interval over other seeds and other rows, where both have several seeds: see
    /// [`over_seeds_and_rows`].
    pub over_seeds_and_rows_95: Option<[f64; 2]>,
}

/// Methods side by side.
#[derive(Debug, Clone, Serialize)]
pub struct MethodsReport {
    /// The version of this format.
    pub version: u64,
    /// Those whose answers are known.
    pub methods: Vec<MethodMetrics>,
    /// Each pair once.
    pub between: Vec<Between>,
}

/// A row of a file of scores, or of labels.
struct ScoredRow {
    predicted: String,
    label: Option<String>,
    id: Option<String>,
}

impl ScoreFiles {
    /// The method whose answers are there: a run's folder, a file of scores, or a folder of several, one for
    /// each seed.
    pub fn method(&self, path: &Path) -> Result<Method> {
        let name = path.display().to_string();
        if !path.is_dir() {
            return Ok(Method { name, answers: Ok(self.answers(path, &[])?) });
        }
        if path.join(MANIFEST).exists() || path.join(FILE).exists() {
            let report = RunReport::of_run(path)?;
            return Ok(Method { name, answers: report.rated().map(Answers::of_run) });
        }
        let entries = fs::read_dir(path).map_err(|error| Error::reading(path, &error))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> =
            paths.filter(|file| file.is_file() && Format::of(file).is_some()).collect();
        files.sort();
        let Some((first, others)) = files.split_first() else {
            return Err(DataError::WithoutScores { folder: name }.into());
        };
        Ok(Method { name, answers: Ok(self.answers(first, others)?) })
    }

    /// Methods against each other.
    ///
    /// ```
    /// use cloze::study::methods::ScoreFiles;
    /// let folder = tempfile::tempdir()?;
    /// let [a, b] = [("a.csv", "yes\nno\nno\n"), ("b.csv", "no\nno\nyes\n")].map(|(name, said)| {
    ///     let labelled = said.replace('\n', ",yes\n");
    ///     std::fs::write(folder.path().join(name), format!("predicted,label\n{labelled}")).unwrap();
    ///     ScoreFiles::default().method(&folder.path().join(name)).unwrap()
    /// });
    /// let report = ScoreFiles::compared(&[a, b]);
    /// assert_eq!(report.methods[0].rows, 3);
    /// assert_eq!(report.methods.iter().map(|method| method.accuracies[0]).collect::<Vec<_>>(), [1.0 / 3.0; 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compared(methods: &[Method]) -> MethodsReport {
        let metrics = methods.iter().filter_map(|method| {
            let right = &method.answers.as_ref().ok()?.right;
            let share =
                |list: &Vec<bool>| list.iter().filter(|right| **right).count() as f64 / list.len() as f64;
            let accuracies: Vec<f64> = right.iter().map(share).collect();
            Some(MethodMetrics {
                name: method.name.clone(),
                rows: right.first()?.len(),
                accuracy: accuracies.iter().sum::<f64>() / accuracies.len() as f64,
                accuracy_95: accuracy_95(right)?,
                over_seeds: OverSeeds::of(&accuracies),
                accuracies,
            })
        });
        let pairs =
            (0..methods.len()).flat_map(|one| (one + 1..methods.len()).map(move |other| (one, other)));
        let mut between: Vec<Between> =
            pairs.map(|(one, other)| methods[one].against(&methods[other])).collect();
        Comparison::correct(between.iter_mut().filter_map(|between| match &mut between.pair {
            BetweenRuns::Compared(comparison) => Some(comparison),
            BetweenRuns::Apart { .. } => None,
        }));
        MethodsReport { version: 1, methods: metrics.collect(), between }
    }

    /// What files say, one for each seed, in the order of the first one's rows.
    fn answers(&self, first: &Path, others: &[PathBuf]) -> Result<Answers> {
        let mut all = self.of_file(first)?;
        for file in others {
            let right = all.joined(&self.of_file(file)?);
            let apart = |_| DataError::OtherRows {
                data: file.display().to_string(),
                first: first.display().to_string(),
            };
            all.right.extend(right.map_err(apart)?);
        }
        Ok(all)
    }

    /// What one file says.
    fn of_file(&self, path: &Path) -> Result<Answers> {
        let name = path.display().to_string();
        let opened = Reading { format: self.format, ..Reading::default() };
        let reading = match (&self.labels, &self.label_column) {
            (None, Some(column)) => Reading { label_column: Some(column.clone()), ..opened },
            _ => opened,
        };
        let mut rows = self.rows(reading.open(path)?, true)?;
        if let Some(labels) = &self.labels {
            let reading = Reading {
                label_column: self.label_column.clone(),
                format: self.format,
                ..Reading::default()
            };
            let truths = reading.open(labels)?;
            if truths.columns().label().is_none() {
                let (data, columns) = (truths.columns().data().to_owned(), truths.columns().names().to_vec());
                return Err(DataError::WithoutLabels { data, columns }.into());
            }
            let truths = self.rows(truths, false)?;
            let apart = || {
                let (data, first) = (name.clone(), labels.display().to_string());
                Error::from(DataError::OtherRows { data, first })
            };
            let ids =
                |rows: &[ScoredRow]| rows.iter().map(|row| row.id.clone()).collect::<Option<Vec<String>>>();
            let places = places(ids(&truths).as_deref(), ids(&rows).as_deref(), truths.len(), rows.len());
            for (truth, place) in truths.iter().zip(places.ok_or_else(apart)?) {
                rows[place].label.clone_from(&truth.label);
            }
        } else if rows.iter().all(|row| row.label.is_none()) {
            let columns =
                Reading { format: self.format, ..Reading::default() }.open(path)?.columns().names().to_vec();
            return Err(DataError::ScoresWithoutLabels { data: name, columns }.into());
        }
        let labelled = Some(rows.iter().map(|row| row.label.is_some()).collect());
        rows.retain(|row| row.label.is_some());
        if rows.is_empty() {
            return Err(DataError::WithoutRows { data: name }.into());
        }
        let labels: Vec<String> = rows.iter().filter_map(|row| row.label.clone()).collect();
        let right =
            rows.iter().zip(&labels).map(|(row, label)| row.predicted.trim() == label.trim()).collect();
        let ids = rows.into_iter().map(|row| row.id).collect();
        Ok(Answers { right: vec![right], labels: Some(labels), ids, labelled, test_sha256: None })
    }

    /// The rows of a file; of one that has answers these too.
    fn rows(&self, rows: Rows, answered: bool) -> Result<Vec<ScoredRow>> {
        let columns = rows.columns().clone();
        let place = |name: &str| columns.names().iter().position(|column| column == name);
        let predicted = place(&self.predicted_column);
        if answered && predicted.is_none() {
            let (column, data) = (self.predicted_column.clone(), columns.data().to_owned());
            return Err(DataError::NoTextColumn { column, data, columns: columns.names().to_vec() }.into());
        }
        let id = place(&self.id_column);
        let mut known: HashMap<String, ()> = HashMap::new();
        let mut found = Vec::new();
        for row in rows {
            let row: Example = row?;
            let id = id.map(|column| row.fields[column].trim().to_owned());
            if let Some(twice) = id.clone().filter(|id| known.insert(id.clone(), ()).is_some()) {
                let error = Error::from(DataError::SameId { id: twice, data: columns.data().to_owned() });
                return Err(error.at(columns.place(&row, Some(&self.id_column))));
            }
            let predicted = predicted.map(|column| row.fields[column].clone()).unwrap_or_default();
            found.push(ScoredRow { predicted, label: row.label, id });
        }
        Ok(found)
    }
}

/// Where each row of the first stands in the second: by what it is known by, or by its order. None where they
/// are not the same rows.
fn places(
    first: Option<&[String]>,
    second: Option<&[String]>,
    rows: usize,
    others: usize,
) -> Option<Vec<usize>> {
    if rows != others {
        return None;
    }
    let (Some(first), Some(second)) = (first, second) else { return Some((0..rows).collect()) };
    let place: HashMap<&String, usize> = second.iter().enumerate().map(|(place, id)| (id, place)).collect();
    first.iter().map(|id| place.get(id).copied()).collect()
}

impl Answers {
    fn of_run(rated: Rated<'_>) -> Answers {
        let test_sha256 = rated.test_sha256.map(str::to_owned);
        Answers { right: rated.right, labels: None, ids: None, labelled: None, test_sha256 }
    }

    /// What another method gets right, in the order of these rows; or why that cannot be said.
    fn joined(&self, other: &Answers) -> Result<Vec<Vec<bool>>, &'static str> {
        let not_the_same = "the test rows are not the same";
        let rows = |answers: &Answers| answers.right.first().map_or(0, Vec::len);
        if self.test_sha256.is_some() && other.test_sha256.is_some() && self.test_sha256 != other.test_sha256
        {
            return Err(not_the_same);
        }
        // Files of as many rows of which others have labels would be joined out of step.
        if let (Some(one), Some(two)) = (&self.labelled, &other.labelled)
            && (self.ids.is_none() || other.ids.is_none())
            && one.len() == two.len()
            && one != two
        {
            return Err("the rows with labels are not the same");
        }
        let places = places(self.ids.as_deref(), other.ids.as_deref(), rows(self), rows(other));
        let places = places.ok_or(not_the_same)?;
        if let (Some(labels), Some(others)) = (&self.labels, &other.labels)
            && places.iter().zip(labels).any(|(place, label)| others[*place].trim() != label.trim())
        {
            return Err("their labels are not the same");
        }
        let in_order = |list: &Vec<bool>| places.iter().map(|place| list[*place]).collect();
        Ok(other.right.iter().map(in_order).collect())
    }
}

impl Method {
    fn against(&self, other: &Method) -> Between {
        let (first, second) = (self.name.clone(), other.name.clone());
        let joined = self.answers.as_ref().map_err(|reason| *reason).and_then(|one| {
            let others = other.answers.as_ref().map_err(|reason| *reason)?;
            Ok((&one.right, one.joined(others)?))
        });
        let (one, others) = match joined {
            Ok(joined) => joined,
            Err(not_compared) => {
                let pair = BetweenRuns::Apart { first, second, not_compared };
                return Between { pair, over_seeds_and_rows_95: None };
            }
        };
        let pair = match PairedDifference::of(one, &others) {
            Some(found) => BetweenRuns::Compared(Comparison::of(first, second, found)),
            None => BetweenRuns::Apart { first, second, not_compared: "there are no labelled test rows" },
        };
        Between { pair, over_seeds_and_rows_95: over_seeds_and_rows(one, &others) }
    }
}
