#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("tokenize", {.help = "token ids, offsets and masks; loads no weights",
                                          .input_processor = "text",
                                          .tokenizer = "hf",  // offsets are always asked of the crate
                                          .output_processor = "token_ids",
                                          .scheduler = "",
                                          .model_input_builder = "",
                                          .attn_backend = "",
                                          .executor = "",
                                          .worker = "",
                                          .runner = ""}));

}  // namespace
}  // namespace wde
