// What the server says about itself and its models: health, /info, lists of models, metrics, pages.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "server/pages/pages.h"
#include "server/serving/app.h"

namespace wde::server {
namespace {

constexpr std::string_view kVersionPrefix = "/v1/models/";

constexpr std::array<std::string_view, 21> kGetPaths = {"/",
                                                        "/health",
                                                        "/health/live",
                                                        "/health/ready",
                                                        "/ping",
                                                        "/metrics",
                                                        "/info",
                                                        "/v1/models",
                                                        "/models",
                                                        "/version",
                                                        "/docs",
                                                        "/docs/start.js",
                                                        "/docs/swagger-ui-bundle.js",
                                                        "/docs/swagger-ui.css",
                                                        "/openapi.json",
                                                        "/api-doc/openapi.json",
                                                        "/api/tags",
                                                        "/api/version",
                                                        "/api/ps",
                                                        "/load",
                                                        "/favicon.ico"};
constexpr std::array<std::string_view, 3> kPostPaths = {"/api/show", "/models/load", "/models/unload"};

// What config.json calls the family ("bert"), which Ollama's clients look for before ".context_length".
std::string family_of(const ModelFacts& facts) {
  return facts.model_type.empty() ? facts.architecture : facts.model_type;
}

// In Ollama's words.
std::string_view quantization_of(const EngineInfo& info) {
  if (info.compute_dtype == "int8") return "I8";
  return info.compute_dtype == "bfloat16" ? "BF16" : "F32";
}

// What Infinity's clients know of a model: "owned_by" can be nothing else there.
struct InfinityStats {
  QueueUse use;
  size_t max_requests, max_inputs;
};

void write_infinity(JsonOut& out, const ModelState& state, const InfinityStats& stats) {
  const auto share = stats.use.by_model.find(state.name);
  const auto waiting = share == stats.use.by_model.end() ? 0 : static_cast<int64_t>(share->second.requests);
  out.key("stats").open('{').key("queue_fraction");
  out.number(static_cast<double>(waiting) / static_cast<double>(std::max<size_t>(1, stats.max_requests)));
  out.key("queue_absolute").integer(waiting).key("results_pending").integer(waiting);
  out.key("batch_size").integer(static_cast<int64_t>(stats.max_inputs)).close('}');
  out.key("backend").plain("wde").key("capabilities").open('[');
  const auto can = [&](const char* task) { return state.facts && state.facts->can(task); };
  if (can(task::kEmbed)) out.plain("embed");
  if (can(task::kEmbed) || can(task::kScore)) out.plain("rerank");
  if (can(task::kClassify)) out.plain("classify");
  out.close(']');
}

// What the files declare of `dimensions`.
void write_matryoshka(JsonOut& out, const EngineInfo& info) {
  out.key("is_matryoshka").boolean(info.matryoshka).key("matryoshka_dimensions").open('[');
  for (const size_t size : info.matryoshka_dimensions) out.integer(static_cast<int64_t>(size));
  out.close(']');
}

void write_openai_model(JsonOut& out, const ModelState& state, const InfinityStats* infinity = nullptr) {
  out.open('{').key("id").text(state.name).key("object").plain("model").key("created").integer(0);
  out.key("owned_by").plain(infinity != nullptr ? "infinity" : "wde");
  if (infinity != nullptr) write_infinity(out, state, *infinity);
  out.key("state");
  switch (state.phase) {
    case ModelState::Phase::kReady:
      out.plain("ready");
      break;
    case ModelState::Phase::kLoading:
      out.plain("loading");
      break;
    case ModelState::Phase::kUnloaded:
      out.plain("unloaded");
      break;
    case ModelState::Phase::kFailed:
      out.plain("failed");
      break;
  }
  if (state.facts) {
    const EngineInfo& info = state.facts->info;
    out.key("architecture").text(state.facts->architecture).key("task").text(state.facts->default_task);
    out.key("tasks").open('[');
    for (const std::string& task : state.facts->tasks) {
      if (state.facts->can(task)) out.text(task);
    }
    out.close(']').key("engines").open('[');
    for (const std::string& task : state.engines) out.text(task);
    out.close(']').key("max_model_len").integer(static_cast<int64_t>(info.max_length));
    out.key("dimensions").integer(static_cast<int64_t>(info.dimensions)).key("prompts").open('[');
    for (const auto& [name, prompt] : info.prompts) out.text(name);
    out.close(']').key("labels").open('[');
    for (const std::string& label : info.labels) out.text(label);
    out.close(']').key("dtype").text(info.compute_dtype);
    write_matryoshka(out, info);
  }
  out.close('}');
}

void write_labels(JsonOut& out, const std::vector<std::string>& labels) {
  out.key("id2label").open('{');
  for (size_t i = 0; i < labels.size(); ++i) out.key(fmt::to_string(i)).text(labels[i]);
  out.close('}').key("label2id").open('{');
  for (size_t i = 0; i < labels.size(); ++i) out.key(labels[i]).integer(static_cast<int64_t>(i));
  out.close('}');
}

void write_ollama_details(JsonOut& out, const ModelState& state) {
  out.key("details").open('{').key("parent_model").plain("").key("format").plain("safetensors");
  const std::string family = state.facts ? family_of(*state.facts) : "";
  out.key("family").text(family).key("families").open('[').text(family).close(']');
  out.key("parameter_size").plain("").key("quantization_level");
  out.plain(state.facts ? quantization_of(state.facts->info) : "").close('}');
}

}  // namespace

HttpResponse App::json(JsonOut& out) {
  HttpResponse response;
  response.body = out.take();
  return response;
}

bool App::is_info_path(std::string_view method, std::string_view path, Dialect dialect) {
  const auto among = [&](const auto& paths) { return std::find(paths.begin(), paths.end(), path) != paths.end(); };
  if (method == "POST") return among(kPostPaths);
  if (method != "GET" && method != "HEAD") return false;
  if (is_platform_path(path, dialect)) return true;
  return among(kGetPaths) || (path.starts_with(kVersionPrefix) && path.size() > kVersionPrefix.size());
}

bool App::is_open_path(std::string_view path) {
  // Probes, scrapers, and pages that hold no secrets.
  constexpr std::array<std::string_view, 11> open = {
      "/",     "/health",       "/health/live",          "/health/ready", "/ping",   "/metrics",
      "/docs", "/openapi.json", "/api-doc/openapi.json", "/favicon.ico",  "/version"};
  if (is_open_platform_path(path)) return true;
  return path.starts_with("/docs/") || std::find(open.begin(), open.end(), path) != open.end();
}

bool App::is_probe_path(std::string_view path) {
  constexpr std::array<std::string_view, 5> probes = {"/health", "/health/live", "/health/ready", "/ping", "/metrics"};
  return std::find(probes.begin(), probes.end(), path) != probes.end();
}

bool App::is_admin_path(std::string_view path) { return path == "/models/load" || path == "/models/unload"; }

HttpResponse App::health(Dialect dialect) const {
  if (draining_) return error_response(ApiError(Fault::kUnavailable, "the server is shutting down"), ErrorStyle::kTei);
  const std::vector<ModelState> states = models_.states();
  const bool some_ready = std::any_of(states.begin(), states.end(),
                                      [](const ModelState& s) { return s.phase == ModelState::Phase::kReady; });
  for (const ModelState& state : states) {
    // One that comes back after it was unloaded does not take the others out of service.
    const bool back = state.facts && some_ready;
    if (state.phase == ModelState::Phase::kLoading && !back) {
      return error_response(
          ApiError(Fault::kUnavailable, fmt::format("the model {} is being loaded", state.name), {}, 1),
          ErrorStyle::kTei);
    }
    if (state.phase == ModelState::Phase::kFailed) {
      return error_response(ApiError(Fault::kUnavailable, fmt::format("the model {} could not be loaded", state.name)),
                            ErrorStyle::kTei);
    }
  }
  HttpResponse response;
  if (dialect == Dialect::kTei) {
    response.content_type.clear();  // and no body
  } else if (dialect == Dialect::kInfinity) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    response.body = fmt::format(R"({{"unix":{:.3f}}})", std::chrono::duration<double>(now).count());
  } else {
    response.body = R"({"status":"ok"})";
  }
  return response;
}

HttpResponse App::tei_info(Dialect dialect) const {
  const std::vector<ModelState> states = models_.states();
  if (states.empty() || !states[0].facts) {
    throw ApiError(Fault::kUnavailable, "the model is being loaded", {}, 1);
  }
  const ModelFacts& model = *states[0].facts;
  JsonOut out;
  out.open('{').key("model_id").text(model.path).key("model_sha");
  if (model.commit.empty()) {
    out.null();
  } else {
    out.text(model.commit);
  }
  out.key("model_dtype").text(model.info.compute_dtype).key("served_model_name").text(model.name);
  out.key("model_type").open('{');
  if (model.default_task == task::kClassify || model.default_task == task::kScore ||
      model.default_task == task::kTokenClassify) {
    out.key(model.default_task == task::kScore ? "reranker" : "classifier").open('{');
    write_labels(out, model.info.labels);
  } else if (model.default_task == task::kMultiVector) {
    out.key("multi_vector").open('{').key("dimensions").integer(static_cast<int64_t>(model.info.dimensions));
  } else {
    std::string pooling = model.default_task == task::kSparse ? "splade" : model.info.pooling;
    if (pooling == "lasttoken") pooling = "last_token";
    out.key("embedding").open('{').key("pooling").text(pooling.empty() ? "mean" : pooling);
  }
  out.close('}').close('}');
  out.key("max_concurrent_requests").integer(static_cast<int64_t>(options_.queue.requests));
  out.key("max_input_length").integer(static_cast<int64_t>(model.info.max_length));
  out.key("max_batch_tokens").integer(static_cast<int64_t>(model.max_batch_tokens)).key("max_batch_requests").null();
  out.key("max_client_batch_size").integer(static_cast<int64_t>(options_.rules.max_inputs));
  out.key("auto_truncate").boolean(options_.rules.auto_truncate);
  out.key("tokenization_workers").integer(1).key("version").text(version()).key("sha").null();
  out.key("docker_label").null();
  if (dialect != Dialect::kTei) {
    out.key("scheduler").text(model.scheduler());
    write_matryoshka(out, model.info);
  }
  out.close('}');
  return json(out);
}

HttpResponse App::list_models(Dialect dialect) const {
  const InfinityStats stats{admission_.use(), options_.queue.requests, options_.rules.max_inputs};
  JsonOut out;
  out.open('{').key("object").plain("list").key("data").open('[');
  for (const ModelState& state : models_.states()) {
    write_openai_model(out, state, dialect == Dialect::kInfinity ? &stats : nullptr);
  }
  out.close(']').close('}');
  return json(out);
}

HttpResponse App::one_model(std::string_view name) {
  for (const ModelState& state : models_.states()) {
    if (state.name != name && state.path != name) continue;
    JsonOut out;
    write_openai_model(out, state);
    return json(out);
  }
  throw ApiError(Fault::kNoModel, fmt::format("there is no model \"{}\" here", name), "model");
}

HttpResponse App::ollama_tags() const {
  JsonOut out;
  out.open('{').key("models").open('[');
  for (const ModelState& state : models_.states()) {
    out.open('{').key("name").text(state.name).key("model").text(state.name);
    out.key("modified_at").plain("1970-01-01T00:00:00Z").key("size");
    out.integer(state.facts ? static_cast<int64_t>(state.facts->info.weight_bytes) : 0).key("digest").plain("");
    write_ollama_details(out, state);
    out.close('}');
  }
  out.close(']').close('}');
  return json(out);
}

HttpResponse App::ollama_show(const HttpRequest& request) {
  std::string body = request.body;
  const JsonDocument document(body);
  const Fields fields(document.root());
  auto name = fields.text("model");
  if (!name) name = fields.text("name");
  const std::shared_ptr<const ModelFacts> model = models_.find(name.value_or(""), {}, true);
  for (const ModelState& state : models_.states()) {
    if (state.name != model->name) continue;
    JsonOut out;
    out.open('{').key("modelfile").plain("").key("parameters").plain("").key("template").plain("");
    write_ollama_details(out, state);
    const std::string family = family_of(*model);
    out.key("model_info").open('{').key("general.architecture").text(family);
    out.key(family + ".context_length").integer(static_cast<int64_t>(model->info.max_length));
    out.key(family + ".embedding_length").integer(static_cast<int64_t>(model->info.dimensions)).close('}');
    out.key("capabilities").open('[');
    if (model->can(task::kEmbed)) out.plain("embedding");
    out.close(']').close('}');
    return json(out);
  }
  throw ApiError(Fault::kNoModel, "there is no such model", "model");
}

HttpResponse App::change_model(const HttpRequest& request, bool load) {
  std::string body = request.body;
  const JsonDocument document(body);
  const auto name = Fields(document.root()).text("model");
  if (!name || name->empty()) throw ApiError(Fault::kInvalid, "`model` is missing", "model");
  if (load) {
    models_.load(*name);
  } else {
    models_.unload(*name);
  }
  HttpResponse response;
  response.body = R"({"success":true})";
  return response;
}

HttpResponse App::metrics_text() {
  const HttpCounts counts = counts_ ? counts_() : HttpCounts{};
  metrics_.set_server(counts, log_->dropped(), log_->left_out());
  metrics_.set_queue(admission_.use());
  if (traces_) metrics_.set_spans(traces_->sent(), traces_->dropped());
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_.text(models_.statistics());
  return response;
}

// The description of the API has this in place of the largest number of dimensions, which depends on the model.
void App::fill_in_limits(std::string& description) const {
  static constexpr std::string_view kPlace = "987654321";
  size_t most = 1 << 16;
  for (const ModelState& state : models_.states()) {
    if (state.facts && state.facts->info.dimensions > 0) most = std::min(most, state.facts->info.dimensions);
  }
  for (size_t at = description.find(kPlace); at != std::string::npos; at = description.find(kPlace, at)) {
    description.replace(at, kPlace.size(), fmt::to_string(most));
  }
}

HttpResponse App::answer_info(const HttpRequest& request, std::string_view path, Dialect dialect) {
  if (request.method == "POST") {
    if (path == "/api/show") return ollama_show(request);
    return change_model(request, path == "/models/load");
  }
  if (path == "/health" || path == "/ping" || path == "/health/ready") return health(dialect);
  if (path == "/health/live") {
    HttpResponse response;
    response.body = R"({"status":"ok"})";
    return response;
  }
  if (is_platform_path(path, dialect)) return answer_platform(path);
  if (path == "/metrics") return metrics_text();
  if (path == "/info") return tei_info(dialect);
  if (path == "/v1/models" || path == "/models") return list_models(dialect);
  if (path.starts_with(kVersionPrefix)) return one_model(path.substr(kVersionPrefix.size()));
  if (path == "/api/tags") return ollama_tags();
  if (path == "/api/ps") return ollama_tags();
  if (path == "/version" || path == "/api/version") {
    JsonOut out;
    out.open('{').key("version").text(version()).close('}');
    return json(out);
  }
  if (path == "/load") {
    JsonOut out;
    out.open('{').key("server_load").integer(static_cast<int64_t>(admission_.use().all.requests)).close('}');
    return json(out);
  }
  if (path == "/" && dialect == Dialect::kTei) return health(dialect);
  if (path == "/" && dialect == Dialect::kOllama) {
    HttpResponse response;
    response.content_type = "text/plain; charset=utf-8";
    response.body = "Ollama is running";
    return response;
  }
  if (auto page = find_page(path, request.header("accept-encoding"), options_.root_path)) {
    if (path.ends_with("openapi.json")) fill_in_limits(page->body);
    return std::move(*page);
  }
  throw ApiError(Fault::kNotFound, fmt::format("there is nothing at {}", request.path));
}

}  // namespace wde::server
