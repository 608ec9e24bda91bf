// Which instruction sets the kernels can run on here, and which one they use.
#pragma once

#include <string>
#include <vector>

namespace wde::kernels {

std::string active_target();                  // "AVX3" (Highway's name for AVX-512), "AVX2", "NEON", …
std::vector<std::string> compiled_targets();  // best first
std::vector<std::string> runnable_targets();  // of them, those that this CPU has

// Tests only: pins all kernels to one runnable target (by name), or back to the best ("").
void force_target(const std::string& name);

}  // namespace wde::kernels
