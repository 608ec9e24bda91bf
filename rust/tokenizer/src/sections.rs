//! Long texts in sections, so that no more of one is read than is asked for and memory does not grow with it.
//!
//! A cut stands between an ASCII letter or digit and blanks that another one follows. No normalizer joins what is on its two
//! sides, pre-tokenizers part words there, and where no piece of the vocabulary holds a blank behind something else, no model
//! joins them either (`Cuts::of` looks). So the tokens before a cut are those of the text before it. Behind it a text may be
//! read on only in the families of words.rs, whose words have nothing to do with each other.

use std::ops::Range;

use tokenizers::Encoding;

use crate::encode::{encode_part, Failure};
use crate::model::Tokenizer;

/// Texts up to this size are read in one go.
const WHOLE: usize = 1 << 15;
/// Bytes a token that are read at first, and at most where there is no cut: nobody's tokens are that long on average.
const FEW_BYTES: usize = 16;
const MANY_BYTES: usize = 512;
/// More tokens than a cut inside a word can change.
const MARGIN: usize = 64;
/// What must be read in one go has at most this size; the crate takes some fifty times as much memory.
const LARGEST: usize = 4 << 20;
/// A run of so many blanks always ends a section: what it holds more than one of them is not read.
const LONG_RUN: usize = 64;

/// Where a tokenizer's texts may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cuts {
    Nowhere,
    Once,     // what follows a cut cannot be read by itself
    Anywhere, // it can
}

/// Which of a text's tokens are wanted. More may be given.
#[derive(Clone, Copy)]
pub enum Wanted {
    All,
    First(usize),
    Last(usize),
}

impl Cuts {
    /// `of_family`: it is of one of the families of words.rs.
    pub fn of<'a>(tokenizer: &Tokenizer, of_family: bool, mut vocabulary: impl Iterator<Item = &'a str>) -> Self {
        let blank = |c: char| matches!(c, ' ' | '\u{2581}' | '\u{120}'); // as texts, Metaspace and ByteLevel spell it
        let mut added = tokenizer.get_added_vocabulary().get_added_tokens_decoder().values();
        if added.any(|token| token.content.contains(blank)) {
            Self::Nowhere
        } else if of_family {
            Self::Anywhere
        } else if vocabulary.any(|piece| piece.trim_start_matches(blank).contains(blank)) {
            Self::Nowhere
        } else {
            Self::Once
        }
    }
}

/// The tokens of one part of an input, without special ones.
pub fn encode_text(
    tokenizer: &Tokenizer,
    cuts: Cuts,
    text: &str,
    type_id: u32,
    wanted: Wanted,
    want_offsets: bool,
) -> Result<Encoding, Failure> {
    let read = |range: Range<usize>, limit| {
        let section = &text[range.clone()];
        let encoding = encode_section(tokenizer, cuts, section, type_id, limit, want_offsets)?;
        Ok(if want_offsets && range.start > 0 { shifted(encoding, range.start) } else { encoding })
    };
    let sections = |text| Sections { text, at: 0, whole: cuts != Cuts::Anywhere };
    match wanted {
        Wanted::First(limit) => {
            let mut all = Encoding::default();
            for range in sections(text) {
                all.merge_with(read(range, Some(limit.saturating_sub(all.len())))?, false);
                if all.len() >= limit {
                    break;
                }
            }
            Ok(all)
        }
        Wanted::All => {
            let parts: Result<Vec<_>, _> = sections(text).map(|range| read(range, None)).collect();
            Ok(Encoding::merge(parts?, false))
        }
        Wanted::Last(limit) => {
            let ranges: Vec<_> = sections(text).collect();
            let (mut parts, mut count) = (Vec::new(), 0);
            for range in ranges.into_iter().rev() {
                let begin = floor_boundary(text, range.end.saturating_sub(limit.saturating_mul(MANY_BYTES)));
                let begin = if range.len() > WHOLE { begin.max(range.start) } else { range.start };
                parts.push(read(begin..range.end, None)?);
                count += parts.last().map_or(0, Encoding::len);
                if count >= limit {
                    break;
                }
            }
            parts.reverse();
            Ok(Encoding::merge(parts, false))
        }
    }
}

/// A section has no cut of its own in the families; in others it is the whole text, read up to ever later cuts until there
/// are enough tokens.
fn encode_section(
    tokenizer: &Tokenizer,
    cuts: Cuts,
    text: &str,
    type_id: u32,
    limit: Option<usize>,
    want_offsets: bool,
) -> Result<Encoding, Failure> {
    if let Some(limit) = limit {
        let most = limit.saturating_mul(MANY_BYTES);
        let mut size = WHOLE.max(limit.saturating_mul(FEW_BYTES));
        while size < text.len().min(LARGEST) {
            let at_blank = if cuts == Cuts::Once { last_cut(text, size) } else { None };
            let inside = (size >= most).then(|| floor_boundary(text, size));
            if let Some(end) = at_blank.or(inside) {
                let more = limit + if at_blank.is_some() { 1 } else { MARGIN };
                let encoding = encode_part(tokenizer, &text[..end], type_id, Some(more), want_offsets)?;
                if encoding.len() >= more {
                    return Ok(encoding);
                }
            }
            size *= 4;
        }
    }
    if text.len() > LARGEST {
        return Err(Failure::InvalidInput(format!(
            "the text has {} bytes in which no blank parts two words, or which make hardly any tokens; so much of a text is \
             not read in one piece, at most {LARGEST} bytes are: part it, or leave out what is no text",
            text.len()
        )));
    }
    encode_part(tokenizer, text, type_id, limit, want_offsets)
}

fn shifted(encoding: Encoding, by: usize) -> Encoding {
    Encoding::new(
        encoding.get_ids().to_vec(),
        encoding.get_type_ids().to_vec(),
        encoding.get_tokens().to_vec(),
        encoding.get_word_ids().to_vec(),
        encoding.get_offsets().iter().map(|&(begin, end)| (begin + by, end + by)).collect(),
        encoding.get_special_tokens_mask().to_vec(),
        encoding.get_attention_mask().to_vec(),
        Vec::new(),
        Default::default(),
    )
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The last cut in the second half of the first `size` bytes.
fn last_cut(text: &str, size: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let cut = |&at: &usize| {
        bytes[at] == b' ' && bytes[at - 1].is_ascii_alphanumeric() && bytes[at + 1].is_ascii_alphanumeric()
    };
    (size / 2..size.min(bytes.len() - 1)).rev().find(cut)
}

/// A text's sections, each at least WHOLE bytes long if the text is. What is left out between them are blanks.
struct Sections<'a> {
    text: &'a str,
    at: usize,
    whole: bool, // the text is one section
}

impl Iterator for Sections<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let (bytes, begin) = (self.text.as_bytes(), self.at);
        if begin >= bytes.len() && begin > 0 {
            return None;
        }
        self.at = bytes.len().max(1);
        if self.whole || bytes.len() - begin <= WHOLE {
            return Some(begin..bytes.len());
        }
        let mut begin = begin;
        let mut at = begin;
        while at < bytes.len() {
            if bytes[at] != b' ' {
                at += 1;
                continue;
            }
            let run = at;
            while at < bytes.len() && bytes[at] == b' ' {
                at += 1;
            }
            let long = at - run >= LONG_RUN;
            let after = bytes.get(at).is_none_or(u8::is_ascii_alphanumeric);
            if run == 0 && long && after {
                begin = at - 1;
            } else if run > begin && bytes[run - 1].is_ascii_alphanumeric() && after {
                if at == bytes.len() {
                    return Some(begin..run + 1);
                }
                if long || run - begin >= WHOLE {
                    self.at = at - 1;
                    return Some(begin..run);
                }
            }
        }
        Some(begin..bytes.len())
    }
}
