// Hashes of files, as the Hub names them: sha256 of large files, git's sha1 of small ones.
#pragma once

#include <functional>
#include <string>

namespace wde::hub {

enum class HashKind { kSha256, kGitSha1, kNone };
// By the etag's form: 64 hexadecimal digits, 40, or something that says nothing of the content.
HashKind hash_kind(const std::string& etag);

// In hexadecimal, of the whole file. Throws LoadError: not readable. `tick` now and then; may throw.
std::string hash_file(const std::string& file, HashKind kind, const std::function<void()>& tick);

}  // namespace wde::hub
