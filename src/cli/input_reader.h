// Reads what is to be done: the TEXT arguments, or a file or pipe of lines (JSONL or plain text), one item at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/json_array.h"
#include "cli/line_reader.h"
#include "wde/request.h"
#include "wde/result.h"

namespace wde::cli {

struct InputItem {
  Result<Request> request = Error{};  // an error: this line cannot be understood, the others can
  uint64_t line = 0;                  // counts from 1: the input's line or the TEXT argument
  size_t bytes = 0;                   // of text
  uint64_t consumed = 0;              // bytes of the input up to and with this item
};

class InputSource {
 public:
  virtual ~InputSource() = default;
  // nullopt: the end. Throws InputError when the input cannot be read any further.
  virtual std::optional<InputItem> next() = 0;
  // "texts.jsonl, line 12"
  virtual std::string where(uint64_t line) const = 0;
  // Of a regular file; nullopt where nobody knows how much will come.
  virtual std::optional<uint64_t> total_bytes() const { return std::nullopt; }
  // How many items there are in all, where that is quickly found out. From any thread, when the first one has come.
  virtual std::optional<uint64_t> total_items() const { return std::nullopt; }
};

// Another source's items, each of which `edit` may change.
class EditedSource : public InputSource {
 public:
  EditedSource(std::unique_ptr<InputSource> origin, std::function<void(InputItem&)> edit)
      : origin_(std::move(origin)), edit_(std::move(edit)) {}
  std::optional<InputItem> next() override {
    std::optional<InputItem> item = origin_->next();
    if (item) edit_(*item);
    return item;
  }
  std::string where(uint64_t line) const override { return origin_->where(line); }
  std::optional<uint64_t> total_bytes() const override { return origin_->total_bytes(); }
  std::optional<uint64_t> total_items() const override { return origin_->total_items(); }

 private:
  std::unique_ptr<InputSource> origin_;
  std::function<void(InputItem&)> edit_;
};

// The TEXT arguments, and the files of --image behind them.
class ArgumentSource : public InputSource {
 public:
  explicit ArgumentSource(std::vector<std::string> texts, std::vector<std::string> images = {})
      : texts_(std::move(texts)), images_(std::move(images)) {}
  std::optional<InputItem> next() override;
  std::string where(uint64_t line) const override;
  std::optional<uint64_t> total_items() const override { return texts_.size() + images_.size(); }

 private:
  std::vector<std::string> texts_, images_;
  size_t position_ = 0;
};

enum class InputFormat { kAuto, kJsonl, kText, kJsonArray };

// "auto" | "jsonl" | "text"
InputFormat parse_input_format(std::string_view name);
// From the ending of the name: .jsonl .ndjson .json, .txt; else kAuto, which the first line that is not empty decides.
InputFormat format_of_name(std::string_view path);

// Lines of a file descriptor, which stays the caller's, or the elements of a JSON array. Throws InputError where it is
// something else (input_kind.h).
class LineSource : public InputSource {
 public:
  LineSource(int descriptor, std::string name, InputFormat format, std::optional<uint64_t> total_bytes = std::nullopt,
             size_t max_line_bytes = kMaxLineBytes);
  std::optional<InputItem> next() override;
  std::string where(uint64_t line) const override;
  std::optional<uint64_t> total_bytes() const override { return total_bytes_; }
  std::optional<uint64_t> total_items() const override;

 private:
  void look_at_beginning();
  std::optional<InputItem> detect_and_next();
  InputItem make_item(LineReader::Status status, std::string line, uint64_t line_number) const;

  LineReader reader_;
  std::string name_;
  InputFormat format_;
  std::optional<uint64_t> total_bytes_;
  int descriptor_;
  bool looked_ = false;
  std::unique_ptr<JsonArrayReader> array_;
  // While the format is not known: empty lines that came before, and the line that decided.
  uint64_t empty_lines_ = 0;
  uint64_t empty_lines_given_ = 0;
  std::optional<InputItem> decided_;
};

// A JSONL line: a string, or an object with "text", or with "query" and "document", or with
// the path of an "image", which is read; other keys are ignored.
Result<Request> parse_json_line(std::string_view line);

// Opens `path` ("-": standard input); kAuto looks at the name first. Throws InputError.
std::unique_ptr<InputSource> open_input(const std::string& path, InputFormat format);

}  // namespace wde::cli
