//! Several labels a row, for the commands that answer rows.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use cloze::learn::run::SeveralLabels;
use cloze::predict::multi_label::output::LabelsWriter;
use cloze::predict::multi_label::thresholds::{Goal, Thresholds};
use cloze::predict::multi_label::way::Way;
use cloze::predict::multi_label::{Centring, LabelsAnswer, MultiLabel, usual_reference};
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::task::Task;
use cloze::study::pictures::{LabelRows, several_labels_page};
use cloze::study::seen::{Counter, SeenRows};
use cloze::text::data::{Example, Rows};
use cloze::text::dataset::read_columns;
use cloze::text::label_sets::{LabelSets, LabelledRows};
use cloze::text::whole_file::WholeFile;

use super::answering::{AnswersOut, WORDS};
use super::pages::{self, PageArgs};
use super::render::{self, Live, Progress};
use super::shipped;
use super::source::Source;
use super::structure::StructureArgs;

/// The heading of these alone: a `next_help_heading` would stand above all flags that follow.
const HEADING: &str = "Several labels a row";

#[derive(Debug, clap::Args)]
pub struct MultiLabelArgs {
    /// Give a row several labels, or none: each label by itself, where its probability reaches a threshold
    #[arg(long, help_heading = HEADING)]
    pub multi_label: bool,
    /// How labels are asked for [default: reference]
    #[arg(long, help_heading = HEADING, hide_short_help = true, value_enum, value_name = "WAY")]
    pub way: Option<Way>,
    /// Words that say of no label that it is right, which the labels' words are held against
    /// [default: other]
    #[arg(long, help_heading = HEADING, hide_short_help = true, value_name = "WORD,…", value_delimiter = ',')]
    pub reference: Vec<String>,
    #[command(flatten)]
    pub separator: SeparatorArgs,
    /// The probability from which on a label is given [default: 0.5]
    #[arg(long, help_heading = HEADING, hide_short_help = true, value_name = "P")]
    pub threshold: Option<f64>,
    /// A threshold for each label, from a file of --thresholds-out
    #[arg(
        long,
        help_heading = HEADING,
        hide_short_help = true,
        value_name = "FILE",
        conflicts_with_all = ["threshold", "fit_thresholds"],
    )]
    pub thresholds: Option<PathBuf>,
    /// Labelled rows to fit a threshold for each label on
    #[arg(
        long,
        help_heading = HEADING,
        hide_short_help = true,
        value_name = "FILE",
        value_parser = shipped::path(),
        conflicts_with = "threshold",
    )]
    pub fit_thresholds: Option<PathBuf>,
    /// With --fit-thresholds: what for, f1 or precision=P [default: f1]
    #[arg(
        long = "for",
        help_heading = HEADING,
        hide_short_help = true,
        value_name = "GOAL",
        requires = "fit_thresholds",
    )]
    pub goal: Option<String>,
    /// Where to write the fitted thresholds, as JSON
    #[arg(
        long,
        help_heading = HEADING,
        hide_short_help = true,
        value_name = "FILE",
        requires = "fit_thresholds",
    )]
    pub thresholds_out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct SeparatorArgs {
    /// What stands between the labels of a row [default: found in the data]
    #[arg(long, help_heading = HEADING, hide_short_help = true, value_name = "TEXT")]
    pub label_separator: Option<String>,
}

/// Several labels a row, for a training.
#[derive(Debug, clap::Args)]
pub struct LearnLabelsArgs {
    /// Learn several labels a row, or none: each label by itself, by binary cross-entropy
    #[arg(long, help_heading = HEADING)]
    pub multi_label: bool,
    /// Words that say of no label that it is right, which the labels' words are held against [default: other]
    #[arg(long, help_heading = HEADING, hide_short_help = true, value_name = "WORD,…", value_delimiter = ',')]
    pub reference: Vec<String>,
    #[command(flatten)]
    pub separator: SeparatorArgs,
}

impl LearnLabelsArgs {
    /// What is asked, if several labels are.
    pub fn asked(&self) -> Result<Option<SeveralLabels>> {
        let separator = self.separator.label_separator.clone();
        if !self.multi_label {
            ensure!(
                self.reference.is_empty() && separator.is_none(),
                "--reference and --label-separator are for several labels a row: add --multi-label"
            );
            return Ok(None);
        }
        let reference = if self.reference.is_empty() { usual_reference() } else { self.reference.clone() };
        Ok(Some(SeveralLabels { reference, separator }))
    }
}

impl MultiLabelArgs {
    /// Refuses these flags where a row gets one label.
    pub fn check_unused(&self) -> Result<()> {
        let given = [
            ("--way", self.way.is_some()),
            ("--reference", !self.reference.is_empty()),
            ("--label-separator", self.separator.label_separator.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--thresholds", self.thresholds.is_some()),
            ("--fit-thresholds", self.fit_thresholds.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => anyhow::bail!("{flag} is for several labels a row: add --multi-label"),
            None => Ok(()),
        }
    }

    /// How labels are asked for.
    pub fn way(&self) -> Result<Way> {
        let way = self.way.unwrap_or_default();
        ensure!(
            self.reference.is_empty() || way == Way::Reference,
            "--reference is for --way reference: with {} a label is held against no",
            way.name()
        );
        Ok(way)
    }

    /// The words that labels are held against.
    pub fn reference(&self) -> Vec<String> {
        if self.reference.is_empty() { usual_reference() } else { self.reference.clone() }
    }

    /// What stands between labels, where that is said.
    pub fn separator(&self) -> Option<&str> {
        self.separator.label_separator.as_deref()
    }

    /// The files that are read.
    pub fn reads(&self) -> impl Iterator<Item = &PathBuf> {
        self.thresholds.iter().chain(&self.fit_thresholds)
    }

    /// The file that is written.
    pub fn written(&self) -> (&'static str, Option<&Path>) {
        ("thresholds", self.thresholds_out.as_deref())
    }
}

/// Refuses what arranges one label a row.
pub fn check_alone(structure: &StructureArgs) -> Result<()> {
    ensure!(
        !structure.any(),
        "--tree and --ordered are for one label a row: leave them out, or --multi-label"
    );
    Ok(())
}

/// Sets of labels: α, and labelled rows.
pub type Conformal<'a> = Option<(f64, &'a Path)>;

/// All that is needed but the weights.
pub struct Job<'a> {
    pub parts: MultiLabel,
    pub rows: Rows,
    pub sets: LabelSets,
    pub args: &'a MultiLabelArgs,
    /// What is taken off scores, where no file of thresholds says it.
    pub centring: Centring,
    pub conformal: Conformal<'a>,
    pub compute: Compute,
    pub report: Option<&'a Path>,
    pub page: &'a PageArgs,
    pub keep_columns: bool,
    pub quiet: bool,
    /// Where the rows come from.
    pub source: Source,
}

impl Job<'_> {
    /// Answers the rows and writes them.
    pub fn run(self, out: AnswersOut) -> Result<()> {
        let Job { parts, rows, sets, args, quiet, .. } = self;
        let labels = parts.labels();
        let goal = args.goal.as_deref().map_or(Ok(Goal::F1), Goal::parse)?;
        let read = |path: &Path| LabelledRows::read(path, &self.source.reading, &labels, args.separator());
        let fit_on = args.fit_thresholds.as_deref().map(read).transpose()?;
        let sets_on =
            self.conformal.map(|(alpha, path)| Ok::<_, anyhow::Error>((alpha, read(path)?))).transpose()?;
        let tasks = parts.tasks(rows.columns())?;
        for fitted_on in fit_on.iter().chain(sets_on.iter().map(|(_, rows)| rows)) {
            parts.tasks(&fitted_on.columns)?;
        }
        let thresholds = match (&args.thresholds, args.threshold) {
            (Some(path), _) => Some((Some(path.as_path()), Thresholds::load(path, &labels)?)),
            (None, Some(threshold)) => Some((None, Thresholds::same(&labels, threshold)?)),
            (None, None) => None,
        };
        // Reading all weights costs time, which only files that outlive this run are worth.
        let keeps = args.thresholds_out.is_some() || args.thresholds.is_some();
        let fitted_for = keeps.then(|| parts.fitted_for()).transpose()?;
        let kept = thresholds
            .as_ref()
            .zip(fitted_for.as_ref())
            .and_then(|((path, found), wanted)| path.map(|path| found.centres(path, wanted)));
        let kept = kept.transpose()?.flatten();
        let thresholds_file = args.thresholds_out.as_deref().map(WholeFile::create).transpose()?;
        let report_file = self.report.map(WholeFile::create).transpose()?;
        let page_file = self.page.open()?;
        let live = Live::start(quiet, "loading the model");
        let mut classifier = parts.load(self.compute)?;
        if let Some(remark) = classifier.remark().filter(|_| !quiet) {
            live.beside(|| render::warnings(&[remark.to_owned()]))?;
        }
        // What thresholds were fitted with stays with them.
        let mut centring = self.centring;
        if let Some(centres) = kept {
            classifier.set_centres(centres);
            centring = Centring::Not;
        }
        if let Some(fit_on) = fit_on.as_ref().or(sets_on.as_ref().map(|(_, rows)| rows)) {
            classifier.centre(centring, &fit_on.columns, &fit_on.examples)?;
            centring = Centring::Not;
        }
        if let Some((_, thresholds)) = thresholds {
            classifier.set_thresholds(thresholds);
        }
        if let Some(fit_on) = &fit_on {
            classifier.fit_thresholds(goal, fit_on)?;
        }
        if let Some((alpha, rows)) = &sets_on {
            classifier.fit_sets(*alpha, rows)?;
        }
        let columns = rows.columns().clone();
        let (keep_columns, gives_sets) = (self.keep_columns, classifier.conformal().is_some());
        let writer = |to| {
            LabelsWriter::create(to, labels.clone(), sets.separator(), gives_sets, &columns, keep_columns)
        };
        let mut output = out.table.map(writer).transpose()?;
        if let Some(output) = output.as_mut().filter(|_| rows.by_batch()) {
            output.batches_as_told()?;
        }
        let read: Vec<String> = read_columns(tasks.tasks.iter().map(Task::template), &columns);
        let read: Vec<String> = read.into_iter().filter(|name| columns.names().contains(name)).collect();
        let fitted = fit_on.iter().chain(sets_on.iter().map(|(_, rows)| rows));
        let seen = SeenRows::of_rows(fitted.map(|rows| (&*rows.columns, &rows.examples[..])), read.clone());
        let mut seen = seen.and_then(|seen| seen.among(&columns));
        let progress = RefCell::new(Progress::over(live, self.source.size()));
        let mut kept_rows = page_file.is_some().then(|| {
            let shown = columns.names().iter().enumerate().filter(|(_, name)| read.contains(name));
            LabelRows::new(shown.map(|(place, _)| place).collect(), labels.clone())
        });
        let limits: Vec<Option<f64>> =
            classifier.thresholds().thresholds.iter().map(|(_, threshold)| *threshold).collect();
        let mut each =
            |examples: &[Example], answers: &[LabelsAnswer], truths: &[Option<Vec<bool>>], ends: bool| {
                if let Some(kept) = &mut kept_rows {
                    for ((example, answer), truth) in examples.iter().zip(answers).zip(truths) {
                        kept.add(example, answer, &limits, truth.as_deref());
                    }
                }
                seen.iter_mut().for_each(|seen| examples.iter().for_each(|example| seen.add(example)));
                progress.borrow().beside(|| {
                    for (example, answer) in examples.iter().zip(answers) {
                        match &mut output {
                            Some(output) => output.write(example, answer)?,
                            None => render::print(&render::labels_answer(&labels, answer))?,
                        }
                    }
                    output.as_mut().filter(|_| ends).map_or(Ok(()), LabelsWriter::flush)
                })
            };
        let (counts, run) =
            classifier.run(rows, &sets, centring, &mut each, &mut |at| progress.borrow_mut().advance(at))?;
        output.map_or(Ok(()), |output| output.finish()?.commit())?;
        if let Some(kept) = &mut kept_rows {
            let words = classifier.label_words(&columns, &kept.sample().worth_a_look(), WORDS)?;
            kept.take_words(classifier.classes().to_vec(), words);
        }
        let seconds = progress.into_inner().finish();
        self.source.finish(quiet)?;
        let (way, thresholds) = (classifier.way(), classifier.thresholds());
        let mut report = counts.report(run, way, thresholds, classifier.conformal(), seconds);
        report.calibrated_on = seen.and_then(Counter::found);
        report_file.map_or(Ok(()), |file| file.commit_json(&report))?;
        if let Some(kept) = &kept_rows {
            pages::write(page_file, || {
                several_labels_page(&format!("Labels of {}", report.run.data), &report, kept)
            })?;
        }
        if let Some((file, fitted_for)) = thresholds_file.zip(fitted_for) {
            classifier.kept_thresholds(fitted_for).write(file)?;
        }
        if !quiet && self.source.file().is_some() {
            render::tell(&render::multi_label(&report))?;
        }
        Ok(())
    }
}
