// What a request says of who asks is said of all its texts, in every stage that it is computed in.
#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <set>
#include <tuple>

#include "schedule/scheduler.h"
#include "server/serving/app.h"
#include "test_paths.h"

namespace wde::server {
namespace {

std::mutex noted_mutex;
std::vector<RequestOptions> noted;

// As fair, and notes what it was given.
class Noting final : public Scheduler {
 public:
  explicit Noting(const SchedulerConfig& config) : fair_(schedulers().get("fair")(config)) {}
  std::vector<std::string> feeds() const override { return fair_->feeds(); }
  bool separates_requests() const override { return true; }
  void add(Sequence sequence) override {
    {
      const std::scoped_lock lock(noted_mutex);
      noted.push_back(sequence.options);
    }
    fair_->add(std::move(sequence));
  }
  bool cancel(RequestId id) override { return fair_->cancel(id); }
  void next_batch(const BatchLimit& limit, std::vector<Sequence>& batch) override { fair_->next_batch(limit, batch); }
  size_t waiting() const override { return fair_->waiting(); }
  size_t waiting_tokens() const override { return fair_->waiting_tokens(); }
  bool contended(Clock::time_point now) const override { return fair_->contended(now); }

 private:
  std::unique_ptr<Scheduler> fair_;
};

class Served {
 public:
  Served() {
    schedulers().replace("noting", [](const SchedulerConfig& config) { return std::make_unique<Noting>(config); });
    AppOptions options;
    options.log = std::make_shared<AccessLog>(LogFormat::kOff);
    std::vector<ServedModel> models;
    for (const char* name : {"bert-mean", "bert-cross-encoder"}) {
      EngineArgs args;
      args.set("model", std::string(test::kData) + "/" + name).set("workers", "1").set("scheduler", "noting");
      models.push_back({name, args});
    }
    const auto ready = std::make_shared<std::promise<void>>();
    app_ = std::make_unique<App>(
        std::move(options), std::move(models),
        [ready, left = std::set<std::string>{"bert-mean", "bert-cross-encoder"}](const ModelState& state) mutable {
          const bool waiting = !left.empty();
          if (state.phase == ModelState::Phase::kReady || state.phase == ModelState::Phase::kFailed)
            left.erase(state.name);
          if (waiting && left.empty()) ready->set_value();
        });
    ready->get_future().wait();
  }

  // How many texts its scheduler was given, and what of each.
  std::pair<size_t, std::set<std::tuple<uint64_t, double, int>>> ask(const std::string& path, const std::string& body) {
    {
      const std::scoped_lock lock(noted_mutex);
      noted.clear();
    }
    auto request = std::make_shared<HttpRequest>();
    request->method = "POST";
    request->path = path;
    request->body = body;
    request->headers.emplace_back("content-type", "application/json");
    request->caller = {7, 3, -5};
    EXPECT_FALSE(app_->refuse(*request).has_value());
    const auto answer = std::make_shared<std::promise<HttpResponse>>();
    app_->handle(request, [answer](HttpResponse response) { answer->set_value(std::move(response)); });
    const HttpResponse response = answer->get_future().get();
    EXPECT_EQ(response.status, 200) << response.body;
    const std::scoped_lock lock(noted_mutex);
    std::set<std::tuple<uint64_t, double, int>> sharings;
    groups_.clear();
    for (const RequestOptions& options : noted) {
      sharings.emplace(options.sharing.flow, options.sharing.weight, options.sharing.priority);
      groups_.insert(options.group);
    }
    return {noted.size(), sharings};
  }
  size_t groups() const { return groups_.size(); }

 private:
  std::unique_ptr<App> app_;
  std::set<uint64_t> groups_;
};

TEST(ServerStages, AllSayWhoAsks) {
  Served served;
  const std::set<std::tuple<uint64_t, double, int>> expected{{7, 3, -4}};
  std::string text;
  for (int i = 0; i < 900; ++i) text += "cat ";
  const std::string priority = R"(, "priority": -4})";
  // Texts; texts in pieces, whose average is the answer; documents in pieces, the best of which is ranked.
  const auto [texts, of_texts] = served.ask("/v1/embeddings", R"({"input": ["a", "b", "c"])" + priority);
  EXPECT_EQ(texts, 3U);
  EXPECT_EQ(of_texts, expected);
  EXPECT_EQ(served.groups(), 1U);
  const auto [pieces, of_pieces] =
      served.ask("/v1/embeddings", R"({"long_input": "average", "input": [")" + text + R"(", "b"])" + priority);
  EXPECT_EQ(pieces, 16U);  // of 128 tokens at most
  EXPECT_EQ(of_pieces, expected);
  EXPECT_EQ(served.groups(), 1U);
  const auto [ranked, of_ranked] = served.ask(
      "/v2/rerank", R"({"query": "a", "max_chunks_per_doc": 5, "documents": [")" + text + R"(", "b"])" + priority);
  EXPECT_EQ(ranked, 6U);
  EXPECT_EQ(of_ranked, expected);
  EXPECT_EQ(served.groups(), 1U);
}

}  // namespace
}  // namespace wde::server
