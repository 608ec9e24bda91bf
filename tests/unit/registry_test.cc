// The registry itself, and that every module of the project is in it: a linker that drops an object file drops what it
// registers.
#include "base/registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "wde/engine.h"

namespace wde {
namespace {

TEST(Registry, FindsWhatWasAdded) {
  Registry<int> registry("thing");
  EXPECT_TRUE(registry.add("b", 2));
  EXPECT_TRUE(registry.add("a", 1));
  EXPECT_EQ(registry.get("a"), 1);
  EXPECT_EQ(*registry.find("b"), 2);
  EXPECT_EQ(registry.find("c"), nullptr);
  EXPECT_EQ(registry.names(), (std::vector<std::string>{"a", "b"}));
}

TEST(Registry, RefusesANameThatIsTaken) {
  Registry<int> registry("thing");
  registry.add("a", 1);
  try {
    registry.add("a", 2);
    FAIL() << "no LoadError";
  } catch (const LoadError& e) {
    EXPECT_STREQ(e.what(), "the thing 'a' is registered twice");
  }
  EXPECT_EQ(registry.get("a"), 1);
}

TEST(Registry, ListsTheKnownNames) {
  Registry<int> registry("thing");
  registry.add("b", 2);
  registry.add("a", 1);
  try {
    registry.get("c");
    FAIL() << "no UsageError";
  } catch (const UsageError& e) {
    EXPECT_STREQ(e.what(), "unknown thing 'c'; known: a, b");
  }
}

TEST(JoinNames, SeparatesByCommas) {
  EXPECT_EQ(join_names({}), "none");
  EXPECT_EQ(join_names({"a"}), "a");
  EXPECT_EQ(join_names({"a", "b", "c"}), "a, b, c");
}

// Tests of this program register modules of their own, all named test_….
std::vector<std::string> without_tests(std::vector<std::string> names) {
  std::erase_if(names, [](const std::string& name) { return name.rfind("test_", 0) == 0; });
  return names;
}

TEST(Registered, ModulesOfEverySeam) {
  const std::map<std::string, std::vector<std::string>> want = {
      {"input_processor", {"text"}},
      {"tokenizer", {"hf", "native"}},
      {"scheduler", {"fair", "fifo", "length_aware"}},
      {"model_input_builder", {"encoder", "shared_prefix"}},
      {"attn_backend", {"flash", "naive"}},
      {"executor", {"data_parallel", "sync"}},
      {"worker", {"cpu"}},
      {"runner", {"cpu"}},
      {"output_processor", {"embedding", "hidden_states", "token_ids"}},
  };
  std::map<std::string, std::vector<std::string>> got;
  for (const auto& [seam, names] : registered_modules()) got[seam] = without_tests(names);
  for (const auto& [seam, names] : want) {
    for (const std::string& name : names) {
      EXPECT_NE(std::find(got[seam].begin(), got[seam].end(), name), got[seam].end())
          << "the " << seam << " '" << name << "' is gone";
    }
  }
  EXPECT_EQ(got.size(), want.size()) << "a seam more or less";
}

TEST(Registered, Workflows) {
  std::vector<std::string> names;
  for (const WorkflowEntry& workflow : registered_workflows()) {
    names.push_back(workflow.name);
    EXPECT_FALSE(workflow.help.empty()) << workflow.name;
    EXPECT_GE(workflow.modules.size(), 3u) << workflow.name;
  }
  names = without_tests(names);
  for (const char* name : {"embed", "token_embed", "tokenize"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

// Every workflow is made of modules that there are.
TEST(Registered, WorkflowsNameModulesThatExist) {
  std::map<std::string, std::vector<std::string>> known;
  for (const auto& [seam, names] : registered_modules()) known[seam] = names;
  for (const WorkflowEntry& workflow : registered_workflows()) {
    for (const auto& [seam, name] : workflow.modules) {
      if (name == "auto") continue;  // the model's files decide
      EXPECT_NE(std::find(known[seam].begin(), known[seam].end(), name), known[seam].end())
          << workflow.name << ": " << seam << " " << name;
    }
  }
}

TEST(Registered, Models) {
  std::map<std::string, std::string> types;
  for (const ModelEntry& model : registered_models()) {
    EXPECT_TRUE(types.emplace(model.architecture, model.model_type).second) << model.architecture << " is there twice";
    EXPECT_FALSE(model.workflows.empty()) << model.architecture;
  }
  for (const auto& [architecture, type] : std::map<std::string, std::string>{{"BertModel", "bert"},
                                                                             {"BertForMaskedLM", "bert"},
                                                                             {"DistilBertModel", "distilbert"},
                                                                             {"RobertaModel", "roberta"},
                                                                             {"XLMRobertaModel", "xlm-roberta"},
                                                                             {"CamembertModel", "camembert"}}) {
    EXPECT_EQ(types[architecture], type) << architecture;
  }
}

// Architectures of one type answer the tasks with workflows that are registered.
TEST(Registered, ModelsNameWorkflowsThatExist) {
  std::vector<std::string> known;
  for (const WorkflowEntry& workflow : registered_workflows()) known.push_back(workflow.name);
  for (const ModelEntry& model : registered_models()) {
    for (const auto& [task, workflow] : model.workflows) {
      EXPECT_NE(std::find(known.begin(), known.end(), workflow), known.end())
          << model.architecture << ", " << task << ": " << workflow;
    }
  }
}

}  // namespace
}  // namespace wde
