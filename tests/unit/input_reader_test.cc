#include "cli/input_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace wde::cli {
namespace {

using std::string_literals::operator""s;

// A descriptor that reads `content` from its beginning.
class Memory {
 public:
  explicit Memory(const std::string& content) : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(descriptor_, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ::lseek(descriptor_, 0, SEEK_SET);
  }
  ~Memory() { ::close(descriptor_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// An item as "line:text", "line:query|document" or "line!".
std::vector<std::string> read(const std::string& content, InputFormat format, size_t max_line_bytes = kMaxLineBytes) {
  const Memory memory(content);
  LineSource source(memory.descriptor(), "memory", format, std::nullopt, max_line_bytes);
  std::vector<std::string> items;
  while (std::optional<InputItem> item = source.next()) {
    std::string shown = std::to_string(item->line);
    if (!item->request.ok()) {
      shown += "!";
    } else if (const auto* text = std::get_if<std::string>(&item->request.value().input)) {
      EXPECT_EQ(item->bytes, text->size());
      shown += ":" + *text;
    } else {
      const auto& pair = std::get<TextPair>(item->request.value().input);
      EXPECT_EQ(item->bytes, pair.query.size() + pair.document.size());
      shown += ":" + pair.query + "|" + pair.document;
    }
    items.push_back(shown);
  }
  return items;
}

std::string problem(std::string_view line) {
  const Result<Request> result = parse_json_line(line);
  return result.ok() ? "" : result.error().message;
}

using Items = std::vector<std::string>;

TEST(LineSource, TextTakesEveryLineAsItStands) {
  EXPECT_EQ(read("a\n\n  b \r\n\"c\"\nlast", InputFormat::kText), (Items{"1:a", "2:", "3:  b ", "4:\"c\"", "5:last"}));
  EXPECT_EQ(read("x\r\r\n", InputFormat::kText), (Items{"1:x\r"}));
  EXPECT_EQ(read("a\0b\n\xff\n"s, InputFormat::kText), (Items{"1:a\0b"s, "2:\xff"}));
  EXPECT_EQ(read("", InputFormat::kText), Items{});
  EXPECT_EQ(read("\n", InputFormat::kText), Items{"1:"});
}

TEST(LineSource, JsonlTakesStringsObjectsAndPairs) {
  EXPECT_EQ(read("\"a\"\n\n \t\r\n{\"text\": \"b\"}\r\n{\"query\":\"q\",\"document\":\"d\",\"id\":[1,{\"text\":2}]}",
                 InputFormat::kJsonl),
            (Items{"1:a", "4:b", "5:q|d"}));
  EXPECT_EQ(read("\"\\u0000\\ud83d\\ude00\"\n", InputFormat::kJsonl), (Items{"1:\0\xF0\x9F\x98\x80"s}));
}

TEST(LineSource, JsonlGoesOnAfterAMalformedLine) {
  EXPECT_EQ(read("oops\n\"a\"\n{\"text\":1}\n\"b\n\"c\"\n", InputFormat::kJsonl),
            (Items{"1!", "2:a", "3!", "4!", "5:c"}));
}

TEST(LineSource, AutoDecidesOnTheFirstLineThatIsNotEmpty) {
  EXPECT_EQ(read("\n\r\n\"a\"\nb\n", InputFormat::kAuto), (Items{"3:a", "4!"}));
  EXPECT_EQ(read("\n\r\na\n\"b\"\n", InputFormat::kAuto), (Items{"1:", "2:", "3:a", "4:\"b\""}));
  EXPECT_EQ(read("{\"other\":\"x\"}\n", InputFormat::kAuto), (Items{"1:{\"other\":\"x\"}"}));
  EXPECT_EQ(read("{\"text\":\"x\"}\n", InputFormat::kAuto), (Items{"1:x"}));
  EXPECT_EQ(read("12\n", InputFormat::kAuto), (Items{"1:12"}));
  EXPECT_EQ(read("", InputFormat::kAuto), Items{});
  EXPECT_EQ(read("\n\n", InputFormat::kAuto), (Items{"1:", "2:"}));
}

TEST(LineSource, DropsAByteOrderMarkAtTheBeginningOnly) {
  EXPECT_EQ(read("\xEF\xBB\xBF\"a\"\n", InputFormat::kAuto), (Items{"1:a"}));
  EXPECT_EQ(read("\xEF\xBB\xBFx\n\xEF\xBB\xBFy\n", InputFormat::kText), (Items{"1:x", "2:\xEF\xBB\xBFy"}));
}

TEST(LineSource, ALineThatIsTooLongIsAnErrorAndTheNextIsRead) {
  const std::string long_line(200'000, 'x');
  EXPECT_EQ(read("a\n" + long_line + "\nb\n", InputFormat::kText, 100'000), (Items{"1:a", "2!", "3:b"}));
  EXPECT_EQ(read("\"" + long_line + "\"\n\"b\"\n", InputFormat::kAuto, 100'000), (Items{"1!", "2:b"}));
  EXPECT_EQ(read(long_line, InputFormat::kText, 100'000), (Items{"1!"}));
  EXPECT_EQ(read(std::string(100'000, 'x') + "\n", InputFormat::kText, 100'000).front().size(), 100'002U);
}

TEST(LineSource, CountsTheBytesItConsumed) {
  const Memory memory("ab\r\ncd");
  LineSource source(memory.descriptor(), "memory", InputFormat::kText);
  EXPECT_EQ(source.next()->consumed, 4U);
  EXPECT_EQ(source.next()->consumed, 6U);
  EXPECT_FALSE(source.next());
  EXPECT_EQ(source.where(2), "memory, line 2");
}

TEST(ParseJsonLine, SaysWhatWasExpectedAndFound) {
  EXPECT_NE(problem("[1]").find("the line is an array"), std::string::npos);
  EXPECT_NE(problem("null").find("the line is null"), std::string::npos);
  EXPECT_NE(problem("{}").find("no \"text\""), std::string::npos);
  EXPECT_NE(problem("{\"text\":[\"a\"]}").find("\"text\" is an array"), std::string::npos);
  EXPECT_NE(problem("{\"query\":\"a\"}").find("no \"document\""), std::string::npos);
  EXPECT_NE(problem("{\"document\":\"a\"}").find("no \"query\""), std::string::npos);
  EXPECT_NE(problem("{\"text\":\"a\",\"query\":\"a\"}").find("also"), std::string::npos);
  EXPECT_NE(problem("{\"text\":\"a\"").find("not JSON"), std::string::npos);
  EXPECT_NE(problem("\"a\" \"b\"").find("not JSON"), std::string::npos);
  EXPECT_NE(problem("\"\xff\"").find("not JSON"), std::string::npos);
  EXPECT_NE(problem("\"\\ud800\"").find("not JSON"), std::string::npos);
  EXPECT_LT(problem("\"" + std::string(100'000, 'x')).size(), 500U) << "a message does not repeat a long line";
}

TEST(ParseJsonLine, SurvivesDeepNesting) {
  EXPECT_FALSE(parse_json_line("{\"a\":" + std::string(1'000'000, '[')).ok());
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + ",\"text\":\"t\"}";
  EXPECT_TRUE(parse_json_line(deep).ok());
}

TEST(InputFormat, IsKnownFromTheName) {
  EXPECT_EQ(format_of_name("a.jsonl"), InputFormat::kJsonl);
  EXPECT_EQ(format_of_name("a.ndjson"), InputFormat::kJsonl);
  EXPECT_EQ(format_of_name("a.json"), InputFormat::kJsonl);
  EXPECT_EQ(format_of_name("a.txt"), InputFormat::kText);
  EXPECT_EQ(format_of_name("a"), InputFormat::kAuto);
}

TEST(OpenInput, RefusesWhatCannotBeRead) {
  EXPECT_THROW((void)open_input("/no/such/file", InputFormat::kAuto), InputError);
  EXPECT_THROW((void)open_input("/tmp", InputFormat::kAuto), InputError);
}

TEST(ArgumentSource, GivesTheTextsInTurn) {
  ArgumentSource source({"a", "", "b"});
  EXPECT_EQ(std::get<std::string>(source.next()->request.value().input), "a");
  EXPECT_EQ(source.next()->bytes, 0U);
  EXPECT_EQ(source.next()->line, 3U);
  EXPECT_FALSE(source.next());
  EXPECT_EQ(source.where(3), "text 3");
}

}  // namespace
}  // namespace wde::cli
