#include "server/net/connections.h"

#include <sys/ioctl.h>

#include <utility>

namespace wde::server {
namespace {

// Connections beyond the limit, in all and from one address; more are closed without a word.
constexpr size_t kReserve = 256;
constexpr size_t kReservePerAddress = 16;
// Given up at a time, so that who opens one after the other does not make the server look through all of them each
// time.
constexpr size_t kGivenUpAtOnce = 16;
// After so long without a byte, memory goes to others.
constexpr auto kStalled = std::chrono::seconds(2);

bool has_unread_bytes(int descriptor) {
  int bytes = 0;
  return ::ioctl(descriptor, FIONREAD, &bytes) == 0 && bytes > 0;
}

}  // namespace

Connections::Welcome Connections::welcome(const std::string& network) {
  const size_t limit = options_.max_connections_per_address;
  const auto from_there = [&] {
    const auto found = counts_->by_network.find(network);
    return found == counts_->by_network.end() ? 0 : found->second;
  };
  if (limit > 0 && from_there() >= limit) (void)give_up(network);
  if (limit > 0 && from_there() >= limit) {
    return from_there() < limit + kReservePerAddress ? Welcome::kForProbes : Welcome::kNone;
  }
  if (open() >= options_.max_connections) (void)give_up();
  if (open() < options_.max_connections) return Welcome::kFull;
  return open() < options_.max_connections + kReserve ? Welcome::kForProbes : Welcome::kNone;
}

std::shared_ptr<const std::string> Connections::place_of(const std::string& network) {
  ++counts_->open;
  ++counts_->by_network[network];
  return {new std::string(network), [counts = counts_](const std::string* counted) {
            --counts->open;
            const auto found = counts->by_network.find(*counted);
            if (--found->second == 0) counts->by_network.erase(found);
            delete counted;
          }};
}

bool Connections::give_up(const std::string& only_from) {
  struct Candidate {
    size_t neighbours;
    Clock::time_point since;
    HttpSession* session;
    bool operator<(const Candidate& other) const {
      return neighbours != other.neighbours ? neighbours > other.neighbours : since < other.since;
    }
  };
  std::vector<Candidate> found;
  const Clock::time_point now = Clock::now();
  for (const auto& session : sessions_) {
    if (session->closed() || !session->waits_for_nothing(now - kStalled)) continue;
    if (!only_from.empty() && session->network() != only_from) continue;
    found.push_back({counts_->by_network.at(session->network()), session->moved_at(), session.get()});
  }
  const size_t count = std::min(found.size(), kGivenUpAtOnce);
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count), found.end());
  size_t closed = 0;
  for (size_t i = 0; i < count; ++i) {
    // A request may have come since, unread as yet.
    if (has_unread_bytes(found[i].session->descriptor())) continue;
    found[i].session->close();
    ++closed;
  }
  given_up_ += closed;
  return closed > 0;
}

bool Connections::make_room(const MemoryBudget& memory, size_t bytes, const HttpSession& not_this) {
  if (memory.has_room_for(bytes)) return true;
  const Clock::time_point before = Clock::now() - kStalled;
  std::vector<std::shared_ptr<HttpSession>> stalled;
  for (const auto& session : sessions_) {
    if (session.get() != &not_this && session->holds_memory() && session->moved_at() < before)
      stalled.push_back(session);
  }
  std::sort(stalled.begin(), stalled.end(), [](const auto& a, const auto& b) { return a->moved_at() < b->moved_at(); });
  for (const auto& session : stalled) {
    session->close();
    ++given_up_;
    if (memory.has_room_for(bytes)) return true;
  }
  return false;
}

size_t Connections::busy() const {
  return static_cast<size_t>(
      std::count_if(sessions_.begin(), sessions_.end(), [](const auto& s) { return s->busy(); }));
}

void Connections::sweep(Clock::time_point now) {
  for (size_t i = 0; i < sessions_.size(); ++i) sessions_[i]->check_deadline(now);
  std::erase_if(sessions_, [](const auto& session) { return session->closed(); });
  look_for_vanished();
}

void Connections::look_for_vanished() {
  watched_.clear();
  polled_.clear();
  for (const auto& session : sessions_) {
    if (!session->handling()) continue;
    watched_.push_back(session);
    polled_.push_back({session->descriptor(), POLLRDHUP, 0});
  }
  if (!polled_.empty() && ::poll(polled_.data(), polled_.size(), 0) > 0) {
    for (size_t i = 0; i < polled_.size(); ++i) {
      if (polled_[i].revents != 0) watched_[i]->peer_gone();
    }
  }
  watched_.clear();
}

void Connections::close_all() {
  for (const auto& session : sessions_) session->peer_gone();
  sessions_.clear();
}

}  // namespace wde::server
