//! The page of rows with several labels each.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::rows::{self, RowSample, Shown, Words};
use super::scores::{MOST_IN_TABLE, answers, recall, tile};
use crate::numbers::multi_label::MultiLabelMetrics;
use crate::numbers::{count, counted, percent, wilson};
use crate::page::document::{document, heading, setting, warnings};
use crate::page::plots::{histogram, reliability};
use crate::page::tables::bins;
use crate::predict::mask_words::WordShare;
use crate::predict::multi_label::LabelsAnswer;
use crate::predict::multi_label::report::MultiLabelReport;
use crate::predict::report::Bin;
use crate::text::data::Example;

/// Between two labels of a row.
const BETWEEN: &str = " · ";
/// So many labels of a row are named.
const NAMED: usize = 12;
/// Bars of the histogram of probabilities, and bins of the reliability diagram.
const BARS: usize = 20;
/// So many of the labels that stand in others' places are listed.
const SWAPS: usize = 20;

/// What a page calls what is shown of its rows.
const SEVERAL: Words = Words {
    kinds: [
        "Rows that have all their labels and no other, or whose labels are not known; first those with a label nearest to its threshold.",
        "Rows with a label too few or too many; first those where such a label is farthest on the wrong side of its threshold.",
    ],
    sure: "points from the threshold",
    round_sure: [" · ", " points from the threshold"],
    truth: "labels",
};

/// Rows with their answers, taken as they come, for [`several_labels_page`]: memory does not grow with their
/// number.
///
/// ```
/// use cloze::predict::multi_label::LabelsAnswer;
/// use cloze::study::pictures::LabelRows;
/// use cloze::text::data::Example;
/// let mut rows = LabelRows::new(vec![0], vec!["billing".to_owned(), "urgent".to_owned()]);
/// let example = Example { record: 1, line: 1, fields: vec!["Pay me!".to_owned()], label: None, values: None };
/// let answer = LabelsAnswer { probabilities: vec![0.8, 0.6], given: vec![true, true], set: None };
/// rows.add(&example, &answer, &[Some(0.5), Some(0.5)], Some(&[true, false]));
/// let wrong: Vec<_> = rows.sample().wrong_and_sure().collect();
/// assert_eq!(wrong[0].answer, "billing 80 % · urgent 60 %");
/// assert!((wrong[0].sure - 0.1).abs() < 1e-12); // So far above its threshold is the label that is wrong.
/// ```
pub struct LabelRows {
    labels: Vec<String>,
    sample: RowSample,
    /// Pairs of a row and a label by the label's probability: the row has it, has it not, not known.
    bars: [[u64; BARS]; 3],
    /// The sum of the probabilities in each bar, of rows whose labels are known.
    sums: [f64; BARS],
    /// How often a label is missing where another is given that should not be.
    swaps: BTreeMap<(usize, usize), u64>,
}

impl LabelRows {
    /// None yet; of each row the fields at these places are shown.
    pub fn new(columns: Vec<usize>, labels: Vec<String>) -> LabelRows {
        LabelRows {
            sample: RowSample::new(columns, labels.clone()),
            labels,
            bars: [[0; BARS]; 3],
            sums: [0.0; BARS],
            swaps: BTreeMap::new(),
        }
    }

    /// Takes a row with its answer, the labels' thresholds, and which labels it has, if that is known.
    ///
    /// # Shapes
    /// L labels: thresholds `[L]`, truth `[L]`
    pub fn add(
        &mut self,
        example: &Example,
        answer: &LabelsAnswer,
        thresholds: &[Option<f64>],
        truth: Option<&[bool]>,
    ) {
        for (label, &share) in answer.probabilities.iter().enumerate() {
            let bar = ((share * BARS as f64) as usize).min(BARS - 1);
            let kind = truth.map_or(2, |truth| usize::from(!truth[label]));
            self.bars[kind][bar] += 1;
            if truth.is_some() {
                self.sums[bar] += share;
            }
        }
        // A label that is never given is as far away as certainty.
        let distance = |label: usize| {
            let (share, threshold) = (answer.probabilities[label], thresholds[label].unwrap_or(1.0));
            (share - threshold).abs().min(1.0)
        };
        let wrong = |label: &usize| truth.is_some_and(|truth| truth[*label] != answer.given[*label]);
        let all = 0..self.labels.len();
        let farthest = all.clone().filter(wrong).map(distance).reduce(f64::max);
        let nearest = all.clone().map(distance).fold(1.0, f64::min);
        if let Some(truth) = truth {
            let missing: Vec<usize> = all.clone().filter(|&l| truth[l] && !answer.given[l]).collect();
            let added: Vec<usize> = all.filter(|&l| !truth[l] && answer.given[l]).collect();
            for missing in missing {
                added.iter().for_each(|added| *self.swaps.entry((missing, *added)).or_default() += 1);
            }
        }
        let with_share =
            |label: usize| format!("{} {:.0} %", self.labels[label], 100.0 * answer.probabilities[label]);
        let shown = Shown {
            answer: named(&answer.given, with_share),
            truth: truth.map(|truth| named(truth, |label| self.labels[label].clone())),
            right: truth.map(|_| farthest.is_none()),
            sure: farthest.unwrap_or(nearest),
        };
        self.sample.add_shown(example, shown);
    }

    /// The rows.
    pub fn sample(&self) -> &RowSample {
        &self.sample
    }

    /// Takes what a model says at the mask of [`RowSample::worth_a_look`], in their order; the names are
    /// those of the classes that the words belong to.
    pub fn take_words(&mut self, names: Vec<String>, words: Vec<Vec<WordShare>>) {
        self.sample.take_named_words(names, words);
    }

    /// How often rows have a label, by its probability.
    fn reliability(&self) -> Vec<Bin> {
        let edge = |bin: usize| bin as f64 / BARS as f64;
        let bin = |bin: usize| {
            let [has, has_not, _] = self.bars.map(|bars| bars[bin]);
            let rows = has + has_not;
            let mean = |sum: f64| if rows == 0 { 0.0 } else { sum / rows as f64 };
            Bin {
                from: edge(bin),
                to: edge(bin + 1),
                rows,
                confidence: mean(self.sums[bin]),
                accuracy: mean(has as f64),
            }
        };
        (0..BARS).map(bin).filter(|bin| bin.rows > 0).collect()
    }

    /// The most frequent swaps, the first of equals first.
    fn frequent(&self) -> Vec<(usize, usize, u64)> {
        let mut all: Vec<_> =
            self.swaps.iter().map(|(&(missing, added), rows)| (missing, added, *rows)).collect();
        all.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
        all.truncate(SWAPS);
        all
    }
}

/// The names of the labels that a row has, or a dash.
fn named(has: &[bool], name: impl Fn(usize) -> String) -> String {
    let labels: Vec<usize> = (0..has.len()).filter(|&label| has[label]).collect();
    let mut names: Vec<String> = labels.iter().take(NAMED).map(|&label| name(label)).collect();
    if labels.len() > NAMED {
        names.push(format!("and {} more", labels.len() - NAMED));
    }
    if names.is_empty() { "(none)".to_owned() } else { names.join(BETWEEN) }
}

/// The page of a report on rows with several labels each, and the rows that it is of. It needs nothing but
/// itself, and shows every value as text.
#[must_use]
pub fn several_labels_page(title: &str, report: &MultiLabelReport, rows: &LabelRows) -> String {
    let body = html! {
        header { h1 { (title) } p.what { (what(report)) } }
        section.first {
            (headline(report))
            (warnings(&notes(report)))
        }
        @if let Some(evaluation) = &report.evaluation {
            section { h2 { "Labels" } (labels(report, evaluation)) }
            section { h2 { "One label in another’s place" } (swapped(&rows.labels, &rows.frequent())) }
        } @else {
            section { h2 { "Answers" } (answers(&report.predicted, report.rows)) }
        }
        section { h2 { "How sure" } (sure(rows)) }
        @if rows.sample.seen() > 0 {
            section { h2 { "Rows" } (rows::table(&rows.sample, &SEVERAL, &|text| heading(text, 3))) }
        }
        section { h2 { "Setting" } (setting(&settings(report))) }
    };
    document(title, &body)
}

/// What was scored, in a line.
fn what(report: &MultiLabelReport) -> String {
    let labels = format!("{} labels, several a row", report.predicted.len());
    [report.run.data.clone(), counted(report.rows, "row"), labels].join(" · ")
}

fn headline(report: &MultiLabelReport) -> Markup {
    let given =
        report.predicted.iter().map(|label| label.rows).sum::<u64>() as f64 / report.rows.max(1) as f64;
    let Some(evaluation) = &report.evaluation else {
        return html! {
            p.headline {
                (format!("{given:.2}")) " labels were given to a row in the mean. No row’s labels are known: there is nothing to measure answers by."
            }
        };
    };
    html! {
        p.headline {
            "Micro-F1 on " (counted(report.labelled, "labelled row")) ": " (percent(evaluation.micro.f1)) " %. A row has "
            (format!("{:.2}", evaluation.labels_a_row)) " labels in the mean, and was given " (format!("{given:.2}")) "."
        }
        dl.tiles {
            (tile("micro-F1", evaluation.micro.f1))
            (tile("macro-F1", evaluation.macro_average.f1))
            (tile("samples-F1", evaluation.samples.f1))
            @if let Some(mean) = evaluation.mean_average_precision { (tile("mean average precision", mean)) }
            (tile("rows with all labels right", evaluation.subset_accuracy))
            @if let Some(coverage) = report.sets.as_ref().and_then(|sets| sets.coverage.as_ref()) {
                (tile("sets with all labels", coverage.share))
            }
        }
    }
}

/// What a reader must know before the numbers.
fn notes(report: &MultiLabelReport) -> Vec<String> {
    let fitted = report.calibrated_on.iter().map(|found| {
        let (found, rows) = (count(found.rows), counted(report.rows, "row"));
        format!("{found} of the {rows} are among those that thresholds or sets were fitted on: on them these look better than they are.")
    });
    let unlabelled = report.rows - report.labelled;
    let unlabelled = (report.labelled > 0 && unlabelled > 0).then(|| {
        format!("The labels of {} are not known: they are not evaluated.", counted(unlabelled, "row"))
    });
    let left_out = (report.left_out_rows > 0).then(|| {
        format!("{} left out: unreadable, or with an unknown label.", counted(report.left_out_rows, "row"))
    });
    let cut = (report.truncated_rows > 0).then(|| {
        format!(
            "{} longer than {} tokens, and cut.",
            counted(report.truncated_rows, "row"),
            report.run.max_length
        )
    });
    fitted.chain(unlabelled).chain(left_out).chain(cut).collect()
}

/// The measures label by label.
fn labels(report: &MultiLabelReport, evaluation: &MultiLabelMetrics) -> Markup {
    html! {
        div.scroll.tall[evaluation.labels.len() > MOST_IN_TABLE] tabindex="0" {
            table {
                thead {
                    tr {
                        th.text scope="col" { "label" }
                        th scope="col" { "rows" }
                        th scope="col" { "given" }
                        th scope="col" { "threshold" }
                        th scope="col" { "precision" }
                        th scope="col" { "F1" }
                        th scope="col" { abbr title="average precision" { "AP" } }
                        th scope="col" { "recall" }
                        th scope="col" { "95 %" }
                        td {}
                    }
                }
                tbody {
                    @for (label, (_, threshold)) in evaluation.labels.iter().zip(&report.thresholds) {
                        @let ends = wilson((label.recall * label.support as f64).round() as u64, label.support);
                        tr {
                            th.text.label scope="row" { (label.label) }
                            td { (count(label.support)) }
                            td { (count(label.predicted)) }
                            td { @match threshold { Some(threshold) => (percent(*threshold)), None => "never" } }
                            td { (percent(label.precision)) }
                            td { (percent(label.f1)) }
                            td { @match label.average_precision { Some(mean) => (percent(mean)), None => "–" } }
                            (recall(label.recall, ends, label.support))
                        }
                    }
                }
            }
        }
        p.note {
            "In %. Recall: the share of the rows with a label that are given it, with its interval over other rows (Wilson); "
            "precision: the share of the rows given a label that have it. All measures: hamming loss "
            (percent(evaluation.hamming_loss)) ", coverage error " (format!("{:.2}", evaluation.coverage_error)) " labels."
        }
    }
}

/// Which labels are given where others are missing.
fn swapped(labels: &[String], swaps: &[(usize, usize, u64)]) -> Markup {
    html! {
        @if swaps.is_empty() {
            p { "No row lacks a label and has another that it should not have." }
        } @else {
            p { "Rows that lack a label and were given another that they do not have, the most frequent first." }
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            th.text scope="col" { "lacks" }
                            th.text scope="col" { "was given" }
                            th scope="col" { "rows" }
                        }
                    }
                    tbody {
                        @for &(missing, added, rows) in swaps {
                            tr {
                                th.text.label scope="row" { (labels[missing]) }
                                td.text { (labels[added]) }
                                td { (count(rows)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How often rows have a label by its probability, and how many pairs of a row and a label are so probable.
fn sure(rows: &LabelRows) -> Markup {
    let found = rows.reliability();
    let curves = [(2, "labels", &found[..])];
    let [has, has_not, unknown] = rows.bars;
    let parts = [
        (2, "the row has the label".to_owned(), has.to_vec()),
        (5, "the row has it not".to_owned(), has_not.to_vec()),
        (0, "not known".to_owned(), unknown.to_vec()),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, _, rows)| rows.iter().any(|rows| *rows > 0)).collect();
    html! {
        @if !found.is_empty() { p { "On the diagonal, rows have a label as often as its probability says." } }
        div.beside {
            @if !found.is_empty() {
                figure.half {
                    figcaption { "How often rows have a label, by its probability" }
                    (reliability(&curves))
                }
            }
            figure.half {
                figcaption { "Pairs of a row and a label, by the label’s probability" }
                (histogram("Pairs of a row and a label by the label’s probability", ["probability, %", "pairs"], (0.0, 100.0), &parts))
            }
        }
        @if !found.is_empty() { details { summary { "The bins" } (bins(&curves)) } }
    }
}

/// All that was run.
fn settings(report: &MultiLabelReport) -> Vec<(&'static str, String)> {
    let run = &report.run;
    let fitted = report.thresholds_fitted_on.iter().map(|on| ("thresholds fitted on", on.clone()));
    let head = [
        ("data", run.data.clone()),
        ("model", run.model.clone()),
        ("way of asking", report.way.name().to_owned()),
    ];
    let rest = [
        ("verbalizer", run.verbalizer.clone()),
        ("label words count together by", run.aggregate.clone()),
        ("forward passes for a row in a pattern", count(run.forwards_per_row as u64)),
        ("longest input, in tokens", count(run.max_length as u64)),
        ("engine", run.engine.clone()),
        ("device", run.device.clone()),
        ("type of numbers", run.dtype.name().to_owned()),
        ("seconds", format!("{:.1}", report.seconds)),
        ("cloze", run.cloze.clone()),
    ];
    head.into_iter().chain(fitted).chain(rest).collect()
}
