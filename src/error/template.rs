//! Patterns: their grammar, their steps, soft tokens and demonstrations, and their columns.

use super::notes::{Note, allowed_and_nearest, help, without_header};

/// Patterns: their grammar, their steps, soft tokens and demonstrations, and their columns.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum TemplateError {
    #[error("the instruction is empty")]
    InstructionEmpty,
    #[error("no template was given")]
    NoneGiven,
    #[error("a template has a \"pattern\" or a \"compare\", not both")]
    TwoPatterns,
    #[error("a text that is compared has no {piece}")]
    InCompared { piece: &'static str },
    #[error("a text that is compared reads no column")]
    ComparesNothing,
    #[error("the column {column:?} cannot be named in a pattern")]
    ColumnUnwritable { column: String },
    #[error("{command} takes no texts that are compared: they have no blank")]
    ComparesIn { command: &'static str },
    #[error("{method} learns at the blank, and a text that is compared has none")]
    ComparesInTraining { method: &'static str },
    #[error("the pattern has no {{mask}}")]
    WithoutMask,
    #[error("{written} is not the blank of a pattern")]
    MaskUnclear { written: String },
    #[error("the pattern has a second {{mask}}")]
    WithSecondMask,
    #[error("the pattern has a second {{sep}}")]
    WithSecondSeparator,
    #[error("this brace is never closed")]
    UnclosedBrace,
    #[error("a \"}}\" without its \"{{\"")]
    StrayBrace,
    #[error("nothing between the braces")]
    EmptyBraces,
    #[error("{name:?} is not a filter")]
    UnknownFilter { name: String, allowed: Vec<&'static str> },
    #[error("{{{piece}}} takes no filters")]
    FilterOnPiece { piece: &'static str },
    #[error("the pattern has a second {{demos}}")]
    WithSecondDemonstrations,
    #[error("{{{written}}} is not a way to write demonstrations")]
    DemonstrationsUnclear { written: String, most: usize },
    #[error("the pattern shows demonstrations, and nothing says of which rows")]
    WithoutSupport,
    #[error("a step's name is of letters, digits, _ and -, and none of mask, sep, soft and demos")]
    StepName,
    #[error("two steps are named {name:?}")]
    StepNameTaken { name: String },
    #[error("{name:?} is the name of a step, and a column of {data}")]
    StepNameIsColumn { name: String, data: String },
    #[error("the words of the step {name:?} are not there yet")]
    StepTooEarly { name: String },
    #[error("no later pattern uses the words of the step {name:?}")]
    StepUnused { name: String },
    #[error("a step has its likeliest words, or words of its own, not both")]
    StepFilledTwice,
    #[error("a step's list of words is empty")]
    StepWithoutWords,
    #[error("a step has no soft tokens and no demonstrations")]
    StepPieces,
    #[error("the word {word:?} of a step is no single token of this model")]
    StepWord { word: String },
    #[error("this model has no whole word for the blank of this step")]
    StepUnfilled,
    #[error("{command} takes no patterns with steps")]
    WithSteps { command: &'static str },
    #[error("there are no demonstrations to draw")]
    NothingToShow,
    #[error("no row of {data} shows the class {label:?}")]
    SupportWithoutClass { label: String, data: String },
    #[error("{command} takes no patterns with demonstrations")]
    WithDemonstrations { command: &'static str },
    #[error("{{{written}}} is not a way to write soft tokens")]
    SoftUnclear { written: String },
    #[error("the soft tokens {name:?} stand in two ways")]
    SoftTwoStarts { name: String },
    #[error("nothing says how many soft tokens {name:?} are")]
    SoftUnknownName { name: String },
    #[error("the words {words:?}, which soft tokens start from, have no token that this model knows")]
    SoftWithoutWords { words: String },
    #[error("the vectors of these soft tokens have not been learned")]
    SoftUntrained,
    #[error("\"{{{column}}}\" is not a column of {data}")]
    UnknownColumn { column: String, data: String, columns: Vec<String> },
    #[error("{mapped:?}, which {column:?} is to stand for, is not a column of {data}")]
    MappedToNothing { column: String, mapped: String, data: String, columns: Vec<String> },
    #[error("one pattern disagrees with nothing: this takes two or more")]
    OnePattern,
    #[error("the pattern reads no column: every row would get the same answer")]
    ReadsNothing,
    #[error("the pattern shows the label column {column:?} to the model")]
    UsesLabel { column: String },
    #[error("the text has no {mask} to fill")]
    TextWithoutBlank { mask: String },
    #[error("this classifier has a head of its own: it says no words at blanks")]
    NothingAtBlank,
    #[error("{why}, so nothing else can be asked of this classifier")]
    AsksNothingElse { why: &'static str },
    #[error("this model has one segment only, the pattern has a {{sep}}")]
    WithoutSecondSegment,
}

impl TemplateError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use TemplateError::*;
        match self {
            NoneGiven => vec![],
            TextWithoutBlank { mask } => vec![("help", format!("write {mask} where a word is missing"))],
            NothingAtBlank | AsksNothingElse { .. } => {
                help("ask a base model, or a run of another method, such as full or lora")
            }
            TwoPatterns => help("give each a file of its own"),
            InCompared { .. } => help("leave it out, or write a \"pattern\" with a {mask}"),
            ComparesNothing => help("name the column of the text, as {text|shorten}"),
            ColumnUnwritable { .. } => help("rename it: braces and bars have a meaning in patterns"),
            ComparesIn { .. } | ComparesInTraining { .. } => help("leave this template out"),
            WithoutMask => help("put {mask} where the model shall fill in the label word"),
            MaskUnclear { .. } => help("write {mask} in its place"),
            WithSecondMask => help("keep one {mask}; several masks are not in this version"),
            WithSecondSeparator => help("BERT takes two segments at most: keep one {sep}"),
            UnclosedBrace => help("add \"}\", or write \"{{\" for a brace as text"),
            StrayBrace => help("write \"}}\" for a brace as text"),
            EmptyBraces => help("name a column, or write \"{{}}\" for braces as text"),
            UnknownFilter { name, allowed } => allowed_and_nearest("filters", name, allowed),
            FilterOnPiece { .. } => vec![],
            InstructionEmpty => help("write what is to be done, or leave it out"),
            WithSecondDemonstrations => help("say how many in one place, as {demos:4}"),
            DemonstrationsUnclear { most, .. } => {
                vec![("allowed", format!("{{demos:1}} to {{demos:{most}}}"))]
            }
            StepName => help("name what the blank says, as \"topic\""),
            StepNameTaken { .. } | StepNameIsColumn { .. } => help("give the step another name"),
            StepTooEarly { .. } => help("use them in the patterns behind that step"),
            StepUnused { name } => {
                vec![("help", format!("write {{{name}}} into a later pattern, or leave the step out"))]
            }
            StepFilledTwice => help("leave \"top\" or \"words\" out"),
            StepWithoutWords => help("name words, or take the likeliest with \"top\""),
            StepPieces => help("leave {soft} and {demos} out of it"),
            StepWord { .. } => help("use a word that the vocabulary has whole"),
            StepUnfilled => help("give the step \"words\" of its own"),
            NothingToShow => help("write {demos:4} into a pattern, or leave the flags of demonstrations out"),
            WithDemonstrations { .. } => help("leave the {demos} out"),
            SoftUnclear { .. } => {
                vec![(
                    "allowed",
                    "{soft}, {soft:8}, {soft:\"words to start from\"}, each with \" as name\" behind or without; at most 4096".into(),
                )]
            }
            SoftTwoStarts { .. } => {
                help("say how many they are, or their words, once, and only the name elsewhere")
            }
            SoftUnknownName { name } => vec![("help", format!("write {{soft:4 as {name}}} in one place"))],
            SoftWithoutWords { .. } => help("use words of the model's vocabulary"),
            OnePattern => help("give more templates, or choose by entropy or margin"),
            UnknownColumn { column, columns, .. } => {
                let mut notes = allowed_and_nearest("columns", column, columns);
                notes.extend(without_header(columns));
                notes
            }
            MappedToNothing { mapped, columns, .. } => allowed_and_nearest("columns", mapped, columns),
            ReadsNothing => help("name the column of the text in it, as {text}"),
            WithoutSecondSegment => help("leave the {sep} out"),
            WithoutSupport => help("give labelled rows for it to show"),
            WithSteps { .. } => help("leave the steps out"),
            SupportWithoutClass { .. } => help("add a row of that class, or draw at random"),
            SoftUntrained => help("train them, or start them from words: {soft:\"it was\"}"),
            UsesLabel { .. } => help("the answer would stand in the question; use another column"),
        }
    }
}
