//! What was learned of a project's labels, in its file: each lesson with its answers to the rows that are kept
//! to test on, labels that are in doubt, and whose turn is next.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Serialize;

use super::export::{Said, said};
use super::project::{Project, ShownRow, now, shown};
use crate::error::Result;
use crate::numbers::wilson;
use crate::study::compare::PairedDifference;

/// From so small a gain on, more labels hardly pay: two points.
const HARDLY: f64 = 0.02;

/// What was learned of so many labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lesson {
    /// Its number.
    pub id: i64,
    /// The rows that it learned from.
    pub labels: u64,
    /// Its folder, beside the project.
    #[serde(skip)]
    pub folder: String,
    /// Seconds that it took; none while it is under way.
    pub seconds: Option<u64>,
    /// What went wrong, if it did.
    pub trouble: Option<String>,
    /// Rows to test on that it answered and that have a label now.
    pub tested: u64,
    /// The share of them that it has right; none where there are none.
    pub accuracy: Option<f64>,
    /// The 95 % interval of that over other rows (Wilson 1927).
    pub interval_95: Option<[f64; 2]>,
}

/// A label that may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Doubt {
    /// The row's place.
    pub place: u32,
    /// Its label.
    pub label: String,
    /// The label that is likelier.
    pub likelier: String,
    /// How probable its own label is to a model that has not learned the row.
    pub share: f64,
}

/// What a lesson brought.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// What it says of the rows to test on: places and labels.
    pub tested: Vec<(u32, String)>,
    /// Labels that may be wrong.
    pub doubts: Vec<Doubt>,
    /// The rows to show next, the first first.
    pub next: Vec<u32>,
}

/// Whether more labels pay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// The labels of the earlier lesson and of the last.
    pub labels: [u64; 2],
    /// The last less the earlier, on the rows that both answered.
    pub difference: f64,
    /// Its 95 % interval.
    pub difference_95: [f64; 2],
    /// Those rows.
    pub rows: usize,
    /// What that says.
    pub says: Pays,
}

/// What a gain says of more labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pays {
    /// The last labels made the model better.
    Yes,
    /// If at all, then by less than two points.
    Hardly,
    /// There are too few rows to test on to say.
    Unknown,
}

impl Project {
    /// The rows that have a label that most of their labellers gave, by their places; those to test on, or the
    /// others.
    pub fn settled(&self, held_out: bool) -> Result<BTreeMap<u32, String>> {
        let asked = "SELECT place FROM rows WHERE held_out = ?1 AND EXISTS (
            SELECT 1 FROM answers WHERE answers.place = rows.place AND withdrawn IS NULL AND label IS NOT NULL)";
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking = self.connection().prepare(asked).map_err(wrap)?;
        let places = asking.query_map([held_out], |row| row.get(0)).map_err(wrap)?;
        let places: Vec<u32> = places.collect::<rusqlite::Result<_>>().map_err(wrap)?;
        let mut answers = self.answers()?;
        let label = |place: u32| match said(&answers.remove(&place)?) {
            Said::Label(label) => Some((place, label.to_owned())),
            Said::Skipped | Said::Disputed => None,
        };
        Ok(places.into_iter().filter_map(label).collect())
    }

    /// How many rows have a label and are not kept to test on.
    pub fn to_learn_from(&self) -> Result<u64> {
        let asked = "SELECT count(DISTINCT place) FROM answers JOIN rows USING (place)
                     WHERE withdrawn IS NULL AND label IS NOT NULL AND held_out = 0";
        self.connection().query_row(asked, [], |row| row.get(0)).map_err(|error| self.failed(&error))
    }

    /// The rows whose turn is next that nobody has answered and that are not kept to test on.
    pub fn unanswered(&self, most: usize) -> Result<Vec<ShownRow>> {
        let asked = "SELECT place, record, fields, held_out FROM rows WHERE held_out = 0 AND NOT EXISTS (
                         SELECT 1 FROM answers WHERE answers.place = rows.place AND withdrawn IS NULL
                     ) ORDER BY turn LIMIT ?1";
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking = self.connection().prepare(asked).map_err(wrap)?;
        asking.query_map([most], shown).and_then(Iterator::collect).map_err(wrap)
    }

    /// Notes that a lesson begins.
    pub fn begin_lesson(&mut self, labels: u64, folder: &str) -> Result<i64> {
        let mut id = 0;
        self.write(|writing| {
            let lesson = "INSERT INTO lessons (labels, folder, begun) VALUES (?1, ?2, ?3)";
            writing.execute(lesson, params![labels, folder, now()])?;
            id = writing.last_insert_rowid();
            Ok(())
        })?;
        Ok(id)
    }

    /// Notes what came of a lesson: what it brought, or what went wrong.
    pub fn end_lesson(&mut self, id: i64, outcome: Result<&Learned, &str>) -> Result<()> {
        self.write(|writing| {
            let trouble = outcome.err();
            writing.execute(
                "UPDATE lessons SET ended = ?2, trouble = ?3 WHERE id = ?1",
                params![id, now(), trouble],
            )?;
            let Ok(learned) = outcome else { return Ok(()) };
            let mut testing = writing.prepare("INSERT OR REPLACE INTO tested VALUES (?1, ?2, ?3)")?;
            for (place, predicted) in &learned.tested {
                testing.execute(params![id, place, predicted])?;
            }
            // A label that somebody has looked at again stays as it is.
            writing.execute("DELETE FROM doubts WHERE looked_at = 0", [])?;
            let mut doubting = writing.prepare("INSERT OR IGNORE INTO doubts VALUES (?1, ?2, ?3, ?4, 0)")?;
            for Doubt { place, label, likelier, share } in &learned.doubts {
                doubting.execute(params![place, label, likelier, share])?;
            }
            // They take the first turns of those that were looked at: rows to test on keep theirs between them.
            let mut turn = writing.prepare("SELECT turn FROM rows WHERE place = ?1")?;
            let turns = learned.next.iter().map(|place| turn.query_row([place], |row| row.get::<_, i64>(0)));
            let mut turns: Vec<i64> = turns.collect::<rusqlite::Result<_>>()?;
            turns.sort_unstable();
            let mut moving = writing.prepare("UPDATE rows SET turn = ?2 WHERE place = ?1")?;
            for (place, turn) in learned.next.iter().zip(turns) {
                moving.execute(params![place, turn])?;
            }
            Ok(())
        })
    }

    /// All lessons, the first first, measured by the labels as they are now; and whether more labels pay.
    pub fn results(&self) -> Result<(Vec<Lesson>, Option<Gain>)> {
        let (truths, tested) = (self.settled(true)?, self.tested()?);
        let asked = "SELECT id, labels, folder, begun, ended, trouble FROM lessons ORDER BY id";
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking = self.connection().prepare(asked).map_err(wrap)?;
        let lesson = |row: &rusqlite::Row<'_>| {
            let id: i64 = row.get(0)?;
            let said = tested.get(&id).into_iter().flatten();
            let right: Vec<bool> =
                said.filter_map(|(place, said)| Some(truths.get(place)? == said)).collect();
            let (rows, right) = (right.len() as u64, right.iter().filter(|right| **right).count() as u64);
            let (begun, ended): (u64, Option<u64>) = (row.get(3)?, row.get(4)?);
            Ok(Lesson {
                id,
                labels: row.get(1)?,
                folder: row.get(2)?,
                seconds: ended.map(|ended| ended.saturating_sub(begun)),
                trouble: row.get(5)?,
                tested: rows,
                accuracy: (rows > 0).then(|| right as f64 / rows as f64),
                interval_95: (rows > 0).then(|| wilson(right, rows)),
            })
        };
        let lessons: Vec<Lesson> = asking.query_map([], lesson).and_then(Iterator::collect).map_err(wrap)?;
        let gain = gain(&lessons, &truths, &tested);
        Ok((lessons, gain))
    }

    /// All lessons, the first first.
    pub fn lessons(&self) -> Result<Vec<Lesson>> {
        Ok(self.results()?.0)
    }

    /// What each lesson said of the rows to test on.
    fn tested(&self) -> Result<BTreeMap<i64, BTreeMap<u32, String>>> {
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking =
            self.connection().prepare("SELECT lesson, place, predicted FROM tested").map_err(wrap)?;
        let said = asking.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(wrap)?;
        let mut tested: BTreeMap<i64, BTreeMap<u32, String>> = BTreeMap::new();
        for said in said {
            let (lesson, place, predicted) = said.map_err(wrap)?;
            tested.entry(lesson).or_default().insert(place, predicted);
        }
        Ok(tested)
    }

    /// Labels that may be wrong and that nobody has looked at again, the most doubtful first.
    pub fn doubts(&self) -> Result<Vec<Doubt>> {
        let asked =
            "SELECT place, label, likelier, share FROM doubts WHERE looked_at = 0 ORDER BY share, place";
        let wrap = |error: rusqlite::Error| self.failed(&error);
        let mut asking = self.connection().prepare(asked).map_err(wrap)?;
        let doubt = |row: &rusqlite::Row<'_>| {
            Ok(Doubt { place: row.get(0)?, label: row.get(1)?, likelier: row.get(2)?, share: row.get(3)? })
        };
        asking.query_map([], doubt).and_then(Iterator::collect).map_err(wrap)
    }
}

/// Whether more labels pay: the last lesson that went well beside the one two before it, on the rows that both
/// answered. None before there are so many.
fn gain(
    lessons: &[Lesson],
    truths: &BTreeMap<u32, String>,
    tested: &BTreeMap<i64, BTreeMap<u32, String>>,
) -> Option<Gain> {
    let measured: Vec<&Lesson> = lessons.iter().filter(|lesson| lesson.accuracy.is_some()).collect();
    let [.., before, _, last] = measured[..] else { return None };
    let of_both = |place: &&u32| [before, last].iter().all(|of| tested[&of.id].contains_key(place));
    let both: Vec<&u32> = truths.keys().filter(of_both).collect();
    let right = |of: &Lesson| vec![both.iter().map(|place| tested[&of.id][place] == truths[place]).collect()];
    PairedDifference::of(&right(last), &right(before)).map(|found| Gain {
        labels: [before.labels, last.labels],
        difference: found.difference,
        difference_95: found.difference_95,
        rows: found.rows,
        says: match found.difference_95 {
            [low, _] if low > 0.0 => Pays::Yes,
            [_, high] if high < HARDLY => Pays::Hardly,
            _ => Pays::Unknown,
        },
    })
}
