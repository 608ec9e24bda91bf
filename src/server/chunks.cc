#include "server/chunks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/api_error.h"

namespace wde::server {
namespace {

const std::vector<int32_t>& ids_of(const Response& response) {
  for (const Output& output : response.outputs) {
    if (output.name == "ids") return output.ids;
  }
  throw ApiError(Fault::kInternal, "the tokenizer gave no ids");
}

}  // namespace

Chunks make_chunks(const std::vector<Request>& texts, const std::vector<Response>& tokenized, size_t max_length) {
  Chunks chunks;
  for (size_t t = 0; t < texts.size(); ++t) {
    const std::vector<int32_t>& ids = ids_of(tokenized[t]);
    const std::vector<uint8_t>& special = tokenized[t].details.special_tokens_mask;
    const auto is_special = [&](size_t i) { return i < special.size() && special[i] != 0; };
    size_t begin = 0, end = ids.size();
    while (begin < end && is_special(begin)) ++begin;
    while (end > begin && is_special(end - 1)) --end;
    const size_t around = begin + (ids.size() - end);
    if (max_length > 0 && around >= max_length) throw ApiError(Fault::kInternal, "there is no room for a text");
    const size_t room = max_length > 0 ? max_length - around : ids.size();
    const size_t body = end - begin;
    const size_t count = std::max<size_t>(1, (body + room - 1) / std::max<size_t>(1, room));
    for (size_t piece = 0; piece < count; ++piece) {
      const size_t first = begin + body * piece / count;
      const size_t last = begin + body * (piece + 1) / count;
      Request request = texts[t];
      TokenIds sequence;
      const auto append = [&](size_t from, size_t to) {
        sequence.ids.insert(sequence.ids.end(), ids.begin() + static_cast<std::ptrdiff_t>(from),
                            ids.begin() + static_cast<std::ptrdiff_t>(to));
      };
      append(0, begin);
      append(first, last);
      append(end, ids.size());
      request.input = std::move(sequence);
      request.prompt.reset();  // its tokens are there already
      request.prompt_name.reset();
      chunks.requests.push_back(std::move(request));
      chunks.weights.push_back(static_cast<double>(std::max<size_t>(1, last - first)));
    }
    chunks.pieces.push_back(count);
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
        merged.timing.waiting = std::max(merged.timing.waiting, piece.timing.waiting);
        merged.timing.inference = std::max(merged.timing.inference, piece.timing.inference);
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
