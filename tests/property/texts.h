// Texts of every length for the property tests, the same on every run.
#pragma once

#include <string>
#include <vector>

namespace wde::test {

// `count` texts, from empty to about twice as long as the small checkpoints' maximum, in no order of length.
inline std::vector<std::string> mixed_texts(size_t count) {
  static const std::vector<std::string> words = {"the",  "capital", "of",    "Frankreich", "is",
                                                 "中文", "naïve",   "123.5", "🙂",       "unbelievably",
                                                 "a",    "Straße",  ",",     "?"};
  std::vector<std::string> texts;
  uint64_t state = 42;
  const auto next = [&state] { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; };
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    const size_t length = i % 5 == 4 ? next() % 200 : next() % 25;
    for (size_t w = 0; w < length; ++w) text += (w == 0 ? "" : " ") + words[next() % words.size()];
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace wde::test
