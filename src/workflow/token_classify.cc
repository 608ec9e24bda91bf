#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("token_classify",
                             {.help = "probabilities of the classes of every token (named entities, parts of speech)",
                              .input_processor = "text",
                              .tokenizer = "hf",  // offsets are always asked of the crate
                              .output_processor = "token_classification",
                              .scheduler = "length_aware",
                              .model_input_builder = "encoder",
                              .attn_backend = "flash",
                              .executor = "data_parallel",
                              .worker = "cpu",
                              .runner = "cpu"}));

}  // namespace
}  // namespace wde
