#include "tokenizer/tokenizer.h"

namespace wde {

Registry<TokenizerFactory>& tokenizers() {
  static Registry<TokenizerFactory> registry("tokenizer");
  return registry;
}

}  // namespace wde
