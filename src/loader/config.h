// ConfigView: a JSON file (config.json and its like) read through typed getters whose errors name key, file, what was
// expected and what was found. Knows nothing of models; the generations of keys are handled by get-by-alternatives.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace wde {

class ConfigView {
 public:
  // Throws LoadError: unreadable, larger than 64 MiB, not JSON (with line and column), not an object, deeper than 64
  // levels.
  static ConfigView read(const std::string& file);
  static std::optional<ConfigView> read_if_exists(const std::string& file);

  // An object that was made from what else there is; `file` is for messages. Throws LoadError.
  static ConfigView from_json(const nlohmann::json& json, const std::string& file);

  const std::string& file() const { return file_; }
  bool has(std::string_view key) const;       // present and not null
  bool mentions(std::string_view key) const;  // present, maybe null

  // Required: throws LoadError if missing, null or of another type. Integers must be in [minimum, maximum]; 512.0
  // counts as one.
  int64_t integer(std::string_view key, int64_t minimum, int64_t maximum) const;
  double number(std::string_view key) const;  // finite
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;  // a list of strings, or one string

  // Optional: the fallback where the key is missing or null; a wrong type still throws.
  int64_t integer_or(std::string_view key, int64_t fallback, int64_t minimum, int64_t maximum) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;

  // The first of the names that is present (generations of a key: {"dtype", "torch_dtype"}), else the first name, so
  // that a getter's error names the current one.
  std::string_view first_of(std::initializer_list<std::string_view> keys) const;

  ConfigView object(std::string_view key) const;  // throws if missing or not an object
  std::optional<ConfigView> object_if_exists(std::string_view key) const;
  std::vector<std::string> keys() const;
  const nlohmann::json& json() const { return *json_; }  // for what the getters do not cover

 private:
  ConfigView(std::string file, std::string path, std::shared_ptr<const nlohmann::json> root,
             const nlohmann::json* json);
  const nlohmann::json* value(std::string_view key) const;  // nullptr: missing or null
  [[noreturn]] void fail(std::string_view key, std::string_view expected, const nlohmann::json* found) const;

  std::string file_;
  std::string path_;                            // "rope_parameters." inside a nested object
  std::shared_ptr<const nlohmann::json> root_;  // shared: nested views keep the document alive
  const nlohmann::json* json_ = nullptr;
};

// Throws LoadError unless it is a directory with a config.json (or a modules.json, which then says where the
// transformer is).
void require_model_directory(const std::string& directory);

// config.json of both generations of transformers: the keys that were renamed, read under either name.
std::string config_dtype(const ConfigView& config);         // dtype | torch_dtype; "float32" if neither
std::string config_architecture(const ConfigView& config);  // architectures[0]; "" if absent
size_t config_hidden_size(const ConfigView& config);        // under any family's name
std::string config_model_type(const ConfigView& config);    // "" if absent

}  // namespace wde
