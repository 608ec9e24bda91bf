// token_ids: what the tokenizer made of the text; needs no model.
#include "output/output_processor.h"
#include "tokenizer/tokenizer.h"

namespace wde {
namespace {

class TokenIdsOutput final : public OutputProcessor {
 public:
  explicit TokenIdsOutput(const OutputConfig& config) : tokenizer_(*config.tokenizer) {}
  RowsNeeded rows_needed() const override { return RowsNeeded::kAll; }
  bool wants_offsets() const override { return true; }
  size_t dimensions() const override { return 0; }

  Result<Response> process(const Sequence& sequence, View<const float>) const override {
    Response response;
    response.outputs.push_back({"ids", {sequence.size()}, {}, sequence.ids});
    for (int32_t id : sequence.ids) response.details.tokens.push_back(tokenizer_.token(id));
    response.details.type_ids = sequence.type_ids;
    response.details.offsets = sequence.offsets;
    response.details.special_tokens_mask = sequence.special_tokens_mask;
    return response;
  }

 private:
  const Tokenizer& tokenizer_;
};

WDE_REGISTER(output_processors().add("token_ids", [](const OutputConfig& config) {
  return std::make_unique<TokenIdsOutput>(config);
}));

}  // namespace
}  // namespace wde
