#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add(
    "embed", {.help = "embeddings: one vector a text, pooled as the model's sentence-transformers files say",
              .input_processor = "text",
              .tokenizer = "auto",
              .output_processor = "embedding",
              .scheduler = "length_aware",
              .model_input_builder = "auto",
              .attn_backend = "flash",
              .executor = "data_parallel",
              .worker = "cpu",
              .runner = "cpu"}));

}  // namespace
}  // namespace wde
