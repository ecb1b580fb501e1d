//! `cloze report`: the page and the tables of ensemble experiments that were made before.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, FileError, Kind, RunError};
use cloze::learn::run::MANIFEST;
use cloze::study::ensemble::page::page;
use cloze::study::ensemble::report::{Accuracies, EnsembleReport};
use cloze::study::ensemble::summary::{BetweenRuns, Comparison, between_runs};
use cloze::text::same_file::same_file;
use cloze::text::whole_file::{WholeFile, write_text};
use serde::Serialize;

use super::outputs::{self, Reads};
use super::render;

/// The results that are read, and what the run would not be one without.
const RUN_FILES: [&str; 4] = [cloze::study::ensemble::read::FILE, MANIFEST, "events.jsonl", "seconds.jsonl"];

/// Show the results of ensemble experiments again, one or several side by side
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze report runs/news
  cloze report runs/news runs/news-lora runs/news-ipet --out compared.html \\
      --json compared.json

The page is one file that needs no network. Runs on the same test rows are compared row by row, by paired bootstrap.")]
pub struct Report {
    /// Folders of runs of cloze ensemble, each with its report.json
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
    classifier: Option<&'static str>,
    accuracy: Option<&'a Accuracies>,
    tests: Vec<Comparison>,
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
    let reports = args.run.iter().map(|run| EnsembleReport::of_run(run)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = args.run.iter().map(|run| run.display().to_string()).collect();
    let runs: Vec<(&str, &EnsembleReport)> = names.iter().map(String::as_str).zip(&reports).collect();
    write_text(&out, &page(&runs))?;
    let between = between_runs(&runs);
    if !args.quiet {
        let mut text: String =
            runs.iter().map(|(name, report)| render::ensemble(report, Path::new(name))).collect();
        text.push_str(&render::between_runs(&between));
        text.push_str(&format!("\n{}\n", out.display()));
        text.push_str(&render::terms(&std::io::stdout()));
        render::print(&text)?;
    }
    if let Some(path) = &args.json {
        let mut of_runs = Vec::new();
        for &(run, report) in &runs {
            let (classifier, found) = report.classifier().unzip();
            let accuracy = found.map(|found| &found.accuracy);
            of_runs.push(RunTests { run, classifier, accuracy, tests: report.comparisons() });
        }
        let tests = Tests { version: 1, runs: of_runs, between };
        WholeFile::create(path)?.commit_json(&tests)?;
    }
    Ok(())
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
