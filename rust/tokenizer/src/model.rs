//! The models of tokenizers. Those of the tokenizers crate, but for Unigram and WordPiece, whose vocabularies it keeps in
//! maps of maps and of strings: 250,000 pieces of Unigram took 650 MB and 1.5 s to load, where `Pieces` takes 20 MB.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokenizers::models::{bpe::BPE, wordlevel::WordLevel, TrainerWrapper};
use tokenizers::{
    DecoderWrapper, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Result, Token,
    TokenizerImpl,
};

use crate::pieces::Pieces;
use crate::unigram::Unigram;
use crate::word_piece::WordPiece;

pub type Tokenizer =
    TokenizerImpl<AnyModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

#[derive(Clone)]
pub enum AnyModel {
    Unigram(Unigram),
    WordPiece(WordPiece),
    Crate(Box<ModelWrapper>), // also those two where the vocabulary is an odd one
}

impl AnyModel {
    /// Its greatest id, and what `look` says of the spellings of its pieces. Of a large vocabulary both take some time.
    pub fn survey<T>(&self, look: impl FnOnce(&mut dyn Iterator<Item = &str>) -> T) -> (Option<u32>, T) {
        match self {
            Self::Crate(model) => {
                let vocabulary = model.get_vocab();
                (vocabulary.values().copied().max(), look(&mut vocabulary.keys().map(String::as_str)))
            }
            _ => {
                let pieces = self.pieces();
                let greatest = pieces.and_then(|pieces| (pieces.len() as u32).checked_sub(1));
                (greatest, look(&mut pieces.iter().flat_map(|pieces| pieces.iter())))
            }
        }
    }

    /// Calls `each` with the ids of the word's tokens.
    pub fn each_id(&self, word: &str, mut each: impl FnMut(u32)) -> Result<()> {
        match self {
            Self::Unigram(model) => model.each_token(word, |id, _| each(id)),
            Self::WordPiece(model) => model.each_token(word, |id, _| each(id)),
            Self::Crate(model) => {
                model.tokenize(word)?.iter().for_each(|token| each(token.id));
                Ok(())
            }
        }
    }

    fn pieces(&self) -> Option<&Pieces> {
        match self {
            Self::Unigram(model) => Some(model.pieces()),
            Self::WordPiece(model) => Some(model.pieces()),
            Self::Crate(_) => None,
        }
    }
}

impl<M: Into<ModelWrapper>> From<M> for AnyModel {
    fn from(model: M) -> Self {
        Self::Crate(Box::new(model.into()))
    }
}

impl Model for AnyModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, word: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut add = |id, text: &str, range: Range<usize>| {
            tokens.push(Token::new(id, text.to_owned(), (range.start, range.end)));
        };
        match self {
            Self::Unigram(model) => {
                model.each_token(word, |id, range| add(id, model.spelling(id, word, range.clone()), range))?
            }
            Self::WordPiece(model) => {
                model.each_token(word, |id, range| add(id, model.pieces().get(id).unwrap_or_default(), range))?
            }
            Self::Crate(model) => return model.tokenize(word),
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Crate(model) => model.token_to_id(token),
            _ => self.pieces()?.trie().find(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::Crate(model) => model.id_to_token(id),
            _ => self.pieces()?.get(id).map(str::to_owned),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Self::Crate(model) => model.get_vocab(),
            _ => self.pieces().map(|pieces| pieces.iter().map(str::to_owned).zip(0..).collect()).unwrap_or_default(),
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Self::Crate(model) => model.get_vocab_size(),
            _ => self.pieces().map_or(0, Pieces::len),
        }
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a tokenizer that serves is not saved".into())
    }

    fn get_trainer(&self) -> TrainerWrapper {
        unreachable!("a tokenizer that serves is not trained")
    }
}

// ---- "model" in tokenizer.json ----

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct UnigramFile {
    vocab: Vec<(String, f64)>,
    unk_id: Option<usize>,
    #[serde(default)]
    byte_fallback: bool,
}

#[derive(Deserialize)]
struct WordPieceFile {
    vocab: Vocabulary,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
}

/// An object's entries as they stand.
struct Vocabulary(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocabulary;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Vocabulary, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Vocabulary(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for AnyModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let kind = serde_json::from_str::<Kind>(text).ok().and_then(|kind| kind.kind);
        let ours = match kind.as_deref() {
            Some("Unigram") => serde_json::from_str(text).ok().and_then(|file: UnigramFile| {
                Some(Self::Unigram(Unigram::new(file.vocab, file.unk_id, file.byte_fallback)?))
            }),
            Some("WordPiece") => serde_json::from_str(text).ok().and_then(|file: WordPieceFile| {
                let (prefix, longest) = (file.continuing_subword_prefix, file.max_input_chars_per_word);
                Some(Self::WordPiece(WordPiece::new(&file.vocab.0, file.unk_token, prefix, longest)?))
            }),
            // Read at once where the kind is known; the crate would copy the whole file twice to find out.
            Some("BPE") => return serde_json::from_str::<BPE>(text).map(Self::from).map_err(D::Error::custom),
            Some("WordLevel") => {
                return serde_json::from_str::<WordLevel>(text).map(Self::from).map_err(D::Error::custom)
            }
            _ => None,
        };
        match ours {
            Some(model) => Ok(model),
            None => serde_json::from_str::<ModelWrapper>(text).map(Self::from).map_err(D::Error::custom),
        }
    }
}
