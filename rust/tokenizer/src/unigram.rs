//! Unigram as the tokenizers crate computes it (models/unigram/model.rs there): of all ways to cut a word into pieces the
//! one with the greatest sum of scores, and of equal ones the first that is found, from left to right and short to long.

use std::cell::RefCell;
use std::ops::Range;

use tokenizers::models::unigram::UnigramError;
use tokenizers::Result;

use crate::pieces::Pieces;
use crate::trie::ROOT;

/// An unknown character's score below that of the worst piece (K_UNK_PENALTY).
const PENALTY: f64 = 10.0;

#[derive(Clone)]
pub struct Unigram {
    pieces: Pieces,
    scores: Vec<f64>,
    unknown: Option<u32>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The best way to a place in the word.
#[derive(Clone, Copy)]
struct Node {
    score: f64,
    begin: u32, // of its last piece; NOWHERE: no way was found yet
    id: u32,
}
const NOWHERE: u32 = u32::MAX;
const KEPT: usize = 1 << 16; // nodes: 1 MB

/// Memory of a computation, used again for the next word unless that one was very long.
#[derive(Default)]
struct Scratch {
    nodes: Vec<Node>,                // by byte
    found: Vec<(Range<usize>, u32)>, // bytes and ids of the pieces, the last one first
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Unigram {
    /// None: not a vocabulary that Pieces can hold, or `unknown` is outside of it.
    pub fn new(vocabulary: Vec<(String, f64)>, unknown: Option<usize>, byte_fallback: bool) -> Option<Self> {
        if unknown.is_some_and(|id| id >= vocabulary.len()) {
            return None;
        }
        let worst = vocabulary.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        Some(Self {
            scores: vocabulary.iter().map(|(_, score)| *score).collect(),
            unknown: unknown.map(|id| id as u32),
            unknown_score: worst - PENALTY,
            byte_fallback,
            pieces: Pieces::new(vocabulary.iter().map(|(piece, _)| piece.as_str()))?,
        })
    }

    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Calls `token` with the id and the bytes of each of the word's tokens.
    pub fn each_token(&self, word: &str, mut token: impl FnMut(u32, Range<usize>)) -> Result<()> {
        let Ok(_) = u32::try_from(word.len()) else { return Err("the word is longer than 4 GiB".into()) };
        SCRATCH.with_borrow_mut(|scratch| {
            self.segment(word, scratch)?;
            for (range, id) in scratch.found.drain(..).rev() {
                if Some(id) != self.unknown {
                    token(id, range);
                    continue;
                }
                // Unknown characters side by side are one piece, which may be in the vocabulary after all.
                let text = &word[range.clone()];
                let known = self.pieces.trie().find(text);
                if known.is_some() || !self.spell(text, &range, &mut token) {
                    token(known.unwrap_or(id), range);
                }
            }
            if scratch.nodes.capacity() > KEPT {
                *scratch = Scratch::default();
            }
            Ok(())
        })
    }

    /// As one token a byte, if that is asked for and there are all of them.
    fn spell(&self, text: &str, range: &Range<usize>, token: &mut impl FnMut(u32, Range<usize>)) -> bool {
        let find = |byte| self.pieces.trie().find(&format!("<0x{byte:02X}>"));
        let ids = || text.bytes().map(find).collect::<Option<Vec<_>>>();
        let Some(ids) = self.byte_fallback.then(ids).flatten() else { return false };
        ids.into_iter().for_each(|id| token(id, range.clone()));
        true
    }

    /// Of a token of the word.
    pub fn spelling<'a>(&'a self, id: u32, word: &'a str, range: Range<usize>) -> &'a str {
        self.pieces.get(id).filter(|_| Some(id) != self.unknown).unwrap_or(&word[range])
    }

    fn segment(&self, word: &str, scratch: &mut Scratch) -> Result<()> {
        let Scratch { nodes, found } = scratch;
        nodes.clear();
        nodes.resize(word.len() + 1, Node { score: 0.0, begin: NOWHERE, id: 0 });
        found.clear();
        for (begin, c) in word.char_indices() {
            let score = nodes[begin].score;
            let mut single = false; // the character is a piece
            for (id, length) in self.pieces.trie().prefixes(ROOT, &word.as_bytes()[begin..]) {
                nodes[begin + length].offer(self.scores[id as usize] + score, begin, || Ok(id))?;
                single |= length == c.len_utf8();
            }
            if !single {
                let id = || self.unknown.ok_or(UnigramError::MissingUnkId);
                nodes[begin + c.len_utf8()].offer(self.unknown_score + score, begin, id)?;
            }
        }
        let mut end = word.len();
        while end > 0 {
            let Node { begin, id, .. } = nodes[end];
            match found.last_mut() {
                Some((range, last)) if *last == id && Some(id) == self.unknown => range.start = begin as usize,
                _ => found.push((begin as usize..end, id)),
            }
            end = begin as usize;
        }
        Ok(())
    }
}

impl Node {
    fn offer(
        &mut self,
        score: f64,
        begin: usize,
        id: impl FnOnce() -> std::result::Result<u32, UnigramError>,
    ) -> std::result::Result<(), UnigramError> {
        if self.begin == NOWHERE || score > self.score {
            *self = Node { score, begin: begin as u32, id: id()? };
        }
        Ok(())
    }
}
