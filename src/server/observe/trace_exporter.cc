#include "server/observe/trace_exporter.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>

namespace wde::server {
namespace {

constexpr double kConnectSeconds = 5;
constexpr int kTries = 4;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

size_t discard(char*, size_t size, size_t count, void*) { return size * count; }

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

TraceExporter::TraceExporter(TraceOptions options, std::function<void(std::string_view)> report)
    : options_(std::move(options)),
      report_(std::move(report)),
      seed_(std::random_device{}() | uint64_t{std::random_device{}()} << 32) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  thread_.start("wde-traces", [this] { run(); });
}

TraceExporter::~TraceExporter() { stop(0); }

uint64_t TraceExporter::random() {
  uint64_t x = seed_.fetch_add(0x9E3779B97F4A7C15U, std::memory_order_relaxed);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

SpanId TraceExporter::new_span_id() {
  uint64_t value = random();
  while (value == 0) value = random();
  SpanId id;
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(value >> (8 * i));
  return id;
}

std::optional<TraceExporter::Started> TraceExporter::start(std::string_view traceparent) {
  Started started;
  if (const auto client = parse_traceparent(traceparent)) {
    if (!client->sampled) return std::nullopt;
    started.context.trace = client->trace;
    started.parent = client->span;
  } else {
    const SpanId halves[] = {new_span_id(), new_span_id()};
    std::copy(halves[0].begin(), halves[0].end(), started.context.trace.begin());
    std::copy(halves[1].begin(), halves[1].end(), started.context.trace.begin() + 8);
  }
  started.context.span = new_span_id();
  started.context.sampled = true;
  return started;
}

void TraceExporter::add(RequestSpan span) {
  for (StageSpan& stage : span.stages) stage.id = new_span_id();
  const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
  span.clock_offset = std::chrono::duration_cast<std::chrono::nanoseconds>(unix_now).count() -
                      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
  bool full_batch = false;
  {
    std::scoped_lock lock(mutex_);
    if (stopping_ || queue_.size() >= options_.queue) {
      dropped_ += span.spans();
      return;
    }
    queue_.push_back(std::move(span));
    full_batch = queue_.size() == 1 || queue_.size() == options_.batch;
  }
  if (full_batch) wake_.notify_one();
}

void TraceExporter::stop(double seconds) {
  {
    std::scoped_lock lock(mutex_);
    if (!stopping_) end_ = Clock::now() + duration_of(seconds);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void TraceExporter::run() {
  curl_ = curl_easy_init();
  std::vector<RequestSpan> batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      // The first of a batch waits for others.
      wake_.wait_for(lock, duration_of(options_.delay_seconds),
                     [this] { return stopping_ || queue_.size() >= options_.batch; });
      if (queue_.empty()) break;
      const size_t count = std::min(options_.batch, queue_.size());
      std::move(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count), std::back_inserter(batch));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
    }
    send(batch);
    batch.clear();
  }
  if (curl_ != nullptr) curl_easy_cleanup(curl_);
}

void TraceExporter::send(std::vector<RequestSpan>& batch) {
  uint64_t spans = 0;
  for (const RequestSpan& request : batch) spans += request.spans();
  Outcome outcome = Outcome::kLater;
  try {
    const std::string body = otlp_json(batch, options_.service);
    double pause = 1;
    for (int i = 0; i < kTries && outcome == Outcome::kLater; ++i, pause *= 2) {
      if (i > 0 && !wait_to_retry(pause)) break;
      outcome = post(body, std::min(options_.timeout_seconds, seconds_left()));
    }
  } catch (const std::exception& error) {
    tell(error.what());
  }
  (outcome == Outcome::kSent ? sent_ : dropped_) += spans;
}

TraceExporter::Outcome TraceExporter::post(const std::string& body, double seconds) {
  if (curl_ == nullptr) tell(curl_easy_strerror(CURLE_FAILED_INIT));
  if (curl_ == nullptr || seconds <= 0) return Outcome::kLater;
  HeaderList headers;
  append(headers, "Content-Type: application/json");
  append(headers, "Expect:");
  for (const auto& [name, value] : options_.headers) append(headers, name + ": " + value);
  CURL* curl = curl_;
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, options_.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "wde");
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);  // a resolver that hangs does not hold up the end
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(seconds, kConnectSeconds) * 1000) + 1);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(seconds * 1000) + 1);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    tell(curl_easy_strerror(code));
    return Outcome::kLater;
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) {
    tell("");
    return Outcome::kSent;
  }
  tell(fmt::format("it answered with status {}", status));
  const bool later = status == 429 || status == 502 || status == 503 || status == 504;
  return later ? Outcome::kLater : Outcome::kRefused;
}

// Not zero: the transfer is given up.
int TraceExporter::on_progress(void* self, int64_t, int64_t, int64_t, int64_t) {
  return static_cast<TraceExporter*>(self)->seconds_left() <= 0 ? 1 : 0;
}

double TraceExporter::seconds_left() const {
  std::scoped_lock lock(mutex_);
  if (!stopping_) return options_.timeout_seconds;
  return std::chrono::duration<double>(end_ - Clock::now()).count();
}

// False: there is no time for it.
bool TraceExporter::wait_to_retry(double seconds) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, duration_of(seconds), [this] { return stopping_; });
  return !stopping_ || Clock::now() < end_;
}

void TraceExporter::tell(std::string problem) {
  if (problem.empty() == problem_.empty()) return;
  problem_ = std::move(problem);
  if (problem_.empty()) {
    report_(fmt::format("spans are sent to {} again", options_.url));
  } else {
    report_(fmt::format("spans cannot be sent to {}: {}", options_.url, problem_));
  }
}

}  // namespace wde::server
