//! Encoding with a maximum length that is an argument of the call, so that one tokenizer serves all threads unchanged.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{Encoding, Model, OffsetType, PostProcessor, PreTokenizer};

use crate::guard::guarded;
use crate::model::Tokenizer;
use crate::sections::{encode_text, Cuts, Wanted};

/// Texts below this size are not worth a thread of their own.
const BYTES_PER_THREAD: usize = 4096;
/// How many tokens more than allowed are counted before a text is refused.
const COUNTED: usize = 1 << 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    InvalidInput(String),
    TooLong(String),
    Internal(String),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<i32>,
    pub type_ids: Vec<i32>,
    pub special_tokens_mask: Vec<u8>,
    pub offsets: Option<Vec<[u32; 2]>>,
    pub truncated: bool,
}

/// One text or pair; bytes that need not be UTF-8.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub text: &'a [u8],
    pub pair: Option<&'a [u8]>,
    pub max_length: usize, // 0: that of the call
    pub truncation: Truncation,
    pub special_tokens: bool,
}

/// What becomes of an input that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    Right,
    Left,
    Refuse,
}

#[derive(Clone, Copy)]
pub struct Options {
    pub max_length: usize, // 0: none
    pub want_offsets: bool,
    pub threads: usize,
    pub cuts: Cuts,
}

/// What the crate takes at most for a byte of text: a token with its offsets, its spelling and the alignments of what it
/// was made from. Measured: up to 300, with a token a byte, and vectors grow by doubling.
const MEMORY_PER_BYTE: usize = 384;

/// A failed allocation inside of the crate ends the process; so a text has an error of its own where there is not as
/// much memory as it may take.
fn require_memory(input: &Input) -> Result<(), Failure> {
    let bytes = input.text.len() + input.pair.map_or(0, <[u8]>::len);
    let mut room = Vec::<u8>::new();
    let reserved = room.try_reserve_exact(bytes.saturating_mul(MEMORY_PER_BYTE));
    std::hint::black_box(&room); // else the compiler finds that nobody uses it
    reserved.map_err(|_| {
        Failure::Internal(format!(
            "out of memory: a text of {bytes} bytes may take {MEMORY_PER_BYTE} times as much while it is tokenized"
        ))
    })
}

pub fn encode_batch(tokenizer: &Tokenizer, inputs: &[Input], options: Options) -> Vec<Result<Encoded, Failure>> {
    let encode = |input: &Input| {
        guarded(|| require_memory(input).and_then(|()| encode_one(tokenizer, input, options)))
            .unwrap_or_else(|message| Err(Failure::Internal(format!("the tokenizer failed on this text: {message}"))))
    };
    let bytes: usize = inputs.iter().map(|input| input.text.len() + input.pair.map_or(0, <[u8]>::len)).sum();
    let threads = options.threads.min(inputs.len()).min(bytes / BYTES_PER_THREAD + 1);
    if threads <= 1 {
        return inputs.iter().map(encode).collect();
    }
    // Texts differ in length: each thread takes the next one when it is done with its last.
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((index, input)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, inputs.get(i)?)))
        {
            done.push((index, encode(input)));
        }
        done
    };
    let mut results: Vec<Option<Result<Encoded, Failure>>> = inputs.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        // If the system gives no thread, those that run (at least this one) do its share.
        let others: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_default());
        }
        for (index, result) in done {
            results[index] = Some(result);
        }
    });
    let lost = || Err(Failure::Internal("the thread that tokenized this text died".into()));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

/// The tokens that `truncate_encodings` (longest first, right, stride 0) leaves of the whole text, post-processed. That is
/// what the Python wheels give; the crate 0.23.2 with truncation set in the tokenizer differs in one case: if both parts are
/// longer than max_length and an odd number of tokens stays, it gives the odd one to a part by lengths that it has cut.
pub fn encode_one(tokenizer: &Tokenizer, input: &Input, options: Options) -> Result<Encoded, Failure> {
    let text = utf8(input.text, if input.pair.is_some() { "the pair's first text" } else { "the text" })?;
    let pair = input.pair.map(|bytes| utf8(bytes, "the pair's second text")).transpose()?;
    let max_length = if input.max_length == 0 { options.max_length } else { input.max_length };
    let processor = tokenizer.get_post_processor().filter(|_| input.special_tokens);
    let special = processor.map_or(0, |processor| processor.added_tokens(pair.is_some()));
    if max_length != 0 && max_length < special {
        let what = if pair.is_some() { "pair" } else { "text" };
        return Err(Failure::InvalidInput(format!(
            "the maximum length of {max_length} tokens is too small: this model adds {special} special tokens to a {what}"
        )));
    }

    let part =
        |text, type_id, wanted| encode_text(tokenizer, options.cuts, text, type_id, wanted, options.want_offsets);
    let enough = max_length + COUNTED;
    let cut_right = max_length != 0 && input.truncation == Truncation::Right;
    let wanted = match input.truncation {
        _ if max_length == 0 => Wanted::All,
        Truncation::Right => Wanted::First(max_length),
        // Of two it must show which one is longer.
        Truncation::Left => Wanted::Last(if pair.is_some() { enough } else { max_length + 1 }),
        Truncation::Refuse => Wanted::First(enough),
    };
    let mut first = part(text, 0, wanted)?;
    let mut second = pair.map(|pair| part(pair, 1, wanted)).transpose()?;
    let mut truncated = false;
    if max_length != 0 {
        let room = max_length - special;
        let mut lengths = (first.len(), second.as_ref().map_or(0, Encoding::len));
        // A length of max_length or more may be that of a part that encode_part has cut already. Which one of two such
        // parts is longer decides where the odd token goes.
        if let (true, Some(pair)) = (cut_right && room % 2 == 1 && lengths.0.min(lengths.1) >= max_length, pair) {
            let count = |text, type_id| Ok(part(text, type_id, Wanted::First(enough))?.len().min(enough));
            lengths = (count(text, 0)?, count(pair, 1)?);
        }
        let keep = longest_first(lengths, room);
        truncated = keep != lengths;
        if truncated && input.truncation == Truncation::Refuse {
            let more_than = if lengths.0.max(lengths.1) >= enough { "more than " } else { "" };
            return Err(Failure::TooLong(format!(
                "the input has {more_than}{} tokens, at most {max_length} are allowed; ask for truncation to have it cut",
                lengths.0 + lengths.1 + special
            )));
        }
        // Likewise where no special token needs room and one part fills all of it.
        if !truncated && cut_right && special == 0 && lengths.0.max(lengths.1) == max_length {
            let longest = if lengths.0 == max_length { text } else { pair.unwrap_or("") };
            truncated = part(longest, 0, Wanted::First(max_length + 1))?.len() > max_length;
        }
        let left = input.truncation == Truncation::Left;
        first = cut(first, keep.0, left);
        second = second.map(|second| cut(second, keep.1, left));
    }

    let encoding = tokenizer.post_process(first, second, input.special_tokens).map_err(internal)?;
    if max_length != 0 && encoding.len() > max_length {
        return Err(Failure::Internal(format!(
            "the tokenizer's post-processor made {} tokens where at most {max_length} were announced",
            encoding.len()
        )));
    }
    Ok(Encoded {
        ids: encoding.get_ids().iter().map(|&id| id as i32).collect(), // open() has checked the greatest id
        type_ids: encoding.get_type_ids().iter().map(|&id| id as i32).collect(),
        special_tokens_mask: encoding.get_special_tokens_mask().iter().map(|&flag| flag as u8).collect(),
        offsets: options
            .want_offsets
            .then(|| encoding.get_offsets().iter().map(|&(begin, end)| [begin as u32, end as u32]).collect()),
        truncated,
    })
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Failure> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Failure::InvalidInput(format!("{what} is too long: {} bytes, at most {}", bytes.len(), u32::MAX)));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        Failure::InvalidInput(format!(
            "{what} is not valid UTF-8: bad byte 0x{:02X} at position {position}",
            bytes[position]
        ))
    })
}

fn internal(error: tokenizers::Error) -> Failure {
    Failure::Internal(format!("the tokenizer failed on this text: {error}"))
}

/// One part without special tokens; stops after the word that reaches `limit` tokens, to spare the rest of a long text.
pub fn encode_part(
    tokenizer: &Tokenizer,
    text: &str,
    type_id: u32,
    limit: Option<usize>,
    want_offsets: bool,
) -> Result<Encoding, Failure> {
    let mut words = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut words).map_err(internal)?;
    }
    let truncation = limit.map(|limit| (limit, TruncationDirection::Right));
    tokenizer.get_model().tokenize_in_pretokenized(&mut words, truncation).map_err(internal)?;
    let offsets = if want_offsets { OffsetType::Byte } else { OffsetType::None };
    let mut encoding = words.into_encoding(None, type_id, offsets).map_err(internal)?;
    if !want_offsets {
        // Without offsets the crate loses the type id too; it matters where there is no post-processor.
        encoding.set_type_ids(vec![type_id; encoding.len()]);
    }
    Ok(encoding)
}

/// How many tokens of each part stay when both together may have `room`: the shorter part stays whole if it fits into half
/// of the room, else both get half of it (the longer one, or the second if they are equal, gets an odd token more).
fn longest_first((first, second): (usize, usize), room: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let shorter = first.min(second).min(room / 2);
    if first > second {
        (room - shorter, shorter)
    } else {
        (shorter, room - shorter)
    }
}

/// The first `length` tokens, or the last. Unlike Encoding::truncate this does not keep the rest as overflowing encodings,
/// which post-processing would multiply with those of the other part.
fn cut(encoding: Encoding, length: usize, left: bool) -> Encoding {
    if encoding.len() <= length {
        return encoding;
    }
    let kept = if left { encoding.len() - length..encoding.len() } else { 0..length };
    Encoding::new(
        encoding.get_ids()[kept.clone()].to_vec(),
        encoding.get_type_ids()[kept.clone()].to_vec(),
        encoding.get_tokens()[kept.clone()].to_vec(),
        encoding.get_word_ids()[kept.clone()].to_vec(),
        encoding.get_offsets()[kept.clone()].to_vec(),
        encoding.get_special_tokens_mask()[kept.clone()].to_vec(),
        encoding.get_attention_mask()[kept].to_vec(),
        Vec::new(),
        Default::default(),
    )
}
