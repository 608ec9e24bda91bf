#include "others.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "wde/engine.h"
#include "world.h"

namespace wde::mpi {
namespace {

// What a message to another process begins with; then the engine's number.
enum class Order : uint8_t { kMake, kCompute, kEnd, kLeave };
constexpr int kOrders = 1;          // the tag of orders
constexpr int kFirstAnswers = 2;    // those of answers, one an engine
constexpr uint32_t kTags = 30'000;  // MPI promises 32,767

// The engine that this thread makes; 0: none.
thread_local uint32_t making = 0;
std::map<uint32_t, Member*> members;  // of the others' engines

int answers_of(uint32_t engine) { return kFirstAnswers + static_cast<int>(engine % kTags); }

Writer order(Order what, uint32_t engine) {
  Writer out;
  out.put(what);
  out.put(engine);
  return out;
}

std::mutex sending;  // guards what follows, and that a message's pieces stay together
bool dismissed = false;

void send_to_all(const Writer& message) {
  std::scoped_lock lock(sending);
  for (int rank = 1; rank < world().size && !dismissed; ++rank) send(message.bytes(), rank, kOrders);
}

// The first process's engines, which the others have too.
class Engines {
 public:
  uint32_t begin(Portion::Of of) {
    std::scoped_lock lock(mutex_);
    // A process that waits for the others' columns does not take rows from one of them.
    if (!alive_.empty() && of != of_) throw UsageError("mpi_pipeline and mpi_tensor do not go together in one program");
    of_ = of;
    alive_.insert(++last_);
    return last_;
  }
  void end(uint32_t engine) {
    {
      // An engine that outlives main() ends behind the others, and behind what stands here.
      std::scoped_lock lock(sending);
      if (dismissed) return;
    }
    send_to_all(order(Order::kEnd, engine));
    std::scoped_lock lock(mutex_);
    alive_.erase(engine);
  }

 private:
  std::mutex mutex_;
  std::set<uint32_t> alive_;
  uint32_t last_ = 0;
  Portion::Of of_ = Portion::Of::kWhole;
} first_ones;

void put_settings(Writer& out, const EngineArgs& args) {
  for (const ArgSpec& spec : EngineArgs::table()) {
    // One process writes a trace.
    const bool given = args.is_set(spec.name) && spec.name != "trace";
    out.put(given);
    if (given) out.put(args.get(spec.name));
  }
}
EngineArgs get_settings(Reader& from) {
  EngineArgs args;
  std::string value;
  for (const ArgSpec& spec : EngineArgs::table()) {
    if (!from.get<bool>()) continue;
    from.get(value);
    args.set(spec.name, value);
  }
  return args;
}

std::string describe(const Engine& engine) {
  std::string out;
  for (const auto& [name, fact] : engine.info().facts)
    if (name == "portion") out = fact + ", ";
  char megabytes[32];
  std::snprintf(megabytes, sizeof(megabytes), "%.1f MB", static_cast<double>(engine.info().weight_bytes) / 1e6);
  return out + megabytes + " of weights, on " + host_name();
}

struct OtherEngine {
  EngineArgs args;
  std::unique_ptr<Engine> engine;
};

// The first process's answer: what went wrong, or "" and what there is.
void make(uint32_t number, Reader& from, std::map<uint32_t, OtherEngine>& engines) {
  Writer answer;
  try {
    OtherEngine made{get_settings(from), nullptr};
    const Engine* sibling = nullptr;
    for (const auto& [other, engine] : engines)
      if (engine.args.get("model") == made.args.get("model")) sibling = engine.engine.get();
    making = number;
    made.engine = Engine::create(made.args, sibling);
    answer.put(std::string());
    answer.put(describe(*made.engine));
    engines.emplace(number, std::move(made));
  } catch (const std::exception& error) {
    answer = {};
    answer.put(std::string(error.what()));
    answer.put(std::string());
  }
  send(answer.bytes(), 0, answers_of(number));
}

}  // namespace

Portion portion(Portion::Of of, const EngineArgs& args) {
  if (world().size == 1) return {};
  if (world().first()) {
    // Whatever this thread began before did not come to an executor.
    if (making != 0) first_ones.end(std::exchange(making, 0));
    making = first_ones.begin(of);
    Writer out = order(Order::kMake, making);
    put_settings(out, args);
    send_to_all(out);
  }
  return {of, static_cast<size_t>(world().rank), static_cast<size_t>(world().size)};
}

Place::Place(Member& member) : engine_(std::exchange(making, 0)) {
  if (!world().first()) {
    members[engine_] = &member;
    return;
  }
  std::string problems;
  for (int rank = 1; rank < world().size; ++rank) {
    Bytes bytes;
    receive(bytes, rank, answers_of(engine_));
    Reader from(bytes);
    std::string problem, fact;
    from.get(problem);
    from.get(fact);
    const std::string who = "process " + std::to_string(rank);
    if (!problem.empty()) problems += (problems.empty() ? "" : "; ") + who + ": " + problem;
    facts_.emplace_back(who, fact);
  }
  if (problems.empty()) return;
  first_ones.end(engine_);
  throw LoadError(problems);
}

Place::~Place() {
  if (world().first()) {
    first_ones.end(engine_);
  } else {
    members.erase(engine_);
  }
}

int Place::answer_tag() const { return answers_of(engine_); }

Writer job_for(uint32_t engine) { return order(Order::kCompute, engine); }
void send_job(const Writer& job, int to) {
  std::scoped_lock lock(sending);
  send(job.bytes(), to, kOrders);
}
void send_job_to_all(const Writer& job) { send_to_all(job); }

void dismiss_others() {
  send_to_all(order(Order::kLeave, 0));
  {
    std::scoped_lock lock(sending);
    dismissed = true;
  }
  finish();
}

void belong_to_the_first() {
  // Signals to end go to all; these processes end when the first one has finished what it does.
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  try {
    std::map<uint32_t, OtherEngine> engines;
    for (Bytes bytes;;) {
      receive(bytes, kAnyone, kOrders);
      Reader from(bytes);
      const auto what = from.get<Order>();
      const auto engine = from.get<uint32_t>();
      if (what == Order::kLeave) break;
      if (what == Order::kMake) make(engine, from, engines);
      if (what == Order::kCompute) members.at(engine)->compute(from);
      if (what == Order::kEnd) engines.erase(engine);
    }
    engines.clear();
  } catch (const std::exception& error) {
    abort(error.what());
  }
  finish();
  // The program around would go on with what is the first process's.
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace wde::mpi
