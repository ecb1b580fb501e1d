//! Numbers that other programs computed: `transformers` (tests/fixtures/tiny/make.py) and scikit-learn
//! (tests/fixtures/metrics/make.py).

use std::path::Path;

use cloze::model::batch::Batch;
use cloze::model::encoder::Mode;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::predict::label_words::LabelWords;
use cloze::predict::report::{Prediction, Tally};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::support::{
    DEFAULT, Parts, TINY, assert_close, golden, golden_features, integers, load, numbers, read_json, values,
    verbalizer,
};

/// transformers' own eager and fused attention differ by 8e-6.
const LOGITS: f64 = 1e-4;

fn assert_logits(folder: &str, engine: EngineChoice, golden: &Value, tolerance: f64) {
    let model = load(folder, engine);
    let probes = Tensor::from_slice(&integers(&golden["probe_ids"]));
    for (index, input) in golden["logits"].as_array().unwrap().iter().enumerate() {
        for (features, wanted) in golden_features(input).iter().zip(input["logits"].as_array().unwrap()) {
            let found = tch::no_grad(|| model.vocabulary_logits(&[features]).index_select(1, &probes));
            assert_close(&values(&found), &numbers(wanted), tolerance, &format!("{folder}, input {index}"));
        }
    }
}

#[test]
fn logits_equal_transformers() {
    assert_logits(TINY, EngineChoice::Cloze, &golden(TINY), LOGITS);
    assert_logits(TINY, EngineChoice::RustBert, &golden(TINY), LOGITS);
    for engine in [EngineChoice::Cloze, EngineChoice::RustBert] {
        assert_logits(DEFAULT, engine, &golden("tests/fixtures/default"), LOGITS);
    }
}

#[test]
fn every_layout_of_a_model_folder_gives_the_same_logits() {
    for folder in
        ["tests/fixtures/tiny-sharded", "tests/fixtures/tiny-bin", "tests/fixtures/tiny-tokenizer-json"]
    {
        assert_logits(folder, EngineChoice::Cloze, &golden(TINY), LOGITS);
    }
    let half = "tests/fixtures/tiny-fp16";
    assert_logits(half, EngineChoice::Cloze, &golden(half), LOGITS);
}

#[test]
fn half_precisions_are_widened() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(Path::new(TINY).join("config.json"), folder.path().join("config.json")).unwrap();
        let original = Parts::load(TINY);
        let narrow: Vec<(&str, Tensor)> =
            original.parameters.iter().map(|(name, tensor)| (name, tensor.to_kind(kind))).collect();
        Tensor::write_safetensors(&narrow, folder.path().join("model.safetensors")).unwrap();
        let wide = Parts::load(folder.path().to_str().unwrap());
        for (name, tensor) in &narrow {
            let found = wide.parameters.named(name).unwrap();
            assert_eq!(
                (found.kind(), found),
                (Kind::Float, &tensor.to_kind(Kind::Float)),
                "{name} from {kind:?}"
            );
        }
    }
}

#[test]
fn case_and_special_tokens_come_from_the_tokenizers_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("vocab.txt", "<pad>\n<unk>\n<s>\n</s>\n<mask>\nGood\ngood\n\u{e9}t\u{e9}\nete\n");
    let special = r#""pad_token": "<pad>", "unk_token": "<unk>", "cls_token": { "content": "<s>", "lstrip": false }, "sep_token": "</s>""#;
    put("tokenizer_config.json", &format!(r#"{{ "do_lower_case": false, {special} }}"#));
    put("special_tokens_map.json", r#"{ "mask_token": "<mask>" }"#);
    let tokenizer = cloze::model::tokenizer::Tokenizer::load(folder.path()).unwrap();
    let found = tokenizer.special();
    assert_eq!([found.pad, found.unk, found.cls, found.sep, found.mask], [0, 1, 2, 3, 4]);
    let ids = |text: &str| tokenizer.tokenize(text).iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(ids("Good good \u{e9}t\u{e9}"), [5, 6, 7]);
    put("tokenizer_config.json", &format!(r#"{{ "do_lower_case": true, {special} }}"#));
    let tokenizer = cloze::model::tokenizer::Tokenizer::load(folder.path()).unwrap();
    let ids = |text: &str| tokenizer.tokenize(text).iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(ids("Good good \u{e9}t\u{e9}"), [6, 6, 8]);
}

#[test]
fn a_vocabulary_in_tokenizer_json_tokenises_as_vocab_txt() {
    let lines = ModelFolder::open(Path::new(TINY)).unwrap().tokenizer;
    let json = ModelFolder::open(Path::new("tests/fixtures/tiny-tokenizer-json")).unwrap().tokenizer;
    for text in golden(TINY)["tokens"].as_array().unwrap() {
        let text = text["text"].as_str().unwrap();
        assert_eq!(lines.tokenize(text), json.tokenize(text), "{text:?}");
    }
}

#[test]
fn tokens_equal_transformers() {
    let golden = golden(TINY);
    let mut wrong = Vec::new();
    for (folder, key) in [(TINY, "tiny"), (DEFAULT, "default")] {
        let tokenizer = ModelFolder::open(Path::new(folder)).unwrap().tokenizer;
        for case in golden["tokens"].as_array().unwrap() {
            let found: Vec<i64> =
                tokenizer.tokenize(case["text"].as_str().unwrap()).iter().map(|token| token.id).collect();
            if found != integers(&case[key]) {
                wrong.push(format!(
                    "{key}, {}: {:?} gives {found:?}, not {}",
                    case["name"], case["text"], case[key]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn class_scores_equal_the_formulas() {
    let golden = golden(TINY);
    let model = load(TINY, EngineChoice::Cloze);
    for case in golden["scores"].as_array().unwrap() {
        let input = &golden["logits"][usize::try_from(case["input"].as_u64().unwrap()).unwrap()];
        for (weighted, key) in [(false, "unweighted"), (true, "weighted")] {
            for (name, wanted) in case[key].as_object().unwrap() {
                let aggregate = name.strip_suffix("_weights_as_log").unwrap_or(name);
                let verbalizer = verbalizer(&golden["verbalizer"], aggregate, weighted);
                let words = LabelWords::check(&verbalizer, model.tokenizer(), Device::Cpu).unwrap();
                let found =
                    tch::no_grad(|| model.class_scores(&[&golden_features(input)[0]], &words, Mode::Score));
                let what = format!("{key} {name}, input {}", case["input"]);
                assert_close(&values(&found), &numbers(&wanted["scores"]), LOGITS, &what);
                assert_close(
                    &values(&found.softmax(-1, Kind::Double)),
                    &numbers(&wanted["probabilities"]),
                    LOGITS,
                    &what,
                );
            }
        }
    }
}

/// The golden batch of two inputs, its label words and labels.
fn gradient_case(golden: &Value) -> (Batch, LabelWords, Tensor) {
    let case = &golden["gradients"];
    let tokenizer = ModelFolder::open(Path::new(TINY)).unwrap().tokenizer;
    let inputs: Vec<_> = integers(&case["inputs"])
        .iter()
        .map(|&index| golden_features(&golden["logits"][usize::try_from(index).unwrap()])[0].clone())
        .collect();
    let words =
        LabelWords::check(&verbalizer(&golden["verbalizer"], "mean_logit", true), &tokenizer, Device::Cpu)
            .unwrap();
    let batch = Batch::collate(&inputs.iter().collect::<Vec<_>>(), tokenizer.special().pad, Device::Cpu);
    (batch, words, Tensor::from_slice(&integers(&case["labels"])))
}

#[test]
fn loss_and_gradients_equal_pytorch() {
    let golden = golden(TINY);
    let (batch, words, labels) = gradient_case(&golden);
    let mut parts = Parts::load(TINY);
    parts.parameters.set_requires_grad(true);
    let loss = parts.class_scores(&batch, &words, Mode::Score).cross_entropy_for_logits(&labels);
    assert_close(&values(&loss), &[golden["gradients"]["loss"].as_f64().unwrap()], 1e-5, "loss");
    loss.backward();
    for (name, wanted) in golden["gradients"]["norms"].as_object().unwrap() {
        let wanted = wanted.as_f64().unwrap();
        let found = parts.parameters.named(name).unwrap().grad().norm().double_value(&[]);
        assert!(
            (found - wanted).abs() <= 1e-4 * wanted.max(0.01),
            "{name}: gradient norm {found}, wanted {wanted}"
        );
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let golden = golden(TINY);
    let (batch, words, labels) = gradient_case(&golden);
    let mut parts = Parts::load(TINY);
    parts.parameters.set_requires_grad(true);
    let loss =
        |parts: &Parts| parts.class_scores(&batch, &words, Mode::Score).cross_entropy_for_logits(&labels);
    loss(&parts).backward();
    // One weight of each kind of tensor; a step large enough for fp32 and a difference taken from both sides.
    let names: Vec<String> = parts.parameters.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let gradient = parts.parameters.named(&name).unwrap().grad().flatten(0, -1);
        let steepest = gradient.abs().argmax(0, false);
        let wanted = gradient.double_value(&[steepest.int64_value(&[])]);
        let shifted = |step: f64| {
            tch::no_grad(|| {
                let mut weight =
                    parts.parameters.named(&name).unwrap().flatten(0, -1).get(steepest.int64_value(&[]));
                let _ = weight.g_add_scalar_(step);
                let found = loss(&parts).double_value(&[]);
                let _ = weight.g_sub_scalar_(step);
                found
            })
        };
        let step = 1e-2;
        let found = (shifted(step) - shifted(-step)) / (2.0 * step);
        assert!(
            (found - wanted).abs() <= 0.02 * wanted.abs() + 2e-4,
            "{name}: difference quotient {found}, gradient {wanted}"
        );
    }
}

#[test]
fn metrics_equal_scikit_learn() {
    let golden = read_json("tests/fixtures/metrics/golden.json");
    let labels: Vec<String> =
        golden["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect();
    let rows = golden["rows"].as_array().unwrap();
    let class_of = |label: &Value| labels.iter().position(|known| known == label).unwrap();
    let tally = |picked: &mut dyn Iterator<Item = &Value>| {
        let mut tally = Tally::new(labels.iter().cloned());
        for row in picked {
            let prediction = Prediction { probabilities: numbers(&row["probabilities"]) };
            assert_eq!(prediction.class(), class_of(&row["predicted"]));
            tally.add(&prediction, Some(class_of(&row["true"])));
        }
        tally
    };
    let all = tally(&mut rows.iter());
    let found = all.evaluate().unwrap();
    let number = |key: &str| golden[key].as_f64().unwrap();
    assert_close(
        &[found.accuracy, found.macro_f1],
        &[number("accuracy"), number("macro_f1_default")],
        1e-8,
        "accuracy and macro-F1",
    );
    assert_close(&[found.expected_calibration_error], &[number("ece_10_bins")], 1e-8, "calibration error");
    assert_eq!(serde_json::to_value(&found.confusion.counts).unwrap(), golden["confusion"]["counts"]);
    for (class, wanted) in found.classes.iter().zip(golden["per_class"].as_array().unwrap()) {
        let wanted_numbers = ["precision", "recall", "f1"].map(|key| wanted[key].as_f64().unwrap());
        assert_close(&[class.precision, class.recall, class.f1], &wanted_numbers, 1e-8, &class.label);
        assert_eq!(class.support, wanted["support"].as_u64().unwrap());
    }
    let majority = all.majority().unwrap();
    assert_eq!((majority.label.as_str(), majority.accuracy), ("world", 0.4));

    // A class that is neither true nor predicted in any row takes no part in macro-F1.
    let part = &golden["without_sci_tech"];
    let picked = integers(&part["rows"]);
    let found =
        tally(&mut picked.iter().map(|row| &rows[usize::try_from(row - 1).unwrap()])).evaluate().unwrap();
    assert_close(
        &[found.macro_f1],
        &[part["macro_f1_default"].as_f64().unwrap()],
        1e-8,
        "macro-F1 of a part",
    );
}
