#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/program.h"
#include "server/server.h"

namespace wde::cli {
namespace {

using server::LogFormat;
using server::ModelState;
using server::ServedModel;
using server::ServerOptions;

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

constexpr int kNoPort = -1;

// For who has just begun: one request of each kind.
void print_examples(const std::string& address) {
  const char* type = "-H 'content-type: application/json'";
  fmt::print(
      stderr,
      "  curl {0}/v1/embeddings {1} -d '{{\"input\": [\"some text\", \"another\"]}}'\n"
      "  curl {0}/embed {1} -d '{{\"inputs\": \"some text\"}}'\n"
      "  curl {0}/v1/rerank {1} -d '{{\"query\": \"a question\", \"documents\": [\"an answer\", \"another\"]}}'\n",
      address, type);
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

class ServeCommand final : public Command {
 public:
  std::string name() const override { return "serve"; }
  std::string summary() const override {
    return "An HTTP server with the APIs of OpenAI, TEI, Cohere, Jina, vLLM, Ollama.";
  }
  std::string examples() const override {
    return R"(  wde serve --model all-MiniLM-L6-v2
  wde serve --model bge-small-en-v1.5 --model bge-reranker-base --served-model-name embed --served-model-name rerank
  wde serve --model all-MiniLM-L6-v2 --host 0.0.0.0 --port 80 --api-key-file keys.txt --access-log json
  curl localhost:8080/v1/embeddings -H 'content-type: application/json' -d '{"input": ["some text", "another"]}'
  curl localhost:8080/embed -H 'content-type: application/json' -d '{"inputs": "some text"}')";
  }
  void add_flags(CLI::App& app) override;
  int run() override;

 private:
  template <class Value>
  CLI::Option* add(CLI::App& app, const std::string& group, const std::string& name, Value& value,
                   const std::string& placeholder, const std::string& help);
  std::vector<ServedModel> served_models();
  void take_grpc();

  EngineFlags engine_flags_;
  ServerOptions options_;
  std::vector<std::string> models_;
  std::vector<std::string> names_;
  bool named_ = true;  // a model, by flag or variable
  std::string api_key_, api_key_file_;
  std::string access_log_ = "text", token_input_ = "refuse";
  std::string auto_truncate_ = "true";
  std::string otlp_endpoint_, otlp_service_;
  int grpc_port_ = kNoPort;
};

template <class Value>
CLI::Option* ServeCommand::add(CLI::App& app, const std::string& group, const std::string& name, Value& value,
                               const std::string& placeholder, const std::string& help) {
  ArgSpec spec;
  spec.name = name;
  const std::string variable = spec.environment_variable();
  return app.add_option("--" + name, value, help + fmt::format(" [env: {}]", variable))
      ->envname(variable)
      ->option_text(placeholder)
      ->group(group);
}

void ServeCommand::add_flags(CLI::App& app) {
  app.add_option("--model", models_,
                 "directory of a model, or its name on the Hugging Face Hub; again for every further one. Without any, "
                 "all-MiniLM-L6-v2: the one that scripts/run downloaded, else from the Hub [env: WDE_MODEL]")
      ->option_text("DIR|REPO")
      ->group("Server");
  server::HttpOptions& http = options_.http;
  server::AppOptions& rules = options_.app;
  const auto number = [&](const char* group, const char* name, auto& value, const char* help) {
    add(app, group, name, value, "N", fmt::format("{} [default: {}]", help, value));
  };
  add(app, "Server", "served-model-name", names_, "NAME",
      "what clients call the model, in the order of --model (default: the last part of its path)");
  add(app, "Server", "host", http.host, "ADDRESS",
      "where to listen; 0.0.0.0 for all who can reach this machine [default: 127.0.0.1]");
  number("Server", "port", http.port, "the same; 0 for any free one");
  add(app, "Server", "root-path", rules.root_path, "/PATH",
      "what a proxy puts before the server's paths, for the links of its pages; requests may come with it or without");
  add(app, "Server", "grpc-port", grpc_port_, "N",
      "speak TEI's gRPC on this port of the same host too; 0 for any free one [default: none]");
  add(app, "Server", "unix-socket", http.unix_socket, "FILE", "listen on this socket instead");
  add(app, "Server", "tls-cert", http.tls_cert, "FILE", "PEM file of the certificate and its chain: speak HTTPS");
  add(app, "Server", "tls-key", http.tls_key, "FILE", "PEM file of its key");
  add(app, "Server", "api-key-file", api_key_file_, "FILE", "ask for one of the keys in this file, one a line");
  add(app, "Server", "api-key", api_key_, "KEY", "ask for this key (others can read it in the list of processes)");
  add(app, "Server", "cors-allow-origin", rules.cors_origins, "ORIGIN",
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
  number("Requests", "max-client-batch-size", rules.rules.max_inputs, "texts in one request");
  number("Requests", "payload-limit", http.max_body_bytes, "bytes of a request's body");
  number("Requests", "request-timeout", rules.request_seconds,
         "seconds until a request is given up; X-Request-Timeout-Ms says it for one");
  number("Limits", "max-concurrent-requests", rules.queue.requests, "requests that wait or are computed; more get 429");
  number("Limits", "max-queue-tokens", rules.queue.tokens, "the same in tokens, as estimated from the texts' sizes");
  number("Limits", "max-queue-bytes", rules.queue.bytes, "the same in bytes of bodies");
  number("Limits", "max-connections", http.max_connections, "open connections; more get 503");
  number("Limits", "max-buffered-bytes", http.max_buffered_bytes, "bytes of all bodies that are being received");
  number("Limits", "header-timeout", http.header_seconds, "seconds for a request's header");
  number("Limits", "body-timeout", http.body_seconds, "seconds for its body, and one more for every 64 KiB");
  number("Limits", "idle-timeout", http.idle_seconds, "seconds that a connection may wait for its next request");
  number("Limits", "drain-timeout", http.drain_seconds,
         "seconds after SIGTERM for the answers to what was taken; a second signal ends at once");
  number("Limits", "http-threads", rules.threads, "threads that read and write JSON");
  engine_flags_.add_to(app, {"model"});
}

std::vector<ServedModel> ServeCommand::served_models() {
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

void ServeCommand::take_grpc() {
  if (grpc_port_ == kNoPort) return;
  if (grpc_port_ < 0 || grpc_port_ > 65535) {
    throw UsageError(fmt::format("--grpc-port {}: expected a port from 0 to 65535.", grpc_port_));
  }
  const server::HttpOptions& http = options_.http;
  options_.grpc = {http.host,           static_cast<uint16_t>(grpc_port_), http.tls_cert,        http.tls_key,
                   http.max_body_bytes, http.max_buffered_bytes,           http.max_connections, http.idle_seconds};
  options_.on_grpc = [](const std::string& at) { fmt::print(stderr, "wde serve: gRPC on {}\n", at); };
}

int ServeCommand::run() {
  options_.models = served_models();
  check_root_path(options_.app.root_path);
  options_.app.rules.auto_truncate = auto_truncate_ == "true";
  options_.app.rules.native_token_input = token_input_ == "native";
  options_.app.log = access_log_ == "off"    ? LogFormat::kOff
                     : access_log_ == "json" ? LogFormat::kJson
                                             : LogFormat::kText;
  options_.app.traces = server::TraceOptions::from_environment(otlp_endpoint_, otlp_service_);
  options_.app.keys.add(api_key_);
  if (!api_key_file_.empty()) options_.app.keys.add_file(api_key_file_);
  std::string address;
  const size_t count = options_.models.size();
  bool first_ready = false;
  options_.on_listening = [&](const std::string& at) {
    address = at;
    fmt::print(stderr, "wde serve: listening on {}, loading {} model{}\n", at, count, count == 1 ? "" : "s");
  };
  take_grpc();
  options_.on_model = [&](const ModelState& state) {
    if (state.phase == ModelState::Phase::kFailed) {
      fmt::print(stderr, "wde serve: {} could not be loaded: {}\n", state.name, state.problem);
      return;
    }
    if (state.phase != ModelState::Phase::kReady) return;
    for (const std::string& warning : state.facts->info.warnings) {
      fmt::print(stderr, "wde serve: note: {}: {}\n", state.name, warning);
    }
    fmt::print(stderr, "wde serve: ready: {} ({}, {}, {} tokens at most) after {:.2f} s\n", state.name,
               state.facts->architecture, state.facts->default_task, state.facts->info.max_length,
               seconds_since_start());
    if (!first_ready && !address.starts_with("unix:")) {
      fmt::print(stderr, "wde serve: playground {}/   API {}/docs\n", address, address);
      if (!named_) print_examples(address);
    }
    first_ready = true;
  };
  const server::ServerEnd end = server::run_server(std::move(options_));
  if (end == server::ServerEnd::kNotLoaded) return kFailed;
  const bool all_answered = end == server::ServerEnd::kDone;
  fmt::print(stderr, "wde serve: {}\n", all_answered ? "stopped" : "stopped before all requests were answered");
  return all_answered ? kDone : kFailed;
}

}  // namespace

std::unique_ptr<Command> make_serve_command() { return std::make_unique<ServeCommand>(); }

}  // namespace wde::cli
