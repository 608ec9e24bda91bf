// Result<T>: a value or an Error, for the request path, where errors are data that travel with the request.
// Load time uses exceptions instead (wde::LoadError, wde::UsageError), each with a full sentence for the user.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace wde {

enum class ErrorCode {
  kInvalidInput,  // the request itself is wrong: bad UTF-8, ids out of range
  kTooLong,       // more tokens than the maximum, and they were not to be cut
  kUnavailable,   // the engine is shutting down
  kCancelled,     // cancel() came before the answer
  kDeadline,      // the request's deadline came before its execution
  kInternal,      // a module failed; the message is the exception's
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // a sentence that says what was expected and what was found
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition for value(): ok(); for error(): !ok(). The other one throws std::bad_variant_access.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

// A model, file or plug-in that cannot be loaded. what() names the file, what was expected and what was found.
class LoadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A setting or combination of settings that cannot work (the command line exits with status 2).
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace wde
