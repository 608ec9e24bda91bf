#include "engine/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace wde {

std::vector<Result<Sequence>> Encoder::encode(std::span<Submitted> chunk, Timing& timing) {
  const Modules& m = modules_;
  const Trace::Span span(m.trace.get(), "tokenize", chunk.size());
  StageClock clock(counters_);
  timing.tokenizing = clock.begin();
  std::vector<std::optional<Result<Sequence>>> results(chunk.size());
  std::vector<TokenizeJob> jobs;
  std::vector<size_t> owners;
  for (size_t i = 0; i < chunk.size(); ++i) {
    auto job = guarded([&] { return process(std::move(chunk[i].request)); });
    if (!job.ok()) {
      results[i] = job.error();
      continue;
    }
    jobs.push_back(std::move(job).value());
    owners.push_back(i);
  }
  clock.end(Stage::kInput);
  auto all = guarded([&]() -> Result<std::vector<Result<Sequence>>> {
    return m.tokenizer->encode(jobs, m.info.max_length, m.output->wants_offsets());
  });
  timing.tokenized = timing.executing = timing.executed = clock.end(Stage::kTokenize);
  for (size_t k = 0; k < jobs.size(); ++k) {
    if (!all.ok()) {
      results[owners[k]] = all.error();
    } else if (Result<Sequence>& one = all.value()[k]; !one.ok()) {
      results[owners[k]] = one.error();
    } else {
      results[owners[k]] = finish(std::move(one).value(), jobs[k]);
    }
  }
  std::vector<Result<Sequence>> out;
  out.reserve(chunk.size());
  for (size_t i = 0; i < chunk.size(); ++i) {
    out.push_back(std::move(*results[i]));
    if (!out.back().ok()) continue;
    out.back().value().id = chunk[i].id;
    out.back().value().arrival = chunk[i].arrival;
  }
  clock.end(m.scheduler ? Stage::kSchedule : Stage::kOutput);
  return out;
}

Result<TokenizeJob> Encoder::process(Request request) {
  const Modules& m = modules_;
  auto made = m.input->process(std::move(request));
  if (!made.ok()) return made;
  TokenizeJob& job = made.value();
  job.options.truncation = m.info.resolve(job.options.truncation);
  if (m.llm2vec) {
    m.llm2vec->prepare(*m.tokenizer, job);
  } else if (m.output->wants_prompt_tokens() && !job.prompt.empty()) {
    job.prompt_tokens = prompt_tokens(job.prompt);
  }
  return made;
}

Result<Sequence> Encoder::finish(Sequence sequence, const TokenizeJob& job) const {
  const Modules& m = modules_;
  if (!m.has_segments) std::fill(sequence.type_ids.begin(), sequence.type_ids.end(), 0);
  if (job.text_tokens) {
    // As LLM2Vec: with no token of its own a text is everything.
    const size_t own = std::min(*job.text_tokens, sequence.size());
    sequence.prompt_tokens = own == 0 ? 0 : sequence.size() - own;
  }
  if (auto error = check(sequence)) return std::move(*error);
  if (m.scheduler && !sequence.image) {
    const auto own = m.head ? m.head->last_row(sequence.ids) : std::nullopt;
    sequence.last_row = own.value_or(m.model->last_row(sequence.ids));
  }
  return sequence;
}

std::optional<Error> Encoder::check(const Sequence& sequence) const {
  if (!modules_.model) return std::nullopt;
  if (sequence.ids.empty())
    return Error{ErrorCode::kInvalidInput, "the text has no tokens, and this model's tokenizer adds none"};
  const auto rows = modules_.model->shape().vocab_size;
  const size_t limit = sequence.options.max_length;
  if (limit > modules_.info.max_length) {
    return Error{ErrorCode::kInvalidInput, fmt::format("a maximum length of {} was asked for, the model's is {}", limit,
                                                       modules_.info.max_length)};
  }
  for (int32_t id : sequence.ids) {
    if (id < 0 || static_cast<size_t>(id) >= rows) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("token id {} is outside the model's embedding table of {} rows", id, rows)};
    }
  }
  return std::nullopt;
}

// Tokens of the prompt alone, without the special token that closes a text (sentence-transformers' rule).
size_t Encoder::prompt_tokens(const std::string& prompt) {
  if (prompt == counted_prompt_) return counted_tokens_;
  TokenizeJob job;
  job.text = prompt;
  const std::vector<Result<Sequence>> encoded = modules_.tokenizer->encode({&job, 1}, modules_.info.max_length, false);
  size_t count = 0;
  if (encoded[0].ok()) {
    const Sequence& s = encoded[0].value();
    count = s.size();
    if (count > 0 && s.special_tokens_mask.back() != 0) --count;
  }
  counted_prompt_ = prompt;
  return counted_tokens_ = count;
}

}  // namespace wde
