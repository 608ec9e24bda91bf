#include "cli/npy_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

namespace wde::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "'<f4' rows are written as they lie in memory");

constexpr size_t kSpoolBufferBytes = 256 << 10;
constexpr size_t kUnsaidBytes = 256 << 10;  // as much as the output keeps in memory

int open_spool() {
  const char* set = std::getenv("TMPDIR");
  const std::string directory = set != nullptr && *set != '\0' ? set : "/tmp";
  const int unnamed = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed >= 0) return unnamed;
  std::string path = directory + "/wde-npy-XXXXXX";  // file systems without O_TMPFILE
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named < 0) {
    throw OutputError(fmt::format("cannot make a temporary file in {}: {}", directory, std::strerror(errno)));
  }
  ::unlink(path.c_str());
  return named;
}

}  // namespace

std::string npy_header(uint64_t rows, uint64_t columns) {
  std::string header("\x93NUMPY\x01\x00", 8);
  constexpr size_t kDictionaryBytes = kNpyHeaderBytes - 10;
  header += static_cast<char>(kDictionaryBytes & 0xFF);
  header += static_cast<char>(kDictionaryBytes >> 8);
  header += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  header.resize(kNpyHeaderBytes - 1, ' ');
  header += '\n';
  return header;
}

NpyWriter::NpyWriter(OutputSink& sink, uint64_t columns)
    : sink_(sink), columns_(columns), header_position_(sink.rewritable_position()) {
  if (header_position_) {
    sink_.append(npy_header(0, columns_));
    sink_.flush();
  } else {
    spool_ = open_spool();
  }
}

NpyWriter::~NpyWriter() {
  if (spool_ >= 0) ::close(spool_);
}

void NpyWriter::fail_spool(int error) const {
  throw OutputError(
      fmt::format("cannot keep the array in a temporary file: {} (set TMPDIR to a larger disk, or use --output)",
                  std::strerror(error)));
}

void NpyWriter::flush_spool() {
  if (const int error = write_all(spool_, spool_buffer_)) fail_spool(error);
  spool_buffer_.clear();
}

void NpyWriter::append(const void* bytes, size_t size) {
  const std::string_view view(static_cast<const char*>(bytes), size);
  if (spool_ < 0) {
    unsaid_bytes_ += size;
    sink_.append(view);
    return;
  }
  spool_buffer_ += view;
  if (spool_buffer_.size() >= kSpoolBufferBytes) flush_spool();
}

void NpyWriter::append_failed_rows() {
  const std::vector<float> row(columns_, std::numeric_limits<float>::quiet_NaN());
  for (; failed_before_columns_ > 0; --failed_before_columns_) append(row.data(), row.size() * sizeof(float));
}

std::optional<std::string> NpyWriter::write(uint64_t, const Response& response) {
  if (auto problem = problem_of(response)) return problem;
  if (response.outputs.empty() || response.outputs[0].values.empty() || response.outputs[0].shape.empty()) {
    return "the engine's response holds no array of numbers";
  }
  const Output& output = response.outputs[0];
  const uint64_t columns = output.shape.back();
  if (columns_ == 0) columns_ = columns;
  if (columns != columns_) {
    return fmt::format("\"{}\" has {} columns, and the array {}", output.name, columns, columns_);
  }
  append_failed_rows();
  append(output.values.data(), output.values.size() * sizeof(float));
  rows_ += output.values.size() / columns;
  if (unsaid_bytes_ >= kUnsaidBytes) flush();
  return std::nullopt;
}

void NpyWriter::flush() {
  const uint64_t there = rows_ - failed_before_columns_;
  if (!header_position_ || there == rows_in_header_) return;
  sink_.flush();  // the rows before the number that counts them
  sink_.rewrite(*header_position_, npy_header(there, columns_));
  rows_in_header_ = there;
  unsaid_bytes_ = 0;
}

void NpyWriter::write_error(uint64_t, std::string_view) {
  ++rows_;
  ++failed_before_columns_;
  if (columns_ > 0) append_failed_rows();
}

void NpyWriter::finish() {
  const std::string header = npy_header(rows_, columns_);
  if (header_position_) {
    sink_.rewrite(*header_position_, header);
    sink_.close();
    return;
  }
  flush_spool();
  sink_.append(header);
  if (::lseek(spool_, 0, SEEK_SET) != 0) fail_spool(errno);
  std::vector<char> block(kSpoolBufferBytes);
  for (;;) {
    const ssize_t got = ::read(spool_, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_spool(errno);
    if (got == 0) break;
    sink_.append({block.data(), static_cast<size_t>(got)});
  }
  sink_.close();
}

}  // namespace wde::cli
