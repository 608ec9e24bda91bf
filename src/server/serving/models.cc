#include "server/serving/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <new>
#include <utility>

#include "base/text.h"
#include "base/thread_group.h"
#include "server/dialects/comparison.h"
#include "server/dialects/plan.h"

namespace wde::server {
namespace {

constexpr int kLoadingRetrySeconds = 2;

}  // namespace

void choose_scheduler(EngineArgs& args) {
  const bool chosen = !args.get("scheduler").empty() || !args.get("workflow").empty() ||
                      args.get("set").find("scheduler=") != std::string::npos;
  if (!chosen) args.set("scheduler", "fair");
}

bool ModelFacts::can(std::string_view task) const { return std::find(tasks.begin(), tasks.end(), task) != tasks.end(); }

std::string_view ModelFacts::scheduler() const {
  for (const auto& [seam, module] : info.modules) {
    if (seam == "scheduler") return module;
  }
  return {};
}

const std::string* ModelFacts::prompt_for(std::string_view role) const { return prompt_for_role(info.prompts, role); }

Models::Models(std::vector<ServedModel> served, std::function<void(const ModelState&)> changed)
    : changed_(std::move(changed)), background_(std::make_shared<WorkPool>(ThreadGroup::Label{"wde-loader"}, 1)) {
  for (ServedModel& model : served) {
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->served = std::move(model);
  }
  for (const auto& entry : entries_) {
    background_->post([this, e = entry.get()] { load_entry(*e); });
  }
}

Models::~Models() {
  shutdown();
  background_->stop();
}

Models::Entry& Models::entry(std::string_view name, bool strict) {
  if (entries_.empty()) throw ApiError(Fault::kNoModel, "no model is served", "model");
  if (name.empty()) return *entries_.front();
  std::string wanted = ascii_lower(name);
  // Ollama's clients add a tag.
  if (wanted.ends_with(":latest")) wanted.resize(wanted.size() - 7);
  for (const auto& entry : entries_) {
    const std::string& path = entry->served.args.get("model");
    if (ascii_lower(entry->served.name) == wanted || ascii_lower(path) == wanted ||
        ascii_lower(default_model_name(path)) == wanted) {
      return *entry;
    }
  }
  // Clients have the names of other servers' models built in.
  if (entries_.size() == 1 && !strict) return *entries_.front();
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry->served.name);
  throw ApiError(Fault::kNoModel,
                 fmt::format("model \"{}\" not found; this server has: {}", name, fmt::join(names, ", ")), "model");
}

// Of several models the one that a request means which names none: TEI's clients, for instance, cannot.
Models::Entry& Models::entry_for(TaskList tasks) {
  for (std::string_view task : tasks) {
    for (const auto& entry : entries_) {
      if (entry->facts && entry->facts->default_task == task) return *entry;
    }
    // One that is still being loaded may be better than what follows: the client is told to come again.
    for (const auto& entry : entries_) {
      if (!entry->facts && entry->phase == ModelState::Phase::kLoading) return *entry;
    }
  }
  for (std::string_view task : tasks) {
    for (const auto& entry : entries_) {
      if (entry->facts && entry->facts->can(task)) return *entry;
    }
  }
  return entry("");
}

std::shared_ptr<const ModelFacts> Models::find(std::string_view name, TaskList tasks, bool strict) {
  std::unique_lock lock(mutex_);
  Entry& e = name.empty() && entries_.size() > 1 ? entry_for(tasks) : entry(name, strict);
  switch (e.phase) {
    case ModelState::Phase::kReady:
      return e.facts;
    case ModelState::Phase::kFailed:
      throw ApiError(Fault::kUnavailable, fmt::format("the model {} could not be loaded", e.served.name), "model");
    case ModelState::Phase::kUnloaded: {
      const std::string wanted = e.served.name;
      lock.unlock();
      load(wanted);
      throw ApiError(Fault::kUnavailable, fmt::format("the model {} is being loaded", wanted), {},
                     kLoadingRetrySeconds);
    }
    case ModelState::Phase::kLoading:
      break;
  }
  throw ApiError(Fault::kUnavailable, fmt::format("the model {} is being loaded", e.served.name), {},
                 kLoadingRetrySeconds);
}

void Models::with_engine(const std::string& model, const std::string& task, EngineReady ready) {
  std::shared_ptr<Engine> engine;
  {
    std::scoped_lock lock(mutex_);
    Entry& e = entry(model);
    const auto found = e.engines.find(task);
    if (found == e.engines.end()) {
      auto& waiting = e.waiting[task];
      waiting.push_back(std::move(ready));
      if (waiting.size() == 1) background_->post([this, &e, task] { load_engine(e, task); });
      return;
    }
    engine = found->second;
  }
  ready(std::move(engine), nullptr);
}

std::shared_ptr<Engine> Models::engine_like(const std::string& model, const std::string& task) {
  std::scoped_lock lock(mutex_);
  const Entry& e = entry(model);
  auto found = e.engines.find(task);
  if (found == e.engines.end() && e.facts && task != task::kTokenize) found = e.engines.find(e.facts->default_task);
  return found == e.engines.end() ? nullptr : found->second;
}

std::shared_ptr<Engine> Models::create(const Entry& entry, const std::string& task) {
  EngineArgs args = entry.served.args;
  args.set("task", task).set("model", entry.directory);
  choose_scheduler(args);
  // All engines of a model share its weights.
  std::shared_ptr<Engine> sibling;
  {
    std::scoped_lock lock(mutex_);
    if (entry.facts) {
      const auto found = entry.engines.find(entry.facts->default_task);
      if (found != entry.engines.end()) sibling = found->second;
    }
  }
  std::unique_ptr<Engine> engine = Engine::create(args, sibling.get());
  ledger_->add(entry.served.name, *engine);
  // The last to use an engine may be a callback on its own thread, which cannot wait for that thread's end.
  return {engine.release(), [background = std::weak_ptr(background_), ledger = ledger_](Engine* last) {
            const auto end = [ledger, last] {
              last->shutdown();
              ledger->retire(*last);
              delete last;
            };
            const auto owner = background.lock();
            if (!owner || !owner->post(end)) end();
          }};
}

void Models::load_entry(Entry& e) {
  std::shared_ptr<ModelFacts> facts;
  std::shared_ptr<Engine> engine;
  std::string problem;
  bool wrong_use = false;
  try {
    // A name of the Hub may have to be downloaded.
    const auto progress = [this, &shown = e.served.args.download_callback()](const DownloadProgress& at) {
      // A server that is told to stop does not finish a download first; what came is kept.
      if (stopping()) throw LoadError("the server is shutting down");
      if (shown) shown(at);
    };
    const ResolvedModel resolved = resolve_model(e.served.args.get("model"), progress);
    e.directory = resolved.directory;
    EngineArgs args = e.served.args;
    const ModelSummary summary = inspect_model(args.set("model", e.directory));
    facts = std::make_shared<ModelFacts>();
    facts->name = e.served.name;
    facts->path = e.served.args.get("model");
    facts->commit = resolved.commit;
    facts->max_batch_tokens = static_cast<size_t>(args.get_integer("max-batch-tokens").value_or(0));
    facts->tasks = summary.tasks;
    facts->default_task = summary.default_task;
    facts->architecture = summary.architecture;
    facts->model_type = summary.model_type;
    engine = create(e, summary.default_task);
    facts->info = engine->info();
    if (facts->info.sharing) facts->bulk_share = static_cast<double>(*args.get_integer("bulk-share")) / 100;
    facts->info.warnings.insert(facts->info.warnings.end(), resolved.warnings.begin(), resolved.warnings.end());
    if (facts->info.labels.empty()) facts->info.labels = summary.labels;
  } catch (const std::bad_alloc&) {
    problem = "there is not enough memory for it";
  } catch (const UsageError& error) {
    problem = error.what();
    wrong_use = true;
  } catch (const std::exception& error) {
    problem = error.what();
  }
  ModelState state;
  {
    std::scoped_lock lock(mutex_);
    if (stopping_) return;
    e.problem = problem;
    e.wrong_use = wrong_use;
    e.phase = problem.empty() ? ModelState::Phase::kReady : ModelState::Phase::kFailed;
    if (problem.empty()) {
      e.engines[facts->default_task] = std::move(engine);
      e.facts = std::move(facts);
    }
    state = state_of(e);
  }
  if (changed_) changed_(state);
}

void Models::load_engine(Entry& e, const std::string& task) {
  bool stopping = false;
  std::shared_ptr<Engine> present;
  {
    std::scoped_lock lock(mutex_);
    stopping = stopping_;
    const auto found = e.engines.find(task);
    if (found != e.engines.end()) present = found->second;
  }
  if (present) return finish_waiting(e, task, std::move(present), nullptr);
  if (stopping) {
    const ApiError error(Fault::kUnavailable, "the server is shutting down");
    return finish_waiting(e, task, nullptr, &error);
  }
  try {
    finish_waiting(e, task, create(e, task), nullptr);
  } catch (const std::bad_alloc&) {
    const ApiError error(Fault::kUnavailable, "there is not enough memory for the task " + task, {}, 5);
    finish_waiting(e, task, nullptr, &error);
  } catch (const std::exception& problem) {
    const ApiError error(Fault::kWrongModel, fmt::format("{} cannot {}: {}", e.served.name, task, problem.what()));
    finish_waiting(e, task, nullptr, &error);
  }
}

void Models::finish_waiting(Entry& e, const std::string& task, std::shared_ptr<Engine> engine, const ApiError* error) {
  std::vector<EngineReady> waiting;
  {
    std::scoped_lock lock(mutex_);
    if (engine && !stopping_ && e.phase == ModelState::Phase::kReady) e.engines[task] = engine;
    waiting = std::exchange(e.waiting[task], {});
  }
  for (const EngineReady& ready : waiting) ready(engine, error);
}

void Models::load(std::string_view name) {
  std::scoped_lock lock(mutex_);
  Entry& e = entry(name, true);
  if (e.phase == ModelState::Phase::kReady || e.phase == ModelState::Phase::kLoading) return;
  e.phase = ModelState::Phase::kLoading;
  background_->post([this, &e] { load_entry(e); });
}

void Models::unload(std::string_view name) {
  std::map<std::string, std::shared_ptr<Engine>> engines;  // end without the lock
  ModelState state;
  {
    std::scoped_lock lock(mutex_);
    Entry& e = entry(name, true);
    if (e.phase == ModelState::Phase::kLoading) {
      throw ApiError(Fault::kUnavailable, fmt::format("the model {} is being loaded", e.served.name), {},
                     kLoadingRetrySeconds);
    }
    e.phase = ModelState::Phase::kUnloaded;
    engines.swap(e.engines);
    state = state_of(e);
  }
  engines.clear();
  if (changed_) changed_(state);
}

ModelState Models::state_of(const Entry& e) const {
  ModelState state{e.served.name, e.served.args.get("model"), e.phase, e.problem, e.wrong_use, e.facts, {}};
  for (const auto& [task, engine] : e.engines) state.engines.push_back(task);
  return state;
}

bool Models::stopping() const {
  std::scoped_lock lock(mutex_);
  return stopping_;
}

std::vector<ModelState> Models::states() const {
  std::scoped_lock lock(mutex_);
  std::vector<ModelState> out;
  for (const auto& e : entries_) out.push_back(state_of(*e));
  return out;
}

void Models::shutdown() {
  std::vector<std::shared_ptr<Engine>> engines;
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
    for (const auto& e : entries_) {
      for (const auto& [task, engine] : e->engines) engines.push_back(engine);
      e->engines.clear();
    }
  }
  for (const auto& engine : engines) engine->shutdown();
}

std::string default_model_name(std::string_view model) {
  while (model.size() > 1 && model.ends_with('/')) model.remove_suffix(1);
  // "owner/name" is a repository, whose whole name clients know; all else with a slash is a path.
  const bool path = model.starts_with('/') || model.starts_with('.') || model.starts_with('~');
  if (!path && std::count(model.begin(), model.end(), '/') == 1) return std::string(model);
  const size_t slash = model.rfind('/');
  return std::string(slash == std::string_view::npos ? model : model.substr(slash + 1));
}

}  // namespace wde::server
