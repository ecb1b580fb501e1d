//! Data files, their columns, rows and labels.

use super::notes::{Note, allowed_and_nearest, help, listed, without_header};

/// Data files, their columns, rows and labels.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what each field is.
pub enum DataError {
    #[error("the patterns read {} columns, and a text has one", columns.len())]
    NotOneColumn { columns: Vec<String> },
    #[error("{data} is empty: nothing names the columns")]
    Empty { data: String },
    #[error("{data} has no rows")]
    WithoutRows { data: String },
    #[error("all rows of {data} have a label already: {labelled_rows}")]
    NothingToLabel { data: String, labelled_rows: usize },
    #[error("two columns are named {column:?}")]
    SameColumn { column: String },
    #[error(
        "this record has {found} {}, the header has {wanted}",
        if *found == 1 { "field" } else { "fields" }
    )]
    Ragged { found: usize, wanted: usize },
    #[error("a quote in this record is never closed")]
    UnclosedQuote,
    #[error("a quoted field goes over several lines that look like rows")]
    QuotesJoinLines,
    #[error("this record is longer than {most} MiB")]
    RecordTooLong { most: u64 },
    #[error("{written:?} is not one character that can stand between columns")]
    NoDelimiter { written: String },
    #[error("{written:?} is no shard: write I/N, with I from 1 to N")]
    NoShard { written: String },
    #[error("{data} comes once, and each shard reads the rows by itself")]
    ShardOfStream { data: String },
    #[error("{written:?} is not the name of an encoding")]
    NoEncoding { written: String },
    #[error("{what} is not UTF-8 text")]
    NotUtf8 { what: String },
    #[error("{what} is not text in {encoding}")]
    NotInEncoding { what: String, encoding: String },
    #[error("{data} is UTF-32")]
    Utf32 { data: String },
    #[error("{data} is {kind}")]
    NoTable { data: String, kind: &'static str, format: Option<&'static str> },
    #[error("{data} is no {format} file: it does not begin as one")]
    OtherFormat { data: String, format: &'static str },
    #[error("{data} is cut: {end} is missing at its end")]
    Cut { data: String, end: &'static str },
    #[error("{data} is cut: it ends behind batch {batches}, without the mark of its end")]
    StreamCut { data: String, batches: u64 },
    #[error("{data} is of Feather's first version, which nobody writes any more")]
    OldFeather { data: String },
    #[error("{data} cannot be read as {format}: {message}")]
    Broken { data: String, format: &'static str, message: String },
    #[error("{data} has no column {column:?}, and {first} has")]
    PartWithout { data: String, column: String, first: String },
    #[error("{data} has a column {column:?}, and {first} has none")]
    PartWithMore { data: String, column: String, first: String },
    #[error("the column {column:?} of {data} is of another type than that of {first}, or stands elsewhere")]
    PartTypes { data: String, column: String, first: String },
    #[error("{data} has no sheet {sheet:?}")]
    NoSheet { data: String, sheet: String, sheets: Vec<String> },
    #[error("{data} has {} sheets with something in them", sheets.len())]
    SeveralSheets { data: String, sheets: Vec<String> },
    #[error("cell {cell} stands beside the columns that the first row names")]
    CellBeside { cell: String },
    #[error("{data} is encrypted")]
    Encrypted { data: String },
    #[error("{data} is no file, and {format} has its directory at its end: it cannot be read as it comes")]
    NeedsFile { data: String, format: &'static str },
    #[error("the column {column:?} of {data} has no text: its values are {kind}")]
    NoText { column: String, data: String, kind: &'static str },
    #[error("this date or time is beyond every calendar")]
    NoSuchDate,
    #[error("{data} is JSON, and read as a table")]
    Json { data: String },
    #[error("not an array of JSON objects: {message}")]
    NotArray { message: &'static str },
    #[error("{written:?} does not say which class a label stands for")]
    LabelMapUnclear { written: String },
    #[error("the label {label:?} is to stand for two classes")]
    LabelMappedTwice { label: String },
    #[error("{column:?} is to be called {name:?}, and {data} has a column {name:?}")]
    NameTaken { name: String, column: String, data: String },
    #[error("{column:?} is to be called both {:?} and {:?}", names[0], names[1])]
    NamesOfOneColumn { names: [String; 2], column: String },
    #[error("{label:?} is not a class of {verbalizer}")]
    UnknownLabel { label: String, verbalizer: String, classes: Vec<String> },
    #[error("{label:?} is not a number from {} to {}", range[0], range[1])]
    NotInRange { label: String, range: [f64; 2] },
    #[error("{class:?}, which the label {label:?} is to stand for, is not a class of {verbalizer}")]
    MappedToNoClass { label: String, class: String, verbalizer: String, classes: Vec<String> },
    #[error("{cell:?} is several labels, and this takes one a row")]
    SeveralLabels { cell: String, separator: &'static str },
    #[error("{data} has no column {column:?} for the labels")]
    NoLabelColumn { column: String, data: String, columns: Vec<String> },
    #[error("not a JSON object of plain values: {message}")]
    NotObject { message: String },
    #[error("key {key:?} is missing here, and stands in the first row")]
    KeyMissing { key: String },
    #[error("key {key:?} does not stand in the first row")]
    KeyUnknown { key: String, columns: Vec<String> },
    #[error("cannot tell the format of {data} from its name")]
    FormatUnknown { data: String },
    #[error("{data} has no column {column:?} to read")]
    NoTextColumn { column: String, data: String, columns: Vec<String> },
    #[error("no column of {data} looks like one of texts")]
    WithoutText { data: String, columns: Vec<String> },
    #[error("several columns of {data} look like texts: {}", texts.join(", "))]
    SeveralTexts { data: String, texts: Vec<String> },
    #[error("this row has no label")]
    RowWithoutLabel { data: String },
    #[error("{data} has no column for the labels")]
    WithoutLabels { data: String, columns: Vec<String> },
    #[error("{data} has no column {column:?}, which is read from {first}")]
    OtherColumns { data: String, columns: Vec<String>, first: String, column: String },
    #[error("{data} has no column for the labels, and no other file has them")]
    ScoresWithoutLabels { data: String, columns: Vec<String> },
    #[error("{folder} holds no run and no file of scores")]
    WithoutScores { folder: String },
    #[error("{data} has two rows with the id {id:?}")]
    SameId { id: String, data: String },
    #[error("the column {column:?} of {data} is to be the answers and the true labels")]
    AnswersAreLabels { column: String, data: String },
    #[error("{data} has other rows than {first}")]
    OtherRows { data: String, first: String },
}

impl DataError {
    /// What was allowed, and a way out.
    pub fn notes(&self) -> Vec<Note> {
        use DataError::*;
        match self {
            NotOneColumn { columns } => {
                vec![("columns", listed(columns)), ("help", "classify rows with these columns".into())]
            }
            Empty { .. } => help(
                "CSV and TSV begin with a line of column names; in JSON the first object's keys are the columns",
            ),
            NothingToLabel { .. } => help("name a file of rows without labels"),
            WithoutRows { .. } => help("name a file that has some below its header, or leave it out"),
            SameColumn { .. } => help("rename one of them"),
            Ragged { .. } => help(
                "put fields that contain the separator in quotes, double the quotes inside, and close each",
            ),
            UnclosedQuote => help("close the quote, or double it where it is part of a field that is quoted"),
            QuotesJoinLines => help("say what quotes mean here: text, or that they stand round fields"),
            RecordTooLong { .. } => help(
                "allow more if that is right; else look for a quote that is never closed, or for line ends that are missing",
            ),
            NoDelimiter { .. } => help("one ASCII character as ; or |, or tab, comma, semicolon, bar"),
            NoShard { .. } => help("I/N, with I from 1 to N: 2/8 is the second of eight"),
            ShardOfStream { .. } => help("give the rows as a file, a folder or a pattern of names"),
            NoEncoding { written }
                if written.to_ascii_lowercase().starts_with("utf") && written.contains("32") =>
            {
                help(
                    "UTF-32 is not read: save the file as UTF-8, as with iconv -f UTF-32 -t UTF-8 FILE > NEW",
                )
            }
            NoEncoding { .. } => {
                help("utf-8, utf-16, latin1, windows-1251, shift_jis, gbk, and others that browsers know")
            }
            NotUtf8 { .. } => help(
                "say the file's encoding, or save it as UTF-8; where it was put together of files in several, mend this row",
            ),
            NotInEncoding { .. } => help("mend this row, or say another encoding, if the file has one"),
            Utf32 { .. } => help("save it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW"),
            NoTable { kind, .. } if kind.starts_with("compressed") => {
                help("unpack it first: gzip and zstd are read, once")
            }
            NoTable { format: Some(format), .. } => help(&format!("say that its format is {format}")),
            NoTable { .. } => help("save the table as CSV (in Excel: \"CSV UTF-8\"), and give that file"),
            OtherFormat { .. } => help("say in what format it is, or name another file"),
            StreamCut { .. } => help("whoever wrote it stopped before: look there, and write it anew"),
            OldFeather { .. } => help("read it with pandas or R, and write it anew"),
            Cut { .. } => help("copy it again from where it was written, or write it anew"),
            Broken { .. } => help("it is damaged, or uses what cloze does not read: write it anew"),
            PartWithout { .. } | PartWithMore { .. } | PartTypes { .. } => help(
                "files that are read as one set have the same columns: write them anew, or read this one by itself",
            ),
            NoSheet { sheet, sheets, .. } => allowed_and_nearest("sheets", sheet, sheets),
            SeveralSheets { sheets, .. } => {
                vec![("sheets", listed(sheets)), ("help", "name the one to read".into())]
            }
            CellBeside { .. } => help("give its column a name in the first row, or empty the cell"),
            Encrypted { .. } => help("write it without a password, and give that file"),
            NeedsFile { .. } => help("give a file by its name, not a pipe"),
            NoText { .. } => help("name another column, or write it as text"),
            NoSuchDate => help("mend it, or leave the row out"),
            Json { .. } => help("say that its format is jsonl, or json for an array"),
            NotArray { .. } => help("objects between [ and ], with commas between them"),
            LabelMapUnclear { .. } => help("write LABEL=CLASS, as 0=negative,1=positive"),
            LabelMappedTwice { .. } => help("keep one of them"),
            NamesOfOneColumn { .. } => help("a column has one name: leave one of them out"),
            NameTaken { .. } => help("leave that out, or rename one of them in the file"),
            UnknownLabel { label, classes, .. } => allowed_and_nearest("classes", label, classes),
            NotInRange { .. } => help("the verbalizer's \"range\" says which numbers rows may have"),
            MappedToNoClass { class, classes, .. } => allowed_and_nearest("classes", class, classes),
            SeveralLabels { separator, .. } => help(&format!(
                "labels stand between {separator:?} here: ask for several labels a row, or keep one of them"
            )),
            NoLabelColumn { column, columns, .. } | NoTextColumn { column, columns, .. } => {
                let mut notes = allowed_and_nearest("columns", column, columns);
                notes.extend(without_header(columns));
                notes
            }
            NotObject { .. } => help(
                "one object a line, as {\"text\": \"…\", \"label\": \"…\"}; strings, numbers, true, false and null are values",
            ),
            KeyMissing { .. } => help("give every row the same keys; \"\" or null for none"),
            KeyUnknown { key, columns } => allowed_and_nearest("columns", key, columns),
            RowWithoutLabel { .. } => {
                help("training needs a label in every row: give it one, or take the row out")
            }
            OtherColumns { column, columns, .. } => allowed_and_nearest("columns", column, columns),
            WithoutText { columns, .. } => {
                vec![("columns", listed(columns)), ("help", "name the one to read".into())]
            }
            SeveralTexts { .. } => help("name the one to read, or several"),
            FormatUnknown { .. } => {
                vec![(
                    "allowed",
                    ".csv, .tsv, .jsonl, .json, and .gz or .zst behind these; .parquet, .arrow, .feather, .xlsx"
                        .into(),
                )]
            }
            WithoutLabels { columns, .. } | ScoresWithoutLabels { columns, .. } => {
                vec![("columns", listed(columns))]
            }
            WithoutScores { .. } => {
                help("name a run's folder, a file, or a folder of .csv, .tsv, .jsonl or .json files")
            }
            SameId { .. } => {
                help("an id names one row: name another column, or take the rows by their order")
            }
            AnswersAreLabels { .. } => help("name another column for one of them"),
            OtherRows { .. } => help("give files of the same rows, with the same ids or in the same order"),
        }
    }
}
