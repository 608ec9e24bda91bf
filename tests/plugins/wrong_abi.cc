// As if built against headers of another version.
extern "C" const char* wde_plugin_abi() { return "headers of the day before yesterday"; }
extern "C" void wde_plugin_register() { __builtin_trap(); }
