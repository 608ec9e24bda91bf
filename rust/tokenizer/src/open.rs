//! Opening the tokenizer of a model directory, with what transformers does on top of tokenizer.json.

use std::path::Path;

use tokenizers::normalizers::utils::{Lowercase, Sequence};
use tokenizers::{ModelWrapper, NormalizerWrapper};

use crate::config::Config;
use crate::files::{cannot, exists, read_file, Message};
use crate::model::{AnyModel, Tokenizer};
use crate::sections::Cuts;
use crate::words::Words;
use crate::{class, legacy};

/// A tokenizer that nobody changes any more.
pub struct Opened {
    pub tokenizer: Tokenizer,
    pub vocabulary_size: usize,       // greatest id + 1
    pub words: Result<Words, String>, // Err: why it is of none of the families that the native tokenizer knows
    pub marks_words: bool,            // by a prefix of the tokens inside of words ("##")
    pub unknown: Option<u32>,
    pub notes: Vec<String>, // what the user should know about these files
    pub cuts: Cuts,         // of long texts
}

/// `alone`: tokenizer.json as it is, as a StaticEmbedding reads it, without the files beside it.
pub fn open(directory: &Path, lowercase: bool, alone: bool) -> Result<Opened, Message> {
    // The threads are ours (encode.rs): no global pool, whatever TOKENIZERS_PARALLELISM says.
    tokenizers::parallelism::set_parallelism(false);

    let config = if alone { Config::default() } else { Config::read(directory)? };
    class::refuse_python_class(&config)?;
    let mut notes = Vec::new();
    let there = |name: &str| exists(&directory.join(name));
    let json = directory.join("tokenizer.json");
    let (mut tokenizer, source) = if exists(&json) {
        let mut tokenizer = read_tokenizer_json(&json)?;
        if !alone {
            notes = class::apply(&mut tokenizer, &config)?;
        }
        (tokenizer, json)
    } else if there("vocab.txt") {
        (legacy::bert(directory, &config)?, directory.join("vocab.txt"))
    } else if there("vocab.json") && there("merges.txt") {
        (legacy::roberta(directory, &config)?, directory.join("vocab.json"))
    } else {
        return Err(no_tokenizer(directory));
    };
    // Lengths are an argument of each call, and nothing is ever padded.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| cannot(&source, &error))?;
    if lowercase {
        prepend_lowercase(&mut tokenizer).map_err(|error| cannot(&source, &error))?;
    }

    let added = tokenizer.get_added_vocabulary().get_vocab().values().copied().max();
    let words = Words::of(&tokenizer);
    let (greatest, cuts) = tokenizer.get_model().survey(|pieces| Cuts::of(&tokenizer, words.is_ok(), pieces));
    let Some(greatest) = greatest.max(added) else {
        return Err(cannot(&source, &"its vocabulary is empty"));
    };
    if i32::try_from(greatest).is_err() {
        return Err(cannot(&source, &format!("it has the token id {greatest}, ids go up to {}", i32::MAX)));
    }
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
    let unknown = config.special_token("unk_token").or(unknown);
    let unknown = tokenizer.token_to_id(unknown.as_deref().unwrap_or("<unk>"));
    Ok(Opened { tokenizer, vocabulary_size: greatest as usize + 1, words, marks_words, unknown, notes, cuts })
}

fn no_tokenizer(directory: &Path) -> Message {
    let place = directory.display();
    let foreign = [
        "sentencepiece.bpe.model",
        "spiece.model",
        "tokenizer.model",
        "spm.model",
        "sentencepiece.model",
        "tekken.json",
        "tiktoken.model",
        "bpe.codes",
    ];
    match foreign.iter().find(|name| exists(&directory.join(name))) {
        Some(name) => format!(
            "there is no tokenizer.json in {place}, and {name} must be converted first: python3 -c \"from transformers import \
             AutoTokenizer; AutoTokenizer.from_pretrained('{place}').save_pretrained('{place}')\" writes one"
        ),
        None => format!(
            "there is no tokenizer in {place}: looked for tokenizer.json, vocab.txt (BERT), and vocab.json with merges.txt \
             (RoBERTa)"
        ),
    }
}

fn read_tokenizer_json(path: &Path) -> Result<Tokenizer, Message> {
    let bytes = read_file(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        cannot(path, &format!("it is not a valid tokenizer file: {error} ({} bytes read)", bytes.len()))
    })
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
