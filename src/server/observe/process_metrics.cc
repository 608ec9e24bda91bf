#include "server/observe/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

#include "wde/engine.h"

namespace wde::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Fields of /proc/self/stat that stand after the program's name, which may hold spaces: the first is field 3.
std::vector<double> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(line.substr(name_end + 1));
  std::string state;
  rest >> state;
  return {std::istream_iterator<double>(rest), std::istream_iterator<double>()};
}

size_t open_files() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(files), end(files)));
}

void add(std::vector<MetricFamily>& families, const char* name, const char* help, MetricType type, double value) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.emplace_back();
  (type == MetricType::Counter ? family.metric.back().counter.value : family.metric.back().gauge.value) = value;
  families.push_back(std::move(family));
}

}  // namespace

void add_process_families(std::vector<MetricFamily>& families) {
  constexpr size_t kThreads = 16, kStart = 18, kVirtual = 19, kResident = 20;  // fields 20, 22, 23, 24
  add(families, "wde_build_info", "1; the labels tell which build this is", MetricType::Gauge, 1);
  families.back().metric.back().label.push_back({"version", version()});
  add(families, "process_cpu_seconds_total", "user and system time in seconds", MetricType::Counter,
      seconds_of(CLOCK_PROCESS_CPUTIME_ID));
  if (const size_t files = open_files(); files > 0) {
    add(families, "process_open_fds", "open file descriptors", MetricType::Gauge, static_cast<double>(files));
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add(families, "process_max_fds", "file descriptors that may be open", MetricType::Gauge,
        static_cast<double>(limit.rlim_cur));
  }
  const std::vector<double> fields = stat_fields();
  if (fields.size() <= kResident) return;
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const double running = seconds_of(CLOCK_BOOTTIME) - fields[kStart] / ticks;
  add(families, "process_start_time_seconds", "when the process began, in seconds since 1970", MetricType::Gauge,
      seconds_of(CLOCK_REALTIME) - running);
  add(families, "process_threads", "threads", MetricType::Gauge, fields[kThreads]);
  add(families, "process_virtual_memory_bytes", "address space", MetricType::Gauge, fields[kVirtual]);
  add(families, "process_resident_memory_bytes", "resident memory", MetricType::Gauge,
      fields[kResident] * static_cast<double>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace wde::server
