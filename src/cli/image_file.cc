#include "cli/image_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace wde::cli {
namespace {

constexpr size_t kMaxImageFileBytes = size_t{256} << 20;

Error refuse(const std::string& path, std::string_view why) {
  return {ErrorCode::kInvalidInput, fmt::format("cannot read the image {}: {}", path, why)};
}

}  // namespace

Result<Request> read_image_file(const std::string& path) {
  const int descriptor =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe without a writer: no waiting
  if (descriptor < 0) return refuse(path, std::strerror(errno));
  struct stat facts = {};
  std::string problem;
  Image image;
  if (::fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    problem = "expected a file";
  } else if (static_cast<size_t>(facts.st_size) > kMaxImageFileBytes) {
    problem = fmt::format("it has {} bytes, at most {} are allowed", facts.st_size, kMaxImageFileBytes);
  } else {
    image.file.resize(static_cast<size_t>(facts.st_size));
    size_t done = 0;
    while (done < image.file.size()) {
      const ssize_t count = ::read(descriptor, image.file.data() + done, image.file.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) problem = std::strerror(errno);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    image.file.resize(done);
  }
  ::close(descriptor);
  if (!problem.empty()) return refuse(path, problem);
  Request request;
  request.input = std::move(image);
  return request;
}

}  // namespace wde::cli
