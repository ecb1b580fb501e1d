//! What to do with the files that `init` and `classify --save` write: the commands as they are typed.

use std::path::{Path, PathBuf};

use cloze::predict::starter::{CALIBRATION, COMPARED, TEMPLATES, VERBALIZER};

/// A folder of files to start from, and the rows that they are for.
pub struct Starting<'a> {
    pub folder: &'a Path,
    /// Rows to answer.
    pub data: &'a Path,
    /// Labelled rows to learn from.
    pub labelled: &'a Path,
    /// Whether the folder has a correction.
    pub corrected: bool,
    /// What names the model, as `--model FOLDER`, if it was named.
    pub model: Option<&'a str>,
}

impl Starting<'_> {
    /// Answers rows.
    pub fn score(&self) -> String {
        let calibration = match self.corrected {
            true => format!(" --calibration {}", self.file(CALIBRATION)),
            false => String::new(),
        };
        let compared = format!("{} {}", self.templates(), self.file(COMPARED));
        self.command("score", &compared, &format!("--data {}{calibration}", word(self.data)))
    }

    /// Learns from labelled rows.
    pub fn train(&self) -> String {
        let labelled = word(self.labelled);
        let rest = format!("--train {labelled} --shots 8 --method lora --out {}", word(&self.run("")));
        self.command("train", &self.templates(), &rest)
    }

    /// Learns from labelled and unlabelled rows.
    pub fn ensemble(&self) -> String {
        let (labelled, data, run) = (word(self.labelled), word(self.data), word(&self.run("-ensemble")));
        let rest = format!("--train {labelled} --unlabeled {data} --shots 8 --method lora --out {run}");
        self.command("ensemble", &self.templates(), &rest)
    }

    /// Answers rows with what was learned.
    pub fn score_run(&self) -> String {
        format!("cloze score --run {} --data {}", word(&self.run("")), word(self.data))
    }

    /// The folder's README: a line for each of the three commands.
    pub fn readme(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        format!(
            "# {name}\n\nAnswer rows:\n\n    {}\n\nTrain on 8 labelled rows of each label (a column `label`), for better answers:\n\n    {}\n\nTrain a model for each pattern, and one that learns from all of them and from unlabelled rows:\n\n    {}\n",
            self.score(),
            self.train(),
            self.ensemble()
        )
    }

    fn command(&self, command: &str, templates: &str, rest: &str) -> String {
        let model = self.model.map_or_else(String::new, |model| format!(" --model {}", quoted(model)));
        let verbalizer = self.file(VERBALIZER);
        format!("cloze {command} --template {templates} --verbalizer {verbalizer} {rest}{model}")
    }

    /// The star is for the shell.
    fn templates(&self) -> String {
        format!("{}/*.json", self.file(TEMPLATES))
    }

    fn file(&self, name: &str) -> String {
        word(&self.folder.join(name))
    }

    fn run(&self, more: &str) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        Path::new("runs").join(format!("{name}{more}"))
    }
}

/// A path as a shell takes it.
pub fn word(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A text as a shell takes it.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./,:=@%+".contains(letter);
    match text {
        _ if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        _ if !text.contains(['"', '$', '`', '\\', '!']) => format!("\"{text}\""),
        _ => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
