//! `cloze robustness`: the same rows under harmless changes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::model::dtype::Dtype;
use cloze::model::features::Features;
use cloze::predict::classifier::{Base, Classifier};
use cloze::predict::label_words::LabelWords;
use cloze::predict::report::Prediction;
use cloze::predict::score::{Scorer, batch_tokens};
use cloze::predict::synonyms;
use cloze::predict::task::{Task, truth};
use cloze::study::robustness::{Changed, RobustnessReport, Target, changes};
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::text::whole_file::{WholeFile, write_table};
use cloze::tune::soft::SoftTokens;

use super::args::Robustness;
use super::render::{self, Progress};
use super::setup::{self, Problems, Ready};

/// So many of each class's words are tried alone.
const MOST_ALONE: usize = 5;

/// Columns of a change's name.
const MOST_OF_NAME: usize = 40;

/// What all scorings of one call share.
struct Bench<'a> {
    base: &'a Base,
    columns: &'a Columns,
    examples: &'a [Example],
    max_length: usize,
    /// What the model reads of the rows without a change.
    plain: Vec<Vec<Vec<Features>>>,
}

/// Patterns with their model and rows.
struct Variation<'a> {
    target: Target,
    name: String,
    tasks: Vec<Task>,
    examples: Option<Vec<Example>>,
    classifier: Option<&'a Classifier>,
}

/// Runs the command.
pub fn run(args: &Robustness) -> Result<()> {
    let Ready { verbalizer, tasks, soft, rows, folder, words, max_length, device, .. } =
        setup::ready(&args.template, &args.verbalizer, None, &args.data, &args.model)?;
    let columns = rows.columns().clone();
    if let Some(task) = tasks.iter().find(|task| task.template().demonstrations().is_some()) {
        return Err(task
            .template()
            .error(Kind::PatternWithDemonstrations { command: "cloze robustness" })
            .into());
    }
    let examples = rows
        .take(args.rows.map_or(usize::MAX, |rows| rows as usize))
        .collect::<Result<Vec<Example>, Error>>()?;
    if examples.is_empty() {
        return Err(Error::from(Kind::DataWithoutRows { data: columns.data().to_owned() }).into());
    }
    let truths = examples
        .iter()
        .map(|example| truth(&verbalizer, &columns, example))
        .collect::<Result<Vec<_>, Error>>()?;
    let paraphrases = args
        .patterns
        .as_deref()
        .map_or(Ok(Vec::new()), |path| paraphrases(path, &words, &folder, max_length, &columns))?;
    let out = args.out.as_deref();
    let inputs = args.template.iter().chain([&args.verbalizer, &args.data.data]).map(PathBuf::as_path);
    setup::check_outputs(&[("rows", out), ("report", args.report.as_deref())], &inputs.collect::<Vec<_>>())?;
    let report_file = args.report.as_deref().map(WholeFile::create).transpose()?;
    let base = setup::load_base(folder, words, &args.model, device)?;
    let plain = setup::zero_shot(&base, &soft)?.prepared(Dtype::F32)?;
    let mut bench =
        Bench { base: &base, columns: &columns, examples: &examples, max_length, plain: Vec::new() };
    let others = bench.other_words(&verbalizer, &soft)?;
    let mut variations = bench.of_rows(&tasks);
    variations.extend(bench.of_patterns(&tasks)?);
    variations.extend(others.iter().map(|(name, classifier)| Variation {
        target: Target::LabelWords,
        name: name.clone(),
        tasks: tasks.clone(),
        examples: None,
        classifier: Some(classifier),
    }));
    variations.extend(paraphrases.into_iter().map(|task| Variation {
        target: Target::Paraphrase,
        name: task.template().name().to_owned(),
        tasks: vec![task],
        examples: None,
        classifier: None,
    }));
    let mut progress = Progress::start(args.quiet, None);
    let said = bench.say(&tasks, &examples, &plain)?;
    bench.plain = bench.read(&tasks, &examples, &plain)?;
    let mut changed = Vec::with_capacity(variations.len());
    for (done, variation) in variations.into_iter().enumerate() {
        progress.advance(((done + 1) * examples.len()) as f64, (((done + 1) * examples.len()) as u64, 0));
        changed.push(bench.changed(variation, &plain)?);
    }
    progress.finish();
    let report = RobustnessReport::new(&said, &truths, changed);
    anyhow::ensure!(
        !report.changes.is_empty(),
        "no change makes a difference to what this model reads: there is nothing to compare"
    );
    if let Some(path) = out {
        write_rows(path, &report, &examples, &verbalizer)?;
    }
    if let (Some(mut file), Some(path)) = (report_file, &args.report) {
        serde_json::to_writer_pretty(&mut file, &report)
            .map_err(|error| Error::writing(path, &error.into()))?;
        file.commit()?;
    }
    let labels: Vec<&str> = verbalizer.labels().collect();
    let records: Vec<u64> = examples.iter().map(|example| example.record).collect();
    Ok(render::print(&render::robustness(&report, columns.data(), &labels, &records))?)
}

impl Bench<'_> {
    /// The words of rows changed, in the columns that the patterns read.
    fn of_rows(&self, tasks: &[Task]) -> Vec<Variation<'static>> {
        let read: Vec<String> = tasks.iter().flat_map(Task::columns).collect();
        let is_read = |column: usize| read.contains(&self.columns.names()[column]);
        let change = |(name, change): &(&str, changes::TextChange)| {
            let changed = |example: &Example| {
                let fields = example.fields.iter().enumerate();
                let fields = fields
                    .map(|(column, text)| if is_read(column) { change(text) } else { text.clone() })
                    .collect();
                Example { fields, ..example.clone() }
            };
            let examples = Some(self.examples.iter().map(changed).collect());
            Variation {
                target: Target::Rows,
                name: (*name).to_owned(),
                tasks: tasks.to_vec(),
                examples,
                classifier: None,
            }
        };
        changes::ROWS.iter().map(change).collect()
    }

    /// The words of patterns changed: a change is made to each pattern that it makes a difference to.
    fn of_patterns(&self, tasks: &[Task]) -> Result<Vec<Variation<'static>>> {
        let by_task: Vec<Vec<(&str, Template)>> =
            tasks.iter().map(|task| changes::of_pattern(task.template())).collect();
        let mut names: Vec<&str> = Vec::new();
        by_task.iter().flatten().for_each(|(name, _)| {
            if !names.contains(name) {
                names.push(name);
            }
        });
        let change = |name: &str| -> Result<Variation<'static>> {
            let changed = |(task, own): (&Task, &Vec<(&str, Template)>)| match own
                .iter()
                .find(|(other, _)| *other == name)
            {
                Some((_, template)) => Task::check(template.clone(), self.columns).map_err(Problems),
                None => Ok(task.clone()),
            };
            let tasks = tasks.iter().zip(&by_task).map(changed).collect::<Result<Vec<Task>, Problems>>()?;
            Ok(Variation {
                target: Target::Patterns,
                name: name.to_owned(),
                tasks,
                examples: None,
                classifier: None,
            })
        };
        names.into_iter().map(change).collect()
    }

    /// Models that read other label words: each class's first, second, … word alone, and each word's nearest
    /// in the model's embeddings.
    fn other_words(&self, verbalizer: &Verbalizer, soft: &SoftTokens) -> Result<Vec<(String, Classifier)>> {
        if verbalizer.multi_token().is_some() {
            return Ok(Vec::new());
        }
        let most = verbalizer.classes().iter().map(|class| class.words.len()).max().unwrap_or(0);
        let alone = |place: usize| {
            let word = |class: &cloze::text::verbalizer::Class| {
                vec![(class.words[place.min(class.words.len() - 1)].word().to_owned(), 1.0)]
            };
            (
                format!("word {} of each class alone", place + 1),
                verbalizer.classes().iter().map(word).collect::<Vec<_>>(),
            )
        };
        let mut others: Vec<_> = (0..if most > 1 { most.min(MOST_ALONE) } else { 0 }).map(alone).collect();
        others.extend(synonyms::nearest(verbalizer, self.base).map(|words| {
            let of_class = |words: &Vec<(String, f64)>| {
                words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", ")
            };
            let listed = words.iter().map(of_class).collect::<Vec<_>>().join(" / ");
            (render::start_of(&format!("nearest: {listed}"), MOST_OF_NAME), words)
        }));
        // Of a list some words may be none of the model's.
        let usable = |(name, words)| {
            Some((
                name,
                LabelWords::check(&verbalizer.with_words(words), self.base.tokenizer(), self.base.device)
                    .ok()?,
            ))
        };
        let model = |(name, words)| {
            Ok((name, setup::zero_shot(&self.base.with_words(words), soft)?.prepared(Dtype::F32)?))
        };
        others.into_iter().filter_map(usable).map(model).collect()
    }

    fn changed(&self, variation: Variation<'_>, plain: &Classifier) -> Result<Changed> {
        let Variation { target, name, tasks, examples, classifier } = variation;
        let examples = examples.as_deref().unwrap_or(self.examples);
        // What is read alike is answered alike.
        let unseen = classifier.is_none() && self.read(&tasks, examples, plain)? == self.plain;
        let said =
            if unseen { None } else { Some(self.say(&tasks, examples, classifier.unwrap_or(plain))?) };
        Ok(Changed { target, name, said })
    }

    fn read(
        &self,
        tasks: &[Task],
        examples: &[Example],
        classifier: &Classifier,
    ) -> Result<Vec<Vec<Vec<Features>>>> {
        let classifiers = std::slice::from_ref(classifier);
        let scorer = self.scorer(classifiers, tasks);
        let of_task = |task: &Task| -> Result<Vec<Vec<Features>>, Error> {
            let encoded = scorer.encode(task, self.columns, examples)?;
            Ok(encoded
                .into_iter()
                .map(|row| row.into_iter().map(|(features, _)| features).collect())
                .collect())
        };
        Ok(tasks.iter().map(of_task).collect::<Result<_, Error>>()?)
    }

    fn say(&self, tasks: &[Task], examples: &[Example], classifier: &Classifier) -> Result<Vec<Prediction>> {
        let classifiers = std::slice::from_ref(classifier);
        let scored = self.scorer(classifiers, tasks).score(self.columns, examples, &mut |_| {})?;
        Ok(scored.into_iter().map(|scored| scored.average).collect())
    }

    fn scorer<'b>(&'b self, classifiers: &'b [Classifier], tasks: &'b [Task]) -> Scorer<'b> {
        let batch_tokens = batch_tokens(self.base.device);
        Scorer {
            classifiers,
            tokenizer: self.base.tokenizer(),
            tasks,
            max_length: self.max_length,
            batch_tokens,
        }
    }
}

/// The templates of a folder, in the order of their names.
fn paraphrases(
    folder: &Path,
    words: &LabelWords,
    model: &cloze::model::folder::ModelFolder,
    max_length: usize,
    columns: &Columns,
) -> Result<Vec<Task>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::reading(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    anyhow::ensure!(
        !paths.is_empty(),
        "{} has no templates: --patterns takes a folder of .json files",
        folder.display()
    );
    let mut problems = Problems(Vec::new());
    let templates = words.room_in(setup::read_templates(&paths, &mut problems));
    let fits = |template: &Template| {
        let showing = template
            .demonstrations()
            .map(|_| template.error(Kind::PatternWithDemonstrations { command: "cloze robustness" }));
        let soft = template.soft().next().map(|soft| template.soft_error(soft, Kind::PatternSoftUntrained));
        showing.or(soft).map_or_else(|| setup::check_fit(template, model, max_length), Err)
    };
    let templates =
        templates.into_iter().filter(|template| problems.keep(fits(template)).is_some()).collect();
    let tasks = setup::check_tasks(templates, columns, &mut problems);
    problems.none()?;
    Ok(tasks)
}

/// Each row with how often it flips.
fn write_rows(
    path: &Path,
    report: &RobustnessReport,
    examples: &[Example],
    verbalizer: &Verbalizer,
) -> Result<()> {
    let labels: Vec<&str> = verbalizer.labels().collect();
    let header = ["row", "predicted", "flips", "changes"].map(str::to_owned).into_iter();
    let header: Vec<String> = header.chain(labels.iter().map(|label| format!("flips_to_{label}"))).collect();
    let row = |(example, row): (&Example, &cloze::study::robustness::RowReport)| {
        let counts = [row.flipped(), report.changes.len()].into_iter().chain(row.flips.iter().copied());
        [example.record.to_string(), labels[row.class].to_owned()]
            .into_iter()
            .chain(counts.map(|count| count.to_string()))
            .collect()
    };
    Ok(write_table(
        path,
        &header,
        &examples.iter().zip(&report.by_row).map(row).collect::<Vec<Vec<String>>>(),
    )?)
}
