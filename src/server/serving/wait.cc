#include "server/serving/wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace wde::server {

std::string in_seconds(double seconds) {
  return seconds < 10 ? fmt::format("{:.2g} s", seconds) : fmt::format("{:.0f} s", seconds);
}

std::string Wait::parts() const {
  std::vector<std::string> out;
  for (const auto& [name, seconds] :
       {std::pair{"its own work", own}, std::pair{"other requests of this caller", of_flow},
        std::pair{"other callers", of_others}, std::pair{"earlier priorities", of_earlier},
        std::pair{"later priorities", of_later}, std::pair{"what came before", of_arrivals}}) {
    if (seconds > total() / 100) out.push_back(fmt::format("{} {}", name, in_seconds(seconds)));
  }
  return fmt::format("{}", fmt::join(out, ", "));
}

// Within a priority flows get equal shares times their weights, and of a flow's requests the shorter ones are done
// first: of each no more is done before this request than this one gets itself, and no more than it still needs.
Wait wait_of(const Work& own, std::span<const Work> waiting, std::optional<double> bulk_share) {
  Wait wait;
  wait.own = own.seconds;
  double later = 0;
  std::unordered_map<uint64_t, Work> others;  // by flow
  for (const Work& one : waiting) {
    if (!bulk_share) {
      wait.of_arrivals += one.seconds;
    } else if (one.sharing.priority < own.sharing.priority) {
      wait.of_earlier += one.seconds;
    } else if (one.sharing.priority > own.sharing.priority) {
      later += one.seconds;
    } else if (one.sharing.flow == own.sharing.flow) {
      wait.of_flow += std::min(one.seconds, own.seconds);
    } else {
      Work& flow = others[one.sharing.flow];
      flow.seconds += one.seconds;
      flow.sharing = one.sharing;
    }
  }
  const double of_flow = wait.own + wait.of_flow;
  for (const auto& [number, flow] : others) {
    wait.of_others += std::min(flow.seconds, of_flow * flow.sharing.weight / own.sharing.weight);
  }
  if (bulk_share) wait.of_later = std::min(later, (of_flow + wait.of_others) * *bulk_share / (1 - *bulk_share));
  return wait;
}

}  // namespace wde::server
