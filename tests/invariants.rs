//! What must always hold, each a test named as its claim.

use std::path::Path;
use std::sync::Arc;

use cloze::error::{Kind, ModelError, Place};
use cloze::learn::encoded::EncodedRows;
use cloze::model::batch::Batch;
use cloze::model::dtype::Dtype;
use cloze::model::encoder::{Additions, Encoder, Mode};
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::head::MlmHead;
use cloze::model::threads::Threads;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::auto;
use cloze::predict::classifier::Classifier;
use cloze::predict::encode::{encode, encode_with_cuts};
use cloze::predict::label_words::LabelWords;
use cloze::predict::output::PredictionWriter;
use cloze::predict::prompt_model::PromptModel;
use cloze::predict::pvp::Pvp;
use cloze::predict::report::Prediction;
use cloze::predict::score::{Coming, Scored, Scorer, cut};
use cloze::predict::task::Task;
use cloze::text::data::{Columns, Example, Format, Rows};
use cloze::text::demonstrations::{Drawing, Shown};
use cloze::text::template::{Part, Prompt, Template};
use cloze::text::verbalizer::Verbalizer;
use cloze::tune::Adapted;
use proptest::prelude::*;
use tch::Device;

use crate::support::{DEFAULT, Parts, TINY, assert_close, base, load, pvp, task, values, zero_shot};

const MOOD: &str = r#"{ "version": 1, "classes": [ { "label": "down", "words": ["bad", "terrible"] }, { "label": "up", "words": ["great"] },
    { "label": "between", "words": ["maybe"] } ] }"#;

const TEXTS: [&str; 7] = [
    "good",
    "The best team of the year, really!",
    "",
    "maybe it was bad and maybe it was terrible, but the world was great and the sports were good",
    "no",
    "Zyzzyva 42 quokkas",
    "yes yes yes yes yes yes yes yes yes yes yes yes",
];

fn tokenizer(folder: &str) -> Tokenizer {
    ModelFolder::open(Path::new(folder)).unwrap().tokenizer
}

fn wrap<'a>(pvp: &'a Pvp, fields: &'a [&str]) -> Prompt<'a> {
    pvp.wrap(|field| fields[field])
}

/// Inputs of mixed lengths, single and paired.
fn mixed_inputs(tokenizer: &Tokenizer, max_length: usize) -> Vec<Features> {
    let single = pvp("{text} It was {mask}.");
    let paired = pvp("{mask}, {text} {sep} {text}");
    let long = TEXTS.join(" ").repeat(4);
    TEXTS
        .into_iter()
        .chain([long.as_str()])
        .flat_map(|text| {
            let encoded =
                |pattern, fields: &[&str]| encode(&wrap(pattern, fields), tokenizer, max_length).unwrap();
            [encoded(&single, &[text]), encoded(&paired, &[text, "was it?"])]
        })
        .collect()
}

fn label_words(model: &PromptModel) -> LabelWords {
    LabelWords::check(&Verbalizer::parse("mood", "mood.json", MOOD).unwrap(), model.tokenizer(), Device::Cpu)
        .unwrap()
}

/// Rows and patterns, ready to be scored by the tiny model.
struct Setting {
    classifiers: [Classifier; 1],
    tokenizer: Tokenizer,
    tasks: Vec<Task>,
    columns: Arc<Columns>,
    examples: Vec<Example>,
}

impl Setting {
    fn new(patterns: &[&str], csv: &str, verbalizer: &str) -> Setting {
        let verbalizer = Verbalizer::parse("mood", "mood.json", verbalizer).unwrap();
        let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer);
        let rows =
            Rows::read(Box::new(std::io::Cursor::new(csv.to_owned())), "test", Format::Csv, None).unwrap();
        let columns = rows.columns().clone();
        let examples = rows.collect::<Result<_, _>>().unwrap();
        let tasks = patterns.iter().map(|pattern| task(pattern, &columns)).collect();
        Setting {
            classifiers: [base.zero_shot(None).unwrap()],
            tokenizer: tokenizer(TINY),
            tasks,
            columns,
            examples,
        }
    }

    fn scorer(&self, batch_tokens: usize) -> Scorer<'_> {
        Scorer {
            classifiers: &self.classifiers,
            tokenizer: &self.tokenizer,
            tasks: &self.tasks,
            max_length: 64,
            batch_tokens,
            threads: Threads::usual(),
            long: Default::default(),
            pool: Default::default(),
            neighbours: None,
        }
    }
}

fn score(patterns: &[&str], csv: &str, verbalizer: &str, batch_tokens: usize) -> Vec<Scored> {
    let setting = Setting::new(patterns, csv, verbalizer);
    setting.scorer(batch_tokens).score(&setting.columns, &setting.examples, &mut |_| {}).unwrap()
}

fn texts_as_csv() -> String {
    std::iter::once("text\n".to_owned()).chain(TEXTS.iter().map(|text| format!("\"{text}\"\n"))).collect()
}

#[test]
fn encoder_equals_rust_bert() {
    // Long enough, for the default model, to reach the fused attention.
    for (folder, max_length) in [(TINY, 64), (DEFAULT, 200)] {
        let (ours, theirs) = (load(folder, EngineChoice::Cloze), load(folder, EngineChoice::RustBert));
        let words = label_words(&ours);
        let inputs = mixed_inputs(ours.tokenizer(), max_length);
        assert_eq!(inputs.iter().map(|input| input.ids.len()).max(), Some(max_length));
        let batch: Vec<&Features> = inputs.iter().collect();
        let (found, wanted) = tch::no_grad(|| {
            (ours.class_scores(&batch, &words, Mode::Score), theirs.class_scores(&batch, &words, Mode::Score))
        });
        assert_close(&values(&found), &values(&wanted), 1e-4, folder);
    }
}

#[test]
fn narrow_types_stay_near_and_know_no_neighbours() {
    let parts = Parts::load(DEFAULT);
    let mut model = load(DEFAULT, EngineChoice::Cloze);
    let words = label_words(&model);
    let inputs = mixed_inputs(model.tokenizer(), 200);
    let batch: Vec<&Features> = inputs.iter().collect();
    let probabilities = |model: &PromptModel, inputs: &[&Features]| {
        values(&tch::no_grad(|| {
            model.class_scores(inputs, &words, Mode::Score).softmax(-1, tch::Kind::Double)
        }))
    };
    let wide = probabilities(&model, &batch);
    // How far a type's probabilities may be from single precision's, and from those of the same row among
    // others, at most and on average: 24, 8 and 7 bits of a number are kept, and six layers add up. A row alone
    // is summed in another order, which now and then rounds a number to the next of int8's 255: seen are .016
    // and .0009. One int8 scale for a batch strays by .083 and .013.
    for (dtype, bound, [most, mean]) in [
        (Dtype::F32, 1e-5, [1e-5, 1e-6]),
        (Dtype::Bf16, 0.03, [0.03, 0.005]),
        (Dtype::Int8, 0.06, [0.025, 0.003]),
    ] {
        model.prepare(dtype).unwrap();
        let narrow = probabilities(&model, &batch);
        let is_wide = dtype.on(Device::Cpu) == Dtype::F32;
        assert!(is_wide || narrow != wide, "{dtype:?} computes as it did before");
        assert_close(&narrow, &wide, bound, "a narrow type and f32");
        let alone: Vec<f64> = batch.iter().flat_map(|input| probabilities(&model, &[input])).collect();
        assert_close(&alone, &narrow, most, "alone and among others");
        let apart: f64 = alone.iter().zip(&narrow).map(|(alone, among)| (alone - among).abs()).sum();
        let apart = apart / alone.len() as f64;
        assert!(apart <= mean, "{dtype:?} alone and among others: {apart} apart on average");
        model.adapt(&parts.parameters, Adapted { parameters: None, additions: Additions::default() });
        assert_eq!(probabilities(&model, &batch), wide, "adapting anew brings single precision back");
    }
    assert!(load(TINY, EngineChoice::RustBert).prepare(Dtype::Bf16).is_err());
}

#[test]
fn the_fastest_near_type_is_chosen_and_remembered() {
    let memory = tempfile::tempdir().unwrap();
    let verbalizer = Verbalizer::parse("mood", "mood.json", MOOD).unwrap();
    let classifiers = [base(Path::new(DEFAULT), EngineChoice::Cloze, &verbalizer).zero_shot(None).unwrap()];
    let (chosen, trials) = auto::fastest(&classifiers, Some(memory.path()), true);
    let trials = trials.unwrap();
    assert_eq!(trials[0].dtype, Dtype::F32);
    let fastest = trials
        .iter()
        .filter(|trial| trial.largest_difference <= auto::BOUND)
        .map(|trial| trial.milliseconds)
        .fold(f64::INFINITY, f64::min);
    assert_eq!(trials.iter().find(|trial| trial.milliseconds == fastest).unwrap().dtype, chosen);
    // What is written there is what counts the next time: here int8 as fast as can be and too far, so that
    // bf16 is taken.
    let files: Vec<_> =
        std::fs::read_dir(memory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let write = |int8: f64| {
        let trial = |dtype: &str, milliseconds: f64, far: f64| {
            format!(
                r#"{{ "dtype": "{dtype}", "milliseconds": {milliseconds:?}, "largest_difference": {far:?} }}"#
            )
        };
        let trials = [trial("f32", 9.0, 0.0), trial("bf16", 2.0, 0.01), trial("int8", 1.0, int8)].join(", ");
        std::fs::write(file, format!(r#"{{ "version": 1, "trials": [{trials}] }}"#)).unwrap();
    };
    for (far, wanted) in [(auto::BOUND * 1.01, Dtype::Bf16), (auto::BOUND, Dtype::Int8)] {
        write(far);
        assert_eq!(auto::fastest(&classifiers, Some(memory.path()), false).0, wanted);
    }
    // With a damaged file nothing is remembered: where nothing may be measured, that is put off.
    std::fs::write(file, "{").unwrap();
    assert_eq!(auto::fastest(&classifiers, Some(memory.path()), false), (Dtype::F32, Some(Vec::new())));
    let tried = |classifiers: &[Classifier], memory: Option<&Path>| {
        auto::fastest(classifiers, memory, true).1.map(|trials| trials.len())
    };
    assert_eq!(tried(&classifiers, Some(memory.path())), Some(trials.len()));
    // Another model has a file of its own.
    let other = [base(Path::new(TINY), EngineChoice::Cloze, &verbalizer).zero_shot(None).unwrap()];
    tried(&other, Some(memory.path()));
    assert_eq!(std::fs::read_dir(memory.path()).unwrap().count(), 2);
    // Nowhere to write: measured all the same. rust-bert has nothing to choose from.
    assert_eq!(tried(&other, None), Some(trials.len()));
    let reference = [base(Path::new(TINY), EngineChoice::RustBert, &verbalizer).zero_shot(None).unwrap()];
    assert_eq!(auto::fastest(&reference, None, true), (Dtype::F32, None));
}

#[test]
fn chunks_threads_and_equal_rows_change_nothing() {
    // Every row three times, in three chunks.
    let csv: String = texts_as_csv()
        + &[texts_as_csv(), texts_as_csv()].map(|again| again["text\n".len()..].to_owned()).concat();
    let setting = Setting::new(&["{text|shorten} It was {mask}.", "{mask}: {text|shorten}"], &csv, MOOD);
    let (scorer, Setting { columns, examples, .. }) = (setting.scorer(128), &setting);
    let probabilities = |scored: &[Scored]| {
        scored.iter().flat_map(|row| row.average.probabilities.clone()).collect::<Vec<_>>()
    };
    let before = tch::get_num_threads();
    let mut found = Vec::new();
    for threads in [1, 3] {
        tch::set_num_threads(threads);
        let mut chunks = examples.chunks(TEXTS.len()).map(Coming::Chunk);
        let mut rows = Vec::new();
        let mut firsts = Vec::new();
        let mut each = |chunk: &[Example], scored: Vec<Scored>| {
            assert_eq!(chunk.len(), scored.len());
            firsts.push(chunk[0].line);
            rows.extend(scored);
            Ok(())
        };
        let mut next = |_| Ok(chunks.next().unwrap_or(Coming::End));
        scorer.score_chunks(columns, &mut next, &mut each, &mut |_| {}).unwrap();
        assert_eq!(firsts, examples.chunks(TEXTS.len()).map(|chunk| chunk[0].line).collect::<Vec<_>>());
        found.push(probabilities(&rows));
        found.push(probabilities(&scorer.score(columns, examples, &mut |_| {}).unwrap()));
    }
    tch::set_num_threads(before);
    for other in &found[1..] {
        assert_close(other, &found[0], 1e-5, "threads and chunks");
    }
    // Rows that are the same are scored once, so their scores are the same to the last bit.
    let whole = found.pop().unwrap();
    let thirds: Vec<&[f64]> = whole.chunks(whole.len() / 3).collect();
    assert_eq!(thirds[0], thirds[1]);
    assert_eq!(thirds[0], thirds[2]);
}

#[test]
fn rows_before_an_error_are_given_away() {
    let setting = Setting::new(&["{text|shorten} It was {mask}."], &texts_as_csv(), MOOD);
    let examples = setting.examples.as_slice();
    let chunk = || Ok(Coming::Chunk(examples));
    let mut next = vec![Err(ModelError::NoCuda.into()), chunk(), chunk()];
    let mut given = 0;
    let mut each = |_, scored: Vec<Scored>| {
        given += scored.len();
        Ok(())
    };
    let outcome = setting.scorer(128).score_chunks(
        &setting.columns,
        &mut |_| next.pop().unwrap(),
        &mut each,
        &mut |_| {},
    );
    assert!(matches!(outcome.unwrap_err().kind(), Kind::Model(ModelError::NoCuda)));
    assert_eq!(given, 2 * examples.len());
}

#[test]
fn mask_rows_equal_the_full_forward() {
    let parts = Parts::load(TINY);
    let tokenizer = tokenizer(TINY);
    let inputs = mixed_inputs(&tokenizer, 64);
    let batch = Batch::collate(&inputs.iter().collect::<Vec<_>>(), tokenizer.special().pad, Device::Cpu);
    let encoder = Encoder::new(&parts.config, &parts.parameters);
    let (rows, full) = tch::no_grad(|| {
        let none = Additions::default();
        (
            encoder.states_at_masks(&batch, &none, Mode::Score),
            batch.at_masks(&encoder.forward(&batch, &none, Mode::Score)),
        )
    });
    assert_close(&values(&rows), &values(&full), 1e-5, "states");
    // And the decoder's columns are those of the whole decoder.
    let head = MlmHead::new(&parts.config, &parts.parameters);
    let ids = tch::Tensor::from_slice(&[8_i64, 227, 0, 227]);
    let (some, all) = tch::no_grad(|| {
        (
            head.logits_of(&rows, &ids, None, Mode::Score),
            head.logits(&rows, None, Mode::Score).index_select(-1, &ids),
        )
    });
    assert_close(&values(&some), &values(&all), 1e-5, "logits");
}

#[test]
fn padding_never_changes_scores() {
    let model = load(TINY, EngineChoice::Cloze);
    let words = label_words(&model);
    let inputs = mixed_inputs(model.tokenizer(), 64);
    let longest = inputs.iter().max_by_key(|input| input.ids.len()).unwrap();
    for input in &inputs {
        let (alone, padded) = tch::no_grad(|| {
            let scores = |inputs: &[&Features]| model.class_scores(inputs, &words, Mode::Score);
            (scores(&[input]), scores(&[input, longest]).get(0))
        });
        assert_close(&values(&alone), &values(&padded), 1e-5, "alone and padded");
    }
}

#[test]
fn batch_of_one_equals_batch_of_many() {
    let patterns = ["{text} It was {mask}.", "{mask}: {text}"];
    let (one, many) =
        (score(&patterns, &texts_as_csv(), MOOD, 1), score(&patterns, &texts_as_csv(), MOOD, 100_000));
    for (one, many) in one.iter().zip(&many) {
        assert_close(&one.average.probabilities, &many.average.probabilities, 1e-6, "probabilities");
    }
}

#[test]
fn same_input_same_bits() {
    let run = || score(&["{text} It was {mask}."], &texts_as_csv(), MOOD, 50);
    let (first, second) = (run(), run());
    assert!(first.iter().zip(&second).all(|(first, second)| first.average == second.average));
}

#[test]
fn reordering_classes_reorders_columns() {
    let reversed = r#"{ "version": 1, "classes": [ { "label": "between", "words": ["maybe"] }, { "label": "up", "words": ["great"] },
        { "label": "down", "words": ["terrible", "bad"] } ] }"#;
    let run = |verbalizer| score(&["{text} It was {mask}."], &texts_as_csv(), verbalizer, 100);
    for (forward, backward) in run(MOOD).into_iter().zip(run(reversed)) {
        let mut turned = backward.average.probabilities;
        turned.reverse();
        assert_close(&forward.average.probabilities, &turned, 1e-6, "probabilities");
    }
}

#[test]
fn ensemble_of_one_is_its_member() {
    for scored in score(&["{text} It was {mask}."], &texts_as_csv(), MOOD, 100) {
        assert_eq!(scored.average, scored.by_pattern[0]);
    }
}

#[test]
fn rows_come_out_in_their_order() {
    let together = score(&["{text} It was {mask}."], &texts_as_csv(), MOOD, 30);
    for (text, scored) in TEXTS.iter().zip(&together) {
        let alone = score(&["{text} It was {mask}."], &format!("text\n\"{text}\"\n"), MOOD, 30);
        assert_close(&alone[0].average.probabilities, &scored.average.probabilities, 1e-6, text);
    }
}

#[test]
fn mask_text_in_data_is_harmless() {
    let tokenizer = tokenizer(TINY);
    let special = tokenizer.special();
    let pattern = pvp("{text} It was {mask}. {text}");
    let text = "[MASK] {mask} [SEP] [CLS] [PAD] [UNK]";
    let features = encode(&wrap(&pattern, &[text, text]), &tokenizer, 64).unwrap();
    assert_eq!(features.ids.iter().filter(|id| **id == special.mask).count(), 1);
    assert_eq!(features.ids[features.mask], special.mask);
    assert_eq!(
        features
            .ids
            .iter()
            .filter(|id| [special.sep, special.cls, special.pad, special.unk].contains(id))
            .count(),
        2
    );
}

#[test]
fn a_segment_is_tokenised_as_one_text() {
    let tokenizer = tokenizer(DEFAULT);
    // "un" + "happy" is one word; the mask, as in transformers, ends a word.
    let glued = pvp("un{text} {mask}ly");
    let whole = pvp("{text} {mask}ly");
    let ids = |pattern: &Pvp, text: &str| encode(&wrap(pattern, &[text]), &tokenizer, 64).unwrap().ids;
    assert_eq!(ids(&glued, "happy"), ids(&whole, "unhappy"));
}

#[test]
fn the_longest_field_is_cut_first_and_the_later_on_a_tie() {
    let tokenizer = tokenizer(TINY);
    let pattern = pvp("{a} {mask} {b}");
    let cut = |max_length: usize| {
        let (_, cuts) =
            encode_with_cuts(&wrap(&pattern, &["good good good", "bad bad bad bad"]), &tokenizer, max_length)
                .unwrap();
        let of = |field: usize| cuts.iter().find(|cut| cut.field == field).map_or(0, |cut| cut.ids.len());
        (of(0), of(1))
    };
    // [CLS] a a a [MASK] b b b b [SEP] is 10 tokens.
    assert_eq!([10, 9, 8, 7, 6].map(cut), [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3)]);
}

/// Texts with everything that is awkward: any letters, brackets, braces, line ends, special-token names.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,60}",
        "[a-z \\[\\]{}|.]{0,60}",
        Just("[MASK] {mask} [SEP]".to_owned()),
        Just("é\u{200b}\u{301}漢字🙂\r\n\t\0".to_owned())
    ]
}

#[test]
fn of_a_very_long_text_no_more_is_read_than_is_kept_and_the_ids_are_the_same() {
    let tokenizer = tokenizer(TINY);
    let short = "a good film";
    let long = "a film that was not good at all ".repeat(2000);
    let unbroken = "good".repeat(20_000);
    let blank = format!("{}film", " ".repeat(50_000));
    for pattern in [
        "{a|shorten}s {mask} {b|shorten}.",
        "{mask} {a|shorten} {b}",
        "{b|shorten} {sep} {mask}: {a|shorten}",
    ] {
        let pattern = pvp(pattern);
        for (first, second) in [
            (&*long, short),
            (short, &*long),
            (&*long, &*long),
            (&*unbroken, &*long),
            (&*blank, &*long),
            (&*long, &*blank),
        ] {
            let read = |whole: bool| {
                let fields = [first, second];
                let prompt = wrap(&pattern, &fields);
                match whole {
                    true => encode_with_cuts(&prompt, &tokenizer, 40).map(|(features, _)| features),
                    false => encode(&prompt, &tokenizer, 40),
                }
            };
            match (read(true), read(false)) {
                (Ok(whole), Ok(enough)) => {
                    assert_eq!((&whole.ids, whole.mask), (&enough.ids, enough.mask));
                    assert_eq!(whole.removed > 0, enough.removed > 0);
                }
                (whole, enough) => assert_eq!(whole.is_err(), enough.is_err()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncation_never_removes_the_mask_or_fixed_text(first in awkward(), second in awkward(), max_length in 14_usize..40) {
        let tokenizer = tokenizer(TINY);
        let special = tokenizer.special();
        let pattern = pvp("Was it {a|shorten}? {mask} , {sep} yes {b|shorten} no");
        let (features, cuts) = encode_with_cuts(&wrap(&pattern, &[&first, &second]), &tokenizer, max_length).unwrap();
        prop_assert!(features.ids.len() <= max_length);
        prop_assert_eq!(features.ids[features.mask], special.mask);
        prop_assert_eq!(features.removed, cuts.iter().map(|cut| cut.ids.len()).sum::<usize>());
        prop_assert_eq!(features.ids[features.second_segment - 1], special.sep);
        // What is kept is what is there without a limit, less what was cut.
        let whole = encode(&wrap(&pattern, &[&first, &second]), &tokenizer, usize::MAX).unwrap();
        prop_assert_eq!(whole.ids.len(), features.ids.len() + features.removed);
        for word in ["was", "it", "?", ",", "yes", "no"] {
            let id = tokenizer.tokenize(word)[0].id;
            prop_assert!(features.ids.contains(&id), "{} is gone", word);
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error_with_its_place(text in "(\\PC|[{}|\"\\\\]|\\{mask\\}|\\{a\\|shorten\\}){0,12}") {
        let file = serde_json::json!({ "version": 1, "pattern": text }).to_string();
        if let Err(error) = Template::parse("any", "any.json", &file) {
            let cloze::error::Place::Text { source, span, .. } = error.place() else { panic!("{error} has no place") };
            prop_assert!(span.start < span.end && span.end <= source.text().len(), "{span:?} in {file:?}");
            prop_assert!(source.text().is_char_boundary(span.start) && source.text().is_char_boundary(span.end));
        }
    }

    #[test]
    fn tokens_stand_where_their_words_stand(text in awkward()) {
        let tokenizer = tokenizer(TINY);
        let mut end = 0;
        for token in tokenizer.tokenize(&text) {
            prop_assert!(text.get(token.word.clone()).is_some(), "{:?} is no part of {:?}", token.word, text);
            prop_assert!(token.word.start < token.word.end && token.word.end >= end);
            end = token.word.end;
        }
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    let columns = cloze::text::data::Columns::check("test", vec!["text".into(), "a,b".into()], None).unwrap();
    let example = cloze::text::data::Example {
        record: 1,
        line: 2,
        fields: vec!["one, \"two\"\nthree".into(), "x".into()],
        label: None,
        values: None,
    };
    let prediction = cloze::predict::report::Prediction { probabilities: vec![0.25, 0.75] };
    let to = cloze::text::table::Destination { output: Vec::new(), name: "test".into(), format: Format::Csv };
    let labels = vec!["no".into(), "yes, really".into()];
    let mut writer = PredictionWriter::create(to, labels, false, &columns, true).unwrap();
    writer.write(&example, &prediction.into()).unwrap();
    let bytes = writer.finish().unwrap();
    let mut rows = Rows::read(Box::new(std::io::Cursor::new(bytes)), "again", Format::Csv, None).unwrap();
    assert_eq!(
        rows.columns().names(),
        ["row", "predicted", "confidence", "p_no", "p_yes, really", "text", "a,b"]
    );
    assert_eq!(
        rows.next().unwrap().unwrap().fields,
        ["1", "yes, really", "0.750000", "0.250000", "0.750000", "one, \"two\"\nthree", "x"]
    );
}

/// A draw's demonstrations, as they are shown, are the words of a row with them written into it.
#[test]
fn demonstrations_are_as_if_written_into_the_row() {
    let verbalizer = Verbalizer::parse("mood", "mood.json", MOOD).unwrap();
    let base = base(Path::new(TINY), EngineChoice::Cloze, &verbalizer);
    let classifiers = [zero_shot(&base)];
    let columns = Columns::check("rows", vec!["text".to_owned()], None).unwrap();
    let row =
        |text: &str| Example { record: 1, line: 1, fields: vec![text.to_owned()], label: None, values: None };
    let shown = [("a great day", 0), ("the worst book", 1), ("new and wonderful", 0)]
        .map(|(text, class)| (row(text), class));
    let drawing = Drawing { draws: 3, ..Drawing::default() };
    let showing = task("{demos:2}{text} It was {mask}.", &columns).with_support(
        &shown,
        &verbalizer.first_words(),
        drawing,
    );
    let rows = [row("a good film"), row("a great day")];
    let written: Vec<Vec<Example>> = showing
        .prompts(&rows)
        .unwrap()
        .iter()
        .map(|draws| draws.iter().map(|draw| row(&as_text(draw))).collect())
        .collect();
    // What a row says itself is never shown to it.
    assert!(written[1].iter().all(|draw| draw.fields[0].matches("a great day").count() == 1));
    let (plain, showing) = ([task("{text} It was {mask}.", &columns)], [showing]);
    let scorer = |tasks| Scorer {
        classifiers: &classifiers,
        tokenizer: base.tokenizer(),
        tasks,
        max_length: 64,
        batch_tokens: 1024,
        threads: Threads::usual(),
        long: Default::default(),
        pool: Default::default(),
        neighbours: None,
    };
    let found = scorer(&showing).score(&columns, &rows, &mut |_| {}).unwrap();
    for (found, written) in found.iter().zip(&written) {
        let draws: Vec<Prediction> = scorer(&plain)
            .score(&columns, written, &mut |_| {})
            .unwrap()
            .into_iter()
            .map(|scored| scored.average)
            .collect();
        assert_close(
            &found.average.probabilities,
            &Prediction::average(&draws).probabilities,
            1e-6,
            "average of the draws",
        );
    }
}

#[test]
fn a_training_shows_other_demonstrations_in_each_epoch() {
    let columns = Arc::new(Columns::check("rows", vec!["text".to_owned()], None).unwrap());
    let row =
        |text: &str| Example { record: 1, line: 1, fields: vec![text.to_owned()], label: None, values: None };
    let texts =
        ["a great day", "the worst book", "new and wonderful", "an old film", "not good", "the best team"];
    let shown: Vec<(Example, usize)> =
        texts.iter().enumerate().map(|(place, text)| (row(text), place % 2)).collect();
    let words = ["great", "bad"].map(str::to_owned);
    let model = Arc::new(ModelFolder::open(Path::new(TINY)).unwrap());
    let encoded = |each_epoch: bool| {
        let drawing = Drawing { draws: 2, each_epoch, ..Drawing::default() };
        let task = task("{demos:2}{text} It was {mask}.", &columns).with_support(&shown, &words, drawing);
        let rows: Vec<Example> = texts.iter().map(|text| row(text)).collect();
        EncodedRows::new(model.clone(), &[task], 64, &columns, &rows).unwrap()
    };
    let rows = encoded(true);
    assert_eq!(rows.len(), 12);
    assert!((0..12).all(|place| rows.anew(place, 0).unwrap().is_none()));
    let ids = |place: usize, epoch: usize| {
        rows.anew(place, epoch).unwrap().map_or_else(
            || rows.item(place).unwrap().features.ids.clone(),
            |item| {
                assert_eq!(item.row, place / 2);
                item.features.ids
            },
        )
    };
    // Of three rows of one class and two of the other, in two orders, some draws are the same by chance.
    let others = |epoch: usize| (0..12).filter(|&place| ids(place, epoch) != ids(place, 0)).count();
    assert!(others(1) >= 6 && others(2) >= 6, "{} {}", others(1), others(2));
    assert_eq!(ids(3, 1), ids(3, 1));
    let rows = encoded(false);
    assert!((0..12).all(|place| rows.anew(place, 1).unwrap().is_none()));
}

fn words_of(part: &Shown) -> &str {
    let (Shown::Text(text) | Shown::Field(text)) = part;
    text
}

/// The words before the pattern's own, as one text.
fn as_text(prompt: &Prompt<'_>) -> String {
    let words = |part: &Part<'_>| match part {
        Part::Demonstrations(all) => {
            all.iter().flat_map(|shown| shown.iter().map(words_of).chain([" "])).collect()
        }
        Part::Field { text, .. } => text.to_string(),
        _ => String::new(),
    };
    prompt.segments.iter().flatten().map(words).collect()
}

#[test]
fn the_place_of_a_json_error_lies_inside_its_text() {
    // One ends too early, one has a letter of two bytes where a value is wanted, one has a list for a number
    // and such a letter in it.
    for (text, marked) in [("{ \"version\": 1", ""), ("{ \"version\": é }", "é"), ("{ \"version\": [é", "é")]
    {
        let error = Template::parse("a", "a.json", text).unwrap_err();
        let Place::Text { source, span, .. } = error.place() else { panic!("{error} has no place") };
        assert_eq!(source.text().get(span.clone()), Some(marked), "{error}");
    }
}

/// What [`cut`] costs at least, by trying all ways.
fn least(lengths: &[usize], budget: usize, extra: usize) -> usize {
    let fitting = (1..=lengths.len()).filter(|&rows| rows == 1 || rows * lengths[rows - 1] <= budget);
    let cost = |rows: usize| rows * lengths[rows - 1] + extra + least(&lengths[rows..], budget, extra);
    fitting.map(cost).min().unwrap_or(0)
}

#[test]
fn no_other_way_to_cut_batches_costs_less() {
    let lengths = [3, 3, 4, 9, 10, 11, 11, 30, 31, 70, 200];
    for budget in [1, 20, 64, 100, 1000] {
        for extra in [0, 1, 5, 20, 1000] {
            let batches = cut(&lengths, budget, extra);
            let cost: usize = batches.iter().map(|batch| batch.len() * lengths[batch.end - 1] + extra).sum();
            assert_eq!(cost, least(&lengths, budget, extra), "{budget} {extra}: {batches:?}");
            assert!(batches.iter().all(|b| b.len() == 1 || b.len() * lengths[b.end - 1] <= budget));
            assert!(batches.iter().cloned().flatten().eq(0..lengths.len()));
        }
    }
    assert!(cut(&[], 32, 2).is_empty());
}
