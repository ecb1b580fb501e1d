//! Families other than BERT, on tiny random models: numbers that `transformers` computed
//! (tests/fixtures/families/make.py), and everything else that a family must do.
//!
//! Their ids are those of the tiny BERT's vocabulary, whose tokenizer stands beside each here, whatever the
//! family's own is.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cloze::model::arch::Config;
use cloze::model::batch::{Batch, sample_inputs};
use cloze::model::dtype::Dtype;
use cloze::model::encoder::{Additions, Encoder, Mode};
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::head::MlmHead;
use cloze::model::masked_lm::{MaskedLm, Options};
use cloze::model::parameters::Parameters;
use cloze::model::tensor_file;
use cloze::model::tensor_map::Module;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::classifier::VerbalizedLm;
use cloze::predict::prompt_model::PromptModel;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::export::{self, Writing};
use cloze::tune::{CLASS_VECTORS, Form, Learned, Lora, PROTOTYPES, Tuning, adapt, peft};
use rust_bert::bert::BertConfig;
use rust_bert::distilbert::{DistilBertConfig, DistilBertModelMaskedLM};
use rust_bert::roberta::RobertaForMaskedLM;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn};

use crate::arch::{Training, base, scores};
use crate::peft::with_front;
use crate::support::{
    Parts, TINY, assert_close, base_of, features, golden, golden_features, integers, lone_generator, numbers,
    read_json, values,
};

const FAMILIES: [&str; 9] = [
    "albert",
    "bert-relative-key",
    "bert-relative-key-query",
    "deberta-v2",
    "deberta-v3",
    "distilbert",
    "electra",
    "modernbert",
    "roberta",
];

/// Whether a method is refused for a family.
fn is_refused(family: &str, tuning: &Tuning) -> bool {
    let has_distances = family.starts_with("bert-relative") || family.starts_with("deberta");
    has_distances && matches!(tuning, Tuning::Prefix(_) | Tuning::PTuningV2(_))
}

fn fixture(family: &str) -> String {
    format!("tests/fixtures/families/{family}")
}

/// A family's folder with a tokenizer in it.
struct Model {
    folder: tempfile::TempDir,
}

impl Model {
    fn new(family: &str) -> Model {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(Path::new(&fixture(family)).join(name), folder.path().join(name)).unwrap();
        }
        for name in ["vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
            fs::copy(Path::new(TINY).join(name), folder.path().join(name)).unwrap();
        }
        Model { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> ModelFolder {
        open(self.path())
    }

    fn base(&self) -> VerbalizedLm {
        base(self.open(), EngineChoice::Cloze)
    }

    fn tensors(&self) -> Learned {
        tensor_file::read(&self.path().join("model.safetensors")).unwrap().0
    }

    fn write(&self, tensors: &Learned) {
        tensor_file::write(&self.path().join("model.safetensors"), tensors, HashMap::new()).unwrap();
    }

    fn change_config(&self, key: &str, value: Value) {
        let path = self.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(&path, config.to_string()).unwrap();
    }
}

fn open(folder: &Path) -> ModelFolder {
    ModelFolder::new(folder, Config::load(folder).unwrap(), Tokenizer::load(folder).unwrap()).unwrap()
}

fn prompt_model(folder: ModelFolder) -> PromptModel {
    tch::set_num_threads(1);
    PromptModel::load(folder, EngineChoice::Cloze, Device::Cpu).unwrap()
}

/// The golden inputs, each with its first mask alone.
fn inputs(golden: &Value) -> Vec<Features> {
    golden["inputs"].as_array().unwrap().iter().map(|input| golden_features(input)[0].clone()).collect()
}

fn batch(inputs: &[Features]) -> Batch {
    Batch::collate(&inputs.iter().collect::<Vec<_>>(), 0, Device::Cpu)
}

/// transformers' own eager and fused attention differ by as much.
fn near(wanted: f64) -> f64 {
    1e-5 * wanted.abs().max(1.0)
}

#[test]
fn logits_of_every_family_equal_transformers() {
    for family in FAMILIES {
        let golden = golden(&fixture(family));
        let model = prompt_model(Model::new(family).open());
        let probes = Tensor::from_slice(&integers(&golden["probe_ids"]));
        for (index, input) in golden["inputs"].as_array().unwrap().iter().enumerate() {
            for (features, wanted) in golden_features(input).iter().zip(input["logits"].as_array().unwrap()) {
                let found = tch::no_grad(|| model.vocabulary_logits(&[features]).index_select(1, &probes));
                for (found, wanted) in values(&found).iter().zip(numbers(wanted)) {
                    let what = format!("{family}, input {index}");
                    assert_close(&[*found], &[wanted], near(wanted), &what);
                }
            }
        }
    }
}

#[test]
fn loss_and_gradients_of_every_family_equal_transformers() {
    for family in FAMILIES {
        let golden = golden(&fixture(family));
        let mut parts = Parts::load(&fixture(family));
        parts.parameters.set_requires_grad(true);
        let labels = Tensor::from_slice(&integers(&golden["labels"]));
        let states = Encoder::new(&parts.config, &parts.parameters).states_at_masks(
            &batch(&inputs(&golden)),
            &Additions::default(),
            Mode::Score,
        );
        let head = MlmHead::new(&parts.config, &parts.parameters);
        let logits = head.logits(&states.squeeze_dim(1), None, Mode::Score);
        let loss = logits.cross_entropy_for_logits(&labels);
        let wanted = golden["loss"].as_f64().unwrap();
        assert_close(&values(&loss), &[wanted], near(wanted), family);
        loss.backward();
        let norms = golden["norms"].as_object().unwrap();
        assert_eq!(norms.len(), parts.parameters.iter().count(), "{family}: parameters");
        for (name, wanted) in norms {
            let wanted = wanted.as_f64().unwrap();
            let found = parts.parameters.named(name).unwrap().grad().norm().double_value(&[]);
            assert_close(&[found], &[wanted], near(wanted), &format!("{family}, {name}"));
        }
    }
}

#[test]
fn mask_rows_and_label_columns_of_every_family_equal_the_whole() {
    for family in FAMILIES {
        let parts = Parts::load(&fixture(family));
        let inputs = inputs(&golden(&fixture(family)));
        let encoder = Encoder::new(&parts.config, &parts.parameters);
        let head = MlmHead::new(&parts.config, &parts.parameters);
        let columns = Tensor::from_slice(&[77_i64, 9, 322]);
        tch::no_grad(|| {
            let batch = batch(&inputs);
            let rows = encoder.states_at_masks(&batch, &Additions::default(), Mode::Score);
            let all = encoder.forward(&batch, &Additions::default(), Mode::Score);
            assert_close(&values(&rows), &values(&batch.at_masks(&all)), 1e-5, family);
            let rows = rows.squeeze_dim(1);
            let some = head.logits_of(&rows, &columns, None, Mode::Score);
            let whole = head.logits(&rows, None, Mode::Score).index_select(1, &columns);
            assert_close(&values(&some), &values(&whole), 1e-5, family);
            for (index, input) in inputs.iter().enumerate() {
                let alone = encoder.states_at_masks(
                    &self::batch(std::slice::from_ref(input)),
                    &Additions::default(),
                    Mode::Score,
                );
                let found = values(&rows.get(index as i64));
                assert_close(&found, &values(&alone), 1e-5, &format!("{family}, row {index} in a batch"));
            }
        });
    }
}

#[test]
fn every_family_goes_to_narrow_types() {
    for family in FAMILIES {
        let inputs = inputs(&golden(&fixture(family)));
        let model = Model::new(family);
        let logits = |dtype| {
            let mut model = prompt_model(model.open());
            model.prepare(dtype).unwrap();
            tch::no_grad(|| model.vocabulary_logits(&inputs.iter().collect::<Vec<_>>()))
        };
        let wide = prompt_model(model.open());
        let wanted = tch::no_grad(|| wide.vocabulary_logits(&inputs.iter().collect::<Vec<_>>()));
        let spread = wanted.std(false).double_value(&[]);
        for (dtype, share) in [(Dtype::F32, 1e-5), (Dtype::Bf16, 0.05), (Dtype::Int8, 0.1)] {
            let far = (logits(dtype) - &wanted).square().mean(Kind::Float).sqrt().double_value(&[]) / spread;
            assert!(far <= share, "{family} in {}: {far} of the spread", dtype.name());
        }
    }
}

#[test]
fn every_family_trains_in_every_way() {
    for family in FAMILIES {
        let model = Model::new(family).base();
        for (name, tuning) in Tuning::all() {
            let checked = tuning.check(model.model.config());
            assert_eq!(checked.is_err(), is_refused(family, &tuning), "{family}, {name}");
            let Ok(warnings) = checked else { continue };
            if tuning == Tuning::Bias {
                let warned = family == "modernbert" || family.starts_with("deberta");
                assert_eq!(warnings.len(), usize::from(warned), "{family}: {warnings:?}");
            }
            let training = Training::new(tuning);
            let (_, state, losses) = training.run(&model, None);
            assert!(losses.iter().all(|loss| loss.is_finite()), "{family}, {name}: {losses:?}");
            let learned = state.trainable.finished();
            let map = model.model.parameters.map();
            assert!(
                learned.iter().all(|(name, tensor)| map
                    .shapes()
                    .get(name.as_str())
                    .is_none_or(|shape| tensor.size() == *shape)),
                "{family}, {name}"
            );
            let before = scores(&model, &model.zero_shot(None).unwrap());
            if !matches!(training.tuning, Tuning::Cls(_)) && !learned.contains_key("soft_tokens") {
                let after = model.learned(&training.tuning, &learned).unwrap();
                let inputs = sample_inputs(model.tokenizer(), 20);
                let after = tch::no_grad(|| {
                    values(&after.class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Score))
                });
                assert_ne!(after, before, "{family}, {name} moves nothing");
            }
        }
    }
}

/// What stands for classes is as large as what the head makes of a state: as the embeddings.
#[test]
fn verbalizers_with_vectors_train_on_every_family() {
    for family in FAMILIES {
        for (kind, names) in [("soft", CLASS_VECTORS), ("prototype", PROTOTYPES)] {
            let text = json!({ "version": 1, "kind": kind, "classes": [
                { "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["great"] } ] });
            let verbalizer = Verbalizer::parse("mood", "mood.json", &text.to_string()).unwrap();
            let base = base_of(Model::new(family).open(), EngineChoice::Cloze, &verbalizer);
            let tuning = Tuning::Lora(Lora::default());
            let learned = Training::new(tuning.clone()).run(&base, None).1.trainable.finished();
            assert_eq!(learned[names[0]].size()[1], base.model.config().embedding_size, "{family}, {kind}");
            let found = scores(&base, &base.learned(&tuning, &learned).unwrap());
            assert!(found.iter().all(|score| score.is_finite()), "{family}, {kind}");
        }
    }
}

#[test]
fn what_every_family_learned_acts_alike_beside_weights_and_within() {
    for family in FAMILIES {
        let model = Model::new(family).base();
        let (config, base) = (model.model.config(), &model.model.parameters);
        let kinds = config.tensors.kinds_of(config.tensors.linear_layers());
        let all = json!({ "lora": { "rank": 3, "alpha": 9, "targets": kinds } }).to_string();
        let adapter = r#"{ "adapter": { "placement": "houlsby" } }"#;
        for text in [all.as_str(), adapter, r#"{ "p-tuning-v2": { "length": 5 } }"#, "\"ia3\""] {
            let tuning = Tuning::parse("t.json", text).unwrap();
            if is_refused(family, &tuning) {
                continue;
            }
            let learned = Training::new(tuning.clone()).run(&model, None).1.trainable.finished();
            // Far enough from where they began.
            let learned: Learned = learned
                .iter()
                .map(|(name, tensor)| (name.clone(), tensor + tensor.sin() * 0.3 + 0.05))
                .collect();
            let short: Vec<Features> = inputs(&golden(&fixture(family))).into_iter().take(4).collect();
            let states = |form| {
                let adapted = adapt(&tuning, config, base, &learned, form);
                let parameters = adapted.parameters.as_ref().unwrap_or(base);
                let encoder = Encoder::new(config, parameters);
                tch::no_grad(|| {
                    let batch = batch(&short);
                    let rows = encoder.states_at_masks(&batch, &adapted.additions, Mode::Score);
                    let all = encoder.forward(&batch, &adapted.additions, Mode::Score);
                    let alone =
                        encoder.states_at_masks(&self::batch(&short[..1]), &adapted.additions, Mode::Score);
                    let what = format!("{family}, {}", tuning.name());
                    assert_close(&values(&rows), &values(&batch.at_masks(&all)), 1e-5, &what);
                    assert_close(&values(&rows.get(0)), &values(&alone), 1e-5, &what);
                    values(&rows)
                })
            };
            let [beside, merged] = [Form::Beside, Form::Merged].map(states);
            assert_close(&beside, &merged, 2e-5, &format!("{family}, {}", tuning.name()));
            let plain = tch::no_grad(|| {
                Encoder::new(config, base).states_at_masks(&batch(&short), &Additions::default(), Mode::Score)
            });
            assert_ne!(values(&plain), merged, "{family}, {}", tuning.name());
        }
    }
}

/// Where a text is longer than a window and a block of rows, the blocks look one by one.
#[test]
fn long_rows_of_modernbert_equal_transformers() {
    let golden = fs::read_to_string("tests/fixtures/families/modernbert/long.json").unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let model = Model::new("modernbert");
    model.change_config("max_position_embeddings", json!(300));
    let model = prompt_model(model.open());
    let probes = Tensor::from_slice(&integers(&golden["probe_ids"]));
    let rows = golden["rows"].as_array().unwrap();
    let inputs: Vec<Features> = rows.iter().map(long_row_of).collect();
    let all: Vec<&Features> = inputs.iter().collect();
    let logits = |inputs: &[&Features]| {
        tch::no_grad(|| values(&model.vocabulary_logits(inputs).index_select(1, &probes)))
    };
    // Rows by themselves, and padded beside longer ones.
    let (alone, together) = (all.iter().flat_map(|input| logits(&[input])).collect::<Vec<_>>(), logits(&all));
    let wanted = rows.iter().flat_map(|row| numbers(&row["logits"]));
    for ((alone, together), wanted) in alone.iter().zip(&together).zip(wanted) {
        assert_close(&[*alone, *together], &[wanted, wanted], near(wanted), "long rows");
    }
}

fn long_row_of(row: &Value) -> Features {
    let number = |key: &str| row[key].as_i64().unwrap();
    long_row(number("length"), usize::try_from(number("mask")).unwrap())
}

/// A row of so many tokens, all of them alike each time.
fn long_row(length: i64, mask: usize) -> Features {
    let mut ids: Vec<i64> = (0..length).map(|at| 150 + at * 37 % 170).collect();
    ids[mask] = 8;
    features(&ids, ids.len(), mask)
}

/// From 128 rows on scoring takes libtorch's fused attention, and training does not.
#[test]
fn windows_are_the_same_in_both_kinds_of_attention() {
    let model = Model::new("modernbert");
    model.change_config("max_position_embeddings", json!(300));
    let config = Config::load(model.path()).unwrap();
    let parameters = Parameters::load(model.path(), &config.tensors, Device::Cpu).unwrap();
    let encoder = Encoder::new(&config, &parameters);
    let rows = [long_row(300, 5), long_row(200, 199), long_row(140, 70)];
    let states = |rows: &[Features], mode| {
        tch::no_grad(|| values(&encoder.forward(&batch(rows), &Additions::default(), mode)))
    };
    let at_masks = tch::no_grad(|| {
        let batch = batch(&rows);
        let all = encoder.forward(&batch, &Additions::default(), Mode::Score);
        let rows = encoder.states_at_masks(&batch, &Additions::default(), Mode::Score);
        assert_close(&values(&rows), &values(&batch.at_masks(&all)), 5e-5, "at masks");
        rows
    });
    for (index, row) in rows.iter().enumerate() {
        let alone = std::slice::from_ref(row);
        let (fused, plain) = (states(alone, Mode::Score), states(alone, Mode::Train));
        assert_close(&fused, &plain, 5e-5, "fused");
        let hidden = usize::try_from(config.hidden_size).unwrap();
        let at_mask = &plain[row.mask * hidden..(row.mask + 1) * hidden];
        assert_close(&values(&at_masks.get(index as i64)), at_mask, 5e-5, "in a batch");
    }
    // A token beyond what all windows reach is seen by the global layers alone, and by these it is.
    let mut other = rows[0].clone();
    other.ids[250] = 9;
    assert_ne!(states(&[other], Mode::Score)[..16], states(&rows[..1], Mode::Score)[..16]);
}

#[test]
fn modernberts_configuration_has_old_and_new_keys() {
    let new = Model::new("modernbert");
    let wanted = scores(&new.base(), &new.base().zero_shot(None).unwrap());
    let old = Model::new("modernbert");
    old.change_config("layer_types", Value::Null);
    old.change_config("rope_parameters", Value::Null);
    old.change_config("global_attn_every_n_layers", json!(2));
    old.change_config("local_rope_theta", json!(100.0));
    old.change_config("global_rope_theta", json!(160_000.0));
    assert_eq!(scores(&old.base(), &old.base().zero_shot(None).unwrap()), wanted);
    // A null is the global layers' base, and what is not there is 10,000.
    let positions = |theta: Option<f64>| {
        old.change_config("local_rope_theta", json!(theta));
        Config::load(old.path()).unwrap().positions
    };
    assert_eq!(positions(None), positions(Some(160_000.0)));
    for (key, value, said) in [
        ("local_attention", json!(0), "local_attention is 0, it must be at least 1"),
        ("layer_types", json!(["full_attention"]), "layer_types has 1 layers, num_hidden_layers is 4"),
        ("layer_types", json!(["linear_attention"]), "unknown variant `linear_attention`"),
        ("rope_scaling", json!({ "factor": 2.0 }), "rope_scaling is {\"factor\":2.0}"),
        (
            "rope_parameters",
            json!({ "full_attention": { "rope_type": "yarn" } }),
            "rope_type is \"yarn\", this version of cloze takes \"default\"",
        ),
        ("decoder_bias", json!(false), "decoder_bias is false"),
        ("num_attention_heads", json!(16), "rotary positions turn pairs"),
    ] {
        let wrong = Model::new("modernbert");
        wrong.change_config(key, value);
        let found = Config::load(wrong.path()).unwrap_err().to_string();
        assert!(found.contains(said), "{found}");
    }
}

fn without_dropout(config: &Config, parameters: &Parameters) -> Encoder {
    let mut config = config.clone();
    config.set_dropout(0.0);
    Encoder::new(&config, parameters)
}

/// An input and logits at its mask, as check_export.py takes them.
fn row_for_python(input: &Features, logits: &[f64]) -> Value {
    let types: Vec<i64> = (0..input.ids.len()).map(|at| i64::from(at >= input.second_segment)).collect();
    let some: serde_json::Map<String, Value> =
        [9, 77, 150, 322].iter().map(|id: &usize| (id.to_string(), json!(logits[*id]))).collect();
    json!({ "ids": input.ids, "token_types": types, "mask": input.mask, "logits": some })
}

fn rows_for_python(model: &PromptModel, inputs: &[Features]) -> Value {
    let logits = |input| values(&tch::no_grad(|| model.vocabulary_logits(&[input])));
    let rows: Vec<Value> = inputs.iter().map(|input| row_for_python(input, &logits(input))).collect();
    json!({ "rows": rows })
}

/// Soft tokens in front of inputs, as large as the family's embeddings; `EXPORTS=FOLDER` keeps them too.
#[test]
fn soft_tokens_of_every_family_are_exported() {
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::var_os("EXPORTS").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    for family in FAMILIES {
        let model = Model::new(family);
        let (base, tuning) = (model.base(), r#"{ "prompt-tuning": { "length": 4, "init": "label-words" } }"#);
        let tuning = Tuning::parse("t.json", tuning).unwrap();
        let (config, parameters) = (base.model.config(), &base.model.parameters);
        let learned = Training::new(tuning.clone()).run(&base, None).1.trainable.finished();
        assert_eq!(learned["soft_tokens"].size(), [4, config.embedding_size]);
        let adapter = root.join(format!("{family}-soft-peft"));
        peft::write(&adapter, &tuning, config, &learned, 4, family).unwrap();
        let read = peft::read(&adapter, config).unwrap();
        assert_eq!(read.front, 4);
        let mut adapted = prompt_model(model.open());
        adapted.adapt(parameters, adapt(&read.tuning, config, parameters, &read.learned, Form::Merged));
        let short: Vec<Features> = inputs(&golden(&fixture(family))).into_iter().take(4).collect();
        let rows: Vec<Value> = short
            .iter()
            .map(|input| {
                let found = values(&tch::no_grad(|| adapted.vocabulary_logits(&[&with_front(input, 4)])));
                row_for_python(input, &found)
            })
            .collect();
        fs::write(root.join(format!("{family}-soft.rows")), json!({ "rows": rows }).to_string()).unwrap();
    }
}

/// tests/fixtures/families/peft.py
#[test]
fn adapters_of_peft_give_the_logits_that_peft_found_in_every_family() {
    for family in ["albert", "deberta-v2", "deberta-v3", "distilbert", "electra", "modernbert", "roberta"] {
        let model = Model::new(family);
        let (base, golden_inputs) = (model.base(), golden(&fixture(family)));
        let (config, parameters) = (base.model.config(), &base.model.parameters);
        let probes = Tensor::from_slice(&integers(&golden_inputs["probe_ids"]));
        let inputs = inputs(&golden_inputs);
        let folder = format!("{}/peft", fixture(family));
        for record in golden(&folder)["adapters"].as_array().unwrap() {
            let name = record["name"].as_str().unwrap();
            let adapter = peft::read(&Path::new(&folder).join(name), config).unwrap();
            for form in [Form::Beside, Form::Merged] {
                let mut model = prompt_model(model.open());
                model.adapt(parameters, adapt(&adapter.tuning, config, parameters, &adapter.learned, form));
                for (row, (input, wanted)) in
                    inputs.iter().zip(record["logits"].as_array().unwrap()).enumerate()
                {
                    let found = tch::no_grad(|| model.vocabulary_logits(&[input]).index_select(1, &probes));
                    let what = format!("{family} {name} {form:?}, row {row}");
                    assert_close(&values(&found), &numbers(wanted), 3e-5, &what);
                }
            }
        }
    }
}

/// `EXPORTS=FOLDER` keeps the folders, for tests/fixtures/families/check_export.py.
#[test]
fn every_family_is_exported_under_its_own_names() {
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::var_os("EXPORTS").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    for family in FAMILIES {
        let model = Model::new(family);
        let base = model.base();
        for tuning in [
            Tuning::parse("t.json", r#"{ "lora": { "rank": 4 } }"#).unwrap(),
            Tuning::Ia3,
            Tuning::Full,
            Tuning::Bias,
        ] {
            let training = Training::new(tuning);
            let learned = training.run(&base, None).1.trainable.finished();
            let adapted = scores(&base, &base.learned(&training.tuning, &learned).unwrap());
            let name = format!("{family}-{}", training.tuning.name());
            let merged = root.join(&name);
            let parameters = &base.model.parameters;
            let folder = &base.model.folder;
            export::merged(&merged, folder, parameters, &training.tuning, &learned, &Writing::default())
                .unwrap();
            let opened = crate::arch::base(open(&merged), EngineChoice::Cloze);
            let names = |parameters: &Parameters| -> Vec<String> {
                parameters.iter().map(|(name, _)| name.to_owned()).collect()
            };
            assert_eq!(names(&opened.model.parameters), names(parameters));
            assert_close(&scores(&opened, &opened.zero_shot(None).unwrap()), &adapted, 1e-5, &name);
            let rows = rows_for_python(&prompt_model(open(&merged)), &inputs(&golden(&fixture(family))));
            fs::write(root.join(format!("{name}.json")), rows.to_string()).unwrap();

            if !matches!(training.tuning, Tuning::Lora(_) | Tuning::Ia3) {
                continue;
            }
            let adapter = root.join(format!("{name}-peft"));
            peft::write(&adapter, &training.tuning, base.model.config(), &learned, 0, family).unwrap();
            let read = peft::read(&adapter, base.model.config()).unwrap();
            let found = scores(&base, &base.learned(&read.tuning, &read.learned).unwrap());
            assert_close(&found, &adapted, 0.0, &format!("{name} from PEFT's files"));
        }
    }
}

#[test]
fn checkpoints_are_taken_as_wrappers_left_them() {
    for family in FAMILIES {
        let model = Model::new(family);
        let map = model.open().config.tensors;
        let tensors = model.tensors();
        let wanted = scores(&model.base(), &model.base().zero_shot(None).unwrap());
        let bare = |name: &str| map.bare(name).unwrap_or(name).to_owned();
        // One head has no weight of that name.
        let decoder = map.weight_name(Module::Decoder).unwrap_or("lm_predictions.lm_head.decoder.weight");
        let decoder = decoder.strip_suffix(".weight").unwrap();
        let renamings: [&dyn Fn(&str) -> String; 7] = [
            // The bias where the decoder's own stands.
            &|name| match map.bias_name(Module::Decoder) == Some(name) {
                true => format!("{decoder}.bias"),
                false => name.to_owned(),
            },
            &|name| format!("module.{name}"),
            &|name| format!("_orig_mod.module.{name}"),
            // As Lightning leaves it.
            &|name| format!("model.{name}"),
            &|name| format!("model._orig_mod.{name}"),
            &bare,
            &|name| format!("module._orig_mod.{}", bare(name)),
        ];
        for renamed in renamings {
            model.write(
                &tensors.iter().map(|(name, tensor)| (renamed(name), tensor.shallow_clone())).collect(),
            );
            let base = model.base();
            assert_eq!(scores(&base, &base.zero_shot(None).unwrap()), wanted, "{family}");
        }
    }
}

/// Whether `cloze check` and `cloze score` say a thing of a model.
fn assert_said(folder: &Path, wanted: &str) {
    let pattern = folder.join("t.json");
    let verbalizer = folder.join("v.json");
    fs::write(&pattern, r#"{ "version": 1, "pattern": "{text} it was {mask}." }"#).unwrap();
    fs::write(
        &verbalizer,
        r#"{ "version": 1, "classes": [ { "label": "a", "words": ["good"] }, { "label": "b", "words": ["bad"] } ] }"#,
    )
    .unwrap();
    let run = |command: &str, rest: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cloze"))
            .args([command, "-m"])
            .arg(folder)
            .arg("-t")
            .arg(&pattern)
            .arg("-v")
            .arg(&verbalizer)
            .args(rest)
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains(wanted), "{command}: {said}");
    };
    run("check", &[]);
    run("score", &["--text", "a film"]);
}

#[test]
fn a_head_that_has_no_decoder_in_transformers_has_none_here() {
    let model = Model::new("deberta-v3");
    let (map, mut tensors) = (model.open().config.tensors, model.tensors());
    let wanted = scores(&model.base(), &model.base().zero_shot(None).unwrap());
    let words = tensors[map.weight_name(Module::WordEmbeddings).unwrap()].flip([1]);
    let name = "lm_predictions.lm_head.decoder.weight";
    tensors.insert(name.to_owned(), words);
    model.write(&tensors);
    // DebertaV2LMPredictionHead of transformers multiplies with the word embeddings.
    assert_eq!(scores(&model.base(), &model.base().zero_shot(None).unwrap()), wanted);
    assert_eq!(model.open().check_weights().unwrap().left_over, [name]);
}

#[test]
fn a_decoder_of_its_own_is_used_whatever_the_configuration_says() {
    // This head has no decoder of its own, whatever the configuration says.
    for family in FAMILIES.into_iter().filter(|family| *family != "deberta-v3") {
        let model = Model::new(family);
        let map = model.open().config.tensors;
        let (mut tensors, tied) = (model.tensors(), model.base());
        let decoder = map.tied_decoder().unwrap().to_owned();
        let words = map.weight_name(Module::WordEmbeddings).unwrap();
        // The same numbers once more change nothing.
        tensors.insert(decoder.clone(), tensors[words].shallow_clone());
        model.write(&tensors);
        assert!(!model.open().check_weights().unwrap().own_decoder);
        assert!(model.base().model.parameters.named(&decoder).is_none());
        tensors.insert(decoder.clone(), tensors[words].flip([1]));
        model.write(&tensors);
        assert!(model.open().check_weights().unwrap().own_decoder);
        let own = model.base();
        let [before, after] = [&tied, &own].map(|base| scores(base, &base.zero_shot(None).unwrap()));
        assert_ne!(before, after, "{family}");
        if family == "distilbert" {
            assert_said(
                model.path(),
                "ties the decoder to the word embeddings, and the weights have another",
            );
        }
        // So is what is exported, and its configuration says it.
        let merged = model.path().join("merged");
        let training = Training::new(Tuning::Bias);
        let learned = training.run(&own, None).1.trainable.finished();
        export::merged(
            &merged,
            &own.model.folder,
            &own.model.parameters,
            &training.tuning,
            &learned,
            &Writing::default(),
        )
        .unwrap();
        let again = open(&merged);
        assert!(again.config.tensors.tied_decoder().is_none());
        assert!(!again.check_weights().unwrap().own_decoder);
        // A configuration that unties them needs one.
        model.change_config("tie_word_embeddings", json!(false));
        tensors.remove(&decoder);
        model.write(&tensors);
        let said = model.open().check_weights().unwrap_err();
        assert!(format!("{said:?}").contains(&decoder), "{said:?}");
    }
}

#[test]
fn configurations_that_fit_no_model_or_not_the_weights_are_refused() {
    for (family, key, value, said) in [
        ("distilbert", "n_heads", json!(3), "dim 16 is not a multiple of n_heads 3"),
        ("distilbert", "n_layers", json!(1), "n_layers is 1, the weights have 2 layers"),
        ("distilbert", "n_layers", json!(3), "distilbert.transformer.layer.2."),
        ("distilbert", "activation", json!("mish"), "unknown variant `mish`"),
        ("albert", "num_hidden_groups", json!(4), "num_hidden_groups is 4, it must be at most 3"),
        ("albert", "num_hidden_groups", json!(1), "num_hidden_groups is 1, the weights have 2 groups"),
        ("albert", "inner_group_num", json!(1), "such a model has no place for: albert.encoder"),
        ("albert", "inner_group_num", json!(400), "inner_group_num is 400, it must be at most 333"),
        (
            "deberta-v2",
            "conv_kernel_size",
            json!(3),
            "conv_kernel_size is 3: such a model computes something",
        ),
        ("deberta-v2", "relative_attention", json!(false), "relative_attention is false, in this family"),
        ("deberta-v2", "pos_att_type", json!("p2p|c2p"), "pos_att_type is \"p2p|c2p\", this version"),
        (
            "deberta-v2",
            "pos_att_type",
            json!("p2c"),
            "such a model has no place for: deberta.encoder.layer.0.attention.self.pos_key_proj",
        ),
        ("deberta-v2", "max_relative_positions", json!(13), "deberta.encoder.rel_embeddings.weight"),
        (
            "deberta-v2",
            "attention_head_size",
            json!(4),
            "attention_head_size is 4, this version of cloze takes 8",
        ),
        ("deberta-v2", "type_vocab_size", json!(-1), "type_vocab_size is -1, it must be at least 0"),
        (
            "deberta-v2",
            "legacy",
            json!(false),
            "embedding_size is 12: with legacy false it must be hidden_size, 16",
        ),
        (
            "deberta-v3",
            "tie_word_embeddings",
            json!(false),
            "tie_word_embeddings is false: with legacy false",
        ),
        ("deberta-v3", "position_buckets", json!(78), "position_buckets is 78, it must be from 2 to below"),
        ("deberta-v3", "norm_rel_ebd", json!("rms"), "norm_rel_ebd is \"rms\", this version of cloze takes"),
        ("deberta-v3", "share_att_key", json!(false), "deberta.encoder.layer.0.attention.self.pos_key_proj"),
        ("electra", "embedding_size", json!(16), "electra.embeddings.word_embeddings.weight"),
        ("electra", "position_embedding_type", json!("relative_key"), "in this family this version"),
        ("roberta", "pad_token_id", json!(41), "pad_token_id is 41, it must be from 0 to below"),
        ("roberta", "pad_token_id", json!(-1), "pad_token_id is -1, it must be from 0 to below"),
        ("roberta", "is_decoder", json!(true), "is_decoder is true: this is a causal model"),
        ("modernbert", "num_hidden_layers", json!(3), "layer_types has 4 layers, num_hidden_layers is 3"),
    ] {
        let model = Model::new(family);
        model.change_config(key, value);
        let error = Config::load(model.path())
            .and_then(|config| Parameters::check(model.path(), &config.tensors).map(drop))
            .unwrap_err();
        let found = format!("{error} {error:?}");
        assert!(found.contains(said), "{family}, {key}: {found}");
    }
}

#[test]
fn electras_discriminator_is_refused_as_what_it_is() {
    let model = Model::new("electra");
    let of_discriminator = |name: &String| {
        let name =
            name.replace("generator_predictions.LayerNorm", "discriminator_predictions.dense_prediction");
        name.replace("generator_predictions", "discriminator_predictions")
    };
    let tensors = model.tensors();
    let left = tensors.iter().filter(|(name, _)| !name.starts_with("generator_lm_head"));
    model.write(&left.map(|(name, tensor)| (of_discriminator(name), tensor.shallow_clone())).collect());
    let said = model.open().check_weights().unwrap_err().to_string();
    assert!(
        said.ends_with(
            "have no head that fills masks: they are of ELECTRA's discriminator, which tells replaced words from others"
        ),
        "{said}"
    );
}

#[test]
fn deberta_is_opened_only_where_that_is_forced() {
    let model = Model::new("deberta-v3");
    let said = "were not trained to fill masks";
    assert!(ModelFolder::open(model.path()).is_err_and(|error| error.to_string().ends_with(said)));
    assert!(ModelFolder::open_any_head(model.path()).is_ok());
    let load = |force_head| MaskedLm::load(model.path(), Options { force_head, ..Options::default() });
    assert!(load(false).is_err_and(|error| error.to_string().ends_with(said)));
    assert!(load(true).is_ok());
    assert!(ModelFolder::open(Model::new("roberta").path()).is_ok());
}

/// Microsoft's files have the one, their configurations say nothing, and transformers takes the other.
#[test]
fn debertas_head_has_two_names() {
    let model = Model::new("deberta-v3");
    let wanted = scores(&model.base(), &model.base().zero_shot(None).unwrap());
    let mut config = read_json(model.path().join("config.json"));
    config.as_object_mut().unwrap().remove("legacy");
    fs::write(model.path().join("config.json"), config.to_string()).unwrap();
    let base = model.base();
    assert_eq!(scores(&base, &base.zero_shot(None).unwrap()), wanted);
    assert!(base.model.parameters.named("cls.predictions.transform.dense.weight").is_some());
    assert_eq!(model.open().check_weights().unwrap().left_over, [""; 0]);
    // Where a file has both, that by the configuration's name is meant.
    let mut tensors = model.tensors();
    for (other, name) in [
        ("dense.weight", "transform.dense.weight"),
        ("dense.bias", "transform.dense.bias"),
        ("LayerNorm.weight", "transform.LayerNorm.weight"),
        ("LayerNorm.bias", "transform.LayerNorm.bias"),
        ("bias", "bias"),
    ] {
        let other = format!("lm_predictions.lm_head.{other}");
        tensors.insert(format!("cls.predictions.{name}"), tensors[&other].shallow_clone());
        tensors.insert(other.clone(), tensors[&other].zeros_like());
    }
    model.write(&tensors);
    assert_eq!(scores(&model.base(), &model.base().zero_shot(None).unwrap()), wanted);
}

/// From 128 rows on scoring takes libtorch's fused attention, and training does not; and buckets are as many, and
/// as far, as in what Microsoft published.
#[test]
fn distances_are_the_same_in_both_kinds_of_attention() {
    let model = Model::new("deberta-v3");
    model.change_config("max_position_embeddings", json!(512));
    model.change_config("position_buckets", json!(256));
    let mut tensors = model.tensors();
    let few = tensors["deberta.encoder.rel_embeddings.weight"].repeat([32, 1]);
    let steps = Tensor::arange(512, (Kind::Float, Device::Cpu)).unsqueeze(1) / 100.0;
    tensors.insert("deberta.encoder.rel_embeddings.weight".to_owned(), few + steps.sin());
    model.write(&tensors);
    let config = Config::load(model.path()).unwrap();
    let parameters = Parameters::load(model.path(), &config.tensors, Device::Cpu).unwrap();
    let encoder = Encoder::new(&config, &parameters);
    let row = |length: i64, mask: usize| {
        let mut ids: Vec<i64> = (0..length).map(|at| 150 + at * 37 % 170).collect();
        ids[mask] = 8;
        features(&ids, ids.len(), mask)
    };
    let rows = [row(512, 5), row(300, 299), row(140, 70)];
    tch::no_grad(|| {
        let batch = batch(&rows);
        let all = encoder.forward(&batch, &Additions::default(), Mode::Score);
        let at_masks = encoder.states_at_masks(&batch, &Additions::default(), Mode::Score);
        assert_close(&values(&at_masks), &values(&batch.at_masks(&all)), 5e-5, "at masks");
        for (index, row) in rows.iter().enumerate() {
            let alone = self::batch(std::slice::from_ref(row));
            let [fused, plain] = [Mode::Score, Mode::Train].map(|mode| {
                without_dropout(&config, &parameters).forward(&alone, &Additions::default(), mode)
            });
            assert_close(&values(&fused), &values(&plain), 5e-5, "fused");
            let found = values(&at_masks.get(index as i64));
            assert_close(&found, &values(&alone.at_masks(&plain)), 5e-5, "in a batch");
        }
    });
}

#[test]
fn targets_of_every_family_are_its_own_names_or_words_for_roles() {
    let kinds = |family: &str| {
        let config = Config::load(Path::new(&fixture(family))).unwrap();
        config.tensors.kinds_of(config.tensors.linear_layers()).join(" ")
    };
    let bert = "query key value attention.output.dense intermediate.dense output.dense cls.predictions.transform.dense";
    let wanted = [
        ("bert-relative-key", 2, bert),
        ("albert", 6, "query key value attention.dense ffn ffn_output predictions.dense"),
        (
            "deberta-v2",
            2,
            "query_proj key_proj value_proj attention.output.dense intermediate.dense output.dense pos_key_proj pos_query_proj cls.predictions.transform.dense",
        ),
        (
            "deberta-v3",
            2,
            "query_proj key_proj value_proj attention.output.dense intermediate.dense output.dense lm_predictions.lm_head.dense",
        ),
        ("distilbert", 2, "q_lin k_lin v_lin out_lin lin1 lin2 vocab_transform"),
        (
            "electra",
            2,
            "query key value attention.output.dense intermediate.dense output.dense generator_predictions.dense",
        ),
        ("modernbert", 4, "Wqkv attn.Wo Wi mlp.Wo head.dense"),
        (
            "roberta",
            2,
            "query key value attention.output.dense intermediate.dense output.dense lm_head.dense",
        ),
    ];
    for (family, layers, wanted) in wanted {
        assert_eq!(kinds(family), wanted);
        let config = Config::load(Path::new(&fixture(family))).unwrap();
        for word in ["query", "key", "value"] {
            assert_eq!(config.tensors.targeted(word).len(), layers, "{family}, {word}");
        }
    }
}

/// rust-bert has these two families right, but for the epsilon of layer norms, which stands in its code.
#[test]
fn logits_of_roberta_and_distilbert_equal_rust_berts() {
    let _alone = lone_generator();
    let number = |config: &Value, key: &str| config[key].as_i64().unwrap();
    for family in ["distilbert", "roberta"] {
        let model = Model::new(family);
        if family == "roberta" {
            model.change_config("layer_norm_eps", json!(1e-12));
        }
        let config = read_json(model.path().join("config.json"));
        let store = nn::VarStore::new(Device::Cpu);
        let logits: Box<dyn Fn(&Batch) -> Tensor> = if family == "roberta" {
            let theirs = RobertaForMaskedLM::new(
                store.root(),
                &BertConfig {
                    hidden_size: number(&config, "hidden_size"),
                    intermediate_size: number(&config, "intermediate_size"),
                    max_position_embeddings: number(&config, "max_position_embeddings"),
                    num_attention_heads: number(&config, "num_attention_heads"),
                    num_hidden_layers: number(&config, "num_hidden_layers"),
                    type_vocab_size: number(&config, "type_vocab_size"),
                    vocab_size: number(&config, "vocab_size"),
                    ..BertConfig::default()
                },
            );
            Box::new(move |batch| {
                let (ids, mask) = (Some(&batch.ids), Some(&batch.attention));
                theirs.forward_t(ids, mask, None, None, None, None, None, false).prediction_scores
            })
        } else {
            let theirs = DistilBertModelMaskedLM::new(
                store.root(),
                &DistilBertConfig {
                    dim: number(&config, "dim"),
                    hidden_dim: number(&config, "hidden_dim"),
                    max_position_embeddings: number(&config, "max_position_embeddings"),
                    n_heads: number(&config, "n_heads"),
                    n_layers: number(&config, "n_layers"),
                    vocab_size: number(&config, "vocab_size"),
                    ..DistilBertConfig::default()
                },
            );
            Box::new(move |batch| {
                let said = theirs.forward_t(Some(&batch.ids), Some(&batch.attention), None, false);
                said.unwrap().prediction_scores
            })
        };
        let ours = prompt_model(model.open());
        let parameters = Parameters::load(model.path(), &model.open().config.tensors, Device::Cpu).unwrap();
        tch::no_grad(|| {
            for (name, mut variable) in store.variables() {
                let is_decoder =
                    ["lm_head.decoder.weight", "vocab_projector.weight"].contains(&name.as_str());
                let own = if is_decoder { Some(parameters.decoder()) } else { parameters.named(&name) };
                variable.copy_(own.unwrap_or_else(|| panic!("{family} has no {name}")));
            }
            for (row, input) in inputs(&golden(&fixture(family))).iter().enumerate() {
                // Each by itself: padding's id is not the one by which rust-bert finds positions.
                let batch = batch(std::slice::from_ref(input));
                let wanted = logits(&batch).select(1, i64::try_from(input.mask).unwrap());
                let found = ours.vocabulary_logits(&[input]);
                assert_close(&values(&found), &values(&wanted), 2e-5, &format!("{family}, row {row}"));
            }
        });
    }
}

#[test]
fn rust_bert_refuses_other_families() {
    let _alone = lone_generator();
    for family in FAMILIES {
        let said = PromptModel::load(Model::new(family).open(), EngineChoice::RustBert, Device::Cpu);
        assert!(
            said.is_err_and(|error| error.to_string().starts_with("rust-bert's model cannot run")),
            "{family}"
        );
    }
}
