#include "engine/llm2vec.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "model/lora.h"
#include "wde/result.h"

namespace wde {
namespace {

struct Chat {
  std::string_view base, before, after;
};
constexpr std::array<Chat, 3> kChats = {{
    {"mistralai/Mistral-7B-Instruct-v0.2", "[INST] ", " [/INST]"},
    {"meta-llama/Llama-2-7b-chat-hf", "[INST] ", " [/INST]"},
    {"meta-llama/Meta-Llama-3-8B-Instruct", "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
}};

// What Python's str.split() and str.strip() take for white space: its length in bytes at `at`, else 0.
size_t space_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned a = byte(at), b = byte(at + 1), c = byte(at + 2);
  if ((a >= 0x09 && a <= 0x0D) || (a >= 0x1C && a <= 0x20)) return 1;
  if (a == 0xC2 && (b == 0x85 || b == 0xA0)) return 2;
  const unsigned code = a == 0xE1 || a == 0xE2 || a == 0xE3 ? (a & 0x0F) << 12 | (b & 0x3F) << 6 | (c & 0x3F) : 0;
  const bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
                     code == 0x202F || code == 0x205F || code == 0x3000;
  return space ? 3 : 0;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t space = space_at(text, at);
    if (space > 0 && at > begin) words.push_back(text.substr(begin, at - begin));
    at += std::max<size_t>(space, 1);
    if (space > 0) begin = at;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

// Without the white space at its end, or at its beginning.
std::string_view right_stripped(std::string_view text) {
  const auto words = words_of(text);
  return words.empty() ? text.substr(0, 0) : text.substr(0, static_cast<size_t>(words.back().end() - text.begin()));
}
std::string_view left_stripped(std::string_view text) {
  const auto words = words_of(text);
  return words.empty() ? text.substr(0, 0) : text.substr(static_cast<size_t>(words.front().begin() - text.begin()));
}

}  // namespace

std::optional<Llm2Vec> Llm2Vec::read(const ModelFiles& files, const ConfigView& config) {
  const auto found = ConfigView::read_if_exists(join_path(files.directory, "llm2vec_config.json"));
  if (!found) return std::nullopt;
  Llm2Vec out;
  out.file_ = found->file();
  const std::string pooling = found->string_or("pooling_mode", "mean");
  if (pooling == "last_token") {
    out.pooling_ = Pooling::kLastToken;
  } else if (pooling != "mean") {
    throw LoadError(
        fmt::format("{}: pooling_mode is '{}', only mean and last_token are supported", found->file(), pooling));
  }
  out.max_length_ = static_cast<size_t>(found->integer_or("max_length", 512, 1, 1 << 24));
  out.doc_max_length_ = static_cast<size_t>(found->integer_or("doc_max_length", 400, 1, 1 << 24));
  out.skip_instruction_ = found->boolean_or("skip_instruction", true);
  std::vector<std::string> bases = {config.string_or("_name_or_path", "")};
  for (const std::string& adapter : files.adapters) bases.push_back(adapter_base(adapter));
  for (const Chat& chat : kChats) {
    if (std::find(bases.begin(), bases.end(), chat.base) == bases.end()) continue;
    out.before_ = chat.before;
    out.after_ = chat.after;
  }
  return out;
}

void Llm2Vec::apply_to(SentenceTransformersSpec& spec) const {
  spec.pooling.modes = {pooling_};
  spec.pooling.include_prompt = !skip_instruction_;
  spec.max_seq_length = max_length_;
  spec.max_seq_length_source = "llm2vec_config.json";
}

size_t Llm2Vec::count(const Tokenizer& tokenizer, const std::string& text) const {
  TokenizeJob job;
  job.pieces.push_back({text, true, {}, {}});
  const auto encoded = tokenizer.encode({&job, 1}, max_length_, false);
  return encoded[0].ok() ? encoded[0].value().size() : 0;
}

std::string Llm2Vec::shorten(const Tokenizer& tokenizer, std::string text) const {
  for (size_t tokens; (tokens = count(tokenizer, text)) > doc_max_length_;) {
    const auto words = words_of(text);
    const auto kept = static_cast<size_t>(static_cast<double>(words.size()) *
                                          (static_cast<double>(doc_max_length_) / static_cast<double>(tokens)));
    std::string shorter;
    for (size_t i = 0; i < kept; ++i) {
      if (i > 0) shorter += ' ';
      shorter += words[i];
    }
    text = std::move(shorter);
  }
  return text;
}

void Llm2Vec::prepare(const Tokenizer& tokenizer, TokenizeJob& job) const {
  if (job.has_ids || job.is_pair || job.image || !job.pieces.empty()) return;
  const std::string prompt = job.text.substr(0, job.prompt.size());
  std::string text = shorten(tokenizer, job.text.substr(job.prompt.size()));
  if (!before_.empty()) {
    text = std::string(right_stripped(text)) + after_;
    job.text = before_ + std::string(left_stripped(prompt)) + text;
  } else {
    job.text = prompt + text;
  }
  job.text_tokens = count(tokenizer, text);
}

}  // namespace wde
