//! Texts as tokens and sequences: every token once an epoch, sequences by their numbers alone, files as numpy
//! writes them (tests/fixtures/corpus/make.py), texts as people have them; and which tokens are masked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cloze::error::{CorpusError, FileError, Kind, Place, Result};
use cloze::learn::corpus::{Corpus, Source, TokenFile};
use cloze::learn::objective::{MaskedSequence, Masking};
use cloze::model::tokenizer::{SpecialIds, Tokenizer};
use cloze::text::data::{BadRows, Reading};
use tempfile::TempDir;

use crate::support::{DEFAULT, TINY};

fn tokenizer(model: &str) -> Tokenizer {
    Tokenizer::load(Path::new(model)).unwrap()
}

/// An array of ids, as numpy writes it.
fn npy(path: &Path, ids: impl IntoIterator<Item = u16>) {
    let ids: Vec<u16> = ids.into_iter().collect();
    let head = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({},), }}", ids.len());
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{head:<117}\n").bytes());
    bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

fn open(path: &Path, tokenizer: &Tokenizer) -> Result<Source> {
    Source::open(path, &Reading::default(), None, tokenizer, (path.parent().unwrap(), 0))
}

/// The first id of a text all of whose ids are different.
const FIRST: u16 = 1000;

/// A text of so many ids, no two the same.
fn counting(folder: &TempDir, name: &str, first: u16, count: u16, tokenizer: &Tokenizer) -> Source {
    let path = folder.path().join(format!("{name}.npy"));
    npy(&path, first..first + count);
    open(&path, tokenizer).unwrap()
}

/// A sequence without `[CLS]` and `[SEP]`, which it must have.
fn inner(ids: Vec<i64>, special: SpecialIds) -> Vec<i64> {
    let [first, middle @ .., last] = &ids[..] else { panic!("{ids:?}") };
    assert_eq!((*first, *last), (special.cls, special.sep));
    middle.to_vec()
}

#[test]
fn every_token_is_seen_once_an_epoch_however_the_text_is_cut() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer(DEFAULT));
    let special = tokenizer.special();
    // Texts that sequences fit into exactly, almost, and with much left; one that fits in once.
    for (count, length) in [(60, 8), (61, 8), (65, 8), (6, 8), (11, 8), (40, 3), (1000, 128)] {
        let source = counting(&folder, "text", FIRST, count, &tokenizer);
        let mut corpus = Corpus::new(vec![source], length, special, 5).unwrap();
        let (inside, count) = (length - 2, usize::from(count));
        let (sequences, epochs) = (count / inside, 40);
        let mut seen = BTreeMap::<i64, usize>::new();
        let mut orders = BTreeSet::new();
        for epoch in 0..epochs {
            let mut of_epoch = Vec::new();
            for number in epoch * sequences..(epoch + 1) * sequences {
                let ids = inner(corpus.sequence(number).unwrap(), special);
                assert_eq!(ids.len(), inside);
                // What stands behind each other in the text does so in the sequence; behind its end comes its
                // beginning.
                let last = i64::from(FIRST) + count as i64 - 1;
                let follows =
                    |pair: &[i64]| pair[1] == pair[0] + 1 || (pair[0], pair[1]) == (last, i64::from(FIRST));
                assert!(ids.windows(2).all(follows), "{ids:?}");
                of_epoch.extend(ids);
            }
            let distinct: BTreeSet<i64> = of_epoch.iter().copied().collect();
            assert_eq!(distinct.len(), of_epoch.len(), "an epoch has a token twice");
            assert!(count - distinct.len() < inside, "{} of {count} are left out", count - distinct.len());
            orders.insert(of_epoch.clone());
            of_epoch.into_iter().for_each(|id| *seen.entry(id).or_default() += 1);
        }
        assert!(orders.len() > 1, "all epochs are alike");
        // None is left out for good: not those at the ends either.
        assert_eq!(seen.len(), count, "{count} tokens in sequences of {length}");
        let least = seen.values().min().unwrap();
        assert!(*least * 5 > epochs * sequences * inside / count, "one is seen {least} times");
    }
}

#[test]
fn a_sequence_depends_on_the_seed_and_its_number_alone() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer(DEFAULT));
    let corpus = |seed| {
        let sources =
            [("a", 100), ("b", 900)].map(|(name, count)| counting(&folder, name, count, count, &tokenizer));
        Corpus::new(sources.into(), 12, tokenizer.special(), seed).unwrap()
    };
    let all: Vec<Vec<i64>> = {
        let mut corpus = corpus(3);
        (0..300).map(|number| corpus.sequence(number).unwrap()).collect()
    };
    let mut other_way = corpus(3);
    for number in (0..300).rev().step_by(7) {
        assert_eq!(other_way.sequence(number).unwrap(), all[number]);
        assert_eq!(corpus(3).sequence(number).unwrap(), all[number], "asked first");
    }
    let mut other_seed = corpus(4);
    let same = (0..300).filter(|&number| other_seed.sequence(number).unwrap() == all[number]).count();
    assert!(same < 30, "{same} of 300 are the same with another seed");
}

#[test]
fn sequences_are_of_texts_by_their_shares_or_else_their_tokens() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer(DEFAULT));
    let source = |name: &str, first, count| counting(&folder, name, first, count, &tokenizer);
    let drawn = |sources: Vec<Source>| {
        let mut corpus = Corpus::new(sources, 12, tokenizer.special(), 11).unwrap();
        let mut counts = [0; 3];
        for number in 0..4000 {
            counts[usize::try_from(corpus.sequence(number).unwrap()[1] / 2000 - 1).unwrap()] += 1;
        }
        counts
    };
    let three = || [source("a", 2000, 100), source("b", 4000, 300), source("c", 6000, 600)];
    // Five standard deviations of so many draws are 2.5 √n at most.
    let near = |found: [i32; 3], wanted: [i32; 3]| {
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 160), "{found:?}");
    };
    near(drawn(three().into()), [400, 1200, 2400]);
    let [a, b, c] = three();
    let found = drawn(vec![a.with_share(3.0), b.with_share(1.0), c.with_share(0.0)]);
    near(found, [3000, 1000, 0]);
    assert_eq!(found[2], 0);
}

#[test]
fn what_is_held_out_is_learned_from_never() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer(DEFAULT));
    let special = tokenizer.special();
    let source = counting(&folder, "text", FIRST, 1000, &tokenizer).holding_out(0.1);
    assert_eq!(source.tokens(), (900, 100));
    let held_out: BTreeSet<i64> = source
        .held_out_sequences(12, special)
        .unwrap()
        .into_iter()
        .flat_map(|ids| inner(ids, special))
        .collect();
    assert_eq!(held_out, (1900..2000).collect());
    let mut corpus = Corpus::new(vec![source], 12, special, 0).unwrap();
    let learned: BTreeSet<i64> =
        (0..900).flat_map(|number| inner(corpus.sequence(number).unwrap(), special)).collect();
    assert_eq!(learned, (1000..1900).collect());
}

#[test]
fn documents_in_both_parts_are_counted() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer(TINY));
    let sep = tokenizer.special().sep;
    let text = |name: &str, documents: &[&str]| {
        let path = folder.path().join(name);
        fs::write(&path, documents.join("\n\n")).unwrap();
        open(&path, &tokenizer).unwrap()
    };
    let learned = text("learned.txt", &["the people", "a good story", "the movie"]);
    let held_out = text("held-out.txt", &["a good story", "the old movie", "the people"]).held_out();
    assert_eq!(held_out.documents_in(&[&learned], sep).unwrap(), (2, 3));
}

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/corpus").join(format!("{name}.npy"))
}

#[test]
fn arrays_of_ids_are_read_as_numpy_writes_them() {
    let wanted: Vec<i64> = (10..30).chain([300]).collect();
    let plain = ["uint16", "uint32", "every-second", "fortran"].map(str::to_owned);
    let versions = [16, 32].map(|bits| [2, 3].map(|version| format!("uint{bits}-{version}.0")));
    for name in plain.into_iter().chain(versions.concat()) {
        let file = TokenFile::npy(&fixture(&name)).unwrap();
        let (mut all, mut some) = (Vec::new(), vec![7]);
        file.read(0..file.count(), &mut all).unwrap();
        assert_eq!(all, wanted, "{name}");
        file.read(19..21, &mut some).unwrap();
        assert_eq!(some, [7, 29, 300], "{name}");
    }
}

#[test]
fn arrays_that_are_no_ids_are_refused() {
    let tokenizer = tokenizer(TINY);
    let mut seen = 0;
    for entry in fs::read_dir("tests/fixtures/corpus").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("refused-") {
            continue;
        }
        seen += 1;
        let error = open(&path, &tokenizer).err().unwrap_or_else(|| panic!("{name} is read"));
        let Kind::Corpus(found) = error.kind() else { panic!("{name}: {error}") };
        let is = match found {
            CorpusError::WithoutText { .. } => name == "refused-empty",
            CorpusError::NotNpy { reason, .. } => name == "refused-records" && reason == "it holds records",
            CorpusError::NotTokens { .. } => !["refused-empty", "refused-records"].contains(&&*name),
            _ => false,
        };
        assert!(is, "{name}: {error}");
    }
    assert_eq!(seen, 12);
}

/// The ids of a text's file, as they are written for training.
fn encoded(folder: &TempDir, name: &str, bytes: &[u8], column: Option<&str>) -> Result<Vec<i64>> {
    let (path, tokens) = (folder.path().join(name), tempfile::tempdir().unwrap());
    fs::write(&path, bytes).unwrap();
    Source::open(&path, &Reading::default(), column, &tokenizer(TINY), (tokens.path(), 0))?;
    let written =
        fs::read(tokens.path().join(format!("0-{}.tokens", name.split_once('.').unwrap().0))).unwrap();
    Ok(written.chunks(4).map(|id| i64::from(u32::from_le_bytes(id.try_into().unwrap()))).collect())
}

/// Documents as they are to be: their ids, each behind the other, ended by `[SEP]`.
fn documents(texts: &[&str]) -> Vec<i64> {
    let tokenizer = tokenizer(TINY);
    let document = |text: &&str| -> Vec<i64> {
        let ids = tokenizer.tokenize(text).into_iter().map(|token| token.id);
        ids.chain([tokenizer.special().sep]).collect()
    };
    texts.iter().flat_map(document).collect()
}

#[test]
fn plain_texts_are_read_as_people_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| encoded(&folder, "text.txt", bytes, None).unwrap();
    let two = documents(&["the people of this company", "a good story"]);
    for (what, bytes) in [
        ("one blank line", "the people\nof this company\n\na good story\n"),
        (
            "several, with blanks in them, and none at the end",
            "\n\nthe people of\nthis company\n \t\n\n\na good story",
        ),
        ("line ends of Windows", "the people\r\nof this company\r\n\r\na good story\r\n"),
        ("a byte order mark", "\u{feff}the people of this company\n\na good story\n"),
        ("a byte order mark and a blank line", "\u{feff}\nthe people of this company\n\na good story\n"),
    ] {
        assert_eq!(read(bytes.as_bytes()), two, "{what}");
    }
    // Old ends of lines, NUL bytes and other controls are no text, as for transformers.
    assert_eq!(read(b"the people\rof this company\n\na \0good\x01 story\n"), two);
    assert_eq!(read("das Café\n".as_bytes()), documents(&["das cafe"]));
    // An error has its place in a long line too.
    let long = [&b"good\n"[..], &b"good ".repeat(30_000), b"\xff story\n"].concat();
    let error = encoded(&folder, "text.txt", &long, None).unwrap_err();
    let is =
        |kind: &Kind| matches!(kind, Kind::File(FileError::TextNotUtf8 { line: 2, column: 150_001, .. }));
    assert!(is(error.kind()), "{error}");
    // What a text calls a mask is not one.
    assert_eq!(read(b"[MASK] [SEP]\n"), documents(&["[MASK] [SEP]"]));
    for nothing in ["", "\n", " \n\t\r\n\n", "\u{feff}", "\u{feff}\n", "\0\n\0"] {
        let error = encoded(&folder, "text.txt", nothing.as_bytes(), None).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Corpus(CorpusError::WithoutText { .. })),
            "{nothing:?}: {error}"
        );
    }
}

#[test]
fn documents_and_words_longer_than_what_is_read_at_once_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| encoded(&folder, "text.txt", text.as_bytes(), None).unwrap();
    // Over a megabyte, as many short lines and as one; pieces of it end between words.
    let words = "the people of this company feel that it is a wonderful day ".repeat(20_000);
    let wanted = documents(&[&words]);
    assert_eq!(wanted.len(), 12 * 20_000 + 1);
    assert!(read(&words.replace("company ", "company\n")) == wanted, "short lines");
    assert!(read(&words) == wanted, "one line");
    // A blank, three bytes long, at every place where a piece may end.
    assert!(read(&words.replace(' ', "\u{3000}")) == wanted, "wide blanks");
    // A word of a megabyte is what it is for transformers, an unknown one, and its parts say no more.
    let unknown = tokenizer(TINY).special().unk;
    for letter in ["x", "é", "\u{1f600}"] {
        let long = read(&format!("good {} story\n", letter.repeat(300_000)));
        let (before, behind) = (tokenizer(TINY).tokenize("good").len(), documents(&["story"]).len());
        let parts = long[before..long.len() - behind].to_vec();
        assert!((1..30).contains(&parts.len()) && parts.iter().all(|id| *id == unknown), "{parts:?}");
        assert_eq!([&long[..before], &long[before + parts.len()..]].concat(), documents(&["good story"]));
    }
}

#[test]
fn columns_of_tables_are_read_a_document_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = documents(&["the people of\nthis company", "a good story"]);
    let tables = [
        ("t.csv", "label,text\nx,\"the people of\nthis company\"\ny,\ny,a good story\n"),
        ("t.tsv", "label\ttext\nx\t\"the people of\nthis company\"\ny\t\ny\ta good story\n"),
        (
            "t.jsonl",
            "{\"text\": \"the people of\\nthis company\", \"label\": \"x\"}\n{\"text\": \"\", \"label\": \"x\"}\n{\"text\": \"a good story\", \"label\": \"y\"}\n",
        ),
        ("t.json", "[{\"text\": \"the people of\\nthis company\"}, {\"text\": \"a good story\"}]"),
    ];
    for (name, bytes) in tables {
        assert_eq!(encoded(&folder, name, bytes.as_bytes(), None).unwrap(), wanted, "{name}");
        assert_eq!(encoded(&folder, name, bytes.as_bytes(), Some("text")).unwrap(), wanted, "{name}");
        assert!(encoded(&folder, name, bytes.as_bytes(), Some("body")).is_err(), "{name}");
    }
    let two = "id,body,title\n1,the people of this company feel,a good story\n";
    let of = |column| encoded(&folder, "two.csv", two.as_bytes(), Some(column)).unwrap();
    assert_eq!(of("title"), documents(&["a good story"]));
    assert_eq!(of("body"), documents(&["the people of this company feel"]));
}

/// Ids of words of one to four pieces.
fn made_up(length: usize, tokenizer: &Tokenizer) -> Vec<i64> {
    let text = "the people tsxq of zqx this qxw company good xq story movie vzt".repeat(length / 10);
    let ids = tokenizer.tokenize(&text).into_iter().map(|token| token.id).take(length - 2);
    let special = tokenizer.special();
    let ids: Vec<i64> = std::iter::once(special.cls).chain(ids).chain([special.sep]).collect();
    assert_eq!(ids.len(), length);
    ids
}

#[test]
fn the_share_of_tokens_that_is_asked_for_is_masked_exactly() {
    let tokenizer = tokenizer(TINY);
    let special = tokenizer.special();
    for (length, rate, wanted) in
        [(64, 0.15, 10), (63, 0.15, 9), (20, 0.4, 8), (3, 0.15, 1), (12, 0.01, 1), (10, 0.9, 8)]
    {
        let masking = Masking { rate, ..Masking::default() };
        let ids = made_up(64.max(length), &tokenizer)[64.max(length) - length..].to_vec();
        let ids = [&[special.cls], &ids[1..]].concat();
        for number in 0..50 {
            let name = number.to_string();
            let masked = MaskedSequence::new(ids.clone(), &masking, &tokenizer, 0, &name);
            assert_eq!(masked.chosen.len(), wanted, "{rate} of {length}");
            let places: Vec<usize> = masked.chosen.iter().map(|(at, _)| *at).collect();
            assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
            for (at, id) in ids.iter().enumerate() {
                let chosen = masked.chosen.iter().find(|(place, _)| *place == at);
                match chosen {
                    Some((_, stood)) => {
                        assert_eq!(stood, id);
                        assert!(![special.cls, special.sep].contains(id), "a border is masked");
                    }
                    None => assert_eq!(masked.ids[at], *id, "changed and not chosen"),
                }
            }
        }
    }
}

#[test]
fn whole_words_are_never_split() {
    let tokenizer = tokenizer(TINY);
    let ids = made_up(64, &tokenizer);
    let masking = Masking { whole_words: true, rate: 0.2, ..Masking::default() };
    let mut of_several = 0;
    let mut total = 0;
    for number in 0..200 {
        let masked = MaskedSequence::new(ids.clone(), &masking, &tokenizer, 1, &number.to_string());
        let chosen: BTreeSet<usize> = masked.chosen.iter().map(|(at, _)| *at).collect();
        assert!(chosen.len() <= 13, "more than were asked for");
        total += chosen.len();
        for (at, id) in ids.iter().enumerate() {
            // A piece that goes on with a word is chosen as the piece before it is; `[CLS]` never is.
            if at > 1 && !tokenizer.begins_word(*id) {
                assert_eq!(chosen.contains(&at), chosen.contains(&(at - 1)), "a word is split at {at}");
                of_several += usize::from(chosen.contains(&at));
            }
        }
    }
    assert!(of_several > 200, "{of_several} pieces that go on with a word");
    // Words of four pieces may leave a place or two.
    assert!(total > 200 * 12, "{total} of {}", 200 * 13);
}

#[test]
fn a_sequence_whose_words_are_all_too_long_has_no_masks() {
    let tokenizer = tokenizer(TINY);
    let masking = Masking { whole_words: true, ..Masking::default() };
    let special = tokenizer.special();
    let pieces = tokenizer.tokenize("tsxq zqxw").into_iter().map(|token| token.id);
    let ids: Vec<i64> = std::iter::once(special.cls).chain(pieces).chain([special.sep]).collect();
    let masked = MaskedSequence::new(ids.clone(), &masking, &tokenizer, 0, "it");
    assert_eq!((masked.ids, masked.chosen), (ids, Vec::new()));
}

#[test]
fn of_the_chosen_80_percent_are_masked_10_changed_and_10_kept() {
    let tokenizer = tokenizer(TINY);
    let ids = made_up(64, &tokenizer);
    let (mut masked, mut kept, mut changed) = (0, 0, 0);
    let mut entries = BTreeSet::new();
    let mut places = BTreeMap::<usize, usize>::new();
    for number in 0..2000 {
        let sequence =
            MaskedSequence::new(ids.clone(), &Masking::default(), &tokenizer, 2, &number.to_string());
        for (at, id) in sequence.chosen {
            *places.entry(at).or_default() += 1;
            match sequence.ids[at] {
                found if found == tokenizer.special().mask => masked += 1,
                found if found == id => kept += 1,
                found => {
                    changed += 1;
                    entries.insert(found);
                }
            }
        }
    }
    // Of 20,000, five standard deviations: √(n·p·(1-p)) is 57 of .8 and 42 of .1.
    for (found, wanted, deviation) in [(masked, 16_000, 57), (kept, 2000, 42), (changed, 2000, 42)] {
        let found: i32 = found;
        assert!((found - wanted).abs() < 5 * deviation, "{masked} masked, {kept} kept, {changed} changed");
    }
    assert!(entries.len() > 300, "{} of the vocabulary's 323", entries.len());
    // Every place but the borders, each as often: 323 times of 2000, give or take 16.
    assert_eq!(places.len(), 62);
    assert!(places.values().all(|count| (240..405).contains(count)), "{places:?}");
}

#[test]
fn the_same_seed_and_name_give_the_same_masks() {
    let tokenizer = tokenizer(TINY);
    let ids = made_up(64, &tokenizer);
    let masked = |seed, name: &str| {
        let MaskedSequence { ids, chosen } =
            MaskedSequence::new(ids.clone(), &Masking::default(), &tokenizer, seed, name);
        (ids, chosen)
    };
    assert_eq!(masked(1, "a"), masked(1, "a"));
    assert_ne!(masked(1, "a"), masked(2, "a"));
    assert_ne!(masked(1, "a"), masked(1, "b"));
}

/// The most memory, in megabytes, that a program has until it ends well.
#[cfg(target_os = "linux")]
fn most_memory(command: &mut std::process::Command) -> usize {
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let ended = child.try_wait().unwrap();
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(found) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()) {
            most = most.max(found / 1000);
        }
        match ended {
            Some(code) => {
                assert!(code.success(), "{code}");
                return most;
            }
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let of_line = |megabytes: usize| {
        let words = "the people of this company feel that it is a wonderful day and so ";
        let text = folder.path().join("line.txt");
        fs::write(&text, words.repeat(megabytes * 1_000_000 / words.len())).unwrap();
        most_memory(
            std::process::Command::new(env!("CARGO_BIN_EXE_cloze"))
                .args(["pretrain", "-q", "--steps", "1", "--sequence-length", "16", "--batch-size", "2"])
                .args(["--held-out", "0", "--threads", "1", "--model", TINY, "--text"])
                .arg(text)
                .arg("--out")
                .arg(folder.path().join(megabytes.to_string())),
        )
    };
    let (short, long) = (of_line(2), of_line(14));
    assert!(short > 50 && long < short + 6, "{short} MB with a line of 2 MB, {long} with one of 14");
}

#[test]
fn a_row_that_the_tokenizer_fails_on_is_told_by_its_place_or_left_out() {
    const ROBERTA: &str = "tests/fixtures/tokenizers/roberta";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let whole = fs::read_to_string(Path::new(ROBERTA).join("tokenizer.json")).unwrap();
    let mut description: serde_json::Value = serde_json::from_str(&whole).unwrap();
    // An expression that goes back and forth without end on "aaa…b".
    let endless = serde_json::json!({ "type": "Split", "pattern": { "Regex": "(a|aa)+$" },
        "behavior": "Isolated", "invert": false });
    let own = description["pre_tokenizer"].take();
    description["pre_tokenizer"] = serde_json::json!({ "type": "Sequence", "pretokenizers": [endless, own] });
    fs::write(&path, description.to_string()).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, format!("text\ngreat\n{}b\nbad\n", "a".repeat(60))).unwrap();
    let read = |reading: &Reading, index: usize| {
        Source::open(&rows, reading, Some("text"), &tokenizer, (folder.path(), index))
    };
    let refused = read(&Reading::default(), 0).map(|_| ()).unwrap_err();
    assert!(matches!(refused.place(), Place::Row { line: 3, record: 2, .. }), "{refused}");
    let reading = Reading { bad_rows: BadRows::skipped(), ..Reading::default() };
    // Two documents are left, each a piece or more and its end.
    let kept = read(&reading, 1).unwrap();
    let ids = |text: &str| tokenizer.tokenize(text).len() + 1;
    assert_eq!(kept.tokens(), (ids("great") + ids("bad"), 0));
    assert_eq!(reading.bad_rows.so_far().rows, 1);
}
