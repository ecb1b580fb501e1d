//! The one error type: what is wrong, and where. Errors carry data; the text round them is made at the edge
//! (`cli::render`).

pub mod source;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::source::{Source, Span};

/// A result with cloze's own [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong and where. As large as a pointer, so that results stay small.
///
/// ```
/// use cloze::text::template::Template;
/// use cloze::error::Kind;
/// let error = Template::from_pattern("It was great. {review}").unwrap_err();
/// assert!(matches!(error.kind(), Kind::PatternWithoutMask));
/// ```
pub struct Error(Box<Parts>);

struct Parts {
    kind: Kind,
    place: Place,
}

/// Where an [`Error`] stands.
#[derive(Debug, Clone)]
pub enum Place {
    /// No place in a file: the message says it all.
    Nowhere,
    /// A part of a text, usually a JSON file.
    Text {
        /// The text.
        source: Arc<Source>,
        /// The bytes meant.
        span: Span,
        /// The place by name, as `classes[0].words[2]`; empty for the whole.
        pointer: String,
    },
    /// A row of a data file.
    Row {
        /// The file.
        file: String,
        /// The line on which the record begins, from 1.
        line: u64,
        /// The record, from 1, the header not counted.
        record: u64,
        /// The column's name, where one is meant.
        column: Option<String>,
    },
}

impl Error {
    /// An error without a place.
    pub fn new(kind: Kind) -> Error {
        Error(Box::new(Parts { kind, place: Place::Nowhere }))
    }

    /// The same error, at a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Error {
        self.0.place = place;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The error of reading `path`, told apart as a person would.
    pub fn reading(path: &Path, error: &std::io::Error) -> Error {
        let path = path.to_owned();
        Error::new(match error.kind() {
            std::io::ErrorKind::NotFound => Kind::FileMissing { path },
            std::io::ErrorKind::IsADirectory => Kind::FolderForFile { path },
            _ => Kind::Unreadable { path, reason: plain_reason(error) },
        })
    }

    /// The error of writing `path`.
    pub fn writing(path: &Path, error: &std::io::Error) -> Error {
        Error::new(Kind::Unwritable {
            path: path.to_owned(),
            reason: plain_reason(error),
            pipe_closed: error.kind() == std::io::ErrorKind::BrokenPipe,
        })
    }
}

/// "No space left on device" rather than "No space left on device (os error 28)".
fn plain_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Error {
        Error::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.place {
            Place::Nowhere => write!(f, "{}", self.0.kind),
            Place::Text { source, span, .. } => {
                let at = source.line_column(span.start);
                write!(f, "{}:{}:{}: {}", source.name(), at.line, at.column, self.0.kind)
            }
            Place::Row { file, line, record, .. } => {
                write!(f, "{file}:{line}: record {record}: {}", self.0.kind)
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// A tensor that a checkpoint should have and has not, or has in another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorProblem {
    /// The tensor's name, as Hugging Face writes it.
    pub name: String,
    /// The shape that config.json asks for.
    pub wanted: Vec<i64>,
    /// The shape in the file; `None` where the tensor is missing.
    pub found: Option<Vec<i64>>,
}

/// What can be wrong. Every variant's message is one line without its place; [`Kind::notes`] has what was
/// allowed and a way out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum Kind {
    // Files.
    #[error("there is no file {}", path.display())]
    FileMissing { path: PathBuf },
    #[error("{} is a folder, not a file", path.display())]
    FolderForFile { path: PathBuf },
    #[error("{} is a file, not a folder", path.display())]
    FileForFolder { path: PathBuf },
    #[error("the folder {} holds something already", path.display())]
    FolderTaken { path: PathBuf },
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("cannot write {}: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String, pipe_closed: bool },
    #[error("{} is not UTF-8 text: line {line}, column {column}", path.display())]
    TextNotUtf8 { path: PathBuf, line: usize, column: usize },

    // JSON files.
    #[error("{file} is empty")]
    JsonEmpty { file: String },
    #[error("not valid JSON: {message}")]
    JsonSyntax { message: String },
    #[error("{message}")]
    JsonShape { message: String },
    #[error("{key:?} is not a key here")]
    JsonUnknownKey { key: String, allowed: Vec<String> },
    #[error("{value:?} is not a value that this key takes")]
    JsonUnknownValue { value: String, allowed: Vec<String> },
    #[error("the key {key:?} is missing")]
    JsonMissingKey { key: String },
    #[error("the key {key:?} stands here a second time")]
    JsonSameKey { key: String },
    #[error("the key \"version\" is missing")]
    JsonWithoutVersion { known: u64 },
    #[error("version {found} of this file format is not known")]
    JsonVersion { found: u64, known: u64 },

    // Patterns.
    #[error("the instruction is empty")]
    InstructionEmpty,
    #[error("the pattern has no {{mask}}")]
    PatternWithoutMask,
    #[error("the pattern has a second {{mask}}")]
    PatternWithSecondMask,
    #[error("the pattern has a second {{sep}}")]
    PatternWithSecondSeparator,
    #[error("this brace is never closed")]
    PatternUnclosedBrace,
    #[error("a \"}}\" without its \"{{\"")]
    PatternStrayBrace,
    #[error("nothing between the braces")]
    PatternEmptyBraces,
    #[error("{name:?} is not a filter")]
    PatternUnknownFilter { name: String, allowed: Vec<&'static str> },
    #[error("{{{piece}}} takes no filters")]
    PatternFilterOnPiece { piece: &'static str },
    #[error("the pattern has a second {{demos}}")]
    PatternWithSecondDemonstrations,
    #[error("{{{written}}} is not a way to write demonstrations")]
    PatternDemonstrationsUnclear { written: String, most: usize },
    #[error("the pattern shows demonstrations, and nothing says of which rows")]
    PatternWithoutSupport,
    #[error("{}", if name.is_empty() { "a task needs a name".to_owned() } else { format!("two tasks are named {name:?}") })]
    JointName { name: String },
    #[error("the task {name:?} has neither rows to learn from nor rows to score")]
    JointWithoutRows { name: String },
    #[error("no task has rows to learn from")]
    JointWithoutTraining,
    #[error("a pattern's own soft tokens would be another task's too")]
    JointSoft,
    #[error("the vectors of {verbalizer} would be one task's alone")]
    JointClassVectors { verbalizer: String },
    #[error("the run {} has several tasks", path.display())]
    TaskNeeded { path: PathBuf, tasks: Vec<String> },
    #[error("{name:?} is not a task of the run {}", path.display())]
    TaskUnknown { path: PathBuf, name: String, tasks: Vec<String> },
    #[error("there is one pattern to choose from")]
    SearchSpaceOfOne,
    #[error("{data} has fewer than two rows of the class {label:?}")]
    SearchTooFewRows { label: String, data: String },
    #[error("no word was found for the class {label:?}")]
    SearchWithoutWords { label: String },
    #[error("{verbalizer} has words of several tokens, and a search finds words of one")]
    SearchMultiToken { verbalizer: String },
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
    PatternWithSteps { command: &'static str },
    #[error("there are no demonstrations to draw")]
    NothingToShow,
    #[error("no row of {data} shows the class {label:?}")]
    SupportWithoutClass { label: String, data: String },
    #[error("{command} takes no patterns with demonstrations")]
    PatternWithDemonstrations { command: &'static str },
    #[error("{{{written}}} is not a way to write soft tokens")]
    PatternSoftUnclear { written: String },
    #[error("the soft tokens {name:?} stand in two ways")]
    PatternSoftTwoStarts { name: String },
    #[error("nothing says how many soft tokens {name:?} are")]
    PatternSoftUnknownName { name: String },
    #[error("the words {words:?}, which soft tokens start from, have no token that this model knows")]
    PatternSoftWithoutWords { words: String },
    #[error("the vectors of these soft tokens have not been learned")]
    PatternSoftUntrained,
    #[error("\"{{{column}}}\" is not a column of {data}")]
    PatternUnknownColumn { column: String, data: String, columns: Vec<String> },

    #[error("the pattern shows the label column {column:?} to the model")]
    PatternUsesLabel { column: String },

    // Verbalizers.
    #[error("a verbalizer needs at least two classes, this one has {found}")]
    VerbalizerTooFewClasses { found: usize },
    #[error("the class {label:?} stands here a second time")]
    VerbalizerSameLabel { label: String },
    #[error("a class needs a label that is not empty")]
    VerbalizerEmptyLabel,
    #[error("the class {label:?} has no words")]
    VerbalizerClassWithoutWords { label: String },
    #[error("a label word must not be empty")]
    VerbalizerEmptyWord,
    #[error("the word {word:?} stands for {label:?} a second time")]
    VerbalizerSameWord { word: String, label: String },
    #[error("the word {word:?} stands for two classes, {first:?} and {second:?}")]
    VerbalizerSharedWord { word: String, first: String, second: String },
    #[error("a weight must be a number above 0, not {found}")]
    VerbalizerBadWeight { found: f64 },
    #[error("a prior is a probability above 0, not {found}")]
    VerbalizerBadPrior { found: f64 },
    #[error("nothing is left of the words of the class {label:?}")]
    VerbalizerNothingLeft { label: String, left_out: String },
    #[error("there is no WordNet{}", if path.as_os_str().is_empty() { String::new() } else { format!(" in {}", path.display()) })]
    WordNetMissing { path: PathBuf },
    #[error("{name:?} is not a way to aggregate")]
    VerbalizerUnknownAggregate { name: String, allowed: Vec<&'static str> },
    #[error("{name:?} is not a kind of verbalizer")]
    VerbalizerUnknownKind { name: String, allowed: Vec<&'static str> },
    #[error("a one2one verbalizer has one word a class, {label:?} has {found}")]
    VerbalizerNotOneToOne { label: String, found: usize },
    #[error(
        "a {kind} verbalizer has no {key:?}: its vectors start from the weighted mean of words of one token"
    )]
    VerbalizerLearnedWith { kind: &'static str, key: &'static str },
    #[error("{name:?} is not a way to score words of several tokens")]
    VerbalizerUnknownScoring { name: String, allowed: Vec<&'static str> },
    #[error("label word {word:?} is {} tokens for this model ({})", pieces.len(), pieces.join(" "))]
    WordSplits { word: String, pieces: Vec<String> },
    #[error("label word {word:?} is unknown to this model: its vocabulary has no pieces for it")]
    WordUnknown { word: String },
    #[error("the label words {first_word:?} ({first}) and {second_word:?} ({second}) are the same {} for this model, {token:?}", if token.contains(' ') { "tokens" } else { "token" })]
    WordsSameToken { first_word: String, first: String, second_word: String, second: String, token: String },

    // Data.
    #[error("{data} is empty: nothing names the columns")]
    DataEmpty { data: String },
    #[error("{data} has no rows")]
    DataWithoutRows { data: String },
    #[error("two columns are named {column:?}")]
    DataSameColumn { column: String },
    #[error("this record has {found} {}, the header has {wanted}", if *found == 1 { "field" } else { "fields" })]
    DataRagged { found: usize, wanted: usize },
    #[error("a quote in this record is never closed")]
    DataUnclosedQuote,
    #[error("{what} is not UTF-8 text")]
    DataNotUtf8 { what: String },
    #[error("{data} is UTF-16 text, not UTF-8")]
    DataUtf16 { data: String },
    #[error("{label:?} is not a class of {verbalizer}")]
    DataUnknownLabel { label: String, verbalizer: String, classes: Vec<String> },
    #[error("{data} has no column {column:?} for the labels")]
    DataNoLabelColumn { column: String, data: String, columns: Vec<String> },
    #[error("not a JSON object of plain values: {message}")]
    DataNotObject { message: String },
    #[error("key {key:?} is missing here, and stands in the first row")]
    DataKeyMissing { key: String },
    #[error("key {key:?} does not stand in the first row")]
    DataKeyUnknown { key: String, columns: Vec<String> },
    #[error("cannot tell the format of {data} from its name")]
    DataFormatUnknown { data: String },
    #[error("the input column {column:?} would stand twice in the output")]
    OutputSameColumn { column: String },
    #[error("{} would be written over, and it is read here too", path.display())]
    OutputIsInput { path: PathBuf },
    #[error("{what} would both be written to {}", path.display())]
    OutputTwice { path: PathBuf, what: String },

    // Models.
    #[error("there is no model folder {}", path.display())]
    ModelMissing { path: PathBuf },
    #[error("{} is a file, not a model folder", path.display())]
    FileForModel { path: PathBuf },
    #[error("the model folder {} has no {wanted}", path.display())]
    ModelFileMissing { path: PathBuf, wanted: &'static str },
    #[error("{}: {message}", path.display())]
    ModelConfig { path: PathBuf, message: String },
    #[error("{}: {message}", path.display())]
    ModelTokenizer { path: PathBuf, message: String },
    #[error("{} is damaged or not of its kind: {reason}", path.display())]
    WeightsUnreadable { path: PathBuf, reason: String },
    #[error("the weights of {} do not fit its config.json", path.display())]
    WeightsMisfit { path: PathBuf, tensors: Vec<TensorProblem> },
    #[error("the weights of {} have values that are not finite numbers", path.display())]
    WeightsNotFinite { path: PathBuf, tensors: Vec<String> },
    #[error("the vocabulary of {} has {vocabulary} entries, its embedding only {embedding} rows", path.display())]
    VocabularyMisfit { path: PathBuf, vocabulary: usize, embedding: i64 },
    #[error("cannot fetch {name:?} from the hub: {reason}")]
    HubUnreachable { name: String, reason: String },
    #[error("{name:?} is not a name on the hub")]
    HubName { name: String },
    #[error("this libtorch cannot compute in {dtype} on this machine")]
    NoKernels { dtype: &'static str },
    #[error("--device cuda: this libtorch has no CUDA, or the machine no GPU")]
    NoCuda,

    #[error("this model has one segment only, the pattern has a {{sep}}")]
    PatternWithoutSecondSegment,
    #[error("--engine rust-bert cannot run this model: {reason}")]
    ReferenceCannot { reason: String },

    // Tuning.
    #[error("a tuning has one method, with its options")]
    TuningNotOne { methods: Vec<String> },
    #[error("{name:?} is not a method")]
    TuningUnknown { name: String, methods: Vec<String> },
    #[error("{name} must be {allowed}, not {found}")]
    OptionOutOfRange { name: String, found: f64, allowed: String },
    #[error("{target:?} is not a linear layer of this model")]
    TuningUnknownLayer { target: String, layers: Vec<String> },
    #[error("there are no layers {first} to {end}: this model's are 0 to {last}")]
    TuningLayerRange { first: usize, end: usize, last: usize },
    #[error("what was learned after the last step, {step}, is not a finite number")]
    LearnedNotFinite { step: usize },
    #[error("the loss of step {step} is not a finite number")]
    LossNotFinite { step: usize, records: Vec<u64> },
    #[error("the masked-language-model loss of step {step}, on rows of {data}, is not a finite number")]
    MlmLossNotFinite { step: usize, data: String, records: Vec<u64> },
    #[error("{data} has no rows for the masked-language-model loss")]
    MlmWithoutRows { data: String },
    #[error("cls has no masked-language-model head, so it has no loss of language modelling")]
    ClsWithMlm,
    #[error("cls reads no pattern, so it has no soft tokens")]
    ClsWithSoftTokens,
    #[error("--engine rust-bert cannot do {method}: {reason}")]
    EngineCannotTune { method: &'static str, reason: &'static str },

    #[error("{method} needs a template")]
    TemplateNeeded { method: &'static str },
    #[error("{flag} is not an option of {method}")]
    FlagOfOtherMethod { flag: &'static str, method: &'static str },

    // Runs.
    #[error("stopped; {} holds where it stands", path.display())]
    Interrupted { path: PathBuf },
    #[error("there is no run {}", path.display())]
    RunMissing { path: PathBuf },
    #[error("the run {} has no {wanted}", path.display())]
    RunFileMissing { path: PathBuf, wanted: String },
    #[error("the run {} has no report.json", path.display())]
    ReportMissing { path: PathBuf, of_training: bool },
    #[error("the run {} is named twice", path.display())]
    SameRun { path: PathBuf },
    #[error("the page of several runs belongs to none of them")]
    PageWithoutName,
    #[error("{} is a file, not a folder for a run", path.display())]
    RunFolderIsFile { path: PathBuf },
    #[error("the folder {} holds {} already", path.display(), if *run { "a run" } else { "something" })]
    RunFolderTaken { path: PathBuf, run: bool },
    #[error("{} is not what it was when the run was made", path.display())]
    DataChanged { path: PathBuf },
    #[error("the weights of {} are not those that the run was trained on", path.display())]
    OtherBase { path: PathBuf },
    #[error("what was learned is not what {method} learns on this model")]
    LearnedMisfit { method: &'static str, tensors: Vec<TensorProblem> },
    #[error("the run {} has several seeds", path.display())]
    SeedNeeded { path: PathBuf, seeds: Vec<u64> },
    #[error("the run {} has no seed {seed}", path.display())]
    RunWithoutSeed { path: PathBuf, seed: u64, seeds: Vec<u64> },
    #[error("another process is at work in the run {}", path.display())]
    RunInUse { path: PathBuf },
    #[error("the run {} is finished", path.display())]
    RunFinished { path: PathBuf },
    #[error("the run {} is not finished", path.display())]
    RunUnfinished { path: PathBuf },
    #[error("the seed {seed} is named twice")]
    SameSeed { seed: u64 },
    #[error("no row of {data} is labelled {label:?}")]
    ClassWithoutRows { label: String, data: String },
    #[error("this row has no label")]
    RowWithoutLabel { data: String },
    #[error(
        "{data} has {found} of the {wanted} rows of {label:?} that --select dev needs, train rows not counted"
    )]
    TooFewDevRows { label: String, data: String, found: usize, wanted: usize },
    #[error("{data} has no column for the labels")]
    DataWithoutLabels { data: String, columns: Vec<String> },
    #[error("--select dev has no rows to choose by: all rows of {data} are train rows")]
    NoDevRows { data: String },
    #[error("--dev gives rows to choose by, and nothing is chosen")]
    DevNotUsed,
    #[error("{data} has no column {column:?}, which is read from {first}")]
    DataOtherColumns { data: String, columns: Vec<String>, first: String, column: String },
    #[error("what {method} learns cannot become part of a model's own weights")]
    NotMergeable { method: &'static str },
    #[error("a plain model folder has no place for soft tokens")]
    MergedWithSoft,
    #[error("the vectors of a soft or a prototype verbalizer have no place in such a folder")]
    ExportWithClassVectors,

    // Ensembles.
    #[error("an ensemble needs {flag}")]
    EnsembleNeeds { flag: &'static str, because: &'static str },
    #[error("cls cannot be a member: it reads no pattern")]
    ClsAsMember,
    #[error("{first} and {second} have different classes")]
    VerbalizersOfOtherClasses { first: String, classes: Vec<String>, second: String, others: Vec<String> },
    #[error("two patterns are called {name}")]
    SameName { name: String, files: [String; 2] },
    #[error("nothing is called {pattern}")]
    NothingMatches { pattern: String },
    #[error("generation {generations} learns from {needed} rows that others label, and {data} has {found}")]
    TooManyGenerations { generations: usize, needed: usize, found: usize, data: String, most: usize },
    #[error("no member of any seed could be trained")]
    NoMembers,
    #[error("two members are called {name}")]
    SameMember { name: String },
    #[error("{failed} model{} could not be trained", if *failed == 1 { "" } else { "s" })]
    ModelsFailed { failed: usize, path: PathBuf },
    #[error("the student's template {name} is none of the experiment's")]
    StudentTemplateUnknown { name: String, templates: Vec<String> },
    #[error("the members of the run {} were not kept", path.display())]
    MembersNotKept { path: PathBuf },
    #[error("the run {} has no members: it is not one of cloze ensemble", path.display())]
    RunWithoutMembers { path: PathBuf },
    #[error("the run {} has no student", path.display())]
    NoStudent { path: PathBuf },

    // PEFT's folders.
    #[error("there is no adapter folder {}", path.display())]
    PeftMissing { path: PathBuf },
    #[error("the adapter folder {} has no {wanted}", path.display())]
    PeftFileMissing { path: PathBuf, wanted: &'static str },
    #[error("{} is in PyTorch's own format, adapters are read from safetensors only", path.display())]
    PeftPickle { path: PathBuf },
    #[error("{found:?} is not a type of adapter that cloze has")]
    PeftUnknownType { found: String, allowed: Vec<&'static str> },
    #[error("{key:?} is {found}, which would change scores and which cloze does not have")]
    PeftNotDone { key: String, found: String, allowed: &'static str },
    #[error("{key:?} is {found}, for the base model it must be {wanted}")]
    PeftOtherModel { key: &'static str, found: i64, wanted: i64, base: String },
    #[error("the tensors of {} are not those that its adapter_config.json and the base model ask for", path.display())]
    PeftMisfit { path: PathBuf, tensors: Vec<TensorProblem>, unknown: Vec<String> },
    #[error("PEFT has no adapter for what {method} learns")]
    PeftWithout { method: &'static str, merges: bool },
    #[error("PEFT has soft tokens before a text only, this run has some inside it")]
    PeftSoftInside,
    #[error("PEFT has no place for soft tokens beside {method}")]
    PeftSoftBeside { method: &'static str },
    #[error("PEFT has prefixes in all layers, 0 to {last}; this run's are in layers {first} to {end}")]
    PeftPrefixLayers { first: usize, end: usize, last: usize },

    // Encoding.
    #[error("the pattern's own words take {fixed} tokens, the limit is {limit}")]
    PatternTooLong { fixed: usize, limit: usize },
    #[error("the pattern's own words take {fixed} tokens, and {method}.length {length} leaves {left}")]
    LengthLeavesNoRoom { method: &'static str, length: usize, fixed: usize, left: usize },
    #[error(
        "pattern {pattern} and the fields that it may not shorten take {fixed} tokens, the limit is {limit}"
    )]
    PromptTooLong { pattern: String, fixed: usize, limit: usize },
    #[error("a maximum length of {found} is outside of what the model takes")]
    MaxLengthOutOfRange { found: usize, most: usize },
    #[error("the scores of this row are not finite numbers")]
    ScoreNotFinite,

    // Calibration.
    #[error("the shares of a prior must be above 0 and sum to 1; these sum to {sum}")]
    PriorNotOne { sum: f64 },
    #[error("{written:?} is no LABEL=SHARE for each class")]
    PriorUnclear { written: String, labels: Vec<String> },
    #[error("{} was fitted for {what}", path.display())]
    CalibrationMisfit { path: PathBuf, what: &'static str, fitted_for: String, now: String },
    #[error("a number is missing, or is none, for some of {classes} classes")]
    CalibrationNumbers { classes: usize },
    #[error("{data} has no rows to calibrate on")]
    CalibrationWithoutRows { data: String },
    #[error("{}{} are too few for sets that hold the truth in {} % of the rows", crate::numbers::counted(*found as u64, "labelled row"), class.as_ref().map(|class| format!(" of {class}")).unwrap_or_default(), (1.0 - alpha) * 100.0)]
    ConformalTooFew { alpha: f64, found: usize, needed: usize, class: Option<String> },
}

impl Kind {
    /// What was allowed, and what to do about it: one line each, `("columns", "label, text")` or
    /// `("help", …)`.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        use Kind::*;
        let help = |text: &str| vec![("help", text.to_owned())];
        match self {
            FileMissing { .. } => help("check the spelling and the folder you are in"),
            FolderForFile { .. } => help("name a file in it"),
            FileForFolder { .. } => help("name another folder"),
            FolderTaken { .. } => help("name a folder that is new or empty"),
            Unreadable { .. } => vec![],
            Unwritable { .. } => help("check the folder, its permissions and the free space"),
            TextNotUtf8 { .. } => help("save the file as UTF-8"),
            JsonEmpty { .. } => {
                help("it begins with { \"version\": 1, … }; the files that come with cloze are examples")
            }
            JsonSyntax { .. } | JsonShape { .. } => vec![],
            JsonUnknownKey { key, allowed } => allowed_and_nearest("keys", key, allowed),
            JsonUnknownValue { value, allowed } => allowed_and_nearest("allowed", value, allowed),
            JsonMissingKey { .. } => vec![],
            JsonSameKey { .. } => help("keep one of them"),
            JsonWithoutVersion { known } => vec![("help", format!("add \"version\": {known}"))],
            JsonVersion { known, .. } => {
                vec![
                    ("allowed", format!("\"version\": {known}")),
                    ("help", "a newer cloze may have written it; update cloze".into()),
                ]
            }
            PatternWithoutMask => help("put {mask} where the model shall fill in the label word"),
            PatternWithSecondMask => help("keep one {mask}; several masks are not in this version"),
            PatternWithSecondSeparator => help("BERT takes two segments at most: keep one {sep}"),
            PatternUnclosedBrace => help("add \"}\", or write \"{{\" for a brace as text"),
            PatternStrayBrace => help("write \"}}\" for a brace as text"),
            PatternEmptyBraces => help("name a column, or write \"{{}}\" for braces as text"),
            PatternUnknownFilter { name, allowed } => allowed_and_nearest("filters", name, allowed),
            PatternFilterOnPiece { .. } => vec![],
            InstructionEmpty => help("write what is to be done, or leave it out"),
            PatternWithSecondDemonstrations => help("say how many in one place, as {demos:4}"),
            PatternDemonstrationsUnclear { most, .. } => {
                vec![("allowed", format!("{{demos:1}} to {{demos:{most}}}"))]
            }
            PatternWithoutSupport => help("give a file of labelled rows with --demos"),
            JointName { .. } => help("give each task a name of its own"),
            JointWithoutRows { .. } => help("give it \"train\", \"test\" or both"),
            JointWithoutTraining => help("give one of them \"train\" at least"),
            JointSoft => help(
                "leave the {soft} out; --method prompt-tuning puts soft tokens before the patterns of all tasks",
            ),
            JointClassVectors { .. } => help("leave \"kind\" out"),
            TaskNeeded { tasks, .. } => {
                vec![("tasks", listed(tasks)), ("help", "name one with --task".into())]
            }
            TaskUnknown { name, tasks, .. } => allowed_and_nearest("tasks", name, tasks),
            SearchSpaceOfOne => help("give several templates, or let the model write some with --generate"),
            SearchTooFewRows { .. } => help("give more rows: what is found on some is tried on others"),
            SearchWithoutWords { .. } => help("ask for fewer words, or give more rows"),
            SearchMultiToken { .. } => help("give it words of one token, without \"multi_token\""),
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
            PatternWithSteps { .. } => help("leave the steps out: cloze score takes them"),
            NothingToShow => help("write {demos:4} into a pattern, or leave the flags of demonstrations out"),
            SupportWithoutClass { .. } => help("add a row of that class, or choose --demo-strategy random"),
            PatternWithDemonstrations { .. } => help("leave the {demos} out"),
            PatternSoftUnclear { .. } => {
                vec![(
                    "allowed",
                    "{soft}, {soft:8}, {soft:\"words to start from\"}, each with \" as name\" behind or without; at most 4096".into(),
                )]
            }
            PatternSoftTwoStarts { .. } => {
                help("say how many they are, or their words, once, and only the name elsewhere")
            }
            PatternSoftUnknownName { name } => {
                vec![("help", format!("write {{soft:4 as {name}}} in one place"))]
            }
            PatternSoftWithoutWords { .. } => help("use words of the model's vocabulary"),
            PatternSoftUntrained => help(
                "train with cloze train and score with --run, or start them from words: {soft:\"it was\"}",
            ),
            PatternUnknownColumn { column, columns, .. } => allowed_and_nearest("columns", column, columns),
            PatternUsesLabel { .. } => help(
                "the answer would stand in the question; use another column, or name the labels' with --label-column",
            ),
            VerbalizerTooFewClasses { .. } => vec![],
            VerbalizerSameLabel { .. } => help("give all its words in one place"),
            VerbalizerEmptyLabel | VerbalizerEmptyWord => vec![],
            VerbalizerClassWithoutWords { .. } => {
                help("give it at least one word that the model may put at the mask")
            }
            VerbalizerSameWord { .. } => help("name it once; \"weight\" makes a word count more"),
            VerbalizerSharedWord { .. } => help("take it out of one of them"),
            VerbalizerBadWeight { .. } => vec![],
            VerbalizerBadPrior { .. } => help("write it as 0.001"),
            VerbalizerNothingLeft { left_out, .. } => {
                vec![
                    ("left out", left_out.clone()),
                    ("help", "give it words that the model has whole and that no other class has".into()),
                ]
            }
            WordNetMissing { .. } => help(
                "name the folder with index.noun and data.noun with --wordnet, or choose other sources with --from",
            ),
            VerbalizerNotOneToOne { .. } => help("leave one word for each class, or \"kind\" out"),
            VerbalizerLearnedWith { .. } => help("leave it out"),
            VerbalizerUnknownAggregate { name, allowed }
            | VerbalizerUnknownScoring { name, allowed }
            | VerbalizerUnknownKind { name, allowed } => allowed_and_nearest("allowed", name, allowed),
            WordSplits { .. } => help(
                "use a word that the vocabulary has whole, or let words have several tokens: \"multi_token\": \"joint\"",
            ),
            WordUnknown { .. } => help("use a word that the vocabulary has"),
            WordsSameToken { .. } => help("take one of them out"),
            DataEmpty { .. } => help(
                "CSV and TSV begin with a line of column names; in JSON Lines the first object's keys are the columns",
            ),
            DataWithoutRows { .. } => help("name a file that has some below its header, or leave it out"),
            DataSameColumn { .. } => help("rename one of them"),
            DataRagged { .. } => help(
                "put fields that contain the separator in quotes, double the quotes inside, and close each",
            ),
            DataUnclosedQuote => {
                help("close the quote, or double it where it is part of a field that is quoted")
            }
            DataNotUtf8 { .. } => help("save the file as UTF-8"),
            DataUtf16 { .. } => help("save it as UTF-8"),
            DataUnknownLabel { label, classes, .. } => allowed_and_nearest("classes", label, classes),
            DataNoLabelColumn { column, columns, .. } => allowed_and_nearest("columns", column, columns),
            DataNotObject { .. } => help(
                "one object a line, as {\"text\": \"…\", \"label\": \"…\"}; strings, numbers, true, false and null are values",
            ),
            DataKeyMissing { .. } => help("give every row the same keys; \"\" or null for none"),
            DataKeyUnknown { key, columns } => allowed_and_nearest("columns", key, columns),
            DataFormatUnknown { .. } => {
                vec![
                    ("allowed", ".csv, .tsv, .jsonl".into()),
                    ("help", "say it with --format csv, tsv or jsonl".into()),
                ]
            }
            OutputSameColumn { .. } => help("rename it in the input, or leave out --keep-columns"),
            OutputIsInput { .. } | OutputTwice { .. } => help("name another file"),
            ModelMissing { .. } | FileForModel { .. } => {
                help("give --model a Hugging Face folder of a BERT masked language model, or hub:NAME")
            }
            ModelFileMissing { wanted, .. } => vec![(
                "help",
                format!(
                    "a model folder has config.json, vocab.txt or tokenizer.json, and weights; without {wanted} it cannot be used"
                ),
            )],
            ModelConfig { .. } | ModelTokenizer { .. } => vec![],
            WeightsUnreadable { .. } => help("copy or download the file again"),
            WeightsMisfit { tensors, .. } | LearnedMisfit { tensors, .. } => {
                tensor_lines(tensors.iter().map(tensor_line))
            }
            WeightsNotFinite { tensors, .. } => {
                vec![("tensors", listed(tensors)), ("help", "copy or download the weights again".into())]
            }
            VocabularyMisfit { .. } => help("vocab.txt and the weights are not of the same model"),
            HubUnreachable { name, .. } => vec![(
                "help",
                format!(
                    "without a network, put config.json, vocab.txt, tokenizer_config.json and model.safetensors of {name} in a folder by hand and give --model that folder"
                ),
            )],
            HubName { .. } => vec![
                ("allowed", "OWNER/MODEL or MODEL, of letters, digits, \".\", \"_\" and \"-\"".into()),
                ("help", "a folder is named without hub:".into()),
            ],
            TemplateNeeded { .. } => help("name one with --template"),
            FlagOfOtherMethod { .. } => help("leave it out, or choose its method with --method"),
            Interrupted { path } => vec![(
                "help",
                format!("go on with it by the same command: --resume --out {}", path.display()),
            )],
            RunMissing { .. } => help("name the folder that --out named when the run was made"),
            ReportMissing { of_training: true, .. } => help(
                "it is a run of cloze train, whose results are in its metrics.json; cloze ensemble writes a report.json",
            ),
            ReportMissing { of_training: false, .. } => help("cloze ensemble writes one when all is done"),
            SameRun { .. } => help("name each once"),
            PageWithoutName => help("say with --out where to write it"),
            RunFileMissing { wanted, .. } if wanted == "manifest.json" => {
                help("name the folder that --out named when the run was made")
            }
            RunFileMissing { .. } => {
                help("the command that made the run makes what it lacks: --resume --out RUN")
            }
            RunFolderIsFile { .. } => help("name a folder"),
            RunFolderTaken { run: true, .. } => help(
                "name another folder, or go on with that run by the command that made it: --resume --out RUN",
            ),
            RunFolderTaken { run: false, .. } => help("name a folder that is new or empty"),
            DataChanged { .. } => help("put the file back, or train anew"),
            OtherBase { .. } => {
                help("name the base model with --model, or take this one with --allow-other-base")
            }
            SeedNeeded { seeds, .. } => {
                vec![
                    ("seeds", listed(&seeds.iter().map(u64::to_string).collect::<Vec<_>>())),
                    ("help", "name one with --seed".into()),
                ]
            }
            RunWithoutSeed { seeds, .. } => {
                vec![("seeds", listed(&seeds.iter().map(u64::to_string).collect::<Vec<_>>()))]
            }
            RunInUse { .. } => help("wait until it is done, or name another folder"),
            RunFinished { .. } => help(
                "run it again elsewhere: cloze train --from RUN/manifest.json, or cloze ensemble --experiment RUN/manifest.json, with --out NEW",
            ),
            RunUnfinished { .. } => help("go on with it by the command that made it: --resume --out RUN"),
            EnsembleNeeds { because, .. } => help(because),
            ClsAsMember => help("it can be the student: --student cls, the default"),
            VerbalizersOfOtherClasses { classes, others, .. } => vec![
                ("first", classes.join(", ")),
                ("second", others.join(", ")),
                ("help", "give them the same labels in the same order".to_owned()),
            ],
            SameName { files: [first, second], .. } => {
                vec![
                    ("files", format!("{first}, {second}")),
                    (
                        "help",
                        "give one of the files another name: it stands for the member in the results"
                            .to_owned(),
                    ),
                ]
            }
            NothingMatches { .. } => help("* stands for any letters of a name, ? for one"),
            TooManyGenerations { most, .. } => help(&match most {
                0 => "have more unlabelled rows, or grow by less with --growth".to_owned(),
                most => format!(
                    "--generations {most} is the most with these rows; a smaller --growth needs fewer"
                ),
            }),
            SameMember { .. } => help(
                "give a template's or a verbalizer's file a name without +: the two together stand for a member",
            ),
            NoMembers => help("a lower --learning-rate, or rows without texts that break numbers"),
            ModelsFailed { path, .. } => help(&format!(
                "the report in {} names them; the results are those of the others",
                path.display()
            )),
            StudentTemplateUnknown { templates, .. } => vec![("templates", templates.join(", "))],
            MembersNotKept { .. } => {
                help("run the experiment with --keep-members, or score with its student")
            }
            RunWithoutMembers { .. } => help("score with it as it is: without --members"),
            NoStudent { .. } => help("score with the members: --members"),
            SameSeed { .. } => help("each seed gives one result, however often it is named"),
            ClassWithoutRows { .. } => help("add rows of that class, or take it out of the verbalizer"),
            RowWithoutLabel { .. } => {
                help("training needs a label in every row: give it one, or take the row out")
            }
            TooFewDevRows { .. } => help("lower --shots, give more rows with --dev, or choose --select cv"),
            DataWithoutLabels { columns, .. } => {
                vec![("columns", listed(columns)), ("help", "name it with --label-column".into())]
            }
            NoDevRows { .. } => {
                help("say with --shots how many to learn from, give others with --dev, or choose --select cv")
            }
            DevNotUsed => help("choose with --select dev, or leave --dev out"),
            DataOtherColumns { column, columns, .. } => allowed_and_nearest("columns", column, columns),
            NotMergeable { .. } => help("leave out --merged; --peft writes what was learned by itself"),
            ExportWithClassVectors => help("the run itself keeps them: cloze score --run"),
            MergedWithSoft => help("the run itself keeps them: cloze score --run"),
            PeftMissing { .. } => {
                help("name a folder that PEFT's save_pretrained or cloze export --peft wrote")
            }
            PeftFileMissing { .. } => {
                help("an adapter folder has adapter_config.json and adapter_model.safetensors")
            }
            PeftPickle { .. } => {
                help("save it anew in Python: PeftModel.save_pretrained(FOLDER, safe_serialization=True)")
            }
            PeftUnknownType { allowed, .. } => {
                vec![("allowed", listed(allowed)), ("help", MERGE_IN_PYTHON.to_owned())]
            }
            PeftNotDone { allowed, .. } => {
                vec![("allowed", (*allowed).to_owned()), ("help", MERGE_IN_PYTHON.to_owned())]
            }
            PeftOtherModel { base, .. } if base.is_empty() => {
                help("give --model the base model that the adapter was made for")
            }
            PeftOtherModel { base, .. } => {
                vec![("help", format!("the adapter was made for {base}: give --model that"))]
            }
            PeftMisfit { tensors, unknown, .. } => {
                let no_place = unknown.iter().map(|name| format!("{name} has no place"));
                let mut notes = tensor_lines(tensors.iter().map(tensor_line).chain(no_place));
                let same_base = "give --model the base model that the adapter was made for";
                notes.push(("help", if unknown.is_empty() { same_base } else { MERGE_IN_PYTHON }.to_owned()));
                notes
            }
            PeftWithout { merges: true, .. } => help("--merged writes a model folder with it"),
            PeftWithout { merges: false, .. } => {
                vec![("methods", "lora, ia3, prompt-tuning, p-tuning, prefix, p-tuning-v2".into())]
            }
            PeftSoftInside => help("train prompt-tuning, or p-tuning with a pattern that has no {soft}"),
            PeftSoftBeside { .. } => help("train with a pattern that has no {soft}"),
            PeftPrefixLayers { .. } => help("train without \"layers\""),
            TuningNotOne { methods } => vec![
                ("methods", listed(methods)),
                ("help", "write it as { \"lora\": { \"rank\": 8 } }".into()),
            ],
            TuningUnknown { name, methods } => allowed_and_nearest("methods", name, methods),
            OptionOutOfRange { .. } => vec![],
            TuningUnknownLayer { target, layers } => allowed_and_nearest("layers", target, layers),
            TuningLayerRange { .. } => vec![],
            LearnedNotFinite { .. } => help("lower --learning-rate"),
            LossNotFinite { records, .. } if records.is_empty() => help("lower --learning-rate"),
            LossNotFinite { records, .. } | MlmLossNotFinite { records, .. } => {
                vec![
                    ("records", listed(&records.iter().map(u64::to_string).collect::<Vec<_>>())),
                    ("help", "lower --learning-rate".into()),
                ]
            }
            MlmWithoutRows { .. } => help("give rows, with or without labels, or leave --mlm-weight out"),
            ClsWithMlm => help("leave --mlm-weight out, or choose another method"),
            ClsWithSoftTokens => help("leave them out, or choose another method"),
            EngineCannotTune { .. } => help("leave --engine out"),
            PatternWithoutSecondSegment => help("leave the {sep} out"),
            ReferenceCannot { .. } => help("leave --engine out"),
            NoKernels { .. } => help("leave --dtype out"),
            NoCuda => help("leave --device out to use the CPU"),
            PatternTooLong { .. } => help("shorten the pattern, or raise --max-length"),
            LengthLeavesNoRoom { .. } => help("lower the length, shorten the pattern, or raise --max-length"),
            PromptTooLong { .. } => {
                help("mark the long field with |shorten, shorten the pattern, or raise --max-length")
            }
            MaxLengthOutOfRange { most, .. } => vec![("allowed", format!("3 to {most} tokens"))],
            ScoreNotFinite => help("the weights are damaged, or overflow"),
            PriorNotOne { .. } => help("make the shares sum to 1, and leave out --prior for equal ones"),
            PriorUnclear { labels, .. } => {
                let share = 1.0 / labels.len().max(1) as f64;
                let example: Vec<String> = labels.iter().map(|label| format!("{label}={share:.2}")).collect();
                vec![
                    ("classes", listed(labels)),
                    ("help", format!("for example --prior {}", example.join(","))),
                ]
            }
            CalibrationMisfit { fitted_for, now, .. } => {
                vec![
                    ("fitted for", fitted_for.clone()),
                    ("now", now.clone()),
                    ("help", "fit it anew with --calibrate and --calibration-out".into()),
                ]
            }
            CalibrationNumbers { .. } => help("fit it anew with --calibrate and --calibration-out"),
            CalibrationWithoutRows { .. } => {
                help("give --calibrate-on a file with rows, or a method that needs none: contextual, pmi")
            }
            ConformalTooFew { needed, class, .. } => {
                let each = if class.is_some() { " of each class" } else { "" };
                vec![
                    ("needed", format!("{needed} rows at least{each}")),
                    ("help", "give more rows, or a larger ALPHA".into()),
                ]
            }
        }
    }
}

/// The way out where PEFT has more than cloze.
const MERGE_IN_PYTHON: &str =
    "merge the adapter in Python (merge_and_unload) and give --model the folder of the merged model";

/// One note for each line, up to a number.
fn tensor_lines(lines: impl Iterator<Item = String>) -> Vec<(&'static str, String)> {
    let lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(MOST_LISTED);
    let listed = lines.into_iter().take(MOST_LISTED).map(|line| ("tensor", line));
    listed.chain((more > 0).then(|| ("tensors", format!("… and {more} more")))).collect()
}

fn tensor_line(tensor: &TensorProblem) -> String {
    match &tensor.found {
        None => format!("{} is missing, should be {:?}", tensor.name, tensor.wanted),
        Some(found) => format!("{} is {found:?}, should be {:?}", tensor.name, tensor.wanted),
    }
}

/// What was allowed, and the nearest of it to what was written, if one is near.
fn allowed_and_nearest<S: AsRef<str>>(
    what: &'static str,
    written: &str,
    allowed: &[S],
) -> Vec<(&'static str, String)> {
    let mut notes = vec![(what, if allowed.is_empty() { "none".to_owned() } else { listed(allowed) })];
    if let Some(near) = nearest(written, allowed) {
        notes.push(("help", format!("did you mean {near}?")));
    }
    notes
}

/// Of a list in a message, so many are shown.
const MOST_LISTED: usize = 20;

fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut shown: Vec<&str> = names.iter().map(AsRef::as_ref).take(MOST_LISTED).collect();
    if names.len() > MOST_LISTED {
        shown.push("…");
    }
    shown.join(", ")
}

/// The allowed word that a typing mistake most likely meant. 0.7 of Jaro-Winkler similarity lets "titel" find
/// "title" and keeps "body" from finding "label".
fn nearest<'a, S: AsRef<str>>(written: &str, allowed: &'a [S]) -> Option<&'a str> {
    let likeness = |word: &str| strsim::jaro_winkler(&written.to_lowercase(), &word.to_lowercase());
    allowed
        .iter()
        .map(AsRef::as_ref)
        .map(|word| (likeness(word), word))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}
