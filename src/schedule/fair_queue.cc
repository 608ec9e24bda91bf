#include "schedule/fair_queue.h"

#include <algorithm>

namespace wde {
namespace {

// Among so many requests the neighbours in length are looked for.
constexpr size_t kMostCandidates = 32;
constexpr size_t kCandidatesAFlow = 8, kMostFlows = 64;
// Texts of others that are so many times as long as the first one fill no more than this part of a batch: who asks for
// little is answered soon.
constexpr size_t kMuchLonger = 2;
constexpr double kForMuchLonger = 0.25;
// The flows' clock moves at least at this part of the pace at which all that wait would be served equally, so that
// those who come anew, again and again, come after those that wait.
constexpr double kPace = 0.5;
// The clock among a flow's requests moves at this part of such a pace: how fast a long request grows old. Requests of
// equal length are done one after the other, and while they are, one grows older by this part of its length.
constexpr double kAgeing = 0.125;

}  // namespace

FairQueue::Flow& FairQueue::flow_of(const Sharing& sharing) {
  Flow& flow = flows_[sharing.flow];
  if (flow.requests.empty()) {
    idle_.erase({flow.start, sharing.flow});
    flow.start = std::max(flow.start, clock_);
    flow.id = sharing.flow;
  } else {
    weights_ -= flow.weight;
  }
  weights_ += sharing.weight;
  flow.weight = sharing.weight;
  return flow;
}

// Among those that wait, as of its next text; or among the idle ones.
void FairQueue::place(Flow& flow) {
  backlogged_.erase({flow.tag, flow.id});
  if (flow.requests.empty()) {
    weights_ = backlogged_.empty() ? 0 : weights_ - flow.weight;
    idle_.emplace(flow.start, flow.id);
    return;
  }
  const Request& next = flow.requests.at(flow.order.begin()->second);
  flow.tag = flow.start + cost_->seconds(next.by_arrival.begin()->second) / flow.weight;
  backlogged_.emplace(flow.tag, flow.id);
}

void FairQueue::set_tag(Flow& flow, Request& request) {
  request.tag = request.start + request.taken + request.waiting + request.left;
  flow.order.emplace(request.tag, request.group);
}

void FairQueue::add(Sequence sequence, uint64_t arrival) {
  Flow& flow = flow_of(sequence.options.sharing);
  auto [at, is_new] = flow.requests.try_emplace(sequence.options.group);
  Request& request = at->second;
  const size_t length = sequence.size();
  const double seconds = cost_->seconds(length);
  if (is_new) {
    request.group = at->first;
    request.start = flow.clock;
    ++requests_;
  } else {
    flow.order.erase({request.tag, request.group});
  }
  request.waiting += seconds;
  request.left = seconds / static_cast<double>(std::max<size_t>(1, length)) * static_cast<double>(sequence.group_left);
  set_tag(flow, request);
  request.by_arrival.emplace(arrival, length);
  request.by_length.emplace(Key{length, arrival}, std::move(sequence));
  place(flow);
}

void FairQueue::remove(Flow& flow, Request& request, Key key) {
  flow.order.erase({request.tag, request.group});
  request.by_length.erase(key);
  request.by_arrival.erase(key.second);
  request.waiting -= cost_->seconds(key.first);
  if (!request.by_length.empty()) return set_tag(flow, request);
  flow.requests.erase(request.group);
  --requests_;
}

Sequence FairQueue::cancel(uint64_t flow_id, uint64_t group, uint64_t arrival) {
  Flow& flow = flows_.at(flow_id);
  Request& request = flow.requests.at(group);
  const Key key{request.by_arrival.at(arrival), arrival};
  Sequence sequence = std::move(request.by_length.at(key));
  remove(flow, request, key);
  place(flow);
  forget_idle();
  return sequence;
}

Sequence FairQueue::take(Flow& flow, Request& request, Key key, double seconds) {
  Sequence sequence = std::move(request.by_length.at(key));
  flow.clock += kAgeing * seconds / static_cast<double>(flow.requests.size());
  request.taken += cost_->seconds(key.first);
  flow.start += seconds / flow.weight;
  clock_ += kPace * seconds / turn_.weights;
  remove(flow, request, key);
  place(flow);
  return sequence;
}

// A flow that comes back when the virtual time has passed its own has nothing to be remembered by.
void FairQueue::forget_idle() {
  while (!idle_.empty() && idle_.begin()->first <= clock_) {
    flows_.erase(idle_.begin()->second);
    idle_.erase(idle_.begin());
  }
}

Sequence FairQueue::take_next() {
  Flow& flow = flows_.at(backlogged_.begin()->second);
  turn_ = {flow.start, std::max(weights_, flow.weight)};
  clock_ = std::max(clock_, flow.start);
  forget_idle();
  Request& request = flow.requests.at(flow.order.begin()->second);
  const auto [arrival, length] = *request.by_arrival.begin();
  return take(flow, request, {length, arrival}, cost_->fixed_seconds() + cost_->seconds(length));
}

// In the order of their turns, but no flow that would be further ahead of its own than by `lead` seconds of work.
std::vector<FairQueue::Candidate> FairQueue::candidates(const Sequence& head, double lead) {
  std::vector<Candidate> out;
  size_t seen = 0;
  for (const auto& [tag_of_flow, id] : backlogged_) {
    if (seen++ == kMostFlows) break;
    Flow& flow = flows_.at(id);
    if (flow.start > turn_.start + lead / flow.weight) continue;
    size_t count = 0;
    for (const auto& [tag, group] : flow.order) {
      if (out.size() == kMostCandidates || count++ == kCandidatesAFlow) break;
      out.push_back({&flow, group, id == head.options.sharing.flow && group == head.options.group});
    }
    if (out.size() == kMostCandidates) break;
  }
  return out;
}

// The batch may hold no more of it: it has had more than its turn.
bool FairQueue::is_ahead(const Candidate& one, double lead) const {
  const double turn = one.flow->order.begin()->first;
  return !one.is_heads && one.flow->requests.at(one.group).tag > turn + lead;
}

size_t FairQueue::longest_within(double seconds) const {
  size_t fits = 0, step = size_t{1} << 24;
  for (; step > 0; step /= 2) {
    if (cost_->seconds(fits + step) <= seconds) fits += step;
  }
  return fits;
}

const FairQueue::Key* FairQueue::nearest(const Request& request, size_t length, size_t most) {
  const auto& texts = request.by_length;
  const auto above = texts.lower_bound(Key{length, 0});  // of equal ones the oldest
  const bool has_above = above != texts.end() && above->first.first <= most;
  if (has_above && above->first.first == length) return &above->first;
  const auto end = texts.upper_bound(Key{std::min(most, length), UINT64_MAX});
  if (end == texts.begin()) return has_above ? &above->first : nullptr;
  const size_t below = std::prev(end)->first.first;
  if (has_above && above->first.first - length <= length - below) return &above->first;
  return &texts.lower_bound(Key{below, 0})->first;
}

void FairQueue::fill(const Room& room, std::vector<Sequence>& batch) {
  const size_t length = batch.front().size();
  size_t tokens = 0;
  double seconds = cost_->fixed_seconds();
  for (const Sequence& sequence : batch) {
    tokens += sequence.size();
    seconds += cost_->seconds(sequence.size());
  }
  const bool timed = room.seconds < kNoLimit;
  std::vector<Candidate> open = candidates(batch.front(), room.seconds);
  while (!open.empty() && tokens < room.tokens) {
    const size_t left =
        timed ? std::min(room.tokens - tokens, longest_within(room.seconds - seconds)) : room.tokens - tokens;
    const size_t left_for_longer =
        timed ? std::min(left, longest_within(kForMuchLonger * room.seconds - seconds)) : left;
    Candidate best{};
    Key found{};
    size_t least = SIZE_MAX;
    std::erase_if(open, [&](const Candidate& one) {
      const auto at = one.flow->requests.find(one.group);
      if (at == one.flow->requests.end() || one.flow->start > turn_.start + room.seconds / one.flow->weight)
        return true;
      if (is_ahead(one, room.seconds)) return false;
      const size_t most = one.is_heads ? left : std::max(left_for_longer, std::min(left, kMuchLonger * length));
      const Key* const key = nearest(at->second, length, most);
      if (key == nullptr) return true;  // nor will it later: there will be less room
      // What is left of the first text's own request comes before all neighbours: one request is done after the other.
      const size_t distance = one.is_heads ? 0 : 1 + (key->first > length ? key->first - length : length - key->first);
      if (distance < least) {
        least = distance;
        found = *key;
        best = one;
      }
      return false;
    });
    if (best.flow == nullptr) return;
    const double own = cost_->seconds(found.first);
    batch.push_back(take(*best.flow, best.flow->requests.at(best.group), found, own));
    tokens += found.first;
    seconds += own;
  }
}

}  // namespace wde
