//! What the plots are drawn on: SVG whose colours the page's style sheet gives, so that they follow light and
//! dark.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, IntoDrawingArea as _, PathElement, Polygon, Rectangle, SVGBackend,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, TextStyle};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), plotters::drawing::DrawingAreaErrorKind<std::io::Error>>;

/// The backend rounds to whole pixels: with two to each unit of the page, curves stay smooth.
pub(crate) const UNIT: i32 = 2;

/// A colour by its role. What is drawn has a stand-in, which style.css maps to the colour itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Text,
    Muted,
    Grid,
    Paper,
    /// A series' own.
    Series(usize),
}

/// As many as style.css has; further series take the first again.
const SERIES: usize = 6;

impl Ink {
    fn color(self) -> RGBColor {
        let number = match self {
            Ink::Text => 1,
            Ink::Muted => 2,
            Ink::Grid => 3,
            Ink::Paper => 4,
            Ink::Series(index) => 0x10 + u8::try_from(index % SERIES).unwrap_or(0),
        };
        RGBColor(1, 1, number)
    }

    /// A line of this width.
    pub(crate) fn line(self, width: f64) -> ShapeStyle {
        self.color().stroke_width((width * f64::from(UNIT)).round() as u32)
    }

    pub(crate) fn filled(self) -> ShapeStyle {
        self.color().filled()
    }
}

/// Text of the usual size. Where it stands to its point: left of it, right of it, in its middle.
pub(crate) fn text(ink: Ink, across: HPos) -> TextStyle<'static> {
    // The backend takes sizes by another measure than CSS and divides by 1.24; the family is the page's.
    ("sans-serif", 12.0 * 1.24 * f64::from(UNIT))
        .into_font()
        .color(&ink.color())
        .pos(Pos::new(across, VPos::Center))
}

/// A plot. What it shows is told in words too.
pub(crate) fn plot(
    (width, height): (i32, i32),
    title: &str,
    words: &str,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Markup {
    let mut svg = String::new();
    let size = [width, height].map(|length| u32::try_from(length * UNIT).unwrap_or(1));
    let area = SVGBackend::with_string(&mut svg, size.into()).into_drawing_area();
    let drawn = draw(&area).and_then(|()| area.present());
    drop(area);
    // Writing to a String cannot fail.
    let Ok(()) = drawn else { return html! {} };
    let inside = svg.split_once('>').map_or("", |(_, inside)| inside);
    let view = format!("0 0 {} {}", size[0], size[1]);
    // Narrower, the text could not be read: then the plot is scrolled.
    let most = format!("max-width:{width}px;min-width:{}px", width * 4 / 5);
    html! {
        div.scroll tabindex="0" {
            svg viewBox=(view) style=(most) role="img" aria-label=(format!("{title}. {words}")) {
                title { (title) }
                (PreEscaped(inside.trim_end().trim_end_matches("</svg>")))
            }
        }
    }
}

/// The mark of a series, so that colour does not tell them apart alone: the shapes of [`GLYPHS`].
pub(crate) fn mark(area: &Area<'_>, series: usize, (x, y): (i32, i32), radius: i32) -> Drawn {
    let (ink, r) = (Ink::Series(series), radius * UNIT);
    match series % SERIES {
        0 => {
            area.draw(&Circle::new((x, y), r, Ink::Paper.filled()))?;
            area.draw(&Circle::new((x, y), r, ink.line(1.5)))
        }
        1 => area.draw(&Circle::new((x, y), r, ink.filled())),
        2 => area.draw(&Polygon::new(
            vec![(x - r - 1, y + r - 1), (x + r + 1, y + r - 1), (x, y - r - 1)],
            ink.filled(),
        )),
        3 => area.draw(&Rectangle::new([(x - r + 1, y - r + 1), (x + r - 1, y + r - 1)], ink.filled())),
        4 => area.draw(&Polygon::new(
            vec![(x - r - 1, y), (x, y - r - 1), (x + r + 1, y), (x, y + r + 1)],
            ink.filled(),
        )),
        _ => {
            let corners = [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r), (x - r, y - r)];
            area.draw(&Polygon::new(corners.to_vec(), Ink::Paper.filled()))?;
            area.draw(&PathElement::new(corners.to_vec(), ink.line(1.5)))
        }
    }
}

/// The marks as letters.
const GLYPHS: [&str; SERIES] = ["○", "●", "▲", "■", "◆", "□"];

/// What each mark means.
pub(crate) fn legend(entries: &[(usize, String)]) -> Markup {
    html! {
        p.legend {
            @for (series, name) in entries {
                span { span class=(format!("series-{}", series % SERIES)) aria-hidden="true" { (GLYPHS[series % SERIES]) } " " (name) } " "
            }
        }
    }
}

/// Texts on a line of their own each: as near as can be to where they are wanted, `gap` apart, between `top`
/// and `bottom`.
pub(crate) fn apart(wanted: &[i32], gap: i32, top: i32, bottom: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&index| wanted[index]);
    let mut found = wanted.to_vec();
    let mut next = top;
    for &index in &order {
        found[index] = found[index].max(next);
        next = found[index] + gap;
    }
    let mut last = bottom;
    for &index in order.iter().rev() {
        found[index] = found[index].min(last);
        last = found[index] - gap;
    }
    found
}
