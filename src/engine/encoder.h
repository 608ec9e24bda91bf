// Encoder: the first two stages, what was submitted to token ids. The engine thread's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/counters.h"
#include "engine/modules.h"
#include "schedule/intake.h"

namespace wde {

// A module that throws fails its request, not the engine. f returns a Result.
template <class F>
auto guarded(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& e) {
    return Error{ErrorCode::kInternal, e.what()};
  } catch (...) {
    return Error{ErrorCode::kInternal, "a module threw an unknown exception"};
  }
}

class Encoder {
 public:
  Encoder(const Modules& modules, Counters& counters) : modules_(modules), counters_(counters) {}

  // One result for each, in their order; their inputs are moved from.
  std::vector<Result<Sequence>> encode(std::span<Submitted> chunk, Timing& timing);

 private:
  Result<TokenizeJob> process(Request request);
  Result<Sequence> finish(Sequence sequence, const TokenizeJob& job) const;
  std::optional<Error> check(const Sequence& sequence) const;
  size_t prompt_tokens(const std::string& prompt);

  const Modules& modules_;
  Counters& counters_;
  std::string counted_prompt_;
  size_t counted_tokens_ = 0;
};

}  // namespace wde
