#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("classify", {.help = "probabilities of the classes of every text or pair",
                                          .input_processor = "text",
                                          .tokenizer = "auto",
                                          .output_processor = "classification",
                                          .scheduler = "length_aware",
                                          .model_input_builder = "auto",
                                          .attn_backend = "flash",
                                          .executor = "data_parallel",
                                          .worker = "cpu",
                                          .runner = "cpu"}));

}  // namespace
}  // namespace wde
