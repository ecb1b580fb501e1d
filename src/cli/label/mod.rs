//! `cloze label`: labels for rows, given in the browser.

mod training;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use cloze::PromptClassifier;
use cloze::error::LabelError;
use cloze::label::{
    About, LabelChange, Labelling, Learning, Opinion, OrderRequest, Placed, Project, agreement,
    check_columns, check_labeller, export, export_tasks, order,
};
use cloze::model::hash::hash_of;
use cloze::predict::blueprint::Blueprint;
use cloze::predict::calibrator::{CalibrationRequest, Calibrator};
use cloze::predict::selection::{Pool, PoolRequest, Strategy};
use cloze::predict::task::Task;
use cloze::predict::zero_shot::{Correcting, Question, ZeroShot, ZeroShotRequest};
use cloze::serve::listen;
use cloze::study::run::Run;
use cloze::text::data::{Columns, TEXT};
use cloze::text::labels::{self, NamedLabel};
use cloze::text::template::Template;
use cloze::text::verbalizer::{StructureRequest, Verbalizer};

use super::args::{Asked, Given, Model, RowReading, RunPart, Trained};
use super::outputs::{self, Reads};
use super::render::{self, LeftOut, Live};
use super::setup;
use super::shipped;
use super::signals;
use super::source::{self, Source};

use training::Training;

/// The heading of what says how rows are put in order.
const CHOICE: &str = "Choice";

/// The heading of what says how labels are written.
const EXPORT: &str = "Export";

/// After so many labels more a model is trained, if nothing else is said.
const LEARN_EVERY: u32 = 50;

/// The ending of a project's name, behind that of its rows.
const ENDING: &str = "labels.sqlite";

/// Label rows in the browser
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze label mail.csv --labels \"billing, technical, account\"
  cloze label mail.csv
  cloze label mail.csv --export labelled.csv --random-out test.csv
  cloze label --project mail.csv.labels.sqlite --export labelled.jsonl

The first begins a project, a file beside the rows, and serves a page on this
machine: number keys give labels, s skips, u takes back, n notes. Each answer is on
the disk before the next row is shown. The second goes on. The third writes what is
labelled, for cloze train; the rows that were drawn at random go into a file of
their own, to test on.

Rows come in an order that is chosen when the project begins, as cloze select does
it, by the model that ships, by --template and --verbalizer, or by a --run; where
there is no model, at random. After every 50 labels a model is trained on them in
the background: the page shows how good it is on rows drawn at random, what it is
least sure of comes next, and labels that look wrong are shown again.")]
pub struct Label {
    /// Data file: .csv, .tsv, .jsonl or .json
    #[arg(value_name = "FILE", required_unless_present = "project", value_parser = shipped::path())]
    rows: Option<PathBuf>,
    /// The project's file [default: FILE.labels.sqlite, beside the rows]
    #[arg(long, value_name = "FILE")]
    project: Option<PathBuf>,
    /// The labels, between commas, to begin a project; quotes round one that has a comma itself
    #[arg(long, short, value_name = "A, B, …")]
    labels: Option<String>,
    /// A file of labels, as cloze classify has it
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    labels_file: Option<PathBuf>,
    /// Give a project that was begun the labels that are named now; OLD=NEW renames one in what was answered,
    /// and OLD= takes its answers back
    #[arg(long, value_name = "OLD=NEW,…", num_args = 0..=1, value_delimiter = ',', conflicts_with = "export")]
    change_labels: Option<Vec<String>>,
    /// Template files (JSON) or folders of them, for a model's opinion
    #[arg(
        long,
        short,
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
        requires = "verbalizer",
    )]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON): its classes are the labels
    #[arg(
        long,
        short,
        value_name = "FILE",
        value_parser = shipped::path(),
        requires = "template",
        conflicts_with_all = ["labels", "labels_file"],
    )]
    verbalizer: Option<PathBuf>,
    /// The folder of a run of cloze train or cloze ensemble: its classes are the labels
    #[arg(
        long,
        value_name = "RUN",
        value_hint = clap::ValueHint::DirPath,
        conflicts_with_all = ["template", "verbalizer", "labels", "labels_file"],
    )]
    run: Option<PathBuf>,
    /// With labels alone, the columns that the model reads [default: found in the data]
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    text_column: Vec<String>,
    #[command(flatten)]
    reading: RowReading,
    /// Who labels, where the page names nobody [default: $USER]
    #[arg(long, value_name = "NAME")]
    labeller: Option<String>,
    /// The port; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = 8081)]
    port: u16,
    /// What the first rows are chosen by [default: clusters; random where there is no model]
    #[arg(long, value_enum, value_name = "STRATEGY", help_heading = CHOICE)]
    by: Option<Strategy>,
    /// How many rows are chosen so; the others follow at random
    #[arg(
        short,
        long,
        value_name = "N",
        help_heading = CHOICE,
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    n: u32,
    /// So many rows, drawn at random, are looked at to choose them
    #[arg(
        long,
        value_name = "N",
        help_heading = CHOICE,
        default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    among: u32,
    /// The share of all rows that is drawn at random, to test on, from 0 to 1
    #[arg(long, value_name = "SHARE", help_heading = CHOICE, default_value_t = 0.1)]
    random_share: f64,
    /// For what is drawn
    #[arg(long, value_name = "N", help_heading = CHOICE, default_value_t = 0)]
    choice_seed: u64,
    /// After so many labels more a model is trained on all of them; 0 for never [default: 50; never with --run
    /// or without a model]
    #[arg(long, value_name = "N", help_heading = CHOICE)]
    learn_every: Option<u32>,
    /// Write the labelled rows to a file and end: .csv, .tsv, .jsonl or .json; - for standard output
    #[arg(long, value_name = "FILE", help_heading = EXPORT)]
    export: Option<PathBuf>,
    /// Where to write the rows that were drawn at random, apart from the others: to test on
    #[arg(long, value_name = "FILE", help_heading = EXPORT, requires = "export")]
    random_out: Option<PathBuf>,
    /// Write skipped and disputed rows too, without a label; as tasks, all rows
    #[arg(long, help_heading = EXPORT, requires = "export")]
    all: bool,
    /// Write Label Studio's tasks (JSON), with each labeller's answers as annotations, and with --run what that
    /// run says of each row as a prediction
    #[arg(long, help_heading = EXPORT, requires = "export", conflicts_with = "random_out")]
    label_studio: bool,
    /// No line on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    model: Model,
}

/// Runs the command.
pub fn run(args: &Label) -> Result<()> {
    let path = project_path(args)?;
    if let Some(out) = &args.export {
        return write(args, &path, out);
    }
    ensure!((0.0..=1.0).contains(&args.random_share), "--random-share takes a number from 0 to 1");
    let labeller = args.labeller.clone().unwrap_or_else(whoever);
    check_labeller(&labeller)?;
    // Before the models, which take longer.
    let listener = listen(&format!("127.0.0.1:{}", args.port))?;
    let Begun { project, opinion, start, left_out } = match Project::is_there(&path) {
        true => go_on(args, &path)?,
        false => begin(args, &path)?,
    };
    let training = Training::default();
    let learning = learning(args, &project, start, &training)?;
    let progress = project.progress(&labeller)?;
    let about = project.about().clone();
    let running = Labelling::new(project, &labeller)?.opinion(opinion).learning(learning).start(listener)?;
    let stopper = running.stopper();
    signals::finish(move || stopper.stop());
    if !args.quiet {
        let port = running.address().port();
        render::tell(&render::labelling(&path, &about, &progress, &labeller, left_out, port))?;
    }
    running.wait();
    training.stop();
    Ok(())
}

/// What learns beside the labelling, if anything does.
fn learning(
    args: &Label,
    project: &Project,
    start: Option<Start>,
    training: &Training,
) -> Result<Option<Learning>> {
    let every = u64::from(args.learn_every.unwrap_or(LEARN_EVERY));
    let Some(start) = start.filter(|_| every > 0) else {
        ensure!(
            args.learn_every.unwrap_or(0) == 0,
            "--learn-every needs patterns and a model to learn with: labels alone or --template with a model, \
             and no --run"
        );
        return Ok(None);
    };
    let teach = Box::new(training.teacher(args, project, start)?);
    Ok(Some(Learning { every, looked_at: args.among as usize, teach }))
}

/// The project's file: that which is named, or the one beside the rows.
fn project_path(args: &Label) -> Result<PathBuf> {
    match (&args.project, &args.rows) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(rows)) => {
            ensure!(
                rows != Path::new("-"),
                "rows to label are a file: the project remembers them by it, and lies beside it"
            );
            Ok(PathBuf::from(format!("{}.{ENDING}", rows.display())))
        }
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

/// Who is logged in.
fn whoever() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let mut named = named.filter(|name| !name.trim().is_empty());
    named.next().unwrap_or_else(|| "me".to_owned())
}

/// Writes what is labelled.
fn write(args: &Label, path: &Path, out: &Path) -> Result<()> {
    ensure!(
        args.random_out.as_deref() != Some(Path::new("-")),
        "--random-out needs a file: standard output is for the other rows"
    );
    let written = [
        ("rows", Some(out).filter(|out| *out != Path::new("-"))),
        ("rows at random", args.random_out.as_deref()),
    ];
    let project = Project::open(path)?;
    outputs::check(&written, &Reads::files(args.rows.iter().map(PathBuf::as_path).chain([path])))?;
    check_rows(args, &project)?;
    let exported = match args.label_studio {
        true => {
            let run = args.run.as_ref().map(Run::open).transpose()?;
            let asked = run.map(|run| asks(args, &project, Some(&run))).transpose()?.flatten();
            ensure!(
                args.run.is_none() || asked.is_some(),
                "--run reads the rows' file, and {} is not what it was: name the file before --export",
                project.about().data
            );
            export_tasks(&project, out, args.all, asked.map(|(opinion, _)| opinion).as_ref())?
        }
        false => export(&project, out, args.random_out.as_deref(), args.all)?,
    };
    if !args.quiet {
        let agreed = agreement(&project.answers()?, &project.about().labels);
        render::tell(&render::exported(&exported, out, args.random_out.as_deref(), &agreed.pairs))?;
    }
    Ok(())
}

fn check_rows(args: &Label, project: &Project) -> Result<()> {
    let Some(rows) = &args.rows else { return Ok(()) };
    Ok(project.check_rows(&rows.display().to_string(), &hash_of(rows)?)?)
}

/// The file that a project was made of, if it is still where it was, and as it was.
fn same_rows(project: &Project) -> Option<PathBuf> {
    let path = PathBuf::from(&project.about().data);
    hash_of(&path).is_ok_and(|hash| hash == project.about().data_hash).then_some(path)
}

/// How a labelling begins, or goes on.
struct Begun {
    project: Project,
    /// The model that can be asked.
    opinion: Option<Opinion>,
    /// What it can learn with.
    start: Option<Start>,
    /// Of a new project, the rows that it does not show.
    left_out: Option<LeftOut>,
}

/// Patterns and label words to learn with.
enum Start {
    /// Templates, or folders of them, and the verbalizer.
    Files(Vec<PathBuf>, PathBuf),
    /// Those that labels alone have.
    Labels(Vec<Template>, Vec<NamedLabel>),
}

/// Opens a project that is there.
fn go_on(args: &Label, path: &Path) -> Result<Begun> {
    let mut project = Project::open(path)?;
    check_rows(args, &project)?;
    if let Some(changes) = &args.change_labels {
        change_labels(args, &mut project, changes)?;
    }
    let run = args.run.as_ref().map(Run::open).transpose()?;
    if let Some(labels) = named_labels(args)? {
        project.check_labels(&labels.into_iter().map(|label| label.label).collect::<Vec<_>>())?;
    }
    let is_random = project.about().chosen_by == Strategy::Random.name();
    let asked = match is_random && args.template.is_empty() && run.is_none() {
        true => None,
        false => asks(args, &project, run.as_ref())?,
    };
    let (opinion, start) = asked.unzip();
    Ok(Begun { project, opinion, start: start.flatten(), left_out: None })
}

/// The model that can be asked of a project's rows, and what it can learn with; none where no model is named and
/// none ships, and where the rows' file is gone, whose layout the model looks at.
fn asks(args: &Label, project: &Project, run: Option<&Run>) -> Result<Option<(Opinion, Option<Start>)>> {
    let Some(rows) = args.rows.clone().or_else(|| same_rows(project)) else { return Ok(None) };
    let labels = labels::of_names(project.about().labels.iter().cloned())?;
    let named = named_labels(args)?.unwrap_or(labels);
    let Some(asked) = bound(args, &rows, run, named)? else { return Ok(None) };
    project.check_labels(&asked.blueprint.labels())?;
    let live = Live::start(args.quiet, "loading the model");
    let classifier = PromptClassifier::load(asked.blueprint, setup::compute(&args.model), None)?;
    let opinion = opinion(classifier, &asked.columns, run.is_none())?;
    drop(live);
    Ok(Some((opinion, asked.start)))
}

/// Gives a project the labels that are named.
fn change_labels(args: &Label, project: &mut Project, changes: &[String]) -> Result<()> {
    let named = named_labels(args)?;
    ensure!(named.is_some(), "--change-labels needs the new labels: --labels, --labels-file or --verbalizer");
    let labels: Vec<String> = named.into_iter().flatten().map(|label| label.label).collect();
    let change = |written: &String| -> Result<LabelChange> {
        let Some((from, to)) = written.split_once('=') else {
            bail!("--change-labels takes OLD=NEW, or OLD= to take answers back, not {written:?}")
        };
        let (from, to) = (from.trim().to_owned(), to.trim().to_owned());
        Ok(LabelChange { from, to: Some(to).filter(|to| !to.is_empty()) })
    };
    let changes: Vec<LabelChange> = changes.iter().map(change).collect::<Result<_>>()?;
    let changed = project.change_labels(&labels, &changes)?;
    training::forget_start(project)?;
    if !args.quiet {
        render::tell(&render::changed_labels(&changed))?;
    }
    Ok(())
}

/// Begins a project: reads the rows, puts them in order, and keeps all in its file.
fn begin(args: &Label, path: &Path) -> Result<Begun> {
    let Some(rows) = &args.rows else {
        return Err(cloze::Error::from(LabelError::NoProject { path: path.to_owned() }).into());
    };
    ensure!(
        args.change_labels.is_none(),
        "--change-labels is for a project that was begun, and there is none in {}",
        path.display()
    );
    let run = args.run.as_ref().map(Run::open).transpose()?;
    let named = named_labels(args)?;
    if named.is_none() && run.is_none() {
        return Err(cloze::Error::from(LabelError::WithoutLabels).into());
    }
    let hash = hash_of(rows)?;
    let asked = match args.by {
        Some(Strategy::Random) if args.template.is_empty() && run.is_none() => None,
        _ => bound(args, rows, run.as_ref(), named.clone().unwrap_or_default())?,
    };
    let strategy = match (&asked, args.by) {
        (None, _) => Strategy::Random,
        (Some(_), by) => by.unwrap_or(Strategy::Clusters),
    };
    let source = source_of(args, rows, !args.template.is_empty() || run.is_some())?;
    let tasks: &[Task] = asked.as_ref().map_or(&[], |asked| &asked.tasks);
    let pool = Pool::read(PoolRequest { rows: source.open()?, labelled: Vec::new(), tasks })?;
    let columns = pool.columns.clone();
    let label_column =
        columns.label().and_then(|label| columns.names().iter().position(|name| name == label));
    check_columns(columns.data(), columns.in_file(), label_column)?;
    let labels = match &asked {
        Some(asked) => asked.blueprint.labels(),
        None => named.into_iter().flatten().map(|label| label.label).collect(),
    };
    let wish = OrderRequest {
        strategy,
        count: args.n as usize,
        looked_at: args.among as usize,
        held_out_share: args.random_share,
        seed: args.choice_seed,
    };
    let (placed, opinion, start) = match asked {
        Some(asked) => in_order(args, &pool, asked, &wish, run.is_none())?,
        None => (order(&pool, &wish, |_, _| Ok(Vec::new()))?, None, None),
    };
    let about = About {
        data: rows.display().to_string(),
        data_hash: hash,
        columns: columns.in_file().to_vec(),
        label_column,
        labels,
        chosen_by: strategy.name().to_owned(),
        held_out_share: args.random_share,
    };
    source.finish(args.quiet)?;
    let left_out = LeftOut { labelled: pool.labelled_rows, repeated: pool.repeated_rows };
    let project = Project::create(path, &about, &placed)?;
    // Patterns of another project that lay here.
    training::forget_start(&project)?;
    Ok(Begun { project, opinion, start, left_out: Some(left_out) })
}

/// Patterns and label words before their weights.
struct Bound {
    blueprint: Blueprint,
    tasks: Vec<Task>,
    calibrator: Calibrator,
    columns: std::sync::Arc<Columns>,
    start: Option<Start>,
}

/// What is asked of a model: by files, by a run, or by the labels' names; none where no model is named and
/// none ships.
fn bound(args: &Label, rows: &Path, run: Option<&Run>, labels: Vec<NamedLabel>) -> Result<Option<Bound>> {
    let source = source_of(args, rows, run.is_some() || !args.template.is_empty())?;
    if run.is_some() || !args.template.is_empty() {
        let asked = asked(args);
        let (blueprint, tasks, rows) = setup::classifier(&asked, run, &source, &args.model)?;
        blueprint.verbalizer.check_classes("cloze label")?;
        ensure!(
            tasks.tasks.iter().all(|task| task.template().demonstrations().is_none()),
            "rows are chosen without demonstrations: give patterns without {{demos:K}}"
        );
        let start = args.verbalizer.clone().map(|verbalizer| Start::Files(args.template.clone(), verbalizer));
        let columns = rows.columns().clone();
        let request = CalibrationRequest::default();
        let calibrator = Calibrator::check(&request, &blueprint, &tasks.tasks, &columns)?;
        return Ok(Some(Bound { blueprint, tasks: tasks.tasks, calibrator, columns, start }));
    }
    let folder = setup::model_path(&args.model.limits)?;
    if !folder.exists() && args.model.limits.model.is_none() && args.by.is_none() {
        return Ok(None);
    }
    let (question, labels, _) = Question::ByLabels.of(labels);
    let request = ZeroShotRequest {
        labels: labels.clone(),
        structure: StructureRequest::default(),
        question,
        text_columns: args.text_column.clone(),
        correcting: Correcting::ByWhatThereIs,
        keeps: false,
        max_length: args.model.limits.max_length,
        options: setup::options(&args.model)?,
    };
    let columns = source.open()?.columns().clone();
    let ready = ZeroShot::prepare(request, source.open()?, || setup::open_model(&args.model.limits))?;
    let (blueprint, tasks, calibrator) = (ready.blueprint, ready.tasks.tasks, ready.calibrator);
    let start = Some(Start::Labels(ready.templates, labels));
    Ok(Some(Bound { blueprint, tasks, calibrator, columns, start }))
}

/// Puts rows in order as the model sees them.
fn in_order(
    args: &Label,
    pool: &Pool,
    asked: Bound,
    wish: &OrderRequest,
    corrects: bool,
) -> Result<(Vec<Placed>, Option<Opinion>, Option<Start>)> {
    let Bound { blueprint, tasks, mut calibrator, columns, start } = asked;
    let mut live = Live::start(args.quiet, "loading the model");
    let classifier = PromptClassifier::load(blueprint, setup::compute(&args.model), None)?;
    let placed = order(pool, wish, |pool, wish| {
        pool.select(&classifier, tasks, &mut calibrator, wish, &mut |share| {
            live.at(Some(share), || format!("looking at {} rows", pool.examples.len()));
        })
    })?;
    drop(live);
    Ok((placed, Some(opinion(classifier, &columns, corrects)?), start))
}

/// The model that can be asked. Answers of files and labels are corrected for what the patterns prefer
/// without a text.
fn opinion(
    classifier: PromptClassifier,
    columns: &std::sync::Arc<Columns>,
    corrects: bool,
) -> Result<Opinion> {
    let classifier = if corrects { classifier.corrected()? } else { classifier };
    Ok(Opinion { classifier, columns: columns.clone() })
}

fn source_of(args: &Label, rows: &Path, by_patterns: bool) -> Result<Source> {
    let mut reading = source::row_reading(&args.reading)?;
    if by_patterns && let [column] = &args.text_column[..] {
        reading.adjust.columns.insert(TEXT.to_owned(), column.clone());
    }
    Source::new(Some(rows), &Given::default(), reading)
}

fn asked(args: &Label) -> Asked {
    let part = RunPart { task: None, member: None, allow_other_base: false };
    let run = args.run.clone();
    Asked {
        template: args.template.clone(),
        verbalizer: args.verbalizer.clone(),
        trained: Trained { run, seed: None, average: false, members: false, part, peft: None },
    }
}

/// The labels that are named, by themselves or in a verbalizer.
fn named_labels(args: &Label) -> Result<Option<Vec<NamedLabel>>> {
    Ok(match (&args.labels, &args.labels_file, &args.verbalizer) {
        (Some(line), ..) => Some(labels::of_line(line)?),
        (_, Some(file), _) => Some(labels::read(file)?),
        (_, _, Some(file)) => {
            let verbalizer = Verbalizer::read(file)?;
            verbalizer.check_classes("cloze label")?;
            Some(labels::of_names(verbalizer.labels().map(str::to_owned))?)
        }
        (None, None, None) => None,
    })
}
