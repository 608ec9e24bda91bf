// Files of models that this engine does not read, so that a refusal can say what they are and what to do. Private to
// src/loader.
#pragma once

#include <set>
#include <string>

namespace wde {

// The files in a directory that people keep weights in, and those in its folders for other formats ("onnx/model.onnx").
std::set<std::string> weight_like_files(const std::string& directory);

// "; ONNX is not read here: …" for names of which some are weights in another format, else "".
std::string advice_on_formats(const std::set<std::string>& names);

// The first file of a tokenizer that needs a conversion (SentencePiece and others), "" if there is none.
std::string foreign_tokenizer(const std::set<std::string>& names, const std::string& folder);

}  // namespace wde
