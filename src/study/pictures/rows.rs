//! The rows of a page: all of them up to a number, of more a sample, and those that are most worth a look.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::numbers::{count, counted, percent};
use crate::predict::mask_words::WordShare;
use crate::predict::output::Answer;
use crate::predict::task::Task;
use crate::seed;
use crate::text::data::Example;

/// The seed of the sample of rows, where there are more than a page shows.
pub const SEED: u64 = 13;

/// So many rows a page shows.
const MOST: usize = 5000;
/// So many of those that are worth a look.
const OF_A_KIND: usize = 20;
/// So many letters of each row; of those that are worth a look, so many.
const LETTERS: usize = 240;
const LETTERS_OF_KIND: usize = 1000;
/// Bars of the histogram of confidences.
const BARS: usize = 20;

/// A row as a page shows it.
#[derive(Debug, Clone)]
pub struct KeptRow {
    /// Its number in the file, from 1.
    pub record: u64,
    /// The beginning of what the patterns read of it.
    pub text: String,
    /// What it was answered.
    pub answer: String,
    /// Its label or labels, where they are known.
    pub truth: Option<String>,
    /// Whether the answer is right; none where no label is known.
    pub right: Option<bool>,
    /// How sure the answer is, from 0 to 1.
    pub sure: f64,
    /// What the model says at the mask, for rows that are worth a look.
    pub words: Vec<WordShare>,
}

/// What is shown of a row's answer.
pub(super) struct Shown {
    pub(super) answer: String,
    pub(super) truth: Option<String>,
    pub(super) right: Option<bool>,
    pub(super) sure: f64,
}

/// A row that is worth a look, with all that was read of it.
struct Worth {
    row: KeptRow,
    example: Example,
}

/// Rows of a scoring, taken as they come: memory does not grow with their number. Of more than 5,000 rows it
/// keeps a sample in which each row is as likely (Vitter 1985, algorithm R), drawn by [`SEED`].
///
/// ```
/// use cloze::predict::output::Answer;
/// use cloze::predict::report::Prediction;
/// use cloze::study::pictures::RowSample;
/// use cloze::text::data::Example;
/// let mut sample = RowSample::new(vec![0], vec!["good".to_owned(), "bad".to_owned()]);
/// for record in 1..=6000 {
///     let fields = vec![format!("row {record}")];
///     let example = Example { record, line: record, fields, label: None, values: None };
///     let answer = Answer::from(Prediction { probabilities: vec![0.9, 0.1] });
///     sample.add(&example, &answer, Some(usize::from(record == 7)));
/// }
/// assert_eq!((sample.seen(), sample.rows().len()), (6000, 5000));
/// // The only wrong row is worth a look, whether the sample has it or not.
/// assert_eq!(sample.wrong_and_sure().map(|row| row.record).collect::<Vec<_>>(), [7]);
/// ```
pub struct RowSample {
    /// The places of the fields that are shown.
    columns: Vec<usize>,
    /// The classes.
    labels: Vec<String>,
    rows: Vec<KeptRow>,
    seen: u64,
    dice: ChaCha8Rng,
    wrong: Vec<Worth>,
    unsure: Vec<Worth>,
    /// Right, wrong and unlabelled rows by how sure they are.
    bars: [[u64; BARS]; 3],
}

impl RowSample {
    /// None yet; of each row the fields at these places are shown. The labels are the classes'.
    pub fn new(columns: Vec<usize>, labels: Vec<String>) -> RowSample {
        RowSample {
            columns,
            labels,
            rows: Vec::new(),
            seen: 0,
            dice: seed::generator(SEED, "rows of a page"),
            wrong: Vec::new(),
            unsure: Vec::new(),
            bars: [[0; BARS]; 3],
        }
    }

    /// None yet; of each row all is shown that some pattern reads.
    pub fn of(tasks: &[Task], labels: Vec<String>) -> RowSample {
        let all: BTreeSet<usize> = tasks.iter().flat_map(Task::places).collect();
        RowSample::new(all.into_iter().collect(), labels)
    }

    /// Takes a row with its answer, and its true class, if that is known.
    pub fn add(&mut self, example: &Example, answer: &Answer, truth: Option<usize>) {
        let class = answer.prediction.class();
        let said = if answer.answered { &self.labels[class] } else { "(no answer)" };
        let shown = Shown {
            answer: said.to_owned(),
            truth: truth.map(|truth| self.labels[truth].clone()),
            right: truth.map(|truth| truth == class),
            sure: answer.prediction.confidence(),
        };
        self.add_shown(example, shown);
    }

    /// Takes a row with what is shown of its answer.
    pub(super) fn add_shown(&mut self, example: &Example, shown: Shown) {
        let fields = || self.columns.iter().filter_map(|&column| example.fields.get(column)).cloned();
        let text = |letters| beginning(&fields().collect::<Vec<_>>().join(" · "), letters);
        let Shown { answer, truth, right, sure } = shown;
        let row = KeptRow {
            record: example.record,
            text: text(LETTERS),
            answer,
            truth,
            right,
            sure,
            words: Vec::new(),
        };
        let kind = match row.right {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        };
        let bar = ((row.sure * BARS as f64) as usize).min(BARS - 1);
        self.bars[kind][bar] += 1;
        let worth = || Worth {
            row: KeptRow { text: text(LETTERS_OF_KIND), ..row.clone() },
            example: example.clone(),
        };
        if kind == 1 {
            keep(&mut self.wrong, row.sure, |new, old| new > old, worth);
        } else {
            keep(&mut self.unsure, row.sure, |new, old| new < old, worth);
        }
        self.seen += 1;
        if self.rows.len() < MOST {
            self.rows.push(row);
        } else {
            let place = self.dice.gen_range(0..self.seen);
            if let Some(place) = usize::try_from(place).ok().filter(|place| *place < MOST) {
                self.rows[place] = row;
            }
        }
    }

    /// So many rows were taken.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The rows that are kept, in the file's order.
    pub fn rows(&self) -> Vec<&KeptRow> {
        let mut rows: Vec<&KeptRow> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.record);
        rows
    }

    /// The rows with a wrong answer that is most sure, the surest first.
    pub fn wrong_and_sure(&self) -> impl Iterator<Item = &KeptRow> {
        self.wrong.iter().map(|worth| &worth.row)
    }

    /// The rows that are right, or have no label, and are least sure, the least sure first.
    pub fn right_and_unsure(&self) -> impl Iterator<Item = &KeptRow> {
        self.unsure.iter().map(|worth| &worth.row)
    }

    /// The rows that are worth a look, whole.
    pub fn worth_a_look(&self) -> Vec<Example> {
        self.wrong.iter().chain(&self.unsure).map(|worth| worth.example.clone()).collect()
    }

    /// Takes what a model says at the mask of [`RowSample::worth_a_look`], in their order.
    pub fn take_words(&mut self, words: Vec<Vec<WordShare>>) {
        let rows = self.wrong.iter_mut().chain(&mut self.unsure);
        rows.zip(words).for_each(|(worth, words)| worth.row.words = words);
    }

    /// The same, where words belong to classes of other names.
    pub(super) fn take_named_words(&mut self, names: Vec<String>, words: Vec<Vec<WordShare>>) {
        self.labels = names;
        self.take_words(words);
    }

    /// How many rows have a confidence between each two of 20 edges from 0 to 1: right, wrong, unlabelled.
    pub(crate) fn bars(&self) -> [Vec<u64>; 3] {
        self.bars.map(|bars| bars.to_vec())
    }
}

/// Puts a row among those of its kind, if it belongs before one of them or there is room.
fn keep(kind: &mut Vec<Worth>, sure: f64, before: impl Fn(f64, f64) -> bool, row: impl FnOnce() -> Worth) {
    let place = kind.iter().position(|other| before(sure, other.row.sure)).unwrap_or(kind.len());
    if place < OF_A_KIND {
        kind.insert(place, row());
        kind.truncate(OF_A_KIND);
    }
}

/// So many letters of a text, its blanks as single spaces.
fn beginning(text: &str, letters: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// How a page names what is shown of its rows.
pub(crate) struct Words {
    /// What stands below "right and unsure", and "wrong and sure".
    pub(crate) kinds: [&'static str; 2],
    /// How sure an answer is: the head of the column, and what stands before and behind the number.
    pub(crate) sure: &'static str,
    pub(crate) round_sure: [&'static str; 2],
    /// What an answer should be.
    pub(crate) truth: &'static str,
}

/// Rows of one class each.
pub(crate) const ONE_LABEL: Words = Words {
    kinds: [
        "Rows whose answer is right, or that have no label, the least sure first.",
        "Rows whose answer is not their label, the surest first.",
    ],
    sure: "probability, %",
    round_sure: [" ", "\u{a0}%"],
    truth: "label",
};

/// The rows of a page: those that are worth a look, then all in a table that a script makes searchable.
pub(crate) fn table(sample: &RowSample, words: &Words, level: &dyn Fn(&str) -> Markup) -> Markup {
    let (wrong, unsure) = (sample.wrong_and_sure().count(), sample.right_and_unsure().count());
    let labelled = sample.bars[0].iter().chain(&sample.bars[1]).any(|rows| *rows > 0);
    let rows = sample.rows();
    html! {
        @if wrong > 0 {
            (level("Wrong and sure"))
            p { (words.kinds[1]) }
            (worth(&mut sample.wrong_and_sure(), words, &sample.labels))
        }
        @if unsure > 0 {
            (level(if labelled { "Right and unsure" } else { "Least sure" }))
            p { @if labelled { (words.kinds[0]) } @else { "The least sure first." } }
            (worth(&mut sample.right_and_unsure(), words, &sample.labels))
        }
        (level("All rows"))
        p {
            @if sample.seen > rows.len() as u64 {
                "Of " (counted(sample.seen, "row")) " a random sample of " (count(rows.len() as u64)) ", drawn with seed " (SEED) "."
            } @else { (counted(sample.seen, "row")) "." }
        }
        (all(&rows, words, labelled))
    }
}

/// What stands beside an answer, so that colour does not tell it alone.
fn mark(row: &KeptRow) -> Markup {
    match row.right {
        Some(true) => html! { span.right { "✓ right" } },
        Some(false) => html! { span.wrong { "✗ wrong" } },
        None => html! { "–" },
    }
}

fn worth(rows: &mut dyn Iterator<Item = &KeptRow>, words: &Words, labels: &[String]) -> Markup {
    html! {
        ol.rows {
            @for row in rows {
                li {
                    p.text { span.note { "row " (row.record) } " " (row.text) }
                    p.note {
                        b { (row.answer) } (words.round_sure[0]) (percent(row.sure)) (words.round_sure[1])
                        @if let Some(truth) = &row.truth { " · " (words.truth) " " b { (truth) } " · " (mark(row)) }
                    }
                    @if !row.words.is_empty() {
                        p.note.words {
                            "at the mask: "
                            @for (index, word) in row.words.iter().enumerate() {
                                @if index > 0 { ", " }
                                (word.word) " (" (labels[word.class]) ") " (percent(word.share)) "\u{a0}%"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Searches and sorts the rows that stand in the page; without it they stand there all the same.
const SCRIPT: &str = include_str!("rows.js");

fn all(rows: &[&KeptRow], words: &Words, labelled: bool) -> Markup {
    html! { div {
        div.find hidden {
            label { "Find " input type="search"; }
            " "
            label {
                "Show " select {
                    option value="" { "all" }
                    @if labelled {
                        option value="wrong" { "wrong" }
                        option value="right" { "right" }
                    }
                }
            }
            " " span role="status" {}
        }
        div.scroll.tall tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "row" }
                        th.text scope="col" { "text" }
                        th.text scope="col" { "answer" }
                        th scope="col" { (words.sure) }
                        @if labelled {
                            th.text scope="col" { (words.truth) }
                            th.text scope="col" { "right" }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr data-kind=(row.right.map_or("", |right| if right { "right" } else { "wrong" })) {
                            th scope="row" { (row.record) }
                            td.text.long { (row.text) }
                            td.text { (row.answer) }
                            td { (percent(row.sure)) }
                            @if labelled {
                                td.text { (row.truth.as_deref().unwrap_or("–")) }
                                td.text { (mark(row)) }
                            }
                        }
                    }
                }
            }
        }
        script { (PreEscaped(SCRIPT)) }
    } }
}
