//! `cloze score`: rows in, labels and probabilities out.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use cloze::error::Error;
use cloze::model::dtype::Dtype;
use cloze::predict::calibration::Method;
use cloze::predict::calibrator::{CalibrationRequest, Calibrator};
use cloze::predict::encode::Long;
use cloze::predict::multi_label::{Centring, LabelFiles, MultiLabel};
use cloze::predict::output::PredictionWriter;
use cloze::predict::prompt_classifier::Compute;
use cloze::predict::report::Report;
use cloze::predict::shards::{ShardCounts, ShardReport};
use cloze::predict::task::Task;
use cloze::study::members::Members;
use cloze::study::pictures::{RowSample, score_page};
use cloze::study::run::{Run, Wanted};
use cloze::study::seen::{Counter, SeenRows};
use cloze::text::data::{Columns, Format, Reading, Rows, Shard};
use cloze::text::dataset::{Dataset, Labels, called_as_labels, perhaps_labels, read_columns};
use cloze::text::done::Done;
use cloze::text::label_sets::LabelSets;
use cloze::text::same_file::same_file;
use cloze::text::table::BETWEEN;
use cloze::text::whole_file::WholeFile;

use super::answering::{self, Answered, Answering, AnswersOut};
use super::args::{Asked, Data, Demonstrations, LongTexts, Model};
use super::multi_label::{self, Job, MultiLabelArgs};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Live};
use super::setup;
use super::shipped;
use super::source::{self, Source};
use super::structure::StructureArgs;

/// Give each row of a file a label and a probability for each class
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze score --template templates/sentiment/it-was.json \\
      --verbalizer verbalizers/sentiment.json --data data/reviews/test.csv
  cloze score --template templates/sentiment/*.json \\
      --verbalizer verbalizers/sentiment.json --data mine.csv --out labelled.csv
  cloze score --run runs/tickets --data mine.csv --out labelled.csv
  cat mine.jsonl | cloze score --template t.json --verbalizer v.json \\
      --data - --format jsonl --report report.json

The output has one row per input row, in the input's order: row, predicted,
confidence, p_<label> for each class. With several templates the probabilities
are averaged, and the report shows each template by itself.")]
pub struct Score {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    data: Data,
    /// Answer only a share of the rows: the I-th of N, from 1/N to N/N. Where all of it is done already,
    /// nothing is done; cloze merge puts the reports of all shards together
    #[arg(long, value_name = "I/N", conflicts_with_all = ["text", "field"])]
    shard: Option<Shard>,
    /// Where to write the rows: .csv, .tsv, .jsonl, .json, .parquet or .arrow; without it, as CSV on standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The format of the rows [default: by the file's name; csv on standard output]
    #[arg(long, value_enum, value_name = "FORMAT")]
    out_format: Option<Format>,
    /// Where to write the report, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the input's columns too, behind the others
    #[arg(long)]
    keep_columns: bool,
    /// Write answers as soon as no further row is at hand, and after N rows at most: for a slow producer on
    /// standard input [default: after a second, or 2048 rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    flush_rows: Option<u32>,
    /// No progress and no report on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    structure: StructureArgs,
    #[command(flatten)]
    several: MultiLabelArgs,
    #[command(flatten)]
    calibration: Calibration,
    #[command(flatten)]
    demonstrations: Demonstrations,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    long: LongTexts,
    /// The type of numbers to compute in
    #[arg(long, value_parser = setup::dtypes(), value_name = "TYPE", default_value = "f32")]
    // By its whole path, which tells clap that it is one value.
    dtype: std::option::Option<Dtype>,
    /// Most tokens in a batch, padding counted [default: 1024, on a GPU 16384]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,
}

/// The heading of these alone: a `next_help_heading` would stand above all flags that follow.
const CALIBRATION: &str = "Correction";

/// The methods of calibration, with the flag that one of them takes its prior from.
fn methods() -> impl TypedValueParser<Value = Method> {
    let named = |method: &Method| {
        let value = method.to_possible_value()?;
        Some(match method {
            Method::Prior => value.help("Make the rows' mean that of --prior (Liusie et al. 2023)"),
            _ => value,
        })
    };
    PossibleValuesParser::new(Method::value_variants().iter().filter_map(named))
        .try_map(|name| Method::from_str(&name, false))
}

#[derive(Debug, clap::Args)]
struct Calibration {
    /// Take the model's bias towards some label words out of each pattern's probabilities
    #[arg(long, help_heading = CALIBRATION, value_parser = methods(), value_name = "METHOD")]
    calibrate: Option<Method>,
    /// Rows to fit it on [default: the rows of --data, which then stay in memory; temperature, dirichlet and
    /// vector-scaling need labelled ones]
    #[arg(
        long,
        help_heading = CALIBRATION,
        value_name = "FILE",
        value_parser = shipped::path(),
        requires = "calibrate",
    )]
    calibrate_on: Option<PathBuf>,
    /// For --calibrate prior: how often each class is [default: all the same]
    #[arg(
        long,
        help_heading = CALIBRATION,
        hide_short_help = true,
        value_name = "LABEL=SHARE,…",
        requires = "calibrate",
    )]
    prior: Option<String>,
    /// Sets of classes that hold the true one in at least 1 - ALPHA of the rows, in a column of their own
    #[arg(long, help_heading = CALIBRATION, value_name = "ALPHA", requires = "conformal_on")]
    conformal: Option<f64>,
    /// Labelled rows to find the sets' thresholds on; others than were trained or calibrated on
    #[arg(
        long,
        help_heading = CALIBRATION,
        value_name = "FILE",
        value_parser = shipped::path(),
        requires = "conformal",
    )]
    conformal_on: Option<PathBuf>,
    /// A threshold for each class: the sets hold the true one as often in each class
    #[arg(long, help_heading = CALIBRATION, requires = "conformal")]
    class_conditional: bool,
    /// Where to write what was fitted, as JSON
    #[arg(long, help_heading = CALIBRATION, value_name = "FILE")]
    calibration_out: Option<PathBuf>,
    /// What was fitted before and written by --calibration-out, for the same model, patterns and verbalizer
    #[arg(
        long,
        help_heading = CALIBRATION,
        value_name = "FILE",
        conflicts_with_all = ["calibrate", "conformal", "calibration_out"],
    )]
    calibration: Option<PathBuf>,
    /// Labelled rows, other rows than are evaluated on, of which the nearest at the blank count beside the label
    /// words; how many and how much is chosen on them
    #[arg(
        long,
        help_heading = CALIBRATION,
        value_name = "FILE",
        value_parser = shipped::path(),
        conflicts_with_all = ["calibrate", "calibration", "calibration_out"],
    )]
    neighbours: Option<PathBuf>,
    /// Leave rows without an answer whose likeliest class is less probable
    #[arg(long, help_heading = CALIBRATION, value_name = "P")]
    abstain_below: Option<f64>,
}

impl Calibration {
    /// Whether anything is asked.
    fn any(&self) -> bool {
        self.calibrate.is_some()
            || self.conformal.is_some()
            || self.calibration.is_some()
            || self.abstain_below.is_some()
            || self.neighbours.is_some()
    }
}

/// Runs the command.
pub fn run(args: &Score) -> Result<()> {
    ensure!(
        args.report.as_deref() != Some(Path::new("-")),
        "--report needs a file: standard output is for the rows"
    );
    let long = setup::long(&args.long)?;
    let run = setup::run(&args.asked.trained)?;
    let of_run = run.as_ref().is_some_and(Run::gives_several_labels);
    if args.several.multi_label || of_run {
        return several_labels(args, run.as_ref());
    }
    args.several.check_unused()?;
    if let Some(run) = setup::of_members(&args.asked.trained, run.as_ref()) {
        return members(args, run);
    }
    let source =
        Source::of(&args.data)?.keeping(args.keep_columns).flushed_after(args.flush_rows).sharded(args.shard);
    let (blueprint, tasks, mut rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    let blueprint = match args.structure.any() {
        true => blueprint.structured(&args.structure.request()?)?,
        false => blueprint,
    };
    let columns = rows.columns().clone();
    let (verbalizer, reading) = (&blueprint.verbalizer, &source.reading);
    let showing = setup::showing(&args.demonstrations, reading, verbalizer, &tasks.tasks, &columns)?;
    let read = read_columns(tasks.tasks.iter().map(Task::template), &columns);
    if !args.keep_columns && source::bad_rows_file(&args.data.reading.rows).is_none() {
        let maybe_labels = columns.names().iter().filter(|name| called_as_labels(name));
        rows = rows.only(&read.iter().chain(maybe_labels).cloned().collect::<Vec<_>>());
    }
    if !args.quiet {
        let perhaps = perhaps_labels(&mut rows, verbalizer, &read);
        render::tell(&render::perhaps_labels(perhaps.as_deref()))?;
        let dtype = args.dtype.and_then(|dtype| dtype.remark(blueprint.options.device));
        let remarks = blueprint.head_remark().into_iter().chain(blueprint.words.left_out()).chain(dtype);
        render::warnings(&remarks.collect::<Vec<_>>())?;
    }
    check_calibration(args, &blueprint.labels())?;
    if blueprint.verbalizer.structure().range.is_some() {
        check_numbers(args)?;
    }
    if args.page.path().is_some() {
        blueprint.verbalizer.check_classes("a page")?;
    }
    let one_row = source.file().is_none() && args.calibration.calibrate_on.is_none();
    ensure!(
        !one_row || !args.calibration.calibrate.is_some_and(Method::needs_rows),
        "one row says nothing of what the model prefers: --calibrate contextual or pmi needs none, --calibrate-on takes others"
    );
    let shown = showing.as_ref().map(|showing| showing.in_tasks(tasks.tasks.clone()));
    let calibrator = Calibrator::check(
        &calibration(args, &source.reading),
        &blueprint,
        shown.as_deref().unwrap_or(&tasks.tasks),
        &columns,
    )?;
    let done = done(args, blueprint.folder.path())?;
    if is_done(args, done.as_ref())? {
        return Ok(());
    }
    let beside = args.calibration.neighbours.as_ref();
    let beside = beside.map(|path| {
        let wanted = (Some(&*columns), Labels::Needed);
        Dataset::read(path, &source.reading, &read, &blueprint.verbalizer, wanted.0, wanted.1)
    });
    let neighbours = beside.transpose()?;
    let outputs = Outputs::open(args, blueprint.folder.path(), &source)?;
    let compute = Compute { dtype: args.dtype, long, ..compute(args) };
    let (keep_columns, quiet) = (args.keep_columns, args.quiet);
    let page = outputs.page.is_some();
    let fitted_on = SeenRows::of_sets(calibrator.learns_from().chain(&neighbours), read);
    let mut fitted_on = fitted_on.and_then(|seen| seen.among(&columns));
    let answering = Answering {
        blueprint,
        tasks,
        rows,
        showing,
        calibrator,
        neighbours,
        compute,
        keep_columns,
        quiet,
        page,
        source,
    };
    let mut seen = seen_rows(args, run.as_ref(), &columns)?;
    let Answered { mut report, fitted, sample, counts } =
        answering.run(outputs.rows, &mut |example, _| {
            seen.iter_mut().chain(&mut fitted_on).for_each(|seen| seen.add(example));
        })?;
    report.trained_on = seen.and_then(Counter::found);
    report.calibrated_on = fitted_on.and_then(Counter::found);
    outputs.calibration.map_or(Ok(()), |file| fitted.write(file))?;
    write_page(outputs.page, &report, sample.as_ref())?;
    finish(args, outputs.report, &report, counts.as_ref())?;
    Ok(done.map_or(Ok(()), Done::write)?)
}

/// Refuses what is for classes, where rows are given numbers.
fn check_numbers(args: &Score) -> Result<()> {
    ensure!(
        !args.calibration.any(),
        "corrections, sets, neighbours and rows without an answer are for classes, and this verbalizer has a range of \
         numbers: leave their flags out"
    );
    Ok(())
}

/// Gives each row several labels, or none.
fn several_labels(args: &Score, run: Option<&Run>) -> Result<()> {
    multi_label::check_alone(&args.structure)?;
    ensure!(
        args.shard.is_none() || args.report.is_none(),
        "reports of several labels a row cannot be put together: leave --report or --shard out"
    );
    let centring = centring(args)?;
    let out = answering::file(args.out.as_deref());
    let source = Source::new(
        args.data.data.as_deref(),
        &args.data.given,
        Reading {
            lists: Some(args.several.separator().unwrap_or(BETWEEN).to_owned()),
            ..source::reading(&args.data.reading)?
        },
    )?
    .keeping(args.keep_columns)
    .flushed_after(args.flush_rows)
    .sharded(args.shard);
    let (parts, sets, rows) = match (run, &args.asked.verbalizer) {
        (Some(run), _) => of_run(args, run, &source)?,
        (None, Some(verbalizer)) => of_files(args, verbalizer, &source)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    check_outputs(args, out, parts.folder().path())?;
    let done = done(args, parts.folder().path())?;
    if is_done(args, done.as_ref())? {
        return Ok(());
    }
    let out = AnswersOut::open(out, args.out_format, &source)?;
    let job = Job {
        parts,
        rows,
        sets,
        args: &args.several,
        centring,
        conformal: args.calibration.conformal.zip(args.calibration.conformal_on.as_deref()),
        compute: Compute { dtype: args.dtype, long: setup::long(&args.long)?, ..compute(args) },
        report: args.report.as_deref(),
        page: &args.page,
        keep_columns: args.keep_columns,
        quiet: args.quiet,
        source,
    };
    job.run(out)?;
    Ok(done.map_or(Ok(()), Done::write)?)
}

/// Several labels a row as a run learned them.
fn of_run(args: &Score, run: &Run, source: &Source) -> Result<(MultiLabel, LabelSets, Rows)> {
    ensure!(
        args.several.way.is_none() && args.several.reference.is_empty(),
        "a run knows how it asks for labels: leave --way and --reference out"
    );
    let wanted = setup::wanted(&args.asked.trained, &args.model)?;
    let wanted = Wanted { several_labels: true, ..wanted };
    let (blueprint, _, rows) = run.blueprint(&wanted, || source.open())?;
    let parts = MultiLabel::of_run(blueprint);
    let found = LabelSets::find(&parts.labels(), rows, args.several.separator(), &source.reading.adjust);
    let (sets, rows) = found?;
    Ok((parts, sets, rows))
}

/// Several labels a row by templates and a verbalizer.
fn of_files(args: &Score, verbalizer: &Path, source: &Source) -> Result<(MultiLabel, LabelSets, Rows)> {
    let reference = args.several.reference();
    let files = LabelFiles {
        templates: &args.asked.template,
        verbalizer,
        way: args.several.way()?,
        reference: &reference,
        separator: args.several.separator(),
        max_length: args.model.limits.max_length,
    };
    Ok(MultiLabel::of_files(
        files,
        &source.reading.adjust,
        || source.open(),
        || setup::open_model(&args.model.limits),
        setup::options(&args.model)?,
    )?)
}

/// What is taken off scores; what has no meaning for several labels a row is refused.
fn centring(args: &Score) -> Result<Centring> {
    let calibration = &args.calibration;
    let refused = [
        ("--calibrate-on", calibration.calibrate_on.is_some()),
        ("--calibration", calibration.calibration.is_some()),
        ("--calibration-out", calibration.calibration_out.is_some()),
        ("--abstain-below", calibration.abstain_below.is_some()),
        ("--class-conditional", calibration.class_conditional),
        ("--prior", calibration.prior.is_some()),
        ("--neighbours", calibration.neighbours.is_some()),
        ("--demos", args.demonstrations.demos.is_some()),
        ("--peft", args.asked.trained.peft.is_some()),
    ];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        bail!("{flag} is for one label a row: leave it or --multi-label out");
    }
    ensure!(
        calibration.conformal.is_none_or(|alpha| alpha > 0.0 && alpha < 1.0),
        "--conformal takes a number between 0 and 1"
    );
    match calibration.calibrate {
        None => Ok(Centring::Not),
        Some(Method::Contextual) => Ok(Centring::WithoutContent),
        Some(Method::Batch) if args.shard.is_some() => bail!(
            "--calibrate batch looks at the rows themselves, and a shard has other ones than the whole: leave it out"
        ),
        Some(Method::Batch) if args.flush_rows.is_some() => bail!(
            "--calibrate batch looks at many rows before it answers the first: leave it or --flush-rows out"
        ),
        Some(Method::Batch) => Ok(Centring::Rows),
        Some(method) => {
            bail!("--calibrate {} is for one label a row: several take contextual or batch", method.name())
        }
    }
}

/// On what the rows are computed, and how many at once.
fn compute(args: &Score) -> Compute {
    let batch_tokens = args.batch_tokens.map(|tokens| tokens as usize);
    Compute { batch_tokens, ..setup::compute(&args.model) }
}

/// Refuses flags of calibration that do not go together.
fn check_calibration(args: &Score, labels: &[String]) -> Result<()> {
    let Score { calibration: args, flush_rows, shard, .. } = args;
    let method = args.calibrate;
    let named = method.map_or("", Method::name);
    ensure!(
        shard.is_none() || args.neighbours.is_none(),
        "--neighbours chooses by all labelled rows anew in each shard, and cloze merge knows nothing of it: leave \
         --shard or --neighbours out"
    );
    ensure!(
        shard.is_none() || args.calibrate_on.is_some() || !method.is_some_and(Method::needs_rows),
        "--calibrate {named} is fitted on the rows themselves, and a shard has other ones than the whole: \
         fit it once with --calibration-out, and give each shard --calibration"
    );
    ensure!(
        flush_rows.is_none() || args.calibrate_on.is_some() || !method.is_some_and(Method::needs_rows),
        "--calibrate {named} is fitted on the rows themselves, so none is answered before the last has come: \
         give --calibrate-on or --calibration, or leave --flush-rows out"
    );
    ensure!(
        args.prior.is_none() || method == Some(Method::Prior),
        "--prior is for --calibrate prior, not for {named}"
    );
    for (flag, share) in [("--conformal", args.conformal), ("--abstain-below", args.abstain_below)] {
        ensure!(
            share.is_none_or(|share| share > 0.0 && share < 1.0),
            "{flag} takes a number between 0 and 1"
        );
    }
    ensure!(
        args.calibration_out.is_none() || method.is_some() || args.conformal.is_some(),
        "--calibration-out has nothing to write: add --calibrate or --conformal"
    );
    ensure!(
        args.calibrate_on.is_none() || method.is_some_and(Method::needs_rows),
        "--calibrate {named} looks at no rows: leave --calibrate-on out"
    );
    ensure!(
        !method.is_some_and(Method::needs_labels) || args.calibrate_on.is_some(),
        "--calibrate {named} learns from labels: give --calibrate-on a labelled file, other rows than are evaluated on"
    );
    if let (Some(beside), Some(sets_on)) = (&args.neighbours, &args.conformal_on) {
        ensure!(
            !same_file(beside, sets_on),
            "--conformal-on needs rows of its own: each of those of --neighbours would be its own neighbour"
        );
    }
    let between = labels.iter().find(|label| label.contains(BETWEEN) && args.conformal.is_some());
    if let Some(label) = between {
        anyhow::bail!(
            "the label {label:?} has a {BETWEEN:?}, which stands between the labels of a set in the output"
        );
    }
    Ok(())
}

/// What is asked of a calibration.
fn calibration(args: &Score, reading: &Reading) -> CalibrationRequest {
    let sharded = args.shard.is_some() && args.report.is_some();
    let args = &args.calibration;
    CalibrationRequest {
        method: args.calibrate,
        fit_on: args.calibrate_on.clone(),
        prior: args.prior.clone(),
        conformal: args.conformal,
        conformal_on: args.conformal_on.clone(),
        class_conditional: args.class_conditional,
        abstain_below: args.abstain_below,
        fitted: args.calibration.clone(),
        // Shards are put together only of the same weights.
        keeps: args.calibration_out.is_some() || sharded,
        reading: reading.clone(),
    }
}

/// The files that are written, opened before the work.
struct Outputs {
    rows: AnswersOut,
    report: Option<WholeFile>,
    calibration: Option<WholeFile>,
    page: Option<WholeFile>,
}

impl Outputs {
    fn open(args: &Score, model: &Path, source: &Source) -> Result<Outputs> {
        let out = answering::file(args.out.as_deref());
        check_outputs(args, out, model)?;
        let report = args.report.as_deref().map(WholeFile::create).transpose()?;
        let calibration = args.calibration.calibration_out.as_deref().map(WholeFile::create).transpose()?;
        let page = args.page.open()?;
        Ok(Outputs { rows: AnswersOut::open(out, args.out_format, source)?, report, calibration, page })
    }
}

/// Writes the page, if there is to be one.
fn write_page(file: Option<WholeFile>, report: &Report, sample: Option<&RowSample>) -> Result<()> {
    let Some(sample) = sample else { return Ok(()) };
    pages::write(file, || score_page(&format!("Scores of {}", report.run.data), report, sample))
}

/// The record of a shard that is done, where its answers go to a file.
fn done(args: &Score, model: &Path) -> Result<Option<Done>> {
    let (Some(_), Some(out)) = (args.shard, answering::file(args.out.as_deref())) else { return Ok(None) };
    let outputs: Vec<&Path> = std::iter::once(out)
        .chain(args.report.as_deref())
        .chain(args.page.path())
        .chain(args.calibration.calibration_out.as_deref())
        .chain(args.several.thresholds_out.as_deref())
        .collect();
    Ok(Done::of(&outputs, &format!("{args:?}"), &reads(args, model).all())?)
}

/// Whether a shard is done already, of the same files and flags; then that is said.
fn is_done(args: &Score, done: Option<&Done>) -> Result<bool> {
    let (Some(shard), Some(out), Some(true)) = (args.shard, &args.out, done.map(Done::is_done)) else {
        return Ok(false);
    };
    if !args.quiet {
        render::tell(&format!(
            "{}: shard {shard} is done already, with the same files and flags\n",
            out.display()
        ))?;
    }
    Ok(true)
}

/// Writes the report where it was asked for, and shows it.
fn finish(
    args: &Score,
    report_file: Option<WholeFile>,
    report: &Report,
    counts: Option<&ShardCounts>,
) -> Result<()> {
    report_file.map_or(Ok(()), |file| match counts {
        Some(shard) => file.commit_json(&ShardReport { report, shard }),
        None => file.commit_json(report),
    })?;
    // Of one row on the command line there is nothing to report that its answer does not say.
    if !args.quiet && args.data.data.is_some() {
        render::tell(&(render::report(report) + &render::terms(&std::io::stderr())))?;
    }
    Ok(())
}

/// Scores with the members of an ensemble. Each comes into memory in its turn, so it is the rows that stay
/// there.
fn members(args: &Score, run: &Run) -> Result<()> {
    ensure!(
        !args.calibration.any(),
        "members of an ensemble are calibrated where they are made: cloze ensemble --calibrate; leave the flags of calibration out"
    );
    ensure!(
        args.demonstrations.demos.is_none(),
        "members of an ensemble show no demonstrations: leave --demos out"
    );
    ensure!(
        args.long.long == Long::Head,
        "members of an ensemble read the beginning of long texts: leave --long out"
    );
    ensure!(
        !args.structure.any(),
        "members of an ensemble have their classes beside each other: leave --tree and --ordered out"
    );
    ensure!(args.shard.is_none(), "members of an ensemble read all rows: leave --shard out");
    ensure!(
        args.flush_rows.is_none(),
        "members of an ensemble answer when all rows have been read: leave --flush-rows out"
    );
    ensure!(args.dtype == Some(Dtype::F32), "members of an ensemble are scored in f32: leave --dtype out");
    let wanted = setup::wanted(&args.asked.trained, &args.model)?;
    let source = Source::of(&args.data)?;
    let Some(file) = source.file() else {
        bail!("members of an ensemble read their rows from a file: give --data")
    };
    let members = Members::open(run, &wanted, file, &source.reading)?;
    let outputs = Outputs::open(args, members.model(), &source)?;
    if !args.quiet {
        render::warnings(&members.warnings())?;
    }
    let mut live = Live::start(args.quiet, "loading the members");
    let scored = members.score(compute(args), &mut |share| {
        live.at(Some(share), || format!("scoring with the members  {:.0} %", share * 100.0));
    })?;
    drop(live);
    let (columns, labels) = (scored.columns(), scored.report().run.labels.clone());
    if let Some(table) = outputs.rows.table {
        let mut output = PredictionWriter::create(table, labels, false, columns, args.keep_columns)?;
        scored.rows().try_for_each(|(example, answer)| output.write(example, answer))?;
        output.finish()?.commit()?;
    }
    source.finish(args.quiet)?;
    let mut report = scored.report().clone();
    let mut seen = seen_rows(args, Some(run), columns)?;
    scored.rows().for_each(|(example, _)| seen.iter_mut().for_each(|seen| seen.add(example)));
    report.trained_on = seen.and_then(Counter::found);
    let sample = outputs.page.is_some().then(|| scored.sample());
    write_page(outputs.page, &report, sample.as_ref())?;
    finish(args, outputs.report, &report, None)
}

/// Counts the rows that a run was trained on.
fn seen_rows(args: &Score, run: Option<&Run>, columns: &Columns) -> Result<Option<Counter>> {
    let wanted = setup::wanted(&args.asked.trained, &args.model)?;
    Ok(run.and_then(|run| run.seen_rows(&wanted)?.among(columns)))
}

/// Refuses to write over what is read, and to write two things to one file.
fn check_outputs(args: &Score, out: Option<&Path>, model: &Path) -> Result<(), Error> {
    let calibration = &args.calibration;
    let outputs = [
        ("bad rows", source::bad_rows_file(&args.data.reading.rows)),
        ("rows", out),
        ("report", args.report.as_deref()),
        ("page", args.page.path()),
        ("calibration", calibration.calibration_out.as_deref()),
        args.several.written(),
    ];
    outputs::check(&outputs, &reads(args, model))
}

/// All that is read.
fn reads(args: &Score, model: &Path) -> Reads {
    let calibration = &args.calibration;
    let fitted_on =
        calibration.calibrate_on.iter().chain(&calibration.conformal_on).chain(&calibration.calibration);
    let fitted_on = fitted_on.chain(&calibration.neighbours);
    let rows =
        args.data.data.iter().chain(args.several.reads()).chain(fitted_on).chain(&args.demonstrations.demos);
    let folder = args.data.data.as_deref().filter(|data| data.is_dir());
    Reads::asked(&args.asked, rows).model(model).folder(folder)
}
