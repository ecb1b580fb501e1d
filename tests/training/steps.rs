//! The training loop: its steps, rates, batches, and where it must stop.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cloze::error::{Kind, Place, TrainingError};
use cloze::learn::adamw::{AdamW, clip_gradients};
use cloze::learn::train::Event;
use cloze::model::dtype::Dtype;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::EngineChoice;
use cloze::model::tensor_map::Module;
use cloze::predict::encode::encode;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Form, Learned, PREFIX, SOFT_TOKENS, Tuning, decays};
use tch::Tensor;

use super::{
    METHODS, PATTERN, SOFT_PATTERN, Setting, largest, learned, made_up, moody, tiny, tuning, with_soft,
};
use crate::support::{Parts, TINY, assert_close, lone_generator, values};

/// The gradients of a training's first step, clipped: the first moments are a tenth of them.
pub(super) fn first_gradients(setting: &mut Setting) -> Learned {
    setting.plan.steps = 1;
    let (state, _) = setting.train();
    state.optimizer.moments.into_iter().map(|(name, [first, _])| (name, first * 10.0)).collect()
}

/// As shares of the largest number of all, so that tensors without a gradient of their own have one to
/// compare with.
fn assert_same_gradients(found: &Learned, wanted: &Learned, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
    let scale = wanted.values().map(largest).fold(0.0, f64::max);
    let difference = found.iter().map(|(name, found)| largest(&(found - &wanted[name]))).fold(0.0, f64::max);
    // Sums of fp32 numbers in another order.
    assert!(scale > 0.0 && difference <= 1e-5 * scale, "{what}: gradients differ by {difference} of {scale}");
}

#[test]
fn micro_batches_equal_one_batch() {
    for options in METHODS {
        let at_once = |batch_tokens, batch_size, accumulation| {
            let mut setting = with_soft(options);
            setting.plan.clip_norm = 1e9;
            (setting.plan.batch_tokens, setting.plan.batch_size, setting.plan.accumulation) =
                (batch_tokens, batch_size, accumulation);
            first_gradients(&mut setting)
        };
        let whole = at_once(100_000, 8, 1);
        assert_same_gradients(&at_once(1, 8, 1), &whole, &format!("{options}, row by row"));
        assert_same_gradients(&at_once(30, 8, 1), &whole, &format!("{options}, in parts"));
        assert_same_gradients(&at_once(100_000, 2, 4), &whole, &format!("{options}, accumulated"));
    }
}

#[test]
fn a_step_of_the_loop_is_the_step_that_was_compared_with_pytorch() {
    let mut setting = Setting::new(Tuning::Full, &[PATTERN]);
    let trainable = setting.trainer().begin().unwrap().trainable;
    let mut classifier = setting.base.zero_shot(None).unwrap();
    classifier.adapt(&setting.base, &setting.tuning, &trainable.learned(), Form::Beside);
    let task = &setting.patterns.tasks[0];
    let inputs: Vec<Features> = setting
        .examples
        .iter()
        .map(|example| encode(&task.wrap(example), setting.base.tokenizer(), 64).unwrap())
        .collect();
    let labels =
        Tensor::from_slice(&setting.targets.iter().map(|target| target.class() as i64).collect::<Vec<_>>());
    let loss = classifier
        .class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Train)
        .cross_entropy_for_logits(&labels);
    loss.backward();
    let norm = clip_gradients(trainable.leaves(), 0.5);
    assert!(norm > 0.5);
    let gradients: Learned =
        trainable.leaves().iter().map(|(name, leaf)| (name.clone(), leaf.grad().copy())).collect();
    let mut optimizer = AdamW::new(trainable.leaves());
    let map = setting.base.model.parameters.map();
    optimizer.step(trainable.leaves(), |name| (1e-3, if decays(map, name) { 0.02 } else { 0.0 }));

    (setting.plan.clip_norm, setting.plan.learning_rate, setting.plan.weight_decay) = (0.5, 1e-3, 0.02);
    assert_same_gradients(&first_gradients(&mut setting), &gradients, "full");
    let (state, losses) = setting.train();
    assert_close(&losses, &values(&loss.detach()), 1e-6, "loss");
    for (name, leaf) in trainable.leaves() {
        // Adam makes whole steps of any gradient: where it is rounding, so is the step.
        let clear = gradients[name].abs().gt(1e-5);
        let difference = largest(&((&state.trainable.leaves()[name] - leaf) * clear));
        assert!(difference <= 1e-6, "{name} differs by {difference}");
    }
}

#[test]
fn bf16_goes_the_way_of_single_precision() {
    for options in METHODS {
        let mut setting = with_soft(options);
        setting.plan.steps = 12;
        let (_, wide) = setting.train();
        setting.plan.bf16 = true;
        let (state, narrow) = setting.train();
        let is_wide = Dtype::Bf16.on(tch::Device::Cpu) == Dtype::F32;
        assert_eq!(wide == narrow, is_wide, "{options} was trained in another type than is computed in here");
        // Eight bits of a number are kept: a loss of 1 is off by thousandths, and a step's direction hardly.
        assert_close(&narrow, &wide, 0.02, options);
        assert!(
            state.trainable.finished().values().all(|tensor| tensor.kind() == tch::Kind::Float),
            "{options}"
        );
    }
}

#[test]
fn the_rate_goes_up_and_then_down_and_soft_tokens_have_their_own() {
    let mut setting = Setting::new(tuning(r#"{ "lora": { "rank": 4 } }"#), &[SOFT_PATTERN]);
    (setting.plan.steps, setting.plan.warm_up) = (8, 0.25);
    (setting.plan.learning_rate, setting.plan.soft_learning_rate) = (1e-3, 0.1);
    let _alone = lone_generator();
    let trainer = setting.trainer();
    let mut state = trainer.begin().unwrap();
    let mut before: Learned = state.trainable.finished();
    let mut rates = Vec::new();
    trainer
        .train(&mut state, &mut setting.mixture().unwrap(), None, &mut |event, state| {
            let Event::Step { learning_rate, .. } = event else { panic!("an evaluation on no rows") };
            rates.push(*learning_rate);
            let after = state.trainable.finished();
            let moved = |name: &str| largest(&(&after[name] - &before[name]));
            let a = before.keys().find(|name| name.ends_with("lora_B.weight")).unwrap();
            match rates.len() {
                1 => assert!(moved(a) == 0.0 && moved(SOFT_TOKENS) == 0.0),
                // Adam's second moment knows two gradients by now, and no step is longer than √2 times the
                // rate.
                2 => {
                    assert!((0.4e-3..0.8e-3).contains(&moved(a)), "{}", moved(a));
                    assert!((0.04..0.08).contains(&moved(SOFT_TOKENS)), "{}", moved(SOFT_TOKENS));
                }
                _ => {}
            }
            before = after;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_close(
        &rates,
        &[0.0, 5e-4, 1e-3, 5.0 / 6e3, 4.0 / 6e3, 3.0 / 6e3, 2.0 / 6e3, 1.0 / 6e3],
        1e-12,
        "rates",
    );
}

#[test]
fn only_weights_decay() {
    let map = Parts::load(TINY).config.tensors;
    for name in [
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.transform.dense.weight",
        "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight",
        "bert.encoder.layer.1.output.adapter.down.weight",
        "prompt_encoder.first.weight",
        "prompt_encoder.lstm.weight_ih_l0_reverse",
        "classifier.weight",
    ] {
        assert!(decays(&map, name), "{name}");
    }
    for name in [
        "bert.encoder.layer.0.output.dense.bias",
        "bert.embeddings.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.bias",
        "base_model.model.bert.encoder.layer.0.attention.self.key.ia3_l",
        "prompt_encoder.lstm.bias_hh_l1",
        "prompt_encoder.embedding",
        SOFT_TOKENS,
        PREFIX,
    ] {
        assert!(!decays(&map, name), "{name}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_and_names_the_rows() {
    let mut setting = Setting::new(Tuning::Full, &[PATTERN]);
    setting.plan.learning_rate = 1e30;
    let error = setting.try_train().err().unwrap();
    let Kind::Training(TrainingError::LossNotFinite { step: 2, records }) = error.kind() else {
        panic!("{error}")
    };
    assert_eq!(records.iter().copied().collect::<BTreeSet<u64>>(), (1..=12).collect());
    // All rows: none of them is at fault.
    assert!(matches!(error.place(), Place::Nowhere), "{error}");

    // Of many rows only those with the word that has no number for a vector.
    let mut setting = Setting::new(Tuning::Head, &[PATTERN]);
    let id = setting.base.tokenizer().tokenize("love")[0].id;
    let words = setting.base.model.parameters.weight(Module::WordEmbeddings).copy();
    let _ = words.get(id).fill_(f64::NAN);
    setting.base.model.parameters =
        setting.base.model.parameters.with([("bert.embeddings.word_embeddings.weight".to_owned(), words)]);
    let error = setting.try_train().err().unwrap();
    let with_word = setting
        .examples
        .iter()
        .filter(|example| example.fields[0].contains("love"))
        .map(|example| example.record);
    let with_word: Vec<u64> = with_word.collect();
    assert_eq!(with_word.len(), 1);
    assert!(
        matches!(error.kind(), Kind::Training(TrainingError::LossNotFinite { step: 1, records }) if *records == with_word),
        "{error:?}"
    );
    assert!(
        matches!(error.place(), Place::Row { file, record, .. } if file == "made-up" && *record == with_word[0]),
        "{error}"
    );
}

#[test]
fn inputs_may_be_as_long_as_soft_tokens_and_prefixes_leave_room() {
    for options in [
        r#"{ "prompt-tuning": { "length": 50 } }"#,
        r#"{ "p-tuning": { "length": 50 } }"#,
        r#"{ "prefix": { "length": 50 } }"#,
        r#"{ "p-tuning-v2": { "length": 50 } }"#,
    ] {
        let long = format!("text,label\n{},up\nsad,down\n", "happy ".repeat(80));
        let mut setting = Setting::on(moody(EngineChoice::Cloze, 0.1), tuning(options), &[PATTERN], &long);
        setting.tuning.check(&setting.base.model.folder.config).unwrap();
        setting.plan.steps = 2;
        let encoded = encode(
            &setting.patterns.tasks[0].wrap(&setting.examples[0]),
            setting.base.tokenizer(),
            setting.max_length,
        )
        .unwrap();
        let prefix = 64 - setting.max_length;
        assert_eq!((encoded.ids.len() + prefix, encoded.removed > 0), (64, true), "{options}");
        let (state, losses) = setting.train();
        let probabilities = learned(&setting, &state.kept());
        assert!(losses.iter().chain(&probabilities).all(|number| number.is_finite()), "{options}");
        // One token more has no position.
        let too_long = Tuning::parse("tuning.json", &options.replace("50", "62"))
            .unwrap()
            .check(&setting.base.model.folder.config);
        assert!(too_long.is_err(), "{options}");
    }
}

#[test]
fn every_method_lowers_the_training_loss() {
    for (name, tuning) in Tuning::all() {
        let mut setting = Setting::on(moody(EngineChoice::Cloze, 0.0), tuning, &[PATTERN], &made_up(4));
        setting.plan.steps = 40;
        // Where little moves, or begins near 0, a model of 32 hidden units needs more than the defaults,
        // which are for models of 384.
        match setting.tuning {
            Tuning::Cls(_) => setting.plan.learning_rate = 3e-3,
            Tuning::PromptTuning(_) | Tuning::PTuning(_) | Tuning::Prefix(_) | Tuning::PTuningV2(_) => {
                setting.plan.learning_rate = 5e-3
            }
            _ => {}
        }
        let (_, losses) = setting.train();
        // The weakest, p-tuning-v2, takes 17 % away.
        assert!(losses[39] < 0.9 * losses[0], "{name}: {losses:?}");
    }
}

#[test]
fn rows_of_a_prototype_verbalizer_are_contrasted_with_all_rows_of_their_step() {
    let verbalizer = Verbalizer::parse(
        "mood",
        "mood.json",
        &super::MOOD.replacen("\"version\": 1,", "\"version\": 1, \"kind\": \"prototype\",", 1),
    )
    .unwrap();
    let at_once = |batch_tokens| {
        let base = tiny(EngineChoice::Cloze, 0.0, &verbalizer);
        let mut setting = Setting::on(base, Tuning::Bias, &[PATTERN], &made_up(4));
        (setting.plan.clip_norm, setting.plan.batch_tokens) = (1e9, batch_tokens);
        first_gradients(&mut setting)
    };
    let whole = at_once(100_000);
    assert!(largest(&whole["verbalizer.projection"]) > 0.0);
    assert_same_gradients(&at_once(1), &whole, "row by row");
    assert_same_gradients(&at_once(30), &whole, "in parts");
}

#[test]
fn r_drop_adds_how_far_two_passes_differ_and_nothing_without_dropout() {
    let losses = |dropout: f64, r_drop: f64| {
        let mut setting =
            Setting::on(moody(EngineChoice::Cloze, dropout), Tuning::Bias, &[PATTERN], &made_up(4));
        (setting.plan.steps, setting.plan.r_drop) = (1, r_drop);
        setting.train().1[0]
    };
    assert_close(&[losses(0.0, 5.0)], &[losses(0.0, 0.0)], 1e-6, "without dropout");
    let (once, twice, more) = (losses(0.3, 0.0), losses(0.3, 1e-9), losses(0.3, 10.0));
    assert!(more > twice + 1e-4, "{more} is not above {twice}");
    // The second pass drops others than the first.
    assert!((once - twice).abs() > 1e-6, "{once} is {twice}");
}
