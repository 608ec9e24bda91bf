#include "server/serving/demand.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/serving/group.h"
#include "wde/image.h"

namespace wde::server {
namespace {

// Of English text; too low for other scripts, which only makes the queue's limit a little more generous.
constexpr size_t kBytesPerToken = 4;
// Of a text that is to be answered token by token, where too low a number would fill the memory.
constexpr size_t kFewBytesPerToken = 2;
constexpr size_t kSpecialTokens = 2;
// A waiting text takes four times its bytes and this much more four times over: the bound of memory is four times the
// queue's bytes.
constexpr size_t kBytesPerText = 256;
constexpr size_t kImageTokens = 256;         // between those of patches of 32 and of 14 pixels
constexpr size_t kPixelsPerToken = 1 << 12;  // decoded in the time that a small model takes for a token

constexpr size_t kMaxReadBytes = 256 << 20;

constexpr size_t kBytesPerValue = 4 + 14;  // in memory, and as JSON
constexpr size_t kBytesPerAnswer = 512;
constexpr size_t kSparseWeights = 512;  // of a text, where all of the vocabulary may have one
constexpr size_t kUnknownDimensions = 1024;
// Id, spelling, offsets: in memory, and as JSON.
constexpr size_t kBytesPerSpelledToken = 192;

// Of a token, by what a multiply-add of a packed weight takes: a slow core does some 40 billion operations a second.
double guessed_seconds(const EngineInfo& info) {
  constexpr double kOperationsPerSecond = 40e9;
  const double operations = static_cast<double>(info.weight_bytes) / 4 * 2;
  return operations / (kOperationsPerSecond * static_cast<double>(std::max<size_t>(1, info.workers)));
}
constexpr double kTokenizeSeconds = 1e-6;

size_t tokens_of(const Request& request, size_t shared_bytes, size_t bytes_per_token, size_t max_length) {
  const auto* ids = std::get_if<TokenIds>(&request.input);
  const size_t tokens =
      ids != nullptr ? ids->ids.size() : (shared_bytes + bytes_of(request)) / bytes_per_token + kSpecialTokens;
  return max_length > 0 ? std::min(tokens, max_length) : tokens;
}

size_t estimated_answer(const Plan& plan, const Request& request, size_t shared_bytes) {
  const EngineInfo& info = plan.model->info;
  const size_t width = request.dimensions > 0 ? request.dimensions
                       : info.dimensions > 0  ? info.dimensions
                                              : kUnknownDimensions;
  const size_t tokens = tokens_of(request, shared_bytes, kFewBytesPerToken, info.max_length);
  const std::string_view task = plan.task;
  if (task == task::kTokenize) return kBytesPerAnswer + tokens * kBytesPerSpelledToken;
  size_t values = 1;
  if (task == task::kEmbed) values = width;
  if (task == task::kTokenEmbed || task == task::kMultiVector) values = tokens * width;
  if (task == task::kAll) values = (tokens + 1) * width + 2 * tokens;
  if (task == task::kSparse) values = 2 * kSparseWeights;
  if (task == task::kClassify) values = 2 * info.labels.size();
  if (task == task::kTokenClassify) values = tokens * 2 * (info.labels.size() + 8);
  return kBytesPerAnswer + values * kBytesPerValue;
}

}  // namespace

size_t estimated_tokens(const Request& request, size_t shared_bytes, size_t max_length) {
  if (std::holds_alternative<Image>(request.input)) return kImageTokens;
  return tokens_of(request, shared_bytes, kBytesPerToken, max_length);
}

double seconds_of(size_t tokens, const Plan& plan, const Engine* engine) {
  const EngineInfo& info = plan.model->info;
  if (engine == nullptr) {
    return static_cast<double>(tokens) * (plan.task == task::kTokenize ? kTokenizeSeconds : guessed_seconds(info));
  }
  if (info.max_length == 0 || tokens <= info.max_length) return engine->seconds(tokens);
  const size_t whole = tokens / info.max_length;
  return static_cast<double>(whole) * engine->seconds(info.max_length) + engine->seconds(tokens % info.max_length);
}

Demand demand_of(const Plan& plan, const ApiRules& rules, size_t body_bytes, const Engine* engine) {
  const EngineInfo& info = plan.model->info;
  const bool tokenizes = plan.task == task::kTokenize;
  Demand demand;
  demand.tokens = plan.later_tokens;
  demand.bytes = body_bytes + plan.requests.size() * kBytesPerText;
  demand.seconds = seconds_of(plan.later_tokens, plan, engine);
  demand.bulk_share = plan.model->bulk_share;
  demand.sharing = plan.sharing;
  const size_t shared = plan.shared.bytes();
  const bool read_whole = tokenizes || plan.task == task::kTokenClassify;  // where tokens are in the text, too
  if (read_whole && shared > kMaxReadBytes / std::max<size_t>(1, plan.requests.size())) {
    throw ApiError(Fault::kTooLarge, fmt::format("the prompt has {} bytes, which is too long to be put before {} texts",
                                                 shared, plan.requests.size()));
  }
  size_t pixels = 0;
  for (const Request& request : plan.requests) {
    const size_t tokens = estimated_tokens(request, shared, plan.average ? 0 : info.max_length);
    demand.tokens += tokens;
    demand.seconds += seconds_of(tokens, plan, engine);
    demand.answer_bytes += estimated_answer(plan, request, shared);
    if (const auto* image = std::get_if<Image>(&request.input)) {
      const ImageSize size = image_size(image->file).value_or(ImageSize());
      pixels += size.width * size.height;
    }
  }
  if (pixels > rules.max_pixels) {
    throw ApiError(Fault::kTooLarge,
                   fmt::format("the images have {} million pixels together, and a request may have {} "
                               "million: send smaller ones, or fewer at a time (--max-image-pixels)",
                               (pixels + 999'999) / 1'000'000, rules.max_pixels / 1'000'000));
  }
  demand.tokens += pixels / kPixelsPerToken;
  demand.seconds += seconds_of(pixels / kPixelsPerToken, plan, engine);
  return demand;
}

size_t answer_bytes(const Response& response) {
  size_t values = 0;
  for (const Output& output : response.outputs) values += output.values.size() + output.ids.size();
  return kBytesPerAnswer + values * kBytesPerValue + response.details.tokens.size() * kBytesPerSpelledToken;
}

ApiError answer_too_large(size_t bytes, size_t limit) {
  return {Fault::kTooLarge,
          fmt::format("the answer has {} MiB or more, and the limit is {} MiB: send fewer texts at a time "
                      "(--max-answer-bytes)",
                      bytes >> 20, limit >> 20)};
}

}  // namespace wde::server
