// Random numbers that are the same wherever the simulator is built: the standard's distributions are not. The
// generator is SplitMix64 (Steele, Lea and Flood, 2014).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace wde::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Above 0, below 1.
  double uniform() { return (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52; }
  // Both ends included.
  size_t between(size_t least, size_t most) {
    return least + static_cast<size_t>(uniform() * static_cast<double>(most - least + 1));
  }
  // The logarithm is uniform: as many from 64 to 128 as from 1,024 to 2,048.
  size_t between_in_scale(size_t least, size_t most) {
    const double from = std::log(static_cast<double>(least)), to = std::log(static_cast<double>(most + 1));
    const auto drawn = static_cast<size_t>(std::exp(from + (to - from) * uniform()));
    return drawn < least ? least : drawn > most ? most : drawn;
  }
  double exponential(double mean) { return -mean * std::log(uniform()); }

 private:
  uint64_t state_;
};

}  // namespace wde::simulation
