// Search by meaning: embeds every line of a file, and for each query prints the lines whose vectors point the same way.
//   wde-search --model DIR --texts FILE --query TEXT... [--queries FILE] [--top N]
// Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 failed, 2 wrong use.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <future>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wde/engine.h"

namespace {

constexpr const char* kUsage =
    "usage: wde-search --model DIR --texts FILE [--query TEXT]... [--queries FILE] [--top N]\n"
    "\n"
    "  --model DIR     the embedding model (or the environment variable WDE_MODEL)\n"
    "  --texts FILE    the texts to search, one a line\n"
    "  --query TEXT    what to look for; may be given several times\n"
    "  --queries FILE  more of them, one a line\n"
    "  --top N         answers to each query (default: 3)\n";

struct Options {
  wde::EngineArgs engine;
  std::string texts;
  std::vector<std::string> queries;
  size_t top = 3;
};

std::vector<std::string> read_lines(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(file + ": cannot be opened");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
  }
  if (in.bad()) throw std::runtime_error(file + ": cannot be read");
  if (lines.empty()) throw std::runtime_error(file + ": holds no text, expected one a line");
  return lines;
}

size_t positive_number(const std::string& text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) {
    throw wde::UsageError("--top is '" + text + "', expected a whole number from 1 on");
  }
  return number;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) throw wde::UsageError(flag + " needs a value, or is not known; see --help");
    const std::string value = argv[i + 1];
    if (flag == "--model") {
      options.engine.set("model", value);
    } else if (flag == "--texts") {
      options.texts = value;
    } else if (flag == "--query") {
      options.queries.push_back(value);
    } else if (flag == "--queries") {
      for (std::string& line : read_lines(value)) options.queries.push_back(std::move(line));
    } else if (flag == "--top") {
      options.top = positive_number(value);
    } else {
      throw wde::UsageError("unknown option '" + flag + "'; see --help");
    }
  }
  options.engine.set("task", "embed").read_environment();
  if (options.texts.empty()) throw wde::UsageError("no texts to search: use --texts FILE");
  if (options.queries.empty()) throw wde::UsageError("nothing to look for: use --query TEXT or --queries FILE");
  return options;
}

// One unit vector a text, in order. `progress`: shows how far it is, if standard error is a terminal.
std::vector<std::vector<float>> embed(wde::Engine& engine, const std::vector<std::string>& texts, bool progress) {
  const bool bar = progress && isatty(STDERR_FILENO) != 0;
  std::vector<std::future<wde::Result<wde::Response>>> answers;
  answers.reserve(texts.size());
  for (const std::string& text : texts) answers.push_back(engine.submit({text, {}}));

  std::vector<std::vector<float>> vectors;
  vectors.reserve(texts.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    wde::Result<wde::Response> answer = answers[i].get();
    if (!answer.ok()) throw std::runtime_error("\"" + texts[i] + "\": " + answer.error().message);
    std::vector<float>& vector = answer.value().outputs.at(0).values;
    // Models that end in a Normalize module give unit vectors already; the cosine needs them from all.
    const float squares = std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0f);
    for (float& x : vector) x /= std::max(std::sqrt(squares), 1e-12f);
    vectors.push_back(std::move(vector));
    if (bar) std::fprintf(stderr, "\r%zu of %zu texts", i + 1, answers.size());
  }
  if (bar) std::fprintf(stderr, "\r\033[K");
  return vectors;
}

void print_best(const std::string& query, const std::vector<float>& wanted, const std::vector<std::string>& texts,
                const std::vector<std::vector<float>>& vectors, size_t top) {
  std::vector<std::pair<float, size_t>> ranked;  // cosine, text
  for (size_t i = 0; i < vectors.size(); ++i) {
    ranked.emplace_back(std::inner_product(wanted.begin(), wanted.end(), vectors[i].begin(), 0.0f), i);
  }
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(top, ranked.size()));
  const auto better = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  std::partial_sort(ranked.begin(), end, ranked.end(), better);
  std::printf("\n%s\n", query.c_str());
  for (auto it = ranked.begin(); it != end; ++it) {
    std::printf("  %2td  %.3f  %s\n", it - ranked.begin() + 1, static_cast<double>(it->first),
                texts[it->second].c_str());
  }
}

void search(const Options& options) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };

  const std::vector<std::string> texts = read_lines(options.texts);
  auto start = Clock::now();
  const std::unique_ptr<wde::Engine> engine = wde::Engine::create(options.engine);
  std::fprintf(stderr, "%s: %s, %zu dimensions, loaded in %.2f s\n", options.engine.get("model").c_str(),
               engine->info().architecture.c_str(), engine->info().dimensions, seconds_since(start));
  start = Clock::now();
  const auto vectors = embed(*engine, texts, true);
  const double seconds = seconds_since(start);
  std::fprintf(stderr, "%s: %zu texts embedded in %.2f s (%.0f texts/s)\n", options.texts.c_str(), texts.size(),
               seconds, static_cast<double>(texts.size()) / seconds);

  const auto wanted = embed(*engine, options.queries, false);
  for (size_t i = 0; i < wanted.size(); ++i) print_best(options.queries[i], wanted[i], texts, vectors, options.top);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--help" || std::string_view(argv[i]) == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    }
  }
  try {
    search(parse(argc, argv));
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const wde::UsageError& error) {
    std::fprintf(stderr, "wde-search: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "wde-search: %s\n", error.what());
    return 1;
  }
}
