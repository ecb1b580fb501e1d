//! Several tasks that are learned together: what they share, and what is each one's own.

use std::ops::ControlFlow;

use cloze::learn::objective::{CombinedLoss, Lesson, Mixture};
use cloze::learn::train::{State, Together, Trainer};
use cloze::model::folder::EngineChoice;
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::{Learned, of_task};

use super::{MOOD, PATTERN, SOFT_PATTERN, Setting, bits, learned, made_up, tiny, tuning};
use crate::support::lone_generator;

const OWN_PATTERN: &str = "{soft:3} {text} {mask}.";

/// Tasks of these names: soft tokens in a pattern, vectors of classes, and neither.
fn settings(options: &str) -> [(&'static str, Setting); 3] {
    let of_kind = |kind: &str, pattern: &str| {
        let verbalizer = MOOD.replace("\"version\": 1,", &format!("\"version\": 1, {kind}"));
        let verbalizer = Verbalizer::parse("mood", "mood.json", &verbalizer).unwrap();
        let base = tiny(EngineChoice::Cloze, 0.0, &verbalizer);
        Setting::on(base, tuning(options), &[pattern], &made_up(4))
    };
    [
        ("soft", of_kind("\"kind\": \"soft\",", SOFT_PATTERN)),
        ("own", of_kind("", OWN_PATTERN)),
        ("plain", of_kind("", PATTERN)),
    ]
}

fn together<'a>(settings: &'a [(&'static str, Setting)]) -> Vec<Together<'a>> {
    settings
        .iter()
        .map(|(name, setting)| Together { name, base: &setting.base, soft: &setting.patterns.soft })
        .collect()
}

/// The state before the first step, and after some steps of these tasks alone.
fn trained(settings: &[(&'static str, Setting)], of: &[&str], steps: usize) -> (Learned, Learned) {
    let _alone = lone_generator();
    let together = together(settings);
    let plan = super::plan(0.01, steps, 4);
    // The last has soft tokens in front, whatever the method.
    let trainer = Trainer { together: &together, plan: &plan, ..settings[2].1.trainer() };
    let losses = settings.iter().filter(|(name, _)| of.contains(name)).map(|(name, setting)| CombinedLoss {
        task: Some((*name).to_owned()),
        ..setting.trainer().lessons(&setting.rows(), Lesson::default()).unwrap().into()
    });
    let mut mixture = Mixture::new(losses.collect(), 1).unwrap();
    let mut state: State = trainer.begin().unwrap();
    let begun = state.trainable.finished();
    trainer.train(&mut state, &mut mixture, None, &mut |_, _| Ok(ControlFlow::Continue(()))).unwrap();
    (begun, state.kept())
}

fn moved(begun: &Learned, kept: &Learned) -> Vec<String> {
    begun.keys().filter(|name| bits(&begun[*name]) != bits(&kept[*name])).cloned().collect()
}

#[test]
fn a_task_moves_what_is_shared_and_its_own_vectors_alone() {
    for options in [r#"{ "prompt-tuning": { "length": 2 } }"#, r#"{ "p-tuning-v2": { "length": 2 } }"#] {
        let settings = settings(options);
        let shared = if options.contains("prompt") { "soft_tokens" } else { "prefix" };
        let wanted = [
            ("soft", vec![shared, "soft_tokens@soft", "verbalizer.bias@soft", "verbalizer.weight@soft"]),
            ("own", vec![shared, "soft_tokens@own"]),
            ("plain", vec![shared]),
        ];
        for (task, names) in wanted {
            let (begun, kept) = trained(&settings, &[task], 1);
            assert_eq!(moved(&begun, &kept), names, "{options}, {task}");
        }
    }
}

#[test]
fn a_task_is_asked_with_its_own_vectors_behind_the_shared_ones() {
    for options in
        [r#"{ "prompt-tuning": { "length": 2 } }"#, r#"{ "p-tuning": { "length": 2 } }"#, "\"head\""]
    {
        let settings = settings(options);
        let (begun, kept) = trained(&settings, &["soft", "own", "plain"], 12);
        for (name, setting) in &settings {
            let own = of_task(&setting.tuning, &kept, name);
            let (soft, classes) = (setting.patterns.soft.len(), 3);
            setting.base.check_learned(&setting.tuning, &own, soft, classes).unwrap();
            let before = of_task(&setting.tuning, &begun, name);
            assert_ne!(learned(setting, &own), learned(setting, &before), "{options}, {name}");
        }
    }
}

#[test]
fn several_tasks_start_from_what_they_learned_before() {
    for options in
        [r#"{ "prompt-tuning": { "length": 2 } }"#, r#"{ "p-tuning": { "length": 2 } }"#, "\"head\""]
    {
        let settings = settings(options);
        let (begun, kept) = trained(&settings, &["soft", "own", "plain"], 6);
        assert!(moved(&begun, &kept).len() >= 4, "{options}");
        let together = together(&settings);
        let mut state = Trainer { together: &together, ..settings[2].1.trainer() }.begin().unwrap();
        state.trainable.start_from(&kept);
        let again = state.trainable.finished();
        assert_eq!(again.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
        assert_eq!(moved(&again, &kept), Vec::<String>::new(), "{options}");
    }
}
