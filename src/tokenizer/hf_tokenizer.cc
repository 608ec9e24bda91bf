// "hf": Hugging Face's own tokenizers crate, behind the C ABI of rust/tokenizer.
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "tokenizer/tokenizer.h"
#include "wde_tokenizer.h"

namespace wde {
namespace {

// A string that Rust filled; freed with the value.
class RustString {
 public:
  RustString() = default;
  RustString(const RustString&) = delete;
  RustString& operator=(const RustString&) = delete;
  ~RustString() { wde_tokenizer_string_free(string_); }

  wde_tokenizer_string* out() { return &string_; }
  std::string str() const { return string_.length == 0 ? std::string() : std::string(string_.data, string_.length); }

 private:
  wde_tokenizer_string string_ = {nullptr, 0};
};

struct Close {
  void operator()(wde_tokenizer* tokenizer) const { wde_tokenizer_close(tokenizer); }
  void operator()(wde_tokenizer_batch* batch) const { wde_tokenizer_batch_free(batch); }
};
using TokenizerHandle = std::unique_ptr<wde_tokenizer, Close>;
using BatchHandle = std::unique_ptr<wde_tokenizer_batch, Close>;

Error invalid(std::string message) { return Error{ErrorCode::kInvalidInput, std::move(message)}; }

Result<Sequence> to_result(const wde_tokenizer_encoding& encoding, const TokenizeJob& job) {
  if (encoding.status != WDE_TOKENIZER_OK) {
    const ErrorCode code =
        encoding.status == WDE_TOKENIZER_INVALID_INPUT ? ErrorCode::kInvalidInput : ErrorCode::kInternal;
    return Error{code, std::string(encoding.error, encoding.error_length)};
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
  }
  sequence.prompt_tokens = job.prompt_tokens;
  sequence.truncated = encoding.truncated;
  return sequence;
}

class HfTokenizer final : public Tokenizer {
 public:
  explicit HfTokenizer(const TokenizerConfig& config) : threads_(config.threads) {
    RustString error;
    tokenizer_.reset(
        wde_tokenizer_open(config.directory.data(), config.directory.size(), config.lowercase, error.out()));
    if (!tokenizer_) throw LoadError(error.str());
    vocabulary_size_ = wde_tokenizer_vocabulary_size(tokenizer_.get());
  }

  std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                       bool want_offsets) const override {
    std::vector<wde_tokenizer_input> inputs;
    inputs.reserve(jobs.size());
    for (const TokenizeJob& job : jobs) {
      if (job.has_ids) continue;
      inputs.push_back({job.text.data(), job.text.size(), job.text_pair.data(), job.text_pair.size(), job.is_pair});
    }

    BatchHandle batch;
    RustString error;
    if (!inputs.empty()) {
      batch.reset(wde_tokenizer_encode(tokenizer_.get(), inputs.data(), inputs.size(), max_length, want_offsets,
                                       threads_, error.out()));
    }

    std::vector<Result<Sequence>> results;
    results.reserve(jobs.size());
    size_t next = 0;
    for (const TokenizeJob& job : jobs) {
      if (job.has_ids) {
        results.push_back(take_ids(job, max_length, want_offsets));
      } else if (batch) {
        results.push_back(to_result(wde_tokenizer_batch_at(batch.get(), next++), job));
      } else {
        results.push_back(Error{ErrorCode::kInternal, error.str()});
      }
    }
    return results;
  }

  std::string token(int32_t id) const override {
    RustString token;
    if (id >= 0) wde_tokenizer_token(tokenizer_.get(), static_cast<uint32_t>(id), token.out());
    return token.str();
  }

  size_t vocabulary_size() const override { return vocabulary_size_; }

 private:
  Result<Sequence> take_ids(const TokenizeJob& job, size_t max_length, bool want_offsets) const {
    const size_t size = job.ids.size();
    if (size == 0) return invalid("the list of token ids is empty, at least one id was expected");
    if (max_length != 0 && size > max_length) {
      return invalid(fmt::format("{} token ids were given, the maximum length is {} (ready ids are not truncated)",
                                 size, max_length));
    }
    for (size_t i = 0; i < size; ++i) {
      if (job.ids[i] < 0 || static_cast<size_t>(job.ids[i]) >= vocabulary_size_) {
        return invalid(
            fmt::format("the token id {} at position {} is outside the vocabulary, which has the ids 0 to {}",
                        job.ids[i], i, vocabulary_size_ - 1));
      }
    }
    Sequence sequence;
    sequence.ids = job.ids;
    sequence.type_ids.assign(size, 0);
    sequence.special_tokens_mask.assign(size, 0);
    if (want_offsets) sequence.offsets.assign(size, Offset{});  // there is no text to point into
    sequence.prompt_tokens = job.prompt_tokens;
    return sequence;
  }

  TokenizerHandle tokenizer_;
  size_t threads_;
  size_t vocabulary_size_ = 0;
};

WDE_REGISTER(tokenizers().add("hf", [](const TokenizerConfig& config) -> std::unique_ptr<Tokenizer> {
  return std::make_unique<HfTokenizer>(config);
}));

}  // namespace
}  // namespace wde
