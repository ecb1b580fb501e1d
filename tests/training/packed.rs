//! Language modelling on packed sequences: numbers that transformers computed
//! (tests/fixtures/pretrain/make.py), and what must always hold.

use std::collections::BTreeMap;
use std::path::Path;

use cloze::error::{Kind, Result, TrainingError};
use cloze::learn::objective::{
    Chosen, Masked, MaskedSequence, Masking, Step, add_gradients_of, loss_of, token_losses,
};
use cloze::learn::train::Plan;
use cloze::model::encoder::Mode;
use cloze::model::folder::EngineChoice;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::predict::prompt_model::PromptModel;
use cloze::tune::{Beginning, Form, Trainable, Tuning};
use serde_json::Value;
use tch::Tensor;

use super::{largest, moody, plan, tuning};
use crate::support::{TINY, assert_close, features, lone_generator, numbers, read_json, values};

/// In exact arithmetic it has no gradient.
fn is_noise(name: &str) -> bool {
    name.ends_with("attention.self.key.bias")
}

/// Everything that a step needs, without dropout.
struct Packed {
    base: VerbalizedLm,
    tuning: Tuning,
    plan: Plan,
    trainable: Trainable,
}

impl Packed {
    fn new(tuning: Tuning) -> Packed {
        let base = moody(EngineChoice::Cloze, 0.0);
        let trainable = Trainable::new(
            &tuning,
            &Beginning {
                config: &base.model.folder.config,
                base: &base.model.parameters,
                soft: Vec::new(),
                prefix: Vec::new(),
                classes: 0,
                class_start: None,
                own: &[],
                seed: 0,
            },
        );
        Packed { base, tuning, plan: plan(1e-3, 1, 1), trainable }
    }

    fn model(&self) -> PromptModel {
        match self.base.learned(&self.tuning, &self.trainable.learned()).unwrap() {
            Classifier::Prompt(model, _) => model,
            Classifier::Sequence(_) => unreachable!("a language model"),
        }
    }

    /// The mean loss of a step, and each leaf's gradient.
    fn step(&self, sequences: Vec<MaskedSequence>) -> Result<(Option<f64>, BTreeMap<String, Tensor>)> {
        let _alone = lone_generator();
        let mut classifier = self.base.zero_shot(None)?;
        let step = &mut Step {
            number: 6,
            turn: 0,
            seed: 0,
            task: None,
            base: &self.base,
            tuning: &self.tuning,
            plan: &self.plan,
            trainable: &self.trainable,
            classifier: &mut classifier,
        };
        let mean = add_gradients_of(step, sequences, 1.0)?;
        let leaves = self.trainable.leaves().iter();
        let gradients = leaves.map(|(name, leaf)| (name.clone(), leaf.grad().copy())).collect();
        for leaf in self.trainable.leaves().values() {
            if leaf.grad().defined() {
                let _ = leaf.grad().zero_();
            }
        }
        Ok((mean, gradients))
    }
}

/// Whether gradients are those wanted, to a share of each tensor's largest entry.
fn assert_gradients(
    found: &BTreeMap<String, Tensor>,
    wanted: &BTreeMap<String, Tensor>,
    share: f64,
    what: &str,
) {
    for (name, wanted) in wanted.iter().filter(|(name, _)| !is_noise(name)) {
        let difference = largest(&(&found[name] - wanted));
        assert!(
            difference <= share * largest(wanted),
            "{what}, {name}: differs by {difference} of {}",
            largest(wanted)
        );
    }
}

fn golden() -> Value {
    read_json("tests/fixtures/pretrain/golden.json")
}

fn golden_sequences() -> Vec<MaskedSequence> {
    let sequence = |row: &Value| MaskedSequence {
        ids: numbers(&row["ids"]).into_iter().map(|id| id as i64).collect(),
        chosen: row["chosen"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (usize::try_from(pair[0].as_u64().unwrap()).unwrap(), pair[1].as_i64().unwrap()))
            .collect(),
    };
    golden()["sequences"].as_array().unwrap().iter().map(sequence).collect()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(TINY)).unwrap()
}

/// Sequences of made-up ids with masks of a seed.
fn drawn(count: usize, length: usize, masking: &Masking) -> Vec<MaskedSequence> {
    let tokenizer = tokenizer();
    let special = tokenizer.special();
    let sequence = |number: usize| {
        let inner = (0..length - 2).map(|place| ((number * 31 + place * 7) % 300 + 10) as i64);
        let ids = std::iter::once(special.cls).chain(inner).chain([special.sep]).collect();
        MaskedSequence::new(ids, masking, &tokenizer, 0, &format!("{number}"))
    };
    (0..count).map(sequence).collect()
}

#[test]
fn a_step_equals_transformers() {
    let (packed, golden) = (Packed::new(Tuning::Full), golden());
    let wanted_loss = golden["loss"].as_f64().unwrap();
    // One of them has fewer masks than the others: what it is read at besides counts nothing.
    let (loss, gradients) = packed.step(golden_sequences()).unwrap();
    assert_close(&[loss.unwrap()], &[wanted_loss], 1e-5, "loss");
    let (sum, masks) = loss_of(&packed.model(), &golden_sequences(), 48);
    assert_eq!(masks, 14);
    assert_close(&[sum / 14.0], &[wanted_loss], 1e-5, "loss of looking");
    let wanted = golden["gradients"].as_object().unwrap();
    assert_eq!(wanted.keys().collect::<Vec<_>>(), gradients.keys().collect::<Vec<_>>());
    for (name, wanted) in wanted.iter().filter(|(name, _)| !is_noise(name)) {
        let (found, tolerance) = (&gradients[name], wanted["largest"].as_f64().unwrap() * 1e-5);
        assert_close(&[largest(found)], &[wanted["largest"].as_f64().unwrap()], tolerance, name);
        let norm = found.to_kind(tch::Kind::Double).norm().double_value(&[]);
        let wanted_norm = wanted["norm"].as_f64().unwrap();
        assert_close(&[norm], &[wanted_norm], wanted_norm * 1e-5, &format!("{name}: norm"));
        let found = values(found);
        for entry in wanted["entries"].as_array().unwrap() {
            let place = usize::try_from(entry[0].as_u64().unwrap()).unwrap();
            let wanted = entry[1].as_f64().unwrap();
            assert_close(&[found[place]], &[wanted], tolerance, &format!("{name} at {place}"));
        }
    }
}

#[test]
fn a_step_in_parts_and_chunks_equals_one_at_once() {
    // 960 masks: two chunks where all sequences are one part, none in the unchunked loss beside it.
    let sequences = || drawn(96, 64, &Masking::default());
    let mut packed = Packed::new(Tuning::Full);
    assert!(sequences().iter().all(|sequence| sequence.chosen.len() == 10));
    let (at_once, wanted) = packed.step(sequences()).unwrap();
    for batch_tokens in [1, 64 * 7, 64 * 52] {
        packed.plan.batch_tokens = batch_tokens;
        let (loss, gradients) = packed.step(sequences()).unwrap();
        assert_close(&[loss.unwrap()], &[at_once.unwrap()], 1e-5, "loss");
        assert_gradients(&gradients, &wanted, 1e-5, &format!("parts of {batch_tokens} tokens"));
    }
    let masked = |MaskedSequence { ids, chosen }: &MaskedSequence| Masked {
        features: features(ids, ids.len(), 0),
        chosen: chosen.iter().map(|&(at, id)| Chosen { at, id }).collect(),
    };
    let inputs: Vec<Masked> = sequences().iter().map(masked).collect();
    let mut classifier = packed.base.zero_shot(None).unwrap();
    classifier.adapt(&packed.base, &packed.tuning, &packed.trainable.learned(), Form::Beside);
    let Classifier::Prompt(model, _) = &classifier else { unreachable!() };
    let loss = token_losses(model, &inputs.iter().collect::<Vec<_>>(), Mode::Train).mean(tch::Kind::Float);
    assert_close(&values(&loss.detach()), &[at_once.unwrap()], 1e-5, "loss in one product");
    loss.backward();
    let leaves = packed.trainable.leaves().iter();
    let found = leaves.map(|(name, leaf)| (name.clone(), leaf.grad())).collect();
    assert_gradients(&found, &wanted, 1e-5, "one product");
}

#[test]
fn sequences_with_fewer_masks_or_none_weigh_as_their_masks() {
    let packed = Packed::new(Tuning::Full);
    let all = || {
        let mut sequences = drawn(4, 24, &Masking::default());
        sequences[1].chosen.truncate(1);
        sequences[2].chosen.clear();
        sequences
    };
    let (mean, gradients) = packed.step(all()).unwrap();
    let (mut sum, mut masks, mut summed) = (0.0, 0, BTreeMap::<String, Tensor>::new());
    for sequence in all() {
        let count = sequence.chosen.len();
        let Some((mean, gradients)) =
            packed.step(vec![sequence]).map(|(mean, found)| Some((mean?, found))).unwrap()
        else {
            assert_eq!(count, 0);
            continue;
        };
        sum += mean * count as f64;
        masks += count;
        for (name, gradient) in gradients {
            let weighted = gradient * count as f64;
            let sum = summed.remove(&name).map_or_else(|| weighted.copy(), |sum| sum + &weighted);
            summed.insert(name, sum);
        }
    }
    assert_eq!(masks, 4 + 1 + 4);
    assert_close(&[mean.unwrap()], &[sum / 9.0], 1e-5, "mean over the masks");
    let wanted = summed.into_iter().map(|(name, sum)| (name, sum / 9.0)).collect();
    assert_gradients(&gradients, &wanted, 1e-5, "gradients over the masks");
    let (sum_of_look, masks) = loss_of(&packed.model(), &all(), 48);
    assert_eq!(masks, 9);
    assert_close(&[sum_of_look], &[sum], 1e-4, "a look");
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_of_its_step() {
    let packed = Packed::new(Tuning::Head);
    let name = packed.trainable.leaves().keys().find(|name| name.ends_with("LayerNorm.bias")).unwrap();
    let mut broken = packed.trainable.leaves()[name].detach();
    let _ = tch::no_grad(|| broken.fill_(f64::NAN));
    let mut sequences = drawn(3, 24, &Masking::default());
    sequences[0].chosen.truncate(1);
    let error = packed.step(sequences).unwrap_err();
    assert!(matches!(error.kind(), Kind::Training(TrainingError::LmLossNotFinite { step: 7 })), "{error}");
}

#[test]
fn a_step_in_bfloat16_is_close() {
    for options in [r#""full""#, r#"{ "lora": { "rank": 4 } }"#] {
        let mut packed = Packed::new(tuning(options));
        let sequences = || drawn(8, 48, &Masking::default());
        let (wide_loss, wide) = packed.step(sequences()).unwrap();
        packed.plan.bf16 = true;
        let (loss, narrow) = packed.step(sequences()).unwrap();
        let (loss, wide_loss) = (loss.unwrap(), wide_loss.unwrap());
        // It is another computation, and three digits are left.
        assert!(loss != wide_loss && (loss / wide_loss - 1.0).abs() < 2e-3, "{loss} {wide_loss}");
        for (name, wide) in wide.iter().filter(|(name, wide)| !is_noise(name) && largest(wide) > 0.0) {
            let away = (&narrow[name] - wide).norm().double_value(&[]) / wide.norm().double_value(&[]);
            // Processors round differently on the way: .05 with AVX-512 alone.
            assert!(away < 0.08, "{options}, {name}: {away} away");
        }
    }
}
