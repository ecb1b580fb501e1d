//! A family of encoders is one file: here is one, made from outside by what the library makes public, and
//! nothing else knows of it.
//!
//! Its layers are BERT's, so it names [`Arch::Bert`]; its `config.json` and its tensors have names of their
//! own, and one of its linear layers has no bias.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use cloze::learn::dataset::LabelledDataset;
use cloze::learn::objective::CombinedLoss;
use cloze::learn::target::Target;
use cloze::learn::train::{Event, Plan, State, Trainer};
use cloze::model::arch::{Arch, Config};
use cloze::model::batch::sample_inputs;
use cloze::model::dtype::Dtype;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::parameters::Parameters;
use cloze::model::tensor_file;
use cloze::model::tensor_map::{Module, Role, TensorMap};
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::predict::pvp::{Patterns, SoftVectors};
use cloze::text::data::{Example, Format, Rows};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::export::{self, Writing};
use cloze::tune::{Learned, Tuning, peft};
use tch::{Device, Tensor};

use crate::support::{TINY, assert_close, base_of, lone_generator, values};

/// The family: all that one needs.
mod toy {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use cloze::model::arch::{Arch, Config, Positions};
    use cloze::model::folder::ModelFolder;
    use cloze::model::layers::Activation;
    use cloze::model::tensor_map::{Module, Role, TensorMap};
    use cloze::model::tokenizer::Tokenizer;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        vocabulary: i64,
        width: i64,
        inner: i64,
        depth: i64,
        heads: i64,
        places: i64,
    }

    pub const CONFIG: &str = r#"{ "model_type": "toy-bert", "vocabulary": 323, "width": 32, "inner": 64,
        "depth": 2, "heads": 4, "places": 64 }"#;

    pub fn open(folder: &Path) -> ModelFolder {
        let file: File =
            serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
        let config = Config {
            arch: Arch::Bert,
            tensors: Arc::new(tensors(&file)),
            python_class: ["ToyForMaskedLM", "transformers.models.toy.modeling_toy"],
            vocab_size: file.vocabulary,
            embedding_size: file.width,
            hidden_size: file.width,
            positions: Positions::Absolute { first: 0 },
            num_hidden_layers: file.depth,
            num_attention_heads: file.heads,
            intermediate_size: file.inner,
            hidden_act: Activation::Gelu,
            head_act: Activation::Gelu,
            embedding_dropout_prob: 0.0,
            hidden_dropout_prob: 0.0,
            attention_probs_dropout_prob: 0.0,
            max_position_embeddings: file.places,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            untrained_head: None,
            unknown_keys: Vec::new(),
        };
        ModelFolder::new(folder, config, Tokenizer::load(folder).unwrap()).unwrap()
    }

    fn tensors(file: &File) -> TensorMap {
        let (width, inner) = (file.width, file.inner);
        let mut map = TensorMap::new("toy.", "toy.blocks.");
        map.embeddings(Module::WordEmbeddings, "toy.words", [file.vocabulary, width]);
        map.embeddings(Module::PositionEmbeddings, "toy.places", [file.places, width]);
        map.embeddings(Module::TypeEmbeddings, "toy.segments", [2, width]);
        map.norm(Module::EmbeddingNorm, "toy.start", width, true);
        for layer in 0..usize::try_from(file.depth).unwrap() {
            let name = |part: &str| format!("toy.blocks.{layer}.{part}");
            for (role, part) in [(Role::Query, "attn.q"), (Role::Key, "attn.k"), (Role::Value, "attn.v")] {
                map.linear(Module::Linear(layer, role), &name(part), [width, width], true);
            }
            map.linear(Module::Linear(layer, Role::AttentionOutput), &name("attn.o"), [width, width], false);
            map.norm(Module::AttentionNorm(layer), &name("attn.norm"), width, true);
            map.linear(Module::Linear(layer, Role::Intermediate), &name("mlp.up"), [inner, width], true);
            map.linear(Module::Linear(layer, Role::Output), &name("mlp.down"), [width, inner], true);
            map.norm(Module::OutputNorm(layer), &name("mlp.norm"), width, true);
        }
        map.linear(Module::Transform, "fill.dense", [width, width], true);
        map.norm(Module::TransformNorm, "fill.norm", width, true);
        map.decoder("fill.words", "fill.shift", [file.vocabulary, width], true);
        map
    }
}

const MOOD: &str = r#"{ "version": 1, "classes": [
    { "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["great"] } ] }"#;
const PATTERN: &str = "{text} it was {mask}.";
const ROWS: &str = "text,label\nsad day,down\nhappy day,up\nangry people,down\nthe movie was a joy,up\n";

/// The tiny BERT without biases on its attentions' output, and the same numbers as a toy.
struct Twins {
    folder: tempfile::TempDir,
}

impl Twins {
    fn new() -> Twins {
        let folder = tempfile::tempdir().unwrap();
        let [bert, toy] = ["bert", "toy"].map(|name| folder.path().join(name));
        for twin in [&bert, &toy] {
            fs::create_dir(twin).unwrap();
            for file in ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
                fs::copy(Path::new(TINY).join(file), twin.join(file)).unwrap();
            }
        }
        let config = fs::read_to_string(Path::new(TINY).join("config.json")).unwrap();
        fs::write(bert.join("config.json"), config.replace("dropout_prob\": 0.1", "dropout_prob\": 0.0"))
            .unwrap();
        fs::write(toy.join("config.json"), toy::CONFIG).unwrap();
        let (mut tensors, _) = tensor_file::read(&Path::new(TINY).join("model.safetensors")).unwrap();
        for (name, tensor) in &mut tensors {
            if name.ends_with("attention.output.dense.bias") {
                let _ = tensor.zero_();
            }
        }
        tensor_file::write(&bert.join("model.safetensors"), &tensors, HashMap::new()).unwrap();
        let twins = Twins { folder };
        let (map, toy_map) = (twins.bert().config.tensors, toy::open(&toy).config.tensors);
        tensor_file::write(
            &toy.join("model.safetensors"),
            &renamed(&tensors, &map, &toy_map),
            HashMap::new(),
        )
        .unwrap();
        twins
    }

    fn bert(&self) -> ModelFolder {
        ModelFolder::open(&self.folder.path().join("bert")).unwrap()
    }

    fn toy(&self) -> ModelFolder {
        toy::open(&self.folder.path().join("toy"))
    }

    fn bases(&self, engine: EngineChoice) -> [VerbalizedLm; 2] {
        [self.bert(), self.toy()].map(|folder| base(folder, engine))
    }
}

pub fn base(folder: ModelFolder, engine: EngineChoice) -> VerbalizedLm {
    tch::set_num_threads(1);
    base_of(folder, engine, &Verbalizer::parse("mood", "mood.json", MOOD).unwrap())
}

/// Tensors by another family's names: weights, and what PEFT writes beside them. What it has none for is left
/// out.
fn renamed(tensors: &Learned, from: &TensorMap, to: &TensorMap) -> Learned {
    let modules = |map: &TensorMap| -> BTreeMap<Module, String> {
        map.linear_layers().map(|layer| (layer.module, layer.name.to_owned())).collect()
    };
    let (from_linear, to_linear) = (modules(from), modules(to));
    let name = |name: &str| -> Option<String> {
        if let Some(module) = from.module_of(name) {
            let is_bias = from.bias_name(module) == Some(name);
            return if is_bias { to.bias_name(module) } else { to.weight_name(module) }.map(str::to_owned);
        }
        let (module, known) = from_linear.iter().find(|(_, known)| name.contains(known.as_str()))?;
        Some(name.replace(known.as_str(), &to_linear[module]))
    };
    tensors.iter().filter_map(|(old, tensor)| Some((name(old)?, tensor.shallow_clone()))).collect()
}

fn inputs(base: &VerbalizedLm) -> Vec<Features> {
    sample_inputs(base.tokenizer(), 64)
}

pub fn scores(base: &VerbalizedLm, classifier: &Classifier) -> Vec<f64> {
    let inputs = inputs(base);
    tch::no_grad(|| values(&classifier.class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Score)))
}

pub struct Training {
    rows: LabelledDataset,
    pub tuning: Tuning,
}

impl Training {
    pub fn new(tuning: Tuning) -> Training {
        let rows = Rows::read(Box::new(std::io::Cursor::new(ROWS)), "rows", Format::Csv, None).unwrap();
        let columns = rows.columns().clone();
        let examples: Vec<Example> = rows.collect::<Result<_, _>>().unwrap();
        let targets = (0..examples.len()).map(|row| Target::Class(row % 2)).collect();
        Training { rows: LabelledDataset { columns, examples, targets }, tuning }
    }

    /// Three steps, from other beginnings if there are any.
    pub fn run(&self, base: &VerbalizedLm, start: Option<&Learned>) -> (Learned, State, Vec<f64>) {
        let _alone = lone_generator();
        let templates = vec![Template::from_pattern(PATTERN).unwrap()];
        // `cls` reads the column instead.
        let vectors = SoftVectors::Learned { tuning: &self.tuning, columns: &["text".to_owned()] };
        let longest = base.model.config().default_max_length();
        let bound = Patterns::bind(templates, &base.words, &base.model.folder, vectors, longest).unwrap();
        let patterns = bound.on(&self.rows.columns).unwrap();
        let plan = Plan::usual(3, 1e-3);
        let trainer = Trainer {
            base,
            tuning: &self.tuning,
            plan: &plan,
            tasks: &patterns.tasks,
            soft: &patterns.soft,
            together: &[],
            max_length: patterns.max_length,
            classes: 2,
            seed: 1,
        };
        let mut state = trainer.begin().unwrap();
        if let Some(start) = start {
            state.trainable.restore(start);
        }
        let beginning = state.trainable.finished();
        let mut losses = Vec::new();
        let loss = CombinedLoss::from(trainer.classification(&self.rows).unwrap());
        trainer
            .train(&mut state, &mut loss.into(), None, &mut |event, _| {
                if let Event::Step { losses: found, .. } = event {
                    losses.push(found.classification.unwrap());
                }
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        (beginning, state, losses)
    }
}

fn lora() -> Tuning {
    Tuning::parse("tuning.json", r#"{ "lora": { "rank": 4 } }"#).unwrap()
}

#[test]
fn a_new_family_scores_as_the_bert_of_the_same_numbers() {
    let twins = Twins::new();
    let [bert, toy] = twins.bases(EngineChoice::Cloze);
    assert!(toy.model.parameters.iter().any(|(name, _)| name == "toy.blocks.1.attn.q.weight"));
    assert!(
        toy.model.parameters.iter().all(|(name, _)| name.starts_with("toy.") || name.starts_with("fill."))
    );
    let [wanted, found] = [&bert, &toy].map(|base| scores(base, &base.zero_shot(None).unwrap()));
    assert_eq!(found, wanted);
    // Another engine, which knows BERT's names alone.
    let _alone = lone_generator();
    let [.., toy] = twins.bases(EngineChoice::RustBert);
    assert_close(&scores(&toy, &toy.zero_shot(None).unwrap()), &wanted, 1e-4, "rust-bert");
}

#[test]
fn a_new_family_goes_to_narrow_types() {
    let [bert, toy] = Twins::new().bases(EngineChoice::Cloze);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8] {
        let [wanted, found] =
            [&bert, &toy].map(|base| scores(base, &base.zero_shot(None).unwrap().prepared(dtype).unwrap()));
        // A bias of 0 is added, one that is missing is not.
        assert_close(&found, &wanted, 1e-6, dtype.name());
    }
}

#[test]
fn a_new_family_trains_with_lora_as_bert_does() {
    let [bert, toy] = Twins::new().bases(EngineChoice::Cloze);
    let training = Training::new(lora());
    let (beginning, wanted, wanted_losses) = training.run(&bert, None);
    let beginning = renamed(&beginning, bert.model.parameters.map(), toy.model.parameters.map());
    let (found_beginning, found, losses) = training.run(&toy, Some(&beginning));
    // Query and value, by the words that every family has for them.
    let names: Vec<&str> = found_beginning.keys().map(String::as_str).collect();
    assert_eq!(names[0], "base_model.model.toy.blocks.0.attn.q.lora_A.weight");
    assert_eq!((names.len(), losses.len()), (8, 3));
    assert_eq!(losses, wanted_losses);
    let wanted =
        renamed(&wanted.trainable.finished(), bert.model.parameters.map(), toy.model.parameters.map());
    for (name, tensor) in found.trainable.finished() {
        assert!(tensor.equal(&wanted[&name]), "{name}");
    }
}

#[test]
fn a_new_family_trains_in_every_way() {
    let [_, toy] = Twins::new().bases(EngineChoice::Cloze);
    for (name, tuning) in Tuning::all() {
        tuning.check(toy.model.config()).unwrap();
        let training = Training::new(tuning);
        let (_, state, losses) = training.run(&toy, None);
        assert!(losses.iter().all(|loss| loss.is_finite()), "{name}: {losses:?}");
        let learned = state.trainable.finished();
        assert!(learned.keys().all(|name| !name.contains("bert")), "{name}");
        let before = scores(&toy, &toy.zero_shot(None).unwrap());
        if !matches!(training.tuning, Tuning::Cls(_)) && !learned.contains_key("soft_tokens") {
            let after = toy.learned(&training.tuning, &learned).unwrap();
            let inputs = sample_inputs(toy.tokenizer(), 32);
            let after =
                tch::no_grad(|| values(&after.class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Score)));
            assert_ne!(after, before, "{name} moves nothing");
        }
    }
}

#[test]
fn a_new_family_is_exported_under_its_own_names() {
    let twins = Twins::new();
    let [_, toy] = twins.bases(EngineChoice::Cloze);
    for tuning in [lora(), Tuning::Ia3, Tuning::Head] {
        let training = Training::new(tuning);
        let learned = training.run(&toy, None).1.trainable.finished();
        let adapted = scores(&toy, &toy.learned(&training.tuning, &learned).unwrap());

        let merged = twins.folder.path().join(format!("merged-{}", training.tuning.name()));
        export::merged(
            &merged,
            &toy.model.folder,
            &toy.model.parameters,
            &training.tuning,
            &learned,
            &Writing::default(),
        )
        .unwrap();
        let opened = base(toy::open(&merged), EngineChoice::Cloze);
        assert!(
            opened.model.parameters.iter().map(|(name, _)| name).eq(toy
                .model
                .parameters
                .iter()
                .map(|(name, _)| name))
        );
        assert_close(&scores(&opened, &opened.zero_shot(None).unwrap()), &adapted, 1e-5, "merged");

        if training.tuning == Tuning::Head {
            continue;
        }
        let folder = twins.folder.path().join(format!("peft-{}", training.tuning.name()));
        peft::write(&folder, &training.tuning, toy.model.config(), &learned, 0, "toy").unwrap();
        let config: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.join("adapter_config.json")).unwrap()).unwrap();
        let wanted = match &training.tuning {
            Tuning::Ia3 => serde_json::json!(["down", "k", "v"]),
            _ => serde_json::json!(["q", "v"]),
        };
        assert_eq!(config["target_modules"], wanted);
        assert_eq!(config["auto_mapping"]["base_model_class"], "ToyForMaskedLM");
        let read = peft::read(&folder, toy.model.config()).unwrap();
        assert!(read.learned.keys().eq(learned.keys()));
        let found = scores(&toy, &toy.learned(&read.tuning, &read.learned).unwrap());
        assert_close(&found, &adapted, 0.0, "read back");
    }
}

#[test]
fn what_stands_in_layers_and_has_no_place_is_refused() {
    let twins = Twins::new();
    let toy = twins.toy();
    let path = toy.path().join("model.safetensors");
    let (tensors, _) = tensor_file::read(&path).unwrap();
    let refused = |extra: &str| {
        let mut tensors: Learned =
            tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        tensors.insert(extra.to_owned(), Tensor::zeros([3], (tch::Kind::Float, Device::Cpu)));
        tensor_file::write(&path, &tensors, HashMap::new()).unwrap();
        let found = Parameters::load(toy.path(), &toy.config.tensors, Device::Cpu).map(drop);
        assert_eq!(found.is_err(), toy.check_weights().is_err());
        found.err().map(|error| error.to_string())
    };
    let said = refused("toy.blocks.1.attn.o.bias").unwrap();
    assert!(said.ends_with("such a model has no place for: toy.blocks.1.attn.o.bias"), "{said}");
    // A layer too many, whatever the checkpoint's names begin with.
    for name in ["toy.blocks.2.attn.q.weight", "module.toy.blocks.2.x", "blocks.2.attn.q.weight"] {
        let said = refused(name).unwrap();
        assert!(said.ends_with("num_hidden_layers is 2, the weights have 3 layers"), "{said}");
    }
    // Elsewhere it may be what other tasks need.
    assert_eq!(refused("toy.pooler.dense.weight"), None);
}

#[test]
fn what_is_left_over_outside_of_the_layers_is_noted() {
    let twins = Twins::new();
    let bert = twins.bert();
    let path = bert.path().join("model.safetensors");
    let (mut tensors, _) = tensor_file::read(&path).unwrap();
    let mut said = |names: &[&str]| {
        for name in names {
            let tensor = Tensor::zeros([3], (tch::Kind::Float, Device::Cpu));
            tensors.insert((*name).to_owned(), tensor);
        }
        tensor_file::write(&path, &tensors, HashMap::new()).unwrap();
        let command = Command::new(env!("CARGO_BIN_EXE_cloze"))
            .args(["check", "-m"])
            .arg(bert.path())
            .output()
            .unwrap();
        assert!(command.status.success());
        String::from_utf8(command.stdout).unwrap()
    };
    // What BERT's checkpoints have besides is known.
    let known = [
        "bert.pooler.dense.weight",
        "pooler.dense.bias",
        "cls.seq_relationship.weight",
        "bert.embeddings.position_ids",
    ];
    assert_eq!(said(&known), "no problems found\n");
    assert_eq!(
        said(&["bert.embeddings.scale", "classifier.weight"]),
        "note: the weights have tensors that such a model has no place for, which are left out: \
         bert.embeddings.scale, classifier.weight\n\nno problems found\n"
    );
}

#[test]
fn targets_are_names_ends_or_words_for_roles() {
    let twins = Twins::new();
    let (bert, toy) = (twins.bert().config, twins.toy().config);
    let kinds = |config: &Config| config.tensors.kinds_of(config.tensors.linear_layers());
    assert_eq!(
        kinds(&bert),
        [
            "query",
            "key",
            "value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
            "cls.predictions.transform.dense"
        ]
    );
    assert_eq!(kinds(&toy), ["q", "k", "v", "o", "up", "down", "fill.dense"]);
    for (target, layers) in [("q", 2), ("query", 2), ("attn.q", 2), ("blocks.1.mlp.up", 1), ("dense", 1)] {
        assert_eq!(toy.tensors.targeted(target).len(), layers, "{target}");
    }
    assert!(toy.tensors.targeted("uery").is_empty() && bert.tensors.targeted("uery").is_empty());
    assert_eq!(toy.tensors.targeted("query")[1].module, Module::Linear(1, Role::Query));
    assert_eq!((bert.arch, toy.arch), (Arch::Bert, Arch::Bert));
}
