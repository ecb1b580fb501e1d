//! Numbers that PyTorch, transformers and PEFT computed: tests/fixtures/training/make.py.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cloze::learn::adamw::{AdamW, clip_gradients};
use cloze::learn::objective::{
    Chosen, Conditioned, Masked, Pair, class_log_probabilities, conditioned_losses, decoupled_losses,
    divergences, losses, pair_losses, token_losses,
};
use cloze::learn::schedule;
use cloze::learn::target::Target;
use cloze::model::encoder::Mode;
use cloze::model::features::{Features, SoftSlot};
use cloze::model::folder::EngineChoice;
use cloze::model::tensor_file;
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::tune::{Beginning, Form, Learned, PREFIX, SOFT_TOKENS, Trainable, Tuning, decays, peft};
use serde_json::Value;
use tch::Tensor;

use super::{largest, tiny, tuning};
use crate::support::{
    TINY, assert_close, features, golden, golden_features, integers, lone_generator, numbers, read_json,
    values, verbalizer,
};

const FOLDER: &str = "tests/fixtures/training";

/// The losses agree to this: PyTorch's own fp32 and fp64 differ by 4e-7.
const LOSS: f64 = 1e-5;
/// A gradient's entries, as a share of its largest; 5e-6 was found, and PyTorch's fp32 is as far from its
/// fp64.
const GRADIENT: f64 = 2e-5;
/// Parameters after an update: PyTorch's fp32 and fp64 stay within 3e-7, but for the few entries that `noisy`
/// counts.
const UPDATED: f64 = 1e-6;
/// Their gradients are below this, of the size of Adam's ε: there a step grows by up to η/ε = 1e5 times what
/// rounding adds.
const UNCLEAR: f64 = 1e-7;

fn expected() -> Value {
    read_json(PathBuf::from(FOLDER).join("golden.json"))
}

fn tensors(file: &str) -> BTreeMap<String, Tensor> {
    tensor_file::read(&PathBuf::from(FOLDER).join(file)).unwrap().0
}

/// The part of a file's tensors whose names begin so, without it.
fn part(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> BTreeMap<String, Tensor> {
    let named = |(name, tensor): (&String, &Tensor)| {
        Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()))
    };
    let part: BTreeMap<String, Tensor> = tensors.iter().filter_map(named).collect();
    assert!(!part.is_empty(), "nothing is named {prefix}…");
    part
}

fn base() -> VerbalizedLm {
    tiny(EngineChoice::Cloze, 0.0, &verbalizer(&golden(TINY)["verbalizer"], "mean_logit", true))
}

/// The inputs with `front` soft tokens before `[CLS]`, as PEFT puts them.
fn behind_soft_tokens(features: Features, front: usize) -> Features {
    let ids = [vec![features.ids[features.mask]; front], features.ids].concat();
    let soft = (0..front).map(|place| SoftSlot { at: place, vector: place }).collect();
    Features {
        ids,
        second_segment: features.second_segment + front,
        mask: features.mask + front,
        soft,
        ..features
    }
}

/// A batch of golden.json: inputs of the tiny model, each read at its first mask, and their classes.
fn batch(index: usize, front: usize) -> (Vec<Features>, Tensor) {
    let batch = &expected()["batches"][index];
    let rows = &golden(TINY)["logits"];
    let input = |index: &i64| golden_features(&rows[usize::try_from(*index).unwrap()]).swap_remove(0);
    let inputs =
        integers(&batch["inputs"]).iter().map(|index| behind_soft_tokens(input(index), front)).collect();
    (inputs, Tensor::from_slice(&integers(&batch["labels"])))
}

fn adapted(base: &VerbalizedLm, tuning: &Tuning, learned: &Learned, form: Form) -> Classifier {
    let mut classifier = base.zero_shot(None).unwrap();
    classifier.adapt(base, tuning, learned, form);
    classifier
}

/// The loss as the training loop has it; dropout has the probability 0.
fn loss(classifier: &Classifier, (inputs, labels): &(Vec<Features>, Tensor)) -> Tensor {
    classifier.class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Train).cross_entropy_for_logits(labels)
}

fn trainable(base: &VerbalizedLm, tuning: &Tuning, vectors: usize) -> Trainable {
    let tokens = vec![0; vectors];
    let (soft, prefix) =
        if matches!(tuning, Tuning::PTuningV2(_)) { (Vec::new(), tokens) } else { (tokens, Vec::new()) };
    Trainable::new(
        tuning,
        &Beginning {
            config: &base.model.folder.config,
            base: &base.model.parameters,
            soft,
            prefix,
            classes: 3,
            class_start: base.class_start(),
            own: &[],
            seed: 0,
        },
    )
}

/// Clips as golden.json says; gives the gradients' norm before.
fn clip(trainable: &Trainable, constants: &Value) -> f64 {
    clip_gradients(trainable.leaves(), constants["clip_norm"].as_f64().unwrap())
}

/// One update with golden.json's constants.
fn update(base: &VerbalizedLm, trainable: &mut Trainable, optimizer: &mut AdamW, constants: &Value) {
    let number = |key: &str| constants[key].as_f64().unwrap();
    optimizer.step(trainable.leaves(), |name| {
        (
            number("learning_rate"),
            if decays(base.model.parameters.map(), name) { number("weight_decay") } else { 0.0 },
        )
    });
    trainable.forget_gradients();
}

fn assert_gradients<'a>(
    leaves: impl IntoIterator<Item = (&'a str, Tensor)>,
    wanted: &BTreeMap<String, Tensor>,
    what: &str,
) {
    for (name, leaf) in leaves {
        let (found, wanted) = (leaf.grad(), &wanted[name]);
        let difference = largest(&(&found - wanted));
        assert!(
            difference <= GRADIENT * largest(wanted),
            "{what}, {name}: a gradient differs by {difference} of {}",
            largest(wanted)
        );
    }
}

fn assert_relative(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs(), "{what}: found {found}, wanted {wanted}");
}

/// In exact arithmetic it has no gradient, and Adam makes whole steps of its rounding.
fn is_noise(name: &str) -> bool {
    name.ends_with("attention.self.key.bias")
}

#[test]
fn two_steps_of_full_tuning_equal_pytorch() {
    let (expected, base) = (expected(), base());
    let mut trainable = trainable(&base, &Tuning::Full, 0);
    let mut optimizer = AdamW::new(trainable.leaves());
    // Each entry's smallest clipped gradient so far.
    let mut smallest = Learned::new();
    let gradients = tensors("full-gradients.safetensors");
    let parameters = tensors("full-parameters.safetensors");
    assert_eq!(trainable.leaves().keys().collect::<Vec<_>>(), gradients.keys().collect::<Vec<_>>());
    for (index, step) in expected["full_steps"].as_array().unwrap().iter().enumerate() {
        let loss = loss(&adapted(&base, &Tuning::Full, &trainable.learned(), Form::Beside), &batch(index, 0));
        assert_close(&values(&loss.detach()), &[step["loss"].as_f64().unwrap()], LOSS, "loss");
        loss.backward();
        let key = format!("step{}", index + 1);
        for row in expected["full_parameters"].as_array().unwrap() {
            let name = row["name"].as_str().unwrap();
            let norm = trainable.leaves()[name].grad().to_kind(tch::Kind::Double).norm().double_value(&[]);
            if is_noise(name) {
                assert!(norm < 1e-6, "{name}: {norm}");
            } else {
                assert_relative(
                    norm,
                    row[&key]["gradient_norm"].as_f64().unwrap(),
                    GRADIENT,
                    &format!("{key}, {name}: gradient's norm"),
                );
            }
        }
        if index == 0 {
            let known = trainable.leaves().iter().filter(|(name, _)| !is_noise(name));
            assert_gradients(
                known.map(|(name, leaf)| (name.as_str(), leaf.shallow_clone())),
                &gradients,
                "full",
            );
        }
        let norm = clip(&trainable, &expected["optimiser"]);
        for (name, leaf) in trainable.leaves() {
            let size = leaf.grad().abs();
            let known = smallest.remove(name).map_or_else(|| size.copy(), |known| known.minimum(&size));
            smallest.insert(name.clone(), known);
        }
        update(&base, &mut trainable, &mut optimizer, &expected["optimiser"]);
        assert_relative(norm, step["gradient_norm"].as_f64().unwrap(), 1e-5, "norm of all gradients");
        let wanted = part(&parameters, &format!("{key}/"));
        for row in expected["full_parameters"].as_array().unwrap() {
            let (name, noisy) = (row["name"].as_str().unwrap(), row[&key]["noisy"].as_i64().unwrap());
            if is_noise(name) {
                continue;
            }
            let change = (&trainable.leaves()[name] - base.model.parameters.named(name).unwrap())
                .to_kind(tch::Kind::Double)
                .norm()
                .double_value(&[]);
            assert_relative(
                change,
                row[&key]["change"].as_f64().unwrap(),
                1e-4,
                &format!("{key}, {name}: change"),
            );
            let Some(wanted) = wanted.get(name) else { continue };
            let differences = (&trainable.leaves()[name] - wanted).abs();
            let far = differences.gt(UPDATED);
            let count = far.sum(tch::Kind::Int64).int64_value(&[]);
            // As many as PyTorch has itself, where the processor rounds as the one that wrote the file;
            // elsewhere it is other entries.
            let most = noisy.max(i64::try_from(wanted.numel() / 50).unwrap());
            assert!(
                count <= most,
                "{key}, {name}: {count} entries differ, by up to {}",
                largest(&differences)
            );
            let clear = far.logical_and(&smallest[name].gt(UNCLEAR)).any().int64_value(&[]);
            assert_eq!(
                clear,
                0,
                "{key}, {name}: an entry with a clear gradient differs by up to {}",
                largest(&differences)
            );
        }
    }
}

/// An input of mlm.json.
fn masked(input: &Value) -> Masked {
    let chosen = input["chosen"].as_array().unwrap().iter().map(integers);
    let chosen = chosen.map(|pair| Chosen { at: usize::try_from(pair[0]).unwrap(), id: pair[1] }).collect();
    Masked { features: golden_features(input).swap_remove(0), chosen }
}

#[test]
fn a_step_with_language_modelling_equals_transformers() {
    let (expected, gradients) =
        (read_json(PathBuf::from(FOLDER).join("mlm.json")), tensors("mlm-gradients.safetensors"));
    let weight = expected["weight"].as_f64().unwrap();
    let inputs: Vec<Masked> = expected["unlabelled"].as_array().unwrap().iter().map(masked).collect();
    let _alone = lone_generator();
    for engine in [EngineChoice::Cloze, EngineChoice::RustBert] {
        let base = tiny(engine, 0.0, &verbalizer(&golden(TINY)["verbalizer"], "mean_logit", true));
        let trainable = trainable(&base, &Tuning::Full, 0);
        let classifier = adapted(&base, &Tuning::Full, &trainable.learned(), Form::Beside);
        let Classifier::Prompt(model, _) = &classifier else { unreachable!() };
        let (of_classes, losses) = (
            loss(&classifier, &batch(0, 0)),
            token_losses(model, &inputs.iter().collect::<Vec<_>>(), Mode::Train),
        );
        let of_language = losses.mean(tch::Kind::Float);
        for (found, key) in [(&of_classes, "loss"), (&of_language, "mlm_loss")] {
            assert_close(
                &values(&found.detach()),
                &[expected[key].as_f64().unwrap()],
                LOSS,
                &format!("{engine:?}, {key}"),
            );
        }
        (of_classes * (1.0 - weight) + of_language * weight).backward();
        let known = trainable.leaves().iter().filter(|(name, _)| !is_noise(name));
        assert_gradients(
            known.map(|(name, leaf)| (name.as_str(), leaf.shallow_clone())),
            &gradients,
            &format!("{engine:?}"),
        );
    }
}

#[test]
fn losses_of_soft_labels_equal_pytorch() {
    let rows = |value: &Value| value.as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
    for case in read_json(PathBuf::from(FOLDER).join("soft.json"))["cases"].as_array().unwrap() {
        let (scores, temperature) = (rows(&case["scores"]), case["temperature"].as_f64().unwrap());
        let shape = [i64::try_from(scores.len()).unwrap(), -1];
        let scores = Tensor::from_slice(&scores.concat())
            .view(shape)
            .to_kind(tch::Kind::Float)
            .set_requires_grad(true);
        let soft = |probabilities| Target::Soft { probabilities, temperature };
        let targets: Vec<Target> = rows(&case["probabilities"]).into_iter().map(soft).collect();
        let found = losses(&scores, &targets.iter().collect::<Vec<_>>());
        assert_close(
            &values(&found.detach()),
            &numbers(&case["losses"]),
            LOSS,
            &format!("T {temperature}: losses"),
        );
        found.mean(tch::Kind::Float).backward();
        let wanted = rows(&case["gradient_of_mean"]).concat();
        assert_close(&values(&scores.grad()), &wanted, 1e-6, &format!("T {temperature}: gradient"));
        // The first row is soft in form only.
        let class = losses(&scores.get(0).unsqueeze(0), &[&Target::Class(1)]);
        if temperature == 1.0 {
            assert_close(&values(&class.detach()), &numbers(&case["losses"])[..1], LOSS, "a class");
        }
    }
}

/// The record of an adapter folder and its tensors.
fn adapter(folder: &str) -> (Value, Learned) {
    let expected = expected();
    let record = expected["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|record| record["folder"] == folder)
        .unwrap()
        .clone();
    (record, tensors(&format!("peft/{folder}/adapter_model.safetensors")))
}

const LORAS: [(&str, &str); 3] = [
    ("lora", r#"{ "lora": { "rank": 4, "alpha": 8 } }"#),
    ("lora-rs", r#"{ "lora": { "rank": 4, "alpha": 8, "rank_stabilized": true } }"#),
    (
        "lora-all",
        r#"{ "lora": { "rank": 4, "alpha": 8,
        "targets": ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"] } }"#,
    ),
];

#[test]
fn a_step_of_lora_equals_peft() {
    let (expected, base, all) = (expected(), base(), tensors("adapters.safetensors"));
    for (folder, options) in LORAS {
        let (record, stored) = adapter(folder);
        let tuning = tuning(options);
        for form in [Form::Merged, Form::Beside] {
            let mut trainable = trainable(&base, &tuning, 0);
            assert_eq!(
                trainable.leaves().keys().collect::<Vec<_>>(),
                stored.keys().collect::<Vec<_>>(),
                "{folder}: where updates are"
            );
            trainable.restore(&stored);
            let loss = loss(&adapted(&base, &tuning, &trainable.learned(), form), &batch(0, 0));
            assert_close(&values(&loss.detach()), &[record["loss"].as_f64().unwrap()], LOSS, folder);
            loss.backward();
            let leaves = trainable.leaves().iter().map(|(name, leaf)| (name.as_str(), leaf.shallow_clone()));
            assert_gradients(
                leaves,
                &part(&all, &format!("{folder}/gradient/")),
                &format!("{folder}, {form:?}"),
            );
            let norm = clip(&trainable, &expected["optimiser"]);
            let mut optimizer = AdamW::new(trainable.leaves());
            update(&base, &mut trainable, &mut optimizer, &expected["optimiser"]);
            assert_relative(norm, record["gradient_norm"].as_f64().unwrap(), 1e-5, folder);
            for (name, wanted) in part(&all, &format!("{folder}/step1/")) {
                let difference = largest(&(&trainable.leaves()[&name] - wanted));
                assert!(difference <= UPDATED, "{folder}, {name}: differs by {difference} after the update");
            }
        }
    }
}

#[test]
fn gradients_of_ia3_equal_peft() {
    let (base, all) = (base(), tensors("adapters.safetensors"));
    let (record, mut stored) = adapter("ia3");
    // PEFT's "output.dense" is the end of the attention's output too; the paper's vectors, and so ours, are
    // the others.
    let ours = trainable(&base, &Tuning::Ia3, 0);
    let more = stored.keys().filter(|name| !ours.leaves().contains_key(*name));
    assert_eq!(more.filter(|name| name.ends_with("attention.output.dense.ia3_l")).count(), 2);
    assert!(ours.leaves().iter().all(|(name, leaf)| stored[name].size() == leaf.size()));
    assert_eq!(ours.leaves().len() + 2, stored.len());
    for leaf in stored.values_mut() {
        *leaf = leaf.set_requires_grad(true);
    }
    let loss = loss(&adapted(&base, &Tuning::Ia3, &stored, Form::Beside), &batch(0, 0));
    assert_close(&values(&loss.detach()), &[record["loss"].as_f64().unwrap()], LOSS, "ia3");
    loss.backward();
    let leaves = stored.iter().map(|(name, leaf)| (name.as_str(), leaf.shallow_clone()));
    assert_gradients(leaves, &part(&all, "ia3/gradient/"), "ia3");
}

/// Folder, method, the tensor's name here, and how many soft tokens stand in front.
const VECTORS: [(&str, &str, &str, usize); 3] = [
    ("prompt-tuning", r#"{ "prompt-tuning": { "length": 5 } }"#, SOFT_TOKENS, 5),
    ("p-tuning", r#"{ "p-tuning": { "length": 5, "encoder": "none" } }"#, SOFT_TOKENS, 5),
    ("prefix", r#"{ "p-tuning-v2": { "length": 5 } }"#, PREFIX, 0),
];

/// What PEFT keeps of soft tokens and prefixes under our name.
fn vectors(folder: &str, name: &str) -> (Value, Learned) {
    let (record, mut stored) = adapter(folder);
    assert_eq!(stored.len(), 1);
    (record, Learned::from([(name.to_owned(), stored.remove("prompt_embeddings").unwrap())]))
}

#[test]
fn gradients_of_soft_tokens_and_prefixes_equal_peft() {
    let (base, all) = (base(), tensors("adapters.safetensors"));
    for (folder, options, name, front) in VECTORS {
        let (record, stored) = vectors(folder, name);
        let tuning = tuning(options);
        let mut trainable = trainable(&base, &tuning, 5);
        assert_eq!(trainable.leaves().keys().collect::<Vec<_>>(), [name]);
        trainable.restore(&stored);
        let loss = loss(&adapted(&base, &tuning, &trainable.learned(), Form::Beside), &batch(0, front));
        assert_close(&values(&loss.detach()), &[record["loss"].as_f64().unwrap()], LOSS, folder);
        loss.backward();
        let wanted = BTreeMap::from([(
            name.to_owned(),
            all[&format!("{folder}/gradient/prompt_embeddings")].shallow_clone(),
        )]);
        assert_gradients([(name, trainable.leaves()[name].shallow_clone())], &wanted, folder);
        let norm = clip_gradients(trainable.leaves(), 1.0);
        assert_relative(norm, record["gradient_norm"].as_f64().unwrap(), 1e-5, folder);
    }
}

#[test]
fn logits_with_what_was_learned_equal_peft() {
    let (expected, base, rows) = (expected(), base(), golden(TINY));
    let probes = Tensor::from_slice(&integers(&expected["probe_ids"]));
    let weights = LORAS
        .into_iter()
        .chain([("ia3", "\"ia3\"")])
        .map(|(folder, options)| (folder, options, adapter(folder), 0));
    let soft = VECTORS
        .into_iter()
        .map(|(folder, options, name, front)| (folder, options, vectors(folder, name), front));
    for (folder, options, (record, learned), front) in weights.chain(soft) {
        for form in [Form::Merged, Form::Beside] {
            let Classifier::Prompt(model, _) = adapted(&base, &tuning(options), &learned, form) else {
                unreachable!()
            };
            for (index, logits) in
                integers(&record["inputs"]).iter().zip(record["logits"].as_array().unwrap())
            {
                let inputs = golden_features(&rows["logits"][usize::try_from(*index).unwrap()]);
                assert_eq!(inputs.len(), logits.as_array().unwrap().len());
                for (input, wanted) in inputs.into_iter().zip(logits.as_array().unwrap()) {
                    let input = behind_soft_tokens(input, front);
                    let found = tch::no_grad(|| model.vocabulary_logits(&[&input]).index_select(1, &probes));
                    // PEFT's own merged models differ by up to 9e-6.
                    assert_close(
                        &values(&found),
                        &numbers(wanted),
                        5e-5,
                        &format!("{folder}, {form:?}, input {index}"),
                    );
                }
            }
        }
    }
}

#[test]
fn learning_rates_equal_transformers() {
    let expected = expected();
    let schedules: Vec<&Value> = expected["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|schedule| schedule["after_warm_up"] == "linear")
        .collect();
    assert_eq!(schedules.len(), 3);
    for schedule in schedules {
        let whole = |key: &str| usize::try_from(schedule[key].as_u64().unwrap()).unwrap();
        let highest = schedule["learning_rate"].as_f64().unwrap();
        let rate = |step: usize| highest * schedule::linear(step, whole("warm_up"), whole("total"));
        let found: Vec<f64> = (0..=whole("total")).map(rate).collect();
        let wanted =
            [numbers(&schedule["rates"]), vec![schedule["after_the_last"].as_f64().unwrap()]].concat();
        // The file has twelve digits.
        assert_close(&found, &wanted, 1e-15, "rates");
    }
}

#[test]
fn logits_with_adapters_equal_adapterhubs() {
    let folder = "tests/fixtures/adapters";
    let (expected, base) = (golden(folder), base());
    for (name, options, called) in [
        ("pfeiffer", r#"{ "adapter": { "bottleneck": 8 } }"#, "adapter_behind_norm"),
        ("houlsby", r#"{ "adapter": { "bottleneck": 8, "placement": "houlsby" } }"#, "adapter"),
    ] {
        let own = |theirs: &str| {
            theirs
                .replace(&format!("adapters.{name}.adapter_down.0."), &format!("{called}.down."))
                .replace(&format!("adapters.{name}.adapter_up."), &format!("{called}.up."))
        };
        let stored = tensor_file::read(&PathBuf::from(folder).join(format!("{name}.safetensors"))).unwrap().0;
        let stored: Learned = stored.into_iter().map(|(theirs, tensor)| (own(&theirs), tensor)).collect();
        let tuning = tuning(options);
        let ours = trainable(&base, &tuning, 0);
        assert_eq!(
            ours.leaves().keys().collect::<Vec<_>>(),
            stored.keys().collect::<Vec<_>>(),
            "{name}: what learns"
        );
        let Classifier::Prompt(model, _) = adapted(&base, &tuning, &stored, Form::Beside) else {
            unreachable!()
        };
        for (row, wanted) in expected[name]["logits"].as_array().unwrap().iter().enumerate() {
            let ids = integers(&expected["ids"][row]);
            let mask = usize::try_from(integers(&expected["masks"])[row]).unwrap();
            let input = features(&ids, ids.len(), mask);
            let found = tch::no_grad(|| model.vocabulary_logits(&[&input]));
            assert_close(&values(&found), &numbers(wanted), 1e-5, &format!("{name}, row {row}"));
        }
    }
}

#[test]
fn adapters_of_the_first_version_stand_before_the_norm() {
    let first = tuning(r#"{ "adapter": { "bottleneck": 4, "placement": "pfeiffer" } }"#).of_first();
    let ours = trainable(&base(), &first, 0);
    let names: Vec<&String> = ours.leaves().keys().collect();
    assert_eq!(names.len(), 2 * 4);
    assert!(names.iter().all(|name| name.contains(".output.adapter.") && !name.contains("attention")));
    let houlsby = tuning(r#"{ "adapter": { "bottleneck": 4, "placement": "houlsby" } }"#);
    let ours = trainable(&base(), &houlsby.of_first(), 0);
    assert!(ours.leaves().keys().all(|name| name.contains(".adapter.")));
}

#[test]
fn r_drop_equals_its_authors() {
    let expected = read_json(PathBuf::from(FOLDER).join("r_drop.json"));
    let flat = |value: &Value| value.as_array().unwrap().iter().flat_map(numbers).collect::<Vec<f64>>();
    let scores = |name: &str| {
        Tensor::from_slice(&flat(&expected[name]))
            .view([4, 3])
            .to_kind(tch::Kind::Float)
            .set_requires_grad(true)
    };
    let (one, other) = (scores("one"), scores("other"));
    let targets: Vec<Target> = integers(&expected["truths"])
        .iter()
        .map(|truth| Target::Class(usize::try_from(*truth).unwrap()))
        .collect();
    let targets: Vec<&Target> = targets.iter().collect();
    let apart = divergences(&one, &other);
    assert_close(&values(&apart.detach()), &numbers(&expected["divergences"]), 1e-6, "divergences");
    let alpha = expected["alpha"].as_f64().unwrap();
    let loss =
        ((losses(&one, &targets) + losses(&other, &targets)) / 2.0 + apart * alpha).mean(tch::Kind::Float);
    assert_close(&values(&loss.detach()), &[expected["loss"].as_f64().unwrap()], 1e-6, "loss");
    loss.backward();
    for (scores, gradient) in [&one, &other].into_iter().zip(expected["gradients"].as_array().unwrap()) {
        assert_close(&values(&scores.grad()), &flat(gradient), 1e-6, "gradient");
    }
}

#[test]
fn dora_equals_peft() {
    let expected = read_json(PathBuf::from(FOLDER).join("dora.json"));
    let base = base();
    let config = &base.model.folder.config;
    let adapter = peft::read(&PathBuf::from(FOLDER).join("peft/dora"), config).unwrap();
    let ours = trainable(&base, &adapter.tuning, 0);
    assert_eq!(
        ours.leaves().keys().collect::<Vec<_>>(),
        adapter.learned.keys().collect::<Vec<_>>(),
        "what learns"
    );
    let ids = integers(&expected["ids"]);
    let input = features(&ids, ids.len(), usize::try_from(expected["mask"].as_i64().unwrap()).unwrap());
    for form in [Form::Beside, Form::Merged] {
        let leaf = |(name, tensor): (&String, &Tensor)| {
            (name.clone(), tensor.copy().detach().set_requires_grad(true))
        };
        let leaves: Learned = adapter.learned.iter().map(leaf).collect();
        let Classifier::Prompt(model, _) = adapted(&base, &adapter.tuning, &leaves, form) else {
            unreachable!()
        };
        let logits = model.vocabulary_logits(&[&input]);
        assert_close(&values(&logits.detach()), &numbers(&expected["logits"]), 2e-5, &format!("{form:?}"));
        logits.square().sum(tch::Kind::Float).backward();
        for (name, leaf) in &leaves {
            let wanted = numbers(&expected["gradients"][name.as_str()]);
            let largest = wanted.iter().fold(0.0_f64, |largest, one| largest.max(one.abs()));
            assert_close(&values(&leaf.grad()), &wanted, largest * 1e-4, name);
        }
    }
    // And back.
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written");
    peft::write(&written, &adapter.tuning, config, &adapter.learned, 0, TINY).unwrap();
    let again = peft::read(&written, config).unwrap();
    assert_eq!(again.tuning, adapter.tuning);
    assert!(again.learned.iter().all(|(name, tensor)| *tensor == adapter.learned[name]));
}

#[test]
fn dora_starts_as_the_base_model() {
    let base = base();
    let tuning = tuning(r#"{ "lora": { "rank": 2, "dora": true } }"#);
    let learned = trainable(&base, &tuning, 0).finished();
    let input = features(&[6, 20, 21, 8, 7], 5, 3);
    let logits = |learned: &Learned, tuning: &Tuning| {
        let Classifier::Prompt(model, _) = adapted(&base, tuning, learned, Form::Merged) else {
            unreachable!()
        };
        values(&tch::no_grad(|| model.vocabulary_logits(&[&input])))
    };
    assert_close(&logits(&learned, &tuning), &logits(&Learned::new(), &Tuning::Full), 1e-5, "logits");
}

#[test]
fn the_loss_of_pairs_is_sentence_transformers() {
    let expected = read_json(PathBuf::from(FOLDER).join("pairs.json"));
    let base = base();
    let input = |value: &Value| features(&integers(value), integers(value).len(), 0);
    let pair = |value: &Value| Pair {
        inputs: [input(&value[0]), input(&value[1])],
        alike: value[2].as_i64() == Some(1),
    };
    let pairs: Vec<Pair> = expected["pairs"].as_array().unwrap().iter().map(pair).collect();
    let ours = trainable(&base, &Tuning::Full, 0);
    let Classifier::Prompt(model, _) = adapted(&base, &Tuning::Full, &ours.learned(), Form::Beside) else {
        unreachable!()
    };
    let losses = pair_losses(&model, &pairs.iter().collect::<Vec<_>>(), Mode::Train);
    assert_close(&values(&losses.detach()), &numbers(&expected["losses"]), LOSS, "losses");
    losses.sum(tch::Kind::Float).backward();
    let norms = expected["gradient_norms"].as_object().unwrap();
    assert!(norms.len() > 20, "gradients of all of the encoder");
    for (name, norm) in norms {
        let found = values(&ours.leaves()[name.as_str()].grad().norm())[0];
        // A key's bias moves all of a row's scores alike: its gradient is rounding alone.
        assert_close(&[found], &[norm.as_f64().unwrap()], 2e-6, name);
    }
}

#[test]
fn adapet_equals_binary_cross_entropy() {
    let expected = read_json(PathBuf::from(FOLDER).join("adapet.json"));
    let base = base();
    let ours = trainable(&base, &Tuning::Full, 0);
    let Classifier::Prompt(model, words) = adapted(&base, &Tuning::Full, &ours.learned(), Form::Beside)
    else {
        unreachable!()
    };
    let place = |value: &Value| usize::try_from(value.as_i64().unwrap()).unwrap();
    let rows = expected["rows"].as_array().unwrap();
    let inputs: Vec<Features> = rows
        .iter()
        .map(|row| features(&integers(&row[0]), integers(&row[0]).len(), place(&row[1])))
        .collect();
    let targets: Vec<Target> = rows.iter().map(|row| Target::Class(place(&row[2]))).collect();
    let inputs: Vec<&Features> = inputs.iter().collect();
    let logits = model.logits_at_masks(&inputs, Mode::Train).squeeze_dim(1);
    let decoupled = decoupled_losses(
        &class_log_probabilities(&logits, &inputs, &words),
        &targets.iter().collect::<Vec<_>>(),
    );
    assert_close(&values(&decoupled.detach()), &numbers(&expected["decoupled"]), LOSS, "decoupled");
    let input = |row: &Value| Conditioned {
        masked: Masked {
            features: features(&integers(&row[0]), integers(&row[0]).len(), 0),
            chosen: row[1]
                .as_array()
                .unwrap()
                .iter()
                .map(|out| Chosen { at: place(&out[0]), id: out[1].as_i64().unwrap() })
                .collect(),
        },
        is_own: row[2].as_bool().unwrap(),
    };
    let inputs: Vec<Conditioned> =
        expected["conditioned_rows"].as_array().unwrap().iter().map(input).collect();
    let conditioned = conditioned_losses(&model, &inputs.iter().collect::<Vec<_>>(), Mode::Train);
    assert_close(&values(&conditioned.detach()), &numbers(&expected["conditioned"]), LOSS, "conditioned");
    (decoupled.sum(tch::Kind::Float) + conditioned.sum(tch::Kind::Float)).backward();
    for (name, norm) in expected["gradient_norms"].as_object().unwrap() {
        let (found, norm) = (values(&ours.leaves()[name.as_str()].grad().norm())[0], norm.as_f64().unwrap());
        assert_close(&[found], &[norm], 1e-5 * norm.max(1.0), name);
    }
}

#[test]
fn what_is_surely_said_does_not_end_a_training() {
    // Of a probability that rounds to 1 the other answer's loss would be infinite.
    let surely = Tensor::from_slice(&[0.0_f32, -200.0]).view([1, 2]).set_requires_grad(true);
    let losses = decoupled_losses(&surely, &[&Target::Class(1)]);
    losses.sum(tch::Kind::Float).backward();
    assert!(values(&losses.detach())[0].is_finite());
    assert!(values(&surely.grad()).iter().all(|gradient| gradient.is_finite()));
}
