// Who asks, and how soon: what a key's line says, the number of a connection, and the priority of a request.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "server/dialects/routes.h"
#include "server/net/http_server.h"
#include "server/serving/doors.h"

namespace wde::server {
namespace {

class KeyFile {
 public:
  KeyFile() { write(""); }
  ~KeyFile() { std::filesystem::remove(path_); }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }
  // What is wrong with this content, without the path; "" if nothing is.
  std::string refusal(const std::string& content) const {
    write(content);
    try {
      (void)read_key_file(path_, "--api-key-file");
      return "";
    } catch (const UsageError& error) {
      const std::string said = error.what(), begin = "--api-key-file " + path_ + ":";
      EXPECT_TRUE(said.starts_with(begin)) << said;
      return said.substr(std::min(begin.size(), said.size()));
    }
  }

 private:
  const std::string path_ =
      (std::filesystem::temp_directory_path() / ("wde-sharing-" + std::to_string(::getpid()))).string();
};

HttpRequest with_key(const std::string& key) {
  HttpRequest request;
  request.headers.emplace_back("authorization", "Bearer " + key);
  return request;
}

TEST(ServerKeyFile, WordsAfterTheKey) {
  const KeyFile file;
  file.write(
      "\xEF\xBB\xBF"
      "plain\n"
      "  # weight=9\n"
      "\theavy\tweight=4  \r\n"
      "bulk priority=10 weight=0.01\n"
      "first weight=1e3 priority=-100\n"
      "weight=3\n"
      "a=b weight=1000.0\n"
      "plain\n");
  const std::vector<ApiKey> keys = read_key_file(file.path(), "--api-key-file");
  struct Expected {
    const char* key;
    double weight;
    int earliest;
  };
  const std::vector<Expected> expected = {{"plain", 1, 0},       {"heavy", 4, 0},    {"bulk", 0.01, 10},
                                          {"first", 1000, -100}, {"weight=3", 1, 0}, {"a=b", 1000, 0}};
  ASSERT_EQ(keys.size(), expected.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].key, expected[i].key);
    EXPECT_EQ(keys[i].caller.weight, expected[i].weight) << keys[i].key;
    EXPECT_EQ(keys[i].caller.earliest, expected[i].earliest) << keys[i].key;
    for (size_t other = 0; other < i; ++other) EXPECT_NE(keys[i].caller.flow, keys[other].caller.flow);
  }
}

TEST(ServerKeyFile, RefusesWithTheLine) {
  const KeyFile file;
  const std::string words =
      ": expected a key, which has no blanks, and after it weight=NUMBER, priority=NUMBER or nothing; found another "
      "word";
  for (const char* word : {"my secret", "my secret weight=2", "key weight", "key weight = 4", "key Weight=4",
                           "key priority:3", "key # main", "key weight=4,priority=1 more", "key =4"}) {
    const std::string said = file.refusal(std::string("one\n") + word + "\n");
    EXPECT_TRUE(said == "2" + words || said.starts_with("2: weight is ")) << said;
    EXPECT_EQ(said.find("secret"), std::string::npos) << said;
  }
  for (const char* value : {"", "0", "-1", "0.009", "1000.1", "1e4", "inf", "nan", "4x", "0x4", "+4", "four"}) {
    EXPECT_EQ(file.refusal(std::string("\nkey weight=") + value),
              std::string("2: weight is \"") + value + "\", expected a number from 0.01 to 1000");
  }
  for (const char* value : {"", "101", "-101", "1.5", "1e1", "+1", "99999999999", "low"}) {
    EXPECT_EQ(file.refusal(std::string("key priority=") + value),
              std::string("1: priority is \"") + value + "\", expected a whole number from -100 to 100");
  }
  EXPECT_EQ(file.refusal("key weight=\x01\xC3\xBC"), "1: weight is \"???\", expected a number from 0.01 to 1000");
  EXPECT_EQ(file.refusal("key weight=1 weight=1"), "1: weight is there twice");
  EXPECT_EQ(file.refusal("key priority=1 weight=1 priority=2"), "1: priority is there twice");
  EXPECT_EQ(file.refusal("key weight=2\nother\nkey weight=3\n"),
            "3: the key of line 1 again, with another weight or priority");
  EXPECT_EQ(file.refusal("key\n\nkey priority=1\n"), "3: the key of line 1 again, with another weight or priority");
  EXPECT_EQ(file.refusal("key weight=2\nkey weight=2.0 priority=0\n"), "");
  EXPECT_EQ(file.refusal("one\nschl\xC3\xBCssel weight=1\n"),
            "2: a key has a character that no header can carry; expected letters, digits and signs of ASCII, without "
            "blanks");
}

TEST(ServerKeyFile, DoorsTellWhoAsks) {
  const KeyFile file;
  file.write("one weight=4 priority=-5\ntwo\nboth weight=7\n");
  DoorOptions options;
  options.keys.add("fixed", "--api-key");
  options.keys.add("both", "--api-key");
  options.keys.add_file(file.path(), "--api-key-file");
  options.admin_keys.add("root", "--admin-key");
  Doors doors(std::move(options));
  const auto ask = [&](const std::string& key) {
    HttpRequest head = with_key(key);
    head.method = "POST";
    head.caller.flow = 77;
    EXPECT_EQ(doors.refuse(head, {.media = Doors::Media::kOther}).has_value(), key == "none") << key;
    return head.caller;
  };
  const Caller one = ask("one"), two = ask("two"), fixed = ask("fixed"), root = ask("root");
  EXPECT_EQ(one.weight, 4);
  EXPECT_EQ(one.earliest, -5);
  EXPECT_EQ(two.weight, 1);
  EXPECT_EQ(two.earliest, 0);
  const std::set<uint64_t> flows{one.flow, two.flow, fixed.flow, root.flow, 77};
  EXPECT_EQ(flows.size(), 5U);
  EXPECT_EQ(ask("both").weight, 7);  // the file says more
  EXPECT_EQ(ask("none").flow, 77U);
  EXPECT_TRUE(doors.weigh());
  // Read again: the number is still the key's, the rest is as the file has it now.
  file.write("two priority=3\none weight=2\n");
  doors.reload();
  EXPECT_EQ(ask("one").flow, one.flow);
  EXPECT_EQ(ask("one").weight, 2);
  EXPECT_EQ(ask("one").earliest, 0);
  EXPECT_EQ(ask("two").flow, two.flow);
  EXPECT_EQ(ask("two").earliest, 3);
  // What cannot be read changes nothing.
  file.write("two weight=0\n");
  EXPECT_THROW(doors.reload(), UsageError);
  EXPECT_EQ(ask("one").weight, 2);
  file.write("one\n");
  doors.reload();
  EXPECT_FALSE(doors.weigh());
}

TEST(ServerKeyFile, WithoutKeysTheConnectionAsks) {
  Doors doors{DoorOptions()};
  HttpRequest head = with_key("any");
  head.method = "POST";
  head.caller.flow = 77;
  EXPECT_FALSE(doors.refuse(head, {.media = Doors::Media::kOther}).has_value());
  EXPECT_EQ(head.caller.flow, 77U);
}

// Answers at once, and notes whose connection asked.
class Noter final : public HttpHandler {
 public:
  std::optional<HttpResponse> refuse(HttpRequest&) override { return std::nullopt; }
  void handle(std::shared_ptr<HttpRequest> request, Respond respond) override {
    {
      const std::scoped_lock lock(mutex_);
      flows_.push_back(request->caller.flow);
    }
    respond({});
  }
  bool is_probe(const HttpRequest&) override { return false; }
  HttpResponse refusal(int, const std::string&, const HttpRequest&) override { return {}; }
  void drain() override {}
  std::vector<uint64_t> flows() const {
    const std::scoped_lock lock(mutex_);
    return flows_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<uint64_t> flows_;
};

TEST(ServerSharing, AConnectionIsAFlow) {
  HttpOptions options;
  options.port = 0;
  Noter noter;
  const auto server = HttpServer::create(options, noter);
  const std::string address = server->address();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::thread thread([&] { (void)server->run(); });
  constexpr std::string_view kOne = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
  const auto ask = [&](int fd, size_t times) {
    std::string sent;
    for (size_t i = 0; i < times; ++i) sent += kOne;
    EXPECT_EQ(::send(fd, sent.data(), sent.size(), MSG_NOSIGNAL), static_cast<ssize_t>(sent.size()));
    std::string got;
    char buffer[4096];
    const auto answers = [&] {
      size_t count = 0;
      for (size_t at = got.find("\r\n\r\n"); at != std::string::npos; at = got.find("\r\n\r\n", at + 1)) ++count;
      return count;
    };
    while (answers() < times) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      ASSERT_GT(n, 0);
      got.append(buffer, static_cast<size_t>(n));
    }
  };
  int connections[2];
  for (int& fd : connections) {
    fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  ask(connections[0], 1);
  ask(connections[1], 2);  // the second before the first is answered
  ask(connections[0], 1);  // kept open
  for (const int fd : connections) ::close(fd);
  server->drain();
  thread.join();
  const std::vector<uint64_t> flows = noter.flows();
  ASSERT_EQ(flows.size(), 4U);
  EXPECT_EQ(flows[1], flows[2]);
  EXPECT_EQ(flows[0], flows[3]);
  EXPECT_NE(flows[0], flows[1]);
  EXPECT_NE(flows[0], flow_of("a key"));
}

struct Asked {
  std::string path = "/v1/embeddings", body = R"({"input": "a")";  // "}" comes after `priority`
  std::string priority = {};                                       // of the body, as JSON; "": not there
  std::vector<std::string> headers = {};
  Caller caller = {};
  bool shares = true;
};

Plan plan_of(const Asked& asked) {
  auto facts = std::make_shared<ModelFacts>();
  facts->name = "m";
  facts->tasks = {"embed", "token_embed", "classify", "score", "token_classify", "sparse"};
  facts->default_task = "embed";
  facts->info.dimensions = 2;
  facts->info.max_length = 16;
  facts->info.labels = {"good", "bad"};
  facts->info.sharing = asked.shares;
  HttpRequest http;
  http.path = asked.path;
  http.caller = asked.caller;
  for (const std::string& value : asked.headers) http.headers.emplace_back("x-request-priority", value);
  const RouteMatch match = find_route(http.path);
  EXPECT_NE(match.route, nullptr) << asked.path;
  std::string body = asked.body + (asked.priority.empty() ? "" : ", \"priority\": " + asked.priority) + "}";
  const JsonDocument document(body);
  const ApiRules rules;
  const PlanContext context{http, document.root(), match.dialect, rules,
                            [&](std::string_view, TaskList) { return facts; }};
  return make_plan(match.route->planner, context);
}

int priority_of(const Asked& asked) { return plan_of(asked).sharing.priority; }

std::string refusal(const Asked& asked, Fault fault = Fault::kInvalid) {
  try {
    plan_of(asked);
    return "";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.fault, fault) << error.what();
    EXPECT_EQ(error.param, "priority") << error.what();
    return error.what();
  }
}

TEST(ServerPriority, OfTheBodyOnEveryRoute) {
  const std::vector<std::pair<std::string, std::string>> bodies = {
      {"/v1/embeddings", R"({"input": "a")"},
      {"/embeddings", R"({"input": ["a", "b"])"},
      {"/openai/deployments/m/embeddings", R"({"input": "a")"},
      {"/embed", R"({"inputs": "a")"},
      {"/embed_all", R"({"inputs": "a")"},
      {"/embed_sparse", R"({"inputs": "a")"},
      {"/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"]})"},
      {"/predict", R"({"inputs": "a")"},
      {"/token_classify", R"({"inputs": "a")"},
      {"/tei/rerank", R"({"query": "a", "texts": ["b"])"},
      {"/tokenize", R"({"inputs": "a")"},
      {"/vllm/tokenize", R"({"prompt": "a")"},
      {"/decode", R"({"ids": [1])"},
      {"/detokenize", R"({"tokens": [1])"},
      {"/vertex", R"({"instances": [{"inputs": "a"}])"},
      {"/invocations", R"({"inputs": "a")"},
      {"/", R"({"inputs": "a")"},
      {"/rerank", R"({"query": "a", "documents": ["b"])"},
      {"/v2/rerank", R"({"query": "a", "documents": ["b"], "max_chunks_per_doc": 3)"},
      {"/v2/embed", R"({"texts": ["a"], "input_type": "classification", "embedding_types": ["float"])"},
      {"/pooling", R"({"input": "a")"},
      {"/score", R"({"queries": "a", "documents": "b")"},
      {"/classify", R"({"input": "a")"},
      {"/api/embed", R"({"input": "a")"},
      {"/api/embeddings", R"({"prompt": "a")"},
      {"/weaviate/vectors", R"({"text": "a")"},
      {"/weaviate/rerank", R"({"query": "a", "documents": ["b"])"},
      {"/v2/models/m/infer", R"({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}])"},
  };
  for (const auto& [path, body] : bodies) {
    const Plan plan = plan_of({.path = path, .body = body, .priority = "7"});
    EXPECT_EQ(plan.sharing.priority, 7) << path;
    EXPECT_TRUE(plan.warnings.empty()) << path << ": " << plan.warnings[0];
    EXPECT_EQ(priority_of({.path = path, .body = body}), 0) << path;
    EXPECT_EQ(priority_of({.path = path, .body = body, .headers = {"9"}}), 9) << path;
    EXPECT_NE(refusal({.path = path, .body = body, .priority = "\"7\""}), "") << path;
  }
}

TEST(ServerPriority, Values) {
  const std::vector<std::pair<const char*, int>> right = {{"0", 0},   {"-0", 0},   {"100", 100},
                                                          {"5.0", 5}, {"1e1", 10}, {"null", 0}};
  for (const auto& [json, value] : right) EXPECT_EQ(priority_of({.priority = json}), value) << json;
  for (const char* json : {"101", "-101", "1.5", "\"3\"", "\"\"", "true", "[1]", "{}", "1e30", "9223372036854775808"}) {
    EXPECT_EQ(refusal({.priority = json}), "`priority` must be a whole number from -100 to 100") << json;
  }
  EXPECT_EQ(refusal({.priority = "1, \"priority\": 1"}), "`priority` is there twice");
  for (const char* value : {"0", "7", "100"}) EXPECT_EQ(priority_of({.headers = {value}}), std::atoi(value));
  for (const char* value : {"", " 7", "7 ", "+7", "7.0", "101", "-101", "low", "7,7", "0x7", "99999999999"}) {
    EXPECT_EQ(refusal({.headers = {value}}), "X-Request-Priority must be a whole number from -100 to 100") << value;
  }
}

TEST(ServerPriority, OfHeaderAndBody) {
  EXPECT_EQ(priority_of({.priority = "7", .headers = {"7"}}), 7);
  EXPECT_EQ(priority_of({.headers = {"7", "7"}}), 7);
  EXPECT_EQ(priority_of({.priority = "null", .headers = {"7"}}), 7);
  EXPECT_EQ(refusal({.priority = "0", .headers = {"7"}}),
            "`priority` is 0, but the header X-Request-Priority is 7: send one of them, or the same twice");
  EXPECT_EQ(refusal({.headers = {"7", "8"}}), "X-Request-Priority is there twice, with different numbers");
}

TEST(ServerPriority, AsEarlyAsTheCallerMay) {
  const std::string advice = "(lower is earlier); the server's --api-key-file can allow its key more: KEY priority=";
  EXPECT_EQ(refusal({.priority = "-1"}, Fault::kForbidden),
            "`priority` is -1, and this client's requests may have 0 at the earliest " + advice + "-1");
  EXPECT_EQ(refusal({.headers = {"-1"}}, Fault::kForbidden),
            "`priority` is -1, and this client's requests may have 0 at the earliest " + advice + "-1");
  const Caller early{.flow = 5, .weight = 3, .earliest = -5}, bulk{.earliest = 10};
  EXPECT_EQ(priority_of({.priority = "-5", .caller = early}), -5);
  EXPECT_EQ(priority_of({.caller = early}), 0);
  EXPECT_NE(refusal({.priority = "-6", .caller = early}, Fault::kForbidden), "");
  EXPECT_EQ(priority_of({.caller = bulk}), 10);
  EXPECT_EQ(priority_of({.priority = "11", .caller = bulk}), 11);
  EXPECT_NE(refusal({.priority = "9", .caller = bulk}, Fault::kForbidden), "");
  const Sharing sharing = plan_of({.caller = early}).sharing;
  EXPECT_EQ(sharing.flow, 5U);
  EXPECT_EQ(sharing.weight, 3);
}

TEST(ServerPriority, NeedsASchedulerThatShares) {
  EXPECT_EQ(priority_of({.priority = "0", .shares = false}), 0);
  EXPECT_EQ(refusal({.priority = "1", .shares = false}),
            "`priority` is 1, and this server has no priorities but 0: start it with --scheduler fair");
  EXPECT_EQ(priority_of({.caller = {.earliest = 10}, .shares = false}), 10);  // said by nobody who could be told
}

TEST(ServerPriority, PartsHaveNone) {
  const Plan nested = plan_of({.path = "/embed", .body = R"({"inputs": "a", "parameters": {"priority": 3})"});
  EXPECT_EQ(nested.sharing.priority, 0);
  EXPECT_EQ(nested.warnings, std::vector<std::string>{"without effect here: parameters.priority"});
  const Plan instance = plan_of({.path = "/vertex", .body = R"({"instances": [{"inputs": "a", "priority": 3}])"});
  EXPECT_EQ(instance.sharing.priority, 0);
  EXPECT_EQ(instance.warnings, std::vector<std::string>{"without effect here: priority"});
  EXPECT_EQ(
      plan_of({.path = "/vertex", .body = R"({"instances": [{"inputs": "a"}])", .priority = "3"}).sharing.priority, 3);
  try {
    plan_of({.path = "/v2/models/m/infer", .body = R"({"parameters": {"priority": 1}, "inputs": [])"});
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_STREQ(error.what(),
                 "`parameters.priority` is not offered, since Triton's numbers mean something else: send `priority` "
                 "next to `inputs`");
  }
}

}  // namespace
}  // namespace wde::server
