// RoBERTa, XLM-RoBERTa and CamemBERT: BERT, but positions count from padding_idx + 1 and skip padding tokens.
// Source: transformers, create_position_ids_from_input_ids.
#include "model/bert.h"

namespace wde {
namespace {

class RobertaModel final : public BertModel {
 public:
  RobertaModel(const ConfigView& config, Weights& weights, size_t padding_idx)
      : BertModel(config, weights, padding_idx + 1), padding_idx_(padding_idx) {}

 private:
  // A literal "<pad>" in a text is a padding token to the reference: it stays at padding_idx and does not count.
  size_t position_row(int32_t id, size_t, size_t& counter) const override {
    return id == static_cast<int32_t>(padding_idx_) ? padding_idx_ : padding_idx_ + ++counter;
  }

  size_t padding_idx_;
};

std::unique_ptr<Model> create(const ConfigView& config, Weights& weights) {
  return std::make_unique<RobertaModel>(config, weights,
                                        static_cast<size_t>(config.integer_or("pad_token_id", 1, 0, 1 << 20)));
}

bool add(const std::string& family, const std::string& model_type) {
  return ModelRegistry::instance().add({{family + "Model", family + "ForMaskedLM", family + "ForSequenceClassification",
                                         family + "ForTokenClassification"},
                                        model_type,
                                        false,
                                        encoder_workflows(),
                                        create});
}

WDE_REGISTER(add("Roberta", "roberta"));
WDE_REGISTER(add("XLMRoberta", "xlm-roberta"));
WDE_REGISTER(add("Camembert", "camembert"));

}  // namespace
}  // namespace wde
