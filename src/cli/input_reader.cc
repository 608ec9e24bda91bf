#include "cli/input_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/image_file.h"
#include "cli/input_kind.h"

namespace wde::cli {
namespace {

size_t text_bytes(const Request& request) {
  if (const auto* text = std::get_if<std::string>(&request.input)) return text->size();
  if (const auto* pair = std::get_if<TextPair>(&request.input)) return pair->query.size() + pair->document.size();
  if (const auto* image = std::get_if<Image>(&request.input)) return image->file.size();
  return 0;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

void drop_carriage_return(std::string& line) {
  if (line.ends_with('\r')) line.pop_back();
}

// Owns the descriptor of a file beside the LineSource that reads it.
class FileSource : public InputSource {
 public:
  FileSource(int descriptor, const std::string& name, InputFormat format, std::optional<uint64_t> total_bytes)
      : descriptor_(descriptor), lines_(descriptor, name, format, total_bytes) {}
  ~FileSource() override { ::close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  std::optional<InputItem> next() override { return lines_.next(); }
  std::string where(uint64_t line) const override { return lines_.where(line); }
  std::optional<uint64_t> total_bytes() const override { return lines_.total_bytes(); }
  std::optional<uint64_t> total_items() const override { return lines_.total_items(); }

 private:
  const int descriptor_;
  LineSource lines_;
};

}  // namespace

std::optional<InputItem> ArgumentSource::next() {
  if (position_ == texts_.size() + images_.size()) return std::nullopt;
  InputItem item;
  item.line = position_ + 1;
  if (position_ >= texts_.size()) {
    item.request = read_image_file(images_[position_++ - texts_.size()]);
    if (item.request.ok()) item.bytes = text_bytes(item.request.value());
    return item;
  }
  std::string& text = texts_[position_++];
  item.bytes = text.size();
  item.request = Request{std::move(text), std::nullopt};
  return item;
}

std::string ArgumentSource::where(uint64_t line) const {
  return line > texts_.size() && line <= texts_.size() + images_.size() ? images_[line - 1 - texts_.size()]
                                                                        : fmt::format("text {}", line);
}

InputFormat parse_input_format(std::string_view name) {
  if (name == "jsonl") return InputFormat::kJsonl;
  if (name == "text") return InputFormat::kText;
  return InputFormat::kAuto;
}

InputFormat format_of_name(std::string_view path) {
  for (std::string_view ending : {".jsonl", ".ndjson", ".json"}) {
    if (path.ends_with(ending)) return InputFormat::kJsonl;
  }
  return path.ends_with(".txt") ? InputFormat::kText : InputFormat::kAuto;
}

LineSource::LineSource(int descriptor, std::string name, InputFormat format, std::optional<uint64_t> total_bytes,
                       size_t max_line_bytes)
    : reader_(descriptor, name, max_line_bytes),
      name_(std::move(name)),
      format_(format),
      total_bytes_(total_bytes),
      descriptor_(descriptor) {}

void LineSource::look_at_beginning() {
  looked_ = true;
  const std::string_view head = reader_.peek();
  if (auto problem = refused_kind(name_, head, format_ == InputFormat::kAuto)) throw InputError(*problem);
  if (format_ != InputFormat::kText && begins_json_array(head, format_ == InputFormat::kJsonl))
    format_ = InputFormat::kJsonArray;
  if (format_ == InputFormat::kJsonArray) array_ = std::make_unique<JsonArrayReader>(reader_);
}

// Counted in the file, beside what reads it: lines that are not blank, of plain text all.
std::optional<uint64_t> LineSource::total_items() const {
  constexpr size_t kMaxCounted = size_t{4} << 30;  // bytes: a second or two
  if (!total_bytes_ || *total_bytes_ > kMaxCounted || format_ == InputFormat::kJsonArray) return std::nullopt;
  std::vector<char> block(size_t{1} << 20);
  uint64_t items = 0;
  bool blank = true, empty = true;
  const auto end_line = [&] { items += format_ == InputFormat::kJsonl ? !blank : 1; };
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(descriptor_, block.data(), block.size(), at);
    if (got <= 0) break;
    at += got;
    for (const char c : std::string_view(block.data(), static_cast<size_t>(got))) {
      empty = c == '\n';
      if (empty) end_line();
      blank = empty || (blank && (c == ' ' || c == '\t' || c == '\r'));
    }
  }
  if (!empty) end_line();  // the last line may have no end
  return items;
}

std::string LineSource::where(uint64_t line) const { return fmt::format("{}, line {}", name_, line); }

InputItem LineSource::make_item(LineReader::Status status, std::string line, uint64_t line_number) const {
  InputItem item;
  item.line = line_number;
  item.consumed = reader_.bytes_read();
  if (status == LineReader::Status::kTooLong) {
    item.request = Error{ErrorCode::kInvalidInput,
                         fmt::format("the line is longer than the {} MiB that a line may have", kMaxLineBytes >> 20)};
  } else if (format_ != InputFormat::kText) {
    item.request = parse_json_line(line);
  } else {
    drop_carriage_return(line);
    item.request = Request{std::move(line), std::nullopt};
  }
  if (item.request.ok()) item.bytes = text_bytes(item.request.value());
  return item;
}

// Reads up to the first line that is not empty, which decides the format. The empty lines before it are texts of their
// own if it turns out to be text; nothing but their number has to be kept.
std::optional<InputItem> LineSource::detect_and_next() {
  std::string line;
  LineReader::Status status = LineReader::Status::kEnd;
  while ((status = reader_.next(line)) != LineReader::Status::kEnd) {
    if ((!line.empty() && line != "\r") || status == LineReader::Status::kTooLong) break;
    ++empty_lines_;
  }
  if (status == LineReader::Status::kEnd) {
    format_ = InputFormat::kText;
    return std::nullopt;
  }
  const bool looks_like_json = line.starts_with('"') || line.starts_with('{');
  const bool is_json = status == LineReader::Status::kTooLong ? looks_like_json : parse_json_line(line).ok();
  format_ = is_json ? InputFormat::kJsonl : InputFormat::kText;
  if (is_json) empty_lines_ = 0;
  return make_item(status, std::move(line), reader_.line_number());
}

std::optional<InputItem> LineSource::next() {
  if (!looked_) look_at_beginning();
  if (array_) {
    std::string element;
    uint64_t line = 0;
    const LineReader::Status status = array_->next(element, line);
    if (status == LineReader::Status::kEnd) return std::nullopt;
    return make_item(status, std::move(element), line);
  }
  if (format_ == InputFormat::kAuto) decided_ = detect_and_next();
  if (empty_lines_given_ < empty_lines_) {
    InputItem item = make_item(LineReader::Status::kLine, "", ++empty_lines_given_);
    item.consumed = 0;
    return item;
  }
  if (decided_) return std::exchange(decided_, std::nullopt);
  std::string line;
  for (;;) {
    const LineReader::Status status = reader_.next(line);
    if (status == LineReader::Status::kEnd) return std::nullopt;
    if (format_ == InputFormat::kJsonl && status == LineReader::Status::kLine && is_blank(line)) continue;
    return make_item(status, std::move(line), reader_.line_number());
  }
}

std::unique_ptr<InputSource> open_input(const std::string& path, InputFormat format) {
  const bool is_stdin = path == "-";
  const std::string name = is_stdin ? "standard input" : path;
  const int descriptor =
      is_stdin ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw InputError(fmt::format("cannot open {}: {}", name, std::strerror(errno)));
  struct stat facts = {};
  std::optional<uint64_t> total_bytes;
  if (::fstat(descriptor, &facts) == 0) {
    if (S_ISDIR(facts.st_mode)) {
      ::close(descriptor);
      throw InputError(fmt::format("cannot read {}: it is a directory, expected a file of lines", name));
    }
    if (S_ISREG(facts.st_mode)) total_bytes = static_cast<uint64_t>(facts.st_size);
  }
  if (total_bytes) {  // at once, before a model is loaded
    char head[512];
    const ssize_t got = ::pread(descriptor, head, sizeof head, 0);
    const std::string_view bytes(head, got > 0 ? static_cast<size_t>(got) : 0);
    if (auto problem = refused_kind(name, bytes, format == InputFormat::kAuto)) {
      ::close(descriptor);
      throw InputError(*problem);
    }
  }
  if (format == InputFormat::kAuto && !is_stdin) format = format_of_name(path);
  return std::make_unique<FileSource>(descriptor, name, format, total_bytes);
}

}  // namespace wde::cli
