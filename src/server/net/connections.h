// Connections: who is connected, how many more may be, and who is given up for them: those that wait for nothing, and
// of these the ones of the network that has the most.
// Includes Asio: for http_*.cc alone.
#pragma once

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/net/http_session.h"

namespace wde::server {

class Connections {
 public:
  explicit Connections(const HttpOptions& options) : options_(options) {}

  enum class Welcome {
    kFull,       // as any other
    kForProbes,  // one too many: it may ask for the server's health, and is refused all else
    kNone,       // to be closed without a word
  };
  // What becomes of a new connection from `network`. Gives up others if there are too many.
  Welcome welcome(const std::string& network);
  void add(std::shared_ptr<HttpSession> session) { sessions_.push_back(std::move(session)); }
  // The network, counted for as long as this lives.
  std::shared_ptr<const std::string> place_of(const std::string& network);

  // Gives up some that wait for nothing; with a network, of its own. False: there are none.
  bool give_up(const std::string& only_from = {});
  // Closes those that hold memory and have not moved for a while, until there is room for `bytes`.
  bool make_room(const MemoryBudget& memory, size_t bytes, const HttpSession& not_this);
  // Ends what takes too long, and tells those who work for clients that have gone.
  void sweep(Clock::time_point now);

  template <class Predicate>
  bool any(Predicate predicate) const {
    return std::any_of(sessions_.begin(), sessions_.end(),
                       [&](const auto& session) { return !session->closed() && predicate(*session); });
  }
  size_t open() const { return counts_->open; }
  size_t busy() const;
  size_t given_up() const { return given_up_; }
  void close_all();

 private:
  struct Counts {
    size_t open = 0;
    std::map<std::string, size_t> by_network;
  };

  void look_for_vanished();

  const HttpOptions& options_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
  std::vector<std::shared_ptr<HttpSession>> sessions_;  // closed ones too, until the next sweep
  std::vector<std::shared_ptr<HttpSession>> watched_;   // of one sweep
  std::vector<pollfd> polled_;
  size_t given_up_ = 0;
};

}  // namespace wde::server
