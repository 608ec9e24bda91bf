// parse_json_line: a SAX handler and not a JSON tree, because a tree of a hostile line ("[[[[…") is 40 times its size.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/image_file.h"
#include "cli/input_reader.h"
#include "cli/printable.h"

namespace wde::cli {
namespace {

constexpr const char* kExpected =
    R"(expected a string, {"text": "…"}, {"query": "…", "document": "…"} or {"image": "…"})";
constexpr size_t kMaxReasonBytes = 200;

class LineHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return value("null"); }
  bool boolean(bool) override { return value("a boolean"); }
  bool number_integer(number_integer_t) override { return value("a number"); }
  bool number_unsigned(number_unsigned_t) override { return value("a number"); }
  bool number_float(number_float_t, const string_t&) override { return value("a number"); }
  bool binary(binary_t&) override { return value("binary data"); }
  bool start_array(std::size_t) override { return value("an array") && open(); }
  bool end_array() override { return close(); }
  bool end_object() override { return close(); }

  bool string(string_t& text) override {
    if (depth_ == 0) {
      text_ = std::move(text);
    } else if (depth_ == 1 && target_ != nullptr) {
      *std::exchange(target_, nullptr) = std::move(text);
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 0) return open();
    return value("an object") && open();
  }

  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    target_ = name == "text"       ? &text_
              : name == "query"    ? &query_
              : name == "document" ? &document_
              : name == "image"    ? &image_
                                   : nullptr;
    if (target_ != nullptr) target_name_ = name;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while …": only the end is news.
    std::string_view reason = error.what();
    const size_t column = reason.find("column");
    const size_t colon = reason.find(": ", column == std::string_view::npos ? 0 : column);
    if (colon != std::string_view::npos) reason.remove_prefix(colon + 2);
    std::string shown = printable(reason.substr(0, kMaxReasonBytes));
    if (reason.size() > kMaxReasonBytes) shown += " …";
    problem_ = fmt::format("the line is not JSON (column {}: {}); {}", position, shown, kExpected);
    return false;
  }

  Result<Request> result(bool parsed) && {
    if (!parsed) return fail(problem_);
    if (image_ && (text_ || query_ || document_)) {
      return fail(fmt::format("the object has \"image\" and also a text; {}", kExpected));
    }
    if (image_) return read_image_file(*image_);
    if (text_ && (query_ || document_)) {
      return fail(fmt::format("the object has \"text\" and also \"query\" or \"document\"; {}", kExpected));
    }
    if (text_) return Request{std::move(*text_), std::nullopt};
    if (query_ && document_) return Request{TextPair{std::move(*query_), std::move(*document_)}, std::nullopt};
    if (query_) return fail(fmt::format("the object has \"query\" but no \"document\"; {}", kExpected));
    if (document_) return fail(fmt::format("the object has \"document\" but no \"query\"; {}", kExpected));
    return fail(fmt::format("the object has no \"text\"; {}", kExpected));
  }

 private:
  static Result<Request> fail(std::string message) { return Error{ErrorCode::kInvalidInput, std::move(message)}; }

  // Anything but a string: wrong as the whole line and under our keys, of no interest elsewhere.
  bool value(const char* what) {
    if (depth_ == 0) {
      problem_ = fmt::format("the line is {}; {}", what, kExpected);
      return false;
    }
    if (depth_ == 1 && target_ != nullptr) {
      problem_ = fmt::format("\"{}\" is {}, not a string; {}", target_name_, what, kExpected);
      return false;
    }
    return true;
  }
  bool open() {
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  size_t depth_ = 0;
  std::optional<std::string> text_, query_, document_, image_;
  std::optional<std::string>* target_ = nullptr;  // where the value of the key that was just read goes
  std::string target_name_;
  std::string problem_;
};

}  // namespace

Result<Request> parse_json_line(std::string_view line) {
  LineHandler handler;
  const bool parsed = nlohmann::json::sax_parse(line.begin(), line.end(), &handler);
  return std::move(handler).result(parsed);
}

}  // namespace wde::cli
