//! What a report says of classes in an order or a tree.

use cloze::numbers::{count, interval, percent};
use cloze::predict::report::{Evaluation, OrderEvaluation, OrderMeasures, TreeEvaluation};

use super::table::{Align, table};

/// The tables, where there are any.
pub fn structure(evaluation: &Evaluation) -> String {
    let order = evaluation.order.as_ref().map(order);
    let tree = evaluation.tree.as_ref().map(tree);
    order.into_iter().chain(tree).map(|table| format!("\n{table}")).collect()
}

fn order(found: &OrderEvaluation) -> String {
    let decimal = |number: f64| format!("{number:.3}");
    let perhaps = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), decimal);
    let row = |name: &str, measures: &OrderMeasures| {
        vec![
            name.to_owned(),
            decimal(measures.mean_absolute_error),
            perhaps(measures.quadratic_kappa),
            perhaps(measures.spearman),
            percent(measures.accuracy),
        ]
    };
    let header =
        ["in their order", "mean error", "kappa", "Spearman", "accuracy"].map(str::to_owned).to_vec();
    let rows = vec![
        header,
        row("likeliest class", &found.likeliest),
        row("median class", &found.median),
        row("class nearest to the expected value", &found.nearest),
        vec!["expected value".to_owned(), decimal(found.expected_absolute_error)],
    ];
    let right = Align::Right;
    table(&[Align::Left, right, right, right, right], &rows)
        + "  mean error: mean absolute error in the classes' values; kappa: with quadratic weights\n"
}

fn tree(found: &TreeEvaluation) -> String {
    let header = ["in the tree", "%", "95 %", "of"].map(str::to_owned).to_vec();
    let levels = (1..).zip(&found.levels).map(|(number, level)| {
        vec![
            format!("accuracy of level {number}"),
            percent(level.accuracy),
            interval(level.accuracy_95),
            count(level.nodes as u64),
        ]
    });
    let shares = [
        ("hierarchical precision", found.precision),
        ("hierarchical recall", found.recall),
        ("hierarchical F1", found.f1),
    ];
    let shares = shares.map(|(name, share)| vec![name.to_owned(), percent(share)]);
    let rows: Vec<_> = std::iter::once(header).chain(levels).chain(shares).collect();
    table(&[Align::Left, Align::Right, Align::Right, Align::Right], &rows)
}
