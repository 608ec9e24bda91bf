// The modules of one engine, made by name from a workflow, and the record of what was made. Only what the task needs is
// created.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "attention/attn_backend.h"
#include "build/model_input_builder.h"
#include "engine/llm2vec.h"
#include "execute/executor.h"
#include "input/input_processor.h"
#include "model/model.h"
#include "output/output_processor.h"
#include "schedule/scheduler.h"
#include "tokenizer/tokenizer.h"
#include "wde/engine.h"
#include "workflow/workflow.h"

namespace wde {

// What engines of several tasks on one model share.
struct LoadedModel {
  std::string identity;            // of its weights and adapters
  std::optional<Weights> weights;  // the embedding tables are read from here
  std::unique_ptr<Model> model;
  std::mutex mutex;     // guards the making of heads, and what follows
  size_t reserved = 0;  // the longest sequence that the model has tables for
};

struct Modules {
  Workflow workflow;
  EngineInfo info;
  SentenceTransformersSpec spec;
  std::optional<Llm2Vec> llm2vec;
  size_t threads_a_batch = 1;   // that compute it together
  size_t max_batch_tokens = 0;  // as the user says
  bool has_segments = true;     // the tokenizer gives segment ids to the model

  // In order of creation: what a later one uses stands above it.
  std::unique_ptr<InputProcessor> input;
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<LoadedModel> loaded;  // shared: the engines of a model's other tasks hold it too
  const Model* model = nullptr;
  std::unique_ptr<Head> head;
  std::unique_ptr<AttnBackend> backend;
  std::unique_ptr<OutputProcessor> output;
  std::unique_ptr<Trace> trace;  // nullptr: none was asked for
  std::unique_ptr<CostModel> cost;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<ModelInputBuilder> builder;
  std::unique_ptr<Executor> executor;

  // What a batch is to hold at most, when it has these sequences already.
  size_t batch_tokens(std::span<const Sequence> batch = {}) const {
    return std::min(max_batch_tokens, builder->useful_tokens(batch) * threads_a_batch);
  }
  RowsNeeded rows_needed() const { return head ? head->rows_needed() : output->rows_needed(); }
};

// The model of these settings compares the vectors of tokens where it is asked for a score: the mean of the best
// products (true) or their sum. nullopt: it reads pairs, or neither. Throws as load_modules().
std::optional<bool> scores_by_max_sim(const EngineArgs& args);

// Throws UsageError: an environment variable names a kernel that does not run here.
void check_kernel_settings();

// Throws LoadError, UsageError. `done` receives the executor's finished jobs. `shared`: of an engine of the same model,
// or nullptr.
std::unique_ptr<Modules> load_modules(const EngineArgs& args, std::shared_ptr<LoadedModel> shared, Completion done);

}  // namespace wde
