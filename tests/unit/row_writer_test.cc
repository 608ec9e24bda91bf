#include "cli/row_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/json_text.h"
#include "cli/npy_writer.h"
#include "cli/printable.h"

namespace wde::cli {
namespace {

using std::string_literals::operator""s;

class TemporaryFile {
 public:
  TemporaryFile() {
    std::string path = (std::filesystem::temp_directory_path() / "wde-test-XXXXXX").string();
    const int descriptor = ::mkstemp(path.data());
    EXPECT_GE(descriptor, 0);
    ::close(descriptor);
    path_ = path;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }
  std::string content() const {
    std::ostringstream out;
    out << std::ifstream(path_, std::ios::binary).rdbuf();
    return out.str();
  }

 private:
  std::string path_;
};

Response vector_of(std::vector<float> values) {
  Response response;
  const size_t size = values.size();
  response.outputs.push_back({"embedding", {size}, std::move(values), {}});
  return response;
}

Response matrix_of(size_t rows, size_t columns) {
  Response response;
  std::vector<float> values(rows * columns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  response.outputs.push_back({"hidden", {rows, columns}, std::move(values), {}});
  return response;
}

std::string json_of(const Response& response) {
  std::string out;
  append_output_fields(response, out);
  return out;
}

std::string float_rows(std::vector<float> values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

const float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(JsonText, EscapesAndRepairs) {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  EXPECT_EQ(quoted("a\"b\\c\n\t\0"s), "\"a\\\"b\\\\c\\n\\u0009\\u0000\"");
  EXPECT_EQ(quoted("é中😀"), "\"é中😀\"");
  EXPECT_EQ(quoted("\xff\xC0\x80\xED\xA0\x80x\xE4\xB8"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDx\uFFFD\uFFFD\"");
  EXPECT_EQ(printable("a\nb\x1b[0m\x7f\xff"), "a b\uFFFD[0m\uFFFD\uFFFD");
}

TEST(JsonText, NumbersReadBackAsTheSameValue) {
  for (float value : {0.1F, 1e-30F, 1e30F, 3.4028235e38F, 1.17549435e-38F, 1e-45F, 1.0F / 3, -0.0F, 16777216.0F}) {
    std::string out;
    append_number(out, value);
    const float back = std::strtof(out.c_str(), nullptr);
    EXPECT_EQ(std::memcmp(&back, &value, sizeof value), 0) << out;
  }
}

TEST(RowWriter, WritesOutputsByTheirShape) {
  EXPECT_EQ(json_of(vector_of({1, 0.5F})), "\"embedding\":[1,0.5]");
  EXPECT_EQ(json_of(matrix_of(2, 3)), "\"hidden\":[[0,1,2],[3,4,5]]");
  Response several = vector_of({1});
  several.outputs.push_back({"ids", {2}, {}, {7, 8}});
  several.outputs.push_back({"score", {}, {0.25F}, {}});
  EXPECT_EQ(json_of(several), "\"embedding\":[1],\"ids\":[7,8],\"score\":0.25");
}

TEST(RowWriter, RefusesNumbersThatAreNotFiniteAndShapesThatLie) {
  EXPECT_FALSE(problem_of(vector_of({1, 2})));
  EXPECT_TRUE(problem_of(vector_of({1, kNan})));
  EXPECT_TRUE(problem_of(vector_of({INFINITY})));
  Response lying = vector_of({1, 2});
  lying.outputs[0].shape = {3};
  EXPECT_TRUE(problem_of(lying));
}

TEST(RowWriter, Jsonl) {
  const TemporaryFile file;
  OutputSink sink(file.path());
  JsonlWriter writer(sink, append_output_fields);
  EXPECT_FALSE(writer.write(0, vector_of({1, 2})));
  EXPECT_TRUE(writer.write(1, vector_of({kNan, 2})));
  writer.write_error(1, "no \"good\"");
  EXPECT_FALSE(writer.write(2, matrix_of(1, 1)));
  writer.finish();
  EXPECT_EQ(file.content(),
            "{\"index\":0,\"embedding\":[1,2]}\n{\"index\":1,\"error\":\"no \\\"good\\\"\"}\n"
            "{\"index\":2,\"hidden\":[[0]]}\n");
}

TEST(RowWriter, TextLinesAndBlocks) {
  const TemporaryFile lines_file, blocks_file;
  OutputSink lines_sink(lines_file.path()), blocks_sink(blocks_file.path());
  TextWriter lines(lines_sink, append_output_lines, false), blocks(blocks_sink, append_output_lines, true);
  EXPECT_FALSE(lines.write(0, vector_of({1, 2})));
  lines.write_error(1, "bad");
  EXPECT_FALSE(lines.write(2, vector_of({3, 4})));
  lines.finish();
  EXPECT_EQ(lines_file.content(), "1 2\n\n3 4\n");
  EXPECT_FALSE(blocks.write(0, matrix_of(2, 2)));
  EXPECT_FALSE(blocks.write(1, matrix_of(1, 2)));
  blocks.finish();
  EXPECT_EQ(blocks_file.content(), "0 1\n2 3\n\n0 1\n");
}

TEST(NpyWriter, HeaderIsWhatNumpyReads) {
  const std::string header = npy_header(3, 384);
  EXPECT_EQ(header.size(), kNpyHeaderBytes);
  EXPECT_EQ(header.substr(0, 8), "\x93NUMPY\x01\x00"s);
  EXPECT_EQ(static_cast<unsigned char>(header[8]) + 256U * static_cast<unsigned char>(header[9]), header.size() - 10);
  EXPECT_EQ(header.substr(10, 61), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }");
  EXPECT_EQ(header.back(), '\n');
  EXPECT_EQ(npy_header(UINT64_MAX, UINT64_MAX).size(), kNpyHeaderBytes);
}

TEST(NpyWriter, RewritesTheHeaderOfAFile) {
  const TemporaryFile file;
  OutputSink sink(file.path());
  NpyWriter writer(sink, 0);
  writer.write_error(0, "bad");  // before the number of columns is known
  EXPECT_FALSE(writer.write(1, vector_of({1, 2})));
  EXPECT_TRUE(writer.write(2, vector_of({1, 2, 3})));
  writer.write_error(2, "bad");
  EXPECT_FALSE(writer.write(3, matrix_of(2, 2)));
  writer.finish();
  EXPECT_EQ(file.content(), npy_header(5, 2) + float_rows({kNan, kNan, 1, 2, kNan, kNan, 0, 1, 2, 3}));
}

TEST(NpyWriter, NoTextsMakeAnEmptyArray) {
  const TemporaryFile file;
  OutputSink sink(file.path());
  NpyWriter writer(sink, 7);
  writer.finish();
  EXPECT_EQ(file.content(), npy_header(0, 7));
}

TEST(NpyWriter, SpoolsForAPipe) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("wde-fifo-" + std::to_string(::getpid()))).string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string content;
  std::thread reader([&] {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    content = out.str();
  });
  std::string expected = npy_header(1000, 200);
  {
    OutputSink sink(path);
    NpyWriter writer(sink, 200);
    for (uint64_t i = 0; i < 1000; ++i) {
      const std::vector<float> row(200, static_cast<float>(i));
      EXPECT_FALSE(writer.write(i, vector_of(row)));
      expected += float_rows(row);
    }
    writer.finish();
  }
  reader.join();
  std::filesystem::remove(path);
  EXPECT_TRUE(content == expected);
}

TEST(OutputSink, FailuresAreSentences) {
  EXPECT_THROW(OutputSink("/no/such/directory/file"), OutputError);
  OutputSink full("/dev/full");
  full.append("x");
  try {
    full.flush();
    FAIL() << "writing to /dev/full succeeded";
  } catch (const OutputError& error) {
    EXPECT_STREQ(error.what(), "cannot write /dev/full: No space left on device");
  }
}

}  // namespace
}  // namespace wde::cli
