//! What several tests need: models, prompts and golden files.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloze::model::arch::Config;
use cloze::model::batch::Batch;
use cloze::model::encoder::{Additions, Encoder, Mode};
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::head::MlmHead;
use cloze::model::masked_lm::{MaskedLm, Options};
use cloze::model::parameters::Parameters;
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::predict::label_words::LabelWords;
use cloze::predict::prompt_model::PromptModel;
use cloze::predict::pvp::Pvp;
use cloze::predict::task::Task;
use cloze::text::data::Columns;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use serde_json::{Value, json};
use tch::{Device, Tensor};

pub const TINY: &str = "tests/fixtures/tiny";
pub const DEFAULT: &str = "models/cloze-minilm-l6";

pub fn read_json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    serde_json::from_str(
        &std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    )
    .unwrap()
}

pub fn golden(model: &str) -> Value {
    read_json(PathBuf::from(model).join("golden.json"))
}

/// libtorch's random numbers, for as long as the guard lives: there is one generator for all threads of the
/// tests. Dropout draws from it, and so does the making of rust-bert's models, which start at random.
pub fn lone_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    // A test that failed with it left nothing half done.
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn load(folder: &str, engine: EngineChoice) -> PromptModel {
    let _alone = (engine == EngineChoice::RustBert).then(lone_generator);
    PromptModel::load(ModelFolder::open(Path::new(folder)).unwrap(), engine, Device::Cpu).unwrap()
}

/// A loaded model with a verbalizer's words.
pub fn base(folder: &Path, engine: EngineChoice, verbalizer: &Verbalizer) -> VerbalizedLm {
    base_of(ModelFolder::open(folder).unwrap(), engine, verbalizer)
}

/// The same, of a folder that a test has changed or made.
pub fn base_of(folder: ModelFolder, engine: EngineChoice, verbalizer: &Verbalizer) -> VerbalizedLm {
    let words = LabelWords::check(verbalizer, &folder.tokenizer, Device::Cpu).unwrap();
    let options = Options { engine, ..Options::default() };
    VerbalizedLm::new(MaskedLm::of(folder, options).unwrap(), words)
}

/// A pattern without soft tokens.
pub fn pvp(pattern: &str) -> Pvp {
    Pvp::plain(Template::from_pattern(pattern).unwrap()).unwrap()
}

/// A pattern without soft tokens on the columns of rows.
pub fn task(pattern: &str, columns: &Columns) -> Task {
    pvp(pattern).on(columns).unwrap()
}

/// The base model as it is.
pub fn zero_shot(base: &VerbalizedLm) -> Classifier {
    let _alone = (base.model.engine == EngineChoice::RustBert).then(lone_generator);
    base.zero_shot(None).unwrap()
}

/// The parts of the default engine, for tests that look inside.
pub struct Parts {
    pub config: Config,
    pub parameters: Parameters,
}

impl Parts {
    pub fn load(folder: &str) -> Parts {
        let folder = Path::new(folder);
        let config = Config::load(folder).unwrap();
        let parameters = Parameters::load(folder, &config.tensors, Device::Cpu).unwrap();
        Parts { config, parameters }
    }

    /// Class scores `[B,C]`, through parts made anew from the parameters as they are.
    pub fn class_scores(&self, batch: &Batch, words: &LabelWords, mode: Mode) -> Tensor {
        let states = Encoder::new(&self.config, &self.parameters)
            .states_at_masks(batch, &Additions::default(), mode)
            .squeeze_dim(1);
        let logits = MlmHead::new(&self.config, &self.parameters).logits_of(&states, words.ids(), None, mode);
        words.scores().of(&logits, &[], None)
    }
}

pub fn features(ids: &[i64], second_segment: usize, mask: usize) -> Features {
    Features {
        ids: ids.to_vec(),
        second_segment,
        mask,
        masks: 1,
        is_bare: false,
        priors: 0,
        removed: 0,
        left_out: 0,
        windows: 1,
        soft: Vec::new(),
    }
}

/// Inputs of a golden file, one for each mask.
pub fn golden_features(input: &Value) -> Vec<Features> {
    let ids = integers(&input["ids"]);
    let types = integers(&input["token_types"]);
    let second_segment = types.iter().position(|kind| *kind == 1).unwrap_or(ids.len());
    integers(&input["masks"])
        .iter()
        .map(|mask| features(&ids, second_segment, usize::try_from(*mask).unwrap()))
        .collect()
}

pub fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.to_kind(tch::Kind::Double).flatten(0, -1)).unwrap()
}

/// A verbalizer file in the form of the golden files' list of classes.
pub fn verbalizer(classes: &Value, aggregate: &str, weighted: bool) -> Verbalizer {
    let classes: Vec<Value> = classes
        .as_array()
        .unwrap()
        .iter()
        .map(|class| {
            let words: Vec<Value> =
                class["words"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|word| {
                        if weighted { json!({ "word": word[0], "weight": word[1] }) } else { word[0].clone() }
                    })
                    .collect();
            json!({ "label": class["label"], "words": words })
        })
        .collect();
    let text = json!({ "version": 1, "aggregate": aggregate, "classes": classes }).to_string();
    Verbalizer::parse("golden", "golden.json", &text).unwrap()
}

pub fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}: lengths");
    for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= tolerance, "{what}: at {index} found {found}, wanted {wanted}");
    }
}
