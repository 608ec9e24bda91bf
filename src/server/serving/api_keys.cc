#include "server/serving/api_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "server/net/flag_file.h"
#include "wde/result.h"

namespace wde::server {
namespace {

constexpr size_t kMaxKeys = 10'000;
constexpr size_t kMaxKeyFileBytes = size_t{16} << 20;

// Takes as long for every key that is asked about, whatever the known one is: how much of it is right cannot be timed.
bool equal_in_constant_time(std::string_view asked, std::string_view known) {
  volatile uint8_t difference = asked.size() == known.size() ? 0 : 1;
  for (size_t i = 0; i < asked.size(); ++i) {
    const char other = known.empty() ? '\0' : known[i % known.size()];
    difference = static_cast<uint8_t>(difference | (asked[i] ^ other));
  }
  return difference == 0;
}

// Keys travel in headers: servers trim these, and clients refuse to send other characters.
void check_key(std::string_view key, std::string_view where) {
  if (key.empty()) throw UsageError(fmt::format("{} is empty: that would be a server without a key", where));
  if (std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; })) return;
  throw UsageError(fmt::format(
      "{}: a key has a character that no header can carry; expected letters, digits and signs of ASCII, without blanks",
      where));
}

}  // namespace

void ApiKeys::add(std::string_view key, std::string_view where) {
  check_key(key, where);
  fixed_.emplace_back(key);
}

void ApiKeys::add_file(const std::string& path, std::string_view where) {
  files_.push_back({path, std::string(where), read_file(path, where)});
}

void ApiKeys::reload() {
  std::vector<File> fresh = files_;
  for (File& file : fresh) file.keys = read_file(file.path, file.where);
  files_ = std::move(fresh);
}

std::vector<std::string> ApiKeys::read_file(const std::string& path, std::string_view where) {
  const std::string name = fmt::format("{} {}", where, path);
  std::istringstream file(read_flag_file(where, path, kMaxKeyFileBytes));
  std::vector<std::string> keys;
  std::string line;
  for (bool first = true; std::getline(file, line); first = false) {
    std::string_view key = line;
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of Windows' editors
    if (first && key.starts_with(kByteOrderMark)) key.remove_prefix(kByteOrderMark.size());
    key = trimmed(key);
    if (key.empty() || key[0] == '#') continue;
    check_key(key, name);
    keys.emplace_back(key);
    if (keys.size() > kMaxKeys) throw UsageError(fmt::format("{}: there are more than {} keys in it", name, kMaxKeys));
  }
  // An empty file must not mean an open server.
  if (keys.empty()) throw UsageError(name + ": there is no key in it");
  return keys;
}

bool ApiKeys::known(std::string_view key) const {
  bool found = false;
  for (const std::string& one : fixed_) found = equal_in_constant_time(key, one) || found;
  for (const File& file : files_) {
    for (const std::string& one : file.keys) found = equal_in_constant_time(key, one) || found;
  }
  return found;
}

bool ApiKeys::has_key(const HttpRequest& request) const {
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
