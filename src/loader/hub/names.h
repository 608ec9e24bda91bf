// Names that come from users and from the Hub, checked before they become paths or URLs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace wde::hub {

inline constexpr std::string_view kDefaultRevision = "main";

struct RepoName {
  std::string repo;      // "owner/name" or "name"
  std::string revision;  // branch, tag or commit
  bool revision_given = false;

  std::string full() const { return repo + "@" + revision; }
  std::string folder() const;  // "models--owner--name"
};

// nullopt: cannot be a name of the Hub ("../x", "a/b/c", "/x", "a--b", …).
std::optional<RepoName> parse_name(std::string_view text);
// From the folder's name in the cache; nullopt for other folders.
std::optional<std::string> repo_of_folder(std::string_view folder);

bool is_commit(std::string_view text);     // 40 lower-case hexadecimal digits
bool is_blob_name(std::string_view etag);  // fit for a file name: letters, digits, "_", "-", and "." not in front
bool is_safe_path(std::string_view path);  // relative, no "..", no empty part, no control characters
bool is_revision(std::string_view text);   // fit for a file name below refs/

// Percent-encodes all but unreserved characters and those of `keep`.
std::string url_quote(std::string_view text, std::string_view keep = "");

}  // namespace wde::hub
