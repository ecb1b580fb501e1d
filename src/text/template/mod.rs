//! Patterns: how a row becomes a text with a blank in it.
//!
//! A template file is JSON:
//!
//! ```json
//! { "version": 1, "pattern": "{title} {body|shorten} This is about {mask}.", "about": "topic, statement form" }
//! ```
//!
//! | piece | is |
//! |---|---|
//! | text | itself |
//! | `{column}` | the row's field of that name; `{column\|filter\|filter}` through filters, in that order |
//! | `{mask}` | the blank; exactly one |
//! | `{sep}` | the border to the second segment (`[CLS] A [SEP] B [SEP]`, token type 1 for B); at most one |
//! | `{soft}` `{soft:8}` | one soft token, or eight: vectors that training finds, started from sampled words |
//! | `{soft:"it was"}` | as many as the words have tokens, started from them |
//! | `{soft:8 as topic}` `{soft as topic}` | soft tokens with a name: the same vectors wherever the name stands, in any pattern of a run |
//! | `{demos:4}` | four labelled rows of a support file, each in the pattern's own words with its label word in the blank and a space behind it ([`crate::text::demonstrations`]); what does not fit beside the row is left out |
//! | `{{` `}}` | braces as text |
//!
//! | filter | does |
//! |---|---|
//! | `shorten` | what is too long is cut from the end of this field; without any `shorten` in a pattern, every field may be cut |
//! | `no_final_punct` | drops one `.`, `!` or `?` (or `。`, `！`, `？`) from the end, and spaces behind it: "Really..." keeps two dots |
//! | `lower_first` | writes the first letter small |
//!
//! The last two are what PET and LM-BFF do to the sentences of inference tasks. They agree with cloze on
//! sentences that end in one mark; beyond that PET drops every punctuation mark at the end, LM-BFF the last
//! character, whatever it is.
//!
//! `"instruction": "Say what the review is about."` beside the pattern puts these words, and a space, before
//! all of it. They are never cut, and braces in them are braces.
//!
//! `"steps"` ask before the pattern does:
//! `{ "as": "topic", "pattern": "{text} The topic is {mask}.", "top": 3 }` puts the three likeliest words of
//! its blank (or with `"words": ["sport", "war"]` each of those) where later patterns say `{topic}`. The
//! class probabilities are summed over all words, weighted by theirs ([`Step`]).
//!
//! `{ "version": 1, "compare": "{text|shorten}" }` asks nothing: the mean of the text's last states is compared
//! with that of each class's words by cosine similarity. It has no blank, and cannot be trained.
//!
//! A pattern is data: nothing in it is ever run.

mod parse;
mod steps;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::source::{Source, Span};
use crate::error::{Errors, JsonError, Kind, Result, TemplateError};
use crate::text::demonstrations::Shown;
use crate::text::json::{self, Node, Text};
use crate::text::json_files;

pub use steps::{Fill, Step};

/// The version of template files that this cloze reads.
pub const VERSION: u64 = 1;

/// A parsed pattern with its name.
///
/// ```
/// use cloze::text::template::{Piece, Template};
/// let template = Template::from_pattern("{review|shorten} It was {mask}.")?;
/// assert_eq!(template.columns().collect::<Vec<_>>(), ["review"]);
/// assert!(matches!(template.pieces()[2], Piece::Mask));
/// # Ok::<(), cloze::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    about: Option<String>,
    pattern: Text,
    /// The instruction and the pattern.
    whole: String,
    /// Whether the instruction is the first of the pieces.
    has_instruction: bool,
    pieces: Vec<Piece>,
    steps: Vec<Step>,
    /// Whether the text is compared with the label words, in place of a blank.
    compares: bool,
}

/// What a model adds to a pattern: which soft vectors stand where, and the room that the blank may need.
/// [`crate::tune::soft::SoftTokens::place`] makes it, with a range for each of the template's soft tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Before `[CLS]`: the vectors `0..front`.
    pub(crate) front: usize,
    /// The vectors of each `{soft}` of the pattern, in order.
    pub(crate) soft: Vec<Range<usize>>,
    /// So many tokens are left free: the blank may grow by them.
    pub(crate) kept_free: usize,
    /// Which of the label words' priors count in it.
    pub(crate) priors: usize,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The pattern's own words.
    Text(String),
    /// A field of the row.
    Field(Field),
    /// The blank.
    Mask,
    /// The border between the two segments.
    Separator,
    /// Soft tokens.
    Soft(Soft),
    /// So many demonstrations.
    Demonstrations(usize),
}

/// Soft tokens in a pattern: vectors that no word has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soft {
    /// The name under which the same vectors stand elsewhere too.
    pub name: Option<String>,
    /// What they start from; none where only the name is given, of soft tokens that stand elsewhere.
    pub start: Option<SoftStart>,
    /// Where they stand in the pattern.
    span: Span,
}

/// What soft tokens start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoftStart {
    /// So many sampled words.
    Sampled(usize),
    /// These words' own vectors, one for each token of them.
    Words(String),
}

/// A column in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub column: String,
    /// What is done to its text, in this order.
    pub filters: Vec<Filter>,
    /// Whether its end may be cut where the prompt is too long.
    pub shorten: bool,
    /// Where it stands in the pattern.
    span: Span,
}

impl Field {
    /// A row's value as the pattern shows it.
    fn text<'a>(&self, value: &'a str) -> Cow<'a, str> {
        self.filters.iter().fold(Cow::Borrowed(value), |text, filter| filter.apply(text))
    }
}

/// What can be done to a field's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Drops one sentence mark from the end.
    NoFinalPunct,
    /// Writes the first letter small.
    LowerFirst,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTemplate<'a> {
    #[serde(borrow, rename = "version")]
    _version: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    pattern: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    compare: Option<&'a RawValue>,
    #[serde(borrow)]
    instruction: Option<&'a RawValue>,
    #[serde(borrow)]
    steps: Option<&'a RawValue>,
    #[serde(borrow)]
    about: Option<&'a RawValue>,
}

/// A key that is there, whatever its value: null is none that a pattern may have.
fn present<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Template {
    /// Reads a template file; its name is the file's without `.json`.
    pub fn read(path: &Path) -> Result<Template> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Template::parse(&name, &path.display().to_string(), &json::read_text(path)?)
    }

    /// Reads the template files that names stand for ([`json_files::files`]); what cannot be read is among the
    /// problems.
    pub fn read_all<P: AsRef<Path>>(names: &[P], problems: &mut Errors) -> Vec<Template> {
        let files = json_files::files(names, problems);
        files.iter().filter_map(|path| problems.keep(Template::read(path))).collect()
    }

    /// Refuses a pattern whose prompts depend on more than the row, one with demonstrations or with steps, and
    /// one without a blank.
    /// Messages say that it is refused by `command`.
    pub fn check_plain(&self, command: &'static str) -> Result<()> {
        if self.demonstrations().is_some() {
            return Err(self.error(TemplateError::WithDemonstrations { command }));
        }
        if !self.steps().is_empty() {
            return Err(self.error(TemplateError::WithSteps { command }));
        }
        if self.compares { Err(self.error(TemplateError::ComparesIn { command })) } else { Ok(()) }
    }

    /// A template from the text of its file, which messages call `file`.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Template> {
        let source = Source::new(file, text);
        let root = Node::root(&source);
        root.check_version(VERSION)?;
        let raw: RawTemplate = root.read_object()?;
        let about = raw.about.map(|about| root.key("about", about).read()).transpose()?;
        let instruction =
            raw.instruction.map(|instruction| root.key("instruction", instruction).text()).transpose()?;
        if let Some(empty) = instruction.as_ref().filter(|instruction| instruction.value.trim().is_empty()) {
            return Err(empty.whole_error(TemplateError::InstructionEmpty));
        }
        let before = instruction.as_ref().map(|text| text.value.trim());
        let (pattern, compares) = match (raw.pattern, raw.compare) {
            (Some(pattern), None) => (root.key("pattern", pattern).text()?, false),
            (None, Some(compare)) => (root.key("compare", compare).text()?, true),
            (None, None) => return Err(root.error(JsonError::MissingKey { key: "pattern".to_owned() })),
            (Some(_), Some(compare)) => {
                return Err(root.key("compare", compare).error(TemplateError::TwoPatterns));
            }
        };
        let mut template = Template::checked(name, about, before, pattern, compares)?;
        if let Some(list) = raw.steps.filter(|_| compares) {
            return Err(root.key("steps", list).error(TemplateError::InCompared { piece: "steps" }));
        }
        template.steps =
            raw.steps.map_or(Ok(Vec::new()), |list| steps::read(&root.key("steps", list), &template))?;
        Ok(template)
    }

    /// A template from a bare pattern.
    pub fn from_pattern(pattern: &str) -> Result<Template> {
        Template::checked("pattern", None, None, Text::unwritten("pattern", pattern), false)
    }

    /// The text of these columns alone, without a mask: the first is one segment, the second and all others
    /// are the other. What a classifier on `[CLS]` reads.
    pub fn of_columns(columns: &[String]) -> Template {
        let mut pieces = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            match index {
                0 => {}
                1 => pieces.push(Piece::Separator),
                _ => pieces.push(Piece::Text(" ".to_owned())),
            }
            pieces.push(Piece::Field(Field {
                column: column.clone(),
                filters: Vec::new(),
                shorten: true,
                span: 0..0,
            }));
        }
        let pattern = Text::unwritten("columns", &columns.join(" {sep} "));
        let whole = pattern.value.clone();
        Template {
            name: "columns".to_owned(),
            about: None,
            pattern,
            whole,
            has_instruction: false,
            pieces,
            steps: Vec::new(),
            compares: false,
        }
    }

    fn checked(
        name: &str,
        about: Option<String>,
        instruction: Option<&str>,
        pattern: Text,
        compares: bool,
    ) -> Result<Template> {
        let mut pieces = parse::pattern(&pattern)?;
        if compares {
            check_compared(&pattern, &pieces, instruction.is_some())?;
        } else if !pieces.contains(&Piece::Mask) {
            return Err(match parse::meant_as_mask(&pattern.value) {
                Some(span) => {
                    let written = pattern.value[span.clone()].to_owned();
                    pattern.error(span, TemplateError::MaskUnclear { written })
                }
                None => pattern.whole_error(TemplateError::WithoutMask),
            });
        }
        let any_marked = pieces.iter().any(|piece| matches!(piece, Piece::Field(field) if field.shorten));
        if !any_marked {
            for piece in &mut pieces {
                if let Piece::Field(field) = piece {
                    field.shorten = true;
                }
            }
        }
        let before = instruction.map(|instruction| format!("{instruction} "));
        let whole = format!("{}{}", before.as_deref().unwrap_or_default(), pattern.value);
        pieces.splice(0..0, before.map(Piece::Text));
        Ok(Template {
            name: name.to_owned(),
            about,
            pattern,
            whole,
            has_instruction: instruction.is_some(),
            pieces,
            steps: Vec::new(),
            compares,
        })
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its author says of it.
    pub fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// The pattern as written, behind the instruction if there is one.
    pub fn pattern(&self) -> &str {
        &self.whole
    }

    /// The pattern's parts in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The steps before the pattern.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The columns that patterns and their steps need, each once, in order.
    pub fn columns_of_all<'a>(templates: impl IntoIterator<Item = &'a Template>) -> Vec<String> {
        let mut read: Vec<String> = Vec::new();
        for column in templates.into_iter().flat_map(Template::columns) {
            if !read.iter().any(|known| known == column) {
                read.push(column.to_owned());
            }
        }
        read
    }

    /// Whether the text is compared with the label words: it has no blank.
    pub fn compares(&self) -> bool {
        self.compares
    }

    /// Whether it has a blank, at which label words are read.
    pub fn has_blank(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Mask))
    }

    /// The columns that the pattern and its steps need, in order, repeated where they are.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let fields = self.steps.iter().flat_map(|step| step.template().fields()).chain(self.fields());
        fields
            .map(|field| field.column.as_str())
            .filter(|name| self.steps.iter().all(|step| step.name() != *name))
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(field),
            _ => None,
        })
    }

    /// The soft tokens in order.
    pub fn soft(&self) -> impl Iterator<Item = &Soft> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Soft(soft) => Some(soft),
            _ => None,
        })
    }

    /// How many demonstrations are shown.
    pub fn demonstrations(&self) -> Option<usize> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Demonstrations(count) => Some(*count),
            _ => None,
        })
    }

    /// The pattern's pieces as a demonstration shows them: the row's fields from `value_of` as in
    /// `Template::wrap`, the word in the blank. Soft tokens, other demonstrations and the instruction are
    /// left out, a border is a space.
    pub fn demonstrate<'a>(&'a self, value_of: impl Fn(usize) -> &'a str, word: &str) -> Vec<Shown> {
        let mut field_index = 0;
        let mut shown = Vec::new();
        for piece in &self.pieces[usize::from(self.has_instruction)..] {
            shown.push(match piece {
                Piece::Soft(_) | Piece::Demonstrations(_) => continue,
                Piece::Separator => Shown::Text(" ".to_owned()),
                Piece::Mask => Shown::Text(word.to_owned()),
                Piece::Text(text) => Shown::Text(text.clone()),
                Piece::Field(field) => {
                    let text = field.text(value_of(field_index));
                    field_index += 1;
                    Shown::Field(text.into_owned())
                }
            });
        }
        shown
    }

    /// The same template with its own words changed; the instruction is not looked at. The change is told
    /// which text is the last of the pattern, behind which nothing comes.
    #[must_use]
    pub fn with_words(&self, change: impl Fn(&str, bool) -> String) -> Template {
        let mut changed = self.clone();
        let last = changed.pieces.len() - 1;
        for (index, piece) in changed.pieces.iter_mut().enumerate().skip(usize::from(self.has_instruction)) {
            if let Piece::Text(text) = piece {
                *text = change(text, index == last);
            }
        }
        changed
    }

    /// The pattern as written, with words in place of its soft tokens, in their order. Where there are none, the
    /// space beside them goes too.
    ///
    /// ```
    /// use cloze::text::template::Template;
    /// let template = Template::from_pattern("{text} {soft:2} {mask}, {soft:1}")?;
    /// let words = ["it was", ""].map(str::to_owned);
    /// assert_eq!(template.with_words_for_soft(&words), "{text} it was {mask},");
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn with_words_for_soft(&self, words: &[String]) -> String {
        let pattern = self.pattern.value.as_str();
        // The instruction, which stands before.
        let before = self.pattern().strip_suffix(pattern).unwrap_or_default();
        let (mut found, mut last) = (String::with_capacity(pattern.len()), 0);
        for (soft, words) in self.soft().zip(words) {
            found += &pattern[last..soft.span.start];
            last = soft.span.end;
            if words.is_empty() && (found.is_empty() || found.ends_with(' ')) {
                last += pattern[last..].len() - pattern[last..].trim_start_matches(' ').len();
            }
            // What stands between braces is no text.
            found += &words.replace('{', "{{").replace('}', "}}");
        }
        found += &pattern[last..];
        format!("{before}{}", found.trim())
    }

    /// An error about soft tokens of the pattern.
    pub fn soft_error(&self, soft: &Soft, kind: impl Into<Kind>) -> crate::error::Error {
        self.pattern.error(soft.span.clone(), kind)
    }

    /// An error about the whole pattern.
    pub fn error(&self, kind: impl Into<Kind>) -> crate::error::Error {
        self.pattern.whole_error(kind)
    }

    /// An error about one of the pattern's fields.
    pub fn field_error(&self, field: &Field, kind: impl Into<Kind>) -> crate::error::Error {
        self.pattern.error(field.span.clone(), kind)
    }

    /// Puts a row's values into the pattern, with what a model adds to it. `value_of` gives the text of the
    /// n-th field; filters are applied here. Only a pattern that is bound to a model is wrapped:
    /// [`crate::predict::pvp::Pvp::wrap`].
    pub(crate) fn wrap<'a>(
        &'a self,
        placement: &Placement,
        value_of: impl Fn(usize) -> &'a str,
    ) -> Prompt<'a> {
        let mut segments = vec![Vec::new()];
        let mut field_index = 0;
        let mut vectors = placement.soft.iter();
        for piece in &self.pieces {
            let part = match piece {
                Piece::Separator => {
                    segments.push(Vec::new());
                    continue;
                }
                Piece::Mask => Part::Mask,
                Piece::Demonstrations(_) => Part::Demonstrations(Vec::new()),
                Piece::Text(text) => Part::Text(text),
                Piece::Soft(_) => Part::Soft { vectors: vectors.next().cloned().unwrap_or_default() },
                Piece::Field(field) => {
                    let text = field.text(value_of(field_index));
                    field_index += 1;
                    Part::Field { index: field_index - 1, text, shorten: field.shorten }
                }
            };
            if let Some(segment) = segments.last_mut() {
                segment.push(part);
            }
        }
        Prompt {
            pattern: &self.name,
            front: placement.front,
            segments,
            kept_free: placement.kept_free,
            compared: self.compares,
            priors: placement.priors,
        }
    }
}

/// Refuses what a text that is compared cannot have.
fn check_compared(pattern: &Text, pieces: &[Piece], instruction: bool) -> Result<()> {
    let piece = pieces.iter().find_map(|piece| match piece {
        Piece::Mask => Some("{mask}"),
        Piece::Soft(_) => Some("{soft}"),
        Piece::Demonstrations(_) => Some("{demos}"),
        Piece::Separator => Some("{sep}"),
        Piece::Text(_) | Piece::Field(_) => None,
    });
    match piece.or(instruction.then_some("instruction")) {
        Some(piece) => Err(pattern.whole_error(TemplateError::InCompared { piece })),
        None if pieces.iter().any(|piece| matches!(piece, Piece::Field(_))) => Ok(()),
        None => Err(pattern.whole_error(TemplateError::ComparesNothing)),
    }
}

/// A pattern with a row's values in it: pieces of text, not yet ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The template's name.
    pub pattern: &'a str,
    /// So many soft tokens stand before `[CLS]`: the vectors `0..front`.
    pub front: usize,
    /// One segment, or two if the pattern has a `{sep}`.
    pub segments: Vec<Vec<Part<'a>>>,
    /// So many tokens are left free: the blank may grow by them.
    pub kept_free: usize,
    /// Whether the text is compared, and has no blank.
    pub compared: bool,
    /// Which of the label words' priors count: those of its pattern.
    pub priors: usize,
}

impl<'a> Prompt<'a> {
    /// The same with these demonstrations.
    #[must_use]
    pub fn with_demonstrations(mut self, demonstrations: Vec<&'a [Shown]>) -> Self {
        for part in self.segments.iter_mut().flatten() {
            if let Part::Demonstrations(shown) = part {
                shown.clone_from(&demonstrations);
            }
        }
        self
    }

    /// The same with one mask in place of each of the row's fields: nothing is known of them.
    #[must_use]
    pub fn masked(mut self) -> Self {
        for part in self.segments.iter_mut().flatten() {
            if let Part::Field { .. } = part {
                *part = Part::Masked;
            }
        }
        self
    }
}

/// A part of a [`Prompt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// The pattern's own words.
    Text(&'a str),
    /// The row's own words.
    Field {
        /// Which of the pattern's fields this is.
        index: usize,
        /// Its text, filtered.
        text: Cow<'a, str>,
        /// Whether its end may be cut.
        shorten: bool,
    },
    /// The blank.
    Mask,
    /// A mask in place of a row's words, which is not asked about.
    Masked,
    /// Labelled rows that are shown, a space behind each.
    Demonstrations(Vec<&'a [Shown]>),
    /// Soft tokens.
    Soft {
        /// Which vectors.
        vectors: Range<usize>,
    },
}

impl Filter {
    /// The filters by the names that patterns use. `shorten` is not among them: it changes no text.
    pub const ALL: [(&'static str, Filter); 2] =
        [("no_final_punct", Filter::NoFinalPunct), ("lower_first", Filter::LowerFirst)];

    /// The text, filtered.
    ///
    /// ```
    /// use cloze::text::template::Filter;
    /// assert_eq!(Filter::NoFinalPunct.apply("Is it? ".into()), "Is it");
    /// assert_eq!(Filter::NoFinalPunct.apply("(It is)".into()), "(It is)");
    /// assert_eq!(Filter::LowerFirst.apply("Élan vital".into()), "élan vital");
    /// assert_eq!(Filter::LowerFirst.apply("".into()), "");
    /// ```
    pub fn apply(self, text: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Filter::NoFinalPunct => {
                let trimmed = text.trim_end();
                let kept = trimmed.strip_suffix(['.', '!', '?', '。', '！', '？']).unwrap_or(trimmed).len();
                match text {
                    Cow::Borrowed(text) => Cow::Borrowed(&text[..kept]),
                    Cow::Owned(mut text) => {
                        text.truncate(kept);
                        Cow::Owned(text)
                    }
                }
            }
            Filter::LowerFirst => {
                let mut letters = text.chars();
                match letters.next() {
                    Some(first) if !first.is_lowercase() => {
                        Cow::Owned(first.to_lowercase().chain(letters).collect())
                    }
                    _ => text,
                }
            }
        }
    }
}
