#include "loader/hub/settings.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>

#include <fmt/format.h>

#include "base/text.h"
#include "loader/json_file.h"
#include "wde/result.h"

namespace wde::hub {
namespace {

constexpr long kMaxSeconds = 3600;
constexpr size_t kMaxToken = 4096;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The first of them that is set and not empty.
std::string first_variable(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = variable(name); !value.empty()) return value;
  }
  return "";
}

bool is_true(const char* name) {
  std::string value = variable(name);
  for (char& c : value) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

long seconds(const char* name, long fallback) {
  const std::string text = variable(name);
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || number < 1) return fallback;
  return std::min(number, kMaxSeconds);
}

std::string home_directory() {
  if (std::string home = variable("HOME"); !home.empty()) return home;
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
}

// "~/x" to the user's own directory, as the Python tools do with what a shell did not expand.
std::string expanded(std::string path) {
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, home_directory());
  return path;
}

void read_token(Settings& settings, const std::string& home) {
  const std::string own_path = variable("HF_TOKEN_PATH");
  const std::string file = own_path.empty() ? home + "/token" : expanded(own_path);
  settings.token_source = "HF_TOKEN";
  settings.token = trimmed(first_variable({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  if (settings.token.empty() && !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
    std::error_code none;
    std::ifstream stream;  // a pipe would be waited for
    if (std::filesystem::is_regular_file(file, none)) stream.open(file, std::ios::binary);
    std::string text(kMaxToken + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
    settings.token = trimmed(text);
    if (!settings.token.empty()) settings.token_source = file;
  }
  // It goes into a header line.
  const bool fits = settings.token.size() <= kMaxToken && std::all_of(settings.token.begin(), settings.token.end(),
                                                                      [](char c) { return c > 0x20 && c < 0x7f; });
  if (!fits) {
    throw UsageError(fmt::format("{}: expected a token of the Hub, one word of at most {} printable characters",
                                 settings.token_source, kMaxToken));
  }
}

}  // namespace

Settings Settings::from_environment() {
  Settings settings;
  std::string home = expanded(variable("HF_HOME"));
  if (home.empty()) {
    const std::string caches = expanded(variable("XDG_CACHE_HOME"));
    home = (caches.empty() ? home_directory() + "/.cache" : caches) + "/huggingface";
  }
  settings.cache = expanded(first_variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}));
  if (settings.cache.empty()) settings.cache = home + "/hub";
  while (settings.cache.size() > 1 && settings.cache.back() == '/') settings.cache.pop_back();

  settings.endpoint = variable("HF_ENDPOINT");
  if (settings.endpoint.empty()) settings.endpoint = "https://huggingface.co";
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  if (!settings.endpoint.starts_with("https://") && !settings.endpoint.starts_with("http://")) {
    throw UsageError(fmt::format("HF_ENDPOINT: expected an address like https://huggingface.co, found {}",
                                 quote(settings.endpoint)));
  }
  read_token(settings, home);
  settings.offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
  settings.answer_seconds = seconds("HF_HUB_ETAG_TIMEOUT", settings.answer_seconds);
  settings.stall_seconds = seconds("HF_HUB_DOWNLOAD_TIMEOUT", settings.stall_seconds);
  settings.certificates = first_variable({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"});
  return settings;
}

}  // namespace wde::hub
