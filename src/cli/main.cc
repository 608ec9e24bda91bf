#include "cli/program.h"

int main(int argc, char** argv) { return wde::cli::run_program(argc, argv); }
