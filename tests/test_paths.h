// Where the tests find their files. In one object of its own, so that the objects of two checkouts are alike to ccache.
#pragma once

namespace wde::test {

extern const char* const kData;     // tests/golden/models: a checkpoint a folder
extern const char* const kPlugins;  // the folder of the built tests/plugins

}  // namespace wde::test
