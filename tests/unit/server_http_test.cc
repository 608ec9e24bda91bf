#include "server/http.h"

#include <gtest/gtest.h>

namespace wde::server {
namespace {

TEST(ServerHttp, SplitsTargets) {
  std::string path, query;
  EXPECT_TRUE(split_target("/a/b?c=d&e", path, query));
  EXPECT_EQ(path, "/a/b");
  EXPECT_EQ(query, "c=d&e");
  EXPECT_TRUE(split_target("/v1/models/BAAI%2Fbge", path, query));
  EXPECT_EQ(path, "/v1/models/BAAI/bge");
  EXPECT_TRUE(split_target("http://host:1/x", path, query));
  EXPECT_EQ(path, "/x");
  EXPECT_TRUE(split_target("HTTPS://host", path, query));
  EXPECT_EQ(path, "/");
  EXPECT_TRUE(split_target("*", path, query));
  for (const char* bad : {"", "x", "?a", "/%", "/%4", "/%g0", "/%00", "/%0a", "ftp://host/"}) {
    EXPECT_FALSE(split_target(bad, path, query)) << bad;
  }
}

TEST(ServerHttp, FramingMustBeBeyondDoubt) {
  const Headers host = {{"host", "a"}};
  const auto problem = [&](int version, Headers more) {
    more.insert(more.begin(), host.begin(), host.end());
    return framing_problem(version, more);
  };
  EXPECT_EQ(problem(11, {{"content-length", "12"}}), "");
  EXPECT_EQ(problem(11, {{"transfer-encoding", "Chunked"}}), "");
  EXPECT_EQ(framing_problem(10, {}), "");
  EXPECT_NE(framing_problem(11, {}), "");
  EXPECT_NE(problem(11, {{"host", "b"}}), "");
  EXPECT_NE(problem(10, {{"transfer-encoding", "chunked"}}), "");
  EXPECT_NE(problem(11, {{"transfer-encoding", "chunked"}, {"content-length", "1"}}), "");
  EXPECT_NE(problem(11, {{"content-length", "1"}, {"transfer-encoding", "chunked"}}), "");
  EXPECT_NE(problem(11, {{"content-length", "1"}, {"content-length", "1"}}), "");
  for (const char* bad : {"", "-1", "+1", "1,1", "0x1", " 1", "99999999999999999999"}) {
    EXPECT_NE(problem(11, {{"content-length", bad}}), "") << bad;
  }
  for (const char* bad : {"", "gzip", "chunked, gzip", "gzip, chunked", "chunke", "chunked\t"}) {
    EXPECT_NE(problem(11, {{"transfer-encoding", bad}}), "") << bad;
  }
}

TEST(ServerHttp, CancellationCallsOnce) {
  Cancellation client;
  int calls = 0;
  client.on_cancel([&] { ++calls; });
  EXPECT_FALSE(client.cancelled());
  client.cancel();
  client.cancel();
  EXPECT_EQ(calls, 1);
  client.on_cancel([&] { ++calls; });  // too late: at once
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace wde::server
