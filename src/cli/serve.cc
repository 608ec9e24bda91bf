#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/program.h"
#include "cli/serve_flags.h"
#include "server/server.h"

namespace wde::cli {
namespace {

using server::ModelState;
using server::ServerEnd;

// For who has just begun: one request of each kind.
void show_examples(const std::string& address, server::AccessLog& log) {
  constexpr std::array<std::array<const char*, 2>, 3> requests = {
      {{"/v1/embeddings", R"({"input": ["some text", "another"]})"},
       {"/embed", R"({"inputs": "some text"})"},
       {"/v1/rerank", R"({"query": "a question", "documents": ["an answer", "another"]})"}}};
  for (const auto& [path, body] : requests) {
    log.event(fmt::format("try: curl {}{} -H 'content-type: application/json' -d '{}'", address, path, body));
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
  void add_flags(CLI::App& app) override { flags_.add_to(app); }
  int run() override;

 private:
  ServeFlags flags_;
};

int ServeCommand::run() {
  server::ServerOptions options = flags_.options();
  // From here on nothing else writes to standard error, which may be a pipe that nobody reads.
  const auto log = std::make_shared<server::AccessLog>(flags_.log_format());
  options.app.log = log;
  std::string address;
  const size_t count = options.models.size();
  bool first_ready = false;
  options.on_listening = [&](const std::string& at) {
    address = at;
    log->event(fmt::format("listening on {}, loading {} model{}", at, count, count == 1 ? "" : "s"));
  };
  options.on_grpc = [&](const std::string& at) { log->event(fmt::format("gRPC on {}", at)); };
  options.on_model = [&](const ModelState& state) {
    if (state.phase == ModelState::Phase::kFailed) {
      return log->event(fmt::format("{} could not be loaded: {}", state.name, state.problem));
    }
    if (state.phase != ModelState::Phase::kReady) return;
    for (const std::string& warning : state.facts->info.warnings) {
      log->event(fmt::format("note: {}: {}", state.name, warning));
    }
    log->event(fmt::format("ready: {} ({}, {}, {} tokens at most) after {:.2f} s", state.name,
                           state.facts->architecture, state.facts->default_task, state.facts->info.max_length,
                           seconds_since_start()));
    if (!first_ready && !address.starts_with("unix:")) {
      log->event(fmt::format("playground {}/   API {}/docs", address, address));
      if (!flags_.names_model()) show_examples(address, *log);
    }
    first_ready = true;
  };
  switch (server::run_server(std::move(options))) {
    case ServerEnd::kNotLoaded:
      return kFailed;
    case ServerEnd::kWrongUse:
      return kWrongUse;
    case ServerEnd::kUnanswered:
      log->event("stopped before all requests were answered");
      return kFailed;
    case ServerEnd::kDone:
      log->event("stopped");
  }
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_serve_command() { return std::make_unique<ServeCommand>(); }

}  // namespace wde::cli
