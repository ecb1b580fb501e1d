//! `cloze verbalizer`: long lists of label words, proposed and refined.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use cloze::model::folder::ModelFolder;
use cloze::study::knowledge::refine::Fate;
use cloze::study::knowledge::{
    self, ExpandOptions, Expanded, RefineOptions, Refined, RefinedWord, Refinement, Source,
};
use cloze::study::run::Run;

use super::args::{Asked, Data, Model, RunPart, TRAINED};
use super::outputs::{self, Reads};
use super::render::{self, Align, Live};
use super::setup;
use super::shipped;
use super::source;

/// So many of the words that are dropped are shown.
const MOST_DROPPED: usize = 4;

/// Expand and refine lists of label words
#[derive(Debug, Subcommand)]
pub enum Verbalizer {
    /// Propose related words for each class: from the model itself, its embeddings, and WordNet where it is
    /// installed
    #[command(after_help = "\
Example:
  cloze verbalizer expand --verbalizer verbalizers/topic.json --words 30 \\
      --out long.json
  cloze verbalizer refine --template templates/topic/*.json \\
      --verbalizer long.json --data news.csv --out refined.json

What is written is a verbalizer of the kind knowledge; a word weighs a third for
each source that proposes it.")]
    Expand(Box<Expand>),
    /// Drop words that the model hardly says, or says for other classes, and write each word's prior (KPT: Hu
    /// et al. 2022)
    #[command(after_help = "\
Example:
  cloze verbalizer refine --template templates/topic/*.json \\
      --verbalizer long.json --data news.csv --out refined.json")]
    Refine(Box<Refine>),
}

#[derive(Debug, clap::Args)]
pub struct Expand {
    /// Verbalizer file (JSON): words to start from
    #[arg(
        long,
        short,
        required_unless_present = "run",
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    verbalizer: Option<PathBuf>,
    /// A run of cloze train or cloze ensemble: its verbalizer, and its base model without what was learned
    #[arg(long, help_heading = TRAINED, value_name = "RUN", conflicts_with = "verbalizer")]
    run: Option<PathBuf>,
    #[command(flatten)]
    part: RunPart,
    /// Who proposes words [default: all that are there]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SOURCE,…")]
    from: Vec<Source>,
    /// The folder of WordNet's files, index.noun and the others [default: $WNHOME/dict, /usr/share/wordnet]
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    wordnet: Option<PathBuf>,
    /// At most so many new words a class
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=200),
    )]
    words: u32,
    /// Where to write the verbalizer
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    model: Model,
}

#[derive(Debug, clap::Args)]
pub struct Refine {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    data: Data,
    /// At most so many rows, from the first; labels are not looked at
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// The share of the model's vocabulary within which words are kept, by how often the model says them
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    keep: f64,
    /// Keep words whose scores go no more with their own class's first word than with others'
    #[arg(long)]
    no_relevance: bool,
    /// Write no priors
    #[arg(long)]
    no_calibration: bool,
    /// Where to write the verbalizer
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    model: Model,
}

/// Runs the command.
pub fn run(command: &Verbalizer) -> Result<()> {
    match command {
        Verbalizer::Expand(args) => expand(args),
        Verbalizer::Refine(args) => refine(args),
    }
}

fn expand(args: &Expand) -> Result<()> {
    let options = ExpandOptions {
        sources: args.from.clone(),
        wordnet: args.wordnet.clone(),
        words: args.words as usize,
        max_length: args.model.limits.max_length,
    };
    let written = [("what is proposed", Some(args.out.as_path()))];
    outputs::check(&written, &Reads::files(&args.verbalizer).folder(args.run.as_deref()))?;
    let loading = setup::options(&args.model)?;
    let beside = |folder: &ModelFolder| outputs::check(&written, &Reads::default().model(folder.path()));
    let expand = match (&args.run, &args.verbalizer) {
        (Some(run), _) => {
            let (verbalizer, folder) =
                Run::open(run)?.words(&setup::part(&args.part, None, &args.model.limits)?)?;
            beside(&folder)?;
            knowledge::Expand::of(verbalizer, folder, options, loading)?
        }
        (None, Some(verbalizer)) => knowledge::Expand::prepare(verbalizer, options, loading, || {
            let folder = setup::open_model(&args.model.limits)?;
            beside(&folder).map(|()| folder)
        })?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    outputs::check(&written, &Reads::default().folder(expand.wordnet_folder.as_deref()))?;
    render::warnings(&expand.warnings)?;
    let live = Live::start(false, "asking the model for words");
    let expanded = expand.run(args.model.threads.map(usize::from))?;
    drop(live);
    render::print(&proposals(&expanded))?;
    Ok(expanded.write(&args.out)?)
}

fn proposals(expanded: &Expanded) -> String {
    let mut rows = vec![["class", "word", "proposed by"].map(str::to_owned).to_vec()];
    for (label, words) in expanded.verbalizer.labels().zip(&expanded.proposed) {
        for (place, found) in words.iter().enumerate() {
            let sources = found.sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
            let label = if place == 0 { label } else { "" };
            rows.push(vec![label.to_owned(), found.word.clone(), sources]);
        }
    }
    render::table(&[Align::Left, Align::Left, Align::Words], &rows)
}

fn refine(args: &Refine) -> Result<()> {
    anyhow::ensure!(
        args.keep > 0.0 && args.keep <= 1.0,
        "--keep is a share: above 0 and at most 1, not {}",
        args.keep
    );
    setup::check_one_model(&args.asked.trained)?;
    let source = source::Source::of(&args.data)?;
    let run = setup::run(&args.asked.trained)?;
    let (blueprint, tasks, rows) = setup::classifier(&args.asked, run.as_ref(), &source, &args.model)?;
    blueprint.verbalizer.check_classes("cloze verbalizer refine")?;
    let reads = Reads::asked(&args.asked, source.file()).model(blueprint.folder.path());
    outputs::check(&[("what is kept", Some(&args.out))], &reads)?;
    let warnings: Vec<String> = blueprint.words.left_out().into_iter().collect();
    let options = RefineOptions {
        rows: args.rows as usize,
        keep: args.keep,
        relevance: !args.no_relevance,
        calibration: !args.no_calibration,
    };
    let refinement = Refinement::prepare(blueprint, tasks, rows, options)?;
    render::warnings(&warnings)?;
    let live = Live::start(false, "asking the model about the words");
    let refined = refinement.run(args.model.threads.map(usize::from))?;
    drop(live);
    source.finish(false)?;
    render::print(&fates(&refined))?;
    Ok(refined.write(&args.out)?)
}

fn fates(refined: &Refined) -> String {
    let mut rows = vec![
        ["class", "words", "kept", "hardly said", "not relevant", "such as"].map(str::to_owned).to_vec(),
    ];
    for (label, words) in refined.verbalizer.labels().zip(&refined.classes) {
        let count = |is: fn(&Fate) -> bool| words.iter().filter(|word| is(&word.fate)).count().to_string();
        let is_dropped = |word: &&RefinedWord| word.fate != Fate::Kept;
        let dropped = words.iter().filter(is_dropped).map(|word| word.word.as_str());
        rows.push(vec![
            label.to_owned(),
            words.len().to_string(),
            count(|fate| *fate == Fate::Kept),
            count(|fate| *fate == Fate::Rare),
            count(|fate| *fate == Fate::Irrelevant),
            dropped.take(MOST_DROPPED).collect::<Vec<_>>().join(", "),
        ]);
    }
    let right = Align::Right;
    render::table(&[Align::Left, right, right, right, right, Align::Words], &rows)
}
