#include "loader/torch_file.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>

#include <gtest/gtest.h>

#include "loader/weights.h"
#include "loader_files.h"
#include "test_paths.h"
#include "torch_files.h"

namespace wde {
namespace {

using test::expect_contains;
using test::little_endian;
using test::load_error;
using test::make_zip;
using test::pickle_dict;
using test::pickle_int;
using test::pickle_name;
using test::pickle_storage;
using test::pickle_tensor;
using test::pickle_text;
using test::pickle_tuple;
using test::TempDirectory;
using test::torch_file;
using test::ZipEntry;
using test::ZipParts;

std::string stored(const std::string& name) { return std::string(test::kData) + "/../torch_files/" + name; }

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::vector<float> floats(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  to_float32(tensor, 0, values.size(), values.data());
  return values;
}

std::string stored_error(const std::string& name) {
  return load_error([&] { const TorchFile file(stored(name)); });
}
std::string error_of(const std::string& archive) {
  const TempDirectory directory;
  const std::string file = directory.write("pytorch_model.bin", archive);
  std::string error = load_error([&] { const TorchFile opened(file); });
  EXPECT_TRUE(error.starts_with(file)) << error;
  return error;
}
std::string pickle_error(const std::string& pickle) { return error_of(torch_file(pickle).archive); }

using Floats = std::vector<float>;
using Shape = std::vector<size_t>;

// ---- what torch.save wrote

TEST(TorchFile, HeadsOfBgeM3) {
  const TorchFile colbert(stored("colbert_linear.pt"));
  ASSERT_EQ(colbert.tensors().size(), 2u);
  EXPECT_EQ(colbert.file().name(), stored("colbert_linear.pt"));
  EXPECT_EQ(colbert.tensors().at("weight").shape, (Shape{48, 48}));
  EXPECT_EQ(colbert.tensors().at("bias").shape, (Shape{48}));
  const TorchFile sparse(stored("sparse_linear.pt"));
  EXPECT_EQ(sparse.tensors().at("weight").shape, (Shape{1, 48}));
  const TensorView& bias = sparse.tensors().at("bias");
  EXPECT_EQ(bias.name, "bias");
  EXPECT_EQ(bias.shape, (Shape{1}));
  EXPECT_EQ(floats(bias), (Floats{-0.03277928754687309F}));
  EXPECT_EQ(floats(colbert.tensors().at("weight")).back(), 0.12261494249105453F);
}

TEST(TorchFile, EveryDtype) {
  const TorchFile file(stored("dtypes.pt"));
  ASSERT_EQ(file.tensors().size(), 11u);
  for (const auto& [name, dtype] : {std::pair("f32", Dtype::kF32),
                                    {"f16", Dtype::kF16},
                                    {"bf16", Dtype::kBF16},
                                    {"f64", Dtype::kF64},
                                    {"i64", Dtype::kI64},
                                    {"i32", Dtype::kI32},
                                    {"i16", Dtype::kI16},
                                    {"i8", Dtype::kI8},
                                    {"u8", Dtype::kU8},
                                    {"bool", Dtype::kBool}}) {
    const TensorView& tensor = file.tensors().at(name);
    EXPECT_EQ(tensor.dtype, dtype) << name;
    EXPECT_EQ(tensor.elements(), 3u) << name;
    EXPECT_EQ(tensor.bytes, 3 * dtype_size(dtype)) << name;
  }
  for (const char* name : {"f32", "f16", "bf16"}) EXPECT_EQ(floats(file.tensors().at(name)), (Floats{0, 1, 1}));
  const TensorView& other = file.tensors().at("c64");
  EXPECT_EQ(other.dtype, Dtype::kOther);
  EXPECT_EQ(other.other_dtype, "C64");
  EXPECT_EQ(other.bytes, 24u);
}

TEST(TorchFile, ViewsOfOneStorage) {
  const TorchFile file(stored("views.pt"));
  const auto& tensors = file.tensors();
  Floats all(24);
  std::iota(all.begin(), all.end(), 0.0F);
  EXPECT_EQ(floats(tensors.at("whole")), all);
  EXPECT_EQ(tensors.at("tied").offset, tensors.at("whole").offset);
  EXPECT_EQ(tensors.at("part").offset, tensors.at("whole").offset + 32);
  EXPECT_EQ(tensors.at("part").shape, (Shape{3, 4}));
  EXPECT_EQ(floats(tensors.at("part")), Floats(all.begin() + 8, all.begin() + 20));
  EXPECT_EQ(tensors.at("one").shape, (Shape{1, 1}));
  EXPECT_EQ(floats(tensors.at("one")), (Floats{5}));
  EXPECT_TRUE(tensors.at("scalar").shape.empty());
  EXPECT_EQ(floats(tensors.at("scalar")), (Floats{7}));
  EXPECT_EQ(tensors.at("empty").shape, (Shape{0, 3}));
  EXPECT_EQ(tensors.at("empty").bytes, 0u);
  EXPECT_EQ(floats(tensors.at("strange")), (Floats{3, 4}));
}

TEST(TorchFile, CopiesWhatIsNotContiguous) {
  const TorchFile file(stored("views.pt"));
  const auto& tensors = file.tensors();
  EXPECT_EQ(tensors.at("transposed").shape, (Shape{6, 4}));
  EXPECT_EQ(tensors.at("columns").shape, (Shape{4, 2}));
  EXPECT_EQ(tensors.at("swapped").shape, (Shape{4, 2, 3}));
  EXPECT_EQ(tensors.at("swapped").bytes, 96u);
  const Floats transposed = floats(tensors.at("transposed")), columns = floats(tensors.at("columns"));
  for (size_t i = 0; i < 24; ++i) EXPECT_EQ(transposed[i], static_cast<float>(i % 4 * 6 + i / 4));
  EXPECT_EQ(columns, (Floats{1, 2, 7, 8, 13, 14, 19, 20}));
  const Floats swapped = floats(tensors.at("swapped"));
  for (size_t i = 0; i < 24; ++i) EXPECT_EQ(swapped[i], static_cast<float>(i / 6 + i / 3 % 2 * 12 + i % 3 * 4));
}

TEST(TorchFile, CopiesALargeTensor) {
  constexpr size_t kSide = 128;  // 16 pages
  Floats values(kSide * kSide);
  std::iota(values.begin(), values.end(), 0.0F);
  const std::string storage(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const TempDirectory directory;
  const std::string tensor =
      pickle_tensor(0, {kSide, kSide}, {1, kSide}, pickle_storage("FloatStorage", "0", kSide * kSide));
  const TorchFile file(directory.write("a.pt", torch_file(pickle_dict({{"t", tensor}}), {storage}).archive));
  const TensorView& view = file.tensors().at("t");
  const Floats read = floats(view);
  for (size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i], values[i % kSide * kSide + i / kSide]);
}

TEST(TorchFile, ModulesAndParametersOfEveryProtocol) {
  for (const char* name :
       {"module.pt", "parameters.pt", "training.pt", "protocol3.pt", "protocol4.pt", "protocol5.pt"}) {
    SCOPED_TRACE(name);
    const TorchFile file(stored(name));
    ASSERT_EQ(file.tensors().size(), 2u);
    EXPECT_EQ(file.tensors().at("weight").shape, (Shape{1, 2}));
    EXPECT_EQ(floats(file.tensors().at("weight")), (Floats{1, 2}));
    EXPECT_EQ(floats(file.tensors().at("bias")), (Floats{3}));
  }
}

TEST(TorchFile, ManyTensors) {
  const TorchFile file(stored("many.pt"));  // its memo has more than 256 values
  ASSERT_EQ(file.tensors().size(), 50u);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(floats(file.tensors().at("layer." + std::to_string(i) + ".bias")), (Floats{static_cast<float>(i % 24)}));
  }
}

TEST(TorchFile, WhatTorchWritesButIsRefused) {
  expect_contains(stored_error("repeated.pt"), {"\"t\"", "[1000, 1000]", "repeats its 1 elements", "contiguous()"});
  expect_contains(stored_error("object.pt"), {"run \"torch.nn.modules.linear.Linear\", which is refused"});
  expect_contains(stored_error("script.pt"), {"compressed", "TorchScript program"});
  expect_contains(stored_error("optimizer.pt"), {"expected a tensor of the name \"optimizer\", found a dict"});
  expect_contains(stored_error("size.pt"), {"\"shape\"", "found a tuple"});
}

// ---- files of another kind

TEST(TorchFile, OtherFiles) {
  const TempDirectory directory;
  expect_contains(load_error([&] { const TorchFile file(directory.path("none.pt")); }),
                  {"none.pt", "cannot be opened"});
  expect_contains(load_error([&] { const TorchFile file(directory.path()); }), {"a directory"});
  expect_contains(error_of(""), {"found an empty file"});
  expect_contains(error_of("P"), {"begins with \"P\""});
  expect_contains(error_of("version https://git-lfs.github.com/spec/v1\n"), {"git lfs pull"});
  expect_contains(error_of("\x80\x02}."), {"expected a file of torch.save, which is a zip archive", "x80"});
  expect_contains(error_of(make_zip({{"a/b", "c"}}).archive), {"1 entries without <name>/data.pkl"});
  expect_contains(error_of(make_zip({{"data.pkl", "c"}, {"a/b/data.pkl", "c"}}).archive), {"without <name>/data.pkl"});
  expect_contains(error_of(make_zip({{"a/data.pkl", "c"}, {"b/data.pkl", "c"}}).archive), {"found two"});
  expect_contains(error_of(make_zip({{"a/data.pkl", "c"}, {"a/constants.pkl", "c"}}).archive),
                  {"TorchScript", "state_dict()"});
  expect_contains(error_of(make_zip({{"a/data.pkl", "\x80\x04}."}, {"a/byteorder", "big"}}).archive),
                  {"byte order \"little\", found \"big\""});
}

// ---- zip

std::string patched(std::string text, size_t at, const std::string& bytes) {
  return text.replace(at, bytes.size(), bytes);
}

TEST(TorchFileZip, PlainAndZip64) {
  const TempDirectory directory;
  const std::string pickle = pickle_dict({{"t", pickle_tensor(0, {16}, {1})}});
  for (const bool wide : {false, true}) {
    std::vector<ZipEntry> entries = {{"x y/data.pkl", pickle}, {"x y/data/0", std::string(64, 0)}, {"x y/empty/", ""}};
    for (ZipEntry& entry : entries) entry.wide = wide;
    std::string archive = make_zip(entries, wide).archive;
    EXPECT_EQ(TorchFile(directory.write("a.pt", archive)).tensors().at("t").bytes, 64u);
    archive = patched(archive, archive.size() - 2, little_endian(7, 2)) + "comment";
    EXPECT_EQ(TorchFile(directory.write("a.pt", archive)).tensors().size(), 1u);
  }
}

TEST(TorchFileZip, Truncated) {
  for (const std::string& whole :
       {content(stored("views.pt")), torch_file(pickle_dict({{"t", pickle_tensor(0, {16}, {1})}})).archive}) {
    for (size_t size = 4; size < whole.size(); size += 7) {
      expect_contains(error_of(whole.substr(0, size)), {"expected an end record, found none", "cut off"});
    }
    EXPECT_NE(error_of(whole.substr(0, 40) + whole.substr(45)), "");  // a hole
  }
}

TEST(TorchFileZip, RefusedWays) {
  const std::string pickle = pickle_dict({});
  expect_contains(error_of(make_zip({{"a/data.pkl", pickle, 8}}).archive),
                  {"\"a/data.pkl\"", "compressed (method 8)", "zip -0"});
  expect_contains(error_of(make_zip({{"a/data.pkl", pickle, 0, 0x0801}}).archive), {"\"a/data.pkl\"", "encrypted"});
  expect_contains(error_of(make_zip({{"a/data.pkl", pickle}, {"a/data.pkl", pickle}}).archive), {"given twice"});
}

TEST(TorchFileZip, LyingNumbers) {
  const ZipParts good = torch_file(pickle_dict({{"t", pickle_tensor(0, {16}, {1})}}));
  const auto central = [&](size_t field, uint64_t value, size_t bytes) {
    return error_of(patched(good.archive, good.directory + field, little_endian(value, bytes)));
  };
  const auto end = [&](size_t field, uint64_t value, size_t bytes) {
    return error_of(patched(good.archive, good.end + field, little_endian(value, bytes)));
  };
  expect_contains(central(0, 0, 4), {"central directory", "expected an entry at byte"});
  expect_contains(central(20, 1, 4), {"expected stored data of", "found 1"});
  expect_contains(central(20, 0xffffffff, 4), {"zip64 field"});
  expect_contains(central(28, 0xffff, 2), {"does not end inside it"});
  expect_contains(central(42, 0x7fffffff, 4), {"local header before the central directory"});
  expect_contains(central(42, good.directory - 29, 4), {"local header before the central directory"});
  expect_contains(central(42, 1, 4), {"expected its local header at byte 1, found none"});
  expect_contains(end(10, 9, 2), {"a part of one"});
  expect_contains(error_of(patched(good.archive, good.end + 8, little_endian(0x00010001, 4))),
                  {"expected 1 entries in the central directory, found 3"});
  expect_contains(end(4, 1, 2), {"a part of one"});
  expect_contains(end(12, 0xfffffffe, 4), {"expected the central directory to end at byte"});
  expect_contains(end(16, good.directory - 1, 4), {"expected the central directory to end at byte"});
}

TEST(TorchFileZip, LocalHeadersAreChecked) {
  const ZipParts good = torch_file(pickle_dict({{"t", pickle_tensor(0, {16}, {1})}}));
  const auto local = [&](size_t field, uint64_t value, size_t bytes) {
    return error_of(patched(good.archive, field, little_endian(value, bytes)));
  };
  expect_contains(local(8, 8, 2), {"compressed"});
  expect_contains(local(22, 5, 4), {"as in the central directory, its local header has 5"});
  expect_contains(local(26, 15, 2), {"another name, \"archive/data.pk\""});
  expect_contains(local(28, 1, 2), {"overlap or lie outside"});  // all data one byte further
  // Sizes that follow the data, as torch.save writes them, are not asked for in the local header.
  const std::string follow = patched(patched(good.archive, 6, little_endian(0x0808, 2)), 18, little_endian(0, 8));
  const TempDirectory directory;
  EXPECT_EQ(TorchFile(directory.write("a.pt", follow)).tensors().size(), 1u);
}

TEST(TorchFileZip, OverlappingEntries) {
  const std::string pickle = pickle_dict({});
  const ZipParts inner = make_zip({{"a/data.pkl", pickle}});
  // An entry inside another's data.
  const std::string hidden = inner.archive.substr(0, inner.directory);
  ZipParts parts = make_zip({{"a/data.pkl", pickle}, {"a/data/0", hidden}, {"a/data/1", pickle}});
  const size_t second = 30 + 10 + pickle.size();  // "a/data/0"
  const size_t third_entry = parts.directory + 46 + 10 + 46 + 8;
  const std::string archive = patched(parts.archive, third_entry + 42, little_endian(second + 30 + 8, 4));
  expect_contains(error_of(archive), {"overlap or lie outside"});
}

TEST(TorchFileZip, LyingZip64Records) {
  const ZipParts good = torch_file(pickle_dict({{"t", pickle_tensor(0, {16}, {1})}}), {std::string(64, 0)}, true);
  const auto error = [&](size_t field, uint64_t value, size_t bytes) {
    return error_of(patched(good.archive, good.end + field, little_endian(value, bytes)));
  };
  expect_contains(error(0, 0, 4), {"expected the zip64 end record"});
  expect_contains(error(4, UINT64_MAX, 8), {"expected the zip64 end record"});
  expect_contains(error(24, 1, 8), {"a part of one"});
  expect_contains(error(32, 1, 8), {"contradict"});
  expect_contains(error(40, UINT64_MAX, 8), {"contradict"});
  expect_contains(error(48, UINT64_MAX - 4, 8), {"contradict"});
  expect_contains(error(56 + 8, UINT64_MAX, 8), {"expected the zip64 end record at byte 18446744073709551615"});
  expect_contains(error(56 + 8, 0, 8), {"expected the zip64 end record at byte 0"});
  // With the short record's numbers full, so that nothing contradicts.
  const std::string full = patched(good.archive, good.end + 56 + 20 + 8, std::string(12, static_cast<char>(0xff)));
  const TempDirectory directory;
  EXPECT_EQ(TorchFile(directory.write("a.pt", full)).tensors().size(), 1u);
  expect_contains(error_of(patched(full, good.end + 40, little_endian(UINT64_MAX, 8))), {"central directory to end"});
  expect_contains(error_of(patched(full, good.end + 48, little_endian(UINT64_MAX - 4, 8))),
                  {"central directory to end"});
  expect_contains(error_of(patched(full, good.end + 24, little_endian(UINT64_MAX, 8) + little_endian(UINT64_MAX, 8))),
                  {"expected 18446744073709551615 entries in the central directory, found 3"});
}

// ---- pickle

TEST(TorchFilePickle, NothingIsRun) {
  const std::string argument = pickle_text("touch /tmp/owned");
  expect_contains(pickle_error("\x80\x04" + pickle_name("os", "system") + "(" + argument + "tR."),
                  {"data.pkl at byte 2: this file wants to run \"os.system\", which is refused"});
  expect_contains(
      pickle_error("\x80\x04" + pickle_text("posix") + pickle_text("system") + "\x93" + argument + "\x85R."),
      {"wants to run \"posix.system\", which is refused"});
  expect_contains(pickle_error("\x80\x02" + pickle_name("builtins", "eval") + "."), {"\"builtins.eval\""});
  expect_contains(pickle_error("\x80\x02" + pickle_name("torch", "load") + "."), {"\"torch.load\""});
  expect_contains(pickle_error("\x80\x02" + pickle_name("torch", "UntypedStorage") + "."),
                  {"\"torch.UntypedStorage\""});
  expect_contains(pickle_error("\x80\x02" + pickle_name("\x1b[2J", "x") + "."), {"\"\\x1b[2J.x\""});
  for (const char opcode : {'i', 'o', '\x81', '\x92', '\x82', 'P',    'S',    'V',    'I', 'L', 'F',  'd',
                            'l', 'p', 'g',    '2',    '\x8f', '\x8b', '\x96', '\x97', 'B', 'C', '\0', '\xff'}) {
    expect_contains(pickle_error(std::string("\x80\x04}") + opcode + "os\nsystem\n(tR."),
                    {"data.pkl at byte 3: the pickle opcode 0x", "is refused"});
  }
}

TEST(TorchFilePickle, CallsAreChecked) {
  const std::string ordered = pickle_name("collections", "OrderedDict");
  const std::string parameter = pickle_name("torch._utils", "_rebuild_parameter");
  const std::string rebuild = pickle_name("torch._utils", "_rebuild_tensor_v2");
  expect_contains(pickle_error("\x80\x04" + ordered + "]R."), {"OrderedDict: expected 0 arguments"});
  expect_contains(pickle_error("\x80\x04" + ordered + "]\x85R."), {"found 1: a list"});
  expect_contains(pickle_error("\x80\x04])R."), {"expected a known name before its arguments, found a list"});
  expect_contains(pickle_error("\x80\x04" + parameter + ")R."), {"_rebuild_parameter: expected 3 arguments"});
  expect_contains(pickle_error("\x80\x04" + parameter + "]\x88}\x87R."), {"found 3: a list, a truth value, a dict"});
  expect_contains(pickle_error("\x80\x04" + rebuild + "(NNNNNNtR."), {"_rebuild_tensor_v2: expected 6 arguments"});
  expect_contains(pickle_error("\x80\x04" + rebuild + "(NNNNNNNtR."), {"_rebuild_tensor_v2: expected 7 arguments"});
  expect_contains(pickle_error("\x80\x04" + pickle_name("torch", "FloatStorage") + ")R."),
                  {"as the type of a storage"});
  expect_contains(pickle_error("\x80\x04" + pickle_name("torch", "Size") + "]\x85R."), {"Size: expected 1 arguments"});
  expect_contains(pickle_error("\x80\x04NQ."), {"expected the place of a storage"});
  expect_contains(pickle_error("\x80\x04(" + pickle_text("module") + "NNNNtQ."), {"expected the place of a storage"});
  expect_contains(pickle_error("\x80\x04]}b."), {"expected a dict and its attributes, found a list and a dict"});
  expect_contains(pickle_error("\x80\x04NN\x93."), {"expected two strings that make a name, found None and None"});

  std::string changed = pickle_tensor(0, {16}, {1});
  changed.insert(changed.size() - 2, "}" + pickle_text("conj") + "\x88s");
  expect_contains(pickle_error(pickle_dict({{"t", changed}})), {"one that changes them"});
  std::string unchanged = pickle_tensor(0, {16}, {1});
  unchanged.insert(unchanged.size() - 2, "}");
  const TempDirectory directory;
  const TorchFile file(directory.write("a.pt", torch_file(pickle_dict({{"t", unchanged}})).archive));
  EXPECT_EQ(file.tensors().size(), 1u);
}

TEST(TorchFilePickle, Damaged) {
  expect_contains(pickle_error(""), {"protocol 2 to 5, found another beginning"});
  expect_contains(pickle_error("}."), {"protocol 2 to 5, found another beginning"});
  expect_contains(pickle_error("\x80\x01}."), {"found protocol 1"});
  expect_contains(pickle_error("\x80\x06}."), {"found protocol 6"});
  expect_contains(pickle_error("\x80\x04"), {"cut off"});
  expect_contains(pickle_error("\x80\x04."), {"expected one value at the end, found 0"});
  expect_contains(pickle_error("\x80\x04}}."), {"found 2 and 0 open marks"});
  expect_contains(pickle_error("\x80\x04}(."), {"found 1 and 1 open marks"});
  expect_contains(pickle_error("\x80\x04}.}"), {"1 bytes behind it"});
  expect_contains(pickle_error("\x80\x04]."), {"expected a dict of tensors, found a list"});
  for (const std::string opcode : {"a", "s", "b", "R", "Q", "0", "\x93", "\x85", "\x86", "\x87", "\x94"}) {
    expect_contains(pickle_error("\x80\x04" + opcode + "."), {"on the stack, found 0"});
    expect_contains(pickle_error("\x80\x04NNN(" + opcode + "."), {"on the stack, found 0"});  // not below a mark
  }
  for (const std::string opcode : {"t", "u", "e", "1"}) expect_contains(pickle_error("\x80\x04}" + opcode), {"a mark"});
  expect_contains(pickle_error("\x80\x04}(Nu."), {"an odd number"});
  expect_contains(pickle_error("\x80\x04](NNu."), {"expected a dict to add values to, found a list"});
  expect_contains(pickle_error("\x80\x04}Na."), {"expected a list to add values to, found a dict"});
  expect_contains(pickle_error("\x80\x04(NNu."), {"on the stack, found 0"});
  const std::string whole = pickle_dict({{"t", pickle_tensor(0, {16}, {1})}});
  for (size_t size = 0; size < whole.size(); ++size) {
    expect_contains(pickle_error(whole.substr(0, size)), {"expected"});
  }
}

TEST(TorchFilePickle, LyingSizes) {
  expect_contains(pickle_error("\x80\x04X\xff\xff\xff\xff"), {"expected 4294967295 bytes, found 0"});
  expect_contains(pickle_error("\x80\x04\x8d" + little_endian(UINT64_MAX, 8)), {"expected 18446744073709551615 bytes"});
  expect_contains(pickle_error("\x80\x04\x95" + little_endian(UINT64_MAX, 8)), {"a frame of 18446744073709551615"});
  expect_contains(pickle_error("\x80\x04\x8a\xff"), {"expected 255 bytes, found 0"});
  expect_contains(pickle_error("\x80\x04"
                               "cos\nsystem"),
                  {"expected a line, found no end of it"});
}

TEST(TorchFilePickle, Bounds) {
  expect_contains(pickle_error("\x80\x04}r\xff\xff\xff\xff."), {"memo indices below", "found 4294967295"});
  expect_contains(pickle_error("\x80\x04}r" + little_endian(4'000'000, 4) + "."), {"memo indices below"});
  expect_contains(pickle_error("\x80\x04}r" + little_endian(3'999'999, 4) + "j" + little_endian(3'999'998, 4) + "."),
                  {"expected a value in the memo at index 3999998, found none"});
  expect_contains(pickle_error("\x80\x04h\x01."), {"in the memo at index 1, found none"});
  expect_contains(pickle_error("\x80\x04" + std::string(5'000'000, 'N')), {"more than 4000000 values"});
  expect_contains(pickle_error("\x80\x04" + std::string(5'000'000, '(')), {"more than 256 open marks"});
  std::string pushes = "\x80\x04Nq";
  pushes += '\0';
  for (int i = 0; i < 4'100'000; ++i) pushes.append("h\0", 2);
  expect_contains(pickle_error(pushes), {"the stack has more than 4000000 values"});
  std::string items = "\x80\x04]q";
  items += '\0';
  for (int i = 0; i < 4'100'000; ++i) items.append("h\0a", 3);
  expect_contains(pickle_error(items), {"lists and dicts have more than 4000000 values"});
  expect_contains(pickle_error("\x80\x04" + std::string((size_t{64} << 20) - 1, 'N')),
                  {"a pickle of at most 67108864"});
}

TEST(TorchFilePickle, DeepAndCircular) {
  std::string deep = "\x80\x04]";
  for (int i = 0; i < 1'000'000; ++i) deep += "\x85";
  expect_contains(pickle_error(deep + "."), {"expected a dict of tensors, found a tuple"});
  std::string circle = "\x80\x04}q";
  circle += '\0';
  circle += pickle_text("state_dict") + "h";
  circle += '\0';
  expect_contains(pickle_error(circle + "s."), {"expected a tensor of the name \"state_dict\", found a dict"});
}

TEST(TorchFilePickle, DictsOfOtherThings) {
  const std::string tensor = pickle_tensor(0, {16}, {1});
  expect_contains(pickle_error(pickle_dict({{"t", tensor}, {"t", tensor}})), {"the name \"t\" is given twice"});
  expect_contains(pickle_error(pickle_dict({{"x", "]"}})), {"expected a tensor of the name \"x\", found a list"});
  expect_contains(pickle_error("\x80\x04}" + pickle_int(1) + tensor + "s."), {"expected names as keys", "an integer"});
  const TempDirectory directory;
  const std::string skipped = pickle_dict({{"a", "N"},
                                           {"b", "\x88"},
                                           {"c", pickle_int(7)},
                                           {"d", pickle_text("x")},
                                           {"e", "G" + std::string(8, 0)},
                                           {"t", tensor}});
  EXPECT_EQ(TorchFile(directory.write("a.pt", torch_file(skipped).archive)).tensors().size(), 1u);
  EXPECT_TRUE(TorchFile(directory.write("a.pt", torch_file(pickle_dict({})).archive)).tensors().empty());
}

// ---- tensors

TEST(TorchFileTensor, Places) {
  const auto error = [](int64_t first, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    return pickle_error(pickle_dict({{"t", pickle_tensor(first, sizes, strides)}}));
  };
  expect_contains(error(0, {17}, {1}), {"tensor \"t\"", "shape [17] with strides [1] from element 0", "16 elements"});
  expect_contains(error(1, {16}, {1}), {"outside its storage"});
  expect_contains(error(-1, {1}, {1}), {"from element -1 on lies outside"});
  expect_contains(error(INT64_MAX, {1}, {1}), {"outside its storage"});
  expect_contains(error(16, {}, {}), {"outside its storage"});
  expect_contains(error(0, {2}, {16}), {"outside its storage"});
  expect_contains(error(0, {3}, {INT64_MAX}), {"outside its storage"});
  expect_contains(error(INT64_MAX, {3, 2}, {INT64_MAX, INT64_MAX}), {"outside its storage"});
  expect_contains(error(0, {-1}, {1}), {"from 0 on, found -1"});
  expect_contains(error(0, {1}, {-1}), {"from 0 on, found -1"});
  expect_contains(error(0, {1, 1}, {1}), {"found 2 and 1"});
  expect_contains(error(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)), {"at most 64 sizes"});
  expect_contains(error(0, {INT64_MAX, 4}, {1, 1}), {"overflows 64 bits"});
  expect_contains(error(0, {0, INT64_MAX, 4}, {1, 1, 1}), {"overflows 64 bits"});
  expect_contains(error(0, {17, 1}, {0, 0}), {"repeats its 16 elements"});
  expect_contains(pickle_error(pickle_dict({{"t", pickle_name("torch._utils", "_rebuild_tensor_v2") + "(" +
                                                      pickle_storage("FloatStorage", "0", 16) + "K" + "\x01" + "N\x85" +
                                                      pickle_tuple({1}) + "\x89}tR"}})),
                  {"sizes and strides from 0 on, found None"});
}

TEST(TorchFileTensor, Storages) {
  const auto error = [](const std::string& storage) {
    return pickle_error(pickle_dict({{"t", pickle_tensor(0, {4}, {1}, storage)}}));
  };
  expect_contains(error(pickle_storage("FloatStorage", "1", 16)), {"expected its data in the archive as data/\"1\""});
  expect_contains(error(pickle_storage("FloatStorage", "../data/0", 16)), {"data/\"../data/0\", found none"});
  expect_contains(error(pickle_storage("FloatStorage", "0", 17)), {"17 elements of 4 bytes, found 64 bytes"});
  expect_contains(error(pickle_storage("FloatStorage", "0", 15)), {"15 elements of 4 bytes, found 64 bytes"});
  expect_contains(error(pickle_storage("FloatStorage", "0", -1)), {"-1 elements"});
  expect_contains(error(pickle_storage("FloatStorage", "0", INT64_MIN)), {"elements of 4 bytes, found 64 bytes"});
  expect_contains(error(pickle_storage("DoubleStorage", "0", 16)), {"16 elements of 8 bytes, found 64 bytes"});
}

TEST(TorchFileTensor, CopiesAreBounded) {
  std::vector<std::pair<std::string, std::string>> items;
  const std::string storage = pickle_storage("FloatStorage", "0", 100'000);
  for (int i = 0; i < 4; ++i) items.emplace_back(std::to_string(i), pickle_tensor(0, {1000, 100}, {1, 1000}, storage));
  expect_contains(error_of(torch_file(pickle_dict(items), {std::string(400'000, 0)}).archive),
                  {"would take more than", "contiguous()"});
}

}  // namespace
}  // namespace wde
