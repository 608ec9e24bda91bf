// How vectors are written: as numbers, base64 or raw bytes, of which numbers, in which order of bytes. vLLM's
// `encoding_format`, `embed_dtype` and `endianness`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "server/dialects/plan.h"

namespace wde::server {

// A binary floating point number of IEEE's kind. Without infinities (fp8_e4m3) only all ones are not a number.
struct NumberFormat {
  std::string_view name;
  int exponent_bits, mantissa_bits;
  bool infinities;
  size_t bytes() const { return static_cast<size_t>(1 + exponent_bits + mantissa_bits) / 8; }
};

struct Encoding {
  enum class Form { kNumbers, kBase64, kBytes, kBytesOnly };
  Form form = Form::kNumbers;
  NumberFormat number;          // of base64 and bytes
  std::string_view endianness;  // as it was asked for: "native" is "little" here
  bool raw() const { return form == Form::kBytes || form == Form::kBytesOnly; }
};

Encoding read_encoding(const Fields& fields);

// The nearest number of this format, of two the even one. Throws ApiError: it is outside the format's range.
uint32_t rounded_bits(float value, const NumberFormat& format);
std::string encoded_bytes(std::span<const float> values, const Encoding& encoding);
// As JSON: an array (of arrays, where there are `columns`) or a string.
void write_encoded(JsonOut& out, std::span<const float> values, size_t columns, const Encoding& encoding);

// The outputs of this name as the response's body, one after the other; for kBytes the header `metadata` says where
// each is.
void write_raw(const Answer& answer, std::string_view output, const Encoding& encoding, HttpResponse& response);
// kBytes: one header must hold what there is to say of all inputs.
void check_raw(const Fields& fields, const Encoding& encoding, size_t inputs);

}  // namespace wde::server
