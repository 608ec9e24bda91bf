// Arbitrary bytes as (maximum length, options, text(s)): the native tokenizer gives what the crate gives, WordPiece and
// Unigram, special tokens or none.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace {

// Not assert(): the fuzzer must stop in optimized builds too.
void require(bool condition) {
  if (!condition) std::abort();
}

struct Pair {
  std::unique_ptr<wde::Tokenizer> crate, native;

  Pair(const char* directory, bool special_tokens)
      : crate(wde::tokenizers().get("hf")({directory, false, 1, special_tokens})),
        native(wde::tokenizers().get("native")({directory, false, 1, special_tokens})) {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::array pairs = {Pair(WDE_TEST_DATA "/bert-mean", true), Pair(WDE_TEST_DATA "/bert-cls", false),
                                   Pair(WDE_TEST_DATA "/bge-m3", true), Pair(WDE_TEST_DATA "/bge-m3", false)};
  if (size < 2) return 0;
  const size_t max_length = data[0] % 64;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  wde::TokenizeJob job;
  job.is_pair = (data[1] & 1) != 0;
  // The first 0xFF, which no UTF-8 has, parts a pair; more of them are the invalid bytes of the test.
  const size_t cut = job.is_pair ? rest.find('\xFF') : std::string_view::npos;
  job.text = rest.substr(0, cut);
  if (cut != std::string_view::npos) job.text_pair = rest.substr(cut + 1);
  job.options.truncation = static_cast<wde::Truncation>((data[1] >> 1) % 3);

  for (const Pair& pair : pairs) {
    const auto expected = pair.crate->encode({&job, 1}, max_length, false);
    const auto found = pair.native->encode({&job, 1}, max_length, false);
    require(found.size() == 1 && found[0].ok() == expected[0].ok());
    if (!found[0].ok()) {
      require(found[0].error().code == expected[0].error().code);
      require(found[0].error().message == expected[0].error().message);
      continue;
    }
    const wde::Sequence &a = found[0].value(), &b = expected[0].value();
    require(a.ids == b.ids && a.type_ids == b.type_ids);
    require(a.special_tokens_mask == b.special_tokens_mask && a.truncated == b.truncated);
  }
  return 0;
}
