//! Methods against each other on the same test rows, whatever made their answers: runs, and files of scores
//! of this and of other tools.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compare::{OverSeeds, PairedDifference, accuracy_95, over_seeds_and_rows};
use super::ensemble::read::FILE;
use super::ensemble::summary::{BetweenRuns, Comparison, Rated};
use super::report::RunReport;
use crate::error::source::Source;
use crate::error::{DataError, Error, Result};
use crate::learn::run::{self, DataFiles, MANIFEST, RunKind};
use crate::text::data::{Example, Format, ID, Reading, Rows};
use crate::text::json::{self, Node};

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
    /// What their file says of them; none of runs whose test file is not what it was.
    rows: Option<LabelledRows>,
    /// Of the test file, of runs.
    test_sha256: Option<String>,
}

/// The labelled rows of a file.
#[derive(Debug, Clone)]
struct LabelledRows {
    /// Their labels, each as the class that it stands for and as it is written.
    labels: Vec<[String; 2]>,
    /// Which rows they are; none where no column says it.
    ids: Option<Vec<String>>,
    /// Which rows of the file they are.
    labelled: Vec<bool>,
    columns: Fields,
}

/// Hashes of a file's fields by column, without the columns of answers and those of numbers: what says which
/// row is which where no id does.
type Fields = BTreeMap<String, Vec<u64>>;

/// The columns that `cloze score` writes beside the answer, and those that begin with `p_`.
const BESIDE: [&str; 4] = ["row", "confidence", "expected", "set"];

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
    /// As the class that it stands for, and as it is written.
    label: Option<[String; 2]>,
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
            let rows = self.rows_of_run(path, &report);
            return Ok(Method { name, answers: report.rated().map(|rated| Answers::of_run(rated, rows)) });
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

    /// The labelled test rows of a run, where its test file is what it was.
    fn rows_of_run(&self, path: &Path, report: &RunReport) -> Option<LabelledRows> {
        let data = match report {
            RunReport::Train(report) => report.manifest.header.data.clone(),
            RunReport::Ensemble(_) => data_of_ensemble(&path.join(MANIFEST))?,
            RunReport::Tasks(_) | RunReport::Pretrain(_) => return None,
        };
        let test = data.test.as_ref().filter(|test| test.check().is_ok())?;
        let (mut rows, mut columns) = self.rows(data.reading().open(&test.path).ok()?, false).ok()?;
        Some(LabelledRows::of(&mut rows, &mut columns))
    }

    /// What one file says.
    fn of_file(&self, path: &Path) -> Result<Answers> {
        let name = path.display().to_string();
        let opened = Reading { format: self.format, ..Reading::default() };
        let reading = match (&self.labels, &self.label_column) {
            (None, Some(column)) => Reading { label_column: Some(column.clone()), ..opened },
            _ => opened,
        };
        let (mut rows, mut columns) = self.rows(reading.open(path)?, true)?;
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
            let (truths, fields_of_truths) = self.rows(truths, false)?;
            let apart = || {
                let (data, first) = (name.clone(), labels.display().to_string());
                Error::from(DataError::OtherRows { data, first })
            };
            let ids =
                |rows: &[ScoredRow]| rows.iter().map(|row| row.id.clone()).collect::<Option<Vec<String>>>();
            let known = (ids(&truths), ids(&rows));
            let places = places(known.0.as_deref(), known.1.as_deref(), truths.len(), rows.len());
            let places = places.ok_or_else(apart)?;
            let is_by_order = known.0.is_none() || known.1.is_none();
            if is_by_order && !agree(&fields_of_truths, &columns) {
                return Err(apart());
            }
            for (truth, place) in truths.iter().zip(places) {
                rows[place].label.clone_from(&truth.label);
            }
        } else if rows.iter().all(|row| row.label.is_none()) {
            let columns =
                Reading { format: self.format, ..Reading::default() }.open(path)?.columns().names().to_vec();
            return Err(DataError::ScoresWithoutLabels { data: name, columns }.into());
        }
        let labelled = LabelledRows::of(&mut rows, &mut columns);
        if rows.is_empty() {
            return Err(DataError::WithoutRows { data: name }.into());
        }
        let is_right = right_answers(&labelled.labels);
        let answered = rows.iter().zip(&labelled.labels);
        let right = answered.map(|(row, label)| is_right(&row.predicted, &label[0])).collect();
        Ok(Answers { right: vec![right], rows: Some(labelled), test_sha256: None })
    }

    /// The rows of a file; of one that has answers these too.
    fn rows(&self, rows: Rows, answered: bool) -> Result<(Vec<ScoredRow>, Fields)> {
        let columns = rows.columns().clone();
        let place = |name: &str| columns.names().iter().position(|column| column == name);
        let predicted = place(&self.predicted_column);
        if answered && predicted.is_none() {
            let (column, data) = (self.predicted_column.clone(), columns.data().to_owned());
            return Err(DataError::NoTextColumn { column, data, columns: columns.names().to_vec() }.into());
        }
        let id = place(&self.id_column);
        let label = columns.label().and_then(place);
        if answered && label == predicted {
            let (column, data) = (self.predicted_column.clone(), columns.data().to_owned());
            return Err(DataError::AnswersAreLabels { column, data }.into());
        }
        let mut fields = TextColumns::of(columns.names(), |index, name| {
            ![predicted, id, label].contains(&Some(index))
                && !BESIDE.contains(&name)
                && !name.starts_with("p_")
        });
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
            fields.add(&row.fields);
            let written = label.map(|column| row.fields[column].clone()).unwrap_or_default();
            let label = row.label.map(|label| [label, written]);
            found.push(ScoredRow { predicted, label, id });
        }
        Ok((found, fields.finish()))
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

/// The data of an ensemble's run, if its manifest can be read.
fn data_of_ensemble(manifest: &Path) -> Option<DataFiles> {
    let source = Source::new(manifest.display().to_string(), json::read_text(manifest).ok()?);
    Some(run::read(&Node::root(&source), RunKind::Ensemble).ok()?.header.data)
}

/// A label without what makes no difference: upper and lower case, and blanks at the ends.
fn folded(label: &str) -> String {
    label.trim().to_lowercase()
}

/// Whether an answer is a label: as in all data, case makes no difference, unless it does among these labels.
fn right_answers(labels: &[[String; 2]]) -> impl Fn(&str, &str) -> bool + use<> {
    let mut written: HashMap<String, &str> = HashMap::new();
    let by_case =
        labels.iter().any(|[label, _]| *written.entry(folded(label)).or_insert(label.trim()) != label.trim());
    move |answer, label| match by_case {
        true => answer.trim() == label.trim(),
        false => folded(answer) == folded(label),
    }
}

/// The columns of a file that say what a row is, as they are read.
struct TextColumns {
    /// Each with its place in the file, its name, and whether all so far are numbers.
    columns: Vec<(usize, String, bool)>,
    hashes: Vec<Vec<u64>>,
}

impl TextColumns {
    fn of(names: &[String], is_read: impl Fn(usize, &str) -> bool) -> TextColumns {
        let named =
            names.iter().enumerate().filter(|(index, name)| !name.is_empty() && is_read(*index, name));
        let columns: Vec<_> = named.map(|(index, name)| (index, name.clone(), true)).collect();
        TextColumns { hashes: vec![Vec::new(); columns.len()], columns }
    }

    fn add(&mut self, fields: &[String]) {
        for ((index, _, all_numbers), hashes) in self.columns.iter_mut().zip(&mut self.hashes) {
            let field = fields[*index].trim();
            *all_numbers &= field.is_empty() || field.parse::<f64>().is_ok();
            let mut hasher = DefaultHasher::new();
            field.hash(&mut hasher);
            hashes.push(hasher.finish());
        }
    }

    fn finish(self) -> Fields {
        let all = self.columns.into_iter().zip(self.hashes);
        all.filter(|((_, _, all_numbers), _)| !all_numbers)
            .map(|((_, name, _), hashes)| (name, hashes))
            .collect()
    }
}

/// Whether the columns that both have are the same, row by row.
fn agree(one: &Fields, other: &Fields) -> bool {
    one.iter().all(|(name, fields)| other.get(name).is_none_or(|others| others == fields))
}

impl LabelledRows {
    /// Of all rows of a file: the others are taken out.
    fn of(rows: &mut Vec<ScoredRow>, columns: &mut Fields) -> LabelledRows {
        let labelled: Vec<bool> = rows.iter().map(|row| row.label.is_some()).collect();
        rows.retain(|row| row.label.is_some());
        for fields in columns.values_mut() {
            let mut kept = labelled.iter();
            fields.retain(|_| kept.next() == Some(&true));
        }
        let labels = rows.iter().filter_map(|row| row.label.clone()).collect();
        let ids = rows.iter().map(|row| row.id.clone()).collect();
        LabelledRows { labels, ids, labelled, columns: std::mem::take(columns) }
    }

    /// Where each row stands among others, by its id or its order; or why that cannot be said.
    fn places(&self, other: &LabelledRows) -> Result<Vec<usize>, &'static str> {
        let is_by_order = self.ids.is_none() || other.ids.is_none();
        // Files of as many rows of which others have labels would be joined out of step.
        if is_by_order && self.labelled.len() == other.labelled.len() && self.labelled != other.labelled {
            return Err("the rows with labels are not the same");
        }
        let places = places(self.ids.as_deref(), other.ids.as_deref(), self.labels.len(), other.labels.len());
        let places = places.ok_or(NOT_THE_SAME)?;
        // A run's labels may be written otherwise in its test file than its classes are called.
        let same = |[class, written]: &[String; 2], label: &[String; 2]| {
            let same = |one: &String| label.iter().any(|other| folded(one) == folded(other));
            same(class) || same(written)
        };
        if places.iter().zip(&self.labels).any(|(place, label)| !same(label, &other.labels[*place])) {
            return Err("their labels are not the same");
        }
        if is_by_order && !agree(&self.columns, &other.columns) {
            return Err("no id says which row is which, and in their order a column that both have differs");
        }
        Ok(places)
    }
}

const NOT_THE_SAME: &str = "the test rows are not the same";

impl Answers {
    fn of_run(rated: Rated<'_>, rows: Option<LabelledRows>) -> Answers {
        let test_sha256 = rated.test_sha256.map(str::to_owned);
        // Of which rows the run's answers are nothing is known where their number is another.
        let rows = rows.filter(|rows| rows.labels.len() == rated.test_rows);
        Answers { right: rated.right, rows, test_sha256 }
    }

    /// What another method gets right, in the order of these rows; or why that cannot be said.
    fn joined(&self, other: &Answers) -> Result<Vec<Vec<bool>>, &'static str> {
        let is_one = self.test_sha256.is_some() && self.test_sha256 == other.test_sha256;
        if !is_one && self.test_sha256.is_some() && other.test_sha256.is_some() {
            return Err(NOT_THE_SAME);
        }
        let rows = |answers: &Answers| answers.right.first().map_or(0, Vec::len);
        let places = match (&self.rows, &other.rows) {
            _ if is_one => places(None, None, rows(self), rows(other)).ok_or(NOT_THE_SAME)?,
            (Some(one), Some(two)) => one.places(two)?,
            _ if rows(self) != rows(other) => return Err(NOT_THE_SAME),
            _ => return Err("which rows a run was tested on is not known: its test file is not what it was"),
        };
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
