//! Classes in shapes that a verbalizer file does not have, as other programs have them or as people try: what
//! was meant, so that an error can show how to write it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::VERSION;

/// So many classes are shown, and so many words of each.
const SHOWN: usize = 3;

/// A class that was meant: its label and its words.
type Meant = (String, Vec<String>);

/// The keys of a verbalizer file beside its classes.
const OTHER_KEYS: [&str; 9] =
    ["version", "about", "aggregate", "multi_token", "kind", "name", "classes", "priors_of", "learn_weights"];

/// How to write the verbalizer that was meant, where the value of a file has none of a verbalizer's own shape.
pub(super) fn rewritten(file: &Value) -> Option<String> {
    let meant = match file {
        Value::Array(list) => {
            list.iter().map(of_class).collect::<Option<_>>().filter(|meant: &Vec<_>| !meant.is_empty())?
        }
        Value::Object(object) => of_object(object)?,
        _ => return None,
    };
    let version = json!(VERSION);
    let mut text = format!("{{ \"version\": {version}, \"classes\": [");
    for (index, (label, words)) in meant.iter().take(SHOWN).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma} {{ \"label\": {}, \"words\": {} }}", json!(label), list(words));
    }
    text += if meant.len() > SHOWN { ", … ] }" } else { " ] }" };
    Some(text)
}

/// The words of one string, as a list of a file: those between commas.
pub(super) fn list_of(words: &str) -> String {
    list(&between_commas(words))
}

fn list(words: &[String]) -> String {
    let mut shown: Vec<String> = words.iter().take(SHOWN).map(|word| json!(word).to_string()).collect();
    if words.len() > SHOWN {
        shown.push("…".to_owned());
    }
    format!("[{}]", shown.join(", "))
}

fn between_commas(words: &str) -> Vec<String> {
    words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn of_object(object: &Map<String, Value>) -> Option<Vec<Meant>> {
    match (object.get("classes"), object.get("label_words")) {
        // OpenPrompt's two lists.
        (Some(Value::Array(labels)), Some(Value::Array(words))) if labels.len() == words.len() => labels
            .iter()
            .zip(words)
            .map(|(label, words)| Some((label_of(label)?, words_of(words)?)))
            .collect(),
        (_, Some(Value::Object(words))) => of_map(words.iter()),
        (Some(Value::Object(classes)), _) => of_map(classes.iter()),
        (Some(Value::Array(classes)), None) => of_list(classes),
        // A class alone is no task: this is a file of another kind, as a template.
        (None, None) => {
            let classes = object.iter().filter(|(key, _)| !OTHER_KEYS.contains(&key.as_str()));
            of_map(classes).filter(|meant| meant.len() > 1)
        }
        _ => None,
    }
}

/// `{ "card": ["card", "money"], … }`
fn of_map<'a>(classes: impl Iterator<Item = (&'a String, &'a Value)>) -> Option<Vec<Meant>> {
    let meant: Option<Vec<Meant>> =
        classes.map(|(label, words)| Some((label.clone(), words_of(words)?))).collect();
    meant.filter(|meant| !meant.is_empty())
}

/// Classes in a list; none if all of them are as they should be.
fn of_list(classes: &[Value]) -> Option<Vec<Meant>> {
    let is_right = |class: &Value| class.get("label").is_some() && class.get("words").is_some();
    if classes.iter().all(is_right) {
        return None;
    }
    classes.iter().map(of_class).collect()
}

/// `["card", "money"]`, `["card", ["card", "money"]]`, `{ "card": ["money"] }`,
/// `{ "label": "card", "label_words": ["money"] }`
fn of_class(class: &Value) -> Option<Meant> {
    match class {
        Value::Array(parts) => match &parts[..] {
            [label, words @ Value::Array(_)] => Some((label_of(label)?, words_of(words)?)),
            [label, words @ ..] if !words.is_empty() => {
                Some((label_of(label)?, words.iter().map(label_of).collect::<Option<_>>()?))
            }
            _ => None,
        },
        Value::Object(object) => {
            let label = ["label", "class", "name"].iter().find_map(|key| object.get(*key));
            let words = ["words", "label_words", "word"].iter().find_map(|key| object.get(*key));
            match (label, words, object.len()) {
                (Some(label), Some(words), _) => Some((label_of(label)?, words_of(words)?)),
                (None, None, 1) => of_map(object.iter())?.pop(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn label_of(label: &Value) -> Option<String> {
    match label {
        Value::String(label) => Some(label.clone()),
        Value::Number(label) => Some(label.to_string()),
        _ => None,
    }
}

fn words_of(words: &Value) -> Option<Vec<String>> {
    match words {
        Value::String(words) => Some(between_commas(words)),
        Value::Array(words) => words.iter().map(|word| Some(word.as_str()?.to_owned())).collect(),
        _ => None,
    }
}
