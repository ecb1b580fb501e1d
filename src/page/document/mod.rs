//! A whole page in one file: its style and its plots are in it, and nothing is fetched.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// A whole page.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    whole.into_string()
}

/// A heading of a section: of the second level on the page of one run, of the third where there are several.
pub(crate) fn heading(text: &str, level: u8) -> Markup {
    match level {
        2 => html! { h2 { (text) } },
        3 => html! { h3 { (text) } },
        _ => html! { h4 { (text) } },
    }
}

/// What a reader must know before the numbers; nothing where there is nothing.
pub(crate) fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            div.trouble role="note" {
                p { b { (crate::numbers::counted(warnings.len() as u64, "warning")) } }
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

/// All that was asked for, by its names.
pub(crate) fn setting(rows: &[(&str, String)]) -> Markup {
    html! { dl.setting { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}
