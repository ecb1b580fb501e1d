//! Descriptions of classes: words and sentences that say what each is about, which a training may learn from in
//! place of rows (Gao, Ghosh & Gimpel 2023: label-description training).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Errors, Place, Result, VerbalizerError};
use crate::text::data::{Columns, Example, ID};
use crate::text::dataset::Dataset;
use crate::text::labels::{as_said, entries};
use crate::text::verbalizer::Verbalizer;

/// A text that describes a class, and where it stands.
struct Description {
    class: usize,
    text: String,
    place: Place,
}

/// Texts that describe the classes of a verbalizer: at least one of each, and none of two.
pub struct Descriptions {
    file: String,
    texts: Vec<Description>,
}

impl Descriptions {
    /// Those of a file of labels, from its text ([`crate::text::labels`]): words, descriptions and examples are
    /// all texts; a label that stands alone is described by its name. All problems at once.
    ///
    /// ```
    /// use cloze::Verbalizer;
    /// use cloze::text::descriptions::Descriptions;
    /// let mood = Verbalizer::of(&[("down", &["bad"]), ("up", &["good"])])?;
    /// let told = Descriptions::parse("mood.csv", "label,text\ndown,a sad story\ndown,gloom\nup,joy\n", &mood)?;
    /// assert_eq!(told.len(), 3);
    /// assert!(Descriptions::parse("mood.csv", "label,text\ndown,a sad story\n", &mood).is_err());
    /// # Ok::<(), cloze::Error>(())
    /// ```
    pub fn parse(file: &str, text: &str, verbalizer: &Verbalizer) -> Result<Descriptions, Errors> {
        let (mut errors, mut texts) = (Errors::new(), Vec::new());
        for (label, place) in entries(file, text)? {
            let class = verbalizer.class_of(&label.label).or_else(|| verbalizer.class_near(&label.label));
            let Some(class) = class else {
                let kind = VerbalizerError::UnknownLabel {
                    label: label.label,
                    verbalizer: verbalizer.file().to_owned(),
                    classes: verbalizer.labels().map(str::to_owned).collect(),
                };
                errors.push(Error::new(kind).at(place));
                continue;
            };
            let alone = label.words.is_empty() && label.texts.is_empty();
            let name = alone.then(|| as_said(&label.label));
            let described = label.words.into_iter().chain(label.texts).chain(name);
            texts.extend(described.map(|text| Description { class, text, place: place.clone() }));
        }
        Descriptions::checked(file, texts, verbalizer, errors)
    }

    /// Those that a verbalizer has beside its words. All problems at once.
    pub fn of(verbalizer: &Verbalizer) -> Result<Descriptions, Errors> {
        let texts = verbalizer.classes().iter().enumerate().flat_map(|(class, own)| {
            own.texts.iter().map(move |text| Description { class, text: text.clone(), place: Place::Nowhere })
        });
        Descriptions::checked(verbalizer.file(), texts.collect(), verbalizer, Errors::new())
    }

    /// Each text once, with its class; refused are texts of two classes, and classes without any.
    fn checked(
        file: &str,
        all: Vec<Description>,
        verbalizer: &Verbalizer,
        mut errors: Errors,
    ) -> Result<Descriptions, Errors> {
        let label = |class: usize| verbalizer.classes()[class].label.clone();
        let (mut known, mut texts) = (BTreeMap::new(), Vec::with_capacity(all.len()));
        for description in all {
            let (text, class) = (description.text.trim().to_owned(), description.class);
            match *known.entry(text.clone()).or_insert((class, texts.len())) {
                (_, number) if number == texts.len() => texts.push(Description { text, ..description }),
                (first, _) if first == class => {}
                (first, _) => {
                    let (first, second) = (label(first), label(class));
                    let kind = VerbalizerError::SharedDescription { text, first, second };
                    errors.push(Error::new(kind).at(description.place));
                }
            }
        }
        let without = (0..verbalizer.classes().len())
            .filter(|class| !texts.iter().any(|description| description.class == *class));
        // What stands under an unknown label may be meant for one of them.
        if errors.is_empty() {
            errors.extend(without.map(|class| {
                VerbalizerError::WithoutDescription { label: label(class), file: file.to_owned() }.into()
            }));
        }
        errors.none().map(|()| Descriptions { file: file.to_owned(), texts })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts as rows of these columns, in the one that is read.
    pub fn as_rows(&self, columns: &Columns, read: &str, verbalizer: &Verbalizer) -> Result<Dataset> {
        let example = |(number, description): (u64, &Description)| {
            let label = &verbalizer.classes()[description.class].label;
            let field = |name: &String| match name.as_str() {
                name if name == read => description.text.clone(),
                name if Some(name) == columns.label() => label.clone(),
                ID => number.to_string(),
                _ => String::new(),
            };
            let (record, line) = match &description.place {
                Place::Row { record, line, .. } => (*record, *line),
                Place::Text { source, span, .. } => (number, source.line_column(span.start).line as u64),
                Place::Nowhere => (number, 1),
            };
            Example {
                record,
                line,
                fields: columns.names().iter().map(field).collect(),
                label: Some(label.clone()),
                values: None,
            }
        };
        let own = Columns::check(&self.file, columns.names().to_vec(), None)?.with_label_of(columns);
        Ok(Dataset {
            columns: Arc::new(own),
            examples: (1..).zip(&self.texts).map(example).collect(),
            truths: self.texts.iter().map(|description| Some(description.class)).collect(),
        })
    }
}
