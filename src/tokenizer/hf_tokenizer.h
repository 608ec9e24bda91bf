// "hf": Hugging Face's own tokenizers crate, behind the C ABI of rust/tokenizer.
#pragma once

#include "tokenizer/tokenizer.h"
#include "wde_tokenizer.h"

namespace wde {

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

class HfTokenizer final : public Tokenizer {
 public:
  explicit HfTokenizer(const TokenizerConfig& config);  // throws LoadError

  std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                       bool want_offsets) const override;
  std::string token(int32_t id) const override;
  std::optional<int32_t> id(std::string_view token) const override;
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override;
  size_t vocabulary_size() const override { return vocabulary_size_; }
  WordRule word_rule() const override {
    return {wde_tokenizer_marks_words(tokenizer_.get()), wde_tokenizer_unknown(tokenizer_.get())};
  }

  std::vector<std::string> notes() const override;

  const wde_tokenizer* handle() const { return tokenizer_.get(); }

 private:
  struct Close {
    void operator()(wde_tokenizer* tokenizer) const { wde_tokenizer_close(tokenizer); }
  };
  Result<Sequence> encode_pieces(const TokenizeJob& job, size_t max_length, bool want_offsets) const;
  Result<Sequence> encode_text(std::string_view text, const TokenizeJob& job, size_t max_length,
                               bool want_offsets) const;
  size_t count(std::string_view text, const TokenizeJob& job) const;
  bool keeps_document(const TemplatePiece& piece, const TokenizeJob& job, size_t kept) const;
  Error too_long(const TokenizeJob& job, size_t limit, const char* what) const;
  Result<Sequence> take_ids(const TokenizeJob& job, size_t max_length, bool want_offsets) const;
  std::optional<Error> outside(const std::vector<int32_t>& ids) const;

  std::unique_ptr<wde_tokenizer, Close> tokenizer_;
  size_t threads_;
  bool special_tokens_;
  size_t vocabulary_size_ = 0;
};

}  // namespace wde
