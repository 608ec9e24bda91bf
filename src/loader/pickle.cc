#include "loader/pickle.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "loader/json_file.h"
#include "loader/little_endian.h"
#include "wde/result.h"

namespace wde {
namespace {

// A tensor of a state dict takes some 250 bytes and 15 values.
constexpr size_t kMaxPickleBytes = size_t{64} << 20;
constexpr size_t kMaxValues = 4'000'000;
constexpr size_t kMaxMemo = 4'000'000;
constexpr size_t kMaxStack = 4'000'000;
constexpr size_t kMaxItems = 4'000'000;  // of all lists and dicts together
constexpr size_t kMaxMarks = 256;
constexpr uint64_t kOldestProtocol = 2, kNewestProtocol = 5;

using Kind = PickleValue::Kind;

// Python's names of the opcodes. Those that make objects of classes or call by other ways than REDUCE are not here.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kBinfloat = 'G',
  kBinint = 'J',
  kBinint1 = 'K',
  kBinint2 = 'M',
  kNone = 'N',
  kBinpersid = 'Q',
  kReduce = 'R',
  kBinunicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinget = 'h',
  kLongBinget = 'j',
  kBinput = 'q',
  kLongBinput = 'r',
  kSetitem = 's',
  kTuple = 't',
  kSetitems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewtrue = 0x88,
  kNewfalse = 0x89,
  kLong1 = 0x8a,
  kShortBinunicode = 0x8c,
  kBinunicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

enum class Meaning { kOrderedDict, kRebuildTensor, kRebuildParameter, kSize, kStorage };
struct Name {
  std::string_view module, name;
  Meaning meaning;
  StorageType type = {};
};
// All that a pickle may name.
constexpr std::array kGlobalNames = {
    Name{"collections", "OrderedDict", Meaning::kOrderedDict},
    Name{"torch._utils", "_rebuild_tensor_v2", Meaning::kRebuildTensor},
    Name{"torch._utils", "_rebuild_parameter", Meaning::kRebuildParameter},
    Name{"torch", "Size", Meaning::kSize},
    Name{"torch", "FloatStorage", Meaning::kStorage, {Dtype::kF32, "", 4}},
    Name{"torch", "HalfStorage", Meaning::kStorage, {Dtype::kF16, "", 2}},
    Name{"torch", "BFloat16Storage", Meaning::kStorage, {Dtype::kBF16, "", 2}},
    Name{"torch", "DoubleStorage", Meaning::kStorage, {Dtype::kF64, "", 8}},
    Name{"torch", "LongStorage", Meaning::kStorage, {Dtype::kI64, "", 8}},
    Name{"torch", "IntStorage", Meaning::kStorage, {Dtype::kI32, "", 4}},
    Name{"torch", "ShortStorage", Meaning::kStorage, {Dtype::kI16, "", 2}},
    Name{"torch", "CharStorage", Meaning::kStorage, {Dtype::kI8, "", 1}},
    Name{"torch", "ByteStorage", Meaning::kStorage, {Dtype::kU8, "", 1}},
    Name{"torch", "BoolStorage", Meaning::kStorage, {Dtype::kBool, "", 1}},
    Name{"torch", "ComplexFloatStorage", Meaning::kStorage, {Dtype::kOther, "C64", 8}},
    Name{"torch", "ComplexDoubleStorage", Meaning::kStorage, {Dtype::kOther, "C128", 16}},
};

class Interpreter {
 public:
  Interpreter(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle run(size_t* end) {
    if (end != nullptr) bytes_ = bytes_.substr(0, kMaxPickleBytes);
    if (bytes_.size() > kMaxPickleBytes) {
      fail(fmt::format("expected a pickle of at most {} bytes, found {}", kMaxPickleBytes, bytes_.size()));
    }
    const bool begins = bytes_.size() >= 2 && number(1) == kProto;
    const uint64_t protocol = begins ? number(1) : 0;
    if (protocol < kOldestProtocol || protocol > kNewestProtocol) {
      fail(fmt::format("expected a pickle of protocol {} to {}, found {}", kOldestProtocol, kNewestProtocol,
                       begins ? fmt::format("protocol {}", protocol) : "another beginning"));
    }
    while (true) {
      at_ = position_;
      const auto opcode = static_cast<uint8_t>(number(1));
      if (opcode == kStop) break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) {
      fail(fmt::format("expected one value at the end, found {} and {} open marks", stack_.size(), marks_.size()));
    }
    if (end != nullptr) *end = position_;
    if (end == nullptr && position_ != bytes_.size()) {
      fail(fmt::format("expected the end of the pickle, found {} bytes behind it", bytes_.size() - position_));
    }
    pickle_.root = stack_.back();
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw LoadError(fmt::format("{}: data.pkl at byte {}: {}", file_, at_, problem));
  }

  // ---- the bytes

  std::string_view text(uint64_t count) {
    const size_t left = bytes_.size() - position_;
    if (count > left) fail(fmt::format("expected {} bytes, found {}; the pickle is cut off", count, left));
    const std::string_view result = bytes_.substr(position_, count);
    position_ += count;
    return result;
  }
  uint64_t number(size_t count) { return read_little_endian(text(count), 0, count); }
  std::string_view line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) fail("expected a line, found no end of it; the pickle is cut off");
    const std::string_view result = text(end - position_);
    ++position_;
    return result;
  }

  // ---- values, stack and memo

  PickleValue& value(PickleIndex index) { return pickle_.values[index]; }
  void push(PickleIndex index) {
    if (stack_.size() == kMaxStack) fail(fmt::format("the stack has more than {} values", kMaxStack));
    stack_.push_back(index);
  }
  PickleValue& push_new(Kind kind) {
    if (pickle_.values.size() == kMaxValues) fail(fmt::format("there are more than {} values", kMaxValues));
    push(static_cast<PickleIndex>(pickle_.values.size()));
    PickleValue& made = pickle_.values.emplace_back();
    made.kind = kind;
    return made;
  }
  void push_number(Kind kind, int64_t number) { push_new(kind).number = number; }
  void push_text(std::string_view text) { push_new(Kind::kString).text = text; }
  void push_items(Kind kind, std::vector<PickleIndex> items) { push_new(kind).items = std::move(items); }

  // The values above the last mark alone can be reached.
  void require_values(size_t count) const {
    const size_t found = stack_.size() - (marks_.empty() ? 0 : marks_.back());
    if (found < count) fail(fmt::format("expected {} values on the stack, found {}", count, found));
  }
  PickleIndex pop() {
    require_values(1);
    const PickleIndex index = stack_.back();
    stack_.pop_back();
    return index;
  }
  std::vector<PickleIndex> pop_items(size_t begin) {
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<PickleIndex> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return items;
  }
  std::vector<PickleIndex> pop_mark() {
    if (marks_.empty()) fail("expected a mark on the stack, found none");
    const size_t begin = marks_.back();
    marks_.pop_back();
    return pop_items(begin);
  }
  void push_tuple(size_t count) {
    require_values(count);
    push_items(Kind::kTuple, pop_items(stack_.size() - count));
  }

  void put(uint64_t index) {
    require_values(1);
    if (index >= kMaxMemo) fail(fmt::format("expected memo indices below {}, found {}", kMaxMemo, index));
    if (index >= memo_.size()) memo_.resize(index + 1, kNothing);
    if (memo_[index] == kNothing) ++memo_count_;
    memo_[index] = stack_.back();
  }
  void get(uint64_t index) {
    if (index >= memo_.size() || memo_[index] == kNothing) {
      fail(fmt::format("expected a value in the memo at index {}, found none", index));
    }
    push(memo_[index]);
  }

  // ---- the opcodes

  void step(uint8_t opcode) {
    switch (opcode) {
      case kMark:
        if (marks_.size() == kMaxMarks) fail(fmt::format("there are more than {} open marks", kMaxMarks));
        return marks_.push_back(stack_.size());
      case kPop:
        return (void)pop();
      case kPopMark:
        return (void)pop_mark();
      case kFrame:
        if (const uint64_t frame = number(8); frame > bytes_.size() - position_) {
          fail(fmt::format("expected a frame of {} bytes, found {}; the pickle is cut off", frame,
                           bytes_.size() - position_));
        }
        return;
      case kNone:
        return (void)push_new(Kind::kNone);
      case kNewtrue:
      case kNewfalse:
        return push_number(Kind::kBool, opcode == kNewtrue ? 1 : 0);
      case kBinint:
        return push_number(Kind::kInt, read_signed(text(4), 0, 4));
      case kBinint1:
        return push_number(Kind::kInt, static_cast<int64_t>(number(1)));
      case kBinint2:
        return push_number(Kind::kInt, static_cast<int64_t>(number(2)));
      case kLong1: {
        const uint64_t count = number(1);
        const std::string_view digits = text(count);
        if (count > 8) return (void)push_new(Kind::kScalar);  // more than any size can have
        return push_number(Kind::kInt, read_signed(digits, 0, count));
      }
      case kBinfloat:
        (void)text(8);
        return (void)push_new(Kind::kScalar);
      case kBinunicode:
        return push_text(text(number(4)));
      case kShortBinunicode:
        return push_text(text(number(1)));
      case kBinunicode8:
        return push_text(text(number(8)));
      case kEmptyTuple:
        return (void)push_new(Kind::kTuple);
      case kEmptyList:
        return (void)push_new(Kind::kList);
      case kEmptyDict:
        return (void)push_new(Kind::kDict);
      case kTuple:
        return push_items(Kind::kTuple, pop_mark());
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push_tuple(1 + opcode - kTuple1);
      case kAppend:
        require_values(2);
        return add_items(Kind::kList, pop_items(stack_.size() - 1));
      case kAppends:
        return add_items(Kind::kList, pop_mark());
      case kSetitem:
        require_values(3);
        return add_items(Kind::kDict, pop_items(stack_.size() - 2));
      case kSetitems:
        return add_items(Kind::kDict, pop_mark());
      case kBinput:
        return put(number(1));
      case kLongBinput:
        return put(number(4));
      case kMemoize:
        return put(memo_count_);
      case kBinget:
        return get(number(1));
      case kLongBinget:
        return get(number(4));
      case kGlobal: {
        const std::string_view module = line();
        return push_name(module, line());
      }
      case kStackGlobal: {
        const PickleIndex name = pop();
        const PickleIndex module = pop();
        if (value(module).kind != Kind::kString || value(name).kind != Kind::kString) {
          fail(fmt::format("expected two strings that make a name, found {} and {}", kind_name(value(module)),
                           kind_name(value(name))));
        }
        return push_name(value(module).text, value(name).text);
      }
      case kBinpersid:
        return push_storage(pop());
      case kReduce: {
        const PickleIndex arguments = pop();
        return reduce(pop(), arguments);
      }
      case kBuild:
        return build(pop());
      default:
        fail(fmt::format("the pickle opcode 0x{:02x}, which a file of tensors does not need, is refused", opcode));
    }
  }

  void add_items(Kind kind, const std::vector<PickleIndex>& added) {
    require_values(1);
    PickleValue& target = value(stack_.back());
    if (target.kind != kind) {
      fail(fmt::format("expected {} to add values to, found {}", kind == Kind::kList ? "a list" : "a dict",
                       kind_name(target)));
    }
    if (kind == Kind::kDict && added.size() % 2 != 0) {
      fail(fmt::format("expected keys and values for a dict, found {}, an odd number of them", added.size()));
    }
    items_ += added.size();
    if (items_ > kMaxItems) fail(fmt::format("lists and dicts have more than {} values", kMaxItems));
    target.items.insert(target.items.end(), added.begin(), added.end());
  }

  void push_name(std::string_view module, std::string_view name) {
    const auto* found = std::find_if(kGlobalNames.begin(), kGlobalNames.end(),
                                     [&](const Name& known) { return known.module == module && known.name == name; });
    if (found == kGlobalNames.end()) {
      fail(
          fmt::format("this file wants to run {}, which is refused: only tensors in a dict are read, and nothing is "
                      "ever run",
                      quote(fmt::format("{}.{}", module, name))));
    }
    push_new(Kind::kName).name = static_cast<uint8_t>(found - kGlobalNames.begin());
  }

  bool is_storage_type(const PickleValue& type) const {
    return type.kind == Kind::kName && kGlobalNames[type.name].meaning == Meaning::kStorage;
  }

  // ("storage", its type, key, device, elements), and before PyTorch 1.6 None or, which is refused, the part that is
  // seen.
  void push_storage(PickleIndex place) {
    const std::vector<PickleIndex>& parts = value(place).items;
    const bool whole = parts.size() == 5 || (parts.size() == 6 && value(parts[5]).kind == Kind::kNone);
    const bool fits = value(place).kind == Kind::kTuple && whole && value(parts[0]).kind == Kind::kString &&
                      value(parts[0]).text == "storage" && is_storage_type(value(parts[1])) &&
                      value(parts[2]).kind == Kind::kString && value(parts[3]).kind == Kind::kString &&
                      value(parts[4]).kind == Kind::kInt;
    if (!fits) fail("expected the place of a storage (\"storage\", type, key, device, elements), found another");
    const uint8_t type = value(parts[1]).name;
    const std::string_view key = value(parts[2]).text;
    const int64_t elements = value(parts[4]).number;
    PickleValue& storage = push_new(Kind::kStorage);  // moves the values
    storage.name = type;
    storage.text = key;
    storage.number = elements;
  }

  void require_arguments(std::string_view name, PickleIndex arguments, std::initializer_list<Kind> kinds) {
    const std::vector<PickleIndex>& items = value(arguments).items;
    std::vector<std::string_view> found;
    bool fits = value(arguments).kind == Kind::kTuple && items.size() == kinds.size();
    for (size_t i = 0; fits && i < items.size(); ++i) fits = value(items[i]).kind == kinds.begin()[i];
    if (fits) return;
    for (size_t i = 0; i < std::min<size_t>(items.size(), 8); ++i) found.push_back(kind_name(value(items[i])));
    fail(fmt::format("{}: expected {} arguments of the usual types, found {}: {}", name, kinds.size(), items.size(),
                     fmt::join(found, ", ")));
  }

  void reduce(PickleIndex function, PickleIndex arguments) {
    if (value(function).kind != Kind::kName) {
      fail(fmt::format("expected a known name before its arguments, found {}", kind_name(value(function))));
    }
    const Name& name = kGlobalNames[value(function).name];
    switch (name.meaning) {
      case Meaning::kOrderedDict:
        require_arguments(name.name, arguments, {});
        return (void)push_new(Kind::kDict);
      case Meaning::kSize:
        require_arguments(name.name, arguments, {Kind::kTuple});
        return push(value(arguments).items[0]);
      case Meaning::kRebuildParameter:
        require_arguments(name.name, arguments, {Kind::kTensor, Kind::kBool, Kind::kDict});
        return push(value(arguments).items[0]);
      case Meaning::kRebuildTensor:
        return push_tensor(name.name, arguments);
      case Meaning::kStorage:
        fail(fmt::format("expected {} as the type of a storage, found a call of it", name.name));
    }
  }

  // (storage, first element, sizes, strides, requires_grad, hooks), and since PyTorch 2.0 what changes the values when
  // they are read, as a conjugation.
  void push_tensor(std::string_view name, PickleIndex arguments) {
    constexpr size_t kWithChanges = 7;
    if (value(arguments).items.size() == kWithChanges) {
      require_arguments(
          name, arguments,
          {Kind::kStorage, Kind::kInt, Kind::kTuple, Kind::kTuple, Kind::kBool, Kind::kDict, Kind::kDict});
      if (!value(value(arguments).items.back()).items.empty()) {
        fail(fmt::format("{}: expected a tensor whose values are as stored, found one that changes them", name));
      }
    } else {
      require_arguments(name, arguments,
                        {Kind::kStorage, Kind::kInt, Kind::kTuple, Kind::kTuple, Kind::kBool, Kind::kDict});
    }
    const std::vector<PickleIndex>& items = value(arguments).items;
    const int64_t first = value(items[1]).number;
    std::vector<PickleIndex> parts = {items[0], items[2], items[3]};
    PickleValue& tensor = push_new(Kind::kTensor);
    tensor.number = first;
    tensor.items = std::move(parts);
  }

  // A state dict's attributes, "_metadata" as a rule: versions of modules, of no use here.
  void build(PickleIndex state) {
    require_values(1);
    const PickleValue& target = value(stack_.back());
    if (target.kind != Kind::kDict || value(state).kind != Kind::kDict) {
      fail(fmt::format("expected a dict and its attributes, found {} and {}", kind_name(target),
                       kind_name(value(state))));
    }
  }

  static constexpr PickleIndex kNothing = UINT32_MAX;

  std::string_view bytes_;
  const std::string& file_;
  size_t position_ = 0;
  size_t at_ = 0;  // of the opcode, for messages
  Pickle pickle_;
  std::vector<PickleIndex> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::vector<PickleIndex> memo_;
  size_t memo_count_ = 0;
  size_t items_ = 0;
};

}  // namespace

Pickle read_pickle(std::string_view bytes, const std::string& file, size_t* end) {
  return Interpreter(bytes, file).run(end);
}

StorageType storage_type(const PickleValue& storage) { return kGlobalNames[storage.name].type; }

std::string_view kind_name(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a truth value";
    case Kind::kInt:
      return "an integer";
    case Kind::kScalar:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dict";
    case Kind::kName:
      return kGlobalNames[value.name].name;
    case Kind::kStorage:
      return "a storage";
    case Kind::kTensor:
      return "a tensor";
  }
  return "a value";
}

}  // namespace wde
