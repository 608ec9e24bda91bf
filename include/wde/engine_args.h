// EngineArgs: every setting of an engine, from one table. The command line makes its flags from this table, every flag
// has an environment variable, and a workflow may add settings of its own to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wde/hub.h"

namespace wde {

struct ArgSpec {
  enum class Kind { kString, kInteger, kChoice };
  std::string name;           // "max-batch-tokens"; the flag is --max-batch-tokens
  std::string default_value;  // "" means: decided by the model or the machine
  std::string help;
  Kind kind = Kind::kString;
  std::vector<std::string> choices = {};  // kChoice
  int64_t minimum = 0;                    // kInteger, inclusive
  int64_t maximum = 0;

  std::string environment_variable() const;  // "WDE_MAX_BATCH_TOKENS"
};

class EngineArgs {
 public:
  // The built-in table: model, task, max-length, prompt, prompt-name, pooling, dtype, float32-layers, attention,
  // attn-backend, executor, scheduler, workflow, plugin, workers, max-batch-tokens.
  static const std::vector<ArgSpec>& table();

  // Throws UsageError: unknown name (with the list of known ones) or a value that its check refuses.
  EngineArgs& set(std::string_view name, std::string_view value);
  // Takes every WDE_… variable that is set and whose argument was not set by hand.
  EngineArgs& read_environment();

  // Hears of a model that comes from the Hub (wde/hub.h); the library itself never prints.
  EngineArgs& on_download(DownloadCallback callback);
  const DownloadCallback& download_callback() const { return download_callback_; }

  bool is_set(std::string_view name) const;             // by hand or environment
  const std::string& get(std::string_view name) const;  // the value set, else the default
  // nullopt where the value is "" (decided by the model or the machine).
  std::optional<int64_t> get_integer(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
  DownloadCallback download_callback_;
};

}  // namespace wde
