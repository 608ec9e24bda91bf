#include "cli/input_kind.h"

#include <fmt/format.h>

#include <array>

namespace wde::cli {
namespace {

using namespace std::string_view_literals;

struct Kind {
  std::string_view begin;  // its first bytes, from `offset` on
  size_t offset;
  const char* name;
  const char* convert;  // {}: the file
};

constexpr const char* kPandas =
    "python3 -c \"import sys, pandas; pandas.read_{}(sys.argv[1])[['text']].to_json('texts.jsonl', orient='records', "
    "lines=True)\"";
constexpr const char* kUtf8 = "iconv -f {} -t UTF-8";

constexpr std::array kKinds = {
    Kind{"\x1F\x8B"sv, 0, "gzip", "zcat FILE | wde … --input -"},
    Kind{"\x28\xB5\x2F\xFD"sv, 0, "zstd", "zstdcat FILE | wde … --input -"},
    Kind{"BZh9"sv, 0, "bzip2", "bzcat FILE | wde … --input -"},
    Kind{"\xFD"
         "7zXZ\0"sv,
         0, "xz", "xzcat FILE | wde … --input -"},
    Kind{"\x04\x22\x4D\x18"sv, 0, "lz4", "lz4cat FILE | wde … --input -"},
    Kind{"PK\x03\x04"sv, 0, "zip (also .xlsx, .docx, .npz)", "unzip -p FILE | wde … --input -, or save a sheet as CSV"},
    Kind{"7z\xBC\xAF\x27\x1C"sv, 0, "7z", "7z x -so FILE | wde … --input -"},
    Kind{"ustar"sv, 257, "tar", "tar -xOf FILE | wde … --input -"},
    Kind{"PAR1"sv, 0, "Parquet", "read_parquet"},
    Kind{"ARROW1"sv, 0, "Arrow", "read_feather"},
    Kind{"\xFF\xFF\xFF\xFF"sv, 0, "Arrow (a stream)", "read_feather"},
    Kind{"FEA1"sv, 0, "Feather", "read_feather"},
    Kind{"Obj\x01"sv, 0, "Avro", "avro-tools tojson FILE | wde … --input -"},
    Kind{"\x93NUMPY"sv, 0, "NumPy", "write its texts to a file, one a line"},
    Kind{"\x89HDF"sv, 0, "HDF5", "read_hdf"},
    Kind{"SQLite format 3\0"sv, 0, "SQLite", "sqlite3 -json FILE \"SELECT text FROM …\" | wde … --input -"},
    Kind{"%PDF-"sv, 0, "PDF", "pdftotext FILE - | wde … --input -"},
    Kind{"\xD0\xCF\x11\xE0"sv, 0, "an old Office document", "save it as text or CSV"},
    Kind{"{\\rtf"sv, 0, "RTF", "save it as text"},
    Kind{"\xFF\xD8\xFF"sv, 0, "a JPEG image", "wde embed --image FILE, with a model that takes images"},
    Kind{"\x89PNG"sv, 0, "a PNG image", "wde embed --image FILE, with a model that takes images"},
    Kind{"\x7F"
         "ELF"sv,
         0, "a program", "give a file of texts"},
    Kind{"\xFF\xFE\0\0"sv, 0, "text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE | wde … --input -"},
    Kind{"\0\0\xFE\xFF"sv, 0, "text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE | wde … --input -"},
    Kind{"\xFF\xFE"sv, 0, "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE | wde … --input -"},
    Kind{"\xFE\xFF"sv, 0, "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE | wde … --input -"}};

struct Table {
  std::string_view ending;
  const char* name;
  const char* separator;
};
constexpr std::array kTables = {Table{".csv", "a table (CSV)", ","}, Table{".tsv", "a table (TSV)", "\\t"}};

// Every second byte of some characters is zero: a text of Latin letters in UTF-16 without its mark.
std::optional<std::string_view> utf16(std::string_view head) {
  if (head.size() < 8) return std::nullopt;
  bool little = true, big = true;
  for (size_t i = 0; i < 8; i += 2) {
    little = little && head[i] != '\0' && head[i + 1] == '\0';
    big = big && head[i] == '\0' && head[i + 1] != '\0';
  }
  if (little) return "UTF-16LE";
  if (big) return "UTF-16BE";
  return std::nullopt;
}

std::string conversion(const Kind& kind, std::string_view name) {
  const std::string_view convert = kind.convert;
  if (convert.starts_with("read_"))
    return fmt::format("{} {}", fmt::format(fmt::runtime(kPandas), convert.substr(5)), name);
  std::string out(convert);
  if (const size_t at = out.find("FILE"); at != std::string::npos && name != "standard input") out.replace(at, 4, name);
  return out;
}

}  // namespace

std::optional<std::string> refused_kind(std::string_view name, std::string_view head, bool guess) {
  constexpr const char* kSentence =
      "{} is {}; expected lines of text, JSON lines or a JSON array of strings or objects, in UTF-8. To convert it: {}";
  for (const Kind& kind : kKinds) {
    if (head.size() >= kind.offset && head.substr(kind.offset).starts_with(kind.begin))
      return fmt::format(fmt::runtime(kSentence), name, kind.name, conversion(kind, name));
  }
  if (const auto encoding = utf16(head)) {
    return fmt::format(fmt::runtime(kSentence), name, fmt::format("text in {}", *encoding),
                       fmt::format("{} {} | wde … --input -", fmt::format(fmt::runtime(kUtf8), *encoding), name));
  }
  for (const Table& table : kTables) {
    if (!guess || !name.ends_with(table.ending)) continue;
    return fmt::format(
        fmt::runtime(kSentence), name, table.name,
        fmt::format("python3 -c \"import csv, json, sys; [print(json.dumps({{'text': row['text']}})) for "
                    "row in csv.DictReader(open(sys.argv[1]), delimiter='{}')]\" {} > texts.jsonl (or "
                    "--input-format text, which takes each line as a text)",
                    table.separator, name));
  }
  return std::nullopt;
}

}  // namespace wde::cli
