//! Rows answered, as `score` and `classify` do it.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use anyhow::Result;
use cloze::PromptClassifier;
use cloze::predict::auto;
use cloze::predict::blueprint::Blueprint;
use cloze::predict::calibration::Fitted;
use cloze::predict::calibrator::{Calibrator, Fitting};
use cloze::predict::output::{Answer, PredictionWriter};
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::report::{NeighboursReport, PatternName, Report};
use cloze::predict::shards::ShardCounts;
use cloze::predict::showing::Showing;
use cloze::predict::task::{Task, TaskSet};
use cloze::study::pictures::RowSample;
use cloze::text::data::{Example, Format, Rows};
use cloze::text::dataset::{Dataset, truth};
use cloze::text::table::Destination;
use cloze::text::whole_file::WholeFile;

use super::render::{self, Live, Progress};
use super::source::Source;

/// Where the answers go, opened before the work, so that a file that cannot be written costs no one an hour.
pub struct AnswersOut {
    /// A table; none where one answer is shown to a person.
    pub table: Option<Destination<WholeFile>>,
}

impl AnswersOut {
    /// A file, or standard output. The answer to a row of the command line is shown on a terminal as people
    /// read it.
    pub fn open(out: Option<&Path>, format: Option<Format>, source: &Source) -> cloze::Result<AnswersOut> {
        let table = match out {
            None if format.is_none() && io::stdout().is_terminal() && source.file().is_none() => None,
            None => Some(Destination::stdout(format.unwrap_or(Format::Csv))),
            Some(path) => Some(Destination::create_as(path, format)?),
        };
        Ok(AnswersOut { table })
    }
}

/// A file that is asked for; `-` is standard output.
pub fn file(out: Option<&Path>) -> Option<&Path> {
    out.filter(|path| *path != Path::new("-"))
}

/// All that is needed but the weights.
pub struct Answering {
    pub blueprint: Blueprint,
    pub tasks: TaskSet,
    pub rows: Rows,
    pub showing: Option<Showing>,
    pub calibrator: Calibrator,
    /// Labelled rows of which the nearest count beside the label words.
    pub neighbours: Option<Dataset>,
    pub compute: Compute,
    pub keep_columns: bool,
    pub quiet: bool,
    /// Whether rows are kept for a page.
    pub page: bool,
    /// Where the rows come from.
    pub source: Source,
}

/// What came of it.
pub struct Answered {
    pub report: Report,
    pub fitted: Fitted,
    /// The rows of the page, if there is to be one.
    pub sample: Option<RowSample>,
    /// What was counted, of a share of the rows.
    pub counts: Option<ShardCounts>,
}

/// So many label words of a row are shown.
pub const WORDS: usize = 5;

impl Answering {
    /// Answers the rows and writes them; `seen` is given each of them.
    pub fn run(self, out: AnswersOut, seen: &mut dyn FnMut(&Example, &Answer)) -> Result<Answered> {
        let Answering { blueprint, tasks, mut rows, showing, mut calibrator, mut compute, .. } = self;
        let columns = rows.columns().clone();
        let (share, long) = (rows.share().cloned(), compute.long);
        let live = Live::start(self.quiet, "loading the model");
        if compute.dtype.is_none() {
            compute.tokens = Some(auto::tokens_of(&mut rows, &tasks, self.source.size()));
        }
        let classifier = PromptClassifier::load(blueprint, compute, showing)?;
        if let Some(remark) = classifier.remark().filter(|_| !self.quiet) {
            live.beside(|| render::warnings(&[remark.to_owned()]))?;
        }
        let scoring = classifier.on(tasks.tasks, columns.clone())?;
        let (scoring, neighbours) = match &self.neighbours {
            None => (scoring, None),
            Some(rows) => {
                let (scoring, nearest) = scoring.beside(rows)?;
                (scoring, Some(NeighboursReport::of(rows, nearest)))
            }
        };
        let labels = classifier.labels().to_vec();
        let (sets, keep_columns) = (calibrator.gives_sets(), self.keep_columns);
        let structure = classifier.verbalizer().structure();
        let writer = |to| {
            PredictionWriter::create_structured(to, labels.clone(), structure, sets, &columns, keep_columns)
        };
        let mut output = out.table.map(writer).transpose()?;
        if let Some(output) = output.as_mut().filter(|_| rows.by_batch()) {
            output.batches_as_told()?;
        }
        let mut sample = self.page.then(|| RowSample::of(&scoring.tasks, labels.clone()));
        let progress = RefCell::new(Progress::over(live, self.source.size()));
        let counted = scoring.run(
            rows,
            &mut calibrator,
            &mut |examples, answers, ends| {
                progress.borrow().beside(|| {
                    for (example, answer) in examples.iter().zip(&answers) {
                        match &mut output {
                            Some(output) => output.write(example, answer)?,
                            None => match classifier.number(answer) {
                                Some(number) => render::print(&format!("{number:.3}\n"))?,
                                None => render::print(&render::answer(&labels, answer))?,
                            },
                        }
                        if let Some(sample) = &mut sample {
                            // A label that is no class was told, or passed over, where rows are read.
                            let truth = truth(classifier.verbalizer(), &columns, example).ok().flatten();
                            sample.add(example, answer, truth);
                        }
                        seen(example, answer);
                    }
                    output.as_mut().filter(|_| ends).map_or(Ok(()), PredictionWriter::flush)
                })
            },
            &mut |at| progress.borrow_mut().advance(at),
        )?;
        output.map_or(Ok(()), |output| output.finish()?.commit())?;
        if let Some(sample) = &mut sample {
            sample.take_words(scoring.label_words(&sample.worth_a_look(), WORDS)?);
        }
        let seconds = progress.into_inner().finish();
        self.source.finish(self.quiet)?;
        let fitted = calibrator.fitted().clone();
        let counts = share.map(|share| ShardCounts::of(&share, &fitted, long, counted.clone()));
        let names: Vec<PatternName> = scoring.tasks.iter().map(Task::name).collect();
        let report = counted.report(&Fitting::of(&fitted), scoring.described(), &names, seconds);
        let report = Report { neighbours, ..report };
        Ok(Answered { report, fitted, sample, counts })
    }
}
