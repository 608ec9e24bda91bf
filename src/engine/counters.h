// Counters behind EngineStatistics: written by the engine's threads, once a batch or chunk; read by any.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

#include "stage/job.h"
#include "wde/statistics.h"

namespace wde {

enum class Stage { kInput, kTokenize, kSchedule, kBuild, kExecute, kOutput };

class Counters {
 public:
  void add_busy(Stage stage, Clock::duration time) {
    const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    busy_[static_cast<size_t>(stage)].add(static_cast<uint64_t>(std::max<int64_t>(0, spent)));
  }
  void add_batch(const Job& job) {
    const uint64_t texts = job.batch.size(), tokens = job.input.tokens();
    by_texts_[size_class(texts)].add(1);
    by_tokens_[size_class(tokens)].add(1);
    texts_.add(texts);
    tokens_.add(tokens);
    padding_saved_.add(texts * job.input.max_seqlen - tokens);
    add_busy(Stage::kExecute, job.busy);
  }

  EngineStatistics read() const {
    EngineStatistics out;
    for (size_t i = 0; i < by_texts_.size(); ++i) out.batches_by_texts[i] = by_texts_[i].get();
    for (size_t i = 0; i < by_tokens_.size(); ++i) out.batches_by_tokens[i] = by_tokens_[i].get();
    out.texts = texts_.get();
    out.tokens = tokens_.get();
    out.padding_saved = padding_saved_.get();
    for (size_t i = 0; i < busy_.size(); ++i) out.busy_seconds[i] = static_cast<double>(busy_[i].get()) * 1e-9;
    return out;
  }

 private:
  class Count {
   public:
    void add(uint64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
    uint64_t get() const { return value_.load(std::memory_order_relaxed); }

   private:
    std::atomic<uint64_t> value_{0};
  };

  using Sizes = std::array<Count, std::tuple_size_v<EngineStatistics::Sizes>>;

  static size_t size_class(uint64_t n) {
    return std::min<size_t>(n == 0 ? 0 : static_cast<size_t>(std::bit_width(n - 1)),
                            std::tuple_size_v<EngineStatistics::Sizes> - 1);
  }

  Sizes by_texts_, by_tokens_;
  Count texts_, tokens_, padding_saved_;
  std::array<Count, EngineStatistics::kStages.size()> busy_;
};

// Gives each stretch of a thread's time to one stage.
class StageClock {
 public:
  explicit StageClock(Counters& counters) : counters_(counters) {}
  Clock::time_point begin() const { return begin_; }
  // What has passed since the last one, or since the beginning.
  Clock::time_point end(Stage stage) {
    const Clock::time_point now = Clock::now();
    counters_.add_busy(stage, now - begin_);
    return begin_ = now;
  }

 private:
  Counters& counters_;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace wde
