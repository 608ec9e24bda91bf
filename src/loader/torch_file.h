// Files of PyTorch's torch.save (pytorch_model.bin, colbert_linear.pt): a zip archive of a pickle and the tensors'
// bytes, or what versions before 1.6 wrote. The pickle is interpreted as data by a fixed list of opcodes and names
// (pickle.h), so that nothing in a file can be run. Everything is checked before any tensor is handed out.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "loader/safetensors.h"

namespace wde {

class TorchFile {
 public:
  // The file holds a dict of tensors, or one under "state_dict"; numbers, strings and None beside them are passed over.
  // Throws LoadError: anything else, a damaged file.
  explicit TorchFile(const std::string& file);
  TorchFile(const TorchFile&) = delete;
  TorchFile& operator=(const TorchFile&) = delete;

  const WeightFile& file() const { return file_; }
  // All contiguous. Some may share their data. A tensor that is not contiguous in the file, as a transposed one, is
  // copied to memory when the file is opened.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

 private:
  const WeightFile file_;
  std::vector<std::byte> copies_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace wde
