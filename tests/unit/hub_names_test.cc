#include "loader/hub/names.h"

#include <gtest/gtest.h>

#include "loader/hub/digest.h"
#include "loader/hub/http.h"
#include "loader_files.h"

namespace wde::hub {
namespace {

TEST(HubNames, Parses) {
  const auto plain = parse_name("BAAI/bge-small-en-v1.5");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->repo, "BAAI/bge-small-en-v1.5");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_FALSE(plain->revision_given);
  EXPECT_EQ(plain->folder(), "models--BAAI--bge-small-en-v1.5");

  const auto revised = parse_name("a_b/c.d@refs/pr/7");
  ASSERT_TRUE(revised);
  EXPECT_EQ(revised->repo, "a_b/c.d");
  EXPECT_EQ(revised->revision, "refs/pr/7");
  EXPECT_TRUE(revised->revision_given);
  EXPECT_EQ(revised->full(), "a_b/c.d@refs/pr/7");

  const auto bare = parse_name("bert-base-uncased");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->folder(), "models--bert-base-uncased");
}

TEST(HubNames, RefusesWhatIsNoName) {
  for (const char* text :
       {"",         "/",      "a/",       "/a",      "a/b/c", "..",      "../a", "a/..",  "a/.",
        ".a/b",     "-a/b",   "a/b-",     "a--b/c",  "a..b",  "a/b.git", "a b",  "a/b\n", "a/b@",
        "a/b@../x", "a/b@/x", "a/b@x//y", "a/b@x y", "a\\b",  "~/x",     "./x",  "ä/b",   "a/b@x@y"}) {
    EXPECT_FALSE(parse_name(text)) << text;
  }
  EXPECT_FALSE(parse_name(std::string(97, 'a')));
  EXPECT_TRUE(parse_name(std::string(96, 'a')));
  EXPECT_FALSE(parse_name(std::string("a/b\0c", 5)));
}

TEST(HubNames, FoldersOfTheCache) {
  EXPECT_EQ(repo_of_folder("models--a--b"), "a/b");
  EXPECT_EQ(repo_of_folder("models--a"), "a");
  for (const char* folder :
       {"datasets--a--b", "models--", "models--a--b--c", "models--..--b", ".locks", "models--a--"}) {
    EXPECT_FALSE(repo_of_folder(folder)) << folder;
  }
}

TEST(HubNames, SafePaths) {
  for (const char* path : {"config.json", "1_Pooling/config.json", "a/b/c", "...", ".gitattributes", "a b", "ü"}) {
    EXPECT_TRUE(is_safe_path(path)) << path;
  }
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\\b", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(is_safe_path(path)) << path;
  }
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a')));
  EXPECT_FALSE(is_safe_path(std::string(2000, 'a')));
}

TEST(HubNames, CommitsAndBlobs) {
  EXPECT_TRUE(is_commit(std::string(40, 'a')));
  for (const std::string& text :
       {std::string(39, 'a'), std::string(41, 'a'), std::string(40, 'A'), std::string(40, 'g')}) {
    EXPECT_FALSE(is_commit(text)) << text;
  }
  EXPECT_TRUE(is_blob_name("abc-1_2.x"));
  for (const char* text : {"", ".", "..", ".a", "a/b", "a b", "\"a\""}) EXPECT_FALSE(is_blob_name(text)) << text;
  EXPECT_FALSE(is_blob_name(std::string(201, 'a')));
}

TEST(HubNames, UrlQuoting) {
  EXPECT_EQ(url_quote("refs/pr/7"), "refs%2Fpr%2F7");
  EXPECT_EQ(url_quote("1_Pooling/a b.json", "/"), "1_Pooling/a%20b.json");
  EXPECT_EQ(url_quote("?#%\xc3\xa4"), "%3F%23%25%C3%A4");
}

TEST(HubHttp, Origins) {
  EXPECT_EQ(origin_of("https://huggingface.co/x?y"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("HTTP://LocalHost:8080"), "http://localhost:8080");
  EXPECT_NE(origin_of("https://huggingface.co"), origin_of("https://huggingface.co.evil.com"));
  EXPECT_NE(origin_of("https://huggingface.co"), origin_of("https://huggingface.co@evil.com"));
  EXPECT_NE(origin_of("https://huggingface.co"), origin_of("https://huggingface.co:444"));
  for (const char* url : {"", "file:///etc/passwd", "ftp://a/b", "x", "//a/b"}) EXPECT_EQ(origin_of(url), "") << url;
}

TEST(HubDigest, KnowsWhatAnEtagIs) {
  EXPECT_EQ(hash_kind(std::string(64, 'a')), HashKind::kSha256);
  EXPECT_EQ(hash_kind(std::string(40, '0')), HashKind::kGitSha1);
  EXPECT_EQ(hash_kind(std::string(32, '0')), HashKind::kNone);
  EXPECT_EQ(hash_kind(std::string(64, 'x')), HashKind::kNone);
}

TEST(HubDigest, HashesFiles) {
  const test::TempDirectory directory;
  const std::string file = directory.write("a", "hello\n");
  EXPECT_EQ(hash_file(file, HashKind::kSha256, {}), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(hash_file(file, HashKind::kGitSha1, {}), "ce013625030ba8dba906f756967f9e9ca394464a");
  const std::string empty = directory.write("b", "");
  EXPECT_EQ(hash_file(empty, HashKind::kGitSha1, {}), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

}  // namespace
}  // namespace wde::hub
