// Calls what neither it nor the program has.
#include "wde/plugin.h"

namespace wde {
void there_is_no_such_function();
}

WDE_PLUGIN() { wde::there_is_no_such_function(); }
