//! The grammar of patterns. The language is described in [`crate::text::template`].

use super::{Field, Filter, Piece, Soft, SoftStart};
use crate::error::source::Span;
use crate::error::{Kind, Result, TemplateError};
use crate::text::json::Text;

/// The pieces of a pattern. Every byte sequence gives pieces or an error with its place; at most one mask, at
/// most one separator.
pub(super) fn pattern(pattern: &Text) -> Result<Vec<Piece>> {
    let text = pattern.value.as_str();
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push(letter);
            at += 2;
        } else if letter == '}' {
            return Err(pattern.error(at..at + 1, TemplateError::StrayBrace));
        } else if letter == '{' {
            let length =
                closing_brace(rest).ok_or_else(|| pattern.error(at..at + 1, TemplateError::UnclosedBrace))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let span = at..at + length + 1;
            let piece = placeholder(pattern, span.clone())?;
            match piece {
                Piece::Mask if pieces.contains(&Piece::Mask) => {
                    return Err(pattern.error(span, TemplateError::WithSecondMask));
                }
                Piece::Demonstrations(_)
                    if pieces.iter().any(|piece| matches!(piece, Piece::Demonstrations(_))) =>
                {
                    return Err(pattern.error(span, Kind::Template(TemplateError::WithSecondDemonstrations)));
                }
                Piece::Separator if pieces.contains(&Piece::Separator) => {
                    return Err(pattern.error(span, TemplateError::WithSecondSeparator));
                }
                piece => pieces.push(piece),
            }
            at += length + 1;
        } else {
            literal.push(letter);
            at += letter.len_utf8();
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// Where a pattern without a mask has something that may be meant as one: the mask of another grammar, or of
/// a model's vocabulary, or a line to write on.
pub(super) fn meant_as_mask(pattern: &str) -> Option<Span> {
    const MASKS: [&str; 5] = ["{{mask}}", "{mask}", "[mask]", "<mask>", "___"];
    let small = pattern.to_ascii_lowercase();
    let (start, mask) = MASKS.iter().find_map(|mask| Some((small.find(mask)?, mask)))?;
    let length = match *mask {
        "___" => small[start..].len() - small[start..].trim_start_matches('_').len(),
        mask => mask.len(),
    };
    Some(start..start + length)
}

/// The byte of the `}` that closes the `{` at the start; none if another `{` or the end comes first.
fn closing_brace(rest: &str) -> Option<usize> {
    let found = rest[1..].find(['{', '}'])? + 1;
    rest[found..].starts_with('}').then_some(found)
}

/// What stands between braces; `span` includes them.
fn placeholder(pattern: &Text, span: Span) -> Result<Piece> {
    let inside = &pattern.value[span.start + 1..span.end - 1];
    let mut parts = parts_with_spans(inside, span.start + 1);
    let (name, name_span) = parts.next().unwrap_or(("", span.clone()));
    // `soft:8`, `demos:4`: the kind of piece stands before the colon.
    let kind = name.split(':').next().unwrap_or_default().trim();
    let simple = match kind {
        "" => return Err(pattern.error(span, TemplateError::EmptyBraces)),
        "mask" if name == kind => Some(("mask", Piece::Mask)),
        "sep" if name == kind => Some(("sep", Piece::Separator)),
        "demos" => Some(("demos", Piece::Demonstrations(demonstrations(pattern, name, &name_span)?))),
        _ => None,
    };
    let simple = match kind.split_whitespace().next() {
        Some("soft") => Some(("soft", Piece::Soft(soft(pattern, name, &name_span, span.clone())?))),
        _ => simple,
    };
    if let Some((name, piece)) = simple {
        return match parts.next() {
            None => Ok(piece),
            Some((_, filter_span)) => {
                Err(pattern.error(filter_span, TemplateError::FilterOnPiece { piece: name }))
            }
        };
    }
    let mut field = Field { column: name.to_owned(), filters: Vec::new(), shorten: false, span };
    for (name, filter_span) in parts {
        if name == "shorten" {
            field.shorten = true;
        } else if let Some((_, filter)) = Filter::ALL.iter().find(|(known, _)| *known == name) {
            field.filters.push(*filter);
        } else {
            let allowed =
                std::iter::once("shorten").chain(Filter::ALL.iter().map(|(known, _)| *known)).collect();
            return Err(
                pattern.error(filter_span, TemplateError::UnknownFilter { name: name.to_owned(), allowed })
            );
        }
    }
    Ok(Piece::Field(field))
}

/// `demos:4`
fn demonstrations(pattern: &Text, written: &str, span: &Span) -> Result<usize> {
    let number =
        written["demos".len()..].trim().strip_prefix(':').and_then(|number| number.trim().parse().ok());
    let number = number.filter(|number| (1..=MOST_DEMONSTRATIONS).contains(number));
    number.ok_or_else(|| {
        let kind =
            TemplateError::DemonstrationsUnclear { written: written.to_owned(), most: MOST_DEMONSTRATIONS };
        pattern.error(span.clone(), kind)
    })
}

/// No model of 512 tokens takes more.
const MOST_DEMONSTRATIONS: usize = 64;

/// The parts between `|`, trimmed, each with its place.
fn parts_with_spans(inside: &str, start: usize) -> impl Iterator<Item = (&str, Span)> {
    let mut next = start;
    inside.split('|').map(move |part| {
        let begin = next + (part.len() - part.trim_start().len());
        next += part.len() + 1;
        (part.trim(), begin..begin + part.trim().len().max(1))
    })
}

/// `soft`, `soft:8`, `soft:"it was"`, each with ` as NAME` behind or without.
fn soft(pattern: &Text, written: &str, written_span: &Span, span: Span) -> Result<Soft> {
    let unclear =
        || pattern.error(written_span.clone(), TemplateError::SoftUnclear { written: written.to_owned() });
    let rest = written["soft".len()..].trim();
    let (start, name) = match rest.strip_prefix(':').map(str::trim_start) {
        None => (None, rest),
        Some(quoted) if quoted.starts_with('"') => {
            let (words, rest) = quoted[1..].split_once('"').ok_or_else(unclear)?;
            (Some(SoftStart::Words(words.trim().to_owned())), rest.trim())
        }
        Some(number) => {
            let (number, rest) = number.split_once(char::is_whitespace).unwrap_or((number, ""));
            let number =
                number.parse().ok().filter(|number| (1..=MOST_SOFT).contains(number)).ok_or_else(unclear)?;
            (Some(SoftStart::Sampled(number)), rest.trim())
        }
    };
    let name =
        match name.strip_prefix("as").filter(|name| name.starts_with(char::is_whitespace)).map(str::trim) {
            Some(name) if !name.is_empty() && !name.contains(char::is_whitespace) => Some(name.to_owned()),
            None if name.is_empty() => None,
            _ => return Err(unclear()),
        };
    // `{soft}` alone is one soft token; with a name it may stand for more, said elsewhere.
    let start = start.or_else(|| name.is_none().then_some(SoftStart::Sampled(1)));
    Ok(Soft { name, start, span })
}

/// No model takes longer inputs than some thousands of tokens.
const MOST_SOFT: usize = 4096;
