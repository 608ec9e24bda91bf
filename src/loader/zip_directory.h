// The directory of a zip archive held in memory, as torch.save writes it: every entry stored without compression, zip64
// or not. Checked before anything is handed out: the end record, the central directory, each local header against it,
// all data inside the archive, no overlap, no name twice. The checksums are not: torch.save may leave them out, and
// they would cost a pass over all weights. Format: PKWARE's APPNOTE.TXT. Private to src/loader.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace wde {

// The content of each entry by its name; the contents are parts of `archive`. Throws LoadError, naming `file`.
std::map<std::string, std::string_view, std::less<>> read_zip_directory(std::string_view archive,
                                                                        const std::string& file);

}  // namespace wde
