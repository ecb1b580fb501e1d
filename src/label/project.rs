//! A project's file: its rows with their turns, and every answer that was given, also those taken back.
//!
//! An SQLite database, so that an answer is on the disk before anybody is told that it is kept: each is a
//! transaction of its own, synced (`synchronous = FULL`) to a log beside the file (`journal_mode = WAL`).
//! Several programs may write to one project: what each reads is asked of the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Serialize};

use super::order::Placed;
use crate::error::{Error, FileError, LabelError, Result};
use crate::text::data::LABEL;

/// What marks a database as one of ours: "clzl".
const APPLICATION: i64 = 0x636c_7a6c;

/// The version of its tables.
const VERSION: i64 = 2;

/// So long another program that writes is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A labeller's name has so many letters at most, and a note so many.
const LONGEST_NAME: usize = 60;
const LONGEST_NOTE: usize = 10_000;

/// The columns that are written beside those of the rows and that of the labels.
pub(super) const OWN_COLUMNS: [&str; 3] = ["labeller", "note", "held_out"];

const TABLES: &str = "
CREATE TABLE project (about TEXT NOT NULL);
CREATE TABLE rows (
    place INTEGER PRIMARY KEY,
    record INTEGER NOT NULL,
    fields TEXT NOT NULL,
    chosen_by TEXT NOT NULL,
    score REAL,
    held_out INTEGER NOT NULL,
    turn INTEGER NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    place INTEGER NOT NULL REFERENCES rows,
    labeller TEXT NOT NULL,
    label TEXT,
    note TEXT NOT NULL,
    given INTEGER NOT NULL,
    withdrawn INTEGER
);
CREATE UNIQUE INDEX standing ON answers (labeller, place) WHERE withdrawn IS NULL;
CREATE INDEX of_place ON answers (place, labeller, id);
CREATE INDEX of_labeller ON answers (labeller, id) WHERE withdrawn IS NULL;
";

/// The tables that lessons add to a project.
const LESSONS: &str = "
CREATE INDEX of_turn ON rows (turn);
CREATE TABLE lessons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    labels INTEGER NOT NULL,
    folder TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER,
    trouble TEXT
);
CREATE TABLE tested (
    lesson INTEGER NOT NULL REFERENCES lessons,
    place INTEGER NOT NULL REFERENCES rows,
    predicted TEXT NOT NULL,
    PRIMARY KEY (lesson, place)
) WITHOUT ROWID;
CREATE TABLE doubts (
    place INTEGER PRIMARY KEY REFERENCES rows,
    label TEXT NOT NULL,
    likelier TEXT NOT NULL,
    share REAL NOT NULL,
    looked_at INTEGER NOT NULL
);
";

/// What a project of the first version lacks: rows had their places for turns, and nothing was learned.
const TURNS: &str = "
ALTER TABLE rows ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
UPDATE rows SET turn = place;
";

/// The next row that a labeller has not answered.
const NEXT: &str = "
SELECT place, record, fields, held_out FROM rows WHERE NOT EXISTS (
    SELECT 1 FROM answers
    WHERE answers.place = rows.place AND labeller = ?1 AND withdrawn IS NULL
) ORDER BY turn LIMIT 1";

/// What a project is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The rows' file, as it was named.
    pub data: String,
    /// The SHA-256 of its bytes, hexadecimal.
    pub data_hash: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Which of them is for labels, if one is.
    pub label_column: Option<usize>,
    /// The labels.
    pub labels: Vec<String>,
    /// What the first rows were chosen by.
    pub chosen_by: String,
    /// The share of the rows that is kept to test on.
    pub held_out_share: f64,
}

/// A row as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownRow {
    /// Its place in the order, from 0.
    pub place: u32,
    /// Its number in the rows' file, from 1.
    pub record: u64,
    /// Its fields, in the order of [`About::columns`].
    pub fields: Vec<String>,
    /// Whether it is kept to test on.
    pub held_out: bool,
    /// What the labeller said of it before, taken back or not.
    pub before: Option<Kept>,
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Who gave it.
    pub labeller: String,
    /// The label; none where the row was skipped.
    pub label: Option<String>,
    /// What was noted; nothing is empty.
    pub note: String,
    /// When, in seconds since 1970.
    pub given: u64,
}

/// An answer as it comes.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The row's place.
    pub place: u32,
    /// Who gives it.
    pub labeller: String,
    /// The label; none to skip the row.
    pub label: Option<String>,
    /// What is noted.
    pub note: String,
    /// Whether it takes the place of an answer that stands there.
    pub instead: bool,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk.
    Kept,
    /// The labeller has answered this row already, elsewhere: this answer stands.
    Answered(Kept),
}

/// How far a labeller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// All rows.
    pub rows: u64,
    /// Those with a label.
    pub labelled: u64,
    /// Those that were skipped.
    pub skipped: u64,
    /// Of those with a label, the ones that are kept to test on.
    pub held_out: u64,
    /// How many rows have each label, in the labels' order.
    pub of_labels: Vec<u64>,
}

/// What becomes of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChange {
    /// The label.
    pub from: String,
    /// What takes its place; none takes back what was said with it.
    pub to: Option<String>,
}

/// What became of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangedLabels {
    /// Those that have another label now.
    pub renamed: u64,
    /// Those that were taken back: their rows are shown again.
    pub taken_back: u64,
}

/// A project that is open.
pub struct Project {
    path: PathBuf,
    connection: Connection,
    about: About,
}

impl Project {
    /// Whether a file has a project, or anything else: one that was being made when the program ended has
    /// nothing.
    pub fn is_there(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|file| !file.is_file() || (file.len() > 0 && !is_unmade(path)))
    }

    /// Makes a project, all or nothing, and opens it. Where another program made one meanwhile, that one is
    /// opened.
    pub fn create(path: &Path, about: &About, rows: &[Placed]) -> Result<Project> {
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        let made = make(&mut connection, about, rows);
        drop(connection);
        made.map_err(|error| of_database(path, &error))?;
        Project::open(path)
    }

    /// Opens a project that is there.
    pub fn open(path: &Path) -> Result<Project> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(LabelError::NoProject { path: path.to_owned() }.into());
            }
            Ok(metadata) if metadata.is_dir() => {
                return Err(FileError::FolderForFile { path: path.to_owned() }.into());
            }
            Err(error) => return Err(Error::reading(path, &error)),
            Ok(_) => {}
        }
        let wrap = |error: rusqlite::Error| of_database(path, &error);
        let mut connection = open(path, OpenFlags::empty())?;
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if number("application_id").map_err(wrap)? != APPLICATION {
            return Err(LabelError::NotAProject { path: path.to_owned() }.into());
        }
        let found = number("user_version").map_err(wrap)?;
        if !(1..=VERSION).contains(&found) {
            let path = path.to_owned();
            return Err(LabelError::OtherVersion { path, found, known: VERSION }.into());
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(wrap)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(wrap)?;
        if found < VERSION {
            renew(&mut connection).map_err(wrap)?;
        }
        let about: String =
            connection.query_row("SELECT about FROM project", [], |row| row.get(0)).map_err(wrap)?;
        let about = serde_json::from_str(&about)
            .map_err(|_| Error::new(LabelError::NotAProject { path: path.to_owned() }))?;
        Ok(Project { path: path.to_owned(), connection, about })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is about.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Refuses rows that the project was not made of.
    pub fn check_rows(&self, data: &str, hash: &str) -> Result<()> {
        if self.about.data_hash == hash {
            return Ok(());
        }
        Err(LabelError::OtherRows {
            project: self.path.clone(),
            data: data.to_owned(),
            made_of: self.about.data.clone(),
            made_hash: self.about.data_hash.clone(),
            found_hash: hash.to_owned(),
        }
        .into())
    }

    /// Refuses labels that are not the project's; their order makes no difference.
    pub fn check_labels(&self, given: &[String]) -> Result<()> {
        let sorted = |labels: &[String]| {
            let mut labels = labels.to_vec();
            labels.sort_unstable();
            labels
        };
        if sorted(&self.about.labels) == sorted(given) {
            return Ok(());
        }
        let (had, given) = (self.about.labels.clone(), given.to_vec());
        Err(LabelError::OtherLabels { project: self.path.clone(), had, given }.into())
    }

    /// Gives the project other labels. What was said with a label that goes is said with the one that takes its
    /// place, or taken back where none does. All or nothing.
    ///
    /// # Errors
    /// A label that goes, stands somewhere, and has nothing in its place; a change of or to what is no label.
    pub fn change_labels(&mut self, labels: &[String], changes: &[LabelChange]) -> Result<ChangedLabels> {
        for (index, LabelChange { from, to }) in changes.iter().enumerate() {
            if changes[..index].iter().any(|other| other.from == *from) {
                return Err(LabelError::ChangedTwice { label: from.clone() }.into());
            }
            let unknown = |label: &String, labels: &[String]| {
                let (label, labels) = (label.clone(), labels.to_vec());
                Error::new(LabelError::UnknownLabel { label, labels })
            };
            if !self.about.labels.contains(from) {
                return Err(unknown(from, &self.about.labels));
            }
            if let Some(to) = to.as_ref().filter(|to| !labels.contains(to)) {
                return Err(unknown(to, labels));
            }
        }
        let goes =
            |label: &&String| !labels.contains(label) && !changes.iter().any(|change| change.from == **label);
        for label in self.about.labels.iter().filter(goes) {
            let asked = "SELECT count(*) FROM answers WHERE label = ?1 AND withdrawn IS NULL";
            let stands = self.connection.query_row(asked, [label], |row| row.get::<_, u64>(0));
            let answers = stands.map_err(|error| self.failed(&error))?;
            if answers > 0 {
                return Err(LabelError::LabelStands { label: label.clone(), answers }.into());
            }
        }
        let about = About { labels: labels.to_vec(), ..self.about.clone() };
        let mut changed = ChangedLabels::default();
        self.write(|writing| {
            // A swap of two labels is none of one after the other: all is read before anything is written.
            let mut moved = Vec::new();
            for LabelChange { from, to } in changes {
                let asked = "SELECT id FROM answers WHERE label = ?1 AND withdrawn IS NULL ORDER BY id";
                let mut asking = writing.prepare(asked)?;
                for id in asking.query_map([from], |row| row.get::<_, i64>(0))? {
                    moved.push((id?, to));
                }
            }
            moved.sort_unstable();
            for (id, to) in moved {
                withdraw(writing, "id = ?2", params![now(), id])?;
                match to {
                    Some(to) => {
                        let again = "INSERT INTO answers (place, labeller, label, note, given)
                                     SELECT place, labeller, ?2, note, given FROM answers WHERE id = ?1";
                        writing.execute(again, params![id, to])?;
                        changed.renamed += 1;
                    }
                    None => changed.taken_back += 1,
                }
            }
            // What lessons said is not asked anew; what is in doubt is.
            let mut said = String::from("UPDATE tested SET predicted = CASE predicted");
            let mut names: Vec<&str> = Vec::new();
            for LabelChange { from, to } in changes {
                said += " WHEN ? THEN ?";
                names.extend([from.as_str(), to.as_deref().unwrap_or(from)]);
            }
            if !names.is_empty() {
                writing.execute(&(said + " ELSE predicted END"), rusqlite::params_from_iter(names))?;
            }
            writing.execute("DELETE FROM doubts WHERE looked_at = 0", [])?;
            // What is being learned is of other labels.
            let stopped = "UPDATE lessons SET ended = ?1, trouble = ?2 WHERE ended IS NULL";
            writing.execute(stopped, params![now(), "the labels were changed meanwhile"])?;
            let json = serde_json::to_string(&about);
            let json = json.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            writing.execute("UPDATE project SET about = ?1", [json])?;
            Ok(())
        })?;
        self.about = about;
        Ok(changed)
    }

    /// How many rows it has.
    pub fn rows(&self) -> Result<u64> {
        // Places go from 0 on, and to count all rows would read them all.
        let asked = "SELECT coalesce(max(place) + 1, 0) FROM rows";
        self.connection.query_row(asked, [], |row| row.get(0)).map_err(|error| self.failed(&error))
    }

    /// The first row that a labeller has not answered.
    pub fn next(&self, labeller: &str) -> Result<Option<ShownRow>> {
        let row = self.connection.query_row(NEXT, [labeller], shown).optional();
        row.map_err(|error| self.failed(&error))?.map(|row| self.with_before(row, labeller)).transpose()
    }

    /// A row at its place, without what was said of it.
    pub fn row(&self, place: u32) -> Result<ShownRow> {
        let asked = "SELECT place, record, fields, held_out FROM rows WHERE place = ?1";
        let row = self.connection.query_row(asked, [place], shown).optional();
        Ok(row.map_err(|error| self.failed(&error))?.ok_or(LabelError::UnknownPlace { place })?)
    }

    /// A row at its place, with what a labeller said of it.
    pub fn row_for(&self, place: u32, labeller: &str) -> Result<ShownRow> {
        self.with_before(self.row(place)?, labeller)
    }

    fn with_before(&self, row: ShownRow, labeller: &str) -> Result<ShownRow> {
        let asked = "SELECT place, labeller, label, note, given FROM answers
                     WHERE place = ?1 AND labeller = ?2 ORDER BY id DESC LIMIT 1";
        let before = self.connection.query_row(asked, params![row.place, labeller], kept).optional();
        let before = before.map_err(|error| self.failed(&error))?.map(|(_, kept)| kept);
        Ok(ShownRow { before, ..row })
    }

    /// The answer of a labeller that stands, if there is one.
    pub fn standing(&self, place: u32, labeller: &str) -> Result<Option<Kept>> {
        let asked = "SELECT place, labeller, label, note, given FROM answers
                     WHERE place = ?1 AND labeller = ?2 AND withdrawn IS NULL";
        let answer = self.connection.query_row(asked, params![place, labeller], kept).optional();
        Ok(answer.map_err(|error| self.failed(&error))?.map(|(_, kept)| kept))
    }

    /// Keeps an answer: when this returns, it is on the disk. A row that the labeller has answered already is
    /// answered anew only where that is said.
    pub fn answer(&mut self, given: &Given) -> Result<Outcome> {
        check_labeller(&given.labeller)?;
        let letters = given.note.chars().count();
        if letters > LONGEST_NOTE {
            return Err(LabelError::LongNote { found: letters, most: LONGEST_NOTE }.into());
        }
        if let Some(label) = given.label.as_ref().filter(|label| !self.about.labels.contains(label)) {
            let (label, labels) = (label.clone(), self.about.labels.clone());
            return Err(LabelError::UnknownLabel { label, labels }.into());
        }
        self.row(given.place)?;
        let mut outcome = Outcome::Kept;
        self.write(|writing| {
            let asked = "SELECT place, labeller, label, note, given FROM answers
                         WHERE place = ?1 AND labeller = ?2 AND withdrawn IS NULL";
            let stands = writing.query_row(asked, params![given.place, given.labeller], kept).optional()?;
            match stands {
                Some((_, stands)) if !given.instead => {
                    outcome = Outcome::Answered(stands);
                    return Ok(());
                }
                Some(_) => withdraw(
                    writing,
                    "place = ?2 AND labeller = ?3",
                    params![now(), given.place, given.labeller],
                )?,
                None => 0,
            };
            let answer =
                "INSERT INTO answers (place, labeller, label, note, given) VALUES (?1, ?2, ?3, ?4, ?5)";
            let Given { place, labeller, label, note, .. } = given;
            writing.execute(answer, params![place, labeller, label, note, now()])?;
            // Whoever gives a row a label anew has looked at it again.
            if label.is_some() {
                writing.execute("UPDATE doubts SET looked_at = 1 WHERE place = ?1", [place])?;
            }
            Ok(())
        })?;
        Ok(outcome)
    }

    /// Takes a labeller's last answer back, and gives its row; none where there is none to take back.
    pub fn undo(&mut self, labeller: &str) -> Result<Option<ShownRow>> {
        let mut place = None;
        self.write(|writing| {
            let last = "SELECT id, place FROM answers
                        WHERE labeller = ?1 AND withdrawn IS NULL ORDER BY id DESC LIMIT 1";
            let found = writing.query_row(last, [labeller], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
            if let Some((id, at)) = found.optional()? {
                withdraw(writing, "id = ?2", params![now(), id])?;
                place = Some(at);
            }
            Ok(())
        })?;
        place.map(|place| self.row_for(place, labeller)).transpose()
    }

    /// Puts the rows that a labeller skipped back in the order, and gives how many there were.
    pub fn again(&mut self, labeller: &str) -> Result<usize> {
        let mut rows = 0;
        self.write(|writing| {
            rows = withdraw(writing, "labeller = ?2 AND label IS NULL", params![now(), labeller])?;
            Ok(())
        })?;
        Ok(rows)
    }

    /// How far a labeller is.
    pub fn progress(&self, labeller: &str) -> Result<Progress> {
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let rows = self.rows()?;
        let asked = "SELECT label, count(*), sum(held_out) FROM answers JOIN rows USING (place)
                     WHERE labeller = ?1 AND withdrawn IS NULL GROUP BY label";
        let mut asking = self.connection.prepare(asked).map_err(wrap)?;
        let counts = asking
            .query_map([labeller], |row| {
                Ok((row.get::<_, Option<String>>(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?))
            })
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(wrap)?;
        let of_labels: Vec<u64> = self
            .about
            .labels
            .iter()
            .map(|label| {
                let of_label = counts.iter().filter(|(found, ..)| found.as_ref() == Some(label));
                of_label.map(|(_, count, _)| count).sum()
            })
            .collect();
        let of = |is: fn(&Option<String>) -> bool| counts.iter().filter(move |(label, ..)| is(label));
        Ok(Progress {
            rows,
            labelled: of_labels.iter().sum(),
            skipped: of(Option::is_none).map(|(_, count, _)| count).sum(),
            held_out: of(Option::is_some).map(|(_, _, held_out)| held_out).sum(),
            of_labels,
        })
    }

    /// The names of all who have answered a row.
    pub fn labellers(&self) -> Result<Vec<String>> {
        let asked = "SELECT DISTINCT labeller FROM answers WHERE withdrawn IS NULL ORDER BY labeller";
        let mut asking = self.connection.prepare(asked).map_err(|error| self.failed(&error))?;
        let names = asking.query_map([], |row| row.get(0)).and_then(Iterator::collect);
        names.map_err(|error| self.failed(&error))
    }

    /// All answers that stand, by their rows' places; those of a row in the order in which they were given.
    pub fn answers(&self) -> Result<BTreeMap<u32, Vec<Kept>>> {
        let asked = "SELECT place, labeller, label, note, given FROM answers
                     WHERE withdrawn IS NULL ORDER BY id";
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking = self.connection.prepare(asked).map_err(wrap)?;
        let mut answers: BTreeMap<u32, Vec<Kept>> = BTreeMap::new();
        for answer in asking.query_map([], kept).map_err(wrap)? {
            let (place, kept) = answer.map_err(wrap)?;
            answers.entry(place).or_default().push(kept);
        }
        Ok(answers)
    }

    /// Writes in one transaction.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let done = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|writing| write(&writing).and_then(|()| writing.commit()));
        done.map_err(|error| of_database(&self.path, &error))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> Error {
        of_database(&self.path, error)
    }
}

/// Refuses what is no name for a labeller.
pub fn check_labeller(name: &str) -> Result<()> {
    let letters = name.chars().count();
    if name.trim() == name && (1..=LONGEST_NAME).contains(&letters) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(LabelError::Labeller { name: name.to_owned(), most: LONGEST_NAME }.into())
}

fn open(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| of_database(path, &error))?;
    connection.busy_timeout(PATIENCE).map_err(|error| of_database(path, &error))?;
    Ok(connection)
}

/// Whether a program ended, or had no room, while it made a project here: SQLite takes back what was begun, and
/// leaves a database without tables.
fn is_unmade(path: &Path) -> bool {
    let tables = |connection: Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, u64>(0)).ok()
    };
    open(path, OpenFlags::empty()).ok().and_then(tables) == Some(0)
}

/// Fills an empty database.
fn make(connection: &mut Connection, about: &About, rows: &[Placed]) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let writing = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let tables: i64 = writing.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if tables > 0 {
        return Ok(());
    }
    writing.execute_batch(TABLES)?;
    writing.execute_batch(LESSONS)?;
    writing.pragma_update(None, "application_id", APPLICATION)?;
    writing.pragma_update(None, "user_version", VERSION)?;
    let json = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let about = serde_json::to_string(about).map_err(json)?;
    writing.execute("INSERT INTO project VALUES (?1)", [about])?;
    let mut inserting = writing.prepare("INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?1)")?;
    for (place, row) in (0_u32..).zip(rows) {
        let fields = serde_json::to_string(&row.example.fields).map_err(json)?;
        let (record, by) = (row.example.record, row.by.name());
        inserting.execute(params![place, record, fields, by, row.score, row.held_out])?;
    }
    drop(inserting);
    writing.commit()
}

/// Brings a project of an older version up to this one.
fn renew(connection: &mut Connection) -> rusqlite::Result<()> {
    let writing = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let found: i64 = writing.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found < VERSION {
        writing.execute_batch(TURNS)?;
        writing.execute_batch(LESSONS)?;
        writing.pragma_update(None, "user_version", VERSION)?;
    }
    writing.commit()
}

/// Takes back the answers that stand and are meant; the first parameter is the time.
fn withdraw(
    writing: &Transaction<'_>,
    which: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<usize> {
    let taking = format!("UPDATE answers SET withdrawn = ?1 WHERE withdrawn IS NULL AND {which}");
    writing.execute(&taking, parameters)
}

/// `place, record, fields, held_out`.
pub(super) fn shown(row: &Row<'_>) -> rusqlite::Result<ShownRow> {
    let fields: String = row.get(2)?;
    let of_json = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
    };
    let fields = serde_json::from_str(&fields).map_err(of_json)?;
    Ok(ShownRow { place: row.get(0)?, record: row.get(1)?, fields, held_out: row.get(3)?, before: None })
}

/// `place, labeller, label, note, given`.
fn kept(row: &Row<'_>) -> rusqlite::Result<(u32, Kept)> {
    let kept = Kept { labeller: row.get(1)?, label: row.get(2)?, note: row.get(3)?, given: row.get(4)? };
    Ok((row.get(0)?, kept))
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// What SQLite says, as a person would.
fn of_database(path: &Path, error: &rusqlite::Error) -> Error {
    let path = path.to_owned();
    let reason = match error {
        rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::NotADatabase => return LabelError::NotAProject { path }.into(),
            ErrorCode::DiskFull => "no space is left on the disk".to_owned(),
            ErrorCode::DatabaseBusy => "another program is writing to it for too long".to_owned(),
            ErrorCode::ReadOnly => "it may not be written to".to_owned(),
            ErrorCode::CannotOpen => "it, or its log beside it, cannot be opened".to_owned(),
            ErrorCode::SystemIoFailure => "the disk refuses it: it is full, or damaged".to_owned(),
            ErrorCode::DatabaseCorrupt => "it is damaged".to_owned(),
            _ => message.clone().unwrap_or_else(|| failure.to_string()),
        },
        other => other.to_string(),
    };
    LabelError::Database { path, reason }.into()
}

/// Refuses columns that are written beside the labels.
pub fn check_columns(data: &str, columns: &[String], label_column: Option<usize>) -> Result<()> {
    let label = label_column.is_none().then_some(LABEL);
    let taken = |column: &&String| OWN_COLUMNS.iter().copied().chain(label).any(|name| name == *column);
    match columns.iter().find(taken) {
        Some(column) => Err(LabelError::ColumnTaken { data: data.to_owned(), column: column.clone() }.into()),
        None => Ok(()),
    }
}
