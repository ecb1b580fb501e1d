//! Searches against numpy's numbers from transformers' outputs (tests/fixtures/search/make.py).

use std::path::Path;

use cloze::learn::target::Target;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::model::tensor_map::Module;
use cloze::model::threads::Threads;
use cloze::predict::classifier::{Classifier, VerbalizedLm};
use cloze::predict::encode::encode;
use cloze::predict::pvp::{Patterns, SoftVectors};
use cloze::predict::report::Prediction;
use cloze::predict::score::Scorer;
use cloze::predict::task::Task;
use cloze::study::search::pattern::{cross_validated, intervals, mutual_information, of_chosen};
use cloze::study::search::words::{
    MaskLogProbabilities, assignments, by_likelihood_ratio, likelihood_ratios, ranked,
};
use cloze::study::search::{TriggerRows, likeliest};
use cloze::text::data::{Columns, Example};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use serde_json::Value;

use crate::support::{
    TINY, assert_close, base, base_of, golden, numbers, read_json, task, values, zero_shot,
};

struct Setting {
    base: VerbalizedLm,
    classifiers: [Classifier; 1],
    columns: Columns,
    tasks: Vec<Task>,
    examples: Vec<Example>,
    truths: Vec<usize>,
}

fn setting(golden: &Value) -> Setting {
    let base = base(
        Path::new(TINY),
        EngineChoice::Cloze,
        &Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap(),
    );
    let columns = Columns::check("rows", vec!["text".to_owned()], None).unwrap();
    let patterns = golden["patterns"].as_array().unwrap().iter();
    let tasks = patterns.map(|pattern| task(pattern.as_str().unwrap(), &columns));
    let rows = golden["rows"].as_array().unwrap();
    let example = |row: &Value| Example {
        record: 1,
        line: 1,
        fields: vec![row[0].as_str().unwrap().to_owned()],
        label: None,
        values: None,
    };
    Setting {
        classifiers: [zero_shot(&base)],
        tasks: tasks.collect(),
        examples: rows.iter().map(example).collect(),
        truths: rows.iter().map(|row| usize::try_from(row[1].as_u64().unwrap()).unwrap()).collect(),
        base,
        columns,
    }
}

impl Setting {
    fn scorer(&self) -> Scorer<'_> {
        let (tokenizer, tasks) = (self.base.tokenizer(), self.tasks.as_slice());
        Scorer {
            classifiers: &self.classifiers,
            tokenizer,
            tasks,
            max_length: 64,
            batch_tokens: 1024,
            threads: Threads::usual(),
            long: Default::default(),
            pool: Default::default(),
            neighbours: None,
        }
    }

    fn said(&self) -> MaskLogProbabilities {
        let of_task = |task: &Task| {
            self.scorer()
                .encode(task, &self.columns, &self.examples)
                .unwrap()
                .into_iter()
                .flatten()
                .map(|(row, _)| row)
        };
        let by_pattern: Vec<Vec<_>> = self.tasks.iter().map(|task| of_task(task).collect()).collect();
        let Classifier::Prompt(model, _) = &self.classifiers[0] else { panic!("a model of label words") };
        let models = std::slice::from_ref(model);
        MaskLogProbabilities::of(models, self.base.tokenizer(), &[], &by_pattern, &mut |_| {})
    }
}

#[test]
fn likelihood_ratios_equal_numpy() {
    let golden = golden("tests/fixtures/search");
    let setting = setting(&golden);
    let said = setting.said();
    let words: Vec<&str> = said.ids.iter().map(|id| setting.base.tokenizer().token(*id)).collect();
    let wanted: Vec<&str> =
        golden["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words, wanted);
    for class in [0, 1] {
        let found = likelihood_ratios(&said, &setting.truths, class);
        assert_close(&found, &numbers(&golden["likelihood_ratios"][class]), 1e-4, "likelihood ratios");
    }
    // The best word of each class is the first that is found.
    let found = by_likelihood_ratio(&said, &setting.truths, 2, 1);
    for class in [0, 1] {
        let wanted = numbers(&golden["likelihood_ratios"][class]);
        let best = (0..wanted.len())
            .reduce(|best, next| if wanted[next] > wanted[best] { next } else { best })
            .unwrap();
        assert_eq!(found[class][0].0, said.ids[best]);
    }
}

#[test]
fn mutual_information_equals_numpy() {
    let golden = golden("tests/fixtures/search");
    let setting = setting(&golden);
    let scored = setting.scorer().score(&setting.columns, &setting.examples, &mut |_| {}).unwrap();
    for (pattern, wanted) in numbers(&golden["mutual_information"]).into_iter().enumerate() {
        let said: Vec<Prediction> = scored.iter().map(|row| row.by_pattern[pattern].clone()).collect();
        assert_close(&[mutual_information(&said)], &[wanted], 1e-6, "mutual information");
    }
}

/// What a word's probabilities by class and row say is found, whatever stands beside it.
#[test]
fn assignments_that_are_right_everywhere_come_first() {
    let truths = [0, 0, 1, 1, 0, 1, 0, 1];
    let row = |truth: &usize| if *truth == 0 { [0.5, 0.1, 0.3] } else { [0.1, 0.5, 0.3] };
    let said =
        ndarray::Array2::from_shape_vec((8, 3), truths.iter().flat_map(row).map(f64::ln).collect()).unwrap();
    let said = MaskLogProbabilities { ids: vec![3, 5, 8], log_probabilities: vec![said] };
    assert_eq!(assignments(&said, &truths, 2, 1), [vec![vec![(3, 1.0)], vec![(5, 1.0)]]]);
    assert_eq!(ranked(&said, &truths, 2, 7)[0], vec![vec![(3, 1.0)], vec![(5, 1.0)]]);
}

/// A pattern with a bias is right once it is corrected, and is then the one that the other folds choose.
#[test]
fn a_biased_pattern_is_corrected_on_the_other_folds() {
    let truths = [0, 1, 0, 1, 0, 1, 0, 1];
    let say = |first: f64| Prediction { probabilities: vec![first, 1.0 - first] };
    let biased: Vec<Prediction> =
        truths.iter().map(|truth| say(if *truth == 0 { 0.9 } else { 0.7 })).collect();
    let useless: Vec<Prediction> = (0..8).map(|row| say(if row < 4 { 0.6 } else { 0.4 })).collect();
    let right =
        |said: &[Prediction]| said.iter().zip(truths).filter(|(said, truth)| said.class() == *truth).count();
    assert_eq!(right(&biased), 4);
    let by_pattern = [cross_validated(&useless, &truths, 2, 3), cross_validated(&biased, &truths, 2, 3)];
    assert_eq!(right(&by_pattern[1]), 8);
    let without = |others: &[usize]| -> Vec<Vec<Prediction>> {
        let own: Vec<usize> = others.iter().map(|&row| truths[row]).collect();
        let part = |said: &[Prediction]| others.iter().map(|&row| said[row].clone()).collect::<Vec<_>>();
        [&useless, &biased].map(|said| cross_validated(&part(said), &own, 2, 3)).into()
    };
    assert_eq!(right(&of_chosen(&by_pattern, &truths, 3, without)), 8);
    // Every resample of the biased pattern's rows tells more than the useless one's, or as much.
    let found = intervals(&[useless.clone(), biased.clone()], 1, 3);
    let [low, high] = found[1].0;
    assert!(low <= mutual_information(&biased) && mutual_information(&biased) <= high, "{found:?}");
}

/// One step of AutoPrompt against PyTorch's (tests/fixtures/search/triggers.py).
#[test]
fn trigger_tokens_have_pytorchs_gradient_candidates_and_losses() {
    let golden = read_json("tests/fixtures/search/triggers.json");
    let verbalizer = Verbalizer::read(Path::new("tests/cases/usual/v.json")).unwrap();
    let mut folder = ModelFolder::open(Path::new(TINY)).unwrap();
    folder.config.set_dropout(0.0);
    let base = base_of(folder, EngineChoice::Cloze, &verbalizer);
    let template = Template::from_pattern("{text} {soft:3} {mask}.").unwrap();
    let bound =
        Patterns::bind(vec![template], &base.words, &base.model.folder, SoftVectors::Sampled, 64).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    let features = rows
        .iter()
        .map(|row| encode(&bound.pvps[0].wrap(|_| row[0].as_str().unwrap()), base.tokenizer(), 64).unwrap());
    let target = |row: &Value| Target::Class(usize::try_from(row[1].as_u64().unwrap()).unwrap());
    let rows = TriggerRows { features: features.collect(), targets: rows.iter().map(target).collect() };
    let id = |word: &Value| match word.as_str().unwrap() {
        "[MASK]" => base.tokenizer().special().mask,
        word => base.tokenizer().word_ids(word)[0],
    };
    let ids = |words: &Value| words.as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    let (triggers, allowed) = (ids(&golden["triggers"]), ids(&golden["allowed"]));
    let mut model = base.prompt_model(None).unwrap();
    let (loss, gradient) = rows.loss_and_gradient(&mut model, &base, &triggers);
    assert_close(&[loss], &[golden["loss"].as_f64().unwrap()], 1e-5, "loss");
    assert_close(&values(&gradient), &numbers(&golden["gradient"]), 1e-5, "gradient");
    let embeddings = base.model.parameters.weight(Module::WordEmbeddings);
    for (place, wanted) in golden["places"].as_array().unwrap().iter().enumerate() {
        let found = likeliest(embeddings, &gradient.get(place as i64), &allowed, 4);
        assert_eq!(found, ids(&wanted["candidates"]), "place {place}");
        for (candidate, wanted) in found.into_iter().zip(numbers(&wanted["losses"])) {
            let mut tried = triggers.clone();
            tried[place] = candidate;
            let loss = rows.measure(&mut model, &base, &tried).loss;
            assert_close(&[loss], &[wanted], 1e-5, "loss of a candidate");
        }
    }
}
