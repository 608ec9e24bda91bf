#include "cli/serve_flags.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <type_traits>

#include "wde/result.h"

namespace wde::cli {
namespace {

using server::LogFormat;
using server::ServedModel;

constexpr double kDay = 86'400;

// The model that scripts/run downloads: where it puts it, else from the Hub.
std::string default_model() {
  std::string cache;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0') {
    cache = xdg;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    cache = std::string(home) + "/.cache";
  }
  const std::string path = cache + "/wde/all-MiniLM-L6-v2";
  struct stat status {};
  const bool there = !cache.empty() && ::stat((path + "/config.json").c_str(), &status) == 0;
  return there ? path : "sentence-transformers/all-MiniLM-L6-v2";
}

std::string environment_variable(const std::string& flag) {
  ArgSpec spec;
  spec.name = flag;
  return spec.environment_variable();
}

CLI::Validator not_empty() {
  const auto check = [](const std::string& text) {
    const bool blank = text.find_first_not_of(" \t\r\n") == std::string::npos;
    return blank ? std::string("is empty; leave it out, or give it a value") : std::string();
  };
  return {check, ""};
}

// A number from `least` to `most`, or 0 where that means none.
template <class Value>
CLI::Validator between(Value least, Value most, bool or_none) {
  const auto check = [=](const std::string& text) {
    Value value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool number = error == std::errc() && end == text.data() + text.size();
    if (number && ((value >= least && value <= most) || (or_none && value == Value{}))) return std::string();
    return fmt::format("is '{}', expected a number from {} to {}{}", text, least, most,
                       or_none ? ", or 0 for none" : "");
  };
  return {check, ""};
}

template <class Value>
CLI::Option* add(CLI::App& app, const std::string& group, const std::string& name, Value& value,
                 const std::string& placeholder, const std::string& help) {
  const std::string variable = environment_variable(name);
  CLI::Option* option = app.add_option("--" + name, value, help + fmt::format(" [env: {}]", variable));
  option->envname(variable)->option_text(placeholder)->group(group);
  if constexpr (!std::is_arithmetic_v<Value>) option->check(not_empty());
  return option;
}

// It stands in pages, in scripts and in JSON as it is.
void check_root_path(std::string& path) {
  while (path.ends_with('/')) path.pop_back();
  constexpr std::string_view kFine = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  const bool fine = path.empty() || (path.starts_with('/') && path.find_first_not_of(kFine) == std::string::npos &&
                                     path.find("//") == std::string::npos);
  if (!fine) {
    throw UsageError(
        fmt::format("--root-path {}: expected a path of letters, digits and - . _ ~ that begins with a "
                    "slash, as /some/path",
                    path));
  }
}

struct Limits {
  double least, most;
  bool or_none = false;
};

template <class Value>
void number(CLI::App& app, const char* group, const char* name, Value& value, Limits limits, const char* help) {
  add(app, group, name, value, "N", fmt::format("{} [default: {}]", help, value))
      ->check(between(static_cast<Value>(limits.least), static_cast<Value>(limits.most), limits.or_none));
}

}  // namespace

void ServeFlags::add_to(CLI::App& app) {
  app_ = &app;
  app.add_option("--model", models_,
                 "directory of a model, or its name on the Hugging Face Hub; again for every further one. Without any, "
                 "all-MiniLM-L6-v2: the one that scripts/run downloaded, else from the Hub [env: WDE_MODEL]")
      ->option_text("DIR|REPO")
      ->group("Server");
  server::HttpOptions& http = options_.http;
  server::AppOptions& rules = options_.app;
  add(app, "Server", "served-model-name", names_, "NAME",
      "what clients call the model, in the order of --model (default: the last part of its path)");
  add(app, "Server", "host", http.host, "ADDRESS",
      "where to listen; 0.0.0.0 for all who can reach this machine [default: 127.0.0.1]");
  number(app, "Server", "port", http.port, {1, 65535, true}, "the same; 0 for any free one");
  add(app, "Server", "root-path", rules.root_path, "/PATH",
      "what a proxy puts before the server's paths, for the links of its pages; requests may come with it or without");
  add(app, "Server", "grpc-port", grpc_port_, "N",
      "speak TEI's gRPC on this port of the same host too; 0 for any free one [default: none]")
      ->check(between(0, 65535, false));
  add(app, "Server", "unix-socket", http.unix_socket, "FILE", "listen on this socket instead");
  add(app, "Server", "tls-cert", http.tls_cert, "FILE", "PEM file of the certificate and its chain: speak HTTPS");
  add(app, "Server", "tls-key", http.tls_key, "FILE", "PEM file of its key");
  add(app, "Server", "api-key-file", api_key_file_, "FILE",
      "ask for one of the keys in this file, one a line; after it may stand weight=N and priority=N");
  add(app, "Server", "api-key", api_key_, "KEY", "ask for this key (others can read it in the list of processes)");
  add(app, "Server", "admin-key-file", admin_key_file_, "FILE",
      "ask for one of the keys in this file where models are loaded and unloaded; they open all else, too");
  add(app, "Server", "admin-key", admin_key_, "KEY", "the same for this key (see --api-key)");
  add(app, "Server", "allowed-host", rules.doors.allowed_hosts, "NAME",
      "a name that clients call this server by, * for any; again for more. On a loopback address others than localhost "
      "are refused (default: none)");
  add(app, "Server", "cors-allow-origin", rules.doors.cors_origins, "ORIGIN",
      "let pages of this origin ask, * for all; again for more (default: none)");
  add(app, "Server", "access-log", access_log_, "off|text|json", "a line for every request, on stderr [default: text]")
      ->check(CLI::IsMember({"off", "text", "json"}));
  add(app, "Server", "otlp-endpoint", otlp_endpoint_, "URL",
      "send spans of requests to this OpenTelemetry collector, by OTLP/HTTP (http://localhost:4318) [env: "
      "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, …]");
  add(app, "Server", "otlp-service-name", otlp_service_, "NAME",
      "what this server is called there [default: wde] [env: OTEL_SERVICE_NAME]");
  add(app, "Requests", "auto-truncate", auto_truncate_, "true|false",
      "cut texts that are too long where a request does not say; false: refuse them [default: true]")
      ->check(CLI::IsMember({"true", "false"}));
  add(app, "Requests", "token-input", token_input_, "refuse|native",
      "token ids on OpenAI's route: refused, because clients send those of another tokenizer, or taken as the model's "
      "own [default: refuse]")
      ->check(CLI::IsMember({"refuse", "native"}));
  const auto flag = [&](const char* name, bool& value, const char* help) {
    const std::string variable = environment_variable(name);
    app.add_flag(fmt::format("--{}", name), value, fmt::format("{} [env: {}]", help, variable))
        ->envname(variable)
        ->group("Requests");
  };
  flag("strict-model-name", rules.rules.strict_model_name,
       "404 for a name that no model has; without it, one model answers to every name (but on Ollama's routes)");
  flag("strict-dimensions", rules.rules.strict_dimensions,
       "refuse `dimensions` that the model's files do not declare, instead of answering with a warning");
  number(app, "Requests", "max-client-batch-size", rules.rules.max_inputs, {1, 1e6}, "texts in one request");
  number(app, "Requests", "max-image-pixels", rules.rules.max_pixels, {1, 1e12}, "pixels of all images in one request");
  number(app, "Requests", "payload-limit", http.max_body_bytes, {1024, 1 << 30}, "bytes of a request's body");
  number(app, "Requests", "request-timeout", rules.request_seconds, {0.01, kDay, true},
         "seconds by which a request must have been begun, 0 for any time: one that cannot be done by then is refused; "
         "X-Request-Timeout-Ms may say less for one");
  number(app, "Limits", "max-concurrent-requests", rules.queue.requests, {1, 1e6},
         "requests that wait or are computed; more get 429. Of this and the next three limits the last eighth is for "
         "callers who have no more than a sixteenth themselves");
  number(app, "Limits", "max-queue-tokens", rules.queue.tokens, {1, 1e12},
         "the same in tokens, as estimated from the texts' sizes");
  number(app, "Limits", "max-queue-bytes", rules.queue.bytes, {1024, 1e12},
         "the same in bytes of bodies, and 256 for each text");
  number(app, "Limits", "max-answer-bytes", rules.queue.answer_bytes, {1024, 1e12},
         "bytes of memory for the answers to all of them, as estimated; a request that needs more alone gets 413");
  number(app, "Limits", "max-connections", http.max_connections, {1, 1e6},
         "open connections; for more, idle ones are given up, else they get 503");
  number(app, "Limits", "max-connections-per-address", http.max_connections_per_address, {1, 1e6, true},
         "the same for each address (a /64 of IPv6), 0 for no such limit");
  number(app, "Limits", "max-buffered-bytes", http.max_buffered_bytes, {1 << 20, 1e12},
         "bytes of all bodies that are not answered, and of answers that are not read");
  number(app, "Limits", "header-timeout", http.header_seconds, {0.1, kDay}, "seconds for a request's header");
  number(app, "Limits", "body-timeout", http.body_seconds, {0.1, kDay},
         "seconds for its body, and one more for every 64 KiB that came");
  number(app, "Limits", "write-timeout", http.write_seconds, {0.1, kDay},
         "seconds that a client may leave its answer unread, and for all of it likewise");
  number(app, "Limits", "idle-timeout", http.idle_seconds, {0.1, kDay},
         "seconds that a connection may wait for its next request");
  number(app, "Limits", "drain-timeout", http.drain_seconds, {0, kDay},
         "seconds after SIGTERM for the answers to what was taken; a second signal ends at once");
  number(app, "Limits", "http-threads", rules.threads, {1, 256}, "threads that read and write JSON");
  engine_flags_.add_to(app, {"model"});
}

LogFormat ServeFlags::log_format() const {
  if (access_log_ == "off") return LogFormat::kOff;
  return access_log_ == "json" ? LogFormat::kJson : LogFormat::kText;
}

std::vector<ServedModel> ServeFlags::served_models() {
  std::vector<std::string> models = models_;
  EngineArgs args = engine_flags_.args_without_model("embed");
  if (models.empty() && !args.get("model").empty()) models.push_back(args.get("model"));  // WDE_MODEL
  named_ = !models.empty();
  if (!named_) models.push_back(default_model());
  if (names_.size() > models.size()) throw UsageError("there are more --served-model-name than --model.");
  std::vector<ServedModel> served;
  for (size_t i = 0; i < models.size(); ++i) {
    args.set("model", models[i]);
    ServedModel model{i < names_.size() ? names_[i] : server::default_model_name(models[i]), args};
    for (const ServedModel& other : served) {
      if (other.name == model.name) {
        throw UsageError(
            fmt::format("two models have the name {}; tell them apart with --served-model-name.", model.name));
      }
    }
    served.push_back(std::move(model));
  }
  return served;
}

void ServeFlags::read_keys() {
  server::DoorOptions& doors = options_.app.doors;
  const auto given = [&](const char* flag) { return app_->get_option(flag)->count() > 0; };
  if (given("--api-key")) doors.keys.add(api_key_, "--api-key");
  if (given("--api-key-file")) doors.keys.add_file(api_key_file_, "--api-key-file");
  if (given("--admin-key")) doors.admin_keys.add(admin_key_, "--admin-key");
  if (given("--admin-key-file")) doors.admin_keys.add_file(admin_key_file_, "--admin-key-file");
}

void ServeFlags::check() const {
  // CLI11 takes a variable that is empty for one that is not there. A key that is missing in a template would mean a
  // server without one.
  for (const CLI::Option* option : app_->get_options()) {
    const char* value = option->get_envname().empty() ? nullptr : std::getenv(option->get_envname().c_str());
    if (value != nullptr && *value == '\0' && option->count() == 0) {
      throw UsageError(fmt::format("{} is empty; unset it, or give it a value", option->get_envname()));
    }
  }
  for (const std::string& origin : options_.app.doors.cors_origins) server::check_origin(origin);
  for (const std::string& host : options_.app.doors.allowed_hosts) server::check_host_name(host);
  const server::HttpOptions& http = options_.http;
  if (http.max_body_bytes > http.max_buffered_bytes) {
    throw UsageError(fmt::format("--payload-limit is {}, but all bodies together may have --max-buffered-bytes {}",
                                 http.max_body_bytes, http.max_buffered_bytes));
  }
}

void ServeFlags::take_grpc() {
  if (grpc_port_ < 0) return;
  const server::HttpOptions& http = options_.http;
  options_.grpc = {http.host,           static_cast<uint16_t>(grpc_port_), http.tls_cert,        http.tls_key,
                   http.max_body_bytes, http.max_buffered_bytes,           http.max_connections, http.idle_seconds};
}

server::ServerOptions ServeFlags::options() {
  check();
  read_keys();
  take_grpc();
  options_.models = served_models();
  server::AppOptions& rules = options_.app;
  rules.rules.auto_truncate = auto_truncate_ == "true";
  rules.rules.native_token_input = token_input_ == "native";
  check_root_path(rules.root_path);
  rules.max_body_bytes = options_.http.max_body_bytes;
  rules.traces = server::TraceOptions::from_environment(otlp_endpoint_, otlp_service_);
  return options_;
}

}  // namespace wde::cli
