#include "server/dialects/shared/encoding.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>

namespace wde::server {
namespace {

constexpr std::array<NumberFormat, 5> kFormats = {{{"float32", 8, 23, true},
                                                   {"float16", 5, 10, true},
                                                   {"bfloat16", 8, 7, true},
                                                   {"fp8_e4m3", 4, 3, false},
                                                   {"fp8_e5m2", 5, 2, true}}};

// HTTP clients take lines of 64 KiB (Python's), servers and proxies on the way often less.
constexpr size_t kMaxRawInputs = 128;

// JSON whose characters are all ASCII, as a header's must be.
std::string ascii_json(std::string_view json) {
  std::string out;
  for (size_t i = 0; i < json.size();) {
    const auto byte = static_cast<unsigned char>(json[i]);
    if (byte < 0x80) {
      out += json[i++];
      continue;
    }
    const size_t size = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;  // what JsonOut writes is UTF-8
    uint32_t point = byte & (0xFFU >> (size + 1));
    for (size_t k = 1; k < size && i + k < json.size(); ++k) {
      point = point << 6 | (static_cast<unsigned char>(json[i + k]) & 0x3FU);
    }
    i += size;
    if (point < 0x10000) {
      out += fmt::format("\\u{:04x}", point);
    } else {
      point -= 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (point >> 10), 0xDC00 + (point & 0x3FF));
    }
  }
  return out;
}

void write_place(JsonOut& out, size_t index, const Encoding& encoding, size_t start, const Output& output) {
  const size_t end = start + output.values.size() * encoding.number.bytes();
  out.open('{').key("index").integer(static_cast<int64_t>(index));
  out.key("embed_dtype").plain(encoding.number.name).key("endianness").plain(encoding.endianness);
  out.key("start").integer(static_cast<int64_t>(start)).key("end").integer(static_cast<int64_t>(end));
  out.key("shape").open('[');
  for (const size_t size : output.shape) out.integer(static_cast<int64_t>(size));
  out.close(']').close('}');
}

}  // namespace

Encoding read_encoding(const Fields& fields) {
  Encoding encoding;
  const size_t form = fields.choice("encoding_format", {"float", "base64", "bytes", "bytes_only"}).value_or(0);
  encoding.form = static_cast<Encoding::Form>(form);
  const auto dtype = fields.choice("embed_dtype", {"float32", "float16", "bfloat16", "fp8_e4m3", "fp8_e5m2"});
  encoding.number = kFormats.at(dtype.value_or(0));
  constexpr std::array<std::string_view, 3> kOrders = {"native", "little", "big"};
  const auto order = fields.choice("endianness", {"native", "little", "big"});
  encoding.endianness = kOrders.at(order.value_or(0));
  if (encoding.form == Encoding::Form::kNumbers) {
    const bool asked = dtype.value_or(0) != 0;
    if (asked || order == 2) {
      invalid(fields, asked ? "embed_dtype" : "endianness",
              "is for encoding_format \"base64\", \"bytes\" or \"bytes_only\"; numbers are float32");
    }
  }
  return encoding;
}

uint32_t rounded_bits(float value, const NumberFormat& format) {
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  const uint32_t sign = std::signbit(value) ? 1U << (format.exponent_bits + format.mantissa_bits) : 0;
  if (value == 0) return sign;
  int exponent = 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, 1 - bias);  // below that numbers lie as far apart as at it
  // Whole steps of the last bit; a carry runs into the exponent's bits, where it belongs.
  const auto steps = static_cast<int64_t>(std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent)));
  const int64_t bits = (static_cast<int64_t>(exponent + bias - 1) << format.mantissa_bits) + steps;
  const int64_t ones = (int64_t{1} << (format.exponent_bits + format.mantissa_bits)) - 1;
  const int64_t past = format.infinities ? (ones >> format.mantissa_bits) << format.mantissa_bits : ones;
  if (bits >= past || !std::isfinite(value)) {
    throw ApiError(Fault::kInvalid,
                   fmt::format("a value of the answer, {}, is outside the range of {}: ask for float32 or bfloat16",
                               value, format.name),
                   "embed_dtype");
  }
  return sign | static_cast<uint32_t>(bits);
}

std::string encoded_bytes(std::span<const float> values, const Encoding& encoding) {
  const size_t size = encoding.number.bytes();
  const bool big = encoding.endianness == "big";
  std::string bytes;
  bytes.reserve(values.size() * size);
  for (const float value : values) {
    const uint32_t bits = rounded_bits(value, encoding.number);
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(bits >> 8 * (big ? size - 1 - i : i) & 0xFF);
  }
  return bytes;
}

void write_encoded(JsonOut& out, std::span<const float> values, size_t columns, const Encoding& encoding) {
  if (encoding.form != Encoding::Form::kNumbers) {
    const std::string bytes = encoded_bytes(values, encoding);
    out.plain(base64(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())));
  } else if (columns > 0) {
    out.rows(values, columns);
  } else {
    out.floats(values);
  }
}

void write_raw(const Answer& answer, std::string_view output, const Encoding& encoding, HttpResponse& response) {
  JsonOut out;
  write_id(out.open('{'), answer);
  out.key("model").text(answer.model.name).key("data").open('[');
  std::string body;
  for (size_t i = 0; i < answer.responses.size(); ++i) {
    const Output& one = output_of(answer.responses[i], output);
    write_place(out, i, encoding, body.size(), one);
    body += encoded_bytes(one.values, encoding);
  }
  out.close(']');
  write_usage(out, answer.tokens);
  out.close('}');
  response.content_type = "application/octet-stream";
  response.body = std::move(body);
  if (encoding.form == Encoding::Form::kBytes) response.headers.emplace_back("metadata", ascii_json(out.view()));
}

void check_raw(const Fields& fields, const Encoding& encoding, size_t inputs) {
  if (encoding.form != Encoding::Form::kBytes || inputs <= kMaxRawInputs) return;
  invalid(fields, "encoding_format",
          fmt::format("\"bytes\" is for at most {} inputs, because a header says where each vector is; there are {}: "
                      "use \"bytes_only\" or \"base64\"",
                      kMaxRawInputs, inputs));
}

}  // namespace wde::server
