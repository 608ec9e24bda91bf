#include "server/serving/chunks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/dialects/api_error.h"

namespace wde::server {
namespace {

const std::vector<int32_t>& ids_of(const Response& response) {
  for (const Output& output : response.outputs) {
    if (output.name == "ids") return output.ids;
  }
  throw ApiError(Fault::kInternal, "the tokenizer gave no ids");
}

// A part is cut inside a word only where so much of a text has no white space: then tokens at the cut are others.
constexpr size_t kPartBytes = 32 << 10;
// More tokens than that many bytes can be, even in compatibility forms, where three bytes may become eighteen
// characters.
constexpr size_t kPartTokens = 1 << 20;

// The end of the part of `text` that begins at `begin`.
size_t part_end(std::string_view text, size_t begin) {
  text.remove_prefix(begin);
  if (text.size() <= kPartBytes) return begin + text.size();
  const size_t space = text.substr(0, kPartBytes + 1).find_last_of(" \t\n\r");
  if (space != std::string_view::npos && space > 0) return begin + space;
  size_t at = kPartBytes;
  while (at > 1 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return begin + at;
}

// A text's tokens without the special ones at its ends, and those.
struct Tokens {
  std::vector<int32_t> before, body, after;
};

void append_part(Tokens& tokens, const Response& response, bool first) {
  const std::vector<int32_t>& ids = ids_of(response);
  const std::vector<uint8_t>& special = response.details.special_tokens_mask;
  const auto is_special = [&](size_t i) { return i < special.size() && special[i] != 0; };
  size_t begin = 0, end = ids.size();
  while (begin < end && is_special(begin)) ++begin;
  while (end > begin && is_special(end - 1)) --end;
  const auto at = [&](size_t i) { return ids.begin() + static_cast<std::ptrdiff_t>(i); };
  if (first) {
    tokens.before.assign(at(0), at(begin));
    tokens.after.assign(at(end), ids.end());
  }
  tokens.body.insert(tokens.body.end(), at(begin), at(end));
}

void append_pieces(Chunks& chunks, const Request& text, const Tokens& tokens, size_t max_length) {
  const size_t around = tokens.before.size() + tokens.after.size();
  if (max_length > 0 && around >= max_length) throw ApiError(Fault::kInternal, "there is no room for a text");
  const size_t body = tokens.body.size();
  const size_t room = max_length > 0 ? max_length - around : std::max<size_t>(1, body);
  const size_t count = std::max<size_t>(1, (body + room - 1) / room);
  for (size_t piece = 0; piece < count; ++piece) {
    const size_t first = body * piece / count;
    const size_t last = body * (piece + 1) / count;
    TokenIds sequence{tokens.before};
    sequence.ids.insert(sequence.ids.end(), tokens.body.begin() + static_cast<std::ptrdiff_t>(first),
                        tokens.body.begin() + static_cast<std::ptrdiff_t>(last));
    sequence.ids.insert(sequence.ids.end(), tokens.after.begin(), tokens.after.end());
    Request request;
    request.input = std::move(sequence);
    request.dimensions = text.dimensions;
    request.normalize = text.normalize;
    chunks.requests.push_back(std::move(request));
    chunks.weights.push_back(static_cast<double>(std::max<size_t>(1, last - first)));
  }
  chunks.pieces.push_back(count);
}

}  // namespace

TextParts split_texts(const std::vector<Request>& texts) {
  TextParts out;
  for (const Request& request : texts) {
    const std::string& text = std::get<std::string>(request.input);
    size_t begin = 0, parts = 0;
    do {
      Request part;
      const size_t end = part_end(text, begin);
      part.input = text.substr(begin, end - begin);
      if (parts == 0) {
        part.prompt = request.prompt;
      } else {
        part.prompt = "";
      }
      part.max_length = kPartTokens;
      part.truncation = Truncation::kRefuse;
      out.requests.push_back(std::move(part));
      begin = end;
      ++parts;
    } while (begin < text.size());
    out.parts.push_back(parts);
  }
  return out;
}

Chunks make_chunks(const std::vector<Request>& texts, const TextParts& parts, const std::vector<Response>& tokenized,
                   size_t max_length) {
  Chunks chunks;
  size_t at = 0;
  for (size_t t = 0; t < texts.size(); ++t) {
    Tokens tokens;
    for (size_t part = 0; part < parts.parts[t]; ++part) append_part(tokens, tokenized.at(at++), part == 0);
    append_pieces(chunks, texts[t], tokens, max_length);
  }
  return chunks;
}

std::vector<Response> average_chunks(const Chunks& chunks, const std::vector<Response>& pieces, bool normalise) {
  std::vector<Response> out;
  size_t at = 0;
  for (const size_t count : chunks.pieces) {
    Response merged = pieces.at(at);
    if (count > 1) {
      if (merged.outputs.empty()) throw ApiError(Fault::kInternal, "the engine gave no embedding");
      std::vector<double> sum(merged.outputs[0].values.size());
      merged.tokens = 0;
      for (size_t i = at; i < at + count; ++i) {
        const Response& piece = pieces.at(i);
        const std::vector<float>& values = piece.outputs.at(0).values;
        for (size_t k = 0; k < sum.size(); ++k) sum[k] += chunks.weights[i] * static_cast<double>(values.at(k));
        merged.tokens += piece.tokens;
        if (piece.timing.answered > merged.timing.answered) merged.timing = piece.timing;
      }
      double total = 0, squares = 0;
      for (size_t i = at; i < at + count; ++i) total += chunks.weights[i];
      for (double& value : sum) {
        value /= total;
        squares += value * value;
      }
      const double scale = normalise && squares > 0 ? 1 / std::sqrt(squares) : 1;
      for (size_t k = 0; k < sum.size(); ++k) merged.outputs[0].values[k] = static_cast<float>(sum[k] * scale);
    }
    out.push_back(std::move(merged));
    at += count;
  }
  return out;
}

}  // namespace wde::server
