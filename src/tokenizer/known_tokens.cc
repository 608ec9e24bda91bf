#include "tokenizer/known_tokens.h"

#include <algorithm>
#include <utility>

namespace wde {
namespace {

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// The bytes of the first `count` characters.
size_t bytes_of(std::string_view text, size_t count) {
  if (text.size() <= count) return text.size();
  for (size_t i = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && count-- == 0) return i;
  }
  return text.size();
}

// As numpy has it, without its fraction; 1 for an empty vocabulary.
size_t median_length(const Tokenizer& tokenizer) {
  std::vector<size_t> lengths;
  for (size_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    const std::string token = tokenizer.token(static_cast<int32_t>(id));
    if (!token.empty())
      lengths.push_back(static_cast<size_t>(std::count_if(token.begin(), token.end(), begins_character)));
  }
  if (lengths.empty()) return 1;
  const size_t middle = lengths.size() / 2;
  std::sort(lengths.begin(), lengths.end());
  return lengths.size() % 2 == 1 ? lengths[middle] : (lengths[middle - 1] + lengths[middle]) / 2;
}

class KnownTokens final : public Tokenizer {
 public:
  KnownTokens(std::unique_ptr<Tokenizer> tokenizer, std::optional<int32_t> unknown)
      : tokenizer_(std::move(tokenizer)), unknown_(unknown), characters_(median_length(*tokenizer_)) {}

  std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                       bool want_offsets) const override {
    std::vector<TokenizeJob> cut(jobs.begin(), jobs.end());
    std::vector<bool> shortened(cut.size());
    for (size_t i = 0; i < cut.size(); ++i) {
      TokenizeJob& job = cut[i];
      const size_t limit = job.options.max_length == 0 ? max_length : job.options.max_length;
      if (job.has_ids || limit == 0 || job.options.truncation != Truncation::kRight) continue;
      const size_t bytes = bytes_of(job.text, limit * characters_);
      shortened[i] = bytes < job.text.size();
      job.text.resize(bytes);
    }
    std::vector<Result<Sequence>> out = tokenizer_->encode(cut, max_length, want_offsets);
    for (size_t i = 0; i < out.size(); ++i) {
      if (!out[i].ok() || cut[i].has_ids) continue;
      Sequence& sequence = out[i].value();
      sequence.truncated |= shortened[i];
      if (unknown_) leave_out(*unknown_, sequence);
    }
    return out;
  }

  std::vector<std::string> notes() const override { return tokenizer_->notes(); }
  std::string token(int32_t id) const override { return tokenizer_->token(id); }
  std::optional<int32_t> id(std::string_view token) const override { return tokenizer_->id(token); }
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return tokenizer_->decode(ids, skip_special_tokens);
  }
  size_t vocabulary_size() const override { return tokenizer_->vocabulary_size(); }
  WordRule word_rule() const override { return tokenizer_->word_rule(); }

 private:
  static void leave_out(int32_t unknown, Sequence& sequence) {
    size_t kept = 0;
    for (size_t t = 0; t < sequence.ids.size(); ++t) {
      if (sequence.ids[t] == unknown) continue;
      sequence.ids[kept] = sequence.ids[t];
      sequence.type_ids[kept] = sequence.type_ids[t];
      sequence.special_tokens_mask[kept] = sequence.special_tokens_mask[t];
      if (!sequence.offsets.empty()) sequence.offsets[kept] = sequence.offsets[t];
      ++kept;
    }
    sequence.ids.resize(kept);
    sequence.type_ids.resize(kept);
    sequence.special_tokens_mask.resize(kept);
    if (!sequence.offsets.empty()) sequence.offsets.resize(kept);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<int32_t> unknown_;
  size_t characters_;  // of a token, looked at
};

}  // namespace

std::unique_ptr<Tokenizer> make_known_tokens(std::unique_ptr<Tokenizer> tokenizer, std::optional<int32_t> unknown) {
  return std::make_unique<KnownTokens>(std::move(tokenizer), unknown);
}

}  // namespace wde
