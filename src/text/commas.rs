//! Lists on one line, between commas.

/// What stands between commas that are not in quotes.
pub fn between_commas(line: &str) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        quoted ^= letter == '"';
        match parts.last_mut() {
            Some(part) if letter != ',' || quoted => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    parts.iter().map(|part| unquoted(part.trim())).collect()
}

/// A text without the quotes round it, doubled ones single.
pub fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("\"\"", "\"").trim().to_owned())
}
