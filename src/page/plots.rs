//! The plots.

use maud::{Markup, html};
use plotters::chart::MeshStyle;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{ChartBuilder, PathElement, Rectangle, SVGBackend, Text};
use plotters::style::text_anchor::HPos;

use crate::numbers::{count, interval, percent};
use crate::page::canvas::{Area, Ink, UNIT, apart, legend, mark, plot, text};
use crate::predict::report::Bin;

/// Letters of a name in a plot; the table has it whole.
const MOST_LETTERS: usize = 30;
/// The width of a letter in a wide font, on average.
const LETTER: f64 = 7.2;

/// A share with its interval.
pub(crate) type Ranged = (f64, [f64; 2]);

/// Shares in percent with their intervals, a line for each name and a mark for each series in it; above the
/// `below`th name stands a stronger line.
pub(crate) fn intervals(
    title: &str,
    series: &[(usize, String)],
    rows: &[(String, Vec<Option<Ranged>>)],
    below: usize,
) -> Markup {
    let ends: Vec<f64> =
        rows.iter().flat_map(|(_, found)| found.iter().flatten()).flat_map(|(_, ends)| *ends).collect();
    let Some((low, high)) = bounds(&ends) else { return html! {} };
    let (step, between) = (11, 14);
    let row_height = step * series.len() as i32 + between - 4;
    let height = row_height * rows.len() as i32;
    let names: Vec<String> = rows.iter().map(|(name, _)| cut(name)).collect();
    let letters = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
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
        for (row, (name, (_, found))) in names.iter().zip(rows).enumerate() {
            let top = row as i32 * row_height;
            let (left, _) = at(low, top);
            let ink = if row == below { Ink::Muted } else { Ink::Grid };
            area.draw(&PathElement::new(vec![at(low, top), at(high, top)], ink.line(0.5)))?;
            let (_, middle) = at(low, top + row_height / 2);
            area.draw(&Text::new(name.clone(), (left - 8 * UNIT, middle), text(Ink::Text, HPos::Right)))?;
            for (index, ((series, _), found)) in series.iter().zip(found).enumerate() {
                let Some((share, ends)) = found else { continue };
                let y = top + between / 2 + step / 2 - 2 + index as i32 * step;
                let [from, to] = ends.map(|end| at(end * 100.0, y));
                area.draw(&PathElement::new(vec![from, to], Ink::Series(*series).line(1.5)))?;
                mark(area, *series, at(share * 100.0, y), 4)?;
            }
        }
        Ok(())
    };
    let words = names.iter().zip(rows).map(|(name, (_, found))| {
        let of_series = series.iter().zip(found).filter_map(|((_, series), found)| {
            let (share, ends) = (*found)?;
            Some(format!("{series} {}, interval {}", percent(share), interval(ends)))
        });
        format!("{name}: {}.", of_series.collect::<Vec<_>>().join(", "))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    html! {
        (legend(series))
        (plot((700, height + 34), title, &words, draw))
    }
}

/// How often a prediction is right, by how sure it is.
pub(crate) fn reliability(curves: &[(usize, &str, &[Bin])]) -> Markup {
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

/// How many things fall between each two edges: bars of parts on each other, `counts` a list for each part.
pub(crate) fn histogram(
    title: &str,
    [across, up]: [&str; 2],
    edges: (f64, f64),
    parts: &[(usize, String, Vec<u64>)],
) -> Markup {
    let bins = parts.iter().map(|(_, _, counts)| counts.len()).max().unwrap_or(0);
    let height_of = |bin: usize| parts.iter().map(|(_, _, counts)| counts[bin]).sum::<u64>();
    let highest = (0..bins).map(height_of).max().unwrap_or(0);
    if highest == 0 {
        return html! {};
    }
    let (low, high) = edges;
    let edge = |bin: usize| low + (high - low) * bin as f64 / bins as f64;
    let draw = |area: &Area<'_>| {
        let chart = ChartBuilder::on(area)
            .margin_right(14 * UNIT)
            .margin_top(10 * UNIT)
            .x_label_area_size(44 * UNIT)
            .y_label_area_size(62 * UNIT)
            .build_cartesian_2d(low..high, 0.0..highest as f64 * 1.05);
        let mut chart = chart?;
        let mut mesh = chart.configure_mesh();
        axes(mesh.x_labels(6).y_labels(6))
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&|rows| if rows.fract() == 0.0 { count(*rows as u64) } else { String::new() });
        mesh.x_desc(across).y_desc(up).axis_desc_style(text(Ink::Muted, HPos::Center)).draw()?;
        let at = |value: f64, rows: u64| chart.plotting_area().map_coordinate(&(value, rows as f64));
        for bin in 0..bins {
            let mut below = 0;
            for (series, _, counts) in parts.iter().filter(|(_, _, counts)| counts[bin] > 0) {
                let (left, bottom) = at(edge(bin), below);
                below += counts[bin];
                let (right, top) = at(edge(bin + 1), below);
                let corners = [(left + UNIT, top), (right - UNIT, bottom)];
                area.draw(&Rectangle::new(corners, Ink::Series(*series).filled()))?;
            }
        }
        Ok(())
    };
    let words = parts.iter().map(|(_, name, counts)| {
        let some = counts.iter().enumerate().filter(|(_, rows)| **rows > 0);
        let some =
            some.map(|(bin, rows)| format!("{:.0} to {:.0}: {}", edge(bin), edge(bin + 1), count(*rows)));
        format!("{name}: {}.", some.collect::<Vec<_>>().join("; "))
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let entries: Vec<(usize, String)> =
        parts.iter().map(|(series, name, _)| (*series, name.clone())).collect();
    html! {
        (legend(&entries))
        (plot((430, 360), title, &words, draw))
    }
}

/// Shares in a square, the higher the stronger the colour, for more names than a table has room for. Squares
/// without a share are left out.
pub(crate) fn heat(title: &str, names: &[String], share: impl Fn(usize, usize) -> f64) -> Markup {
    /// The length of a side, in the units of its cells.
    const CELL: usize = 10;
    let size = names.len() * CELL;
    let cells = (0..names.len()).flat_map(|row| (0..names.len()).map(move |column| (row, column)));
    let cells: Vec<(usize, usize, f64)> = cells
        .map(|(row, column)| (row, column, share(row, column)))
        .filter(|(_, _, share)| *share > 0.0)
        .collect();
    html! {
        div.scroll tabindex="0" {
            svg.heat viewBox=(format!("0 0 {size} {size}")) role="img" aria-label=(title) {
                title { (title) }
                @for (row, column, share) in cells {
                    rect x=(column * CELL) y=(row * CELL) width=(CELL) height=(CELL) style=(format!("--share:{share:.2}")) {
                        title { (names[row]) " → " (names[column]) ": " (percent(share)) " %" }
                    }
                }
            }
        }
    }
}

/// A name, and points by step.
pub(crate) type Line = (String, Vec<(f64, f64)>);

/// Points of a long training's line.
pub(crate) const POINTS: usize = 100;

/// At most so many points, each the mean of those since the one before.
pub(crate) fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let mean = |part: &[(f64, f64)]| {
        let (step, _) = *part.last()?;
        Some((step, part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64))
    };
    points.chunks(points.len().div_ceil(most).max(1)).filter_map(mean).collect()
}

/// How the losses of some trainings fell, each with its number at the end. More lines than have room are
/// not numbered.
pub(crate) fn losses(title: &str, lines: &[Line]) -> Markup {
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
                area.draw(&Text::new(name.clone(), (right + 8 * UNIT, y), text(Ink::Text, HPos::Left)))?;
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
