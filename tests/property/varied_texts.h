// Texts that try everything a tokenizer may trip over, the same on every run: random ASCII and Unicode, words of real
// texts mutated and put together anew, pieces of vocabularies, literal special tokens, blanks and controls, words that
// are too long.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wde::test {

class VariedTexts {
 public:
  // `words`: of real texts, and pieces of a vocabulary.
  VariedTexts(uint64_t seed, std::vector<std::string> words) : state_(seed), words_(std::move(words)) {}

  size_t below(size_t n) { return next() % n; }

  std::string text() {
    std::string out;
    switch (below(8)) {
      case 0:
        return ascii(below(120));
      case 1:
        return unicode(below(40));
      case 2:
        return std::string(below(3), 'a') + long_word();
      case 3:  // no blanks
        for (size_t i = below(6); i > 0; --i) out += word();
        return out;
      default:
        break;
    }
    const bool plain = below(2) == 0;
    for (size_t i = below(14); i > 0; --i) {
      std::string one = word();
      if (!plain && below(3) == 0) one = mutated(std::move(one));
      out += one;
      out += plain ? " " : blank();
    }
    if (below(2) == 0 && !out.empty()) out.pop_back();  // may cut a character into two
    return out;
  }

 private:
  uint64_t next() { return (state_ = state_ * 6364136223846793005u + 1442695040888963407u) >> 33; }

  std::string word() {
    switch (below(10)) {
      case 0:
        return unicode(1 + below(5));
      case 1:
        return ascii(1 + below(8));
      case 2:
        return special();
      case 3:
        return words_[below(words_.size())] + words_[below(words_.size())];
      case 4:
        return special() + words_[below(words_.size())];
      default:
        return words_[below(words_.size())];
    }
  }

  std::string ascii(size_t length) {
    std::string out;
    const bool any = below(2) == 0;
    for (size_t i = 0; i < length; ++i) out += static_cast<char>(any ? below(128) : 32 + below(95));
    return out;
  }

  std::string unicode(size_t length) {
    // Where characters have something about them: marks, joiners, prepended ones, blanks, compatibility forms.
    static constexpr std::array<std::pair<uint32_t, uint32_t>, 32> kBlocks = {{
        {0x00, 0x7F},       {0x80, 0xFF},       {0x100, 0x24F},     {0x300, 0x36F},     {0x370, 0x52F},
        {0x590, 0x5FF},     {0x600, 0x6FF},     {0x900, 0x97F},     {0xD00, 0xD7F},     {0xE00, 0xE7F},
        {0x1100, 0x11FF},   {0x1E00, 0x1FFF},   {0x2000, 0x206F},   {0x2070, 0x24FF},   {0x2580, 0x25FF},
        {0x2E80, 0x2FFF},   {0x3000, 0x30FF},   {0x3200, 0x33FF},   {0x4E00, 0x4EFF},   {0xAC00, 0xACFF},
        {0xE000, 0xE00F},   {0xF900, 0xFAFF},   {0xFB00, 0xFDFF},   {0xFE00, 0xFE2F},   {0xFE70, 0xFFEF},
        {0xFFF0, 0xFFFF},   {0x110BD, 0x110CD}, {0x1D160, 0x1D170}, {0x1D400, 0x1D4FF}, {0x1F1E6, 0x1F1FF},
        {0x1F300, 0x1FAFF}, {0x0, 0x10FFFF},
    }};
    std::string out;
    auto block = kBlocks[below(kBlocks.size())];
    for (size_t i = 0; i < length; ++i) {
      if (below(3) == 0) block = kBlocks[below(kBlocks.size())];
      uint32_t c = block.first + static_cast<uint32_t>(below(block.second - block.first + 1));
      if (c >= 0xD800 && c < 0xE000) c = 0x200D;
      append(out, below(12) == 0 ? 0x200D : c);
    }
    return out;
  }

  std::string long_word() {
    std::string out;
    for (size_t i = 85 + below(60); i > 0; --i) out += static_cast<char>('a' + below(26));
    if (below(2) == 0) out.insert(below(out.size()), unicode(1));
    return out + (below(2) == 0 ? " after" : "");
  }

  std::string special() {
    static constexpr std::array<std::string_view, 19> kTokens = {"[CLS]",
                                                                 "[SEP]",
                                                                 "[MASK]",
                                                                 "[UNK]",
                                                                 "[PAD]",
                                                                 "[mask]",
                                                                 "<s>",
                                                                 "</s>",
                                                                 "<mask>",
                                                                 "<unk>",
                                                                 " <mask>",
                                                                 "[",
                                                                 "<",
                                                                 "[MASK",
                                                                 "<m",
                                                                 "▁",
                                                                 "\xEF\xBC\xBBMASK]",
                                                                 "\xEF\xBC\x9Cmask>",
                                                                 "\xEF\xBC\xAF\x66 \xC3\xA9"};
    return std::string(kTokens[below(kTokens.size())]);
  }

  std::string blank() {
    static constexpr std::array<std::string_view, 16> kBlanks = {
        " ",         " ",         " ",      "  ",       "\t",           "\n",           "\r\n",
        "\r",        "\x01",      " \x7F ", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\x8B", "\x0B",
        " \xCC\x81", "\xD8\x80 ",  // a blank with an accent on it, and one behind a prepended mark
    };
    return std::string(kBlanks[below(kBlanks.size())]);
  }

  std::string mutated(std::string word) {
    if (word.empty()) return word;
    const size_t at = below(word.size());
    switch (below(5)) {
      case 0:
        word[at] = static_cast<char>(below(256));
        break;  // likely no UTF-8 any more
      case 1:
        word[at] = static_cast<char>(below(128));
        break;
      case 2:
        word.insert(at, unicode(1));
        break;
      case 3:
        word.erase(at, 1);
        break;
      default:
        for (char& c : word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    }
    return word;
  }

  static void append(std::string& out, uint32_t c) {
    const auto add = [&out](uint32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
      add(c);
    } else if (c < 0x800) {
      add(0xC0 | c >> 6), add(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      add(0xE0 | c >> 12), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
    } else {
      add(0xF0 | c >> 18), add(0x80 | (c >> 12 & 0x3F)), add(0x80 | (c >> 6 & 0x3F)), add(0x80 | (c & 0x3F));
    }
  }

  uint64_t state_;
  std::vector<std::string> words_;
};

}  // namespace wde::test
