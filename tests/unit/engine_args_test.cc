// The table of settings: defaults, checks, environment.
#include "wde/engine_args.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "wde/result.h"

namespace wde {
namespace {

template <class Call>
std::string usage_error(Call&& call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no UsageError";
  return "";
}

// Sets a variable for one test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(EngineArgsTable, HoldsEverySettingOnce) {
  std::set<std::string> names;
  for (const ArgSpec& spec : EngineArgs::table()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_EQ(spec.kind == ArgSpec::Kind::kChoice, !spec.choices.empty()) << spec.name;
    if (spec.kind == ArgSpec::Kind::kInteger) {
      EXPECT_LT(spec.minimum, spec.maximum) << spec.name;
    }
    EngineArgs args;
    EXPECT_NO_THROW(args.set(spec.name, spec.default_value))
        << "the default of " << spec.name << " must be a legal value";
    EXPECT_EQ(EngineArgs().get(spec.name), spec.default_value);
    EXPECT_FALSE(EngineArgs().is_set(spec.name));
  }
  for (const char* name : {"model", "task", "max-length", "prompt", "prompt-name", "pooling", "dtype", "attention",
                           "attn-backend", "executor", "scheduler", "workflow", "workers", "max-batch-tokens"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(EngineArgsTable, EnvironmentVariables) {
  for (const ArgSpec& spec : EngineArgs::table()) {
    if (spec.name == "max-batch-tokens") {
      EXPECT_EQ(spec.environment_variable(), "WDE_MAX_BATCH_TOKENS");
    }
    if (spec.name == "model") {
      EXPECT_EQ(spec.environment_variable(), "WDE_MODEL");
    }
  }
}

TEST(EngineArgs, SetAndGet) {
  EngineArgs args;
  args.set("model", "some/where").set("workers", "3").set("pooling", "cls").set("prompt", "");
  EXPECT_EQ(args.get("model"), "some/where");
  EXPECT_EQ(args.get_integer("workers"), 3);
  EXPECT_EQ(args.get("pooling"), "cls");
  EXPECT_TRUE(args.is_set("prompt"));
  EXPECT_EQ(args.get_integer("max-length"), std::nullopt);
  EXPECT_GT(args.get_integer("max-batch-tokens").value_or(0), 0);
  args.set("workers", "4").set("workers", "");
  EXPECT_EQ(args.get_integer("workers"), std::nullopt) << "empty: decided by the machine";
}

TEST(EngineArgs, UnknownNamesAreRefusedWithTheKnownOnes) {
  EngineArgs args;
  const std::string message = usage_error([&] { args.set("worker", "1"); });
  EXPECT_NE(message.find("'worker'"), std::string::npos) << message;
  EXPECT_NE(message.find("workers"), std::string::npos) << message;
  EXPECT_NE(message.find("max-batch-tokens"), std::string::npos) << message;
  usage_error([&] { (void)args.get("worker"); });
  usage_error([&] { (void)args.is_set("worker"); });
  usage_error([&] { (void)args.get_integer(""); });
}

TEST(EngineArgs, BadValuesAreRefusedAndLeaveTheOldOne) {
  EngineArgs args;
  args.set("workers", "2");
  for (const char* value : {"0", "-1", "1025", "99999999999999999999", "abc", "1.5", "1 ", " 1", "+1", "0x2"}) {
    const std::string message = usage_error([&] { args.set("workers", value); });
    EXPECT_NE(message.find("--workers"), std::string::npos) << message;
    EXPECT_NE(message.find(std::string("'") + value + "'"), std::string::npos) << message;
    EXPECT_NE(message.find("from 1 to 1024"), std::string::npos) << message;
  }
  for (const char* value : {"", "Mean", "average"}) {
    const std::string message = usage_error([&] { args.set("pooling", value); });
    EXPECT_NE(message.find("weightedmean"), std::string::npos) << message;
  }
  usage_error([&] { args.set("dtype", "float8"); });
  EXPECT_EQ(args.get("workers"), "2");
  EXPECT_EQ(args.get("pooling"), "auto");
}

TEST(EngineArgs, EnvironmentIsReadWhereNothingWasSet) {
  const Environment model("WDE_MODEL", "/from/environment"), workers("WDE_WORKERS", "7"),
      batch("WDE_MAX_BATCH_TOKENS", "99");
  EngineArgs args;
  args.set("workers", "2");
  EXPECT_EQ(args.get("model"), "") << "only when asked";
  args.read_environment();
  EXPECT_EQ(args.get("model"), "/from/environment");
  EXPECT_EQ(args.get_integer("workers"), 2);
  EXPECT_EQ(args.get_integer("max-batch-tokens"), 99);
  EXPECT_TRUE(args.is_set("model"));
  EXPECT_FALSE(args.is_set("max-length"));
}

TEST(EngineArgs, BadEnvironmentNamesTheVariable) {
  const Environment workers("WDE_WORKERS", "many");
  EngineArgs args;
  const std::string message = usage_error([&] { args.read_environment(); });
  EXPECT_NE(message.find("WDE_WORKERS"), std::string::npos) << message;
  EXPECT_NE(message.find("'many'"), std::string::npos) << message;
}

}  // namespace
}  // namespace wde
