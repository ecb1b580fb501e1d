//! Labelling: what a project is, and what was written out of it.

use std::path::Path;

use cloze::label::{About, ChangedLabels, Exported, PairOfLabellers, Progress};
use cloze::numbers::{count, counted, percent};
use cloze::predict::selection::Strategy;

use super::text::printable;

/// Rows that a new project does not show.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftOut {
    pub labelled: usize,
    pub repeated: usize,
}

/// A project, and where its page is. Of a new one it is known which rows were left out.
pub fn labelling(
    path: &Path,
    about: &About,
    progress: &Progress,
    labeller: &str,
    left_out: Option<LeftOut>,
    port: u16,
) -> String {
    let file = printable(&path.display().to_string());
    let how = match about.chosen_by == Strategy::Random.name() {
        true => "all in random order".to_owned(),
        false => format!("the first by {}", about.chosen_by),
    };
    let begun = if left_out.is_some() { "a new project" } else { "the project goes on" };
    let mut said = format!(
        "{file}: {begun}\n  {}, {how}; {} % of them at random, to test on\n",
        counted(progress.rows, "row"),
        percent(about.held_out_share)
    );
    let LeftOut { labelled, repeated } = left_out.unwrap_or_default();
    for (rows, why) in [(labelled, "with a label already"), (repeated, "with the words of another row")] {
        if rows > 0 {
            said.push_str(&format!("  left out: {} {why}\n", counted(rows as u64, "row")));
        }
    }
    if progress.labelled + progress.skipped > 0 {
        said.push_str(&format!(
            "  {} has labelled {} and skipped {}\n",
            printable(labeller),
            count(progress.labelled),
            count(progress.skipped)
        ));
    }
    said.push_str(&format!("label at http://localhost:{port} (Ctrl-C ends; every answer is kept at once)\n"));
    said
}

/// What was written, and what two labellers agree on.
pub fn exported(exported: &Exported, out: &Path, apart: Option<&Path>, pairs: &[PairOfLabellers]) -> String {
    let file = |path: &Path| match path == Path::new("-") {
        true => "standard output".to_owned(),
        false => printable(&path.display().to_string()),
    };
    let mut said = format!("written: {} to {}", counted(exported.rows, "labelled row"), file(out));
    if let Some(apart) = apart {
        said.push_str(&format!(", {} to test on to {}", count(exported.held_out), file(apart)));
    }
    said.push('\n');
    for (rows, what) in [
        (exported.skipped, "was skipped by all who saw it"),
        (exported.disputed, "got two labels from as many labellers each"),
    ] {
        if rows > 0 {
            said.push_str(&format!("  without a label: {}, which {what}\n", counted(rows, "row")));
        }
    }
    for PairOfLabellers { names: [one, other], rows, agreed, kappa } in pairs {
        let kappa = kappa.map_or_else(|| "not defined".to_owned(), |kappa| format!("{kappa:.3}"));
        said.push_str(&format!(
            "  {} and {}: the same label for {} of {}, Cohen's kappa {kappa}\n",
            printable(one),
            printable(other),
            count(*agreed),
            counted(*rows, "row")
        ));
    }
    said
}

/// What became of answers whose labels have changed.
pub fn changed_labels(changed: &ChangedLabels) -> String {
    let ChangedLabels { renamed, taken_back } = *changed;
    let answers = match (renamed, taken_back) {
        (0, 0) => "no answer is touched".to_owned(),
        (renamed, 0) => format!("{} renamed", counted(renamed, "answer")),
        (0, taken_back) => format!("{} taken back", counted(taken_back, "answer")),
        (renamed, taken_back) => {
            format!("{} renamed, {} taken back", counted(renamed, "answer"), count(taken_back))
        }
    };
    format!("the labels are changed: {answers}\n")
}
