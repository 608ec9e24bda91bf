#include "model/lora.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/registry.h"
#include "kernels/elementwise.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr int64_t kMaxRank = 1 << 14;

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> out(tensor.elements());
  to_float32(tensor, 0, out.size(), out.data());
  return out;
}

// w [rows, cols] += scale * left [rows, rank] right [rank, cols]
void add_product(float scale, const float* left, const float* right, size_t rows, size_t rank, size_t cols, float* w) {
  std::vector<float> sum(cols);
  for (size_t row = 0; row < rows; ++row) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (size_t k = 0; k < rank; ++k) kernels::add_scaled(right + k * cols, left[row * rank + k], sum.data(), cols);
    kernels::add_scaled(sum.data(), scale, w + row * cols, cols);
  }
}

std::vector<float> transposed(const std::vector<float>& x, size_t rows, size_t cols) {
  std::vector<float> out(x.size());
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < cols; ++c) out[c * rows + r] = x[r * cols + c];
  return out;
}

std::string config_file(const std::string& directory) { return join_path(directory, "adapter_config.json"); }

// Absent, null, false, and empty lists and objects ask for nothing.
bool asks(const ConfigView& config, const char* key) {
  if (!config.has(key)) return false;
  const nlohmann::json& value = config.json().at(key);
  if (value.is_boolean()) return value.get<bool>();
  return !(value.is_array() || value.is_object()) || !value.empty();
}

void refuse_other_kinds(const ConfigView& config) {
  const std::string kind = config.string_or("peft_type", "LORA");
  if (kind != "LORA")
    throw LoadError(fmt::format("{}: peft_type is {}, expected \"LORA\": other adapters are not supported",
                                config.file(), quote(kind)));
  constexpr std::array kOther = {
      "use_dora",      "fan_in_fan_out",          "lora_bias",         "modules_to_save",
      "alpha_pattern", "layer_replication",       "target_parameters", "trainable_token_indices",
      "use_qalora",    "alora_invocation_tokens", "arrow_config",      "velora_config"};
  for (const char* key : kOther) {
    if (asks(config, key))
      throw LoadError(
          fmt::format("{}: \"{}\" is set to {}, which is not supported: merge the adapter with PEFT's "
                      "merge_and_unload() and load the merged model",
                      config.file(), key, describe(config.json().at(key))));
  }
  const std::string bias = config.string_or("bias", "none");
  if (bias != "none") throw LoadError(fmt::format("{}: \"bias\" is {}, expected \"none\"", config.file(), quote(bias)));
  // PiSSA, OLoRA, CorDA and LoftQ change the base's weights too, which these files do not hold.
  if (!config.has("init_lora_weights") || config.json().at("init_lora_weights").is_boolean()) return;
  const std::string start = config.string("init_lora_weights");
  if (start != "gaussian" && start != "eva" && start != "orthogonal")
    throw LoadError(
        fmt::format("{}: \"init_lora_weights\" is {}, which is not supported", config.file(), quote(start)));
}

// The one tensor of the base that this module's is. Base and adapter may be saved from different classes, so that the
// front of the name ("model.", "bert.") is in one of them only.
std::string base_tensor(const Weights& weights, const std::string& module, const std::string& adapter) {
  std::string name = module + ".weight";
  const auto ends = [](const std::string& longer, const std::string& shorter) {
    return longer == shorter || longer.ends_with("." + shorter);
  };
  std::vector<std::string> found;
  for (const std::string& candidate : weights.names()) {
    if (candidate == name) return name;
    if (ends(candidate, name) || ends(name, candidate)) found.push_back(candidate);
  }
  if (found.size() == 1) return found.front();
  throw LoadError(fmt::format("{}: expected one tensor of the base model for {}, found {}", adapter, quote(module),
                              found.empty() ? "none" : fmt::format("{}", join_names(found))));
}

struct Pair {
  std::string a, b;  // names of tensors
  bool embedding = false;
};

// Module -> its pair.
std::map<std::string, Pair> find_pairs(const Weights& adapter, const std::string& directory) {
  constexpr std::string_view kFront = "base_model.model.";
  struct Ending {
    std::string_view text;
    std::string Pair::*name;
    bool embedding;
  };
  constexpr std::array kEndings = {Ending{".lora_A.weight", &Pair::a, false}, Ending{".lora_B.weight", &Pair::b, false},
                                   Ending{".lora_embedding_A", &Pair::a, true},
                                   Ending{".lora_embedding_B", &Pair::b, true}};
  std::map<std::string, Pair> pairs;
  for (const std::string& name : adapter.names()) {
    const auto ending =
        std::find_if(kEndings.begin(), kEndings.end(), [&](const Ending& e) { return name.ends_with(e.text); });
    if (!name.starts_with(kFront) || ending == kEndings.end())
      throw LoadError(fmt::format("{}: expected only tensors like base_model.model.….lora_A.weight, found {}",
                                  directory, quote(name)));
    Pair& pair = pairs[name.substr(kFront.size(), name.size() - kFront.size() - ending->text.size())];
    pair.*(ending->name) = name;
    pair.embedding = ending->embedding;
  }
  if (pairs.empty()) throw LoadError(directory + ": the adapter has no tensors");
  for (const auto& [module, pair] : pairs) {
    if (pair.a.empty() || pair.b.empty())
      throw LoadError(fmt::format("{}: expected lora_A and lora_B of {}, found one of them", directory, quote(module)));
  }
  return pairs;
}

}  // namespace

bool has_adapter(const std::string& directory) { return file_exists(config_file(directory)); }

std::string adapter_base(const std::string& directory) {
  return ConfigView::read(config_file(directory)).string_or("base_model_name_or_path", "");
}

void merge_adapter(const std::string& directory, Weights& weights) {
  const ConfigView config = ConfigView::read(config_file(directory));
  refuse_other_kinds(config);
  const auto rank = static_cast<size_t>(config.integer("r", 1, kMaxRank));
  const double alpha = config.number("lora_alpha");
  const bool by_root = config.boolean_or("use_rslora", false), same_rank = !asks(config, "rank_pattern");
  Weights adapter = Weights::open(directory, "adapter_model");
  for (const auto& [module, pair] : find_pairs(adapter, directory)) {
    const std::string name = base_tensor(weights, module, directory);
    const std::vector<size_t> shape = weights.shape(name), a_shape = adapter.shape(pair.a);
    if (shape.size() != 2 || a_shape.empty())
      throw LoadError(fmt::format("{}: expected {} to be a matrix in the base model", directory, quote(name)));
    const size_t r = same_rank ? rank : a_shape[0];
    // An embedding's matrices are those of its transposed table.
    const size_t in = pair.embedding ? shape[0] : shape[1], out = pair.embedding ? shape[1] : shape[0];
    std::vector<float> a = floats(adapter.get(pair.a, {r, in})), b = floats(adapter.get(pair.b, {out, r}));
    const auto scale =
        static_cast<float>(alpha / (by_root ? std::sqrt(static_cast<double>(r)) : static_cast<double>(r)));
    std::vector<float> merged = floats(weights.get(name, shape));
    if (pair.embedding) {
      a = transposed(a, r, in);
      b = transposed(b, out, r);
      add_product(scale, a.data(), b.data(), in, r, out, merged.data());
    } else {
      add_product(scale, b.data(), a.data(), out, r, in, merged.data());
    }
    weights.set(name, shape, std::move(merged));
  }
}

std::vector<std::string> lora_tasks(const ConfigView& config) {
  return config.has("lora_adaptations") ? config.strings("lora_adaptations") : std::vector<std::string>{};
}

void merge_lora_task(const ConfigView& config, const std::string& task, Weights& weights) {
  constexpr std::string_view kOriginal = ".parametrizations.weight.original";
  const std::vector<std::string> tasks = lora_tasks(config);
  const auto found = std::find(tasks.begin(), tasks.end(), task);
  if (!task.empty() && found == tasks.end())
    throw LoadError(fmt::format("{}: the model has no adapter for the task {}; it has: {}", config.file(), quote(task),
                                tasks.empty() ? "none" : join_names(tasks)));
  const auto index = static_cast<size_t>(found - tasks.begin());
  bool any = false;
  for (const std::string& name : weights.names()) {
    if (!name.ends_with(kOriginal)) continue;
    any = true;
    const std::string module = name.substr(0, name.size() - kOriginal.size());
    const std::string whole = module + ".weight", a = module + ".parametrizations.weight.0.lora_A",
                      b = module + ".parametrizations.weight.0.lora_B";
    const std::vector<size_t> shape = weights.shape(name), a_shape = weights.shape(a);
    const auto rank = static_cast<size_t>(config.integer("lora_rank", 1, kMaxRank));
    if (shape.size() != 2) throw LoadError(fmt::format("{}: expected a matrix {}", config.file(), quote(name)));
    // Linear layers: W + s B A. Embeddings have the two swapped, W + s A B, so that both are of the layer's own form.
    const bool swapped = a_shape.size() == 3 && a_shape[1] == shape[0] && a_shape[2] == rank;
    const std::vector<size_t> left{tasks.size(), shape[0], rank}, right{tasks.size(), rank, shape[1]};
    if (swapped && shape[0] == rank && shape[1] == rank)
      throw LoadError(fmt::format("{}: cannot tell the two sides of {}", config.file(), quote(a)));
    const TensorView& l = weights.get(swapped ? a : b, left);
    const TensorView& r = weights.get(swapped ? b : a, right);
    weights.rename(name, whole);
    if (task.empty()) continue;
    std::vector<float> merged = floats(weights.get(whole, shape)), l_values(shape[0] * rank), r_values(rank * shape[1]);
    to_float32(l, index * l_values.size(), l_values.size(), l_values.data());
    to_float32(r, index * r_values.size(), r_values.size(), r_values.data());
    const auto scale = static_cast<float>(config.number("lora_alpha") / static_cast<double>(rank));
    add_product(scale, l_values.data(), r_values.data(), shape[0], rank, shape[1], merged.data());
    weights.set(whole, shape, std::move(merged));
  }
  if (!task.empty() && !any)
    throw LoadError(config.file() + ": expected tensors of adapters (….parametrizations.weight.0.lora_A), found none");
}

}  // namespace wde
