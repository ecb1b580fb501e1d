//! `cloze robustness`: the same rows under harmless changes.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use cloze::study::robustness;
use cloze::study::seen::Counter;
use cloze::text::whole_file::WholeFile;

use super::args::{Asked, Data, Model};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Live};
use super::setup;
use super::shipped;
use super::source::Source;

/// Score the same rows under harmless changes, and show whose label flips
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze robustness --run runs/tickets --data mine.csv
  cloze robustness --template templates/sentiment/it-was.json \\
      --verbalizer verbalizers/sentiment.json \\
      --data mine.csv --patterns templates/sentiment --out flips.csv

Changes: of the rows' words (final marks, commas, spaces, case, quotes), of the
pattern's words (the mark at its end, case, commas), of the label words (each
alone, the nearest in the model's embeddings), and other patterns. The rows stay
in memory. Of a run, the models of its seeds are averaged; what a trained method
does not read is not changed.")]
pub struct Robustness {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    data: Data,
    /// At most so many rows, from the first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows: Option<u32>,
    /// Templates for the same columns, a folder of them or a pattern of names: each in place of the given
    /// ones is a change too
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath, value_parser = shipped::path())]
    patterns: Option<PathBuf>,
    /// Where to write how often each row's label flips, as CSV
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// No progress on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    model: Model,
}

/// Runs the command.
pub fn run(args: &Robustness) -> Result<()> {
    setup::check_one_model(&args.asked.trained)?;
    let source = Source::of(&args.data)?;
    let run = setup::run(&args.asked.trained)?;
    let (blueprint, tasks, rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    blueprint.verbalizer.check_classes("cloze robustness")?;
    let (labels, data) = (blueprint.labels(), rows.columns().data().to_owned());
    let model = blueprint.folder.path().to_owned();
    let most = args.rows.map(|rows| rows as usize);
    let robustness = robustness::Robustness::prepare(blueprint, tasks, rows, most, args.patterns.as_deref())?;
    let wanted = setup::wanted(&args.asked.trained, &args.model)?;
    let (columns, examples) = robustness.rows();
    let mut seen = run.and_then(|run| run.seen_rows(&wanted)?.among(columns));
    examples.iter().for_each(|example| seen.iter_mut().for_each(|seen| seen.add(example)));
    let out = args.out.as_deref();
    let inputs = source.file().into_iter().chain(&robustness.paraphrase_files);
    let reads = Reads::asked(&args.asked, inputs).model(&model);
    let written = [("rows", out), ("report", args.report.as_deref()), ("page", args.page.path())];
    outputs::check(&written, &reads)?;
    let report_file = args.report.as_deref().map(WholeFile::create).transpose()?;
    let page_file = args.page.open()?;
    let mut live = Live::start(args.quiet, "loading the model");
    let began = Instant::now();
    let mut report = robustness.run(args.model.threads.map(usize::from), &mut |done, of| {
        let rate = done / began.elapsed().as_secs_f64();
        live.at(Some(done / of as f64), || {
            format!("{done:.0} of {of} rows, changes counted  {rate:.0} rows/s")
        });
    })?;
    drop(live);
    report.trained_on = seen.and_then(Counter::found);
    source.finish(args.quiet)?;
    anyhow::ensure!(
        !report.changes.is_empty(),
        "no change makes a difference to what this model reads: there is nothing to compare"
    );
    if let Some(path) = out {
        report.write_rows(path, &labels)?;
    }
    report_file.map_or(Ok(()), |file| file.commit_json(&report))?;
    pages::write(page_file, || report.page(&data, &labels))?;
    let text = render::robustness(&report, &data, &labels) + &render::terms(&std::io::stdout());
    Ok(render::print(&text)?)
}
