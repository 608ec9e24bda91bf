// Values of JSON files, and the entries of a tokenizer.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "mutation/mutation.h"

namespace wde::mutation {
namespace {

using nlohmann::json;

// What a value may become: limits, other types, nothing.
const std::vector<json>& odd_values() {
  static const std::vector<json> all = {0,
                                        -1,
                                        1,
                                        2,
                                        7,
                                        1000000000,
                                        int64_t{1} << 31,
                                        INT64_MAX,
                                        uint64_t{1} << 63,
                                        0.5,
                                        -0.5,
                                        1e308,
                                        1e-308,
                                        "x",
                                        "",
                                        "1",
                                        nullptr,
                                        true,
                                        false,
                                        json::array(),
                                        json::array({1, 2}),
                                        json::object()};
  return all;
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 60) + "…";
  return text;
}

// Of everything inside, the pointers to it.
void collect(json& value, const json::json_pointer& at, std::vector<json::json_pointer>& out) {
  if (!at.empty()) out.push_back(at);
  if (value.is_object()) {
    for (auto& [key, inner] : value.items()) collect(inner, at / key, out);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) collect(value[i], at / i, out);
  }
}

json other_value(const json& value, Random& random) {
  if (value.is_boolean() && random.one_of(2)) return !value.get<bool>();
  if (value.is_number_integer() && random.one_of(4)) {
    const int64_t number =
        value.is_number_unsigned() ? static_cast<int64_t>(value.get<uint64_t>()) : value.get<int64_t>();
    const std::vector<int64_t> near = {number + 1, number - 1, 2 * (number / 2 + 1), number / 2, -(number / 2)};
    return random.pick(near);
  }
  if (value.is_string() && random.one_of(4)) return std::string(random.one_of(2) ? 100000 : 300, 'a');
  return random.pick(odd_values());
}

std::string change_one(json& root, const std::vector<json::json_pointer>& places, Random& random) {
  if (places.empty()) return "";
  const json::json_pointer& at = random.pick(places);
  json& value = root[at];
  const std::string before = shown(value);
  json& parent = root[at.parent_pointer()];
  if (random.one_of(8)) {
    if (parent.is_object()) {
      parent.erase(at.back());
    } else {
      parent.erase(static_cast<size_t>(std::stoul(at.back())));
    }
    return fmt::format("{} = {} removed", at.to_string(), before);
  }
  if (parent.is_array() && random.one_of(4)) {
    const size_t copies = random.one_of(4) ? 200 : 1;
    const json copy = value;
    for (size_t i = 0; i < copies; ++i) parent.push_back(copy);
    return fmt::format("{} = {} {} times more", at.to_string(), before, copies);
  }
  value = other_value(value, random);
  return fmt::format("{} = {} -> {}", at.to_string(), before, shown(value));
}

std::string write(const json& root) { return root.dump(-1, ' ', false, json::error_handler_t::replace); }

// Of a vocabulary {"piece": id}, [["piece", score], …] or [{"id": …, "content": …}, …].
std::string mutate_entries(json& entries, Random& random) {
  if (entries.size() < 2) return "";
  const size_t a = random.below(entries.size()), b = random.below(entries.size());
  const size_t how = random.below(4);
  if (entries.is_array()) {
    if (how == 0) std::swap(entries[a], entries[b]);
    if (how == 1) entries.erase(a);
    if (how == 2) entries.push_back(entries[a]);
    if (how == 3) {
      std::vector<json::json_pointer> places;
      collect(entries, json::json_pointer(), places);
      return change_one(entries, places, random);
    }
    constexpr const char* kHow[] = {"swapped with {}", "removed", "duplicated"};
    return fmt::format("entry {} {}", a, how == 0 ? fmt::format("swapped with {}", b) : kHow[how]);
  }
  const auto first = std::next(entries.begin(), static_cast<ptrdiff_t>(a)),
             second = std::next(entries.begin(), static_cast<ptrdiff_t>(b));
  const std::string key = first.key(), name = shown(key), other = shown(second.key());
  if (how == 0) {
    std::swap(*first, *second);
    return fmt::format("{} and {} swapped", name, other);
  }
  if (how == 1) {
    entries.erase(key);
    return name + " removed";
  }
  if (how == 2) {
    *first = *second;
    return fmt::format("{} has the id of {}", name, other);
  }
  *first = random.pick(odd_values());
  return fmt::format("{} -> {}", name, shown(*first));
}

}  // namespace

std::string mutate_json(std::string& content, Random& random) {
  json root = json::parse(content, nullptr, false);
  if (root.is_discarded() || !(root.is_object() || root.is_array())) return "";
  std::vector<json::json_pointer> places;
  collect(root, json::json_pointer(), places);
  const std::string what = change_one(root, places, random);
  content = write(root);
  return what;
}

std::string mutate_tokenizer(std::string& content, Random& random) {
  json root = json::parse(content, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return "";
  std::string what;
  json& model = root["model"];
  const size_t part = random.below(4);
  if (part == 0 && model.is_object() && model.contains("vocab")) {
    what = mutate_entries(model["vocab"], random);
    if (!what.empty()) what = "vocabulary: " + what;
  } else if (part == 1 && root.contains("added_tokens")) {
    what = mutate_entries(root["added_tokens"], random);
    if (!what.empty()) what = "added_tokens: " + what;
  }
  if (what.empty()) {
    json rest = root;
    for (const char* large : {"vocab", "merges"}) {
      if (rest["model"].is_object()) rest["model"].erase(large);
    }
    std::vector<json::json_pointer> places;
    collect(rest, json::json_pointer(), places);
    what = change_one(root, places, random);
  }
  content = write(root);
  return what;
}

}  // namespace wde::mutation
