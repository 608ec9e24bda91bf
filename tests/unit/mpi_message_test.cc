// The messages of the plug-in mpi: what goes in comes out, and one that is cut off anywhere is refused.
#include "../../plugins/mpi/message.h"

#include <gtest/gtest.h>

namespace wde::mpi {
namespace {

Job job_with(RowsNeeded rows) {
  Job job;
  job.input.ids = {101, 7, 8, 102, 101, 9, 102};
  job.input.type_ids = {0, 0, 1, 1, 0, 0, 0};
  job.input.positions = {0, 1, 2, 3, 0, 1, 2};
  job.input.cu_seqlens = {0, 4, 7};
  job.input.unseen_lens = {1, 0};
  job.input.prefix_rows = {0, 2};
  job.input.prefix_lens = {0, 3};
  job.input.max_seqlen = 4;
  job.input.rows = rows;
  if (rows != RowsNeeded::kAll) {
    job.input.row_indices = {0, 4};
    job.input.row_positions = {0, 0};
    job.input.cu_rows = {0, 1, 2};
  }
  const View<float> state = rows == RowsNeeded::kAll ? job.output.resize(7, 5) : job.output.resize_state(7, 5);
  for (size_t r = 0; r < 7; ++r)
    for (size_t c = 0; c < 5; ++c) state.row(r)[c] = static_cast<float>(r) + static_cast<float>(c) / 8;
  return job;
}

void expect_rows(View<const float> got, View<const float> want) {
  ASSERT_EQ(got.rows, want.rows);
  ASSERT_EQ(got.cols, want.cols);
  for (size_t r = 0; r < got.rows; ++r)
    for (size_t c = 0; c < got.cols; ++c) EXPECT_EQ(got.row(r)[c], want.row(r)[c]);
}

// Every shorter message than the whole one.
template <class Read>
void expect_refused_when_cut(const Bytes& whole, const Read& read) {
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    Reader from(cut);
    EXPECT_THROW(read(from), std::runtime_error) << size << " of " << whole.size() << " bytes";
  }
}

TEST(MpiMessage, UnfinishedJob) {
  for (const RowsNeeded rows : {RowsNeeded::kAll, RowsNeeded::kFirst, RowsNeeded::kLast}) {
    Job job = job_with(rows), got;
    Writer out;
    put_unfinished(out, job);
    Reader from(out.bytes());
    get_unfinished(from, got);
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(got.input.rows, rows);
    EXPECT_EQ(got.input.max_seqlen, 4u);
    EXPECT_EQ(got.input.ids, job.input.ids);
    EXPECT_EQ(got.input.type_ids, job.input.type_ids);
    EXPECT_EQ(got.input.positions, job.input.positions);
    EXPECT_EQ(got.input.cu_seqlens, job.input.cu_seqlens);
    EXPECT_EQ(got.input.prefix_rows, job.input.prefix_rows);
    EXPECT_EQ(got.input.prefix_lens, job.input.prefix_lens);
    EXPECT_EQ(got.input.unseen_lens, job.input.unseen_lens);
    EXPECT_EQ(got.input.row_indices, job.input.row_indices);
    EXPECT_EQ(got.input.row_positions, job.input.row_positions);
    EXPECT_EQ(got.input.cu_rows, job.input.cu_rows);
    if (rows == RowsNeeded::kAll) {
      expect_rows(got.output.hidden(), job.output.hidden());
    } else {
      expect_rows(got.output.state(), job.output.state());
    }
    expect_refused_when_cut(out.bytes(), [](Reader& cut) {
      Job other;
      get_unfinished(cut, other);
    });
  }
}

TEST(MpiMessage, AnswerByAHeadOrOfHiddenStates) {
  for (const bool head : {false, true}) {
    Job job = job_with(RowsNeeded::kAll), got;
    if (head) job.output.resize_result(2, 3).row(1)[2] = 0.5f;
    Writer out;
    put_answer(out, job);
    Reader from(out.bytes());
    get_answer(from, got);
    expect_rows(got.output.result(), job.output.result());
    if (!head) expect_rows(got.output.hidden(), job.output.hidden());
    expect_refused_when_cut(out.bytes(), [](Reader& cut) {
      Job other;
      get_answer(cut, other);
    });
  }
}

TEST(MpiMessage, AnErrorTravelsWithoutRows) {
  Job job = job_with(RowsNeeded::kFirst), got;
  job.error = "a worker threw";
  for (const bool finished : {false, true}) {
    Writer out;
    finished ? put_answer(out, job) : put_unfinished(out, job);
    Reader from(out.bytes());
    finished ? get_answer(from, got) : get_unfinished(from, got);
    EXPECT_EQ(got.error, "a worker threw");
    EXPECT_EQ(got.output.state().rows, 0u);
    EXPECT_EQ(got.output.hidden().rows, 0u);
  }
}

// Counts that no message can hold must not be believed.
TEST(MpiMessage, CountsBeyondTheMessage) {
  Writer out;
  out.put(size_t{1} << 62);
  out.put(size_t{1} << 62);
  std::vector<int32_t> values;
  std::string text;
  const auto refused = [&](const auto& read) {
    Reader from(out.bytes());
    EXPECT_THROW(read(from), std::runtime_error);
  };
  refused([&](Reader& from) { from.get(values); });
  refused([&](Reader& from) { from.get(text); });
  Job job;
  refused(
      [&](Reader& from) { from.get_rows([&](size_t rows, size_t cols) { return job.output.resize(rows, cols); }); });
}

}  // namespace
}  // namespace wde::mpi
