// The cache's folder and the choice of files, without a network; tests/e2e/test_hub_*.py have the rest.
#include "loader/hub/cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "loader/hub/select.h"
#include "loader/hub/settings.h"
#include "loader_files.h"

namespace wde::hub {
namespace {

namespace fs = std::filesystem;
using test::expect_contains;
using test::load_error;
using test::TempDirectory;

const std::string kCommit(40, 'a');

class HubCacheTest : public testing::Test {
 protected:
  // Into a blob and the snapshot.
  void put(const std::string& path, const std::string& content) {
    const std::string etag = "blob-of-" + std::to_string(count_++);
    directory_.write("models--a--b/blobs/" + etag, content);
    cache_.link(kCommit, path, etag);
  }
  Listing listing(std::initializer_list<std::pair<std::string, size_t>> files) const {
    Listing out;
    out.commit = kCommit;
    for (const auto& [path, size] : files) out.files[path] = {size, "0123", ""};
    return out;
  }

  TempDirectory directory_;
  RepoCache cache_{directory_.path(), *parse_name("a/b")};
  int count_ = 0;
};

TEST_F(HubCacheTest, References) {
  EXPECT_FALSE(cache_.read_ref("main"));
  cache_.write_ref("refs/pr/1", kCommit);
  EXPECT_EQ(cache_.read_ref("refs/pr/1"), kCommit);
  for (const std::string& text : {std::string("x"), std::string(), kCommit + "a", std::string(1 << 20, 'a')}) {
    directory_.write("models--a--b/refs/main", text);
    EXPECT_FALSE(cache_.read_ref("main")) << text.substr(0, 50);
  }
  directory_.write("models--a--b/refs/main", kCommit + "\n");
  EXPECT_EQ(cache_.read_ref("main"), kCommit);
}

TEST_F(HubCacheTest, LinksAreRelative) {
  put("config.json", "{}");
  put("1_Pooling/x/config.json", "{}");
  const fs::path root = cache_.snapshot(kCommit);
  EXPECT_EQ(fs::read_symlink(root / "config.json"), "../../blobs/blob-of-0");
  EXPECT_EQ(fs::read_symlink(root / "1_Pooling/x/config.json"), "../../../../blobs/blob-of-1");
  put("config.json", "[]");  // replaces
  EXPECT_EQ(fs::read_symlink(root / "config.json"), "../../blobs/blob-of-2");
  EXPECT_TRUE(cache_.has_file(kCommit, "config.json", 2));
  EXPECT_FALSE(cache_.has_file(kCommit, "config.json", 3));
  EXPECT_EQ(cache_.files(kCommit), (std::set<std::string>{"config.json", "1_Pooling/x/config.json"}));
}

TEST_F(HubCacheTest, ListingsComeBack) {
  Listing written = listing({{"a", 1}, {"b/c", 2}});
  written.files["big"] = {5, "0123", std::string(64, 'f')};
  cache_.write_listing(written);
  const auto read = cache_.read_listing(kCommit);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->files.size(), 3u);
  EXPECT_EQ(read->files.at("big").sha256, std::string(64, 'f'));
  EXPECT_EQ(read->files.at("b/c").size, 2u);
  for (const char* text :
       {"", "[]", "{}", R"({"format_version": 2, "files": {}})", R"({"format_version": 1, "files": 5})",
        R"({"format_version": 1, "files": {"../x": {"size": 1, "blob_id": "a"}}})",
        R"({"format_version": 1, "files": {"x": {"size": "1", "blob_id": "a"}}})"}) {
    directory_.write("models--a--b/trees/" + kCommit + ".json", text);
    EXPECT_FALSE(cache_.read_listing(kCommit)) << text;
  }
}

TEST_F(HubCacheTest, WhatIsMissing) {
  EXPECT_FALSE(cache_.state(kCommit).complete);
  put("config.json", "{}");
  put("tokenizer.json", "{}");
  EXPECT_EQ(cache_.state(kCommit).missing, "model.safetensors");
  put("model.safetensors", "1234");
  EXPECT_TRUE(cache_.state(kCommit).complete);
  EXPECT_FALSE(cache_.state(kCommit).certain);

  cache_.write_listing(listing({{"config.json", 2}, {"tokenizer.json", 2}, {"model.safetensors", 5}}));
  EXPECT_EQ(cache_.state(kCommit).missing, "model.safetensors");  // of another size
  directory_.write("models--a--b/blobs/blob-of-2", "12345");
  EXPECT_TRUE(cache_.state(kCommit).complete);
  EXPECT_TRUE(cache_.state(kCommit).certain);
}

std::vector<std::string> selected(std::initializer_list<std::string> names, const std::string& modules = "") {
  const ReadLocal read = [&](const std::string& path) -> std::optional<nlohmann::json> {
    if (path != "modules.json" || modules.empty()) return std::nullopt;
    return nlohmann::json::parse(modules);
  };
  return select_files(names, read, "a/b").files;
}

TEST(HubSelect, TakesOneFormOfTheWeights) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(selected({"config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "model.onnx"}),
            (Names{"config.json", "model.safetensors"}));
  EXPECT_EQ(selected({"config.json", "pytorch_model.bin", "README.md"}), (Names{"config.json", "pytorch_model.bin"}));
  EXPECT_EQ(selected({"config.json", "model.safetensors", "model.safetensors.index.json"}),
            (Names{"config.json", "model.safetensors"}));
}

TEST(HubSelect, TokenizerOrVocabulary) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(selected({"config.json", "tokenizer.json", "vocab.txt"}), (Names{"config.json", "tokenizer.json"}));
  EXPECT_EQ(selected({"config.json", "vocab.json", "merges.txt"}), (Names{"config.json", "vocab.json", "merges.txt"}));
}

TEST(HubSelect, FoldersOfModules) {
  const std::string modules = R"([{"type": "x.Transformer", "path": "0_T"}, {"type": "x.Pooling", "path": "1_P/"},
                                  {"type": "x.Normalize", "path": "2_N"}])";
  const auto names = selected({"modules.json", "0_T/config.json", "0_T/model.safetensors", "1_P/config.json",
                               "3_Other/config.json", "model.safetensors"},
                              modules);
  EXPECT_EQ(names,
            (std::vector<std::string>{"modules.json", "0_T/config.json", "1_P/config.json", "0_T/model.safetensors"}));
}

TEST(HubSelect, RefusesWhatIsNoModel) {
  expect_contains(load_error([] { (void)selected({"README.md"}); }), {"a/b", "no config.json"});
  expect_contains(load_error([] { (void)selected({"config.json", "m.gguf"}); }), {"no weights", "m.gguf"});
  expect_contains(load_error([] {
                    (void)selected({"modules.json", "config.json"}, R"([{"type": "x.Transformer", "path": "../x"}])");
                  }),
                  {"modules.json", "../x"});
}

// Sets variables, and puts back what they were.
class Environment {
 public:
  explicit Environment(std::initializer_list<std::pair<const char*, const char*>> values) {
    for (const auto& [name, value] : values) {
      const char* old = std::getenv(name);
      old_.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
      if (value == nullptr) {
        ::unsetenv(name);
      } else {
        ::setenv(name, value, 1);
      }
    }
  }
  ~Environment() {
    for (const auto& [name, value] : old_) {
      if (value) {
        ::setenv(name, value->c_str(), 1);
      } else {
        ::unsetenv(name);
      }
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> old_;
};

TEST(HubSettings, Places) {
  const Environment clean({{"HF_HOME", nullptr},
                           {"HF_HUB_CACHE", nullptr},
                           {"HUGGINGFACE_HUB_CACHE", nullptr},
                           {"HF_ENDPOINT", nullptr},
                           {"HF_TOKEN", nullptr},
                           {"HUGGING_FACE_HUB_TOKEN", nullptr},
                           {"HF_TOKEN_PATH", nullptr},
                           {"XDG_CACHE_HOME", nullptr},
                           {"HF_HUB_OFFLINE", nullptr},
                           {"TRANSFORMERS_OFFLINE", nullptr},
                           {"HOME", "/home/me"}});
  EXPECT_EQ(Settings::from_environment().cache, "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(Settings::from_environment().endpoint, "https://huggingface.co");
  EXPECT_FALSE(Settings::from_environment().offline);
  {
    const Environment set({{"XDG_CACHE_HOME", "/x"}});
    EXPECT_EQ(Settings::from_environment().cache, "/x/huggingface/hub");
  }
  {
    const Environment set({{"HF_HOME", "~/hf"}, {"HF_ENDPOINT", "http://localhost:1/"}, {"HF_HUB_OFFLINE", "on"}});
    EXPECT_EQ(Settings::from_environment().cache, "/home/me/hf/hub");
    EXPECT_EQ(Settings::from_environment().endpoint, "http://localhost:1");
    EXPECT_TRUE(Settings::from_environment().offline);
  }
  {
    const Environment set({{"HF_HOME", "/hf"}, {"HF_HUB_CACHE", "/cache/"}, {"HF_TOKEN", " hf_x\n"}});
    EXPECT_EQ(Settings::from_environment().cache, "/cache");
    EXPECT_EQ(Settings::from_environment().token, "hf_x");
  }
  {
    const Environment set({{"HF_TOKEN", "a\nb"}});
    EXPECT_THROW(Settings::from_environment(), UsageError);
  }
}

}  // namespace
}  // namespace wde::hub
