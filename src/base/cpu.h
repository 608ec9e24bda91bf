// What the machine gives this process: cores, caches, memory limits.
#pragma once

#include <cstddef>
#include <string>

namespace wde {

struct CpuInfo {
  std::string model;               // "AMD EPYC", from /proc/cpuinfo; "unknown" elsewhere
  size_t online = 1;               // processors of the machine
  size_t allowed = 1;              // of them, those in this process's affinity mask
  double cgroup_quota = 0;         // cores by the cgroup's cpu.max (v2) or cfs quota (v1); 0: no limit
  size_t granted = 1;              // what to use: min(allowed, ceil(quota)), at least 1
  size_t l1d = 0, l2 = 0, l3 = 0;  // bytes; 0: unknown
};

CpuInfo cpu_info();

// Gives the calling thread, number `index` of a group of `threads`, a processor of its own, where they are as many as
// it may use; else it goes where the kernel puts it. The kernel tends to wake a thread on the processor of the one that
// wakes it: a helper then waits for milliseconds for the worker that it should help.
void place_this_thread(size_t index, size_t threads) noexcept;

// The cgroup's quota as `cpu.max` writes it ("max 100000", "150000 100000"), in cores; 0: no limit or not understood.
double parse_cpu_max(const std::string& text);

}  // namespace wde
