//! Tokenizers of every kind against `transformers` (tests/fixtures/tokenizers/make.py), and prompts with the models
//! beside them.

use std::fs;
use std::path::{Path, PathBuf};

use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::EngineChoice;
use cloze::model::tokenizer::Tokenizer;
use cloze::predict::classifier::Classifier;
use cloze::predict::encode::{encode, encode_with_cuts};
use cloze::predict::pvp::Pvp;
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use serde_json::{Value, json};
use tch::Kind;

use crate::support::{base, golden, integers, numbers, values, zero_shot};

const KINDS: [&str; 9] = [
    "albert",
    "bert-added",
    "bert-other",
    "camembert",
    "deberta-v2",
    "mmbert",
    "modernbert",
    "roberta",
    "xlm-roberta",
];

fn fixture(kind: &str) -> String {
    format!("tests/fixtures/tokenizers/{kind}")
}

/// `TOKENIZERS=FOLDER` names others, made by the same script of more rows.
fn root() -> PathBuf {
    std::env::var_os("TOKENIZERS").map_or_else(|| "tests/fixtures/tokenizers".into(), PathBuf::from)
}

fn load(kind: &str) -> Tokenizer {
    Tokenizer::load(Path::new(&fixture(kind))).unwrap()
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<i64> {
    tokenizer.tokenize(text).iter().map(|token| token.id).collect()
}

fn all_of<'a>(golden: &'a Value, key: &str) -> &'a [Value] {
    golden[key].as_array().unwrap()
}

fn verbalizer() -> Verbalizer {
    let classes = json!([{ "label": "up", "words": ["great"] }, { "label": "down", "words": ["bad"] }]);
    Verbalizer::parse("v", "v.json", &json!({ "version": 1, "classes": classes }).to_string()).unwrap()
}

fn prompt(tokenizer: &Tokenizer, pattern: &str, text: &str, max_length: usize) -> Features {
    let pvp = Pvp::plain(Template::from_pattern(pattern).unwrap()).unwrap();
    encode(&pvp.wrap(|_| text), tokenizer, max_length).unwrap()
}

#[test]
fn texts_are_the_tokens_that_transformers_makes_of_them() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let folder = root().join(kind);
        let tokenizer = Tokenizer::load(&folder).unwrap();
        for case in all_of(&golden(&folder.to_string_lossy()), "texts") {
            let (text, wanted) = (case["text"].as_str().unwrap(), integers(&case["ids"]));
            let found = ids(&tokenizer, text);
            if found != wanted {
                wrong.push(format!("{kind} {text:?}: {found:?}, transformers {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_text_that_names_special_tokens_is_a_text() {
    for kind in KINDS {
        let tokenizer = load(kind);
        let special = tokenizer.special();
        let names = [special.pad, special.cls, special.sep, special.mask];
        for id in names {
            let name = tokenizer.token(id);
            assert!(!name.is_empty(), "{kind}");
            for text in
                [name.to_owned(), format!("a {name} b"), format!("{name}{name}"), format!("\u{10ffff}{name}")]
            {
                let found = ids(&tokenizer, &text);
                assert!(found.iter().all(|id| !names.contains(id)), "{kind} {text:?}: {found:?}");
                let input = prompt(&tokenizer, "{text} is {mask}.", &text, 64);
                let masks = input.ids.iter().filter(|id| **id == special.mask).count();
                assert_eq!((masks, input.ids[input.mask]), (1, special.mask), "{kind} {text:?}");
            }
        }
    }
}

#[test]
fn words_have_the_pieces_of_the_place_where_they_stand() {
    for kind in KINDS {
        let tokenizer = load(kind);
        for case in all_of(&golden(&fixture(kind)), "words") {
            let word = case["word"].as_str().unwrap();
            assert_eq!(tokenizer.word_ids(word), integers(&case["space"]), "{kind} {word}");
            assert_eq!(
                tokenizer.bare_word_ids(word).unwrap_or_default(),
                integers(&case["bare"]),
                "{kind} {word}"
            );
        }
    }
}

#[test]
fn prompts_and_probabilities_equal_transformers() {
    let mut largest: f64 = 0.0;
    for kind in KINDS {
        let base = base(Path::new(&fixture(kind)), EngineChoice::Cloze, &verbalizer());
        let Classifier::Prompt(model, words) = zero_shot(&base) else { unreachable!() };
        let prompts = golden(&fixture(kind));
        let prompts = all_of(&prompts, "prompts");
        let encoded: Vec<Features> = prompts
            .iter()
            .map(|case| {
                let (pattern, text) = (case["pattern"].as_str().unwrap(), case["text"].as_str().unwrap());
                let input = prompt(base.tokenizer(), pattern, text, 160);
                assert_eq!(input.ids, integers(&case["ids"]), "{kind} {pattern:?} of {text:?}");
                assert_eq!(
                    input.mask as u64,
                    case["mask"].as_u64().unwrap(),
                    "{kind} {pattern:?} of {text:?}"
                );
                let words = words.behind(input.is_bare);
                assert_eq!(words.distinct_ids(), integers(&case["words"]), "{kind} {pattern:?} of {text:?}");
                input
            })
            .collect();
        // All in one batch: some of each form, and padded.
        let inputs: Vec<&Features> = encoded.iter().collect();
        let scores =
            tch::no_grad(|| model.class_scores(&inputs, &words, Mode::Score).softmax(-1, Kind::Double));
        let found: Vec<f64> = values(&scores);
        for (found, case) in found.chunks(2).zip(prompts) {
            let wanted = numbers(&case["p"]);
            let difference = (found[0] - wanted[0]).abs();
            assert!(difference < 1e-5, "{kind} {}: {found:?}, transformers {wanted:?}", case["pattern"]);
            largest = largest.max(difference);
        }
    }
    assert!(largest > 0.0, "single precision differs");
}

#[test]
fn a_vocabulary_and_merges_are_a_tokenizer_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(Path::new(&fixture("roberta")).join(name), folder.path().join(name)).unwrap();
    }
    let (whole, plain) = (load("roberta"), Tokenizer::load(folder.path()).unwrap());
    // What only names the tokens changes nothing, nor does the class that transformers 5 writes.
    let added = json!({ "<mask>": whole.special().mask }).to_string();
    fs::write(folder.path().join("added_tokens.json"), added).unwrap();
    let class = json!({ "tokenizer_class": "TokenizersBackend" }).to_string();
    fs::write(folder.path().join("tokenizer_config.json"), class).unwrap();
    for parts in [plain, Tokenizer::load(folder.path()).unwrap()] {
        assert_eq!(whole.special(), parts.special());
        assert_eq!((whole.separators(), parts.separators()), (2, 2));
        for case in all_of(&golden(&fixture("roberta")), "texts") {
            let text = case["text"].as_str().unwrap();
            assert_eq!(whole.tokenize(text), parts.tokenize(text), "{text:?}");
            let prompts =
                [&whole, &parts].map(|tokenizer| prompt(tokenizer, "{text} It was {mask}.", text, 64));
            assert_eq!(prompts[0], prompts[1], "{text:?}");
        }
    }
}

/// A copy of a fixture's `tokenizer.json` alone, changed.
fn changed(kind: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(Path::new(&fixture(kind)).join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join("tokenizer.json");
    let mut description: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut description);
    fs::write(&path, description.to_string()).unwrap();
    folder
}

#[test]
fn files_of_old_versions_that_do_not_name_their_model_are_the_same_tokenizers() {
    for kind in KINDS {
        let folder = changed(kind, |description| {
            let model = description["model"].as_object_mut().unwrap();
            model.remove("type");
            if let Some(Value::Array(merges)) = model.get_mut("merges") {
                // As RoBERTa's published file has it.
                for pair in merges {
                    *pair = format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()).into();
                }
                model.insert("continuing_subword_prefix".to_owned(), "".into());
                model.insert("end_of_word_suffix".to_owned(), "".into());
            }
        });
        let (whole, old) = (load(kind), Tokenizer::load(folder.path()).unwrap());
        assert_eq!(whole.special(), old.special(), "{kind}");
        for case in all_of(&golden(&fixture(kind)), "texts") {
            let text = case["text"].as_str().unwrap();
            assert_eq!(whole.tokenize(text), old.tokenize(text), "{kind} {text:?}");
        }
    }
}

#[test]
fn pairs_behind_berts_normalizer_are_no_word_pieces_though_nothing_names_them() {
    let bert = json!({ "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true });
    let [named, old] = [true, false].map(|is_named| {
        changed("roberta", |description| {
            description["normalizer"] = bert.clone();
            description["pre_tokenizer"] = json!({ "type": "BertPreTokenizer" });
            if !is_named {
                description["model"].as_object_mut().unwrap().remove("type");
            }
        })
    });
    let [named, old] = [named, old].map(|folder| Tokenizer::load(folder.path()).unwrap());
    let text = "great films";
    assert_eq!(ids(&named, text), ids(&old, text));
    assert!(ids(&old, text).len() > 2 && !ids(&old, text).contains(&old.special().unk));
}

#[test]
fn a_list_of_names_does_not_change_how_a_listed_token_is_found() {
    let (whole, folder) = (load("roberta"), changed("roberta", |_| {}));
    let mask = whole.special().mask;
    let wanted = prompt(&whole, "{text} It was {mask}.", "A film.", 64);
    // Transformers 5.24 keeps what tokenizer.json says too.
    fs::write(folder.path().join("added_tokens.json"), json!({ "<mask>": mask }).to_string()).unwrap();
    let named = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(prompt(&named, "{text} It was {mask}.", "A film.", 64), wanted);
    // What says how it is found does change it.
    let decoder = json!({ mask.to_string(): { "content": "<mask>", "lstrip": false, "special": true } });
    let config = json!({ "added_tokens_decoder": decoder });
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let told = Tokenizer::load(folder.path()).unwrap();
    assert_ne!(prompt(&told, "{text} It was {mask}.", "A film.", 64), wanted);
}

#[test]
fn letters_of_several_bytes_are_not_cut_apart() {
    let tokenizer = load("roberta");
    let pieces = ids(&tokenizer, " a naïve 深");
    let begins: String = pieces.iter().map(|id| if tokenizer.begins_word(*id) { '|' } else { '.' }).collect();
    let words: Vec<&str> = begins.split('|').skip(1).collect();
    // The whole text is three words, whatever their pieces are.
    assert_eq!(
        words.len(),
        3,
        "{begins} {:?}",
        pieces.iter().map(|id| tokenizer.token(*id)).collect::<Vec<_>>()
    );
    assert!(words[1].len() >= 4 && words[2].len() >= 2, "{begins}");
}

#[test]
fn pieces_have_letters_and_begin_words() {
    for kind in KINDS {
        let tokenizer = load(kind);
        for word in ["great", "bad"] {
            let [id] = tokenizer.word_ids(word)[..] else { panic!("{kind} {word}") };
            assert_eq!((tokenizer.letters(id), tokenizer.written(id)), (word, word), "{kind}");
            assert!(tokenizer.begins_word(id) && tokenizer.is_word(id), "{kind} {word}");
        }
        let whole = "x".repeat(40);
        let pieces = tokenizer.word_ids(&whole);
        assert!(
            pieces[1..].iter().all(|id| *id == tokenizer.special().unk || !tokenizer.begins_word(*id)),
            "{kind}"
        );
        assert!(tokenizer.common_words().contains(&tokenizer.word_ids("great")[0]), "{kind}");
    }
}

#[test]
fn truncation_takes_the_fields_own_tokens_whatever_the_spaces() {
    for kind in KINDS {
        let tokenizer = load(kind);
        let pvp = Pvp::plain(Template::from_pattern("Text: {text} It was {mask}.").unwrap()).unwrap();
        for text in [
            "great bad great bad great bad great bad",
            "这部电影很好看这部电影很好看这部电影很好看",
            "\n\n\n\n\n\n\n\n\n\n\n\n",
        ] {
            let whole = encode(&pvp.wrap(|_| text), &tokenizer, 160).unwrap();
            let empty = encode(&pvp.wrap(|_| ""), &tokenizer, 160).unwrap();
            if whole.ids.len() <= empty.ids.len() + 3 {
                // What is no text for this kind cannot be cut.
                continue;
            }
            let room = empty.ids.len() + 3;
            let (cut, cuts) = encode_with_cuts(&pvp.wrap(|_| text), &tokenizer, room).unwrap();
            assert_eq!(cut.ids.len(), room, "{kind} {text:?}");
            assert_eq!(cut.removed, whole.ids.len() - room, "{kind} {text:?}");
            // What is cut are the field's last tokens.
            let removed = &cuts[0].ids;
            assert!(whole.ids.windows(removed.len()).any(|window| window == removed), "{kind} {text:?}");
            assert_eq!(cut.ids[..4], whole.ids[..4], "{kind} {text:?}");
            assert_eq!(cut.ids[cut.mask..], whole.ids[whole.mask..], "{kind} {text:?}");
        }
    }
}
