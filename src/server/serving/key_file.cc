#include "server/serving/key_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <functional>
#include <map>
#include <sstream>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "server/net/flag_file.h"
#include "wde/request.h"
#include "wde/result.h"

namespace wde::server {
namespace {

constexpr size_t kMaxKeys = 10'000;
constexpr size_t kMaxKeyFileBytes = size_t{16} << 20;
constexpr double kMinWeight = 0.01, kMaxWeight = 1000;

// The first word, which is taken off the line.
std::string_view take_word(std::string_view& line) {
  line = trimmed(line);
  const std::string_view word = line.substr(0, line.find_first_of(" \t\r\v\f"));
  line.remove_prefix(word.size());
  return word;
}

std::string shown(std::string_view value) {
  constexpr size_t kLongest = 40;
  std::string out(value.substr(0, kLongest));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c <= 0x20 || c >= 0x7F; }, '?');
  return out;
}

template <class Number>
Number read_number(std::string_view name, std::string_view text, Number least, Number most, const std::string& where) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc() && end == text.data() + text.size();
  if (number && value >= least && value <= most) return value;
  throw UsageError(fmt::format("{}: {} is \"{}\", expected a {}number from {} to {}", where, name, shown(text),
                               std::is_integral_v<Number> ? "whole " : "", least, most));
}

// What follows the key. A word that is not known may be a part of somebody's key, and is not repeated.
void read_words(std::string_view line, const std::string& where, Caller& caller) {
  constexpr std::string_view kWeight = "weight=", kPriority = "priority=";
  bool weight = false, priority = false;
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    const bool is_weight = word.starts_with(kWeight);
    if (!is_weight && !word.starts_with(kPriority)) {
      throw UsageError(fmt::format(
          "{}: expected a key, which has no blanks, and after it weight=NUMBER, priority=NUMBER or nothing; "
          "found another word",
          where));
    }
    if (std::exchange(is_weight ? weight : priority, true)) {
      throw UsageError(fmt::format("{}: {} is there twice", where, is_weight ? "weight" : "priority"));
    }
    if (is_weight) {
      caller.weight = read_number("weight", word.substr(kWeight.size()), kMinWeight, kMaxWeight, where);
    } else {
      caller.earliest = read_number("priority", word.substr(kPriority.size()), kMinPriority, kMaxPriority, where);
    }
  }
}

}  // namespace

// Keys travel in headers: servers trim these, and clients refuse to send other characters.
ApiKey make_key(std::string_view key, std::string_view where) {
  if (key.empty()) throw UsageError(fmt::format("{} is empty: that would be a server without a key", where));
  if (std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
    return {std::string(key), {.flow = flow_of(key)}};
  }
  throw UsageError(fmt::format(
      "{}: a key has a character that no header can carry; expected letters, digits and signs of ASCII, without blanks",
      where));
}

std::vector<ApiKey> read_key_file(const std::string& path, std::string_view where) {
  const std::string name = fmt::format("{} {}", where, path);
  std::istringstream file(read_flag_file(where, path, kMaxKeyFileBytes));
  std::vector<ApiKey> keys;
  struct Known {
    size_t line, index;
  };
  std::map<std::string, Known, std::less<>> known;
  std::string text;
  for (size_t number = 1; std::getline(file, text); ++number) {
    std::string_view line = text;
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of Windows' editors
    if (number == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    const std::string_view word = take_word(line);
    if (word.empty() || word[0] == '#') continue;
    const std::string at = fmt::format("{}:{}", name, number);
    ApiKey key = make_key(word, at);
    read_words(line, at, key.caller);
    const auto [place, is_new] = known.try_emplace(key.key, Known{number, keys.size()});
    if (!is_new) {
      const Caller& before = keys[place->second.index].caller;
      if (before.weight == key.caller.weight && before.earliest == key.caller.earliest) continue;
      throw UsageError(
          fmt::format("{}: the key of line {} again, with another weight or priority", at, place->second.line));
    }
    keys.push_back(std::move(key));
    if (keys.size() > kMaxKeys) throw UsageError(fmt::format("{}: there are more than {} keys in it", name, kMaxKeys));
  }
  // An empty file must not mean an open server.
  if (keys.empty()) throw UsageError(name + ": there is no key in it");
  return keys;
}

}  // namespace wde::server
