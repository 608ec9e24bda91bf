//! The part of the C ABI that serves the native tokenizer.

use std::ffi::c_char;

use crate::guard::guarded;
use crate::words::{Family, Words};
use crate::{give, slice, wde_tokenizer, CString};

#[repr(C)]
pub struct CWords {
    family: i32,
    tail: *const u32,
    tail_size: usize,
    ascii: [u8; 128],
    begins_added: [bool; 256],
}

impl From<&Words> for CWords {
    fn from(words: &Words) -> Self {
        Self {
            family: match words.family {
                Family::WordPiece => 1,
                Family::Unigram => 2,
            },
            tail: words.tail.as_ptr(),
            tail_size: words.tail.len(),
            ascii: words.ascii,
            begins_added: words.begins_added,
        }
    }
}

/// # Safety
/// As the header says; the same holds for all entries below.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_words_of(
    tokenizer: *const wde_tokenizer,
    words: *mut CWords,
    why_not: *mut CString,
) -> bool {
    match &unsafe { &*tokenizer }.0.words {
        Ok(known) => {
            unsafe { words.write(known.into()) };
            true
        }
        Err(reason) => {
            unsafe { give(why_not, reason.clone()) };
            false
        }
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_pieces(
    tokenizer: *const wde_tokenizer,
    words: *const c_char,
    length: usize,
    ids: *mut i32,
) -> i64 {
    let count = guarded(|| {
        let words = std::str::from_utf8(unsafe { slice(words.cast(), length) }).ok()?;
        let model = unsafe { &*tokenizer }.0.tokenizer.get_model();
        let mut count = 0;
        for word in words.split_terminator('\0') {
            let each = |id| {
                assert!(count < length, "words have more tokens than bytes");
                unsafe { ids.add(count).write(id as i32) }; // open() has checked the greatest id
                count += 1;
            };
            model.each_id(word, each).ok()?;
        }
        Some(count as i64)
    });
    count.ok().flatten().unwrap_or(-1)
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_may_hold_added(
    tokenizer: *const wde_tokenizer,
    text: *const c_char,
    length: usize,
) -> bool {
    let held = guarded(|| match &unsafe { &*tokenizer }.0.words {
        Ok(words) => words.may_hold_added(unsafe { slice(text.cast(), length) }),
        Err(_) => true,
    });
    held.unwrap_or(true)
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_word(
    tokenizer: *const wde_tokenizer,
    word: *const c_char,
    length: usize,
    ids: *mut i32,
    capacity: usize,
) -> i64 {
    let found = guarded(|| {
        let opened = &unsafe { &*tokenizer }.0;
        let words = opened.words.as_ref().ok()?;
        words.word_ids(&opened.tokenizer, unsafe { slice(word.cast(), length) })
    });
    match found {
        Ok(Some(found)) if found.len() <= capacity => {
            for (i, &id) in found.iter().enumerate() {
                unsafe { ids.add(i).write(id as i32) }; // open() has checked the greatest id
            }
            found.len() as i64
        }
        _ => -1,
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_is_utf8(text: *const c_char, length: usize) -> bool {
    std::str::from_utf8(unsafe { slice(text.cast(), length) }).is_ok()
}
