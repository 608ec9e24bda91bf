// Throws while it registers.
#include <stdexcept>

#include "wde/plugin.h"

WDE_PLUGIN() { throw std::runtime_error("this plug-in needs a sunny day"); }
