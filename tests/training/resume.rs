//! Trainings that are stopped and gone on with are the trainings that were not.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cloze::error::{Kind, Result, TuningError};
use cloze::learn::run::{
    DataFile, DataFiles, Header, Manifest, ModelFiles, RunFolder, SeedEvent, Select, StoredFile,
};
use cloze::learn::train::{Event, Plan};
use cloze::model::folder::EngineChoice;
use cloze::predict::classifier::VerbalizedLm;
use cloze::study::experiment::{Experiment, ExperimentEvent, Metrics};
use cloze::text::dataset::Dataset;
use cloze::tune::Tuning;
use serde_json::{Value, json};

use super::{MOOD, PATTERN, made_up, moody, patterns, plan, read, tuning};
use crate::support::{lone_generator, read_json};

/// Two seeds, four rows a class, twelve steps with dropout.
pub(super) fn manifest(tuning: Tuning, select: Select) -> Manifest {
    let file = |name: &str, text: &str| StoredFile { file: name.to_owned(), text: text.to_owned() };
    let data = |path: &str| DataFile { path: path.into(), sha256: String::new() };
    Manifest {
        header: Header {
            data: DataFiles {
                train: Some(data("train.csv")),
                test: Some(data("test.csv")),
                ..DataFiles::default()
            },
            model: ModelFiles { path: "tiny".into(), sha256: String::new() },
            threads: 1,
            max_length: 64,
            seeds: vec![0, 3],
            ..Header::default()
        },
        templates: vec![file("pattern.json", &json!({ "version": 1, "pattern": PATTERN }).to_string())],
        verbalizer: file("mood.json", MOOD),
        classes: ["down", "up", "between"].map(str::to_owned).to_vec(),
        columns: vec!["text".to_owned()],
        init_from: None,
        descriptions: None,
        null_inputs: None,
        plan: Plan {
            warm_up: 0.1,
            batch_tokens: 60,
            evaluate_every: 3,
            patience: 2,
            ..plan(tuning.defaults(2).learning_rate, 12, 2)
        },
        tuning,
        shots: Some(4),
        select,
        cls_baseline: false,
        setfit_baseline: false,
        lstm_baseline: false,
        several_labels: None,
        demonstrations: None,
    }
}

/// A manifest over made-up rows, ready to run in any folder.
struct Runs {
    manifest: Manifest,
    base: VerbalizedLm,
}

impl Runs {
    fn new(options: &str, select: Select) -> Runs {
        Runs { manifest: manifest(tuning(options), select), base: moody(EngineChoice::Cloze, 0.1) }
    }

    /// Runs, or goes on, until all is done or `watch` says stop.
    fn run(&self, path: &Path, watch: &mut dyn FnMut(&str, &Event) -> ControlFlow<()>) -> Option<Metrics> {
        self.try_run(path, watch).unwrap()
    }

    fn try_run(
        &self,
        path: &Path,
        watch: &mut dyn FnMut(&str, &Event) -> ControlFlow<()>,
    ) -> Result<Option<Metrics>> {
        let _alone = lone_generator();
        let folder = if path.join("manifest.json").exists() {
            let (folder, manifest) = RunFolder::open(path).unwrap();
            assert_eq!(manifest, self.manifest);
            folder
        } else {
            RunFolder::create(path, &self.manifest.written()).unwrap()
        };
        let rows = |of_each| {
            let (columns, examples, truths) = read(&made_up(of_each));
            Dataset { columns, examples, truths: truths.into_iter().map(Some).collect() }
        };
        let train = rows(12);
        let of = |tuning: &Tuning, written: &[&str]| patterns(&self.base, tuning, written, &train.columns);
        let experiment = Experiment {
            manifest: self.manifest.clone(),
            base: self.base.clone(),
            // Some steps have no row in the pattern with soft tokens: a leaf without a gradient must not tell
            // whether it ever had one.
            patterns: of(&self.manifest.tuning, &["{text} {soft:2} {mask}.", PATTERN]),
            written: Some(of(&Tuning::Full, &[PATTERN])),
            columns: of(&tuning("\"cls\""), &[PATTERN]),
            train,
            dev: None,
            test: Some(rows(3)),
            descriptions: None,
            several: None,
            start: None,
            checkpoint_every: 5,
        };
        let warnings = experiment.check()?;
        let metrics =
            experiment.run(&folder, warnings.iter().map(ToString::to_string).collect(), &mut |progress| {
                match progress {
                    ExperimentEvent::Training { part, event, .. } => watch(part, event),
                    _ => ControlFlow::Continue(()),
                }
            })?;
        assert_eq!(metrics.is_some(), folder.is_finished(&self.manifest));
        Ok(metrics)
    }

    fn uninterrupted(&self, path: &Path) -> Metrics {
        self.run(path, &mut |_, _| ControlFlow::Continue(())).unwrap()
    }
}

/// The files of a finished run that must not differ, by name.
fn results(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["learned", "predictions", "sampled"] {
        for entry in fs::read_dir(run.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.insert(path.strip_prefix(run).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    assert_eq!(files.len(), 6, "{:?}", files.keys());
    files
}

/// A table of results, or a list of events, without the times.
fn without_seconds(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            object.remove("seconds");
            object.values_mut().for_each(|value| *value = without_seconds(value.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| *value = without_seconds(value.take())),
        _ => {}
    }
    value
}

pub(super) fn events(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    text.lines().map(|line| without_seconds(serde_json::from_str(line).unwrap())).collect()
}

fn assert_same_run(found: &Path, wanted: &Path, what: &str) {
    let (found_files, wanted_files) = (results(found), results(wanted));
    assert_eq!(found_files.keys().collect::<Vec<_>>(), wanted_files.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in &found_files {
        assert!(*bytes == wanted_files[name], "{what}: {} differs", name.display());
    }
    let metrics = |run: &Path| without_seconds(read_json(run.join("metrics.json")));
    assert_eq!(metrics(found), metrics(wanted), "{what}");
    let seeds = read_json(found.join("metrics.json"))["seeds"].clone();
    let has_seconds = |seed: &Value| seed["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0);
    assert!(seeds.as_array().unwrap().iter().all(has_seconds), "{what}: {seeds}");
    assert_eq!(events(found), events(wanted), "{what}");
    assert!(!found.join("checkpoints").exists(), "{what}: checkpoints are left");
}

/// As a kill leaves a folder: everything that was written, and the beginning of a line that was being
/// written.
fn copy_of_killed(run: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(run).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_of_killed(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    let list = to.join("events.jsonl");
    if list.exists() {
        let whole = fs::read_to_string(&list).unwrap();
        fs::write(&list, whole + r#"{"seed":0,"part":"run","event":"st"#).unwrap();
    }
}

const RUNS: [(&str, Select); 5] = [
    (r#"{ "lora": { "rank": 4, "dropout": 0.1 } }"#, Select::None),
    (r#""p-tuning""#, Select::None),
    (r#""bias""#, Select::Dev),
    (r#"{ "prefix": { "length": 3 } }"#, Select::Dev),
    (r#""head""#, Select::Cv),
];

#[test]
fn resume_equals_uninterrupted() {
    for (options, select) in RUNS {
        let runs = Runs::new(options, select);
        let temporary = tempfile::tempdir().unwrap();
        let wanted = temporary.path().join("uninterrupted");
        runs.uninterrupted(&wanted);
        // Once asked to stop is enough, wherever it is: in a step, at a look, at the last step.
        for every in [1, 4, 7] {
            let stopped = temporary.path().join(format!("stopped-{every}"));
            let mut stops = 0;
            loop {
                let mut count = 0;
                let done = runs.run(&stopped, &mut |_, _| {
                    count += 1;
                    if count == every { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                if done.is_some() {
                    break;
                }
                stops += 1;
                assert!(stops < 200, "{options}, {select:?}: never done");
            }
            assert!(stops >= 24 / (every + 1) - 2, "{options}, {select:?}: stopped only {stops} times");
            assert_same_run(
                &stopped,
                &wanted,
                &format!("{options}, {select:?}, stopped every {every} events"),
            );
        }
    }
}

#[test]
fn going_on_after_a_kill_equals_uninterrupted() {
    for (options, select) in RUNS {
        let runs = Runs::new(options, select);
        let temporary = tempfile::tempdir().unwrap();
        let wanted = temporary.path().join("uninterrupted");
        // Copies of the folder while the run goes on: with and without a checkpoint, in the first and in the
        // second seed.
        let count = Cell::new(0);
        let copies: [u32; 5] = [1, 7, 8, 15, 23];
        let copy = |at: u32| temporary.path().join(format!("killed-{at}"));
        runs.run(&wanted, &mut |_, _| {
            count.set(count.get() + 1);
            if copies.contains(&count.get()) {
                copy_of_killed(&wanted, &copy(count.get()));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        for at in copies {
            let resumed = Cell::new(0);
            runs.run(&copy(at), &mut |_, _| {
                resumed.set(resumed.get() + 1);
                ControlFlow::Continue(())
            })
            .unwrap();
            // From the checkpoint at step 5, not from the beginning.
            assert_eq!(resumed.get() < count.get(), at >= 7, "{options}, {select:?}, killed at {at}");
            assert_same_run(&copy(at), &wanted, &format!("{options}, {select:?}, killed at event {at}"));
        }
    }
}

#[test]
fn a_last_event_without_the_end_of_its_line_is_not_gone_on_with() {
    let runs = Runs::new("\"head\"", Select::None);
    let temporary = tempfile::tempdir().unwrap();
    let (wanted, stopped) = (temporary.path().join("uninterrupted"), temporary.path().join("stopped"));
    runs.uninterrupted(&wanted);
    let mut count = 0;
    let done = runs.run(&stopped, &mut |_, _| {
        count += 1;
        if count == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(done.is_none());
    // As a disk leaves it that is full after the line and before its end.
    let list = stopped.join("events.jsonl");
    let whole = fs::read_to_string(&list).unwrap();
    fs::write(&list, whole.trim_end()).unwrap();
    runs.uninterrupted(&stopped);
    assert_same_run(&stopped, &wanted, "without the end of a line");
}

#[test]
fn a_stopped_run_with_its_baseline_goes_on() {
    let mut runs = Runs::new("\"head\"", Select::None);
    runs.manifest.cls_baseline = true;
    let temporary = tempfile::tempdir().unwrap();
    let (wanted, stopped) = (temporary.path().join("uninterrupted"), temporary.path().join("stopped"));
    runs.uninterrupted(&wanted);
    let mut stops = Vec::new();
    while runs
        .run(&stopped, &mut |part, event| {
            let Event::Step { step, .. } = event else { return ControlFlow::Continue(()) };
            let stop = (part == "cls" && *step == 40 && stops.len() < 2)
                || (part == "run" && *step == 7 && stops.len() == 1);
            if stop {
                stops.push(part.to_owned());
            }
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .is_none()
    {
        assert!(stops.len() < 5, "{stops:?}");
    }
    assert_eq!(stops, ["cls", "run"]);
    // A finished seed's baseline is not kept and is trained again, which changes the order of the events.
    assert!(results(&stopped) == results(&wanted));
    let metrics = |run: &Path| without_seconds(read_json(run.join("metrics.json")));
    assert_eq!(metrics(&stopped), metrics(&wanted));
    let sorted = |run: &Path| {
        let mut lines: Vec<String> = events(run).iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&stopped), sorted(&wanted));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("run");
    let runs = Runs::new("\"head\"", Select::None);
    assert!(runs.run(&path, &mut |_, _| ControlFlow::Break(())).is_none());
    let (folder, _) = RunFolder::open(&path).unwrap();
    let trainings = ["\"bias\"", "{ \"lora\": { \"rank\": 2 } }"].map(tuning);
    for tuning in trainings {
        let other = super::Setting::new(tuning, &[PATTERN]);
        let mut state = other.trainer().begin().unwrap();
        let error = folder.resume(0, "run", &mut state).err().unwrap();
        assert!(error.to_string().contains("it is of another training"), "{error}");
        assert_eq!(state.step, 0);
    }
}

#[test]
fn patience_ends_a_training_and_the_best_evaluation_is_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let mut runs = Runs::new("\"head\"", Select::Dev);
    runs.manifest.plan.steps = 30;
    // So high a rate that the loss on other rows soon rises.
    runs.manifest.plan.learning_rate = 0.5;
    let metrics = runs.uninterrupted(temporary.path());
    for seed in &metrics.seeds {
        let evaluations = &seed.history.evaluations;
        let best = evaluations.iter().max_by(|left, right| {
            left.accuracy.total_cmp(&right.accuracy).then(right.loss.total_cmp(&left.loss))
        });
        assert_eq!(seed.history.kept, best.unwrap().step);
        assert_eq!(
            evaluations.iter().map(|evaluation| evaluation.step).collect::<Vec<_>>(),
            (1..=evaluations.len()).map(|evaluation| 3 * evaluation).collect::<Vec<_>>()
        );
        assert!(
            seed.history.steps < 30 && seed.history.steps == seed.history.kept + 2 * 3,
            "{:?}",
            seed.history
        );
        // What was kept scores as the best look did: dev rows are scored as test rows are.
        let (folder, _) = RunFolder::open(temporary.path()).unwrap();
        let (learned, history) = folder.load_learned(seed.seed).unwrap();
        assert_eq!(history, seed.history);
        assert!(!learned.is_empty());
    }
    let lines: Vec<SeedEvent> = fs::read_to_string(temporary.path().join("events.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let evaluations = lines.iter().filter(|line| matches!(line.event, Event::Evaluated { .. })).count();
    assert_eq!(evaluations, metrics.seeds.iter().map(|seed| seed.history.evaluations.len()).sum::<usize>());
}

#[test]
fn an_engine_that_cannot_do_the_method_or_its_baseline_is_refused_before_anything_is_trained() {
    for (options, cls_baseline, refused) in [("\"adapter\"", false, "adapter"), ("\"head\"", true, "cls")] {
        let temporary = tempfile::tempdir().unwrap();
        let mut runs = Runs::new(options, Select::None);
        runs.base = moody(EngineChoice::RustBert, 0.1);
        runs.manifest.cls_baseline = cls_baseline;
        let error = runs.try_run(temporary.path(), &mut |part, _| panic!("{part} is trained")).err().unwrap();
        assert!(
            matches!(error.kind(), Kind::Tuning(TuningError::EngineCannotTune { method, .. }) if *method == refused),
            "{error}"
        );
    }
}
