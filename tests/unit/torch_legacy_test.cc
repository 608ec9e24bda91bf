// Files of torch.save from before PyTorch 1.6: what they hold, and that no damage to one does more than a LoadError.
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "loader/torch_file.h"
#include "loader/weights.h"
#include "loader_files.h"
#include "test_paths.h"

namespace wde {
namespace {

using test::expect_contains;
using test::load_error;
using test::TempDirectory;

std::string legacy() {
  std::ifstream stream(std::string(test::kData) + "/../torch_files/legacy.pt", std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  to_float32(tensor, 0, values.size(), values.data());
  return values;
}

std::string error_of(const std::string& bytes) {
  const TempDirectory directory;
  const std::string name = directory.write("model.bin", bytes);
  return load_error([&] { const TorchFile file(name); });
}

std::string replaced(std::string bytes, std::string_view from, std::string_view to) {
  return bytes.replace(bytes.find(from), from.size(), to);
}

TEST(TorchLegacy, ItsTensors) {
  const TempDirectory directory;
  const TorchFile file(directory.write("model.bin", legacy()));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors().at("weight").shape, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(floats(file.tensors().at("weight")), (std::vector<float>{1, 2}));
  EXPECT_EQ(floats(file.tensors().at("bias")), (std::vector<float>{3}));
}

TEST(TorchLegacy, CutOffAnywhere) {
  const std::string whole = legacy();
  for (size_t size = 20; size < whole.size(); ++size) EXPECT_NE(error_of(whole.substr(0, size)), "") << size;
  expect_contains(error_of(whole.substr(0, whole.size() - 1)), {"model.bin", "cut off"});
  expect_contains(error_of(whole + "x"), {"1 bytes behind the last storage"});
}

TEST(TorchLegacy, AnyByteChanged) {
  const std::string whole = legacy();
  for (size_t at = 20; at < whole.size(); ++at) {
    for (const char byte : {'\0', '\x01', '\x7f', '\xff', 'N', '.'}) {
      std::string damaged = whole;
      damaged[at] = byte;
      const TempDirectory directory;
      const std::string name = directory.write("model.bin", damaged);
      try {
        const TorchFile file(name);
        for (const auto& [key, tensor] : file.tensors()) EXPECT_EQ(floats(tensor).size(), tensor.elements());
      } catch (const LoadError&) {
      }
    }
  }
}

TEST(TorchLegacy, WhatIsRefused) {
  const std::string whole = legacy();
  expect_contains(error_of(replaced(whole, std::string_view("M\xe9\x03.", 4), std::string_view("M\xea\x03.", 4))),
                  {"version 1001"});
  expect_contains(error_of(replaced(whole, std::string_view("little_endianq\x02\x88", 16),
                                    std::string_view("little_endianq\x02\x89", 16))),
                  {"byte order"});
  std::string count = whole;  // the last storage's
  count[whole.size() - 12] = '\x7f';
  EXPECT_NE(error_of(count), "");
}

}  // namespace
}  // namespace wde
