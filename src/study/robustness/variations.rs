//! The changes that are made: of the rows, of the patterns and of the label words.

use super::{Target, changes};
use crate::error::{Errors, Result};
use crate::model::dtype::Dtype;
use crate::predict::blueprint::members;
use crate::predict::classifier::{Classifier, VerbalizedLm};
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, Pvp};
use crate::predict::synonyms;
use crate::predict::task::Task;
use crate::text::data::{Columns, Example};
use crate::text::verbalizer::{Class, Verbalizer};
use crate::tune::{Learned, Tuning};

/// So many of each class's words are tried alone.
const MOST_ALONE: usize = 5;

/// Letters of a change's name.
const MOST_OF_NAME: usize = 40;

/// Patterns, rows and a model under one change.
pub struct Variation {
    /// What is changed.
    pub target: Target,
    /// The change's name.
    pub name: String,
    /// The patterns.
    pub tasks: Vec<Task>,
    /// The rows, where they are others.
    pub examples: Option<Vec<Example>>,
    /// The models with their label words, where these are others.
    pub classifiers: Option<Vec<Classifier>>,
}

/// The rows' words changed, in the columns that the patterns read.
pub fn of_rows(tasks: &[Task], columns: &Columns, examples: &[Example]) -> Vec<Variation> {
    let read: Vec<String> = tasks.iter().flat_map(Task::columns).collect();
    let is_read = |column: usize| read.contains(&columns.names()[column]);
    let change = |(name, change): &(&str, changes::TextChange)| {
        let changed = |example: &Example| {
            let fields = example.fields.iter().enumerate();
            let fields = fields
                .map(|(column, text)| if is_read(column) { change(text) } else { text.clone() })
                .collect();
            Example { fields, ..example.clone() }
        };
        Variation {
            target: Target::Rows,
            name: (*name).to_owned(),
            tasks: tasks.to_vec(),
            examples: Some(examples.iter().map(changed).collect()),
            classifiers: None,
        }
    };
    changes::ROWS.iter().map(change).collect()
}

/// The patterns' words changed: a change is made to each pattern that it makes a difference to.
pub fn of_patterns(tasks: &[Task], columns: &Columns) -> Result<Vec<Variation>, Errors> {
    let by_task: Vec<Vec<(&str, Pvp)>> = tasks.iter().map(|task| changes::of_pattern(task.pvp())).collect();
    let mut names: Vec<&str> = Vec::new();
    by_task.iter().flatten().for_each(|(name, _)| {
        if !names.contains(name) {
            names.push(name);
        }
    });
    let change = |name: &str| {
        let changed = |(task, own): (&Task, &Vec<(&str, Pvp)>)| {
            let pvp = own.iter().find(|(other, _)| *other == name);
            pvp.map_or_else(|| Ok(task.clone()), |(_, pvp)| pvp.on(columns))
        };
        let tasks = tasks.iter().zip(&by_task).map(changed).collect::<Result<Vec<Task>, Errors>>()?;
        let name = name.to_owned();
        Ok(Variation { target: Target::Patterns, name, tasks, examples: None, classifiers: None })
    };
    names.into_iter().map(change).collect()
}

/// Models that read other label words: each class's first, second, … word alone, and each word's nearest in
/// the model's embeddings. Words of several tokens have no others.
pub fn of_words(
    tasks: &[Task],
    verbalizer: &Verbalizer,
    base: &VerbalizedLm,
    patterns: &Patterns,
    learned: &[(Tuning, Learned)],
) -> Result<Vec<Variation>> {
    if verbalizer.multi_token().is_some() {
        return Ok(Vec::new());
    }
    let most = verbalizer.classes().iter().map(|class| class.words.len()).max().unwrap_or(0);
    let alone = |place: usize| {
        let word =
            |class: &Class| vec![(class.words[place.min(class.words.len() - 1)].word().to_owned(), 1.0)];
        let words: Vec<_> = verbalizer.classes().iter().map(word).collect();
        (format!("word {} of each class alone", place + 1), words)
    };
    let mut others: Vec<_> = (0..if most > 1 { most.min(MOST_ALONE) } else { 0 }).map(alone).collect();
    others.extend(synonyms::nearest(verbalizer, base).map(|words| {
        let of_class = |words: &Vec<(String, f64)>| {
            words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", ")
        };
        let listed = words.iter().map(of_class).collect::<Vec<_>>().join(" / ");
        (brief(&format!("nearest: {listed}")), words)
    }));
    // Of a list some words may be none of the model's.
    let usable = |(name, words)| {
        let words = LabelWords::check(&verbalizer.with_words(words), base.tokenizer(), base.model.device);
        Some((name, words.ok()?))
    };
    let variation = |(name, words)| {
        let base = VerbalizedLm::new(base.model.clone(), words);
        let members = members(&base, patterns, learned, None)?;
        let prepared = members.into_iter().map(|member| member.prepared(Dtype::F32));
        let classifiers = Some(prepared.collect::<Result<_>>()?);
        Ok(Variation { target: Target::LabelWords, name, tasks: tasks.to_vec(), examples: None, classifiers })
    };
    others.into_iter().filter_map(usable).map(variation).collect()
}

/// Other patterns, each in the place of all.
pub fn of_paraphrases(paraphrases: Vec<Task>) -> impl Iterator<Item = Variation> {
    paraphrases.into_iter().map(|task| Variation {
        target: Target::Paraphrase,
        name: task.template().name().to_owned(),
        tasks: vec![task],
        examples: None,
        classifiers: None,
    })
}

fn brief(name: &str) -> String {
    let mut kept: String = name.chars().take(MOST_OF_NAME).collect();
    if kept.len() < name.len() {
        kept.push('…');
    }
    kept
}
