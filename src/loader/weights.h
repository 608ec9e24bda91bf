// Weights: all tensors of a checkpoint, from model.safetensors or the shards that model.safetensors.index.json names,
// else from pytorch_model.bin or its shards.
// Keeps account of what was taken, so that missing and unused tensors are reported by name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/portion.h"
#include "loader/safetensors.h"
#include "loader/torch_file.h"
#include "loader/weight_format.h"

namespace wde {

class PackCache;

class Weights {
 public:
  // Also for a folder of the model that has weights of its own (2_Dense). Throws LoadError: neither file exists (lists
  // what is there), a shard is missing, a tensor of the index is not in its shard, a name occurs in two shards.
  static Weights open(const std::string& directory, const std::string& stem = "model");

  // One file: .safetensors, or .pt as torch.save writes it.
  static Weights open_file(const std::string& file);

  // Tensor names in files may carry a prefix ("bert.", "roberta.", none): finds the one of `prefixes` (tried in order)
  // under which `probe` exists and uses it for all names from then on. Throws LoadError naming all that was tried.
  void choose_prefix(std::initializer_list<std::string_view> prefixes, std::string_view probe);
  const std::string& prefix() const { return prefix_; }

  // All names below: after the prefix, or whole names where there is none such ("classifier.weight" beside "bert.…").
  bool has(std::string_view name) const;
  // Throws LoadError if missing, or if the shape is another (expected and found are named), or the dtype is not F32,
  // F16 or BF16. Old checkpoints call LayerNorm's tensors gamma and beta: for a name ending in ".weight"/".bias" that
  // is missing, ".gamma"/".beta" is tried.
  const TensorView& get(std::string_view name, const std::vector<size_t>& shape);
  // The same for a table whose rows are used as they are: F64 and I8 as well.
  const TensorView& get_table(std::string_view name, const std::vector<size_t>& shape);
  // "float16", "int8", …; "" if there is no tensor of this name.
  std::string dtype(std::string_view name) const;
  // A list of `count` numbers of any type, integers too. Throws LoadError as get().
  std::vector<double> numbers(std::string_view name, size_t count);
  // The shape of a tensor; empty if there is none of this name.
  std::vector<size_t> shape(std::string_view name) const;
  // Puts a tensor in the place of the one of this name, or adds it: merged adapters. Its size is the shape's product.
  void set(std::string_view name, std::vector<size_t> shape, std::vector<float> values);
  // Gives a tensor another name, whole names both.
  void rename(const std::string& from, const std::string& to);
  // Tensors that this task does not need (a head, "pooler."): not counted as unused. Prefix match.
  void ignore(std::string_view name_prefix);

  // How the Linears that load from here keep their weights; float32 unless it is set.
  void set_policy(WeightPolicy policy) { policy_ = std::move(policy); }
  const WeightPolicy& policy() const { return policy_; }

  // What holds every matrix as it is given: bfloat16 or float16 where all are that (merged adapters are float32).
  WeightFormat stored_format() const;

  // Where Linears of layers look for their weights before they pack them; nullptr: nowhere.
  void set_pack_cache(std::shared_ptr<PackCache> cache) { pack_cache_ = std::move(cache); }
  PackCache* pack_cache() const { return pack_cache_.get(); }
  // What this process keeps, of the model that is loaded from here; all of it unless it is set. Throws UsageError if
  // there are more processes than numbered layers to be divided.
  void set_portion(const Portion& portion);
  const Portion& portion() const { return portion_; }
  // False: the tensor is of a numbered layer that another process keeps.
  bool wants_layer_of(std::string_view tensor) const;
  // How many layers the tensors are numbered by; 0: the numbers are not 0, 1, 2, … of one series.
  size_t numbered_layers() const;

  std::vector<std::string> files() const;  // that were opened
  // Throws LoadError if one of the files was written to since it was opened.
  void require_unchanged() const;

  std::vector<std::string> names() const;   // of all tensors, whole
  std::vector<std::string> unused() const;  // neither taken nor ignored
  size_t bytes() const;                     // of all tensors

 private:
  Weights() = default;
  void add_file(const std::string& file);
  void add_shards(const std::string& index_file);
  const TensorView& require(std::string_view name, const std::vector<size_t>& shape) const;  // of any type
  const TensorView* find(std::string_view name) const;  // by every spelling that get() accepts; nullptr: there is none
  const std::string& file_of(const TensorView& tensor) const;

  struct OwnTensor {
    TensorView view;
    std::vector<float> values;
  };

  struct File {  // one of the two
    std::unique_ptr<SafetensorsFile> safetensors;
    std::unique_ptr<TorchFile> torch;
    const std::map<std::string, TensorView, std::less<>>& tensors() const {
      return safetensors ? safetensors->tensors() : torch->tensors();
    }
    const WeightFile& file() const { return safetensors ? safetensors->file() : torch->file(); }
    const std::string& name() const { return file().name(); }
  };

  std::vector<File> files_;
  std::vector<std::unique_ptr<OwnTensor>> own_;
  std::map<std::string, const TensorView*, std::less<>> tensors_;
  std::set<std::string, std::less<>> taken_;
  std::vector<std::string> ignored_;
  WeightPolicy policy_;
  std::shared_ptr<PackCache> pack_cache_;
  Portion portion_;
  Range layers_ = {0, SIZE_MAX};
  std::string prefix_;
  std::string directory_;
};

// Converts `count` elements from `begin` on of a F32, F16, BF16 or I8 tensor to float32, exactly, and of a F64 tensor
// to the nearest (other types: NaN).
// Precondition: begin + count <= tensor.elements(). Throws LoadError where the file cannot be read.
void to_float32(const TensorView& tensor, size_t begin, size_t count, float* out);
// The same of elements in memory, which may be unaligned.
void to_float32(Dtype dtype, const std::byte* source, size_t count, float* out) noexcept;

}  // namespace wde
