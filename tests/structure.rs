//! Classes in an order and in a tree, against scikit-learn, SciPy and hiclass.

use std::sync::Arc;

use cloze::learn::dataset::LabelledDataset;
use cloze::learn::objective::losses;
use cloze::learn::target::Target;
use cloze::numbers::softmax::softmax;
use cloze::predict::report::{OrderMeasures, Prediction, Tally};
use cloze::predict::tree_scores::TreeScores;
use cloze::text::data::{Columns, Example};
use cloze::text::verbalizer::{Order, Structure, Tree, TreeMode, ValueRange, Verbalizer};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::support::{assert_close, numbers, read_json};

fn golden() -> Value {
    read_json("tests/fixtures/metrics/structure.json")
}

fn labels(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
}

#[test]
fn measures_of_ordered_classes_equal_scikit_learn() {
    let golden = &golden()["order"];
    let order = Order::of_values(numbers(&golden["values"])).unwrap();
    let structure = Structure { order: Some(order), ..Structure::default() };
    let mut tally = Tally::new((0..5).map(|class| class.to_string())).structured(&structure);
    for row in golden["rows"].as_array().unwrap() {
        let prediction = Prediction { probabilities: numbers(&row["probabilities"]) };
        tally.add(&prediction, Some(usize::try_from(row["true"].as_u64().unwrap()).unwrap()));
    }
    let found = tally.evaluate().unwrap().order.unwrap();
    let close = |found: &OrderMeasures, wanted: &Value, what: &str| {
        let found = [
            found.accuracy,
            found.mean_absolute_error,
            found.quadratic_kappa.unwrap(),
            found.spearman.unwrap(),
        ];
        let wanted = ["accuracy", "mean_absolute_error", "quadratic_kappa", "spearman"]
            .map(|key| wanted[key].as_f64().unwrap());
        assert_close(&found, &wanted, 1e-12, what);
    };
    close(&found.likeliest, &golden["likeliest"], "likeliest");
    close(&found.median, &golden["median"], "median");
    close(&found.nearest, &golden["nearest"], "nearest");
    assert_close(
        &[found.expected_absolute_error, found.expected_root_square_error],
        &["expected_absolute_error", "expected_root_square_error"].map(|key| golden[key].as_f64().unwrap()),
        1e-12,
        "expected value",
    );
}

#[test]
fn counts_that_are_put_together_are_those_of_all_rows_to_the_bit() {
    let labels = ["a/x", "a/y", "b"].map(str::to_owned);
    let tree = Tree::of_paths(&["a/x", "a/y", "b"], TreeMode::Flat).unwrap();
    let order = Order::of_values(vec![1.0, 2.5, 7.0]).unwrap();
    let structure = Structure { order: Some(order), tree: Some(tree), ..Structure::default() };
    let tally = || Tally::new(labels.clone()).structured(&structure);
    let (mut whole, mut parts) = (tally(), [tally(), tally(), tally()]);
    for row in 0..1000_u32 {
        let share = f64::from(row * 7919 % 1000) / 1000.0;
        let probabilities = vec![share / 3.0, 1.0 - share, share * 2.0 / 3.0];
        let (prediction, truth) = (Prediction { probabilities }, Some((row % 3) as usize));
        whole.add(&prediction, truth);
        parts[(row * 31 % 7 % 3) as usize].add(&prediction, truth);
    }
    // Through a file, and in another order.
    let read =
        |part: &Tally| -> Tally { serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap() };
    let mut together = read(&parts[2]);
    parts[..2].iter().for_each(|part| together.merge(&read(part)));
    assert_eq!(together.evaluate(), whole.evaluate());
    assert_eq!((together.mean(), together.predicted()), (whole.mean(), whole.predicted()));
}

#[test]
fn kappa_and_correlation_of_one_class_alone_are_none() {
    let order = Order::of_labels(["1", "2", "3"].into_iter());
    let structure = Structure { order: Some(order), ..Structure::default() };
    let mut tally = Tally::new(["1", "2", "3"].map(str::to_owned)).structured(&structure);
    tally.add(&Prediction { probabilities: vec![0.2, 0.5, 0.3] }, Some(1));
    let found = tally.evaluate().unwrap().order.unwrap();
    assert_eq!((found.likeliest.quadratic_kappa, found.likeliest.spearman), (None, None));
    assert_eq!(found.likeliest.mean_absolute_error, 0.0);
}

#[test]
fn measures_of_a_tree_equal_hiclass() {
    let golden = &golden()["tree"];
    let paths = labels(&golden["paths"]);
    let of_paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let tree = Tree::of_paths(&of_paths, TreeMode::Flat).unwrap();
    let structure = Structure { tree: Some(tree), ..Structure::default() };
    let mut tally = Tally::new(paths.iter().cloned()).structured(&structure);
    for row in golden["rows"].as_array().unwrap() {
        let [truth, predicted] = [0, 1].map(|at| usize::try_from(row[at].as_u64().unwrap()).unwrap());
        let probabilities =
            (0..paths.len()).map(|class| if class == predicted { 1.0 } else { 0.0 }).collect();
        tally.add(&Prediction { probabilities }, Some(truth));
    }
    let found = tally.evaluate().unwrap().tree.unwrap();
    let wanted = ["precision", "recall", "f1"].map(|key| golden[key].as_f64().unwrap());
    assert_close(&[found.precision, found.recall, found.f1], &wanted, 1e-12, "hierarchical measures");
    for (level, wanted) in found.levels.iter().zip(golden["levels"].as_array().unwrap()) {
        assert_close(&[level.accuracy], &[wanted["accuracy"].as_f64().unwrap()], 1e-12, "a level");
        assert_eq!(json!(level.nodes), wanted["nodes"]);
    }
}

#[test]
fn scores_in_a_tree_equal_scipy() {
    let golden = golden();
    let own: Vec<Vec<f64>> = golden["scores"]["own"].as_array().unwrap().iter().map(numbers).collect();
    let with_words = labels(&golden["scores"]["branches_with_words"]);
    let file = |mode: TreeMode| {
        // The words themselves play no part here.
        let class = |name: &str| json!({ "label": name, "words": [format!("word of {name}")] });
        let branch = |name: &str, path: &str, children: Vec<Value>| {
            let mut branch = json!({ "label": name, "children": children });
            if with_words.iter().any(|known| known == path) {
                branch["words"] = json!([format!("word of {name}")]);
            }
            branch
        };
        let ball = branch("ball", "sport/ball", vec![class("football"), class("tennis")]);
        let stage = branch("stage", "culture/stage", vec![class("opera"), class("ballet")]);
        let sport = branch("sport", "sport", vec![ball, class("water")]);
        let culture = branch("culture", "culture", vec![class("film"), stage]);
        json!({ "version": 1, "tree": mode.name(), "classes": [sport, class("politics"), culture] })
            .to_string()
    };
    for mode in TreeMode::ALL {
        let verbalizer = Verbalizer::parse("tree", "tree.json", &file(mode)).unwrap();
        assert_eq!(verbalizer.labels().collect::<Vec<_>>(), labels(&golden["tree"]["paths"]));
        let tree = verbalizer.structure().tree.as_ref().unwrap();
        let scores = TreeScores::new(tree, Device::Cpu).unwrap();
        let found = scores.of(&Tensor::from_slice2(&own).to_kind(Kind::Float)).softmax(-1, Kind::Double);
        let wanted: Vec<f64> =
            golden["scores"][mode.name()].as_array().unwrap().iter().flat_map(numbers).collect();
        assert_close(&Vec::<f64>::try_from(found.flatten(0, -1)).unwrap(), &wanted, 1e-6, mode.name());
        // What is added to all scores of a row changes nothing, also where paths are of different lengths.
        let more: Vec<Vec<f64>> =
            own.iter().map(|row| row.iter().map(|score| score + 3.0).collect()).collect();
        let found = scores.of(&Tensor::from_slice2(&more).to_kind(Kind::Float)).softmax(-1, Kind::Double);
        assert_close(&Vec::<f64>::try_from(found.flatten(0, -1)).unwrap(), &wanted, 1e-5, mode.name());
    }
}

#[test]
fn a_flat_tree_without_words_of_branches_changes_no_score() {
    let tree = Tree::of_paths(&["a/b", "a/c", "d"], TreeMode::Flat).unwrap();
    assert!(TreeScores::new(&tree, Device::Cpu).is_none());
}

#[test]
fn correlations_of_numbers_equal_scipy_and_their_loss_pytorch() {
    let golden = read_json("tests/fixtures/metrics/range.json");
    let [low, high] = numbers(&golden["range"])[..] else { panic!("a range has two ends") };
    let range = ValueRange::new([low, high]).unwrap();
    let structure = Structure { range: Some(range), ..Structure::default() };
    let mut tally = Tally::new(["low", "high"].map(str::to_owned)).structured(&structure);
    let (scores, truths) = (&golden["scores"], numbers(&golden["numbers"]));
    let scores: Vec<Vec<f64>> = scores.as_array().unwrap().iter().map(numbers).collect();
    let mut predicted = Vec::new();
    for (scores, truth) in scores.iter().zip(&truths) {
        let prediction = Prediction { probabilities: softmax(scores.clone()) };
        let share = range.share_of(&truth.to_string()).unwrap();
        predicted.push(range.expected(&prediction.probabilities));
        tally.add(&prediction, Some(ValueRange::half(share)));
        tally.add_number(&prediction, share);
    }
    assert_close(&predicted, &numbers(&golden["predicted"]), 1e-12, "predicted");
    let found = tally.evaluate().unwrap().range.unwrap();
    let measured = [
        found.pearson.unwrap().value,
        found.spearman.unwrap().value,
        found.mean_absolute_error.value,
        found.mean_absolute_error_of_mean,
    ];
    let wanted = ["pearson", "spearman", "mean_absolute_error", "mean_absolute_error_of_mean"]
        .map(|key| golden[key].as_f64().unwrap());
    assert_close(&measured, &wanted, 1e-12, "measures");
    let [low, high] = found.pearson.unwrap().interval_95.unwrap();
    assert!(low < wanted[0] && wanted[0] < high && high - low < 0.6);

    let scores =
        Tensor::from_slice(&scores.concat()).view([40, 2]).to_kind(Kind::Float).set_requires_grad(true);
    let rows = truths.iter().enumerate().map(|(row, truth)| Example {
        record: row as u64 + 1,
        line: 0,
        fields: Vec::new(),
        label: Some(truth.to_string()),
        values: None,
    });
    let rows = LabelledDataset {
        columns: Arc::new(Columns::check("numbers", Vec::new(), None).unwrap()),
        examples: rows.collect(),
        targets: vec![Target::Class(0); 40],
    };
    let rows = rows.with_numbers(&range);
    let losses = losses(&scores, &rows.targets.iter().collect::<Vec<_>>());
    losses.mean(Kind::Float).backward();
    assert_close(&to_numbers(&losses), &numbers(&golden["losses"]), 1e-5, "losses");
    let gradient: Vec<f64> = golden["gradient"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_close(&to_numbers(&scores.grad()), &gradient, 1e-6, "gradient");
}

#[test]
fn numbers_that_are_put_together_are_measured_as_those_of_all_rows_to_the_bit() {
    let range = ValueRange::new([-1.0, 2.0]).unwrap();
    let structure = Structure { range: Some(range), ..Structure::default() };
    let tally = || Tally::new(["low", "high"].map(str::to_owned)).structured(&structure);
    let (mut whole, mut parts) = (tally(), [tally(), tally()]);
    for row in 0..200_u32 {
        let share = f64::from(row * 7919 % 200) / 199.0;
        let high = f64::from(row * 31 % 200) / 200.0;
        let prediction = Prediction { probabilities: vec![1.0 - high, high] };
        for tally in [&mut whole, &mut parts[(row * 3 % 2) as usize]] {
            tally.add(&prediction, Some(ValueRange::half(share)));
            tally.add_number(&prediction, share);
        }
    }
    let read =
        |part: &Tally| -> Tally { serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap() };
    let mut together = read(&parts[1]);
    together.merge(&read(&parts[0]));
    assert_eq!(together.evaluate(), whole.evaluate());
}

fn to_numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}
