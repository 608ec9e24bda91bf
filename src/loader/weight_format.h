// How the weights of Linears are kept in memory: one format for all of them, but for those that a list leaves in
// float32.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wde {

enum class WeightFormat { kFloat32, kBfloat16, kFloat16, kInt8 };  // float16: of checkpoints that have it, alone

class WeightPolicy {
 public:
  WeightPolicy() = default;  // float32
  // `float32_names`, separated by commas: numbers of layers, or parts of tensor names ("0,11,output.dense"). Throws
  // UsageError where an entry is empty.
  WeightPolicy(WeightFormat format, std::string_view float32_names);

  WeightFormat format() const { return format_; }
  // Of a tensor by its name without the checkpoint's prefix. What projects embeddings stays in float32.
  WeightFormat format_of(std::string_view tensor) const;
  const std::vector<std::string>& float32_names() const { return float32_names_; }
  bool operator==(const WeightPolicy&) const = default;

 private:
  WeightFormat format_ = WeightFormat::kFloat32;
  std::vector<std::string> float32_names_;
};

// Of which layer a tensor is: the first number in its name ("encoder.layer.11.output.dense.weight"); nullopt: of none.
std::optional<size_t> layer_of_tensor(std::string_view tensor);

// By the names that --dtype takes.
WeightFormat weight_format_from_name(std::string_view name);  // an unknown one: float32
std::string_view weight_format_name(WeightFormat format);

}  // namespace wde
