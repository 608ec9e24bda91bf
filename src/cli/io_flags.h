// The flags of commands that read texts and write rows, and the opening of what they name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/input_reader.h"

namespace CLI {
class App;
}

namespace wde::cli {

// --input, --input-format and the TEXT arguments.
class InputFlags {
 public:
  // `images`: and --image.
  void add_to(CLI::App& app, bool images = false);
  void set_texts(std::vector<std::string> texts) { texts_ = std::move(texts); }
  // Two TEXT arguments are one pair; more are wrong use.
  void take_pair() { pair_ = true; }
  // Throws UsageError: TEXT and --input, or neither while standard input is a terminal. InputError: no such file.
  std::unique_ptr<InputSource> open();
  // The path of what open() reads: "" for TEXT and --image, "-" for standard input.
  std::string path() const;

 private:
  std::vector<std::string> texts_, images_;
  bool pair_ = false;
  std::string input_;
  std::string input_format_ = "auto";
};

// --output, --format, --quiet.
struct OutputFlags {
  std::string output;
  std::string format;
  bool quiet = false;

  void add_to(CLI::App& app, const std::vector<std::string>& formats);
};

// Whether both name the same file, which opening for writing would empty.
bool same_file(const std::string& input, const std::string& output);

}  // namespace wde::cli
