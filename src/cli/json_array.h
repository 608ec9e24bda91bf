// JsonArrayReader: the elements of a JSON array in a file or pipe, one at a time, however long the array is.
#pragma once

#include <string>

#include "cli/line_reader.h"

namespace wde::cli {

// Whether the first bytes of an input are those of an array of texts. `sure`: it is JSON, only the kind is asked for.
bool begins_json_array(std::string_view head, bool sure);

class JsonArrayReader {
 public:
  explicit JsonArrayReader(LineReader& bytes) : bytes_(bytes) {}

  // An element as it is written, and where it begins. kTooLong: it was skipped. Throws InputError: this is no array, it
  // does not end, or something follows it.
  LineReader::Status next(std::string& element, uint64_t& line);

 private:
  int next_visible();  // the next byte that is no white space; -1: the end
  [[noreturn]] void fail(const char* expected, int found) const;

  LineReader& bytes_;
  bool begun_ = false, ended_ = false;
};

}  // namespace wde::cli
