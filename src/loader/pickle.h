// The pickle in a file of torch.save, read as data. A fixed list of opcodes is interpreted and a fixed list of names
// understood; nothing is ever looked up, imported or called, and any other opcode or name is a LoadError. Sizes, memo,
// stack and marks are bounded, nothing recurses. Private to src/loader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loader/safetensors.h"

namespace wde {

using PickleIndex = uint32_t;  // of a value in Pickle::values

struct PickleValue {
  // kScalar: a value of no use here, as a float. kName: one of the known names.
  enum class Kind : uint8_t { kNone, kBool, kInt, kScalar, kString, kTuple, kList, kDict, kName, kStorage, kTensor };
  Kind kind = Kind::kNone;
  uint8_t name = 0;       // kName; kStorage: that of its type
  int64_t number = 0;     // kBool, kInt; kStorage: its elements; kTensor: its first element in the storage
  std::string_view text;  // kString; kStorage: its key, the file's name in the archive
  std::vector<PickleIndex>
      items;  // kTuple, kList; kDict: key, value, ...; kTensor: storage, tuples of sizes and strides
};

// Values refer to each other by index, in whatever way the file says: also in circles.
struct Pickle {
  std::vector<PickleValue> values;
  PickleIndex root = 0;
};

// What is guaranteed: indices lie inside `values`; a dict has an even number of items; a tensor's three items are of
// the kinds said above; a storage's number and name are of a storage. All numbers may be any. The texts are parts of
// `bytes`. `end`: where the pickle ends, and more may follow; nullptr: nothing may.
Pickle read_pickle(std::string_view bytes, const std::string& file, size_t* end = nullptr);

struct StorageType {
  Dtype dtype = Dtype::kOther;
  std::string_view other_dtype;  // for kOther alone
  size_t bytes = 0;              // an element
};
StorageType storage_type(const PickleValue& storage);

std::string_view kind_name(const PickleValue& value);  // "a list"

}  // namespace wde
