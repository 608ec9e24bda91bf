// "native": the ids of the crate, most of them without it (word_tokenizer.h), for tokenizers of the families WordPiece
// and Unigram. Whatever is not certain, and all offsets, are asked of the crate, text by text.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "tokenizer/hf_tokenizer.h"
#include "tokenizer/word_tokenizer.h"

namespace wde {
namespace {

struct Special {
  int32_t id, type_id;
};

// What the post-processor puts around the tokens of a text, or of a pair.
struct Layout {
  std::vector<Special> before, between, after;
  int32_t first_type = 0, second_type = 0;

  size_t size() const { return before.size() + between.size() + after.size(); }
};

// Read off an example: what became of these ids of a text, and of its pair.
std::optional<Layout> read_layout(const Sequence& example, const std::vector<int32_t>& first,
                                  const std::vector<int32_t>& second) {
  Layout layout;
  size_t at = 0;
  const auto take_specials = [&] {
    std::vector<Special> out;
    for (; at < example.size() && example.special_tokens_mask[at] == 1; ++at)
      out.push_back({example.ids[at], example.type_ids[at]});
    return out;
  };
  const auto take_text = [&](const std::vector<int32_t>& ids, int32_t& type_id) {
    if (ids.empty()) return true;
    if (example.size() - at < ids.size()) return false;
    type_id = example.type_ids[at];
    for (const int32_t id : ids) {
      if (example.ids[at] != id || example.type_ids[at] != type_id || example.special_tokens_mask[at] != 0)
        return false;
      ++at;
    }
    return true;
  };
  layout.before = take_specials();
  if (!take_text(first, layout.first_type)) return std::nullopt;
  layout.between = take_specials();
  if (!take_text(second, layout.second_type)) return std::nullopt;
  layout.after = take_specials();
  if (at != example.size()) return std::nullopt;
  return layout;
}

// As longest_first() in rust/tokenizer/src/encode.rs.
std::pair<size_t, size_t> longest_first(std::pair<size_t, size_t> lengths, size_t room) {
  const auto [first, second] = lengths;
  if (first + second <= room) return lengths;
  const size_t shorter = std::min({first, second, room / 2});
  return first > second ? std::pair(room - shorter, shorter) : std::pair(shorter, room - shorter);
}

void cut(std::vector<int32_t>& ids, size_t length, bool left) {
  if (ids.size() <= length) return;
  if (left) ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(length));
  ids.resize(length);
}

class NativeTokenizer final : public Tokenizer {
 public:
  // What is wrong with the crate's tokenizer for this one is in `why_not` then.
  NativeTokenizer(std::unique_ptr<HfTokenizer>& crate, std::string& why_not) {
    wde_tokenizer_words words;
    RustString reason;
    if (!wde_tokenizer_words_of(crate->handle(), &words, reason.out())) {
      why_not = reason.str();
      return;
    }
    words_ = std::make_unique<WordTokenizer>(crate->handle(), words);
    std::vector<TokenizeJob> jobs(2);
    jobs[0].text = jobs[1].text = "a";
    jobs[1].text_pair = "a a";  // of another length, so that their order shows
    jobs[1].is_pair = true;
    const auto examples = crate->encode(jobs, 0, false);
    std::vector<int32_t> first, second;
    words_->encode("a", SIZE_MAX, first);
    words_->encode("a a", SIZE_MAX, second);
    for (size_t i = 0; i < layouts_.size(); ++i) {
      std::optional<Layout> layout;
      if (examples[i].ok()) layout = read_layout(examples[i].value(), first, i == 0 ? std::vector<int32_t>{} : second);
      if (!layout || first.size() == second.size()) {
        why_not = "its post-processor does more than put special tokens around the texts";
        return;
      }
      layouts_[i] = *layout;
    }
    crate_ = std::move(crate);
  }

  std::vector<Result<Sequence>> encode(std::span<const TokenizeJob> jobs, size_t max_length,
                                       bool want_offsets) const override {
    if (want_offsets) return crate_->encode(jobs, max_length, want_offsets);
    std::vector<Result<Sequence>> results;
    results.reserve(jobs.size());
    for (const TokenizeJob& job : jobs) {
      if (auto sequence = encode_text(job, max_length)) {
        results.emplace_back(std::move(*sequence));
      } else {
        auto asked = crate_->encode({&job, 1}, max_length, false);
        std::move(asked.begin(), asked.end(), std::back_inserter(results));
      }
    }
    return results;
  }

  std::string token(int32_t id) const override { return crate_->token(id); }
  std::optional<int32_t> id(std::string_view token) const override { return crate_->id(token); }
  Result<std::string> decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return crate_->decode(ids, skip_special_tokens);
  }
  size_t vocabulary_size() const override { return crate_->vocabulary_size(); }
  WordRule word_rule() const override { return crate_->word_rule(); }
  std::vector<std::string> notes() const override { return crate_->notes(); }

 private:
  // None: the crate is asked, which words the errors too.
  std::optional<Sequence> encode_text(const TokenizeJob& job, size_t max_length) const {
    const RequestOptions& options = job.options;
    const Layout& layout = layouts_[job.is_pair ? 1 : 0];
    const size_t limit = options.max_length == 0 ? max_length : options.max_length;
    if (job.has_ids || job.image || job.frame || !job.pieces.empty()) return std::nullopt;
    if (std::max(job.text.size(), job.text_pair.size()) > UINT32_MAX) return std::nullopt;
    if (limit != 0 && limit < layout.size()) return std::nullopt;

    const bool stops = limit != 0 && options.truncation == Truncation::kRight;
    std::vector<int32_t> first, second;
    const auto encode_parts = [&](size_t stop) {
      first.clear();
      second.clear();
      first.reserve(std::min(stop, job.text.size() / 3) + 8);
      return words_->encode(job.text, stop, first) && (!job.is_pair || words_->encode(job.text_pair, stop, second));
    };
    if (!encode_parts(stops ? limit : SIZE_MAX)) return std::nullopt;
    bool truncated = false;
    if (limit != 0) {
      const size_t room = limit - layout.size();
      // Which of two parts is longer decides where an odd token goes.
      if (stops && room % 2 == 1 && std::min(first.size(), second.size()) > limit && !encode_parts(SIZE_MAX))
        return std::nullopt;
      const std::pair lengths(first.size(), second.size());
      const auto keep = longest_first(lengths, room);
      truncated = keep != lengths;
      if (truncated && options.truncation == Truncation::kRefuse) return std::nullopt;
      cut(first, keep.first, options.truncation == Truncation::kLeft);
      cut(second, keep.second, options.truncation == Truncation::kLeft);
    }
    Sequence sequence = put_together(layout, first, second);
    sequence.prompt_tokens = job.prompt_tokens;
    sequence.truncated = truncated;
    sequence.side = job.side;
    sequence.options = options;
    return sequence;
  }

  static Sequence put_together(const Layout& layout, const std::vector<int32_t>& first,
                               const std::vector<int32_t>& second) {
    Sequence sequence;
    const size_t size = layout.size() + first.size() + second.size();
    sequence.ids.reserve(size);
    sequence.type_ids.reserve(size);
    sequence.special_tokens_mask.reserve(size);
    const auto add_specials = [&](const std::vector<Special>& specials) {
      for (const Special& special : specials) {
        sequence.ids.push_back(special.id);
        sequence.type_ids.push_back(special.type_id);
        sequence.special_tokens_mask.push_back(1);
      }
    };
    const auto add_text = [&](const std::vector<int32_t>& ids, int32_t type_id) {
      sequence.ids.insert(sequence.ids.end(), ids.begin(), ids.end());
      sequence.type_ids.resize(sequence.ids.size(), type_id);
      sequence.special_tokens_mask.resize(sequence.ids.size(), 0);
    };
    add_specials(layout.before);
    add_text(first, layout.first_type);
    add_specials(layout.between);
    add_text(second, layout.second_type);
    add_specials(layout.after);
    return sequence;
  }

  std::unique_ptr<HfTokenizer> crate_;
  std::unique_ptr<WordTokenizer> words_;
  std::array<Layout, 2> layouts_;  // of a text, of a pair
};

WDE_REGISTER(tokenizers().add("native", [](const TokenizerConfig& config) -> std::unique_ptr<Tokenizer> {
  auto crate = std::make_unique<HfTokenizer>(config);
  std::string why_not;
  auto native = std::make_unique<NativeTokenizer>(crate, why_not);
  if (!why_not.empty()) {
    throw LoadError(fmt::format("the native tokenizer does not know that of {}: {}; the tokenizer 'hf' does",
                                config.directory, why_not));
  }
  return native;
}));

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(std::string& name, const TokenizerConfig& config) {
  if (name != "auto") return tokenizers().get(name)(config);
  auto crate = std::make_unique<HfTokenizer>(config);
  std::string why_not;
  auto native = std::make_unique<NativeTokenizer>(crate, why_not);
  name = why_not.empty() ? "native" : "hf";
  if (!why_not.empty()) return crate;
  return native;
}

}  // namespace wde
