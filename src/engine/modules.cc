#include "engine/modules.h"

#include <fmt/format.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <filesystem>
#include <functional>
#include <future>

#include "base/cpu.h"
#include "engine/embeddings.h"
#include "engine/late_interaction.h"
#include "engine/model_files.h"
#include "engine/scheduling.h"
#include "engine/setting_checks.h"
#include "engine/tasks.h"
#include "kernels/gemm_int8.h"
#include "loader/json_file.h"
#include "loader/pack_cache.h"
#include "model/causality.h"
#include "model/lora.h"
#include "model/repository_code.h"
#include "ops/linear.h"
#include "tokenizer/known_tokens.h"

namespace wde {

namespace {

// Longest sequence that the config's position table allows, for the tokenizer alone (the model's file knows better).
size_t positions_of(const ModelSpec& spec, const ConfigView& config) {
  if (spec.positions != nullptr) return spec.positions(config);
  const int64_t positions =
      config.integer_or(config.first_of({"max_position_embeddings", "n_positions"}), 1 << 24, 1, 1 << 24);
  return static_cast<size_t>(positions);
}

// jina-embeddings-v3: --lora-task, else the prompt that is called like one.
std::string lora_task(const Modules& m, const EngineArgs& args, const ConfigView& config) {
  if (!args.get("lora-task").empty()) return args.get("lora-task");
  const std::vector<std::string> tasks = lora_tasks(config);
  const std::string name =
      args.is_set("prompt-name") ? args.get("prompt-name") : m.spec.default_prompt_name.value_or("");
  return std::find(tasks.begin(), tasks.end(), name) != tasks.end() ? name : "";
}

// What tokenizer_config.json says about how texts are tokenized, beside what the tokenizer itself reads there.
void read_tokenizer_settings(Modules& m, const std::string& directory) {
  const auto config = ConfigView::read_if_exists(join_path(directory, "tokenizer_config.json"));
  if (!config) return;
  const std::string side = config->string_or("truncation_side", "right");
  if (side != "right" && side != "left")
    throw LoadError(
        fmt::format("{}: \"truncation_side\" must be right or left, found {}", config->file(), quote(side)));
  m.info.truncation = side == "left" ? Truncation::kLeft : Truncation::kRight;
  if (!config->has("model_input_names")) return;
  const std::vector<std::string> names = config->strings("model_input_names");
  m.has_segments = std::find(names.begin(), names.end(), "token_type_ids") != names.end();
}

void load_input(Modules& m, const EngineArgs& args, const ConfigView& config, const std::string& directory) {
  InputConfig input;
  input.template_name = args.get("template");
  input.architecture = m.info.architecture;
  input.directory = directory;
  input.config = &config;
  input.image_resize = args.get("image-resize");
  input.scores_by_tokens = m.info.task == "score" && m.info.architecture.ends_with("ForCausalLM");
  input.score_module = m.spec.logit_score.has_value();
  for (const std::string& task : lora_tasks(config)) {
    const auto instructions = config.object_if_exists("task_instructions");
    if (instructions && instructions->has(task)) m.spec.prompts.try_emplace(task, instructions->string(task));
  }
  input.prompts = m.spec.prompts;
  input.default_prompt_name = m.spec.default_prompt_name;
  input.prompt_name = args.get("prompt-name");
  const std::string task = lora_task(m, args, config);
  if (!task.empty() && input.prompt_name.empty() && m.spec.prompts.contains(task)) input.prompt_name = task;
  if (args.is_set("prompt")) input.prompt = args.get("prompt");
  const bool alone = m.info.architecture == "StaticModel";  // sentence-transformers opens tokenizer.json itself there
  m.tokenizer = open_tokenizer(m.workflow.tokenizer, {directory, m.spec.do_lower_case, 1, !alone, alone});
  for (std::string& note : m.tokenizer->notes()) m.info.warnings.push_back(std::move(note));
  if (const auto& rule = m.spec.model2vec) {
    const auto unknown = rule->unknown_token.empty() ? std::nullopt : m.tokenizer->id(rule->unknown_token);
    const auto id = unknown ? unknown : rule->unknown_id;
    m.tokenizer = make_known_tokens(std::move(m.tokenizer), id);
  }
  m.info.modules.emplace_back("tokenizer", m.workflow.tokenizer);
  read_tokenizer_settings(m, directory);
  if (m.spec.late_interaction) {
    input.sides = side_rules(*m.spec.late_interaction, *m.tokenizer, directory);
    m.info.facts.emplace_back("late_interaction", describe(*m.spec.late_interaction));
  }
  m.input = input_processors().get(m.workflow.input_processor)(input);
  m.info.modules.emplace_back("input_processor", m.workflow.input_processor);
  m.info.images = m.input->takes_images();
  m.info.prompts = m.spec.prompts;
  m.info.facts.emplace_back("vocabulary", fmt::format("{} tokens", m.tokenizer->vocabulary_size()));
}

// Rerankers that are language models say yes or no. Files that do not say which tokens these are have the ones that
// their model cards name.
void find_score_tokens(Modules& m, const ConfigView& config) {
  if (m.spec.logit_score || !m.info.architecture.ends_with("ForCausalLM")) return;
  const std::string type = config_model_type(config);
  const auto id = [&](const char* token) -> std::optional<size_t> {
    const auto found = m.tokenizer->id(token);
    return found ? std::optional<size_t>(static_cast<size_t>(*found)) : std::nullopt;
  };
  if (type == "qwen3" && id("yes") && id("no")) m.spec.logit_score = LogitScoreSpec{*id("yes"), id("no")};
  if (type == "gemma" && id("Yes")) m.spec.logit_score = LogitScoreSpec{*id("Yes"), std::nullopt};
}

void load_head(Modules& m, const ConfigView& config, const ModelSpec& spec) {
  const auto own = spec.heads.find(m.info.task);
  HeadFactory factory = own != spec.heads.end() ? own->second : nullptr;
  if (m.info.task == "multi_vector" && m.spec.late_interaction) factory = make_token_vectors;
  if (factory == nullptr) return;
  if (m.info.task == "score") find_score_tokens(m, config);
  const ModelShape shape = m.model->shape();
  m.head = factory({config, *m.loaded->weights, m.spec, m.info.task, shape.hidden_size, shape.vocab_size});
  if (m.head) m.info.modules.emplace_back("head", m.info.task);
}

WeightPolicy policy_of(const EngineArgs& args) {
  return {weight_format_from_name(args.get("dtype")), args.get("float32-layers")};
}

std::string dtypes(const ConfigView& config, const Weights& weights) {
  const WeightPolicy& policy = weights.policy();
  const WeightFormat stored = weights.stored_format();
  const std::string on_disk(stored == WeightFormat::kFloat32 ? config_dtype(config) : weight_format_name(stored));
  std::string out = fmt::format("{} on disk, {} in memory", on_disk, weight_format_name(policy.format()));
  const WeightFormat kept = Linear::float32_format(weights);
  if (policy.format() == WeightFormat::kFloat32 && kept != WeightFormat::kFloat32) {
    out += fmt::format(" (weights kept in the {} that they are)", weight_format_name(kept));
  }
  if (policy.format() == WeightFormat::kInt8) out += fmt::format(" ({})", kernels::int8_kernel());
  if (!policy.float32_names().empty()) out += fmt::format(", float32: {}", join_names(policy.float32_names()));
  return out;
}

// What this process keeps of the model, where the executor divides it among processes.
Portion portion_of(const Modules& m, const EngineArgs& args) {
  if (!m.workflow.needs_model()) return {};
  const ExecutorEntry& executor = executors().get(m.workflow.executor);
  return executor.portion ? executor.portion(args) : Portion{};
}

std::string identity_of(const ModelFiles& files, const std::string& lora_task, const Portion& portion) {
  return fmt::format("{}\n{}\n{} {} {}", files.identity(), lora_task, static_cast<int>(portion.of), portion.rank,
                     portion.size);
}

// Throws UsageError for a model that cannot be divided so.
std::string describe(const Portion& portion, const Modules& m, const Model& model, const Weights& weights) {
  const auto refuse = [&](const char* why) {
    throw UsageError(fmt::format("the executor '{}' cannot divide {} among processes: {}", m.workflow.executor,
                                 m.info.architecture, why));
  };
  if (model.shape().image_tokens > 0) refuse("it has a tower for images beside the one for texts");
  std::string what;
  if (portion.of == Portion::Of::kLayers) {
    if (model.layers() != weights.numbered_layers()) refuse("its layers share weights, or are not numbered");
    const Range layers = portion.layers(model.layers());
    what = fmt::format("layers {} to {} of {}", layers.begin, layers.end - 1, model.layers());
  } else {
    if (!model.divides_columns()) refuse("its layers are not of a kind whose columns can be divided");
    const HeadShape heads = model.shape().heads;
    const size_t groups = portion.columns(heads.num_kv_heads, 1).size();
    what = fmt::format("{} of {} heads, and its share of the other columns of every layer",
                       groups * (heads.num_heads / heads.num_kv_heads), heads.num_heads);
  }
  return what;
}

// One file a model and format.
std::shared_ptr<PackCache> open_pack_cache(const EngineArgs& args, const ModelFiles& files, const Weights& weights,
                                           const std::string& identity) {
  constexpr int kLayout = 3;  // raised with every change of how weights are packed
  if (args.get("pack-cache").empty()) return nullptr;
  const std::string format(weight_format_name(weights.policy().format()));
  std::string settings = fmt::format("{} layout {}\n{} {} float32: {}\n{}", version(), kLayout, format,
                                     kernels::int8_kernel(), args.get("float32-layers"), identity);
  std::vector<std::string> sources = weights.files();
  if (file_exists(files.config)) sources.push_back(files.config);
  for (const std::string& adapter : files.adapters) {
    for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"}) {
      if (const std::string file = join_path(adapter, name); file_exists(file)) sources.push_back(file);
    }
  }
  std::string name = std::filesystem::path(files.directory).lexically_normal().filename().string();
  const size_t hash = std::hash<std::string>{}(identity);
  return std::make_shared<PackCache>(
      join_path(args.get("pack-cache"), fmt::format("{}-{}-{:016x}.safetensors", name, format, hash)),
      std::move(settings), sources);
}

struct LoadedWeights {
  std::shared_ptr<LoadedModel> model;
  std::string pack_cache;  // where it is, and how much of it was used; "": there is none
  std::string problem;     // with it
};

LoadedWeights load_weights(const EngineArgs& args, const ModelFiles& files, const ConfigView& config,
                           const ModelSpec& spec, const Portion& portion, const std::string& task) {
  LoadedWeights out;
  out.model = std::make_shared<LoadedModel>();
  LoadedModel& loaded = *out.model;
  loaded.identity = identity_of(files, task, portion);
  loaded.weights.emplace(files.open_weights());
  merge_lora_task(config, task, *loaded.weights);
  const WeightFormat format = weight_format_from_name(args.get("dtype"));
  loaded.weights->set_policy({format, args.get("float32-layers")});
  check_float32_layers(loaded.weights->policy(), loaded.weights->names());
  loaded.weights->set_portion(portion);
  const auto cache = open_pack_cache(args, files, *loaded.weights, loaded.identity);
  loaded.weights->set_pack_cache(cache);
  loaded.model = spec.create(config, *loaded.weights);
  loaded.weights->require_unchanged();
  if (cache) {
    out.problem = cache->save();
    out.pack_cache = fmt::format("{}, {} MB mapped", cache->file(), cache->mapped_bytes() / 1'000'000);
  }
  return out;
}

void take_weights(Modules& m, LoadedWeights weights) {
  m.loaded = std::move(weights.model);
  if (!weights.problem.empty()) m.info.warnings.push_back(weights.problem);
  if (!weights.pack_cache.empty()) m.info.facts.emplace_back("pack_cache", weights.pack_cache);
}

void load_model(Modules& m, const EngineArgs& args, const ModelFiles& files, const ConfigView& config,
                const ModelSpec& spec, const Portion& portion) {
  const std::string task = lora_task(m, args, config);
  m.model = m.loaded->model.get();
  if (portion.of != Portion::Of::kWhole)
    m.info.facts.emplace_back("portion", describe(portion, m, *m.model, *m.loaded->weights));
  m.info.modules.emplace_back("model", m.info.architecture);
  {
    std::scoped_lock lock(m.loaded->mutex);
    load_head(m, config, spec);
    m.loaded->weights->require_unchanged();
    m.info.unused_tensors = m.loaded->weights->unused();
  }
  if (!m.info.unused_tensors.empty()) {
    m.info.warnings.push_back(fmt::format("{} of the checkpoint's tensors are not part of {} and were not used: {}",
                                          m.info.unused_tensors.size(), m.info.architecture,
                                          join_names(m.info.unused_tensors)));
  }
  m.info.weight_bytes = m.model->weight_bytes() + (m.head ? m.head->weight_bytes() : 0);
  if (!files.adapters.empty()) m.info.facts.emplace_back("adapter", join_names(files.adapters) + ", merged");
  if (!lora_tasks(config).empty()) {
    m.info.adapter = task;
    m.info.adapters = lora_tasks(config);
    m.info.facts.emplace_back("lora_task", task.empty() ? "none" : task);
    if (task.empty())
      m.info.warnings.push_back(
          fmt::format("no --lora-task was given: the weights are used without an adapter; there are {}",
                      join_names(lora_tasks(config))));
  }
  const WeightPolicy& policy = m.loaded->weights->policy();
  m.info.compute_dtype = std::string(weight_format_name(policy.format()));
  m.info.facts.emplace_back("dtype", dtypes(config, *m.loaded->weights));
  if (policy.format() == WeightFormat::kInt8 && kernels::int8_kernel() == "PORTABLE") {
    m.info.warnings.push_back("there is no fast int8 kernel for this CPU: --dtype int8 saves memory, but costs time");
  }

  m.backend = attn_backends().get(m.workflow.attn_backend)();
  const std::string alias_of = m.backend->alias_of();
  m.info.modules.emplace_back(
      "attn_backend", alias_of.empty() ? m.workflow.attn_backend
                                       : fmt::format("{} (asked for as {})", alias_of, m.workflow.attn_backend));
  if (!m.backend->batch_invariant()) {
    m.info.warnings.push_back(fmt::format(
        "the attention backend '{}' does not promise that a text's result is the same, to the last bit, in any batch",
        m.workflow.attn_backend));
  }
  for (const AttentionMask& mask : m.model->masks()) {
    const std::string refused = m.backend->refuses(mask);
    if (!refused.empty()) {
      throw UsageError(
          fmt::format("the attention backend '{}' does not honour {}, which {} needs; try --attn-backend naive",
                      m.workflow.attn_backend, refused, m.info.architecture));
    }
  }
  const Causality causality = resolve_causality(args.get("attention"), config, spec.causal, files.directory);
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
    const bool pairs = args.get("task") == "score" && m.workflow.input_processor == "text";
    check_room_for_texts(*m.tokenizer, m.info.max_length, positions, pairs);
  }
  if (m.model != nullptr) {
    std::scoped_lock lock(m.loaded->mutex);
    if (m.loaded->reserved == 0) {
      m.loaded->reserved = m.info.max_length;
      m.loaded->model->reserve(m.info.max_length);
    }
    // Another engine computes with the tables already: they stay as they are.
    m.info.max_length = std::min(m.info.max_length, m.loaded->reserved);
  }
  m.info.facts.emplace_back("max_length", fmt::format("{} ({})", m.info.max_length, source));
  m.info.document_length = m.info.max_length;
  if (m.spec.late_interaction && m.spec.late_interaction->document.max_length > 0)
    m.info.document_length = std::min(m.info.max_length, m.spec.late_interaction->document.max_length);
}

// Packs what sequences begin with alike once, where that gives the same bits.
std::string resolve_builder(const Modules& m) {
  if (m.workflow.model_input_builder != "auto") return m.workflow.model_input_builder;
  const bool shares = !m.backend->bidirectional() && m.rows_needed() == RowsNeeded::kLast && m.model->shares_prefixes();
  return shares ? "shared_prefix" : "encoder";
}

void load_execution(Modules& m, const EngineArgs& args, Completion done) {
  const Workflow& w = m.workflow;
  const ExecutorEntry& executor = executors().get(w.executor);
  load_scheduler(m, args, executor);
  const std::string builder = resolve_builder(m);
  m.builder = model_input_builders().get(builder)();
  m.info.modules.emplace_back("model_input_builder", builder);

  RunnerConfig runner;
  runner.model = m.model;
  runner.head = m.head.get();
  runner.backend = m.backend.get();
  runner.max_seqlen = std::max(m.info.max_length, m.model->shape().image_tokens);
  ExecutorConfig config;
  config.workers = static_cast<size_t>(args.get_integer("workers").value_or(static_cast<int64_t>(cpu_info().granted)));
  config.layers = m.model->layers();
  runner.max_team = config.workers;
  if (PackCache* const cache = m.loaded->weights->pack_cache()) runner.check = [cache] { cache->require_intact(); };
  m.max_batch_tokens = static_cast<size_t>(*args.get_integer("max-batch-tokens"));
  runner.max_tokens =
      std::max(std::min(m.max_batch_tokens, m.builder->most_useful_tokens() * config.workers), runner.max_seqlen);
  const RunnerFactory& make_runner = runners().get(w.runner);
  const WorkerFactory& make_worker = workers().get(w.worker);
  if (!args.get("trace").empty()) m.trace = std::make_unique<Trace>(args.get("trace"));
  config.make_worker = [&] { return make_worker(make_runner(runner), m.trace.get()); };
  config.done = std::move(done);
  m.executor = executor.create(config);
  m.info.modules.emplace_back("executor", w.executor);
  m.info.modules.emplace_back("worker", w.worker);
  m.info.modules.emplace_back("runner", w.runner);
  m.info.workers = m.executor->workers();
  m.threads_a_batch = std::max<size_t>(1, config.workers / m.info.workers);
  for (auto& fact : m.executor->facts()) m.info.facts.push_back(std::move(fact));
}

// --set seam=name[,seam=name...]
void set_modules(Workflow& workflow, std::string_view settings) {
  while (!settings.empty()) {
    const std::string_view setting = settings.substr(0, settings.find(','));
    settings.remove_prefix(std::min(settings.size(), setting.size() + 1));
    const size_t equals = setting.find('=');
    if (equals == std::string_view::npos || equals + 1 == setting.size())
      throw UsageError(fmt::format("--set is '{}', expected seam=name", setting));
    std::string* const seam = workflow.seam(setting.substr(0, equals));
    if (seam == nullptr || seam->empty()) {
      std::vector<std::string> known;
      for (const auto& [name, module] : workflow.modules()) known.push_back(name);
      throw UsageError(
          fmt::format("--set {}: there is no such seam in this workflow, only: {}", setting, join_names(known)));
    }
    *seam = setting.substr(equals + 1);
  }
}

}  // namespace

std::optional<bool> scores_by_max_sim(const EngineArgs& args) {
  if (args.get("task") != "score" || !args.get("workflow").empty()) return std::nullopt;
  load_plugins(args);
  const ModelFiles files = find_model_files(args);
  const ConfigView config = files.read_config();
  const std::string architecture = config_architecture(config);
  if (architecture.ends_with("ForSequenceClassification") || architecture.ends_with("ForCausalLM")) return std::nullopt;
  const SentenceTransformersSpec spec = read_sentence_transformers(files.directory, files.vector_size(config));
  if (spec.late_interaction) return spec.late_interaction->mean;
  // FlagEmbedding's colbert_score of bge-m3 is the mean.
  if (file_exists(join_path(files.transformer, "colbert_linear.pt"))) return true;
  return std::nullopt;
}

std::unique_ptr<Modules> load_modules(const EngineArgs& args, std::shared_ptr<LoadedModel> shared, Completion done) {
  load_plugins(args);
  check_kernel_settings();
  const ModelFiles files = find_model_files(args);
  const std::string& directory = files.directory;
  auto m = std::make_unique<Modules>();
  m->info.warnings = files.warnings;
  m->info.task = args.get("task");

  // modules.json says where the transformer is; its sizes are checked against the transformer's config.
  const ConfigView config = files.read_config();
  const ModelSpec& spec = ModelRegistry::instance().find(config);
  for (std::string& note : notes_on_architecture(config, spec)) m->info.warnings.push_back(std::move(note));
  m->info.architecture = config_architecture(config).empty() ? spec.architectures.front() : config_architecture(config);
  m->spec = read_sentence_transformers(directory, files.vector_size(config));
  m->spec.transformer_directory = files.transformer;
  if (!m->spec.present) m->llm2vec = Llm2Vec::read(files, config);
  if (m->llm2vec) m->llm2vec->apply_to(m->spec);

  m->info.workflow = args.get("workflow");
  if (m->info.workflow.empty()) {
    const ModelTasks tasks(spec, m->spec, config, says_pooling(args) || m->llm2vec);
    m->info.workflow = tasks.workflow(m->info.task);
  }
  m->workflow = workflows().get(m->info.workflow);
  set_modules(m->workflow, args.get("set"));
  if (m->workflow.needs_model()) {
    for (auto [name, field] : {std::pair{"attn-backend", &m->workflow.attn_backend},
                               {"scheduler", &m->workflow.scheduler},
                               {"executor", &m->workflow.executor}}) {
      if (!args.get(name).empty()) *field = args.get(name);
    }
  }

  const Portion portion = portion_of(*m, args);
  if (shared && shared->identity == identity_of(files, lora_task(*m, args, config), portion) &&
      shared->weights->policy() == policy_of(args))
    m->loaded = std::move(shared);
  // Beside the tokenizer, which takes as long where its vocabulary is large. Behind an error its end is waited for.
  std::future<LoadedWeights> weights;
  if (m->workflow.needs_model() && !m->loaded) {
    weights = std::async(std::launch::async | std::launch::deferred, [&, task = lora_task(*m, args, config)] {
      return load_weights(args, files, config, spec, portion, task);
    });
  }
  load_input(*m, args, config, m->spec.transformer_directory);
  if (weights.valid()) take_weights(*m, weights.get());
#if defined(__GLIBC__)
  malloc_trim(0);  // what reading the files left behind: 60 MB of a vocabulary of 250,000 pieces
#endif
  size_t positions = positions_of(spec, config);
  if (m->workflow.needs_model()) {
    load_model(*m, args, files, config, spec, portion);
    positions = m->model->shape().positions;
  }
  load_max_length(*m, args, positions);
  if (m->info.architecture == "StaticModel" && m->model &&
      m->model->shape().vocab_size < m->tokenizer->vocabulary_size()) {
    throw LoadError(fmt::format("{}: the table of static embeddings has rows for {} tokens, but the tokenizer has {}",
                                files.directory, m->model->shape().vocab_size, m->tokenizer->vocabulary_size()));
  }

  OutputConfig output;
  output.spec = &m->spec;
  output.hidden_size = m->model ? m->model->shape().hidden_size : 0;
  if (m->head && m->head->result().dense > 0) output.hidden_size = m->head->result().dense;
  output.pooling = args.get("pooling") == "auto" ? "" : args.get("pooling");
  output.tokenizer = m->tokenizer.get();
  if (m->head) {
    output.head = m->head->result();
    if (!output.head->vocabulary && output.head->logits > 0) {
      output.labels = m->info.labels = config_labels(config, output.head->logits);
      output.score_activation = m->spec.score_activation.value_or(config_score_activation(config, output.head->logits));
    }
  }
  m->output = output_processors().get(m->workflow.output_processor)(output);
  m->info.modules.emplace_back("output_processor", m->workflow.output_processor);
  m->info.dimensions = m->output->dimensions();
  describe_embeddings(m->info, config, m->spec, output.pooling, m->workflow.output_processor == "embedding");
  if (m->workflow.output_processor == "embedding" && !m->spec.present && !m->llm2vec && output.pooling.empty()) {
    const bool pooling_file = file_exists(join_path(directory, "1_Pooling/config.json"));
    m->info.warnings.push_back(
        fmt::format("{} has no modules.json{}: mean pooling without normalising, as sentence-transformers does; "
                    "--pooling chooses another",
                    directory, pooling_file ? ", so its 1_Pooling/config.json is not read" : ""));
  }
  if (m->workflow.needs_model()) load_execution(*m, args, std::move(done));
  return m;
}

}  // namespace wde
