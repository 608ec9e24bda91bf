// rerank: one query, many documents, the best first.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <future>

#include "base/json_text.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/io_flags.h"
#include "cli/output_sink.h"
#include "cli/result_fields.h"
#include "server/dialects/comparison.h"
#include "wde/engine.h"

namespace wde::cli {
namespace {

struct Ranked {
  uint64_t index = 0;
  uint64_t line = 0;  // of the input
  std::string document;
  float score = 0;
  bool truncated = false;  // cut to the model's maximum
};

class RerankCommand : public Command {
 public:
  std::string name() const override { return "rerank"; }
  std::string summary() const override { return "Documents sorted by their relevance to a query, the best first."; }
  std::string examples() const override {
    return R"(  wde rerank --model bge-reranker-v2-m3 --query "what is a panda?" "hi" "a bear from China"
  wde rerank --model ms-marco-MiniLM-L6-v2 --query "tail -f" --input lines.txt --top-n 3
  wde rerank --model all-MiniLM-L6-v2 --query "a bear" "panda" "spoon"      # embedders: vectors are compared
  wde rerank --model colbertv2.0 --query "a bear" "panda" "spoon"           # late interaction: MaxSim)";
  }
  bool takes_texts() const override { return true; }
  void set_texts(std::vector<std::string> texts) override { input_flags_.set_texts(std::move(texts)); }
  void add_flags(CLI::App& app) override {
    app.add_option("--query", query_, "What the documents are compared with.")->option_text("TEXT")->required();
    app.add_option("--top-n", top_n_, "Give only the best N. [default: all]")->option_text("N");
    app.add_flag("--raw", raw_, "Logits instead of scores behind the model's activation.");
    input_flags_.add_to(app);
    output_flags_.add_to(app, {"jsonl", "text"});
    engine_flags_.add_to(app);
  }

  int run() override {
    const std::string task = inspect_model(engine_flags_.args("embed")).default_task;
    const bool pairs = task == "score" || task == "multi_vector";
    if (!pairs && task != "embed") {
      throw UsageError(
          fmt::format("this model answers the task {}; reranking needs a reranker, an embedder or a ColBERT", task));
    }
    std::unique_ptr<InputSource> source = input_flags_.open();
    const std::unique_ptr<Engine> engine = Engine::create(engine_flags_.args(pairs ? "score" : "embed"));
    bool failed = false;
    std::vector<Ranked> ranked = pairs ? score(*engine, *source, failed) : compare(*engine, *source, failed);
    const auto cut = std::count_if(ranked.begin(), ranked.end(), [](const Ranked& r) { return r.truncated; });
    if (cut > 0 && !output_flags_.quiet) {
      say(fmt::format(
          "wde rerank: note: {} of {} documents were longer than the {} tokens of the model's maximum (with "
          "the query, where the model reads both) and were cut",
          cut, ranked.size(), engine->info().max_length));
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.score > b.score; });
    if (top_n_ > 0 && ranked.size() > top_n_) ranked.resize(top_n_);
    OutputSink sink(output_flags_.output);
    for (const Ranked& r : ranked) {
      std::string& out = sink.buffer();
      if (output_flags_.format == "text") {
        append_number(out, r.score);
        out += '\t' + r.document + '\n';
      } else {
        out += "{\"index\":";
        append_number(out, r.index);
        out += ",\"score\":";
        append_number(out, r.score);
        out += ",\"document\":";
        append_json_string(out, r.document);
        out += r.truncated ? ",\"truncated\":true}\n" : "}\n";
      }
      sink.maybe_flush();
    }
    sink.close();
    return failed ? kFailed : kDone;
  }

 private:
  using Future = std::future<Result<Response>>;

  // The documents' responses in order; a document that fails is said and left out.
  template <class MakeRequest, class Use>
  void each(Engine& engine, InputSource& source, bool& failed, const MakeRequest& make, const Use& use) {
    std::deque<std::pair<Ranked, Future>> waiting;
    const auto finish_one = [&] {
      auto [ranked, future] = std::move(waiting.front());
      waiting.pop_front();
      const Result<Response> result = future.get();
      if (result.ok()) {
        ranked.truncated = result.value().truncated;
        return use(std::move(ranked), result.value());
      }
      say(fmt::format("wde rerank: {}: {}", source.where(ranked.line), result.error().message));
      failed = true;
    };
    constexpr size_t kWindow = 4096;
    uint64_t index = 0;
    while (auto item = source.next()) {
      const uint64_t number = index++;
      std::string* text = item->request.ok() ? std::get_if<std::string>(&item->request.value().input) : nullptr;
      if (text == nullptr) {
        say(fmt::format(
            "wde rerank: {}: {}", source.where(item->line),
            item->request.ok() ? "expected a document, found a pair or an image" : item->request.error().message));
        failed = true;
        continue;
      }
      Ranked ranked{number, item->line, *text, 0, false};
      waiting.emplace_back(std::move(ranked), engine.submit(make(std::move(*text))));
      if (waiting.size() >= kWindow) finish_one();
    }
    while (!waiting.empty()) finish_one();
  }

  std::vector<Ranked> score(Engine& engine, InputSource& source, bool& failed) {
    std::vector<Ranked> out;
    each(
        engine, source, failed,
        [&](std::string document) {
          return Request{TextPair{query_, std::move(document)}};
        },
        [&](Ranked ranked, const Response& response) {
          ranked.score = score_output(response, raw_)->values.at(0);
          out.push_back(std::move(ranked));
        });
    return out;
  }

  // With the model's prompts for queries and documents, unless flags say what stands before both.
  std::vector<Ranked> compare(Engine& engine, InputSource& source, bool& failed) {
    const EngineArgs args = engine_flags_.args("embed");
    const bool models_own = !args.is_set("prompt") && !args.is_set("prompt-name");
    const auto prompted = [&](std::string text, std::string_view role) {
      Request request{std::move(text)};
      const std::string* prompt = models_own ? server::prompt_for_role(engine.info().prompts, role) : nullptr;
      if (prompt != nullptr) request.prompt = *prompt;
      return request;
    };
    const Result<Response> query = engine.submit(prompted(query_, "query")).get();
    if (!query.ok()) throw std::runtime_error("the query: " + query.error().message);
    const std::vector<float> q = output_named(query.value(), "embedding")->values;
    std::vector<Ranked> out;
    each(
        engine, source, failed, [&](std::string document) { return prompted(std::move(document), "document"); },
        [&](Ranked ranked, const Response& response) {
          ranked.score = server::similarity(engine.info().similarity, q, output_named(response, "embedding")->values);
          out.push_back(std::move(ranked));
        });
    return out;
  }

  std::string query_;
  size_t top_n_ = 0;
  bool raw_ = false;
  EngineFlags engine_flags_;
  InputFlags input_flags_;
  OutputFlags output_flags_;
};

}  // namespace

std::unique_ptr<Command> make_rerank_command() { return std::make_unique<RerankCommand>(); }

}  // namespace wde::cli
