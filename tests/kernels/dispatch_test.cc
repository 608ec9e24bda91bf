// Which instruction sets there are and that the kernels can be pinned to each.
#include "kernels/dispatch.h"

#include <set>

#include "kernels/elementwise.h"
#include "kernels/every_target.h"

namespace wde::kernels {
namespace {

TEST(Dispatch, RunnableTargetsAreCompiledTargetsInTheirOrder) {
  force_target("");
  const auto compiled = compiled_targets(), runnable = runnable_targets();
  ASSERT_FALSE(runnable.empty());
  size_t next = 0;
  for (const std::string& name : runnable) {
    while (next < compiled.size() && compiled[next] != name) ++next;
    ASSERT_LT(next, compiled.size()) << name << " runs but is not compiled, or stands out of order";
  }
  EXPECT_EQ(std::set<std::string>(compiled.begin(), compiled.end()).size(), compiled.size());
  EXPECT_EQ(active_target(), runnable.front());
}

TEST(Dispatch, ForceTargetPinsAndUnpins) {
  force_target("");
  const auto runnable = runnable_targets();
  for (const std::string& name : runnable) {
    force_target(name);
    EXPECT_EQ(active_target(), name);
    float x = 1, y = 2;
    add(&x, &y, 1);
    EXPECT_EQ(y, 3);
  }
  force_target("");
  EXPECT_EQ(active_target(), runnable.front());
  EXPECT_EQ(runnable_targets(), runnable);
}

TEST(Dispatch, UnknownNameMeansTheBest) {
  force_target("");
  const std::string best = active_target();
  force_target("NO_SUCH_TARGET");
  EXPECT_EQ(active_target(), best);
  force_target("");
}

// What the others skip, in one place.
TEST(Dispatch, TellsWhatThisMachineCannotTest) {
  force_target("");
  const auto runnable = runnable_targets();
  std::string missing;
  for (const std::string& name : compiled_targets()) {
    if (std::find(runnable.begin(), runnable.end(), name) == runnable.end()) missing += " " + name;
  }
  if (!missing.empty()) GTEST_SKIP() << "NOT TESTED, this CPU does not have:" << missing;
}

}  // namespace
}  // namespace wde::kernels
