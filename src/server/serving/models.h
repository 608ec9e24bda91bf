// Models: what the server has been told to serve. Each is loaded in the background and has an engine for every task
// that somebody asked for; one thread loads and unloads, so that requests never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "server/dialects/api_error.h"
#include "server/observe/ledger.h"
#include "server/serving/work_pool.h"
#include "wde/engine.h"

namespace wde::server {

// A server has many callers, who share the workers, unless the operator chose the scheduler, by itself or with others.
void choose_scheduler(EngineArgs& args);

struct ServedModel {
  std::string name;
  EngineArgs args;  // with "model"; "task" is not read
};

// What routes need to know about a model that is loaded. Does not change while it is.
using TaskList = std::initializer_list<std::string_view>;

struct ModelFacts {
  std::string name;
  std::string path;                // as the user gave it
  std::string commit;              // on the Hub; "" for a directory
  std::vector<std::string> tasks;  // that it can answer
  std::string default_task;
  std::string architecture;
  std::string model_type;  // config.json's
  size_t max_batch_tokens = 0;
  EngineInfo info;  // of its default task's engine
  // Of a scheduler that shares the workers (fair): what later priorities always have of the workers. None: another
  // scheduler, which does not share them.
  std::optional<double> bulk_share;

  bool can(std::string_view task) const;
  std::string_view scheduler() const;  // "": it needs none
  // Its prompt for one of the roles that clients name ("query", "document", "classification", …), nullptr without one.
  const std::string* prompt_for(std::string_view role) const;
};

struct ModelState {
  enum class Phase { kUnloaded, kLoading, kReady, kFailed };
  std::string name;
  std::string path;
  Phase phase = Phase::kUnloaded;
  std::string problem;     // of kFailed
  bool wrong_use = false;  // likewise: a setting does not fit the model
  std::shared_ptr<const ModelFacts> facts;
  std::vector<std::string> engines;  // tasks that have one
};

class Models {
 public:
  using EngineReady = std::function<void(std::shared_ptr<Engine>, const ApiError*)>;

  // Loads all, one after the other. `changed` is called from the loading thread whenever a model's phase changes.
  Models(std::vector<ServedModel> served, std::function<void(const ModelState&)> changed);
  ~Models();

  // The model of this name; for "" the first that was made for one of the tasks, the most wanted task first, else the
  // first that can do one of them, else the first. Throws ApiError: no such model, or it is not loaded (if it was
  // unloaded, that begins now). One model answers to every name, unless `strict`.
  std::shared_ptr<const ModelFacts> find(std::string_view name, TaskList tasks = {}, bool strict = false);
  // Calls `ready` at once if there is such an engine already, else from the loading thread.
  void with_engine(const std::string& model, const std::string& task, EngineReady ready);
  // One that takes as long for a text as this task's will: its own, or until that is made the default task's. nullptr:
  // there is none.
  std::shared_ptr<Engine> engine_like(const std::string& model, const std::string& task);

  void load(std::string_view name);    // throws ApiError: no such model
  void unload(std::string_view name);  // what was submitted is still answered

  std::vector<ModelState> states() const;
  // Of each model's engines together; models that were never loaded are left out.
  std::map<std::string, EngineStatistics> statistics() const { return ledger_->read(); }

  // Ends loading, and all engines as Engine::shutdown() says.
  void shutdown();

 private:
  struct Entry {
    ServedModel served;
    std::string directory;  // where its files are, once it is known; for the loading thread
    ModelState::Phase phase = ModelState::Phase::kLoading;
    std::string problem;
    bool wrong_use = false;
    std::shared_ptr<const ModelFacts> facts;  // once it has been loaded, also while it is not
    std::map<std::string, std::shared_ptr<Engine>> engines;
    std::map<std::string, std::vector<EngineReady>> waiting;
  };

  Entry& entry(std::string_view name, bool strict = false);
  Entry& entry_for(TaskList tasks);
  bool stopping() const;
  void load_entry(Entry& entry);
  void load_engine(Entry& entry, const std::string& task);
  void finish_waiting(Entry& entry, const std::string& task, std::shared_ptr<Engine> engine, const ApiError* error);
  std::shared_ptr<Engine> create(const Entry& entry, const std::string& task);
  ModelState state_of(const Entry& entry) const;

  std::vector<std::unique_ptr<Entry>> entries_;
  std::function<void(const ModelState&)> changed_;
  mutable std::mutex mutex_;
  bool stopping_ = false;
  // One thread that does what takes long, in order; and ends engines, which must not end on a thread of their own.
  std::shared_ptr<WorkPool> background_;
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>();
};

// The name under which a model is served that is not given one: the last part of its path, or the repository's.
std::string default_model_name(std::string_view model);

}  // namespace wde::server
