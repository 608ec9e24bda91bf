// KnownTokens: another tokenizer, as model2vec uses it. Tokens for what is unknown are left out, and of a long text
// only the first characters are looked at: the maximum length times the median length of the vocabulary's tokens.
#pragma once

#include <memory>

#include "tokenizer/tokenizer.h"

namespace wde {

// `unknown`: the id of the token that is left out; nullopt: there is none.
std::unique_ptr<Tokenizer> make_known_tokens(std::unique_ptr<Tokenizer> tokenizer, std::optional<int32_t> unknown);

}  // namespace wde
