#include "cli/bench_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "cli/progress.h"

namespace wde::cli {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

std::string_view text_of(const Request& request) {
  if (const auto* text = std::get_if<std::string>(&request.input)) return *text;
  if (const auto* pair = std::get_if<TextPair>(&request.input)) return pair->document;
  return {};
}

// Goes round and round the words of all texts.
class Words {
 public:
  explicit Words(const std::vector<Request>& requests) : requests_(requests) {}

  bool any() const {
    return std::any_of(requests_.begin(), requests_.end(), [](const Request& request) {
      return text_of(request).find_first_not_of(kSpaces) != std::string_view::npos;
    });
  }

  std::string_view next() {  // needs any()
    for (;;) {
      const std::string_view text = text_of(requests_[text_]);
      const size_t begin = text.find_first_not_of(kSpaces, position_);
      if (begin == std::string_view::npos) {
        text_ = (text_ + 1) % requests_.size();
        position_ = 0;
        continue;
      }
      position_ = std::min(text.find_first_of(kSpaces, begin), text.size());
      return text.substr(begin, position_ - begin);
    }
  }

  const Request& origin() const { return requests_[text_]; }

 private:
  const std::vector<Request>& requests_;
  size_t text_ = 0;
  size_t position_ = 0;
};

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

}  // namespace

double percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(fraction * static_cast<double>(values.size()));
  return values[std::min(values.size(), static_cast<size_t>(std::max(1.0, rank))) - 1];
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<Request> single_requests(const std::vector<Request>& requests, size_t count) {
  std::vector<Request> singles;
  Words words(requests);
  if (!words.any()) return singles;
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    for (size_t word = 0; word < kWordsOfSingle; ++word) {
      if (word > 0) text += ' ';
      text += words.next();
    }
    if (const auto* pair = std::get_if<TextPair>(&words.origin().input)) {
      singles.push_back({TextPair{pair->query, std::move(text)}, std::nullopt});
    } else {
      singles.push_back({std::move(text), std::nullopt});
    }
  }
  return singles;
}

double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

std::string BenchReport::as_json() const {
  nlohmann::ordered_json out;
  const double middle = median(seconds);
  out["texts"] = texts;
  out["tokens"] = tokens;
  out["seconds"] = seconds;
  out["texts_per_second"] = rate(static_cast<double>(texts), middle);
  out["tokens_per_second"] = rate(static_cast<double>(tokens), middle);
  if (single_seconds.empty()) {
    out["single_p50_ms"] = nullptr;
    out["single_p99_ms"] = nullptr;
  } else {
    out["single_p50_ms"] = percentile(single_seconds, 0.50) * 1e3;
    out["single_p99_ms"] = percentile(single_seconds, 0.99) * 1e3;
  }
  out["load_seconds"] = load_seconds;
  out["first_vector_seconds"] = first_vector_seconds;
  out["peak_rss_mb"] = peak_rss_mb;
  out["cost_ms"] = nlohmann::ordered_json::object();
  for (const auto& [length, one] : cost) out["cost_ms"][std::to_string(length)] = one * 1e3;
  out["cost_error"] = cost_error;
  return out.dump() + "\n";
}

std::string BenchReport::as_text() const {
  const double middle = median(seconds);
  std::string runs;
  for (double run : seconds) runs += fmt::format("{}{:.3f}", runs.empty() ? "" : "  ", run);
  std::string out = fmt::format("texts          {} ({} tokens)\n", format_count(texts), format_count(tokens));
  out += fmt::format("passes         {} s\n", runs);
  out += fmt::format("throughput     {} texts/s, {} tokens/s\n", format_rate(rate(static_cast<double>(texts), middle)),
                     format_rate(rate(static_cast<double>(tokens), middle)));
  if (!single_seconds.empty()) {
    out += fmt::format("single text    p50 {:.2f} ms, p99 {:.2f} ms ({} texts of {} words)\n",
                       percentile(single_seconds, 0.50) * 1e3, percentile(single_seconds, 0.99) * 1e3,
                       format_count(single_seconds.size()), kWordsOfSingle);
  }
  out += fmt::format("load           {:.3f} s, first vector after {:.3f} s\n", load_seconds, first_vector_seconds);
  out += fmt::format("peak memory    {:.0f} MB\n", peak_rss_mb);
  if (!cost.empty()) {
    out += "cost model    ";
    for (const auto& [length, one] : cost) out += fmt::format(" {} tokens {:.3g} ms,", length, one * 1e3);
    out += fmt::format(" of one worker; estimates of batches were off by {:.0f} %\n", cost_error * 100);
  }
  return out;
}

}  // namespace wde::cli
