// What the source files of this plug-in offer to its entry.
#pragma once

#include "model/model.h"
#include "output/output_processor.h"

namespace example {

wde::ModelSpec bag_of_words();
std::unique_ptr<wde::OutputProcessor> make_mean_max(const wde::OutputConfig& config);

}  // namespace example
