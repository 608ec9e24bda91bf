#include "loader/hub/names.h"

#include <algorithm>

#include <fmt/format.h>

namespace wde::hub {
namespace {

constexpr size_t kMaxName = 96;  // the Hub's own limit for a part of a name
constexpr size_t kMaxPath = 1024;
constexpr size_t kMaxPart = 255;  // of file systems
constexpr std::string_view kFolderPrefix = "models--";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool consists_of(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

// The Hub's rules: letters, digits, "_", "-", "."; "--" and ".." nowhere, "-" and "." not at the ends.
bool is_name_part(std::string_view part) {
  if (part.empty() || part.size() > kMaxName || !consists_of(part, "_-.")) return false;
  for (const char end : {part.front(), part.back()}) {
    if (end == '-' || end == '.') return false;
  }
  return part.find("--") == std::string_view::npos && part.find("..") == std::string_view::npos &&
         !part.ends_with(".git");
}

bool is_repo(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_name_part(text);
  return is_name_part(text.substr(0, slash)) && is_name_part(text.substr(slash + 1));
}

}  // namespace

std::string RepoName::folder() const {
  std::string name = repo;
  if (const size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return std::string(kFolderPrefix) + name;
}

std::optional<RepoName> parse_name(std::string_view text) {
  RepoName name;
  const size_t at = text.find('@');
  name.repo = text.substr(0, at);
  name.revision = at == std::string_view::npos ? kDefaultRevision : text.substr(at + 1);
  name.revision_given = at != std::string_view::npos;
  if (!is_repo(name.repo) || !is_revision(name.revision)) return std::nullopt;
  return name;
}

std::optional<std::string> repo_of_folder(std::string_view folder) {
  if (!folder.starts_with(kFolderPrefix)) return std::nullopt;
  std::string name(folder.substr(kFolderPrefix.size()));
  if (const size_t dashes = name.find("--"); dashes != std::string::npos) name.replace(dashes, 2, "/");
  if (!is_repo(name)) return std::nullopt;
  return name;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_blob_name(std::string_view etag) {
  // Room for ".incomplete" and ".lock" behind it.
  return !etag.empty() && etag.size() <= 200 && etag.front() != '.' && consists_of(etag, "_-.");
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath) return false;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\'; };
  if (std::any_of(path.begin(), path.end(), is_control)) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    begin = end + 1;
  }
  return true;
}

bool is_revision(std::string_view text) { return is_safe_path(text) && consists_of(text, "_-./+#"); }

std::string url_quote(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    if (is_alphanumeric(c) || std::string_view("-._~").find(c) != std::string_view::npos ||
        keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace wde::hub
