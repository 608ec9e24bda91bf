#include "loader/torch_file.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "loader/mapped_file.h"
#include "loader/pickle.h"
#include "loader/torch_legacy.h"
#include "loader/zip_directory.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxSizes = 64;  // PyTorch's own limit
constexpr size_t kMaxTensors = 200'000;
// What the copies of tensors that are not contiguous may take, in sizes of the file. One would do if no two of them
// shared a storage.
constexpr size_t kMaxCopies = 2;

using Contents = std::map<std::string, std::string_view, std::less<>>;
using Kind = PickleValue::Kind;

// A tensor as the pickle gives it, checked.
struct StoredTensor {
  TensorView view;                // its data: the first element in the storage
  std::vector<uint64_t> strides;  // in elements
  size_t element_bytes = 0;
  uint64_t elements = 1;
  bool contiguous = true;
};

class StateReader {
 public:
  StateReader(const Contents& contents, const std::string& file) : contents_(contents), file_(file) {}

  std::map<std::string, StoredTensor, std::less<>> read() {
    find_archive();
    pickle_ = read_pickle(content("data.pkl"), file_);
    const PickleValue* dict = &pickle_.values[pickle_.root];
    if (dict->kind != Kind::kDict) fail(fmt::format("expected a dict of tensors, found {}", kind_name(*dict)));
    for (size_t i = 0; i < dict->items.size(); i += 2) {
      const PickleValue& name = value(dict->items[i]);
      const PickleValue& inner = value(dict->items[i + 1]);
      if (name.kind == Kind::kString && name.text == "state_dict" && inner.kind == Kind::kDict) {
        add_dict(inner);
      } else {
        add(name, inner);
      }
    }
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { throw LoadError(fmt::format("{}: {}", file_, problem)); }
  [[noreturn]] void fail(std::string_view tensor, const std::string& problem) const {
    fail(fmt::format("tensor {}: {}", quote(tensor), problem));
  }
  const PickleValue& value(PickleIndex index) const { return pickle_.values[index]; }

  // All entries lie in one folder of the archive, whatever its name.
  void find_archive() {
    constexpr std::string_view kPickle = "/data.pkl";
    for (const auto& [name, bytes] : contents_) {
      if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
      if (!folder_.empty()) fail("expected one data.pkl in the zip archive, found two");
      folder_ = name.substr(0, name.size() - kPickle.size() + 1);
    }
    if (folder_.empty()) {
      fail(fmt::format("expected a file of torch.save, found a zip archive of {} entries without <name>/data.pkl",
                       contents_.size()));
    }
    if (contents_.contains(folder_ + "constants.pkl")) {
      fail("expected a dict of tensors, found a TorchScript program; save its state_dict() instead");
    }
    const auto order = contents_.find(folder_ + "byteorder");  // older versions do not write it
    if (order != contents_.end() && order->second != "little") {
      fail(fmt::format("expected numbers in the byte order \"little\", found {}", quote(order->second)));
    }
  }

  std::string_view content(std::string_view name) const {
    const auto found = contents_.find(folder_ + std::string(name));
    if (found == contents_.end()) fail(fmt::format("expected {} in the archive, found none", quote(name)));
    return found->second;
  }

  void add_dict(const PickleValue& dict) {
    for (size_t i = 0; i < dict.items.size(); i += 2) add(value(dict.items[i]), value(dict.items[i + 1]));
  }

  void add(const PickleValue& name, const PickleValue& found) {
    switch (found.kind) {
      case Kind::kNone:
      case Kind::kBool:
      case Kind::kInt:
      case Kind::kScalar:
      case Kind::kString:
        return;
      default:
        break;
    }
    if (name.kind != Kind::kString) fail(fmt::format("expected names as keys of the dict, found {}", kind_name(name)));
    if (found.kind != Kind::kTensor) {
      fail(fmt::format("expected a tensor of the name {}, found {}; save the model's state_dict() alone",
                       quote(name.text), kind_name(found)));
    }
    if (tensors_.size() == kMaxTensors) fail(fmt::format("there are more than {} tensors", kMaxTensors));
    const auto [at, added] = tensors_.try_emplace(std::string(name.text));
    if (!added) fail(fmt::format("the name {} is given twice", quote(name.text)));
    at->second = read_tensor(at->first, found);
  }

  std::vector<uint64_t> numbers(std::string_view tensor, const PickleValue& tuple) const {
    std::vector<uint64_t> result;
    for (const PickleIndex index : tuple.items) {
      if (value(index).kind != Kind::kInt || value(index).number < 0) {
        fail(tensor, fmt::format("expected sizes and strides from 0 on, found {}",
                                 value(index).kind == Kind::kInt ? fmt::format("{}", value(index).number)
                                                                 : kind_name(value(index))));
      }
      result.push_back(static_cast<uint64_t>(value(index).number));
    }
    return result;
  }

  StoredTensor read_tensor(const std::string& name, const PickleValue& found) const {
    const PickleValue& storage = value(found.items[0]);
    const StorageType type = storage_type(storage);
    const std::vector<PickleIndex>& sizes = value(found.items[1]).items;
    const std::vector<PickleIndex>& strides = value(found.items[2]).items;
    if (sizes.size() != strides.size() || sizes.size() > kMaxSizes) {
      fail(name, fmt::format("expected at most {} sizes and as many strides, found {} and {}", kMaxSizes, sizes.size(),
                             strides.size()));
    }
    StoredTensor tensor;
    tensor.element_bytes = type.bytes;
    tensor.strides = numbers(name, value(found.items[2]));
    tensor.view.dtype = type.dtype;
    tensor.view.other_dtype = type.other_dtype;
    for (const uint64_t size : numbers(name, value(found.items[1]))) tensor.view.shape.push_back(size);
    tensor.view.name = name;
    set_size(tensor);
    const std::string_view bytes = storage_bytes(tensor, storage);
    place(tensor, found.number, bytes);
    return tensor;
  }

  // The product of the sizes that are not 0 must fit, as in safetensors.
  void set_size(StoredTensor& tensor) const {
    uint64_t product = tensor.element_bytes;
    for (const size_t size : tensor.view.shape) {
      if (size == 0) tensor.elements = 0;
      if (size != 0 && __builtin_mul_overflow(product, uint64_t{size}, &product)) {
        fail(tensor.view.name,
             fmt::format("the size of shape [{}] overflows 64 bits", fmt::join(tensor.view.shape, ", ")));
      }
    }
    if (tensor.elements != 0) tensor.elements = product / tensor.element_bytes;
    tensor.view.bytes = tensor.elements * tensor.element_bytes;
    uint64_t expected = 1;
    for (size_t i = tensor.view.shape.size(); tensor.elements > 1 && i-- > 0;) {
      const size_t size = tensor.view.shape[i];
      if (size != 1 && tensor.strides[i] != expected) tensor.contiguous = false;
      expected *= size;
    }
  }

  std::string_view storage_bytes(const StoredTensor& tensor, const PickleValue& storage) const {
    const auto found = contents_.find(fmt::format("{}data/{}", folder_, storage.text));
    if (found == contents_.end()) {
      fail(tensor.view.name,
           fmt::format("expected its data in the archive as data/{}, found none", quote(storage.text)));
    }
    const std::string_view bytes = found->second;
    if (storage.number < 0 || bytes.size() % tensor.element_bytes != 0 ||
        bytes.size() / tensor.element_bytes != static_cast<uint64_t>(storage.number)) {
      fail(tensor.view.name, fmt::format("expected data of {} elements of {} bytes, found {} bytes", storage.number,
                                         tensor.element_bytes, bytes.size()));
    }
    return bytes;
  }

  // Checks that the first and the last element lie in the storage; all others lie between them.
  void place(StoredTensor& tensor, int64_t first, std::string_view bytes) const {
    tensor.view.data = reinterpret_cast<const std::byte*>(bytes.data());
    if (tensor.elements == 0) return;
    const uint64_t held = bytes.size() / tensor.element_bytes;
    auto last = static_cast<uint64_t>(first);
    bool inside = first >= 0;
    for (size_t i = 0; inside && i < tensor.strides.size(); ++i) {
      uint64_t step = 0;
      inside = !__builtin_mul_overflow(uint64_t{tensor.view.shape[i] - 1}, tensor.strides[i], &step) &&
               !__builtin_add_overflow(last, step, &last);
    }
    if (!inside || last >= held) {
      fail(tensor.view.name,
           fmt::format("shape [{}] with strides [{}] from element {} on lies outside its storage of "
                       "{} elements",
                       fmt::join(tensor.view.shape, ", "), fmt::join(tensor.strides, ", "), first, held));
    }
    if (tensor.elements > held) {
      fail(tensor.view.name, fmt::format("shape [{}] repeats its {} elements; save it with clone() or contiguous()",
                                         fmt::join(tensor.view.shape, ", "), held));
    }
    tensor.view.data += static_cast<uint64_t>(first) * tensor.element_bytes;
  }

  const Contents& contents_;
  const std::string& file_;
  std::string folder_;  // with its '/'
  Pickle pickle_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

template <size_t kBytes>
void copy_elements(const StoredTensor& tensor, std::byte* out) noexcept {
  // The last dimension in the inner loop, all others counted as an odometer.
  const std::vector<size_t>& shape = tensor.view.shape;
  const size_t outer = shape.size() - 1;
  std::array<size_t, kMaxSizes> at = {};
  uint64_t row = 0;  // in bytes; may wrap around on the way, by the stride of a dimension of one element
  while (true) {
    for (size_t i = 0; i < shape[outer]; ++i, out += kBytes) {
      std::memcpy(out, tensor.view.data + row + i * tensor.strides[outer] * kBytes, kBytes);
    }
    size_t d = outer;
    while (true) {
      if (d-- == 0) return;
      row += tensor.strides[d] * kBytes;
      if (++at[d] < shape[d]) break;
      row -= shape[d] * tensor.strides[d] * kBytes;
      at[d] = 0;
    }
  }
}

void copy_elements(const StoredTensor& tensor, std::byte* out) noexcept {
  switch (tensor.element_bytes) {
    case 1:
      return copy_elements<1>(tensor, out);
    case 2:
      return copy_elements<2>(tensor, out);
    case 4:
      return copy_elements<4>(tensor, out);
    case 8:
      return copy_elements<8>(tensor, out);
    default:
      return copy_elements<16>(tensor, out);
  }
}

Contents read_contents(std::string_view bytes, const std::string& file) {
  constexpr std::string_view kZip = "PK\x03\x04";
  if (bytes.starts_with(kZip)) return read_zip_directory(bytes, file);
  if (is_legacy_torch_file(bytes)) return read_legacy_directory(bytes, file);
  refuse_lfs_pointer(bytes, file);
  throw LoadError(
      fmt::format("{}: expected a file of torch.save, which is a zip archive, found one that begins with {}", file,
                  quote(bytes.substr(0, 8))));
}

}  // namespace

TorchFile::TorchFile(const std::string& file) : file_(file) {
  if (file_.bytes() == 0) throw LoadError(fmt::format("{}: expected a file of torch.save, found an empty file", file));
  const MappedFile mapped(file_);  // for as long as its directory is read
  const std::string_view bytes = mapped.bytes();
  const Contents contents = read_contents(bytes, file);
  std::map<std::string, StoredTensor, std::less<>> stored = StateReader(contents, file).read();

  size_t copied = 0;  // cannot overflow: each copy is no larger than its storage, and the sum is checked at each
  for (const auto& [name, tensor] : stored) {
    if (tensor.contiguous) continue;
    copied += tensor.view.bytes;
    if (copied > kMaxCopies * bytes.size()) {
      throw LoadError(
          fmt::format("{}: tensors that are not contiguous would take more than {} bytes as copies; save "
                      "them with contiguous()",
                      file, kMaxCopies * bytes.size()));
    }
  }
  copies_.resize(copied);
  std::byte* out = copies_.data();
  for (auto& [name, tensor] : stored) {
    if (tensor.contiguous) {
      tensor.view.file = &file_;
      tensor.view.offset = static_cast<size_t>(tensor.view.data - reinterpret_cast<const std::byte*>(bytes.data()));
      tensor.view.data = nullptr;
    } else {
      copy_elements(tensor, out);
      tensor.view.data = out;
      out += tensor.view.bytes;
    }
    tensors_.emplace(name, std::move(tensor.view));
  }
  file_.require_unchanged();
  if (!mapped.whole()) throw LoadError(fmt::format("{}: a part of the file cannot be read", file));
}

}  // namespace wde
