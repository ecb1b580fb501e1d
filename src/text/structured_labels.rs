//! Labels as people give them that stand in a tree, as paths, or in an order: their verbalizer, and its file.

use serde_json::json;

use crate::error::{Error, Errors, Result};
use crate::text::labels::{self, NamedLabel, as_said};
use crate::text::verbalizer::{
    Ordered, StructureRequest, Tree, TreeMode, TreeNode, VERSION, Verbalizer, name_of,
};

/// The verbalizer of labels that stand in a tree or an order, or in none. In a tree a label without words of
/// its own has the last name of its path for one, and a branch its name; the classes of a branch stand
/// together.
///
/// ```
/// use cloze::text::labels::of_line;
/// use cloze::text::structured_labels::verbalizer;
/// use cloze::text::verbalizer::{StructureRequest, TreeMode};
/// let labels = of_line("sport/football, politics, sport/winter_sport")?;
/// let request = StructureRequest { tree: Some(TreeMode::Joint), ordered: None };
/// let verbalizer = verbalizer(&labels, &request)?;
/// let labels: Vec<&str> = verbalizer.labels().collect();
/// assert_eq!(labels, ["sport/football", "sport/winter_sport", "politics"]);
/// let words: Vec<&str> = verbalizer.scored().map(|class| class.words[0].word()).collect();
/// assert_eq!(words, ["football", "winter sport", "politics", "sport"]);
/// # Ok::<(), cloze::Errors>(())
/// ```
pub fn verbalizer(labels: &[NamedLabel], request: &StructureRequest) -> Result<Verbalizer, Errors> {
    let Some(mode) = request.tree else { return labels::verbalizer(labels)?.structured(request) };
    let (labels, tree) = nested(labels, mode)?;
    let verbalizer = labels::verbalizer(&labels)?.structured(request)?;
    Ok(match mode {
        TreeMode::Flat => verbalizer,
        TreeMode::TopDown | TreeMode::Joint => verbalizer.with_branch_words(words_of_branches(&tree)),
    })
}

/// The text of a verbalizer file with these labels.
///
/// ```
/// use cloze::Verbalizer;
/// use cloze::text::labels::of_line;
/// use cloze::text::structured_labels::file_of;
/// use cloze::text::verbalizer::{StructureRequest, TreeMode};
/// let request = StructureRequest { tree: Some(TreeMode::TopDown), ordered: None };
/// let text = file_of(&of_line("sport/football, politics, sport/tennis")?, &request)?;
/// let read = Verbalizer::parse("words", "words.json", &text)?;
/// assert_eq!(read.labels().collect::<Vec<_>>(), ["sport/football", "sport/tennis", "politics"]);
/// assert_eq!(read.structure().tree.as_ref().map(|tree| tree.mode()), Some(TreeMode::TopDown));
/// # Ok::<(), cloze::Errors>(())
/// ```
pub fn file_of(labels: &[NamedLabel], request: &StructureRequest) -> Result<String, Errors> {
    let mut keys = format!("\"version\": {VERSION}, \"multi_token\": \"pieces\"");
    match &request.ordered {
        None => {}
        Some(Ordered::AsTheyStand) => keys.push_str(", \"ordered\": true"),
        Some(Ordered::As(names)) => keys.push_str(&format!(", \"ordered\": {}", json!(names))),
    }
    let classes = match request.tree {
        None => labels.iter().map(|label| class(label, &label.label)).collect(),
        Some(mode) => {
            keys.push_str(&format!(", \"tree\": {}", json!(mode.name())));
            let (labels, tree) = nested(labels, mode)?;
            level(&tree, &labels, 0..labels.len(), 0)
        }
    };
    Ok(format!("{{ {keys}, \"classes\": [\n    {}\n] }}\n", classes.join(",\n    ")))
}

/// The labels, those of a branch together, without the names above them in their words, and their tree.
fn nested(labels: &[NamedLabel], mode: TreeMode) -> Result<(Vec<NamedLabel>, Tree), Errors> {
    let paths = |labels: &[NamedLabel]| labels.iter().map(|label| label.label.clone()).collect::<Vec<_>>();
    let tree = |paths: &[String]| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        Tree::of_paths(&paths, mode).map_err(|problems| {
            let mut errors = Errors::new();
            errors.extend(problems.into_iter().map(|(_, problem)| Error::from(problem)));
            errors
        })
    };
    let given = tree(&paths(labels))?;
    let first = |node: &TreeNode| match node {
        TreeNode::Class(class) => Some(*class),
        TreeNode::Branch(branch) => given.below(*branch).first().copied(),
    };
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_cached_key(|class| given.path(*class).iter().map(first).collect::<Vec<_>>());
    let said = |class: usize| {
        let mut label = labels[class].clone();
        if label.words.is_empty() {
            label.words.push(as_said(name_of(&label.label)));
        }
        label
    };
    let labels: Vec<NamedLabel> = order.into_iter().map(said).collect();
    let tree = tree(&paths(&labels))?;
    Ok((labels, tree))
}

fn words_of_branches(tree: &Tree) -> Vec<Vec<String>> {
    tree.branches().iter().map(|branch| vec![as_said(name_of(&branch.path))]).collect()
}

/// The elements of a nested list: these classes, below branches of which so many stand above them.
fn level(tree: &Tree, labels: &[NamedLabel], classes: std::ops::Range<usize>, depth: usize) -> Vec<String> {
    let (mut elements, mut next) = (Vec::new(), classes.start);
    while next < classes.end {
        let from = next;
        next += 1;
        match tree.path(from)[depth] {
            TreeNode::Class(_) => elements.push(class(&labels[from], tree.name(from))),
            TreeNode::Branch(branch) => {
                while next < classes.end && tree.path(next).get(depth) == Some(&TreeNode::Branch(branch)) {
                    next += 1;
                }
                let name = name_of(&tree.branches()[branch].path);
                let (name, words) = (json!(name), json!([as_said(name)]));
                let indent = " ".repeat(4 * (depth + 2));
                let children = level(tree, labels, from..next, depth + 1).join(&format!(",\n{indent}"));
                elements.push(format!(
                    "{{ \"label\": {name}, \"words\": {words}, \"children\": [\n{indent}{children} ] }}"
                ));
            }
        }
    }
    elements
}

/// A class of the file, under this name.
fn class(label: &NamedLabel, name: &str) -> String {
    let words = if label.words.is_empty() { vec![as_said(name)] } else { label.words.clone() };
    let texts = match label.texts.is_empty() {
        true => String::new(),
        false => format!(", \"texts\": {}", json!(label.texts)),
    };
    format!("{{ \"label\": {}, \"words\": {}{texts} }}", json!(name), json!(words))
}
