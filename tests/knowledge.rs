//! Lists of words: priors in class scores, and WordNet's files.

use std::fmt::Write as _;
use std::path::Path;

use cloze::model::tokenizer::Tokenizer;
use cloze::predict::label_words::LabelWords;
use cloze::study::knowledge::wordnet::WordNet;
use cloze::text::verbalizer::Verbalizer;
use tch::{Device, Tensor};

use crate::support::{TINY, assert_close, values};

/// By hand: with logits 1, 2 and 3 and a prior of one half for the first, (1 + ln 2 + 2·½) / 1.5 and 3.
#[test]
fn a_words_prior_is_taken_out_of_its_logit() {
    let text = r#"{ "version": 1, "classes": [
        { "label": "up", "words": [ { "word": "good", "prior": 0.5 }, { "word": "great", "weight": 0.5 } ] }, { "label": "down", "words": ["bad"] } ] }"#;
    let verbalizer = Verbalizer::parse("v", "v.json", text).unwrap();
    let words =
        LabelWords::check(&verbalizer, &Tokenizer::load(Path::new(TINY)).unwrap(), Device::Cpu).unwrap();
    // The class with one word repeats it, and the repetition counts nothing.
    let scores = words.scores().of(&Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 9.0]).view([1, 4]));
    assert_close(&values(&scores), &[(1.0 + 2.0_f64.ln() + 1.0) / 1.5, 3.0], 1e-6, "scores");
}

/// Made up in the format of wndb(5WN): a noun with two senses and a kind of the first, and an adjective with
/// one like it.
#[test]
fn related_words_come_from_all_senses_and_their_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let mut nouns = "  1 A licence stands here.\n".to_owned();
    let mut add = |line: &str| {
        let offset = nouns.len();
        let _ = writeln!(nouns, "{line}");
        offset
    };
    let kind = add("00000026 09 n 02 derby 0 cup_tie 0 000 | a match");
    let first = add(&format!("00000080 09 n 02 game 0 match 1 001 ~ {kind:08} n 0000 | a contest"));
    let second = add("00000150 09 n 02 game 0 Quarry 0 000 | an animal");
    std::fs::write(folder.path().join("data.noun"), &nouns).unwrap();
    std::fs::write(
        folder.path().join("index.noun"),
        format!("  1 A licence.\ngame n 2 1 ~ 2 1 {first:08} {second:08}\ngamely n 0 0 0 0\n"),
    )
    .unwrap();
    std::fs::write(folder.path().join("data.adj"), "00000000 00 s 02 plucky 0 game(p) 0 000 | brave\n")
        .unwrap();
    std::fs::write(folder.path().join("index.adj"), "game a 1 0 1 0 00000000\n").unwrap();
    let wordnet = WordNet::open(&WordNet::folder(Some(folder.path())).unwrap()).unwrap();
    assert_eq!(wordnet.related("Game"), ["match", "quarry", "plucky", "derby"]);
    assert_eq!(wordnet.related("nothing"), Vec::<String>::new());
    // Whatever the files say, they give words or none.
    std::fs::write(folder.path().join("index.noun"), "game n 9 1 ~ 2 1 99999999 x 00000001\n").unwrap();
    assert_eq!(WordNet::open(folder.path()).unwrap().related("game"), ["plucky"]);
}
