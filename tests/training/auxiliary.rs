//! PET's auxiliary loss: which tokens are chosen, what the loop makes of it, and what it leaves alone.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use cloze::error::{Kind, Place, Result, TrainingError, TuningError};
use cloze::learn::job::{Job, JobEvent};
use cloze::learn::objective::{Auxiliary, Losses as StepLosses, Masked, Mixture, token_losses};
use cloze::learn::run::{RunFolder, Select};
use cloze::learn::train::{Event, State, Trainer};
use cloze::model::encoder::Mode;
use cloze::model::features::{Features, SoftSlot};
use cloze::model::folder::EngineChoice;
use cloze::model::tensor_map::Module;
use cloze::model::tokenizer::SpecialIds;
use cloze::predict::classifier::Classifier;
use cloze::predict::encode::encode;
use cloze::seed;
use cloze::text::data::{Columns, Example, Format, Rows};
use cloze::tune::{Form, Learned, Tuning};

use super::resume::{events, manifest};
use super::{
    METHODS, PATTERN, SOFT_PATTERN, Setting, bits, largest, learned, made_up, moody, tuning, with_soft,
};
use crate::support::{assert_close, features, lone_generator, values};

const TEXTS: [&str; 5] = [
    "the people of this company",
    "all that they feel",
    "the movie and the old page",
    "they never love the text",
    "a wonderful day",
];

/// Rows without a column for labels.
fn unlabelled(texts: &[&str]) -> (Arc<Columns>, Vec<Example>) {
    let rows = Rows::read(
        Box::new(std::io::Cursor::new(format!("text\n{}\n", texts.join("\n")))),
        "unlabelled",
        Format::Csv,
        None,
    );
    let rows = rows.unwrap();
    (rows.columns().clone(), rows.collect::<Result<_>>().unwrap())
}

/// A setting that trains with language modelling on some rows too.
struct Both {
    setting: Setting,
    weight: f64,
    batch_size: usize,
    columns: Arc<Columns>,
    examples: Vec<Example>,
}

/// The losses of a step: of classes, and of language.
type Losses = (f64, Option<f64>);

impl Both {
    fn new(setting: Setting, weight: f64) -> Both {
        let (columns, examples) = unlabelled(&TEXTS);
        Both { setting, weight, batch_size: 20, columns, examples }
    }

    fn trainer(&self) -> Trainer<'_> {
        self.setting.trainer()
    }

    fn auxiliary(&self) -> Auxiliary<'_> {
        let Both { weight, batch_size, columns, examples, .. } = self;
        Auxiliary { weight: *weight, batch_size: *batch_size, columns, examples }
    }

    fn mixture(&self) -> Result<Mixture> {
        Ok(self.trainer().with_auxiliary(&self.setting.rows(), &self.auxiliary())?.into())
    }

    fn try_train(&self) -> Result<(State, Vec<Losses>)> {
        let _alone = lone_generator();
        let mut state = self.trainer().begin()?;
        let mut losses = Vec::new();
        self.trainer().train(&mut state, &mut self.mixture()?, None, &mut |event, _| {
            if let Event::Step { losses: found, .. } = event {
                losses.push((found.classification.unwrap(), found.language_modelling));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((state, losses))
    }

    fn train(&self) -> (State, Vec<Losses>) {
        self.try_train().unwrap()
    }

    /// The gradients of the first step: the first moments are a tenth of them.
    fn first_gradients(mut self) -> Learned {
        (self.setting.plan.steps, self.setting.plan.clip_norm) = (1, 1e9);
        self.train().0.optimizer.moments.into_iter().map(|(name, [first, _])| (name, first * 10.0)).collect()
    }
}

/// Every method that reads words.
fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.into_iter().filter(|options| !matches!(tuning(options), Tuning::Cls(_)))
}

/// With the model's own dropout and small batches.
fn random(options: &str) -> Setting {
    let mut setting =
        Setting::on(moody(EngineChoice::Cloze, 0.1), tuning(options), &[SOFT_PATTERN], &made_up(4));
    setting.plan.batch_size = 5;
    setting
}

fn same_bits(found: &Learned, wanted: &Learned) -> bool {
    found.keys().eq(wanted.keys()) && found.iter().all(|(name, tensor)| bits(tensor) == bits(&wanted[name]))
}

fn assert_same_gradients(found: &Learned, wanted: &Learned, what: &str) {
    let scale = wanted.values().map(largest).fold(0.0, f64::max);
    let difference = found.iter().map(|(name, found)| largest(&(found - &wanted[name]))).fold(0.0, f64::max);
    assert!(scale > 0.0 && difference <= 1e-5 * scale, "{what}: gradients differ by {difference} of {scale}");
}

const SPECIAL: SpecialIds = SpecialIds { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
const VOCABULARY: usize = 1000;

/// Soft tokens before `[CLS]` and within, a mask, two segments, and forty tokens that may be chosen.
fn input() -> Features {
    let text = |from: i64| (from..from + 20).collect::<Vec<i64>>();
    let ids = [vec![4, 4, 2], text(100), vec![4, 4, 3], text(200), vec![3]].concat();
    let soft = [0, 1, 23].into_iter().enumerate().map(|(vector, at)| SoftSlot { at, vector }).collect();
    Features { soft, ..features(&ids, 26, 24) }
}

#[test]
fn tokens_are_chosen_and_replaced_in_the_shares_of_bert_and_never_special_ones() {
    let (input, mut dice) = (input(), seed::generator(3, "choice"));
    let (mut chosen, mut masked, mut random, mut stayed) = (0, 0, BTreeSet::new(), 0);
    let mut places = BTreeSet::new();
    let inputs = 10_000;
    for _ in 0..inputs {
        let found = Masked::new(&input, SPECIAL, VOCABULARY, &mut dice);
        for token in &found.chosen {
            assert_eq!(token.id, input.ids[token.at]);
            places.insert(token.at);
            match found.features.ids[token.at] {
                4 => masked += 1,
                id if id == token.id => stayed += 1,
                id => drop(random.insert(id)),
            }
        }
        chosen += found.chosen.len();
        // All else is as it was.
        let mut restored = found.features;
        found.chosen.iter().for_each(|token| restored.ids[token.at] = token.id);
        assert_eq!(restored, input);
    }
    let forbidden = [0, 1, 2, 23, 24, 25, 46];
    assert_eq!(places, (0..47).filter(|at| !forbidden.contains(at)).collect());
    // Within five standard deviations; that an entry drawn is the mask, or what stood there, adds a
    // thousandth of a tenth.
    let near = |found: usize, of: usize, share: f64, what: &str| {
        let (found, deviation) = (found as f64 / of as f64, (share * (1.0 - share) / of as f64).sqrt());
        assert!((found - share).abs() < 5.0 * deviation + 1e-4, "{what}: {found}, not {share} ± {deviation}");
    };
    near(chosen, 40 * inputs, 0.15, "chosen");
    near(masked, chosen, 0.8, "masked");
    near(stayed, chosen, 0.1, "as they were");
    near(chosen - masked - stayed, chosen, 0.1, "random");
    assert!(random.len() > 990 && random.iter().all(|id| (0..1000).contains(id)), "{} entries", random.len());
}

#[test]
fn the_same_seed_chooses_the_same_tokens() {
    let all = |seed| {
        let mut dice = seed::generator(seed, "choice");
        (0..20).map(|_| Masked::new(&input(), SPECIAL, VOCABULARY, &mut dice)).collect::<Vec<_>>()
    };
    assert_eq!(all(0), all(0));
    assert_ne!(all(0), all(1));
    assert_ne!(all(0)[0], all(0)[1]);
}

#[test]
fn the_loop_adds_what_the_parts_are_together() {
    // One unlabelled row, so that their order is known.
    let mut both = Both::new(Setting::new(Tuning::Full, &[PATTERN]), 0.3);
    (both.columns, both.examples) = unlabelled(&TEXTS[..1]);
    let (setting, tokenizer) = (&both.setting, both.setting.base.tokenizer());
    let trainable = both.trainer().begin().unwrap().trainable;
    let mut classifier = setting.base.zero_shot(None).unwrap();
    classifier.adapt(&setting.base, &setting.tuning, &trainable.learned(), Form::Beside);
    let encoded = |example| encode(&setting.patterns.tasks[0].wrap(example), tokenizer, 64).unwrap();
    let inputs: Vec<Features> = setting.examples.iter().map(encoded).collect();
    let labels = tch::Tensor::from_slice(
        &setting.targets.iter().map(|target| target.class() as i64).collect::<Vec<_>>(),
    );
    let of_classes = classifier
        .class_scores(&inputs.iter().collect::<Vec<_>>(), Mode::Train)
        .cross_entropy_for_logits(&labels);
    let mut dice = seed::generator(setting.seed, "masked tokens of step 0");
    let text = encoded(&both.examples[0]);
    let masked: Vec<Masked> = (0..20)
        .map(|_| Masked::new(&text, tokenizer.special(), tokenizer.vocabulary_size(), &mut dice))
        .collect();
    let Classifier::Prompt(model, _) = &classifier else { unreachable!() };
    let losses = token_losses(model, &masked.iter().collect::<Vec<_>>(), Mode::Train);
    assert!(losses.numel() > 10 && masked.iter().any(|input| input.chosen.is_empty()));
    let of_language = losses.mean(tch::Kind::Float);
    (&of_classes * 0.7 + &of_language * 0.3).backward();
    let wanted: Learned =
        trainable.leaves().iter().map(|(name, leaf)| (name.clone(), leaf.grad().copy())).collect();
    let found = both.train().1[0];
    assert_close(&[found.0], &values(&of_classes.detach()), 1e-6, "loss of classes");
    assert_close(&[found.1.unwrap()], &values(&of_language.detach()), 1e-6, "loss of language");
    assert_same_gradients(&both.first_gradients(), &wanted, "whole");
}

#[test]
fn parts_and_accumulated_batches_equal_one_batch() {
    for options in methods() {
        let gradients = |batch_tokens, parts| {
            let mut both = Both::new(with_soft(options), 0.5);
            let plan = &mut both.setting.plan;
            (plan.batch_tokens, plan.batch_size, plan.accumulation) = (batch_tokens, 12 / parts, parts);
            both.batch_size = 20 / parts;
            both.first_gradients()
        };
        let whole = gradients(100_000, 1);
        for (batch_tokens, parts) in [(1, 1), (30, 1), (100_000, 4)] {
            assert_same_gradients(
                &gradients(batch_tokens, parts),
                &whole,
                &format!("{options}, {batch_tokens} tokens, {parts} batches"),
            );
        }
    }
}

#[test]
fn logits_at_a_place_are_those_at_the_mask_there() {
    for options in methods() {
        let setting = with_soft(options);
        let mut classifier = setting.base.zero_shot(None).unwrap();
        let begun = setting.train().0.trainable;
        classifier.adapt(&setting.base, &setting.tuning, &begun.finished(), Form::Beside);
        let Classifier::Prompt(model, _) = &classifier else { unreachable!() };
        let encoded = |example| {
            encode(&setting.patterns.tasks[0].wrap(example), setting.base.tokenizer(), setting.max_length)
                .unwrap()
        };
        let inputs: Vec<Features> = setting.examples.iter().map(encoded).collect();
        let inputs: Vec<&Features> = inputs.iter().collect();
        let places: Vec<(usize, usize)> = inputs.iter().map(|input| input.mask).enumerate().collect();
        let (found, wanted) = tch::no_grad(|| {
            (model.vocabulary_logits_at(&inputs, &places, Mode::Score), model.vocabulary_logits(&inputs))
        });
        assert_close(&values(&found), &values(&wanted), 1e-4, options);
    }
}

#[test]
fn without_weight_a_training_is_the_one_without_it_bit_by_bit() {
    for options in
        [r#""full""#, r#"{ "lora": { "rank": 4, "dropout": 0.2 } }"#, r#"{ "p-tuning": { "length": 3 } }"#]
    {
        let (without, losses) = random(options).train();
        let (with, both) = Both::new(random(options), 0.0).train();
        assert!(same_bits(&with.kept(), &without.kept()), "{options}");
        assert_eq!(both, losses.into_iter().map(|loss| (loss, None)).collect::<Vec<_>>());
    }
}

#[test]
fn a_little_weight_changes_a_little() {
    let with = |weight| Both::new(random("\"head\""), weight).train();
    let ((none, without), (little, found), (much, _)) = (with(0.0), with(1e-6), with(0.9));
    assert!(
        found.iter().all(|(_, of_language)| of_language.is_some_and(|loss| (4.0..12.0).contains(&loss))),
        "{found:?}"
    );
    // Dropout of the labelled rows is drawn first: the first step's loss is the same.
    assert_eq!(found[0].0, without[0].0);
    let losses = |losses: &[Losses]| losses.iter().map(|(loss, _)| *loss).collect::<Vec<f64>>();
    assert_close(&losses(&found), &losses(&without), 1e-3, "losses");
    assert!(!same_bits(&little.kept(), &none.kept()));
    let setting = random("\"head\"");
    let [none, little, much] = [none, little, much].map(|state| learned(&setting, &state.kept()));
    assert_close(&little, &none, 1e-3, "probabilities");
    assert!(much.iter().zip(&none).any(|(much, none)| (much - none).abs() > 1e-2));
}

#[test]
fn every_method_learns_from_it_and_what_is_frozen_stays() {
    let fresh = moody(EngineChoice::Cloze, 0.0).model.parameters;
    for options in methods() {
        // Rows in the second pattern teach nothing where soft tokens alone are learned.
        let mut setting = Setting::new(tuning(options), &[SOFT_PATTERN, PATTERN]);
        (setting.plan.batch_size, setting.plan.batch_tokens) = (4, 20);
        let both = Both::new(setting, 0.9);
        let begun = both.trainer().begin().unwrap().trainable.finished();
        let (state, losses) = both.train();
        assert!(
            losses.iter().all(|(_, of_language)| of_language.unwrap().is_finite()),
            "{options}: {losses:?}"
        );
        for (name, tensor) in both.setting.base.model.parameters.iter() {
            assert!(
                bits(tensor) == bits(fresh.named(name).unwrap()),
                "{options}: {name} of the base model has moved"
            );
            assert!(
                !tensor.requires_grad() && !tensor.grad().defined(),
                "{options}: {name} of the base model has a gradient"
            );
        }
        for (name, tensor) in state.trainable.finished() {
            assert!(bits(&tensor) != bits(&begun[&name]), "{options}: {name} has not moved");
        }
    }
}

#[test]
fn language_modelling_alone_lowers_its_own_loss() {
    let mut both = Both::new(Setting::new(Tuning::Full, &[PATTERN]), 0.99);
    both.setting.plan.steps = 40;
    both.setting.plan.learning_rate = 3e-3;
    let (_, losses) = both.train();
    let mean = |losses: &[Losses]| {
        losses.iter().map(|(_, of_language)| of_language.unwrap()).sum::<f64>() / losses.len() as f64
    };
    assert!(mean(&losses[35..]) < 0.7 * mean(&losses[..5]), "{losses:?}");
}

#[test]
fn a_stopped_training_with_it_goes_on_bit_by_bit() {
    let _alone = lone_generator();
    for options in [r#"{ "lora": { "rank": 4, "dropout": 0.1 } }"#, r#"{ "p-tuning": { "length": 3 } }"#] {
        let mut both = Both::new(random(options), 0.3);
        (both.setting.plan.steps, both.setting.plan.batch_tokens, both.batch_size) = (12, 60, 3);
        let temporary = tempfile::tempdir().unwrap();
        // Stopped after every so many events, and gone on with from what its folder holds.
        let run = |every: usize| {
            let path = temporary.path().join(every.to_string());
            let folder =
                RunFolder::create(&path, &manifest(tuning(options), Select::None).written()).unwrap();
            let (start, checkpoint_every) = (None, 5);
            let job = Job { folder: &folder, seed: 0, part: "run", start, checkpoint_every, keep_end: false };
            loop {
                let mut count = 0;
                let done = job.train(&both.trainer(), &mut both.mixture().unwrap(), None, 12, &mut |event| {
                    count += usize::from(matches!(event, JobEvent::Training(_)));
                    if count == every { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                if let Some(state) = done.unwrap() {
                    return (state.kept(), events(&path));
                }
            }
        };
        let (wanted, wanted_events) = run(100);
        assert_eq!(wanted_events.iter().filter(|event| event["mlm_loss"].is_number()).count(), 12);
        for every in [1, 5] {
            let (found, found_events) = run(every);
            assert!(same_bits(&found, &wanted), "{options}, stopped every {every} steps");
            assert_eq!(found_events, wanted_events, "{options}, stopped every {every} steps");
        }
    }
}

#[test]
fn rust_bert_learns_alike() {
    for options in ["\"full\"", r#"{ "lora": { "rank": 4 } }"#, r#"{ "p-tuning": { "length": 3 } }"#] {
        let trained = |engine| {
            let both = Both::new(
                Setting::on(moody(engine, 0.0), tuning(options), &[SOFT_PATTERN], &made_up(4)),
                0.5,
            );
            let losses = both.train().1;
            losses
                .into_iter()
                .flat_map(|(loss, of_language)| [loss, of_language.unwrap()])
                .collect::<Vec<f64>>()
        };
        assert_close(&trained(EngineChoice::RustBert), &trained(EngineChoice::Cloze), 1e-4, options);
    }
}

#[test]
fn what_no_training_can_have_is_refused_by_name() {
    let error = |both: &Both| both.mixture().err().unwrap();
    for weight in [-0.1, 1.0, f64::NAN] {
        let error = error(&Both::new(Setting::new(Tuning::Full, &[PATTERN]), weight));
        assert!(
            matches!(error.kind(), Kind::Tuning(TuningError::OptionOutOfRange { name, .. }) if name == "plan.mlm_weight"),
            "{error}"
        );
    }
    let error = error(&Both::new(Setting::new(tuning("\"cls\""), &[PATTERN]), 1e-4));
    assert!(matches!(error.kind(), Kind::Tuning(TuningError::ClsWithMlm)), "{error}");
    let mut all = Both::new(Setting::new(Tuning::Full, &[PATTERN]), 2.0);
    (all.batch_size, all.examples) = (0, Vec::new());
    let wrong = all.auxiliary().check(&tuning("\"cls\""), &all.setting.plan).err().unwrap();
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert_eq!(
        wrong.iter().nth(2).unwrap().to_string(),
        "unlabelled has no rows for the masked-language-model loss"
    );
    all.setting.plan.accumulation = 1 << 10;
    for (batch_size, fits) in [(3 << 10, true), ((3 << 10) + 1, false)] {
        let mut both = Both::new(Setting::new(Tuning::Full, &[PATTERN]), 1e-4);
        both.batch_size = batch_size;
        assert_eq!(both.auxiliary().check(&Tuning::Full, &all.setting.plan).is_ok(), fits, "{batch_size}");
    }
    let defaults = Auxiliary::new(&all.setting.plan, &all.columns, &all.examples);
    assert_eq!((defaults.weight, defaults.batch_size), (1e-4, 36));
}

#[test]
fn a_loss_that_is_not_finite_stops_and_names_the_unlabelled_rows() {
    // The decoder has every word: one without numbers leaves none to any row. The labelled rows see their
    // label words alone.
    let mut both = Both::new(
        Setting::on(
            moody(EngineChoice::Cloze, 0.0),
            Tuning::Head,
            &[PATTERN],
            "text,label\nold,down\nsad,up\n",
        ),
        1e-4,
    );
    let parameters = &both.setting.base.model.parameters;
    let words = parameters.weight(Module::WordEmbeddings).copy();
    let _ = words.get(both.setting.base.tokenizer().tokenize("love")[0].id).fill_(f64::NAN);
    both.setting.base.model.parameters =
        parameters.with([("bert.embeddings.word_embeddings.weight".to_owned(), words)]);
    let error = both.try_train().err().unwrap();
    let Kind::Training(TrainingError::MlmLossNotFinite { step: 1, data, records }) = error.kind() else {
        panic!("{error}")
    };
    assert_eq!((data.as_str(), records.as_slice()), ("unlabelled", &[1, 2, 3, 4, 5][..]));
    assert!(matches!(error.place(), Place::Nowhere), "{error}");
    both.examples.drain(1..);
    let error = both.try_train().err().unwrap();
    assert!(
        matches!(error.kind(), Kind::Training(TrainingError::MlmLossNotFinite { records, .. }) if records == &[1]),
        "{error}"
    );
    assert!(matches!(error.place(), Place::Row { file, record: 1, .. } if file == "unlabelled"), "{error}");
}

#[test]
fn an_event_says_the_loss_only_where_there_is_one() {
    let step = |mlm_loss| Event::Step {
        step: 1,
        task: None,
        losses: StepLosses { classification: Some(0.5), language_modelling: mlm_loss },
        learning_rate: 0.0,
        gradient_norm: 1.0,
        rows: 4,
        seconds: 0.0,
    };
    for (event, said) in [(step(None), false), (step(Some(7.5)), true)] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text.contains(r#""mlm_loss":7.5"#), said, "{text}");
        assert_eq!(text.contains("mlm_loss"), said, "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
