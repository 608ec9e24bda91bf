#include "base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace wde {

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) == 0) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown";
}

// The tightest quota on the way from this process's cgroup to the root: a limit on any of them holds.
double cgroup_quota() {
  double quota = 0;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers != "cpu" && controllers != "cpu,cpuacct" && controllers != "cpuacct,cpu") continue;
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      std::string text;
      if (v2) {
        text = read_file("/sys/fs/cgroup" + path + "/cpu.max");
      } else {
        const std::string base = "/sys/fs/cgroup/" + controllers + path;
        text = read_file(base + "/cpu.cfs_quota_us") + " " + read_file(base + "/cpu.cfs_period_us");
      }
      const double cores = parse_cpu_max(text);
      if (cores > 0 && (quota == 0 || cores < quota)) quota = cores;
      if (path.empty() || path.rfind('/') == std::string::npos) break;
    }
  }
  return quota;
}

size_t cache_bytes(int name) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

}  // namespace

double parse_cpu_max(const std::string& text) {
  std::istringstream in(text);
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

CpuInfo cpu_info() {
  CpuInfo info;
  info.model = cpu_model();
  info.online = static_cast<size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  info.allowed = info.online;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) info.allowed = static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
  info.cgroup_quota = cgroup_quota();
  info.granted = info.allowed;
  if (info.cgroup_quota > 0) {
    info.granted = std::clamp<size_t>(static_cast<size_t>(std::ceil(info.cgroup_quota)), 1, info.allowed);
  }
  info.l1d = cache_bytes(_SC_LEVEL1_DCACHE_SIZE);
  info.l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
  info.l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
  return info;
}

void place_this_thread(size_t index, size_t threads) noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (threads < 2 || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  if (static_cast<size_t>(CPU_COUNT(&allowed)) != threads) return;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    // Only a wish: where it is not granted, the thread runs all the same.
    (void)pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
    return;
  }
}

}  // namespace wde
