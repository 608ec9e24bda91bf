#include "loader/weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/config.h"
#include "loader/foreign_files.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxListed = 20;

std::string shape_text(const std::vector<size_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// The first names of a list, for a message.
template <class Names>
std::string listed(const Names& names) {
  if (std::empty(names)) return "nothing";
  std::string result;
  size_t count = 0;
  for (const auto& name : names) {
    if (count == kMaxListed) return result + fmt::format(" and {} more", std::size(names) - kMaxListed);
    result += (count++ == 0 ? "" : ", ") + quote(name);
  }
  return result;
}

[[noreturn]] void throw_no_weights(const std::string& directory, const std::string& stem) {
  const std::set<std::string> found = weight_like_files(directory);
  throw LoadError(
      fmt::format("{}: expected {}.safetensors or {}.safetensors.index.json (or pytorch_model.bin), found of "
                  "weight files {}{}",
                  directory, stem, stem, listed(found), advice_on_formats(found)));
}

// A shard must lie in the directory itself.
void require_plain_name(const std::string& name, const std::string& index_file) {
  const bool plain = name.find('/') == std::string::npos && name.find('\0') == std::string::npos &&
                     (name.ends_with(".safetensors") || name.ends_with(".bin"));
  if (!plain) {
    throw LoadError(
        fmt::format("{}: \"weight_map\": expected names of .safetensors or .bin files in the same directory, found {}",
                    index_file, quote(name)));
  }
}

// Old checkpoints' names for LayerNorm's parameters; "" if the name cannot be one.
std::string old_layer_norm_name(std::string_view name) {
  for (const auto& [now, before] : {std::pair(".weight", ".gamma"), std::pair(".bias", ".beta")}) {
    if (name.ends_with(now)) return std::string(name.substr(0, name.rfind('.'))) + before;
  }
  return "";
}

// Tables that follow from the config; old versions of transformers saved them.
bool is_buffer(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("embeddings.position_ids");
}

bool is_convertible(Dtype dtype) { return dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBF16; }

[[noreturn]] void throw_dtype(const TensorView& tensor, const std::string& file, std::string_view expected) {
  throw LoadError(
      fmt::format("{}: tensor {}: expected {}, found {}", file, quote(tensor.name), expected,
                  tensor.dtype == Dtype::kOther ? quote(tensor.other_dtype) : std::string(dtype_name(tensor.dtype))));
}

template <class Number>
void copy_numbers(const TensorView& tensor, std::vector<double>& out) {
  std::vector<Number> numbers(out.size());
  read_bytes(tensor, 0, numbers.size() * sizeof(Number), reinterpret_cast<std::byte*>(numbers.data()));
  std::copy(numbers.begin(), numbers.end(), out.begin());
}

}  // namespace

void Weights::add_file(const std::string& file) {
  File& opened = files_.emplace_back();
  if (file.ends_with(".safetensors")) {
    opened.safetensors = std::make_unique<SafetensorsFile>(file);
  } else {
    opened.torch = std::make_unique<TorchFile>(file);
  }
  for (const auto& [name, tensor] : opened.tensors()) {
    const auto [at, added] = tensors_.emplace(name, &tensor);
    if (!added) {
      throw LoadError(fmt::format("{}: expected each tensor in one shard only, found {} also in {}", file, quote(name),
                                  file_of(*at->second)));
    }
  }
}

void Weights::add_shards(const std::string& index_file) {
  const ConfigView map = ConfigView::read(index_file).object("weight_map");
  std::set<std::string> shards;
  for (const std::string& name : map.keys()) {
    std::string shard = map.string(name);
    require_plain_name(shard, index_file);
    shards.insert(std::move(shard));
  }
  for (const std::string& shard : shards) {
    const std::string file = join_path(directory_, shard);
    if (!file_exists(file)) {
      throw LoadError(fmt::format("{}: expected the shard {}, found of weight files {}", index_file, quote(shard),
                                  listed(weight_like_files(directory_))));
    }
    add_file(file);
  }
  for (const std::string& name : map.keys()) {
    const std::string file = join_path(directory_, map.string(name));
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || file_of(*found->second) != file) {
      throw LoadError(fmt::format("{}: expected tensor {} in the shard {}, found it {}", index_file, quote(name), file,
                                  found == tensors_.end() ? "nowhere" : "in " + file_of(*found->second)));
    }
  }
}

Weights Weights::open_file(const std::string& file) {
  Weights weights;
  weights.directory_ = file;
  weights.add_file(file);
  return weights;
}

Weights Weights::open(const std::string& directory, const std::string& stem) {
  Weights weights;
  weights.directory_ = directory;
  // torch.save's files count only where there is nothing better; a model's are called pytorch_model.
  const std::string torch_stem = stem == "model" ? "pytorch_model" : stem;
  for (const std::string& name : {stem + ".safetensors", torch_stem + ".bin"}) {
    const std::string single = join_path(directory, name);
    if (file_exists(single)) {
      weights.add_file(single);
      return weights;
    }
    if (file_exists(single + ".index.json")) {
      weights.add_shards(single + ".index.json");
      return weights;
    }
  }
  throw_no_weights(directory, stem);
}

const std::string& Weights::file_of(const TensorView& tensor) const {
  for (const File& file : files_) {
    const auto found = file.tensors().find(tensor.name);
    if (found != file.tensors().end() && &found->second == &tensor) return file.name();
  }
  return directory_;
}

void Weights::choose_prefix(std::initializer_list<std::string_view> prefixes, std::string_view probe) {
  std::vector<std::string> tried;
  for (const std::string_view prefix : prefixes) {
    std::string name = std::string(prefix).append(probe);
    if (tensors_.contains(name)) {
      prefix_ = prefix;
      return;
    }
    tried.push_back(std::move(name));
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  throw LoadError(
      fmt::format("{}: expected a tensor of one of the names {}; found {}", directory_, listed(tried), listed(names)));
}

const TensorView* Weights::find(std::string_view name) const {
  const std::string old_name = old_layer_norm_name(name);
  for (const std::string& prefix : {prefix_, std::string()}) {
    for (const std::string_view spelling : {name, std::string_view(old_name)}) {
      if (spelling.empty()) continue;
      const auto found = tensors_.find(prefix + std::string(spelling));
      if (found != tensors_.end()) return found->second;
    }
  }
  return nullptr;
}

bool Weights::has(std::string_view name) const { return find(name) != nullptr; }

const TensorView& Weights::require(std::string_view name, const std::vector<size_t>& shape) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) {
    throw LoadError(fmt::format("{}: expected tensor {} of shape {}, found none of this name among {} tensors",
                                files_.size() == 1 ? files_.front().name() : directory_,
                                quote(prefix_ + std::string(name)), shape_text(shape), tensors_.size()));
  }
  if (tensor->shape != shape) {
    throw LoadError(fmt::format("{}: tensor {}: expected shape {}, found {}", file_of(*tensor), quote(tensor->name),
                                shape_text(shape), shape_text(tensor->shape)));
  }
  return *tensor;
}

const TensorView& Weights::get(std::string_view name, const std::vector<size_t>& shape) {
  const TensorView& tensor = require(name, shape);
  if (!is_convertible(tensor.dtype)) throw_dtype(tensor, file_of(tensor), "F32, F16 or BF16");
  taken_.insert(tensor.name);
  return tensor;
}

const TensorView& Weights::get_table(std::string_view name, const std::vector<size_t>& shape) {
  const TensorView& tensor = require(name, shape);
  if (!is_convertible(tensor.dtype) && tensor.dtype != Dtype::kF64 && tensor.dtype != Dtype::kI8)
    throw_dtype(tensor, file_of(tensor), "F64, F32, F16, BF16 or I8");
  taken_.insert(tensor.name);
  return tensor;
}

std::string Weights::dtype(std::string_view name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) return "";
  constexpr std::array<std::pair<Dtype, const char*>, 5> kNames = {{{Dtype::kF32, "float32"},
                                                                    {Dtype::kF16, "float16"},
                                                                    {Dtype::kBF16, "bfloat16"},
                                                                    {Dtype::kF64, "float64"},
                                                                    {Dtype::kI8, "int8"}}};
  for (const auto& [dtype, text] : kNames)
    if (dtype == tensor->dtype) return text;
  return std::string(dtype_name(tensor->dtype));
}

std::vector<double> Weights::numbers(std::string_view name, size_t count) {
  const TensorView& tensor = require(name, {count});
  std::vector<double> out(count);
  std::vector<float> values;
  switch (tensor.dtype) {
    case Dtype::kF32:
    case Dtype::kF16:
    case Dtype::kBF16:
      values.resize(count);
      to_float32(tensor, 0, count, values.data());
      std::copy(values.begin(), values.end(), out.begin());
      break;
    case Dtype::kF64:
      copy_numbers<double>(tensor, out);
      break;
    case Dtype::kI64:
      copy_numbers<int64_t>(tensor, out);
      break;
    case Dtype::kI32:
      copy_numbers<int32_t>(tensor, out);
      break;
    default:
      throw_dtype(tensor, file_of(tensor), "F64, F32, F16, BF16, I64 or I32");
  }
  taken_.insert(tensor.name);
  return out;
}

std::vector<size_t> Weights::shape(std::string_view name) const {
  const TensorView* tensor = find(name);
  return tensor == nullptr ? std::vector<size_t>{} : tensor->shape;
}

void Weights::set(std::string_view name, std::vector<size_t> shape, std::vector<float> values) {
  const TensorView* old = find(name);
  const std::string whole = old != nullptr ? old->name : prefix_ + std::string(name);
  auto& own = own_.emplace_back(std::make_unique<OwnTensor>());
  own->values = std::move(values);
  own->view = {whole,
               Dtype::kF32,
               "",
               std::move(shape),
               reinterpret_cast<const std::byte*>(own->values.data()),
               nullptr,
               0,
               own->values.size() * sizeof(float)};
  tensors_[whole] = &own->view;
}

void Weights::rename(const std::string& from, const std::string& to) {
  auto& own = own_.emplace_back(std::make_unique<OwnTensor>());
  own->view = *tensors_.at(from);
  own->view.name = to;
  tensors_.erase(from);
  tensors_[to] = &own->view;
}

void Weights::ignore(std::string_view name_prefix) { ignored_.emplace_back(name_prefix); }

void Weights::set_portion(const Portion& portion) {
  portion_ = portion;
  layers_ = {0, SIZE_MAX};
  if (portion.of != Portion::Of::kLayers) return;
  const size_t layers = numbered_layers();
  if (layers < portion.size) {
    throw UsageError(layers == 0 ? fmt::format("{}: the layers cannot be divided among processes: the tensors' names "
                                               "do not number them",
                                               directory_)
                                 : fmt::format("{}: there are more processes ({}) than layers to divide ({})",
                                               directory_, portion.size, layers));
  }
  layers_ = portion.layers(layers);
}

bool Weights::wants_layer_of(std::string_view tensor) const {
  const auto layer = layer_of_tensor(tensor);
  return !layer || (*layer >= layers_.begin && *layer < layers_.end);
}

size_t Weights::numbered_layers() const {
  std::set<size_t> numbers;
  for (const auto& [name, tensor] : tensors_) {
    if (const auto layer = layer_of_tensor(name)) numbers.insert(*layer);
  }
  return !numbers.empty() && *numbers.rbegin() + 1 == numbers.size() ? numbers.size() : 0;
}

std::vector<std::string> Weights::files() const {
  std::vector<std::string> names;
  for (const File& file : files_) names.push_back(file.name());
  return names;
}

void Weights::require_unchanged() const {
  for (const File& file : files_) file.file().require_unchanged();
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

std::vector<std::string> Weights::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) {
    const std::string_view whole = name;
    const std::string_view rest = whole.starts_with(prefix_) ? whole.substr(prefix_.size()) : whole;
    const auto fits = [&](const std::string& prefix) { return whole.starts_with(prefix) || rest.starts_with(prefix); };
    if (!taken_.contains(name) && !is_buffer(name) && std::none_of(ignored_.begin(), ignored_.end(), fits))
      names.push_back(name);
  }
  return names;
}

WeightFormat Weights::stored_format() const {
  const auto have = [&](Dtype dtype) {
    return std::any_of(tensors_.begin(), tensors_.end(), [&](const auto& entry) {
      return entry.second->shape.size() > 1 && entry.second->dtype == dtype;
    });
  };
  if (have(Dtype::kF32)) return WeightFormat::kFloat32;  // most checkpoints, at their first matrix
  const bool halves = have(Dtype::kF16), bfloats = have(Dtype::kBF16);
  if (halves == bfloats) return WeightFormat::kFloat32;
  return halves ? WeightFormat::kFloat16 : WeightFormat::kBfloat16;
}

size_t Weights::bytes() const {
  size_t sum = 0;
  for (const auto& [name, tensor] : tensors_) sum += tensor->bytes;
  return sum;
}

}  // namespace wde
