//! The floors of `src/lib.rs`: a module imports only from groups that stand before its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Modules with the number of their group, read from `lib.rs`: a `// comment` begins a group, `pub mod name;` belongs to it.
fn floors() -> BTreeMap<String, usize> {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let mut floor = 0;
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        if line.starts_with("// ") {
            floor += 1;
        } else if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            floors.insert(name.to_owned(), floor);
        }
    }
    floors
}

/// The source files of a module: `name.rs`, or all files below `name/`.
fn files(module: &str) -> Vec<std::path::PathBuf> {
    let single = Path::new("src").join(format!("{module}.rs"));
    if single.exists() {
        return vec![single];
    }
    files_below(&Path::new("src").join(module))
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The top-level modules that a line of code names: `crate::name`, or each of `crate::{a, b::c}`.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).map(first_word).collect::<Vec<String>>(),
            None => vec![first_word(rest)],
        })
        .collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn modules_import_only_from_lower_floors() {
    let floors = floors();
    assert!(floors.len() > 10, "lib.rs names no floors: {floors:?}");
    let mut wrong = Vec::new();
    for (module, floor) in &floors {
        for file in files(module) {
            let text = fs::read_to_string(&file).unwrap();
            // A list of imports may go over several lines.
            let text = text.replace("crate::{\n", "crate::{").replace(",\n    ", ", ");
            for (index, line) in text.lines().enumerate() {
                for import in imports(line) {
                    if import != *module && floors.get(&import).is_some_and(|other| other >= floor) {
                        wrong.push(format!("`{module}` imports `{import}`, {}:{}", file.display(), index + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_stands_on_a_floor() {
    let floors = floors();
    for entry in fs::read_dir("src").unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(floors.contains_key(&name) || ["lib", "main", "cli"].contains(&name.as_str()), "src/{name} is on no floor of src/lib.rs");
    }
}

#[test]
fn a_forbidden_import_is_seen() {
    assert_eq!(imports("use crate::train::Loop; use crate::{error, data::Rows};"), ["train", "error", "data"]);
    assert!(imports("// see crate::train").is_empty());
}
