//! Data sets: files of rows that are wanted whole, with the classes of their labels.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use crate::error::{DataError, Error, Errors, Kind, Result};
use crate::numbers::counted;
use crate::text::data::{BadRows, Columns, Example, ID, Reading, Rows};
use crate::text::label_sets::looks_like_several;
use crate::text::template::Template;
use crate::text::verbalizer::{ValueRange, Verbalizer};

/// All rows of a file.
pub struct Dataset {
    /// Their columns.
    pub columns: Arc<Columns>,
    /// The rows.
    pub examples: Vec<Example>,
    /// The class of each, where it has a label.
    pub truths: Vec<Option<usize>>,
}

/// What is done with a file's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Every row must have one.
    Needed,
    /// They are used where there are any.
    Known,
    /// They are not looked at.
    Ignored,
}

impl Dataset {
    /// All rows of a file with their classes. The columns `read` must be there; the fields stand in the order
    /// of `wanted`, if given. All problems at once.
    pub fn read(
        path: &Path,
        reading: &Reading,
        read: &[String],
        verbalizer: &Verbalizer,
        wanted: Option<&Columns>,
        labels: Labels,
    ) -> Result<Dataset, Errors> {
        let must_be_labelled = labels == Labels::Needed;
        let rows = match reading.open(path) {
            // Labels are no need: a test file may have none.
            Err(error)
                if !must_be_labelled
                    && matches!(error.kind(), Kind::Data(DataError::NoLabelColumn { .. })) =>
            {
                Reading { label_column: None, ..reading.clone() }.open(path)?
            }
            rows => rows?,
        };
        let found = rows.columns().clone();
        if must_be_labelled && found.label().is_none() {
            let (data, columns) = (found.data().to_owned(), found.names().to_vec());
            return Err(DataError::WithoutLabels { data, columns }.into());
        }
        let order = wanted.map(|wanted| Order::of(&found, wanted, read)).transpose()?;
        let columns = match wanted {
            Some(wanted) => Arc::new(
                Columns::check(found.data(), wanted.names().to_vec(), None)
                    .map(|columns| columns.with_label_of(wanted))?,
            ),
            None => found.clone(),
        };
        let mut errors = Errors::new();
        let (mut examples, mut truths) = (Vec::new(), Vec::new());
        let mut rows = rows;
        while let Some(row) = rows.next() {
            // Behind a row that cannot be read nothing is known; what was found before it is told too.
            let Some(row) = errors.keep(row) else { break };
            match if labels == Labels::Ignored { Ok(None) } else { truth(verbalizer, &found, &row) } {
                Ok(None) if must_be_labelled => {
                    let error = Error::from(DataError::RowWithoutLabel { data: found.data().to_owned() });
                    errors.push(error.at(found.place(&row, found.label())));
                }
                Ok(class) => truths.push(class),
                Err(error) => {
                    if let Err(error) = rows.leave_out(error, &row) {
                        errors.push(error);
                    }
                    continue;
                }
            }
            examples.push(match &order {
                Some(order) => Example { fields: order.fields(&row), ..row },
                None => row,
            });
        }
        errors.none()?;
        Ok(Dataset { columns, examples, truths })
    }

    /// Where the number of each row lies between the ends of a range, from 0 to 1, as far as rows have one.
    pub fn shares(&self, range: &ValueRange) -> Vec<Option<f64>> {
        self.examples.iter().map(|example| range.share_of(example.label.as_deref()?)).collect()
    }

    /// The rows with a label, and it.
    pub fn labelled(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.truths.iter().enumerate().filter_map(|(row, truth)| Some((row, (*truth)?)))
    }

    /// So many labels are their class's but for case, or blanks at the ends.
    pub fn near_labels(&self, verbalizer: &Verbalizer) -> u64 {
        let rows = self.examples.iter().zip(&self.truths);
        rows.filter(|(example, truth)| is_near(verbalizer, example, **truth)).count() as u64
    }

    /// The classes of the rows that have a label, in the rows' order, and whether each prediction of them is
    /// right.
    pub fn right(&self, class_of: impl Fn(usize) -> usize) -> Vec<bool> {
        self.labelled().map(|(row, truth)| class_of(row) == truth).collect()
    }

    /// A row's columns that are read, as one text.
    pub fn text(columns: &Columns, example: &Example, read: &[String]) -> String {
        let place = |name: &String| columns.names().iter().position(|column| column == name);
        let fields = read.iter().filter_map(place).map(|place| example.fields[place].as_str());
        fields.collect::<Vec<_>>().join(" ")
    }

    /// Refuses a set without rows.
    pub fn check_rows(&self) -> Result<()> {
        match self.examples.is_empty() {
            true => Err(DataError::WithoutRows { data: self.columns.data().to_owned() }.into()),
            false => Ok(()),
        }
    }
}

/// What whoever reads results of these sets should know of how they were read.
pub fn remarks<'a>(
    sets: impl IntoIterator<Item = &'a Dataset>,
    verbalizer: &Verbalizer,
    bad_rows: &BadRows,
) -> Vec<String> {
    let near = |set: &Dataset| {
        let labels = set.near_labels(verbalizer);
        (labels > 0).then(|| {
            let labels = counted(labels, "label");
            format!("{}: {labels} matched without regard to case or blanks at the ends", set.columns.data())
        })
    };
    sets.into_iter().filter_map(near).chain(bad_rows.so_far().remark()).collect()
}

/// Where wanted columns stand in a file.
struct Order {
    places: Vec<Option<usize>>,
    /// Which of them names rows: without a column of its own, the record does.
    id: Option<usize>,
}

impl Order {
    /// Only the columns that are read must be there.
    fn of(found: &Columns, wanted: &Columns, read: &[String]) -> Result<Order> {
        let place = |name: &String| found.names().iter().position(|other| other == name);
        if let Some(column) = read.iter().find(|name| place(name).is_none()) {
            return Err(DataError::OtherColumns {
                data: found.data().to_owned(),
                columns: found.names().to_vec(),
                first: wanted.data().to_owned(),
                column: column.clone(),
            }
            .into());
        }
        let id = wanted.names().iter().position(|name| name == ID);
        Ok(Order { places: wanted.names().iter().map(place).collect(), id })
    }

    fn fields(&self, row: &Example) -> Vec<String> {
        let field = |(index, place): (usize, &Option<usize>)| match place {
            Some(place) => row.fields[*place].clone(),
            None if self.id == Some(index) => row.record.to_string(),
            None => String::new(),
        };
        self.places.iter().enumerate().map(field).collect()
    }
}

/// The columns that the patterns read, each once; without patterns all but labels and ids.
pub fn read_columns<'a>(templates: impl IntoIterator<Item = &'a Template>, columns: &Columns) -> Vec<String> {
    let mut read = Template::columns_of_all(templates);
    if read.is_empty() {
        let text = |name: &&String| Some(name.as_str()) != columns.label() && *name != ID;
        read.extend(columns.names().iter().filter(text).cloned());
    }
    read
}

/// The row's true class, if it has a label. Case, and blanks at the ends, make no difference where no other
/// class is meant.
pub fn truth(verbalizer: &Verbalizer, columns: &Columns, example: &Example) -> Result<Option<usize>> {
    let Some(label) = &example.label else { return Ok(None) };
    verbalizer.class_of(label).or_else(|| verbalizer.class_near(label)).map(Some).ok_or_else(|| {
        let classes: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
        let range = verbalizer.structure().range;
        let verbalizer = verbalizer.file().to_owned();
        let place = columns.names().iter().position(|name| Some(name.as_str()) == columns.label());
        let written = place.map_or(label, |place| &example.fields[place]).trim();
        if let Some(range) = range {
            let kind = DataError::NotInRange { label: label.clone(), range: range.ends() };
            return Error::new(kind).at(columns.place(example, columns.label()));
        }
        let kind = match looks_like_several(label, &classes) {
            _ if written != label.trim() => DataError::MappedToNoClass {
                label: written.to_owned(),
                class: label.clone(),
                verbalizer,
                classes,
            },
            Some(separator) => DataError::SeveralLabels { cell: label.clone(), separator },
            None => DataError::UnknownLabel { label: label.clone(), verbalizer, classes },
        };
        Error::new(kind).at(columns.place(example, columns.label()))
    })
}

/// Names that columns of labels have beside `label`.
const USUAL: [&str; 8] = ["label", "labels", "category", "class", "intent", "target", "sentiment", "gold"];

/// The column that may hold the true labels of rows of which none is said to: it is called as such columns
/// are, is not read, and has classes in it.
pub fn perhaps_labels(rows: &mut Rows, verbalizer: &Verbalizer, read: &[String]) -> Option<String> {
    /// So many rows are looked at.
    const LOOKED_AT: usize = 100;
    let columns = rows.columns().clone();
    if columns.label().is_some() || rows.have_no_labels() {
        return None;
    }
    let is_class = |found: &str| verbalizer.class_of(found).or(verbalizer.class_near(found)).is_some();
    let sample: Vec<&Example> = rows.look_ahead(LOOKED_AT).collect();
    let mut names = columns.names().iter().enumerate();
    let may = |(index, name): &(usize, &String)| {
        let has_classes = || sample.iter().any(|example| is_class(&example.fields[*index]));
        called_as_labels(name) && !read.contains(name) && has_classes()
    };
    names.find(may).map(|(_, name)| name.clone())
}

/// Whether a column is called as columns of labels are.
pub fn called_as_labels(name: &str) -> bool {
    USUAL.iter().any(|usual| name.eq_ignore_ascii_case(usual))
}

/// Whether a row's label is its class's but for case, or blanks at the ends.
pub fn is_near(verbalizer: &Verbalizer, example: &Example, class: Option<usize>) -> bool {
    class.is_some_and(|class| {
        example.label.as_deref().and_then(|label| verbalizer.class_of(label)) != Some(class)
    })
}

/// A number for what some fields of a row say, but for capitals and white space: rows that agree in it are the
/// same to most models.
pub fn words_hash(row: &Example, places: &[usize]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for &place in places {
        row.fields[place].split_whitespace().for_each(|word| word.to_lowercase().hash(&mut hasher));
        // Between two fields.
        hasher.write_u8(0xff);
    }
    hasher.finish()
}
