#include "server/serving/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <new>
#include <random>
#include <utility>

#include "server/dialects/platforms/kserve.h"
#include "server/serving/chunks.h"
#include "server/serving/demand.h"
#include "server/serving/group.h"
#include "server/serving/headers.h"

namespace wde::server {
namespace {

constexpr size_t kShortBody = 8 << 10;
constexpr double kFlushSeconds = 3;  // for the spans that are left at the end

// The deadline that the client named in milliseconds, or the server's own if that is earlier. None: there is no hurry.
std::optional<Clock::time_point> deadline_of(const HttpRequest& request, double seconds) {
  const std::string_view text = request.header("x-request-timeout-ms");
  if (!text.empty()) {
    int64_t wanted = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wanted);
    if (error != std::errc() || end != text.data() + text.size() || wanted < 1 || wanted > 86'400'000) {
      throw ApiError(Fault::kInvalid, "X-Request-Timeout-Ms must be a number of milliseconds from 1 to 86400000");
    }
    const double named = static_cast<double>(wanted) / 1000;
    seconds = seconds > 0 ? std::min(seconds, named) : named;
  }
  if (seconds <= 0) return std::nullopt;
  return request.arrival + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

// One POST that is being answered.
struct App::Call {
  std::shared_ptr<HttpRequest> http;
  Respond respond;
  RouteMatch match;
  ErrorStyle style = ErrorStyle::kEnvelope;
  std::string id;
  std::optional<Clock::time_point> deadline;
  uint64_t group = 0;  // Request::group
  Sharing sharing;     // Request::sharing
  Plan plan;
  std::unique_ptr<Admission::Ticket> ticket;
  size_t bytes_in = 0, inputs = 0, characters = 0, tokens = 0;
  std::string model;
  std::optional<TraceExporter::Started> span;
  std::vector<StageSpan> stages;
  std::vector<size_t> pieces;  // of each of the plan's requests; empty: each is whole

  // Which part of the body a request of the engine is about.
  std::string item(size_t index) const {
    if (!plan.item) return "";
    if (pieces.empty()) return plan.item(index);
    size_t text = 0;
    for (size_t end = pieces[0]; text + 1 < pieces.size() && index >= end; end += pieces[text]) ++text;
    return plan.item(text);
  }
};

App::App(AppOptions options, std::vector<ServedModel> models, std::function<void(const ModelState&)> on_model)
    : options_(std::move(options)),
      log_(options_.log),
      doors_(std::move(options_.doors)),
      admission_(options_.queue),
      next_id_(std::random_device{}() | uint64_t{std::random_device{}()} << 32),
      models_(std::move(models),
              [this, on_model = std::move(on_model)](const ModelState& state) {
                metrics_.set_model(state.name, state.phase == ModelState::Phase::kReady);
                if (on_model) on_model(state);
                if (state.phase == ModelState::Phase::kReady && !state.facts->info.sharing && doors_.weigh()) {
                  log_->event(
                      fmt::format("note: {}: the keys' weights have no effect without --scheduler fair", state.name));
                }
              }),
      pool_({"wde-http-work", "--http-threads"}, std::max<size_t>(1, options_.threads)) {
  if (options_.traces.url.empty()) return;
  traces_ = std::make_unique<TraceExporter>(options_.traces, [this](std::string_view said) { log_->event(said); });
}

App::~App() { shutdown(true); }

void App::shutdown(bool at_once) {
  models_.shutdown();
  pool_.stop();
  if (traces_) traces_->stop(at_once ? 0 : kFlushSeconds);
}

std::string App::request_id(const HttpRequest& request) {
  const std::string_view given = request.header("x-request-id");
  const bool fit = !given.empty() && given.size() <= 128 &&
                   std::all_of(given.begin(), given.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (fit) return std::string(given);
  // Weyl's sequence, mixed: unlike all others of this process, and no count for strangers to read.
  uint64_t x = next_id_.fetch_add(0x9E3779B97F4A7C15U, std::memory_order_relaxed);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return fmt::format("{:016x}", x ^ (x >> 31));
}

void App::handle(std::shared_ptr<HttpRequest> request, Respond respond) {
  auto call = std::make_shared<Call>();
  call->match = route_of(*request);
  call->id = request_id(*request);
  call->http = std::move(request);
  call->respond = std::move(respond);
  const HttpRequest& http = *call->http;
  call->bytes_in = http.body.size();
  if (http.method == "OPTIONS") return finish(*call, doors_.answer_options(http), "");
  const bool inference = http.method == "POST" && call->match.route != nullptr;
  if (!inference) {
    // Never behind work: answered here and now.
    try {
      decode_body(*call->http, kShortBody);
      return finish(*call, answer_info(http, call->match.path, call->match.dialect), "");
    } catch (const ApiError& error) {
      return finish(*call, error_response(error, error_style(call->match)), error.what());
    }
  }
  if (traces_) call->span = traces_->start(http.header("traceparent"));
  call->style = call->match.route->errors;
  // A short body is read faster than handed over.
  if (call->bytes_in <= kShortBody && http.header("content-encoding").empty()) return serve(call);
  if (!pool_.post([this, call] { serve(call); })) {
    fail(*call, ApiError(Fault::kUnavailable, "the server is shutting down", {}, 1));
  }
}

void App::serve(const std::shared_ptr<Call>& call) {
  guarded(*call, [&] {
    make_plan(*call);
    run(call);
  });
}

// Whatever goes wrong while a call is worked on becomes its answer.
void App::guarded(Call& call, const std::function<void()>& work) {
  try {
    work();
  } catch (const ApiError& error) {
    fail(call, error);
  } catch (const std::bad_alloc&) {
    fail(call, ApiError(Fault::kUnavailable, "there is not enough memory for this request", {}, 1));
  } catch (const std::exception& error) {
    fail(call, ApiError(Fault::kInternal, error.what()));
  }
}

void App::make_plan(Call& call) {
  HttpRequest& http = *call.http;
  decode_body(http, options_.max_body_bytes);
  const std::optional<Clock::time_point> deadline = call.deadline = deadline_of(http, options_.request_seconds);
  if (deadline && Clock::now() >= *deadline) throw deadline_passed();
  const Body body = call.match.route->body;
  const std::string tail = body == Body::kJsonAndBytes ? take_tail(http) : "";
  std::optional<JsonDocument> document;
  if (body != Body::kMessage) document.emplace(http.body);
  const JsonValue root = document ? document->root() : JsonValue();
  call.style = error_style(call.match, root);
  // Ollama's clients ask for what they then rely on: another model's vectors under that name would be wrong ones.
  const bool strict = options_.rules.strict_model_name || call.match.route->errors == ErrorStyle::kOllama ||
                      call.match.dialect == Dialect::kOllama;
  const PlanContext context{
      http,
      root,
      call.match.dialect,
      options_.rules,
      [this, strict](std::string_view name, TaskList tasks) { return models_.find(name, tasks, strict); },
      call.match.model,
      tail};
  call.plan = server::make_plan(call.match.route->planner, context);
  if (call.plan.undeclared_dimensions) warn_once(call.plan);
  call.model = call.plan.model->name;
  call.group = next_group_.fetch_add(1, std::memory_order_relaxed);
  call.sharing = call.plan.sharing;
  for (const Request& request : call.plan.requests) call.characters += characters_of(request);
  call.inputs = call.plan.requests.size();
  const std::shared_ptr<Engine> engine = models_.engine_like(call.model, call.plan.task);
  Demand demand = demand_of(call.plan, options_.rules, http.body.size(), engine.get());
  demand.deadline = deadline;
  demand.measured = deadline && engine && engine->statistics().cost_error > 0;
  call.ticket = admission_.enter(call.model, demand);
  http.body = {};
}

void App::warn_once(const Plan& plan) {
  {
    std::scoped_lock lock(warned_mutex_);
    if (!warned_.insert(plan.model->name).second) return;
  }
  log_->event(
      fmt::format("model {}: a request has dimensions that the model's files do not declare (matryoshka); its vectors "
                  "may be worse than they could be. --strict-dimensions refuses such requests",
                  plan.model->name));
}

void App::run(const std::shared_ptr<Call>& call) {
  if (call->plan.average && !call->plan.requests.empty()) return run_in_pieces(call);
  compute(call, call->plan.task, std::move(call->plan.requests),
          [this, call](std::vector<Response> responses, const std::shared_ptr<Engine>& engine) {
            if (!call->plan.next) return write(*call, std::move(responses), engine);
            run_next(call, std::move(responses), *engine);
          });
}

void App::run_next(const std::shared_ptr<Call>& call, std::vector<Response> responses, const Engine& engine) {
  Answer answer{*call->plan.model, engine, responses, 0, call->http->seconds_since_arrival(), call->id};
  Plan plan = call->plan.next(answer);
  plan.warnings = std::move(call->plan.warnings);
  call->plan = std::move(plan);
  run(call);
}

void App::run_in_pieces(const std::shared_ptr<Call>& call) {
  for (const Request& text : call->plan.requests) {
    if (!std::holds_alternative<std::string>(text.input)) {
      throw ApiError(Fault::kInvalid, "`long_input`: \"average\" is for texts, not for token ids and images",
                     "long_input");
    }
  }
  auto parts = std::make_shared<TextParts>(split_texts(call->plan.requests));
  std::vector<Request> requests = std::move(parts->requests);
  call->pieces = parts->parts;
  compute(
      call, task::kTokenize, std::move(requests), [this, call, parts](std::vector<Response> tokenized, const auto&) {
        const EngineInfo& info = call->plan.model->info;
        auto chunks = std::make_shared<Chunks>(make_chunks(call->plan.requests, *parts, tokenized, info.max_length));
        const bool normalise = call->plan.requests[0].normalize.value_or(info.normalizes);
        std::vector<Request> pieces = chunks->requests;
        call->pieces = chunks->pieces;
        compute(call, call->plan.task, std::move(pieces),
                [this, call, chunks, normalise](auto responses, const auto& engine) {
                  write(*call, average_chunks(*chunks, responses, normalise), engine);
                });
      });
}

void App::compute(const std::shared_ptr<Call>& call, const std::string& task, std::vector<Request> requests,
                  Then then) {
  auto held = std::make_shared<std::vector<Request>>(std::move(requests));
  models_.with_engine(call->model, task,
                      [this, call, task, held, then](std::shared_ptr<Engine> engine, const ApiError* error) {
                        if (error != nullptr) return fail(*call, *error);
                        guarded(*call, [&] { start_group(call, task, engine, std::move(*held), then); });
                      });
}

void App::start_group(const std::shared_ptr<Call>& call, const std::string& task, const std::shared_ptr<Engine>& engine,
                      std::vector<Request> requests, const Then& then) {
  const size_t limit = options_.queue.answer_bytes;
  auto used = std::make_shared<std::atomic<size_t>>(0);
  auto done = [this, call, engine, then, used, limit](std::vector<Response> responses, std::optional<Error> failure,
                                                      size_t index) {
    // The same for a short answer; others would keep the engine's thread from its work.
    if (!failure && is_short(responses)) {
      return guarded(*call, [&] { then(std::move(responses), engine); });
    }
    auto answers = std::make_shared<std::vector<Response>>(std::move(responses));
    const bool posted = pool_.post([this, call, engine, answers, failure, index, then, used, limit] {
      guarded(*call, [&] {
        if (*used > limit) throw answer_too_large(*used, limit);
        if (failure) throw from_engine(*failure, call->item(index));
        then(std::move(*answers), engine);
      });
    });
    if (!posted) fail(*call, ApiError(Fault::kUnavailable, "the server is shutting down"));
  };
  // Of parts that are tokenized to be put together, no more than ids is needed.
  const bool ids_only = task != call->plan.task;
  const bool computes = task != task::kTokenize;
  const size_t shared = call->plan.shared.bytes();
  std::vector<double> seconds;
  for (Request& request : requests) {
    request.deadline = call->deadline;
    request.group = call->group;
    request.sharing = call->sharing;
    const size_t tokens = estimated_tokens(request, shared, call->plan.model->info.max_length);
    seconds.push_back(ids_only ? 0 : seconds_of(tokens, call->plan, engine.get()));
  }
  auto watch = [call, used, limit, ids_only, computes, seconds = std::move(seconds)](size_t index, Response& response) {
    if (ids_only) {
      response.details.tokens = {};
      response.details.offsets = {};
      response.details.type_ids = {};
      return true;
    }
    if (computes) call->ticket->done(seconds[index]);
    return used->fetch_add(answer_bytes(response), std::memory_order_relaxed) <= limit;
  };
  auto group =
      std::make_shared<Group>(engine, std::move(requests), call->plan.shared, std::move(done), std::move(watch));
  group->start();
  call->http->client->on_cancel([weak = std::weak_ptr(group)] {
    if (const auto running = weak.lock()) running->cancel();
  });
}

void App::write(Call& call, std::vector<Response> responses, const std::shared_ptr<Engine>& engine) {
  check_finite(call.plan, responses);
  size_t truncated = 0;
  for (const Response& response : responses) {
    call.tokens += response.tokens;
    truncated += response.truncated ? 1 : 0;
  }
  std::vector<std::string> warnings = call.plan.warnings;
  if (truncated > 0) {
    warnings.push_back(fmt::format("{} of {} inputs were cut to the maximum length", truncated, responses.size()));
  }
  const double seconds = call.http->seconds_since_arrival();
  Answer answer{*call.plan.model, *engine, responses, call.tokens, seconds, call.id, warnings};
  HttpResponse response;
  if (call.span) call.stages = stages_of(responses);
  add_timing_headers(responses, call.characters, call.tokens, seconds, response);
  add_warnings(call.plan.warnings, truncated, response);
  const Measured measured{call.model, call.match.route->group, call.plan.batch, "", seconds,
                          &responses, call.ticket->priority()};
  call.plan.write(answer, response);
  metrics_.record(measured);
  finish(call, std::move(response), "");
}

void App::fail(Call& call, const ApiError& error) {
  const bool gone = call.http->client->cancelled();
  metrics_.record({call.model, call.match.route->group, call.plan.batch, gone ? "dropped" : failure_label(error.fault),
                   call.http->seconds_since_arrival(), nullptr});
  HttpResponse response = error_response(error, call.style);
  if (gone) response.status = 499;
  finish(call, std::move(response), error.what());
}

void App::finish(Call& call, HttpResponse response, std::string_view error) {
  call.ticket.reset();
  const HttpRequest& http = *call.http;
  response.headers.emplace_back("x-request-id", call.id);
  // The request's own span where it is traced, else what the client sent.
  const std::string own = call.span ? call.span->context.traceparent() : std::string();
  const std::string_view trace = call.span ? std::string_view(own) : http.header("traceparent");
  if (!trace.empty() && trace.size() <= 64) response.headers.emplace_back("traceparent", std::string(trace));
  doors_.add_cors(http, response);
  compress(http, response);
  const bool inference = call.match.route != nullptr && http.method == "POST";
  std::string_view path = inference ? call.match.route->path : call.match.path;
  for (const std::string_view models : {"/v1/models/{model}", "/v2/models/{model}"}) {
    if (!inference && path.starts_with(models.substr(0, models.size() - 7))) path = models;
  }
  // A label is remembered for good: OPTIONS, which is answered anywhere, must not make new ones.
  if (http.method == "OPTIONS") path = "";
  metrics_.count_http(path, response.status);
  // Probes come every few seconds and say nothing.
  if (inference || response.status >= 400) {
    log_->write({http.remote, http.method, http.path, call.model, call.id, trace.substr(0, 64), error, response.status,
                 call.bytes_in, response.body.size(), call.inputs, call.tokens, http.seconds_since_arrival()});
  }
  if (call.span) add_span(call, response, error);
  call.respond(std::move(response));
  call.respond = nullptr;
}

void App::add_span(Call& call, const HttpResponse& response, std::string_view error) {
  RequestSpan span;
  span.context = call.span->context;
  span.parent = call.span->parent;
  span.begin = call.http->arrival;
  span.end = Clock::now();
  span.method = call.http->method;
  span.route = call.match.route->path;
  span.path = call.http->path;
  span.model = call.model;
  span.request_id = call.id;
  span.error = error;
  span.status = response.status;
  span.texts = call.inputs;
  span.tokens = call.tokens;
  span.stages = std::move(call.stages);
  traces_->add(std::move(span));
}

}  // namespace wde::server
