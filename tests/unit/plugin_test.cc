// Plug-ins: what they register is there, and each way to fail is a sentence. tests/plugins/ has their sources.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "attention/attn_backend.h"
#include "test_paths.h"
#include "wde/engine.h"

namespace wde {
namespace {

std::string plugin(const std::string& name) { return std::string(test::kPlugins) + "/test_" + name + ".so"; }

std::string failure(const std::string& file) {
  try {
    load_plugin(file);
  } catch (const LoadError& error) {
    return error.what();
  }
  return "(it was loaded)";
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

class Plain final : public AttnBackend {
 public:
  std::string refuses(const AttentionMask&) const override { return ""; }
  size_t scratch_floats(size_t, const HeadShape&) const override { return 1; }

 private:
  void attend_sequence(const kernels::AttentionArgs&, float*) const noexcept override {}
};
WDE_REGISTER(attn_backends().add("plugin_replaced", [] { return std::make_unique<Plain>(); }));

TEST(Plugin, AddsAndReplacesByName) {
  EXPECT_EQ(attn_backends().get("plugin_replaced")()->refuses({}), "");
  EXPECT_EQ(attn_backends().find("plugin_refusing"), nullptr);
  load_plugin(plugin("good"));
  ASSERT_NE(attn_backends().find("plugin_refusing"), nullptr);
  EXPECT_EQ(attn_backends().get("plugin_refusing")()->refuses({}), "anything at all");
  EXPECT_EQ(attn_backends().get("plugin_replaced")()->refuses({}), "anything at all");
  load_plugin(plugin("good"));  // again, and under another spelling of its name: nothing happens
  load_plugin(std::string(test::kPlugins) + "/../" + std::filesystem::path(test::kPlugins).filename().string() +
              "/test_good.so");
}

TEST(Plugin, EngineLoadsThoseThatItsSettingsName) {
  EngineArgs args;
  args.set("model", std::string(test::kData) + "/bert-mean")
      .set("plugin", plugin("good") + "::" + plugin("good") + ":")
      .set("attn-backend", "plugin_refusing");
  try {
    Engine::create(args);
    ADD_FAILURE() << "expected a UsageError";
  } catch (const UsageError& error) {
    expect_contains(error.what(), "'plugin_refusing' does not honour anything at all");
  }
  args.set("plugin", "/nowhere/a.so:" + plugin("good"));
  EXPECT_THROW(Engine::create(args), LoadError);
}

TEST(Plugin, MissingFile) {
  EXPECT_EQ(failure("/nowhere/a.so"), "the plug-in /nowhere/a.so is not there; expected a shared object");
  expect_contains(failure(test::kPlugins), "is not there; expected a shared object");  // a directory
  expect_contains(failure(""), "is not there");
}

TEST(Plugin, FileThatIsNoSharedObject) {
  const auto file = std::filesystem::temp_directory_path() / "wde_plugin_test.so";
  std::ofstream(file) << "this is not an ELF file\n";
  expect_contains(failure(file.string()), "cannot be loaded: ");
  std::filesystem::remove(file);
}

TEST(Plugin, BuiltForAnotherVersion) {
  const std::string message = failure(plugin("wrong_abi"));
  expect_contains(message,
                  "test_wrong_abi.so was built for another wde (headers of the day before yesterday), this one is ");
  expect_contains(message, "build it again with the headers of this one");
}

TEST(Plugin, NoEntry) {
  expect_contains(failure(plugin("no_entry")), "test_no_entry.so is not a plug-in of wde: it has no wde_plugin_abi()");
}

TEST(Plugin, MissingSymbol) { expect_contains(failure(plugin("missing_symbol")), "there_is_no_such_function"); }

TEST(Plugin, ThrowsWhileItRegisters) {
  const std::string message = failure(plugin("throws"));
  expect_contains(message, "test_throws.so failed to register: this plug-in needs a sunny day");
  EXPECT_EQ(failure(plugin("throws")), message);
}

TEST(Plugin, NameThatIsTaken) {
  expect_contains(failure(plugin("duplicate")),
                  "failed to register: the attention backend 'flash' is registered twice");
}

}  // namespace
}  // namespace wde
