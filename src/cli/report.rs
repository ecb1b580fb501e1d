//! `cloze report`: the page and the tables of runs that were made before.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, FileError, Kind, RunError};
use cloze::learn::run::{MANIFEST, METRICS};
use cloze::study::ensemble::report::Accuracies;
use cloze::study::ensemble::summary::{BetweenRuns, Comparison};
use cloze::study::report::{RunReport, between_runs, page};
use cloze::text::same_file::same_file;
use cloze::text::whole_file::{WholeFile, write_text};
use serde::Serialize;

use super::outputs::{self, Reads};
use super::render;

/// The results that are read, and what the run would not be one without.
const RUN_FILES: [&str; 5] =
    [cloze::study::ensemble::read::FILE, METRICS, MANIFEST, "events.jsonl", "seconds.jsonl"];

/// Show the results of runs again, one or several side by side
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze report runs/tickets
  cloze report runs/tickets runs/pet --out compared.html
  cloze report runs/news runs/news-lora runs/news-ipet --out compared.html \\
      --json compared.json

The page is one file that needs no network. Runs on the same test rows are
compared row by row. For a run of cloze train this needs its test file; what
cannot be compared stands side by side, with the reason. cloze compare does the
same with files of scores.")]
pub struct Report {
    /// Folders of runs of cloze train or cloze ensemble
    #[arg(required = true, value_name = "RUN", value_hint = clap::ValueHint::DirPath)]
    run: Vec<PathBuf>,
    /// Where to write the page [default: report.html in the run's folder; several runs need a name]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the paired tests, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No tables on the terminal
    #[arg(long, short)]
    quiet: bool,
}

/// What `--json` writes: what no `report.json` has.
#[derive(Serialize)]
struct Tests<'a> {
    version: u64,
    runs: Vec<RunTests<'a>>,
    between: Vec<BetweenRuns>,
}

#[derive(Serialize)]
struct RunTests<'a> {
    run: &'a str,
    /// What the run has in the end; none where nothing was measured.
    classifier: Option<&'a str>,
    accuracy: Option<Accuracies>,
    tests: Vec<Comparison>,
}

impl<'a> RunTests<'a> {
    fn of(run: &'a str, report: &'a RunReport) -> RunTests<'a> {
        let (classifier, accuracy) = (report.classifier(), report.accuracy());
        RunTests { run, classifier, accuracy, tests: report.comparisons() }
    }
}

/// Runs the command.
pub fn run(args: &Report) -> Result<()> {
    if let Some((_, path)) = args
        .run
        .iter()
        .enumerate()
        .find(|(index, path)| args.run[..*index].iter().any(|other| same_file(other, path)))
    {
        return Err(Error::from(RunError::SameRun { path: path.clone() }).into());
    }
    let out = match (&args.out, &args.run[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.join("report.html"),
        (None, _) => return Err(Error::from(RunError::PageWithoutName).into()),
    };
    check_outputs(args, &out)?;
    let reports = args.run.iter().map(|run| RunReport::of_run(run)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = args.run.iter().map(|run| run.display().to_string()).collect();
    let runs: Vec<(&str, &RunReport)> = names.iter().map(String::as_str).zip(&reports).collect();
    write_text(&out, &page(&runs))?;
    let between = between_runs(&runs);
    if !args.quiet {
        let mut text: String = runs.iter().map(|(name, report)| results(report, Path::new(name))).collect();
        text.push_str(&render::between_runs(&between));
        text.push_str(&format!("\n{}\n", out.display()));
        text.push_str(&render::terms(&std::io::stdout()));
        render::print(&text)?;
    }
    if let Some(path) = &args.json {
        let of_run = |(run, report)| RunTests::of(run, report);
        let of_runs = runs.iter().copied().map(of_run).collect();
        let tests = Tests { version: 1, runs: of_runs, between };
        WholeFile::create(path)?.commit_json(&tests)?;
    }
    Ok(())
}

/// The tables of a run.
fn results(report: &RunReport, run: &Path) -> String {
    match report {
        RunReport::Ensemble(report) => render::ensemble(report, run),
        RunReport::Tasks(report) => format!("\n{}\n{}", run.display(), render::tasks(&report.tasks)),
        RunReport::Pretrain(report) => {
            format!("\n{}", render::pretraining(&report.metrics, &run.join("model")))
        }
        RunReport::Train(report) => {
            let warnings = &report.metrics.warnings;
            let warnings: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            warnings + &render::metrics(&report.metrics, run)
        }
    }
}

/// Refuses to write over what a run is known by, and to write both files to one, which is then called as
/// `--json` calls it: that is a name that the user wrote, and the page's may be none.
fn check_outputs(args: &Report, out: &Path) -> Result<(), Error> {
    let of_run = |run: &PathBuf| RUN_FILES.map(|name| run.join(name));
    let reads = Reads::files(args.run.iter().flat_map(of_run));
    let json = args.json.as_deref();
    outputs::check(&[("page", Some(out)), ("JSON", json)], &reads).map_err(|error| {
        match (error.kind(), json) {
            (Kind::File(FileError::OutputTwice { what, .. }), Some(json)) => {
                FileError::OutputTwice { path: json.to_owned(), what: what.clone() }.into()
            }
            _ => error,
        }
    })
}
