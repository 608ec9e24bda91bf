// The program `wde` but for main(): subcommands, help, and what becomes of errors.
#pragma once

#include <chrono>

namespace wde::cli {

// When run_program() began: where load times start.
std::chrono::steady_clock::time_point program_start();
double seconds_since_start();

int run_program(int argc, char** argv);

}  // namespace wde::cli
