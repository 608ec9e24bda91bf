#include "loader/hub/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "wde/result.h"

namespace wde::hub {
namespace {

constexpr size_t kBuffer = size_t{1} << 20;
constexpr size_t kSha256Digits = 64;
constexpr size_t kSha1Digits = 40;

bool is_hexadecimal(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

HashKind hash_kind(const std::string& etag) {
  if (!is_hexadecimal(etag)) return HashKind::kNone;
  if (etag.size() == kSha256Digits) return HashKind::kSha256;
  return etag.size() == kSha1Digits ? HashKind::kGitSha1 : HashKind::kNone;
}

std::string hash_file(const std::string& file, HashKind kind, const std::function<void()>& tick) {
  const FileHandle handle(file);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context) throw std::bad_alloc();
  const auto require = [&](int result) {
    if (result != 1) throw LoadError(fmt::format("{}: its hash cannot be computed by this OpenSSL", file));
  };
  require(EVP_DigestInit_ex(context.get(), kind == HashKind::kSha256 ? EVP_sha256() : EVP_sha1(), nullptr));
  if (kind == HashKind::kGitSha1) {
    std::string header = fmt::format("blob {}", handle.bytes());
    header += '\0';
    require(EVP_DigestUpdate(context.get(), header.data(), header.size()));
  }
  std::vector<char> buffer(kBuffer);
  for (;;) {
    const ssize_t count = ::read(handle.descriptor(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw LoadError(fmt::format("{}: reading failed: {}", file, std::generic_category().message(errno)));
    }
    if (count == 0) break;
    require(EVP_DigestUpdate(context.get(), buffer.data(), static_cast<size_t>(count)));
    if (tick) tick();
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  require(EVP_DigestFinal_ex(context.get(), digest, &size));
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

}  // namespace wde::hub
