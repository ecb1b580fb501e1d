//! `cloze serve`: classifiers behind HTTP, and the playground.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use cloze::error::{Errors, ServeError};
use cloze::model::dtype::Dtype;
use cloze::model::masked_lm::{MaskedLm, Options};
use cloze::model::threads::Threads;
use cloze::predict::multi_label::thresholds::Thresholds;
use cloze::predict::multi_label::way::Way;
use cloze::predict::multi_label::{Centring, MultiLabel, MultiLabelClassifier, usual_reference};
use cloze::predict::prompt_classifier::{Compute, PromptClassifier};
use cloze::predict::zero_shot::Question;
use cloze::serve::{Key, Limits, Service, listen};
use cloze::study::run::{Run, Wanted};
use cloze::text::data::{Columns, TEXT};
use cloze::text::labels;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;

use super::args::{Limits as ModelLimits, LongTexts};
use super::{render, setup, shipped, signals};

/// Answer over HTTP, with a playground in the browser
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloze serve --run runs/tickets
  cloze serve --run tickets=runs/tickets-3 runs/mood --port 9000
  cloze serve --template templates/sentiment/*.json \\
      --verbalizer verbalizers/sentiment.json --api-key-file key.txt
  cloze serve --labels \"billing, technical, account\"
  curl localhost:8080/classify --json '{\"text\": \"What a lovely film!\"}'

Without a run, templates or labels it has the labels negative and positive, to be
changed in the playground. docs/serve.md describes the routes; GET /docs lists
them.")]
pub struct Serve {
    /// Folders of runs of cloze train or cloze ensemble, each as RUN or NAME=RUN; the first is asked where a
    /// request names none
    #[arg(long, num_args = 1.., value_name = "RUN", conflicts_with_all = ["template", "labels", "labels_file"])]
    run: Vec<String>,
    /// Template files (JSON) or folders of them; with several, probabilities are averaged
    #[arg(
        long,
        short,
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
        requires = "verbalizer",
        conflicts_with_all = ["labels", "labels_file"],
    )]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(long, short, requires = "template", value_name = "FILE", value_parser = shipped::path())]
    verbalizer: Option<PathBuf>,
    /// Labels in place of templates and a verbalizer, between commas
    #[arg(long, short, value_name = "A, B, …", conflicts_with = "labels_file")]
    labels: Option<String>,
    /// A file of labels, as cloze classify has it
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// With labels, what is asked: auto, general, topic, sentiment, emotion, intent, spam, yes-no, or words
    /// with a {mask}
    #[arg(long, value_name = "WHAT", default_value = "auto", value_parser = setup::question)]
    ask: Question,
    /// Give a row several labels, or none, as cloze classify and score --multi-label do; a run knows whether it
    /// does
    #[arg(long)]
    multi_label: bool,
    /// With several labels, words that say of no label that it is right [default: other]
    #[arg(long, value_name = "WORD,…", value_delimiter = ',')]
    reference: Vec<String>,
    /// With several labels, the probability from which on one is given [default: 0.5]
    #[arg(long, value_name = "P", conflicts_with = "thresholds")]
    threshold: Option<f64>,
    /// With several labels, a threshold for each, from a file of cloze score --thresholds-out
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
    /// A calibration that cloze score --calibration-out wrote, of the run or of the templates
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Say no label whose probability is less
    #[arg(long, value_name = "P")]
    abstain_below: Option<f64>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// A file whose first line is the key that requests must bring, as Authorization: Bearer KEY
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Refuse requests with patterns or labels of their own
    #[arg(long)]
    readonly: bool,
    /// Seconds until a request is given up
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    timeout: f64,
    /// Rows that wait at most; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    max_queue: u32,
    /// Bytes of a request at most; larger ones are refused with 413
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    max_body: u32,
    /// Nothing but warnings on the terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    model: ModelLimits,
    /// Threads that compute [default: one for each physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    long: LongTexts,
    /// The type of numbers to compute in
    #[arg(long, value_parser = setup::dtypes(), value_name = "TYPE", default_value = "f32")]
    // By its whole path, which tells clap that it is one value.
    dtype: std::option::Option<Dtype>,
    /// Most tokens in a batch, padding counted [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_batch_tokens: Option<u32>,
}

/// Bodies that wait take so many times a request's limit at most, and this at least.
const BODIES: usize = 8;
const LEAST_BODIES_BYTES: usize = 64 << 20;

/// Runs the command.
pub fn run(args: &Serve) -> Result<()> {
    ensure!(
        args.timeout >= 0.001 && args.timeout <= 86_400.0,
        "--timeout takes a number of seconds, from 0.001 up to a day (86400), not {}",
        args.timeout
    );
    let share = args.abstain_below;
    ensure!(
        share.is_none_or(|share| share > 0.0 && share < 1.0),
        "--abstain-below takes a number between 0 and 1"
    );
    let key = args.api_key_file.as_deref().map(Key::read).transpose()?;
    let is_open = key.is_none();
    // Before the models, which take longer.
    let host = if args.host.contains(':') { format!("[{}]", args.host) } else { args.host.clone() };
    let listener = listen(&format!("{host}:{}", args.port))?;
    let mut service = Service::new().key(key).readonly(args.readonly).limits(limits(args));
    for (name, classifier) in classifiers(args)? {
        service = match classifier {
            Served::One(classifier) => service.abstaining(name, *classifier, args.abstain_below),
            Served::Several(classifier) => service.several(name, *classifier)?,
        };
    }
    let running = service.start(listener)?;
    let stopper = running.stopper();
    signals::finish(move || stopper.stop());
    let address = running.address();
    if is_open && !address.ip().is_loopback() {
        let warning = "everybody who reaches this address is answered: --api-key-file asks for a key";
        render::warnings(&[warning.to_owned()])?;
    }
    if !args.quiet {
        let shown = if address.ip() == IpAddr::from([0, 0, 0, 0]) { "localhost".to_owned() } else { host };
        render::tell(&format!("listening on http://{shown}:{}\n", address.port()))?;
    }
    running.wait();
    Ok(())
}

fn limits(args: &Serve) -> Limits {
    let body_bytes = args.max_body as usize;
    Limits {
        threads: args.threads.map_or_else(Threads::usual, usize::from),
        queue: args.max_queue as usize,
        body_bytes,
        all_bodies_bytes: LEAST_BODIES_BYTES.max(BODIES * body_bytes),
        timeout: Duration::from_secs_f64(args.timeout),
        ..Limits::default()
    }
}

/// What is served.
enum Served {
    One(Box<PromptClassifier>),
    Several(Box<MultiLabelClassifier>),
}

impl Served {
    fn one(classifier: PromptClassifier) -> Served {
        Served::One(Box::new(classifier))
    }
}

/// Several labels with their thresholds.
fn several(args: &Serve, parts: MultiLabel, compute: Compute, centring: Centring) -> Result<Served> {
    ensure!(
        args.calibration.is_none() && args.abstain_below.is_none(),
        "--calibration and --abstain-below are for one label a row: with several give --thresholds"
    );
    let labels = parts.labels();
    let file = args.thresholds.as_deref();
    let thresholds = match (file, args.threshold) {
        (Some(path), _) => Some(Thresholds::load(path, &labels)?),
        (None, Some(threshold)) => Some(Thresholds::same(&labels, threshold)?),
        (None, None) => None,
    };
    let fitted_for = file.map(|_| parts.fitted_for()).transpose()?;
    let centres = match (file, &thresholds, &fitted_for) {
        (Some(path), Some(thresholds), Some(wanted)) => thresholds.centres(path, wanted)?,
        _ => None,
    };
    let mut classifier = parts.load(compute)?;
    match centres {
        Some(centres) => classifier.set_centres(centres),
        None => classifier.centre(centring, &Columns::check("texts", vec![TEXT.to_owned()], None)?, &[])?,
    }
    if let Some(thresholds) = thresholds {
        classifier.set_thresholds(thresholds);
    }
    Ok(Served::Several(Box::new(classifier)))
}

/// All that is served, each under its name.
fn classifiers(args: &Serve) -> Result<Vec<(String, Served)>> {
    ensure!(
        args.run.is_empty() || !args.multi_label && args.reference.is_empty(),
        "a run knows whether it gives several labels, and what they are held against: leave --multi-label and \
         --reference out"
    );
    ensure!(
        args.multi_label || args.reference.is_empty(),
        "--reference is for several labels a row: add --multi-label"
    );
    ensure!(
        args.multi_label || !args.run.is_empty() || (args.threshold.is_none() && args.thresholds.is_none()),
        "--threshold and --thresholds are for several labels a row: add --multi-label"
    );
    let compute = Compute {
        dtype: args.dtype,
        threads: Some(1),
        batch_tokens: args.max_batch_tokens.map(|tokens| tokens as usize),
        long: setup::long(&args.long)?,
        ..Compute::default()
    };
    if !args.run.is_empty() {
        return runs(args, compute);
    }
    let options = Options { force_head: args.model.force_head, ..Options::default() };
    let model = || MaskedLm::of(setup::open_model(&args.model)?, options);
    let max_length = args.model.max_length;
    if let Some(file) = &args.verbalizer {
        let mut errors = Errors::new();
        let templates = Template::read_all(&args.template, &mut errors);
        let verbalizer = errors.keep(Verbalizer::read(file));
        errors.extend(verbalizer.iter().filter_map(|found| found.check_classes("cloze serve").err()));
        errors.none()?;
        let Some(verbalizer) = verbalizer else { unreachable!("an error says why it could not be read") };
        let name = verbalizer.name().to_owned();
        if args.multi_label {
            let folder = setup::open_model(&args.model)?;
            let (way, reference) = (Way::Reference, reference(args));
            let parts = MultiLabel::of_verbalizer(
                &verbalizer,
                way,
                &reference,
                templates,
                folder,
                options,
                max_length,
            )?;
            return Ok(vec![(name, several(args, parts, compute, Centring::Not)?)]);
        }
        let mut builder = PromptClassifier::builder(model()?).compute(compute).verbalizer(verbalizer);
        builder = templates.into_iter().fold(builder, |builder, template| builder.template(template));
        builder = max_length.into_iter().fold(builder, |builder, tokens| builder.max_length(tokens));
        builder = args.calibration.iter().fold(builder, |builder, file| builder.calibration(file));
        return Ok(vec![(name, Served::one(builder.build()?))]);
    }
    ensure!(
        args.calibration.is_none(),
        "--calibration is of a run or of templates: labels are corrected by inputs without content"
    );
    let (name, labels) = match (&args.labels, &args.labels_file) {
        (Some(line), _) => ("labels", labels::of_line(line)?),
        (None, Some(file)) => ("labels", labels::read(file)?),
        (None, None) => ("example", labels::of_line("negative, positive")?),
    };
    let question = args.ask.clone();
    if args.multi_label {
        let (question, labels, _) = question.of(labels);
        let (templates, folder) = (question.templates(&[TEXT.to_owned()])?, setup::open_model(&args.model)?);
        let (way, reference) = (Way::Reference, reference(args));
        let parts = MultiLabel::of_labels(&labels, way, &reference, templates, folder, options, max_length)?;
        return Ok(vec![(name.to_owned(), several(args, parts, compute, Centring::WithoutContent)?)]);
    }
    let classifier = PromptClassifier::of_labels(model()?, labels, question, max_length, compute)?;
    Ok(vec![(name.to_owned(), Served::one(classifier))])
}

/// The words that several labels are held against.
fn reference(args: &Serve) -> Vec<String> {
    if args.reference.is_empty() { usual_reference() } else { args.reference.clone() }
}

/// The runs, and of those of several tasks each task.
fn runs(args: &Serve, compute: Compute) -> Result<Vec<(String, Served)>> {
    ensure!(
        args.calibration.is_none() || args.run.len() == 1,
        "--calibration is of one run: serve the others by themselves"
    );
    ensure!(
        args.threshold.is_none() && args.thresholds.is_none() || args.run.len() == 1,
        "--threshold and --thresholds are of one run: serve the others by themselves"
    );
    let mut all = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for written in &args.run {
        let (name, path) = named(written)?;
        let run = Run::open(&path)?;
        let tasks = run.tasks();
        let of_task = |task: Option<&String>| {
            let name = task.map_or_else(|| name.clone(), |task| format!("{name}/{task}"));
            (name, task.cloned())
        };
        let parts: Vec<(String, Option<String>)> = if tasks.is_empty() {
            vec![of_task(None)]
        } else {
            tasks.iter().map(|task| of_task(Some(task))).collect()
        };
        for (name, task) in parts {
            // Before the weights of the next are read.
            if names.contains(&name) {
                return Err(cloze::Error::from(ServeError::SameName { name }).into());
            }
            names.push(name.clone());
            let wanted = Wanted {
                task,
                model: setup::other_model(&args.model)?,
                max_length: args.model.max_length,
                several_labels: run.gives_several_labels(),
                options: Options { force_head: args.model.force_head, ..Options::default() },
                ..Wanted::default()
            };
            let blueprint = run.unbound(&wanted)?;
            blueprint.verbalizer.check_classes("cloze serve")?;
            let served = if wanted.several_labels {
                several(args, MultiLabel::of_run(blueprint), compute, Centring::Not)?
            } else {
                ensure!(
                    args.threshold.is_none() && args.thresholds.is_none(),
                    "--threshold and --thresholds are for runs that give several labels a row, and {name} gives \
                     one"
                );
                let calibration = args.calibration.clone();
                Served::one(PromptClassifier::load_calibrated(blueprint, compute, calibration)?)
            };
            all.push((name, served));
        }
    }
    Ok(all)
}

/// A run's name and folder: `NAME=RUN`, or a folder whose own name it is.
fn named(written: &str) -> Result<(String, PathBuf)> {
    // A folder may have an equals sign in its name.
    if let (Some((name, folder)), false) = (written.split_once('='), Path::new(written).exists()) {
        return Ok((name.to_owned(), PathBuf::from(folder)));
    }
    let path = PathBuf::from(written);
    let whole = std::path::absolute(&path)?;
    match whole.file_name() {
        Some(name) => Ok((name.to_string_lossy().into_owned(), path)),
        None => bail!("{written:?} is a folder without a name: write NAME={written}"),
    }
}
