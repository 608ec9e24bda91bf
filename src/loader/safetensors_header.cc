// The header of a safetensors file: {"__metadata__": {text: text}, name: {"dtype": .., "shape": [..], "data_offsets":
// [begin, end]}}.
#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/json_file.h"
#include "loader/safetensors.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxRank = 64;  // PyTorch's own limit

// Bits an element of the types that are never converted but whose size is known.
struct OtherDtype {
  std::string_view name;
  size_t bits;
};
constexpr std::array kOtherDtypes = {
    OtherDtype{"U16", 16},    OtherDtype{"U32", 32},        OtherDtype{"U64", 64},    OtherDtype{"C64", 64},
    OtherDtype{"F8_E4M3", 8}, OtherDtype{"F8_E4M3FNUZ", 8}, OtherDtype{"F8_E5M2", 8}, OtherDtype{"F8_E5M2FNUZ", 8},
    OtherDtype{"F8_E8M0", 8}, OtherDtype{"F6_E2M3", 6},     OtherDtype{"F6_E3M2", 6}, OtherDtype{"F4", 4},
};
constexpr std::array kStoredDtypes = {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64, Dtype::kI64,
                                      Dtype::kI32, Dtype::kI16, Dtype::kI8,   Dtype::kU8,  Dtype::kBool};

// 0: not known.
size_t bits_per_element(const TensorView& tensor) {
  if (tensor.dtype != Dtype::kOther) return 8 * dtype_size(tensor.dtype);
  const auto* found = std::find_if(kOtherDtypes.begin(), kOtherDtypes.end(),
                                   [&](const OtherDtype& other) { return other.name == tensor.other_dtype; });
  return found == kOtherDtypes.end() ? 0 : found->bits;
}

// Event by event instead of a document: a name given twice is seen, nothing but the tensors is kept, and nothing nests.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  struct Entry {
    TensorView view;
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  HeaderReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<Entry> take() { return std::move(entries_); }

  bool start_object(size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kNames;
    } else if (state_ == State::kEntry && in_metadata_) {
      state_ = State::kMetadata;
    } else if (state_ == State::kEntry) {
      state_ = State::kFields;
      fields_ = {};
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(std::string& text) override {
    if (state_ == State::kNames) {
      if (!names_.insert(text).second) fail(fmt::format("the name {} is given twice", quote(text)));
      in_metadata_ = text == "__metadata__";
      if (!in_metadata_) entries_.emplace_back().view.name = text;
      state_ = State::kEntry;
    } else if (state_ == State::kFields) {
      const auto* found = std::find(kFieldNames.begin(), kFieldNames.end(), text);
      if (found == kFieldNames.end())
        fail_here(fmt::format("expected dtype, shape and data_offsets, found the key {}", quote(text)));
      field_ = static_cast<size_t>(found - kFieldNames.begin());
      if (fields_[field_]) fail_here(fmt::format("{} is given twice", text));
      fields_[field_] = true;
      state_ = State::kField;
    }
    return true;
  }

  bool string(std::string& text) override {
    if (state_ == State::kMetadata) return true;
    if (state_ != State::kField || field_ != kDtype) refuse("the string " + quote(text));
    TensorView& view = entries_.back().view;
    const auto* found = std::find_if(kStoredDtypes.begin(), kStoredDtypes.end(),
                                     [&](Dtype dtype) { return dtype_name(dtype) == text; });
    view.dtype = found == kStoredDtypes.end() ? Dtype::kOther : *found;
    if (found == kStoredDtypes.end()) view.other_dtype = text;
    state_ = State::kFields;
    return true;
  }

  bool start_array(size_t) override {
    if (state_ != State::kField || field_ == kDtype) refuse("a list");
    state_ = State::kNumbers;
    offsets_ = 0;
    return true;
  }

  bool number_unsigned(uint64_t number) override {
    if (state_ != State::kNumbers) refuse(fmt::format("the number {}", number));
    Entry& entry = entries_.back();
    if (field_ == kShape) {
      if (entry.view.shape.size() == kMaxRank)
        fail_here(fmt::format("expected at most {} dimensions, found more", kMaxRank));
      entry.view.shape.push_back(number);
    } else {
      if (offsets_ == 2) fail_here("expected two data_offsets, found more");
      (offsets_++ == 0 ? entry.begin : entry.end) = number;
    }
    return true;
  }

  bool end_array() override {
    if (field_ == kOffsets && offsets_ != 2) fail_here(fmt::format("expected two data_offsets, found {}", offsets_));
    state_ = State::kFields;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kFields) {
      for (size_t i = 0; i < fields_.size(); ++i) {
        if (!fields_[i]) fail_here(fmt::format("expected dtype, shape and data_offsets, found no {}", kFieldNames[i]));
      }
    }
    state_ = state_ == State::kNames ? State::kEnd : State::kNames;
    return true;
  }

  bool null() override { refuse("null"); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool number_integer(int64_t number) override { refuse(fmt::format("the number {}", number)); }
  bool number_float(double, const std::string& text) override { refuse("the number " + quote(text)); }
  bool binary(nlohmann::json::binary_t&) override { refuse("bytes"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    throw_json_error(text_, file_ + ": header", position, error.what());
  }

 private:
  // kEntry, kField: behind a key, its value is awaited.
  enum class State { kStart, kNames, kEntry, kMetadata, kFields, kField, kNumbers, kEnd };
  static constexpr std::array<std::string_view, 3> kFieldNames = {"dtype", "shape", "data_offsets"};
  static constexpr size_t kDtype = 0, kShape = 1, kOffsets = 2;

  [[noreturn]] void fail(const std::string& problem) const {
    throw LoadError(fmt::format("{}: header: {}", file_, problem));
  }
  [[noreturn]] void fail_here(const std::string& problem) const {
    fail(fmt::format("tensor {}: {}", quote(entries_.back().view.name), problem));
  }
  [[noreturn]] void refuse(const std::string& found) const {
    if (state_ == State::kStart) fail("expected an object, found " + found);
    if (state_ == State::kMetadata) fail("__metadata__: expected strings, found " + found);
    if (state_ == State::kEntry && in_metadata_) fail("__metadata__: expected an object, found " + found);
    if (state_ == State::kEntry) fail_here("expected an object, found " + found);
    if (state_ == State::kField && field_ == kDtype) fail_here("dtype: expected a string, found " + found);
    fail_here(fmt::format("{}: expected a list of integers from 0 on, found {}", kFieldNames[field_], found));
  }

  std::string_view text_;
  const std::string& file_;
  State state_ = State::kStart;
  bool in_metadata_ = false;
  size_t field_ = 0;
  std::array<bool, 3> fields_ = {};
  size_t offsets_ = 0;
  std::set<std::string> names_;
  std::vector<Entry> entries_;
};

// The bytes that shape and dtype ask for. The product of the dimensions that are not 0 must fit too: who multiplies
// some of them later shall not overflow because another one is 0.
uint64_t bytes_of_shape(const TensorView& view, size_t bits, const std::string& file) {
  uint64_t product = bits;
  bool empty = false;
  for (const size_t dimension : view.shape) {
    empty = empty || dimension == 0;
    if (dimension != 0 && __builtin_mul_overflow(product, uint64_t{dimension}, &product)) {
      throw LoadError(fmt::format("{}: header: tensor {}: the size of shape [{}] overflows 64 bits", file,
                                  quote(view.name), fmt::join(view.shape, ", ")));
    }
  }
  if (empty) return 0;
  if (product % 8 != 0) {
    throw LoadError(fmt::format("{}: header: tensor {}: {} elements of {} bits do not end on a byte", file,
                                quote(view.name), product / bits, bits));
  }
  return product / 8;
}

void check_size(const HeaderReader::Entry& entry, const std::string& file) {
  const TensorView& view = entry.view;
  if (entry.end < entry.begin) {
    throw LoadError(fmt::format("{}: header: tensor {}: expected data_offsets that ascend, found [{}, {}]", file,
                                quote(view.name), entry.begin, entry.end));
  }
  const size_t bits = bits_per_element(view);
  const uint64_t found = entry.end - entry.begin;
  uint64_t expected = bytes_of_shape(view, bits == 0 ? 8 : bits, file);
  if (bits == 0) expected = found;  // of a type nobody knows only the place can be checked
  if (found != expected) {
    throw LoadError(
        fmt::format("{}: header: tensor {}: {} of shape [{}] needs {} bytes, its data_offsets [{}, {}] hold {}", file,
                    quote(view.name), view.dtype == Dtype::kOther ? view.other_dtype : dtype_name(view.dtype),
                    fmt::join(view.shape, ", "), expected, entry.begin, entry.end, found));
  }
}

}  // namespace

std::map<std::string, TensorView, std::less<>> parse_safetensors_header(std::string_view header, size_t data_bytes,
                                                                        const std::string& file) {
  if (!header.starts_with('{')) {
    throw LoadError(fmt::format("{}: header: expected JSON that starts with '{{', found {}", file,
                                header.empty() ? "nothing" : quote(header.substr(0, 8))));
  }
  // nlohmann takes a zero byte for the end of the text and would not see what comes after it.
  if (const size_t zero = header.find('\0'); zero != std::string_view::npos) {
    throw_json_error(header, file + ": header", zero + 1, "a zero byte");
  }
  HeaderReader reader(header, file);
  nlohmann::json::sax_parse(header.begin(), header.end(), &reader);  // throws on any error
  std::vector<HeaderReader::Entry> entries = reader.take();

  // In the order of the file each tensor must begin where the one before ends: no gap, no overlap, none outside.
  std::sort(entries.begin(), entries.end(), [](const auto& left, const auto& right) {
    return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
  });
  uint64_t expected = 0;
  for (const HeaderReader::Entry& entry : entries) {
    check_size(entry, file);
    if (entry.begin != expected) {
      throw LoadError(fmt::format(
          "{}: header: tensor {}: expected it to begin at byte {}, where the one before ends, found {} ({})", file,
          quote(entry.view.name), expected, entry.begin, entry.begin < expected ? "they overlap" : "there is a gap"));
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    throw LoadError(fmt::format("{}: expected {} bytes of tensors behind the header, found {}{}", file, expected,
                                data_bytes, data_bytes < expected ? "; the file is cut off" : ""));
  }
  std::map<std::string, TensorView, std::less<>> tensors;
  for (HeaderReader::Entry& entry : entries) {
    entry.view.offset = entry.begin;
    entry.view.bytes = entry.end - entry.begin;
    std::string name = entry.view.name;
    tensors.emplace(std::move(name), std::move(entry.view));
  }
  return tensors;
}

}  // namespace wde
