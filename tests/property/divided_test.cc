// A model that several processes share has the same outputs, bit for bit, as in one, and each process keeps its portion
// alone. The processes are threads here, with an engine and weights of their own each; with WDE_TEST_PLUGIN, the
// plug-in mpi, they are those that mpirun started (WDE_TEST_PROCESSES).
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "../../plugins/mpi/message.h"
#include "execute/crew.h"
#include "execute/executor.h"
#include "golden/golden_files.h"
#include "property/texts.h"

namespace wde {
namespace {

using test::make_engine;
using test::Settings;

// Columns go from thread to thread.
struct Meeting {
  explicit Meeting(size_t size) : barrier(size), views(size) {}
  Barrier barrier;
  std::vector<View<float>> views;
};

class ThreadExchange final : public Exchange {
 public:
  ThreadExchange(size_t rank, Meeting& meeting) : Exchange(rank, meeting.views.size()), meeting_(meeting) {}
  void gather(View<float> y, size_t unit) noexcept override {
    meeting_.views[rank_] = y;
    meeting_.barrier.arrive_and_wait();
    for (size_t other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      const Range range = share_of(y.cols, unit, other, size_);
      const View<float> from = meeting_.views[other];
      for (size_t row = 0; row < y.rows; ++row)
        std::copy_n(from.row(row) + range.begin, range.size(), y.row(row) + range.begin);
    }
    meeting_.barrier.arrive_and_wait();
  }

 private:
  Meeting& meeting_;
};

// The executor of one process. They are made from the last to the first, which has the engine that is used.
class Threaded final : public Executor {
 public:
  Threaded(const ExecutorConfig& config, const Portion& portion)
      : portion_(portion), layers_(config.layers), worker_(config.make_worker()), done_(config.done) {
    std::scoped_lock lock(mutex_);
    members_[portion.rank] = this;
    if (portion.of == Portion::Of::kColumns) {
      if (portion.rank + 1 == portion.size) meeting_ = std::make_shared<Meeting>(portion.size);
      exchange_ = std::make_unique<ThreadExchange>(portion.rank, *meeting_);
    }
    team_ = std::make_unique<StandingCrew>(config.workers, exchange_.get());
  }

  size_t workers() const override { return 1; }
  size_t capacity() const override { return 1; }
  void submit(std::unique_ptr<Job> job) override {
    if (portion_.of == Portion::Of::kLayers) {
      one_after_the_other(*job);
    } else {
      all_together(*job);
    }
    done_(std::move(job));
  }

 private:
  void one_after_the_other(Job& job) {
    execute(job);
    const Job* last = &job;
    for (size_t rank = 1; rank < portion_.size; ++rank) {
      mpi::Writer out;
      mpi::put_unfinished(out, const_cast<Job&>(*last));
      mpi::Reader from(out.bytes());
      Threaded& member = *members_[rank];
      mpi::get_unfinished(from, member.job_);
      member.execute(member.job_);
      last = &member.job_;
    }
    mpi::Writer out;
    mpi::put_answer(out, const_cast<Job&>(*last));
    mpi::Reader from(out.bytes());
    mpi::get_answer(from, job);
  }

  void all_together(Job& job) {
    mpi::Writer out;
    mpi::put_input(out, job.input);
    std::vector<std::thread> threads;
    for (size_t rank = 1; rank < portion_.size; ++rank) {
      threads.emplace_back([&out, member = members_[rank]] {
        mpi::Reader from(out.bytes());
        mpi::get_input(from, member->job_.input);
        member->execute(member->job_);
      });
    }
    execute(job);
    for (std::thread& thread : threads) thread.join();
  }

  void execute(Job& job) {
    LayerRange range;
    if (portion_.of == Portion::Of::kLayers) {
      const Range mine = portion_.layers(layers_);
      range = {mine.begin, portion_.rank + 1 == portion_.size ? LayerRange{}.last : mine.end};
    }
    worker_->execute(job, team_->crew(), range);
  }

  static std::mutex mutex_;
  static std::map<size_t, Threaded*> members_;
  static std::shared_ptr<Meeting> meeting_;

  Portion portion_;
  size_t layers_;
  std::unique_ptr<Worker> worker_;
  Completion done_;
  std::unique_ptr<ThreadExchange> exchange_;
  std::unique_ptr<StandingCrew> team_;
  Job job_;
};
std::mutex Threaded::mutex_;
std::map<size_t, Threaded*> Threaded::members_;
std::shared_ptr<Meeting> Threaded::meeting_;

std::string executor_name(const Portion& portion) {
  return std::string("divided_") + (portion.of == Portion::Of::kLayers ? "layers_" : "columns_") +
         std::to_string(portion.rank) + "_of_" + std::to_string(portion.size);
}

bool add_executors() {
  for (const auto of : {Portion::Of::kLayers, Portion::Of::kColumns}) {
    for (size_t size : {2, 3}) {
      for (size_t rank = 0; rank < size; ++rank) {
        const Portion portion{of, rank, size};
        executors().add(executor_name(portion),
                        {"sync", [portion](const ExecutorConfig& c) { return std::make_unique<Threaded>(c, portion); },
                         [portion](const EngineArgs&) { return portion; }});
      }
    }
  }
  return true;
}
WDE_REGISTER(add_executors());

const char* plugin() { return std::getenv("WDE_TEST_PLUGIN"); }
size_t processes_or(size_t otherwise) {
  const char* given = std::getenv("WDE_TEST_PROCESSES");
  return given != nullptr ? std::stoul(given) : otherwise;
}

// The engines of all processes, the first one's at the end.
class DividedEngine {
 public:
  DividedEngine(const std::string& model, Settings settings, Portion portion) {
    const auto with = [&](const std::string& executor) {
      Settings all = settings;
      all.emplace_back("executor", executor);
      return make_engine(test::checkpoint(model), all);
    };
    if (plugin() != nullptr) {
      settings.emplace_back("plugin", plugin());
      engines_.push_back(with(portion.of == Portion::Of::kLayers ? "mpi_pipeline" : "mpi_tensor"));
      return;
    }
    for (size_t rank = portion.size; rank-- > 0;) {
      portion.rank = rank;
      engines_.push_back(with(executor_name(portion)));
    }
  }
  Engine& first() { return *engines_.back(); }
  const std::vector<std::unique_ptr<Engine>>& all() const { return engines_; }

 private:
  std::vector<std::unique_ptr<Engine>> engines_;
};

// The golden texts; a score is asked of pairs.
std::vector<Request> requests_for(const std::string& model, const std::string& task) {
  std::vector<Request> out = test::Golden(test::checkpoint(model)).inputs;
  for (Request& request : out) {
    const auto* const text = std::get_if<std::string>(&request.input);
    if (task == "score" && text != nullptr) request = {TextPair{*text, "the capital of Frankreich"}};
  }
  return out;
}

void expect_same(const std::string& model, const std::string& task, const Settings& settings, const Portion& portion) {
  Settings all = settings;
  all.emplace_back("task", task);
  const std::vector<Request> requests = requests_for(model, task);
  const auto want = test::respond(*make_engine(test::checkpoint(model), all), requests);
  DividedEngine divided(model, all, portion);
  const auto got = test::respond(divided.first(), requests);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].outputs.size(), want[i].outputs.size());
    for (size_t o = 0; o < got[i].outputs.size(); ++o) {
      EXPECT_EQ(got[i].outputs[o].values, want[i].outputs[o].values)
          << model << ", " << task << ", " << portion.size << " processes, input " << i;
    }
  }
}

std::vector<std::string> tasks_of(const std::string& model) {
  EngineArgs args;
  args.set("model", test::checkpoint(model).string());
  const ModelSummary summary = inspect_model(args);
  std::vector<std::string> tasks = summary.tasks;
  std::erase(tasks, "tokenize");
  if (summary.default_task == "classify") std::erase(tasks, "score");  // of one label
  return tasks;
}

// The kinds of layers; other models differ from one of these in what is not divided.
bool is_of_a_kind(const std::string& model) {
  const auto all = test::embedders();
  return std::find(all.begin(), all.end(), model) != all.end();
}
std::vector<std::string> models(bool of_a_kind) {
  std::vector<std::string> names = test::checkpoints_with_layers();
  std::erase_if(names, [&](const std::string& name) { return is_of_a_kind(name) != of_a_kind; });
  return names;
}

class Divided : public ::testing::TestWithParam<std::string> {
 protected:
  bool has_pictures() const { return GetParam().starts_with("clip"); }
  // Three for some.
  static std::vector<size_t> numbers_of_processes() {
    if (plugin() != nullptr && processes_or(2) > 2 && !is_of_a_kind(GetParam())) return {};
    if (plugin() == nullptr && is_of_a_kind(GetParam())) return {2, 3};
    return {processes_or(2)};
  }
  void expect_every_task(const Portion& portion) const {
    for (const std::string& task : tasks_of(GetParam())) expect_same(GetParam(), task, {{"workers", "1"}}, portion);
    if (!is_of_a_kind(GetParam())) return;
    for (const char* dtype : {"int8", "bfloat16"})
      expect_same(GetParam(), "embed", {{"workers", "2"}, {"dtype", dtype}, {"max-batch-tokens", "1000"}}, portion);
  }
};
std::string name_of(const ::testing::TestParamInfo<std::string>& test_info) { return test::test_name(test_info.param); }
INSTANTIATE_TEST_SUITE_P(Kinds, Divided, ::testing::ValuesIn(models(true)), name_of);
INSTANTIATE_TEST_SUITE_P(OtherModels, Divided, ::testing::ValuesIn(models(false)), name_of);

TEST_P(Divided, ByColumns) {
  for (size_t processes : numbers_of_processes()) {
    const Portion portion{Portion::Of::kColumns, 0, processes};
    // jina-v2-code norms queries and keys over all heads, which the processes have between them.
    if (has_pictures() || GetParam() == "jina-v2-code") {
      EXPECT_THROW(DividedEngine(GetParam(), {}, portion), UsageError);
      continue;
    }
    expect_every_task(portion);
  }
}

TEST_P(Divided, ByLayers) {
  for (size_t processes : numbers_of_processes()) {
    const Portion portion{Portion::Of::kLayers, 0, processes};
    const bool shares = GetParam() == "albert", too_few = test::layers_of(GetParam()) < processes;
    if (has_pictures() || shares || too_few) {
      EXPECT_THROW(DividedEngine(GetParam(), {}, portion), UsageError);
      continue;
    }
    expect_every_task(portion);
  }
}

TEST(DividedWeights, EveryProcessKeepsItsPortionAlone) {
  const size_t whole = make_engine(test::checkpoint("modernbert"))->info().weight_bytes;
  for (const auto of : {Portion::Of::kColumns, Portion::Of::kLayers}) {
    size_t sum = 0;
    const DividedEngine divided("modernbert", {}, {of, 0, 2});
    for (const auto& engine : divided.all()) {
      EXPECT_LT(engine->info().weight_bytes, whole * 6 / 10);
      sum += engine->info().weight_bytes;
    }
    if (plugin() == nullptr) {
      EXPECT_GE(sum, whole);
      EXPECT_LT(sum, whole * 11 / 10);
    }
  }
}

// More rows than go through a layer at a time, by threads of several processes.
TEST(DividedBatches, LongOnes) {
  const Settings settings = {{"workers", "2"}, {"max-batch-tokens", "4000"}};
  const auto texts = test::mixed_texts(64);
  for (const char* model : {"bert-mean", "modernbert", "qwen3-embedding", "deberta-v2-reranker"}) {
    const auto want = test::vectors(*make_engine(test::checkpoint(model), settings), texts);
    for (const auto of : {Portion::Of::kColumns, Portion::Of::kLayers}) {
      const Portion portion{of, 0, processes_or(2)};
      if (of == Portion::Of::kLayers && test::layers_of(model) < portion.size) continue;
      DividedEngine divided(model, settings, portion);
      const auto got = test::vectors(divided.first(), texts);
      for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i], want[i]) << model << ", text " << i;
    }
  }
}

}  // namespace
}  // namespace wde
