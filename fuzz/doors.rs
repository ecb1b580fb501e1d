//! The doors: what reads a file that a user brings, and what must hold whatever stands in it.

use std::path::{Path, PathBuf};

use cloze::error::{Error, Errors, Place};
use cloze::text::data::{Example, Format, Rows};
use cloze::{Template, Verbalizer};

/// Inputs that are longer are left out of a corpus.
const LONGEST: u64 = 32 << 10;

/// What a run found to be broken.
type Answer = Result<(), String>;

/// A reader, with what it is tried on.
pub struct Door {
    /// Its name.
    pub name: &'static str,
    /// Reads one input.
    pub run: Box<dyn Fn(&[u8]) -> Answer>,
    /// The inputs to start from.
    pub corpus: Box<dyn Fn() -> Vec<Vec<u8>>>,
}

/// All doors; those that read files alone write them into a folder of their own.
pub fn all(scratch: &Path) -> Vec<Door> {
    let json = |path: &Path| has_end(path, ".json");
    let mut doors = vec![door("template", template, json, true), door("verbalizer", verbalizer, json, true)];
    for (name, format) in
        [("csv", Format::Csv), ("tsv", Format::Tsv), ("jsonl", Format::JsonLines), ("json", Format::Json)]
    {
        let run = move |input: &[u8]| rows(input, format);
        let is_data =
            |path: &Path| [".csv", ".tsv", ".jsonl", ".gz", ".zst"].iter().any(|end| has_end(path, end));
        doors.push(door(name, run, is_data, true));
    }
    doors.extend(in_folders(scratch));
    doors
}

/// The doors that take the name of a file or of a folder.
fn in_folders(scratch: &Path) -> Vec<Door> {
    let scratch = scratch.to_owned();
    let file = move |name: &str, read: fn(&Path, &Path) -> Result<(), Errors>| {
        let (folder, path) = (scratch.clone(), scratch.join(name));
        move |input: &[u8]| {
            std::fs::write(&path, input).map_err(|error| format!("cannot write: {error}"))?;
            let answer = read(&folder, &path);
            std::fs::remove_file(&path).map_err(|error| format!("cannot remove: {error}"))?;
            answer.err().map_or(Ok(()), |errors| sound(&errors))
        }
    };
    let json = |path: &Path| has_end(path, ".json") && !has_end(path, "tokenizer.json");
    vec![
        door(
            "config",
            file("config.json", |folder, _| Ok(cloze::model::arch::Config::load(folder).map(drop)?)),
            |path| has_end(path, "config.json"),
            false,
        ),
        door(
            "vocabulary",
            file("vocab.txt", |folder, _| Ok(cloze::model::tokenizer::Tokenizer::load(folder).map(drop)?)),
            |path| has_end(path, "vocab.txt"),
            false,
        ),
        door(
            "tokenizer",
            file("tokenizer.json", |folder, _| {
                Ok(cloze::model::tokenizer::Tokenizer::load(folder).map(drop)?)
            }),
            |path| has_end(path, "tokenizer.json"),
            false,
        ),
        door(
            "safetensors",
            file("a.safetensors", |_, path| Ok(cloze::model::tensor_file::read(path).map(drop)?)),
            |path| has_end(path, ".safetensors"),
            false,
        ),
        door(
            "pickle",
            file("a.bin", |_, path| {
                // Its errors have no place; what matters is that there is one or sound tensors.
                if let Ok(checkpoint) = cloze::model::pickle::Checkpoint::open(path) {
                    let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_owned()).collect();
                    names.iter().for_each(|name| drop(checkpoint.read(name)));
                }
                Ok(())
            }),
            |path| has_end(path, ".bin"),
            false,
        ),
        door(
            "tuning",
            file("tuning.json", |_, path| Ok(cloze::tune::Tuning::read(path).map(drop)?)),
            json,
            false,
        ),
        door(
            "manifest",
            file("run.json", |_, path| Ok(cloze::learn::run::Manifest::read(path).map(drop)?)),
            json,
            false,
        ),
        door(
            "tasks",
            file("tasks.json", |_, path| Ok(cloze::study::multi_task::TasksFile::read(path).map(drop)?)),
            json,
            true,
        ),
        door("calibration", file("calibration.json", calibration), json, true),
    ]
}

fn door(
    name: &'static str,
    run: impl Fn(&[u8]) -> Answer + 'static,
    is_of: impl Fn(&Path) -> bool + 'static,
    with_cases: bool,
) -> Door {
    let corpus = move || {
        let mut inputs = Vec::new();
        for folder in ["tests/fixtures", "templates", "verbalizers", "data"] {
            inputs.extend(files(Path::new(folder)).iter().filter(|path| is_of(path)).filter_map(read));
        }
        if with_cases {
            // The files of a case stand in it, as blocks of lines.
            let cases = files(Path::new("tests/cases"));
            let blocks = cases.iter().filter_map(read).flat_map(|case| {
                let text = String::from_utf8_lossy(&case).into_owned();
                text.split("\n\n").map(|block| block.as_bytes().to_vec()).collect::<Vec<_>>()
            });
            inputs.extend(blocks);
        }
        inputs
    };
    Door { name, run: Box::new(run), corpus: Box::new(corpus) }
}

fn has_end(path: &Path, end: &str) -> bool {
    path.to_string_lossy().ends_with(end)
}

fn read(path: &PathBuf) -> Option<Vec<u8>> {
    std::fs::metadata(path).ok().filter(|metadata| metadata.len() <= LONGEST)?;
    std::fs::read(path).ok()
}

/// All files below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Each error stands inside its text, and can be shown.
fn sound(errors: &Errors) -> Answer {
    if errors.is_empty() {
        return Err("an error without an error".to_owned());
    }
    errors.iter().try_for_each(|error| {
        drop((error.to_string(), error.kind().notes()));
        place_inside(error)
    })
}

fn place_inside(error: &Error) -> Answer {
    match error.place() {
        Place::Text { source, span, .. } => {
            let text = source.text();
            if span.start > span.end || text.get(span.clone()).is_none() {
                return Err(format!("an error's place is outside of its text: {error}"));
            }
            let _ = (source.line_column(span.start), source.excerpt(span));
            Ok(())
        }
        Place::Row { line: 0, .. } => Err(format!("an error on line 0: {error}")),
        Place::Row { .. } | Place::Nowhere => Ok(()),
    }
}

/// A pattern that was read gives itself when it is read again.
fn template(input: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = Template::from_pattern(&text) {
        sound(&Errors::from(error))?;
    }
    let template = match Template::parse("fuzz", "fuzz.json", &text) {
        Ok(template) => template,
        Err(error) => return sound(&Errors::from(error)),
    };
    let written = serde_json::json!({ "version": 1, if template.compares() { "compare" } else { "pattern" }: template.pattern() });
    let again = Template::parse("fuzz", "fuzz.json", &written.to_string())
        .map_err(|error| format!("a pattern is refused when it is read again: {error}"))?;
    if again.pattern() == template.pattern() {
        Ok(())
    } else {
        Err("a pattern changed when read again".to_owned())
    }
}

fn verbalizer(input: &[u8]) -> Answer {
    match Verbalizer::parse("fuzz", "fuzz.json", &String::from_utf8_lossy(input)) {
        Ok(_) => Ok(()),
        Err(errors) => sound(&errors),
    }
}

fn read_rows(input: &[u8], format: Format) -> Result<(Vec<String>, Vec<Example>), Error> {
    let rows = Rows::read(Box::new(std::io::Cursor::new(input.to_vec())), "fuzz", format, None)?;
    let names = rows.columns().names().to_vec();
    Ok((names, rows.collect::<Result<_, _>>()?))
}

/// Rows that were read, written as JSON Lines, are read again as they are.
fn rows(input: &[u8], format: Format) -> Answer {
    let (names, examples) = match read_rows(input, format) {
        Ok(read) => read,
        Err(error) => return sound(&Errors::from(error)),
    };
    // JSON cannot have two keys that are alike, and columns without names may be several.
    let nameless = names.iter().filter(|name| name.is_empty()).count();
    if examples.is_empty() || nameless > 1 {
        return Ok(());
    }
    let mut written = String::new();
    for example in &examples {
        let fields: serde_json::Map<_, _> =
            names.iter().cloned().zip(example.fields.iter().cloned().map(Into::into)).collect();
        written.push_str(&serde_json::Value::from(fields).to_string());
        written.push('\n');
    }
    let (names_again, again) = read_rows(written.as_bytes(), Format::JsonLines)
        .map_err(|error| format!("rows are refused when they are read again: {error}"))?;
    let parts = |rows: &[Example]| -> Vec<_> {
        rows.iter().map(|row| (row.fields.clone(), row.label.clone())).collect()
    };
    if names == names_again && parts(&examples) == parts(&again) {
        Ok(())
    } else {
        Err("rows changed when they were read again".to_owned())
    }
}

fn calibration(_: &Path, path: &Path) -> Result<(), Errors> {
    use cloze::predict::calibration::{Fitted, FittedFor};
    let verbalizer = Verbalizer::of(&[("negative", &["bad"]), ("positive", &["good"])])?;
    let wanted = Fitted::new(FittedFor::new("model".into(), String::new(), &verbalizer), []);
    Ok(Fitted::load(path, &wanted).map(drop)?)
}
