//! Trainings that start from what an earlier one learned.

use cloze::model::folder::EngineChoice;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{CLASS_VECTORS, Learned, PROTOTYPES, SOFT_TOKENS};
use tch::Tensor;

use super::{METHODS, MOOD, PATTERN, SOFT_PATTERN, Setting, bits, learned, made_up, tiny, tuning};
use crate::support::assert_close;

/// The setting after a start from what an earlier one learned, before the first step.
fn begun(setting: &Setting, earlier: &Learned) -> Learned {
    let mut state = setting.trainer().begin().unwrap();
    state.trainable.start_from(earlier);
    assert!(state.trainable.leaves().values().all(Tensor::requires_grad));
    state.trainable.finished()
}

#[test]
fn a_training_that_starts_from_another_first_scores_as_that_one_ended() {
    for options in METHODS {
        for pattern in [PATTERN, SOFT_PATTERN] {
            if options.contains("cls") && pattern == SOFT_PATTERN {
                continue;
            }
            let earlier = Setting::new(tuning(options), &[pattern]);
            let (kept, fresh) = (earlier.train().0.kept(), earlier.trainer().begin().unwrap());
            let wanted = learned(&earlier, &kept);
            let usual = learned(&earlier, &fresh.trainable.finished());
            assert!(
                usual.iter().zip(&wanted).any(|(usual, wanted)| (usual - wanted).abs() > 1e-4),
                "{options}"
            );
            let later = Setting { seed: 7, ..Setting::new(tuning(options), &[pattern]) };
            assert_close(&learned(&later, &begun(&later, &kept)), &wanted, 1e-6, options);
        }
    }
}

#[test]
fn a_training_that_starts_from_another_goes_on_learning() {
    // Through the networks too, which begin anew.
    for options in [METHODS[3], METHODS[8], METHODS[9], METHODS[12], METHODS[16]] {
        let mut setting = Setting::new(tuning(options), &[PATTERN]);
        let kept = setting.train().0.kept();
        let first = learned(&setting, &begun(&setting, &kept));
        setting.plan.steps = 8;
        let trainer = setting.trainer();
        let mut state = trainer.begin().unwrap();
        state.trainable.start_from(&kept);
        let _alone = crate::support::lone_generator();
        trainer
            .train(&mut state, &mut setting.mixture().unwrap(), None, &mut |_, _| {
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
        let right = |probabilities: &[f64]| -> f64 {
            let class = |row: usize| setting.targets[row].class();
            (0..setting.targets.len()).map(|row| probabilities[3 * row + class(row)].ln()).sum()
        };
        let last = learned(&setting, &state.kept());
        assert!(right(&last) > right(&first), "{options}: {} after {}", right(&last), right(&first));
    }
}

#[test]
fn fewer_soft_tokens_than_move_stand_first() {
    let setting = Setting::new(tuning(r#"{ "prompt-tuning": { "length": 3 } }"#), &[SOFT_PATTERN]);
    let front = Tensor::ones([3, 32], (tch::Kind::Float, tch::Device::Cpu));
    let usual = setting.trainer().begin().unwrap().trainable.finished();
    let soft =
        &begun(&setting, &Learned::from([(SOFT_TOKENS.to_owned(), front.shallow_clone())]))[SOFT_TOKENS];
    assert_eq!(soft.size(), [5, 32]);
    assert_eq!(bits(&soft.narrow(0, 0, 3)), bits(&front));
    assert_eq!(bits(&soft.narrow(0, 3, 2)), bits(&usual[SOFT_TOKENS].narrow(0, 3, 2)));
}

#[test]
fn vectors_of_a_verbalizer_are_started_from_too() {
    for (kind, names) in [("soft", CLASS_VECTORS), ("prototype", PROTOTYPES)] {
        let verbalizer = MOOD.replace("\"version\": 1,", &format!("\"version\": 1, \"kind\": \"{kind}\","));
        let verbalizer = Verbalizer::parse("mood", "mood.json", &verbalizer).unwrap();
        let setting = |seed| {
            let base = tiny(EngineChoice::Cloze, 0.0, &verbalizer);
            Setting { seed, ..Setting::on(base, tuning("\"bias\""), &[PATTERN], &made_up(4)) }
        };
        let (earlier, later) = (setting(1), setting(2));
        let kept = earlier.train().0.kept();
        assert!(names.iter().all(|name| kept.contains_key(*name)));
        assert_close(&learned(&later, &begun(&later, &kept)), &learned(&earlier, &kept), 1e-6, kind);
    }
}
