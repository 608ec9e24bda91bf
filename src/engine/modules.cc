#include "engine/modules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cpu.h"
#include "model/causality.h"

namespace wde {

namespace {

// The hidden size under any family's name, for the sentence-transformers files; the model's own file checks it.
size_t hidden_size_of(const ConfigView& config) {
  return static_cast<size_t>(config.integer(config.first_of({"hidden_size", "dim", "d_model"}), 1, 1 << 20));
}

// Longest sequence that the config's position table allows, for the tokenizer alone (the model's file knows better).
size_t positions_of(const ConfigView& config) {
  const int64_t positions =
      config.integer_or(config.first_of({"max_position_embeddings", "n_positions"}), 1 << 24, 1, 1 << 24);
  return static_cast<size_t>(positions);
}

void load_input(Modules& m, const EngineArgs& args, const std::string& directory) {
  InputConfig input;
  input.prompts = m.spec.prompts;
  input.default_prompt_name = m.spec.default_prompt_name;
  input.prompt_name = args.get("prompt-name");
  if (args.is_set("prompt")) input.prompt = args.get("prompt");
  m.input = input_processors().get(m.workflow.input_processor)(input);
  m.info.modules.emplace_back("input_processor", m.workflow.input_processor);

  m.tokenizer = tokenizers().get(m.workflow.tokenizer)({directory, m.spec.do_lower_case, 1});
  m.info.modules.emplace_back("tokenizer", m.workflow.tokenizer);
  m.info.facts.emplace_back("vocabulary", fmt::format("{} tokens", m.tokenizer->vocabulary_size()));
}

void load_model(Modules& m, const EngineArgs& args, const ConfigView& config, const ModelSpec& spec) {
  m.weights.emplace(Weights::open(m.spec.transformer_directory));
  m.model = spec.create(config, *m.weights);
  m.info.modules.emplace_back("model", m.info.architecture);
  m.info.unused_tensors = m.weights->unused();
  if (!m.info.unused_tensors.empty()) {
    m.info.warnings.push_back(fmt::format("{} of the checkpoint's tensors are not part of {} and were not used: {}",
                                          m.info.unused_tensors.size(), m.info.architecture,
                                          join_names(m.info.unused_tensors)));
  }
  m.info.weight_bytes = m.model->weight_bytes();
  m.info.facts.emplace_back("dtype", fmt::format("{} on disk, float32 in memory", config_dtype(config)));

  m.backend = attn_backends().get(m.workflow.attn_backend)();
  const std::string alias_of = m.backend->alias_of();
  m.info.modules.emplace_back(
      "attn_backend", alias_of.empty() ? m.workflow.attn_backend
                                       : fmt::format("{} (asked for as {})", alias_of, m.workflow.attn_backend));
  for (const AttentionMask& mask : m.model->masks()) {
    const std::string refused = m.backend->refuses(mask);
    if (!refused.empty()) {
      throw UsageError(
          fmt::format("the attention backend '{}' does not honour {}, which {} needs; try --attn-backend naive",
                      m.workflow.attn_backend, refused, m.info.architecture));
    }
  }
  const Causality causality = resolve_causality(args.get("attention"), config, spec.causal);
  m.backend->set_bidirectional(causality.bidirectional);
  m.info.facts.emplace_back(
      "attention", fmt::format("{} ({})", causality.bidirectional ? "bidirectional" : "causal", causality.rule));
}

void load_max_length(Modules& m, const EngineArgs& args, size_t positions) {
  const MaxLength limit = resolve_max_length(m.spec, m.spec.transformer_directory, positions);
  m.info.max_length = limit.tokens;
  std::string source = limit.source;
  if (const auto wanted = args.get_integer("max-length")) {
    if (static_cast<size_t>(*wanted) > positions) {
      throw UsageError(
          fmt::format("--max-length is {}, but the model has positions for {} tokens", *wanted, positions));
    }
    m.info.max_length = static_cast<size_t>(*wanted);
    source = "--max-length";
  }
  m.info.facts.emplace_back("max_length", fmt::format("{} ({})", m.info.max_length, source));
}

void load_execution(Modules& m, const EngineArgs& args, Completion done) {
  const Workflow& w = m.workflow;
  m.scheduler = schedulers().get(w.scheduler)();
  m.info.modules.emplace_back("scheduler", w.scheduler);
  const ExecutorEntry& executor = executors().get(w.executor);
  const auto feeds = m.scheduler->feeds();
  if (std::find(feeds.begin(), feeds.end(), executor.accepts) == feeds.end()) {
    throw UsageError(fmt::format("the scheduler '{}' feeds {} executors, but '{}' is {}", w.scheduler,
                                 join_names(feeds), w.executor, executor.accepts));
  }
  m.builder = model_input_builders().get(w.model_input_builder)();
  m.info.modules.emplace_back("model_input_builder", w.model_input_builder);

  m.batch_tokens = static_cast<size_t>(*args.get_integer("max-batch-tokens"));
  RunnerConfig runner;
  runner.model = m.model.get();
  runner.backend = m.backend.get();
  runner.max_tokens = std::max(m.batch_tokens, m.info.max_length);
  runner.max_seqlen = m.info.max_length;
  ExecutorConfig config;
  config.workers = static_cast<size_t>(args.get_integer("workers").value_or(static_cast<int64_t>(cpu_info().granted)));
  runner.max_team = config.workers;
  const RunnerFactory& make_runner = runners().get(w.runner);
  const WorkerFactory& make_worker = workers().get(w.worker);
  config.make_worker = [&] { return make_worker(make_runner(runner)); };
  config.done = std::move(done);
  m.executor = executor.create(config);
  m.info.modules.emplace_back("executor", w.executor);
  m.info.modules.emplace_back("worker", w.worker);
  m.info.modules.emplace_back("runner", w.runner);
  m.info.workers = m.executor->workers();
}

}  // namespace

std::unique_ptr<Modules> load_modules(const EngineArgs& args, Completion done) {
  load_plugins(args);
  const std::string& directory = args.get("model");
  if (directory.empty()) throw UsageError("no model given: use --model DIRECTORY or set WDE_MODEL");
  require_model_directory(directory);
  auto m = std::make_unique<Modules>();
  m->info.task = args.get("task");

  // modules.json says where the transformer is; its sizes are checked against the transformer's config.
  const ConfigView config = ConfigView::read(find_transformer_directory(directory) + "/config.json");
  const ModelSpec& spec = ModelRegistry::instance().find(config);
  m->info.architecture = config_architecture(config).empty() ? spec.architectures.front() : config_architecture(config);
  m->spec = read_sentence_transformers(directory, hidden_size_of(config));

  m->info.workflow = args.get("workflow");
  if (m->info.workflow.empty()) {
    const auto found = spec.workflows.find(m->info.task);
    if (found == spec.workflows.end()) {
      std::vector<std::string> known;
      for (const auto& [task, workflow] : spec.workflows) known.push_back(task);
      throw UsageError(fmt::format("{} does not answer the task '{}'; it answers: {}", m->info.architecture,
                                   m->info.task, join_names(known)));
    }
    m->info.workflow = found->second;
  }
  m->workflow = workflows().get(m->info.workflow);
  if (m->workflow.needs_model()) {
    for (auto [name, field] : {std::pair{"attn-backend", &m->workflow.attn_backend},
                               {"scheduler", &m->workflow.scheduler},
                               {"executor", &m->workflow.executor}}) {
      if (!args.get(name).empty()) *field = args.get(name);
    }
  }

  load_input(*m, args, m->spec.transformer_directory);
  size_t positions = positions_of(config);
  if (m->workflow.needs_model()) {
    load_model(*m, args, config, spec);
    positions = m->model->shape().positions;
  }
  load_max_length(*m, args, positions);

  OutputConfig output;
  output.spec = &m->spec;
  output.hidden_size = m->model ? m->model->shape().hidden_size : 0;
  output.pooling = args.get("pooling") == "auto" ? "" : args.get("pooling");
  output.tokenizer = m->tokenizer.get();
  m->output = output_processors().get(m->workflow.output_processor)(output);
  m->info.modules.emplace_back("output_processor", m->workflow.output_processor);
  m->info.dimensions = m->output->dimensions();
  if (m->info.task == "embed" && !m->spec.present && output.pooling.empty()) {
    m->info.warnings.push_back(directory +
                               " has no modules.json: mean pooling without normalising, as sentence-transformers does; "
                               "--pooling chooses another");
  }
  if (m->workflow.needs_model()) load_execution(*m, args, std::move(done));
  return m;
}

}  // namespace wde
