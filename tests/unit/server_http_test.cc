#include "server/net/http.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "server/net/chunked.h"

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

// What comes of `content` in pieces of `step` bytes: the body and what is left, or "" and the result's number.
std::string decoded(std::string_view content, size_t step, size_t limit = 100) {
  ChunkedDecoder decoder(limit);
  std::string body;
  for (;;) {
    size_t taken = 0;
    const auto result = decoder.take(content.substr(0, step), taken, body);
    content.remove_prefix(taken);
    if (result == ChunkedDecoder::Result::kDone) return body + "|" + std::string(content);
    if (result != ChunkedDecoder::Result::kMore) return std::to_string(static_cast<int>(result));
    if (content.empty()) return "more";
  }
}

TEST(ServerHttp, ChunksInPiecesOfAnySize) {
  for (size_t step : {1, 2, 3, 5, 1000}) {
    EXPECT_EQ(decoded("3\r\nabc\r\n0\r\n\r\nGET", step), "abc|GET");
    EXPECT_EQ(decoded("0\r\n\r\n", step), "|");
    EXPECT_EQ(decoded("0A;x=\"y\"\r\n0123456789\r\n000\r\nT: v\r\nU: w\r\n\r\n", step), "0123456789|");
    EXPECT_EQ(decoded("3\r\nabc\r\n", step), "more");
    EXPECT_EQ(decoded("65\r\n", step), "3");  // kTooLarge
    EXPECT_EQ(decoded("64\r\n" + std::string(100, 'x') + "\r\n1\r\n", step), "3");
    EXPECT_EQ(decoded("fffffffffffffff\r\n", step), "3");
    for (const char* bad :
         {"\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\rx", "1\r\nab", "1\r\na\n",
          "1\r\na\r\r", "ffffffffffffffff\r\n", "1;\x01\r\n", "0\r\nT: \n", "0\r\n\rx", ";\r\n"}) {
      EXPECT_EQ(decoded(bad, step), "2") << bad;  // kBad
    }
    EXPECT_EQ(decoded("1;" + std::string(10000, 'x'), step), "2");
    EXPECT_EQ(decoded("0\r\n" + std::string(10000, 'x'), step), "2");
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
