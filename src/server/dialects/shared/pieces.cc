#include "server/dialects/shared/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/dialects/shared/scoring.h"
#include "server/serving/chunks.h"
#include "server/serving/demand.h"

namespace wde::server {
namespace {

// Stands for a document while the room for one is measured; it has a token at least.
constexpr const char* kProbe = ".";

// Which piece is whose: the number of each document's.
using PieceCounts = std::vector<size_t>;

size_t room_beside(const RankedTexts& texts, const Answer& answer) {
  const EngineInfo& info = texts.model->info;
  size_t most = texts.model->can(task::kMultiVector) ? info.document_length : info.max_length;
  if (texts.cut.max_length > 0) most = std::min(most, texts.cut.max_length);
  const Response& probe = answer.responses.back();
  if (probe.truncated || probe.tokens >= most) {
    throw ApiError(
        Fault::kTooLong,
        fmt::format("the query leaves no room for a document: this model reads {} tokens of both together", most),
        "query");
  }
  return most - probe.tokens + 1;
}

// Of each document, from the answers for its parts, which follow each other without a gap.
std::vector<std::vector<TokenSpan>> spans_of(const TextParts& parts, const std::vector<size_t>& part_bytes,
                                             const std::vector<Response>& tokenized) {
  std::vector<std::vector<TokenSpan>> documents;
  size_t at = 0;
  for (const size_t count : parts.parts) {
    std::vector<TokenSpan>& spans = documents.emplace_back();
    size_t base = 0;
    for (size_t part = 0; part < count; ++part, ++at) {
      const TokenDetails& details = tokenized.at(at).details;
      for (size_t i = 0; i < details.offsets.size(); ++i) {
        if (i < details.special_tokens_mask.size() && details.special_tokens_mask[i] != 0) continue;
        spans.push_back({base + details.offsets[i].begin, base + details.offsets[i].end});
      }
      base += part_bytes.at(at);
    }
  }
  return documents;
}

// Plan::item where a document has so many requests; `first` of them are the query's.
std::function<std::string(size_t)> items_of_counts(std::string name, PieceCounts counts, size_t first) {
  return [name = std::move(name), counts = std::move(counts), first](size_t i) -> std::string {
    if (i < first) return "query";
    size_t document = 0;
    for (size_t past = first; document < counts.size(); ++document) {
      past += counts[document];
      if (i < past) break;
    }
    return fmt::format("{}[{}]", name, document);
  };
}

std::vector<float> best_of_pieces(const std::vector<float>& scores, const PieceCounts& counts) {
  std::vector<float> best;
  auto at = scores.begin();
  for (const size_t count : counts) {
    best.push_back(*std::max_element(at, at + static_cast<std::ptrdiff_t>(count)));
    at += static_cast<std::ptrdiff_t>(count);
  }
  return best;
}

}  // namespace

PieceRule read_piece_rule(const Fields& fields) {
  PieceRule rule;
  rule.tokens = static_cast<size_t>(fields.whole("max_tokens_per_doc", 0, 1 << 24).value_or(0));
  rule.pieces = static_cast<size_t>(fields.whole("max_chunks_per_doc", 0, 1 << 24).value_or(0));
  return rule;
}

std::vector<std::string> pieces_of(const std::string& text, const std::vector<TokenSpan>& tokens, size_t room,
                                   const PieceRule& rule) {
  const size_t count = rule.tokens > 0 ? std::min(rule.tokens, tokens.size()) : tokens.size();
  if (count == tokens.size() && count <= room) return {text};
  std::vector<std::string> pieces;
  for (size_t first = 0; first < count;) {
    size_t past = std::min(first + room, count);
    for (size_t at = past; past < count && at > first + room / 2; --at) {
      if (tokens[at].begin <= tokens[at - 1].end) continue;  // no blank between them
      past = at;
      break;
    }
    const size_t begin = tokens[first].begin;
    const size_t end = std::min(std::max(begin, tokens[past - 1].end), text.size());
    pieces.push_back(text.substr(begin, end - begin));
    if (pieces.size() == rule.pieces) break;
    first = past;
  }
  return pieces;
}

Plan plan_in_pieces(RankedTexts given, PieceRule rule, std::function<void(PieceScores, Answer&, HttpResponse&)> write) {
  const auto texts = std::make_shared<RankedTexts>(std::move(given));
  const auto score = [texts, write = std::move(write)](const std::vector<std::vector<std::string>>& pieces) {
    Plan plan;
    plan.model = texts->model;
    PieceCounts counts;
    std::vector<std::string> all;
    for (const std::vector<std::string>& of_document : pieces) {
      counts.push_back(of_document.size());
      all.insert(all.end(), of_document.begin(), of_document.end());
    }
    const Scoring scoring = plan_scores(plan, texts->instruction, {texts->query}, std::move(all), texts->cut);
    plan.batch = true;
    plan.item = items_of_counts(texts->name, counts, scoring.pairs ? 0 : 1);
    plan.write = [counts, scoring, write](Answer& answer, HttpResponse& response) {
      write([&](bool raw) { return best_of_pieces(scores_of(scoring, answer, raw), counts); }, answer, response);
    };
    return plan;
  };
  const auto tokenize = [texts, rule, score](size_t room) {
    Plan plan;
    plan.model = texts->model;
    plan.task = task::kTokenize;
    for (const std::string& document : texts->documents) {
      Request& request = plan.requests.emplace_back();
      request.input = document;
      request.prompt = "";
    }
    TextParts parts = split_texts(plan.requests);
    plan.requests = std::move(parts.requests);
    plan.item = items_of_counts(texts->name, parts.parts, 0);
    std::vector<size_t> bytes;
    for (const Request& part : plan.requests) bytes.push_back(std::get<std::string>(part.input).size());
    plan.next = [texts, rule, score, room, parts, bytes](Answer& answer) {
      const std::vector<std::vector<TokenSpan>> spans = spans_of(parts, bytes, answer.responses);
      std::vector<std::vector<std::string>> pieces;
      for (size_t i = 0; i < spans.size(); ++i) pieces.push_back(pieces_of(texts->documents[i], spans[i], room, rule));
      return score(pieces);
    };
    return plan;
  };
  Plan plan;
  plan.model = texts->model;
  plan.batch = true;
  plan.item = [](size_t) { return std::string("query"); };
  if (texts->model->can(task::kMultiVector)) {  // late interaction reads a document without the query
    plan.task = task::kMultiVector;
    Request& probe = plan.requests.emplace_back();
    probe.input = kProbe;
    probe.prompt_name = "document";
    apply(texts->cut, {}, plan.requests);
  } else {
    plan_scores(plan, texts->instruction, {texts->query}, {kProbe}, texts->cut);
  }
  for (const std::string& document : texts->documents) {
    plan.later_tokens += estimated_tokens({document, {}}, texts->query.size(), 0);
  }
  plan.next = [texts, tokenize](Answer& answer) { return tokenize(room_beside(*texts, answer)); };
  return plan;
}

}  // namespace wde::server
