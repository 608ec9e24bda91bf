//! Opening the tokenizer of a model directory, with what transformers does on top of tokenizer.json.

use std::path::Path;

use serde_json::Value;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::normalizers::utils::{Lowercase, Sequence};
use tokenizers::{ModelWrapper, NormalizerWrapper};

use crate::legacy;
use crate::model::{AnyModel, Tokenizer};
use crate::words::Words;

pub type Message = String;

/// Classes whose constructor writes do_lower_case, strip_accents and tokenize_chinese_chars into a BertNormalizer, whatever
/// tokenizer.json says; the last field: whether the third one too.
const BERT_CLASSES: [(&str, bool); 6] = [
    ("BertTokenizer", true),
    ("DistilBertTokenizer", true),
    ("ElectraTokenizer", true),
    ("MobileBertTokenizer", true),
    ("ConvBertTokenizer", true),
    ("MPNetTokenizer", false),
];

/// A tokenizer that nobody changes any more.
pub struct Opened {
    pub tokenizer: Tokenizer,
    pub vocabulary_size: usize,       // greatest id + 1
    pub words: Result<Words, String>, // Err: why it is of none of the families that the native tokenizer knows
    pub marks_words: bool,            // by a prefix of the tokens inside of words ("##")
    pub unknown: Option<u32>,
}

pub fn open(directory: &Path, lowercase: bool) -> Result<Opened, Message> {
    // The threads are ours (encode.rs): no global pool, whatever TOKENIZERS_PARALLELISM says.
    tokenizers::parallelism::set_parallelism(false);

    let config = Config::read(directory)?;
    let json = directory.join("tokenizer.json");
    let (mut tokenizer, source) = if json.exists() {
        let mut tokenizer = read_tokenizer_json(&json)?;
        apply_bert_config(&mut tokenizer, &config).map_err(|error| cannot(&json, &error))?;
        (tokenizer, json)
    } else if directory.join("vocab.txt").exists() {
        (legacy::bert(directory, &config)?, directory.join("vocab.txt"))
    } else if directory.join("vocab.json").exists() && directory.join("merges.txt").exists() {
        (legacy::roberta(directory, &config)?, directory.join("vocab.json"))
    } else {
        return Err(format!(
            "there is no tokenizer in {}: looked for tokenizer.json, vocab.txt (BERT), and vocab.json with merges.txt (RoBERTa)",
            directory.display()
        ));
    };
    // Lengths are an argument of each call, and nothing is ever padded.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| cannot(&source, &error))?;
    if lowercase {
        prepend_lowercase(&mut tokenizer).map_err(|error| cannot(&source, &error))?;
    }

    let added = tokenizer.get_added_vocabulary().get_vocab().values().copied().max();
    let Some(greatest) = tokenizer.get_model().greatest_id().max(added) else {
        return Err(cannot(&source, &"its vocabulary is empty"));
    };
    if i32::try_from(greatest).is_err() {
        return Err(cannot(&source, &format!("it has the token id {greatest}, ids go up to {}", i32::MAX)));
    }
    let words = Words::of(&tokenizer);
    let (marks_words, unknown) = match tokenizer.get_model() {
        AnyModel::WordPiece(model) => (!model.prefix.is_empty(), Some(model.unknown.clone())),
        AnyModel::Crate(model) => match &**model {
            ModelWrapper::WordPiece(model) => {
                (!model.continuing_subword_prefix.is_empty(), Some(model.unk_token.clone()))
            }
            ModelWrapper::BPE(model) => {
                let prefix = model.continuing_subword_prefix.as_ref();
                (prefix.is_some_and(|prefix| !prefix.is_empty()), model.unk_token.clone())
            }
            _ => (false, None),
        },
        _ => (false, None),
    };
    let unknown = config.special_token("unk_token", unknown.as_deref().unwrap_or("<unk>"));
    let unknown = tokenizer.token_to_id(&unknown);
    Ok(Opened { tokenizer, vocabulary_size: greatest as usize + 1, words, marks_words, unknown })
}

pub fn cannot(path: &Path, why: &dyn std::fmt::Display) -> Message {
    format!("cannot load the tokenizer from {}: {why}", path.display())
}

pub fn read_file(path: &Path) -> Result<Vec<u8>, Message> {
    let bytes = std::fs::read(path).map_err(|error| cannot(path, &error))?;
    if bytes.is_empty() {
        return Err(cannot(path, &"the file is empty (0 bytes)"));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(cannot(path, &"it is a Git LFS pointer, not the file itself (`git lfs pull` fetches it)"));
    }
    Ok(bytes)
}

pub fn read_json(path: &Path) -> Result<Value, Message> {
    serde_json::from_slice(&read_file(path)?).map_err(|error| cannot(path, &format!("it is not valid JSON: {error}")))
}

fn read_tokenizer_json(path: &Path) -> Result<Tokenizer, Message> {
    let bytes = read_file(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        cannot(path, &format!("it is not a valid tokenizer file: {error} ({} bytes read)", bytes.len()))
    })
}

/// tokenizer_config.json (and special_tokens_map.json), as far as they matter; both may be missing.
#[derive(Default)]
pub struct Config {
    values: serde_json::Map<String, Value>,
    special_tokens: serde_json::Map<String, Value>,
    file: std::path::PathBuf,
}

impl Config {
    pub fn read(directory: &Path) -> Result<Self, Message> {
        let object = |name: &str| -> Result<serde_json::Map<String, Value>, Message> {
            let path = directory.join(name);
            if !path.exists() {
                return Ok(Default::default());
            }
            match read_json(&path)? {
                Value::Object(object) => Ok(object),
                _ => Err(cannot(&path, &"expected a JSON object")),
            }
        };
        Ok(Self {
            values: object("tokenizer_config.json")?,
            special_tokens: object("special_tokens_map.json")?,
            file: directory.join("tokenizer_config.json"),
        })
    }

    /// tokenizer_class without "Fast"; "" if there is none.
    pub fn class(&self) -> &str {
        let class = self.values.get("tokenizer_class").and_then(Value::as_str).unwrap_or("");
        class.strip_suffix("Fast").unwrap_or(class)
    }

    /// None: missing or null.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Message> {
        match self.values.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(cannot(&self.file, &format!("'{key}' must be true, false or null, found {other}"))),
        }
    }

    /// The spelling of "cls_token" and the like: a string, or an object with "content".
    pub fn special_token(&self, key: &str, default: &str) -> String {
        let find = |map: &serde_json::Map<String, Value>| {
            let value = map.get(key)?;
            Some(value.as_str().or_else(|| value.get("content")?.as_str())?.to_owned())
        };
        find(&self.values).or_else(|| find(&self.special_tokens)).unwrap_or_else(|| default.to_owned())
    }
}

fn apply_bert_config(tokenizer: &mut Tokenizer, config: &Config) -> Result<(), Message> {
    let Some((_, with_chinese)) = BERT_CLASSES.iter().find(|(class, _)| *class == config.class()) else {
        return Ok(());
    };
    let Some(NormalizerWrapper::BertNormalizer(old)) = tokenizer.get_normalizer() else { return Ok(()) };
    // A missing value is the constructor's default; strip_accents' default is null, "as lowercase".
    let chinese = config.flag("tokenize_chinese_chars")?.unwrap_or(true);
    let new = BertNormalizer::new(
        old.clean_text,
        if *with_chinese { chinese } else { old.handle_chinese_chars },
        config.flag("strip_accents")?,
        config.flag("do_lower_case")?.unwrap_or(true),
    );
    let same = (old.handle_chinese_chars, old.strip_accents, old.lowercase)
        == (new.handle_chinese_chars, new.strip_accents, new.lowercase);
    if !same {
        tokenizer.with_normalizer(Some(new)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn lowercases(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().any(lowercases),
        _ => false,
    }
}

fn prepend_lowercase(tokenizer: &mut Tokenizer) -> tokenizers::Result<()> {
    let mut chain = vec![NormalizerWrapper::Lowercase(Lowercase)];
    if let Some(normalizer) = tokenizer.get_normalizer() {
        if lowercases(normalizer) {
            return Ok(());
        }
        chain.push(normalizer.clone());
    }
    tokenizer.with_normalizer(Some(Sequence::new(chain)))?;
    Ok(())
}
