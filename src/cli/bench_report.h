// What `wde bench` measured and how it is told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "wde/request.h"

namespace wde::cli {

inline constexpr size_t kWordsOfSingle = 12;

struct BenchReport {
  uint64_t texts = 0;
  uint64_t tokens = 0;                 // of one pass
  std::vector<double> seconds;         // a pass each
  std::vector<double> single_seconds;  // a single text each
  double load_seconds = 0;             // from the start of the process to the engine that is ready
  double first_vector_seconds = 0;     // from the start of the process to the first answer
  double peak_rss_mb = 0;
  std::vector<std::pair<size_t, double>> cost;  // tokens of a text -> seconds of one worker, by the cost model
  double cost_error = 0;                        // EngineStatistics::cost_error

  std::string as_json() const;
  std::string as_text() const;
};

double median(std::vector<double> values);                       // 0 for none
double percentile(std::vector<double> values, double fraction);  // nearest rank; 0 for none

// `count` requests of 12 words, cut one after the other from the input's texts, which are used again when they are out
// of words; of a pair, the document is cut and the query stays. None if there is no word at all.
std::vector<Request> single_requests(const std::vector<Request>& requests, size_t count);

// The largest resident size of this process. VmHWM, because getrusage()'s ru_maxrss also remembers the parent that
// forked us, which may be a large Python.
double peak_rss_mb();

}  // namespace wde::cli
