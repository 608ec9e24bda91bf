// Engine: a loaded model behind the workflow of one task. Thread-safe: any thread may submit and cancel.
//
//   wde::EngineArgs args;
//   args.set("model", "path/to/all-MiniLM-L6-v2").set("task", "embed");
//   auto engine = wde::Engine::create(args);                        // throws wde::LoadError, wde::UsageError
//   wde::Result<wde::Response> r = engine->submit({"some text", {}}).get();
//   if (r.ok()) use(r.value().outputs[0].values);                   // float32 [dim]
//
// examples/embed.cpp is this as a whole program; the tests compile and run it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wde/engine_args.h"
#include "wde/request.h"
#include "wde/response.h"
#include "wde/result.h"
#include "wde/statistics.h"

namespace wde {

using RequestId = uint64_t;

// What an engine is made of, for `doctor`, /info and logs.
struct EngineInfo {
  std::string architecture;   // "BertModel"
  std::string task;           // "embed"
  std::string compute_dtype;  // what products are made of: float32, bfloat16 or int8; "" without a model
  std::string pooling;        // "mean", "cls+max", …; "" where the task has none
  std::string workflow;
  std::vector<std::pair<std::string, std::string>>
      modules;  // seam -> name of the module that was created, in order of creation
  std::vector<std::pair<std::string, std::string>> facts;  // "max_length" -> "256 (sentence_bert_config.json)", …
  std::vector<std::string> unused_tensors;                 // in the checkpoint, but not part of the model
  std::vector<std::string> warnings;                       // sentences that a user should see once
  size_t max_length = 0;                                   // tokens, special ones included
  size_t document_length = 0;                              // of them, what a document of late interaction may have
  size_t dimensions = 0;                                   // of an embedding or hidden row; 0 where the task has none
  size_t workers = 0;
  size_t weight_bytes = 0;                     // packed, shared by all workers
  std::vector<std::string> labels;             // of classify and token_classify, by number
  std::map<std::string, std::string> prompts;  // the model's, by name
  std::string adapter;                         // of `adapters`, the one that is used; "": none
  std::vector<std::string> adapters;           // that the model has for its tasks (jina-embeddings-v3)
  bool normalizes = false;                     // embeddings have length 1
  std::string similarity = "cosine";           // what embeddings are compared by; or dot, euclidean, manhattan
  bool images = false;                         // requests may be images
  bool sharing = false;                        // Request::sharing counts: the scheduler tells callers apart
  Truncation truncation = Truncation::kRight;  // what Truncation::kModel means; kRight or kLeft
  bool matryoshka = false;                     // the model's files say that Request::dimensions is meant for it
  std::vector<size_t> matryoshka_dimensions;   // and for which; empty: they do not say

  // What becomes of an input that is too long, for a request that asks for this.
  Truncation resolve(Truncation asked) const { return asked == Truncation::kModel ? truncation : asked; }
};

// What a model's files say that it is, without loading its weights.
struct ModelSummary {
  std::string architecture;
  std::string model_type;          // config.json's
  std::vector<std::string> tasks;  // that it can answer
  std::string default_task;  // what it was made for: "embed", "score", "classify", "token_classify", "sparse", …
  std::vector<std::string> labels;
};
// Throws LoadError, UsageError. `args` as for Engine::create; the task is not read.
ModelSummary inspect_model(const EngineArgs& args);

class Engine {
 public:
  // Called exactly once a request, from a thread of the engine: return soon, do not block, do not throw.
  using Callback = std::function<void(Result<Response>)>;

  // `sibling`: an engine of another task on the same model, whose weights are then shared, or nullptr. It may be
  // destroyed before this one.
  static std::unique_ptr<Engine> create(const EngineArgs& args, const Engine* sibling = nullptr);

  // Finishes what was submitted, then stops (as shutdown()).
  virtual ~Engine() = default;

  // Returns at once. Errors of the request (bad UTF-8, …) and of the engine come through the callback.
  virtual RequestId submit(Request request, Callback done) = 0;
  std::future<Result<Response>> submit(Request request);

  // True: the request was still waiting, and its callback has been or will be called with kCancelled.
  // False: unknown, already answered, or already being executed (its answer comes as usual).
  virtual bool cancel(RequestId id) = 0;

  // Refuses new requests (kUnavailable), answers all submitted ones, stops the threads. Idempotent.
  virtual void shutdown() = 0;

  virtual const EngineInfo& info() const = 0;
  virtual EngineStatistics statistics() const = 0;

  // By the cost model: seconds that all workers together take for an input of so many tokens among others, or, where
  // there are fewer inputs than workers, that it takes of their time.
  virtual double seconds(size_t tokens) const = 0;

  // The text of token ids, special ones left out unless asked for. kInvalidInput for an id outside the vocabulary.
  virtual Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const = 0;
};

// Loads a plug-in (docs/plugins.md), a shared object, for the life of the process; again: does nothing. Throws
// LoadError. A plug-in may take the process over and not return (mpi, in all processes but the first).
void load_plugin(const std::string& file);
// Those that the setting "plugin" names. Engine::create does it too; a program that does more than that with its
// settings does it first.
void load_plugins(const EngineArgs& args);

// For `wde models`: what is registered.
struct ModelEntry {
  std::string architecture;
  std::string model_type;
  std::vector<std::pair<std::string, std::string>> workflows;  // task -> workflow
};
struct WorkflowEntry {
  std::string name;
  std::string help;
  std::vector<std::pair<std::string, std::string>> modules;  // seam -> module
};
std::vector<ModelEntry> registered_models();
std::vector<WorkflowEntry> registered_workflows();
std::vector<std::pair<std::string, std::vector<std::string>>> registered_modules();  // seam -> names

// What the machine offers and what the engine would use of it, line by line, for `wde doctor`.
std::vector<std::pair<std::string, std::string>> machine_facts();
std::string version();

}  // namespace wde
