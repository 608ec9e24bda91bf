#include "server/json/json_in.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace wde::server {
namespace {

namespace dom = simdjson::dom;
// A parser keeps its memory for the next body, unless that was a large one.
constexpr size_t kKeptCapacity = 1 << 20;
constexpr size_t kFirstCapacity = 4 << 10;

static_assert(sizeof(dom::element) == 16 && std::is_trivially_copyable_v<dom::element>);

}  // namespace

JsonValue::JsonValue(const void* element) : present_(true) { std::memcpy(element_, element, sizeof element_); }

namespace {

dom::element element_of(const unsigned char (&bytes)[16]) {
  dom::element element;
  std::memcpy(static_cast<void*>(&element), bytes, sizeof element);
  return element;
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

JsonValue::Type JsonValue::type() const {
  if (!present_) return Type::kNull;
  switch (element_of(element_).type()) {
    case dom::element_type::NULL_VALUE:
      return Type::kNull;
    case dom::element_type::BOOL:
      return Type::kBoolean;
    case dom::element_type::INT64:
      return Type::kInteger;
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE:
      return Type::kNumber;
    case dom::element_type::STRING:
      return Type::kString;
    case dom::element_type::ARRAY:
      return Type::kArray;
    case dom::element_type::OBJECT:
      return Type::kObject;
  }
  return Type::kNull;
}

bool JsonValue::boolean() const {
  bool value = false;
  return present_ && element_of(element_).get(value) == simdjson::SUCCESS && value;
}

int64_t JsonValue::integer() const {
  int64_t value = 0;
  return present_ && element_of(element_).get(value) == simdjson::SUCCESS ? value : 0;
}

double JsonValue::number() const {
  double value = 0;
  return present_ && element_of(element_).get(value) == simdjson::SUCCESS ? value : 0;
}

std::string_view JsonValue::string() const {
  std::string_view value;
  if (!present_ || element_of(element_).get(value) != simdjson::SUCCESS) return {};
  return value;
}

size_t JsonValue::size() const {
  // simdjson's own size() stops counting at 2^24.
  size_t count = 0;
  if (is(Type::kArray)) each([&](JsonValue) { ++count; });
  if (is(Type::kObject)) each_field([&](std::string_view, JsonValue) { ++count; });
  return count;
}

void JsonValue::each(const std::function<void(JsonValue)>& visit) const {
  dom::array array;
  if (!present_ || element_of(element_).get(array) != simdjson::SUCCESS) return;
  for (const dom::element element : array) visit(JsonValue(&element));
}

void JsonValue::each_field(const std::function<void(std::string_view, JsonValue)>& visit) const {
  dom::object object;
  if (!present_ || element_of(element_).get(object) != simdjson::SUCCESS) return;
  for (const auto field : object) visit(field.key, JsonValue(&field.value));
}

struct JsonDocument::Parser {
  dom::parser parser;
  dom::element root;
};

namespace {

// Integers of more than 64 bits are JSON, though the parser takes none: as floating point numbers it does.
std::string with_large_integers_as_floats(std::string_view body) {
  constexpr size_t kLongest = 18;  // digits that always fit
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < body.size();) {
    const char c = body[i];
    const bool number = !in_string && (c == '-' || (c >= '0' && c <= '9'));
    if (!number) {
      if (in_string && c == '\\' && i + 1 < body.size()) out += body[i++];
      if (c == '"') in_string = !in_string;
      out += body[i++];
      continue;
    }
    const size_t end = std::min(body.find_first_not_of("+-0123456789.eE", i), body.size());
    const std::string_view literal = body.substr(i, end - i);
    out += literal;
    if (literal.size() > kLongest && literal.find_first_of(".eE") == std::string_view::npos) out += "e0";
    i = end;
  }
  return out;
}

// The four hexadecimal digits at `at`; nothing if there are none.
std::optional<uint32_t> code_unit(std::string_view text, size_t at) {
  if (at + 4 > text.size()) return std::nullopt;
  uint32_t unit = 0;
  const char* const end = text.data() + at + 4;
  const auto [stop, error] = std::from_chars(text.data() + at, end, unit, 16);
  return error == std::errc() && stop == end ? std::optional<uint32_t>(unit) : std::nullopt;
}

// Escapes of half a surrogate pair become that of U+FFFD, which is as long.
void mend_surrogates(std::string& body) {
  constexpr size_t kEscape = 6;
  const auto high = [](uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; };
  const auto low = [](uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; };
  for (size_t at = body.find('\\'); at != std::string::npos; at = body.find('\\', at)) {
    const auto unit = body.compare(at, 2, "\\u") == 0 ? code_unit(body, at + 2) : std::nullopt;
    if (!unit) {
      at += 2;  // with the character that is escaped, which may be a backslash
      continue;
    }
    const bool escape_follows = body.compare(std::min(at + kEscape, body.size()), 2, "\\u") == 0;
    const auto next = escape_follows ? code_unit(body, at + kEscape + 2) : std::nullopt;
    if (high(*unit) && next && low(*next)) {
      at += 2 * kEscape;
      continue;
    }
    if (high(*unit) || low(*unit)) body.replace(at + 2, 4, "fffd");
    at += kEscape;
  }
}

}  // namespace

JsonDocument::JsonDocument(std::string& body) {
  mend_surrogates(body);
  thread_local std::unique_ptr<Parser> kept;
  parser_ = kept ? std::move(kept) : std::make_unique<Parser>();
  if (parser_->parser.max_depth() != kMaxDepth && parser_->parser.allocate(kFirstCapacity, kMaxDepth)) {
    throw std::bad_alloc();
  }
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  auto error = parser_->parser.parse(body.data(), body.size(), false).get(parser_->root);
  if (error == simdjson::NUMBER_ERROR) {
    body = with_large_integers_as_floats(body);
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    error = parser_->parser.parse(body.data(), body.size(), false).get(parser_->root);
  }
  if (error == simdjson::MEMALLOC) throw std::bad_alloc();
  if (error == simdjson::DEPTH_ERROR) {
    throw ApiError(Fault::kSyntax, fmt::format("the JSON is nested deeper than {} levels", kMaxDepth));
  }
  if (error) {
    throw ApiError(Fault::kSyntax, fmt::format("the body is not valid JSON: {}", simdjson::error_message(error)));
  }
  kept_ = &kept;
}

JsonDocument::~JsonDocument() {
  if (parser_ && kept_ != nullptr && parser_->parser.capacity() <= kKeptCapacity) {
    *static_cast<std::unique_ptr<Parser>*>(kept_) = std::move(parser_);
  }
}

JsonValue JsonDocument::root() const { return JsonValue(&parser_->root); }

std::string_view type_name(JsonValue::Type type) {
  switch (type) {
    case JsonValue::Type::kNull:
      return "null";
    case JsonValue::Type::kBoolean:
      return "true or false";
    case JsonValue::Type::kInteger:
      return "a whole number";
    case JsonValue::Type::kNumber:
      return "a number";
    case JsonValue::Type::kString:
      return "a string";
    case JsonValue::Type::kArray:
      return "an array";
    case JsonValue::Type::kObject:
      return "an object";
  }
  return "?";
}

FieldLog& FieldLog::within(JsonValue object, const std::string& where) {
  Within& one = within_.emplace_back();
  one.object = object;
  one.where = where;
  return one.log;
}

void FieldLog::add(std::string_view name) {
  if (!has(name)) names_.emplace_back(name);
}

bool FieldLog::has(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

Fields::Fields(JsonValue object, std::string where, FieldLog* log)
    : object_(object), where_(std::move(where)), log_(log) {
  if (!object.is(JsonValue::Type::kObject)) {
    const std::string what = where_.empty() ? "the body" : fmt::format("`{}`", where_.substr(0, where_.size() - 1));
    throw ApiError(Fault::kInvalid, fmt::format("{} must be an object; it is {}", what, type_name(object.type())),
                   where_.substr(0, where_.empty() ? 0 : where_.size() - 1));
  }
}

Fields Fields::with(std::string_view name) const {
  Fields joined = *this;
  const auto more = find(name);
  if (!more) return joined;
  joined.more_where_ = path(name) + ".";
  joined.more_ = Fields(*more, joined.more_where_).object_;
  return joined;
}

Fields Fields::within(JsonValue object, const std::string& where) const {
  Fields inner(object, where);
  if (log_ != nullptr) inner.log_ = &log_->within(object, where);
  return inner;
}

namespace {

bool has_member(JsonValue object, std::string_view name) {
  bool found = false;
  object.each_field([&](std::string_view key, JsonValue) { found = found || key == name; });
  return found;
}

}  // namespace

std::string Fields::path(std::string_view name) const {
  const bool joined = has_member(more_, name);
  return (joined ? more_where_ : where_) + std::string(name);
}

std::optional<JsonValue> Fields::find(std::string_view name) const {
  if (log_ != nullptr) log_->add(name);
  std::optional<JsonValue> found;
  bool twice = false;
  const auto look = [&](std::string_view key, JsonValue value) {
    if (key != name) return;
    twice = twice || found.has_value();
    found = value;
  };
  object_.each_field(look);
  more_.each_field(look);
  if (twice) throw ApiError(Fault::kInvalid, fmt::format("`{}` is there twice", path(name)), path(name));
  if (found && found->is(JsonValue::Type::kNull)) return std::nullopt;
  return found;
}

JsonValue Fields::need(std::string_view name) const {
  const auto value = find(name);
  if (!value) throw ApiError(Fault::kInvalid, fmt::format("`{}` is missing", path(name)), path(name));
  return *value;
}

std::optional<std::string> Fields::text(std::string_view name) const {
  const auto value = find(name);
  if (!value) return std::nullopt;
  if (!value->is(JsonValue::Type::kString)) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`{}` must be a string; it is {}", path(name), type_name(value->type())), path(name));
  }
  return std::string(value->string());
}

std::optional<bool> Fields::flag(std::string_view name) const {
  const auto value = find(name);
  if (!value) return std::nullopt;
  if (!value->is(JsonValue::Type::kBoolean)) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`{}` must be true or false; it is {}", path(name), type_name(value->type())),
                   path(name));
  }
  return value->boolean();
}

std::optional<int64_t> Fields::whole(std::string_view name, int64_t minimum, int64_t maximum) const {
  const auto value = find(name);
  if (!value) return std::nullopt;
  int64_t found = value->integer();
  // 5.0 is a whole number as well.
  const double number = value->number();
  bool whole = value->is(JsonValue::Type::kInteger);
  if (value->is(JsonValue::Type::kNumber) && number == std::floor(number) && std::abs(number) < 1e15) {
    whole = true;
    found = static_cast<int64_t>(number);
  }
  if (!whole || found < minimum || found > maximum) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("`{}` must be a whole number from {} to {}", path(name), minimum, maximum), path(name));
  }
  return found;
}

std::optional<size_t> Fields::choice(std::string_view name, std::initializer_list<std::string_view> words) const {
  const auto value = text(name);
  if (!value) return std::nullopt;
  for (size_t i = 0; i < words.size(); ++i) {
    if (same_letters(*value, words.begin()[i])) return i;
  }
  throw ApiError(Fault::kInvalid, fmt::format("`{}` must be one of {}", path(name), fmt::join(words, ", ")),
                 path(name));
}

}  // namespace wde::server
