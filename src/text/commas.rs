//! Lists on one line.

/// What stands between commas that are not in quotes; none where a quote is left open.
///
/// ```
/// use cloze::text::commas::between_commas;
/// assert_eq!(between_commas(r#"a, "b, c""#), Some(vec!["a".to_owned(), "b, c".to_owned()]));
/// assert_eq!(between_commas(r#"a, "b"#), None);
/// ```
pub fn between_commas(line: &str) -> Option<Vec<String>> {
    between(line, ',')
}

/// What stands between such letters that are not in quotes, without its own quotes; none where a quote is
/// left open.
pub fn between(line: &str, letter: char) -> Option<Vec<String>> {
    Some(split(line, letter)?.into_iter().map(unquoted).collect())
}

/// The same with the quotes.
pub fn split(line: &str, letter: char) -> Option<Vec<&str>> {
    let mut quoted = false;
    let parts = line.split(|found| {
        quoted ^= found == '"';
        found == letter && !quoted
    });
    let parts = parts.map(str::trim).collect();
    (!quoted).then_some(parts)
}

/// A text as it stands between commas: in quotes, if it has a comma or a quote itself.
///
/// ```
/// use cloze::text::commas::{between_commas, in_quotes};
/// let line = [in_quotes("a, \"b\""), in_quotes("c")].join(",");
/// assert_eq!(between_commas(&line), Some(vec!["a, \"b\"".to_owned(), "c".to_owned()]));
/// ```
pub fn in_quotes(text: &str) -> String {
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// A text without the quotes round it, doubled ones single.
pub fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("\"\"", "\"").trim().to_owned())
}
