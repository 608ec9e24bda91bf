#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("token_embed", {.help = "last hidden states: one vector a token",
                                             .input_processor = "text",
                                             .tokenizer = "auto",
                                             .output_processor = "hidden_states",
                                             .scheduler = "length_aware",
                                             .model_input_builder = "encoder",
                                             .attn_backend = "flash",
                                             .executor = "data_parallel",
                                             .worker = "cpu",
                                             .runner = "cpu"}));

}  // namespace
}  // namespace wde
