// What a simulation says of each kind of client.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "simulator.h"

namespace wde::simulation {

struct Figures {
  double mean = 0, p50 = 0, p99 = 0;
};

struct Summary {
  std::string kind;  // "all": of all kinds
  size_t requests = 0;
  Figures wait;      // seconds that a request takes longer than alone
  Figures slowdown;  // how many times as long
};

Figures figures_of(std::vector<double> values);
// Of every kind that has requests, and of all.
std::vector<Summary> summarize(const std::vector<ClientKind>& kinds, std::span<const Answered> answered);

}  // namespace wde::simulation
