//! The plots.

use crate::numbers::{interval, percent};
use maud::{Markup, html};
use plotters::chart::MeshStyle;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{ChartBuilder, PathElement, SVGBackend, Text};
use plotters::style::text_anchor::HPos;

use super::canvas::{Area, Ink, UNIT, apart, legend, mark, plot, text};
use crate::study::ensemble::report::{Bin, Curve, EnsembleReport, Measured, Stage};

/// Letters of a name in a plot; the table has it whole.
const MOST_LETTERS: usize = 30;
/// The width of a letter in a wide font, on average.
const LETTER: f64 = 7.2;

/// A stage's series: 0 without training, then the generations.
pub(super) fn series(stage: &Stage) -> usize {
    stage.generation.map_or(0, |generation| generation + 1)
}

/// The accuracy of each pattern in each stage, the ensembles and the students below.
pub(super) fn accuracies(report: &EnsembleReport) -> Markup {
    let stages: Vec<&Stage> = report.stages.iter().filter(|stage| stage.ensemble.is_some()).collect();
    let mut rows: Vec<(String, Vec<Option<&Measured>>)> = (0..report.patterns.len())
        .map(|index| {
            let name = cut(&format!("{} {}", index + 1, report.pattern_name(index)));
            (name, stages.iter().map(|stage| stage.patterns.get(index)?.as_ref()).collect())
        })
        .collect();
    if report.patterns.len() > 1 {
        rows.push(("ensemble".to_owned(), stages.iter().map(|stage| stage.ensemble.as_ref()).collect()));
    }
    rows.push(("student".to_owned(), stages.iter().map(|stage| stage.student.as_ref()).collect()));
    rows.retain(|(_, found)| found.iter().any(Option::is_some));
    let ends: Vec<f64> = rows
        .iter()
        .flat_map(|(_, found)| found.iter().flatten())
        .flat_map(|found| found.accuracy_95)
        .collect();
    let Some((low, high)) = bounds(&ends) else { return html! {} };
    let (step, between) = (11, 14);
    let row_height = step * stages.len() as i32 + between - 4;
    let height = row_height * rows.len() as i32;
    let letters = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let names_width = (letters as f64 * LETTER) as i32 + 14;
    let draw = |area: &Area<'_>| {
        let chart = ChartBuilder::on(area)
            .margin_right(16 * UNIT)
            .margin_top(6 * UNIT)
            .x_label_area_size(24 * UNIT)
            .y_label_area_size(names_width * UNIT)
            .build_cartesian_2d(low..high, 0.0..f64::from(height));
        let mut chart = chart?;
        axes(chart.configure_mesh().x_labels(8))
            .disable_y_mesh()
            .y_labels(0)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .draw()?;
        let at = |x: f64, y: i32| chart.plotting_area().map_coordinate(&(x, f64::from(height - y)));
        for (row, (name, found)) in rows.iter().enumerate() {
            let top = row as i32 * row_height;
            let (left, _) = at(low, top);
            let ink = if row == report.patterns.len() { Ink::Muted } else { Ink::Grid };
            area.draw(&PathElement::new(vec![at(low, top), at(high, top)], ink.line(0.5)))?;
            let (_, middle) = at(low, top + row_height / 2);
            area.draw(&Text::new(name.clone(), (left - 8 * UNIT, middle), text(Ink::Text, HPos::Right)))?;
            for (index, (stage, found)) in stages.iter().zip(found).enumerate() {
                let Some(found) = found else { continue };
                let y = top + between / 2 + step / 2 - 2 + index as i32 * step;
                let [from, to] = found.accuracy_95.map(|end| at(end * 100.0, y));
                area.draw(&PathElement::new(vec![from, to], Ink::Series(series(stage)).line(1.5)))?;
                mark(area, series(stage), at(found.accuracy.mean * 100.0, y), 4)?;
            }
        }
        Ok(())
    };
    let words = rows.iter().map(|(name, found)| {
        let of_stages = stages
            .iter()
            .zip(found)
            .filter_map(|(stage, found)| Some(format!("{} {}", stage.name(), spoken((*found)?))));
        format!("{name}: {}.", of_stages.collect::<Vec<_>>().join(", "))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let entries: Vec<(usize, String)> = stages.iter().map(|stage| (series(stage), stage.name())).collect();
    html! {
        (legend(&entries))
        (plot((700, height + 34), "Accuracy in percent, with 95 % intervals", &words, draw))
    }
}

/// How often a prediction is right, by how sure it is.
pub(super) fn reliability(curves: &[(usize, &str, &[Bin])]) -> Markup {
    let draw = |area: &Area<'_>| {
        let chart = ChartBuilder::on(area)
            .margin_right(14 * UNIT)
            .margin_top(10 * UNIT)
            .x_label_area_size(44 * UNIT)
            .y_label_area_size(52 * UNIT)
            .build_cartesian_2d(0.0..100.0, 0.0..100.0);
        let mut chart = chart?;
        let mut mesh = chart.configure_mesh();
        let whole = |value: &f64| format!("{value:.0}");
        axes(mesh.x_labels(6).y_labels(6)).x_label_formatter(&whole).y_label_formatter(&whole);
        mesh.x_desc("probability, %")
            .y_desc("right, %")
            .axis_desc_style(text(Ink::Muted, HPos::Center))
            .draw()?;
        let at = |confidence: f64, accuracy: f64| {
            chart.plotting_area().map_coordinate(&(confidence * 100.0, accuracy * 100.0))
        };
        area.draw(&PathElement::new(vec![at(0.0, 0.0), at(1.0, 1.0)], Ink::Muted.line(1.0)))?;
        for (series, _, bins) in curves {
            let points: Vec<(i32, i32)> = bins.iter().map(|bin| at(bin.confidence, bin.accuracy)).collect();
            area.draw(&PathElement::new(points.clone(), Ink::Series(*series).line(1.5)))?;
            points.into_iter().try_for_each(|point| mark(area, *series, point, 4))?;
        }
        Ok(())
    };
    let words = curves.iter().map(|(_, name, bins)| {
        let bins = bins
            .iter()
            .map(|bin| format!("{} sure, {} right", percent(bin.confidence), percent(bin.accuracy)));
        format!("{name}: {}.", bins.collect::<Vec<_>>().join("; "))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let entries: Vec<(usize, String)> =
        curves.iter().map(|(series, name, _)| (*series, (*name).to_owned())).collect();
    html! {
        (legend(&entries))
        (plot((380, 360), "Reliability diagram", &words, draw))
    }
}

/// How the losses of a stage's trainings fell, each with its number at the end. More lines than have room are
/// not numbered.
pub(super) fn curves(title: &str, curves: &[(String, &Curve)]) -> Markup {
    let finite = |curve: &Curve| -> Vec<(f64, f64)> {
        let points = curve.steps.iter().zip(&curve.losses).filter(|(_, loss)| loss.is_finite());
        points.map(|(step, loss)| (*step as f64, *loss)).collect()
    };
    let lines: Vec<(&str, Vec<(f64, f64)>)> =
        curves.iter().map(|(name, curve)| (name.as_str(), finite(curve))).collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let last_step = points().map(|(step, _)| *step).fold(0.0, f64::max);
    let highest = points().map(|(_, loss)| *loss).fold(0.0, f64::max);
    if last_step <= 0.0 || highest <= 0.0 {
        return html! {};
    }
    let letters = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let gap = 13;
    let height = (lines.len() as i32 * gap).clamp(190, 320);
    let named = lines.len() as i32 * gap <= height;
    let draw = |area: &Area<'_>| {
        let chart = ChartBuilder::on(area)
            .margin_right(if named { (letters as f64 * LETTER) as i32 + 14 } else { 14 } * UNIT)
            .margin_top(8 * UNIT)
            .x_label_area_size(40 * UNIT)
            .y_label_area_size(52 * UNIT)
            .build_cartesian_2d(0.0..last_step, 0.0..highest * 1.05);
        let mut chart = chart?;
        let mut mesh = chart.configure_mesh();
        axes(mesh.x_labels(6).y_labels(5))
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|loss| short(*loss));
        mesh.x_desc("step").y_desc("loss").axis_desc_style(text(Ink::Muted, HPos::Center)).draw()?;
        let at = |point: (f64, f64)| chart.plotting_area().map_coordinate(&point);
        let (_, top) = at((0.0, highest));
        let (right, bottom) = at((last_step, 0.0));
        let ends: Vec<i32> =
            lines.iter().map(|(_, points)| points.last().map_or(bottom, |point| at(*point).1)).collect();
        let places = apart(&ends, gap * UNIT, top, bottom);
        for (index, (name, points)) in lines.iter().enumerate() {
            // The first colour is that of what was not trained.
            let ink = Ink::Series(1 + index % 5);
            area.draw(&PathElement::new(
                points.iter().map(|point| at(*point)).collect::<Vec<_>>(),
                ink.line(1.5),
            ))?;
            if named {
                let (x, y) = (points.last().map_or(right, |point| at(*point).0), places[index]);
                area.draw(&PathElement::new(
                    vec![(x, ends[index]), (right + 6 * UNIT, y)],
                    Ink::Muted.line(0.5),
                ))?;
                area.draw(&Text::new(
                    (*name).to_owned(),
                    (right + 8 * UNIT, y),
                    text(Ink::Text, HPos::Left),
                ))?;
            }
        }
        Ok(())
    };
    let words = lines.iter().filter_map(|(name, points)| {
        let ((_, first), (step, last)) = (points.first()?, points.last()?);
        Some(format!("{name}: {first:.3} to {last:.3} in {step:.0} steps."))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    html! {
        figure.half {
            figcaption { (title) }
            (plot((430, height + 60), &format!("Loss, {title}"), &words, draw))
        }
    }
}

/// What all axes have in common.
fn axes<'m, 'a, 'b, 's>(mesh: &'m mut Mesh<'a, 'b, 's>) -> &'m mut Mesh<'a, 'b, 's> {
    mesh.label_style(text(Ink::Muted, HPos::Center))
        .axis_style(Ink::Grid.line(1.0))
        .bold_line_style(Ink::Grid.line(0.5))
        .max_light_lines(1)
}

type Mesh<'a, 'b, 's> = MeshStyle<'a, 'b, RangedCoordf64, RangedCoordf64, SVGBackend<'s>>;

/// The range of the percent axis: the next fives beyond all ends.
fn bounds(shares: &[f64]) -> Option<(f64, f64)> {
    let finite = || shares.iter().copied().filter(|share| share.is_finite());
    finite().next()?;
    let low = (finite().fold(f64::INFINITY, f64::min) * 20.0 - 0.2).floor() * 5.0;
    let high = (finite().fold(f64::NEG_INFINITY, f64::max) * 20.0 + 0.2).ceil() * 5.0;
    Some((low.max(0.0), high.min(100.0).max(low.max(0.0) + 5.0)))
}

fn spoken(found: &Measured) -> String {
    format!("{}, interval {}", percent(found.accuracy.mean), interval(found.accuracy_95))
}

/// A loss at an axis.
fn short(loss: f64) -> String {
    let text = format!("{loss:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Without its middle, where it is too long: names that begin alike often end in other words.
fn cut(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MOST_LETTERS {
        return name.to_owned();
    }
    let half = MOST_LETTERS / 2;
    letters[..half].iter().chain(&['…']).chain(&letters[letters.len() + 1 - half..]).collect()
}
