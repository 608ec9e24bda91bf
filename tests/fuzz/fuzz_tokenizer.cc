// Arbitrary bytes as (maximum length, pair or not, threads, text(s)): whatever they are, the invariants of a Sequence
// hold.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace {

// Not assert(): the fuzzer must stop in optimized builds too.
void require(bool condition) {
  if (!condition) std::abort();
}

void check(const wde::Sequence& sequence, const wde::TokenizeJob& job, size_t max_length, size_t vocabulary_size) {
  const size_t size = sequence.size();
  require(max_length == 0 || size <= max_length);
  require(max_length != 0 || !sequence.truncated);
  require(sequence.type_ids.size() == size && sequence.special_tokens_mask.size() == size);
  require(sequence.offsets.size() == size);
  for (size_t i = 0; i < size; ++i) {
    require(sequence.ids[i] >= 0 && static_cast<size_t>(sequence.ids[i]) < vocabulary_size);
    require(sequence.type_ids[i] == 0 || (job.is_pair && sequence.type_ids[i] == 1));
    const wde::Offset offset = sequence.offsets[i];
    require(offset.begin <= offset.end);
    require(offset.end <= (sequence.type_ids[i] == 0 ? job.text : job.text_pair).size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizer = wde::tokenizers().get("hf")({WDE_TEST_DATA "/bert-mean", false, 2});
  if (size < 2) return 0;
  const size_t max_length = data[0];
  const bool is_pair = (data[1] & 1) != 0;
  const bool has_ids = (data[1] & 2) != 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);

  std::vector<wde::TokenizeJob> jobs(2);
  jobs[1].text = "a neighbour";
  if (has_ids) {
    jobs[0].has_ids = true;
    for (size_t i = 0; i + 1 < rest.size(); i += 2) {
      jobs[0].ids.push_back(
          static_cast<int16_t>(static_cast<uint8_t>(rest[i]) | static_cast<uint8_t>(rest[i + 1]) << 8));
    }
  } else {
    // The first 0xFF, which no UTF-8 has, parts a pair; more of them are the invalid bytes of the test.
    const size_t cut = is_pair ? rest.find('\xFF') : std::string_view::npos;
    jobs[0].is_pair = is_pair;
    jobs[0].text = rest.substr(0, cut);
    if (cut != std::string_view::npos) jobs[0].text_pair = rest.substr(cut + 1);
  }

  const auto results = tokenizer->encode(jobs, max_length, true);
  require(results.size() == jobs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) {
      if (!jobs[i].has_ids) check(results[i].value(), jobs[i], max_length, tokenizer->vocabulary_size());
    } else {
      const wde::Error& error = results[i].error();
      const bool too_long = error.code == wde::ErrorCode::kTooLong && max_length != 0;
      require((too_long || error.code == wde::ErrorCode::kInvalidInput) && !error.message.empty());
    }
  }
  require(results[1].ok() == (max_length == 0 || max_length >= 2));
  if (results[0].ok()) {
    const auto fast = tokenizer->encode({jobs.data(), 1}, max_length, false);
    require(fast[0].ok() && fast[0].value().ids == results[0].value().ids);
    require(fast[0].value().type_ids == results[0].value().type_ids);
  }
  return 0;
}
