#include "engine/late_interaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "loader/json_file.h"
#include "output/output_processor.h"

namespace wde {
namespace {

// A special token by its role, from the files that transformers writes.
std::optional<int32_t> token_of_role(const std::string& role, const Tokenizer& tokenizer,
                                     const std::string& directory) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto config = ConfigView::read_if_exists(join_path(directory, name));
    if (!config || !config->has(role)) continue;
    const bool whole = config->json().at(role).is_object();
    const std::string token = whole ? config->object(role).string("content") : config->string(role);
    if (const auto id = tokenizer.id(token)) return id;
  }
  return std::nullopt;
}

// sentence-transformers' order: the one that is named, else the mask token, else what ends a text.
int32_t fill_id(const LateInteraction& late, const Tokenizer& tokenizer, const std::string& directory) {
  if (!late.fill_token.empty()) {
    const auto id = tokenizer.id(late.fill_token);
    if (!id) {
      throw LoadError(fmt::format("{}: the token {} that fills up queries is not in the vocabulary", directory,
                                  quote(late.fill_token)));
    }
    return *id;
  }
  auto id = token_of_role("mask_token", tokenizer, directory);
  for (const char* usual : {"[MASK]", "<mask>"})
    if (!id) id = tokenizer.id(usual);
  if (!id) id = token_of_role("eos_token", tokenizer, directory);
  if (!id) {
    throw LoadError(fmt::format(
        "{}: the model fills up queries, and there is no \"mask_token\" in its tokenizer's files", directory));
  }
  return *id;
}

// sentence-transformers' rule: a marker that is a token, or whose first word is one, goes in as that token.
SideRules rules_of(const LateInteraction::Side& side, const Tokenizer& tokenizer) {
  SideRules rules;
  rules.frame.max_length = side.max_length;
  const size_t begin = std::min(side.marker.find_first_not_of(' '), side.marker.size());
  const size_t end = std::min(side.marker.find(' ', begin), side.marker.size());
  rules.marker = side.marker;
  if (begin == end) return rules;
  rules.frame.marker = tokenizer.id(side.marker);
  if (rules.frame.marker) {
    rules.marker.clear();
  } else {
    rules.frame.marker = tokenizer.id(std::string_view(side.marker).substr(begin, end - begin));
    if (rules.frame.marker) rules.marker.erase(0, end);
  }
  return rules;
}

std::string describe_side(const LateInteraction::Side& side) {
  std::string out = side.marker.empty() ? "no marker" : fmt::format("marker {}", quote(side.marker));
  if (side.max_length > 0) out += fmt::format(", up to {} tokens", side.max_length);
  return out;
}

}  // namespace

std::array<SideRules, 2> side_rules(const LateInteraction& late, const Tokenizer& tokenizer,
                                    const std::string& directory) {
  std::array<SideRules, 2> rules = {rules_of(late.document, tokenizer), rules_of(late.query, tokenizer)};
  static_assert(static_cast<size_t>(Side::kDocument) == 0 && static_cast<size_t>(Side::kQuery) == 1);
  if (late.fill_to == 0) return rules;
  TokenFrame& query = rules[static_cast<size_t>(Side::kQuery)].frame;
  query.fill_to = late.fill_to;
  query.fill_id = fill_id(late, tokenizer, directory);
  query.fill_is_seen = late.fill_is_seen;
  return rules;
}

std::string describe(const LateInteraction& late) {
  std::string out = "queries: " + describe_side(late.query);
  if (late.fill_to > 0)
    out +=
        fmt::format(", filled up to {}{}", late.fill_to, late.fill_is_seen ? " with tokens that are attended to" : "");
  out += "; documents: " + describe_side(late.document);
  if (!late.skipped_words.empty() && late.skip_in_documents)
    out += fmt::format(", without {} tokens", late.skipped_words.size());
  return out;
}

float max_sim(const Output& query, const Output& document, bool mean) {
  if (query.shape.size() != 2 || document.shape.size() != 2 || query.shape[1] != document.shape[1] ||
      query.shape[0] == 0 || document.shape[0] == 0)
    return 0;
  const size_t size = query.shape[1];
  double sum = 0;
  for (size_t i = 0; i < query.shape[0]; ++i) {
    const float* const q = query.values.data() + i * size;
    float best = -std::numeric_limits<float>::infinity();
    for (size_t j = 0; j < document.shape[0]; ++j) {
      const float* const d = document.values.data() + j * size;
      float lanes[8] = {};  // sums of their own, which the processor can add at once
      size_t k = 0;
      for (; k + 8 <= size; k += 8) {
        for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += q[k + lane] * d[k + lane];
      }
      for (; k < size; ++k) lanes[0] += q[k] * d[k];
      const float product =
          ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
      if (product > best || std::isnan(product)) best = product;  // and stays NaN
    }
    sum += best;
  }
  return static_cast<float>(mean ? sum / static_cast<double>(query.shape[0]) : sum);
}

namespace {

// The vectors of a query, and the pairs that wait for them.
class Query {
 public:
  // Calls f when there is a response, perhaps at once.
  void then(std::function<void()> f) {
    {
      std::scoped_lock lock(mutex_);
      waiting_.push_back(std::move(f));
      if (!response_) return;
    }
    call_waiting();
  }
  void answer(Result<Response> result) {
    {
      std::scoped_lock lock(mutex_);
      response_.emplace(std::move(result));
    }
    call_waiting();
  }
  bool failed() {
    std::scoped_lock lock(mutex_);
    return response_ && !response_->ok();
  }
  // Once there is a response, which never changes.
  const Result<Response>& response() const { return *response_; }
  // The query's tokens for the first pair that asks, 0 for all others.
  size_t count_tokens() {
    std::scoped_lock lock(mutex_);
    return std::exchange(counted_, true) ? 0 : response_->value().tokens;
  }

 private:
  // Several threads may be here at once and share the pairs that wait.
  void call_waiting() {
    for (;;) {
      std::function<void()> next;
      {
        std::scoped_lock lock(mutex_);
        if (waiting_.empty()) return;
        next = std::move(waiting_.back());
        waiting_.pop_back();
      }
      next();
    }
  }

  std::mutex mutex_;
  bool counted_ = false;
  std::optional<Result<Response>> response_;
  std::vector<std::function<void()>> waiting_;
};

class MaxSimEngine final : public Engine {
 public:
  MaxSimEngine(std::unique_ptr<Engine> vectors, bool mean)
      : vectors_(std::move(vectors)), info_(vectors_->info()), mean_(mean) {
    info_.task = "score";
    info_.dimensions = 0;
    info_.facts.emplace_back(
        "score", mean ? "mean of the query's best products (MaxSim)" : "sum of the query's best products (MaxSim)");
  }

  using Engine::submit;
  RequestId submit(Request request, Callback done) override {
    auto* const pair = std::get_if<TextPair>(&request.input);
    if (pair == nullptr) {
      done(Error{ErrorCode::kInvalidInput,
                 "this model scores pairs: expected {\"query\": ..., \"document\": ...}, found something else"});
      return 0;
    }
    Request query = request;
    query.input = std::move(pair->query);
    query.prompt_name = "query";
    Request document = std::move(request);
    document.input = std::string(std::move(std::get<TextPair>(document.input).document));
    document.prompt.reset();
    document.prompt_name = "document";
    const std::shared_ptr<Query> known = query_of(std::move(query));
    return vectors_->submit(
        std::move(document), [known, done = std::move(done), mean = mean_](Result<Response> result) {
          auto own = std::make_shared<Result<Response>>(std::move(result));
          known->then([query = known.get(), own, done, mean] { done(score(*query, std::move(*own), mean)); });
        });
  }

  bool cancel(RequestId id) override { return vectors_->cancel(id); }
  void shutdown() override { vectors_->shutdown(); }
  const EngineInfo& info() const override { return info_; }
  double seconds(size_t tokens) const override { return vectors_->seconds(tokens); }
  EngineStatistics statistics() const override { return vectors_->statistics(); }
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return vectors_->decode(ids, skip_special_tokens);
  }
  const Engine* vectors() const { return vectors_.get(); }

 private:
  struct Remembered {
    Request request;
    std::shared_ptr<Query> query;
  };
  // Queries that no pair waits for any more, but whose next pair may follow.
  static constexpr size_t kRemembered = 16;

  // Deadlines are not compared: the query has none of its own, since others may wait for it.
  static bool same(const Request& a, const Request& b) {
    return a.group == b.group && a.prompt == b.prompt && a.truncation == b.truncation && a.max_length == b.max_length &&
           std::get<std::string>(a.input) == std::get<std::string>(b.input);
  }

  // The vectors of this query, which are computed if they are not known.
  std::shared_ptr<Query> query_of(Request request) {
    request.deadline.reset();
    std::shared_ptr<Query> made;
    {
      std::scoped_lock lock(mutex_);
      const auto known = std::find_if(remembered_.begin(), remembered_.end(),
                                      [&](const Remembered& one) { return same(one.request, request); });
      if (known != remembered_.end() && !known->query->failed()) {
        std::rotate(known, known + 1, remembered_.end());  // the last used is the last
        return remembered_.back().query;
      }
      if (known != remembered_.end()) remembered_.erase(known);
      made = std::make_shared<Query>();
      remembered_.push_back({request, made});
      forget();
    }
    vectors_->submit(std::move(request), [made](Result<Response> result) { made->answer(std::move(result)); });
    return made;
  }

  // The oldest that nobody waits for. Those of pairs that are being computed stay, however many clients there are.
  void forget() {
    if (remembered_.size() <= kRemembered) return;
    const auto unused = std::find_if(remembered_.begin(), remembered_.end(),
                                     [](const Remembered& one) { return one.query.use_count() == 1; });
    if (unused != remembered_.end()) remembered_.erase(unused);
  }

  static Result<Response> score(Query& query, Result<Response> document, bool mean) {
    if (!query.response().ok()) return query.response().error();
    if (!document.ok()) return document;
    const Response& left = query.response().value();
    Response& right = document.value();
    Response out;
    out.tokens = right.tokens + query.count_tokens();
    out.truncated = left.truncated || right.truncated;
    out.timing = right.timing;
    const float score = max_sim(left.outputs.at(0), right.outputs.at(0), mean);
    if (!std::isfinite(score)) return not_finite();
    out.outputs.push_back({"score", {}, {score}, {}});
    return out;
  }

  std::unique_ptr<Engine> vectors_;
  EngineInfo info_;
  bool mean_;
  std::mutex mutex_;
  std::vector<Remembered> remembered_;
};

}  // namespace

std::unique_ptr<Engine> make_max_sim_engine(std::unique_ptr<Engine> vectors, bool mean) {
  return std::make_unique<MaxSimEngine>(std::move(vectors), mean);
}

const Engine* without_max_sim(const Engine* engine) {
  const auto* const scoring = dynamic_cast<const MaxSimEngine*>(engine);
  return scoring != nullptr ? scoring->vectors() : engine;
}

}  // namespace wde
