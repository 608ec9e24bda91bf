#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "stage/job.h"

namespace wde {
namespace {

constexpr size_t kColumns = 30522;  // BERT's vocabulary

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which have memory of their own beside it
size_t resident_megabytes() {
  size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

// A number a page.
void touch(View<float> rows) {
  for (size_t r = 0; r < rows.rows; ++r)
    for (size_t c = 0; c < rows.cols; c += 1024) rows.row(r)[c] = 1;
}

TEST(ReusedMatrix, GivesBackWhatOneLargeBatchTook) {
  ReusedMatrix matrix;
  const size_t before = resident_megabytes();
  touch(matrix.resize(1600, kColumns));  // 186 MB
  EXPECT_GT(resident_megabytes(), before + 170);
  touch(matrix.resize(4, kColumns));
  EXPECT_LT(resident_megabytes(), before + 16);
  EXPECT_EQ(matrix.view().rows, 4U);
}
#endif

TEST(ReusedMatrix, KeepsWhatBatchesOfLikeSizesTake) {
  ReusedMatrix matrix;
  const float* const first = matrix.resize(1600, kColumns).data;
  EXPECT_EQ(matrix.resize(400, kColumns).data, first) << "a quarter of it";
  EXPECT_EQ(matrix.resize(1600, kColumns).data, first);
  const float* const small = matrix.resize(300, kColumns).data;
  EXPECT_EQ(matrix.resize(1, kColumns).data, small) << "37 MB are kept whatever is asked for";
}

}  // namespace
}  // namespace wde
