//! Files to start from: the patterns and label words of a zero-shot classifier, to change and to train with.

use std::path::Path;

use serde_json::json;

use crate::error::{Error, Errors, Result};
use crate::predict::calibration::Fitted;
use crate::text::labels::NamedLabel;
use crate::text::structured_labels;
use crate::text::template::{self, Template};
use crate::text::verbalizer::StructureRequest;
use crate::text::whole_file::{WholeFile, whole_folder, write_text};

/// The folder of the patterns with a blank: what can be trained.
pub const TEMPLATES: &str = "templates";
/// The pattern that compares the text with the labels: it has no blank, and cannot be trained.
pub const COMPARED: &str = "compared.json";
/// The label words.
pub const VERBALIZER: &str = "verbalizer.json";
/// The correction.
pub const CALIBRATION: &str = "calibration.json";

/// What is written.
pub struct Starter<'a> {
    /// The patterns.
    pub templates: &'a [Template],
    /// The labels with their words.
    pub labels: &'a [NamedLabel],
    /// The tree or the order that they stand in.
    pub structure: &'a StructureRequest,
    /// The correction that was fitted, if one was.
    pub calibration: Option<&'a Fitted>,
    /// What README.md says.
    pub readme: &'a str,
}

impl Starter<'_> {
    /// Writes the folder, whole or not at all. One that holds anything is refused.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("my");
    /// use cloze::predict::general::Ask;
    /// use cloze::predict::starter::Starter;
    /// use cloze::text::labels;
    /// let (templates, labels) = (Ask::Spam.templates(&["text".to_owned()])?, labels::of_line("ham, spam")?);
    /// let structure = &Default::default();
    /// let starter = Starter { templates: &templates, labels: &labels, structure, calibration: None, readme: "" };
    /// starter.write(&folder)?;
    /// let mut problems = cloze::Errors::new();
    /// assert_eq!(cloze::text::json_files::files(&[folder.join("templates")], &mut problems).len(), 4);
    /// assert!(starter.write(&folder).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, folder: &Path) -> Result<(), Errors> {
        let verbalizer = structured_labels::file_of(self.labels, self.structure)?;
        self.write_with(&verbalizer, folder).map_err(Errors::from)
    }

    fn write_with(&self, verbalizer: &str, folder: &Path) -> Result<()> {
        whole_folder(folder, |folder| {
            let templates = folder.join(TEMPLATES);
            std::fs::create_dir(&templates).map_err(|error| Error::writing(&templates, &error))?;
            for template in self.templates {
                let (path, key) = match template.compares() {
                    true => (folder.join(COMPARED), "compare"),
                    false => (templates.join(format!("{}.json", template.name())), "pattern"),
                };
                let (version, pattern) = (template::VERSION, json!(template.pattern()));
                write_text(&path, &format!("{{ \"version\": {version}, \"{key}\": {pattern} }}\n"))?;
            }
            write_text(&folder.join(VERBALIZER), verbalizer)?;
            write_text(&folder.join("README.md"), self.readme)?;
            let calibration = self.calibration.filter(|fitted| fitted.method.is_some());
            calibration.map_or(Ok(()), |fitted| fitted.write(WholeFile::create(&folder.join(CALIBRATION))?))
        })
    }
}
