//! `cloze search`: label words and patterns, with how sure the choice is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::sample;
use cloze::model::dtype::Dtype;
use cloze::model::features::Features;
use cloze::model::folder::ModelFolder;
use cloze::numbers::counted;
use cloze::predict::classifier::{Base, Classifier};
use cloze::predict::label_words::LabelWords;
use cloze::predict::report::Prediction;
use cloze::predict::score::{Scorer, batch_tokens};
use cloze::predict::task::Task;
use cloze::study::compare::PairedBootstrap;
use cloze::study::search::pattern::{Writer, cross_validated, intervals, mutual_information, of_chosen};
use cloze::study::search::words::{self, Method, Said, Words};
use cloze::study::search::{Candidate, Certainty, permutation_test};
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::text::whole_file::WholeFile;
use serde::Serialize;
use serde_json::json;
use tch::Device;

use super::args::{Drawn, Search, SearchOutput, SearchPattern, SearchVerbalizer, WordMethodName};
use super::reading::{Labels, read_columns, read_rows};
use super::render;
use super::setup::{self, Problems};

/// Numbers of words a class that are tried.
const WORD_COUNTS: [usize; 4] = [1, 3, 5, 10];

/// Folds in which words are looked for on the other rows.
const FOLDS: usize = 4;

/// Rows that a pattern is written for: each is a forward pass for each word that is tried.
const WRITTEN_FOR: usize = 32;

/// Runs the command.
pub fn run(search: &Search) -> Result<()> {
    match search {
        Search::Verbalizer(args) => verbalizer(args),
        Search::Pattern(args) => pattern(args),
    }
}

/// Labelled rows that were drawn.
struct Labelled {
    columns: std::sync::Arc<Columns>,
    examples: Vec<Example>,
    truths: Vec<usize>,
}

/// What is written as a report.
#[derive(Serialize)]
struct Report<'a> {
    version: u64,
    labelled_rows: usize,
    candidates: &'a [Candidate],
    certainty: Option<&'a Certainty>,
    /// The accuracy of choosing by cross-validation, on rows that had no part in the choice.
    accuracy_of_choosing: Option<f64>,
}

fn verbalizer(args: &SearchVerbalizer) -> Result<()> {
    let method: Method = args.method.into();
    let needs_rows = method != Method::Nearest;
    anyhow::ensure!(
        !needs_rows || args.rows.train.is_some(),
        "--method {} learns from labelled rows: give --train",
        args.method.name()
    );
    anyhow::ensure!(
        args.words.is_none() || method != Method::Ranked,
        "--method ranked finds one word a class: leave --words out"
    );
    check_outputs(&args.output, args.template.iter().chain([&args.verbalizer]).chain(&args.rows.train))?;
    let report_file = args.output.report.as_deref().map(WholeFile::create).transpose()?;
    let (verbalizer, folder, templates, max_length) = read(&args.template, &args.verbalizer, &args.model)?;
    if verbalizer.multi_token().is_some() {
        return Err(Error::from(Kind::SearchMultiToken { verbalizer: verbalizer.file().to_owned() }).into());
    }
    let drawn = args
        .rows
        .train
        .as_deref()
        .map(|path| draw(path, &args.rows, &templates, &verbalizer, None))
        .transpose()?;
    let base = load(folder, &verbalizer, &args.model)?;
    let classifier = base.zero_shot(None)?.prepared(Dtype::F32)?;
    let given: Words = given(&base);
    let classes = given.len();
    let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
    let counts: Vec<usize> = args.words.map_or(WORD_COUNTS.to_vec(), |words| vec![words as usize]);
    let names: Vec<Vec<i64>> = given.iter().map(|class| class.iter().map(|(id, _)| *id).collect()).collect();
    let find = |said: Option<(&Said, &[usize])>, count: usize| -> Words {
        match (method, said) {
            (Method::LikelihoodRatio, Some((said, truths))) => {
                words::by_likelihood_ratio(said, truths, classes, count)
            }
            (Method::Ranked, Some((said, truths))) => {
                words::ranked(said, truths, classes, args.rows.seed).swap_remove(0)
            }
            (Method::Nearest, _) => words::nearest(&base, &names, count),
            (Method::LikelihoodRatio | Method::Ranked, None) => unreachable!("these methods have rows"),
        }
    };
    let Some(drawn) = drawn else {
        let found = find(None, *counts.last().unwrap_or(&1));
        render::print(&render::found_words(&labels, &listed(&found, &base)))?;
        return write_verbalizer(&args.output.out, &verbalizer, &found, &base, method);
    };
    let counts = if method == Method::Ranked { vec![1] } else { counts };
    let rows = counted(drawn.truths.len() as u64, "row");
    let working = render::Working::on(format!(
        "asking the model about {rows} in {}",
        counted(templates.len() as u64, "pattern")
    ));
    let said = ask(&base, &classifier, &templates, &drawn, &names.concat(), max_length)?;
    drop(working);
    let working = render::Working::on(format!("looking for words on {rows}, and in each fold on the others"));
    let all: Vec<(usize, Words)> =
        counts.iter().map(|&count| (count, find(Some((&said, &drawn.truths)), count))).collect();
    if let Some(class) = (0..classes).find(|&class| all.iter().any(|(_, words)| words[class].is_empty())) {
        return Err(Error::from(Kind::SearchWithoutWords { label: labels[class].clone() }).into());
    }
    let by_given = score_given(&base, &classifier, &templates, &drawn, max_length)?;
    let mut candidates = vec![Candidate::of(
        "given".to_owned(),
        brief(&listed(&given, &base)),
        &by_given,
        &drawn.truths,
        &labels,
    )];
    // Words that were found on a row say more of it than of others: each row is answered by words of the
    // other folds.
    let held_out = |rows: &[usize], count: usize| -> Vec<Prediction> {
        let (said, truths) = (said.pick(rows), rows.iter().map(|&row| drawn.truths[row]).collect::<Vec<_>>());
        let mut held_out = vec![Prediction::default(); truths.len()];
        for fold in sample::folds(&truths, FOLDS, args.rows.seed) {
            let others: Vec<usize> = (0..truths.len()).filter(|row| !fold.contains(row)).collect();
            let (part, of_part) =
                (said.pick(&others), others.iter().map(|&row| truths[row]).collect::<Vec<_>>());
            let found = find(Some((&part, &of_part)), count);
            fold.into_iter().for_each(|row| held_out[row] = said.predict(row, &found));
        }
        held_out
    };
    let every: Vec<usize> = (0..drawn.truths.len()).collect();
    let by_count: Vec<Vec<Prediction>> = counts.iter().map(|&count| held_out(&every, count)).collect();
    for ((count, words), held_out) in all.iter().zip(&by_count) {
        let plural = if *count == 1 { "" } else { "s" };
        let name = format!("{}, {count} word{plural} a class", args.method.name());
        candidates.push(Candidate::of(name, brief(&listed(words, &base)), held_out, &drawn.truths, &labels));
    }
    let choosing = match by_count.len() {
        1 => by_count[0].clone(),
        _ => of_chosen(&by_count, &drawn.truths, args.rows.seed, |others| {
            counts.iter().map(|&count| held_out(others, count)).collect()
        }),
    };
    drop(working);
    let chosen = Chosen::of(&choosing, &drawn.truths);
    let order = order(&candidates, Candidate::accuracy);
    let Some(winner) = order.iter().copied().find(|&index| index > 0) else { return Ok(()) };
    let certainty = certainty(&candidates, &order, winner, Some(&chosen), &drawn.truths, args.rows.seed);
    let shown = (by_count.len() > 1).then_some(chosen.accuracy);
    let text = render::search(&candidates, &order, winner, certainty.as_ref(), drawn.truths.len(), shown);
    render::print(&format!("{text}\n{}", render::found_words(&labels, &listed(&all[winner - 1].1, &base))))?;
    write_report(report_file, &args.output, &candidates, certainty.as_ref(), drawn.truths.len(), shown)?;
    write_verbalizer(&args.output.out, &verbalizer, &all[winner - 1].1, &base, method)
}

fn pattern(args: &SearchPattern) -> Result<()> {
    let writes = args.generate.is_some();
    anyhow::ensure!(
        !writes || args.rows.train.is_some(),
        "--generate writes patterns for labelled rows: give --train"
    );
    if args.template.len() < 2 && !writes {
        return Err(Error::from(Kind::SearchSpaceOfOne).into());
    }
    let inputs = args.template.iter().chain([&args.verbalizer, &args.data]).chain(&args.rows.train);
    check_outputs(&args.output, inputs)?;
    let report_file = args.output.report.as_deref().map(WholeFile::create).transpose()?;
    let (verbalizer, folder, mut templates, max_length) =
        read(&args.template, &args.verbalizer, &args.model)?;
    let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
    let set = read_rows(
        &args.data,
        &args.rows.reading,
        &read_columns(&templates, setup::open_rows(&args.data, &args.rows.reading)?.columns()),
        &verbalizer,
        None,
        Labels::Ignored,
    )?;
    if set.examples.is_empty() {
        return Err(Error::from(Kind::DataWithoutRows { data: set.columns.data().to_owned() }).into());
    }
    let unlabelled: Vec<Example> = set.examples.into_iter().take(args.data_rows as usize).collect();
    let drawn = args
        .rows
        .train
        .as_deref()
        .map(|path| draw(path, &args.rows, &templates, &verbalizer, Some(&set.columns)))
        .transpose()?;
    let base = load(folder, &verbalizer, &args.model)?;
    let classifiers = [base.zero_shot(None)?.prepared(Dtype::F32)?];
    if let (Some(count), Some(drawn)) = (args.generate, &drawn) {
        let _working = render::Working::on(format!(
            "writing patterns for {}",
            counted(drawn.truths.len() as u64, "row")
        ));
        templates.extend(write_patterns(
            &templates[0],
            count as usize,
            drawn,
            &verbalizer,
            &base,
            &classifiers[0],
            max_length,
        )?);
    }
    let columns = &set.columns;
    let tasks = templates
        .iter()
        .map(|template| Task::check(template.clone(), columns))
        .collect::<Result<Vec<Task>, _>>()
        .map_err(Problems)?;
    let batch_tokens = batch_tokens(base.device);
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length,
        batch_tokens,
    };
    let by_pattern = |examples: &[Example]| -> Result<Vec<Vec<Prediction>>> {
        let scored = scorer.score(columns, examples, &mut |_| {})?;
        Ok((0..tasks.len())
            .map(|task| scored.iter().map(|row| row.by_pattern[task].clone()).collect())
            .collect())
    };
    let working = render::Working::on(format!(
        "scoring {} in {} patterns",
        counted(unlabelled.len() as u64, "row"),
        templates.len()
    ));
    let said = by_pattern(&unlabelled)?;
    let labelled = drawn.as_ref().map(|drawn| by_pattern(&drawn.examples)).transpose()?;
    drop(working);
    let seed = args.rows.seed;
    let corrected: Option<Vec<Vec<Prediction>>> =
        drawn.as_ref().zip(labelled.as_ref()).map(|(drawn, said)| {
            said.iter().map(|said| cross_validated(said, &drawn.truths, labels.len(), seed)).collect()
        });
    let truths: &[usize] = drawn.as_ref().map_or(&[], |drawn| &drawn.truths);
    let mut candidates = Vec::with_capacity(templates.len());
    for (index, template) in templates.iter().enumerate() {
        let held_out = corrected.as_ref().map_or(&[][..], |corrected| &corrected[index]);
        let mut candidate = Candidate::of(
            template.name().to_owned(),
            template.pattern().to_owned(),
            held_out,
            truths,
            &labels,
        );
        candidate.score = Some(mutual_information(&said[index]));
        candidates.push(candidate);
    }
    let order = order(&candidates, |candidate| candidate.accuracy().or(candidate.score));
    for (candidate, (own, less)) in candidates.iter_mut().zip(intervals(&said, order[0], seed)) {
        (candidate.score_95, candidate.first_less_95) = (Some(own), Some(less));
    }
    let certainty = certainty(&candidates, &order, order[0], None, truths, seed);
    let choosing = corrected.as_ref().zip(labelled.as_ref()).map(|(corrected, raw)| {
        let without = |others: &[usize]| -> Vec<Vec<Prediction>> {
            let own: Vec<usize> = others.iter().map(|&row| truths[row]).collect();
            let part =
                |said: &Vec<Prediction>| others.iter().map(|&row| said[row].clone()).collect::<Vec<_>>();
            raw.iter().map(|said| cross_validated(&part(said), &own, labels.len(), seed)).collect()
        };
        Chosen::of(&of_chosen(corrected, truths, seed, without), truths).accuracy
    });
    render::print(&render::search(
        &candidates,
        &order,
        order[0],
        certainty.as_ref(),
        truths.len(),
        choosing,
    ))?;
    write_report(report_file, &args.output, &candidates, certainty.as_ref(), truths.len(), choosing)?;
    match args.template.get(order[0]) {
        // A file that was given is written as it is.
        Some(path) => write_text(&args.output.out, &cloze::text::json::read_text(path)?),
        None => {
            let winner = &templates[order[0]];
            write_json(
                &args.output.out,
                &json!({ "version": 1, "pattern": winner.pattern(), "about": winner.about() }),
            )
        }
    }
}

/// Templates, verbalizer and model, all problems together. Patterns that depend on more than a row are
/// refused.
fn read(
    templates: &[PathBuf],
    verbalizer: &Path,
    model: &super::args::Model,
) -> Result<(Verbalizer, ModelFolder, Vec<Template>, usize)> {
    let mut problems = Problems(Vec::new());
    let templates = setup::read_templates(templates, &mut problems);
    for template in &templates {
        let soft = template.soft().next().map(|soft| template.soft_error(soft, Kind::PatternSoftUntrained));
        problems.0.extend(soft.or(setup::check_plain(template, "cloze search").err()));
    }
    let verbalizer = problems.keep(Verbalizer::read(verbalizer));
    let folder = problems.keep(setup::open_model(&model.limits));
    let max_length =
        folder.as_ref().and_then(|folder| problems.keep(folder.max_length(model.limits.max_length)));
    let words = verbalizer.as_ref().zip(folder.as_ref());
    let words = words.and_then(|(verbalizer, folder)| {
        problems.keep(LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu))
    });
    let templates = if let Some(words) = &words { words.room_in(templates) } else { templates };
    // What is refused already cannot be tried.
    if let (Some(folder), Some(max_length), true) = (&folder, max_length, problems.0.is_empty()) {
        for template in &templates {
            problems.keep(setup::check_fit(template, folder, max_length));
        }
    }
    match (verbalizer, folder, max_length) {
        (Some(verbalizer), Some(folder), Some(max_length)) if problems.0.is_empty() => {
            Ok((verbalizer, folder, templates, max_length))
        }
        _ => Err(problems.into()),
    }
}

fn load(folder: ModelFolder, verbalizer: &Verbalizer, model: &super::args::Model) -> Result<Base> {
    let device = setup::device(model.device)?;
    let words = LabelWords::check(verbalizer, &folder.tokenizer, device).map_err(Problems)?;
    Ok(setup::load_base(folder, words, model, device)?)
}

/// So many labelled rows of each class as are asked for, or all.
fn draw(
    path: &Path,
    args: &Drawn,
    templates: &[Template],
    verbalizer: &Verbalizer,
    wanted: Option<&Columns>,
) -> Result<Labelled> {
    let columns = setup::open_rows(path, &args.reading)?.columns().clone();
    let set = read_rows(
        path,
        &args.reading,
        &read_columns(templates, &columns),
        verbalizer,
        wanted,
        Labels::Needed,
    )?;
    let classes = verbalizer.labels().len();
    let rows = sample::k_shot(
        &set.candidates(),
        classes,
        args.shots.map_or(usize::MAX, |shots| shots as usize),
        args.seed,
    )
    .rows;
    let picked = set.pick(&rows);
    let truths = picked.classes();
    // A class needs a row in two folds at least.
    if let Some(class) = (0..classes).find(|class| truths.iter().filter(|truth| *truth == class).count() < 2)
    {
        let label = verbalizer.classes()[class].label.clone();
        return Err(Error::from(Kind::SearchTooFewRows { label, data: set.columns.data().to_owned() }).into());
    }
    Ok(Labelled { columns: set.columns.clone(), examples: picked.examples, truths })
}

/// What the model says of whole vocabularies is held in memory: at most so many numbers.
const MOST_NUMBERS: usize = 400_000_000;

/// What the model says at the masks of labelled rows.
fn ask(
    base: &Base,
    classifier: &Classifier,
    templates: &[Template],
    drawn: &Labelled,
    also: &[i64],
    max_length: usize,
) -> Result<Said> {
    let tasks = templates.iter().map(|template| Task::check(template.clone(), &drawn.columns));
    let tasks = tasks.collect::<Result<Vec<Task>, _>>().map_err(Problems)?;
    let scorer = Scorer {
        classifiers: &[],
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length,
        batch_tokens: batch_tokens(base.device),
    };
    let of_task = |task: &Task| -> Result<Vec<Features>, Error> {
        Ok(scorer
            .encode(task, &drawn.columns, &drawn.examples)?
            .into_iter()
            .flatten()
            .map(|(features, _)| features)
            .collect())
    };
    let numbers = drawn.examples.len() * tasks.len() * base.tokenizer().vocabulary_size();
    anyhow::ensure!(
        numbers <= MOST_NUMBERS,
        "{} rows in {} patterns are more than a search holds in memory: draw some of each class with --shots",
        drawn.examples.len(),
        tasks.len()
    );
    let by_pattern = tasks.iter().map(of_task).collect::<Result<Vec<_>, Error>>()?;
    Ok(Said::of(classifier, base.tokenizer(), also, &by_pattern))
}

/// Patterns of the columns of a template that the model writes itself, for the first of the rows of each
/// class.
fn write_patterns(
    like: &Template,
    count: usize,
    drawn: &Labelled,
    verbalizer: &Verbalizer,
    base: &Base,
    classifier: &Classifier,
    max_length: usize,
) -> Result<Vec<Template>> {
    if verbalizer.multi_token().is_some() {
        return Err(Error::from(Kind::SearchMultiToken { verbalizer: verbalizer.file().to_owned() }).into());
    }
    let fields: Vec<String> = like.columns().map(|column| format!("{{{column}}}")).collect();
    let of_class = WRITTEN_FOR / verbalizer.classes().len().max(1);
    let mut taken = vec![0; verbalizer.classes().len()];
    let first = |(index, truth): (usize, &usize)| {
        taken[*truth] += 1;
        (taken[*truth] <= of_class.max(1)).then_some(index)
    };
    let rows: Vec<usize> = drawn.truths.iter().enumerate().filter_map(first).collect();
    let examples: Vec<Example> = rows.iter().map(|&row| drawn.examples[row].clone()).collect();
    let words: Vec<i64> = rows
        .iter()
        .filter_map(|&row| {
            Some(
                base.tokenizer()
                    .tokenize(verbalizer.classes()[drawn.truths[row]].words[0].word())
                    .first()?
                    .id,
            )
        })
        .collect();
    let wrap = |template: Template| {
        Task::check(template, &drawn.columns).map_err(|mut errors| errors.swap_remove(0))
    };
    let writer = Writer { classifier, tokenizer: base.tokenizer(), max_length };
    let written = writer.write(&fields.join(" "), &wrap, &examples, &words, count)?;
    let template = |(index, written): (usize, cloze::study::search::pattern::Written)| {
        let about = format!(
            "written by the model for {} rows, mean log probability of its words {:.2}",
            rows.len(),
            written.score
        );
        let text = json!({ "version": 1, "pattern": written.pattern, "about": about }).to_string();
        Template::parse(&format!("{}{}", render::WRITTEN, index + 1), "a pattern that was written", &text)
    };
    Ok(written.into_iter().enumerate().map(template).collect::<Result<_, Error>>()?)
}

/// The given words that the model has.
fn given(base: &Base) -> Words {
    base.words.of_classes().into_iter().map(|class| class.into_iter().map(|id| (id, 1.0)).collect()).collect()
}

fn listed(words: &Words, base: &Base) -> Vec<Vec<String>> {
    let word = |(id, _): &(i64, f64)| base.tokenizer().token(*id).to_owned();
    words.iter().map(|class| class.iter().map(word).collect()).collect()
}

/// Each class's first words.
fn brief(words: &[Vec<String>]) -> String {
    words
        .iter()
        .map(|class| class.iter().take(2).cloned().collect::<Vec<_>>().join(", "))
        .collect::<Vec<_>>()
        .join(" / ")
}

/// The candidates from the best to the worst; equals in their order.
fn order(candidates: &[Candidate], by: impl Fn(&Candidate) -> Option<f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&one, &other| {
        by(&candidates[other]).unwrap_or_default().total_cmp(&by(&candidates[one]).unwrap_or_default())
    });
    order
}

/// How sure the winner is; nothing without labelled rows.
fn certainty(
    candidates: &[Candidate],
    order: &[usize],
    winner: usize,
    chosen: Option<&Chosen>,
    truths: &[usize],
    seed: u64,
) -> Option<Certainty> {
    candidates[winner].evaluation.as_ref()?;
    // What was given, the first where anything was chosen, was not looked for.
    let searched = usize::from(chosen.is_some());
    let said: Vec<&[usize]> =
        candidates[searched..].iter().map(|candidate| candidate.said.as_slice()).collect();
    let right = |index: usize| candidates[index].right(truths);
    let second = order.iter().copied().find(|&other| other != winner && other >= searched);
    Some(Certainty {
        p_chance: permutation_test(&said, truths, seed),
        over_second: second.and_then(|second| PairedBootstrap::of(&[right(winner)], &[right(second)])),
        over_given: chosen
            .and_then(|chosen| PairedBootstrap::of(std::slice::from_ref(&chosen.right), &[right(0)])),
    })
}

/// Rows that were each answered by what other rows chose.
struct Chosen {
    right: Vec<bool>,
    accuracy: f64,
}

impl Chosen {
    fn of(said: &[Prediction], truths: &[usize]) -> Chosen {
        let right: Vec<bool> = said.iter().zip(truths).map(|(said, truth)| said.class() == *truth).collect();
        let accuracy = right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
        Chosen { right, accuracy }
    }
}

/// What the given words say, as `cloze score` would.
fn score_given(
    base: &Base,
    classifier: &Classifier,
    templates: &[Template],
    drawn: &Labelled,
    max_length: usize,
) -> Result<Vec<Prediction>> {
    let tasks = templates.iter().map(|template| Task::check(template.clone(), &drawn.columns));
    let tasks = tasks.collect::<Result<Vec<Task>, _>>().map_err(Problems)?;
    let classifiers = std::slice::from_ref(classifier);
    let scorer = Scorer {
        classifiers,
        tokenizer: base.tokenizer(),
        tasks: &tasks,
        max_length,
        batch_tokens: batch_tokens(base.device),
    };
    let scored = scorer.score(&drawn.columns, &drawn.examples, &mut |_| {})?;
    Ok(scored.into_iter().map(|scored| scored.average).collect())
}

fn check_outputs<'a>(output: &SearchOutput, inputs: impl Iterator<Item = &'a PathBuf>) -> Result<(), Error> {
    let outputs = [("what is found", Some(output.out.as_path())), ("report", output.report.as_deref())];
    setup::check_outputs(&outputs, &inputs.map(PathBuf::as_path).collect::<Vec<_>>())
}

fn write_report(
    file: Option<WholeFile>,
    output: &SearchOutput,
    candidates: &[Candidate],
    certainty: Option<&Certainty>,
    rows: usize,
    choosing: Option<f64>,
) -> Result<()> {
    let (Some(mut file), Some(path)) = (file, &output.report) else { return Ok(()) };
    let report =
        Report { version: 1, labelled_rows: rows, candidates, certainty, accuracy_of_choosing: choosing };
    let written = serde_json::to_writer_pretty(&mut file, &report)
        .map_err(std::io::Error::from)
        .and_then(|()| writeln!(file));
    written.map_err(|error| Error::writing(path, &error))?;
    Ok(file.commit()?)
}

fn write_verbalizer(
    path: &Path,
    like: &Verbalizer,
    words: &Words,
    base: &Base,
    method: Method,
) -> Result<()> {
    let word = |(id, weight): &(i64, f64)| {
        let word = base.tokenizer().token(*id);
        if method == Method::Nearest { json!({ "word": word, "weight": weight }) } else { json!(word) }
    };
    let class = |(label, words): (&str, &Vec<(i64, f64)>)| json!({ "label": label, "words": words.iter().map(word).collect::<Vec<_>>() });
    let classes: Vec<serde_json::Value> = like.labels().zip(words).map(class).collect();
    let about = match method {
        Method::LikelihoodRatio => "found by cloze search, by likelihood ratio",
        Method::Ranked => "found by cloze search, assignments ranked on held-out rows",
        Method::Nearest => "found by cloze search, nearest in the model's embeddings",
    };
    write_json(path, &json!({ "version": 1, "about": about, "classes": classes }))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    write_text(path, &format!("{value:#}\n"))
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|error| Error::writing(path, &error))?;
    Ok(file.commit()?)
}

impl From<WordMethodName> for Method {
    fn from(name: WordMethodName) -> Method {
        match name {
            WordMethodName::LikelihoodRatio => Method::LikelihoodRatio,
            WordMethodName::Ranked => Method::Ranked,
            WordMethodName::Nearest => Method::Nearest,
        }
    }
}
