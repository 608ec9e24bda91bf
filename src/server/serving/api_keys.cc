#include "server/serving/api_keys.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <utility>

#include "base/text.h"

namespace wde::server {
namespace {

// Takes as long for every key that is asked about, whatever the known one is: how much of it is right cannot be timed.
bool equal_in_constant_time(std::string_view asked, std::string_view known) {
  volatile uint8_t difference = asked.size() == known.size() ? 0 : 1;
  for (size_t i = 0; i < asked.size(); ++i) {
    const char other = known.empty() ? '\0' : known[i % known.size()];
    difference = static_cast<uint8_t>(difference | (asked[i] ^ other));
  }
  return difference == 0;
}

}  // namespace

void ApiKeys::add(std::string_view key, std::string_view where) { fixed_.push_back(make_key(key, where)); }

void ApiKeys::add_file(const std::string& path, std::string_view where) {
  files_.push_back({path, std::string(where), read_key_file(path, where)});
}

void ApiKeys::reload() {
  std::vector<File> fresh = files_;
  for (File& file : fresh) file.keys = read_key_file(file.path, file.where);
  files_ = std::move(fresh);
}

bool ApiKeys::weigh() const {
  const auto weighs = [](const ApiKey& key) { return key.caller.weight != 1; };
  return std::any_of(files_.begin(), files_.end(),
                     [&](const File& file) { return std::any_of(file.keys.begin(), file.keys.end(), weighs); });
}

// Looks at all of them, wherever the right one is. A file's line counts before the same key elsewhere: it says more.
const ApiKey* ApiKeys::find(std::string_view key) const {
  const ApiKey* found = nullptr;
  const auto look = [&](const std::vector<ApiKey>& keys) {
    for (const ApiKey& one : keys) found = equal_in_constant_time(key, one.key) ? &one : found;
  };
  look(fixed_);
  for (const File& file : files_) look(file.keys);
  return found;
}

const ApiKey* ApiKeys::find(const HttpRequest& request) const {
  std::string_view given = request.header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (given.size() > kBearer.size()) {
    bool bearer = true;
    for (size_t i = 0; i < kBearer.size(); ++i) {
      bearer = bearer && std::tolower(static_cast<unsigned char>(given[i])) == kBearer[i];
    }
    if (bearer) given = trimmed(given.substr(kBearer.size()));
  }
  for (std::string_view key : {given, request.header("x-api-key"), request.header("api-key")}) {
    if (key.empty()) continue;
    if (const ApiKey* const one = find(key)) return one;
  }
  return nullptr;
}

}  // namespace wde::server
