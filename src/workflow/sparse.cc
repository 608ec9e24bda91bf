#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("sparse", {.help = "weights of vocabulary entries: SPLADE, bge-m3 lexical weights",
                                        .input_processor = "text",
                                        .tokenizer = "auto",
                                        .output_processor = "lexical",
                                        .scheduler = "length_aware",
                                        .model_input_builder = "encoder",
                                        .attn_backend = "flash",
                                        .executor = "data_parallel",
                                        .worker = "cpu",
                                        .runner = "cpu"}));

}  // namespace
}  // namespace wde
