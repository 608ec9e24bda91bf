#include "loader/mapped_file.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <system_error>

#include <fmt/format.h>

#include "wde/result.h"

namespace wde {

// What the signal's handler sees of a mapping.
struct MappedFile::Slot {
  std::atomic<uintptr_t> begin{0}, end{0};  // end 0: free
  std::atomic<bool> lost{false};
};

namespace {

constexpr size_t kSlots = 256;  // mappings at a time
std::array<MappedFile::Slot, kSlots> slots;
std::mutex slots_mutex;  // of those who take and free slots, not of the handler
struct sigaction before;
uintptr_t page = 4096;

// A page of zeros at `address`. The system call itself: mmap is not among the functions that a signal's handler may
// call, and ThreadSanitizer takes it for a write to a page that the other workers read.
bool map_zeros(uintptr_t address) {
  return ::syscall(SYS_mmap, address, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != -1;
}

// SIGBUS comes to the thread that touched the page.
void put_zeros(int, siginfo_t* info, void*) {
  const int error = errno;
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (MappedFile::Slot& slot : slots) {
    if (at < slot.begin.load() || at >= slot.end.load()) continue;
    slot.lost.store(true);
    if (map_zeros(at / page * page)) {
      errno = error;
      return;
    }
  }
  ::sigaction(SIGBUS, &before, nullptr);  // not ours: it comes again, to whoever had it before
}

MappedFile::Slot* take_slot(const void* data, size_t bytes) {
  static std::once_flag once;
  std::call_once(once, [] {
    page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = put_zeros;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, &before);
  });
  const std::scoped_lock lock(slots_mutex);
  for (MappedFile::Slot& slot : slots) {
    if (slot.end.load() != 0) continue;
    slot.lost.store(false);
    slot.begin.store(reinterpret_cast<uintptr_t>(data));
    slot.end.store(reinterpret_cast<uintptr_t>(data) + (bytes + page - 1) / page * page);
    return &slot;
  }
  return nullptr;
}

}  // namespace

MappedFile::MappedFile(const WeightFile& file) : file_(file) {
  const size_t bytes = file_.bytes();
  if (bytes == 0) throw LoadError(fmt::format("{}: expected bytes, found an empty file", file_.name()));
  void* const address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file_.descriptor(), 0);
  if (address == MAP_FAILED) {
    throw LoadError(fmt::format("{}: mapping its {} bytes failed: {}", file_.name(), bytes,
                                std::generic_category().message(errno)));
  }
  slot_ = take_slot(address, bytes);
  if (slot_ == nullptr) {
    ::munmap(address, bytes);
    throw LoadError(fmt::format("{}: more than {} files are mapped", file_.name(), kSlots));
  }
  data_ = address;
}

MappedFile::~MappedFile() {
  {
    const std::scoped_lock lock(slots_mutex);
    slot_->end.store(0);
  }
  ::munmap(data_, file_.bytes());
}

bool MappedFile::whole() const { return !slot_->lost.load(); }

}  // namespace wde
