// What the loader's tests share: a directory of their own, files written into it, and the sentence of a LoadError.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <unistd.h>

#include "wde/result.h"

namespace wde::test {

class TempDirectory {
 public:
  TempDirectory() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("wde-loader-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TempDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  std::string path() const { return path_.string(); }
  std::string path(std::string_view name) const { return (path_ / name).string(); }
  std::string write(std::string_view name, std::string_view content) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

// The bytes of a safetensors file; the header's length is right unless given.
inline std::string safetensors(std::string_view header, std::string_view data, uint64_t header_bytes) {
  std::string result;
  for (int i = 0; i < 8; ++i) result += static_cast<char>(header_bytes >> (8 * i));
  return result.append(header).append(data);
}
inline std::string safetensors(std::string_view header, std::string_view data = "") {
  return safetensors(header, data, header.size());
}

template <class Call>
std::string load_error(Call&& call) {
  try {
    call();
  } catch (const LoadError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no LoadError";
  return "";
}

inline void expect_contains(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
  }
}

}  // namespace wde::test
