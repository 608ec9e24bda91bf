// The modules of one engine, made by name from a workflow, and the record of what was made. Only what the task needs is
// created.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "attention/attn_backend.h"
#include "build/model_input_builder.h"
#include "execute/executor.h"
#include "input/input_processor.h"
#include "model/model.h"
#include "output/output_processor.h"
#include "schedule/scheduler.h"
#include "tokenizer/tokenizer.h"
#include "wde/engine.h"
#include "workflow/workflow.h"

namespace wde {

struct Modules {
  Workflow workflow;
  EngineInfo info;
  SentenceTransformersSpec spec;
  size_t batch_tokens = 0;

  // In order of creation: what a later one uses stands above it.
  std::unique_ptr<InputProcessor> input;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<Weights> weights;  // the embedding tables are read from here
  std::unique_ptr<Model> model;
  std::unique_ptr<AttnBackend> backend;
  std::unique_ptr<OutputProcessor> output;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<ModelInputBuilder> builder;
  std::unique_ptr<Executor> executor;
};

// Those that the setting "plugin" names. Throws LoadError.
void load_plugins(const EngineArgs& args);

// Throws LoadError, UsageError. `done` receives the executor's finished jobs.
std::unique_ptr<Modules> load_modules(const EngineArgs& args, Completion done);

}  // namespace wde
