#include "workflow/workflow.h"

namespace wde {
namespace {

WDE_REGISTER(workflows().add("image_text", {.help = "embeddings of texts and of images in one space (CLIP)",
                                            .input_processor = "image_text",
                                            .tokenizer = "auto",
                                            .output_processor = "features",
                                            .scheduler = "length_aware",
                                            .model_input_builder = "towers",
                                            .attn_backend = "flash",
                                            .executor = "data_parallel",
                                            .worker = "cpu",
                                            .runner = "cpu"}));

}  // namespace
}  // namespace wde
