#include "loader/json_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kMaxJsonBytes = size_t{64} << 20;
constexpr int kMaxJsonDepth = 64;
// A value costs up to some hundred bytes in memory but as little as two in the file: bounds what 64 MiB can blow up to.
constexpr size_t kMaxJsonValues = 4'000'000;
constexpr size_t kMaxQuoted = 120;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kMaxQuoted)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  if (text.size() > kMaxQuoted) result += "...";
  return result;
}

}  // namespace

std::string join_path(const std::string& directory, std::string_view name) {
  return name.empty() ? directory : (std::filesystem::path(directory) / name).string();
}

bool file_exists(const std::string& file) {
  std::error_code error;
  const auto type = std::filesystem::symlink_status(file, error).type();
  return type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::none;
}

void refuse_lfs_pointer(std::string_view text, const std::string& file) {
  if (!text.starts_with("version https://git-lfs")) return;
  throw LoadError(
      fmt::format("{}: this is a git-lfs pointer, the weights were not downloaded; run 'git lfs pull' in the "
                  "checkpoint's repository or download the file itself",
                  file));
}

void throw_json_error(std::string_view text, const std::string& file, size_t byte, std::string_view reason) {
  const size_t at = std::min(byte == 0 ? 0 : byte - 1, text.size());
  const std::string_view before = text.substr(0, at);
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n');
  const size_t column = at - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
  const std::string_view here = text.substr(at);
  std::string why(reason);
  if (here.starts_with("NaN") || here.starts_with("Infinity") || here.starts_with("Inf")) {
    why = "NaN and Infinity are not JSON numbers";
  } else {
    // nlohmann's own prefixes, "[json.exception.parse_error.101] parse error at line 1, column 2: ", repeat the above.
    if (const size_t end = why.find("] "); why.starts_with("[json") && end != std::string::npos) why.erase(0, end + 2);
    if (const size_t end = why.find(": "); why.starts_with("parse error") && end != std::string::npos)
      why.erase(0, end + 2);
    for (char& c : why) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    }
    if (why.size() > 2 * kMaxQuoted) why = why.substr(0, 2 * kMaxQuoted) + "...";
  }
  throw LoadError(fmt::format("{}: not valid JSON at line {}, column {}: {}", file, line, column, why));
}

nlohmann::json parse_json(std::string_view text, const std::string& file) {
  // nlohmann takes a zero byte for the end of the text and would not see what comes after it.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw_json_error(text, file, zero + 1, "a zero byte");
  }
  size_t values = 0;
  const auto check = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json&) {
    const bool opens =
        event == nlohmann::json::parse_event_t::object_start || event == nlohmann::json::parse_event_t::array_start;
    if (opens && depth >= kMaxJsonDepth) {
      throw LoadError(fmt::format("{}: JSON nested deeper than {} levels", file, kMaxJsonDepth));
    }
    if (++values > kMaxJsonValues) throw LoadError(fmt::format("{}: more than {} JSON values", file, kMaxJsonValues));
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::parse_error& error) {
    throw_json_error(text, file, error.byte, error.what());
  } catch (const nlohmann::json::exception& error) {
    std::string_view reason = error.what();
    if (const size_t end = reason.find("] "); end != std::string_view::npos) reason.remove_prefix(end + 2);
    throw LoadError(fmt::format("{}: not valid JSON: {}", file, escaped(reason)));
  }
}

nlohmann::json read_json_file(const std::string& file) {
  const std::string text = read_regular_file(file, kMaxJsonBytes);
  if (text.empty()) throw LoadError(fmt::format("{}: expected JSON, found an empty file", file));
  refuse_lfs_pointer(text, file);
  return parse_json(text, file);
}

std::string quote(std::string_view text) { return '"' + escaped(text) + '"'; }

std::string describe(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::string:
      return "the string " + quote(value.get_ref<const std::string&>());
    case nlohmann::json::value_t::array:
      return fmt::format("a list of {}", value.size());
    case nlohmann::json::value_t::object:
      return fmt::format("an object of {} keys", value.size());
    default:
      return value.dump();  // a number or a truth value
  }
}

}  // namespace wde
