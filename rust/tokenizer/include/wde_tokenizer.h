/* C ABI of the Rust crate wde-tokenizer: Hugging Face tokenizers, read from a model's directory.
 *
 * Threads    A wde_tokenizer is immutable once opened: any number of threads may use one at the same time. A batch
 * belongs to its caller and may be read by several threads until it is freed. Ownership  What _open and _encode return
 * is freed with _close and _batch_free. A wde_tokenizer_string that was filled is freed with _string_free. Pointers
 * read from a batch live as long as the batch. Inputs are only read during the call. All free functions accept NULL.
 * Errors     No function aborts or unwinds into the caller: a Rust panic comes back as an error too. Messages are UTF-8
 *            sentences without a final full stop.
 */
#ifndef WDE_TOKENIZER_H_
#define WDE_TOKENIZER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wde_tokenizer wde_tokenizer;
typedef struct wde_tokenizer_batch wde_tokenizer_batch;

/* Bytes that Rust owns; not NUL-terminated, may hold NUL bytes. */
typedef struct wde_tokenizer_string {
  char* data;
  size_t length;
} wde_tokenizer_string;

typedef enum wde_tokenizer_status {
  WDE_TOKENIZER_OK = 0,
  WDE_TOKENIZER_INVALID_INPUT = 1, /* the text or the maximum length is wrong */
  WDE_TOKENIZER_INTERNAL = 2,      /* the tokenizer failed on this text */
  WDE_TOKENIZER_TOO_LONG = 3       /* longer than the maximum, and not to be cut */
} wde_tokenizer_status;

/* One text, or one pair of texts. Bytes, not NUL-terminated; NUL bytes are ordinary characters. A pointer may be NULL
 * if its length is 0. */
typedef struct wde_tokenizer_input {
  const char* text;
  size_t text_length;
  const char* pair;
  size_t pair_length;
  bool is_pair;
  bool no_special_tokens;
  uint8_t truncation; /* too long: 0 cut at the end, 1 cut at the beginning, 2 an error */
  size_t max_length;  /* 0: that of the call */
} wde_tokenizer_input;

/* What became of one input. If status is not WDE_TOKENIZER_OK, `error` holds the message and the rest is empty. */
typedef struct wde_tokenizer_encoding {
  int32_t status; /* wde_tokenizer_status */
  bool truncated;
  const char* error;
  size_t error_length;
  size_t size; /* tokens; the length of the arrays below */
  const int32_t* ids;
  const int32_t* type_ids;
  const uint8_t* special_tokens_mask; /* 1: added by the post-processor */
  const uint32_t* offsets; /* begin and end of each token in bytes of its text, 2 * size values; NULL if not wanted */
} wde_tokenizer_encoding;

/* Opens the tokenizer of a model directory: tokenizer.json, else vocab.txt (BERT), else vocab.json with merges.txt
 * (RoBERTa). The files beside it override it as they do in transformers (src/class.rs), unless it is taken `alone`.
 * `lowercase` puts a Lowercase normalizer first unless there is one. On failure returns NULL and fills *error. */
wde_tokenizer* wde_tokenizer_open(const char* directory, size_t directory_length, bool lowercase, bool alone,
                                  wde_tokenizer_string* error);
void wde_tokenizer_close(wde_tokenizer* tokenizer);

/* One more than the greatest id, added tokens included. */
size_t wde_tokenizer_vocabulary_size(const wde_tokenizer* tokenizer);

/* True: tokens that continue a word are spelled with a mark before them ("##ing"). */
bool wde_tokenizer_marks_words(const wde_tokenizer* tokenizer);

/* Fills *notes with what the user should know about the files, a sentence a line. */
void wde_tokenizer_notes(const wde_tokenizer* tokenizer, wde_tokenizer_string* notes);

/* The id of the token for what is unknown; -1 if there is none. */
int64_t wde_tokenizer_unknown(const wde_tokenizer* tokenizer);

/* Fills *token with the vocabulary's spelling of `id`; false if there is no such id (*token is then empty). */
bool wde_tokenizer_token(const wde_tokenizer* tokenizer, uint32_t id, wde_tokenizer_string* token);

/* Finds the id of a token as the vocabulary spells it; false if there is none. */
bool wde_tokenizer_id(const wde_tokenizer* tokenizer, const char* token, size_t length, uint32_t* id);

/* Fills *text with the decoded text, or with the error's message if it returns false. */
bool wde_tokenizer_decode(const wde_tokenizer* tokenizer, const uint32_t* ids, size_t count, bool skip_special_tokens,
                          wde_tokenizer_string* text);

/* Encodes `count` inputs on up to `threads` threads, the caller's included. Never padded. max_length counts special
 * tokens; 0: no truncation; else the longer part is cut first, at its end, and the special tokens stay. One bad input
 * does not disturb the others. Returns NULL and fills *error only if the whole call failed. */
wde_tokenizer_batch* wde_tokenizer_encode(const wde_tokenizer* tokenizer, const wde_tokenizer_input* inputs,
                                          size_t count, size_t max_length, bool want_offsets, size_t threads,
                                          wde_tokenizer_string* error);
wde_tokenizer_encoding wde_tokenizer_batch_at(const wde_tokenizer_batch* batch, size_t index);
void wde_tokenizer_batch_free(wde_tokenizer_batch* batch);

void wde_tokenizer_string_free(wde_tokenizer_string string);

/* ---- For the native tokenizer: what it must know to compute the ids of words by itself
 * --------------------------------
 *
 * A word is what stands between two blanks. In two families of tokenizers a text's tokens are those of its words, and
 * what a word of ASCII characters is normalized to follows from the tables below; src/words.rs says why. */

typedef enum wde_tokenizer_family { WDE_TOKENIZER_WORDPIECE = 1, WDE_TOKENIZER_UNIGRAM = 2 } wde_tokenizer_family;

/* What an ASCII character becomes: another one below 128, or one of these. */
enum {
  WDE_TOKENIZER_BLANK = 128,       /* parts words */
  WDE_TOKENIZER_DROPPED = 129,     /* nothing */
  WDE_TOKENIZER_PUNCTUATION = 130, /* WordPiece: itself, a word of its own */
  WDE_TOKENIZER_FOREIGN = 131      /* its word is not one of ASCII characters */
};

typedef struct wde_tokenizer_words {
  int32_t family;       /* wde_tokenizer_family */
  const uint32_t* tail; /* what a text that ends in a blank has behind its words; lives as long as the tokenizer */
  size_t tail_size;
  uint8_t ascii[128];
  bool begins_added[256]; /* a text with such a byte may hold an added token */
} wde_tokenizer_words;

/* False: this tokenizer is of neither family; *why_not says why. */
bool wde_tokenizer_words_of(const wde_tokenizer* tokenizer, wde_tokenizer_words* words, wde_tokenizer_string* why_not);

/* Writes the ids that the model gives to words as normalizers and pre-tokenizers leave them (Unigram: with U+2581 before
 * each), each with NUL behind it, and returns their number, which is at most `length`; -1: the crate words the error. */
int64_t wde_tokenizer_pieces(const wde_tokenizer* tokenizer, const char* words, size_t length, int32_t* ids);

/* For a text with one of begins_added: false if it holds no added token for certain. */
bool wde_tokenizer_may_hold_added(const wde_tokenizer* tokenizer, const char* text, size_t length);

/* Writes the ids of a word of any characters, and returns their number; -1 if they depend on what stands around the
 * word, if it is not UTF-8, or if there are more than `capacity`. The text must hold no added token. */
int64_t wde_tokenizer_word(const wde_tokenizer* tokenizer, const char* word, size_t length, int32_t* ids,
                           size_t capacity);

bool wde_tokenizer_is_utf8(const char* text, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* WDE_TOKENIZER_H_ */
