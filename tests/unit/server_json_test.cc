#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/json/json_in.h"
#include "server/json/json_out.h"

namespace wde::server {
namespace {

using Json = nlohmann::json;

TEST(ServerJsonOut, WritesWhatReadsBack) {
  JsonOut out;
  const std::string text = std::string("a\"\\\n\t\x01\x7F ä€😀", 18);
  const std::vector<float> floats = {0, -0.0F, 1, -1.5F, 1e-45F, 3.4028235e38F, 0.1F, -1.17549435e-38F};
  const std::vector<int32_t> ids = {0, -1, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  out.open('{').key("t").text(text).key("f").floats(floats).key("i").integers(ids).key("b").boolean(true);
  out.key("n").null().key("e").open('[').close(']').key("r").rows(floats, 4).key("d").number(0.25).close('}');
  const Json found = Json::parse(out.view());
  EXPECT_EQ(found["t"].get<std::string>(), text);
  EXPECT_EQ(found["f"].get<std::vector<float>>(), floats);
  EXPECT_EQ(found["i"].get<std::vector<int32_t>>(), ids);
  EXPECT_EQ(found["r"].size(), 2U);
  EXPECT_TRUE(found["n"].is_null());
}

TEST(ServerJsonOut, ReplacesWhatIsNoUtf8) {
  JsonOut out;
  out.text("a\xFF\xC0\x80\xED\xA0\x80z");
  const auto found = Json::parse(out.view()).get<std::string>();
  EXPECT_EQ(found.front(), 'a');
  EXPECT_EQ(found.back(), 'z');
}

TEST(ServerJsonOut, Base64) {
  const auto of = [](std::string text) {
    return base64(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("foob"), "Zm9vYg==");
  EXPECT_EQ(of("\xFF\xFE\xFD"), "//79");
  const std::vector<float> one = {1.0F};
  EXPECT_EQ(base64(std::span<const float>(one)), "AACAPw==");
}

Fault fault_of(std::string body, const std::function<void(const Fields&)>& use) {
  try {
    const JsonDocument document(body);
    use(Fields(document.root()));
  } catch (const ApiError& error) {
    EXPECT_FALSE(std::string(error.what()).empty());
    return error.fault;
  }
  return Fault::kInternal;  // none
}

TEST(ServerJsonIn, RefusesWhatIsNoJson) {
  const auto nothing = [](const Fields&) {};
  for (const char* bad :
       {"", " ", "{", "{}{}", "{\"a\":}", "{'a':1}", "{\"a\":NaN}", "{\"a\":01}", "{\"a\":\"\xFF\"}", "nul"}) {
    EXPECT_EQ(fault_of(bad, nothing), Fault::kSyntax) << bad;
  }
  EXPECT_EQ(fault_of(std::string(40, '[') + std::string(40, ']'), nothing), Fault::kSyntax);
  EXPECT_EQ(fault_of("[]", nothing), Fault::kInvalid);
  EXPECT_EQ(fault_of("{}", nothing), Fault::kInternal);
}

TEST(ServerJsonIn, LargeIntegersAreJson) {
  std::string body =
      R"({"a\\":"12345678901234567890123","b":[123456789012345678901234567890,-98765432109876543210],"c":7.0})";
  const JsonDocument document(body);
  const Fields fields(document.root());
  EXPECT_EQ(fields.text("a\\"), "12345678901234567890123");
  EXPECT_EQ(fields.need("b").size(), 2U);
  EXPECT_EQ(fields.whole("c", 0, 9), 7);
  EXPECT_EQ(fault_of(R"({"a":00000000000000000000001})", [](const Fields&) {}), Fault::kSyntax);
  EXPECT_EQ(fault_of(R"({"a":123456789012345678901234567890})", [](const Fields& f) { (void)f.whole("a", 0, 9); }),
            Fault::kInvalid);
}

TEST(ServerJsonIn, FieldsSayWhatIsWrong) {
  const auto use = [](auto take) { return [take](const Fields& fields) { (void)take(fields); }; };
  EXPECT_EQ(fault_of(R"({"a":1,"a":2})", use([](const Fields& f) { return f.find("a"); })), Fault::kInvalid);
  EXPECT_EQ(fault_of(R"({"a":1})", use([](const Fields& f) { return f.text("a"); })), Fault::kInvalid);
  EXPECT_EQ(fault_of(R"({"a":"1"})", use([](const Fields& f) { return f.flag("a"); })), Fault::kInvalid);
  EXPECT_EQ(fault_of(R"({"a":7})", use([](const Fields& f) { return f.whole("a", 0, 6); })), Fault::kInvalid);
  EXPECT_EQ(fault_of(R"({"a":18446744073709551615})", use([](const Fields& f) { return f.whole("a", 0, 6); })),
            Fault::kInvalid);
  EXPECT_EQ(fault_of(R"({"a":"z"})", use([](const Fields& f) { return f.choice("a", {"x", "y"}); })), Fault::kInvalid);
  std::string body = R"({"a":null,"b":"Y","c":-3,"d":[1,2.5],"e":true})";
  const JsonDocument document(body);
  const Fields fields(document.root());
  EXPECT_FALSE(fields.has("a"));
  EXPECT_EQ(fields.choice("b", {"x", "y"}), 1U);
  EXPECT_EQ(fields.whole("c", -5, 5), -3);
  EXPECT_EQ(fields.find("d")->size(), 2U);
  EXPECT_EQ(fields.flag("e"), true);
}

}  // namespace
}  // namespace wde::server
