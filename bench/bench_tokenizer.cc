// Tokens a second of the crate and of the native tokenizer in one batch call, on the texts that the golden vectors were
// made of (prose of many languages, 2 to some 400 words). The tokenizer is all-MiniLM-L6-v2's if the model is here
// (WDE_MINILM or scripts/run's cache), else that of a small test checkpoint.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer.h"

namespace wde {
namespace {

namespace fs = std::filesystem;

fs::path model_directory() {
  if (const char* given = std::getenv("WDE_MINILM")) return given;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path cached = (cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "") / ".cache") /
                          "wde" / "all-MiniLM-L6-v2";
  return fs::exists(cached / "tokenizer.json") ? cached : fs::path(WDE_GOLDEN) / "models" / "bert-mean";
}

std::vector<TokenizeJob> jobs() {
  const auto json = nlohmann::json::parse(std::ifstream(fs::path(WDE_GOLDEN) / "all-MiniLM-L6-v2" / "golden.json"));
  std::vector<TokenizeJob> out;
  for (const auto& text : json.at("inputs")) {
    out.emplace_back();
    out.back().text = text.get<std::string>();
  }
  return out;
}

void tokenize(benchmark::State& state, const char* name) {
  const auto tokenizer =
      tokenizers().get(name)({model_directory().string(), false, static_cast<size_t>(state.range(0))});
  const auto batch = jobs();
  size_t tokens = 0, bytes = 0;
  for (const TokenizeJob& job : batch) bytes += job.text.size();
  for (auto _ : state) {
    tokens = 0;
    for (const auto& result : tokenizer->encode(batch, 256, false)) tokens += result.ok() ? result.value().size() : 0;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens) * static_cast<double>(state.iterations()),
                                                  benchmark::Counter::kIsRate);
  state.SetLabel(model_directory().filename().string());
}
BENCHMARK_CAPTURE(tokenize, crate, "hf")
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(tokenize, native, "native")->ArgName("threads")->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace wde

BENCHMARK_MAIN();
