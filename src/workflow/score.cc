#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add(
    "score", {.help = "a relevance score for every (query, document) pair, from a cross-encoder or by yes/no logits",
              .input_processor = "template",
              .tokenizer = "auto",
              .output_processor = "score",
              .scheduler = "length_aware",
              .model_input_builder = "auto",
              .attn_backend = "flash",
              .executor = "data_parallel",
              .worker = "cpu",
              .runner = "cpu"}));

}  // namespace
}  // namespace wde
