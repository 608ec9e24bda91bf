//! The pieces of a vocabulary with the ids 0, 1, 2, …: their texts in one string, and a trie that finds them.

use crate::trie::Trie;

#[derive(Clone)]
pub struct Pieces {
    text: String,
    ends: Vec<u32>, // of each piece in `text`
    trie: Trie,
}

impl Pieces {
    /// None: there are none, or one is empty or occurs twice.
    pub fn new<'a>(pieces: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for piece in pieces {
            text.push_str(piece);
            ends.push(u32::try_from(text.len()).ok()?);
        }
        text.shrink_to_fit();
        ends.shrink_to_fit();
        let trie = Trie::new((0..ends.len()).map(|id| (piece_of(&text, &ends, id), id as u32)).collect())?;
        (!ends.is_empty()).then_some(Self { text, ends, trie })
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, id: u32) -> Option<&str> {
        ((id as usize) < self.ends.len()).then(|| piece_of(&self.text, &self.ends, id as usize))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|id| piece_of(&self.text, &self.ends, id))
    }

    pub fn trie(&self) -> &Trie {
        &self.trie
    }
}

fn piece_of<'a>(text: &'a str, ends: &[u32], id: usize) -> &'a str {
    let begin = if id == 0 { 0 } else { ends[id - 1] as usize };
    &text[begin..ends[id] as usize]
}
