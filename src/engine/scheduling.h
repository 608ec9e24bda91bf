// What decides which texts are computed next, and what it knows of their cost.
#pragma once

#include "engine/modules.h"

namespace wde {

// Makes the cost model and the scheduler; precondition: the modules stand up to the output processor. Throws
// UsageError: the scheduler cannot feed it, or has no use for a setting.
void load_scheduler(Modules& m, const EngineArgs& args, const ExecutorEntry& executor);

}  // namespace wde
