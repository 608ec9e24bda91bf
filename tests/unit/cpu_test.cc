// What the machine grants, as far as it can be tested on any machine.
#include "base/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>

namespace wde {
namespace {

TEST(ParseCpuMax, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(parse_cpu_max("max 100000\n"), 0);
  EXPECT_EQ(parse_cpu_max("200000 100000\n"), 2);
  EXPECT_EQ(parse_cpu_max("150000 100000"), 1.5);
  EXPECT_EQ(parse_cpu_max("1000 100000"), 0.01);
  EXPECT_EQ(parse_cpu_max("-1\n 100000\n"), 0) << "cgroup v1 without a limit";
}

TEST(ParseCpuMax, TakesWhatItDoesNotUnderstandAsNoLimit) {
  for (const char* text : {"", " ", "max", "abc def", "100000", "0 100000", "100000 0", "100000 -5", "1e400 1"}) {
    EXPECT_EQ(parse_cpu_max(text), 0) << "'" << text << "'";
  }
}

TEST(CpuInfo, IsPlausible) {
  const CpuInfo info = cpu_info();
  EXPECT_FALSE(info.model.empty());
  EXPECT_GE(info.online, 1u);
  EXPECT_GE(info.allowed, 1u);
  EXPECT_GE(info.granted, 1u);
  EXPECT_LE(info.granted, info.allowed);
  EXPECT_GE(info.cgroup_quota, 0);
}

TEST(CpuInfo, FollowsTheAffinityMask) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const CpuInfo info = cpu_info();
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(info.allowed, 1u);
  EXPECT_EQ(info.granted, 1u);
}

}  // namespace
}  // namespace wde
