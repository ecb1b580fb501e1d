//! Training on the tiny model: against PyTorch and PEFT, what must always hold, the loop, and stopping and
//! going on.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use cloze::error::Result;
use cloze::learn::dataset::LabelledDataset;
use cloze::learn::objective::{CombinedLoss, Mixture};
use cloze::learn::target::Target;
use cloze::learn::train::{ClassLoss, Event, Plan, State, Trainer};
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::predict::pvp::{Patterns, SoftVectors};
use cloze::predict::task::TaskSet;
use cloze::text::data::{Columns, Example, Format, Rows};
use cloze::text::dataset::truth;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Learned, SOFT_RATE, Tuning};
use tch::Tensor;

use crate::support::{TINY, base_of, lone_generator};

mod auxiliary;
mod golden;
mod invariants;
mod null_inputs;
mod packed;
mod resume;
mod soft_verbalizer;
mod start;
mod steps;
mod together;

const MOOD: &str = r#"{ "version": 1, "classes": [ { "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["great"] },
    { "label": "between", "words": ["maybe"] } ] }"#;

const PATTERN: &str = "{text} it was {mask}.";
const SOFT_PATTERN: &str = "{text} {soft:2} {mask}.";

/// Every method, and its options that take other ways; smaller than their defaults, for the tiny model.
const METHODS: [&str; 21] = [
    r#"{ "lora": { "rank": 3, "dora": true, "targets": ["query", "output.dense"] } }"#,
    r#""full""#,
    r#""head""#,
    r#""bias""#,
    r#"{ "lora": { "rank": 4 } }"#,
    r#"{ "lora": { "rank": 2, "alpha": 3, "rank_stabilized": true, "targets": ["key", "dense"] } }"#,
    r#""ia3""#,
    r#"{ "prompt-tuning": { "length": 3 } }"#,
    r#"{ "prompt-tuning": { "length": 3, "init": "label-words", "encoder": "mlp" } }"#,
    r#"{ "prompt-tuning": { "length": 4, "init": { "words": "it was" }, "encoder": "lstm" } }"#,
    r#"{ "p-tuning": { "length": 3 } }"#,
    r#"{ "p-tuning": { "length": 3, "encoder": "mlp" } }"#,
    r#"{ "p-tuning": { "length": 3, "encoder": "none" } }"#,
    r#"{ "prefix": { "length": 3 } }"#,
    r#"{ "prefix": { "length": 2, "init": "label-words", "layers": [1, 1] } }"#,
    r#"{ "p-tuning-v2": { "length": 3 } }"#,
    r#"{ "p-tuning-v2": { "length": 2, "init": { "words": "it was" }, "layers": [0, 0] } }"#,
    r#"{ "adapter": { "bottleneck": 4 } }"#,
    r#"{ "adapter": { "bottleneck": 4, "placement": "houlsby" } }"#,
    r#""cls""#,
    r#"{ "cls": { "frozen_encoder": true } }"#,
];

/// Words that tell a made-up row's class, in the order of MOOD.
const TELLING: [[&str; 6]; 3] = [
    ["sad", "angry", "awful", "scared", "fear", "wrong"],
    ["happy", "love", "joy", "wonderful", "fine", "loved"],
    ["old", "day", "year", "page", "text", "street"],
];
/// Around them; different lengths, so that batches are padded.
const FRAMES: [[&str; 2]; 4] = [
    ["the", "movie"],
    ["all that", ""],
    ["they really never feel the", "of this company and that team"],
    ["", "people"],
];

/// So many rows of each class, one class after the other, the same every time; at most 12 of each are
/// different.
fn made_up(of_each: usize) -> String {
    let mut csv = "text,label\n".to_owned();
    for (class, words) in ["down", "up", "between"].iter().zip(TELLING) {
        for row in 0..of_each {
            let [before, after] = FRAMES[row % 4];
            csv += &format!("\"{before} {} {after}\",{class}\n", words[row % 6]);
        }
    }
    csv
}

/// Rows with the classes that MOOD gives them.
fn read(csv: &str) -> (Arc<Columns>, Vec<Example>, Vec<usize>) {
    let rows =
        Rows::read(Box::new(std::io::Cursor::new(csv.to_owned())), "made-up", Format::Csv, None).unwrap();
    let columns = rows.columns().clone();
    let examples: Vec<Example> = rows.collect::<Result<_>>().unwrap();
    let verbalizer = Verbalizer::parse("mood", "mood.json", MOOD).unwrap();
    let truths =
        examples.iter().map(|example| truth(&verbalizer, &columns, example).unwrap().unwrap()).collect();
    (columns, examples, truths)
}

/// The tiny model with a verbalizer's words and another probability of dropout.
fn tiny(engine: EngineChoice, dropout: f64, verbalizer: &Verbalizer) -> VerbalizedLm {
    // Its tensors are too small for several threads: they only wait for each other, on a busy machine for
    // minutes.
    tch::set_num_threads(1);
    let mut folder = ModelFolder::open(Path::new(TINY)).unwrap();
    folder.config.set_dropout(dropout);
    base_of(folder, engine, verbalizer)
}

fn moody(engine: EngineChoice, dropout: f64) -> VerbalizedLm {
    tiny(engine, dropout, &Verbalizer::parse("mood", "mood.json", MOOD).unwrap())
}

/// Patterns as a method has them.
fn patterns(base: &VerbalizedLm, tuning: &Tuning, patterns: &[&str], columns: &Columns) -> TaskSet {
    let templates = match tuning {
        Tuning::Cls(_) => Vec::new(),
        _ => patterns.iter().map(|pattern| Template::from_pattern(pattern).unwrap()).collect(),
    };
    let vectors = SoftVectors::Learned { tuning, columns: &["text".to_owned()] };
    let bound = Patterns::bind(templates, &base.words, &base.model.folder, vectors, 64);
    bound.unwrap().on(columns).unwrap()
}

fn tuning(options: &str) -> Tuning {
    Tuning::parse("tuning.json", options).unwrap()
}

/// Everything that a training needs, with numbers that a test may change.
struct Setting {
    base: VerbalizedLm,
    tuning: Tuning,
    plan: Plan,
    patterns: TaskSet,
    columns: Arc<Columns>,
    examples: Vec<Example>,
    targets: Vec<Target>,
    max_length: usize,
    seed: u64,
}

impl Setting {
    /// On four made-up rows of each class, all in one batch, without dropout.
    fn new(tuning: Tuning, written: &[&str]) -> Setting {
        Setting::on(moody(EngineChoice::Cloze, 0.0), tuning, written, &made_up(4))
    }

    fn on(base: VerbalizedLm, tuning: Tuning, written: &[&str], csv: &str) -> Setting {
        let (columns, examples, truths) = read(csv);
        let patterns = patterns(&base, &tuning, written, &columns);
        let max_length = match &tuning {
            Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => 64 - prefix.length,
            _ => 64,
        };
        let plan = plan(tuning.defaults(2).learning_rate, 4, examples.len() * patterns.tasks.len());
        Setting {
            base,
            tuning,
            plan,
            patterns,
            columns,
            examples,
            targets: truths.into_iter().map(Target::Class).collect(),
            max_length,
            seed: 1,
        }
    }

    fn trainer(&self) -> Trainer<'_> {
        Trainer {
            base: &self.base,
            tuning: &self.tuning,
            plan: &self.plan,
            tasks: &self.patterns.tasks,
            soft: &self.patterns.soft,
            together: &[],
            max_length: self.max_length,
            classes: 3,
            seed: self.seed,
        }
    }

    fn rows(&self) -> LabelledDataset {
        let (columns, examples, targets) =
            (self.columns.clone(), self.examples.clone(), self.targets.clone());
        LabelledDataset { columns, examples, targets }
    }

    fn mixture(&self) -> Result<Mixture> {
        Ok(CombinedLoss::from(self.trainer().classification(&self.rows())?).into())
    }

    /// Trains to the plan's end; gives the losses too.
    fn try_train(&self) -> Result<(State, Vec<f64>)> {
        let _alone = lone_generator();
        let trainer = self.trainer();
        let mut state = trainer.begin()?;
        let mut losses = Vec::new();
        trainer.train(&mut state, &mut self.mixture()?, None, &mut |event, _| {
            if let Event::Step { losses: found, .. } = event {
                losses.push(found.classification.unwrap());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((state, losses))
    }

    fn train(&self) -> (State, Vec<f64>) {
        self.try_train().unwrap()
    }

    /// The rows' probabilities, one after the other.
    fn probabilities(&self, classifier: Classifier) -> Vec<f64> {
        let (trainer, classifiers) = (self.trainer(), [classifier]);
        let scored = trainer.scorer(&classifiers).score(&self.columns, &self.examples, &mut |_| {}).unwrap();
        scored.into_iter().flat_map(|scored| scored.average.probabilities).collect()
    }
}

/// With soft tokens in the pattern, where the method may have them.
fn with_soft(options: &str) -> Setting {
    Setting::new(tuning(options), &[SOFT_PATTERN])
}

/// The probabilities of the base model with what was learned.
fn learned(setting: &Setting, learned: &Learned) -> Vec<f64> {
    setting.probabilities(setting.base.learned(&setting.tuning, learned).unwrap())
}

/// No warm-up, no parts and no evaluations.
fn plan(learning_rate: f64, steps: usize, batch_size: usize) -> Plan {
    Plan {
        steps,
        learning_rate,
        soft_learning_rate: SOFT_RATE,
        warm_up: 0.0,
        batch_size,
        accumulation: 1,
        batch_tokens: 100_000,
        weight_decay: 0.01,
        clip_norm: 1.0,
        dropout: None,
        r_drop: 0.0,
        loss: ClassLoss::default(),
        bf16: false,
        evaluate_every: 1000,
        patience: 1000,
    }
}

/// Every bit of a tensor; numbers would take -0 for 0.
fn bits(tensor: &Tensor) -> Vec<u32> {
    Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap().into_iter().map(f32::to_bits).collect()
}

fn largest(tensor: &Tensor) -> f64 {
    tensor.detach().abs().max().double_value(&[])
}
