//! `cloze verbalizer`: long lists of label words, proposed and refined.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::model::dtype::Dtype;
use cloze::model::features::Features;
use cloze::model::folder::ModelFolder;
use cloze::predict::classifier::{Base, Classifier};
use cloze::predict::label_words::LabelWords;
use cloze::predict::score::{Scorer, batch_tokens};
use cloze::predict::task::Task;
use cloze::study::knowledge::refine::{Fate, refine};
use cloze::study::knowledge::wordnet::WordNet;
use cloze::study::knowledge::{Proposal, Source, from_embeddings, from_model, merge};
use cloze::study::search::words::Said;
use cloze::text::data::Example;
use cloze::text::verbalizer::Verbalizer;
use cloze::text::whole_file::WholeFile;
use ndarray::Array2;
use serde_json::{Value, json};

use super::args::{Expand, Refine, SourceName, VerbalizerCommand};
use super::render::{self, Align};
use super::setup::{self, Problems, Ready};

/// Runs the command.
pub fn run(command: &VerbalizerCommand) -> Result<()> {
    match command {
        VerbalizerCommand::Expand(args) => expand(args),
        VerbalizerCommand::Refine(args) => refined(args),
    }
}

fn expand(args: &Expand) -> Result<()> {
    setup::check_outputs(&[("what is proposed", Some(&args.out))], &[&args.verbalizer])?;
    let mut problems = Problems(Vec::new());
    let verbalizer = problems.keep(Verbalizer::read(&args.verbalizer));
    let folder = problems.keep(setup::open_model(&args.model.limits));
    let (Some(verbalizer), Some(folder)) = (verbalizer, folder) else { return Err(problems.into()) };
    let (base, given) = load(folder, &verbalizer, &args.model)?;
    let max_length = base.folder.max_length(args.model.limits.max_length)?;
    let classifier = base.zero_shot(None)?.prepared(Dtype::F32)?;
    let asks = |name: SourceName| args.from.is_empty() || args.from.contains(&name);
    let wordnet = if asks(SourceName::Wordnet) { open_wordnet(args)? } else { None };
    let count = args.words as usize;
    let mut proposed = Vec::with_capacity(given.len());
    for class in verbalizer.classes() {
        let mut lists = Vec::new();
        for word in &class.words {
            let Some(id) = base.tokenizer().tokenize(word.word()).first().map(|token| token.id) else {
                continue;
            };
            if asks(SourceName::Model) {
                lists.push((Source::Model, from_model(&base, &classifier, word.word(), count, max_length)?));
            }
            if asks(SourceName::Embeddings) {
                lists.push((Source::Embeddings, from_embeddings(&base, id, count)));
            }
            if let Some(wordnet) = &wordnet {
                let token = |word: &String| match base.tokenizer().tokenize(word)[..] {
                    [ref token] if token.id != base.tokenizer().special().unk => Some(token.id),
                    _ => None,
                };
                lists.push((
                    Source::WordNet,
                    wordnet.related(word.word()).iter().filter_map(token).take(count).collect(),
                ));
            }
        }
        proposed.push(lists);
    }
    let found = merge(&proposed, &given, count);
    render::print(&proposals(&verbalizer, &found, &base))?;
    let sources = 1.0 / Source::ALL.len() as f64;
    let class = |(class, proposals): (&cloze::text::verbalizer::Class, &Vec<Proposal>)| {
        let given = class.words.iter().map(|word| json!({ "word": word.word(), "weight": word.weight() }));
        // A third for each source that proposes it.
        let word = |proposal: &Proposal| {
            let weight = (proposal.sources.len() as f64 * sources * 1000.0).round() / 1000.0;
            json!({ "word": base.tokenizer().token(proposal.id), "weight": weight })
        };
        json!({ "label": class.label, "words": given.chain(proposals.iter().map(word)).collect::<Vec<_>>() })
    };
    let classes: Vec<Value> = verbalizer.classes().iter().zip(&found).map(class).collect();
    let about = format!("expanded by cloze from {}", verbalizer.name());
    write(&args.out, &json!({ "version": 1, "kind": "knowledge", "about": about, "classes": classes }))
}

/// WordNet, if it is there. Asked for by name, it must be.
fn open_wordnet(args: &Expand) -> Result<Option<WordNet>> {
    match WordNet::folder(args.wordnet.as_deref()) {
        Some(folder) => Ok(Some(WordNet::open(&folder)?)),
        None if args.from.contains(&SourceName::Wordnet) || args.wordnet.is_some() => {
            Err(Error::from(Kind::WordNetMissing { path: args.wordnet.clone().unwrap_or_default() }).into())
        }
        None => {
            render::warnings(&[
                "WordNet is not installed: the model and its embeddings propose words alone".to_owned(),
            ])?;
            Ok(None)
        }
    }
}

fn proposals(verbalizer: &Verbalizer, found: &[Vec<Proposal>], base: &Base) -> String {
    let mut rows = vec![["class", "word", "proposed by"].map(str::to_owned).to_vec()];
    for (label, proposals) in verbalizer.labels().zip(found) {
        for (place, proposal) in proposals.iter().enumerate() {
            let sources = proposal.sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
            let label = if place == 0 { label } else { "" };
            rows.push(vec![label.to_owned(), base.tokenizer().token(proposal.id).to_owned(), sources]);
        }
    }
    render::table(&[Align::Left, Align::Left, Align::Left], &rows)
}

fn refined(args: &Refine) -> Result<()> {
    let inputs = args.template.iter().chain([&args.verbalizer, &args.data.data]);
    setup::check_outputs(
        &[("what is kept", Some(&args.out))],
        &inputs.map(std::path::PathBuf::as_path).collect::<Vec<_>>(),
    )?;
    anyhow::ensure!(
        args.keep > 0.0 && args.keep <= 1.0,
        "--keep is a share: above 0 and at most 1, not {}",
        args.keep
    );
    let Ready { verbalizer, tasks, soft, rows, folder, max_length, .. } =
        setup::ready(&args.template, &args.verbalizer, None, &args.data, &args.model)?;
    tasks.iter().try_for_each(|task| setup::check_plain(task.template(), "cloze verbalizer"))?;
    if verbalizer.multi_token().is_some() {
        return Err(Error::from(Kind::SearchMultiToken { verbalizer: verbalizer.file().to_owned() }).into());
    }
    let columns = rows.columns().clone();
    let examples = rows.take(args.rows as usize).collect::<Result<Vec<Example>, Error>>()?;
    if examples.is_empty() {
        return Err(Error::from(Kind::DataWithoutRows { data: columns.data().to_owned() }).into());
    }
    let (base, given) = load(folder, &verbalizer, &args.model)?;
    let classifier = setup::zero_shot(&base, &soft)?.prepared(Dtype::F32)?;
    let said = probabilities(&base, &classifier, &tasks, &columns, &examples, max_length, &given)?;
    let class_of: Vec<usize> =
        given.iter().enumerate().flat_map(|(class, words)| words.iter().map(move |_| class)).collect();
    let fates = refine(&said, &class_of, args.keep, !args.no_relevance);
    let words: Vec<(usize, i64)> = class_of.iter().copied().zip(given.iter().flatten().copied()).collect();
    let mut table = vec![
        ["class", "words", "kept", "hardly said", "not relevant", "such as"].map(str::to_owned).to_vec(),
    ];
    for (class, label) in verbalizer.labels().enumerate() {
        let own = || words.iter().zip(&fates).filter(|((own, _), _)| *own == class);
        let count = |is: fn(&Fate) -> bool| own().filter(|(_, fate)| is(fate)).count();
        let dropped = own()
            .filter(|(_, fate)| !matches!(fate, Fate::Kept(_)))
            .map(|((_, id), _)| base.tokenizer().token(*id));
        table.push(vec![
            label.to_owned(),
            own().count().to_string(),
            count(|fate| matches!(fate, Fate::Kept(_))).to_string(),
            count(|fate| matches!(fate, Fate::Rare)).to_string(),
            count(|fate| matches!(fate, Fate::Irrelevant)).to_string(),
            dropped.take(4).collect::<Vec<_>>().join(", "),
        ]);
    }
    let right = Align::Right;
    render::print(&render::table(&[Align::Left, right, right, right, right, Align::Left], &table))?;
    let weight_of = |class: usize, id: i64| {
        let words = &verbalizer.classes()[class].words;
        let own = words
            .iter()
            .find(|word| base.tokenizer().tokenize(word.word()).first().is_some_and(|token| token.id == id));
        own.map_or(1.0, cloze::text::verbalizer::LabelWord::weight)
    };
    let class = |(class, label): (usize, &str)| {
        let word = |((own, id), fate): (&(usize, i64), &Fate)| match fate {
            Fate::Kept(prior) if *own == class => {
                let mut word =
                    json!({ "word": base.tokenizer().token(*id), "weight": weight_of(class, *id) });
                if !args.no_calibration {
                    word["prior"] = json!(prior);
                }
                Some(word)
            }
            _ => None,
        };
        json!({ "label": label, "words": words.iter().zip(&fates).filter_map(word).collect::<Vec<_>>() })
    };
    let classes: Vec<Value> = verbalizer.labels().enumerate().map(class).collect();
    let about = format!("{} refined by cloze on {} rows", verbalizer.name(), examples.len());
    let aggregate = verbalizer.aggregate().name();
    write(
        &args.out,
        &json!({ "version": 1, "kind": "knowledge", "about": about, "aggregate": aggregate, "classes": classes }),
    )
}

/// The words' mean probabilities over the patterns, `[rows, words]`.
fn probabilities(
    base: &Base,
    classifier: &Classifier,
    tasks: &[Task],
    columns: &cloze::text::data::Columns,
    examples: &[Example],
    max_length: usize,
    given: &[Vec<i64>],
) -> Result<Array2<f64>> {
    let classifiers = std::slice::from_ref(classifier);
    let scorer = Scorer {
        classifiers,
        tokenizer: base.tokenizer(),
        tasks,
        max_length,
        batch_tokens: batch_tokens(base.device),
    };
    let of_task = |task: &Task| -> Result<Vec<Features>, Error> {
        Ok(scorer
            .encode(task, columns, examples)?
            .into_iter()
            .flatten()
            .map(|(features, _)| features)
            .collect())
    };
    let by_pattern = tasks.iter().map(of_task).collect::<Result<Vec<_>, Error>>()?;
    let said = Said::of_words(classifier, given.concat(), &by_pattern);
    let patterns = said.log_probabilities.len() as f64;
    let sum = said.log_probabilities.iter().map(|said| said.mapv(f64::exp)).reduce(|sum, next| sum + next);
    Ok(sum.unwrap_or_default() / patterns)
}

/// The base model, and each class's words that it has.
fn load(
    folder: ModelFolder,
    verbalizer: &Verbalizer,
    model: &super::args::Model,
) -> Result<(Base, Vec<Vec<i64>>)> {
    let device = setup::device(model.device)?;
    let words = LabelWords::check(verbalizer, &folder.tokenizer, device).map_err(Problems)?;
    render::warnings(&words.left_out().into_iter().collect::<Vec<_>>())?;
    let given = words.of_classes();
    Ok((setup::load_base(folder, words, model, device)?, given))
}

fn write(path: &Path, value: &Value) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    writeln!(file, "{value:#}").map_err(|error| Error::writing(path, &error))?;
    Ok(file.commit()?)
}
