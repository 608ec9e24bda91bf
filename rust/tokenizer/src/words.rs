//! What the native tokenizer (src/tokenizer/ of the engine) knows about a tokenizer, all of it asked of the crate itself.
//!
//! Its rule: in the two families below, the tokens of a text are those of its words, and a word is what stands between two
//! ASCII blanks. It normalizes words of ASCII characters by itself, has the model cut them into pieces, and has `word_ids`
//! give the others. Why that holds:
//!
//! - WordPiece: BertNormalizer and Lowercase treat each character by itself, but for canonical ordering, which does not reach
//!   across a blank; BertPreTokenizer parts words at blanks.
//! - Unigram: `Precompiled` treats each grapheme by itself. A grapheme holds a blank and something else only where the
//!   neighbour joins it (a combining mark behind, a prepended mark before): `word_ids` refuses such words. Behind it, runs of
//!   blanks become one (Replace) or part words (WhitespaceSplit), and Metaspace begins each word with U+2581. Words that begin
//!   or end in what becomes a blank or U+2581, or that vanish, are refused as well.

use serde_json::json;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};
use unicode_segmentation::UnicodeSegmentation;

use crate::encode::encode_part;
use crate::model::{AnyModel, Tokenizer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    WordPiece,
    Unigram,
}

/// What an ASCII character becomes: itself or another one (below 128), or one of these.
pub const BLANK: u8 = 128; // parts words
pub const DROPPED: u8 = 129;
pub const PUNCTUATION: u8 = 130; // a word of its own, unchanged
pub const FOREIGN: u8 = 131; // as a character outside of ASCII: its word is asked for

#[derive(Debug)]
pub struct Words {
    pub family: Family,
    pub ascii: [u8; 128],
    pub tail: Vec<u32>,            // what a text that ends in a blank has more than without
    pub begins_added: [bool; 256], // bytes that an added token may begin with
    literal: Vec<String>,          // added tokens that the raw text is searched for
    normalized: Vec<char>,         // first characters of those that the normalized text is searched for
}

impl Words {
    /// Err: why this tokenizer is of no known family.
    pub fn of(tokenizer: &Tokenizer) -> Result<Self, String> {
        let mut words = match tokenizer.get_model() {
            AnyModel::WordPiece(_) => {
                check_bert(tokenizer)?;
                Self::new(Family::WordPiece)
            }
            AnyModel::Unigram(_) => {
                check_metaspace(tokenizer)?;
                Self::new(Family::Unigram)
            }
            AnyModel::Crate(_) => return Err("its model is neither WordPiece nor Unigram, or an odd one".into()),
        };
        check_post_processor(tokenizer)?;
        words.read_ascii(tokenizer)?;
        words.read_added(tokenizer)?;
        if words.family == Family::Unigram {
            let without = ids(tokenizer, "a")?;
            let with = ids(tokenizer, "a ")?;
            words.tail =
                with.strip_prefix(&without[..]).ok_or("a blank at the end changes the word before it")?.to_vec();
        }
        Ok(words)
    }

    fn new(family: Family) -> Self {
        Self {
            family,
            ascii: [FOREIGN; 128],
            tail: Vec::new(),
            begins_added: [false; 256],
            literal: Vec::new(),
            normalized: Vec::new(),
        }
    }

    fn read_ascii(&mut self, tokenizer: &Tokenizer) -> Result<(), String> {
        for byte in 1..128u8 {
            let c = char::from(byte).to_string();
            let normal = self.map_characters(tokenizer, &c)?;
            let blank = |c: char| if self.family == Family::WordPiece { c.is_whitespace() } else { c == ' ' };
            self.ascii[usize::from(byte)] = match normal.as_bytes() {
                [] => DROPPED,
                [_] if normal.chars().all(blank) => BLANK,
                [_] if self.family == Family::WordPiece && parts_words(tokenizer, &c)? => {
                    if normal != c {
                        return Err(format!("its normalizer changes the punctuation {c:?}"));
                    }
                    PUNCTUATION
                }
                // Other white space may part words or not, which its neighbours decide.
                [one] if (1..128).contains(one) && !normal.chars().all(char::is_whitespace) => *one,
                _ => FOREIGN,
            };
        }
        // The one grapheme of two ASCII characters.
        let line_end = self.map_characters(tokenizer, "\r\n")?;
        let blanks = !line_end.is_empty() && line_end.chars().all(char::is_whitespace);
        if !blanks || self.ascii[usize::from(b'\r')] != BLANK || self.ascii[usize::from(b'\n')] != BLANK {
            return Err("its normalizer does not make blanks of line ends".into());
        }
        if self.ascii[usize::from(b' ')] != BLANK {
            return Err("its normalizer changes blanks".into());
        }
        Ok(())
    }

    fn read_added(&mut self, tokenizer: &Tokenizer) -> Result<(), String> {
        let vocabulary = tokenizer.get_added_vocabulary();
        if vocabulary.get_encode_special_tokens() {
            return Err("it does not look for special tokens in texts".into());
        }
        for token in vocabulary.get_added_tokens_decoder().values() {
            if token.normalized {
                let normal = normalize(tokenizer.get_normalizer(), &token.content)?;
                // Bytes of the text that may become its first one.
                let Some(first) = normal.bytes().next().filter(u8::is_ascii_graphic) else {
                    return Err(format!("its added token {:?} does not begin with an ASCII character", token.content));
                };
                for byte in 0..128u8 {
                    let becomes = self.ascii[usize::from(byte)];
                    let itself = becomes == PUNCTUATION || becomes == FOREIGN;
                    self.begins_added[usize::from(byte)] |= becomes == first || (itself && byte == first);
                }
                self.normalized.push(char::from(first));
            } else if let Some(&first) = token.content.as_bytes().first() {
                if self.ascii.get(usize::from(first)).is_some_and(|&becomes| becomes == BLANK) {
                    return Err(format!("its added token {:?} begins with a blank", token.content));
                }
                self.begins_added[usize::from(first)] = true;
                self.literal.push(token.content.clone());
            }
        }
        Ok(())
    }

    /// The normalizer without what comes behind the mapping of characters in Unigram's family.
    fn map_characters(&self, tokenizer: &Tokenizer, text: &str) -> Result<String, String> {
        let normalizers = normalizers(tokenizer.get_normalizer());
        match self.family {
            Family::WordPiece => normalize(tokenizer.get_normalizer(), text),
            Family::Unigram => normalize(normalizers.first().copied(), text),
        }
    }

    /// Whether added tokens may be found in a text that holds one of `begins_added`.
    pub fn may_hold_added(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return true };
        !self.normalized.is_empty() || self.literal.iter().any(|token| text.contains(token.as_str()))
    }

    /// The ids of a word in any text that holds it between two blanks, or at its ends. None: they depend on the text around
    /// it, or it is not UTF-8. The word must hold no literal added token, as the caller has seen.
    pub fn word_ids(&self, tokenizer: &Tokenizer, word: &[u8]) -> Option<Vec<u32>> {
        let word = std::str::from_utf8(word).ok()?;
        if !self.normalized.is_empty() {
            let normal = normalize(tokenizer.get_normalizer(), word).ok()?;
            if normal.contains(&self.normalized[..]) {
                return None;
            }
        }
        if self.family == Family::Unigram {
            let mapped = self.map_characters(tokenizer, word).ok()?;
            let joins = |c: char| c.is_whitespace() || c == '\u{2581}';
            if joins(mapped.chars().next()?) || joins(mapped.chars().next_back()?) {
                return None;
            }
            let framed = format!(" {word} ");
            let mut graphemes = framed.graphemes(true);
            if graphemes.next() != Some(" ") || graphemes.next_back() != Some(" ") {
                return None;
            }
        }
        ids(tokenizer, word).ok()
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
    let encoding = encode_part(tokenizer, text, 0, None, false).map_err(|failure| format!("{failure:?}"))?;
    Ok(encoding.get_ids().to_vec())
}

fn normalize(normalizer: Option<&NormalizerWrapper>, text: &str) -> Result<String, String> {
    let mut normalized = NormalizedString::from(text);
    if let Some(normalizer) = normalizer {
        normalizer.normalize(&mut normalized).map_err(|error| error.to_string())?;
    }
    Ok(normalized.get().to_owned())
}

fn normalizers(normalizer: Option<&NormalizerWrapper>) -> Vec<&NormalizerWrapper> {
    match normalizer {
        None => Vec::new(),
        Some(NormalizerWrapper::Sequence(all)) => all.as_ref().iter().flat_map(|one| normalizers(Some(one))).collect(),
        Some(one) => vec![one],
    }
}

fn pre_tokenizers(pre_tokenizer: Option<&PreTokenizerWrapper>) -> Vec<&PreTokenizerWrapper> {
    match pre_tokenizer {
        None => Vec::new(),
        Some(PreTokenizerWrapper::Sequence(all)) => {
            all.as_ref().iter().flat_map(|one| pre_tokenizers(Some(one))).collect()
        }
        Some(one) => vec![one],
    }
}

/// Whether `c` makes three words of one when it stands in it.
fn parts_words(tokenizer: &Tokenizer, c: &str) -> Result<bool, String> {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};
    let mut words = PreTokenizedString::from(format!("a{c}b"));
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut words).map_err(|error| error.to_string())?;
    }
    Ok(words.get_splits(OffsetReferential::Original, OffsetType::None).len() == 3)
}

fn check_bert(tokenizer: &Tokenizer) -> Result<(), String> {
    match normalizers(tokenizer.get_normalizer())[..] {
        [NormalizerWrapper::BertNormalizer(_)]
        | [NormalizerWrapper::Lowercase(_), NormalizerWrapper::BertNormalizer(_)] => {}
        _ => return Err("its normalizer is not BertNormalizer alone".into()),
    }
    match pre_tokenizers(tokenizer.get_pre_tokenizer())[..] {
        [PreTokenizerWrapper::BertPreTokenizer(_)] => Ok(()),
        _ => Err("its pre-tokenizer is not BertPreTokenizer".into()),
    }
}

fn check_metaspace(tokenizer: &Tokenizer) -> Result<(), String> {
    let normalizers = normalizers(tokenizer.get_normalizer());
    let Some((NormalizerWrapper::Precompiled(_), rest)) = normalizers.split_first().map(|(first, rest)| (*first, rest))
    else {
        return Err("its normalizer does not begin with Precompiled".into());
    };
    let rest: Vec<_> = rest.iter().map(|one| serde_json::to_value(one).unwrap_or_default()).collect();
    let replace = |content: &str| json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": content});
    let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
    let collapses = rest == [replace(" ")] || rest == [strip, replace("\u{2581}")];
    if !collapses && !rest.is_empty() {
        return Err("its normalizers behind Precompiled are others than those that make one blank of several".into());
    }
    let pre_tokenizers = pre_tokenizers(tokenizer.get_pre_tokenizer());
    let (splits, metaspace) = match pre_tokenizers[..] {
        [PreTokenizerWrapper::Metaspace(metaspace)] => (false, metaspace),
        [PreTokenizerWrapper::WhitespaceSplit(_), PreTokenizerWrapper::Metaspace(metaspace)] => (true, metaspace),
        _ => return Err("its pre-tokenizer is not Metaspace, with or without WhitespaceSplit before it".into()),
    };
    if !splits && !collapses {
        return Err("several blanks are not the same as one to it".into());
    }
    let known = metaspace.get_replacement() == '\u{2581}'
        && metaspace.get_prepend_scheme() == PrependScheme::Always
        && metaspace.get_split();
    known.then_some(()).ok_or_else(|| "its Metaspace has other settings than U+2581, always, split".into())
}

fn check_post_processor(tokenizer: &Tokenizer) -> Result<(), String> {
    match tokenizer.get_post_processor() {
        None
        | Some(PostProcessorWrapper::Bert(_))
        | Some(PostProcessorWrapper::Roberta(_))
        | Some(PostProcessorWrapper::Template(_)) => Ok(()),
        _ => Err("its post-processor is none of Template, Bert, Roberta".into()),
    }
}
