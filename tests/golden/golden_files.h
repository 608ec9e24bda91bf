// The recorded answers of the reference implementation: golden.json (inputs, token ids, tolerance) and
// golden.safetensors (vectors).
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "loader/safetensors.h"
#include "loader/weights.h"
#include "test_paths.h"
#include "wde/engine.h"

namespace wde::test {

inline std::string read_image(const std::string& name) {
  const auto file = std::filesystem::path(test::kData).parent_path() / "images" / name;
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Golden {
  explicit Golden(const std::filesystem::path& directory)
      : tensors(std::make_unique<SafetensorsFile>((directory / "golden.safetensors").string())) {
    const auto json = nlohmann::json::parse(std::ifstream(directory / "golden.json"));
    for (const auto& input : json.at("inputs")) {
      if (input.is_string()) {
        inputs.push_back({input.get<std::string>()});
      } else if (input.is_object() && input.contains("prompt_name")) {
        inputs.push_back({input.at("text").get<std::string>()});
        inputs.back().prompt_name = input.at("prompt_name").get<std::string>();
      } else if (input.is_object() && input.contains("prompt")) {
        inputs.push_back({input.at("text").get<std::string>()});
        inputs.back().prompt = input.at("prompt").get<std::string>();
      } else if (input.is_object()) {
        inputs.push_back({Image{read_image(input.at("image").get<std::string>())}});
      } else {
        inputs.push_back({TextPair{input.at(0).get<std::string>(), input.at(1).get<std::string>()}});
      }
    }
    for (const auto& pair : json.value("pairs", nlohmann::json::array())) {
      pairs.push_back({TextPair{pair.at(0).get<std::string>(), pair.at(1).get<std::string>()}});
      scores.push_back(pair.at(2).get<float>());
    }
    ids = json.at("ids").get<std::vector<std::vector<int32_t>>>();
    max_length = json.at("max_length").get<size_t>();
    tolerance = json.at("tolerance").get<double>();
    for (const auto& [name, note] : json.at("outputs").items()) outputs.push_back(name);
  }

  // The recorded array and its shape; empty if it was not recorded ("hidden" is there for the first inputs only).
  std::pair<std::vector<float>, std::vector<size_t>> array(const std::string& output, size_t input) const {
    const auto it = tensors->tensors().find(output + "." + std::to_string(input));
    if (it == tensors->tensors().end()) return {};
    std::vector<float> values(it->second.elements());
    to_float32(it->second, 0, values.size(), values.data());
    return {std::move(values), it->second.shape};
  }

  std::vector<Request> inputs;
  std::vector<Request> pairs;  // of a query and a document among the inputs, and their scores
  std::vector<float> scores;
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::string> outputs;  // names of what was recorded
  size_t max_length = 0;
  double tolerance = 0;
  std::unique_ptr<SafetensorsFile> tensors;
};

// The checkpoints in WDE_TEST_DATA, by name.
inline std::vector<std::string> checkpoints() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(test::kData)) {
    if (std::filesystem::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What config.json says, under any family's name; 0: a table of vectors alone.
inline size_t layers_of(const std::string& name) {
  const std::filesystem::path file = std::filesystem::path(test::kData) / name / "config.json";
  if (!std::filesystem::exists(file)) return 0;
  const auto config = nlohmann::json::parse(std::ifstream(file));
  size_t layers = 0;
  for (const char* key : {"num_hidden_layers", "n_layers", "num_layers", "n_layer"})
    layers += config.value(key, size_t{0});
  return layers;
}

inline std::vector<std::string> checkpoints_with_layers() {
  std::vector<std::string> names = checkpoints();
  std::erase_if(names, [](const std::string& name) { return layers_of(name) == 0; });
  return names;
}

// Those that embed, a few of every kind: the batch's company is the business of layers, not of architectures.
inline std::vector<std::string> embedders() {
  return {"bert-mean",  "bert-cls",        "deberta-v2-reranker", "embeddinggemma", "gte-new",
          "modernbert", "qwen3-embedding", "t5-encoder",          "nomic-moe"};
}

// Of those, the encoders whose vectors are one pooled row, of length 1.
inline std::vector<std::string> plain_encoders() { return {"bert-mean", "bert-cls", "gte-new", "modernbert"}; }

inline std::filesystem::path checkpoint(const std::string& name) { return std::filesystem::path(test::kData) / name; }

inline std::string test_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

// The largest difference, as a fraction of the largest number wanted (at least 1): what tolerances are given in.
inline double difference(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return INFINITY;
  double largest = 1, worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    const double error = std::abs(static_cast<double>(got[i]) - want[i]);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) return INFINITY;
  }
  return worst / largest;
}

using Settings = std::vector<std::pair<std::string, std::string>>;

inline std::unique_ptr<Engine> make_engine(const std::filesystem::path& model, const Settings& settings = {}) {
  EngineArgs args;
  args.set("model", model.string());
  for (const auto& [name, value] : settings) args.set(name, value);
  // Of a model that was made for something else the mean of its rows: its layers are tested, not its pooling.
  const std::vector<std::string> tasks = inspect_model(args).tasks;
  const bool embeds = std::find(tasks.begin(), tasks.end(), "embed") != tasks.end();
  if (args.get("task") == "embed" && !embeds) args.set("pooling", "mean");
  return Engine::create(args);
}

// The responses of all requests, submitted in groups of so many; a failed one fails the test and is left empty.
inline std::vector<Response> respond(Engine& engine, const std::vector<Request>& requests, size_t group = SIZE_MAX) {
  std::vector<Response> responses;
  for (size_t begin = 0; begin < requests.size(); begin += std::min(group, requests.size() - begin)) {
    std::vector<std::future<Result<Response>>> futures;
    for (size_t i = begin; i < requests.size() && i - begin < group; ++i) futures.push_back(engine.submit(requests[i]));
    for (auto& future : futures) {
      auto result = future.get();
      if (!result.ok()) ADD_FAILURE() << result.error().message;
      responses.push_back(result.ok() ? std::move(result).value() : Response{{Output{}}, 0, false, {}, {}});
    }
  }
  return responses;
}

inline std::vector<Request> requests(const std::vector<std::string>& texts) {
  std::vector<Request> out;
  for (const std::string& text : texts) out.push_back({text});
  return out;
}

inline std::vector<std::vector<float>> vectors(Engine& engine, const std::vector<std::string>& texts,
                                               size_t group = SIZE_MAX) {
  std::vector<std::vector<float>> out;
  for (Response& response : respond(engine, requests(texts), group))
    out.push_back(std::move(response.outputs.at(0).values));
  return out;
}

}  // namespace wde::test
