#include "server/serving/group.h"

#include <algorithm>
#include <utility>

namespace wde::server {
namespace {

// Of what the texts have in common, which each that is in the engine has for itself.
constexpr size_t kMostShared = 16 << 20;

template <class Visit>
void each_text(const Request& request, Visit visit) {
  if (const auto* text = std::get_if<std::string>(&request.input)) visit(*text);
  if (const auto* pair = std::get_if<TextPair>(&request.input)) {
    visit(pair->query);
    visit(pair->document);
  }
}

}  // namespace

size_t bytes_of(const Request& request) {
  size_t bytes = 0;
  each_text(request, [&](const std::string& text) { bytes += text.size(); });
  if (const auto* ids = std::get_if<TokenIds>(&request.input)) bytes += ids->ids.size() * sizeof(int32_t);
  if (const auto* image = std::get_if<Image>(&request.input)) bytes += image->file.size();
  return bytes;
}

size_t characters_of(const Request& request) {
  size_t count = 0;
  each_text(request, [&](const std::string& text) {
    count += static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  });
  return count;
}

bool is_short(const std::vector<Response>& responses) {
  if (responses.size() != 1) return false;
  size_t values = 0;
  for (const Output& output : responses[0].outputs) values += output.values.size() + output.ids.size();
  return values <= kShortAnswer;
}

Group::Group(std::shared_ptr<Engine> engine, std::vector<Request> requests, Shared shared, Done done, Watch watch)
    : engine_(std::move(engine)),
      shared_(std::move(shared)),
      shared_bytes_(shared_.bytes()),
      done_(std::move(done)),
      watch_(std::move(watch)),
      requests_(std::move(requests)),
      slots_(requests_.size()),
      responses_(requests_.size()) {}

void Group::start() {
  if (slots_.empty()) {
    finished_ = true;
    done_({}, std::nullopt, 0);
    return;
  }
  submit_more();
}

void Group::submit_more() {
  for (;;) {
    size_t index = 0;
    Request request;
    {
      std::scoped_lock lock(mutex_);
      if (error_ || next_ == slots_.size()) return;
      if (in_flight_ > 0 && (in_flight_ + 1) * shared_bytes_ > kMostShared) return;
      index = next_++;
      slots_[index].state = Slot::State::kSubmitted;
      request = std::move(requests_[index]);
      if (next_ == slots_.size()) requests_ = {};
      if (begun_) request.deadline.reset();
      ++in_flight_;
    }
    shared_.fill_in(request);
    const RequestId id = engine_->submit(
        std::move(request),
        [self = shared_from_this(), index](Result<Response> result) { self->answered(index, std::move(result)); });
    bool too_late = false;
    {
      std::scoped_lock lock(mutex_);
      slots_[index].id = id;
      slots_[index].has_id = true;
      too_late = error_.has_value() && slots_[index].state == Slot::State::kSubmitted;
    }
    if (too_late) engine_->cancel(id);
  }
}

void Group::answered(size_t index, Result<Response> result) {
  {
    std::scoped_lock lock(mutex_);
    slots_[index].state = Slot::State::kAnswered;
  }
  if (!result.ok()) {
    fail(result.error(), index);
  } else if (watch_ && !watch_(index, result.value())) {
    fail({ErrorCode::kCancelled, "the answers are more than was allowed"}, index);
  }
  bool last = false;
  {
    std::scoped_lock lock(mutex_);
    --in_flight_;
    begun_ = true;
    if (result.ok()) responses_[index] = std::move(result).value();
    last = in_flight_ == 0 && (error_.has_value() || next_ == slots_.size()) && !finished_;
    if (last) finished_ = true;
  }
  if (!last) return submit_more();
  if (error_) {
    done_({}, std::move(error_), failed_);
  } else {
    done_(std::move(responses_), std::nullopt, 0);
  }
  done_ = nullptr;
}

// The first error is the whole request's; the rest need not be computed.
void Group::fail(Error error, size_t index) {
  std::vector<RequestId> ids;
  {
    std::scoped_lock lock(mutex_);
    if (error_ || finished_) return;
    error_ = std::move(error);
    failed_ = index;
    for (const Slot& slot : slots_) {
      if (slot.state == Slot::State::kSubmitted && slot.has_id) ids.push_back(slot.id);
    }
  }
  for (RequestId id : ids) engine_->cancel(id);
}

void Group::cancel() { fail({ErrorCode::kCancelled, "the client has gone"}, 0); }

}  // namespace wde::server
