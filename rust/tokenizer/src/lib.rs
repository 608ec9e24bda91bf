//! The C ABI; include/wde_tokenizer.h documents it. Every entry is guarded: panics come back as errors.

mod class;
mod config;
mod encode;
mod files;
mod guard;
mod legacy;
mod model;
#[cfg(test)]
mod model_tests;
mod open;
mod pieces;
mod sections;
#[cfg(test)]
mod sections_tests;
#[cfg(test)]
mod tests;
mod trie;
mod unigram;
mod word_piece;
mod words;
mod words_c;

use std::ffi::{c_char, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

use encode::{encode_batch, Encoded, Failure, Input, Options, Truncation};
use guard::guarded;

#[allow(non_camel_case_types)]
pub struct wde_tokenizer(pub(crate) open::Opened);
#[allow(non_camel_case_types)]
pub struct wde_tokenizer_batch(Vec<Result<Encoded, Failure>>);

#[repr(C)]
pub struct CString {
    data: *mut c_char,
    length: usize,
}

#[repr(C)]
pub struct CInput {
    text: *const c_char,
    text_length: usize,
    pair: *const c_char,
    pair_length: usize,
    is_pair: bool,
    no_special_tokens: bool,
    truncation: u8,
    max_length: usize,
}

#[repr(C)]
pub struct CEncoding {
    status: i32,
    truncated: bool,
    error: *const c_char,
    error_length: usize,
    size: usize,
    ids: *const i32,
    type_ids: *const i32,
    special_tokens_mask: *const u8,
    offsets: *const u32,
}

const OK: i32 = 0;
const INVALID_INPUT: i32 = 1;
const INTERNAL: i32 = 2;
const TOO_LONG: i32 = 3;

impl CEncoding {
    const EMPTY: CEncoding = CEncoding {
        status: OK,
        truncated: false,
        error: null(),
        error_length: 0,
        size: 0,
        ids: null(),
        type_ids: null(),
        special_tokens_mask: null(),
        offsets: null(),
    };
}

/// # Safety
/// `data` points to `length` readable items that outlive 'a; it may be null if there are none.
unsafe fn slice<'a, T>(data: *const T, length: usize) -> &'a [T] {
    if length == 0 {
        return &[];
    }
    assert!(!data.is_null(), "a null pointer was given for {length} items");
    unsafe { std::slice::from_raw_parts(data, length) }
}

/// # Safety
/// `out` is null or writable; what it held before is not freed.
unsafe fn give(out: *mut CString, text: String) {
    if out.is_null() {
        return;
    }
    let length = text.len();
    let data =
        if length == 0 { null_mut() } else { Box::into_raw(text.into_bytes().into_boxed_slice()) as *mut c_char };
    unsafe { out.write(CString { data, length }) };
}

/// # Safety
/// As the header says; the same holds for all entries below.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_open(
    directory: *const c_char,
    directory_length: usize,
    lowercase: bool,
    alone: bool,
    error: *mut CString,
) -> *mut wde_tokenizer {
    let mut name = String::new();
    let opened = guarded(|| {
        let directory = Path::new(OsStr::from_bytes(unsafe { slice(directory.cast(), directory_length) }));
        name = directory.display().to_string();
        open::open(directory, lowercase, alone)
    });
    // The crate's own checks are not complete: a damaged file may panic in it.
    let opened = opened.unwrap_or_else(|panic| Err(format!("cannot load the tokenizer from {name}: {panic}")));
    match opened {
        Ok(opened) => Box::into_raw(Box::new(wde_tokenizer(opened))),
        Err(message) => {
            unsafe { give(error, message) };
            null_mut()
        }
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_close(tokenizer: *mut wde_tokenizer) {
    if !tokenizer.is_null() {
        let _ = guarded(|| drop(unsafe { Box::from_raw(tokenizer) }));
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_vocabulary_size(tokenizer: *const wde_tokenizer) -> usize {
    guarded(|| unsafe { &*tokenizer }.0.vocabulary_size).unwrap_or(0)
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_marks_words(tokenizer: *const wde_tokenizer) -> bool {
    guarded(|| unsafe { &*tokenizer }.0.marks_words).unwrap_or(false)
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_unknown(tokenizer: *const wde_tokenizer) -> i64 {
    guarded(|| unsafe { &*tokenizer }.0.unknown.map_or(-1, i64::from)).unwrap_or(-1)
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_notes(tokenizer: *const wde_tokenizer, notes: *mut CString) {
    let text = guarded(|| unsafe { &*tokenizer }.0.notes.join("\n")).unwrap_or_default();
    unsafe { give(notes, text) };
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_token(tokenizer: *const wde_tokenizer, id: u32, token: *mut CString) -> bool {
    let found = guarded(|| unsafe { &*tokenizer }.0.tokenizer.id_to_token(id)).unwrap_or(None);
    let exists = found.is_some();
    unsafe { give(token, found.unwrap_or_default()) };
    exists
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_id(
    tokenizer: *const wde_tokenizer,
    token: *const c_char,
    length: usize,
    id: *mut u32,
) -> bool {
    let found = guarded(|| {
        let token = std::str::from_utf8(unsafe { slice(token.cast(), length) }).ok()?;
        unsafe { &*tokenizer }.0.tokenizer.token_to_id(token)
    });
    match found.unwrap_or(None) {
        Some(found) => {
            unsafe { id.write(found) };
            true
        }
        None => false,
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_decode(
    tokenizer: *const wde_tokenizer,
    ids: *const u32,
    count: usize,
    skip_special_tokens: bool,
    text: *mut CString,
) -> bool {
    let decoded = guarded(|| unsafe { (*tokenizer).0.tokenizer.decode(slice(ids, count), skip_special_tokens) });
    let (ok, string) = match decoded {
        Ok(Ok(string)) => (true, string),
        Ok(Err(error)) => (false, format!("cannot decode the ids: {error}")),
        Err(panic) => (false, format!("cannot decode the ids: {panic}")),
    };
    unsafe { give(text, string) };
    ok
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_encode(
    tokenizer: *const wde_tokenizer,
    inputs: *const CInput,
    count: usize,
    max_length: usize,
    want_offsets: bool,
    threads: usize,
    error: *mut CString,
) -> *mut wde_tokenizer_batch {
    let batch = guarded(|| {
        let to_input = |input: &CInput| unsafe {
            Input {
                text: slice(input.text.cast(), input.text_length),
                pair: input.is_pair.then(|| slice(input.pair.cast(), input.pair_length)),
                max_length: input.max_length,
                truncation: match input.truncation {
                    1 => Truncation::Left,
                    2 => Truncation::Refuse,
                    _ => Truncation::Right,
                },
                special_tokens: !input.no_special_tokens,
            }
        };
        let inputs: Vec<Input> = unsafe { slice(inputs, count) }.iter().map(to_input).collect();
        let opened = unsafe { &(*tokenizer).0 };
        encode_batch(&opened.tokenizer, &inputs, Options { max_length, want_offsets, threads, cuts: opened.cuts })
    });
    match batch {
        Ok(batch) => Box::into_raw(Box::new(wde_tokenizer_batch(batch))),
        Err(panic) => {
            unsafe { give(error, format!("the tokenizer failed: {panic}")) };
            null_mut()
        }
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_batch_at(batch: *const wde_tokenizer_batch, index: usize) -> CEncoding {
    const NO_SUCH: &str = "the batch has no such text";
    let failed = |status: i32, message: &str| CEncoding {
        status,
        error: message.as_ptr().cast(),
        error_length: message.len(),
        ..CEncoding::EMPTY
    };
    let view = guarded(|| match unsafe { &*batch }.0.get(index) {
        None => failed(INTERNAL, NO_SUCH),
        Some(Err(Failure::InvalidInput(message))) => failed(INVALID_INPUT, message),
        Some(Err(Failure::Internal(message))) => failed(INTERNAL, message),
        Some(Err(Failure::TooLong(message))) => failed(TOO_LONG, message),
        Some(Ok(encoded)) => CEncoding {
            truncated: encoded.truncated,
            size: encoded.ids.len(),
            ids: encoded.ids.as_ptr(),
            type_ids: encoded.type_ids.as_ptr(),
            special_tokens_mask: encoded.special_tokens_mask.as_ptr(),
            offsets: encoded.offsets.as_ref().map_or(null(), |offsets| offsets.as_ptr().cast()),
            ..CEncoding::EMPTY
        },
    });
    view.unwrap_or_else(|_| failed(INTERNAL, NO_SUCH))
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_batch_free(batch: *mut wde_tokenizer_batch) {
    if !batch.is_null() {
        let _ = guarded(|| drop(unsafe { Box::from_raw(batch) }));
    }
}

/// # Safety
/// See the header.
#[no_mangle]
pub unsafe extern "C" fn wde_tokenizer_string_free(string: CString) {
    if !string.data.is_null() {
        let bytes = std::ptr::slice_from_raw_parts_mut(string.data.cast::<u8>(), string.length);
        let _ = guarded(|| drop(unsafe { Box::from_raw(bytes) }));
    }
}
