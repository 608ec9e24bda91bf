// What the server's network counts and what its log leaves out: memory that is held after a client has gone, bodies in
// gzip, equal lines.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/net/http_gzip.h"
#include "server/net/http_server.h"
#include "server/observe/access_log.h"
#include "server/observe/repeats.h"

namespace wde::server {
namespace {

TEST(ServerMemory, ChargesCountUntilTheyEnd) {
  const auto budget = std::make_shared<MemoryBudget>(100);
  MemoryCharge a(budget), nobodys;
  EXPECT_TRUE(a.try_set(60));
  EXPECT_TRUE(nobodys.try_set(1000));
  {
    MemoryCharge b(budget);
    EXPECT_FALSE(b.try_set(41));
    EXPECT_TRUE(b.try_set(40));
    EXPECT_EQ(budget->used(), 100U);
    a = std::move(b);  // the old one ends with b
  }
  EXPECT_EQ(budget->used(), 40U);
  const MemoryCharge copy = a;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(copy.bytes(), 0U);
  a.set(7);
  EXPECT_EQ(budget->used(), 7U);
  a = {};
  EXPECT_EQ(budget->used(), 0U);
}

// Keeps what it gets, as a queue does.
class Keeper final : public HttpHandler {
 public:
  std::optional<HttpResponse> refuse(HttpRequest&) override { return std::nullopt; }
  void handle(std::shared_ptr<HttpRequest> request, Respond) override {
    const std::scoped_lock lock(mutex_);
    kept_.push_back(std::move(request));
  }
  bool is_probe(const HttpRequest&) override { return false; }
  HttpResponse refusal(int status, const std::string&, const HttpRequest&) override {
    HttpResponse response;
    response.status = status;
    return response;
  }
  void drain() override {}

  size_t cancelled() const {
    const std::scoped_lock lock(mutex_);
    size_t count = 0;
    for (const auto& request : kept_) count += request->client->cancelled() ? 1 : 0;
    return count;
  }
  void forget() {
    const std::scoped_lock lock(mutex_);
    kept_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<HttpRequest>> kept_;
};

int post(uint16_t port, size_t bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  const std::string text = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(bytes) +
                           "\r\n\r\n" + std::string(bytes, 'x');
  EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  return fd;
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(ServerMemory, BodiesCountAfterTheirClientsHaveLeft) {
  HttpOptions options;
  options.port = 0;
  options.max_buffered_bytes = 100'000;
  Keeper keeper;
  const auto server = HttpServer::create(options, keeper);
  const std::string address = server->address();
  const auto port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  std::thread thread([&] { (void)server->run(); });
  for (int i = 0; i < 3; ++i) ::close(post(port, 30'000));
  EXPECT_TRUE(eventually([&] { return keeper.cancelled() == 3; }));
  EXPECT_EQ(server->counts().buffered, 90'000U);
  const int refused = post(port, 30'000);
  char answer[13] = {};
  EXPECT_EQ(::recv(refused, answer, 12, MSG_WAITALL), 12);
  EXPECT_STREQ(answer, "HTTP/1.1 503");
  ::close(refused);
  keeper.forget();
  EXPECT_TRUE(eventually([&] { return server->counts().buffered == 0; }));
  server->drain();
  thread.join();
}

TEST(ServerGzip, SizesAndDamage) {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += std::to_string(i * 7919 % 1000) + ",";
  const std::string packed = gzip(text).value();
  EXPECT_LT(packed.size(), text.size() * 2 / 3);
  std::string out;
  EXPECT_EQ(gunzip(packed, text.size(), out), Gunzip::kDone);
  EXPECT_EQ(out, text);
  EXPECT_EQ(gunzip(packed, text.size() - 1, out), Gunzip::kTooLarge);
  EXPECT_EQ(gunzip(packed + packed, 2 * text.size(), out), Gunzip::kDone);
  EXPECT_EQ(out, text + text);
  for (size_t cut : {size_t{0}, size_t{5}, packed.size() / 2, packed.size() - 1}) {
    EXPECT_EQ(gunzip(packed.substr(0, cut), text.size(), out), Gunzip::kDamaged) << cut;
  }
  EXPECT_FALSE(gzip(std::string(100'000, '\0') + "x").value().empty());
}

TEST(ServerLog, EqualLinesAreCounted) {
  Repeats repeats;
  const Repeats::Time start{};
  size_t written = 0;
  for (int i = 0; i < 100; ++i) written += repeats.allow("400 a", start) ? 1 : 0;
  EXPECT_EQ(written, Repeats::kLines);
  EXPECT_TRUE(repeats.allow("400 b", start));
  EXPECT_TRUE(repeats.take_left_out(start, false).empty());
  const auto later = start + Repeats::kWindow;
  const auto told = repeats.take_left_out(later, false);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, "400 a");
  EXPECT_EQ(told[0].lines, 100 - Repeats::kLines);
  EXPECT_EQ(repeats.left_out(), 100 - Repeats::kLines);
  EXPECT_TRUE(repeats.allow("400 a", later));
  // However many kinds a client makes, there is an end to them.
  for (int i = 0; i < 100'000; ++i) written += repeats.allow(std::to_string(i), later) ? 1 : 0;
  EXPECT_LT(written, 2 * Repeats::kKinds + 2 * Repeats::kLines);
}

TEST(ServerLog, ValuesAreEscaped) {
  EXPECT_EQ(log_value("plain-1"), "plain-1");
  EXPECT_EQ(log_value(""), "\"\"");
  EXPECT_EQ(log_value("a b"), "\"a b\"");
  EXPECT_EQ(log_value("a=b"), "\"a=b\"");
  EXPECT_EQ(log_value("a\"\n\\"), R"("a\"\n\\")");
  EXPECT_EQ(log_value("\x7F\xC2\x9B"), R"("\u007f\u009b")");
  EXPECT_EQ(log_path("/a b/\xC3\xA4%\"\n"), "/a%20b/%C3%A4%25%22%0A");
  EXPECT_EQ(log_path(""), "-");
}

}  // namespace
}  // namespace wde::server
