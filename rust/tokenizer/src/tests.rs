//! The crate's own truncation is the reference: ours must give the same tokens.

use std::path::{Path, PathBuf};

use tokenizers::utils::truncation::{truncate_encodings, TruncationParams};
use tokenizers::{EncodeInput, Encoding, PostProcessor, PostProcessorWrapper};

use crate::encode::{encode_batch, encode_one, Encoded, Failure, Input, Options, Truncation};
use crate::guard::guarded;
use crate::model::Tokenizer;
use crate::open::open;
use crate::sections::Cuts;

const TEXTS: [&str; 9] = [
    "",
    " ",
    "hello world",
    "a a b ab ba abab hello hello world world a b",
    "Ünïcödé naïve 中文 text with \0 and [CLS] <s> </s> literals",
    "hello hello hello hello hello hello hello hello hello hello hello hello",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbb",
    "emoji 👩‍👩‍👧‍👦 🇫🇷 zero\u{200b}width",
    "  leading and   inner\tspaces\n",
];

fn words() -> &'static str {
    r###"{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4,"hello":5,"world":6,"a":7,"b":8,"##a":9,"##b":10,"é":11,"e":12,"Hello":13}"###
}

/// A tokenizer.json of a BERT-like tokenizer; each of the parts may be replaced.
fn bert_json(normalizer: &str, post_processor: &str) -> String {
    format!(
        r###"{{"version":"1.0","truncation":{{"direction":"Left","max_length":3,"strategy":"LongestFirst","stride":0}},
        "padding":{{"strategy":{{"Fixed":64}},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"}},
        "added_tokens":[{{"id":2,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],
        "normalizer":{normalizer},"pre_tokenizer":{{"type":"BertPreTokenizer"}},"post_processor":{post_processor},"decoder":null,
        "model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{}}}}}"###,
        words()
    )
}

const BERT_NORMALIZER: &str =
    r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}"#;
const CASED_NORMALIZER: &str = r#"{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":false,"lowercase":false}"#;
const BERT_PROCESSOR: &str = r#"{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]}"#;

/// A model directory that goes away with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wde-tokenizer-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (name, content) in files {
            std::fs::write(path.join(name), content).unwrap();
        }
        Self(path)
    }
    fn open(&self) -> Tokenizer {
        open(&self.0, false, false).unwrap().tokenizer
    }
    fn error(&self) -> String {
        guarded(|| open(&self.0, false, false)).unwrap().err().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bytes_input<'a>(text: &'a [u8], pair: Option<&'a [u8]>) -> Input<'a> {
    Input { text, pair, max_length: 0, truncation: Truncation::Right, special_tokens: true }
}

fn options(max_length: usize, want_offsets: bool) -> Options {
    Options { max_length, want_offsets, threads: 1, cuts: Cuts::Nowhere }
}

fn input<'a>(text: &'a str, pair: Option<&'a str>) -> Input<'a> {
    bytes_input(text.as_bytes(), pair.map(str::as_bytes))
}

/// The reference for one tokenizer.
struct Reference {
    bare: Tokenizer,       // without post-processor
    truncating: Tokenizer, // with truncation set
}

impl Reference {
    /// One part without special tokens, whole.
    fn part(&self, text: &str, type_id: u32) -> Encoding {
        let mut encoding = self.bare.encode(text, false).unwrap();
        encoding.set_type_ids(vec![type_id; encoding.len()]);
        encoding
    }
}

fn check_same(tokenizer: &Tokenizer, reference: &Reference, text: &str, pair: Option<&str>, max_length: usize) {
    let what = format!("{text:?} {pair:?} {max_length}");
    let special = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair.is_some()));
    let parts = (reference.part(text, 0), pair.map(|pair| reference.part(pair, 1)));
    let lengths = (parts.0.len(), parts.1.as_ref().map_or(0, Encoding::len));
    let room = if max_length == 0 { usize::MAX } else { max_length - special };
    let params = TruncationParams { max_length: room, ..Default::default() };
    let (first, second) = truncate_encodings(parts.0, parts.1, &params).unwrap();
    let expected = tokenizer.post_process(first, second, true).unwrap();

    // The crate's own path, save for the case in which it goes by lengths that it has cut itself.
    if max_length == 0 || room % 2 == 0 || lengths.0.min(lengths.1) < max_length {
        let request: EncodeInput = match pair {
            Some(pair) => (text, pair).into(),
            None => text.into(),
        };
        assert_eq!(reference.truncating.encode(request, true).unwrap().get_ids(), expected.get_ids(), "{what}");
    }

    let got = encode_one(tokenizer, &input(text, pair), options(max_length, true)).unwrap();
    let fast = encode_one(tokenizer, &input(text, pair), options(max_length, false)).unwrap();
    let wide = |values: &[i32]| values.iter().map(|&value| value as u32).collect::<Vec<_>>();
    let mask: Vec<u32> = got.special_tokens_mask.iter().map(|&flag| flag as u32).collect();
    let offsets: Vec<_> = got.offsets.as_ref().unwrap().iter().map(|o| (o[0] as usize, o[1] as usize)).collect();
    assert_eq!(wide(&got.ids), expected.get_ids(), "{what}");
    assert_eq!(wide(&got.type_ids), expected.get_type_ids(), "{what}");
    assert_eq!(mask, expected.get_special_tokens_mask(), "{what}");
    assert_eq!(offsets, expected.get_offsets(), "{what}");
    assert_eq!(got.truncated, lengths.0 + lengths.1 > room, "{what}");
    assert_eq!(fast, Encoded { offsets: None, ..got }, "{what}");
}

/// The crate's check of max_length subtracts without looking; lengths below the special tokens' number are ours to refuse.
fn check_all(tokenizer: &Tokenizer) {
    let mut reference = Reference { bare: tokenizer.clone(), truncating: tokenizer.clone() };
    reference.bare.with_post_processor(None::<PostProcessorWrapper>);
    for max_length in [0, 4, 5, 6, 7, 8, 13, 20, 21] {
        let truncation = (max_length > 0).then(|| TruncationParams { max_length, ..Default::default() });
        reference.truncating.with_truncation(truncation).unwrap();
        for text in TEXTS {
            check_same(tokenizer, &reference, text, None, max_length);
            for pair in TEXTS {
                check_same(tokenizer, &reference, text, Some(pair), max_length);
            }
        }
    }
}

#[test]
fn the_odd_token_goes_to_the_longer_part() {
    let tokenizer = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]).open();
    // Both reach max_length (8) at once, but one goes on for longer; the first word alone of "aaa…" is 40 tokens.
    let (word, many) = ("a".repeat(40), "b ".repeat(50));
    let encode = |text: &str, pair: &str| encode_one(&tokenizer, &input(text, Some(pair)), options(8, false)).unwrap();
    assert_eq!(encode(&word, &many).type_ids, [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(encode(&many, &word).type_ids, [0, 0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(encode(&many, &many).type_ids, [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn same_as_the_crates_truncation_with_bert() {
    check_all(&Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]).open());
}

#[test]
fn same_as_the_crates_truncation_without_special_tokens() {
    check_all(&Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, "null"))]).open());
}

/// All checkpoints under WDE_TEST_DATA (or tests/golden/models), if there are any.
#[test]
fn same_as_the_crates_truncation_with_the_golden_checkpoints() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/models");
    let data = std::env::var_os("WDE_TEST_DATA").map_or(default, PathBuf::from);
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        if entry.path().join("tokenizer.json").exists() {
            check_all(&open(&entry.path(), false, false).unwrap().tokenizer);
        }
    }
}

#[test]
fn too_small_max_length_is_refused() {
    let tokenizer = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]).open();
    let encode = |pair, max_length| encode_one(&tokenizer, &input("a", pair), options(max_length, false));
    assert!(matches!(encode(None, 1), Err(Failure::InvalidInput(message)) if message.contains("2 special tokens")));
    assert!(
        matches!(encode(Some("b"), 2), Err(Failure::InvalidInput(message)) if message.contains("3 special tokens"))
    );
    assert_eq!(encode(None, 2).unwrap().ids, [2, 3]);
}

#[test]
fn one_bad_text_leaves_the_others() {
    let tokenizer = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]).open();
    let long = "hello world ".repeat(4000);
    let mut texts: Vec<&[u8]> = vec![long.as_bytes(); 9];
    texts[4] = b"ab\xFFc";
    let inputs: Vec<Input> = texts.iter().map(|text| bytes_input(text, None)).collect();
    for threads in [1, 4, 100] {
        let results = encode_batch(
            &tokenizer,
            &inputs,
            Options { max_length: 0, want_offsets: false, threads, cuts: Cuts::Nowhere },
        );
        for (index, result) in results.iter().enumerate() {
            match result {
                Ok(encoded) => assert_eq!((index != 4, encoded.ids.len()), (true, 8002)),
                Err(Failure::InvalidInput(message)) => assert!(message.contains("0xFF at position 2"), "{message}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(results[4].is_err());
    }
}

#[test]
fn a_panic_in_one_text_is_its_error() {
    // The template names a special token that it does not define; the crate checks that only when it is used.
    let template = r#"{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],
        "pair":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{}}"#;
    let tokenizer = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, template))]).open();
    let inputs = [input("hello", None), input("hello", Some("world")), input("world", None)];
    let results = encode_batch(&tokenizer, &inputs, options(8, true));
    assert_eq!(results[0].as_ref().unwrap().ids, [5]);
    assert!(matches!(&results[1], Err(Failure::Internal(message)) if message.contains("panicked")), "{:?}", results[1]);
    assert_eq!(results[2].as_ref().unwrap().ids, [6]);
}

#[test]
fn post_processor_that_exceeds_the_length_is_an_error() {
    let template = r#"{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
        "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}"#;
    let tokenizer = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, template))]).open();
    assert!(matches!(encode_one(&tokenizer, &input("a a a", None), options(4, false)), Err(Failure::Internal(_))));
}

#[test]
fn damaged_files_name_the_file_and_the_reason() {
    let json = bert_json(BERT_NORMALIZER, BERT_PROCESSOR);
    for end in (0..json.len()).step_by(7) {
        if json.is_char_boundary(end) {
            let error = Directory::new(&[("tokenizer.json", &json[..end])]).error();
            assert!(error.contains("tokenizer.json"), "{error}");
        }
    }
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert!(Directory::new(&[("tokenizer.json", pointer)]).error().contains("Git LFS pointer"));
    assert!(Directory::new(&[("tokenizer.json", &"[".repeat(100_000))]).error().contains("tokenizer.json"));
    let error = Directory::new(&[("config.json", "{}")]).error();
    for file in ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"] {
        assert!(error.contains(file), "{error}");
    }
    let files = [("tokenizer.json", json.as_str()), ("tokenizer_config.json", "[]")];
    assert!(Directory::new(&files).error().contains("tokenizer_config.json"));
    let huge = json.replace(r#""Hello":13"#, r#""Hello":4294967295"#);
    assert!(Directory::new(&[("tokenizer.json", &huge)]).error().contains("4294967295"));
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<i32> {
    encode_one(tokenizer, &input(text, None), options(0, false)).unwrap().ids
}

#[test]
fn bert_class_rewrites_the_normalizer() {
    let open_with = |normalizer: &str, config: &str| {
        let json = bert_json(normalizer, BERT_PROCESSOR);
        Directory::new(&[("tokenizer.json", json.as_str()), ("tokenizer_config.json", config)]).open()
    };
    let (cased, lowered, stripped) = ([2, 13, 11, 3], [2, 5, 11, 3], [2, 5, 12, 3]);
    let encode = |normalizer: &str, config: &str| ids(&open_with(normalizer, config), "Hello é");
    assert_eq!(encode(CASED_NORMALIZER, "{}"), cased);
    assert_eq!(
        encode(CASED_NORMALIZER, r#"{"tokenizer_class":"PreTrainedTokenizerFast","do_lower_case":true}"#),
        cased
    );
    // Missing values are the class's defaults: do_lower_case true, strip_accents null (as lowercase).
    assert_eq!(encode(CASED_NORMALIZER, r#"{"tokenizer_class":"BertTokenizer"}"#), stripped);
    assert_eq!(encode(BERT_NORMALIZER, r#"{"tokenizer_class":"BertTokenizerFast","do_lower_case":false}"#), cased);
    let config = r#"{"tokenizer_class":"DistilBertTokenizer","do_lower_case":true,"strip_accents":false}"#;
    assert_eq!(encode(BERT_NORMALIZER, config), lowered);
    let config = r#"{"tokenizer_class":"BertTokenizer","do_lower_case":true,"strip_accents":null}"#;
    assert_eq!(encode(CASED_NORMALIZER, config), stripped);
    // Any other normalizer stays.
    assert_eq!(encode(r#"{"type":"NFC"}"#, r#"{"tokenizer_class":"BertTokenizer"}"#), cased);
}

#[test]
fn lowercase_is_put_first_once() {
    for (normalizer, expected) in [("null", [2, 5, 3]), (r#"{"type":"NFC"}"#, [2, 5, 3]), (CASED_NORMALIZER, [2, 5, 3])]
    {
        let directory = Directory::new(&[("tokenizer.json", &bert_json(normalizer, BERT_PROCESSOR))]);
        assert_eq!(ids(&directory.open(), "Hello"), [2, 13, 3]);
        assert_eq!(ids(&open(&directory.0, true, false).unwrap().tokenizer, "Hello"), expected);
    }
    let directory = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]);
    let normalizer =
        |lowercase| format!("{:?}", open(&directory.0, lowercase, false).unwrap().tokenizer.get_normalizer());
    assert_eq!(normalizer(true), normalizer(false));
}

#[test]
fn vocab_txt_gives_a_bert_tokenizer() {
    let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\na\nb\n##a\n##b\né\ne\nHello\n";
    let plain = Directory::new(&[("vocab.txt", vocabulary)]).open();
    let json = Directory::new(&[("tokenizer.json", &bert_json(BERT_NORMALIZER, BERT_PROCESSOR))]).open();
    for text in ["Hello, é", "abab", "[CLS] a", "中"] {
        assert_eq!(ids(&plain, text), ids(&json, text), "{text}");
    }
    let pair = encode_one(&plain, &input("a", Some("b")), options(0, false)).unwrap();
    assert_eq!((pair.ids, pair.type_ids), (vec![2, 7, 3, 8, 3], vec![0, 0, 0, 1, 1]));
    let cased = [("vocab.txt", vocabulary), ("tokenizer_config.json", r#"{"do_lower_case":false}"#)];
    assert_eq!(ids(&Directory::new(&cased).open(), "Hello é [MASK]"), [2, 13, 11, 4, 3]);
    let crlf = vocabulary.replace('\n', "\r\n");
    assert_eq!(ids(&Directory::new(&[("vocab.txt", &crlf)]).open(), "Hello"), [2, 5, 3]);
    assert!(Directory::new(&[("vocab.txt", "a\nb\n")]).error().contains("'[UNK]'"));
    let japanese =
        [("vocab.txt", vocabulary), ("tokenizer_config.json", r#"{"tokenizer_class":"BertJapaneseTokenizer"}"#)];
    assert!(Directory::new(&japanese).error().contains("BertJapaneseTokenizer"));
    let added = [("vocab.txt", vocabulary), ("added_tokens.json", r#"{"<x>":14}"#)];
    assert_eq!(ids(&Directory::new(&added).open(), "a<x> b"), [2, 7, 14, 8, 3]);
}

#[test]
fn vocab_json_and_merges_give_a_roberta_tokenizer() {
    let vocabulary = r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"ab":6,"Ġ":7,"Ġab":8,"<mask>":9}"#;
    let files = [("vocab.json", vocabulary), ("merges.txt", "#version: 0.2\na b\nĠ ab\n")];
    let tokenizer = Directory::new(&files).open();
    let encoded = encode_one(&tokenizer, &input("ab ab <mask>", None), options(0, true)).unwrap();
    assert_eq!(encoded.ids, [0, 6, 8, 9, 2]);
    assert_eq!(encoded.special_tokens_mask, [1, 0, 0, 0, 1]);
    assert_eq!(encoded.offsets.unwrap(), [[0, 0], [0, 2], [3, 5], [6, 12], [0, 0]]);
    let pair = encode_one(&tokenizer, &input("a", Some("b")), options(0, false)).unwrap();
    assert_eq!((pair.ids, pair.type_ids), (vec![0, 4, 2, 2, 5, 2], vec![0; 6]));
    assert!(Directory::new(&[files[0], ("merges.txt", "#version: 0.2\nx y\n")]).error().contains("merges.txt"));
    assert!(Directory::new(&[("vocab.json", r#"{"a":"b"}"#), files[1]]).error().contains("vocab.json"));
}
