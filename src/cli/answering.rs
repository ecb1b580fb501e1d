//! Rows answered, as `score` and `classify` do it.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use cloze::PromptClassifier;
use cloze::error::Result;
use cloze::predict::blueprint::Blueprint;
use cloze::predict::calibration::Fitted;
use cloze::predict::calibrator::{BETWEEN, Calibrator};
use cloze::predict::output::{Answer, PredictionWriter};
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::report::Report;
use cloze::predict::showing::Showing;
use cloze::predict::task::TaskSet;
use cloze::text::data::{Example, Rows};
use cloze::text::whole_file::WholeFile;

use super::render::Progress;

/// Where the rows go, opened before the work, so that one that cannot be written costs no one an hour.
pub struct RowsOut {
    pub file: WholeFile,
    pub name: PathBuf,
    /// Rows on the same terminal are progress enough.
    shown: bool,
}

impl RowsOut {
    /// A file, or standard output.
    pub fn open(out: Option<&Path>) -> Result<RowsOut> {
        Ok(RowsOut {
            file: out.map_or_else(|| Ok(WholeFile::stdout()), WholeFile::create)?,
            name: out.unwrap_or(Path::new("standard output")).to_owned(),
            shown: out.is_none() && io::stdout().is_terminal(),
        })
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
    pub compute: Compute,
    pub keep_columns: bool,
    pub quiet: bool,
    /// The data's size in bytes, where it is known.
    pub size: Option<u64>,
}

impl Answering {
    /// Answers the rows and writes them; `seen` is given each of them. Gives the report, and what was fitted.
    pub fn run(self, out: RowsOut, seen: &mut dyn FnMut(&Example, &Answer)) -> Result<(Report, Fitted)> {
        let Answering { blueprint, tasks, rows, showing, mut calibrator, compute, .. } = self;
        let columns = rows.columns().clone();
        let classifier = PromptClassifier::load(blueprint, compute, showing)?;
        let scoring = classifier.on(tasks.tasks, columns.clone())?;
        let sets = calibrator.gives_sets().then_some(BETWEEN);
        let labels = classifier.labels().to_vec();
        let mut output =
            PredictionWriter::create(out.file, &out.name, labels, sets, &columns, self.keep_columns)?;
        let mut progress = Progress::start(self.quiet || out.shown, self.size);
        let counted = scoring.run(
            rows,
            &mut calibrator,
            &mut |examples, answers| {
                for (example, answer) in examples.iter().zip(&answers) {
                    output.write(example, answer)?;
                    seen(example, answer);
                }
                output.flush()
            },
            &mut |at| progress.advance(at.done, (at.rows_read, at.bytes_read)),
        )?;
        output.finish()?.commit()?;
        let report = counted.report(&calibrator, scoring.described(), &scoring.tasks, progress.finish());
        Ok((report, calibrator.fitted().clone()))
    }
}
