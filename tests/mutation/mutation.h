// Mutation: one thing changed in a copy of a checkpoint, as a damaged, careless or hostile one has it. Which one
// follows from a seed, the checkpoint and a number alone, so that every mutant can be made again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace wde::mutation {

// The same numbers on every machine (splitmix64).
class Random {
 public:
  Random(uint64_t seed, const std::string& name, uint64_t number);
  uint64_t next();
  size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(next() % n); }
  bool one_of(size_t n) { return below(n) == 0; }
  template <class T>
  const T& pick(const std::vector<T>& of) {
    return of[below(of.size())];
  }

 private:
  uint64_t state_;
};

struct Mutant {
  std::string what;  // for people: file, place, old and new value
  // The reference refuses it, unless what was changed is not used at all: so must we, or answer as ever.
  bool refused_or_equal = false;
};

// Links to all files of `checkpoint` in the empty directory `to`, and one of them changed. Images of tests and recorded
// answers are left alone.
Mutant make_mutant(const std::filesystem::path& checkpoint, const std::filesystem::path& to, Random& random);

// The parts, each for one kind of file. They return "" where there was nothing to change.
std::string read_file(const std::filesystem::path& file);
void write_file(const std::filesystem::path& file, const std::string& content);
std::string mutate_bytes(std::string& content, Random& random);
std::string mutate_json(std::string& content, Random& random);
std::string mutate_tokenizer(std::string& content, Random& random);
std::string mutate_tensors(std::string& content, Random& random, bool& refused_or_equal);

}  // namespace wde::mutation
