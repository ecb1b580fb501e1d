//! `cloze search`: label words and patterns, with how sure the choice is.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use cloze::error::Error;
use cloze::model::folder::ModelFolder;
use cloze::predict::blueprint::Blueprint;
use cloze::study::run::{Run, Wanted};
use cloze::study::search::words::Method;
use cloze::study::search::{
    LabelledFile, PatternOptions, PatternSearch, SearchFiles, SearchStep, TriggerOptions, TriggerSearch,
    WordOptions, WordSearch,
};
use cloze::text::whole_file::WholeFile;

use super::args::{Model, Reading, RunPart, TRAINED};
use super::outputs::{self, Reads};
use super::pages::{self, PageArgs};
use super::render::{self, Live};
use super::setup;
use super::shipped;
use super::source;

/// Look for label words or patterns, and tell how sure the choice is
#[derive(Debug, Subcommand)]
pub enum Search {
    /// Find label words on labelled rows, or by the given words alone
    #[command(after_help = "\
Example:
  cloze search verbalizer --template templates/topic/*.json \\
      --verbalizer verbalizers/topic.json \\
      --train news.csv --shots 16 --method likelihood-ratio --out found.json

Each row is answered by words that were found on other rows, in four folds, and
compared with the given words on the same rows. With --run the trained weights
are asked. Words that are found so fit these weights: cloze export --merged
writes them as a model.")]
    Verbalizer(Box<SearchVerbalizer>),
    /// Rank patterns without labels by mutual information, and with some by cross-validation
    #[command(after_help = "\
Example:
  cloze search pattern --template templates/topic/*.json \\
      --verbalizer verbalizers/topic.json \\
      --data news.csv --train few.csv --shots 16 --generate 8 --out best.json

Without --train the ranking looks at no label. With --run the run's templates
are ranked by the trained weights.")]
    Pattern(Box<SearchPattern>),
    /// Find words for the {soft} of a pattern by gradients (AutoPrompt: Shin et al. 2020)
    #[command(after_help = "\
Example:
  echo '{ \"version\": 1, \"pattern\": \"{title} {body} {soft:3} {mask}.\" }' > t.json
  cloze search triggers --template t.json --verbalizer verbalizers/topic.json \\
      --train news.csv --shots 16 --out found.json

Half of the rows are searched on, and the words are kept that do best on the
other half: how well they do on rows that chose nothing, cloze score tells.")]
    Triggers(Box<SearchTriggers>),
}

#[derive(Debug, clap::Args)]
pub struct SearchVerbalizer {
    /// Template files (JSON) or folders of them; with several, what is said in each counts together
    #[arg(
        long,
        short,
        required_unless_present = "run",
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON): its labels, and words to compare with; nearest starts from these words
    #[arg(
        long,
        short,
        required_unless_present = "run",
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    verbalizer: Option<PathBuf>,
    #[command(flatten)]
    start: FromRun,
    /// How
    #[arg(long, value_enum, value_name = "METHOD")]
    method: Method,
    /// Words a class [default: the best of 1, 3, 5 and 10 on the rows, without rows 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    words: Option<u32>,
    #[command(flatten)]
    rows: Drawn,
    #[command(flatten)]
    output: SearchOutput,
    #[command(flatten)]
    model: Model,
}

#[derive(Debug, clap::Args)]
pub struct SearchPattern {
    /// Template files (JSON) to choose from, or folders of them
    #[arg(
        long,
        short,
        required_unless_present = "run",
        num_args = 1..,
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    template: Vec<PathBuf>,
    /// Verbalizer file (JSON)
    #[arg(
        long,
        short,
        required_unless_present = "run",
        value_name = "FILE",
        value_parser = shipped::path(),
    )]
    verbalizer: Option<PathBuf>,
    #[command(flatten)]
    start: FromRun,
    /// Rows for the ranking without labels: .csv, .tsv, .jsonl or .json
    #[arg(long, short, value_name = "FILE", value_parser = shipped::path())]
    data: PathBuf,
    /// At most so many of them, from the first
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    data_rows: u32,
    /// Patterns for the model to write itself, which are then among the others: words around the columns of
    /// the first template
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    generate: Option<u32>,
    #[command(flatten)]
    rows: Drawn,
    #[command(flatten)]
    output: SearchOutput,
    #[command(flatten)]
    model: Model,
}

#[derive(Debug, clap::Args)]
pub struct SearchTriggers {
    /// Template file (JSON) with {soft:N} where N words are to stand, or {soft:\"words\"} to start from some
    #[arg(long, short, required = true, value_name = "FILE", value_parser = shipped::path())]
    template: PathBuf,
    /// Verbalizer file (JSON)
    #[arg(long, short, required = true, value_name = "FILE", value_parser = shipped::path())]
    verbalizer: PathBuf,
    /// So many times one of the places is taken
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    iterations: u32,
    /// So many words are tried there
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    candidates: u32,
    #[command(flatten)]
    rows: Drawn,
    #[command(flatten)]
    output: SearchOutput,
    #[command(flatten)]
    model: Model,
}

/// Templates, verbalizer and weights of a run. `--seed` is the search's own here.
#[derive(Debug, clap::Args)]
struct FromRun {
    /// The folder of a run of cloze train or cloze ensemble: its templates, its verbalizer, and its model
    /// with what was learned
    #[arg(long, help_heading = TRAINED, value_name = "RUN", conflicts_with_all = ["template", "verbalizer"])]
    run: Option<PathBuf>,
    /// One of the run's seeds [default: the average of all]
    #[arg(long, help_heading = TRAINED, value_name = "S", requires = "run")]
    run_seed: Option<u64>,
    #[command(flatten)]
    part: RunPart,
}

impl FromRun {
    /// The run's classifier with its templates' texts, if a run is named. No columns are bound yet. Labelled
    /// rows that it was trained on are told: it knows their labels.
    fn blueprint(
        &self,
        model: &Model,
        rows: Option<&LabelledFile>,
    ) -> Result<Option<(Blueprint, Vec<String>)>> {
        let Some(run) = &self.run else { return Ok(None) };
        let part = setup::part(&self.part, self.run_seed, &model.limits)?;
        let wanted = Wanted { options: setup::options(model)?, ..part };
        let run = Run::open(run)?;
        let blueprint = run.unbound(&wanted)?;
        let trained_on = rows.and_then(|file| {
            let (found, rows) = run.trained_on(&wanted, &file.path, &file.reading)?;
            Some(format!("{}: {}", file.path.display(), render::trained_on(&found, rows)))
        });
        render::warnings(trained_on.as_slice())?;
        Ok(Some((blueprint, run.template_texts(&wanted)?)))
    }
}

#[derive(Debug, clap::Args)]
struct Drawn {
    /// Labelled rows
    #[arg(long, value_name = "FILE", value_parser = shipped::path())]
    train: Option<PathBuf>,
    /// Rows of each class to draw from them [default: all]
    #[arg(
        long,
        short = 'k',
        value_name = "K",
        value_parser = clap::value_parser!(u32).range(1..),
        requires = "train",
    )]
    shots: Option<u32>,
    /// The seed of the draw, of folds and of shuffles
    #[arg(long, value_name = "S", default_value_t = 13)]
    seed: u64,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, clap::Args)]
struct SearchOutput {
    /// Where to write what is found, as JSON that cloze score takes
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Where to write all candidates with their measures, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    /// No progress on the terminal
    #[arg(long, short)]
    quiet: bool,
}

impl SearchOutput {
    fn files(&self) -> [(&str, Option<&Path>); 3] {
        [
            ("what is found", Some(self.out.as_path())),
            ("report", self.report.as_deref()),
            ("page", self.page.path()),
        ]
    }

    /// Refuses to write over an input, before any of them is read; opens the report and the page.
    fn open_report<'a>(
        &self,
        inputs: impl Iterator<Item = &'a PathBuf>,
        run: Option<&Path>,
    ) -> Result<[Option<WholeFile>; 2]> {
        outputs::check(&self.files(), &Reads::files(inputs).folder(run))?;
        Ok([self.report.as_deref().map(WholeFile::create).transpose()?, self.page.open()?])
    }

    /// Refuses to write over a model's files.
    fn beside(&self, folder: &ModelFolder) -> Result<(), Error> {
        outputs::check(&self.files(), &Reads::default().model(folder.path()))
    }

    /// The model that is asked for; refuses to write over its files.
    fn model_beside(&self, model: &Model) -> Result<ModelFolder, Error> {
        let folder = setup::open_model(&model.limits)?;
        self.beside(&folder)?;
        Ok(folder)
    }
}

/// Runs the command.
pub fn run(search: &Search) -> Result<()> {
    match search {
        Search::Verbalizer(args) => verbalizer(args),
        Search::Pattern(args) => pattern(args),
        Search::Triggers(args) => triggers(args),
    }
}

fn verbalizer(args: &SearchVerbalizer) -> Result<()> {
    anyhow::ensure!(
        args.words.is_none() || args.method != Method::Ranked || args.rows.train.is_none(),
        "--method ranked finds one word a class: leave --words out"
    );
    anyhow::ensure!(
        args.output.page.path().is_none() || args.rows.train.is_some(),
        "--page shows what was measured: without --train nothing is, leave it out"
    );
    let inputs = args.template.iter().chain(&args.verbalizer).chain(&args.rows.train);
    let [report_file, page_file] = args.output.open_report(inputs, args.start.run.as_deref())?;
    let options = WordOptions {
        method: args.method,
        count: args.words.map(|words| words as usize),
        seed: args.rows.seed,
    };
    let rows = labelled(&args.rows)?;
    let search = match (args.start.blueprint(&args.model, rows.as_ref())?, &args.verbalizer) {
        (Some((blueprint, _)), _) => {
            args.output.beside(&blueprint.folder)?;
            WordSearch::of(blueprint, rows.as_ref(), options)?
        }
        (None, Some(verbalizer)) => WordSearch::prepare(
            files(&args.template, verbalizer, &args.model),
            rows.as_ref(),
            options,
            setup::options(&args.model)?,
            || args.output.model_beside(&args.model),
        )?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let found =
        watched(args.output.quiet, |progress| search.run(args.model.threads.map(usize::from), progress))?;
    let words = render::found_words(&found.labels, &found.listed());
    match &found.report {
        None => render::print(&words)?,
        Some(report) => {
            let terms = render::terms(&std::io::stdout());
            render::print(&format!("{}\n{words}{terms}", render::search(report)))?;
            report_file.map_or(Ok(()), |file| file.commit_json(report))?;
            pages::write(page_file, || report.page("Search for label words"))?;
        }
    }
    Ok(found.write(&args.output.out)?)
}

fn pattern(args: &SearchPattern) -> Result<()> {
    anyhow::ensure!(
        args.generate.is_none() || args.rows.train.is_some(),
        "--generate writes patterns for labelled rows: give --train"
    );
    let inputs = args.template.iter().chain(&args.verbalizer).chain([&args.data]).chain(&args.rows.train);
    let [report_file, page_file] = args.output.open_report(inputs, args.start.run.as_deref())?;
    let options = PatternOptions {
        data_rows: args.data_rows as usize,
        generate: args.generate.map(|count| count as usize),
        seed: args.rows.seed,
    };
    let (reading, rows) = (source::reading_without_file(&args.rows.reading)?, labelled(&args.rows)?);
    let data = (&*args.data, &reading);
    let search = match (args.start.blueprint(&args.model, rows.as_ref())?, &args.verbalizer) {
        (Some((blueprint, texts)), _) => {
            args.output.beside(&blueprint.folder)?;
            PatternSearch::of(blueprint, texts, data, rows.as_ref(), options)?
        }
        (None, Some(verbalizer)) => PatternSearch::prepare(
            files(&args.template, verbalizer, &args.model),
            data,
            rows.as_ref(),
            options,
            setup::options(&args.model)?,
            || args.output.model_beside(&args.model),
        )?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let found =
        watched(args.output.quiet, |progress| search.run(args.model.threads.map(usize::from), progress))?;
    render::print(&(render::search(&found.report) + &render::terms(&std::io::stdout())))?;
    report_file.map_or(Ok(()), |file| file.commit_json(&found.report))?;
    pages::write(page_file, || found.report.page("Search for patterns"))?;
    Ok(found.write(&args.output.out)?)
}

fn triggers(args: &SearchTriggers) -> Result<()> {
    let Some(rows) = labelled(&args.rows)? else {
        anyhow::bail!("words are found on labelled rows: give --train")
    };
    anyhow::ensure!(
        args.output.page.path().is_none(),
        "--page is of searches among candidates: leave it out, --report has the losses"
    );
    let inputs = [&args.template, &args.verbalizer].into_iter().chain(&args.rows.train);
    let [report_file, _] = args.output.open_report(inputs, None)?;
    let options = TriggerOptions {
        iterations: args.iterations as usize,
        candidates: args.candidates as usize,
        seed: args.rows.seed,
    };
    let search = TriggerSearch::prepare(
        files(std::slice::from_ref(&args.template), &args.verbalizer, &args.model),
        &rows,
        options,
        setup::options(&args.model)?,
        || args.output.model_beside(&args.model),
    )?;
    let found =
        watched(args.output.quiet, |progress| search.run(args.model.threads.map(usize::from), progress))?;
    render::print(&(render::triggers(&found) + &render::terms(&std::io::stdout())))?;
    report_file.map_or(Ok(()), |file| file.commit_json(&found))?;
    Ok(found.write(&args.output.out)?)
}

fn files<'a>(templates: &'a [PathBuf], verbalizer: &'a Path, model: &Model) -> SearchFiles<'a> {
    SearchFiles { templates, verbalizer, max_length: model.limits.max_length }
}

fn labelled(args: &Drawn) -> Result<Option<LabelledFile>> {
    let file = |path: &PathBuf| {
        Ok(LabelledFile {
            path: path.clone(),
            reading: source::reading_without_file(&args.reading)?,
            shots: args.shots.map(|shots| shots as usize),
        })
    };
    args.train.as_ref().map(file).transpose()
}

/// Shows what a search does while it does it.
fn watched<T, E>(
    quiet: bool,
    search: impl FnOnce(&mut dyn FnMut(SearchStep, f64)) -> Result<T, E>,
) -> Result<T, E> {
    let mut live = Live::start(quiet, "loading the model");
    let mut last = None;
    search(&mut |step, share| {
        if last.replace(step) != Some(step) {
            live.turn_to(&render::search_step(step));
        }
        let known = (share > 0.0).then_some(share);
        let part = known.map(|share| format!("  {:.0} %", share * 100.0)).unwrap_or_default();
        live.at(known, || render::search_step(step) + &part);
    })
}
