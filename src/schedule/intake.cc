#include "schedule/intake.h"

#include <utility>

namespace wde {

// Precondition: it has texts.
Intake::Place Intake::place_of(const Group& group) const {
  const RequestId first = group.texts.begin()->first;
  return separate_ ? Place{group.waiting_tokens, group.priority, first} : Place{0, 0, first};
}

void Intake::add(Submitted submitted) {
  const uint64_t number = submitted.group;
  Group& group = groups_[number];
  group.priority = submitted.request.sharing.priority;
  ++group.open;
  group.bytes += submitted.bytes;
  const RequestId id = submitted.id;
  if (!group.texts.empty()) order_.erase(place_of(group));
  group_of_.emplace(id, number);
  group.texts.emplace_hint(group.texts.end(), id, std::move(submitted));
  order_.emplace(place_of(group), number);
}

bool Intake::has_next(bool ahead) const {
  if (order_.empty()) return false;
  return ahead || (separate_ && std::get<0>(order_.begin()->first) == 0);
}

Submitted Intake::take(Groups::iterator at, std::map<RequestId, Submitted>::iterator text) {
  Group& group = at->second;
  order_.erase(place_of(group));
  Submitted out = std::move(text->second);
  group.bytes -= out.bytes;
  group.texts.erase(text);
  group_of_.erase(out.id);
  if (!group.texts.empty()) order_.emplace(place_of(group), at->first);
  return out;
}

Submitted Intake::next() {
  const auto at = groups_.find(order_.begin()->second);
  return take(at, at->second.texts.begin());
}

std::optional<Submitted> Intake::cancel(RequestId id) {
  const auto found = group_of_.find(id);
  if (found == group_of_.end()) return std::nullopt;
  const auto at = groups_.find(found->second);
  Submitted out = take(at, at->second.texts.find(id));
  close(at);
  return out;
}

void Intake::tokenized(uint64_t number, size_t tokens) {
  Group& group = groups_.at(number);
  if (!group.texts.empty()) order_.erase(place_of(group));
  group.waiting_tokens += tokens;
  if (!group.texts.empty()) order_.emplace(place_of(group), number);
}

void Intake::leave(uint64_t number, size_t tokens) {
  const auto at = groups_.find(number);
  Group& group = at->second;
  if (!group.texts.empty()) order_.erase(place_of(group));
  group.waiting_tokens -= tokens;
  if (!group.texts.empty()) order_.emplace(place_of(group), number);
  close(at);
}

size_t Intake::tokens_left(uint64_t number) const {
  constexpr size_t kBytesAToken = 4;  // of English text
  const Group& group = groups_.at(number);
  return group.bytes / kBytesAToken + group.texts.size();
}

void Intake::begin(uint64_t number) { groups_.at(number).begun = true; }

bool Intake::has_begun(uint64_t number) const { return groups_.at(number).begun; }

void Intake::close(Groups::iterator at) {
  if (--at->second.open == 0) groups_.erase(at);
}

}  // namespace wde
