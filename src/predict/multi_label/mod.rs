//! Several labels a row, or none: each label is asked for against its absence, and given where its
//! probability reaches a threshold.
//!
//! A label's score is the logarithm of how much likelier its words are than reference words at the same
//! blank, or yes than no to a question that names it ([`way::Way`]); its probability is σ of that, averaged
//! over patterns. What a pattern says of texts that say nothing, or of rows in the mean, can be taken off
//! first ([`Centring`]).

// how labels are asked for
pub mod way;

// where yes begins
pub mod thresholds;

// rows to scores
pub mod scoring;

// sets that hold all labels
pub mod sets;

// results
pub mod output;
pub mod report;

// from texts and labels to a classifier
pub mod zero_shot;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{DataError, Errors, MultiLabelError, Result};
use crate::model::folder::ModelFolder;
use crate::model::masked_lm::Options;
use crate::numbers::softmax::sigmoid;
use crate::predict::blueprint::Blueprint;
use crate::predict::calibration::FittedFor;
use crate::predict::label_words::LabelWords;
use crate::predict::mask_words::WordShare;
use crate::predict::prompt_classifier::{Compute, PromptClassifier, ScoringProgress, Together, read_chunk};
use crate::predict::pvp::{Patterns, SoftVectors};
use crate::predict::report::{Prediction, Run};
use crate::predict::score::Coming;
use crate::predict::task::{Task, TaskSet};
use crate::text::data::{Adjust, Columns, Example, Rows};
use crate::text::label_sets::{LabelSets, LabelledRows};
use crate::text::labels::{self, NamedLabel};
use crate::text::template::Template;
use crate::text::verbalizer::Verbalizer;

use report::{Answered, Counts};
use scoring::{LabelScores, LabelScoring, against_last, asked_columns};
use sets::LabelSetsConformal;
use thresholds::{CentredPattern, Goal, Thresholds, ThresholdsFor, USUAL};
use way::{AskedLabel, REFERENCE_WORDS, Way};

/// Files of patterns and of labels with their words.
#[derive(Debug, Clone, Copy)]
pub struct LabelFiles<'a> {
    /// The templates.
    pub templates: &'a [PathBuf],
    /// The verbalizer: its classes are the labels.
    pub verbalizer: &'a Path,
    /// How labels are asked for.
    pub way: Way,
    /// What they are held against with [`Way::Reference`].
    pub reference: &'a [String],
    /// What stands between labels in the data, if not what is found.
    pub separator: Option<&'a str>,
    /// The longest input, in tokens, if it is not the model's own.
    pub max_length: Option<usize>,
}

/// A classifier for several labels a row, before its weights.
pub struct MultiLabel {
    blueprint: Blueprint,
    way: Way,
    labels: Vec<AskedLabel>,
}

/// From so many rows on their mean says what the model prefers; below, texts without content do.
const ROWS_TO_CENTRE_BY: usize = 50;

/// Of more rows than these the first say it: they are held in memory.
const LOOKED_AT: usize = 2048;

/// What is taken off a label's scores before they become a probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Centring {
    /// Nothing.
    #[default]
    Not,
    /// What the pattern says of a text that says nothing, and what makes any of the labels as likely as none.
    WithoutContent,
    /// The mean of what it says of the rows, and what makes about one label a row as likely as not; of fewer
    /// than 50 rows [`Centring::WithoutContent`].
    Rows,
}

/// A row's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelsAnswer {
    /// The labels' probabilities, each by itself, `[L]`.
    pub probabilities: Vec<f64>,
    /// Which labels are given, `[L]`.
    pub given: Vec<bool>,
    /// Which labels it may have, where sets were asked for, `[L]`.
    pub set: Option<Vec<bool>>,
}

/// What makes a row's labels of what patterns say of it, for whoever asks the model by themselves.
#[derive(Debug, Clone)]
pub struct LabelRule {
    labels: Vec<String>,
    /// `[P,L]`
    centres: Vec<Vec<f64>>,
    thresholds: Thresholds,
}

impl LabelRule {
    /// The labels, in their order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// A row's answer from each pattern's probabilities of the labels and the reference.
    ///
    /// # Shapes
    /// P · `[L+1]`
    pub fn answer(&self, by_pattern: &[Prediction]) -> LabelsAnswer {
        let scores =
            LabelScores { by_pattern: by_pattern.iter().map(against_last).collect(), truncated: false };
        let probabilities = probabilities(&scores, &self.centres);
        LabelsAnswer { given: self.thresholds.given(&probabilities), probabilities, set: None }
    }
}

/// What is done with rows, their answers, and which labels each has, where that is known (`[L]`). The last says
/// whether these may be handed on: inside a batch of a stream the rest is still to come, and a batch may have no
/// rows.
pub type EachAnswered<'a> =
    dyn FnMut(&[Example], &[LabelsAnswer], &[Option<Vec<bool>>], bool) -> Result<()> + 'a;

impl MultiLabel {
    /// Labels by name, or with words of their own, asked for by patterns.
    pub fn of_labels(
        labels: &[NamedLabel],
        way: Way,
        reference: &[String],
        templates: Vec<Template>,
        folder: ModelFolder,
        options: Options,
        max_length: Option<usize>,
    ) -> Result<MultiLabel, Errors> {
        let verbalizer = match way {
            Way::Reference => labels::verbalizer(&way::reference_labels(labels, reference)?)?,
            Way::YesNo => way::yes_no()?,
        };
        MultiLabel::bind(AskedLabel::of(labels), way, verbalizer, templates, folder, options, max_length)
    }

    /// The classes of a verbalizer as labels, each with its words against the reference's, or by its name and
    /// its first text.
    pub fn of_verbalizer(
        verbalizer: &Verbalizer,
        way: Way,
        reference: &[String],
        templates: Vec<Template>,
        folder: ModelFolder,
        options: Options,
        max_length: Option<usize>,
    ) -> Result<MultiLabel, Errors> {
        let asked = match way {
            Way::Reference => way::with_reference(verbalizer, reference)?,
            Way::YesNo => way::yes_no()?,
        };
        let labels = AskedLabel::of_verbalizer(verbalizer);
        MultiLabel::bind(labels, way, asked, templates, folder, options, max_length)
    }

    /// Reads and checks files, and the columns of the rows to classify. All problems at once.
    pub fn of_files(
        files: LabelFiles<'_>,
        adjust: &Adjust,
        rows: impl FnOnce() -> Result<Rows>,
        model: impl FnOnce() -> Result<ModelFolder>,
        options: Options,
    ) -> Result<(MultiLabel, LabelSets, Rows), Errors> {
        let mut errors = Errors::new();
        let templates = Template::read_all(files.templates, &mut errors);
        let verbalizer = errors.keep(Verbalizer::read(files.verbalizer));
        let several = "a choice of several labels";
        errors.extend(verbalizer.iter().filter_map(|found| found.check_classes(several).err()));
        let (rows, folder) = (errors.keep(rows()), errors.keep(model()));
        let (Some(verbalizer), Some(rows), Some(folder), true) =
            (verbalizer, rows, folder, errors.is_empty())
        else {
            return Err(errors);
        };
        let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
        let (way, reference, length) = (files.way, files.reference, files.max_length);
        let parts =
            MultiLabel::of_verbalizer(&verbalizer, way, reference, templates, folder, options, length)?;
        let (sets, rows) = LabelSets::find(&labels, rows, files.separator, adjust)?;
        parts.tasks(rows.columns())?;
        Ok((parts, sets, rows))
    }

    /// What a run learned of several labels a row: its last class is what the others are held against.
    pub fn of_run(blueprint: Blueprint) -> MultiLabel {
        let labels = AskedLabel::of_verbalizer(&blueprint.verbalizer);
        MultiLabel { blueprint, way: Way::Reference, labels }
    }

    fn bind(
        labels: Vec<AskedLabel>,
        way: Way,
        verbalizer: Verbalizer,
        templates: Vec<Template>,
        folder: ModelFolder,
        options: Options,
        max_length: Option<usize>,
    ) -> Result<MultiLabel, Errors> {
        if way == Way::YesNo {
            way::check_names_label(&templates)?;
        }
        let words = LabelWords::check(&verbalizer, &folder.tokenizer, options.device)?;
        let max_length = folder.max_length(max_length)?;
        let patterns = Patterns::bind(templates, &words, &folder, SoftVectors::Words, max_length)?;
        let (learned, of_run) = (Vec::new(), false);
        let blueprint =
            Blueprint { verbalizer, folder, words, patterns, max_length, learned, of_run, options };
        Ok(MultiLabel { blueprint, way, labels })
    }

    /// The labels, in their order.
    pub fn labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.label.clone()).collect()
    }

    /// The model's folder.
    pub fn folder(&self) -> &ModelFolder {
        &self.blueprint.folder
    }

    /// The patterns on the columns of rows.
    pub fn tasks(&self, columns: &Columns) -> Result<TaskSet, Errors> {
        self.blueprint.patterns.on(&asked_columns(columns, self.way)?)
    }

    /// What thresholds of this classifier are for. Reading all weights costs time.
    pub fn fitted_for(&self) -> Result<ThresholdsFor> {
        let Blueprint { folder, verbalizer, patterns, .. } = &self.blueprint;
        let model = FittedFor::new(folder.path().to_owned(), self.blueprint.identity()?, verbalizer);
        let pattern = |template: &Template| CentredPattern {
            template: template.name().to_owned(),
            pattern: template.pattern().to_owned(),
            centres: vec![0.0; self.labels.len()],
        };
        let patterns = patterns.pvps.iter().map(|pvp| pattern(pvp.template())).collect();
        Ok(ThresholdsFor { way: self.way, model, patterns })
    }

    /// Loads the weights.
    pub fn load(self, compute: Compute) -> Result<MultiLabelClassifier> {
        let MultiLabel { blueprint, way, labels } = self;
        let patterns = blueprint.patterns.clone();
        let names: Vec<String> = labels.iter().map(|label| label.label.clone()).collect();
        let thresholds = Thresholds::same(&names, USUAL)?;
        let centres = vec![vec![0.0; labels.len()]; patterns.pvps.len()];
        let classifier = PromptClassifier::load(blueprint, compute, None)?;
        Ok(MultiLabelClassifier { classifier, patterns, way, labels, centres, thresholds, conformal: None })
    }
}

/// A classifier for several labels a row. It is owned and may be used by several threads at once.
///
/// ```
/// use cloze::model::folder::ModelFolder;
/// use cloze::predict::general::Ask;
/// use cloze::predict::multi_label::way::{REFERENCE_WORDS, Way};
/// use cloze::predict::multi_label::{Centring, MultiLabel};
/// use cloze::text::data::Columns;
/// use cloze::text::labels::of_line;
/// let templates = Ask::Topic.templates(&["text".to_owned()])?;
/// let (labels, reference) = (of_line("music, sport, money")?, REFERENCE_WORDS.map(str::to_owned));
/// let folder = ModelFolder::open("models/cloze-minilm-l6".as_ref())?;
/// let parts =
///     MultiLabel::of_labels(&labels, Way::Reference, &reference, templates, folder, Default::default(), None)?;
/// let mut classifier = parts.load(Default::default())?;
/// classifier.centre(Centring::WithoutContent, &Columns::check("texts", vec!["text".to_owned()], None)?, &[])?;
/// let answers = classifier.classify(&["The band plays at the match on Sunday.", "How do I pay my invoice?"])?;
/// assert!(answers[0].probabilities[0] > answers[0].probabilities[2]);
/// assert!(answers[1].probabilities[2] > answers[1].probabilities[1]);
/// # Ok::<(), cloze::Errors>(())
/// ```
pub struct MultiLabelClassifier {
    classifier: PromptClassifier,
    patterns: Patterns,
    way: Way,
    labels: Vec<AskedLabel>,
    /// What is taken off each pattern's scores, `[P,L]`.
    centres: Vec<Vec<f64>>,
    thresholds: Thresholds,
    conformal: Option<LabelSetsConformal>,
}

impl MultiLabelClassifier {
    /// The labels, in their order.
    pub fn labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| label.label.clone()).collect()
    }

    /// The thresholds.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// What sets come from, where they were fitted.
    pub fn conformal(&self) -> Option<&LabelSetsConformal> {
        self.conformal.as_ref()
    }

    /// What a reader of results should know of the model.
    pub fn remark(&self) -> Option<&str> {
        self.classifier.remark()
    }

    /// Takes other thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Takes what is off each pattern's scores, `[P,L]`.
    pub fn set_centres(&mut self, centres: Vec<Vec<f64>>) {
        self.centres = centres;
    }

    /// Finds what is to be taken off, on rows of these columns, and takes it off from now on.
    pub fn centre(&mut self, centring: Centring, columns: &Columns, rows: &[Example]) -> Result<()> {
        self.centres = match centring {
            Centring::Rows if rows.len() >= ROWS_TO_CENTRE_BY => {
                self.centres_of(&self.on(columns)?.score(rows)?)
            }
            Centring::Rows | Centring::WithoutContent => self.without_content()?,
            Centring::Not => return Ok(()),
        };
        Ok(())
    }

    /// What the patterns say of texts that say nothing, `[P,L]`.
    fn without_content(&self) -> Result<Vec<Vec<f64>>> {
        let columns = Columns::check("texts", self.read_columns(), None)?;
        let text = |record, text: &str| Example {
            record,
            line: record,
            fields: columns.names().iter().map(|_| text.to_owned()).collect(),
            label: None,
            values: None,
        };
        let mut centres = self.means_of(&self.on(&columns)?.score(&[text(1, "N/A"), text(2, "")])?);
        // Any of the labels is as likely as none. Yes and no are nearer to each other than words for
        // different things: on sentences to a bank, one label a row begins at half of that.
        let share = if self.way == Way::YesNo { 0.5 } else { 1.0 };
        let above = share * (self.labels.len() as f64).ln();
        centres.iter_mut().flatten().for_each(|centre| *centre += above);
        Ok(centres)
    }

    /// The mean score of each pattern and label, and above it what one of L + 1 scores of the pattern
    /// reaches: as many labels as rows are as likely as not.
    ///
    /// # Shapes
    /// N · `[P,L]` → `[P,L]`
    fn centres_of(&self, scores: &[LabelScores]) -> Vec<Vec<f64>> {
        let means = self.means_of(scores);
        let of_pattern = |(pattern, means): (usize, Vec<f64>)| {
            let centred = |scores: &LabelScores| -> Vec<f64> {
                scores.by_pattern[pattern].iter().zip(&means).map(|(own, mean)| own - mean).collect()
            };
            let mut all: Vec<f64> = scores.iter().flat_map(centred).collect();
            all.sort_by(f64::total_cmp);
            // One of each row's L scores and one more: the highest are as many as rows, or nearly so.
            let above = all.len() / (means.len() + 1);
            let reached = all[all.len() - above.max(1)];
            means.into_iter().map(|mean| mean + reached).collect()
        };
        means.into_iter().enumerate().map(of_pattern).collect()
    }

    /// # Shapes
    /// N · `[P,L]` → `[P,L]`
    fn means_of(&self, scores: &[LabelScores]) -> Vec<Vec<f64>> {
        let count = scores.len().max(1) as f64;
        let mean = |pattern: usize, label: usize| {
            scores.iter().map(|scores| scores.by_pattern[pattern][label]).sum::<f64>() / count
        };
        let (patterns, labels) = (self.patterns.pvps.len(), self.labels.len());
        (0..patterns).map(|pattern| (0..labels).map(|label| mean(pattern, label)).collect()).collect()
    }

    /// Fits thresholds to labelled rows; what is taken off stays as it is.
    pub fn fit_thresholds(&mut self, goal: Goal, rows: &LabelledRows) -> Result<()> {
        check_rows(rows)?;
        let probabilities = self.probabilities(rows)?;
        let fitted = goal.fit(&rows.truths, &probabilities);
        self.thresholds = Thresholds {
            thresholds: self.labels().into_iter().zip(fitted).collect(),
            goal: Some(goal.name()),
            fitted_on: Some(rows.columns.data().to_owned()),
            rows: rows.examples.len() as u64,
            fitted_for: None,
        };
        Ok(())
    }

    /// Fits sets that hold all of a row's labels in `1 - α` of the rows.
    pub fn fit_sets(&mut self, alpha: f64, rows: &LabelledRows) -> Result<()> {
        check_rows(rows)?;
        LabelSetsConformal::check(alpha, rows.examples.len())?;
        let probabilities = self.probabilities(rows)?;
        self.conformal = Some(LabelSetsConformal::fit(alpha, &rows.truths, &probabilities)?);
        Ok(())
    }

    fn probabilities(&self, rows: &LabelledRows) -> Result<Vec<Vec<f64>>> {
        let scores = self.on(&rows.columns)?.score(&rows.examples)?;
        Ok(scores.iter().map(|scores| probabilities(scores, &self.centres)).collect())
    }

    /// What is kept of thresholds: what they are for, with what is taken off.
    #[must_use]
    pub fn kept_thresholds(&self, mut fitted_for: ThresholdsFor) -> Thresholds {
        for (pattern, centres) in fitted_for.patterns.iter_mut().zip(&self.centres) {
            pattern.centres.clone_from(centres);
        }
        Thresholds { fitted_for: Some(fitted_for), ..self.thresholds.clone() }
    }

    fn read_columns(&self) -> Vec<String> {
        let mut columns = self.patterns.columns();
        columns.retain(|column| ![way::LABEL_NAME, way::LABEL_TEXT].contains(&column.as_str()));
        columns
    }

    /// The classifier on the columns of rows.
    pub fn on(&self, columns: &Columns) -> Result<LabelScoring<'_>> {
        let columns = Arc::new(asked_columns(columns, self.way)?);
        let tasks: Vec<Task> = self.patterns.on(&columns)?.tasks;
        LabelScoring::new(&self.classifier, self.way, &self.labels, tasks, columns)
    }

    /// A row's answer from its scores.
    fn answer(&self, scores: &LabelScores, centres: &[Vec<f64>]) -> LabelsAnswer {
        let probabilities = probabilities(scores, centres);
        let given = self.thresholds.given(&probabilities);
        let set = self.conformal.as_ref().map(|conformal| conformal.set(&probabilities));
        LabelsAnswer { probabilities, given, set }
    }

    /// Classifies texts, for patterns that read one column of rows. The answers come in the texts' order.
    pub fn classify(&self, texts: &[impl AsRef<str>]) -> Result<Vec<LabelsAnswer>> {
        let columns = self.read_columns();
        if columns.len() != 1 {
            return Err(DataError::NotOneColumn { columns }.into());
        }
        let columns = Columns::check("texts", columns, None)?;
        let rows = columns.examples(&texts.iter().map(|text| [text.as_ref()]).collect::<Vec<_>>())?;
        Ok(self.on(&columns)?.score(&rows)?.iter().map(|scores| self.answer(scores, &self.centres)).collect())
    }

    /// Classifies rows as they come, and counts them: `each` is given rows with their answers and
    /// labels, in the rows' order. With [`Centring::Rows`] or [`Centring::WithoutContent`] that is taken off which is found so
    /// here. Of labelled rows their truths and probabilities stay in memory, for measures of ranks.
    pub fn run(
        &self,
        mut rows: Rows,
        sets: &LabelSets,
        centring: Centring,
        each: &mut EachAnswered<'_>,
        progress: &mut dyn FnMut(ScoringProgress),
    ) -> Result<(Counts, Run)> {
        let columns = rows.columns().clone();
        let scoring = self.on(&columns)?;
        let by_rows =
            centring == Centring::Rows && rows.look_ahead(ROWS_TO_CENTRE_BY).count() == ROWS_TO_CENTRE_BY;
        let mut centres = match (centring, by_rows) {
            (Centring::Not, _) => Some(self.centres.clone()),
            (_, false) => Some(self.without_content()?),
            (_, true) => None,
        };
        let mut counts = Counts::new(&self.labels());
        let read = Cell::new((0, 0));
        let truths = RefCell::new(VecDeque::new());
        let mut next = |may_wait: bool| {
            let come = match read_chunk(&mut rows, may_wait)? {
                Coming::Chunk(come) => come,
                Coming::Later => return Ok(Coming::Later),
                Coming::End => return Ok(Coming::End),
            };
            let mut examples = Vec::with_capacity(come.rows.len());
            for example in come.rows {
                match sets.truth(&columns, &example) {
                    Ok(truth) => {
                        truths.borrow_mut().push_back(truth);
                        examples.push(example);
                    }
                    Err(error) => rows.leave_out(error, &example)?,
                }
            }
            read.set((read.get().0 + examples.len() as u64, rows.bytes_read()));
            Ok(Coming::Chunk(Together { rows: examples, ends: come.ends }))
        };
        let mut answer = |chunk: &Together, scores: &[LabelScores], centres: &[Vec<f64>]| {
            let answers: Vec<LabelsAnswer> =
                scores.iter().map(|scores| self.answer(scores, centres)).collect();
            let truths: Vec<Option<Vec<bool>>> = truths.borrow_mut().drain(..chunk.rows.len()).collect();
            for ((scores, answer), truth) in scores.iter().zip(&answers).zip(&truths) {
                counts.add(&Answered { answer, truth: truth.as_deref(), truncated: scores.truncated });
            }
            each(&chunk.rows, &answers, &truths, chunk.ends)
        };
        // Rows are held until there are enough of them to say what is to be taken off.
        let mut held: Vec<(Together, Vec<LabelScores>)> = Vec::new();
        let centres_of = |held: &[(Together, Vec<LabelScores>)]| {
            let scores = held.iter().flat_map(|(_, scores)| scores).cloned().collect::<Vec<_>>();
            self.centres_of(&scores)
        };
        let mut take = |chunk: Together, scores: Vec<LabelScores>| {
            if let Some(centres) = &centres {
                return answer(&chunk, &scores, centres);
            }
            held.push((chunk, scores));
            if held.iter().map(|(chunk, _)| chunk.rows.len()).sum::<usize>() < LOOKED_AT {
                return Ok(());
            }
            let found = centres.insert(centres_of(&held));
            held.drain(..).try_for_each(|(chunk, scores)| answer(&chunk, &scores, found))
        };
        scoring.score_chunks(&mut next, &mut take, &mut |done| {
            let (rows_read, bytes_read) = read.get();
            progress(ScoringProgress { fitting: None, done, rows_read, bytes_read });
        })?;
        if !held.is_empty() {
            let found = centres_of(&held);
            held.iter().try_for_each(|(chunk, scores)| answer(chunk, scores, &found))?;
        }
        counts.left_out_rows = rows.left_out();
        Ok((counts, scoring.scoring().described()))
    }

    /// The classifier of the labels and the reference, and what makes labels of its answers; none where each
    /// label is asked for by yes and no.
    pub fn into_rule(self) -> Option<(PromptClassifier, LabelRule)> {
        let rule = LabelRule { labels: self.labels(), centres: self.centres, thresholds: self.thresholds };
        (self.way == Way::Reference).then_some((self.classifier, rule))
    }

    /// The classes that are asked at a blank: the labels and the reference, or no and yes.
    pub fn classes(&self) -> &[String] {
        self.classifier.labels()
    }

    /// The likeliest label words of each of a few rows, at most so many, the likeliest first; none where each
    /// label is asked for by yes and no.
    pub fn label_words(
        &self,
        columns: &Columns,
        rows: &[Example],
        most: usize,
    ) -> Result<Vec<Vec<WordShare>>> {
        match self.way {
            Way::Reference => self.on(columns)?.scoring().label_words(rows, most),
            Way::YesNo => Ok(Vec::new()),
        }
    }

    /// How labels are asked for.
    pub fn way(&self) -> Way {
        self.way
    }
}

/// The mean over the patterns of `σ(score - centre)`.
///
/// # Shapes
/// `[P,L]`, `[P,L]` → `[L]`
fn probabilities(scores: &LabelScores, centres: &[Vec<f64>]) -> Vec<f64> {
    let patterns = scores.by_pattern.len() as f64;
    let probability = |label: usize| {
        let of_pattern = scores.by_pattern.iter().zip(centres);
        of_pattern.map(|(own, centres)| sigmoid(own[label] - centres[label])).sum::<f64>() / patterns
    };
    (0..centres.first().map_or(0, Vec::len)).map(probability).collect()
}

fn check_rows(rows: &LabelledRows) -> Result<()> {
    match rows.examples.is_empty() {
        true => Err(MultiLabelError::WithoutRows { data: rows.columns.data().to_owned() }.into()),
        false => Ok(()),
    }
}

/// The usual reference words.
pub fn usual_reference() -> Vec<String> {
    REFERENCE_WORDS.map(str::to_owned).to_vec()
}
