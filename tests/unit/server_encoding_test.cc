// Numbers of vLLM's embed_dtype, against torch's conversions, and pieces of documents.
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <tuple>

#include "server/dialects/shared/encoding.h"
#include "server/dialects/shared/pieces.h"

namespace wde::server {
namespace {

Encoding encoding_of(std::string body) {
  const JsonDocument document(body);
  return read_encoding(Fields(document.root()));
}

NumberFormat format_of(const std::string& name) {
  return encoding_of(R"({"encoding_format": "bytes", "embed_dtype": ")" + name + R"("})").number;
}

// torch.tensor(kValues).to(dtype), its bits.
const std::vector<float> kValues = {
    0.0F,           -0.0F,      1.0F,           -1.0F,          0.1F,           -0.0123456F,    0.33333334F,
    1e-3F,          6e-5F,      3.1e-8F,        5.9604645e-08F, 2.9802322e-08F, 3.0100345e-08F, 0.9999F,
    0.99951171875F, 0.9997559F, 6.1065672e-05F, 447.9F,         1e-40F,         0.0009765625F,  0.0029296875F,
    0.00146484375F, 1.0625F,    1.1875F,        1.125F,         1.375F};
const std::map<std::string, std::vector<uint32_t>> kBits = {
    {"float16",
     {0x0,    0x8000, 0x3c00, 0xbc00, 0x2e66, 0xa252, 0x3555, 0x1419, 0x3ef,  0x1,    0x1,    0x0,    0x1,
      0x3c00, 0x3bff, 0x3c00, 0x401,  0x5f00, 0x0,    0x1400, 0x1a00, 0x1600, 0x3c40, 0x3cc0, 0x3c80, 0x3d80}},
    {"bfloat16",
     {0x0,    0x8000, 0x3f80, 0xbf80, 0x3dcd, 0xbc4a, 0x3eab, 0x3a83, 0x387c, 0x3305, 0x3380, 0x3300, 0x3301,
      0x3f80, 0x3f80, 0x3f80, 0x3880, 0x43e0, 0x1,    0x3a80, 0x3b40, 0x3ac0, 0x3f88, 0x3f98, 0x3f90, 0x3fb0}},
    {"fp8_e4m3", {0x0,  0x80, 0x38, 0xb8, 0x1d, 0x86, 0x2b, 0x1, 0x0, 0x0,  0x0,  0x0,  0x0,
                  0x38, 0x38, 0x38, 0x0,  0x7e, 0x0,  0x0,  0x2, 0x1, 0x38, 0x3a, 0x39, 0x3b}},
    {"fp8_e5m2", {0x0,  0x80, 0x3c, 0xbc, 0x2e, 0xa2, 0x35, 0x14, 0x4,  0x0,  0x0,  0x0,  0x0,
                  0x3c, 0x3c, 0x3c, 0x4,  0x5f, 0x0,  0x14, 0x1a, 0x16, 0x3c, 0x3d, 0x3c, 0x3e}},
};

TEST(Encoding, RoundsAsTorchDoes) {
  for (const auto& [name, bits] : kBits) {
    const NumberFormat format = format_of(name);
    for (size_t i = 0; i < kValues.size(); ++i)
      EXPECT_EQ(rounded_bits(kValues[i], format), bits[i]) << name << " " << i;
  }
  for (const float value : kValues) {
    EXPECT_EQ(rounded_bits(value, format_of("float32")), std::bit_cast<uint32_t>(value)) << value;
  }
}

TEST(Encoding, RefusesWhatIsOutsideTheRange) {
  for (const auto& [name, largest, above] : std::vector<std::tuple<std::string, float, float>>{
           {"float16", 65519.0F, 65520.0F}, {"fp8_e4m3", 463.0F, 465.0F}, {"fp8_e5m2", 61439.0F, 61440.0F}}) {
    EXPECT_NO_THROW(rounded_bits(-largest, format_of(name))) << name;
    try {
      rounded_bits(above, format_of(name));
      ADD_FAILURE() << name;
    } catch (const ApiError& error) {
      EXPECT_EQ(error.fault, Fault::kInvalid);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

TEST(Encoding, WritesBytesInTheOrderThatWasAsked) {
  const std::vector<float> values = {1.0F, -2.0F};
  const auto bytes = [&](const std::string& rest) {
    return encoded_bytes(values, encoding_of(R"({"encoding_format": "bytes_only")" + rest + "}"));
  };
  EXPECT_EQ(bytes(""), std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8));
  EXPECT_EQ(bytes(R"(, "endianness": "big")"), std::string("\x3f\x80\x00\x00\xc0\x00\x00\x00", 8));
  EXPECT_EQ(bytes(R"(, "embed_dtype": "float16")"), std::string("\x00\x3c\x00\xc0", 4));
  EXPECT_EQ(bytes(R"(, "embed_dtype": "float16", "endianness": "big")"), std::string("\x3c\x00\xc0\x00", 4));
  EXPECT_EQ(bytes(R"(, "embed_dtype": "fp8_e5m2", "endianness": "little")"), std::string("\x3c\xc0", 2));
}

TEST(Encoding, RefusesWhatHasNoEffect) {
  for (const char* body :
       {R"({"embed_dtype": "float16"})", R"({"encoding_format": "float", "endianness": "big"})",
        R"({"encoding_format": "bytes", "embed_dtype": "int8"})", R"({"encoding_format": "blob"})"}) {
    EXPECT_THROW(encoding_of(body), ApiError) << body;
  }
  EXPECT_FALSE(encoding_of(R"({"embed_dtype": "float32", "endianness": "native"})").raw());
}

// One token a word; the words' places.
std::vector<TokenSpan> words_of(const std::string& text) {
  std::vector<TokenSpan> spans;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    spans.push_back({at, end});
    at = end + 1;
  }
  return spans;
}

TEST(Pieces, EndBetweenWords) {
  const std::string text = "aa bb cc dd ee";
  const std::vector<TokenSpan> words = words_of(text);
  using Texts = std::vector<std::string>;
  EXPECT_EQ(pieces_of(text, words, 5, {0, 9}), (Texts{text}));
  EXPECT_EQ(pieces_of(text, words, 2, {0, 9}), (Texts{"aa bb", "cc dd", "ee"}));
  EXPECT_EQ(pieces_of(text, words, 2, {0, 2}), (Texts{"aa bb", "cc dd"}));
  EXPECT_EQ(pieces_of(text, words, 9, {3, 0}), (Texts{"aa bb cc"}));
  EXPECT_EQ(pieces_of(text, words, 2, {3, 0}), (Texts{"aa bb", "cc"}));
  EXPECT_EQ(pieces_of(text, words, 1, {4, 3}), (Texts{"aa", "bb", "cc"}));
  // A word of several tokens is not cut where there is a blank in the second half; else it is.
  EXPECT_EQ(pieces_of("aa bbcc dd", {{0, 2}, {3, 5}, {5, 7}, {8, 10}}, 3, {0, 9}), (Texts{"aa bbcc", "dd"}));
  EXPECT_EQ(pieces_of("aa bb ccdd", {{0, 2}, {3, 5}, {6, 8}, {8, 10}}, 3, {0, 9}), (Texts{"aa bb", "ccdd"}));
  EXPECT_EQ(pieces_of("aabbcc", {{0, 2}, {2, 4}, {4, 6}}, 2, {0, 9}), (Texts{"aabb", "cc"}));
  EXPECT_EQ(pieces_of("   ", {}, 2, {1, 1}), (Texts{"   "}));
}

}  // namespace
}  // namespace wde::server
