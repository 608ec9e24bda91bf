// JSON of a request's body: checked as a whole when it is parsed (syntax, UTF-8, depth), then looked at without copies.
// Fields takes an object's members by name and says in a sentence what is wrong with them; a FieldLog knows afterwards
// which names nobody asked for. Half of a surrogate pair in an escape ("\ud83d", which clients make that cut a text
// anywhere) becomes U+FFFD, in names too; all else that is no JSON or no UTF-8 is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/dialects/api_error.h"

namespace wde::server {

// A view into a JsonDocument, and valid as long as it.
class JsonValue {
 public:
  enum class Type { kNull, kBoolean, kInteger, kNumber, kString, kArray, kObject };
  JsonValue() = default;  // null

  Type type() const;
  bool is(Type type) const { return this->type() == type; }
  bool boolean() const;                                          // kBoolean, else false
  int64_t integer() const;                                       // kInteger, else 0
  double number() const;                                         // kInteger, kNumber, else 0
  std::string_view string() const;                               // kString, else ""
  size_t size() const;                                           // of an array or an object, else 0
  void each(const std::function<void(JsonValue)>& visit) const;  // kArray
  void each_field(const std::function<void(std::string_view, JsonValue)>& visit) const;  // kObject

 private:
  friend class JsonDocument;
  explicit JsonValue(const void* element);

  alignas(void*) unsigned char element_[16] = {};  // the parser's own view
  bool present_ = false;
};

class JsonDocument {
 public:
  static constexpr size_t kMaxDepth = 32;
  // `body` is mended where it has halves of surrogate pairs, grows by a few bytes of padding and must stay as it is
  // then. Throws ApiError (kSyntax).
  explicit JsonDocument(std::string& body);
  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  JsonValue root() const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  void* kept_ = nullptr;  // the thread's place for a parser that is not in use
};

std::string_view type_name(JsonValue::Type type);  // "a string"

// The names that were asked for, whether they were there or not; of an object and of those within it.
class FieldLog {
 public:
  struct Within;

  void add(std::string_view name);
  bool has(std::string_view name) const;
  bool empty() const { return names_.empty(); }
  // The log of an object within; `where` as in Fields. It lives as long as this one.
  FieldLog& within(JsonValue object, const std::string& where);
  const std::list<Within>& all_within() const { return within_; }

 private:
  std::vector<std::string> names_;
  std::list<Within> within_;
};
struct FieldLog::Within {
  JsonValue object;
  std::string where;
  FieldLog log;
};

// All throw ApiError (kInvalid) with a sentence that names the field. A member that is null is as good as absent, and
// one that is there twice is an error: parsers disagree about which of the two counts.
class Fields {
 public:
  Fields() = default;  // an object without members
  // `where` stands before the names in messages: "inputs.". `log` may be nullptr.
  explicit Fields(JsonValue object, std::string where = {}, FieldLog* log = nullptr);
  // With the members of the object `name`, if there is one, as if they stood here: "parameters". A name in both is
  // there twice.
  Fields with(std::string_view name) const;
  // An object within this one.
  Fields within(JsonValue object, const std::string& where) const;

  std::optional<JsonValue> find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name).has_value(); }
  JsonValue need(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<int64_t> whole(std::string_view name, int64_t minimum, int64_t maximum) const;
  // One of the words, compared without regard to case; its number in the list.
  std::optional<size_t> choice(std::string_view name, std::initializer_list<std::string_view> words) const;
  std::string path(std::string_view name) const;

 private:
  JsonValue object_;
  std::string where_;
  JsonValue more_;  // null: nothing was joined
  std::string more_where_;
  FieldLog* log_ = nullptr;
};

}  // namespace wde::server
