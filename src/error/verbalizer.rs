//! Verbalizers and their label words.

use super::notes::{Note, allowed_and_nearest, help};

/// Verbalizers and their label words.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum VerbalizerError {
    #[error("a verbalizer needs at least two classes, this one has {found}")]
    TooFewClasses { found: usize },
    #[error("a verbalizer is a list of classes, each with its label and a list of its words")]
    OtherShape { rewritten: String },
    #[error("a class's words are a list, also where it is one word")]
    WordsWithoutList { list: String },
    #[error("no verbalizer was given")]
    NoneGiven,
    #[error("the class {label:?} stands here a second time")]
    SameLabel { label: String },
    #[error("at least two labels are needed, not {found}")]
    TooFewLabels { found: usize },
    #[error("the labels {first:?} and {second:?} differ in case alone")]
    SameButForCase { first: String, second: String },
    #[error("a class needs a label that is not empty")]
    EmptyLabel,
    #[error("a quote is opened here and not closed")]
    QuoteOpen,
    #[error("{column:?} in {file} is no column of a file of labels")]
    UnknownColumn { column: String, file: String, allowed: Vec<&'static str> },
    #[error("{file} has no column \"label\"")]
    NoLabelColumn { file: String },
    #[error("a text about a class must not be empty")]
    EmptyText,
    #[error("{label:?} is not a class of {verbalizer}")]
    UnknownLabel { label: String, verbalizer: String, classes: Vec<String> },
    #[error("nothing in {file} describes {label:?}")]
    WithoutDescription { label: String, file: String },
    #[error("{text:?} describes two classes, {first:?} and {second:?}")]
    SharedDescription { text: String, first: String, second: String },
    #[error("the class {label:?} has no words")]
    ClassWithoutWords { label: String },
    #[error("a label word must not be empty")]
    EmptyWord,
    #[error("the word {word:?} stands for {label:?} a second time")]
    SameWord { word: String, label: String },
    #[error("the word {word:?} stands for two classes, {first:?} and {second:?}")]
    SharedWord { word: String, first: String, second: String },
    #[error("a weight must be a number above 0, not {found:?}")]
    BadWeight { found: f64 },
    #[error("a prior is a probability above 0, not {found:?}")]
    BadPrior { found: f64 },
    #[error("a list of priors has one for each of \"priors_of\", {patterns} here, not {found}")]
    PriorsOfPatterns { found: usize, patterns: usize },
    #[error("the label words' priors are of other patterns than {pattern:?}")]
    NoPriorFor { pattern: String, patterns: Vec<String> },
    #[error("the {what} {name} has no weights of words that training could move")]
    LearnsWeightsOf { what: &'static str, name: &'static str },
    #[error("{name:?} is not a way to aggregate")]
    UnknownAggregate { name: String, allowed: Vec<&'static str> },
    #[error("{name:?} is not a kind of verbalizer")]
    UnknownKind { name: String, allowed: Vec<&'static str> },
    #[error("a one2one verbalizer has one word a class, {label:?} has {found}")]
    NotOneToOne { label: String, found: usize },
    #[error(
        "a {kind} verbalizer has no {key:?}: its vectors start from the weighted mean of words of one token"
    )]
    LearnedWith { kind: &'static str, key: &'static str },
    #[error("{name:?} is not a way to score a tree")]
    UnknownTreeMode { name: String, allowed: Vec<&'static str> },
    #[error("no label is a path of a tree: none has a \"/\" in it")]
    TreeWithoutBranches,
    #[error("in the path {label:?} a name is empty")]
    EmptyInPath { label: String },
    #[error("in the path {label:?} {name:?} stands below itself")]
    BelowItself { name: String, label: String },
    #[error("{label:?} is a class, and {} a branch with others below it", if label == branch { "also".to_owned() } else { format!("{branch:?}") })]
    LeafAndBranch { label: String, branch: String },
    #[error("{name:?} stands under two parents, as {first:?} and as {second:?}")]
    TwoParents { name: String, first: String, second: String },
    #[error("the branch {label:?} has no children")]
    BranchWithoutChildren { label: String },
    #[error("{label:?} has a \"/\" in it, which stands between the names of a path")]
    SeparatorInName { label: String },
    #[error("a {kind} verbalizer has no words for branches: {label:?} has some")]
    BranchWordsWith { kind: &'static str, label: String },
    #[error("the order names {label:?}, which is no class")]
    UnknownInOrder { label: String, classes: Vec<String> },
    #[error("the order names {label:?} a second time")]
    TwiceInOrder { label: String },
    #[error("the order lacks the class {label:?}")]
    NotInOrder { label: String },
    #[error("the classes have values, but {label:?} has none")]
    WithoutValue { label: String },
    #[error("{label:?} has a value, but nothing says that the classes stand in an order")]
    ValueWithoutOrder { label: String },
    #[error("the order is named, and {label:?} has a value too")]
    ValueAndOrder { label: String },
    #[error("a class's value must be a number, not {found}")]
    BadValue { found: f64 },
    #[error("two classes have the value {value}")]
    SameValue { value: f64 },
    #[error(
        "a range goes from a number to one that is at least 0.01 higher, within ±10^9, not from {low:?} to {high:?}"
    )]
    BadRange { low: f64, high: f64 },
    #[error("a range has two classes, the words for its low end and those for its high end, not {found}")]
    RangeOfClasses { found: usize },
    #[error("a range of numbers has two ends and nothing between: {key:?} does not go with it")]
    RangeWith { key: &'static str },
    #[error("{what} takes classes, and the verbalizer {name} has a range of numbers")]
    RangeNotFor { what: &'static str, name: String },
    #[error("{name:?} is not a way to score words of several tokens")]
    UnknownScoring { name: String, allowed: Vec<&'static str> },
    #[error("label word {word:?} is {} tokens for this model ({})", pieces.len(), pieces.join(" "))]
    WordSplits { word: String, pieces: Vec<String> },
    #[error("label word {word:?} is unknown to this model: its vocabulary has no pieces for it")]
    WordUnknown { word: String },
    #[error("the label words {first_word:?} ({first}) and {second_word:?} ({second}) are the same {} for this model, {token:?}", if token.contains(' ') { "tokens" } else { "token" })]
    WordsSameToken { first_word: String, first: String, second_word: String, second: String, token: String },
}

impl VerbalizerError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use VerbalizerError::*;
        match self {
            TooFewClasses { .. } | NoneGiven => vec![],
            OtherShape { rewritten } => vec![("help", format!("write {rewritten}"))],
            WordsWithoutList { list } => vec![("help", format!("write \"words\": {list}"))],
            SameLabel { .. } => help("give all its words in one place"),
            TooFewLabels { .. } => help("name what each text may be, as \"billing, technical, account\""),
            SameButForCase { .. } => help("leave one of them out, or rename it"),
            EmptyLabel | EmptyWord | EmptyText => vec![],
            UnknownLabel { label, classes, .. } => allowed_and_nearest("classes", label, classes),
            WithoutDescription { .. } => help("say what it is about: a description, examples, words"),
            SharedDescription { .. } => help("take it out of one of them"),
            QuoteOpen => help("close it, or leave it out"),
            UnknownColumn { column, allowed, .. } => allowed_and_nearest("allowed", column, allowed),
            NoLabelColumn { .. } => {
                help("its first line names the columns: label,words,description,examples or label,text")
            }
            ClassWithoutWords { .. } => help("give it at least one word that the model may put at the mask"),
            SameWord { .. } => help("name it once; \"weight\" makes a word count more"),
            SharedWord { .. } => help("take it out of one of them"),
            BadWeight { .. } => vec![],
            BadPrior { .. } => help("write it as 0.001"),
            PriorsOfPatterns { .. } => help("name the patterns in \"priors_of\", in the order of the priors"),
            NoPriorFor { patterns, .. } => {
                let listed = patterns.iter().map(|pattern| format!("{pattern:?}")).collect::<Vec<_>>();
                vec![
                    ("patterns", listed.join(", ")),
                    ("help", "refine the words anew with this pattern, or without priors".to_owned()),
                ]
            }
            LearnsWeightsOf { .. } => {
                help("leave \"learn_weights\" out, or take words or knowledge, and a mean of their scores")
            }
            NotOneToOne { .. } => help("leave one word for each class, or \"kind\" out"),
            LearnedWith { .. } => help("leave it out"),
            TreeWithoutBranches => help("write labels as sport/football, or leave the tree out"),
            EmptyInPath { .. } => help("write it as sport/football"),
            BelowItself { .. } => help("give one of them another name"),
            LeafAndBranch { branch, .. } => {
                vec![("help", format!("give the class a name below the branch, as \"{branch}/other\""))]
            }
            TwoParents { .. } => help("rows may name a class without its branches: give one another name"),
            BranchWithoutChildren { .. } => help("leave \"children\" out where a class has none"),
            SeparatorInName { .. } => help("nest classes with \"children\", or write whole paths, not both"),
            BranchWordsWith { .. } => help("leave out the words of branches"),
            UnknownInOrder { label, classes } => allowed_and_nearest("classes", label, classes),
            TwiceInOrder { .. } => help("name each class once"),
            NotInOrder { .. } => help("name all classes, from the lowest to the highest"),
            WithoutValue { .. } => help("give each class a value, or none"),
            ValueWithoutOrder { .. } => help("add \"ordered\": true, or leave the value out"),
            ValueAndOrder { .. } => help("write \"ordered\": true, or leave the values out"),
            BadValue { .. } => vec![],
            SameValue { .. } => help("give each class a value of its own"),
            BadRange { .. } => help("write the lowest number first, as [0, 5]; measure in a unit that fits"),
            RangeOfClasses { .. } => help("leave two classes, or \"range\" out"),
            RangeWith { .. } => help("leave one of them out"),
            RangeNotFor { .. } => {
                help("numbers are for score and train; leave \"range\" out to ask for classes")
            }
            UnknownAggregate { name, allowed }
            | UnknownTreeMode { name, allowed }
            | UnknownScoring { name, allowed }
            | UnknownKind { name, allowed } => allowed_and_nearest("allowed", name, allowed),
            WordSplits { .. } => help(
                "use a word that the vocabulary has whole, or let words have several tokens: \"multi_token\": \"joint\"",
            ),
            WordUnknown { .. } => help("use a word that the vocabulary has"),
            WordsSameToken { .. } => help("take one of them out"),
        }
    }
}
