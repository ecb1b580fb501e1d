//! From the scores in a run's folder to the report.

use std::collections::{BTreeMap, HashSet};

use super::Ensemble;
use super::agreement::Agreement;
use super::folder::{EnsembleFolder, Generation, STUDENT};
use super::growth::Draw;
use super::merge::{Weights, shares};
use super::report::{self, Accuracies, Curve, EnsembleReport, Measured, Pattern, Setting, Stage};
use crate::error::Result;
use crate::learn::train::Event;
use crate::predict::report::{Prediction, Tally};
use crate::study::compare::accuracy_95;
use crate::text::dataset::Dataset;

/// The most points of a curve.
const POINTS: usize = 100;

/// The report, from what the folder holds alone: so it is the same however often the run was stopped.
pub(super) fn report(
    ensemble: &Ensemble,
    folder: &EnsembleFolder,
    mut warnings: Vec<String>,
) -> Result<EnsembleReport> {
    let manifest = &ensemble.manifest;
    let stages = ensemble.stages();
    // What the patterns say without training stands beside what training makes of them.
    let shown = std::iter::once(None).chain(stages.iter().copied().filter(Option::is_some));
    let stages: Vec<Stage> = shown
        .map(|stage| measure_stage(ensemble, folder, stage, stages.contains(&stage)))
        .collect::<Result<_>>()?;
    warnings.extend(shortages(ensemble, folder)?);
    let weights: Vec<Vec<f64>> =
        manifest.seeds.iter().map(|&seed| weights(ensemble, folder, seed)).collect::<Result<_>>()?;
    let patterns = ensemble.members.iter().enumerate().map(|(index, member)| Pattern {
        template: member.template.name().to_owned(),
        pattern: member.template.pattern().to_owned(),
        verbalizer: ensemble.run.verbalizers[member.verbalizer].name(),
        weights: weights.iter().map(|of_seed| of_seed[index]).collect(),
    });
    let failures = manifest.seeds.iter().flat_map(|&seed| {
        let names = || ensemble.members.iter().map(|member| member.name.as_str()).chain([STUDENT]);
        let of = move |generation| names().filter_map(move |name| folder.failure(generation, seed, name));
        (0..=manifest.generations).flat_map(of)
    });
    let train_rows =
        manifest.seeds.iter().map(|seed| ensemble.drawn.get(seed).map_or(0, |rows| rows.targets.len()));
    Ok(EnsembleReport {
        version: report::VERSION,
        setting: Setting {
            cloze: ensemble.run.cloze.clone(),
            model: ensemble.run.model.path.display().to_string(),
            method: (ensemble.train.is_some() || manifest.generations > 0)
                .then(|| manifest.tuning.name().to_owned()),
            student: manifest.student.as_ref().map(|student| student.tuning.name().to_owned()),
            classes: ensemble.run.classes.clone(),
            seeds: manifest.seeds.clone(),
            shots: manifest.shots,
            train_rows: train_rows.collect(),
            unlabeled_rows: ensemble.unlabeled.as_ref().map_or(0, |set| set.examples.len()),
            test_rows: ensemble.test.as_ref().map_or(0, |test| test.labelled().count()),
            test_sha256: ensemble.run.data[2].clone(),
            merge: manifest.merge.name().to_owned(),
            weights: manifest.weights.name().to_owned(),
            calibration: manifest.calibrate.map(|calibration| calibration.name().to_owned()),
            temperature: manifest.temperature,
            mlm_weight: manifest.mlm_weight,
            generations: manifest.generations,
            draw: (manifest.generations > 0).then(|| manifest.draw.name().to_owned()),
        },
        patterns: patterns.collect(),
        stages,
        curves: curves(ensemble, folder)?,
        failures: failures.collect(),
        warnings,
        seconds: folder.seconds(),
    })
}

/// One stage. `whole` is whether its members are an ensemble of the experiment, and not there for comparison
/// alone.
fn measure_stage(
    ensemble: &Ensemble,
    folder: &EnsembleFolder,
    stage: Generation,
    whole: bool,
) -> Result<Stage> {
    let seeds = &ensemble.manifest.seeds;
    let classes = &ensemble.run.classes;
    let test = ensemble.test.as_ref();
    let load = |stage: Generation, seed: u64, name: &str| -> Result<Vec<Prediction>> {
        let path = folder.scores(stage, seed, name);
        if path.exists() { Ok(ensemble.scores_of(folder, stage, seed, name)?.test) } else { Ok(Vec::new()) }
    };
    // Without training nothing depends on the seed.
    let of_stage: &[u64] = if stage.is_none() { &seeds[..1] } else { seeds };
    let mut patterns = Vec::new();
    for member in &ensemble.members {
        let said: Vec<Vec<Prediction>> =
            of_stage.iter().map(|&seed| load(stage, seed, &member.name)).collect::<Result<_>>()?;
        patterns.push(measured(test, classes, &said));
    }
    let (mut merged, mut agreements) = (Vec::new(), Vec::new());
    // Weights may be of the seed's rows.
    let of_ensemble = if ensemble.manifest.weights == Weights::Uniform { of_stage } else { seeds };
    for &seed in of_ensemble {
        let alive = ensemble.alive(folder, stage, seed);
        merged.push(ensemble.merged(folder, stage, seed, &alive, 1.0, |scores| &scores.test)?);
        let mut said = Vec::new();
        for member in &alive {
            let scores = ensemble.scores_of(folder, stage, seed, &ensemble.members[*member].name)?;
            let rows = if scores.test.is_empty() { scores.unlabeled } else { scores.test };
            said.push(rows.iter().map(Prediction::class).collect::<Vec<_>>());
        }
        // Members that failed would shift the others in the matrix.
        if alive.len() == ensemble.members.len() {
            agreements.extend(Agreement::of(&said, classes.len()));
        }
    }
    let student = match whole && ensemble.student.is_some() {
        true => {
            let said = seeds.iter().map(|&seed| load(Some(stage.unwrap_or_default()), seed, STUDENT));
            measured(test, classes, &said.collect::<Result<Vec<_>>>()?)
        }
        false => None,
    };
    let mean = |measured: &Option<Measured>| measured.as_ref().map(|measured| measured.accuracy.mean);
    let ranked = || patterns.iter().enumerate().filter_map(|(index, pattern)| Some((index, mean(pattern)?)));
    let better = |one: &(usize, f64), other: &(usize, f64)| one.1.total_cmp(&other.1);
    let train_rows = seeds.iter().map(|&seed| match stage {
        None => Ok(0),
        Some(generation) => Ok(ensemble.rows_of(folder, seed, generation, 0)?.targets.len()),
    });
    let stage = Stage {
        generation: stage,
        train_rows: train_rows.collect::<Result<_>>()?,
        mean_pattern: None,
        worst: ranked().min_by(better).map(|(index, _)| index),
        best: ranked()
            .max_by(|one, other| better(one, other).then(other.0.cmp(&one.0)))
            .map(|(index, _)| index),
        ensemble: measured(test, classes, &merged),
        student,
        agreement: Agreement::mean(&agreements),
        patterns,
    };
    Ok(Stage { mean_pattern: mean_pattern(&stage), ..stage })
}

/// What each member weighs in the last ensemble of a seed; nothing where it could not be trained.
fn weights(ensemble: &Ensemble, folder: &EnsembleFolder, seed: u64) -> Result<Vec<f64>> {
    let mut weights = ensemble.weights(folder, seed)?;
    let alive = ensemble.alive(folder, ensemble.last_stage(), seed);
    let of_alive = shares(&alive.iter().map(|&member| weights[member]).collect::<Vec<_>>());
    weights.fill(0.0);
    alive.into_iter().zip(of_alive).for_each(|(member, share)| weights[member] = share);
    Ok(weights)
}

/// Seed by seed the mean over the patterns that have one for each seed.
fn mean_pattern(stage: &Stage) -> Option<Accuracies> {
    let whole: Vec<&Measured> = stage.whole_patterns().collect();
    let seeds = whole.first()?.accuracy.by_seed.len();
    let mean = |seed: usize| {
        whole.iter().filter_map(|pattern| pattern.accuracy.by_seed[seed]).sum::<f64>() / whole.len() as f64
    };
    Accuracies::of((0..seeds).map(|seed| Some(mean(seed))).collect())
}

/// A classifier's predictions of the test rows, one list for each seed, empty where there are none.
fn measured(test: Option<&Dataset>, classes: &[String], seeds: &[Vec<Prediction>]) -> Option<Measured> {
    let test = test?;
    let said: Vec<&Vec<Prediction>> = seeds.iter().filter(|predictions| !predictions.is_empty()).collect();
    let tally = |lists: &[&Vec<Prediction>]| {
        let mut tally = Tally::new(classes.iter().cloned());
        for predictions in lists {
            predictions
                .iter()
                .zip(&test.truths)
                .for_each(|(prediction, truth)| tally.add(prediction, *truth));
        }
        tally
    };
    let by_seed: Vec<_> = seeds.iter().map(|predictions| tally(&[predictions]).evaluate()).collect();
    let each: Vec<_> = by_seed.iter().flatten().collect();
    if each.is_empty() {
        return None;
    }
    let together = tally(&said);
    let right: Vec<Vec<bool>> =
        said.iter().map(|predictions| test.right(|row| predictions[row].class())).collect();
    let mean = |values: &dyn Fn(&crate::predict::report::Evaluation) -> f64| {
        each.iter().copied().map(values).sum::<f64>() / each.len() as f64
    };
    Some(Measured {
        accuracy: Accuracies::of(
            by_seed.iter().map(|evaluation| Some(evaluation.as_ref()?.accuracy)).collect(),
        )?,
        accuracy_95: accuracy_95(&right)?,
        macro_f1: mean(&|evaluation| evaluation.macro_f1),
        expected_calibration_error: mean(&|evaluation| evaluation.expected_calibration_error),
        reliability: together.reliability(),
        confusion: together.evaluate()?.confusion.counts,
        right: right
            .iter()
            .map(|rows| rows.iter().map(|right| if *right { '1' } else { '0' }).collect())
            .collect(),
    })
}

/// Members that were given fewer rows of a class than they should have been, or some of them more than once.
fn shortages(ensemble: &Ensemble, folder: &EnsembleFolder) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for generation in 1..=ensemble.manifest.generations {
        let mut worst: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for &seed in &ensemble.manifest.seeds {
            let wanted = ensemble.wanted(seed, generation);
            for index in 0..ensemble.members.len() {
                let found = ensemble.labelled_by_others(folder, seed, generation, index)?;
                for (class, &wanted) in wanted.iter().enumerate() {
                    let of_class = found.iter().filter(|labelled| labelled.class == class);
                    let count = of_class.map(|labelled| labelled.row).collect::<HashSet<_>>().len();
                    let least = worst.entry(class).or_insert((count, wanted));
                    *least = (*least).min((count, wanted));
                }
            }
        }
        warnings.extend(worst.into_iter().filter(|(_, (found, wanted))| found < wanted).map(|(class, (found, wanted))| {
            let label = &ensemble.run.classes[class];
            let again = if found > 0 && ensemble.manifest.draw == Draw::Proportional { ", so some stand there more than once" } else { "" };
            format!("generation {generation}: some member was given {found} of the {wanted} rows of {label:?} that it should learn from: the members before say it too seldom{again}")
        }));
    }
    Ok(warnings)
}

/// How the losses fell: of each pattern and of the students, the mean over the seeds.
fn curves(ensemble: &Ensemble, folder: &EnsembleFolder) -> Result<Vec<Curve>> {
    // By part, then by step, the sum and the number of seeds.
    let mut losses: BTreeMap<String, BTreeMap<usize, (f64, usize)>> = BTreeMap::new();
    folder.run.each_event(&mut |event| {
        if let Event::Step { step, losses: found, .. } = event.event
            && let Some(loss) = found.leading()
        {
            let sum = losses.entry(event.part).or_default().entry(step).or_default();
            *sum = (sum.0 + loss, sum.1 + 1);
        }
    })?;
    let mut curves = Vec::new();
    for generation in 0..=ensemble.manifest.generations {
        let names =
            ensemble.members.iter().enumerate().map(|(index, member)| (Some(index), member.name.as_str()));
        for (pattern, name) in names.chain([(None, STUDENT)]) {
            let Some(by_step) = losses.get(&format!("generation-{generation}/{name}")) else { continue };
            let means: Vec<(usize, f64)> =
                by_step.iter().map(|(step, (sum, seeds))| (*step, sum / *seeds as f64)).collect();
            let (steps, losses) = means
                .chunks(means.len().div_ceil(POINTS).max(1))
                .map(|chunk| {
                    (
                        chunk[chunk.len() - 1].0,
                        chunk.iter().map(|(_, loss)| loss).sum::<f64>() / chunk.len() as f64,
                    )
                })
                .unzip();
            curves.push(Curve { generation, pattern, steps, losses });
        }
    }
    Ok(curves)
}
