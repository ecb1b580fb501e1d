//! Files whose columns have types: their values against what pyarrow reads, and what damage does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloze::text::data::{Columns, Example, Format, Next, Reading, Rows, Shard};
use cloze::text::kept::Kept;
use cloze::text::table::{Cell, Column, Destination, Holds, TableWriter};

use crate::support::TINY;

const FILES: &str = "tests/fixtures/typed";

fn file(name: &str) -> PathBuf {
    Path::new(FILES).join(name)
}

fn open(name: &str) -> Rows {
    Reading::default().open(&file(name)).unwrap()
}

fn all(rows: Rows) -> Vec<Example> {
    rows.map(Result::unwrap).collect()
}

fn column(columns: &Columns, rows: &[Example], name: &str) -> Vec<String> {
    let place = columns.names().iter().position(|column| column == name).unwrap();
    rows.iter().map(|row| row.fields[place].clone()).collect()
}

/// What pyarrow and openpyxl read, as text.
fn values(name: &str) -> BTreeMap<String, Vec<String>> {
    let values: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_slice(&fs::read(file("values.json")).unwrap()).unwrap();
    values[name].clone()
}

fn assert_as_python_reads(name: &str, values: &BTreeMap<String, Vec<String>>) {
    let rows = open(name);
    let columns = rows.columns().clone();
    let rows = all(rows);
    assert_eq!(columns.names().len(), values.len(), "{name}: {:?}", columns.names());
    for (column_name, wanted) in values {
        assert_eq!(&column(&columns, &rows, column_name), wanted, "{name}: {column_name}");
    }
}

#[test]
fn every_type_of_parquet_is_the_text_that_python_says() {
    assert_as_python_reads("typed.parquet", &values("typed"));
}

#[test]
fn every_type_of_arrow_is_the_text_that_python_says() {
    assert_as_python_reads("typed.arrow", &values("typed"));
}

#[test]
fn cells_of_excel_are_the_text_that_python_says() {
    assert_as_python_reads("rows.xlsx", &values("rows.xlsx"));
    let lines: Vec<u64> = all(open("rows.xlsx")).iter().map(|row| row.line).collect();
    // A row's line is its number in the sheet, and row 4 is empty.
    assert_eq!(lines, [2, 3, 5]);
}

#[test]
fn arrow_streams_give_the_rows_of_parquet_packed_or_not() {
    let plain = all(open("none.parquet"));
    for name in ["plain.arrows", "lz4.arrows", "zstd.arrows", "rows.feather"] {
        assert_eq!(all(open(name)), plain, "{name}");
    }
    assert!(all(open("no-rows.feather")).is_empty());
}

/// So many rows each batch of a stream has.
fn batches(stream: Vec<u8>) -> Vec<usize> {
    let rows = Rows::read(Box::new(Cursor::new(stream)), "a stream", Format::Arrow, None).unwrap();
    let (mut rows, mut batches, mut batch) = (rows.in_background(), Vec::new(), 0);
    loop {
        match rows.next_within(None) {
            Next::Row(row) => batch += row.map(|_| 1).unwrap(),
            Next::EndOfBatch => batches.push(std::mem::take(&mut batch)),
            Next::Later | Next::End => return batches,
        }
    }
}

#[test]
fn each_batch_of_a_stream_is_answered_by_one() {
    let header = [Column::new("text", Holds::Text), Column::new("id", Holds::Whole)];
    let to = Destination { output: Vec::new(), name: "standard output".into(), format: Format::Arrow };
    let mut table = TableWriter::create(to, &header).unwrap();
    table.batches_as_told().unwrap();
    // More than a chunk has, and none.
    let wanted = [2, 0, 5000, 1, 0];
    for rows in wanted {
        for row in 0..rows {
            table.write(&[Cell::Text(format!("film {row}")), Cell::Number(row.to_string())]).unwrap();
        }
        table.flush().unwrap();
    }
    let stream = table.finish().unwrap();
    assert_eq!(batches(stream.clone()), wanted);
    let usual = Path::new("tests/cases/usual");
    let mut cloze = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args([
            "score",
            "--quiet",
            "--model",
            TINY,
            "--data",
            "-",
            "--format",
            "arrow",
            "--out-format",
            "arrow",
        ])
        .args(["--keep-columns", "--template"])
        .arg(usual.join("t.json"))
        .arg("--verbalizer")
        .arg(usual.join("v.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = cloze.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(&stream).unwrap());
    let output = cloze.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    assert_eq!(batches(output.stdout), wanted);
}

/// The texts and numbers of all shards, which are no row twice.
fn sharded(path: &Path, of: u64, keep: impl Fn(&Example) -> String) -> Vec<(u64, String)> {
    let shard = |number: u64| format!("{number}/{of}").parse::<Shard>().unwrap();
    let rows = (1..=of).flat_map(|number| Reading::default().open_shard(path, shard(number)).unwrap());
    let mut rows: Vec<(u64, String)> = rows.map(Result::unwrap).map(|row| (row.record, keep(&row))).collect();
    rows.sort();
    rows
}

#[test]
fn shards_have_each_row_once() {
    let text = |row: &Example| row.fields.join("|");
    let whole = |path: &Path| -> Vec<(u64, String)> {
        let rows = Reading::default().open(path).unwrap().map(Result::unwrap);
        rows.map(|row| (row.record, text(&row))).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let lines = |from: u64| (from..from + 7).map(|row| format!("{row}\n")).collect::<String>();
    for (name, from) in [("b.csv", 7), ("a.csv", 0), ("c.csv", 14)] {
        fs::write(folder.path().join(name), format!("text\n{}", lines(from))).unwrap();
    }
    for name in ["x.parquet", "y.parquet"] {
        fs::create_dir_all(folder.path().join("p")).unwrap();
        fs::copy(file("groups.parquet"), folder.path().join("p").join(name)).unwrap();
    }
    let sets = [file("groups.parquet"), file("typed.parquet"), file("plain.arrows"), folder.path().join("p")];
    for path in sets {
        for of in [1, 2, 3, 5, 8, 40] {
            assert_eq!(sharded(&path, of, text), whole(&path), "{} {of}", path.display());
        }
    }
    // Text files by rows, or whole ones: then each shard counts its own.
    let all: Vec<String> = whole(folder.path()).into_iter().map(|(_, text)| text).collect();
    for of in [1, 2, 3, 4, 22] {
        let mut texts: Vec<u64> =
            sharded(folder.path(), of, text).iter().map(|(_, text)| text.parse().unwrap()).collect();
        texts.sort_unstable();
        assert_eq!(texts, (0..21).collect::<Vec<u64>>(), "{of}, {all:?}");
    }
}

/// A zip archive with one part, which says that it is small.
fn lying_zip(name: &str, packed: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packed.len()).unwrap();
    // Version, flags, deflate, time, date; a checksum; the packed and the unpacked size; the name's length and that of more.
    let mut about = [20_u16, 0, 8, 0, 0x21].map(u16::to_le_bytes).concat();
    about.extend([0, length, 100].map(u32::to_le_bytes).concat());
    about.extend([u16::try_from(name.len()).unwrap(), 0].map(u16::to_le_bytes).concat());
    let mut zip = [b"PK\x03\x04", &about[..], name.as_bytes(), packed].concat();
    let start = u32::try_from(zip.len()).unwrap();
    zip.extend([b"PK\x01\x02\x14\x00", &about[..], &[0; 14][..], name.as_bytes()].concat());
    let directory = u32::try_from(zip.len()).unwrap() - start;
    zip.extend([&b"PK\x05\x06"[..], &[0, 0, 0, 0, 1, 0, 1, 0]].concat());
    zip.extend([directory, start].map(u32::to_le_bytes).concat());
    zip.extend([0, 0]);
    zip
}

#[test]
fn shared_texts_of_excel_are_bounded_whatever_the_file_says() {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1 << 20];
    (0..513).for_each(|_| packed.write_all(&block).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.xlsx");
    fs::write(&path, lying_zip("xl/sharedStrings.xml", &packed.finish().unwrap())).unwrap();
    let error = Reading::default().open(&path).err().unwrap();
    assert!(error.to_string().contains("the texts that its cells share have more than 512 MiB"), "{error}");
}

#[test]
fn dictionaries_that_change_on_the_way_are_followed() {
    let labels: Vec<_> = all(open("changing.arrows")).into_iter().map(|row| row.label).collect();
    let wanted = ["up", "down", "down", "down", "aside"].map(|label| Some(label.to_owned()));
    assert_eq!(labels, [&wanted[..], &[None]].concat());
}

/// Writes all rows of a file with all of their columns, behind a number and a share.
fn rewritten(from: &str, to: &Path) {
    let reading = Reading { keep_types: true, ..Reading::default() };
    let rows = reading.open(&file(from)).unwrap();
    let mut header = vec![Column::new("share", Holds::Share), Column::new("list", Holds::List)];
    let to = Destination::create(to).unwrap();
    let kept = Kept::behind(&mut header, rows.columns(), to.format).unwrap();
    let mut table = TableWriter::create(to, &header).unwrap();
    for row in rows.map(Result::unwrap) {
        let cells = vec![Cell::Share(1.0 / 3.0), Cell::List(vec!["a".to_owned(), "b".to_owned()])];
        table.write(&[cells, kept.cells(&row)].concat()).unwrap();
        table.flush().unwrap();
    }
    table.finish().unwrap().commit().unwrap();
}

#[test]
fn kept_columns_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = values("typed");
    for from in ["typed.parquet", "typed.arrow"] {
        for name in ["o.parquet", "o.arrow", "o.feather", "o.arrows"] {
            let path = folder.path().join(name);
            rewritten(from, &path);
            let reading = Reading { lists: Some("|".to_owned()), ..Reading::default() };
            let rows = reading.open(&path).unwrap();
            let columns = rows.columns().clone();
            let rows = all(rows);
            for (column_name, wanted) in &wanted {
                assert_eq!(&column(&columns, &rows, column_name), wanted, "{from} as {name}: {column_name}");
            }
            assert_eq!(column(&columns, &rows, "tags"), ["a|b", "", "", "c"]);
            assert_eq!(column(&columns, &rows, "list"), ["a|b"; 4]);
            assert_eq!(column(&columns, &rows, "share"), ["0.33333334"; 4]);
            for nested in ["vector", "record", "bytes"] {
                assert!(columns.no_text(nested).is_some(), "{from} as {name}: {nested}");
            }
        }
    }
}

#[test]
fn labels_of_typed_columns_are_labels_and_null_is_none() {
    let labels: Vec<Option<String>> = all(open("typed.parquet")).into_iter().map(|row| row.label).collect();
    assert_eq!(
        labels,
        ["up", "down", "", "up"].map(|label| Some(label.to_owned()).filter(|l| !l.is_empty()))
    );
}

#[test]
fn every_compression_of_parquet_gives_the_same_rows() {
    let plain = all(open("none.parquet"));
    assert_eq!(plain.len(), 4);
    for compression in ["snappy", "gzip", "lz4", "zstd"] {
        assert_eq!(all(open(&format!("{compression}.parquet"))), plain, "{compression}");
    }
}

#[test]
fn rows_over_many_groups_and_pages_come_in_their_order() {
    let rows = open("groups.parquet");
    let columns = rows.columns().clone();
    let rows = all(rows);
    let wanted: Vec<String> = (1..=100).map(|row| format!("row {row}")).collect();
    assert_eq!(column(&columns, &rows, "text"), wanted);
    assert!((1..).zip(&rows).all(|(record, row)| row.record == record));
}

#[test]
fn columns_that_are_not_wanted_are_empty_and_the_label_stays() {
    let rows = open("typed.parquet").only(&["text".to_owned()]);
    let columns = rows.columns().clone();
    let rows = all(rows);
    assert_eq!(column(&columns, &rows, "text")[0], "a good film");
    assert!(column(&columns, &rows, "i64").iter().all(String::is_empty));
    assert_eq!(rows[0].label.as_deref(), Some("up"));
}

#[test]
fn lists_of_texts_are_one_text_where_something_stands_between_them() {
    let reading = Reading { lists: Some("|".to_owned()), ..Reading::default() };
    let rows = reading.open(&file("typed.parquet")).unwrap();
    let columns = rows.columns().clone();
    assert_eq!(column(&columns, &all(rows), "tags"), ["a|b", "", "", "c"]);
    assert!(columns.no_text("vector").is_some() && columns.no_text("tags").is_none());
}

/// What comes of a file with these bytes: its rows, or the first error.
fn read(bytes: &[u8], name: &str) -> cloze::Result<Vec<Example>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    Reading::default().open(&path)?.collect()
}

/// No damage may end the program, whatever becomes of the rows; a file that is cut gives an error.
fn assert_damage_is_told(name: &str) {
    let whole = fs::read(file(name)).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 60 + 1) {
        assert!(read(&whole[..length], name).is_err(), "{name} cut at {length}");
    }
    let mut number = 1_u64;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            // Knuth's generator: the same damage each time.
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = (number >> 33) as usize % bytes.len();
            bytes[place] = (number >> 24) as u8;
        }
        drop(read(&bytes, name));
    }
}

#[test]
fn damaged_parquet_is_told_and_nothing_panics() {
    assert_damage_is_told("typed.parquet");
    assert_damage_is_told("groups.parquet");
    assert_damage_is_told("snappy.parquet");
}

#[test]
fn damaged_arrow_is_told_and_nothing_panics() {
    assert_damage_is_told("plain.arrows");
    assert_damage_is_told("lz4.arrows");
    assert_damage_is_told("zstd.arrows");
    assert_damage_is_told("changing.arrows");
}

#[test]
fn damaged_excel_is_told_and_nothing_panics() {
    assert_damage_is_told("rows.xlsx");
}
