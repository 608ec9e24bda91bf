//! WordPiece as the tokenizers crate computes it (models/wordpiece/mod.rs there): the longest piece that fits, again and
//! again; if none does, the whole word is unknown.

use std::cell::RefCell;
use std::ops::Range;

use tokenizers::models::wordpiece::Error;
use tokenizers::Result;

use crate::pieces::Pieces;
use crate::trie::ROOT;

#[derive(Clone)]
pub struct WordPiece {
    pieces: Pieces,
    inside: Option<u32>, // where the trie goes on behind the prefix
    unknown_id: Option<u32>,
    pub unknown: String,
    pub prefix: String, // of pieces that continue a word
    longest: usize,     // words of more characters are unknown
}

thread_local! {
    static FOUND: RefCell<Vec<(u32, usize)>> = RefCell::default(); // memory, used again for the next word
}

impl WordPiece {
    /// None: the ids are not 0, 1, 2, … in some order, or it is not a vocabulary that Pieces can hold.
    pub fn new(vocabulary: &[(String, u32)], unknown: String, prefix: String, longest: usize) -> Option<Self> {
        let mut by_id = vec![None; vocabulary.len()];
        for (piece, id) in vocabulary {
            *by_id.get_mut(*id as usize)? = Some(piece.as_str());
        }
        let by_id = by_id.into_iter().collect::<Option<Vec<_>>>()?;
        let pieces = Pieces::new(by_id.into_iter())?;
        let (inside, unknown_id) = (pieces.trie().walk(&prefix), pieces.trie().find(&unknown));
        Some(Self { pieces, inside, unknown_id, unknown, prefix, longest })
    }

    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Calls `token` with the id and the bytes of each of the word's tokens.
    pub fn each_token(&self, word: &str, mut token: impl FnMut(u32, Range<usize>)) -> Result<()> {
        FOUND.with_borrow_mut(|found| {
            if self.cut(word, found) {
                let mut begin = 0;
                for &(id, end) in &*found {
                    token(id, begin..end);
                    begin = end;
                }
            } else {
                token(self.unknown_id.ok_or(Error::MissingUnkToken)?, 0..word.len());
            }
            Ok(())
        })
    }

    /// Ids and ends of the pieces. False: the word is too long, or none fits somewhere.
    fn cut(&self, word: &str, found: &mut Vec<(u32, usize)>) -> bool {
        found.clear();
        if word.len() > self.longest && word.chars().count() > self.longest {
            return false;
        }
        let (mut begin, mut node) = (0, Some(ROOT));
        while begin < word.len() {
            let Some(from) = node else { return false };
            let Some((id, length)) = self.pieces.trie().prefixes(from, &word.as_bytes()[begin..]).last() else {
                return false;
            };
            begin += length;
            found.push((id, begin));
            node = self.inside;
        }
        true
    }
}
