#include "loader/weight_format.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "wde/result.h"

namespace wde {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "encoder.layer.11.output.dense.weight" -> "11": a layer's number is the first one; "": no number.
std::string_view layer_of(std::string_view tensor) {
  while (!tensor.empty()) {
    const size_t dot = std::min(tensor.find('.'), tensor.size());
    if (is_number(tensor.substr(0, dot))) return tensor.substr(0, dot);
    tensor.remove_prefix(std::min(dot + 1, tensor.size()));
  }
  return {};
}

}  // namespace

WeightPolicy::WeightPolicy(WeightFormat format, std::string_view float32_names) : format_(format) {
  while (!float32_names.empty()) {
    const size_t comma = std::min(float32_names.find(','), float32_names.size());
    if (comma == 0) throw UsageError("--float32-layers has an empty entry");
    float32_names_.emplace_back(float32_names.substr(0, comma));
    float32_names.remove_prefix(std::min(comma + 1, float32_names.size()));
  }
}

WeightFormat WeightPolicy::format_of(std::string_view tensor) const {
  if (tensor.find("embed") != std::string_view::npos) return WeightFormat::kFloat32;
  const bool listed = std::any_of(float32_names_.begin(), float32_names_.end(), [&](const std::string& name) {
    return is_number(name) ? layer_of(tensor) == name : tensor.find(name) != std::string_view::npos;
  });
  return listed ? WeightFormat::kFloat32 : format_;
}

std::optional<size_t> layer_of_tensor(std::string_view tensor) {
  const std::string_view digits = layer_of(tensor);
  size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

WeightFormat weight_format_from_name(std::string_view name) {
  if (name == "bfloat16") return WeightFormat::kBfloat16;
  return name == "int8" ? WeightFormat::kInt8 : WeightFormat::kFloat32;
}

std::string_view weight_format_name(WeightFormat format) {
  if (format == WeightFormat::kBfloat16) return "bfloat16";
  if (format == WeightFormat::kFloat16) return "float16";
  return format == WeightFormat::kInt8 ? "int8" : "float32";
}

}  // namespace wde
