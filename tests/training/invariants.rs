//! What must always hold of training, each a test named as its claim.

use std::collections::{BTreeSet, HashMap};

use cloze::error::{Kind, TuningError};
use cloze::model::folder::EngineChoice;
use cloze::model::tensor_file;
use cloze::model::tensor_map::Module;
use cloze::tune::trainable::PEFT;
use cloze::tune::{Form, Learned, PREFIX, SOFT_TOKENS, Tuning};
use tch::Tensor;

use super::{
    METHODS, PATTERN, SOFT_PATTERN, Setting, bits, largest, learned, made_up, moody, tuning, with_soft,
};
use crate::support::{assert_close, lone_generator};

/// Every linear layer, the head's included.
const EVERYWHERE: &str = r#"{ "lora": { "rank": 4, "targets": ["query", "key", "value", "dense"] } }"#;

fn assert_same_bits(found: &Learned, wanted: &Learned, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
    for (name, tensor) in found {
        assert!(
            bits(tensor) == bits(&wanted[name]),
            "{what}: {name} differs by {}",
            largest(&(tensor - &wanted[name]))
        );
    }
}

/// All leaves moved away from zeros and ones by the same numbers in every run.
fn shake(learned: &Learned) -> Learned {
    let shaken = |(name, tensor): (&String, &Tensor)| {
        let noise = Tensor::arange(tensor.numel() as i64, (tch::Kind::Float, tensor.device()))
            .sin()
            .view(tensor.size().as_slice());
        (name.clone(), tensor.detach() + noise * 0.2)
    };
    learned.iter().map(shaken).collect()
}

/// The probabilities of the base model with soft tokens at their beginnings.
fn untrained(setting: &Setting) -> Vec<f64> {
    let common = setting.base.tokenizer().common_words();
    let vectors = setting.patterns.soft.vectors(
        setting.base.model.parameters.weight(Module::WordEmbeddings),
        &common,
        setting.seed,
    );
    setting.probabilities(setting.base.zero_shot(Some(vectors)).unwrap())
}

#[test]
fn soft_tokens_started_from_words_equal_those_words() {
    let words = untrained(&Setting::new(Tuning::Full, &[PATTERN]));
    for pattern in [
        r#"{text} {soft:"it was"} {mask}."#,
        r#"{text} {soft:"it was" as x} {mask}."#,
        r#"{text} {soft:"it"} {soft:"was"} {mask}."#,
    ] {
        let soft = untrained(&Setting::new(Tuning::Full, &[pattern]));
        // The same numbers take the same way, but for where they come from.
        assert_close(&soft, &words, 1e-7, pattern);
    }
    let other = untrained(&Setting::new(Tuning::Full, &[r#"{text} {soft:"was it"} {mask}."#]));
    assert!(
        other.iter().zip(&words).any(|(other, words)| (other - words).abs() > 1e-3),
        "the words' order makes no difference"
    );
}

#[test]
fn a_name_stands_for_the_same_vectors_in_every_pattern() {
    let patterns = [r#"{text} {soft:"it was" as x} {mask}."#, "{soft as x} {mask}: {text}"];
    let setting = Setting::new(tuning(r#"{ "p-tuning": { "encoder": "none" } }"#), &patterns);
    let (state, _) = setting.train();
    let vectors = &state.trainable.leaves()[SOFT_TOKENS];
    assert_eq!(vectors.size(), [2, 32]);
    // Both patterns read what was learned: changed vectors change both.
    let scores = |learned: &Learned| {
        let classifiers = [setting.base.learned(&setting.tuning, learned).unwrap()];
        let trainer = setting.trainer();
        let scored = trainer
            .scorer(&classifiers)
            .score(&setting.columns, &setting.examples[..1], &mut |_| {})
            .unwrap();
        scored[0].by_pattern.iter().map(|prediction| prediction.probabilities[0]).collect::<Vec<f64>>()
    };
    let (found, shaken) = (scores(&state.kept()), scores(&shake(&state.kept())));
    assert!(
        found.iter().zip(&shaken).all(|(found, shaken)| (found - shaken).abs() > 1e-4),
        "{found:?} {shaken:?}"
    );
}

#[test]
fn lora_with_zero_b_is_the_base_model() {
    let setting = Setting::new(tuning(EVERYWHERE), &[PATTERN]);
    let state = setting.trainer().begin().unwrap();
    assert_eq!(state.trainable.leaves().len(), 2 * (2 * 6 + 1));
    let base = untrained(&setting);
    for form in [Form::Beside, Form::Merged] {
        let mut classifier = setting.base.zero_shot(None).unwrap();
        classifier.adapt(&setting.base, &setting.tuning, &state.trainable.finished(), form);
        // Beside the weights, query, key and value are taken apart in another way.
        assert_close(&setting.probabilities(classifier), &base, 1e-6, &format!("{form:?}"));
    }
}

#[test]
fn adapters_change_nothing_at_first() {
    for options in METHODS {
        let setting = with_soft(options);
        let state = setting.trainer().begin().unwrap();
        // A prefix is attended to, and a new classifier is random: they do change something.
        if matches!(setting.tuning, Tuning::Prefix(_) | Tuning::PTuningV2(_) | Tuning::Cls(_)) {
            continue;
        }
        let mut classifier = setting.base.zero_shot(None).unwrap();
        classifier.adapt(&setting.base, &setting.tuning, &state.trainable.learned(), Form::Beside);
        assert_close(
            &tch::no_grad(|| setting.probabilities(classifier)),
            &untrained(&setting),
            1e-6,
            options,
        );
    }
}

#[test]
fn prompt_encoders_begin_with_the_vectors_they_start_from() {
    for (with, without) in [
        (
            r#"{ "p-tuning": { "length": 3, "encoder": "lstm" } }"#,
            r#"{ "p-tuning": { "length": 3, "encoder": "none" } }"#,
        ),
        (
            r#"{ "p-tuning": { "length": 3, "encoder": "mlp" } }"#,
            r#"{ "p-tuning": { "length": 3, "encoder": "none" } }"#,
        ),
        (r#"{ "prefix": { "length": 3 } }"#, r#"{ "p-tuning-v2": { "length": 3 } }"#),
    ] {
        let begun = |options| Setting::new(tuning(options), &[PATTERN]).trainer().begin().unwrap().trainable;
        let (with_network, vectors) = (begun(with), begun(without));
        assert!(with_network.size() > vectors.size());
        assert_same_bits(&with_network.finished(), &vectors.finished(), with);
    }
}

#[test]
fn a_model_takes_what_was_learned_in_place_of_what_it_had() {
    for engine in [EngineChoice::Cloze, EngineChoice::RustBert] {
        let setting = |options| Setting::on(moody(engine, 0.0), tuning(options), &[PATTERN], &made_up(2));
        let (first, second) = (setting(EVERYWHERE), setting("\"ia3\""));
        let shaken = |setting: &Setting| shake(&setting.trainer().begin().unwrap().trainable.finished());
        let _alone = lone_generator();
        let scores = |path: &[(&Setting, bool)]| {
            let mut classifier = first.base.zero_shot(None).unwrap();
            for (taken, nothing) in path {
                let learned = if *nothing { Learned::new() } else { shaken(taken) };
                classifier.adapt(&first.base, &taken.tuning, &learned, Form::Merged);
            }
            first.probabilities(classifier)
        };
        let base = untrained(&first);
        assert_close(&scores(&[(&first, false), (&second, true)]), &base, 1e-7, "nothing after something");
        let wanted = scores(&[(&second, false)]);
        assert_close(
            &scores(&[(&first, false), (&second, false)]),
            &wanted,
            1e-7,
            "something after something",
        );
        // The first update alone does change the model.
        assert!(
            scores(&[(&first, false)]).iter().zip(&base).any(|(found, base)| (found - base).abs() > 1e-3)
        );
    }
}

#[test]
fn merged_equals_unmerged() {
    for options in METHODS.into_iter().chain([EVERYWHERE]) {
        let setting = Setting::new(tuning(options), &[PATTERN]);
        if !setting.tuning.merges() {
            continue;
        }
        let begun = setting.trainer().begin().unwrap().trainable.finished();
        let shaken = shake(&begun);
        let scores = |form| {
            let mut classifier = setting.base.zero_shot(None).unwrap();
            classifier.adapt(&setting.base, &setting.tuning, &shaken, form);
            setting.probabilities(classifier)
        };
        let (merged, beside) = (scores(Form::Merged), scores(Form::Beside));
        assert_close(&merged, &beside, 1e-5, options);
        let base = untrained(&setting);
        assert!(
            merged.iter().zip(&base).any(|(merged, base)| (merged - base).abs() > 1e-3),
            "{options}: the update does nothing"
        );
    }
}

#[test]
fn frozen_weights_are_bit_identical_after_training() {
    let fresh = moody(EngineChoice::Cloze, 0.0).model.parameters;
    for options in METHODS {
        let setting = with_soft(options);
        let begun = setting.trainer().begin().unwrap().trainable.finished();
        let (state, _) = setting.train();
        for (name, tensor) in setting.base.model.parameters.iter() {
            assert!(
                bits(tensor) == bits(fresh.named(name).unwrap()),
                "{options}: {name} of the base model has moved"
            );
            assert!(
                !tensor.requires_grad() && !tensor.grad().defined(),
                "{options}: {name} of the base model has a gradient"
            );
        }
        // And all that may move has moved.
        for (name, tensor) in state.trainable.finished() {
            assert!(bits(&tensor) != bits(&begun[&name]), "{options}: {name} has not moved");
        }
        for (name, leaf) in state.trainable.leaves() {
            assert!(
                state.optimizer.moments[name][1].max().double_value(&[]) > 0.0,
                "{options}: {name} never had a gradient"
            );
            assert!(leaf.requires_grad() && leaf.is_leaf());
        }
    }
}

#[test]
fn each_method_learns_only_what_it_says() {
    for options in METHODS {
        let setting = with_soft(options);
        let learned = setting.trainer().begin().unwrap().trainable.finished();
        let (soft, names): (Vec<&str>, Vec<&str>) =
            learned.keys().map(String::as_str).partition(|name| *name == SOFT_TOKENS);
        assert_eq!(soft.is_empty(), matches!(setting.tuning, Tuning::Cls(_)), "{options}");
        let count = |keep: &dyn Fn(&str) -> bool| {
            setting.base.model.parameters.iter().filter(|(name, _)| keep(name)).count()
        };
        let (keep, wanted): (&dyn Fn(&str) -> bool, usize) = match &setting.tuning {
            Tuning::Full => (&|_| true, count(&|_| true)),
            Tuning::Head => (&|name| name.starts_with("cls."), 5),
            Tuning::Bias => (&|name| name.ends_with("bias"), count(&|name| name.ends_with("bias"))),
            // The attention's output ends in output.dense too.
            Tuning::Lora(lora) if lora.dora => (&|name| name.starts_with(PEFT), 2 * 3 * 3),
            Tuning::Lora(lora) if lora.rank == 4 => (&|name| name.starts_with(PEFT), 2 * 2 * 2),
            // Key, the attention's output and both feed-forward layers, and the head's.
            Tuning::Lora(_) => (
                &|name| name.starts_with(PEFT) && !name.contains("query") && !name.contains("value"),
                2 * (2 * 4 + 1),
            ),
            Tuning::Ia3 => (&|name| name.starts_with(PEFT) && name.ends_with(".ia3_l"), 3 * 2),
            Tuning::PromptTuning(_) | Tuning::PTuning(_) => (&|_| false, 0),
            Tuning::Prefix(_) | Tuning::PTuningV2(_) => (&|name| name == PREFIX, 1),
            Tuning::Adapter(_) => (
                &|name| name.contains(".adapter") || name.contains("LayerNorm"),
                // Adapters, and of Houlsby's the encoder's five layer norms.
                if options.contains("houlsby") { 2 * 2 * 4 + 5 * 2 } else { 2 * 4 },
            ),
            Tuning::Cls(cls) if cls.frozen_encoder => (&|name| !name.starts_with("bert.encoder"), 4),
            Tuning::Cls(_) => {
                (&|name| !name.starts_with("cls."), 4 + count(&|name| name.starts_with("bert.")))
            }
        };
        assert!(
            names.iter().all(|name| keep(name)) && names.len() == wanted,
            "{options}: {names:?}, not {wanted}"
        );
    }
}

#[test]
fn soft_prompt_trains_only_itself() {
    for options in [r#"{ "prompt-tuning": { "length": 3 } }"#, r#"{ "p-tuning": { "encoder": "none" } }"#] {
        let setting = with_soft(options);
        let begun = setting.trainer().begin().unwrap().trainable.finished();
        let (state, _) = setting.train();
        assert_eq!(state.trainable.leaves().keys().collect::<Vec<_>>(), [SOFT_TOKENS]);
        // Prompt tuning's stand in front besides the pattern's; p-tuning's are the pattern's.
        assert_eq!(state.trainable.size(), 32 * if options.contains("prompt-tuning") { 5 } else { 2 });
        let moved = (&state.trainable.leaves()[SOFT_TOKENS] - &begun[SOFT_TOKENS])
            .abs()
            .amin([1], false)
            .min()
            .double_value(&[]);
        assert!(moved > 0.0, "{options}: a vector has numbers that never moved");
    }
}

#[test]
fn p_tuning_needs_no_encoder_after_training() {
    for options in METHODS {
        let setting = Setting::new(tuning(options), &[PATTERN]);
        let name = match &setting.tuning {
            Tuning::PromptTuning(_) | Tuning::PTuning(_) => SOFT_TOKENS,
            Tuning::Prefix(_) | Tuning::PTuningV2(_) => PREFIX,
            _ => continue,
        };
        let (state, _) = setting.train();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learned.safetensors");
        tensor_file::write(&path, &state.kept(), HashMap::new()).unwrap();
        let (kept, _) = tensor_file::read(&path).unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), [name], "{options}");
        let mut through_encoder = setting.base.zero_shot(None).unwrap();
        through_encoder.adapt(&setting.base, &setting.tuning, &state.trainable.learned(), Form::Beside);
        let wanted = tch::no_grad(|| setting.probabilities(through_encoder));
        // libtorch's LSTM takes another way where no gradient is wanted.
        assert_close(&learned(&setting, &kept), &wanted, 1e-6, options);
    }
}

#[test]
fn what_was_learned_is_read_back_bit_by_bit() {
    for options in METHODS {
        let (state, _) = with_soft(options).train();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("learned.safetensors");
        tensor_file::write(&path, &state.kept(), HashMap::new()).unwrap();
        assert_same_bits(&tensor_file::read(&path).unwrap().0, &state.kept(), options);
    }
}

/// With the model's own dropout and small batches, so that every random choice takes part.
fn random(options: &str, seed: u64) -> Setting {
    let mut setting =
        Setting::on(moody(EngineChoice::Cloze, 0.1), tuning(options), &[SOFT_PATTERN], &made_up(4));
    setting.plan.batch_size = 5;
    setting.seed = seed;
    setting
}

const DROPPED: &str = r#"{ "lora": { "rank": 4, "dropout": 0.2 } }"#;

#[test]
fn same_seed_same_predictions() {
    for options in METHODS.into_iter().chain([DROPPED]) {
        let run = || {
            let setting = random(options, 7);
            let (state, losses) = setting.train();
            let probabilities = learned(&setting, &state.kept());
            (state.kept(), losses, probabilities)
        };
        let (first, second) = (run(), run());
        assert_same_bits(&first.0, &second.0, options);
        assert!(first.1 == second.1 && first.2 == second.2, "{options}: {:?} and {:?}", first.1, second.1);
    }
}

#[test]
fn seed_zero_is_a_seed_and_every_other_seed_is_another() {
    for options in METHODS.into_iter().chain([DROPPED]) {
        let runs = [0, 1, u64::MAX].map(|seed| random(options, seed).train());
        let distinct: BTreeSet<Vec<u64>> =
            runs.iter().map(|(_, losses)| losses.iter().map(|loss| loss.to_bits()).collect()).collect();
        assert_eq!(distinct.len(), 3, "{options}");
        for (name, tensor) in runs[0].0.kept() {
            assert!(
                bits(&tensor) != bits(&runs[1].0.kept()[&name]),
                "{options}: {name} is the same for seeds 0 and 1"
            );
        }
        let again = random(options, 0).train();
        assert_same_bits(&runs[0].0.kept(), &again.0.kept(), options);
    }
}

#[test]
fn dropout_acts_in_training_and_not_in_scoring() {
    let losses = |base| Setting::on(base, tuning("\"head\""), &[PATTERN], &made_up(4)).train().1;
    assert!(losses(moody(EngineChoice::Cloze, 0.1)) != losses(moody(EngineChoice::Cloze, 0.0)));
    let scores = |dropout| {
        untrained(&Setting::on(moody(EngineChoice::Cloze, dropout), Tuning::Head, &[PATTERN], &made_up(4)))
    };
    assert!(scores(0.5) == scores(0.0));
    // A low-rank update's own dropout needs the update: B is not 0 after the first step.
    let [with, without] = [DROPPED, r#"{ "lora": { "rank": 4 } }"#]
        .map(|options| Setting::new(tuning(options), &[PATTERN]).train().1);
    assert_eq!(with[0], without[0]);
    assert!(with[2..] != without[2..]);
}

#[test]
fn rust_bert_trains_alike() {
    for options in METHODS {
        let csv = made_up(4);
        let trained = |engine| {
            let mut setting = Setting::on(moody(engine, 0.0), tuning(options), &[SOFT_PATTERN], &csv);
            (setting.plan.steps, setting.plan.batch_size) = (5, 6);
            let trained = setting.try_train();
            trained.map(|(state, losses)| {
                let _alone = lone_generator();
                (losses, learned(&setting, &state.kept()))
            })
        };
        let found = trained(EngineChoice::RustBert);
        if matches!(
            tuning(options),
            Tuning::Prefix(_) | Tuning::PTuningV2(_) | Tuning::Adapter(_) | Tuning::Cls(_)
        ) {
            let Err(error) = found else {
                panic!("{options}: trained with rust-bert, which has no place for it")
            };
            assert!(
                matches!(error.kind(), Kind::Tuning(TuningError::EngineCannotTune { method, .. }) if *method == tuning(options).name()),
                "{options}: {error}"
            );
            continue;
        }
        let (found, wanted) = (found.unwrap(), trained(EngineChoice::Cloze).unwrap());
        assert_close(&found.0, &wanted.0, 1e-4, &format!("{options}, losses"));
        assert_close(&found.1, &wanted.1, 1e-4, &format!("{options}, probabilities"));
    }
    let dropped =
        Setting::on(moody(EngineChoice::RustBert, 0.0), tuning(DROPPED), &[PATTERN], &made_up(1)).try_train();
    assert!(matches!(
        dropped.err().unwrap().kind(),
        Kind::Tuning(TuningError::EngineCannotTune { method: "lora", .. })
    ));
}
