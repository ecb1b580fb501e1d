//! The doors: what reads a file that a user brings, and what must hold whatever stands in it.

use std::path::{Path, PathBuf};

use cloze::error::{Error, Errors, Place};
use cloze::text::data::{Example, Format, Reading, Rows};
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
        let own = move || if format == Format::Json { arrays() } else { Vec::new() };
        doors.push(door_with(name, run, is_data, true, own));
    }
    doors.push(door("request", request, json, true));
    for (name, end, pack) in [("gzip", ".gz", gzip as Pack), ("zstd", ".zst", zstd)] {
        let run = |input: &[u8]| rows(input, Format::Csv);
        let packed = move || data(&[".csv", ".tsv", ".jsonl"]).iter().map(|text| pack(text)).collect();
        doors.push(door_with(name, run, move |path| has_end(path, end), false, packed));
    }
    doors.extend(in_folders(scratch));
    doors.extend(typed(scratch));
    doors.extend(adapters(scratch));
    doors.push(project(scratch));
    doors
}

/// How a text is packed.
type Pack = fn(&[u8]) -> Vec<u8>;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, text).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(text, 3).expect("memory takes it")
}

/// Small files of data in the repository whose names end so.
fn data(ends: &[&str]) -> Vec<Vec<u8>> {
    let paths = ["tests/fixtures", "data"].into_iter().flat_map(|folder| files(Path::new(folder)));
    paths.filter(|path| ends.iter().any(|end| has_end(path, end))).filter_map(|path| read(&path)).collect()
}

/// JSON Lines as one array of objects.
fn arrays() -> Vec<Vec<u8>> {
    let array = |lines: Vec<u8>| {
        let text = String::from_utf8_lossy(&lines).into_owned();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
        format!("[{}]", rows.join(",\n")).into_bytes()
    };
    let small = [
        r#"[{"text": "a", "label": "x"}, {"text": "b", "label": null}]"#,
        r#"[{"id": 1, "data": {"text": "a"}, "annotations": []}]"#,
    ];
    data(&[".jsonl"]).into_iter().map(array).chain(small.map(|text| text.as_bytes().to_vec())).collect()
}

/// The doors of files whose columns have types.
fn typed(scratch: &Path) -> Vec<Door> {
    let doors: [(&str, &str, Format, &'static [&str]); 4] = [
        ("parquet", "a.parquet", Format::Parquet, &[".parquet"]),
        ("arrow", "a.arrow", Format::Arrow, &[".arrow", ".feather"]),
        ("arrow-stream", "a.arrows", Format::Arrow, &[".arrows"]),
        ("xlsx", "a.xlsx", Format::Xlsx, &[".xlsx"]),
    ];
    let door_of = |(name, file, format, ends): (&'static str, &str, Format, &'static [&str])| {
        let path = scratch.join(file);
        let run = move |input: &[u8]| {
            std::fs::write(&path, input).map_err(|error| format!("cannot write: {error}"))?;
            let read = || -> Result<_, Error> {
                let rows = Reading { format: Some(format), ..Reading::default() }.open(&path)?;
                let names = rows.columns().names().to_vec();
                Ok((names, rows.collect::<Result<Vec<_>, _>>()?))
            };
            read_again(read())
        };
        door(name, run, move |path| ends.iter().any(|end| has_end(path, end)), false)
    };
    doors.into_iter().map(door_of).collect()
}

/// The doors of adapters: one of two files is damaged, the other is whole.
fn adapters(scratch: &Path) -> Vec<Door> {
    let fixtures = Path::new("tests/fixtures/training/peft");
    let config = cloze::model::arch::Config::load(Path::new("tests/fixtures/tiny"))
        .map(std::rc::Rc::new)
        .expect("the tests' model has a configuration");
    let door_of = |(name, file): (&'static str, &'static str)| {
        let (folder, config) = (scratch.join(name), config.clone());
        let whole = files(fixtures);
        let run = move |input: &[u8]| {
            // Which adapter the other file is of depends on the input alone.
            let kinds: Vec<&PathBuf> = whole.iter().filter(|path| has_end(path, file)).collect();
            let sum: usize = input.iter().map(|byte| usize::from(*byte)).sum();
            let from = kinds[sum % kinds.len()].parent().expect("a file has a folder");
            let write = || -> std::io::Result<()> {
                std::fs::create_dir_all(&folder)?;
                for other in files(from) {
                    std::fs::copy(&other, folder.join(other.file_name().unwrap_or_default()))?;
                }
                std::fs::write(folder.join(file), input)
            };
            write().map_err(|error| format!("cannot write: {error}"))?;
            match cloze::tune::peft::read(&folder, &config) {
                Ok(_) => Ok(()),
                Err(error) => sound(&Errors::from(error)),
            }
        };
        door(name, run, move |path| has_end(path, file), false)
    };
    [("adapter-config", "adapter_config.json"), ("adapter-tensors", "adapter_model.safetensors")]
        .map(door_of)
        .into()
}

/// The door of labelling projects: databases.
fn project(scratch: &Path) -> Door {
    use cloze::label::{About, Given, Placed, Project};
    use cloze::predict::selection::Strategy;
    let (made, damaged) = (scratch.join("made.sqlite"), scratch.join("damaged.sqlite"));
    let corpus = move || {
        let about = About {
            data: "rows.csv".to_owned(),
            data_hash: "0a".to_owned(),
            columns: vec!["text".to_owned()],
            label_column: None,
            labels: ["down", "up"].map(str::to_owned).to_vec(),
            chosen_by: "random".to_owned(),
            held_out_share: 0.1,
        };
        let row = |record: u64| Placed {
            example: Example {
                record,
                line: record,
                fields: vec![format!("text {record}")],
                label: None,
                values: None,
            },
            by: Strategy::Random,
            score: None,
            held_out: record.is_multiple_of(5),
        };
        let rows: Vec<Placed> = (1..=20).map(row).collect();
        let mut project = Project::create(&made, &about, &rows).expect("a project is made");
        let label = |place| (place % 3 != 0).then(|| "up".to_owned());
        for place in 0..9 {
            let given = Given { place, labeller: "anna".to_owned(), label: label(place), ..Given::default() };
            project.answer(&given).expect("an answer is kept");
        }
        drop(project);
        let bytes = std::fs::read(&made).expect("the project can be read");
        std::fs::remove_file(&made).expect("the project can be removed");
        vec![bytes]
    };
    let run = move |input: &[u8]| {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{}{end}", damaged.display()));
        }
        std::fs::write(&damaged, input).map_err(|error| format!("cannot write: {error}"))?;
        let look = || -> Result<(), Error> {
            if !Project::is_there(&damaged) {
                return Ok(());
            }
            let mut project = Project::open(&damaged)?;
            project.next("anna")?;
            project.progress("anna")?;
            project.settled(true)?;
            project.lessons()?;
            project.answer(&Given { place: 12, labeller: "ben".to_owned(), ..Given::default() })?;
            project.undo("ben").map(drop)
        };
        look().err().map_or(Ok(()), |error| sound(&Errors::from(error)))
    };
    Door { name: "project", run: Box::new(run), corpus: Box::new(corpus) }
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
            "ensemble",
            file("ensemble.json", |_, path| Ok(cloze::study::ensemble::Manifest::read(path).map(drop)?)),
            json,
            false,
        ),
        door(
            "pretrain",
            file("pretrain.json", |_, path| Ok(cloze::study::pretrain::Manifest::read(path).map(drop)?)),
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
    door_with(name, run, is_of, with_cases, Vec::new)
}

/// A door with inputs of its own beside those that stand in the repository.
fn door_with(
    name: &'static str,
    run: impl Fn(&[u8]) -> Answer + 'static,
    is_of: impl Fn(&Path) -> bool + 'static,
    with_cases: bool,
    own: impl Fn() -> Vec<Vec<u8>> + 'static,
) -> Door {
    let corpus = move || {
        let mut inputs = own();
        for folder in ["tests/fixtures", "templates", "verbalizers", "data", "fuzz/corpus"] {
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

/// A body of a request to the service.
fn request(input: &[u8]) -> Answer {
    cloze::serve::read_any(input.to_vec()).iter().try_for_each(sound)
}

fn rows(input: &[u8], format: Format) -> Answer {
    read_again(read_rows(input, format))
}

/// Rows that were read, written as JSON Lines, are read again as they are.
fn read_again(read: Result<(Vec<String>, Vec<Example>), Error>) -> Answer {
    let (names, examples) = match read {
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
