// OrderedWindow: results arrive in any order, leave in the order of their slots, and only so many are under way.
//
//   reader thread    slot = window.reserve(bytes)      waits while the window is full; submit slot's work, then close()
//   any thread       window.complete(slot, value)
//   writer thread    window.next(value, patience)      the oldest slot's value, as soon as it is there
//
// A slot counts until the writer asks for the next one, so that a slow output holds the reader back too.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace wde::cli {

template <class T>
class OrderedWindow {
 public:
  enum class Next { kValue, kNotReady, kEnd };

  // A single item that is larger than max_bytes is let in when nothing else is under way.
  OrderedWindow(size_t max_items, size_t max_bytes) : max_items_(max_items), max_bytes_(max_bytes) {}

  OrderedWindow(const OrderedWindow&) = delete;
  OrderedWindow& operator=(const OrderedWindow&) = delete;

  uint64_t reserve(size_t bytes) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return items_ == 0 || (items_ < max_items_ && bytes <= max_bytes_ - used_bytes()); });
    slots_.push_back({bytes, std::nullopt});
    ++items_;
    bytes_ += bytes;
    return first_ + slots_.size() - 1;
  }

  // Exactly once a slot.
  void complete(uint64_t slot, T value) {
    // Notified under the lock: the last complete() may be followed at once by the window's end.
    std::lock_guard lock(mutex_);
    slots_[slot - first_].value = std::move(value);
    if (slot == first_) ready_.notify_one();
  }

  // No reserve() will follow.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ready_.notify_one();
  }

  Next next(T& value, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (writing_) {
      writing_ = false;
      --items_;
      bytes_ -= writing_bytes_;
      room_.notify_one();
    }
    const auto ready = [&] { return slots_.empty() ? closed_ : slots_.front().value.has_value(); };
    if (!ready_.wait_for(lock, patience, ready)) return Next::kNotReady;
    if (slots_.empty()) return Next::kEnd;
    value = std::move(*slots_.front().value);
    writing_ = true;
    writing_bytes_ = slots_.front().bytes;
    slots_.pop_front();
    ++first_;
    return Next::kValue;
  }

  size_t items() const {
    std::lock_guard lock(mutex_);
    return items_;
  }

 private:
  struct Slot {
    size_t bytes = 0;
    std::optional<T> value;
  };

  size_t used_bytes() const { return bytes_ < max_bytes_ ? bytes_ : max_bytes_; }

  const size_t max_items_;
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable ready_;
  std::deque<Slot> slots_;
  uint64_t first_ = 0;  // the number of slots_.front()
  size_t items_ = 0;    // slots_ and the one that is being written
  size_t bytes_ = 0;
  bool writing_ = false;
  size_t writing_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace wde::cli
