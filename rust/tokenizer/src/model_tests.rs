//! The tokenizers crate's own models are the reference for Unigram and WordPiece.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{json, Value};
use tokenizers::{Model, ModelWrapper};

use crate::model::AnyModel;

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
    fn word(&mut self, characters: &[char], longest: usize) -> String {
        let length = 1 + self.below(longest);
        (0..length).map(|_| characters[self.below(characters.len())]).collect()
    }
}

const CHARACTERS: [char; 16] =
    ['a', 'b', 'c', 'a', 'b', 'é', 'ß', '\u{2581}', '\u{301}', '中', '文', '👩', '\0', '\u{ffff}', '#', '<'];

fn open(model: &Value) -> (AnyModel, ModelWrapper) {
    let text = model.to_string();
    (serde_json::from_str(&text).unwrap(), serde_json::from_str(&text).unwrap())
}

/// Every token of every word, or that there is none for it.
fn compare(ours: &AnyModel, reference: &ModelWrapper, words: impl Iterator<Item = String>) {
    for word in words {
        let (found, expected) = (ours.tokenize(&word), reference.tokenize(&word));
        assert_eq!(found.is_ok(), expected.is_ok(), "{word:?}");
        let (Ok(found), Ok(expected)) = (found, expected) else { continue };
        assert_eq!(found, expected, "{word:?}");
        let mut ids = Vec::new();
        ours.each_id(&word, |id| ids.push(id)).unwrap();
        assert_eq!(ids, expected.iter().map(|token| token.id).collect::<Vec<_>>(), "{word:?}");
    }
}

fn compare_vocabularies(ours: &AnyModel, reference: &ModelWrapper) {
    let vocabulary = reference.get_vocab();
    assert_eq!(ours.get_vocab(), vocabulary);
    assert_eq!(ours.get_vocab_size(), reference.get_vocab_size());
    assert_eq!(ours.survey(|_| ()).0, vocabulary.values().copied().max());
    for (piece, id) in &vocabulary {
        assert_eq!((ours.token_to_id(piece), ours.id_to_token(*id)), (Some(*id), Some(piece.clone())));
    }
    for strange in ["", "no such piece", "a\0", "\u{ffff}", "a\u{ffff}"] {
        assert_eq!(ours.token_to_id(strange), reference.token_to_id(strange), "{strange:?}");
    }
    assert_eq!(ours.id_to_token(vocabulary.len() as u32), None);
}

fn unigram(random: &mut Random) -> Value {
    let mut pieces = BTreeMap::new();
    for _ in 0..1 + random.below(60) {
        // Few different scores, so that sums tie.
        pieces.insert(random.word(&CHARACTERS, 4), random.below(7) as f64 * 0.5 - 2.0);
    }
    let mut vocabulary: Vec<_> = pieces.into_iter().map(|(piece, score)| json!([piece, score])).collect();
    let unknown = random.below(vocabulary.len() + 1);
    let unknown = if unknown == vocabulary.len() { Value::Null } else { json!(unknown) };
    let bytes = random.below(3);
    for byte in 0..bytes * 100 {
        vocabulary.push(json!([format!("<0x{byte:02X}>"), -3.0]));
    }
    json!({"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": bytes > 0})
}

fn word_piece(random: &mut Random) -> Value {
    let prefix = ["##", "", "é"][random.below(3)];
    let mut pieces: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1 + random.below(80) {
        let before = if random.below(2) == 0 { prefix } else { "" };
        pieces.insert(format!("{before}{}", random.word(&CHARACTERS, 3)), 0);
    }
    if random.below(4) > 0 {
        pieces.insert("[UNK]".into(), 0);
    }
    let count = pieces.len();
    pieces.values_mut().enumerate().for_each(|(at, id)| *id = count - 1 - at);
    json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": prefix,
        "max_input_chars_per_word": 1 + random.below(12), "vocab": pieces})
}

/// WDE_TOKENIZER_ROUNDS=N: that many vocabularies with 250 words each.
#[test]
fn random_vocabularies() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let rounds = std::env::var("WDE_TOKENIZER_ROUNDS").map_or(400, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let model = if round % 2 == 0 { unigram(&mut random) } else { word_piece(&mut random) };
        let (ours, reference) = open(&model);
        assert!(!matches!(ours, AnyModel::Crate(_)), "{model}");
        compare_vocabularies(&ours, &reference);
        compare(&ours, &reference, (0..250).map(|_| random.word(&CHARACTERS, 12)).chain([String::new()]));
    }
}

/// Words of the pieces of real vocabularies and of characters beside them.
#[test]
fn golden_vocabularies() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/models");
    let mut random = Random(7);
    let mut seen = 0;
    for directory in std::fs::read_dir(models).unwrap() {
        let Ok(text) = std::fs::read_to_string(directory.unwrap().path().join("tokenizer.json")) else { continue };
        let file: Value = serde_json::from_str(&text).unwrap();
        if file["model"]["type"] != "Unigram" && file["model"]["type"] != "WordPiece" {
            continue;
        }
        seen += 1;
        let (ours, reference) = open(&file["model"]);
        assert!(!matches!(ours, AnyModel::Crate(_)));
        compare_vocabularies(&ours, &reference);
        let pieces: Vec<String> = ours.get_vocab().into_keys().map(|piece| piece.replace("##", "")).collect();
        let word = |_| {
            let count = 1 + random.below(5);
            let part = |random: &mut Random| match random.below(4) {
                0 => random.word(&CHARACTERS, 2),
                _ => pieces[random.below(pieces.len())].clone(),
            };
            (0..count).map(|_| part(&mut random)).collect()
        };
        compare(&ours, &reference, (0..2000).map(word));
    }
    assert!(seen >= 30, "{seen} tokenizers");
}

#[test]
fn odd_vocabularies_are_the_crates() {
    let unigram =
        |vocabulary: Value, unknown: Value| json!({"type": "Unigram", "unk_id": unknown, "vocab": vocabulary});
    let word_piece = |vocabulary: Value| {
        json!({"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 9, "vocab": vocabulary})
    };
    for model in [
        unigram(json!([["u", 0.0], ["a", -1.0], ["a", -2.0]]), json!(0)),
        unigram(json!([["u", 0.0], ["", -1.0]]), json!(0)),
        word_piece(json!({"u": 0, "a": 2})),
        word_piece(json!({"u": 0, "": 1})),
        word_piece(json!({})),
    ] {
        let (ours, reference) = open(&model);
        assert!(matches!(ours, AnyModel::Crate(_)), "{model}");
        assert_eq!(ours.get_vocab(), reference.get_vocab());
        assert_eq!(ours.survey(|_| ()).0, reference.get_vocab().into_values().max());
    }
    // Keys that occur twice do not get through a Value.
    let twice = r#"{"type":"WordPiece","unk_token":"u","continuing_subword_prefix":"","max_input_chars_per_word":9,"vocab":{"u":0,"a":1,"a":2}}"#;
    assert!(matches!(serde_json::from_str(twice).unwrap(), AnyModel::Crate(_)));
    for model in [
        unigram(json!([["u", 0.0]]), json!(1)),
        unigram(json!([]), json!(0)),
        unigram(json!("pieces"), json!(0)),
        json!({"type": "WordPiece", "continuing_subword_prefix": "", "max_input_chars_per_word": 9, "vocab": {"u": 0}}),
        json!({"type": "Unknown"}),
        json!(3),
    ] {
        let text = model.to_string();
        let error = serde_json::from_str::<AnyModel>(&text).err().map(|error| error.to_string());
        assert!(error.is_some(), "{text}");
        assert_eq!(error, serde_json::from_str::<ModelWrapper>(&text).err().map(|error| error.to_string()));
    }
}
