// What is registered and what the machine offers, for `wde models` and `wde doctor`.
#include <fmt/format.h>

#include "base/cpu.h"
#include "engine/modules.h"
#include "kernels/bf16_choice.h"
#include "kernels/dispatch.h"
#include "kernels/gemm_int8.h"

namespace wde {

std::vector<ModelEntry> registered_models() {
  std::vector<ModelEntry> out;
  for (const auto& spec : ModelRegistry::instance().all()) {
    for (const std::string& architecture : spec->architectures) {
      const auto tasks = workflows_of(*spec);
      out.push_back({architecture, spec->model_type, {tasks.begin(), tasks.end()}});
    }
  }
  return out;
}

std::vector<WorkflowEntry> registered_workflows() {
  std::vector<WorkflowEntry> out;
  for (const std::string& name : workflows().names()) {
    const Workflow& w = workflows().get(name);
    out.push_back({name, w.help, w.modules()});
  }
  return out;
}

std::vector<std::pair<std::string, std::vector<std::string>>> registered_modules() {
  return {{"input_processor", input_processors().names()},
          {"tokenizer", tokenizers().names()},
          {"scheduler", schedulers().names()},
          {"model_input_builder", model_input_builders().names()},
          {"attn_backend", attn_backends().names()},
          {"executor", executors().names()},
          {"worker", workers().names()},
          {"runner", runners().names()},
          {"output_processor", output_processors().names()}};
}

void check_kernel_settings() {
  for (const std::string& problem : {kernels::bf16_setting_problem(), kernels::int8_setting_problem()}) {
    if (!problem.empty()) throw UsageError(problem);
  }
}

std::vector<std::pair<std::string, std::string>> machine_facts() {
  check_kernel_settings();
  const CpuInfo cpu = cpu_info();
  const auto kib = [](size_t bytes) {
    return bytes == 0 ? std::string("unknown") : fmt::format("{} KiB", bytes / 1024);
  };
  return {{"cpu", cpu.model},
          {"cores", fmt::format("{} online, {} allowed by affinity, {}, {} used", cpu.online, cpu.allowed,
                                cpu.cgroup_quota > 0 ? fmt::format("{:.1f} by the cgroup's quota", cpu.cgroup_quota)
                                                     : "no cgroup quota",
                                cpu.granted)},
          {"caches", fmt::format("L1d {}, L2 {}, L3 {}", kib(cpu.l1d), kib(cpu.l2), kib(cpu.l3))},
          {"kernels", fmt::format("{} (compiled for {}; this CPU runs {})", kernels::active_target(),
                                  join_names(kernels::compiled_targets()), join_names(kernels::runnable_targets()))},
          {"int8 kernels", fmt::format("{} (compiled for {}; this CPU runs {})", kernels::int8_kernel(),
                                       join_names(kernels::int8_compiled()), join_names(kernels::int8_runnable()))},
          {"bfloat16 kernels", fmt::format("{}, attention {} (this CPU runs {}; {})", kernels::bf16_kernel(),
                                           kernels::bf16_attention() ? "AVX512-BF16" : "FLOAT32",
                                           join_names(kernels::bf16_runnable()), kernels::bf16_reason())}};
}

std::string version() { return WDE_VERSION; }

}  // namespace wde
