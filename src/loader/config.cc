#include "loader/config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "loader/foreign_files.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

// The integer a JSON number stands for: 512.0 counts, 512.5 does not. Beyond 2^53 a float names no single integer.
std::optional<int64_t> exact_integer(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();
  if (!(std::abs(number) <= 0x1p53) || number != std::trunc(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::string range_text(int64_t minimum, int64_t maximum) {
  if (maximum == INT64_MAX) return fmt::format("an integer of at least {}", minimum);
  return fmt::format("an integer from {} to {}", minimum, maximum);
}

}  // namespace

ConfigView::ConfigView(std::string file, std::string path, std::shared_ptr<const nlohmann::json> root,
                       const nlohmann::json* json)
    : file_(std::move(file)), path_(std::move(path)), root_(std::move(root)), json_(json) {}

ConfigView ConfigView::read(const std::string& file) { return from_json(read_json_file(file), file); }

ConfigView ConfigView::from_json(const nlohmann::json& object, const std::string& file) {
  auto root = std::make_shared<const nlohmann::json>(object);
  if (!root->is_object()) throw LoadError(fmt::format("{}: expected a JSON object, found {}", file, describe(*root)));
  const nlohmann::json* json = root.get();
  return ConfigView(file, "", std::move(root), json);
}

std::optional<ConfigView> ConfigView::read_if_exists(const std::string& file) {
  if (!file_exists(file)) return std::nullopt;
  return read(file);
}

const nlohmann::json* ConfigView::value(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

void ConfigView::fail(std::string_view key, std::string_view expected, const nlohmann::json* found) const {
  std::string what = "nothing";
  if (found != nullptr) {
    what = describe(*found);
  } else if (json_->contains(key)) {
    what = "null";
  }
  throw LoadError(fmt::format("{}: {} must be {}, found {}", file_, quote(path_ + std::string(key)), expected, what));
}

bool ConfigView::has(std::string_view key) const { return value(key) != nullptr; }

bool ConfigView::mentions(std::string_view key) const { return json_->contains(key); }

int64_t ConfigView::integer(std::string_view key, int64_t minimum, int64_t maximum) const {
  const nlohmann::json* found = value(key);
  const std::optional<int64_t> number = found == nullptr ? std::nullopt : exact_integer(*found);
  if (!number || *number < minimum || *number > maximum) fail(key, range_text(minimum, maximum), found);
  return *number;
}

double ConfigView::number(std::string_view key) const {
  const nlohmann::json* found = value(key);
  if (found == nullptr || !found->is_number() || !std::isfinite(found->get<double>())) fail(key, "a number", found);
  return found->get<double>();
}

bool ConfigView::boolean(std::string_view key) const {
  const nlohmann::json* found = value(key);
  if (found == nullptr || !found->is_boolean()) fail(key, "true or false", found);
  return found->get<bool>();
}

std::string ConfigView::string(std::string_view key) const {
  const nlohmann::json* found = value(key);
  if (found == nullptr || !found->is_string()) fail(key, "a string", found);
  return found->get<std::string>();
}

std::vector<std::string> ConfigView::strings(std::string_view key) const {
  const nlohmann::json* found = value(key);
  if (found != nullptr && found->is_string()) return {found->get<std::string>()};
  if (found == nullptr || !found->is_array()) fail(key, "a list of strings or a string", found);
  std::vector<std::string> result;
  for (const nlohmann::json& item : *found) {
    if (!item.is_string()) fail(fmt::format("{}[{}]", key, result.size()), "a string", &item);
    result.push_back(item.get<std::string>());
  }
  return result;
}

int64_t ConfigView::integer_or(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const {
  return has(key) ? integer(key, minimum, maximum) : fallback;
}

double ConfigView::number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }

bool ConfigView::boolean_or(std::string_view key, bool fallback) const { return has(key) ? boolean(key) : fallback; }

std::string ConfigView::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}

std::string_view ConfigView::first_of(std::initializer_list<std::string_view> keys) const {
  const auto* found = std::find_if(keys.begin(), keys.end(), [&](std::string_view key) { return has(key); });
  if (found != keys.end()) return *found;
  return keys.size() == 0 ? std::string_view() : *keys.begin();
}

ConfigView ConfigView::object(std::string_view key) const {
  const nlohmann::json* found = value(key);
  if (found == nullptr || !found->is_object()) fail(key, "an object", found);
  return ConfigView(file_, fmt::format("{}{}.", path_, key), root_, found);
}

std::optional<ConfigView> ConfigView::object_if_exists(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return object(key);
}

std::vector<std::string> ConfigView::keys() const {
  std::vector<std::string> result;
  for (const auto& item : json_->items()) result.push_back(item.key());
  return result;
}

void require_model_directory(const std::string& directory) {
  constexpr std::string_view kExpected =
      "expected a local directory with config.json, tokenizer.json and model.safetensors";
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(directory, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw LoadError(fmt::format("{}: {}, found nothing of this name", directory, kExpected));
  }
  if (status.type() == std::filesystem::file_type::none) {
    throw LoadError(fmt::format("{}: {}, but it cannot be read: {}", directory, kExpected, error.message()));
  }
  if (!std::filesystem::is_directory(status))
    throw LoadError(fmt::format("{}: {}, found a file", directory, kExpected));
  // A sentence-transformers model may keep its transformer in a folder of its own, named in modules.json.
  if (!file_exists(join_path(directory, "config.json")) && !file_exists(join_path(directory, "modules.json"))) {
    throw LoadError(fmt::format("{}: {}, found no config.json in it{}", directory, kExpected,
                                advice_on_formats(weight_like_files(directory))));
  }
}

std::string config_dtype(const ConfigView& config) {
  std::string dtype = config.string_or(config.first_of({"dtype", "torch_dtype"}), "float32");
  if (dtype.starts_with("torch.")) dtype.erase(0, 6);
  return dtype;
}

std::string config_architecture(const ConfigView& config) {
  if (!config.has("architectures")) return "";
  const std::vector<std::string> names = config.strings("architectures");
  return names.empty() ? "" : names.front();
}

size_t config_hidden_size(const ConfigView& config) {
  if (config_model_type(config) == "clip")
    return static_cast<size_t>(config.integer_or("projection_dim", 512, 1, 1 << 20));
  return static_cast<size_t>(config.integer(config.first_of({"hidden_size", "dim", "d_model", "n_embd"}), 1, 1 << 20));
}

std::string config_model_type(const ConfigView& config) { return config.string_or("model_type", ""); }

}  // namespace wde
