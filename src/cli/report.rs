//! `cloze report`: the page and the tables of ensemble experiments that were made before.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::study::ensemble::page::page;
use cloze::study::ensemble::report::{Accuracies, EnsembleReport};
use cloze::study::ensemble::summary::{BetweenRuns, Comparison, between_runs};
use cloze::text::whole_file::write_text;
use serde::Serialize;

use super::args::Report;
use super::render;
use super::setup::whereabouts;

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
        .find(|(index, path)| args.run[..*index].iter().any(|other| same(other, path)))
    {
        return Err(Error::from(Kind::SameRun { path: path.clone() }).into());
    }
    let out = match (&args.out, &args.run[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.join("report.html"),
        (None, _) => return Err(Error::from(Kind::PageWithoutName).into()),
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
        render::print(&text)?;
    }
    if let Some(path) = &args.json {
        let tests = Tests {
            version: 1,
            runs: runs.iter().map(|(name, report)| run_tests(name, report)).collect(),
            between,
        };
        write_text(path, &(serde_json::to_string_pretty(&tests)? + "\n"))?;
    }
    Ok(())
}

fn run_tests<'a>(run: &'a str, report: &'a EnsembleReport) -> RunTests<'a> {
    let (classifier, found) = report.classifier().unzip();
    RunTests { run, classifier, accuracy: found.map(|found| &found.accuracy), tests: report.comparisons() }
}

/// Refuses to write over a report that is read, and to write both files to one.
fn check_outputs(args: &Report, out: &Path) -> Result<(), Error> {
    let inputs: Vec<PathBuf> =
        args.run.iter().map(|run| run.join(cloze::study::ensemble::read::FILE)).collect();
    let outputs = [Some(out), args.json.as_deref()];
    if let Some(path) =
        outputs.into_iter().flatten().find(|path| inputs.iter().any(|input| same(path, input)))
    {
        return Err(Kind::OutputIsInput { path: path.to_owned() }.into());
    }
    match &args.json {
        Some(json) if same(json, out) && !is_device(json) => {
            Err(Kind::OutputTwice { path: json.clone(), what: "page and JSON".to_owned() }.into())
        }
        _ => Ok(()),
    }
}

/// Devices take whatever comes: both may go to /dev/null.
fn is_device(path: &Path) -> bool {
    path.exists() && !path.is_file()
}

fn same(one: &Path, other: &Path) -> bool {
    whereabouts(one).is_ok_and(|one| whereabouts(other).is_ok_and(|other| one == other))
}
