#include "ops/embedding.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <fmt/format.h>

#include "base/view.h"
#include "loader/content_hash.h"
#include "wde/result.h"

namespace wde {
namespace {

constexpr size_t kBlockBytes = 4096;              // about what the kernel reads and keeps at least
constexpr size_t kBytesAtOnce = size_t{1} << 17;  // while sums are taken: of the L2 cache's size

}  // namespace

// The table in the type that it is stored in, as far as it was needed.
class Embedding::Rows {
 public:
  Rows(const TensorView& table, size_t row_bytes)
      : table_(table),
        row_bytes_(row_bytes),
        block_(std::max<size_t>(1, kBlockBytes / row_bytes) * row_bytes),
        memory_(table.bytes, AlignedBuffer::Pages::kSmall),
        blocks_((table.bytes + block_ - 1) / block_) {
    std::vector<std::byte> piece(std::max<size_t>(1, kBytesAtOnce / block_) * block_);
    for (size_t begin = 0; begin < table.bytes; begin += piece.size()) {
      const size_t bytes = std::min(piece.size(), table.bytes - begin);
      read_bytes(table, begin, bytes, piece.data());
      for (size_t at = 0; at < bytes; at += block_)
        blocks_[(begin + at) / block_].sum = hash_bytes(piece.data() + at, std::min(block_, bytes - at));
    }
  }

  const std::byte* row(size_t id) {
    const size_t begin = id * row_bytes_;
    Block& block = blocks_[begin / block_];
    if (!block.present.load(std::memory_order_acquire)) fetch(block, begin / block_ * block_);
    return bytes() + begin;
  }

 private:
  struct Block {
    uint64_t sum = 0;
    std::atomic<bool> present{false};
  };

  std::byte* bytes() const { return static_cast<std::byte*>(memory_.data()); }

  void fetch(Block& block, size_t begin) {
    const std::scoped_lock lock(mutex_);
    if (block.present.load(std::memory_order_relaxed)) return;
    const size_t bytes = std::min(block_, table_.bytes - begin);
    read_bytes(table_, begin, bytes, this->bytes() + begin);
    if (hash_bytes(this->bytes() + begin, bytes) != block.sum) {
      throw LoadError(
          fmt::format("{}: the file was changed after it was loaded: tensor \"{}\" has other rows from {} on. Load the "
                      "model again (and replace a file by renaming, not by writing over it)",
                      table_.file->name(), table_.name, begin / row_bytes_));
    }
    block.present.store(true, std::memory_order_release);
  }

  const TensorView& table_;
  const size_t row_bytes_;
  const size_t block_;  // bytes, whole rows
  const AlignedBuffer memory_;
  std::vector<Block> blocks_;
  std::mutex mutex_;
};

Embedding::Embedding() = default;
Embedding::~Embedding() = default;
Embedding::Embedding(Embedding&&) noexcept = default;
Embedding& Embedding::operator=(Embedding&&) noexcept = default;

Embedding::Embedding(Weights& weights, const std::string& name, size_t rows, size_t cols)
    : Embedding(weights.get(name, {rows, cols}), cols) {}

Embedding::Embedding(const TensorView& table, size_t cols) : table_(&table), cols_(cols) {
  if (table_->data == nullptr && table_->bytes > 0)
    rows_ = std::make_unique<Rows>(*table_, cols * dtype_size(table_->dtype));
}

void Embedding::copy(size_t id, float* out) const {
  if (rows_ == nullptr) return to_float32(*table_, id * cols_, cols_, out);
  to_float32(table_->dtype, rows_->row(id), cols_, out);
}

}  // namespace wde
