// Texts that are longer than the model: embedded in pieces whose vectors are averaged, weighted by their tokens.
#pragma once

#include <cstddef>
#include <vector>

#include "wde/request.h"
#include "wde/response.h"

namespace wde::server {

struct Chunks {
  std::vector<Request> requests;  // the pieces of all texts, in order
  std::vector<size_t> pieces;     // of each text
  std::vector<double> weights;    // of each piece: its tokens but for the special ones
};

// Texts come to the tokenize task in parts, so that others have their turn in between and a client that leaves is
// noticed. Parts begin at white space where there is any, which is where tokenizers begin anew as well.
struct TextParts {
  std::vector<Request> requests;  // of all texts, in order
  std::vector<size_t> parts;      // of each text
};
// A prompt that they share is that of their first parts alone, which say nothing of it.
TextParts split_texts(const std::vector<Request>& texts);

// `texts` as they were asked for, `tokenized` the answers of the tokenize task to their parts. A text that fits is one
// piece. The special tokens at both ends stand around every piece, and pieces of one text are as good as equal in
// length.
Chunks make_chunks(const std::vector<Request>& texts, const TextParts& parts, const std::vector<Response>& tokenized,
                   size_t max_length);

// One response a text, of the pieces' responses. `normalise`: to length 1.
std::vector<Response> average_chunks(const Chunks& chunks, const std::vector<Response>& pieces, bool normalise);

}  // namespace wde::server
