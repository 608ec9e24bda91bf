#include "server/serving/api_keys.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdint>
#include <fstream>

#include "wde/result.h"

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

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

}  // namespace

void ApiKeys::add(std::string key) {
  if (!key.empty()) keys_.push_back(std::move(key));
}

void ApiKeys::add_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("--api-key-file {}: cannot be read", path));
  const size_t before = keys_.size();
  std::string line;
  while (std::getline(file, line)) {
    const std::string_view key = trimmed(line);
    if (!key.empty() && key[0] != '#') keys_.emplace_back(key);
  }
  // An empty file must not mean an open server.
  if (keys_.size() == before) throw UsageError(fmt::format("--api-key-file {}: there is no key in it", path));
}

bool ApiKeys::known(std::string_view key) const {
  bool found = false;
  for (const std::string& one : keys_) found = equal_in_constant_time(key, one) || found;
  return found;
}

bool ApiKeys::allow(const HttpRequest& request) const {
  if (keys_.empty()) return true;
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
    if (!key.empty() && known(key)) return true;
  }
  return false;
}

}  // namespace wde::server
