//! The floors: a module imports only from floors below its own, or from above its own line on its own floor.
//!
//! `src/lib.rs` lists the floors, ground floor first, and each floor's `mod.rs` lists its modules, as
//! `src/cli/mod.rs` does for the command line. A `// comment` begins a group, and the modules below it belong
//! to it. Modules of one group do not import each other. Deeper down, where no order is listed, there is no
//! circle between siblings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path from the crate's root: `["tune", "peft", "read"]`.
type Module = Vec<String>;

/// One module's name in another's code.
struct Import {
    from: Module,
    to: Module,
    file: PathBuf,
    line: usize,
}

/// The modules that a file declares, each with the number of its group.
fn groups(file: &Path) -> BTreeMap<String, usize> {
    let mut group = 0;
    let mut groups = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        if line.starts_with("// ") {
            group += 1;
        }
        let declared =
            ["pub mod ", "pub(crate) mod ", "mod "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(name) = declared.and_then(|rest| rest.strip_suffix(';')) {
            groups.insert(name.to_owned(), group);
        }
    }
    groups
}

/// All source files with their modules.
fn modules() -> Vec<(PathBuf, Module)> {
    fn below(folder: &Path, module: &[String], found: &mut Vec<(PathBuf, Module)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let inner = || [module, std::slice::from_ref(&name)].concat();
            if path.is_dir() {
                below(&path, &inner(), found);
            } else if ["mod", "lib", "main"].contains(&name.as_str()) {
                found.push((path, module.to_vec()));
            } else {
                found.push((path.clone(), inner()));
            }
        }
    }
    let mut found = Vec::new();
    below(Path::new("src"), &[], &mut found);
    found
}

/// The paths that a piece of code names below `crate`, `cloze` or `super`, each with its line. Lists are
/// taken apart.
fn paths(code: &str, module: &[String]) -> Vec<(Module, usize)> {
    let mut found = Vec::new();
    for root in ["crate::", "cloze::", "super::"] {
        let mut from = 0;
        while let Some(at) = code[from..].find(root).map(|at| at + from) {
            from = at + root.len();
            let before = code[..at].chars().next_back();
            // `x_crate::` is another name, and what follows `::` or a second `super` was seen with the first.
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let mut rest = &code[from..];
            let mut base = if root == "super::" { parent(module) } else { Vec::new() };
            while let Some(further) = rest.strip_prefix("super::") {
                base = parent(&base);
                rest = further;
            }
            let line = code[..at].matches('\n').count() + 1;
            found.extend(expand(rest).into_iter().map(|names| ([base.clone(), names].concat(), line)));
        }
    }
    found
}

fn parent(module: &[String]) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// The paths of `a::b`, or of `a::{b, c::{d, e}}`.
fn expand(text: &str) -> Vec<Module> {
    let Some(list) = text.strip_prefix('{') else {
        let name: String =
            text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        return match text[name.len()..].strip_prefix("::") {
            Some(rest) => expand(rest).into_iter().map(|end| [vec![name.clone()], end].concat()).collect(),
            None => vec![vec![name]],
        };
    };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).flat_map(expand).collect()
}

/// The code without comments.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every import from one module into another: only the part of the path that names modules is kept.
fn imports() -> Vec<Import> {
    let modules = modules();
    let known: BTreeSet<&Module> = modules.iter().map(|(_, module)| module).collect();
    let mut imports = Vec::new();
    for (file, module) in &modules {
        let code = without_comments(&fs::read_to_string(file).unwrap());
        for (mut to, line) in paths(&code, module) {
            while !known.contains(&to) {
                to.pop();
            }
            if to != *module {
                imports.push(Import { from: module.clone(), to, file: file.clone(), line });
            }
        }
    }
    imports
}

/// The groups that stand in order: the crate's, and each floor's.
fn ordered() -> BTreeMap<Module, BTreeMap<String, usize>> {
    let mut ordered = BTreeMap::from([(Vec::new(), groups(Path::new("src/lib.rs")))]);
    let floors: Vec<String> = ordered[&Vec::new()].keys().cloned().chain(["cli".to_owned()]).collect();
    for floor in floors {
        let file = Path::new("src").join(&floor).join("mod.rs");
        if file.exists() {
            ordered.insert(vec![floor], groups(&file));
        }
    }
    // The command line stands on top of all.
    let top = ordered.get_mut(&Vec::new()).unwrap();
    let highest = top.values().max().unwrap() + 1;
    top.insert("cli".to_owned(), highest);
    ordered
}

/// Where two modules' paths part: what they share, and the first names that differ.
fn parting<'a>(from: &'a Module, to: &'a Module) -> (Module, Option<&'a String>, Option<&'a String>) {
    let shared = from.iter().zip(to).take_while(|(one, other)| one == other).count();
    (from[..shared].to_vec(), from.get(shared), to.get(shared))
}

#[test]
fn modules_import_only_from_lower_floors() {
    let ordered = ordered();
    let mut wrong = Vec::new();
    for Import { from, to, file, line } in imports() {
        let (shared, own, other) = parting(&from, &to);
        let place = format!("`{}` imports `{}`, {}:{line}", from.join("::"), to.join("::"), file.display());
        match (ordered.get(&shared), own, other) {
            // A floor as a whole, from inside it: what its `mod.rs` hands on hides which module is meant. The
            // root's `Error` and `Result` are the crate's own.
            (Some(_), Some(_), None) if !shared.is_empty() && shared != ["cli"] => {
                wrong.push(format!("{place}: name the module itself"));
            }
            (Some(groups), Some(own), Some(other)) if groups[own] <= groups[other] => wrong.push(place),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn siblings_without_an_order_form_no_circle() {
    let ordered = ordered();
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for Import { from, to, .. } in imports() {
        let (shared, own, other) = parting(&from, &to);
        if let (false, Some(own), Some(other)) = (ordered.contains_key(&shared), own, other) {
            let inner = |name: &String| [shared.clone(), vec![name.clone()]].concat();
            edges.entry(inner(own)).or_default().insert(inner(other));
        }
    }
    for start in edges.keys() {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            for next in edges.get(module).into_iter().flatten() {
                assert!(
                    next != start,
                    "`{}` imports itself by way of `{}`",
                    start.join("::"),
                    module.join("::")
                );
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
}

#[test]
fn every_module_stands_in_a_group() {
    for (module, groups) in ordered() {
        assert!(groups.values().all(|group| *group > 0), "{module:?} has modules before its first group");
        let folder = module.iter().fold(PathBuf::from("src"), |path, name| path.join(name));
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            let known = groups.contains_key(&name) || ["lib", "main", "mod"].contains(&name.as_str());
            assert!(known, "`{name}` in {module:?} is in no group");
        }
    }
}

#[test]
fn forbidden_imports_are_seen() {
    let module = ["tune", "peft", "read"].map(str::to_owned).to_vec();
    let seen =
        |code: &str| paths(code, &module).into_iter().map(|(path, _)| path.join("::")).collect::<Vec<_>>();
    assert_eq!(
        seen("use crate::learn::{train::Loop,\n    run}; use crate::error;"),
        ["learn::train::Loop", "learn::run", "error"]
    );
    assert_eq!(
        seen("use super::super::options::Lora; super::write()"),
        ["tune::options::Lora", "tune::peft::write"]
    );
    assert_eq!(seen(&without_comments("// see crate::train")), Vec::<String>::new());
}
