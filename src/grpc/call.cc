#include "grpc/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <list>
#include <utility>
#include <vector>

#include "grpc/dialect.h"

namespace wde::grpc_door {

using server::HttpRequest;
using server::HttpResponse;

namespace {

// Messages of one stream that are worked on at a time; more are read when these are answered.
constexpr size_t kWindow = 32;

grpc::StatusCode code_of(int http_status) {
  switch (http_status) {
    case 400:
    case 422:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case 401:
      return grpc::StatusCode::UNAUTHENTICATED;
    case 403:
      return grpc::StatusCode::PERMISSION_DENIED;
    case 404:
      return grpc::StatusCode::NOT_FOUND;
    case 413:
    case 429:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case 424:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case 499:
      return grpc::StatusCode::CANCELLED;
    case 503:
      return grpc::StatusCode::UNAVAILABLE;
    case 504:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    default:
      return grpc::StatusCode::INTERNAL;
  }
}

std::string text_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  text.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

grpc::ByteBuffer buffer_of(const std::string& text) {
  const grpc::Slice slice(text);
  return {&slice, 1};
}

// "ipv4:127.0.0.1:48252", "ipv6:%5B::1%5D:48252", "ipv6:[::1]:48252" -> the address alone.
std::string address_of(const std::string& peer) {
  const size_t begin = peer.find(':') + 1, end = peer.rfind(':');
  std::string address = end > begin ? peer.substr(begin, end - begin) : peer;
  for (const std::string_view bracket : {"%5B", "%5D", "[", "]"}) {
    const size_t at = address.find(bracket);
    if (at != std::string::npos) address.erase(at, bracket.size());
  }
  return address;
}

// What a call says of itself, as the head of a request.
HttpRequest head_of(const grpc::GenericCallbackServerContext& context, const Method* method) {
  HttpRequest head;
  head.method = "POST";
  head.path = context.method();
  head.remote = address_of(context.peer());
  head.caller.flow = server::flow_of(context.peer());
  for (const auto& [name, value] : context.client_metadata()) {
    if (name == "content-type" || name == "te") continue;  // gRPC's own matter
    head.headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  const auto left = context.deadline() - std::chrono::system_clock::now();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  constexpr int64_t kDay = 86'400'000;
  if (milliseconds < kDay)
    head.headers.emplace_back("x-request-timeout-ms", fmt::to_string(std::max<int64_t>(1, milliseconds)));
  if (method != nullptr && method->route.planner != nullptr) head.route = &method->route;
  return head;
}

// The same for what HTTP has a GET for.
HttpRequest get_of(const HttpRequest& head, const char* path) {
  HttpRequest get = head;
  get.method = "GET";
  get.path = path;
  return get;
}

}  // namespace

// One RPC. gRPC's operations are started under `mutex_`, where `ended_` says that there may be no more of them: their
// reactions never come from within. The App is not called under it, because it may answer at once.
class Call final : public grpc::ServerGenericBidiReactor, public std::enable_shared_from_this<Call> {
 public:
  Call(Calls& calls, grpc::GenericCallbackServerContext& context)
      : calls_(calls), context_(context), method_(find_method(context.method())), head_(head_of(context, method_)) {}

  // `refused`: there are too many calls.
  void begin(bool refused) {
    if (method_ == nullptr) {
      return end({grpc::StatusCode::UNIMPLEMENTED, fmt::format("there is no method {}", context_.method())});
    }
    if (refused) return end({grpc::StatusCode::RESOURCE_EXHAUSTED, "there are too many calls at a time"});
    if (method_->shape != Shape::kHealth) {
      HttpRequest asked = method_->shape == Shape::kInfo ? get_of(head_, "/tei/info") : head_;
      if (const auto refusal = calls_.app().refuse(asked)) return end_with(*refusal);
    }
    read_more();
  }

  void drain() {
    {
      std::scoped_lock lock(mutex_);
      draining_ = true;
      if (ended_ || writing_ || !answers_.empty()) return;
    }
    end(kDraining);
  }

  void end_if_silent(server::Clock::time_point since) {
    {
      std::scoped_lock lock(mutex_);
      if (ended_ || writing_ || !answers_.empty() || waiting_since_ > since) return;
    }
    end({grpc::StatusCode::DEADLINE_EXCEEDED, "no message came in time"});
  }

  void OnReadDone(bool ok) override {
    if (!ok) return read_all();
    std::string message = text_of(in_);
    in_.Clear();
    switch (method_->shape) {
      case Shape::kCollect:
        collect(collected_, message);
        if (collected_.size() <= calls_.max_bytes()) return read_more();
        return end({grpc::StatusCode::RESOURCE_EXHAUSTED,
                    fmt::format("the stream has more than {} bytes", calls_.max_bytes())});
      case Shape::kInfo:
        return info();
      case Shape::kHealth:
        return health(message);
      case Shape::kUnary:
      case Shape::kStream:
        return ask(std::move(message));
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return end(kGone);
    bool read = false;
    {
      std::scoped_lock lock(mutex_);
      writing_ = false;
      waiting_since_ = server::Clock::now();
      read = std::exchange(paused_, false);
    }
    if (read) read_more();
    pump();
  }

  void OnCancel() override { end(kGone); }
  void OnDone() override { calls_.ended(shared_from_this()); }

 private:
  struct Answer {
    std::shared_ptr<HttpRequest> request;
    bool there = false;
    HttpResponse response;
  };

  static const grpc::Status kDraining, kGone;

  void read_more() {
    std::scoped_lock lock(mutex_);
    if (ended_) return;
    waiting_since_ = server::Clock::now();
    StartRead(&in_);
  }

  // The client has sent its last message.
  void read_all() {
    bool nothing = false;
    {
      std::scoped_lock lock(mutex_);
      read_all_ = true;
      const bool one = method_->shape != Shape::kStream && method_->shape != Shape::kCollect;
      nothing = one && answers_.empty() && !writing_;
    }
    if (nothing) return end({grpc::StatusCode::INVALID_ARGUMENT, "the call has no message"});
    if (method_->shape == Shape::kCollect) return ask(std::move(collected_));
    pump();
  }

  void ask(std::string body) {
    auto request = std::make_shared<HttpRequest>(head_);
    request->body = std::move(body);
    request->arrival = server::Clock::now();
    request->client = std::make_shared<server::Cancellation>();
    std::list<Answer>::iterator answer;
    bool read = false;
    {
      std::scoped_lock lock(mutex_);
      if (ended_) return;
      answer = answers_.insert(answers_.end(), Answer{request, false, {}});
      read = method_->shape == Shape::kStream && answers_.size() < kWindow;
      paused_ = method_->shape == Shape::kStream && !read;
    }
    const auto respond = [self = shared_from_this(), answer](HttpResponse response) {
      self->answered(answer, std::move(response));
    };
    if (auto refusal = calls_.app().refuse(*request)) {  // the server may be draining by now
      respond(std::move(*refusal));
    } else {
      calls_.app().handle(request, respond);
    }
    if (read) read_more();
  }

  void answered(std::list<Answer>::iterator answer, HttpResponse response) {
    {
      std::scoped_lock lock(mutex_);
      answer->there = true;
      answer->response = std::move(response);
    }
    pump();
  }

  // Writes the first answer, if it is there and nothing is being written; ends the call after the last.
  void pump() {
    std::unique_lock lock(mutex_);
    if (ended_ || writing_) return;
    if (answers_.empty()) {
      const bool last = read_all_ && method_->shape == Shape::kStream, draining = draining_;
      lock.unlock();
      if (last) return end(grpc::Status::OK);
      if (draining) end(kDraining);
      return;
    }
    if (!answers_.front().there) return;
    const HttpResponse response = std::move(answers_.front().response);
    answers_.pop_front();
    if (response.status != 200) {
      lock.unlock();
      return end_with(response);
    }
    write(response);
  }

  // Under the lock.
  void write(const HttpResponse& response) {
    writing_ = true;
    out_ = buffer_of(response.body);
    if (method_->shape == Shape::kStream) {
      add_warning(response);
      return StartWrite(&out_);
    }
    ended_ = true;
    add_trailers(response);
    StartWriteAndFinish(&out_, grpc::WriteOptions(), grpc::Status::OK);
  }

  // Metadata: names in lower case, values in ASCII.
  void add_trailers(const HttpResponse& response) {
    for (const auto& [name, value] : response.headers) {
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
      const bool fine = std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
      if (fine) context_.AddTrailingMetadata(lower, value);
    }
  }

  // Of all messages of a stream the first one's, which those that follow share as a rule.
  void add_warning(const HttpResponse& response) {
    for (const auto& [name, value] : response.headers) {
      if (name != "x-warning" || std::exchange(warned_, true)) continue;
      context_.AddTrailingMetadata(name, value);
    }
  }

  void end_with(const HttpResponse& refusal) { end({code_of(refusal.status), refusal.body}, &refusal); }
  void end(const grpc::Status& status, const HttpResponse* refusal = nullptr) {
    std::vector<std::shared_ptr<HttpRequest>> waiting;
    {
      std::scoped_lock lock(mutex_);
      if (ended_) return;
      ended_ = true;
      for (const Answer& answer : answers_) {
        if (!answer.there) waiting.push_back(answer.request);
      }
      if (refusal != nullptr) add_trailers(*refusal);
      Finish(status);
    }
    for (const auto& request : waiting) request->client->cancel();
  }

  // What is answered at once.
  HttpResponse get(const char* path) {
    HttpResponse found;
    calls_.app().handle(std::make_shared<HttpRequest>(get_of(head_, path)),
                        [&](HttpResponse response) { found = std::move(response); });
    return found;
  }

  void answer_at_once(HttpResponse response) {
    if (response.status != 200) return end_with(response);
    std::scoped_lock lock(mutex_);
    if (!ended_) write(response);
  }

  void info() {
    HttpResponse response = get("/tei/info");
    if (response.status == 200) response.body = info_message(std::move(response.body));
    answer_at_once(std::move(response));
  }

  void health(const std::string& message) {
    HttpResponse response;
    response.body = health_message(message, get("/tei/health").status == 200);
    if (response.body.empty()) return end({grpc::StatusCode::NOT_FOUND, "there is no such service"});
    answer_at_once(std::move(response));
  }

  Calls& calls_;
  grpc::GenericCallbackServerContext& context_;
  const Method* const method_;
  const HttpRequest head_;
  grpc::ByteBuffer in_;
  std::string collected_;

  std::mutex mutex_;
  grpc::ByteBuffer out_;
  std::list<Answer> answers_;                                       // whose places stay while others come and go
  server::Clock::time_point waiting_since_ = server::Clock::now();  // for the client, unless there is work
  bool read_all_ = false, paused_ = false, writing_ = false, draining_ = false, warned_ = false;
  bool ended_ = false;  // or will be, with the last answer
};

const grpc::Status Call::kDraining{grpc::StatusCode::UNAVAILABLE, "the server is shutting down"};
const grpc::Status Call::kGone{grpc::StatusCode::CANCELLED, "the client has gone"};

Calls::Calls(server::App& app, size_t max_calls, size_t max_bytes, double idle_seconds)
    : app_(app),
      max_calls_(max_calls),
      max_bytes_(max_bytes),
      idle_(idle_seconds),
      sweeper_([this](const std::stop_token& stop) { sweep(stop); }) {}

std::vector<std::shared_ptr<Call>> Calls::running() const {
  std::scoped_lock lock(mutex_);
  return {running_.begin(), running_.end()};
}

void Calls::sweep(const std::stop_token& stop) {
  const auto pause = std::max<std::chrono::duration<double>>(idle_ / 10, std::chrono::milliseconds(50));
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, pause, [] { return false; });
    }
    if (stop.stop_requested()) return;
    const auto since = server::Clock::now() - std::chrono::duration_cast<server::Clock::duration>(idle_);
    for (const auto& call : running()) call->end_if_silent(since);
  }
}

grpc::ServerGenericBidiReactor* Calls::start(grpc::GenericCallbackServerContext& context) {
  const auto call = std::make_shared<Call>(*this, context);
  bool refused = false, draining = false;
  {
    std::scoped_lock lock(mutex_);
    refused = running_.size() >= max_calls_;
    draining = draining_;
    running_.insert(call);
  }
  call->begin(refused);
  if (draining) call->drain();
  return call.get();
}

void Calls::drain() {
  {
    std::scoped_lock lock(mutex_);
    draining_ = true;
  }
  for (const auto& call : running()) call->drain();
}

bool Calls::wait(std::chrono::duration<double> time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return running_.empty(); });
}

void Calls::ended(const std::shared_ptr<Call>& call) {
  std::scoped_lock lock(mutex_);
  running_.erase(call);
  changed_.notify_all();
}

}  // namespace wde::grpc_door
