//! What the command line says of an error where the way out is a flag or a command: the library names
//! neither.

use std::path::Path;

use cloze::error::difference::further;
use cloze::error::notes::{Note, help, listed, nearest, without_header};
use cloze::error::tensor::{tensor_line, tensor_lines};
use cloze::error::{
    CalibrationError, DataError, EncodeError, EnsembleError, FileError, Kind, LabelError, ModelError,
    PeftError, RunError, SearchError, TaskError, TemplateError, TrainingError, TuningError,
};
use cloze::learn::run::{MANIFEST, RunKind, kind_of};
use cloze::study::warning::Warning;
use cloze::text::commas::in_quotes;
use cloze::text::data::ID;
use cloze::text::dataset::called_as_labels;
use cloze::text::text_column::named_like_text;

use super::super::{shell, shipped};

/// The way out where PEFT has more than cloze.
const MERGE_IN_PYTHON: &str =
    "merge the adapter in Python (merge_and_unload) and give --model the folder of the merged model";

/// A warning's text.
pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::FewRows { data, found, asked, label } => {
            format!(
                "{data} has {found} of the {asked} rows of {label:?} that --shots asks for: all are taken"
            )
        }
        other => other.to_string(),
    }
}

/// An error's message.
pub fn message(kind: &Kind) -> String {
    match kind {
        Kind::Model(ModelError::NoCuda) => format!("--device cuda: {kind}"),
        Kind::Model(ModelError::ReferenceCannot { reason }) => {
            format!("--engine rust-bert cannot run this model: {reason}")
        }
        Kind::Tuning(TuningError::EngineCannotTune { method, reason }) => {
            format!("--engine rust-bert cannot do {method}: {reason}")
        }
        Kind::Tuning(TuningError::OptionOutOfRange { name, found, allowed }) => {
            format!("{} must be {allowed}, not {found}", flag_of(name))
        }
        Kind::Tuning(TuningError::ClsForTasks) => {
            "--method cls has one head for one task: choose another method with --tasks".to_owned()
        }
        Kind::Tuning(TuningError::OptionOfOtherMethod { option, method }) => {
            format!("{} is not an option of {method}", flag("", option))
        }
        Kind::Search(SearchError::WithoutLabelledRows { method }) => {
            format!("--method {method} learns from labelled rows: give --train")
        }
        Kind::Search(SearchError::TooMuch { .. }) => {
            format!("{kind}: draw some of each class with --shots")
        }
        Kind::Training(TrainingError::TooFewDevRows { label, data, found, wanted }) => format!(
            "{data} has {found} of the {wanted} rows of {label:?} that --select dev needs, train rows not counted"
        ),
        Kind::Training(TrainingError::NoDevRows { data }) => {
            format!("--select dev has no rows to choose by: all rows of {data} are train rows")
        }
        Kind::Training(TrainingError::DevNotUsed) => {
            "--dev gives rows to choose by, and nothing is chosen".to_owned()
        }
        Kind::Ensemble(error) => {
            needed(error).map_or_else(|| kind.to_string(), |flag| format!("an ensemble needs {flag}"))
        }
        _ => kind.to_string(),
    }
}

/// An option as the command line writes it, where it is one of its flags; an option in a file as it stands
/// there.
fn flag_of(name: &str) -> String {
    let known = [("student.plan.", "student-"), ("plan.", ""), ("experiment.", "")];
    let found = known.iter().find_map(|(place, start)| Some(flag(start, name.strip_prefix(place)?)));
    found.unwrap_or_else(|| name.to_owned())
}

fn flag(start: &str, key: &str) -> String {
    format!("--{start}{}", key.replace('_', "-"))
}

/// The flag of what an ensemble needs.
fn needed(error: &EnsembleError) -> Option<&'static str> {
    Some(match error {
        EnsembleError::Needs { what, .. } => match *what {
            "templates" => "--template",
            "verbalizers" => "--verbalizer",
            "unlabeled" => "--unlabeled",
            "train" => "--train",
            "test" => "--test",
            "seeds" => "--seeds",
            _ => return None,
        },
        EnsembleError::StudentWithoutRows => "--unlabeled",
        EnsembleError::StudentReadsNoTemplate => "--student",
        EnsembleError::NothingToTrain => "--train",
        _ => return None,
    })
}

/// What was allowed, and a way out.
pub fn notes(kind: &Kind) -> Vec<Note> {
    let own = match kind {
        Kind::Search(SearchError::WithoutLabelledRows { .. } | SearchError::TooMuch { .. }) => Some(vec![]),
        Kind::Template(error) => of_template(error),
        Kind::Data(error) => of_data(error),
        Kind::Model(ModelError::Missing { path }) if shipped::is_looked_for(path) => Some(looked_in(
            "give --model a Hugging Face folder of a masked language model, or hub:NAME; or say with $CLOZE_HOME where cloze's folders are",
        )),
        Kind::Model(error) => of_model(error),
        Kind::Encode(error) => of_encode(error),
        Kind::Calibration(error) => of_calibration(error),
        Kind::MultiLabel(error) => super::multi_label::advice(error),
        Kind::Tuning(error) => of_tuning(error),
        Kind::Training(error) => of_training(error),
        Kind::Run(error) => of_run(error),
        Kind::Ensemble(error) => of_ensemble(error),
        Kind::Peft(error) => of_peft(error),
        Kind::Label(error) => of_label(error),
        Kind::File(FileError::Missing { path }) if shipped::is_looked_for(path) => {
            Some(looked_in("check the spelling, or say with $CLOZE_HOME where cloze's folders are"))
        }
        Kind::File(FileError::NothingMatches { pattern }) if shipped::is_looked_for(Path::new(pattern)) => {
            Some(looked_in("check the spelling, or say with $CLOZE_HOME where cloze's folders are"))
        }
        Kind::File(FileError::SameColumn { .. }) => {
            Some(help("rename it in the input, or leave out --keep-columns"))
        }
        Kind::Task(TaskError::Needed { tasks, .. }) => {
            Some(vec![("tasks", listed(tasks)), ("help", "name one with --task".into())])
        }
        Kind::Search(SearchError::SeveralWriters { .. }) => {
            Some(help("name one of the run's seeds with --run-seed"))
        }
        Kind::Search(SearchError::NothingAtMask) => {
            Some(help("choose a run of another method, or give --template and --verbalizer"))
        }
        Kind::Search(SearchError::SpaceOfOne) => {
            Some(help("give several templates, or let the model write some with --generate"))
        }
        Kind::Search(SearchError::WordNetMissing { .. }) => Some(help(
            "name the folder with index.noun and data.noun with --wordnet, or choose other sources with --from",
        )),
        _ => None,
    };
    own.unwrap_or_else(|| kind.notes())
}

/// Where something that ships was looked for.
fn looked_in(way_out: &str) -> Vec<Note> {
    vec![("looked in", shipped::places_by_name().join("; ")), ("help", way_out.to_owned())]
}

/// The same of labelling.
fn of_label(error: &LabelError) -> Option<Vec<Note>> {
    let way = match error {
        LabelError::WithoutLabels => {
            "name them with --labels \"billing, technical, account\", or give a --verbalizer or a --run"
        }
        LabelError::NoProject { .. } => {
            "cloze label FILE --labels \"a, b\" begins one; --project names one that is elsewhere"
        }
        LabelError::NotAProject { .. } => "name another file with --project",
        LabelError::OtherRows { .. } => {
            "a project holds its rows itself: --project without a file of rows goes on with them and exports \
             them; with another --project, these rows begin a new one"
        }
        LabelError::LabelStands { .. } => {
            "say what takes its place: --change-labels OLD=NEW, or OLD= to take its answers back"
        }
        LabelError::OtherLabels { .. } => {
            "leave --labels out to go on with the project's, or change them with --change-labels; with another \
             --project, these begin a new one"
        }
        _ => return None,
    };
    let mut notes = error.notes();
    notes.retain(|(label, _)| *label != "help");
    notes.extend(help(way));
    Some(notes)
}

fn of_template(error: &TemplateError) -> Option<Vec<Note>> {
    Some(match error {
        TemplateError::UnknownColumn { column, columns, data } if data == shell::COMMAND_LINE => vec![
            ("columns", listed(columns)),
            ("help", format!("give each column its own text: --field {}=TEXT", shell::quoted(column))),
        ],
        TemplateError::UnknownColumn { column, columns, .. } => {
            let near = nearest(column, columns);
            let meant = near.map(|near| format!("did you mean {near}? or ")).unwrap_or_default();
            let other =
                near.or_else(|| likely_text(columns)).map_or_else(|| "COLUMN".to_owned(), shell::quoted);
            let map = format!("{meant}map it: --map {}={other}", shell::quoted(column));
            let mut notes = vec![("columns", listed(columns))];
            notes.push(without_header(columns).unwrap_or(("help", map)));
            notes
        }
        TemplateError::WithoutSupport => help("give a file of labelled rows with --demos"),
        TemplateError::WithSteps { .. } => help("leave the steps out: cloze score takes them"),
        TemplateError::SupportWithoutClass { .. } => {
            help("add a row of that class, or choose --demo-strategy random")
        }
        TemplateError::SoftUntrained => {
            help("train with cloze train and score with --run, or start them from words: {soft:\"it was\"}")
        }
        TemplateError::UsesLabel { .. } => help(
            "the answer would stand in the question; use another column, or name the labels' with --label-column",
        ),
        _ => return None,
    })
}

/// The column that most likely has the texts: the only one, or the one that is called so.
fn likely_text(columns: &[String]) -> Option<&str> {
    let mut others = columns.iter().map(String::as_str).filter(|name| !["label", ID].contains(name));
    match (others.clone().count(), others.next()) {
        (1, only) => only,
        _ => named_like_text(columns.iter().map(String::as_str)),
    }
}

fn of_data(error: &DataError) -> Option<Vec<Note>> {
    Some(match error {
        DataError::SeveralLabels { separator, .. } => help(&format!(
            "labels stand between {separator:?} here: cloze classify, score and train give several with --multi-label; or keep one of them"
        )),
        DataError::FormatUnknown { .. } => {
            vec![
                (
                    "allowed",
                    ".csv, .tsv, .jsonl, .json, and .gz or .zst behind these; .parquet, .arrow, .feather, .xlsx"
                        .into(),
                ),
                ("help", "say it with --format csv, tsv, jsonl, json, parquet, arrow or xlsx".into()),
            ]
        }
        DataError::NothingToLabel { .. } => {
            help("name a file of rows without labels, or pass these labels over with --no-labels")
        }
        DataError::NoTable { format: Some(format), .. } => help(&format!("say --format {format}")),
        DataError::SeveralSheets { sheets, .. } => {
            vec![("sheets", listed(sheets)), ("help", "name the one to read with --sheet".into())]
        }
        DataError::NeedsFile { format: "Excel", .. } => help("give --data a file by its name"),
        DataError::NeedsFile { .. } => {
            help("give --data a file by its name; through a pipe columns with types come as --format arrow")
        }
        DataError::OtherFormat { .. } => help("say its format with --format, or name another file"),
        DataError::NoText { column, .. } if called_as_labels(column) => help(
            "name another column with --label-column, take no labels with --no-labels, or give several a row with --multi-label",
        ),
        DataError::Json { .. } => help("say --format jsonl, or --format json for an array"),
        DataError::QuotesJoinLines => {
            help("say --quoting none if quotes are text here, or --quoting double if they stand round fields")
        }
        DataError::RecordTooLong { .. } => help(
            "allow more with --max-record-mib if that is right; else look for a quote that is never closed, or for line ends that are missing",
        ),
        DataError::NotUtf8 { .. } => help(
            "say --encoding (latin1, for example), or save the file as UTF-8; where it was put together of files in several encodings, mend this row",
        ),
        DataError::NotInEncoding { .. } => help(
            "mend this row, leave it out with --bad-rows skip, or say another --encoding, if the file has one",
        ),
        DataError::NamesOfOneColumn { names, .. } => {
            vec![(
                "help",
                format!("a column has one name: leave out --map {}=… or --map {}=…", names[0], names[1]),
            )]
        }
        DataError::NameTaken { name, .. } => {
            vec![("help", format!("leave out --map {name}=…, or --text-column"))]
        }
        DataError::UnknownLabel { label, classes, .. } => {
            let mut notes = error.notes();
            if notes.iter().all(|(what, _)| *what != "help") {
                let is_plain = label.len() <= 30 && !label.contains([',', '"', ' ']);
                let label = if is_plain { label } else { "LABEL" };
                let class = classes.first().map_or("CLASS", String::as_str);
                notes.push((
                    "help",
                    format!(
                        "say which class each label stands for, as --label-map {}; or take no labels: --no-labels",
                        label_map(label, classes).unwrap_or_else(|| format!("{label}={class}"))
                    ),
                ));
            }
            notes
        }
        DataError::WithoutText { columns, .. } => {
            vec![("columns", listed(columns)), ("help", "name the one to read with --text-column".into())]
        }
        DataError::SeveralTexts { .. } => help("name the one to read with --text-column, or several"),
        DataError::ScoresWithoutLabels { columns, .. } => vec![
            ("columns", listed(columns)),
            (
                "help",
                "name it with --label-column, or give the rows with their labels with --true-labels".into(),
            ),
        ],
        DataError::WithoutLabels { columns, .. } => {
            let perhaps = columns.iter().find(|column| called_as_labels(column));
            let name = perhaps.map_or_else(String::new, |column| format!(" {column}"));
            vec![("columns", listed(columns)), ("help", format!("name it with --label-column{name}"))]
        }
        _ => return None,
    })
}

/// The map of labels that are numbers to classes in their order, which is how most such files mean them.
pub fn label_map(label: &str, classes: &[String]) -> Option<String> {
    let first: usize = label.parse().ok().filter(|&number: &usize| number <= classes.len())?;
    let from = usize::from(first > 0 && first == classes.len());
    let pairs = classes.iter().zip(from..).map(|(class, number)| format!("{number}={class}"));
    // Both 0 to 4 and 1 to 5 have a 3. Of two classes, 1 is nearly always the second.
    let is_open = classes.len() > 2 && (1..classes.len()).contains(&first);
    let or = if is_open { " (or from 1 on, if yours begin there)" } else { "" };
    (classes.len() <= 5).then(|| pairs.collect::<Vec<_>>().join(",") + or)
}

fn of_model(error: &ModelError) -> Option<Vec<Note>> {
    Some(match error {
        ModelError::Missing { .. } | ModelError::FileForModel { .. } => {
            help("give --model a Hugging Face folder of a masked language model, or hub:NAME")
        }
        ModelError::FileMissing { path, .. } if path.join(MANIFEST).exists() => {
            help(&match kind_of(&path.join(MANIFEST)) {
                Ok(Some(RunKind::Pretrain)) => {
                    format!("it is a run that has not made its model yet: {}", goes_on(path))
                }
                _ => format!("it is a run: --run {}", shell::path(path)),
            })
        }
        ModelError::UntrainedHead { .. } => help(
            "give --model one of another family; or add --force-head to train all of its weights: before that its scores mean nothing",
        ),
        ModelError::HubUnreachable { name, .. } => vec![(
            "help",
            format!(
                "without a network, put config.json, model.safetensors, tokenizer_config.json and tokenizer.json (or vocab.txt, or vocab.json and merges.txt) of {name} in a folder by hand and give --model that folder"
            ),
        )],
        ModelError::HubName { .. } => vec![
            ("allowed", "OWNER/MODEL or MODEL, of letters, digits, \".\", \"_\" and \"-\"".into()),
            ("help", "a folder is named without hub:".into()),
        ],
        ModelError::ReferenceCannot { .. } => help("leave --engine out"),
        ModelError::NoKernels { .. } => help("leave --dtype out"),
        ModelError::NoCuda => help("leave --device out to use the CPU"),
        _ => return None,
    })
}

fn of_encode(error: &EncodeError) -> Option<Vec<Note>> {
    Some(match error {
        EncodeError::PatternTooLong { .. } => help("shorten the pattern, or raise --max-length"),
        EncodeError::LengthLeavesNoRoom { .. } => {
            help("lower the length, shorten the pattern, or raise --max-length")
        }
        EncodeError::PromptTooLong { .. } => {
            help("mark the long field with |shorten, shorten the pattern, or raise --max-length")
        }
        _ => return None,
    })
}

fn of_calibration(error: &CalibrationError) -> Option<Vec<Note>> {
    Some(match error {
        CalibrationError::PriorNotOne { .. } => {
            help("make the shares sum to 1, and leave out --prior for equal ones")
        }
        CalibrationError::PriorUnclear { labels, .. } => {
            let example = shell::quoted(&even_prior(labels));
            vec![("classes", listed(labels)), ("help", format!("for example --prior {example}"))]
        }
        CalibrationError::Misfit { fitted_for, now, .. } => {
            vec![
                ("fitted for", fitted_for.clone()),
                ("now", now.clone()),
                ("help", "fit it anew with --calibrate and --calibration-out".into()),
            ]
        }
        CalibrationError::Count { .. }
        | CalibrationError::Number { .. }
        | CalibrationError::Unclear { .. } => help("fit it anew with --calibrate and --calibration-out"),
        CalibrationError::WithoutRows { .. } => {
            help("give --calibrate-on a file with rows, or a method that needs none: contextual, pmi")
        }
        _ => return None,
    })
}

/// A prior of even shares, which sum to 1 as they are written: the last takes the rest.
fn even_prior(labels: &[String]) -> String {
    let digits = 1 + labels.len().to_string().len();
    let whole = 10_usize.pow(digits as u32);
    let share = whole / labels.len().max(1);
    let last = whole - share * labels.len().saturating_sub(1);
    let shares = (1..=labels.len()).map(|count| if count == labels.len() { last } else { share });
    let one = |(label, share): (&String, usize)| {
        format!("{}={:.digits$}", in_quotes(label), share as f64 / whole as f64)
    };
    labels.iter().zip(shares).map(one).collect::<Vec<_>>().join(",")
}

fn of_tuning(error: &TuningError) -> Option<Vec<Note>> {
    Some(match error {
        TuningError::ClsForTasks => vec![],
        TuningError::TemplateNeeded { .. } => help("name one with --template"),
        TuningError::OptionOfOtherMethod { .. } => help("leave it out, or choose its method with --method"),
        TuningError::NotMergeable { .. } => {
            help("leave out --merged; --peft writes what was learned by itself")
        }
        TuningError::ExportWithClassVectors => help("the run itself keeps them: cloze score --run"),
        TuningError::MergedWithSoft => help("the run itself keeps them: cloze score --run"),
        TuningError::ClsWithMlm => help("leave --mlm-weight out, or choose another method"),
        TuningError::EngineCannotTune { .. } => help("leave --engine out"),
        _ => return None,
    })
}

fn of_training(error: &TrainingError) -> Option<Vec<Note>> {
    Some(match error {
        TrainingError::TooFewDevRows { .. } => {
            help("lower --shots, give more rows with --dev, or choose --select cv")
        }
        TrainingError::NoDevRows { .. } => {
            help("say with --shots how many to learn from, give others with --dev, or choose --select cv")
        }
        TrainingError::NothingToDraw => help("leave --shots out, or give rows with --train too"),
        TrainingError::DescriptionForColumns { columns } => vec![
            ("columns", listed(columns)),
            (
                "help",
                "use patterns that read one, or write rows with these columns and give them with --train"
                    .into(),
            ),
        ],
        TrainingError::DevNotUsed => help("choose with --select dev, or leave --dev out"),
        TrainingError::LearnedNotFinite { .. } => help("lower --learning-rate"),
        TrainingError::LossNotFinite { records, .. } if records.is_empty() => help("lower --learning-rate"),
        TrainingError::LossNotFinite { records, .. } | TrainingError::MlmLossNotFinite { records, .. } => {
            vec![
                ("records", listed(&records.iter().map(u64::to_string).collect::<Vec<_>>())),
                ("help", "lower --learning-rate".into()),
            ]
        }
        TrainingError::MlmWithoutRows { .. } => {
            help("give rows, with or without labels, or leave --mlm-weight out")
        }
        _ => return None,
    })
}

fn of_run(error: &RunError) -> Option<Vec<Note>> {
    Some(match error {
        RunError::Interrupted { path, cell: Some(cell) } => {
            help(&format!("go on with it: {} run-cell {} {cell}", program(), shell::path(path)))
        }
        RunError::Interrupted { path, cell: None } => help(&format!("go on with it: {}", goes_on(path))),
        RunError::Missing { .. } => help("name the folder that --out named when the run was made"),
        RunError::PageWithoutName => help("say with --out where to write it"),
        RunError::FileMissing { wanted, .. } if wanted == "manifest.json" => {
            help("name the folder that --out named when the run was made")
        }
        RunError::FileMissing { path, .. } => help(&format!("this makes what it lacks: {}", goes_on(path))),
        RunError::FolderTaken { run: true, path } if is_finished(path) => help("name another folder"),
        RunError::FolderTaken { run: true, path } => {
            help(&format!("name another folder, or go on with that run: {}", goes_on(path)))
        }
        RunError::OtherBase { .. } => {
            help("name the base model with --model, or take this one with --allow-other-base")
        }
        RunError::StartMisfit { differences, .. } => {
            let mut notes = further(differences);
            notes.extend(help(
                "train by that run's method with its sizes (--method, --rank, --length, --bottleneck, --tuning), or start from another run",
            ));
            notes
        }
        RunError::StartOnOtherBase { .. } => {
            help("name the base model that it was trained on with --model, or start from a run on this one")
        }
        RunError::SeedNeeded { seeds, .. } => {
            vec![
                ("seeds", listed(&seeds.iter().map(u64::to_string).collect::<Vec<_>>())),
                ("help", "name one with --seed".into()),
            ]
        }
        RunError::Finished { path } if is_pretraining(path) => help(&as_model(path)),
        RunError::WithoutClassifier { path } => help(&as_model(path)),
        RunError::Finished { .. } => help(
            "run it again elsewhere: cloze train --from RUN/manifest.json, or cloze ensemble --experiment RUN/manifest.json, with --out NEW",
        ),
        RunError::NotRun { path } => {
            let manifest = path.join("manifest.json");
            vec![("help", format!("run it: cloze ensemble --experiment {} --out NEW", manifest.display()))]
        }
        RunError::CellTooEarly { path, missing, .. } | RunError::CellsMissing { path, missing } => {
            let mut notes = error.notes();
            if let (Some((_, help)), Some(first)) = (notes.last_mut(), missing.first()) {
                help.push_str(&format!(": {} run-cell {} {first}", program(), shell::path(path)));
            }
            notes
        }
        RunError::Unfinished { path } => help(&format!("go on with it: {}", goes_on(path))),
        RunError::OfOtherKind { found: "pretrain", path, .. } => help(&as_model(path)),
        RunError::OfOtherKind { found: "train" | "tasks", .. } => {
            help("cloze train goes on with it (--resume --out RUN), or runs it again (--from RUN --out NEW)")
        }
        RunError::OfOtherKind { .. } => help(
            "cloze ensemble goes on with it (--resume --out RUN), or runs it again (--experiment RUN/manifest.json --out NEW)",
        ),
        RunError::FileDamaged { checkpoint: false, .. } => help(
            "put a whole copy in its place; or delete it and go on with the run (--resume --out RUN), or make the run anew",
        ),
        RunError::OutOfPlace { .. } => help(
            "put the file back that was there; or delete it and go on with the run, which makes it anew: --resume --out RUN",
        ),
        _ => return None,
    })
}

/// Whether a run made a model, and no classifier.
fn is_pretraining(run: &Path) -> bool {
    matches!(kind_of(&run.join(MANIFEST)), Ok(Some(RunKind::Pretrain)))
}

/// What a model that a run made is for.
fn as_model(run: &Path) -> String {
    format!("it made a base model for other commands: --model {}", shell::path(run))
}

/// The line that goes on with a run, to be typed as it stands.
fn goes_on(run: &Path) -> String {
    let command = match kind_of(&run.join(MANIFEST)) {
        Ok(Some(RunKind::Train | RunKind::Tasks)) => "train",
        Ok(Some(RunKind::Ensemble)) => "ensemble",
        Ok(Some(RunKind::Pretrain)) => "pretrain",
        _ => return "the command that made it, with another --out".to_owned(),
    };
    format!("{} {command} --resume --out {}", program(), shell::path(run))
}

/// This program, as it was called.
fn program() -> String {
    shell::quoted(&std::env::args().next().unwrap_or_else(|| "cloze".to_owned()))
}

/// Whether a run has its results.
fn is_finished(run: &Path) -> bool {
    ["metrics.json", "report.json"].iter().any(|results| run.join(results).exists())
}

fn of_ensemble(error: &EnsembleError) -> Option<Vec<Note>> {
    Some(match error {
        EnsembleError::ClsAsMember => help("it can be the student: --student cls, the default"),
        EnsembleError::TooManyGenerations { most, .. } => help(&match most {
            0 => "have more unlabelled rows, or grow by less with --growth".to_owned(),
            most => {
                format!("--generations {most} is the most with these rows; a smaller --growth needs fewer")
            }
        }),
        EnsembleError::NoMembers => help("a lower --learning-rate, or rows without texts that break numbers"),
        EnsembleError::MembersNotKept { .. } => {
            help("run the experiment with --keep-members, or score with its student")
        }
        EnsembleError::RunWithoutMembers { .. } => {
            help("it is one classifier: leave --members and --member out")
        }
        EnsembleError::NoStudent { members, .. } => {
            vec![("members", listed(members)), ("help", "name one of them with --member".into())]
        }
        EnsembleError::StudentWithoutRows => {
            help("a student learns from rows that the members label; --no-distill goes without one")
        }
        EnsembleError::StudentReadsNoTemplate => help(
            "a student that is cls reads no template: name a way of tuning that does, or leave --student-template out",
        ),
        EnsembleError::NothingToTrain => {
            help("without labelled rows and without --generations no member is trained")
        }
        _ => return None,
    })
}

fn of_peft(error: &PeftError) -> Option<Vec<Note>> {
    Some(match error {
        PeftError::Missing { .. } => {
            help("name a folder that PEFT's save_pretrained or cloze export --peft wrote")
        }
        PeftError::OtherModel { base, .. } if base.is_empty() => {
            help("give --model the base model that the adapter was made for")
        }
        PeftError::OtherModel { base, .. } => {
            vec![("help", format!("the adapter was made for {base}: give --model that"))]
        }
        PeftError::UnknownType { allowed, .. } => {
            vec![("allowed", listed(allowed)), ("help", MERGE_IN_PYTHON.to_owned())]
        }
        PeftError::NotDone { allowed, .. } => {
            vec![("allowed", (*allowed).to_owned()), ("help", MERGE_IN_PYTHON.to_owned())]
        }
        PeftError::Misfit { tensors, unknown, .. } => {
            let no_place = unknown.iter().map(|name| format!("{name} has no place"));
            let mut notes = tensor_lines(tensors.iter().map(tensor_line).chain(no_place));
            let same_base = "give --model the base model that the adapter was made for";
            notes.push(("help", if unknown.is_empty() { same_base } else { MERGE_IN_PYTHON }.to_owned()));
            notes
        }
        PeftError::Without { merges: true, .. } => help("--merged writes a model folder with it"),
        _ => return None,
    })
}
