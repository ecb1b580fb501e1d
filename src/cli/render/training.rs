//! A training as it goes, and its table of results.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use cloze::learn::run::{Manifest, Select};
use cloze::learn::train::Event;
use cloze::numbers::multi_label::MultiLabelMetrics;
use cloze::numbers::{counted, interval, percent};
use cloze::study::baseline::lstm_steps;
use cloze::study::compare::holm;
use cloze::study::experiment::{
    BaselineMetrics, CLS, ExperimentEvent, FOLDS, Metrics, SeedMetrics, setfit_steps,
};

use super::alike;
use super::live::Live;
use super::numbers;
use super::paired;
use super::table::{Align, table};

/// Where a training stands.
pub struct TrainProgress {
    live: Live,
    seeds: usize,
    /// The steps of each seed: in a fold of a cross-validation, in the training whose result is kept, for the
    /// baselines on `[CLS]`, by SetFit and by an LSTM.
    plan: [usize; 5],
    /// Which of the seeds is at hand, from 1.
    number: usize,
    seed: u64,
    training: Option<Training>,
}

/// The training at hand, as far as it was watched: a run that was stopped is gone on with in the middle.
struct Training {
    seed: u64,
    part: String,
    began: Instant,
    rows: usize,
    loss: f64,
}

impl TrainProgress {
    /// Starts now, in place of what was shown.
    pub fn start(mut live: Live, manifest: &Manifest) -> TrainProgress {
        live.turn_to("before the first step");
        let folds = if manifest.select == Select::Cv { manifest.plan.steps } else { 0 };
        let cls = if manifest.cls_baseline { CLS.defaults(manifest.classes.len()).steps } else { 0 };
        let rows = manifest.shots.map_or(usize::MAX, |shots| shots.saturating_mul(manifest.classes.len()));
        let has_setfit = manifest.setfit_baseline && manifest.header.data.test.is_some();
        let setfit = if has_setfit { setfit_steps(rows) } else { 0 };
        let has_lstm = manifest.lstm_baseline && manifest.header.data.test.is_some();
        let lstm = if has_lstm { lstm_steps(rows) } else { 0 };
        let plan = [folds, manifest.plan.steps, cls, setfit, lstm];
        TrainProgress { live, seeds: manifest.header.seeds.len(), plan, number: 0, seed: 0, training: None }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: ExperimentEvent<'_>) {
        match event {
            ExperimentEvent::Seed { seed, .. } => (self.seed, self.number) = (seed, self.number + 1),
            ExperimentEvent::Resumed { part, steps } => {
                self.live.line(&format!("seed {}{}: going on after step {steps}", self.seed, of_part(part)));
            }
            ExperimentEvent::Training { part, steps, event } => self.training(part, steps, event),
            ExperimentEvent::Scoring { share } => {
                let seed = self.of_seeds();
                self.live.at(None, || format!("{seed}: scoring the test rows  {:.0} %", share * 100.0));
            }
            ExperimentEvent::Done { metrics } => self.live.line(&seed_line(metrics)),
        }
    }

    fn training(&mut self, part: &str, steps: usize, event: &Event) {
        let &Event::Step { step, losses, learning_rate, rows, seconds, .. } = event else { return };
        let loss = losses.leading().unwrap_or_default();
        let same =
            self.training.take().filter(|training| training.seed == self.seed && training.part == part);
        let mut training = same.unwrap_or_else(|| {
            let began =
                Instant::now().checked_sub(Duration::from_secs_f64(seconds)).unwrap_or_else(Instant::now);
            Training { seed: self.seed, part: part.to_owned(), began, rows: 0, loss }
        });
        training.rows += rows;
        // A single batch's loss jumps; a running mean shows where it goes.
        training.loss = 0.9 * training.loss + 0.1 * loss;
        let rate = training.rows as f64 / training.began.elapsed().as_secs_f64().max(1e-9);
        let left = steps.saturating_sub(step) + self.steps_behind(part);
        let all = self.seeds * self.steps_of_seed();
        let seed = self.of_seeds();
        self.live.at(Some(1.0 - left as f64 / all.max(1) as f64), || {
            format!(
                "{seed}{}: step {step}/{steps}  loss {:.3}  lr {learning_rate:.1e}  {rate:.0} rows/s",
                of_part(part),
                training.loss
            )
        });
        self.training = Some(training);
    }

    fn of_seeds(&self) -> String {
        format!("seed {} ({}/{})", self.seed, self.number, self.seeds)
    }

    fn steps_of_seed(&self) -> usize {
        let [fold, run, cls, setfit, lstm] = self.plan;
        FOLDS * fold + run + cls + setfit + lstm
    }

    /// The steps of all trainings that come after one.
    fn steps_behind(&self, part: &str) -> usize {
        let [fold, run, cls, setfit, lstm] = self.plan;
        let of_seed = match part.strip_prefix("fold-").map(str::parse::<usize>) {
            Some(Ok(number)) => FOLDS.saturating_sub(number) * fold + run + cls + setfit + lstm,
            _ if part == "run" => cls + setfit + lstm,
            _ if part == "cls" => setfit + lstm,
            _ if part == "setfit" => lstm,
            _ => 0,
        };
        of_seed + self.seeds.saturating_sub(self.number) * self.steps_of_seed()
    }
}

/// Which training of a seed it is, if not the one whose result is kept.
fn of_part(part: &str) -> String {
    if part == "run" { String::new() } else { format!(", {part}") }
}

fn seed_line(metrics: &SeedMetrics) -> String {
    let mut line = format!("seed {}: {}", metrics.seed, counted(metrics.train_rows as u64, "row"));
    if let Some(seconds) = metrics.seconds {
        let _ = write!(line, ", {seconds:.1} s");
    }
    if metrics.history.kept != metrics.history.steps {
        let _ = write!(line, ", step {} of {} kept", metrics.history.kept, metrics.history.steps);
    }
    let range = metrics.evaluation.as_ref().and_then(|evaluation| evaluation.range.as_ref());
    if let Some(found) = range {
        let _ = write!(line, ", mean error {:.3}", found.mean_absolute_error.value);
        if let Some(pearson) = found.pearson {
            let _ = write!(line, ", Pearson {:.3}", pearson.value);
        }
    } else if let Some(evaluation) = &metrics.evaluation {
        let _ = write!(line, ", accuracy {}", percent(evaluation.accuracy));
    }
    if let Some(found) = &metrics.several_labels {
        let _ = write!(line, ", micro-F1 {}", percent(found.micro.f1));
    }
    line
}

/// The table of results.
pub fn metrics(metrics: &Metrics, out: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{}: {} trained, {}",
        metrics.method,
        counted(metrics.trained_parameters as u64, "parameter"),
        out.display()
    );
    let several: Vec<(u64, &MultiLabelMetrics)> =
        metrics.seeds.iter().filter_map(|seed| Some((seed.seed, seed.several_labels.as_ref()?))).collect();
    if !several.is_empty() {
        text.push_str(&super::multi_label::trained(&several, metrics.zero_shot_labels.as_ref()));
        return text;
    }
    let evaluated: Vec<(&SeedMetrics, _)> =
        metrics.seeds.iter().filter_map(|seed| Some((seed, seed.evaluation.as_ref()?))).collect();
    if evaluated.is_empty() {
        let _ = writeln!(
            text,
            "nothing to evaluate on: --test names labelled rows; cloze score --run {} scores any",
            out.display()
        );
        return text;
    }
    if let Some(found) = &metrics.numbers {
        numbers::trained(&mut text, metrics, found);
        return text;
    }
    let mut rows = vec![["seed", "accuracy", "95 %", "macro-F1", "ECE"].map(str::to_owned).to_vec()];
    for (seed, evaluation) in &evaluated {
        rows.push(vec![
            seed.seed.to_string(),
            percent(evaluation.accuracy),
            interval(evaluation.accuracy_95),
            percent(evaluation.macro_f1),
            percent(evaluation.expected_calibration_error),
        ]);
    }
    if let (Some(accuracy), Some(f1)) = (&metrics.accuracy, &metrics.macro_f1) {
        rows.push(vec![
            "mean".into(),
            percent(accuracy.spread.mean),
            accuracy.interval(),
            percent(f1.spread.mean),
        ]);
        rows.push(vec![
            "± sd".into(),
            percent(accuracy.spread.standard_deviation),
            String::new(),
            percent(f1.spread.standard_deviation),
        ]);
    }
    let right = Align::Right;
    let _ = write!(text, "\n{}", table(&[right; 5], &rows));
    let mean = if metrics.accuracy.is_some() { ", the mean's over the seeds (Student's t)" } else { "" };
    let _ = writeln!(
        text,
        "  {}; a seed's interval is over the rows (Wilson){mean}",
        counted(metrics.test_rows as u64, "test row")
    );
    text.push_str(&baselines(metrics));
    text.push_str(&alike::notes_on_test(
        &evaluated[0].1.confusion.labels,
        &summed(evaluated.iter().map(|(_, evaluation)| &evaluation.confusion.counts)),
        LEARN_MORE,
    ));
    text
}

/// What may help where a training learned little.
pub(super) const LEARN_MORE: &str =
    "more --shots or --steps, another --method or --learning-rate, or other label words may help";

/// Counts of all seeds together.
fn summed<'a>(of_seeds: impl Iterator<Item = &'a Vec<Vec<u64>>>) -> Vec<Vec<u64>> {
    let add = |mut sums: Vec<Vec<u64>>, counts: &Vec<Vec<u64>>| {
        let cells = |(sums, counts): (&mut Vec<u64>, &Vec<u64>)| {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        };
        sums.iter_mut().zip(counts).for_each(cells);
        sums
    };
    let mut of_seeds = of_seeds;
    let first = of_seeds.next().cloned().unwrap_or_default();
    of_seeds.fold(first, add)
}

fn baselines(metrics: &Metrics) -> String {
    let head = ["on the same rows", "accuracy"].into_iter().chain(paired::HEAD);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    let found: Vec<_> =
        metrics.baselines.iter().filter_map(|baseline| baseline.difference.as_ref()).collect();
    let mut p_holm = holm(&found.iter().map(|found| found.p_value).collect::<Vec<_>>()).into_iter();
    for BaselineMetrics { name, mean, difference, .. } in &metrics.baselines {
        let mut row = vec![name.clone(), percent(*mean)];
        if let Some((difference, p_holm)) =
            difference.as_ref().and_then(|found| Some((found, p_holm.next()?)))
        {
            row.extend(paired::cells(difference, p_holm));
        }
        rows.push(row);
    }
    let right = Align::Right;
    let mut text = format!("\n{}", table(&[Align::Left, right, right, right, right, right], &rows));
    let _ = writeln!(
        text,
        "  difference: {} less the baseline, in points\n  {}",
        metrics.method,
        paired::note(&found)
    );
    text
}
