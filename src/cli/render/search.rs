//! What a search found, and how sure it is.

use std::fmt::Write as _;

use cloze::numbers::{counted, interval, p_value, percent};
use cloze::study::compare::PairedDifference;
use cloze::study::search::{Certainty, FoundTriggers, Measure, SearchReport, SearchStep, WRITTEN};

use super::paired::{between, signed};
use super::table::{Align, table};

/// So many candidates are shown.
const MOST: usize = 15;

/// The ranking, with intervals, and how sure the winner is.
pub fn search(report: &SearchReport) -> String {
    let SearchReport { candidates, order, winner, .. } = report;
    let mut text = ranking(report);
    if order.len() > MOST {
        let _ = writeln!(text, "  … {} more in the report", order.len() - MOST);
    }
    text.push('\n');
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  found: {}", candidates[*winner].name);
    match &report.certainty {
        Some(certainty) => sureness(&mut text, report, certainty),
        None => unlabelled(&mut text, report),
    }
    text
}

/// The candidates in their order.
fn ranking(report: &SearchReport) -> String {
    let SearchReport { candidates, order, .. } = report;
    let scored = candidates.iter().any(|candidate| candidate.score.is_some());
    let labelled = report.labelled_rows > 0;
    let mut header = vec![String::new(), "candidate".to_owned()];
    let mut columns = vec![Align::Right, Align::Left];
    if scored {
        header.extend(["information, nats", "95 %"].map(str::to_owned));
        columns.extend([Align::Right, Align::Right]);
    }
    if labelled {
        header.extend(["accuracy", "95 %"].map(str::to_owned));
        columns.extend([Align::Right, Align::Right]);
    }
    header.push(String::new());
    columns.push(Align::Below);
    let mut table_rows = vec![header];
    for (place, &index) in order.iter().enumerate().take(MOST) {
        let candidate = &candidates[index];
        let mut row = vec![(place + 1).to_string(), candidate.name.clone()];
        if scored {
            row.push(candidate.score.map(|score| format!("{score:.4}")).unwrap_or_default());
            row.push(candidate.score_95.map(|[low, high]| format!("{low:.4}–{high:.4}")).unwrap_or_default());
        }
        if let Some(evaluation) = &candidate.evaluation {
            row.extend([percent(evaluation.accuracy), interval(evaluation.accuracy_95)]);
        }
        row.push(candidate.about.clone());
        table_rows.push(row);
    }
    table(&columns, &table_rows)
}

/// How sure the choice is, by the labelled rows.
fn sureness(text: &mut String, report: &SearchReport, certainty: &Certainty) {
    let (candidates, rows) = (&report.candidates, counted(report.labelled_rows as u64, "row"));
    let scored = candidates.iter().any(|candidate| candidate.score.is_some());
    let _ = writeln!(
        text,
        "  against chance (labels shuffled, nothing fitted anew): p {}",
        p_value(certainty.p_chance)
    );
    let less = |what: &str, found: &Option<PairedDifference>| {
        found.as_ref().map(|found| {
            let PairedDifference { difference, difference_95, p_value: p, .. } = found;
            format!(
                "  less {what}: {} points, 95 % {}, p {}\n",
                signed(*difference),
                between(*difference_95),
                p_value(*p)
            )
        })
    };
    text.extend(less("the next", &certainty.over_second));
    if let Some(choosing) = report.accuracy_of_choosing {
        let _ = writeln!(
            text,
            "  chosen by the other folds each time: {} % of {} right",
            percent(choosing),
            rows
        );
    }
    text.extend(less("the given words, by what the other folds choose", &certainty.over_given));
    if candidates.iter().any(|candidate| candidate.name.starts_with(WRITTEN)) {
        let _ = writeln!(
            text,
            "  note: patterns that the model wrote for these rows do better on them than on others"
        );
    }
    if !certainty.is_separated() && candidates.len() > 2 - usize::from(scored) {
        let _ = writeln!(
            text,
            "  warning: {} do not tell it from the next; take several together, or more rows",
            rows
        );
    }
    if certainty.over_given.as_ref().is_some_and(|found| found.difference < 0.0) {
        let _ = writeln!(text, "  warning: the given words did better on these rows");
    }
    if certainty.p_chance >= cloze::study::search::SEPARATED {
        let _ = writeln!(text, "  warning: it is no better than chance on these rows");
    }
}

/// What can be said without labels.
fn unlabelled(text: &mut String, report: &SearchReport) {
    let SearchReport { candidates, order, .. } = report;
    let next = order.get(1).and_then(|&next| candidates[next].first_less_95);
    if next.is_some_and(|[low, _]| low <= 0.0) {
        let _ = writeln!(
            text,
            "  warning: these rows do not tell it from the next; take several together, or more rows"
        );
    }
    let _ = writeln!(text, "  warning: no row has a label here: how right it is was not looked at");
}

/// Each class with its words.
pub fn found_words(labels: &[String], words: &[Vec<&str>]) -> String {
    let mut rows = vec![vec!["class".to_owned(), "label words".to_owned()]];
    rows.extend(labels.iter().zip(words).map(|(label, words)| vec![label.clone(), words.join(", ")]));
    table(&[Align::Left, Align::Words], &rows)
}

/// Words that were found for a pattern, with how it does.
pub fn triggers(found: &FoundTriggers) -> String {
    let right = Align::Right;
    let row = |name: &str, measure: &Measure| {
        vec![name.to_owned(), format!("{:.3}", measure.loss), percent(measure.accuracy)]
    };
    let rows = vec![
        ["", "loss", "accuracy"].map(str::to_owned).to_vec(),
        row("without words", &found.without),
        row("with them", &found.found),
    ];
    let [first, last] = [found.losses.first(), found.losses.last()].map(|loss| loss.copied().unwrap_or(0.0));
    let mut text = format!(
        "  {}\n\n  loss on {} that were searched on: {first:.3} to {last:.3}\n  on {} by which the words were chosen:\n\n{}",
        found.pattern,
        counted(found.searched_rows as u64, "row"),
        counted(found.choosing_rows as u64, "row"),
        table(&[Align::Left, right, right], &rows),
    );
    if let Some(difference) = &found.difference {
        let _ = writeln!(
            text,
            "\n  difference {} points, p {}; they were chosen by these rows, so others tell how good they are",
            signed(difference.difference),
            p_value(difference.p_value)
        );
    }
    text
}

/// What a search does.
pub fn search_step(step: SearchStep) -> String {
    let [rows, patterns] = ["row", "pattern"].map(|noun| move |number: usize| counted(number as u64, noun));
    match step {
        SearchStep::Asking { rows: asked, patterns: read } => {
            format!("asking the model about {} in {}", rows(asked), patterns(read))
        }
        SearchStep::LookingForWords { rows: on } => {
            format!("looking for words on {}, and in each fold on the others", rows(on))
        }
        SearchStep::Writing { rows: on } => format!("writing patterns for {}", rows(on)),
        SearchStep::Triggers { rows: on, places } => {
            format!("looking for {} on {}", counted(places as u64, "word"), rows(on))
        }
        SearchStep::Scoring { rows: scored, patterns: read } => {
            format!("scoring {} in {read} patterns", rows(scored))
        }
    }
}
