//! What ships is good: patterns, verbalizers, data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cloze::model::folder::ModelFolder;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::label_words::LabelWords;
use cloze::text::data::{Example, Reading};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use tch::Device;

use crate::support::DEFAULT;

fn entries(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn json_files(folder: &str) -> Vec<PathBuf> {
    entries(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}

#[test]
fn every_template_parses_and_says_what_it_is() {
    let mut tasks = BTreeMap::new();
    for folder in entries("templates").into_iter().filter(|path| path.is_dir()) {
        let templates = json_files(folder.to_str().unwrap());
        let mut columns = BTreeSet::new();
        for path in &templates {
            let template = Template::read(path).unwrap();
            assert!(template.about().is_some(), "{} has no \"about\"", path.display());
            columns.insert(template.columns().map(str::to_owned).collect::<BTreeSet<_>>());
        }
        // The patterns of a task can be averaged: they need the same columns.
        assert_eq!(columns.len(), 1, "{}: {columns:?}", folder.display());
        tasks.insert(folder.file_name().unwrap().to_str().unwrap().to_owned(), templates.len());
    }
    for task in ["sentiment", "topic", "inference"] {
        assert!(tasks[task] >= 4, "{task}: {}", tasks[task]);
    }
    let readme = fs::read_to_string("templates/README.md").unwrap();
    for (task, count) in tasks {
        let line = readme.lines().find(|line| line.starts_with(&format!("| `{task}` |"))).unwrap_or_default();
        assert!(
            line.contains(&format!("| {count}: ")),
            "templates/README.md does not know {task} with {count}"
        );
    }
}

#[test]
fn every_verbalizer_fits_its_model() {
    let tokenizer = ModelFolder::open(Path::new(DEFAULT)).unwrap().tokenizer;
    let (chinese, files): (Vec<PathBuf>, Vec<PathBuf>) =
        json_files("verbalizers").into_iter().partition(|path| is_chinese(path));
    assert!(files.len() >= 10, "{files:?}");
    let of_characters = of_characters();
    assert!(chinese.len() >= 4, "{chinese:?}");
    for (path, tokenizer) in
        files.iter().map(|path| (path, &tokenizer)).chain(chinese.iter().map(|path| (path, &of_characters)))
    {
        let verbalizer = Verbalizer::read(path).unwrap();
        if let Err(problems) = LabelWords::check(&verbalizer, tokenizer, Device::Cpu) {
            panic!("{}: {problems:?}", path.display());
        }
    }
}

fn is_chinese(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name.to_string_lossy().contains("-zh"))
}

/// A vocabulary like those of Chinese BERTs: each character of the usual block is a token.
fn of_characters() -> Tokenizer {
    let characters = '\u{4e00}'..='\u{9fa5}';
    let folder = tempfile::tempdir().unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let lines: Vec<String> = special.into_iter().chain(characters.map(String::from)).collect();
    fs::write(folder.path().join("vocab.txt"), lines.join("\n")).unwrap();
    Tokenizer::load(folder.path()).unwrap()
}

fn rows(path: &str) -> (Vec<String>, Vec<Example>) {
    let rows = Reading::default().open(std::path::Path::new(path)).unwrap();
    (rows.columns().names().to_vec(), rows.collect::<Result<_, _>>().unwrap())
}

#[test]
fn the_data_sets_are_whole() {
    for (set, verbalizer, least) in
        [("reviews", "sentiment", [64, 64, 200, 200]), ("tickets", "tickets", [64, 64, 200, 200])]
    {
        let verbalizer =
            Verbalizer::read(&Path::new("verbalizers").join(format!("{verbalizer}.json"))).unwrap();
        let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
        for (split, least) in ["train", "dev", "test", "unlabeled"].into_iter().zip(least) {
            let path = format!("data/{set}/{split}.csv");
            let (columns, examples) = rows(&path);
            assert!(examples.len() >= least, "{path}: {} rows", examples.len());
            let mut by_class = BTreeMap::new();
            for example in examples {
                let texts: Vec<String> = columns
                    .iter()
                    .zip(example.fields)
                    .filter(|(column, _)| *column != "label")
                    .map(|(_, field)| field.to_lowercase())
                    .collect();
                if let Some(other) = seen.insert(texts, path.clone()) {
                    panic!("{path}: row {} stands in {other} too", example.record);
                }
                if let Some(label) = example.label {
                    assert!(verbalizer.class_of(&label).is_some(), "{path}: {label}");
                    *by_class.entry(label).or_insert(0) += 1;
                }
            }
            let sizes: BTreeSet<i32> = by_class.values().copied().collect();
            assert!(
                split == "unlabeled" && by_class.is_empty() || sizes.len() == 1,
                "{path}: classes are not even, {by_class:?}"
            );
        }
    }
}
