//! Adapters of Python's PEFT (tests/fixtures/training/make.py), their folders, and merged models.

use std::fs;
use std::path::{Path, PathBuf};

use cloze::error::{Error, FileError, Kind, PeftError, TuningError};
use cloze::model::encoder::Additions;
use cloze::model::features::{Features, SoftSlot};
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::parameters::Parameters;
use cloze::model::tensor_file;
use cloze::model::tensor_map::LinearLayer;
use cloze::predict::prompt_model::PromptModel;
use cloze::tune::average::Average;
use cloze::tune::export::{self, Writing};
use cloze::tune::peft::{self, PeftAdapter};
use cloze::tune::{
    Adapted, Form, Learned, Lora, PREFIX, Prefix, PromptEncoder, SOFT_TOKENS, SoftPrompt, Tuning, adapt,
};
use serde_json::{Value, json};
use tch::{Device, Tensor};

use crate::support::{
    Parts, TINY, assert_close, golden, golden_features, integers, load, numbers, read_json, values,
};

const TRAINING: &str = "tests/fixtures/training";
const FOLDERS: [&str; 7] = ["lora", "lora-rs", "lora-all", "ia3", "prompt-tuning", "p-tuning", "prefix"];

/// Three times the rounding: PEFT's own merged and unmerged models differ by up to 9e-6 (golden.json's
/// `merged_difference`), cloze's from PEFT's by up to 1.1e-5. Every adapter moves some logit by more than 1.
const LOGITS: f64 = 3e-5;

fn fixture(name: &str) -> PathBuf {
    Path::new(TRAINING).join("peft").join(name)
}

fn read(folder: &Path) -> Result<PeftAdapter, Error> {
    peft::read(folder, &Parts::load(TINY).config)
}

/// An input with soft tokens before it.
pub fn with_front(features: &Features, front: usize) -> Features {
    let placeholder = 8; // tiny's [MASK]
    Features {
        ids: std::iter::repeat_n(placeholder, front).chain(features.ids.iter().copied()).collect(),
        second_segment: features.second_segment + front,
        mask: features.mask + front,
        masks: 1,
        is_bare: false,
        priors: 0,
        removed: 0,
        left_out: 0,
        windows: 1,
        soft: (0..front).map(|at| SoftSlot { at, vector: at }).collect(),
    }
}

fn adapted(parts: &Parts, adapter: &PeftAdapter, form: Form) -> PromptModel {
    let mut model = load(TINY, EngineChoice::Cloze);
    model.adapt(
        &parts.parameters,
        adapt(&adapter.tuning, &parts.config, &parts.parameters, &adapter.learned, form),
    );
    model
}

/// Logits of the whole vocabulary for tiny's golden inputs of at most 58 tokens, at every mask.
fn logits(model: &PromptModel, front: usize) -> Vec<f64> {
    tch::no_grad(|| {
        short_inputs()
            .iter()
            .flat_map(|(_, input)| values(&model.vocabulary_logits(&[&with_front(input, front)])))
            .collect()
    })
}

/// Tiny's golden inputs that leave room for 6 vectors in its 64 positions, with their token types.
fn short_inputs() -> Vec<(Vec<i64>, Features)> {
    let golden = golden(TINY);
    let inputs =
        golden["logits"].as_array().unwrap().iter().filter(|input| integers(&input["ids"]).len() <= 58);
    inputs
        .flat_map(|input| {
            golden_features(input).into_iter().map(|features| (integers(&input["token_types"]), features))
        })
        .collect()
}

/// Numbers that are the same everywhere, unlike for each name.
fn waves(name: &str, shape: &[i64], size: f64) -> Tensor {
    let seed: f64 = name.bytes().map(f64::from).sum();
    let count: i64 = shape.iter().product();
    (((Tensor::arange(count, (tch::Kind::Double, Device::Cpu)) + 1.0) * (seed + 0.7)).sin() * size)
        .to_kind(tch::Kind::Float)
        .view(shape)
}

/// An adapter of a method with every tensor far from where training starts.
fn made(tuning: Tuning) -> PeftAdapter {
    let config = Parts::load(TINY).config;
    let (hidden, inner, layers) = (config.hidden_size, config.intermediate_size, config.num_hidden_layers);
    let mut learned = Learned::new();
    let mut put = |name: String, shape: &[i64], base: f64, size: f64| {
        let tensor = waves(&name, shape, size) + base;
        learned.insert(name, tensor);
    };
    let mut front = 0;
    match &tuning {
        Tuning::Lora(lora) => {
            for LinearLayer { name, size: [output, input], .. } in config.tensors.linear_layers() {
                if lora.targets.iter().any(|target| name.ends_with(target.as_str())) {
                    put(format!("base_model.model.{name}.lora_A.weight"), &[lora.rank, input], 0.0, 0.2);
                    put(format!("base_model.model.{name}.lora_B.weight"), &[output, lora.rank], 0.0, 0.2);
                }
            }
        }
        Tuning::Ia3 => {
            for layer in 0..layers {
                let name = |part: &str| format!("base_model.model.bert.encoder.layer.{layer}.{part}.ia3_l");
                put(name("attention.self.key"), &[hidden, 1], 1.0, 0.5);
                put(name("attention.self.value"), &[hidden, 1], 1.0, 0.5);
                put(name("output.dense"), &[1, inner], 1.0, 0.5);
            }
        }
        Tuning::PromptTuning(soft) | Tuning::PTuning(soft) => {
            front = soft.length;
            put(SOFT_TOKENS.to_owned(), &[soft.length as i64, hidden], 0.0, 0.5);
        }
        Tuning::Prefix(prefix) | Tuning::PTuningV2(prefix) => {
            put(PREFIX.to_owned(), &[prefix.length as i64, layers * 2 * hidden], 0.0, 0.5);
        }
        Tuning::Full | Tuning::Head | Tuning::Bias => {
            for (name, tensor) in Parts::load(TINY).parameters.iter() {
                if tuning == Tuning::Full
                    || (tuning == Tuning::Head && name.starts_with("cls."))
                    || name.ends_with(".bias")
                {
                    put(name.to_owned(), &tensor.size(), 0.5, 0.5);
                }
            }
        }
        Tuning::Adapter(_) | Tuning::Cls(_) => unreachable!("no file holds it"),
    }
    PeftAdapter { tuning, learned, front }
}

fn lora(targets: &[&str]) -> Tuning {
    Tuning::Lora(Lora {
        rank: 3,
        alpha: 4.5,
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        ..Lora::default()
    })
}

/// Every linear layer of a masked language model.
const ALL_LAYERS: [&str; 7] = [
    "query",
    "key",
    "value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
    "predictions.transform.dense",
];

/// One of each method that PEFT has.
fn methods() -> Vec<(&'static str, Tuning)> {
    let soft = |encoder| SoftPrompt { length: 6, encoder, ..SoftPrompt::default() };
    let prefix = || Prefix { length: 6, ..Prefix::default() };
    vec![
        ("lora", lora(&["query", "value"])),
        ("lora-all", lora(&ALL_LAYERS)),
        ("lora-one-layer", lora(&["layer.1.attention.self.query", "layer.0.output.dense"])),
        ("ia3", Tuning::Ia3),
        ("prompt-tuning", Tuning::PromptTuning(soft(None))),
        ("p-tuning", Tuning::PTuning(soft(None))),
        ("p-tuning-mlp", Tuning::PTuning(soft(Some(PromptEncoder::Mlp)))),
        ("p-tuning-none", Tuning::PTuning(soft(Some(PromptEncoder::None)))),
        ("prefix", Tuning::Prefix(prefix())),
        ("p-tuning-v2", Tuning::PTuningV2(prefix())),
    ]
}

fn write(folder: &Path, adapter: &PeftAdapter) -> Result<(), Error> {
    peft::write(folder, &adapter.tuning, &Parts::load(TINY).config, &adapter.learned, adapter.front, TINY)
}

fn write_merged(folder: &Path, adapter: &PeftAdapter) -> Result<(), Error> {
    let parts = Parts::load(TINY);
    export::merged(
        folder,
        &ModelFolder::open(Path::new(TINY)).unwrap(),
        &parts.parameters,
        &adapter.tuning,
        &adapter.learned,
        &Writing::default(),
    )
}

fn assert_same(found: &PeftAdapter, wanted: &PeftAdapter, what: &str) {
    assert_eq!(found.learned.keys().collect::<Vec<_>>(), wanted.learned.keys().collect::<Vec<_>>(), "{what}");
    assert_eq!(found.front, wanted.front, "{what}");
    for (name, tensor) in &wanted.learned {
        assert!(found.learned[name].equal(tensor), "{what}: {name}");
    }
}

#[test]
fn adapters_of_peft_give_the_logits_that_peft_found() {
    let parts = Parts::load(TINY);
    let expected = read_json(Path::new(TRAINING).join("golden.json"));
    let probes = Tensor::from_slice(&integers(&expected["probe_ids"]));
    let tiny = golden(TINY);
    let mut seen = Vec::new();
    for record in expected["adapters"].as_array().unwrap() {
        let folder = record["folder"].as_str().unwrap();
        seen.push(folder);
        let adapter = read(&fixture(folder)).unwrap();
        for form in [Form::Beside, Form::Merged] {
            let model = adapted(&parts, &adapter, form);
            for (input, wanted) in
                integers(&record["inputs"]).iter().zip(record["logits"].as_array().unwrap())
            {
                let inputs = golden_features(&tiny["logits"][usize::try_from(*input).unwrap()]);
                for (features, wanted) in inputs.iter().zip(wanted.as_array().unwrap()) {
                    let features = with_front(features, adapter.front);
                    let found =
                        tch::no_grad(|| model.vocabulary_logits(&[&features]).index_select(1, &probes));
                    assert_close(
                        &values(&found),
                        &numbers(wanted),
                        LOGITS,
                        &format!("{folder} {form:?}, input {input}"),
                    );
                }
            }
        }
    }
    assert_eq!(seen, FOLDERS);
}

#[test]
fn peft_round_trip() {
    for name in FOLDERS {
        let original = read(&fixture(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &original).unwrap();
        let again = read(folder.path()).unwrap();
        assert_eq!(again.tuning, original.tuning, "{name}");
        assert_same(&again, &original, name);
        let tensors = |folder: &Path| tensor_file::read(&folder.join("adapter_model.safetensors")).unwrap();
        assert_eq!(tensors(folder.path()), tensors(&fixture(name)), "{name}");
        // Field by field what PEFT wrote; the size of a network that is not in the file may be another.
        let mut wrote = read_json(folder.path().join("adapter_config.json"));
        if name == "p-tuning" {
            wrote["encoder_hidden_size"] = json!(16);
        }
        // To PEFT "output.dense" means the attention's output too; written are all kinds of layers that have
        // tensors.
        if name == "ia3" {
            assert_eq!(wrote["target_modules"].as_array_mut().unwrap().remove(0), "attention.output.dense");
            assert_eq!(
                wrote["feedforward_modules"].as_array_mut().unwrap().remove(0),
                "attention.output.dense"
            );
        }
        assert_eq!(wrote, read_json(fixture(name).join("adapter_config.json")), "{name}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{name}: a file too many");
    }
}

#[test]
fn what_cloze_learns_survives_pefts_files() {
    for (name, tuning) in methods() {
        let original = made(tuning);
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("new/folder"), &original).unwrap();
        let again = read(&folder.path().join("new/folder")).unwrap();
        assert_same(&again, &original, name);
        match name {
            // In the file it is the same as prompt tuning, and two of three layers' names have to be written
            // out.
            "p-tuning-none" => assert_eq!(again.tuning.name(), "prompt-tuning"),
            "p-tuning" => assert!(matches!(
                again.tuning,
                Tuning::PTuning(SoftPrompt { encoder: Some(PromptEncoder::Lstm), .. })
            )),
            "lora-one-layer" => {
                let Tuning::Lora(lora) = again.tuning else { panic!("not a LoRA") };
                assert_eq!(lora.targets, ["layer.0.output.dense", "layer.1.attention.self.query"]);
            }
            "lora-all" => {
                let Tuning::Lora(lora) = again.tuning else { panic!("not a LoRA") };
                assert_eq!((lora.rank, lora.alpha, lora.targets.len()), (3, 4.5, 7));
            }
            _ => assert_eq!(again.tuning, original.tuning, "{name}"),
        }
    }
}

#[test]
fn ia3_of_cloze_leaves_the_attentions_output_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &made(Tuning::Ia3)).unwrap();
    let config = read_json(folder.path().join("adapter_config.json"));
    // PEFT takes "output.dense" for the attention's output too.
    let names = |key: &str| {
        config[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("feedforward_modules"),
        ["bert.encoder.layer.0.output.dense", "bert.encoder.layer.1.output.dense"]
    );
    assert_eq!(names("target_modules").len(), 6);
}

#[test]
fn adapters_over_a_bare_bert_are_read() {
    for name in ["lora", "lora-all", "ia3"] {
        let folder = copy_of(name);
        change_tensors(folder.path(), |tensors| {
            let renamed: Learned = std::mem::take(tensors)
                .into_iter()
                .map(|(key, tensor)| (key.replace("model.bert.", "model."), tensor))
                .collect();
            *tensors = renamed;
        });
        let (found, wanted) = (read(folder.path()).unwrap(), read(&fixture(name)).unwrap());
        assert_eq!(found.tuning, wanted.tuning, "{name}");
        assert_same(&found, &wanted, name);
    }
}

#[test]
fn modules_of_an_adapter_may_be_a_regular_expression_or_some_layers() {
    let wanted = read(&fixture("lora")).unwrap();
    for written in
        [json!(".*\\.(query|value)"), json!("all-linear"), Value::Null, json!(["value", "query", "q_proj"])]
    {
        let folder = copy_of("lora");
        change_config(folder.path(), |config| config["target_modules"] = written.clone());
        let found = read(folder.path()).unwrap();
        assert_eq!(found.tuning, wanted.tuning, "{written}");
        assert_same(&found, &wanted, "lora");
    }
    for (layers, allowed) in
        [(json!(1), true), (json!([1]), true), (json!([0, 1]), false), (json!([]), false)]
    {
        let folder = copy_of("lora");
        change_config(folder.path(), |config| config["layers_to_transform"] = layers.clone());
        change_tensors(folder.path(), |tensors| tensors.retain(|key, _| key.contains("layer.1.")));
        let found = read(folder.path());
        assert_eq!(found.is_ok(), allowed, "{layers}");
        if let Ok(PeftAdapter { tuning: Tuning::Lora(lora), .. }) = found {
            assert_eq!(
                lora.targets,
                ["bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.1.attention.self.value"]
            );
        }
    }
    let folder = copy_of("ia3");
    change_config(folder.path(), |config| {
        config["target_modules"] = json!(".*(key|value|output.dense)");
        config["feedforward_modules"] = json!(".*output.dense");
    });
    assert_same(&read(folder.path()).unwrap(), &read(&fixture("ia3")).unwrap(), "ia3");
}

#[test]
fn fields_of_later_pefts_are_passed_over() {
    let folder = copy_of("lora");
    change_config(folder.path(), |config| {
        config["peft_version"] = json!("0.18.0");
        config["eva_config"] = Value::Null;
        config["lora_bias"] = json!(false);
        config["exclude_modules"] = Value::Null;
        config.as_object_mut().unwrap().remove("loftq_config");
    });
    assert_same(&read(folder.path()).unwrap(), &read(&fixture("lora")).unwrap(), "lora");
}

/// A fixture to damage.
fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(fixture(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn change_config(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("adapter_config.json");
    let mut config = read_json(&path);
    change(&mut config);
    fs::write(path, serde_json::to_string_pretty(&config).unwrap()).unwrap();
}

fn change_tensors(folder: &Path, change: impl FnOnce(&mut Learned)) {
    let path = folder.join("adapter_model.safetensors");
    let (mut tensors, texts) = tensor_file::read(&path).unwrap();
    change(&mut tensors);
    tensor_file::write(&path, &tensors, texts).unwrap();
}

/// The message and the notes of a refusal, in one text.
fn refusal(result: Result<PeftAdapter, Error>) -> String {
    let error = result.map(drop).unwrap_err();
    let notes = error.kind().notes().into_iter().map(|(what, note)| format!("{what}: {note}"));
    std::iter::once(error.to_string()).chain(notes).collect::<Vec<_>>().join("\n")
}

fn assert_refused(result: Result<PeftAdapter, Error>, parts: &[&str]) {
    let text = refusal(result);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn settings_that_change_scores_are_refused_by_name() {
    let cases = [
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("fan_in_fan_out", json!(true)),
        ("rank_pattern", json!({ "query": 2 })),
        ("alpha_pattern", json!({ "query": 2 })),
        ("modules_to_save", json!(["classifier"])),
        ("layer_replication", json!([[0, 2], [1, 2]])),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("olora")),
        ("loftq_config", json!({ "loftq_bits": 4 })),
        ("lora_bias", json!(true)),
        ("alora_invocation_tokens", json!([1, 2])),
    ];
    for (key, value) in cases {
        let folder = copy_of("lora");
        change_config(folder.path(), |config| config[key] = value.clone());
        let result = read(folder.path());
        assert!(
            matches!(result.as_ref().map(drop).unwrap_err().kind(), Kind::Peft(PeftError::NotDone { key: found, .. }) if found == key),
            "{key}"
        );
        assert_refused(
            result,
            &[&format!("{key:?} is {value}"), "adapter_config.json:", "allowed: ", "help: "],
        );
    }
    for (name, key) in [("ia3", "fan_in_fan_out"), ("ia3", "modules_to_save")] {
        let folder = copy_of(name);
        change_config(folder.path(), |config| config[key] = json!([1]));
        assert_refused(read(folder.path()), &[key]);
    }
}

#[test]
fn a_damaged_adapter_is_refused_with_what_is_wrong() {
    let query = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight";
    let damaged = |name: &str, change: &dyn Fn(&mut Learned)| {
        let folder = copy_of(name);
        change_tensors(folder.path(), change);
        read(folder.path())
    };
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let folder = copy_of(name);
        change_config(folder.path(), change);
        read(folder.path())
    };
    // Tensors.
    let missing = |tensors: &mut Learned| drop(tensors.remove(query));
    assert_refused(
        damaged("lora", &missing),
        &["adapter_model.safetensors", query, "is missing, should be [4, 32]"],
    );
    let wrong = |tensors: &mut Learned| {
        drop(tensors.insert(query.to_owned(), Tensor::ones([4, 31], (tch::Kind::Float, Device::Cpu))))
    };
    assert_refused(damaged("lora", &wrong), &[query, "is [4, 31], should be [4, 32]"]);
    let pooler = "base_model.model.bert.pooler.dense.lora_A.weight";
    let unknown =
        |tensors: &mut Learned| drop(tensors.insert(pooler.to_owned(), waves("pooler", &[4, 32], 1.0)));
    assert_refused(damaged("lora", &unknown), &[pooler, "has no place"]);
    let infinite = |tensors: &mut Learned| {
        drop(tensors.insert(query.to_owned(), waves("query", &[4, 32], f64::INFINITY)))
    };
    assert_refused(damaged("lora", &infinite), &["not finite", query]);
    let turned =
        |tensors: &mut Learned| tensors.values_mut().for_each(|tensor| *tensor = tensor.transpose(0, 1));
    assert_refused(damaged("ia3", &turned), &["attention.self.key.ia3_l is [1, 32], should be [32, 1]"]);
    let short =
        |tensors: &mut Learned| tensors.values_mut().for_each(|tensor| *tensor = tensor.narrow(0, 0, 4));
    for name in ["prompt-tuning", "p-tuning", "prefix"] {
        assert_refused(damaged(name, &short), &["prompt_embeddings is [4, ", "should be [5, "]);
    }
    let empty = |tensors: &mut Learned| tensors.clear();
    assert_refused(damaged("lora", &empty), &[query, "is missing"]);
    // Where a regular expression names the layers, the tensors say which they are.
    for name in ["lora", "ia3"] {
        let folder = copy_of(name);
        change_config(folder.path(), |config| config["target_modules"] = json!(".*proj"));
        change_tensors(folder.path(), |tensors| {
            drop(tensors.insert(
                "base_model.model.layers.0.q_proj.lora_A.weight".to_owned(),
                waves("q", &[4, 32], 1.0),
            ))
        });
        assert_refused(read(folder.path()), &["q_proj.lora_A.weight has no place"]);
        change_tensors(folder.path(), |tensors| tensors.clear());
        assert_refused(read(folder.path()), &["the tensors of", "are not those"]);
        let folder = copy_of("lora");
        change_config(folder.path(), |config| config["target_modules"] = json!(".*"));
        change_tensors(folder.path(), missing);
        assert_refused(read(folder.path()), &[query, "is missing"]);
    }
    // Settings.
    assert_refused(with("lora", &|config| config["r"] = json!(8)), &["should be [8, 32]"]);
    assert_refused(
        with("lora", &|config| config["r"] = json!("four")),
        &["expected a whole number", "adapter_config.json:"],
    );
    assert_refused(
        with("lora", &|config| config["lora_dropout"] = json!(1.5)),
        &["lora.dropout must be from 0 to below 1"],
    );
    assert_refused(
        with("lora", &|config| config["target_modules"] = json!(["q_proj"])),
        &["\"q_proj\" is not a linear layer", "query, key"],
    );
    assert_refused(
        with("lora", &|config| config["target_modules"] = json!(["query"])),
        &["value.lora_A.weight has no place"],
    );
    assert_refused(
        with("lora", &|config| config["peft_type"] = json!("LOHA")),
        &["\"LOHA\" is not a type", "LORA, IA3, PROMPT_TUNING"],
    );
    assert_refused(
        with("lora", &|config| drop(config.as_object_mut().unwrap().remove("peft_type"))),
        &["\"peft_type\" is missing"],
    );
    assert_refused(
        with("prefix", &|config| config["num_layers"] = json!(12)),
        &["\"num_layers\" is 12", "must be 2", "made for tests/fixtures/tiny"],
    );
    assert_refused(
        with("prefix", &|config| config["num_attention_heads"] = json!(8)),
        &["\"num_attention_heads\" is 8"],
    );
    assert_refused(
        with("p-tuning", &|config| config["token_dim"] = json!(768)),
        &["\"token_dim\" is 768", "must be 32"],
    );
    assert_refused(
        with("p-tuning", &|config| config["num_transformer_submodules"] = json!(2)),
        &["must be 1"],
    );
    // Files.
    let folder = copy_of("lora");
    let weights = folder.path().join("adapter_model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    assert_refused(read(folder.path()), &["adapter_model.safetensors", "cut short"]);
    fs::rename(&weights, folder.path().join("adapter_model.bin")).unwrap();
    assert_refused(read(folder.path()), &["adapter_model.bin", "safe_serialization=True"]);
    fs::remove_file(folder.path().join("adapter_model.bin")).unwrap();
    assert_refused(read(folder.path()), &["has no adapter_model.safetensors"]);
    fs::write(folder.path().join("adapter_config.json"), "{\n  \"r\": 4,\n  oops }").unwrap();
    assert_refused(read(folder.path()), &["adapter_config.json:3:3", "not valid JSON"]);
    fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    assert_refused(read(folder.path()), &["has no adapter_config.json"]);
    assert_refused(read(&folder.path().join("nowhere")), &["there is no adapter folder"]);
    assert_refused(read(&fixture("lora").join("adapter_config.json")), &["is a file, not a folder"]);
}

#[test]
fn what_peft_has_no_file_for_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter");
    let refused = |adapter: &PeftAdapter, part: &str| {
        let text = refusal(write(&path, adapter).map(|()| read(&path).unwrap()));
        assert!(text.contains(part), "{part:?} is not in: {text}");
        assert!(!path.exists(), "{part}");
    };
    for (name, tuning) in Tuning::all() {
        if ["full", "head", "bias", "adapter", "cls"].contains(&name) {
            refused(
                &PeftAdapter { tuning, learned: Learned::new(), front: 0 },
                &format!("PEFT has no adapter for what {name} learns"),
            );
        }
    }
    for tuning in [
        lora(&["query"]),
        Tuning::Ia3,
        Tuning::Prefix(Prefix::default()),
        Tuning::PTuningV2(Prefix::default()),
    ] {
        let mut adapter = made(tuning);
        adapter.learned.insert(SOFT_TOKENS.to_owned(), waves("soft", &[2, 32], 1.0));
        refused(&adapter, "no place for soft tokens beside");
    }
    for tuning in [Tuning::PromptTuning(SoftPrompt::default()), Tuning::PTuning(SoftPrompt::default())] {
        refused(&PeftAdapter { front: 15, ..made(tuning) }, "before a text only");
    }
    refused(&made(Tuning::Prefix(Prefix { layers: Some([1, 1]), ..Prefix::default() })), "in layers 1 to 1");
    write(&path, &made(Tuning::Prefix(Prefix { layers: Some([0, 1]), ..Prefix::default() }))).unwrap();
    // What is there stays.
    let before = fs::read(path.join("adapter_model.safetensors")).unwrap();
    assert!(matches!(
        write(&path, &made(Tuning::Ia3)).unwrap_err().kind(),
        Kind::File(FileError::FolderTaken { .. })
    ));
    assert_eq!(fs::read(path.join("adapter_model.safetensors")).unwrap(), before);
    let file = path.join("adapter_config.json");
    assert!(matches!(
        write(&file, &made(Tuning::Ia3)).unwrap_err().kind(),
        Kind::File(FileError::ForFolder { .. })
    ));
}

#[test]
fn merged_equals_unmerged() {
    let parts = Parts::load(TINY);
    let base = logits(&load(TINY, EngineChoice::Cloze), 0);
    for targets in ALL_LAYERS.iter().map(std::slice::from_ref).chain([&ALL_LAYERS[..]]) {
        let adapter = made(lora(targets));
        let [beside, merged] =
            [Form::Beside, Form::Merged].map(|form| logits(&adapted(&parts, &adapter, form), 0));
        let moved =
            beside.iter().zip(&base).map(|(adapted, base)| (adapted - base).abs()).fold(0.0, f64::max);
        assert!(moved > 0.05, "{targets:?} moves logits by {moved} only");
        // Rounding: PEFT's own two forms differ by up to 9e-6.
        assert_close(&merged, &beside, LOGITS, &format!("{targets:?}"));
    }
}

#[test]
fn unmerging_restores_the_base_bit_for_bit() {
    let parts = Parts::load(TINY);
    let before: Vec<(String, Tensor)> =
        parts.parameters.iter().map(|(name, tensor)| (name.to_owned(), tensor.copy())).collect();
    let mut model =
        PromptModel::load(ModelFolder::open(Path::new(TINY)).unwrap(), EngineChoice::Cloze, Device::Cpu)
            .unwrap();
    let base = logits(&model, 0);
    for tuning in [lora(&ALL_LAYERS), Tuning::Ia3, Tuning::Bias, Tuning::Full] {
        let adapter = made(tuning);
        let merged = adapt(&adapter.tuning, &parts.config, &parts.parameters, &adapter.learned, Form::Merged);
        model.adapt(&parts.parameters, merged);
        assert_ne!(logits(&model, 0), base);
        for (name, tensor) in &before {
            assert!(
                parts.parameters.named(name).unwrap().equal(tensor),
                "{name} of the base moved with {}",
                adapter.tuning.name()
            );
        }
        model.adapt(&parts.parameters, Adapted { parameters: None, additions: Additions::default() });
        assert_eq!(logits(&model, 0), base);
    }
}

#[test]
fn an_average_lies_between_two_models() {
    let (parts, adapter) = (Parts::load(TINY), made(Tuning::Full));
    let model = ModelFolder::open(Path::new(TINY)).unwrap();
    let moved = adapt(&adapter.tuning, &parts.config, &parts.parameters, &adapter.learned, Form::Merged);
    let moved = moved.parameters.unwrap();
    for share in [0.0, 0.25, 1.0] {
        let folder = tempfile::tempdir().unwrap();
        let average = Average::new(ModelFolder::open(Path::new(TINY)).unwrap(), share).unwrap();
        let writing = Writing { average: Some(average), ..Writing::default() };
        let Parts { parameters, .. } = &parts;
        export::merged(folder.path(), &model, parameters, &adapter.tuning, &adapter.learned, &writing)
            .unwrap();
        let average = Parameters::load(folder.path(), &parts.config.tensors, Device::Cpu).unwrap();
        let mut between = 0;
        for (name, tensor) in average.iter() {
            let (own, other) = (moved.named(name).unwrap(), parameters.named(name).unwrap());
            let wanted = own * (1.0 - share) + other * share;
            assert!(tensor.allclose(&wanted, 1e-6, 1e-7, false), "{name} at {share}");
            between += usize::from(!tensor.equal(own) && !tensor.equal(other));
        }
        assert_eq!(between > 10, share == 0.25, "{between} lie between at {share}");
    }
}

#[test]
fn a_merged_folder_is_the_adapted_model() {
    let parts = Parts::load(TINY);
    for tuning in [lora(&ALL_LAYERS), Tuning::Ia3, Tuning::Full, Tuning::Head, Tuning::Bias] {
        let adapter = made(tuning);
        let folder = tempfile::tempdir().unwrap();
        write_merged(folder.path(), &adapter).unwrap();
        let opened = load(folder.path().to_str().unwrap(), EngineChoice::Cloze);
        let wanted = logits(&adapted(&parts, &adapter, Form::Merged), 0);
        // The weights to the bit. The logits to rounding: matrix products add in another order where a file's
        // weights begin elsewhere in memory, on some processors.
        let merged = adapt(&adapter.tuning, &parts.config, &parts.parameters, &adapter.learned, Form::Merged)
            .parameters
            .unwrap();
        for (name, tensor) in
            Parameters::load(folder.path(), &parts.config.tensors, Device::Cpu).unwrap().iter()
        {
            assert!(tensor.equal(merged.named(name).unwrap()), "{name} with {}", adapter.tuning.name());
        }
        assert_close(&logits(&opened, 0), &wanted, LOGITS, adapter.tuning.name());
        assert_close(
            &wanted,
            &logits(&adapted(&parts, &adapter, Form::Beside), 0),
            LOGITS,
            adapter.tuning.name(),
        );
        for name in ["config.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
            assert_eq!(
                fs::read(folder.path().join(name)).unwrap(),
                fs::read(Path::new(TINY).join(name)).unwrap(),
                "{name}"
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "a file too many or too few");
        let (tensors, texts) = tensor_file::read(&folder.path().join("model.safetensors")).unwrap();
        assert_eq!(texts["format"], "pt");
        assert!(tensors.keys().map(String::as_str).eq(parts.parameters.iter().map(|(name, _)| name)));
        assert!(matches!(
            write_merged(folder.path(), &adapter).unwrap_err().kind(),
            Kind::File(FileError::FolderTaken { .. })
        ));
    }
}

#[test]
fn a_decoder_of_its_own_is_exported_where_the_model_has_one() {
    let base = tempfile::tempdir().unwrap();
    for file in ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
        fs::copy(Path::new(TINY).join(file), base.path().join(file)).unwrap();
    }
    let mut config = read_json(Path::new(TINY).join("config.json"));
    config["tie_word_embeddings"] = json!(false);
    fs::write(base.path().join("config.json"), config.to_string()).unwrap();
    let decoder = "cls.predictions.decoder.weight";
    let parameters =
        Parts::load(TINY).parameters.with([(decoder.to_owned(), waves("decoder", &[323, 32], 0.1))]);
    let tensors = parameters.iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
    tensor_file::write(&base.path().join("model.safetensors"), &tensors, [].into()).unwrap();
    let model = ModelFolder::open(base.path()).unwrap();
    let parameters = Parameters::load(base.path(), &model.config.tensors, Device::Cpu).unwrap();
    let adapter = made(lora(&["query"]));
    let folder = base.path().join("merged");
    export::merged(&folder, &model, &parameters, &adapter.tuning, &adapter.learned, &Writing::default())
        .unwrap();
    let merged = Parameters::load(&folder, &model.config.tensors, Device::Cpu).unwrap();
    assert!(merged.named(decoder).unwrap().equal(parameters.named(decoder).unwrap()));

    // A model that ties it is another kind.
    let average = Average::new(ModelFolder::open(Path::new(TINY)).unwrap(), 0.5).unwrap();
    let (folder, writing) =
        (base.path().join("average"), Writing { average: Some(average), ..Writing::default() });
    let refused = export::merged(&folder, &model, &parameters, &adapter.tuning, &adapter.learned, &writing);
    let refused = refused.unwrap_err();
    let Kind::Tuning(TuningError::AverageMisfit { tensors, .. }) = refused.kind() else { panic!() };
    assert_eq!(tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), [decoder]);
    assert!(!folder.exists());
}

#[test]
fn what_has_no_place_in_a_model_folder_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("merged");
    for (name, tuning) in Tuning::all().into_iter().filter(|(_, tuning)| !tuning.merges()) {
        let error =
            write_merged(&path, &PeftAdapter { tuning, learned: Learned::new(), front: 0 }).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Tuning(TuningError::NotMergeable { method }) if *method == name),
            "{name}"
        );
    }
    let mut adapter = made(lora(&["query"]));
    adapter.learned.insert(SOFT_TOKENS.to_owned(), waves("soft", &[2, 32], 1.0));
    assert!(matches!(
        write_merged(&path, &adapter).unwrap_err().kind(),
        Kind::Tuning(TuningError::MergedWithSoft)
    ));
    assert!(!path.exists());
}

/// The logits of the whole vocabulary for the short inputs, as check_export.py takes them.
fn rows(model: &PromptModel, front: usize) -> Value {
    let row = |(types, input): &(Vec<i64>, Features)| {
        let found = tch::no_grad(|| values(&model.vocabulary_logits(&[&with_front(input, front)])));
        let logits: serde_json::Map<String, Value> =
            found.iter().enumerate().map(|(id, logit)| (id.to_string(), json!(logit))).collect();
        json!({ "ids": input.ids, "token_types": types, "mask": input.mask, "logits": logits })
    };
    json!({ "rows": short_inputs().iter().map(row).collect::<Vec<_>>() })
}

/// A model gives the logits of such a file, at its inputs.
fn assert_rows(path: &Path, model: &PromptModel, front: usize) {
    let written = read_json(path);
    let written = written["rows"].as_array().unwrap();
    let inputs = short_inputs();
    assert_eq!(written.len(), inputs.len());
    for (row, (_, input)) in written.iter().zip(inputs) {
        assert_eq!(integers(&row["ids"]), input.ids, "{}", path.display());
        assert_eq!(row["ids"][input.mask], 8, "{}: tiny's [MASK]", path.display());
        let found = tch::no_grad(|| values(&model.vocabulary_logits(&[&with_front(&input, front)])));
        let logits = row["logits"].as_object().unwrap();
        let wanted: Vec<f64> = (0..found.len()).map(|id| logits[&id.to_string()].as_f64().unwrap()).collect();
        assert_close(&found, &wanted, LOGITS, &path.display().to_string());
    }
}

/// What is written for Python is read back here first: a folder of each kind, and beside it a file with the
/// logits that Python must find. `EXPORTS=FOLDER` keeps them, for tests/fixtures/training/check_export.py.
#[test]
fn exported_folders_give_the_logits_that_are_written_beside_them() {
    let parts = Parts::load(TINY);
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::var_os("EXPORTS").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let exported = |kind: &str, name: &str, adapter: &PeftAdapter| {
        let folder = root.join(kind).join(name);
        fs::create_dir_all(&folder).unwrap();
        let logits = root.join(kind).join(format!("{name}.json"));
        let model = adapted(&parts, adapter, Form::Merged);
        fs::write(&logits, rows(&model, adapter.front).to_string()).unwrap();
        (folder, logits)
    };
    for (name, tuning) in methods() {
        let adapter = made(tuning);
        let (folder, logits) = exported("peft", name, &adapter);
        write(&folder, &adapter).unwrap();
        let again = read(&folder).unwrap();
        assert_rows(&logits, &adapted(&parts, &again, Form::Beside), again.front);
    }
    for tuning in [lora(&ALL_LAYERS), Tuning::Ia3, Tuning::Full, Tuning::Head, Tuning::Bias] {
        let adapter = made(tuning);
        let (folder, logits) = exported("merged", adapter.tuning.name(), &adapter);
        write_merged(&folder, &adapter).unwrap();
        assert_rows(&logits, &load(folder.to_str().unwrap(), EngineChoice::Cloze), 0);
    }
}
