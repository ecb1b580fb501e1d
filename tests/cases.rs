//! Cases: what a person types, and what the program then says and leaves behind. One text file each, below
//! `tests/cases`:
//!
//! ```text
//! A pattern without a mask is refused.          what the case claims, up to the first line that begins with ===
//!
//! === file t.json                               a file in the case's own folder
//! { "version": 1, "pattern": "{text} Good?" }
//!
//! === run                                       a script for sh, in that folder
//! cloze check --template t.json
//! === exit 1                                    left out: 0
//! === stdout                                    left out: nothing is printed
//! === stderr
//! error: the pattern has no {mask}
//! ...                                           alone on a line: any lines, or none
//! === file after t.json                         what a file then holds
//! === no file out.csv                           a file that is then not there
//! ```
//!
//! Sections are played in their order, and there may be several runs. Blank lines at a section's end do not
//! count.
//!
//! - The folder begins with the files of `tests/cases/usual` (a template, a verbalizer, data): a case shows
//!   only what matters.
//! - `$TINY` is the tests' small model, which runs take unless they say `--model`; `$MODEL` is the model that
//!   ships; `$FAMILIES` has small models of other families, without tokenizers, `$TOKENIZERS` some with them, `$TYPED` files of Parquet and the like. The first two
//!   also stand for their folders in what is printed.
//! - Seconds, and rows a second, are printed as N, and so is what a first run costs. Numbers with a decimal point may be 0.002 off: processors
//!   round differently. How far a run is, which is told every ten seconds, is left out.
//! - A run sees no network and no terminal, and no run may leave a `.partial-` file behind.
//!
//! `CASE=mask cargo test cases` plays the cases with "mask" in their path. `UPDATE_CASES=1 cargo test cases`
//! writes what was printed into the cases that fail: read the diff as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::{env, fs, thread};

use crate::support::{DEFAULT, TINY};

/// `=== head` and the lines below it, without the blank ones at their end.
struct Section {
    head: String,
    body: String,
}

#[test]
fn cases() {
    let wish = env::var("CASE").unwrap_or_default();
    let mut waiting = Vec::new();
    find_cases(Path::new("tests/cases"), &mut waiting);
    waiting.retain(|case| case.to_string_lossy().contains(&wish));
    assert!(!waiting.is_empty(), "no case has {wish:?} in its path");
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().unwrap().pop();
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(case) = next() {
            if let Err(failure) = play(&case) {
                failures.lock().unwrap().push(format!("{}\n{failure}", case.display()));
            }
        }
    };
    // To start libtorch keeps a core busy for half a second: more at a time would gain nothing.
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} cases failed\n\n{}\n", failures.len(), failures.join("\n\n"));
}

fn find_cases(folder: &Path, cases: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_cases(&path, cases);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            cases.push(path);
        }
    }
}

/// Plays a case; the error tells all that was not as it should be.
fn play(case: &Path) -> Result<(), String> {
    let (claim, sections) = parse(&fs::read_to_string(case).unwrap());
    let folder = tempfile::tempdir().unwrap();
    for usual in fs::read_dir("tests/cases/usual").unwrap() {
        let usual = usual.unwrap();
        fs::copy(usual.path(), folder.path().join(usual.file_name())).unwrap();
    }
    let mut failures = Vec::new();
    let mut played = Vec::new();
    let mut rest = sections.into_iter().peekable();
    while let Some(section) = rest.next() {
        let file = |name: &str| folder.path().join(name);
        if section.head == "run" {
            let found = run(&section.body, folder.path());
            played.push(section);
            for (kind, found) in found {
                let wanted = rest.next_if(|next| next.head.split(' ').next() == Some(kind));
                played.extend(compare(kind, wanted, &found, &mut failures));
            }
        } else if let Some(name) = section.head.strip_prefix("file after ") {
            let found = fs::read(file(name))
                .map_or_else(|error| format!("({error})"), |bytes| printed(&bytes, folder.path()));
            let head = section.head.clone();
            played.extend(compare(&head, Some(section), &found, &mut failures));
        } else if let Some(name) = section.head.strip_prefix("no file ") {
            if file(name).exists() {
                failures.push(format!("=== no file {name}: it is there"));
            }
            played.push(section);
        } else if let Some(name) = section.head.strip_prefix("file ") {
            fs::write(file(name), format!("{}\n", section.body)).unwrap();
            played.push(section);
        } else {
            return Err(format!(
                "=== {}: of no known kind, or not in the order run, exit, stdout, stderr",
                section.head
            ));
        }
    }
    let left =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    failures
        .extend(left.filter(|name| name.contains(".partial-")).map(|name| format!("{name} was left behind")));
    if failures.is_empty() {
        return Ok(());
    }
    if env::var_os("UPDATE_CASES").is_some() {
        fs::write(case, claim + &played.iter().map(text).collect::<String>()).unwrap();
    }
    Err(failures.join("\n"))
}

/// The claim, and the sections below it.
fn parse(text: &str) -> (String, Vec<Section>) {
    let mut parts = text.split("\n=== ");
    let claim = parts.next().unwrap_or_default().trim_end().to_owned() + "\n";
    let section = |part: &str| {
        let (head, body) = part.split_once('\n').unwrap_or((part, ""));
        Section { head: head.trim_end().to_owned(), body: body.trim_end_matches('\n').to_owned() }
    };
    (claim, parts.map(section).collect())
}

/// A section as it stands in a case: a blank line before each that does something.
fn text(section: &Section) -> String {
    let Section { head, body } = section;
    let acts = head == "run" || (head.starts_with("file ") && !head.starts_with("file after "));
    let (above, below) = (if acts { "\n" } else { "" }, if body.is_empty() { "" } else { "\n" });
    format!("{above}=== {head}\n{body}{below}")
}

/// Runs a script; what was found of each kind of section that may follow.
fn run(script: &str, folder: &Path) -> [(&'static str, String); 3] {
    let program = Path::new(env!("CARGO_BIN_EXE_cloze")).parent().unwrap();
    let path = env::join_paths(
        std::iter::once(program.to_owned()).chain(env::split_paths(&env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let here = env::current_dir().unwrap();
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("PATH", path)
        .env("TINY", here.join(TINY))
        .env("MODEL", here.join(DEFAULT))
        .env("FAMILIES", here.join("tests/fixtures/families"))
        .env("TYPED", here.join("tests/fixtures/typed"))
        .env("TOKENIZERS", here.join("tests/fixtures/tokenizers"))
        .env("CLOZE_MODEL", here.join(TINY))
        .env("LC_ALL", "C")
        .env("NO_COLOR", "1")
        .env("OMP_NUM_THREADS", "1")
        // A stack trace would be seen.
        .env("RUST_BACKTRACE", "1")
        // Nothing listens there: what wants a network is refused at once.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("HF_HOME", folder.join("cache"))
        .env_remove("HF_ENDPOINT")
        .output()
        .unwrap();
    let exit = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
    [("exit", exit), ("stdout", printed(&output.stdout, folder)), ("stderr", printed(&output.stderr, folder))]
}

/// A text as cases have it: folders by their names, times as N.
fn printed(bytes: &[u8], folder: &Path) -> String {
    let here = env::current_dir().unwrap();
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for (path, name) in
        [(here.join(TINY), "$TINY"), (here.join(DEFAULT), "$MODEL"), (folder.to_owned(), "$FOLDER")]
    {
        text = text.replace(path.to_str().unwrap(), name);
    }
    let lines = text.trim_end_matches('\n').split('\n').filter(|line| !is_progress(line));
    lines.map(timeless).collect::<Vec<_>>().join("\n")
}

/// How far something is, which is told every ten seconds: a slow machine says more of it.
fn is_progress(line: &str) -> bool {
    line.contains("step ") && line.contains("  loss ")
        || line.contains("scoring the test rows")
        || [" left", " rows/s", " tokens/s"].iter().any(|end| line.ends_with(end))
}

/// "2 rows in 0.3 s, 7 rows/s (cloze)" as "2 rows in N s, N rows/s (cloze)", and the same in a report's JSON;
/// "seed 1: 8 rows, 0.3 s".
fn timeless(line: &str) -> String {
    if line.starts_with("seed ") {
        let is_time =
            |part: &str| part.strip_suffix(" s").is_some_and(|seconds| seconds.parse::<f64>().is_ok());
        return line
            .split(", ")
            .map(|part| if is_time(part) { "N s" } else { part })
            .collect::<Vec<_>>()
            .join(", ");
    }
    for key in ["  \"seconds\": ", "  \"rows_per_second\": "] {
        if line.starts_with(key) {
            return format!("{key}N,");
        }
    }
    if line.starts_with("cloze score: ")
        && let Some((cost, _)) = line.split_once(" tokens: ")
    {
        return format!("{cost} tokens: N on this machine");
    }
    match (line.split_once(" in "), line.split_once(" rows/s ")) {
        (Some((rows, _)), Some((_, rest))) => format!("{rows} in N s, N rows/s {rest}"),
        _ => line.to_owned(),
    }
}

/// The section that should stand in the case, and a failure where it says another thing than was found.
fn compare(head: &str, wanted: Option<Section>, found: &str, failures: &mut Vec<String>) -> Option<Section> {
    let usual = if head == "exit" { "0" } else { "" };
    let said = match &wanted {
        None => usual,
        Some(section) if head == "exit" => section.head.trim_start_matches("exit").trim(),
        Some(section) => &section.body,
    };
    let (said, lines): (Vec<&str>, Vec<&str>) = (said.split('\n').collect(), found.split('\n').collect());
    if same_lines(&said, &lines) {
        return wanted;
    }
    failures.push(format!("=== {head}\n{}", difference(&said, &lines)));
    (found != usual).then(|| match head {
        "exit" => Section { head: format!("exit {found}"), body: String::new() },
        _ => Section { head: head.to_owned(), body: found.to_owned() },
    })
}

/// Whether the lines are those wanted; `...` stands for any number of lines.
fn same_lines(wanted: &[&str], found: &[&str]) -> bool {
    match wanted {
        [] => found.is_empty(),
        ["...", rest @ ..] => (0..=found.len()).any(|skipped| same_lines(rest, &found[skipped..])),
        [line, rest @ ..] => found
            .split_first()
            .is_some_and(|(first, others)| same_line(line, first) && same_lines(rest, others)),
    }
}

/// Equal, or equal but for the last digits of numbers with a decimal point.
fn same_line(wanted: &str, found: &str) -> bool {
    let near = |(wanted, found): (&str, &str)| {
        let numbers =
            wanted.parse::<f64>().ok().zip(found.parse::<f64>().ok()).filter(|_| wanted.contains('.'));
        wanted == found || numbers.is_some_and(|(wanted, found)| (wanted - found).abs() <= 0.002)
    };
    let words = |line| str::split(line, [' ', ',']);
    words(wanted).count() == words(found).count() && words(wanted).zip(words(found)).all(near)
}

/// Both texts from the first line that differs to the last.
fn difference(wanted: &[&str], found: &[&str]) -> String {
    let same = |(wanted, found): &(&&str, &&str)| same_line(wanted, found);
    let start = wanted.iter().zip(found).take_while(same).count();
    let (wanted, found) = (&wanted[start..], &found[start..]);
    let end = wanted.iter().rev().zip(found.iter().rev()).take_while(same).count();
    let marked = |mark: char, lines: &[&str]| {
        lines.iter().map(|line| format!("  {mark} {line}\n")).collect::<String>()
    };
    format!(
        "  line {}\n{}{}",
        start + 1,
        marked('-', &wanted[..wanted.len() - end]),
        marked('+', &found[..found.len() - end])
    )
}
