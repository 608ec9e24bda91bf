// Runner::run takes no memory from the system once the largest batch has passed.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "attention/attn_backend.h"
#include "build/model_input_builder.h"
#include "execute/crew.h"
#include "execute/runner.h"
#include "golden/golden_files.h"
#include "loader/config.h"
#include "model/model.h"

// The allocator's entry points, counting. Not under a sanitizer, which has put its own there.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WDE_COUNTS_ALLOCATIONS 1
namespace {
constinit thread_local size_t allocations = 0;
}
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) { return ++allocations, __libc_malloc(n); }
void* calloc(size_t n, size_t size) { return ++allocations, __libc_calloc(n, size); }
void* realloc(void* p, size_t n) { return ++allocations, __libc_realloc(p, n); }
void* memalign(size_t alignment, size_t n) { return ++allocations, __libc_memalign(alignment, n); }
void* aligned_alloc(size_t alignment, size_t n) { return ++allocations, __libc_memalign(alignment, n); }
int posix_memalign(void** out, size_t alignment, size_t n) {
  ++allocations;
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? ENOMEM : 0;
}
void* mmap(void* address, size_t n, int protection, int flags, int file, off_t offset) noexcept {
  ++allocations;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, n, protection, flags, file, offset));
}
}
#endif

namespace wde {
namespace {

#ifdef WDE_COUNTS_ALLOCATIONS
template <class F>
size_t count(const F& f) {
  const size_t before = allocations;
  f();
  return allocations - before;
}

TEST(Allocations, AreCounted) {
  EXPECT_GE(count([] { std::vector<int>(100, 1); }), 1u);
  EXPECT_GE(count([] { AlignedBuffer buffer(100); }), 1u);
  EXPECT_GE(count([] { AlignedBuffer buffer(size_t{5} << 20); }), 1u);
  EXPECT_GE(count([] { std::string("a string that is too long to lie in the object itself"); }), 1u);
  EXPECT_EQ(count([] {}), 0u);
}

Sequence sequence(RequestId id, size_t length) {
  Sequence s;
  s.id = id;
  for (size_t i = 0; i < length; ++i) s.ids.push_back(static_cast<int32_t>((id * 37 + i * 11) % 900 + 5));
  s.type_ids.assign(length, 0);
  s.special_tokens_mask.assign(length, 0);
  return s;
}

ModelInput input_of(const std::vector<size_t>& lengths, RowsNeeded rows) {
  std::vector<Sequence> batch;
  for (size_t length : lengths) batch.push_back(sequence(batch.size() + 1, length));
  ModelInput input;
  model_input_builders().get("encoder")()->build(batch, rows, input);
  return input;
}

class RunnerAllocations : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, RunnerAllocations, ::testing::ValuesIn(test::embedders()),
                         [](const auto& test_info) { return test::test_name(test_info.param); });

void expect_none_after_the_largest(const std::string& checkpoint, WeightFormat format) {
  const std::string directory = test::checkpoint(checkpoint).string();
  const ConfigView config = ConfigView::read(directory + "/config.json");
  Weights weights = Weights::open(directory);
  weights.set_policy({format, ""});
  const auto model = ModelRegistry::instance().find(config).create(config, weights);
  model->reserve(500);
  model->reserve(500);
  for (const char* name : {"flash", "memory_efficient", "naive"}) {
    const auto backend = attn_backends().get(name)();
    for (RowsNeeded rows : {RowsNeeded::kAll, RowsNeeded::kFirst, RowsNeeded::kLast}) {
      if (std::string(name) == "naive" && rows != RowsNeeded::kFirst) continue;  // slow, and no other path
      SCOPED_TRACE(std::string(name) + ", rows " + std::to_string(static_cast<int>(rows)));
      RunnerConfig runner_config;
      runner_config.model = model.get();
      runner_config.backend = backend.get();
      runner_config.max_tokens = 512;
      runner_config.max_seqlen = 500;
      runner_config.max_team = 3;
      const auto runner = runners().get("cpu")(runner_config);
      const std::vector<std::vector<size_t>> batches = {{500, 4, 4, 4}, {128, 128, 128, 128}, {300}, {1}, {17, 3, 60},
                                                        {500}};
      std::vector<ModelInput> inputs;
      for (const auto& lengths : batches) inputs.push_back(input_of(lengths, rows));
      ModelOutput output;
      Team team;
      runner->run(inputs[0], {}, output, team);
      for (size_t i = 0; i < inputs.size(); ++i)
        EXPECT_EQ(count([&] { runner->run(inputs[i], {}, output, team); }), 0u) << "batch " << i;

      // A crew of three: the leader counts its own, each helper too.
      Crew crew;
      std::atomic<size_t> helpers_allocated = 0;
      const auto with_crew = [&](const ModelInput& batch) {
        const uint32_t ticket = crew.gather(2);
        std::vector<std::thread> helpers;
        for (size_t rank : {1, 2}) {
          helpers.emplace_back([&, rank] { helpers_allocated += count([&] { crew.help(rank, ticket); }); });
        }
        const size_t leader_allocated = count([&] { runner->run(batch, {}, output, crew); });
        crew.dismiss();
        for (std::thread& helper : helpers) helper.join();
        return leader_allocated;
      };
      with_crew(inputs[0]);
      helpers_allocated = 0;
      for (size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(with_crew(inputs[i]), 0u) << "batch " << i << ", crew of 3";
      EXPECT_EQ(helpers_allocated, 0u);

      // A batch above the promise (a caller's mistake) is computed all the same, and taken into account from then on.
      const ModelInput larger = input_of({500, 400, 300}, rows);
      runner->run(larger, {}, output, team);
      runner->run(larger, {}, output, team);
      EXPECT_EQ(count([&] { runner->run(larger, {}, output, team); }), 0u) << "third batch of a larger size";
    }
  }
}

TEST_P(RunnerAllocations, NoneOnceTheLargestBatchHasPassed) {
  expect_none_after_the_largest(GetParam(), WeightFormat::kFloat32);
}
TEST_P(RunnerAllocations, NoneInInt8) { expect_none_after_the_largest(GetParam(), WeightFormat::kInt8); }
#else
TEST(Allocations, AreCounted) {
  GTEST_SKIP() << "NOT TESTED here: allocations are counted in builds without a sanitizer";
}
#endif

}  // namespace
}  // namespace wde
