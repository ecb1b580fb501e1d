//! The front door of the library: classifiers of a model, patterns and label words.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{io, thread};

use cloze::error::{DataError, Kind, TemplateError, TrainingError, VerbalizerError};
use cloze::learn::plan::PlanOptions;
use cloze::learn::run::Device;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::predict::output::Answer;
use cloze::study::experiment::{Experiment, TrainRequest};
use cloze::study::multi_task::{TasksFile, TasksRequest};
use cloze::text::data::{Example, Format, PATIENCE, Reading, Rows};
use cloze::tune::Tuning;
use cloze::{Error, Errors, MaskedLm, Options, PromptClassifier, Result, Run, Template, Verbalizer};

use crate::support::TINY;

const PATTERN: &str = "{text} It was {mask}.";
const TEXTS: [&str; 4] = ["a good film", "a bad story", "very great", "not good"];

fn model() -> MaskedLm {
    MaskedLm::load(TINY, Options::default()).unwrap()
}

fn moods() -> Verbalizer {
    Verbalizer::of(&[("down", &["bad", "terrible"]), ("up", &["good"])]).unwrap()
}

fn classifier(patterns: &[&str]) -> PromptClassifier {
    let mut builder = PromptClassifier::builder(model()).verbalizer(moods());
    for pattern in patterns {
        builder = builder.template(Template::from_pattern(pattern).unwrap());
    }
    builder.build().unwrap()
}

fn shares(answers: &[Answer]) -> Vec<Vec<f64>> {
    answers.iter().map(|answer| answer.prediction.probabilities.clone()).collect()
}

#[test]
fn everything_at_the_front_door_goes_to_other_threads() {
    fn both<T: Send + Sync>() {}
    fn send<T: Send>() {}
    both::<PromptClassifier>();
    // libtorch's tensors may go to another thread, and two threads may not use one handle.
    send::<MaskedLm>();
    both::<Run>();
    both::<Template>();
    both::<Verbalizer>();
    both::<Error>();
    both::<Errors>();
}

#[test]
fn one_classifier_serves_several_threads() {
    let classifier = classifier(&[PATTERN, "{mask}: {text}"]);
    let alone = shares(&classifier.classify(&TEXTS).unwrap());
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| shares(&classifier.classify(&TEXTS).unwrap()))).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), alone));
    });
}

#[test]
fn texts_fields_and_files_are_answered_alike() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("rows.csv");
    fs::write(&file, format!("text\n{}\n", TEXTS.join("\n"))).unwrap();
    let classifier = classifier(&[PATTERN]);
    let texts = classifier.classify(&TEXTS).unwrap();
    let rows: Vec<[&str; 2]> = TEXTS.iter().map(|text| ["not read", *text]).collect();
    assert_eq!(shares(&classifier.classify_fields(&["other", "text"], &rows).unwrap()), shares(&texts));
    let mut read = Vec::new();
    let rows = Reading::default().open(&file).unwrap();
    classifier
        .classify_rows(rows, |row, answer| {
            assert_eq!(row.fields, [TEXTS[read.len()]]);
            read.push(answer);
            Ok(())
        })
        .unwrap();
    assert_eq!(shares(&read), shares(&texts));
}

#[test]
fn rows_that_were_looked_at_are_not_waited_for_again() {
    let classifier = classifier(&[PATTERN]);
    // The first time takes longer.
    classifier.classify(&TEXTS).unwrap();
    let (input, mut output) = io::pipe().unwrap();
    // So long nothing comes behind the first row.
    let silence = 4 * PATIENCE;
    let writer = thread::spawn(move || {
        io::Write::write_all(&mut output, b"text\na good film\n").unwrap();
        thread::sleep(silence);
        io::Write::write_all(&mut output, b"a bad film\n").unwrap();
    });
    let mut rows = Rows::read(Box::new(input), "slow", Format::Csv, None).unwrap().in_background();
    let began = Instant::now();
    for most in [100, 101, 2048] {
        assert_eq!(rows.look_ahead(most).count(), 1);
    }
    let looked = began.elapsed();
    assert!(looked >= PATIENCE && looked < 2 * PATIENCE, "{looked:?}");
    let mut answered = Vec::new();
    let each = |row: &Example, _| {
        answered.push((row.record, began.elapsed()));
        Ok(())
    };
    classifier.classify_rows(rows, each).unwrap();
    writer.join().unwrap();
    // Scoring one row takes no second, and what has come is answered before the next is there.
    let [(1, first), (2, second)] = answered[..] else { panic!("{answered:?}") };
    assert!(first < looked + PATIENCE - Duration::from_millis(100), "{answered:?}");
    assert!(second > first + PATIENCE, "{answered:?}");
}

#[test]
fn a_calibration_that_the_program_fitted_is_applied_and_one_for_others_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name).display().to_string();
    fs::write(at("rows.csv"), format!("text\n{}\n", TEXTS.join("\n"))).unwrap();
    fs::write(at("pattern.json"), format!(r#"{{ "version": 1, "pattern": "{PATTERN}" }}"#)).unwrap();
    let words =
        r#"[{ "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["good"] }]"#;
    fs::write(at("moods.json"), format!(r#"{{ "version": 1, "classes": {words} }}"#)).unwrap();
    let arguments = format!(
        "score -m {TINY} -t {} -v {} -d {} --calibrate batch --calibration-out {} --out {} -q",
        at("pattern.json"),
        at("moods.json"),
        at("rows.csv"),
        at("fitted.json"),
        at("answers.csv")
    );
    assert!(Command::new(env!("CARGO_BIN_EXE_cloze")).args(arguments.split(' ')).status().unwrap().success());
    let build = |verbalizer: Verbalizer| -> Result<PromptClassifier> {
        PromptClassifier::builder(model())
            .template(Template::read(Path::new(&at("pattern.json")))?)
            .verbalizer(verbalizer)
            .calibration(at("fitted.json"))
            .build()
    };
    let answers = build(moods()).unwrap().classify(&TEXTS).unwrap();
    let written = fs::read_to_string(at("answers.csv")).unwrap();
    for (line, found) in written.lines().skip(1).zip(shares(&answers)) {
        let wanted: Vec<f64> = line.split(',').skip(3).map(|share| share.parse().unwrap()).collect();
        assert_eq!(found.len(), wanted.len(), "{line}");
        assert!(
            found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 2e-6),
            "{line} {found:?}"
        );
    }
    assert_eq!((answers.len(), written.lines().count()), (4, 5));
    let plain = shares(&classifier(&[PATTERN]).classify(&TEXTS).unwrap());
    assert_ne!(shares(&answers), plain);
    let other = Verbalizer::of(&[("down", &["bad"]), ("up", &["good"])]).unwrap();
    assert!(matches!(build(other).err().unwrap().kind(), Kind::Calibration(_)));
}

#[test]
fn what_is_missing_or_does_not_fit_is_told() {
    let kind = |built: Result<PromptClassifier>| built.err().unwrap();
    let error = kind(PromptClassifier::builder(model()).verbalizer(moods()).build());
    assert!(matches!(error.kind(), Kind::Template(TemplateError::NoneGiven)), "{error}");
    let template = Template::from_pattern(PATTERN).unwrap();
    let error = kind(PromptClassifier::builder(model()).template(template).build());
    assert!(matches!(error.kind(), Kind::Verbalizer(VerbalizerError::NoneGiven)), "{error}");
    let classifier = classifier(&["{title} {text} {mask}."]);
    let error = classifier.classify(&TEXTS).err().unwrap();
    assert!(
        matches!(error.kind(), Kind::Data(DataError::NotOneColumn { columns }) if columns.len() == 2),
        "{error}"
    );
    let error =
        classifier.classify_fields(&["title", "text"], &[vec!["one", "two"], vec!["one"]]).err().unwrap();
    assert!(matches!(error.kind(), Kind::Data(DataError::Ragged { found: 1, wanted: 2 })), "{error}");
    assert!(error.to_string().contains("record 2"), "{error}");
}

#[test]
fn trainings_without_a_seed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Path::new("tests/cases/usual").join(name);
    let request = TrainRequest {
        seeds: Vec::new(),
        ..TrainRequest::new(vec![file("t.json")], file("v.json"), file("d.csv"))
    };
    let manifest = request.manifest(|| ModelFolder::open(Path::new(TINY))).unwrap();
    let error: Error = Experiment::prepare(manifest, 20).err().unwrap().into();
    assert!(matches!(error.kind(), Kind::Training(TrainingError::WithoutSeeds)), "{error}");

    let here = std::env::current_dir().unwrap();
    let task = serde_json::json!({
        "name": "mood", "templates": [here.join(file("t.json"))], "verbalizer": here.join(file("v.json")),
        "train": here.join(file("d.csv"))
    });
    let tasks = folder.path().join("tasks.json");
    fs::write(&tasks, serde_json::json!({ "version": 1, "tasks": [task] }).to_string()).unwrap();
    let request = TasksRequest {
        files: TasksFile::read(&tasks).unwrap(),
        tuning: Tuning::Full,
        init_from: None,
        drawing: None,
        plan: PlanOptions::default(),
        evaluate_every: None,
        engine: EngineChoice::default(),
        device: Device::default(),
        folder: ModelFolder::open(Path::new(TINY)).unwrap(),
        max_length: None,
        reading: Reading::default(),
        seeds: Vec::new(),
        threads: 1,
        command: Vec::new(),
    };
    let error: Error = request.manifest().err().unwrap().into();
    assert!(matches!(error.kind(), Kind::Training(TrainingError::WithoutSeeds)), "{error}");
}
