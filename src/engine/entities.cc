#include "wde/entities.h"

#include <algorithm>
#include <array>
#include <utility>

namespace wde {
namespace {

constexpr std::array<std::pair<std::string_view, EntityAggregation>, 5> kNames = {
    {{"none", EntityAggregation::kNone},
     {"simple", EntityAggregation::kSimple},
     {"first", EntityAggregation::kFirst},
     {"average", EntityAggregation::kAverage},
     {"max", EntityAggregation::kMax}}};

// A token or a word, with the class that it was found to have.
struct Unit {
  size_t label = 0;
  float score = 0;
  Offset offset;
  size_t token = 0;
};

// What transformers' pipeline makes of a label: units whose `kind` is the same are joined unless the later one
// `begins`, and what they are together is called `group`.
struct Tag {
  bool begins = false;
  std::string_view kind;   // without B- and I- alone: an E-PER does not go on with what a B-PER began
  std::string_view group;  // what follows the first "-", whatever the scheme (BIOES, BILOU, …)
};

Tag tag_of(std::string_view label) {
  const bool begins = label.starts_with("B-");
  const size_t dash = label.find('-');
  return {begins, begins || label.starts_with("I-") ? label.substr(2) : label,
          dash == std::string_view::npos ? label : label.substr(dash + 1)};
}

// The probabilities of one text's tokens, [tokens, labels].
class Tokens {
 public:
  Tokens(const Output& probs, const TokenDetails& details)
      : labels_(probs.shape[1]), values_(probs.values), details_(details) {}

  // tokens [begin, end) as one, by the rule.
  Unit unit(size_t begin, size_t end, EntityAggregation aggregation) const {
    Unit unit;
    unit.token = begin;
    unit.offset = {details_.offsets[begin].begin, details_.offsets[end - 1].end};
    if (aggregation == EntityAggregation::kAverage) {
      std::vector<float> mean(labels_);
      for (size_t t = begin; t < end; ++t) {
        for (size_t c = 0; c < labels_; ++c) mean[c] += row(t)[c] / static_cast<float>(end - begin);
      }
      unit.label = best(mean.data());
      unit.score = mean[unit.label];
      return unit;
    }
    size_t chosen = begin;
    if (aggregation == EntityAggregation::kMax) {
      for (size_t t = begin + 1; t < end; ++t) {
        if (row(t)[best(row(t))] > row(chosen)[best(row(chosen))]) chosen = t;
      }
    }
    unit.label = best(row(chosen));
    unit.score = row(chosen)[unit.label];
    return unit;
  }

  // Every token by itself, or every word.
  std::vector<Unit> units(EntityAggregation aggregation) const {
    const bool words = aggregation != EntityAggregation::kNone && aggregation != EntityAggregation::kSimple;
    std::vector<std::pair<size_t, size_t>> ranges;
    for (size_t t = 0; t < details_.offsets.size(); ++t) {
      if (details_.special_tokens_mask[t] != 0) continue;
      if (words && !ranges.empty() && details_.continues_word[t] != 0) {
        ranges.back().second = t + 1;
      } else {
        ranges.emplace_back(t, t + 1);
      }
    }
    std::vector<Unit> out;
    out.reserve(ranges.size());
    for (const auto& [begin, end] : ranges) out.push_back(unit(begin, end, aggregation));
    return out;
  }

 private:
  const float* row(size_t token) const { return values_.data() + token * labels_; }
  size_t best(const float* row) const { return static_cast<size_t>(std::max_element(row, row + labels_) - row); }

  size_t labels_;
  const std::vector<float>& values_;
  const TokenDetails& details_;
};

// Entities come in the order of the text, so one pass counts all characters.
void place(const std::string& text, std::vector<Entity>& entities) {
  uint32_t byte = 0, chars = 0;
  const auto chars_before = [&](uint32_t end) {
    if (end < byte) byte = chars = 0;
    for (; byte < end; ++byte) chars += (static_cast<unsigned char>(text[byte]) & 0xC0) != 0x80 ? 1 : 0;
    return chars;
  };
  for (Entity& entity : entities) {
    if (entity.begin > entity.end || entity.end > text.size()) continue;
    entity.first_char = chars_before(entity.begin);
    entity.past_chars = chars_before(entity.end);
    entity.text = text.substr(entity.begin, entity.end - entity.begin);
  }
}

}  // namespace

std::optional<EntityAggregation> entity_aggregation(std::string_view name) {
  for (const auto& [known, aggregation] : kNames) {
    if (known == name) return aggregation;
  }
  return std::nullopt;
}

std::vector<Entity> find_entities(const Response& response, const std::vector<std::string>& labels,
                                  EntityAggregation aggregation, const std::vector<std::string>& ignored) {
  std::vector<Entity> out;
  const auto probs = std::find_if(response.outputs.begin(), response.outputs.end(),
                                  [](const Output& output) { return output.name == "probs"; });
  if (probs == response.outputs.end() || probs->shape.size() != 2) return out;
  const bool whole = aggregation == EntityAggregation::kNone;
  size_t joined = 0;      // units in the last entity
  std::string_view kind;  // of the last of them
  for (const Unit& unit : Tokens(*probs, response.details).units(aggregation)) {
    const std::string& label = labels[unit.label];
    const Tag tag = tag_of(label);
    if (!whole && joined > 0 && !tag.begins && kind == tag.kind) {
      Entity& entity = out.back();
      entity.score = (entity.score * static_cast<float>(joined) + unit.score) / static_cast<float>(joined + 1);
      entity.end = unit.offset.end;
      ++joined;
      continue;
    }
    Entity entity;
    entity.label = whole ? label : std::string(tag.group);
    entity.score = unit.score;
    entity.begin = unit.offset.begin;
    entity.end = unit.offset.end;
    entity.token = unit.token;
    out.push_back(std::move(entity));
    joined = 1;
    kind = tag.kind;
  }
  std::erase_if(out, [&](const Entity& entity) {
    return std::find(ignored.begin(), ignored.end(), entity.label) != ignored.end();
  });
  place(response.details.text, out);
  return out;
}

}  // namespace wde
