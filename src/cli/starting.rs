//! What to do with the files that `init` and `classify --save` write: the commands as they are typed.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cloze::predict::encode::Long;

use cloze::predict::starter::{CALIBRATION, COMPARED, TEMPLATES, VERBALIZER};
use cloze::text::data::{Format, LABEL};

use super::args::{Limits, LongTexts, RowReading};
use super::shell;

/// A folder of files to start from, and the rows that they are for.
pub struct Starting<'a> {
    pub folder: &'a Path,
    /// Rows to answer.
    pub data: &'a Path,
    /// How they are read.
    pub reading: &'a RowReading,
    /// Whether they have labels to learn from.
    pub labelled: bool,
    /// Whether the folder has a correction.
    pub corrected: bool,
    /// The model and the longest input.
    pub limits: &'a Limits,
    /// What is read of long texts.
    pub long: Option<&'a LongTexts>,
}

impl Starting<'_> {
    /// Answers rows.
    pub fn score(&self) -> String {
        let calibration = match self.corrected {
            true => format!(" --calibration {}", self.file(CALIBRATION)),
            false => String::new(),
        };
        let compared = format!("{} {}", self.templates(), self.file(COMPARED));
        let rest = format!("--data {}{}{calibration}", shell::path(self.data), reading_flags(self.reading));
        self.command("score", &compared, &rest) + &self.long()
    }

    /// Labelled rows to learn from: the data, or a file that is yet to be made, of the same format.
    pub fn labelled_file(&self) -> PathBuf {
        match self.labelled {
            true => self.data.to_owned(),
            false => PathBuf::from(format!("labelled.{}", ending(self.reading))),
        }
    }

    /// Learns from labelled rows.
    pub fn train(&self) -> String {
        let rows = format!("--train {}{}", shell::path(&self.labelled_file()), self.training_flags());
        let rest = format!("{rows} --shots 8 --method lora --seeds 13 --out {}", shell::path(&self.run("")));
        self.command("train", &self.templates(), &rest)
    }

    /// Learns from labelled and unlabelled rows.
    pub fn ensemble(&self) -> String {
        let (labelled, data) = (shell::path(&self.labelled_file()), shell::path(self.data));
        let rows = format!("--train {labelled} --unlabeled {data}{}", self.training_flags());
        let rest = format!("{rows} --shots 8 --method lora --out {}", shell::path(&self.run("-ensemble")));
        self.command("ensemble", &self.templates(), &rest)
    }

    /// Answers rows with what was learned.
    pub fn score_run(&self) -> String {
        let (run, data) = (shell::path(&self.run("")), shell::path(self.data));
        format!(
            "cloze score --run {run} --data {data} --out answers.csv{}{}",
            reading_flags(self.reading),
            self.long()
        )
    }

    /// The folder's README: a line for each of the three commands.
    pub fn readme(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let label = self.reading.label_column.as_deref().filter(|_| self.labelled).unwrap_or(LABEL);
        format!(
            "# {name}\n\nAnswer rows:\n\n    {}\n\n\
             Train on 8 labelled rows of each label (a column `{label}`), for better answers:\n\n    {}\n\n\
             Train a model for each pattern, and one that learns from all of them and from unlabelled \
             rows:\n\n    {}\n",
            self.score(),
            self.train(),
            self.ensemble()
        )
    }

    fn command(&self, command: &str, templates: &str, rest: &str) -> String {
        let (verbalizer, limits) = (self.file(VERBALIZER), limit_flags(self.limits));
        format!("cloze {command} --template {templates} --verbalizer {verbalizer} {rest}{limits}")
    }

    /// How a training reads its rows, which keeps no file of bad ones. A file that is yet to be made has a
    /// column `label` with the labels themselves.
    fn training_flags(&self) -> String {
        let skip = |how: &PathBuf| if how == Path::new("refuse") { how.clone() } else { "skip".into() };
        let bad_rows = self.reading.bad_rows.as_ref().map(skip);
        reading_flags(&match self.labelled {
            true => RowReading { bad_rows, ..self.reading.clone() },
            false => RowReading { bad_rows, format: self.reading.format, ..RowReading::default() },
        })
    }

    fn long(&self) -> String {
        let Some(LongTexts { long, pool }) = self.long.filter(|texts| texts.long != Long::Head) else {
            return String::new();
        };
        shell::flag("long", Some(&named(long))) + &shell::flag("pool", pool.as_ref().map(named).as_deref())
    }

    /// The star is for the shell.
    fn templates(&self) -> String {
        format!("{}/*.json", self.file(TEMPLATES))
    }

    fn file(&self, name: &str) -> String {
        shell::path(&self.folder.join(name))
    }

    fn run(&self, more: &str) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        Path::new("runs").join(format!("{name}{more}"))
    }
}

/// How rows are read, as it is typed.
pub fn reading_flags(reading: &RowReading) -> String {
    let RowReading {
        format,
        encoding,
        delimiter,
        quoting,
        sheet,
        max_record_mib,
        label_column,
        no_labels,
        label_map,
        unlabelled,
        bad_rows,
    } = reading;
    let (encoding, delimiter) = (encoding.map(|own| own.to_string()), delimiter.map(|own| own.to_string()));
    let unlabelled = (!unlabelled.is_empty()).then(|| unlabelled.join(","));
    let bad_rows = bad_rows.as_ref().map(|how| how.display().to_string());
    [
        shell::flag("format", format.map(Format::name)),
        shell::flag("encoding", encoding.as_deref()),
        shell::flag("delimiter", delimiter.as_deref()),
        shell::flag("max-record-mib", max_record_mib.map(|most| most.to_string()).as_deref()),
        shell::flag("quoting", quoting.as_ref().map(named).as_deref()),
        shell::flag("sheet", sheet.as_deref()),
        shell::flag("label-column", label_column.as_deref()),
        if *no_labels { " --no-labels".to_owned() } else { String::new() },
        shell::flag("label-map", label_map.as_deref()),
        shell::flag("unlabelled", unlabelled.as_deref()),
        shell::flag("bad-rows", bad_rows.as_deref()),
    ]
    .concat()
}

/// The model and the longest input, as they are typed.
pub fn limit_flags(limits: &Limits) -> String {
    let length = limits.max_length.map(|length| length.to_string());
    shell::flag("model", limits.model.as_deref()) + &shell::flag("max-length", length.as_deref())
}

fn named(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The ending of a file's name that tells how such rows are written.
pub fn ending(reading: &RowReading) -> &'static str {
    reading.format.unwrap_or(Format::Csv).name()
}
