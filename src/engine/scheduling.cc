#include "engine/scheduling.h"

#include <fmt/format.h>

#include <algorithm>

namespace wde {
namespace {

// Multiplications and additions, by the sizes alone; what they cost is measured.
ModelWork work_of(const Modules& m) {
  const ModelShape shape = m.model->shape();
  ModelWork work;
  work.token_operations = static_cast<double>(m.model->weight_bytes()) / sizeof(float) * 2;
  work.pair_operations = static_cast<double>(4 * shape.heads.num_heads * shape.heads.head_dim);
  const auto keys = [](int64_t window) {
    return window == kernels::kNoWindow ? SIZE_MAX : static_cast<size_t>(window);
  };
  const std::vector<AttentionMask> masks = m.model->masks();
  for (const AttentionMask& mask : masks) {
    const bool both = m.backend->bidirectional() || mask.bidirectional;
    work.layers.push_back({std::max<size_t>(1, m.model->layers() / masks.size()), keys(mask.window_left),
                           both ? keys(mask.window_right) : 0});
  }
  return work;
}

}  // namespace

void load_scheduler(Modules& m, const EngineArgs& args, const ExecutorEntry& executor) {
  const std::string& name = m.workflow.scheduler;
  m.cost = std::make_unique<CostModel>(work_of(m));
  SchedulerConfig config;
  config.cost = m.cost.get();
  config.batch_seconds = static_cast<double>(*args.get_integer("batch-time")) / 1000;
  config.bulk_share = static_cast<double>(*args.get_integer("bulk-share")) / 100;
  m.scheduler = schedulers().get(name)(config);
  m.info.modules.emplace_back("scheduler", name);
  m.info.sharing = m.scheduler->separates_requests();
  const auto feeds = m.scheduler->feeds();
  if (std::find(feeds.begin(), feeds.end(), executor.accepts) == feeds.end()) {
    throw UsageError(fmt::format("the scheduler '{}' feeds {} executors, but '{}' is {}", name, join_names(feeds),
                                 m.workflow.executor, executor.accepts));
  }
  for (const char* const setting : {"batch-time", "bulk-share"}) {
    if (!args.is_set(setting) || m.scheduler->separates_requests()) continue;
    throw UsageError(
        fmt::format("--{} is for a scheduler that shares the workers among requests (fair), and this "
                    "engine has '{}'",
                    setting, name));
  }
}

}  // namespace wde
