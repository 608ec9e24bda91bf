//! The pieces of a vocabulary as a trie over bytes, in one array (a double array, after Aoe): a step is an addition, a load
//! and a comparison.

pub const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;
const BYTES: usize = 256;

#[derive(Clone, Copy)]
struct Unit {
    base: u32,   // its children are at base + byte
    parent: u32, // NONE: free
    id: u32,     // NONE: no piece ends here
}
const FREE: Unit = Unit { base: 0, parent: NONE, id: NONE };

#[derive(Clone)]
pub struct Trie {
    units: Vec<Unit>,
    first_free: usize, // or one before it
    end: usize,        // behind the last one in use
}

/// Pieces that begin with the same `depth` bytes: the children of `node` come from them.
struct Branch<'a, 'b> {
    pieces: &'b [(&'a str, u32)],
    depth: usize,
    node: u32,
}

impl Trie {
    /// None: a piece is empty or occurs twice.
    pub fn new(mut pieces: Vec<(&str, u32)>) -> Option<Self> {
        pieces.sort_unstable();
        let twice = pieces.windows(2).any(|two| two[0].0 == two[1].0);
        if twice || pieces.first().is_some_and(|(piece, _)| piece.is_empty()) {
            return None;
        }
        let mut trie = Self { units: vec![FREE; 2 * BYTES], first_free: 1, end: 1 };
        trie.units[ROOT as usize].parent = ROOT; // in use; bases begin with 1, so it is nobody's child
        let mut branches = vec![Branch { pieces: &pieces, depth: 0, node: ROOT }];
        while let Some(mut branch) = branches.pop() {
            // The one that ends here comes first.
            if let Some((_, id)) = branch.pieces.first().filter(|(piece, _)| piece.len() == branch.depth) {
                trie.units[branch.node as usize].id = *id;
                branch.pieces = &branch.pieces[1..];
            }
            let byte = |&(piece, _): &(&str, u32)| piece.as_bytes()[branch.depth];
            let same: Vec<_> = branch.pieces.chunk_by(|a, b| byte(a) == byte(b)).collect();
            if same.is_empty() {
                continue;
            }
            let bytes: Vec<u8> = same.iter().map(|pieces| byte(&pieces[0])).collect();
            let base = trie.find_base(&bytes)?;
            trie.units[branch.node as usize].base = base;
            for (pieces, byte) in same.into_iter().zip(bytes) {
                let child = base + u32::from(byte);
                trie.units[child as usize].parent = branch.node;
                branches.push(Branch { pieces, depth: branch.depth + 1, node: child });
            }
        }
        trie.units.truncate(trie.end + BYTES); // a step stays inside
        trie.units.shrink_to_fit();
        Some(trie)
    }

    /// A base with a free unit for each of the bytes, which ascend. None: there are too many units.
    fn find_base(&mut self, bytes: &[u8]) -> Option<u32> {
        // Regions that are nearly full are not searched again and again, what is free there stays so; and a search ends,
        // whatever a file holds.
        const MANY: usize = 128;
        const TOO_MANY: usize = 4096;
        while self.units[self.first_free].parent != NONE {
            self.first_free += 1;
        }
        let mut base = self.first_free.saturating_sub(usize::from(bytes[0])).max(1);
        for tries in 1.. {
            if self.units.len() < base + 2 * BYTES {
                self.units.resize(2 * (base + 2 * BYTES), FREE);
            }
            if bytes.iter().all(|&byte| self.units[base + usize::from(byte)].parent == NONE) {
                break;
            }
            if tries == MANY {
                self.first_free = self.first_free.max(base);
            }
            base = if tries < TOO_MANY { base + 1 } else { self.end };
        }
        self.end = self.end.max(base + usize::from(*bytes.last()?) + 1);
        u32::try_from(base + BYTES).ok().filter(|&end| end < NONE).map(|_| base as u32)
    }

    pub fn step(&self, node: u32, byte: u8) -> Option<u32> {
        let child = self.units[node as usize].base + u32::from(byte);
        (self.units[child as usize].parent == node).then_some(child)
    }

    pub fn walk(&self, text: &str) -> Option<u32> {
        text.bytes().try_fold(ROOT, |node, byte| self.step(node, byte))
    }

    pub fn find(&self, piece: &str) -> Option<u32> {
        let id = self.units[self.walk(piece)? as usize].id;
        (id != NONE).then_some(id)
    }

    /// Id and length of every piece that the text behind `node` begins with, the shortest first.
    pub fn prefixes<'a>(&'a self, mut node: u32, text: &'a [u8]) -> impl Iterator<Item = (u32, usize)> + 'a {
        let mut bytes = text.iter().enumerate();
        std::iter::from_fn(move || loop {
            let (at, &byte) = bytes.next()?;
            node = self.step(node, byte)?;
            let id = self.units[node as usize].id;
            if id != NONE {
                return Some((id, at + 1));
            }
        })
    }
}
