// A shared object that is no plug-in.
extern "C" int nothing_of_interest() { return 1; }
