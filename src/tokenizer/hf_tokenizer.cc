#include "tokenizer/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

namespace wde {
namespace {

struct Free {
  void operator()(wde_tokenizer_batch* batch) const { wde_tokenizer_batch_free(batch); }
};
using BatchHandle = std::unique_ptr<wde_tokenizer_batch, Free>;

Error invalid(std::string message) { return Error{ErrorCode::kInvalidInput, std::move(message)}; }

// What a text alone may have, beside its marker; 0: any number. More than the model reads is asked for only by who
// wants to see all of a text's tokens (the engine refuses it where the model computes): then no side has a limit.
size_t limit_of(const TokenizeJob& job, size_t max_length) {
  size_t limit = job.options.max_length == 0 ? max_length : job.options.max_length;
  if (!job.frame || job.options.max_length > max_length) return limit;
  if (job.frame->max_length != 0 && (limit == 0 || job.frame->max_length < limit)) limit = job.frame->max_length;
  return job.frame->marker && limit > 1 ? limit - 1 : limit;
}

// Tokens of a marker that is text are special ones, and places are counted from its end.
void take_marker_off(uint32_t bytes, Sequence& sequence) {
  for (size_t i = 0; i < sequence.offsets.size(); ++i) {
    Offset& offset = sequence.offsets[i];
    if (sequence.special_tokens_mask[i] != 0) continue;
    if (offset.end <= bytes) {
      sequence.special_tokens_mask[i] = 1;
      offset = {};
    } else {
      offset = {std::max(offset.begin, bytes) - bytes, offset.end - bytes};
    }
  }
  sequence.text.erase(0, bytes);
}

void add_frame(const TokenFrame& frame, size_t max_length, Sequence& sequence) {
  const auto insert = [&](size_t at, size_t count, int32_t id) {
    const auto put = [&](auto& to, auto value) {
      to.insert(to.begin() + static_cast<std::ptrdiff_t>(at), count, value);
    };
    put(sequence.ids, id);
    put(sequence.type_ids, 0);
    put(sequence.special_tokens_mask, uint8_t{1});
    if (!sequence.offsets.empty()) put(sequence.offsets, Offset{});
  };
  if (frame.marker_bytes > 0 && !sequence.offsets.empty())
    take_marker_off(static_cast<uint32_t>(frame.marker_bytes), sequence);
  if (frame.marker) insert(std::min<size_t>(1, sequence.size()), 1, *frame.marker);
  const size_t fill_to = max_length == 0 ? frame.fill_to : std::min(frame.fill_to, max_length);
  if (sequence.size() >= fill_to) return;
  const size_t filled = fill_to - sequence.size();
  insert(sequence.size(), filled, frame.fill_id);
  if (!frame.fill_is_seen) sequence.unseen = filled;
}

ErrorCode code_of(int32_t status) {
  switch (status) {
    case WDE_TOKENIZER_INVALID_INPUT:
      return ErrorCode::kInvalidInput;
    case WDE_TOKENIZER_TOO_LONG:
      return ErrorCode::kTooLong;
    default:
      return ErrorCode::kInternal;
  }
}

Result<Sequence> to_result(const wde_tokenizer_encoding& encoding, const TokenizeJob& job, size_t max_length) {
  if (encoding.status != WDE_TOKENIZER_OK) {
    return Error{code_of(encoding.status), std::string(encoding.error, encoding.error_length)};
  }
  Sequence sequence;
  const size_t size = encoding.size;
  sequence.ids.assign(encoding.ids, encoding.ids + size);
  sequence.type_ids.assign(encoding.type_ids, encoding.type_ids + size);
  sequence.special_tokens_mask.assign(encoding.special_tokens_mask, encoding.special_tokens_mask + size);
  if (encoding.offsets != nullptr) {
    sequence.offsets.reserve(size);
    for (size_t i = 0; i < size; ++i)
      sequence.offsets.push_back({encoding.offsets[2 * i], encoding.offsets[2 * i + 1]});
    if (!job.is_pair) sequence.text = job.text;
  }
  sequence.prompt_tokens = job.prompt_tokens;
  sequence.truncated = encoding.truncated;
  sequence.side = job.side;
  sequence.options = job.options;
  if (job.frame) add_frame(*job.frame, max_length, sequence);
  return sequence;
}

wde_tokenizer_input to_input(const TokenizeJob& job, size_t max_length, bool special_tokens) {
  return {job.text.data(),
          job.text.size(),
          job.text_pair.data(),
          job.text_pair.size(),
          job.is_pair,
          !special_tokens,
          static_cast<uint8_t>(job.options.truncation),
          limit_of(job, max_length)};
}

void append(Sequence& whole, const Sequence& part) {
  const auto add = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  add(whole.ids, part.ids);
  add(whole.type_ids, part.type_ids);
  add(whole.special_tokens_mask, part.special_tokens_mask);
  add(whole.offsets, part.offsets);
  whole.truncated |= part.truncated;
}

Sequence take_image(const TokenizeJob& job) {
  Sequence sequence;
  sequence.ids = job.ids;
  sequence.type_ids.assign(job.ids.size(), 0);
  sequence.special_tokens_mask.assign(job.ids.size(), 1);
  sequence.image = job.image;
  sequence.options = job.options;
  return sequence;
}

}  // namespace

HfTokenizer::HfTokenizer(const TokenizerConfig& config)
    : threads_(config.threads), special_tokens_(config.special_tokens) {
  RustString error;
  tokenizer_.reset(wde_tokenizer_open(config.directory.data(), config.directory.size(), config.lowercase, config.alone,
                                      error.out()));
  if (!tokenizer_) throw LoadError(error.str());
  vocabulary_size_ = wde_tokenizer_vocabulary_size(tokenizer_.get());
}

std::vector<Result<Sequence>> HfTokenizer::encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                                  bool want_offsets) const {
  std::vector<wde_tokenizer_input> inputs;
  inputs.reserve(jobs.size());
  for (const TokenizeJob& job : jobs) {
    if (!job.has_ids && job.pieces.empty() && !job.image) inputs.push_back(to_input(job, max_length, special_tokens_));
  }

  BatchHandle batch;
  RustString error;
  if (!inputs.empty()) {
    batch.reset(wde_tokenizer_encode(tokenizer_.get(), inputs.data(), inputs.size(), max_length, want_offsets, threads_,
                                     error.out()));
  }

  std::vector<Result<Sequence>> results;
  results.reserve(jobs.size());
  size_t next = 0;
  for (const TokenizeJob& job : jobs) {
    if (job.image) {
      results.emplace_back(take_image(job));
    } else if (job.has_ids) {
      results.push_back(take_ids(job, max_length, want_offsets));
    } else if (!job.pieces.empty()) {
      results.push_back(encode_pieces(job, max_length, want_offsets));
    } else if (batch) {
      results.push_back(to_result(wde_tokenizer_batch_at(batch.get(), next++), job, max_length));
    } else {
      results.emplace_back(Error{ErrorCode::kInternal, error.str()});
    }
  }
  return results;
}

std::string HfTokenizer::token(int32_t id) const {
  RustString token;
  if (id >= 0) wde_tokenizer_token(tokenizer_.get(), static_cast<uint32_t>(id), token.out());
  return token.str();
}

std::optional<int32_t> HfTokenizer::id(std::string_view token) const {
  uint32_t id = 0;
  if (!wde_tokenizer_id(tokenizer_.get(), token.data(), token.size(), &id)) return std::nullopt;
  return static_cast<int32_t>(id);
}

std::vector<std::string> HfTokenizer::notes() const {
  RustString lines;
  wde_tokenizer_notes(tokenizer_.get(), lines.out());
  std::vector<std::string> notes;
  std::istringstream text(lines.str());
  for (std::string line; std::getline(text, line);) notes.push_back(line);
  return notes;
}

Result<std::string> HfTokenizer::decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  if (auto error = outside(ids)) return *error;
  const std::vector<uint32_t> unsigned_ids(ids.begin(), ids.end());
  RustString text;
  const bool ok =
      wde_tokenizer_decode(tokenizer_.get(), unsigned_ids.data(), ids.size(), skip_special_tokens, text.out());
  if (!ok) return Error{ErrorCode::kInternal, text.str()};
  return text.str();
}

// Of a template's text: no special tokens are added. `max_length` 0: none.
Result<Sequence> HfTokenizer::encode_text(std::string_view text, const TokenizeJob& job, size_t max_length,
                                          bool want_offsets) const {
  wde_tokenizer_input input = {text.data(), text.size(), nullptr, 0, false, true, 0, 0};
  input.truncation = static_cast<uint8_t>(job.options.truncation);
  RustString error;
  const BatchHandle batch(wde_tokenizer_encode(tokenizer_.get(), &input, 1, max_length, want_offsets, 1, error.out()));
  if (!batch) return Error{ErrorCode::kInternal, error.str()};
  return to_result(wde_tokenizer_batch_at(batch.get(), 0), job, max_length);
}

size_t HfTokenizer::count(std::string_view text, const TokenizeJob& job) const {
  if (text.empty()) return 0;
  const auto sequence = encode_text(text, job, 0, false);
  return sequence.ok() ? sequence.value().size() : 0;
}

// Of a piece that was cut to its first `kept` tokens.
bool HfTokenizer::keeps_document(const TemplatePiece& piece, const TokenizeJob& job, size_t kept) const {
  const std::string_view text = piece.text;
  // Alone, what stands before the document may be a token more than with it.
  if (count(text.substr(0, piece.document.begin), job) + 1 < kept) return true;
  const auto sequence = encode_text(text, job, kept, true);
  return sequence.ok() && !sequence.value().offsets.empty() &&
         sequence.value().offsets.back().end > piece.document.begin;
}

Error HfTokenizer::too_long(const TokenizeJob& job, size_t limit, const char* what) const {
  size_t all = 0, query = 0, document = 0;
  for (const TemplatePiece& piece : job.pieces) {
    const std::string_view text = piece.text;
    const auto part = [&](ByteRange range) { return count(text.substr(range.begin, range.end - range.begin), job); };
    all += count(text, job);
    query += part(piece.query);
    document += part(piece.document);
  }
  return {ErrorCode::kTooLong,
          fmt::format("{}: the template has {} tokens, the query {}, the document {}, and the maximum length is {}",
                      what, all - std::min(all, query + document), query, document, limit)};
}

// The pieces that may not be cut come first: what they leave of the room is the other's.
Result<Sequence> HfTokenizer::encode_pieces(const TokenizeJob& job, size_t max_length, bool want_offsets) const {
  const size_t limit = job.options.max_length == 0 ? max_length : job.options.max_length;
  std::vector<Sequence> parts(job.pieces.size());
  size_t fixed = 0;
  for (const bool cut : {false, true}) {
    for (size_t i = 0; i < job.pieces.size(); ++i) {
      const TemplatePiece& piece = job.pieces[i];
      if (piece.may_be_cut != cut) continue;
      constexpr const char* kNoRoom = "the query leaves no room for the document";
      if (cut && limit != 0 && fixed >= limit) return too_long(job, limit, kNoRoom);
      const size_t room = cut && limit != 0 ? limit - fixed : 0;
      auto part = encode_text(piece.text, job, room, want_offsets);
      if (!part.ok()) {
        const bool counts = part.error().code == ErrorCode::kTooLong && piece.document.end > 0;
        return counts ? too_long(job, limit, "the pair is too long, and is not to be cut") : part.error();
      }
      parts[i] = std::move(part).value();
      if (!cut) fixed += parts[i].size();
      if (!parts[i].truncated || piece.document.end == 0) continue;
      const bool left = job.options.truncation == Truncation::kLeft;
      if (left && piece.query.end > 0) {
        return Error{ErrorCode::kTooLong,
                     fmt::format("the pair is longer than {} tokens and cannot be cut at its beginning, where the "
                                 "query is: cut it at its end",
                                 limit)};
      }
      if (!left && !keeps_document(piece, job, parts[i].size())) return too_long(job, limit, kNoRoom);
    }
  }
  Sequence whole;
  for (const Sequence& part : parts) append(whole, part);
  whole.type_ids.assign(whole.size(), 0);
  whole.options = job.options;
  return whole;
}

std::optional<Error> HfTokenizer::outside(const std::vector<int32_t>& ids) const {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= vocabulary_size_) {
      return invalid(fmt::format("the token id {} at position {} is outside the vocabulary, which has the ids 0 to {}",
                                 ids[i], i, vocabulary_size_ - 1));
    }
  }
  return std::nullopt;
}

Result<Sequence> HfTokenizer::take_ids(const TokenizeJob& job, size_t max_length, bool want_offsets) const {
  const size_t size = job.ids.size();
  if (size == 0) return invalid("the list of token ids is empty, at least one id was expected");
  if (max_length != 0 && size > max_length) {
    return Error{ErrorCode::kTooLong, fmt::format("{} token ids were given, the maximum length is {} (ready ids are "
                                                  "not truncated)",
                                                  size, max_length)};
  }
  if (auto error = outside(job.ids)) return *error;
  Sequence sequence;
  sequence.ids = job.ids;
  sequence.type_ids.assign(size, 0);
  sequence.special_tokens_mask.assign(size, 0);
  if (want_offsets) sequence.offsets.assign(size, Offset{});  // there is no text to point into
  sequence.prompt_tokens = job.prompt_tokens;
  sequence.side = job.side;
  sequence.options = job.options;
  return sequence;
}

namespace {
WDE_REGISTER(tokenizers().add("hf", [](const TokenizerConfig& config) -> std::unique_ptr<Tokenizer> {
  return std::make_unique<HfTokenizer>(config);
}));

}  // namespace
}  // namespace wde
